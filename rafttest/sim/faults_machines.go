package sim

import (
	"fmt"
)

// Faults of machines: their processes and their disks.

// Crashes.

func (s *simulation) crashNow(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	s.crash(n, r.chance(500), "crashed by the plan")
	return fmt.Sprintf("crash %d", n.id)
}

func (s *simulation) crashAtPoint(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	n.crashAt, n.crashIn = point(1+r.below(int(numPoints)-1)), int(r.spread(1, 8))-1
	return fmt.Sprintf("%d is to crash %s", n.id, pointNames[n.crashAt])
}

func (s *simulation) crashAll(r *random) string {
	power := r.chance(700)
	if cfg, _ := s.check.Newest(); cfg.Target != nil {
		s.mark(markTargetAllDown)
	}
	for _, n := range s.nodes {
		if n != nil && n.up {
			s.crash(n, power, "all crash")
		}
	}
	return "all crash"
}

func (s *simulation) rollingRestart(r *random) string {
	at := int64(0)
	for _, n := range s.nodes {
		if n == nil || !n.exists {
			continue
		}
		at += r.spread(tickLength, int64(s.set.electionTick)*2*tickLength)
		s.undoAfter(at, func() {
			if s.healing.phase == notHealing {
				s.crash(n, false, "restarted")
			}
		})
	}
	return "rolling restart"
}

func (s *simulation) stayDown(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	n.stayDown++
	s.undoAfter(r.spread(tickLength, int64(s.set.electionTick)*20*tickLength), func() { n.stayDown-- })
	s.crash(n, r.chance(500), "taken down")
	return fmt.Sprintf("take %d down for long", n.id)
}

func (s *simulation) pause(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	n.paused++
	s.undoAfter(s.aWhile(r), func() { s.resume(n) })
	return fmt.Sprintf("pause %d", n.id)
}

// Disks.

func (s *simulation) stallDisk(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	until := s.now + s.aWhile(r)
	n.disk.stalledUntil = max(n.disk.stalledUntil, until)
	return fmt.Sprintf("the disk of %d stalls", n.id)
}

func (s *simulation) fillDisk(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	n.disk.full = true
	s.undoAfter(s.aWhile(r), func() { n.disk.full = false })
	return fmt.Sprintf("the disk of %d is full", n.id)
}

func (s *simulation) failDisk(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	which := r.below(3)
	switch which {
	case 0:
		n.disk.readFails = true
	case 1:
		n.disk.writeFails = true
	case 2:
		n.disk.syncFails = true
	}
	return fmt.Sprintf("the next %s of %d fails", [...]string{"read", "write", "sync"}[which], n.id)
}

// rot loses what a disk held. A group can bear one at a time, with nothing else
// about its membership under way.
func (s *simulation) rot(r *random) string {
	n := s.anyUp(r)
	if n == nil || !s.canLose(n, r) {
		return ""
	}
	d := n.disk
	if base, last := d.durable.base, d.durable.last(); last > base && r.chance(700) {
		d.rotten = base + 1 + uint64(r.below(int(last-base)))
		if r.oneIn(2) {
			s.crash(n, true, "its disk rots")
		}
		return fmt.Sprintf("entry %d on the disk of %d rots", d.rotten, n.id)
	}
	d.wiped = true
	s.crash(n, true, "its disk is lost")
	return fmt.Sprintf("the disk of %d is lost", n.id)
}
