package sim

import (
	"fmt"
	"math"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Directed faults in which something is lost just as it is under way.

// loseSnapshot lets a follower fall behind what the leader has compacted, cuts it
// off again when the snapshot is on its way, and lets the leader compact more.
func (s *simulation) loseSnapshot(r *random) string {
	l := s.leader()
	if l == nil || l.paused > 0 {
		return ""
	}
	n := s.anyNode(r, func(n *node) bool { return n != l && n.idle() && n.lead == l.id })
	if n == nil {
		return ""
	}
	time := r.between(s.timeouts(2), s.timeouts(6))
	mend := s.cutOffUntil(n, time)
	s.fill(l, 1+r.below(4))
	sent := uint64(0)
	leads := func() bool { return l.idle() && l.role == raft.StateLeader }
	compacts := func() bool {
		if !leads() || l.sm.applied < l.BasicStatus().LastIndex {
			return false
		}
		s.compactAll(l)
		return true
	}
	s.steer(2*time, compacts, func() bool {
		sent = s.net.sent
		mend()
		return true
	}, func() bool {
		if s.net.lately(pb.MsgSnap, sent, func(m *pb.Message) bool { return m.To == n.id }) == nil {
			return false
		}
		s.cutOffUntil(n, r.between(2*tickLength, s.timeouts(1)))
		if leads() {
			s.fill(l, 1+r.below(4))
		}
		return true
	}, compacts)
	return fmt.Sprintf("the snapshot for %d is lost", n.id)
}

// loseSuccessor cuts off the leader, which appends what it cannot commit, and
// takes down whoever is elected instead, before anybody hears of it. The cut ends,
// and the one who was elected may stay down.
func (s *simulation) loseSuccessor(r *random) string {
	n := s.leader()
	if n == nil || n.paused > 0 {
		return ""
	}
	term, time := n.term, s.timeouts(6)
	mend := s.cutOffUntil(n, time)
	s.fill(n, 1+r.below(3))
	s.steer(time, func() bool {
		m := s.leader()
		if m == nil || m == n || m.term <= term || m.paused > 0 {
			return false
		}
		down := int64(math.MaxInt64 / 2)
		if r.oneIn(2) {
			down = r.spread(tickLength, s.timeouts(20))
		}
		m.stayDown++
		s.undoAfter(down, func() { m.stayDown-- })
		s.crash(m, r.oneIn(2), "taken down when it was elected")
		mend()
		return true
	})
	return fmt.Sprintf("cut the leader %d off and take down the next", n.id)
}

// lately returns one of the rarer messages that were sent after message number
// after, or nil.
func (net *network) lately(t pb.MessageType, after uint64, fits func(*pb.Message) bool) *packet {
	for i := range net.oldRare.packets {
		if p := &net.oldRare.packets[i]; p.id > after && p.m.Type == t && fits(&p.m) {
			return p
		}
	}
	return nil
}
