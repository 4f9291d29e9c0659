package raft

import (
	"go.uber.org/zap"

	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// heardFromLeader notes a message that only the term's leader sends. The caller
// checked that there is no other.
func (r *raft) heardFromLeader(from uint64) {
	if r.leasesOn() {
		r.promised = r.cfg.ElectionTick
	}
	r.takeOver = 0 // it leads on
	if r.role != StateFollower {
		// Somebody else won this term (Raft §5.2).
		r.becomeFollower(r.term, from)
		return
	}
	r.elapsed = 0
	r.setLead(from)
}

// followerAppend handles MsgApp (Raft figure 2, AppendEntries). admit has
// checked that it does not contradict what is committed.
func (r *raft) followerAppend(m *pb.Message) error {
	r.heardFromLeader(m.From)
	prev, ents := entryID{m.LogTerm, m.Index}, m.Entries
	if prev.index < r.log.committed {
		// Committed entries are the leader's too: begin after them.
		skip := r.log.committed - prev.index
		if uint64(len(ents)) < skip {
			r.acceptAppend(m, r.log.committed)
			return nil
		}
		prev = entryID{ents[skip-1].Term, ents[skip-1].Index}
		ents = ents[skip:]
	}
	ok, err := r.log.matches(prev)
	if err != nil {
		return err
	}
	if !ok {
		return r.rejectAppend(m)
	}
	n, differs, err := r.log.conflict(ents)
	if err != nil {
		return err
	}
	if differs {
		before := prev
		if n > 0 {
			before = entryID{ents[n-1].Term, ents[n-1].Index}
		}
		r.truncateLog(before)
		// A leader that contradicts itself gets no answer to what it said first.
		r.withdrawPromises()
	}
	if err := r.appendLog(ents[n:]); err != nil {
		return err
	}
	last := prev.index + uint64(len(ents))
	r.acceptAppend(m, last)
	// Only as far as this log is known to equal the leader's (Raft figure 2).
	r.log.commitTo(min(m.Commit, last))
	return nil
}

// acceptAppend promises that the log holds the leader's entries up to last,
// unless the leader asked not to be answered.
func (r *raft) acceptAppend(m *pb.Message, last uint64) {
	if m.Type == pb.MsgApp && m.NoAnswer && len(m.Entries) == 0 {
		return
	}
	resp := r.promise(pb.MsgAppResp, m.From)
	resp.Index, resp.Session = last, m.Session
}

// rejectAppend tells the leader that the logs do not agree at m.Index, and where
// they can at the latest: it skips all of this log's terms that are too new
// (Raft §5.3).
func (r *raft) rejectAppend(m *pb.Message) error {
	hint, term, err := r.log.agreement(m.Index, m.LogTerm)
	if err != nil {
		return err
	}
	resp := r.promise(pb.MsgAppResp, m.From)
	resp.Reject = true
	resp.Index, resp.Session = m.Index, m.Session
	resp.RejectHint, resp.LogTerm = hint, term
	return nil
}

// followerHeartbeat handles MsgHeartbeat. Its answer promises nothing about the
// log and may leave at once, unless it says that this node knows of a committed
// change of configuration: the leader that was removed goes for good by it.
func (r *raft) followerHeartbeat(m *pb.Message) error {
	if r.elapsed > 0 && r.log.overfull() { // without a tick it is for a read
		r.log.rest(r.log.last.index)
	}
	r.heardFromLeader(m.From)
	r.conf.advertised(m.From, m.Features)
	r.log.commitTo(m.Commit)
	if m.Round > r.heardRound {
		r.heardRound = m.Round
		r.sleepIfAsked(m)
	}
	var resp *pb.Message
	if r.mayForgetChange(m.Commit) {
		resp = r.promise(pb.MsgHeartbeatResp, m.From)
	} else {
		resp = r.message(pb.MsgHeartbeatResp, m.From)
	}
	resp.Round, resp.Context, resp.Session = m.Round, m.Context, m.Session
	resp.LeaseTicks, resp.Features = r.promisedTicks(), r.features()
	resp.Sleep = m.Sleep && r.asleep
	return nil
}

// mayForgetChange reports whether a crash could make this node forget that a
// change of configuration at or below index is committed.
func (r *raft) mayForgetChange(index uint64) bool {
	l := r.log
	if index <= l.savedCommit {
		return false
	}
	at, known := r.conf.at(index)
	return l.confIn(l.savedCommit, index) || !known || at.index > l.savedCommit
}

// followerSnapshot handles MsgSnap (Raft §7; dissertation §5).
func (r *raft) followerSnapshot(m *pb.Message) error {
	r.heardFromLeader(m.From)
	meta := &m.Snapshot.Metadata
	if meta.Index <= r.log.committed {
		r.acceptAppend(m, r.log.committed)
		return nil
	}
	// 'The log already covers it' means that it holds this very entry.
	covered, err := r.log.matches(entryID{meta.Term, meta.Index})
	if err != nil {
		return err
	}
	if covered {
		r.log.commitTo(meta.Index)
		r.acceptAppend(m, r.log.committed)
		return nil
	}
	if err := r.restoreSnapshot(m.Snapshot); err != nil {
		return err
	}
	r.acceptAppend(m, r.log.last.index)
	return nil
}

// restoreSnapshot makes a received snapshot the start of the log and its
// configuration the active one.
func (r *raft) restoreSnapshot(snap *pb.Snapshot) error {
	meta := &snap.Metadata
	cfg, err := confchange.Restore(meta.ConfState)
	if err != nil {
		return corrupt("snapshot's configuration: %v", err)
	}
	if err := r.takeEffect(&cfg); err != nil {
		return err
	}
	if r.log.snapshot == nil {
		before := r.appliedConf()
		if r.onAppend() {
			before = r.conf.atOrOldest(min(r.log.committed, r.log.durable))
		}
		r.conf.beforeSnapshot = &before
	}
	r.log.restore(snap)
	r.withdrawPromises() // as after a truncation
	r.conf.history = nil // of the log that the snapshot replaces
	r.logger.Info("restoring snapshot", zap.Uint64("id", r.id), zap.Uint64("index", meta.Index), zap.Uint64("term", meta.Term))
	index := meta.ConfState.Index
	if index == 0 {
		index = meta.Index
	}
	return r.switchConf(cfg, index)
}

// followerProp handles proposals that were forwarded to a node that does not lead.
func (r *raft) followerProp(m *pb.Message) error { return r.tellRefused(m, r.forwardProp(m)) }

// forwardProp forwards proposals to the leader.
func (r *raft) forwardProp(m *pb.Message) error {
	switch {
	case r.lead == None || r.lead == m.From:
		return ErrNoLeader
	case r.cfg.DisableProposalForwarding:
		return ErrForwardingDisabled
	}
	r.rouse()
	r.forward(m).Features = m.Features
	return nil
}

// followerTransferLeader forwards a request to move leadership.
func (r *raft) followerTransferLeader(m *pb.Message) error {
	if r.lead == None {
		return ErrNoLeader
	}
	if r.conf.pos(m.From) >= 0 {
		r.rouse()
	}
	r.forward(m)
	return nil
}

// forward passes on a message that has no term and keeps its sender. What it returns
// is as that of message.
func (r *raft) forward(m *pb.Message) *pb.Message {
	fwd := r.message(m.Type, r.lead)
	fwd.Term = 0
	if m.From != None {
		fwd.From = m.From
	}
	fwd.Entries = m.Entries
	return fwd
}

// forgetLeader makes the node vote as if it had not heard from its leader, for
// a host that knows better that the leader is gone.
func (r *raft) forgetLeader() error {
	if r.role != StateFollower || r.lead == None {
		return nil
	}
	if r.leasesOn() {
		return ErrLeaseInForce
	}
	r.becomeFollower(r.term, None)
	return nil
}
