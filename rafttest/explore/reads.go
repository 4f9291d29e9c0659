package explore

import "slices"

// read is one that a host asked for: which one it is, at whose, and what was committed then.
type read struct {
	Number, Node, Index uint64
}

// answer is the index that a host is told to read at, and for which read.
type answer struct {
	number, index uint64
}

// asked reports whether the read is of this member.
func (v *view) asked(r read) bool { return r.Node == v.id }

// ask notes that a host asked for a read.
func (g *ghost) ask(base uint64, v *view, number uint64) *ghost {
	next := g.clone()
	next.Reads = append(next.Reads, read{number, v.id, base + uint64(len(g.Chain))})
	return next
}

// answered is S14 for reads that are answered: each was asked for in this life of the member, is answered once, and
// reads at least what was committed when it was asked for.
func (g *ghost) answered(v *view, answers []answer) (*ghost, error) {
	next := g.clone()
	for _, a := range answers {
		at := slices.IndexFunc(next.Reads, func(r read) bool { return r.Node == v.id && r.Number == a.number })
		if at < 0 {
			return nil, violation(v, "S14", "answers read %d, which waits for none here", a.number)
		}
		if r := next.Reads[at]; a.index < r.Index {
			return nil, violation(v, "S14", "answers read %d with index %d, and %d was committed when it was asked for", a.number, a.index, r.Index)
		}
		next.Reads = slices.Delete(next.Reads, at, at+1)
	}
	return next, nil
}

// leases is S15 for who would answer a read by its lease: nothing is committed that it does not take for committed.
func leases(g *ghost, base uint64, v *view) error {
	if end := base + uint64(len(g.Chain)); v.leased && v.commit < end {
		return violation(v, "S15", "has a lease in term %d and commit %d, and %d is committed", v.term, v.commit, end)
	}
	return nil
}
