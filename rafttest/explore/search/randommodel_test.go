package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// randomModel is some processes that go through random graphs and meet in one
// shared variable: an edge may demand a value of it and may set it. A state is
// the variable and each process's place.
type randomModel struct {
	procs  [][][]edge // by process and place
	places int
	bad    map[string]bool
	// renamed: the names of actions depend on the state, as symmetry may have it.
	renamed bool
	// symmetric: all processes have the same graph, and states are kept sorted.
	symmetric bool
}

type edge struct {
	to, guard, set byte
}

const anyValue = 255

func newRandomModel(rng *rand.Rand) *randomModel {
	m := &randomModel{
		places: 2 + rng.IntN(5), bad: map[string]bool{},
		renamed: rng.IntN(2) == 0, symmetric: rng.IntN(2) == 0,
	}
	value := func() byte {
		if rng.IntN(2) == 0 {
			return anyValue
		}
		return byte(rng.IntN(2))
	}
	for i := range 1 + rng.IntN(4) {
		if i > 0 && m.symmetric {
			m.procs = append(m.procs, m.procs[0])
			continue
		}
		p := make([][]edge, m.places)
		for at := range p {
			for range rng.IntN(4) {
				p[at] = append(p[at], edge{to: byte(rng.IntN(m.places)), guard: value(), set: value()})
			}
		}
		m.procs = append(m.procs, p)
	}
	if rng.IntN(2) == 0 {
		for range 3 {
			s := make([]byte, 1+len(m.procs))
			for i := range m.procs {
				s[1+i] = byte(rng.IntN(m.places))
			}
			s, _ = m.canonical(s)
			m.bad[string(s)] = true
		}
	}
	return m
}

// canonical returns the state of which s is a copy up to symmetry, and where each
// process went.
func (m *randomModel) canonical(s []byte) ([]byte, []int) {
	at := make([]int, len(m.procs))
	for i := range at {
		at[i] = i
	}
	if m.symmetric {
		slices.SortStableFunc(at, func(i, j int) int { return int(s[1+i]) - int(s[1+j]) })
	}
	c, went := slices.Clone(s), make([]int, len(at))
	for to, from := range at {
		c[1+to] = s[1+from]
		went[from] = to
	}
	return c, went
}

// action names an edge of a process in a state, and edgeOf is its inverse.
func (m *randomModel) action(state []byte, proc, edge int) uint64 {
	a := uint64(proc)<<8 | uint64(edge)
	if m.renamed {
		a ^= Hash(state).Lo & 0xffff0000
	}
	return a
}

func (m *randomModel) edgeOf(state []byte, a uint64) (proc, number int, e edge) {
	if m.renamed {
		a ^= Hash(state).Lo & 0xffff0000
	}
	proc, number = int(a>>8), int(a&0xff)
	return proc, number, m.procs[proc][state[1+proc]][number]
}

// apply returns the successor by a, and where each process went.
func (m *randomModel) apply(state []byte, a uint64) ([]byte, []int) {
	proc, _, e := m.edgeOf(state, a)
	next := slices.Clone(state)
	next[1+proc] = e.to
	if e.set != anyValue {
		next[0] = e.set
	}
	return m.canonical(next)
}

func (m *randomModel) Identity() string  { return "random" }
func (m *randomModel) NewWorker() Worker { return m }

func (m *randomModel) Initial(out *Out) error {
	for v := range byte(2) {
		s := make([]byte, 1+len(m.procs))
		s[0] = v
		out.Emit(uint64(v), s, Hash(s))
	}
	return nil
}

func (m *randomModel) Expand(state []byte, out *Out) error {
	// Processes come in an order that differs from state to state.
	first := int(Hash(state).Hi % uint64(len(m.procs)))
	for k := range m.procs {
		proc := (first + k) % len(m.procs)
		for i, e := range m.procs[proc][state[1+proc]] {
			if e.guard != anyValue && e.guard != state[0] {
				continue
			}
			a := m.action(state, proc, i)
			if !out.Want(a) {
				continue
			}
			next, _ := m.apply(state, a)
			if m.bad[string(next)] {
				out.Fail(a, next, fmt.Errorf("%w %x", errBad, next))
			}
			out.Emit(a, next, Hash(next))
		}
	}
	return nil
}

func (m *randomModel) Commute(state []byte, a uint64, next []byte, b uint64) (uint64, bool) {
	pa, _, ea := m.edgeOf(state, a)
	pb, nb, eb := m.edgeOf(state, b)
	reads := func(e edge) bool { return e.guard != anyValue }
	writes := func(e edge) bool { return e.set != anyValue }
	if pa == pb || writes(ea) && (reads(eb) || writes(eb)) || writes(eb) && reads(ea) {
		return 0, false
	}
	_, went := m.apply(state, a)
	return m.action(next, went[pb], nb), true
}
