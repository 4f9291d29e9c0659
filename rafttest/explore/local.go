package explore

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// inputKind is what can happen to one member.
type inputKind uint8

const (
	inDeliver  inputKind = iota // a message arrives
	inTick                      // the time comes at which a tick of its does something
	inPropose                   // its host proposes
	inChange                    // its host proposes a change of membership
	inPersist                   // its oldest write becomes durable, and what waits for it leaves
	inApply                     // its host applies all that it was given, unless it does so at once
	inCrash                     // it stops and starts again; what is not durable is lost
	inForget                    // as inCrash, and so is what was written without being synced
	inCompact                   // its host makes a snapshot of what it applied
	inRead                      // its host asks for an index to read at
	inCampaign                  // its host tells it to stand
	inTransfer                  // its host asks for another member to take over
	inClock                     // its clock ticks
	numInputs
)

// input is something that happens to one member.
type input struct {
	kind inputKind
	msg  *pb.Message // of inDeliver
	cc   *pb.ConfChangeV2
	data []byte // of inPropose and inRead
	to   uint64 // of inTransfer
}

// effect is what an input led to.
type effect struct {
	out   []pb.Message
	reads []raft.ReadState // that are answered
	// refused says that the node refused the input as it may, and nothing happened.
	refused bool
}

// Violation is a rule of docs/testing.md that does not hold.
type Violation struct {
	Rule   string
	Node   uint64
	Detail string
}

// Error names rule, node and values.
func (v *Violation) Error() string { return fmt.Sprintf("%s at node %d: %s", v.Rule, v.Node, v.Detail) }

func (m *member) violates(rule, format string, args ...any) error {
	return &Violation{rule, m.ID, fmt.Sprintf(format, args...)}
}

// step gives an input to a member and takes all Readys that it leads to. An error is a violation.
func (b *bench) step(m *member, in input) (e effect, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = m.violates("S20", "panic: %v", r)
		}
	}()
	was, pending := m.Node.BasicStatus(), len(m.Writes)
	if err := b.take(m, in, &e); err != nil || e.refused {
		return e, err
	}
	if in.kind == inCrash || in.kind == inForget {
		was = raft.BasicStatus{}
	}
	if err := b.serve(m, &e); err != nil {
		return e, err
	}
	if in.kind == inDeliver && (in.msg.Type == pb.MsgVote || in.msg.Type == pb.MsgPreVote) {
		if err := m.votes(in.msg, m.Writes[min(pending, len(m.Writes)):], e.out); err != nil {
			return e, err
		}
	}
	if err := b.hurry(m, &e); err != nil {
		return e, err
	}
	if err := m.Node.Err(); err != nil {
		return e, m.violates("S20", "its storage is said to have failed: %v", err)
	}
	if b.settings.changes {
		if err := m.configured(&was); err != nil {
			return e, err
		}
	}
	return e, m.moved(in.kind, &was)
}

// hurry does what the host does at once.
func (b *bench) hurry(m *member, e *effect) error {
	for {
		var err error
		switch {
		case b.settings.writeAtOnce && len(m.Writes) > 0:
			err = m.persist(e)
		case b.settings.applyAtOnce && (len(m.Apply) > 0 || m.Restore != 0):
			err = m.apply()
		default:
			return nil
		}
		if err == nil {
			err = b.serve(m, e)
		}
		if err != nil {
			return err
		}
	}
}

