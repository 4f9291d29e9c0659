package sim

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// removeLeader asks the leader to remove or demote itself, and makes its end
// hard. With faults of the network nobody hears it any more once enough of them hold the
// change, so that it may be the only one to know of the commit, with more in its
// log than the rest have. Its machine is taken away as soon as it says that it
// may be, and perhaps the power fails at that moment.
func (s *simulation) removeLeader(r *random) string {
	n := s.leader()
	if n == nil || n.paused > 0 {
		return ""
	}
	change := pb.ConfChangeSingle{Type: pb.ConfChangeRemoveNode, NodeID: n.id}
	if r.oneIn(5) {
		change.Type = pb.ConfChangeAddLearnerNode
	}
	cc, cfg := pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{change}}, n.Status().Config
	if cfg.Joint() || len(cfg.Voters[0]) < 2 || !s.bearable(cc, cfg) {
		return ""
	}
	what := s.proposeChange(n, cc, nil)
	if !n.up || s.stopped() || n.Status().PendingConfIndex != n.BasicStatus().LastIndex {
		return what
	}
	index, life := n.BasicStatus().LastIndex, n.life
	silent, more, vanish := s.set.faults.has(Network) && r.chance(600), r.below(3), r.chance(700)
	stall := !silent && s.set.faults.has(Disk)
	time := r.between(s.timeouts(1), s.timeouts(4))
	s.steer(2*time, func() bool {
		return stall && n.commit >= index || !stall && !silent || s.holders(cfg.Voters[0], index) > len(cfg.Voters[0])/2
	}, func() bool {
		if silent && n.life == life {
			slot := int(n.slot)
			s.cutFor(time, func(from, _ int) bool { return from == slot })
			s.fill(n, more)
		}
		for _, id := range cfg.Voters[0] {
			if o := s.byID(id); stall && o != nil && o != n {
				o.disk.stalledUntil = max(o.disk.stalledUntil, s.now+time)
			}
		}
		return true
	}, func() bool {
		if vanish && n.life == life && s.leftWell(n) {
			s.destroy(n)
			if s.set.faults.has(Crash) && (stall || r.oneIn(2)) {
				s.crashAll(r)
			}
		}
		return n.life != life || !n.exists || n.up && n.role != raft.StateLeader
	})
	return what
}

// holders counts those that have an entry of the leader's log on their disks, or
// are writing it.
func (s *simulation) holders(ids []uint64, index uint64) int {
	holders := 0
	for _, id := range ids {
		if n := s.byID(id); n != nil && n.disk.written.last() >= index {
			holders++
		}
	}
	return holders
}

// overtake cuts off the leader, which appends what it cannot commit, changes of
// the membership among it. The others elect another, who goes on, compacts its
// log, and brings it back with a snapshot that ends before its own log does.
func (s *simulation) overtake(r *random) string {
	n := s.leader()
	if n == nil || n.paused > 0 {
		return ""
	}
	time := r.between(s.timeouts(3), s.timeouts(10))
	mend := s.cutOffUntil(n, time)
	s.fill(n, 1+r.below(12))
	if s.set.faults.has(Membership) {
		s.changing(n, r)
		s.fill(n, r.below(3))
	}
	var m *node
	goal := uint64(0)
	s.steer(time, func() bool {
		m = s.leader()
		if m == nil || m == n || m.paused > 0 || !s.committedInTerm(m) {
			return false
		}
		s.fill(m, 1+r.below(3))
		goal = m.commit
		return true
	}, func() bool {
		if !m.up || m.role != raft.StateLeader {
			return true
		}
		if m.sm.applied <= goal {
			return false
		}
		s.compactAll(m)
		return true
	}, func() bool {
		mend()
		return true
	})
	return fmt.Sprintf("cut the leader %d off until another is ahead", n.id)
}

