package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// search is one call of Run.
type search struct {
	model   Model
	opts    Options
	began   time.Time
	set     *set
	workers []*worker
	store   *store // nil without Options.Dir
	// resident: the states of all layers are in memory. Otherwise only those of the
	// layer that is being built are, and of them only those since the last spill.
	resident bool

	// Of finished layers.
	layers      []uint64
	states      uint64
	transitions uint64
	terminal    uint64
	done        bool
	spills      int
	failed      *failure

	take     sync.Mutex // around frontier.fill
	frontier frontier
	file     fileInfo // of the frontier

	// Of the layer that is being expanded.
	ended    uint64       // terminal states
	full     atomic.Bool  // memory is used up
	held     atomic.Int64 // what the model keeps, as far as it is accounted for
	stop     atomic.Bool  // an error or the context ends the search
	expanded atomic.Uint64
	emits    atomic.Uint64
	added    atomic.Uint64
	known    atomic.Uint64 // states of finished layers, for progress
	sent     atomic.Uint64 // transitions of finished layers, for progress
	depth    atomic.Int64
	size     atomic.Uint64

	reporting      sync.Mutex
	reported       time.Time // when the rate was computed, and from what
	reportedStates uint64
	rate           float64
}

// Run searches model, by layers of growing depth, until it has seen every
// reachable state, a violation, a limit of opts, or the end of ctx. With the same
// model and limits the result is the same each time, but for times and memory.
//
// A violation is no error. If ctx ends, its error is returned, wrapped, with the
// result of the finished layers, and a violation if one was found meanwhile, which
// then is a shortest one but perhaps not always the same.
func Run(ctx context.Context, model Model, opts Options) (Result, error) {
	began := time.Now()
	opts, err := opts.complete()
	if err != nil {
		return Result{}, err
	}
	s := &search{model: model, opts: opts, began: began, reported: began, resident: true}
	s.set = newSet(*opts.tune, opts.tune.room(opts.Workers, opts.MemoryBytes), opts.SleepSets)
	defer s.closeFrontier()
	if err := s.open(); err != nil {
		return Result{}, err
	}
	unwatch := context.AfterFunc(ctx, func() { s.stop.Store(true) })
	defer unwatch()
	defer s.report()()

	if s.layers == nil {
		err = s.initial()
	}
	for err == nil && s.failed == nil && s.goesOn() {
		err = s.layer(ctx)
	}
	return s.result(err)
}

// account counts what the model keeps.
func (s *search) account() {
	if m, ok := s.model.(Holder); ok {
		now := m.Held()
		s.set.pool.add(int(now - s.held.Swap(now)))
	}
}

// goesOn reports whether another layer is to be expanded.
func (s *search) goesOn() bool {
	return !s.done && len(s.layers)-1 < s.opts.MaxDepth &&
		(s.opts.MaxStates == 0 || s.states < s.opts.MaxStates)
}

// open makes the workers, after what a checkpoint has.
func (s *search) open() error {
	if s.opts.Dir != "" {
		t := s.opts.tune
		dir := &directory{path: s.opts.Dir, buffer: t.buffer, noSync: t.noSync, fault: t.fault}
		s.store = &store{dir: dir, fanIn: t.fanIn}
		if err := s.resume(); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
	}
	for i := range s.opts.Workers {
		w, err := s.newWorker(i)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	return nil
}

// initial makes the layer of depth 0.
func (s *search) initial() error {
	w := s.workers[0]
	w.out.begin(nil, Fingerprint{}, -1)
	if err := w.of.Initial(&w.out); err != nil {
		return fmt.Errorf("%w: initial states: %w", ErrModel, err)
	}
	s.account()
	w.batch.flush()
	s.emits.Store(0) // they are no transitions
	s.collect()
	if s.failed != nil {
		return nil
	}
	if s.full.Load() {
		if err := s.spill(); err != nil {
			return err
		}
	}
	return s.finish()
}

// layer expands the frontier and finishes the layer of its successors.
func (s *search) layer(ctx context.Context) error {
	for {
		err := s.round()
		s.collect()
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("search at depth %d: %w", len(s.layers)-1, err)
		}
		if !s.full.Load() {
			break
		}
		if err := s.spill(); err != nil {
			return err
		}
	}
	if s.failed != nil {
		// The layer was expanded to its end, so this is the least of its failures. It
		// is not finished: a search that goes on from the checkpoint finds it again.
		return nil
	}
	return s.finish()
}

