package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// applySoon lets a host that applies beside writing begin, if there is anything.
func (s *simulation) applySoon(n *node) {
	if n.applyDue || len(n.applying) == 0 || (n.applying[0].snap != nil && !n.applying[0].ready) {
		return
	}
	n.applyDue = true
	at := s.now + s.hosts.between(0, s.set.applyMax)
	if n.slowApply > 0 {
		at += s.hosts.between(0, n.slowApply)
	}
	s.queue.push(event{at: at, kind: evApply, node: n.slot, life: n.life})
}

// applyNext applies what one Ready handed out, and acknowledges it.
func (s *simulation) applyNext(n *node) {
	n.applyDue = false
	if len(n.applying) == 0 {
		return
	}
	next := n.applying[0]
	if next.snap != nil && !next.ready {
		return
	}
	if k := len(next.ents); n.holdApply != 0 && k > 0 && next.ents[k-1].Index >= n.holdApply {
		return
	}
	left := copy(n.applying, n.applying[1:])
	n.applying[left] = toApply{}
	n.applying = n.applying[:left]
	if next.snap != nil {
		if !s.restore(n, next.snap) {
			return
		}
	}
	for i := range next.ents {
		if !s.apply(n, &next.ents[i]) {
			return
		}
	}
	if s.passes(n, beforeApplied) {
		return
	}
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Apply, Node: n.id, Index: n.sm.applied})
	}
	s.before(n, nil)
	if err := n.AckApply(n.sm.applied); err != nil && n.Err() == nil {
		s.fail("S20", n.id, fmt.Sprintf("AckApply: %v", err))
		return
	}
	s.after(n, nil, nil)
	if !n.up || s.stopped() {
		return
	}
	s.serveReads(n)
	s.maybeSnapshot(n)
	if n.overlap > 1 {
		s.applySoon(n)
	}
}

// restore replaces the state machine by a received snapshot.
func (s *simulation) restore(n *node, snap *pb.Snapshot) bool {
	if !s.ok(s.check.Restore(n.id, &snap.Metadata)) {
		return false
	}
	n.sm = decodeMachine(snap.Data)
	n.sm.applied = snap.Metadata.Index
	n.captured = capture{}
	s.mark(markRestored)
	if t := snap.Metadata.ConfState.Target; t != nil {
		s.mark(markTargetRestored)
		if slices.Contains(t.Voters, n.id) && slices.Contains(snap.Metadata.ConfState.Learners, n.id) {
			s.mark(markCatchUpBySnapshot)
		}
	}
	if n.user != nil && len(snap.Data) > 0 { // the first snapshot of a group has none
		if err := n.user.Restore(userPart(snap.Data)); err != nil {
			s.fail("machine", n.id, fmt.Sprintf("Restore of the snapshot at %d: %v", snap.Metadata.Index, err))
			return false
		}
	}
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Snapshot, Node: n.id, Index: snap.Metadata.Index, Text: "restored"})
	}
	return s.sameState(n)
}

// apply applies one entry. It reports whether the node goes on.
func (s *simulation) apply(n *node, e *pb.Entry) bool {
	if !s.ok(s.check.Apply(n.id, e)) {
		return false
	}
	if wrong := s.proposals.applies(e); wrong != "" {
		s.fail("S19", n.id, wrong)
		return false
	}
	s.stats.Applied++
	n.sm.applied = e.Index
	n.sm.digest = mix(n.sm.digest ^ e.Index ^ e.Term<<32)
	if e.Type != pb.EntryNormal {
		if !s.applyConf(n, e) {
			return false
		}
	} else if c, ok := decodeCommand(e.Data); ok {
		answer, first := n.sm.apply(&c)
		n.sm.digest = mix(n.sm.digest ^ c.value ^ c.seq<<24 ^ uint64(bit(answer.ok))<<60 ^ uint64(bit(answer.done))<<61)
		s.answered(n, &c, answer, first)
	} else if n.user != nil && len(e.Data) > 0 && e.Data[0] == userMark {
		n.sm.digest = mix(n.sm.digest ^ digestBytes(n.user.Apply(e.Index, e.Data[1:])))
	}
	return s.sameState(n) && !s.passes(n, atApply)
}

// sameState checks that the state is that of every other node at this index.
func (s *simulation) sameState(n *node) bool {
	at := &s.states[n.sm.applied%uint64(len(s.states))]
	if at.index < n.sm.applied {
		*at = stateAt{n.sm.applied, n.sm.digest}
		return true
	}
	if at.index == n.sm.applied && at.digest != n.sm.digest {
		s.fail("S5", n.id, fmt.Sprintf("its state machine differs from another's at index %d", n.sm.applied))
		return false
	}
	return true
}

