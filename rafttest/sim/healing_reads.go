package sim

import "fmt"

// watchRead asks for a read, again when leadership moved, and waits for the answer.
func (s *simulation) watchRead() {
	h := &s.healing
	if h.answered {
		h.answered, h.read = false, 0
		s.mark(markReadInTheEnd)
		if h.phase == waitForFollowerRead {
			s.enter(healed)
			return
		}
		s.enter(waitForFollowerRead)
	}
	if s.now > h.since+s.timeouts(moveWithin) {
		s.fail("L8", 0, fmt.Sprintf("no read was answered for %d election timeouts: %s", moveWithin, s.describe()))
		return
	}
	leader, _, agree := s.members()
	if !agree || h.read != 0 && s.now < h.askedAt+s.timeouts(2) {
		return
	}
	follower := s.anyNode(&h.random, func(n *node) bool { return n.up && n != leader && leader.conf.cfg.Contains(n.id) })
	if s.o.NewForeign != nil && h.phase == waitForLeaderRead && !h.restarted && follower != nil {
		h.restarted = true // perhaps as another implementation, under the same leader
		s.crash(follower, false, "to come back")
		return
	}
	n := leader
	if h.phase == waitForFollowerRead {
		if follower == nil {
			s.enter(healed)
			return
		}
		n = follower
	}
	s.reads++
	h.read, h.askedAt = s.reads, s.now
	s.check.ReadAsked(n.id, h.read)
	s.before(n, nil)
	err := n.ReadIndex(readContext(h.read))
	s.after(n, nil, err)
}
