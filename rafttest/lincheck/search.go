package lincheck

import (
	"cmp"
	"slices"

	"github.com/anishathalye/porcupine"
)

// search lets Porcupine decide. Its buffers are reused.
type search struct {
	history []porcupine.Operation
	limit   int
	steps   int
	model   porcupine.Model
}

type verdict uint8

const (
	linearizable verdict = iota
	violated
	undecided
)

func newSearch(limit int) *search {
	s := &search{limit: limit}
	s.model = porcupine.Model{
		Init: func() any { return uint64(0) },
		// Steps are counted rather than time, so that the result does not depend
		// on the machine. Past the limit nothing is legal, which ends the search.
		Step: func(state, input, _ any) (bool, any) {
			s.steps++
			if s.steps > s.limit {
				return false, state
			}
			value := state.(uint64)
			next, ok := input.(*Op).apply(value)
			if next == value {
				return ok, state // spares an allocation
			}
			return ok, next
		},
		Equal: func(a, b any) bool { return a.(uint64) == b.(uint64) },
		Hash:  func(state any) uint64 { return state.(uint64) * 0x9e3779b97f4a7c15 },
	}
	return s
}

// decide checks operations of one key that all constrain.
func (s *search) decide(ops []Op) verdict {
	s.history = s.history[:0]
	for i := range ops {
		o := &ops[i]
		if o.Outcome == Unknown && removable(*o, ops) {
			continue // it may as well have had no effect, and would double the search
		}
		s.history = append(s.history, porcupine.Operation{Input: o, Call: o.Call, Return: o.end()})
	}
	s.steps = 0
	ok := porcupine.CheckOperations(s.model, s.history)
	clear(s.history)
	switch {
	case ok:
		return linearizable
	case s.steps > s.limit:
		return undecided
	}
	return violated
}

// early looks for a violation in a history that is undecided: its beginning may
// be easier. It returns nil if there is none before the search gives up again.
func (s *search) early(key uint64, ops []Op) *Violation {
	for _, end := range answers(ops) {
		switch known := until(ops, end); s.decide(known) {
		case violated:
			v := s.violation(key, known)
			v.Total = len(ops)
			return v
		case undecided:
			return nil
		}
	}
	return nil
}

// violation makes the report of a history that is violated.
func (s *search) violation(key uint64, ops []Op) *Violation {
	v := &Violation{Key: key, Total: len(ops)}
	byCall := slices.Clone(ops)
	slices.SortStableFunc(byCall, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	v.Ops = s.shrink(s.prefix(byCall))
	return v
}

// prefix cuts the history after the first answer that makes it a violation.
// What was called and not answered by then has an unknown outcome. A prefix
// of a linearizable history is linearizable, so the answer is found by halving.
func (s *search) prefix(ops []Op) []Op {
	ends := answers(ops)
	lo, hi := 0, len(ends)-1 // the answer is in [lo, hi]
	for lo < hi {
		mid := (lo + hi) / 2
		if s.decide(until(ops, ends[mid])) == violated {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return until(ops, ends[lo])
}

// answers returns the times at which clients got answers, ascending.
func answers(ops []Op) []int64 {
	var ends []int64
	for i := range ops {
		if ops[i].Outcome == OK {
			ends = append(ends, ops[i].Return)
		}
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// until returns what is known of the operations at a time.
func until(ops []Op, end int64) []Op {
	var known []Op
	for _, o := range ops {
		if o.Call > end {
			continue
		}
		if o.Outcome == OK && o.Return > end {
			o.Outcome, o.Result, o.Swapped = Unknown, 0, false
		}
		if o.constrains() {
			known = append(known, o)
		}
	}
	return known
}

// shrink removes operations as long as the rest still is a violation. It removes
// only what would leave a linearizable history linearizable, so that the rest
// contradicts itself and does not only lack what was removed.
func (s *search) shrink(ops []Op) []Op {
	for removed := true; removed; {
		removed = false
		for i := len(ops) - 1; i >= 0; i-- {
			rest := slices.Delete(slices.Clone(ops), i, i+1)
			if removable(ops[i], rest) && s.decide(rest) == violated {
				ops, removed = rest, true
			}
		}
	}
	return ops
}

// removable reports whether no other operation can need o: without it a
// linearizable history is still linearizable. A swap that lost may need any write.
func removable(o Op, rest []Op) bool {
	if o.Kind == Read || o.Kind == CompareAndSwap && o.Outcome == OK && !o.Swapped {
		return true
	}
	return !slices.ContainsFunc(rest, func(r Op) bool {
		switch r.Kind {
		case Read:
			return r.Result == o.Value
		case CompareAndSwap:
			return r.Expect == o.Value || r.Outcome == OK && !r.Swapped
		}
		return false
	})
}