// handOverUnheard lets the leader hand over and cuts it off as soon as its
// successor campaigns. A client that does not know goes on reading from it, one
// that does reads from the successor at once.
func (s *simulation) handOverUnheard(r *random) string {
	n := s.leader()
	if n == nil || n.paused > 0 {
		return ""
	}
	cfg := n.Status().Config
	to := s.anyNode(r, func(o *node) bool { return o != n && o.idle() && cfg.IsVoter(o.id) })
	if to == nil {
		return ""
	}
	term, life := n.term, n.life
	s.before(n, nil)
	s.after(n, nil, n.TransferLeader(to.id))
	s.stats.Transfers++
	time := r.between(s.timeouts(1), s.timeouts(3))
	s.steer(time, func() bool {
		return to.term > term
	}, func() bool {
		s.cutOffUntil(n, time)
		return true
	}, func() bool {
		m := s.leader()
		if m == nil || m == n || m.term <= term {
			return false
		}
		if s.set.lease && m.idle() {
			_, _ = s.leaseRead(m) // by somebody who is not one of the clients
		}
		s.fill(m, 1)
		return true
	}, func() bool {
		if n.life != life || !n.up || n.role != raft.StateLeader {
			return true
		}
		for _, o := range [...]*node{n, s.leader()} {
			if s.set.lease && o != nil && o.idle() {
				_, _ = s.leaseRead(o)
			}
		}
		return false
	})
	return fmt.Sprintf("%d hands over to %d and is cut off", n.id, to.id)
}

// lateAnswer lets a follower restart after it asked the leader where to read, and
// ask again in its next life; the answer to what it asked before comes late.
func (s *simulation) lateAnswer(r *random) string {
	n := s.anyNode(r, func(n *node) bool { return n.idle() && n.role == raft.StateFollower && n.lead != 0 })
	if n == nil {
		return ""
	}
	var old packet
	sent, term := uint64(0), n.term
	asks := func() bool {
		if !n.idle() || n.lead == 0 || n.term != term {
			return false
		}
		if old.id != 0 && s.check.Committed() <= old.m.Index {
			return false
		}
		sent = s.net.sent
		s.readFrom(n)
		return true
	}
	s.restart(n)
	s.steer(s.timeouts(3), asks, func() bool {
		p := s.net.lately(pb.MsgReadIndexResp, sent, func(m *pb.Message) bool { return m.To == n.id })
		if p == nil {
			return false
		}
		old = *p
		s.restart(n)
		if l := s.leader(); l != nil {
			s.fill(l, 1)
		}
		return true
	}, asks, func() bool {
		if s.net.lately(pb.MsgReadIndex, sent, func(m *pb.Message) bool { return m.From == n.id }) == nil {
			return false
		}
		if sender := s.nodes[old.from]; sender != nil && sender.id == old.sender {
			s.carry(sender, n.slot, &old.m, old.id, 0)
		}
		return true
	})
	return fmt.Sprintf("an answer to a read of %d comes after its restart", n.id)
}

// restart ends a process, which starts again at once.
func (s *simulation) restart(n *node) {
	n.soon = true
	s.crash(n, false, "restarted at once")
}

// readFrom asks a node for an index to read at.
func (s *simulation) readFrom(n *node) {
	s.reads++
	s.check.ReadAsked(n.id, s.reads)
	s.before(n, nil)
	s.after(n, nil, n.ReadIndex(readContext(s.reads)))
}

// crashJoint lets the leader propose a joint change, and nodes crash once it is in
// effect, before it is left.
func (s *simulation) crashJoint(r *random) string {
	l := s.leader()
	if l == nil || l.paused > 0 || l.Status().Config.Joint() {
		return ""
	}
	plan := memberPlan{s: s, r: r, cfg: l.Status().Config}
	for range 1 + r.below(3) {
		plan.single()
	}
	plan.cc.Transition = pick(r, pb.ConfChangeTransitionJointImplicit, pb.ConfChangeTransitionJointExplicit)
	if len(plan.cc.Changes) == 0 || !s.bearable(plan.cc, plan.cfg) {
		return ""
	}
	what := s.proposeChange(l, plan.cc, plan.added)
	all := r.oneIn(3)
	s.steer(s.timeouts(2), func() bool {
		for _, n := range s.nodes {
			if n == nil || !n.idle() || !n.wasJoint {
				continue
			}
			if all {
				s.crashAll(r)
			} else {
				n.soon = r.oneIn(2)
				s.crash(n, r.oneIn(2), "the change is half done")
			}
			return true
		}
		return false
	})
	return what + ", and nodes are to crash"
}

