package raft

import (
	"errors"
	"fmt"

	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Everything that a message claims is checked here before anything moves: a
// message that no correct peer sends is an error and leaves the node unchanged.

// checkMessage checks m, of the given kind. It returns the position of a response's
// sender among the members.
func (r *raft) checkMessage(kind uint8, m *pb.Message) (from int, err error) {
	if err := r.checkEnvelope(kind, m); err != nil {
		return 0, err
	}
	if err := checkContent(m); err != nil {
		return 0, err
	}
	if !r.sameEffect(m) {
		if err := r.checkEffect(m); err != nil {
			return 0, err
		}
	}
	if kind == kindResponse {
		if from = r.conf.pos(m.From); from < 0 {
			return 0, fmt.Errorf("%w: %d", ErrStepPeerNotFound, m.From)
		}
	}
	if m.Term < r.term {
		return from, nil // it moves nothing
	}
	switch kind {
	case kindLead, kindWord:
		err = r.checkFromLeader(m)
	case kindResponse:
		if r.role == StateLeader && m.Term == r.term && (m.Type == pb.MsgAppResp || m.Type == pb.MsgHeartbeatResp) {
			err = r.checkResponse(m, from)
		}
	}
	return from, err
}

// checkResponse checks the answer of the peer at from in the leader's term.
func (r *raft) checkResponse(m *pb.Message, from int) error {
	// A peer that knows no sessions may be one that went back to an older version.
	if now := r.leader.peers[from].Session; m.Session != 0 && m.Session != now {
		return fmt.Errorf("%w: %v of %d in session %d, now it has %d", ErrStaleSession, m.Type, m.From, m.Session, now)
	}
	if m.Type == pb.MsgAppResp && !m.Reject && m.Index > r.log.last.index {
		return corrupt("%d acknowledges entry %d, the last is %d", m.From, m.Index, r.log.last.index)
	}
	return nil
}

// checkEnvelope checks who sends what to whom.
func (r *raft) checkEnvelope(kind uint8, m *pb.Message) error {
	switch {
	case kind == kindUnknown:
		return fmt.Errorf("%w: %d", ErrUnknownMessage, m.Type)
	case kind == kindLocal:
		return fmt.Errorf("%w: %v", ErrStepLocalMsg, m.Type)
	case m.To != None && m.To != r.id:
		return misrouted("it is for %d, this is %d", m.To, r.id)
	case kind == kindForwarded:
		return checkForwarded(m)
	case m.From == None || m.From == r.id:
		return misrouted("it claims to come from %d, this is %d", m.From, r.id)
	case kind == kindNotice && m.Term != 0:
		return corrupt("%v with term %d", m.Type, m.Term)
	case kind != kindNotice && m.Term == 0:
		return corrupt("%v without a term", m.Type)
	}
	return nil
}

func checkForwarded(m *pb.Message) error {
	switch {
	case m.Term != 0 && m.Type != pb.MsgTransferLeader:
		return corrupt("%v with term %d", m.Type, m.Term)
	case m.Type == pb.MsgReadIndex && m.From == None:
		return misrouted("it comes from nobody")
	}
	return nil
}

// checkContent checks what can be told from the message alone.
func checkContent(m *pb.Message) error {
	switch {
	case m.Term > maxTerm:
		return corrupt("term %d is about to overflow", m.Term)
	case max(m.Index, m.Commit, m.RejectHint) > maxIndex:
		return corrupt("index %d, commit %d, hint %d: about to overflow", m.Index, m.Commit, m.RejectHint)
	case m.Term != 0 && m.LogTerm > m.Term:
		return corrupt("log term %d is past the term %d", m.LogTerm, m.Term)
	}
	switch m.Type {
	case pb.MsgApp:
		return checkEntries(m)
	case pb.MsgVote, pb.MsgPreVote:
		if m.Commit > m.Index || m.RejectHint > m.LogTerm {
			return corrupt("entry %d of term %d is committed and entry %d of term %d is the last", m.Commit, m.RejectHint, m.Index, m.LogTerm)
		}
	case pb.MsgHeartbeat:
		if m.Sleep && m.Commit != m.Index {
			return corrupt("asked to sleep with the last entry %d and the commit %d", m.Index, m.Commit)
		}
	case pb.MsgSnap:
		return checkSnapshot(m)
	case pb.MsgRemoved:
		if m.Index == 0 || m.Session == 0 {
			return corrupt("removed at index %d, session %d", m.Index, m.Session)
		}
	case pb.MsgReadIndexResp:
		if len(m.Entries) != 1 || len(m.Entries[0].Data) != 16 {
			return corrupt("answer to a read without this node's token")
		}
	}
	return nil
}

// checkEntries checks that an append's entries follow the one before.
func checkEntries(m *pb.Message) error {
	if m.Index == 0 && m.LogTerm != 0 {
		return corrupt("the entry before the first has term %d", m.LogTerm)
	}
	prev := entryID{m.LogTerm, m.Index}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index == prev.index+1 && e.Term == prev.term && e.Term != 0 && e.Type == pb.EntryNormal {
			prev.index++ // as mostly
			continue
		}
		switch {
		case e.Index != prev.index+1:
			return corrupt("entry %d follows entry %d", e.Index, prev.index)
		case e.Term < prev.term || e.Term > m.Term || e.Term == 0:
			return corrupt("entry %d of term %d follows one of term %d in a message of term %d", e.Index, e.Term, prev.term, m.Term)
		case e.Type < 0 || e.Type > pb.EntryConfChangeV2:
			return corrupt("entry %d has unknown type %d", e.Index, e.Type)
		}
		if isConfEntry(e.Type) {
			if _, err := pb.UnmarshalConfChange(*e); err != nil {
				return corrupt("entry %d: %v", e.Index, err)
			}
		}
		prev = entryID{e.Term, e.Index}
	}
	if prev.index > maxIndex {
		return corrupt("entry %d is about to overflow", prev.index)
	}
	return nil
}

