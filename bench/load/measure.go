package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/quorate-raft/raft/bench/core"
)

// Options say what a sample is taken of.
type Options struct {
	// Writers is how many write at the same time, and Size how many bytes each writes.
	Writers, Size int
	// Span is how long is measured, after Warm.
	Warm, Span time.Duration
	// Dir is where the files go: the disk that is measured.
	Dir string
	// Profiled, if set, is called when what is measured begins, and what it returns at the end.
	Profiled func() (stop func() error, err error)
}

// Sample is what the writers saw. What is for each write counts all members and the writers.
type Sample struct {
	// Rate is how many writes were acknowledged in a second.
	Rate float64
	// P50 and P99 are quantiles of the time until that.
	P50, P99 time.Duration
	// CPU is the processor time of a write.
	CPU time.Duration
	// Allocs and Bytes are what is allocated for a write.
	Allocs, Bytes float64
	// Syncs are those of a write, below 0 if they are not counted.
	Syncs float64
	// Others is which part of the machine's processor time others took meanwhile, below 0 if that is not known.
	Others float64
	// Floor was measured just before.
	Floor Floor
}

// floorSamples is how many times each part of a floor is measured.
const floorSamples = 100

// Measure takes a sample of a new cluster of lib, and makes sure that all members applied all writes that were
// acknowledged, and nothing else.
func Measure(ctx context.Context, lib Library, o Options) (s Sample, err error) {
	dir, err := os.MkdirTemp(o.Dir, "endtoend")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	floor, err := MeasureFloor(dir, floorSamples)
	if err != nil {
		return s, err
	}
	c, err := lib.Start(ctx, dir)
	if err != nil {
		return s, fmt.Errorf("start: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	runtime.GC()
	w := &writers{cluster: c, size: o.Size}
	if s, err = w.measure(ctx, o); err != nil {
		return s, err
	}
	s.Floor = floor
	return s, await(ctx, c.Machines(), w.acked.Load())
}

// state is what a process has used so far.
type state struct {
	at      time.Time
	cpu     time.Duration
	busy    time.Duration
	counted bool // busy is known
	memory  runtime.MemStats
	syncs   int64
}

func (w *writers) state() (s state) {
	s.syncs, _ = w.cluster.Syncs()
	runtime.ReadMemStats(&s.memory)
	s.busy, s.counted = busy()
	s.cpu = core.ProcessTime()
	s.at = time.Now()
	return s
}

// measure puts load on the cluster.
func (w *writers) measure(ctx context.Context, o Options) (s Sample, err error) {
	begin := time.Now().Add(o.Warm)
	end := begin.Add(o.Span)
	var before, after state
	var observed error
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		time.Sleep(time.Until(begin))
		stop := func() error { return nil }
		if o.Profiled != nil {
			if stop, observed = o.Profiled(); observed != nil {
				return
			}
		}
		before = w.state()
		time.Sleep(time.Until(end))
		after = w.state()
		observed = stop()
	}()
	latencies, err := w.run(ctx, o.Writers, begin, end)
	<-finished
	if err := errors.Join(err, observed); err != nil {
		return s, err
	}
	if len(latencies) == 0 {
		return s, errors.New("not one write was acknowledged")
	}
	n := float64(len(latencies))
	s = Sample{
		Rate: rounded(n / o.Span.Seconds()), P50: quantile(latencies, 0.5), P99: quantile(latencies, 0.99),
		CPU:    time.Duration(float64(after.cpu-before.cpu) / n),
		Allocs: rounded(float64(after.memory.Mallocs-before.memory.Mallocs) / n),
		Bytes:  rounded(float64(after.memory.TotalAlloc-before.memory.TotalAlloc) / n),
		Syncs:  -1, Others: -1,
	}
	if _, ok := w.cluster.Syncs(); ok {
		s.Syncs = rounded(float64(after.syncs-before.syncs) / n)
	}
	if before.counted {
		others := (after.busy - before.busy) - (after.cpu - before.cpu)
		s.Others = rounded(max(0, others.Seconds()/after.at.Sub(before.at).Seconds()/float64(runtime.NumCPU())))
	}
	return s, nil
}

// rounded is v in thousandths.
func rounded(v float64) float64 { return math.Round(v*1000) / 1000 }

// await waits until every member has applied n writes, the same in the same order.
func await(ctx context.Context, machines []*Machine, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var applied []int64
		var sums []uint64
		for _, m := range machines {
			applied, sums = append(applied, m.Applied()), append(sums, m.Sum())
		}
		if slices.Max(applied) > n {
			return fmt.Errorf("%d writes were acknowledged, and members applied %v", n, applied)
		}
		if slices.Min(applied) == n {
			if slices.Min(sums) != slices.Max(sums) {
				return fmt.Errorf("members applied %d writes each, but not the same or not in the same order", n)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d writes were acknowledged, and members applied %v: %w", n, applied, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