// take gives the input to the node.
func (b *bench) take(m *member, in input, e *effect) error {
	n := &m.Node
	switch in.kind {
	case inDeliver:
		err := n.Step(*in.msg)
		if errors.Is(err, raft.ErrCorruptMessage) || errors.Is(err, raft.ErrMisrouted) || errors.Is(err, raft.ErrUnknownMessage) {
			return m.violates("S20", "refuses %v of %d, which is correct: %v", in.msg.Type, in.msg.From, err)
		}
	case inTick:
		n.TickBy(b.nextTick(m))
	case inPropose:
		e.refused = n.Propose(in.data) != nil
	case inChange:
		e.refused = n.ProposeConfChange(*in.cc) != nil
	case inPersist:
		return m.persist(e)
	case inApply:
		return m.apply()
	case inForget:
		m.Disk.Hard.Commit = m.Disk.Synced
		fallthrough
	case inCrash:
		m.Disk.Synced = m.Disk.Hard.Commit
		if err := b.start(m); err != nil {
			return m.violates("S20", "does not start from its own disk: %v", err)
		}
	case inRead:
		e.refused = n.ReadIndex(in.data) != nil
	case inCampaign:
		e.refused = n.Campaign() != nil
	case inTransfer:
		e.refused = n.TransferLeader(in.to) != nil
	case inClock:
		n.TickBy(1)
	case inCompact:
		cs, err := n.ConfStateAt(n.BasicStatus().Applied)
		if err != nil {
			return m.violates("S17", "knows no configuration at %d, which it applied: %v", n.BasicStatus().Applied, err)
		}
		if err := m.summarizes(cs, n.BasicStatus().Applied); err != nil {
			return err
		}
		m.Disk.compact(n.BasicStatus().Applied, *cs)
	}
	return nil
}

// nextTick returns after how many ticks the next one matters: a follower that hears from a leader
// first comes to doubt it, which lets it vote, and then campaigns. It is 0 if none does.
func (b *bench) nextTick(m *member) int {
	st := m.Node.BasicStatus()
	ticks, ok := m.Node.NextDeadline()
	switch {
	case !ok:
		return 0
	case st.RaftState == raft.StateFollower && st.Lead != raft.None && ticks == longest && !b.settings.config.DisableCheckQuorum:
		return electionTick
	}
	return ticks
}

// serve takes what the node has to say, until there is nothing more.
func (b *bench) serve(m *member, e *effect) error {
	for m.Node.HasReady() {
		rd := m.Node.Ready()
		if rd.IsEmpty() {
			break
		}
		for i := range rd.Messages {
			if err := m.leaves(&rd.Messages[i]); err != nil {
				return err
			}
		}
		e.out = append(e.out, rd.Messages...)
		e.reads = append(e.reads, rd.ReadStates...)
		if err := m.handOut(&rd); err != nil {
			return err
		}
		w := write{
			Hard: rd.HardState, Entries: rd.Entries, Snapshot: rd.Snapshot.Metadata, Sync: rd.MustSync,
			Promises: slices.Clone(rd.MessagesAfterAppend),
		}
		if b.settings.hasty {
			e.out, w.Promises = append(e.out, w.Promises...), nil
		}
		m.Writes = append(m.Writes, w)
		if err := m.release(e); err != nil {
			return err
		}
	}
	return nil
}

// handOut is S17 and S18 for a Ready, and takes what is to be applied.
func (m *member) handOut(rd *raft.Ready) error {
	before := m.written(len(m.Writes))
	if i := rd.Snapshot.Metadata.Index; i != 0 && i <= before.Commit {
		return m.violates("S17", "takes a snapshot at %d, and has committed up to %d", i, before.Commit)
	}
	changed := rd.HardState != (pb.HardState{}) && (rd.Term != before.Term || rd.Vote != before.Vote)
	if (changed || len(rd.Entries) > 0 || rd.Snapshot.Metadata.Index != 0) && !rd.MustSync {
		return m.violates("S18", "term %d, vote %d, %d entries need not be synced, before that it had %+v", rd.Term, rd.Vote, len(rd.Entries), before)
	}
	next := m.Node.BasicStatus().Applied + uint64(len(m.Apply)) + 1
	for i := range rd.CommittedEntries {
		if e := &rd.CommittedEntries[i]; e.Index != next+uint64(i) {
			return m.violates("S18", "entry %d is handed out to be applied, and %d is next", e.Index, next+uint64(i))
		}
	}
	m.Apply = append(slices.Clip(m.Apply), rd.CommittedEntries...)
	return nil
}