func checkSnapshot(m *pb.Message) error {
	if m.Snapshot == nil {
		return corrupt("no snapshot")
	}
	meta := &m.Snapshot.Metadata
	if meta.Index == 0 || meta.Index > maxIndex || meta.Term == 0 || meta.Term > m.Term {
		return corrupt("snapshot at index %d, term %d, in a message of term %d", meta.Index, meta.Term, m.Term)
	}
	if meta.ConfState.Index > meta.Index {
		return corrupt("snapshot at index %d has the configuration of index %d", meta.Index, meta.ConfState.Index)
	}
	cs := meta.ConfState
	if cs.Index == 0 {
		cs.Index = meta.Index // it is not later than that
	}
	cfg, err := confchange.Restore(cs)
	if err != nil {
		return corrupt("snapshot's configuration: %v", err)
	}
	if len(cfg.Voters[0]) == 0 {
		return corrupt("snapshot's configuration has no voters")
	}
	return nil
}

// checkFromLeader checks a message that only a leader sends against the log
// and the term's leader.
func (r *raft) checkFromLeader(m *pb.Message) error {
	if m.Term == r.term && r.lead != None && r.lead != m.From {
		return corrupt("%d claims to lead term %d, which %d leads", m.From, m.Term, r.lead)
	}
	switch m.Type {
	case pb.MsgHeartbeat:
		// The leader says only what it was told is here: something was lost.
		if m.Commit > r.log.last.index {
			return corrupt("commit %d is past the last index %d: did this node lose its log?", m.Commit, r.log.last.index)
		}
		if m.Sleep {
			return r.checkHeld(entryID{m.LogTerm, m.Index})
		}
	case pb.MsgSnap:
		if m.Snapshot.Metadata.ConfState.ConfChangeEffect == OnAppend && !r.onAppend() {
			return fmt.Errorf("%w: %d sends a snapshot of a group with %v", ErrConfChangeEffect, m.From, OnAppend)
		}
		return r.checkCommitted(entryID{m.Snapshot.Metadata.Term, m.Snapshot.Metadata.Index})
	case pb.MsgApp:
		if m.Index > r.log.committed {
			return nil
		}
		if err := r.checkCommitted(entryID{m.LogTerm, m.Index}); err != nil {
			return err
		}
		for i := range m.Entries {
			if m.Entries[i].Index > r.log.committed {
				break
			}
			if err := r.checkCommitted(entryID{m.Entries[i].Term, m.Entries[i].Index}); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkCommitted checks that id does not contradict a committed entry. Compacted
// ones are unknown.
func (r *raft) checkCommitted(id entryID) error {
	if id.index > r.log.committed {
		return nil
	}
	return r.checkHeld(id)
}

// checkHeld checks that id, which is not past the log's end, is the entry there, as who
// says that it is committed and held here claims.
func (r *raft) checkHeld(id entryID) error {
	term, err := r.log.term(id.index)
	if errors.Is(err, ErrCompacted) {
		return nil
	}
	if err != nil {
		return err
	}
	if term != id.term {
		return corrupt("entry %d has term %d, but the one committed here has term %d", id.index, id.term, term)
	}
	return nil
}
