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
		if o < *t {
			return w.fail("%d uncommitted bytes, theirs %d", o, *t)
		}
		w.apply(ownUncommitted)
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
		return nil
	}
	if p.Next != t.Next {
		switch {
		case b.next == 0 && m.confChanged:
			w.apply(newPeerNext)
		case w.mayBeCut(id) && p.Next > t.Next:
			w.apply(allAtOnce)
		default:
			return w.fail("next of %d is %d, theirs %d", id, p.Next, t.Next)
		}
		t.Next = p.Next
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
	t.Inflights = tracker.NewInflights(m.w.settings.inflight, 0)
	inFlight(&p.Window, func(index, bytes uint64) { t.Inflights.Add(index, bytes) })
	t.MsgAppFlowPaused = p.Paused()
}
