package search

import (
	"bytes"
	"fmt"
	"slices"
)

// CheckLaws walks through the first states of model, at most so many, and returns
// an error if it finds a promise broken that the package's comment lists: that
// expansion repeats itself, that states with equal fingerprints have equal
// successors, and that actions which commute do. It expands each state several
// times and remembers all: it is made for small models in tests.
func CheckLaws(model Model, states int) error {
	c := &lawChecker{one: model.NewWorker(), other: model.NewWorker(), seen: map[Fingerprint]*expansion{}}
	first, err := c.expand(c.one, nil, -1, nil)
	if err != nil {
		return err
	}
	queue := first.steps
	for i := 0; i < len(queue) && len(c.seen) < states; i++ {
		e, err := c.check(queue[i])
		if err != nil {
			return fmt.Errorf("%w: state %x: %w", ErrModel, queue[i].next, err)
		}
		if e != nil {
			queue = append(queue, e.steps...)
		}
	}
	return nil
}

type lawChecker struct {
	one, other Worker
	seen       map[Fingerprint]*expansion
}

// expansion is what a worker emitted of a state.
type expansion struct {
	state []byte
	steps []step
	ask   []uint64 // actions of which Commute is asked
	names map[[2]uint64]uint64
	of    Worker
}

type step struct {
	action uint64
	next   []byte
	fp     Fingerprint
}

func (e *expansion) emit(o *Out, action uint64, next []byte, fp Fingerprint) {
	e.steps = append(e.steps, step{action, bytes.Clone(next), fp})
	c, ok := e.of.(Commuter)
	if !ok {
		return
	}
	for _, b := range e.ask {
		if b == action {
			continue
		}
		if name, ok := c.Commute(o.state, action, next, b); ok {
			e.names[[2]uint64{action, b}] = name
		}
	}
}

func (e *expansion) fail(*Out, failure) {}

// by returns the step of an action.
func (e *expansion) by(action uint64) (step, bool) {
	i := slices.IndexFunc(e.steps, func(s step) bool { return s.action == action })
	if i < 0 {
		return step{}, false
	}
	return e.steps[i], true
}

func (c *lawChecker) expand(w Worker, state []byte, depth int, ask []uint64) (*expansion, error) {
	e := &expansion{state: state, ask: ask, names: map[[2]uint64]uint64{}, of: w}
	out := Out{sink: e}
	out.begin(state, Fingerprint{}, depth)
	if depth < 0 {
		return e, w.Initial(&out)
	}
	return e, w.Expand(state, &out)
}

// check returns the expansion of a state, or nil if it is known.
func (c *lawChecker) check(s step) (*expansion, error) {
	known := c.seen[s.fp]
	if known != nil && bytes.Equal(known.state, s.next) {
		return nil, nil
	}
	e, err := c.expand(c.one, s.next, 0, nil)
	if err != nil {
		return nil, err
	}
	if known != nil {
		return nil, same("state with the same fingerprint", known, e)
	}
	c.seen[s.fp] = e
	again, err := c.expand(c.other, s.next, 0, nil)
	if err != nil {
		return nil, err
	}
	if err := same("second expansion", e, again); err != nil {
		return nil, err
	}
	return e, c.commuting(e)
}

// same compares actions and fingerprints, in order.
func same(what string, a, b *expansion) error {
	if slices.EqualFunc(a.steps, b.steps, func(s, t step) bool { return s.action == t.action && s.fp == t.fp }) {
		return nil
	}
	return fmt.Errorf("%s (%x) has other successors: %x, not %x", what, b.state, b.steps, a.steps)
}

// commuting follows both orders of each pair that commutes.
func (c *lawChecker) commuting(e *expansion) error {
	if _, ok := c.one.(Commuter); !ok {
		return nil
	}
	var actions []uint64
	for _, s := range e.steps {
		if slices.Contains(actions, s.action) {
			return fmt.Errorf("action %d has two successors", s.action)
		}
		actions = append(actions, s.action)
	}
	asked, err := c.expand(c.one, e.state, 0, actions)
	if err != nil {
		return err
	}
	for i, a := range actions {
		for _, b := range actions[i+1:] {
			ab, okab := asked.names[[2]uint64{a, b}]
			ba, okba := asked.names[[2]uint64{b, a}]
			if okab != okba {
				return fmt.Errorf("commute(%d, %d) is %t, but the other way round %t", a, b, okab, okba)
			}
			if !okab {
				continue
			}
			x, err := c.after(asked, a, ab)
			if err != nil {
				return err
			}
			y, err := c.after(asked, b, ba)
			if err != nil {
				return err
			}
			if x.fp != y.fp {
				return fmt.Errorf("actions %d and %d are said to commute, but lead to %x and %x", a, b, x.next, y.next)
			}
		}
	}
	return nil
}

// after returns where the other action leads after first.
func (c *lawChecker) after(e *expansion, first, then uint64) (step, error) {
	s, _ := e.by(first)
	next, err := c.expand(c.one, s.next, 0, nil)
	if err != nil {
		return step{}, err
	}
	t, ok := next.by(then)
	if !ok {
		return step{}, fmt.Errorf("after action %d, which is said to commute, there is no action %d", first, then)
	}
	return t, nil
}