// written returns the hard state that is on the disk after the first n writes.
func (m *member) written(n int) pb.HardState {
	for i := n - 1; i >= 0; i-- {
		if hs := m.Writes[i].Hard; hs != (pb.HardState{}) {
			return hs
		}
	}
	return m.Disk.Hard
}

// release ends the writes at the head of the queue that have nothing to write.
func (m *member) release(e *effect) error {
	for len(m.Writes) > 0 {
		w := &m.Writes[0]
		if w.Hard != (pb.HardState{}) || len(w.Entries) > 0 || w.Snapshot.Index != 0 {
			return nil
		}
		if err := m.acknowledge(e); err != nil {
			return err
		}
	}
	return nil
}

// persist makes the oldest write durable, and ends those after it that have nothing to write.
func (m *member) persist(e *effect) error {
	w := &m.Writes[0]
	if hs := w.Hard; hs != (pb.HardState{}) {
		switch old := m.Disk.Hard; {
		case hs.Term < old.Term || hs.Commit < old.Commit:
			return m.violates("S9", "hard state %+v replaces %+v", hs, old)
		case hs.Term == old.Term && old.Vote != raft.None && hs.Vote != old.Vote:
			return m.violates("S7", "the vote for %d in term %d replaces that for %d", hs.Vote, hs.Term, old.Vote)
		}
	}
	if len(w.Entries) > 0 {
		if first := w.Entries[0].Index; first <= m.Disk.Hard.Commit || first > m.Disk.last()+1 {
			return m.violates("S9", "entries from %d on replace a log that is committed up to %d and ends at %d", first, m.Disk.Hard.Commit, m.Disk.last())
		}
	}
	m.Disk.write(w)
	if w.Snapshot.Index != 0 {
		m.Restore = w.Snapshot.Index
	}
	if err := m.acknowledge(e); err != nil {
		return err
	}
	return m.release(e)
}

// acknowledge says that the oldest write is durable, and lets its promises leave.
func (m *member) acknowledge(e *effect) error {
	w := m.Writes[0]
	m.Writes = m.Writes[1:]
	if err := m.Node.AckAppend(m.token()); err != nil {
		return m.violates("S18", "does not take an acknowledgement: %v", err)
	}
	for i := range w.Promises {
		if err := m.leaves(&w.Promises[i]); err != nil {
			return err
		}
	}
	e.out = append(e.out, w.Promises...)
	return nil
}

// apply applies all that was handed out, and restores the snapshot that is durable.
func (m *member) apply() error {
	index := uint64(0)
	for i := range m.Apply {
		e := &m.Apply[i]
		index = e.Index
		if e.Type == pb.EntryNormal {
			continue
		}
		cc, err := pb.UnmarshalConfChange(*e)
		if err != nil {
			return m.violates("S20", "entry %d: %v", e.Index, err)
		}
		cs := m.Node.ApplyConfChange(cc)
		if err := m.saves(cs, e.Index); err != nil {
			return err
		}
		if cs.Index >= m.Disk.Conf.Index {
			m.Disk.Conf = *cs
		}
	}
	m.Apply = nil
	if m.Restore != 0 {
		index, m.Restore = m.Restore, 0
	}
	if err := m.Node.AckApply(index); err != nil {
		return m.violates("S18", "does not take that %d is applied: %v", index, err)
	}
	return nil
}

// votes is S7 for a request: who gets a vote holds all that the voter does. Others are answers to it that wait, or leave.
func (m *member) votes(asked *pb.Message, writes []write, out []pb.Message) error {
	log := m.confLog(false)
	index, term := log.last()
	if asked.LogTerm > term || asked.LogTerm == term && asked.Index >= index {
		return nil
	}
	for _, w := range writes {
		out = append(slices.Clip(out), w.Promises...)
	}
	for i := range out {
		if r := &out[i]; (r.Type == pb.MsgVoteResp || r.Type == pb.MsgPreVoteResp) && !r.Reject && r.To == asked.From && r.Term == asked.Term {
			return m.violates("S7", "votes for %d, whose log ends at %d of term %d, and its own at %d of term %d",
				asked.From, asked.Index, asked.LogTerm, index, term)
		}
	}
	return nil
}

