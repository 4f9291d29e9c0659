package invariant

import (
	"maps"
	"math"
	"slices"
)

// Prune forgets what no disk can contradict any more. It is to be called every
// thousand steps or so.
func (c *Checker) Prune() {
	c.prunes++
	low, term := c.bounds()
	c.log.prune(low)
	for _, n := range c.nodes {
		n.log.prune(low)
	}
	c.confEntries = drop(c.confEntries, func(e *confEntry) bool { return e.index <= low })
	// The last before low says how things are at low.
	keep := 0
	for keep+1 < len(c.history) && c.history[keep+1].index <= low {
		keep++
	}
	c.history = slices.Delete(c.history, 0, keep)
	keep = 0
	for keep+1 < len(c.segments) && c.segments[keep+1].index <= low {
		keep++
	}
	c.segments = slices.Delete(c.segments, 0, keep)
	c.minTerm = max(c.minTerm, term)
	c.forgetTerms()
	c.forgetJoined()
	for key, r := range c.reads {
		if r.prunes+keepReads < c.prunes {
			delete(c.reads, key) // in whatever order
		}
	}
}

// bounds returns the index that all disks of nodes that may start again reach
// down to, and the lowest term that any of them is in. A node that has nothing yet has no part in either: it
// learns everything from others.
func (c *Checker) bounds() (low, term uint64) {
	low, term = c.committed, math.MaxUint64
	for _, n := range c.nodes {
		hs, base, last := n.disk.Durable()
		if last > 0 {
			low = min(low, base)
			if n.rn != nil {
				low = min(low, n.applied)
			}
		}
		if last == 0 && n.rn != nil && n.log.last > 0 {
			// A snapshot may be on its way to an empty disk, for long, and survive a
			// crash all the same.
			low = min(low, n.log.runs[0].start)
		}
		if hs.Term > 0 {
			term = min(term, hs.Term)
		}
	}
	if term == math.MaxUint64 {
		term = 0
	}
	return max(low, c.log.low), term
}

// forgetTerms forgets leaders and votes of terms that no node is in any more,
// and destroyed nodes that no known configuration has.
func (c *Checker) forgetTerms() {
	c.leaders = drop(c.leaders, func(l *leader) bool { return l.term < c.minTerm })
	old := func(v *vote) bool { return v.term < c.minTerm }
	for _, n := range c.nodes {
		n.votes = drop(n.votes, old)
	}
	for _, g := range c.gone {
		g.votes = drop(g.votes, old)
	}
	c.gone = slices.DeleteFunc(c.gone, func(g *gone) bool {
		for _, at := range c.history {
			if slices.Contains(at.ids, g.id) {
				return false
			}
		}
		return true
	})
}

// forgetJoined forgets when those joined who are long gone.
func (c *Checker) forgetJoined() {
	maps.DeleteFunc(c.joined, func(id, _ uint64) bool {
		return c.find(id) == nil && !slices.ContainsFunc(c.history, func(at *confAt) bool { return slices.Contains(at.ids, id) })
	})
}

// drop removes what comes first in s and is old.
func drop[T any](s []T, old func(*T) bool) []T {
	n := 0
	for n < len(s) && old(&s[n]) {
		n++
	}
	return slices.Delete(s, 0, n)
}

// Held returns how much history is kept: of indexes, terms, configurations, reads
// and nodes together. It stays bounded in a run of any length in which those who
// may start again go on to compact their logs.
func (c *Checker) Held() int {
	held := int(c.log.high-c.log.low) + len(c.history) + len(c.confEntries) + len(c.segments) + len(c.leaders) +
		len(c.reads) + len(c.gone) + len(c.nodes) + len(c.joined) + len(c.added)
	for _, n := range c.nodes {
		held += len(n.votes) + len(n.log.runs) + len(n.log.confs)
	}
	for _, g := range c.gone {
		held += len(g.votes) + len(g.log.runs)
	}
	return held
}
