package sim

import (
	"math"

	"github.com/quorate-raft/raft"
)

// Sleep (profile Sleep): groups sleep where clients have nothing to do for a while, and hosts
// owe them the sign of life. Hosts may bring the clocks of their nodes up to date when it
// matters, in place of ticking them.
//
// All of it draws from streams of its own, and disturbances come between the steps of a run, so
// that a run without it is otherwise the same.

const streamSleep = 0xfc

// sleepPlan is when clients rest, and what happens to those who sleep meanwhile.
type sleepPlan struct {
	random     random
	every      int64 // disturbances are this far apart at most; 0 for none
	next       int64
	quietUntil int64 // clients begin nothing before
}

// drawSleep decides whether the run has sleep.
func (s *settings) drawSleep(o *Options) {
	r := newRandom(o.Seed, streamSleep)
	drawn := r.chance(300) // a group that rests is tried less in other ways
	if !o.Faults.has(Sleep) || (!drawn && o.Faults != Sleep) || o.NewForeign != nil {
		return
	}
	s.faults |= Sleep
	s.sleepAfter = pick(r, 0, 1, 2, s.electionTick, 3*s.electionTick)
	s.lazyClocks = s.sleepAfter == 0 || r.oneIn(2)
}

func (s *simulation) beginSleep() {
	p := &s.sleep
	p.random.seed(s.o.Seed, streamSleep<<8)
	if s.set.sleepAfter == 0 {
		return
	}
	p.every = p.random.spread(s.timeouts(1), s.timeouts(10))
	p.next = p.random.between(1, p.every)
}

// disturbSleep lets clients rest, or does something to those who sleep.
func (s *simulation) disturbSleep() {
	p := &s.sleep
	r := &p.random
	p.next = s.now + r.between(1, p.every)
	if s.healing.phase != notHealing {
		p.next = math.MaxInt64
		return
	}
	if r.oneIn(3) {
		p.quietUntil = s.now + int64(s.set.sleepAfter)*tickLength + r.spread(tickLength, s.timeouts(12))
	}
	switch r.below(6) {
	case 0:
		if n := s.anyUp(r); n != nil && n.paused == 0 && n.asleep {
			s.wakeUp(n) // without a reason
		}
	case 1:
		if n := s.anyUp(r); n != nil {
			n.misses = true
			s.undoAfter(r.spread(s.timeouts(1), s.timeouts(20)), func() { n.misses = false })
		}
	case 2, 3:
		s.loseSleeper(r)
	case 4:
		if n := s.anyNode(r, func(n *node) bool { return n.up && n.asleep }); n != nil {
			s.crash(n, r.oneIn(2), "crashed asleep")
		}
	}
}

// loseSleeper takes a sleeping leader down, or cuts it off.
func (s *simulation) loseSleeper(r *random) {
	n := s.leader()
	if n == nil || !n.asleep || n.paused > 0 {
		return
	}
	s.mark(markSleeperLost)
	time := r.spread(s.timeouts(1), s.timeouts(20))
	if r.oneIn(2) {
		n.stayDown++
		s.undoAfter(time, func() { n.stayDown-- })
		s.crash(n, r.oneIn(2), "taken down asleep")
		return
	}
	slot := int(n.slot)
	s.cutFor(time, func(from, to int) bool { return from == slot || to == slot })
}

// noteSleep takes notice of a node that falls asleep or wakes up.
func (s *simulation) noteSleep(n *node, st *raft.BasicStatus) {
	n.asleep, n.deaf = st.Asleep, 0
	s.mix(n.id<<8 | 0x51)
	if n.asleep && st.RaftState == raft.StateLeader && len(n.Status().Config.IDs()) > 1 {
		s.mark(markSlept)
		if s.set.lease && s.healing.phase == notHealing && s.sleep.random.oneIn(2) {
			s.askForLeases(n)
		}
	}
}

// askForLeases asks a leader that has just fallen asleep for its lease, again and again, while
// answers to what it sent before may still be under way.
func (s *simulation) askForLeases(n *node) {
	r, at := &s.sleep.random, int64(0)
	for range 8 {
		at += r.spread(1, tickLength)
		s.undoAfter(at, func() {
			if s.healing.phase == notHealing && n.idle() && n.role == raft.StateLeader && !s.stopped() {
				_, _ = s.leaseRead(n)
			}
		})
	}
}

// signOfLife is the host's part of sleep, at each of its ticks: hosts know of each other whether they
// live, and one that has not heard from that of a sleeping node's leader for an election
// timeout wakes the node.
func (s *simulation) signOfLife(n *node) {
	if s.hears(n, n.lead) {
		n.deaf = 0
		return
	}
	if n.deaf++; n.deaf < s.set.electionTick {
		return
	}
	if n.misses {
		s.mark(markSignalMissed)
		return
	}
	s.mark(markWokeBySignal)
	s.wakeUp(n)
}

// hears reports whether hosts exchange signs of life.
func (s *simulation) hears(n *node, id uint64) bool {
	o := s.byID(id)
	if o == n {
		return true
	}
	return o != nil && o.idle() && s.net.links[n.slot][o.slot].cuts+s.net.links[o.slot][n.slot].cuts == 0
}

func (s *simulation) wakeUp(n *node) {
	s.before(n, nil)
	n.raw.Wake()
	s.after(n, nil, nil)
}

func (s *simulation) markWokeByRequest(n *node, slept bool) {
	if slept && n.up && !n.asleep {
		s.mark(markWokeByRequest)
	}
}

// lazyClock is that of a host which ticks its node only where that matters.
type lazyClock struct {
	lazy bool
	due  int // ticks that the node has not had yet
}

// drawClock decides how the host keeps the node's clock in this life.
func (s *simulation) drawClock(n *node) {
	if s.set.lazyClocks {
		n.clock.lazy = newRandom(s.o.Seed, streamSleep<<32|n.id<<16|uint64(n.life)).chance(600)
	}
}

// isCounted counts a tick that is due, and reports whether the node need not have it yet.
func (s *simulation) isCounted(n *node) bool {
	if !n.clock.lazy {
		return false
	}
	at, ok := n.raw.NextDeadline()
	if ok && n.clock.due+1 >= at {
		return false
	}
	n.clock.due++
	return true
}

// catchUpClock gives the node the ticks that are due, before anything else happens to it.
func (s *simulation) catchUpClock(n *node) {
	due := n.clock.due
	if due == 0 {
		return
	}
	if n.clock.due = 0; due > 1 {
		s.mark(markLazyClock)
	}
	s.check.Before(n.id, nil)
	for range due {
		s.check.Tick(n.id, n.electionTick)
	}
	n.raw.TickBy(due)
	s.ok(s.check.After(n.id, nil, nil))
}