// leaves is S8: what leaves rests on what is durable.
func (m *member) leaves(msg *pb.Message) error {
	hs := &m.Disk.Hard
	switch {
	case msg.Type == pb.MsgVoteResp && !msg.Reject && (hs.Term != msg.Term || hs.Vote != msg.To):
		return m.violates("S8", "a vote for %d in term %d leaves, the disk has %+v", msg.To, msg.Term, *hs)
	case msg.Type == pb.MsgVote && (hs.Term != msg.Term || hs.Vote != m.ID || m.Disk.term(msg.Index) != msg.LogTerm):
		return m.violates("S8", "it stands in term %d with the log up to %d of term %d, the disk has %+v and the log up to %d",
			msg.Term, msg.Index, msg.LogTerm, *hs, m.Disk.last())
	case msg.Type == pb.MsgAppResp && !msg.Reject && (hs.Term < msg.Term || m.Disk.last() < msg.Index):
		return m.violates("S8", "acknowledges entry %d in term %d, the disk has %+v and the log up to %d", msg.Index, msg.Term, *hs, m.Disk.last())
	case msg.Type == pb.MsgApp && (hs.Term < msg.Term || hs.Vote != m.ID && hs.Term == msg.Term):
		return m.violates("S8", "leads term %d, the disk has %+v", msg.Term, *hs)
	case msg.Type == pb.MsgTimeoutNow:
		st := m.Node.Status()
		behind := st.RaftState == raft.StateLeader && st.Progress[msg.To].Match != st.LastIndex
		if msg.Term != st.Term || st.Vote != m.ID || !st.Config.IsVoter(msg.To) || behind {
			return m.violates("S16", "tells %d in term %d to stand, and is in term %d with a vote for %d, of %v; it lacks entries: %t",
				msg.To, msg.Term, st.Term, st.Vote, st.Config, behind)
		}
	}
	return nil
}

// moved is S9, S2, S10 and S16 for what an input has changed.
func (m *member) moved(kind inputKind, was *raft.BasicStatus) error {
	st := m.Node.BasicStatus()
	switch {
	case st.Applied > st.Commit || st.Commit > st.LastIndex:
		return m.violates("S9", "applied %d, commit %d, last %d", st.Applied, st.Commit, st.LastIndex)
	case st.Term < was.Term || st.Commit < was.Commit || st.Applied < was.Applied:
		return m.violates("S9", "term, commit, applied went back from %d, %d, %d to %d, %d, %d",
			was.Term, was.Commit, was.Applied, st.Term, st.Commit, st.Applied)
	case st.Term == was.Term && was.Vote != raft.None && st.Vote != was.Vote:
		return m.violates("S7", "votes for %d in term %d, and voted for %d", st.Vote, st.Term, was.Vote)
	case st.RaftState == raft.StateLeader && was.RaftState == raft.StateLeader && st.Term == was.Term && st.LastIndex < was.LastIndex:
		return m.violates("S2", "leads term %d, and its log went back from %d to %d", st.Term, was.LastIndex, st.LastIndex)
	case was.LeadTransferee != raft.None && (kind == inPropose || kind == inChange):
		return m.violates("S16", "takes a proposal while %d is to take over", was.LeadTransferee)
	case st.LeadTransferee != raft.None:
		if c := m.Node.Status().Config; !c.IsVoter(st.LeadTransferee) {
			return m.violates("S16", "still waits for %d to take over, which is no voter of %v", st.LeadTransferee, c)
		}
	}
	if st.RaftState != raft.StateLeader {
		return nil
	}
	full := m.Node.Status()
	for _, id := range full.Config.IDs() {
		if p := full.Progress[id]; p.Match >= p.Next {
			return m.violates("S10", "believes that %d holds its entries up to %d, and sends it %d next", id, p.Match, p.Next)
		}
	}
	return nil
}