// crashCandidate lets a node campaign and crash between asking for votes and
// the end of its write, and campaign again at once.
func (s *simulation) crashCandidate(r *random) string {
	n := s.anyNode(r, func(n *node) bool { return n.up && n.role != raft.StateLeader && n.paused == 0 })
	if n == nil {
		return ""
	}
	n.crashAt, n.crashIn = pick(r, atSend, beforeWrite, afterWrite, afterSync, atPromise), r.below(3)
	n.soon = true
	s.before(n, nil)
	s.after(n, nil, n.Campaign())
	s.undoAfter(r.spread(tickLength, 6*tickLength), func() {
		if n.up && n.paused == 0 && !s.stopped() {
			s.before(n, nil)
			s.after(n, nil, n.Campaign())
		}
	})
	return fmt.Sprintf("%d campaigns and is to crash %s", n.id, pointNames[n.crashAt])
}

// campaignTwice lets a node campaign again while its vote for itself is still
// being written, perhaps just after its start.
func (s *simulation) campaignTwice(r *random) string {
	n := s.victim(r)
	if n == nil || n.paused > 0 || n.overlap < 2 {
		return ""
	}
	if n.role == raft.StateLeader {
		s.restart(n)
	}
	life, crash := n.life, r.oneIn(2)
	s.steer(s.timeouts(2), func() bool {
		if !n.idle() {
			return false
		}
		life = n.life
		s.campaigns(n)
		return true
	}, func() bool {
		if n.life != life || !n.up || n.paused > 0 {
			return n.life != life
		}
		if n.role != raft.StateCandidate || len(n.handed) == 0 || !n.handed[len(n.handed)-1].pending {
			return false
		}
		s.campaigns(n)
		if crash && n.up {
			n.crashAt, n.crashIn, n.soon = pick(r, afterWrite, afterSync, atPromise, beforeAck, afterAck), r.below(3), true
		}
		return true
	})
	return fmt.Sprintf("%d campaigns, and again before its vote is written", n.id)
}

// snapshotOverApply sends a follower a snapshot while its host is applying a
// change of the membership from before.
func (s *simulation) snapshotOverApply(r *random) string {
	l := s.leader()
	if l == nil || l.paused > 0 {
		return ""
	}
	n := s.anyNode(r, func(n *node) bool { return n != l && n.idle() && n.overlap > 1 && n.lead == l.id })
	if n == nil {
		return ""
	}
	index := s.changing(l, r)
	if index == 0 || !n.up {
		return ""
	}
	life, time := n.life, r.between(s.timeouts(3), s.timeouts(8))
	mend := func() {}
	n.holdApply = index
	release := func() {
		if n.life == life && n.up && n.holdApply == index {
			n.holdApply = 0
			s.applyNext(n)
		}
	}
	s.undoAfter(time, release)
	s.steer(time, func() bool {
		if !n.handedConf(index) {
			return n.life != life
		}
		mend = s.cutOffUntil(n, time)
		return true
	}, func() bool {
		if !l.up || l.role != raft.StateLeader || l.sm.applied < index {
			return false
		}
		s.changing(l, r)
		s.fill(l, 1+r.below(4))
		return true
	}, func() bool {
		if !l.up || l.sm.applied < l.BasicStatus().LastIndex {
			return !l.up
		}
		s.compactAll(l)
		mend()
		return true
	}, func() bool {
		for i := range n.handed {
			if n.handed[i].snapshot {
				release()
				return true
			}
		}
		return n.life != life
	})
	return fmt.Sprintf("%d gets a snapshot while it applies entry %d", n.id, index)
}

// handedConf reports whether the entry is among those that are to be applied.
func (n *node) handedConf(index uint64) bool {
	for i := range n.applying {
		if ents := n.applying[i].ents; len(ents) > 0 && ents[len(ents)-1].Index >= index && ents[0].Index <= index {
			return true
		}
	}
	return false
}
