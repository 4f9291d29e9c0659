package differential

import (
	"go.etcd.io/raft/v3/tracker"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	opb "github.com/quorate-raft/raft/raftpb"
)

// answersCopy reports whether the step brought the answer to a heartbeat of a
// forwarded read that came twice: theirs may then answer whatever was asked
// before the copy.
func (w *world) answersCopy() bool {
	c := &w.cur
	return c.in != nil && c.in.o.Type == opb.MsgHeartbeatResp && c.m.copies[string(c.in.t.Context)] > 1
}

// alone reports whether the member is the only voter of a joint configuration.
func (m *twin) alone() bool {
	cs := m.oConf
	return len(cs.Voters) == 1 && len(cs.VotersOutgoing) == 1 && cs.Voters[0] == m.id && cs.VotersOutgoing[0] == m.id
}

// peer returns what ours knows of a peer, or nil.
func (m *twin) peer(id uint64) (found *progress.Progress) {
	m.o.WithProgress(func(pid uint64, p progress.Progress) {
		if pid == id {
			found = &p
		}
	})
	return found
}

// rememberPeers notes what the leader knows of its peers before the step.
func (w *world) rememberPeers(m *twin) {
	m.o.WithProgress(func(id uint64, p progress.Progress) {
		b := peerBefore{match: p.Match, next: p.Next, pending: p.PendingSnapshot, state: uint8(p.State), active: p.Active, waiting: p.Waiting, ticks: p.SnapshotTicks}
		w.cur.matches[id] = b
	})
}

var stateNames = [...]progress.State{
	tracker.StateProbe: progress.Probe, tracker.StateReplicate: progress.Replicate, tracker.StateSnapshot: progress.Snapshot,
}

// comparePeers compares what both leaders know of their peers.
func (w *world) comparePeers() error {
	m := w.cur.m
	if m.o.BasicStatus().RaftState != ours.StateLeader {
		return nil
	}
	if err := w.noteSessions(); err != nil {
		return err
	}
	n := 0
	var err error
	m.o.WithProgress(func(id uint64, p progress.Progress) {
		n++
		t := m.tp.trk().Progress[id]
		switch {
		case err != nil:
		case t == nil:
			err = w.fail("theirs does not know member %d", id)
		case id != m.id:
			err = w.comparePeer(id, &p, t)
		case p.Match != t.Match:
			err = w.fail("own match %d, theirs %d", p.Match, t.Match)
		}
	})
	if err != nil {
		return err
	}
	if n != len(m.tp.trk().Progress) {
		return w.fail("%d members, theirs knows %d", n, len(m.tp.trk().Progress))
	}
	if w.settings.maxUncommitted == 0 {
		return nil
	}
	if o, t := m.o.Status().UncommittedBytes, m.tp.uncommitted(); o != *t {
		switch {
		case o > *t:
			w.apply(ownUncommitted)
		case w.settings.holdApply && *t-o <= m.bytesToApply():
			w.apply(uncommittedUntilApplied)
		default:
			return w.fail("%d uncommitted bytes, theirs %d", o, *t)
		}
		*t = o
	}
	return nil
}

func (w *world) comparePeer(id uint64, p *progress.Progress, t *tracker.Progress) error {
	c, m := &w.cur, w.cur.m
	b := &c.matches[id]
	if p.Match != t.Match {
		return w.fail("match of %d is %d, theirs %d", id, p.Match, t.Match)
	}
	if p.Active != t.RecentActive {
		if !p.Active || c.before.RaftState == ours.StateLeader || !m.granted[id] || m.grantTerm != m.o.BasicStatus().Term {
			return w.fail("%d is active %t, theirs %t", id, p.Active, t.RecentActive)
		}
		w.apply(grantIsHeard)
		t.RecentActive = true
	}
	if overtaken := c.in != nil && c.in.o.Type == opb.MsgAppResp && c.in.o.From == id && !c.in.o.Reject && b.pending != 0 &&
		c.in.o.Index >= b.pending && t.State == tracker.StateSnapshot && t.PendingSnapshot == b.pending; overtaken &&
		(p.State != progress.Snapshot || p.PendingSnapshot != b.pending) {
		w.apply(snapshotOvertaken)
		m.alignPeer(p, t)
	}
	if w.snapshotExpired(id) && t.State == tracker.StateSnapshot && (p.State != progress.Snapshot || p.SnapshotTicks == 0) {
		w.apply(snapshotExpired)
		m.alignPeer(p, t)
	}
	if p.State == progress.Snapshot && p.SnapshotTicks >= w.settings.snapshotTicks {
		return w.fail("a snapshot to %d takes %d ticks", id, p.SnapshotTicks)
	}
	if c.split[id] {
		if p.Next > t.Next {
			return w.fail("next of %d is %d, theirs %d", id, p.Next, t.Next)
		}
		m.alignPeer(p, t)
	}
	if p.State != stateNames[t.State] {
		if !w.oldAnswer(id) || p.State != progress.Probe {
			return w.fail("%d is %v, theirs %v", id, p, t)
		}
		w.apply(oldAnswerProbe)
		m.alignPeer(p, t)
	}
	if p.State == progress.Snapshot {
		if p.PendingSnapshot != t.PendingSnapshot {
			return w.fail("%d is %v, theirs %v", id, p, t)
		}
		return w.checkSnapshot(id, p)
	}
	if p.Next != t.Next {
		switch {
		case b.next == 0 && m.confChanged:
			w.apply(newPeerNext)
		case w.mayBeCut(id) && p.Next > t.Next:
			w.apply(allAtOnce)
		case w.bytesStop(id) && p.Next < t.Next:
			w.apply(windowBytes)
		default:
			return w.fail("next of %d is %d, theirs %d", id, p.Next, t.Next)
		}
		t.Next = p.Next
	}
	if p.State == progress.Replicate && w.settings.inflightBytes != 0 {
		if err := w.compareBytes(id, p, t); err != nil {
			return err
		}
	}
	if p.State == progress.Replicate && t.Inflights.Count() == p.Window.Count() {
		return nil
	}
	if p.State == progress.Probe && p.Waiting != t.MsgAppFlowPaused {
		if !p.Waiting {
			return w.fail("an append to %d may leave, theirs waits", id)
		}
		w.apply(probeWaits)
		t.MsgAppFlowPaused = true
	}
	if p.Window.Count() != t.Inflights.Count() {
		if !w.mayBeCut(id) {
			return w.fail("%d appends on their way to %d, theirs %d", p.Window.Count(), id, t.Inflights.Count())
		}
		m.alignPeer(p, t)
	}
	return nil
}

