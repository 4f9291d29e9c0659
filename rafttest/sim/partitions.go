package sim

import (
	"fmt"
	"strings"

	"github.com/quorate-raft/raft/rafttest/trace"
)

// Faults of the network that concern whole links.

// cut counts a cut of the links for which cuts says so, up or down.
func (s *simulation) cut(by int, cuts func(from, to int) bool) {
	for from := range s.net.links {
		for to := range s.net.links[from] {
			if from != to && cuts(from, to) {
				s.net.links[from][to].cuts += by
			}
		}
	}
	s.showCuts()
}

// showCuts tells an observer which links are cut.
func (s *simulation) showCuts() {
	if s.observe == nil {
		return
	}
	var cuts []string
	for from, a := range s.nodes {
		for to, b := range s.nodes {
			if a == nil || b == nil || !a.exists || !b.exists || s.net.links[from][to].cuts == 0 {
				continue
			}
			switch back := s.net.links[to][from].cuts; {
			case back == 0:
				cuts = append(cuts, fmt.Sprintf("%d>%d", a.id, b.id))
			case from < to:
				cuts = append(cuts, fmt.Sprintf("%d-%d", a.id, b.id))
			}
		}
	}
	s.emit(trace.Event{Kind: trace.Cut, Text: strings.Join(cuts, " ")})
}

func (s *simulation) cutFor(time int64, cuts func(from, to int) bool) {
	s.cut(1, cuts)
	s.undoAfter(time, func() { s.cut(-1, cuts) })
}

func (s *simulation) isolate(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	way, slot := r.below(4), int(n.slot)
	s.cutFor(s.aWhile(r), func(from, to int) bool { return (from == slot && way != 1) || (to == slot && way != 2) })
	return fmt.Sprintf("cut %d off %s", n.id, [...]string{"", "from what it would hear", "from what it would say", ""}[way])
}

func (s *simulation) split(r *random) string {
	sides := r.Uint64()
	oneWay := r.oneIn(4)
	s.cutFor(s.aWhile(r), func(from, to int) bool {
		a, b := sides>>from&1, sides>>to&1
		return a != b && (!oneWay || a == 1)
	})
	return "split the network"
}

// diverge cuts the leader and perhaps one other node off from the rest, and lets
// the leader append what it cannot commit, while the rest elect another: the
// logs part.
func (s *simulation) diverge(r *random) string {
	n := s.leader()
	if n == nil || n.paused > 0 {
		return ""
	}
	side := uint64(1) << n.slot
	if with := s.anyUp(r); r.oneIn(2) {
		side |= 1 << with.slot
	}
	time := r.spread(s.timeouts(1), s.timeouts(6))
	s.cutFor(time, func(from, to int) bool { return side>>from&1 != side>>to&1 })
	s.fill(n, 1+r.below(4))
	if s.set.faults.has(Membership) && r.oneIn(2) {
		s.changeMembers(r)
		s.fill(n, r.below(2))
	}
	s.undoAfter(r.between(1, time), func() { s.fill(n, r.below(3)) })
	return fmt.Sprintf("cut the leader %d off and let it append", n.id)
}

// fill proposes entries that mean nothing.
func (s *simulation) fill(n *node, count int) {
	for i := 0; i < count && n.up && n.paused == 0 && !s.stopped(); i++ {
		_ = s.propose(n, filler)
	}
}

var filler = []byte("filler")

func (s *simulation) cutLink(r *random) string {
	a, b := s.victim(r), s.anyUp(r)
	if a == nil || a == b {
		return ""
	}
	x, y, both := int(a.slot), int(b.slot), r.oneIn(2)
	s.cutFor(s.aWhile(r), func(from, to int) bool {
		return (from == x && to == y) || (both && from == y && to == x)
	})
	return fmt.Sprintf("cut the link from %d to %d", a.id, b.id)
}

// ring leaves every node only its neighbours.
func (s *simulation) ring(r *random) string {
	s.cutFor(s.aWhile(r), func(from, to int) bool {
		d := (from - to + maxNodes) % maxNodes
		return d != 1 && d != maxNodes-1
	})
	return "leave every node its neighbours only"
}

func (s *simulation) flap(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	slot := int(n.slot)
	cuts := func(from, to int) bool { return from == slot || to == slot }
	at := int64(0)
	for range 2 + r.below(6) {
		off, on := r.spread(tickLength/2, 8*tickLength), r.spread(tickLength/2, 8*tickLength)
		isOff := false
		s.undoAfter(at, func() {
			if s.healing.phase == notHealing {
				s.cut(1, cuts)
				isOff = true
			}
		})
		s.undoAfter(at+off, func() {
			if isOff {
				s.cut(-1, cuts)
			}
		})
		at += off + on
	}
	return fmt.Sprintf("the links of %d flap", n.id)
}

// onLinks changes links for a while: those of one node, or all.
func (s *simulation) onLinks(r *random, change func(l *link, by int)) string {
	slot, who := -1, "all"
	if n := s.victim(r); n != nil && r.chance(700) {
		slot, who = int(n.slot), fmt.Sprint(n.id)
	}
	each := func(by int) {
		for from := range s.net.links {
			for to := range s.net.links[from] {
				if slot < 0 || from == slot || to == slot {
					change(&s.net.links[from][to], by)
				}
			}
		}
	}
	each(1)
	s.undoAfter(s.aWhile(r), func() { each(-1) })
	return who
}

func (s *simulation) slowLinks(r *random) string {
	extra := r.spread(tickLength, 20*tickLength)
	return "slow links of " + s.onLinks(r, func(l *link, by int) { l.extra += int64(by) * extra })
}

func (s *simulation) lossy(r *random) string {
	loss := pick(r, 100, 300, 600)
	return "lossy links of " + s.onLinks(r, func(l *link, by int) { l.loss += by * loss })
}

func (s *simulation) clog(r *random) string {
	a, b := s.victim(r), s.anyUp(r)
	if a == nil || a == b {
		return ""
	}
	l := &s.net.links[a.slot][b.slot]
	l.clogged = true
	s.undoAfter(s.aWhile(r), func() { l.clogged = false })
	return fmt.Sprintf("the link from %d to %d is full", a.id, b.id)
}

func (s *simulation) replayOld(r *random) string {
	count := 1 + r.below(20)
	s.replay(r, count)
	return fmt.Sprintf("%d old messages arrive once more", count)
}
