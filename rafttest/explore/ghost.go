package explore

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/quorum"
)

// ghost is what happened so far, as far as invariants need it: it is part of the state.
type ghost struct {
	// Leaders[t] led term t.
	Leaders []leader
	// Chain are the committed entries after the first snapshot.
	Chain []link
	// Reads wait for an answer.
	Reads []read
}

// leader is who led a term. Dead says that it has crashed since: it does not lead it again.
type leader struct {
	ID   uint64
	Dead bool
}

// link is an entry of the chain of committed ones, and in which term it was committed.
type link struct {
	Term uint64
	Tag  uint32
	In   uint64
}

// is reports whether the link is an entry.
func (c *link) is(e entry) bool { return c.Term == e.term && c.Tag == e.tag }

// clone returns a copy that shares nothing.
func (g *ghost) clone() *ghost {
	return &ghost{append([]leader(nil), g.Leaders...), append([]link(nil), g.Chain...), append([]read(nil), g.Reads...)}
}

func violation(v *view, rule, format string, args ...any) error {
	return &Violation{rule, v.id, fmt.Sprintf(format, args...)}
}

// judge checks the invariants that changed[at], whom something has just happened to, may break among
// the others, and returns what happened so far. base is where the chain begins. crashed says that it starts anew.
func judge(g *ghost, base uint64, all []*view, at int, was *view, crashed bool) (*ghost, error) {
	v := all[at]
	next := g
	edit := func() *ghost {
		if next == g {
			next = g.clone()
		}
		return next
	}
	if crashed {
		for t := range g.Leaders {
			if g.Leaders[t].ID == v.id && !g.Leaders[t].Dead {
				edit().Leaders[t].Dead = true
			}
		}
		if slices.ContainsFunc(g.Reads, v.asked) {
			g := edit()
			g.Reads = slices.DeleteFunc(g.Reads, v.asked)
		}
	}
	// S1: one leader, and one life of it, in a term.
	if v.role == raft.StateLeader {
		switch l := next.Leaders[v.term]; {
		case l.ID == 0:
			edit().Leaders[v.term] = leader{ID: v.id}
			if err := elected(next, base, all, v); err != nil {
				return nil, err
			}
		case l.ID != v.id || l.Dead:
			return nil, violation(v, "S1", "leads term %d, which %d led (crashed since: %t)", v.term, l.ID, l.Dead)
		}
	}
	// S13: who is no voter does not stand. Where members change, see configured.
	if v.role != raft.StateFollower && was.role == raft.StateFollower && !v.conf.IsVoter(v.id) && v.confAt <= firstIndex {
		return nil, violation(v, "S13", "becomes %v and is no voter of %v", v.role, v.conf)
	}
	if err := forgets(was, v); err != nil && !crashed {
		return nil, err
	}
	// S6: only a leader commits what was not committed before, and only what a majority of each half holds durably.
	chainEnd := base + uint64(len(next.Chain))
	if v.commit > chainEnd {
		if v.role != raft.StateLeader && (was.role != raft.StateLeader || was.term != v.term) {
			return nil, violation(v, "S6", "has commit %d, and leaders committed up to %d", v.commit, chainEnd)
		}
		if err := committed(all, was, v); err != nil {
			return nil, err
		}
		for i := chainEnd + 1; i <= v.commit; i++ {
			e, ok := v.log.at(i)
			if !ok {
				return nil, violation(v, "S9", "has commit %d and does not hold entry %d", v.commit, i)
			}
			g := edit()
			g.Chain = append(g.Chain, link{e.term, e.tag, v.term})
		}
		// S4, the other way round: who leads a later term already holds it too.
		for _, o := range all {
			if o != v && o.role == raft.StateLeader && o.term > v.term {
				if err := holdsChain(next, base, o); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := oneChange(v, base+uint64(len(next.Chain))); err != nil {
		return nil, err
	}
	// S5: what it takes for committed is the chain.
	for i := max(base, v.log.base) + 1; i <= v.commit; i++ {
		e, ok := v.log.at(i)
		if !ok {
			return nil, violation(v, "S9", "has commit %d and its log ends at %d", v.commit, v.log.last())
		}
		if c := &next.Chain[i-base-1]; !c.is(e) {
			return nil, violation(v, "S5", "takes entry %d of term %d for committed, which is one of term %d", i, e.term, c.Term)
		}
	}
	// S17: a snapshot is at an entry of the chain.
	if i := v.log.base; i > base && next.Chain[i-base-1].Term != v.log.baseTerm {
		return nil, violation(v, "S17", "its log begins after entry %d of term %d, the committed one has term %d", i, v.log.baseTerm, next.Chain[i-base-1].Term)
	}
	for _, o := range all {
		if err := leases(next, base, o); err != nil {
			return nil, err
		}
		if o == v {
			continue
		}
		if err := match(v, o); err != nil {
			return nil, err
		}
		if err := believes(v, o); err != nil {
			return nil, err
		}
		if err := believes(o, v); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// elected is S4 and S12 for a new leader: it holds all that was committed in earlier terms, and a majority of each half gave it
// its vote, or has gone on to a later term since.
func elected(g *ghost, base uint64, all []*view, v *view) error {
	if err := holdsChain(g, base, v); err != nil {
		return err
	}
	if id, ok := both(v, func(id uint64) bool {
		o := find(all, id)
		return o != nil && (o.hard.Term > v.term || o.hard.Term == v.term && o.hard.Vote == v.id)
	}); !ok {
		return violation(v, "S12", "leads term %d without the votes of a majority of %v", v.term, id)
	}
	return nil
}

// holdsChain is S4: who leads holds what was committed in earlier terms.
func holdsChain(g *ghost, base uint64, v *view) error {
	for i := range g.Chain {
		index := base + 1 + uint64(i)
		if index <= v.log.base || g.Chain[i].In >= v.term {
			continue
		}
		if e, ok := v.log.at(index); !ok || !g.Chain[i].is(e) {
			return violation(v, "S4", "leads term %d and does not hold the committed entry %d of term %d", v.term, index, g.Chain[i].Term)
		}
	}
	return nil
}

// committed is S6 for a leader that committed: the entry is of its term, and durable at a majority of each half.
// Where that made a change effective at once, the configuration before is the one that counted.
func committed(all []*view, was, v *view) error {
	if t := v.log.term(v.commit); t != v.term {
		return violation(v, "S6", "leads term %d and commits entry %d of term %d", v.term, v.commit, t)
	}
	holds := func(id uint64) bool {
		o := find(all, id)
		return o != nil && (o.disk.term(v.commit) == v.term || o.disk.base > v.commit)
	}
	half, ok := both(v, holds)
	if !ok && was.confAt != v.confAt {
		half, ok = both(was, holds)
	}
	if !ok {
		return violation(v, "S6", "commits entry %d, which no majority of %v holds durably", v.commit, half)
	}
	return nil
}

// both reports whether a majority of each half of v's configuration is so, and otherwise of which it is not.
func both(v *view, is func(id uint64) bool) (quorum.MajorityConfig, bool) {
	for _, half := range v.conf.Voters {
		yes := 0
		for _, id := range half {
			if is(id) {
				yes++
			}
		}
		if len(half) > 0 && yes <= len(half)/2 {
			return half, false
		}
	}
	return nil, true
}

func find(all []*view, id uint64) *view {
	for _, v := range all {
		if v.id == id {
			return v
		}
	}
	return nil
}

// match is S3: logs that hold the same entry are equal up to it.
func match(v, o *view) error {
	i := min(v.log.last(), o.log.last())
	low := max(v.log.base, o.log.base)
	for ; i > low; i-- {
		a, _ := v.log.at(i)
		if b, _ := o.log.at(i); a.term == b.term {
			break
		}
	}
	for ; i > low; i-- {
		a, _ := v.log.at(i)
		if b, _ := o.log.at(i); a != b {
			return violation(v, "S3", "holds entry %d of term %d, and %d one of term %d before a common entry", i, a.term, o.id, b.term)
		}
	}
	return nil
}

// forgets is S10: what a leader believes of a peer never goes back in its term.
func forgets(was, v *view) error {
	if v.role != raft.StateLeader || was.role != raft.StateLeader || was.term != v.term {
		return nil
	}
	for _, p := range v.peers {
		for _, o := range was.peers {
			if o.id == p.id && p.match < o.match {
				return violation(v, "S10", "believes that %d holds its entries up to %d, and before it was %d", p.id, p.match, o.match)
			}
		}
	}
	return nil
}

// believes is S10: what a leader believes of a peer is durable there, and equals the leader's log, as long as the
// peer has not gone on to a later term.
func believes(v, o *view) error {
	if v.role != raft.StateLeader || o.hard.Term > v.term {
		return nil
	}
	for _, p := range v.peers {
		if p.id != o.id || p.match <= o.disk.base {
			continue
		}
		if t := o.disk.term(p.match); t == 0 || p.match >= v.log.base && t != v.log.term(p.match) {
			return violation(v, "S10", "believes that %d holds its entries up to %d, the disk there has term %d at that place and ends at %d",
				o.id, p.match, t, o.disk.last())
		}
	}
	return nil
}
