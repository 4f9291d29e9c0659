package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quorate-raft/raft/rafttest/sim"
)

// batch makes the runs, some at the same time. Which runs are made depends on
// the flags alone, but for -duration and an interrupt.
type batch struct {
	f       *flags
	started time.Time
	stderr  io.Writer

	mu         sync.Mutex
	next       uint64 // runs that began
	runs       uint64
	violations uint64
	total      sim.Stats
	hash       uint64               // of all runs, in whatever order they end
	violating  *finding             // the one with the lowest seed
	underWay   map[uint64]sim.Stats // of long runs so far, by seed, for the progress line
}

// finding is a run that violated an invariant.
type finding struct {
	seed   uint64
	result sim.Result
}

func newBatch(f *flags, stderr io.Writer) *batch {
	return &batch{f: f, stderr: stderr, underWay: map[uint64]sim.Stats{}}
}

// run makes the runs, and begins no more of them once ctx is done.
func (b *batch) run(ctx context.Context) {
	b.started = time.Now()
	var workers sync.WaitGroup
	for range b.f.parallel {
		workers.Go(func() { b.work(ctx) })
	}
	done := make(chan struct{})
	var progress sync.WaitGroup
	if !b.f.quiet {
		progress.Go(func() { b.progress(ctx, done) })
	}
	workers.Wait()
	close(done)
	progress.Wait()
}

func (b *batch) work(ctx context.Context) {
	for {
		seed, ok := b.begin(ctx)
		if !ok {
			return
		}
		o := b.f.options(seed)
		if !b.f.quiet && o.Steps > longRun {
			o.Observer = b.watch(seed)
		}
		b.ended(seed, sim.Run(o))
	}
}

func (b *batch) begin(ctx context.Context) (seed uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case ctx.Err() != nil,
		b.f.runs > 0 && b.next >= b.f.runs,
		b.f.duration > 0 && time.Since(b.started) >= b.f.duration,
		b.violations >= b.f.stop:
		return 0, false
	}
	b.next++
	return b.f.first + b.next - 1, true
}

func (b *batch) ended(seed uint64, r sim.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs++
	delete(b.underWay, seed)
	b.total.Add(&r.Stats)
	b.hash += r.Hash
	if r.Violation == nil {
		return
	}
	b.violations++
	if b.violating == nil || seed < b.violating.seed {
		b.violating = &finding{seed, r}
	}
}

// report prints the first violation, shortens its run with at most so many tries,
// and prints the command that repeats it. It returns the run to look at.
func (b *batch) report(stdout io.Writer, tries int) sim.Options {
	o, r := b.f.options(b.violating.seed), b.violating.result
	fmt.Fprintf(stdout, "violation in the run of seed %d: %v\n", o.Seed, r.Violation)
	if tries > 0 {
		o, r = sim.Shrink(o, tries)
		fmt.Fprintf(stdout, "shortened to %d steps and %d faults: %v\n", r.Stats.Steps, r.Stats.Faults, r.Violation)
	}
	fmt.Fprintf(stdout, "replay: %s\n", b.f.replay(o))
	return o
}

// printMarks prints how often each situation was reached, and reports whether
// all were that should be.
func (b *batch) printMarks(stdout io.Writer) bool {
	all := true
	for m, count := range b.total.Marks {
		mark := sim.Mark(m)
		if count == 0 && !mark.Expected(b.f.options(0)) {
			continue
		}
		fmt.Fprintf(stdout, "%10d  %v\n", count, mark)
		if count == 0 {
			all = false
		}
	}
	if !all {
		fmt.Fprintln(stdout, "not every situation was reached: more runs, or the simulator misses something")
	}
	return all
}

// printLeases prints, for clocks that leases cannot bear, how many reads were
// stale: they show that the check of lease reads would see one.
func (b *batch) printLeases(stdout io.Writer) {
	if b.f.faults&sim.Drift != 0 {
		fmt.Fprintf(stdout, "stale leases %d, lease reads %d (with drift stale ones are counted, and no violations)\n",
			b.total.StaleLeases, b.total.LeaseReads)
	}
}
