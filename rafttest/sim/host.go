package sim

import (
	"errors"
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// The host of a node: what is due for it, in the order that the contract of
// Ready demands, with a place to crash between any two things.

// before and after surround every input to a node.
func (s *simulation) before(n *node, in *pb.Message) {
	s.catchUpClock(n)
	s.check.Before(n.id, in)
}

func (s *simulation) after(n *node, in *pb.Message, err error) {
	if !s.ok(s.check.After(n.id, in, err)) {
		return
	}
	s.noted(n)
	if failed := n.Err(); failed != nil {
		s.stop(n, failed)
		return
	}
	s.notMisled(n)
	s.wake(n)
}

// noted takes notice of what an input changed.
func (s *simulation) noted(n *node) {
	st := n.BasicStatus()
	if st.Asleep != n.asleep {
		s.noteSleep(n, &st)
	}
	if s.o.ConfChangeEffect == raft.OnAppend {
		n.conf.known = false
	}
	if s.set.faults.has(Targets) {
		s.noteTarget(n, &st)
	}
	s.mix(st.Term<<40 ^ st.Commit<<8 ^ uint64(st.RaftState)<<4 ^ st.Lead)
	if st.RaftState != n.role || st.Term != n.term || st.Lead != n.lead {
		if st.RaftState == raft.StateLeader && (n.role != raft.StateLeader || st.Term != n.term) {
			s.stats.Elections++
			s.leaderSince = s.now
		}
		if n.role == raft.StateLeader && st.RaftState != raft.StateLeader && st.Term == n.term {
			s.mark(stepDownMarks[st.LastStepDown])
			// Being removed later, as one of the others, is something else.
			n.handedOver = st.LastStepDown == raft.StepDownRemoved && !n.Status().Config.Contains(n.id)
			if n.drive.handsOver == n.term && stepDownMarks[st.LastStepDown] != markQuorumLost {
				s.mark(markTargetAlone)
			}
		}
		n.role, n.term, n.lead = st.RaftState, st.Term, st.Lead
		if st.RaftState == raft.StateLeader {
			s.noteLeader(n)
		}
		if st.RaftState == raft.StateLeader && s.otherLeader(n) {
			s.mark(markTwoLeaders)
		}
		if s.observe != nil {
			s.emit(trace.Event{Kind: trace.Role, Node: n.id, Role: st.RaftState, Term: st.Term, Lead: st.Lead})
		}
	}
	if st.Commit != n.commit {
		n.commit = st.Commit
		if s.observe != nil {
			s.emit(trace.Event{Kind: trace.Commit, Node: n.id, Index: st.Commit})
		}
	}
}

// stepDownMarks are the marks of a leader's reasons to step down by itself.
var stepDownMarks = [...]Mark{
	raft.StepDownQuorumLost: markQuorumLost, raft.StepDownRemoved: markRemoved,
	raft.StepDownRemovedNoHandover: markRemovedNoHandover, raft.StepDownDiskStalled: markDiskStalled,
}

func (s *simulation) otherLeader(n *node) bool {
	for _, o := range s.nodes {
		if o != nil && o != n && o.up && o.role == raft.StateLeader {
			return true
		}
	}
	return false
}

// wake lets the host look for a Ready, if there is one.
func (s *simulation) wake(n *node) {
	if n.pumpDue || !n.up || len(n.handed) >= n.overlap {
		return
	}
	if len(n.reports) == 0 && !n.HasReady() {
		return
	}
	n.pumpDue = true
	at := s.now
	if s.set.pumpDelay > 0 {
		at += s.hosts.between(0, s.set.pumpDelay)
	}
	s.queue.push(event{at: at, kind: evPump, node: n.slot, life: n.life})
}

// tick is one tick of the node's clock.
func (s *simulation) tick(n *node) {
	s.queue.push(event{at: s.now + n.period, kind: evTick, node: n.slot, life: n.life})
	if n.noTicks == 0 {
		s.tickOnce(n)
	}
	if n.asleep && n.up && !s.stopped() {
		s.signOfLife(n)
	}
}

func (s *simulation) tickOnce(n *node) {
	if s.isCounted(n) {
		return
	}
	s.before(n, nil)
	s.check.Tick(n.id, n.electionTick)
	n.Tick()
	s.after(n, nil, nil)
	if n.up && !s.stopped() && n.snapshotDue > n.disk.written.snap.Metadata.Index {
		s.maybeSnapshot(n)
	}
}

// step hands a message to the node.
func (s *simulation) step(n *node, m *pb.Message, id uint64) {
	s.before(n, m)
	slept := n.asleep
	if m.Type == pb.MsgSnap {
		n.conf.known = false
	}
	err := n.Step(*m)
	if s.observe != nil {
		text := ""
		if err != nil {
			text = err.Error()
		}
		s.emitMessage(trace.Deliver, n.id, m.From, id, m, text)
	}
	if m.Type == pb.MsgProp {
		s.markRefusal(err)
		if !s.ok(s.check.Proposed(n.id, err)) {
			return
		}
	}
	if err != nil && errors.Is(err, raft.ErrCorruptMessage) && !s.readOfForeign(m) {
		// No node here says what is not so.
		s.fail("S20", n.id, fmt.Sprintf("%v of %d refused as corrupt: %v", m.Type, m.From, err))
		return
	}
	s.after(n, m, err)
	if slept && n.up && !n.asleep {
		s.mark(markWokeByMessage)
	}
}

// pump takes the next Ready and begins what it asks for.
func (s *simulation) pump(n *node) {
	n.pumpDue = false
	s.passReports(n)
	if !n.up || len(n.handed) >= n.overlap || !n.HasReady() {
		return
	}
	rd := n.Ready()
	if err := n.Err(); err != nil {
		s.stop(n, err)
		return
	}
	if s.notMisled(n); s.stopped() {
		return
	}
	if rd.IsEmpty() && n.foreign == nil {
		return // nothing came of it
	}
	n.readys++
	if !s.ok(s.check.Ready(n.id, &rd)) {
		return
	}
	s.confCommitted(n, &rd)
	if s.passes(n, atReady) {
		return
	}
	for i := range rd.Messages {
		if !s.leave(n, &rd.Messages[i], false, atSend) {
			return
		}
	}
	if s.passes(n, beforeWrite) {
		return
	}
	h := handed{token: rd.AppendToken(), number: n.readys, promises: rd.MessagesAfterAppend, sync: rd.MustSync}
	if !s.write(n, &rd, &h) {
		return
	}
	n.handed = append(n.handed, h)
	for _, word := range rd.Removed {
		s.mark(markTold)
		if !s.ok(s.check.Told(n.id, word.Index)) {
			return
		}
	}
	if !s.refused(n, rd.Refusals) {
		return
	}
	n.reads = append(n.reads, rd.ReadStates...)
	for i := range rd.ReadStates {
		s.healing.answered = s.healing.answered || readKey(rd.ReadStates[i].RequestCtx) == s.healing.read
		if !s.ok(s.check.ReadReady(n.id, readKey(rd.ReadStates[i].RequestCtx), rd.ReadStates[i].Index)) {
			return
		}
	}
	if h.snapshot {
		snap := rd.Snapshot // a copy, so that rd stays on the stack
		n.applying = append(n.applying, toApply{snap: &snap})
	}
	if len(rd.CommittedEntries) > 0 {
		n.applying = append(n.applying, toApply{ents: rd.CommittedEntries})
	}
	s.proceed(n)
}

// leave sends a message, unless the host crashes after it; it reports whether
// the node goes on.
func (s *simulation) leave(n *node, m *pb.Message, promise bool, p point) bool {
	if !s.ok(s.check.Leaves(n.id, m, promise)) {
		return false
	}
	if m.Type == pb.MsgPropRefused && !s.saysRefused(n, m.Entries) {
		return false
	}
	s.send(n, m)
	return !s.passes(n, p)
}

// passReports tells the node what its transport found out.
func (s *simulation) passReports(n *node) {
	for i := 0; i < len(n.reports) && n.up && !s.stopped(); i++ {
		r := n.reports[i]
		s.before(n, nil)
		var err error
		switch r.kind {
		case reportUnreachable:
			err = n.ReportUnreachable(r.peer)
		case reportSnapshotFailed:
			err = n.ReportSnapshot(r.peer, raft.SnapshotFailure)
		case reportSnapshotDone:
			err = n.ReportSnapshot(r.peer, raft.SnapshotFinish)
		}
		s.after(n, nil, err)
	}
	n.reports = n.reports[:0]
}
