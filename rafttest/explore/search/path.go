package search

import (
	"bytes"
	"fmt"
	"slices"
)

// path finds how a failure came about: back through the parents, of which only
// fingerprints are kept, and forward again through the model.
func (s *search) path(f failure) (*Violation, error) {
	chain, err := s.chain(f)
	if err != nil {
		return nil, fmt.Errorf("path to a violation: %w", err)
	}
	worker := s.workers[0].of
	t := &follower{}
	out := Out{sink: t}
	v := &Violation{}
	for i, fp := range chain {
		t.find(fp)
		if i == 0 {
			out.begin(nil, Fingerprint{}, -1)
			err = worker.Initial(&out)
		} else {
			out.begin(v.States[i-1], chain[i-1], i-1)
			err = worker.Expand(v.States[i-1], &out)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: path to a violation: step %d: %w", ErrModel, i, err)
		}
		if !t.found {
			return nil, fmt.Errorf("%w: path to a violation: step %d: no successor with fingerprint %x any more", ErrModel, i, fp)
		}
		if i > 0 {
			v.Actions = append(v.Actions, t.action)
		}
		v.States = append(v.States, t.next)
	}
	return s.lastStep(v, f, worker, t, &out)
}

// chain returns the fingerprints from an initial state to that which f expanded.
func (s *search) chain(f failure) ([]Fingerprint, error) {
	depth := f.depth
	if !f.here {
		depth--
	}
	if depth < 0 {
		return nil, nil
	}
	chain := []Fingerprint{f.fp}
	hi := f.fp.Hi
	for range depth + 1 {
		var rec []byte
		var ok bool
		var err error
		if s.store != nil {
			rec, ok, err = s.store.parentOf(hi)
		} else {
			rec, ok = s.set.parentOf(hi)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("state %x is not known", hi)
		}
		fp, parent := recordOf(rec)
		chain[len(chain)-1] = fp
		chain = append(chain, Fingerprint{})
		hi = parent
	}
	chain = chain[:len(chain)-1]
	slices.Reverse(chain)
	return chain, nil
}

// lastStep adds the violation itself.
func (s *search) lastStep(v *Violation, f failure, worker Worker, t *follower, out *Out) (*Violation, error) {
	var err error
	t.failed = nil
	if n := len(v.States); n == 0 {
		out.begin(nil, Fingerprint{}, -1)
		err = worker.Initial(out)
	} else {
		out.begin(v.States[n-1], f.fp, n-1)
		err = worker.Expand(v.States[n-1], out)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: violation: %w", ErrModel, err)
	}
	got := t.failed
	if got == nil {
		return nil, fmt.Errorf("%w: the violation did not come again", ErrModel)
	}
	v.Err = got.err
	if got.here {
		return v, nil
	}
	if len(v.States) > 0 {
		v.Actions = append(v.Actions, got.action)
	}
	if got.next != nil {
		v.States = append(v.States, got.next)
	}
	return v, nil
}

// follower picks a state's successor of a given fingerprint, by the least action,
// and the state's first failure.
type follower struct {
	want   Fingerprint
	found  bool
	action uint64
	next   []byte
	failed *failure
}

func (t *follower) find(fp Fingerprint) { t.want, t.found = fp, false }

func (t *follower) emit(_ *Out, action uint64, next []byte, fp Fingerprint) {
	if fp == t.want && (!t.found || action < t.action) {
		t.found, t.action, t.next = true, action, bytes.Clone(next)
	}
}

func (t *follower) fail(_ *Out, f failure) {
	if t.failed == nil || f.less(*t.failed) {
		f.next = bytes.Clone(f.next)
		t.failed = &f
	}
}
