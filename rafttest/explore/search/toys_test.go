package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// grid is a number of counters, each of which goes from 0 to limit by steps of one,
// in any order: (limit+1)^counters states. All its actions commute. An action is
// the number of a counter. If it wraps, a counter at its limit goes on to 0, so that
// transitions lead to earlier layers.
type grid struct {
	counters, limit int
	wraps           bool
	bad             []byte // a forbidden state
}

// step lets counter i of s go on, if it can.
func (g grid) step(s []byte, i int) bool {
	if int(s[i]) < g.limit {
		s[i]++
		return true
	}
	if g.wraps {
		s[i] = 0
	}
	return g.wraps
}

func (g grid) Identity() string {
	return fmt.Sprintf("grid %d^%d wraps=%t v1", g.limit+1, g.counters, g.wraps)
}
func (g grid) NewWorker() Worker { return &gridWorker{grid: g, next: make([]byte, g.counters)} }

type gridWorker struct {
	grid
	next []byte
}

func (g *gridWorker) Initial(out *Out) error {
	clear(g.next)
	out.Emit(0, g.next, Hash(g.next))
	return nil
}

func (g *gridWorker) Expand(state []byte, out *Out) error {
	copy(g.next, state)
	for i, c := range state {
		if !g.step(g.next, i) {
			continue
		}
		if out.Want(uint64(i)) {
			if g.bad != nil && slices.Equal(g.next, g.bad) {
				out.Fail(uint64(i), g.next, errBad)
			}
			out.Emit(uint64(i), g.next, Hash(g.next))
		}
		g.next[i] = c
	}
	return nil
}

func (g *gridWorker) Commute(_ []byte, a uint64, _ []byte, b uint64) (uint64, bool) {
	return b, a != b
}

var errBad = errors.New("bad state")

// toy is a model that is given by functions over short states.
type toy struct {
	name    string
	initial []string
	// steps calls step for each enabled action.
	steps    func(state string, step func(action uint64, next string))
	bad      func(state string) bool
	commute  func(state string, a, b uint64) bool
	deadlock bool // a state without steps is forbidden
}

func (m *toy) Identity() string  { return m.name }
func (m *toy) NewWorker() Worker { return m }

func (m *toy) Initial(out *Out) error {
	for i, s := range m.initial {
		out.Emit(uint64(i), []byte(s), Hash([]byte(s)))
	}
	return nil
}

func (m *toy) Expand(state []byte, out *Out) error {
	n := 0
	m.steps(string(state), func(action uint64, next string) {
		n++
		if !out.Want(action) {
			return
		}
		if m.bad != nil && m.bad(next) {
			out.Fail(action, []byte(next), errBad)
		}
		out.Emit(action, []byte(next), Hash([]byte(next)))
	})
	if n == 0 && m.deadlock {
		out.FailHere(errBad)
	}
	return nil
}

func (m *toy) Commute(state []byte, a uint64, _ []byte, b uint64) (uint64, bool) {
	return b, m.commute != nil && m.commute(string(state), a, b)
}

// run searches and demands that nothing fails.
func run(t testing.TB, m Model, o Options) Result {
	t.Helper()
	r, err := Run(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
