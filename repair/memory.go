package repair

import (
	"maps"
	"slices"
	"time"

	pb "github.com/quorate-raft/raft/raftpb"
)

// memory is what a supervisor remembers from one look to the next.
type memory struct {
	term uint64
	last time.Time            // of the last look
	seen map[uint64]time.Time // since when each member is watched

	voted map[uint64]bool // who was seen among the voters

	outcome uint64         // index of the last outcome that was taken note of
	failed  map[uint64]int // how often a spare failed in a row
	rests   map[uint64]time.Time
	aborted int // how often attempts ended in a row for no spare's reason
	notYet  time.Time
}

func newMemory() *memory {
	return &memory{
		seen: map[uint64]time.Time{}, voted: map[uint64]bool{}, failed: map[uint64]int{}, rests: map[uint64]time.Time{},
	}
}

// take takes note of a look, and completes it. It is called for every look, whoever
// leads: so the next leader's supervisor knows which spares have failed.
func (m *memory) take(v *View, p Policy, now time.Time, gap time.Duration) {
	m.watch(v, now, gap)
	m.learn(&v.Config, p, now)
	v.Rests, v.NotBefore, v.Left = maps.Clone(m.rests), m.notYet, m.left(&v.Config)
}

// left returns who voted once and is no member any more.
func (m *memory) left(cs *pb.ConfState) map[uint64]bool {
	for _, id := range slices.Concat(cs.Voters, cs.VotersOutgoing) {
		m.voted[id] = true
	}
	left := maps.Clone(m.voted)
	for _, id := range slices.Concat(cs.Voters, cs.VotersOutgoing, cs.Learners) {
		delete(left, id)
	}
	return left
}

// watch makes silence no longer than it was watched. A replica that stood still, and its
// supervisor with it, has heard nothing meanwhile: that is no sign of others.
func (m *memory) watch(v *View, now time.Time, gap time.Duration) {
	if !v.Leads || v.Term != m.term || now.Sub(m.last) > gap {
		clear(m.seen)
	}
	m.term, m.last = v.Term, now
	members := slices.Concat(v.Config.Voters, v.Config.Learners)
	maps.DeleteFunc(m.seen, func(id uint64, _ time.Time) bool { return !slices.Contains(members, id) })
	silent := make(map[uint64]time.Duration, len(members))
	for _, id := range members {
		if _, seen := m.seen[id]; !seen {
			m.seen[id] = now
		}
		if s, known := v.Silent[id]; known {
			// That the watch is young makes nobody one who is heard from.
			silent[id] = max(min(s, now.Sub(m.seen[id])), min(s, v.ElectionTimeout))
		}
	}
	v.Silent = silent
}

// learn takes note of how the last target has ended, whoever had set it.
func (m *memory) learn(cs *pb.ConfState, p Policy, now time.Time) {
	for _, id := range cs.Voters {
		delete(m.failed, id)
		delete(m.rests, id)
	}
	o := cs.LastOutcome
	if o == nil || o.Index <= m.outcome {
		return
	}
	m.outcome = o.Index
	switch o.Result {
	case pb.MembershipReached:
		m.aborted, m.notYet = 0, time.Time{}
	case pb.MembershipAborted:
		switch o.Reason {
		case pb.MembershipTooSlow, pb.MembershipNoAnswer, pb.MembershipRefused:
			m.failed[o.Node]++
			m.rests[o.Node] = now.Add(p.cooldown(m.failed[o.Node]))
		default:
			m.cool(p, now)
		}
	}
}

// cool lets nothing be tried for a while.
func (m *memory) cool(p Policy, now time.Time) {
	m.aborted++
	m.notYet = now.Add(p.cooldown(m.aborted))
}