// checkSnapshot holds ours to counting the ticks of a snapshot that is under way,
// and to asking the peer for it once in an election timeout.
func (w *world) checkSnapshot(id uint64, p *progress.Progress) error {
	c, m := &w.cur, w.cur.m
	b := &c.matches[id]
	if c.op.kind != opTick || c.in != nil || b.state != uint8(progress.Snapshot) || b.pending != p.PendingSnapshot {
		return nil
	}
	if p.SnapshotTicks != b.ticks+1 && !w.snapshotExpired(id) {
		return w.fail("%d ticks since a snapshot left to %d, before this one %d", p.SnapshotTicks, id, b.ticks)
	}
	if p.SnapshotTicks == 0 || p.SnapshotTicks%w.settings.electionTick != 0 || m.term(p.PendingSnapshot) == 0 {
		return nil
	}
	for i := range m.out.messages {
		if o := &m.out.messages[i]; o.Type == opb.MsgApp && o.To == id && o.Index == p.PendingSnapshot && len(o.Entries) == 0 {
			return nil
		}
	}
	return w.fail("ours does not ask %d whether it has the snapshot", id)
}

// bytesStop reports whether the bytes on their way to a peer keep ours from sending
// more.
func (w *world) bytesStop(id uint64) bool {
	limit := w.settings.inflightBytes
	p := w.cur.m.peer(id)
	return limit != 0 && p != nil && p.State == progress.Replicate && p.Window.Bytes() >= limit
}

// compareBytes holds ours to counting the entries that are on their way to a peer,
// and gives theirs these counts.
func (w *world) compareBytes(id uint64, p *progress.Progress, t *tracker.Progress) error {
	m := w.cur.m
	sum := uint64(0)
	var err error
	inFlight(&p.Window, func(index, bytes uint64) {
		sum += bytes
		if e := m.entry(index); e != nil && bytes != 0 && bytes != uint64(e.Size()) {
			err = w.fail("%d bytes of entry %v are on their way to %d", bytes, e, id)
		}
	})
	switch {
	case err != nil:
		return err
	case sum != p.Window.Bytes():
		return w.fail("%d bytes are on their way to %d, ours counts %d", sum, id, p.Window.Bytes())
	case p.Window.Count() == 0 && t.Inflights.Count() == 0:
		return nil
	case p.Window.Count() != t.Inflights.Count() && !w.mayBeCut(id) && !(w.bytesStop(id) && p.Window.Count() < t.Inflights.Count()):
		return w.fail("%d appends on their way to %d, theirs %d", p.Window.Count(), id, t.Inflights.Count())
	}
	w.apply(windowBytes)
	t.Inflights = tracker.NewInflights(w.settings.inflight, w.settings.inflightBytes)
	inFlight(&p.Window, func(index, bytes uint64) { t.Inflights.Add(index, bytes) })
	t.MsgAppFlowPaused = p.Paused()
	return nil
}

// alignPeer gives theirs what ours knows of a peer.
func (m *twin) alignPeer(p *progress.Progress, t *tracker.Progress) {
	switch p.State {
	case progress.Probe:
		t.BecomeProbe()
	case progress.Replicate:
		t.BecomeReplicate()
	case progress.Snapshot:
		t.BecomeSnapshot(p.PendingSnapshot)
		return
	}
	t.Next = p.Next
	t.Inflights = tracker.NewInflights(m.w.settings.inflight, m.w.settings.inflightBytes)
	inFlight(&p.Window, func(index, bytes uint64) { t.Inflights.Add(index, bytes) })
	t.MsgAppFlowPaused = p.Paused()
}
