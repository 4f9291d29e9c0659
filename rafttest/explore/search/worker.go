package search

import (
	"fmt"
)

// worker is one goroutine of the search.
type worker struct {
	s        *search
	of       Worker
	out      Out
	batch    batch
	chunk    []byte
	terminal uint64
}

func (s *search) newWorker(i int) (*worker, error) {
	w := &worker{s: s, of: s.model.NewWorker()}
	shards := len(s.set.shards)
	w.batch = batch{
		set: s.set, first: i * shards / s.opts.Workers, max: s.opts.tune.batch, counts: make([]int32, shards+2),
		full: &s.full, added: &s.added, emits: &s.emits,
	}
	w.out.sink = &w.batch
	if s.opts.SleepSets {
		c, ok := w.of.(Commuter)
		if !ok {
			return nil, fmt.Errorf("%w: SleepSets: %T is no Commuter", ErrModel, w.of)
		}
		w.out.commuter = c
	}
	return w, nil
}

// run expands states of the frontier until there are none, memory is used up, or
// the search stops. All that it took is expanded and inserted when it returns.
func (w *worker) run() error {
	defer w.batch.flush()
	for !w.s.full.Load() && !w.s.stop.Load() {
		var err error
		w.s.take.Lock()
		w.chunk, err = w.s.frontier.fill(w.chunk[:0], w.s.opts.tune.take)
		w.s.take.Unlock()
		if err != nil {
			return fmt.Errorf("read frontier: %w", err)
		}
		if len(w.chunk) == 0 {
			return nil
		}
		if err := w.expand(w.chunk); err != nil {
			return err
		}
		w.s.account()
	}
	return nil
}

// expand goes through entries.
func (w *worker) expand(entries []byte) error {
	o := &w.out
	depth := len(w.s.layers) - 1
	n := uint64(0)
	for len(entries) > 0 {
		fp, _ := recordOf(entries)
		body := entries[recordSize:]
		var state []byte
		state, o.sleep = bodyParts(body, o.sleep[:0])
		o.begin(state, fp, depth)
		if err := w.of.Expand(state, o); err != nil {
			return fmt.Errorf("%w: expand state %x at depth %d: %w", ErrModel, state, depth, err)
		}
		if o.emitted == 0 && o.slept == 0 {
			w.terminal++
		}
		entries = body[bodySize(body):]
		n++
	}
	w.s.expanded.Add(n)
	return nil
}