// round lets the workers expand the frontier to its end, or until memory is used
// up.
func (s *search) round() error {
	errs := make([]error, len(s.workers))
	var wg sync.WaitGroup
	for i, w := range s.workers {
		wg.Go(func() {
			if errs[i] = w.run(); errs[i] != nil {
				s.stop.Store(true)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// collect takes over what the workers found.
func (s *search) collect() {
	for _, w := range s.workers {
		if f := w.batch.failed; f != nil && (s.failed == nil || f.less(*s.failed)) {
			s.failed = f
		}
		s.ended += w.terminal
		w.batch.failed, w.terminal = nil, 0
	}
}

// spill writes out the layer that is being built, and forgets the states of
// finished layers, which the runs hold.
func (s *search) spill() error {
	if s.store == nil {
		return fmt.Errorf("%w, and Options.Dir is not set", ErrMemory)
	}
	if s.opts.tune.room(s.opts.Workers, s.opts.MemoryBytes)-s.held.Load() < s.opts.tune.minimum() {
		return fmt.Errorf("%w: the model keeps %d bytes", ErrMemory, s.held.Load())
	}
	if err := s.store.spill(s.set); err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	s.spills++
	for i := range s.set.shards {
		s.set.shards[i].clear()
	}
	s.resident = false
	s.full.Store(false)
	return nil
}

// finish makes the layer that was built the frontier, and saves a checkpoint.
func (s *search) finish() error {
	s.closeFrontier()
	n, err := s.newFrontier()
	if err != nil {
		return fmt.Errorf("finish depth %d: %w", len(s.layers), err)
	}
	s.transitions += s.emits.Load()
	s.terminal += s.ended
	s.ended = 0
	s.states += n
	if n > 0 {
		s.layers = append(s.layers, n)
	} else {
		s.done = true
	}
	if err := s.checkpoint(); err != nil {
		return fmt.Errorf("checkpoint after depth %d: %w", len(s.layers)-1, err)
	}
	s.startCounters(n)
	return nil
}

// newFrontier returns the number of new states.
func (s *search) newFrontier() (n uint64, err error) {
	if s.store == nil {
		n = uint64(s.set.pending())
		s.frontier = s.set.takeLayer()
		return n, nil
	}
	if s.resident {
		s.file, n, err = s.store.saveResident(s.set)
	} else {
		if err = s.store.spill(s.set); err == nil {
			s.file, n, err = s.store.settle()
		}
	}
	if err != nil {
		return 0, err
	}
	for i := range s.set.shards {
		if s.resident {
			s.set.shards[i].dropBodies()
		} else {
			s.set.shards[i].clear()
		}
	}
	return n, s.openFrontier()
}

func (s *search) openFrontier() (err error) {
	s.frontier, err = openEntries(s.store.dir.path, s.file, s.store.dir.buffer)
	return err
}

func (s *search) closeFrontier() {
	if s.frontier != nil {
		s.frontier.close()
	}
	s.frontier = nil
}

// startCounters begins a layer of n states.
func (s *search) startCounters(n uint64) {
	s.full.Store(false)
	s.known.Store(s.states)
	s.sent.Store(s.transitions)
	s.depth.Store(int64(len(s.layers) - 1))
	s.size.Store(n)
	s.expanded.Store(0)
	s.emits.Store(0)
	s.added.Store(0)
	if s.opts.Progress != nil {
		s.progress(time.Now())
	}
}

func (s *search) result(err error) (Result, error) {
	r := Result{
		States: s.states, Layers: slices.Clone(s.layers), Depth: max(len(s.layers)-1, 0),
		Transitions: s.transitions, Terminal: s.terminal, Complete: s.done && err == nil,
		PeakMemory: s.set.pool.peak.Load() + s.opts.tune.buffers(s.opts.Workers), Spills: s.spills,
	}
	n := float64(s.states)
	r.Missed = n * n / 2 / (1 << 64) / (1 << 64)
	if s.failed != nil {
		v, perr := s.path(*s.failed)
		r.Violation = v
		err = errors.Join(err, perr)
	}
	r.Elapsed = time.Since(s.began)
	return r, err
}