// stateAt is what a state machine was at an index.
type stateAt struct{ index, digest uint64 }

func digestBytes(b []byte) uint64 {
	h := uint64(len(b))
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

func (s *simulation) applyConf(n *node, e *pb.Entry) bool {
	cc, err := pb.UnmarshalConfChange(*e)
	if err != nil {
		s.fail("S11", n.id, fmt.Sprintf("committed change of configuration %d: %v", e.Index, err))
		return false
	}
	if n.habit == confNever {
		return s.passOver(n, e)
	}
	s.before(n, nil)
	n.conf.known = false
	s.catchUpClock(n)
	cs := n.ApplyConfChange(cc)
	if n.Err() == nil && !s.ok(s.check.ConfApplied(n.id, e.Index, cs)) {
		return false
	}
	s.after(n, nil, nil)
	if !n.up || s.stopped() {
		return false
	}
	if !s.keepConf(n, cs) {
		return false
	}
	s.stats.ConfChanges++
	if s.o.NewForeign != nil {
		n.snapshotDue = e.Index
	}
	s.markConf(n, cs)
	if o := cs.LastOutcome; o != nil && o.Index == e.Index {
		s.noteOutcome(o)
	}
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Conf, Node: n.id, Index: e.Index, Text: n.Status().Config.String()})
	}
	return !s.passes(n, atConf)
}

// markConf takes notice of what a configuration changed.
func (s *simulation) markConf(n *node, cs *pb.ConfState) {
	if len(cs.VotersOutgoing) > 0 {
		s.mark(markJoint)
	} else if n.wasJoint {
		s.mark(markLeftJoint)
	}
	n.wasJoint = len(cs.VotersOutgoing) > 0
	voter := slices.Contains(cs.Voters, n.id)
	learner := slices.Contains(cs.Learners, n.id) || slices.Contains(cs.LearnersNext, n.id)
	if voter && n.wasLearner {
		s.mark(markBecameVoter)
	}
	if learner && n.wasVoter {
		s.mark(markBecameLearner)
	}
	n.wasVoter, n.wasLearner = voter, learner
}

// capture is the state of a snapshot that is being made.
type capture struct {
	index uint64
	data  []byte
}

// maybeSnapshot takes a snapshot when enough was applied since the last, and
// compacts the log.
func (s *simulation) maybeSnapshot(n *node) {
	last := n.disk.written.snap.Metadata.Index
	if n.sm.applied < last+s.set.snapshotEvery && last >= n.snapshotDue {
		return
	}
	s.takeSnapshot(n)
}

// takeSnapshot captures the state now and, in a run where hosts overlap, saves it
// when the node has gone on.
func (s *simulation) takeSnapshot(n *node) {
	if n.captured.index == 0 {
		n.captured = capture{n.sm.applied, n.snapshotData()}
		if s.set.overlap > 1 && s.hosts.chance(700) && n.snapshotDue <= n.disk.written.snap.Metadata.Index {
			return
		}
	}
	c := n.captured
	n.captured = capture{}
	d := n.disk
	if c.index <= d.written.snap.Metadata.Index {
		return
	}
	cs, err := n.ConfStateAt(c.index)
	if err != nil {
		// Compacted: the configuration that was saved is newer than that, or a
		// received snapshot is about to replace everything.
		if n.Err() == nil && !errors.Is(err, raft.ErrCompacted) {
			s.fail("S17", n.id, fmt.Sprintf("no configuration for a snapshot at %d, applied %d: %v", c.index, n.sm.applied, err))
		}
		return
	}
	term, ok := d.written.term(c.index)
	if !ok {
		return
	}
	snap := pb.Snapshot{Data: c.data, Metadata: pb.SnapshotMetadata{Index: c.index, Term: term, ConfState: *cs}}
	if !s.ok(s.check.SnapshotTaken(n.id, &snap.Metadata)) {
		return
	}
	s.stats.Snapshots++
	n.record(record{snap: &snap})
	to := c.index - min(c.index, s.set.keepEntries)
	if to > d.written.base {
		n.record(record{compact: to})
	}
	if n.own != nil {
		if err := s.ownSnapshot(n, &snap, to); err != nil {
			s.fail("storage", n.id, err.Error())
			return
		}
	}
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Snapshot, Node: n.id, Index: c.index, Text: "taken"})
	}
}

func (n *node) snapshotData() []byte {
	b := n.sm.encode()
	if n.user != nil {
		b = append(b, n.user.Snapshot()...)
	}
	return b
}
