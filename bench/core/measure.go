package core

import (
	"fmt"
	"runtime"
	"time"
)

// Work is what one row of the table does, again and again.
type Work struct {
	// Begin prepares n operations; it is not timed. It may be nil.
	Begin func(n int) error
	// Run does n operations.
	Run func(n int) error
	// End checks that n operations have done what they should; it is not timed. It may be nil.
	End func(n int) error
	// Max is how many operations there may be between Begin and End.
	Max int
	// Per is how many of what the row counts are in an operation: 1 if it is 0.
	Per int
	// Messages is where messages are counted; it may be nil.
	Messages *int
	// Value is set where there is nothing to time: it returns the figure.
	Value func() (float64, error)
}

// Sample is what one run of a row found.
type Sample struct {
	// Value is in nanoseconds of processor time, or in bytes, for each of what the row counts.
	Value float64
	// Allocs, Bytes and Messages are those of an operation.
	Allocs, Bytes, Messages float64
	// Ops is how many there were.
	Ops int
}

// calibrated is how long a run between Begin and End should take at least, unless Max bounds it.
const calibrated = 5 * time.Millisecond

// Measure repeats work until it took d, after first runs that do not count.
func Measure(work *Work, d time.Duration) (Sample, error) {
	if work.Value != nil {
		v, err := work.Value()
		return Sample{Value: v, Ops: 1}, err
	}
	var s Sample
	for n := 1; n <= min(work.Max, 64); n *= 2 {
		took, err := work.round(n, &Sample{})
		if err != nil {
			return s, err
		}
		if took > calibrated {
			break
		}
	}
	var total time.Duration
	for n := 1; total < d; {
		took, err := work.round(n, &s)
		if err != nil {
			return s, err
		}
		total += took
		if took < calibrated {
			n = min(2*n, work.Max)
		}
	}
	ops := float64(s.Ops)
	s.Value = float64(total.Nanoseconds()) / ops / float64(max(work.Per, 1))
	s.Allocs, s.Bytes, s.Messages = s.Allocs/ops, s.Bytes/ops, s.Messages/ops
	return s, nil
}

// Repeat does n operations, after some that fill buffers. What it allocates is counted, not timed.
func Repeat(work *Work, n int) (Sample, error) {
	var s Sample
	if work.Value != nil {
		return s, fmt.Errorf("nothing to count")
	}
	if _, err := work.round(min(work.Max, n, 300), &Sample{}); err != nil {
		return s, err
	}
	for s.Ops < n {
		if _, err := work.round(min(work.Max, n-s.Ops), &s); err != nil {
			return s, err
		}
	}
	s.Allocs, s.Bytes, s.Messages = s.Allocs/float64(n), s.Bytes/float64(n), s.Messages/float64(n)
	return s, nil
}

// Once does n operations, at most the work's Max, and checks them.
func Once(work *Work, n int) error {
	if work.Value != nil {
		_, err := work.Value()
		return err
	}
	_, err := work.round(min(work.Max, n), &Sample{})
	return err
}

// round does n operations and adds to s what they took.
func (w *Work) round(n int, s *Sample) (time.Duration, error) {
	var before, after runtime.MemStats
	if err := w.begin(n, &before); err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	messages := 0
	if w.Messages != nil {
		messages = *w.Messages
	}
	start := ProcessTime()
	if err := w.Run(n); err != nil {
		return 0, fmt.Errorf("run: %w", err)
	}
	took := ProcessTime() - start
	runtime.ReadMemStats(&after)
	if w.Messages != nil {
		s.Messages += float64(*w.Messages - messages)
	}
	s.Ops += n
	s.Allocs += float64(after.Mallocs - before.Mallocs)
	s.Bytes += float64(after.TotalAlloc - before.TotalAlloc)
	if w.End != nil {
		if err := w.End(n); err != nil {
			return 0, fmt.Errorf("after %d operations: %w", n, err)
		}
	}
	return took, nil
}

// muchGarbage is how much there may be, in bytes, that is not the work's own.
const muchGarbage = 1 << 20

// begin prepares n operations, and collects what that left behind: its garbage is not to be the work's.
func (w *Work) begin(n int, stats *runtime.MemStats) error {
	if w.Begin != nil {
		runtime.ReadMemStats(stats)
		had := stats.TotalAlloc
		if err := w.Begin(n); err != nil {
			return err
		}
		runtime.ReadMemStats(stats)
		if stats.TotalAlloc-had > muchGarbage {
			runtime.GC()
		}
	}
	runtime.ReadMemStats(stats)
	return nil
}
