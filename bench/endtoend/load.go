package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// result is what a closed loop of writers saw.
type result struct {
	writers  int
	writes   int
	took     time.Duration
	p50, p99 time.Duration
	cpu      time.Duration // of the whole process, for each write
}

func (r result) rate() float64 { return float64(r.writes) / r.took.Seconds() }

// writer is what load is put on.
type writer interface {
	Write(ctx context.Context, data []byte) error
}

// load has writers write data of size bytes, each one after the other, for warm and then for time, and measures
// the latter.
func load(ctx context.Context, w writer, writers, size int, warm, span time.Duration) (result, error) {
	latencies := make([][]time.Duration, writers)
	errs := make([]error, writers)
	begin := time.Now().Add(warm)
	end := begin.Add(span)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for {
				before := time.Now()
				if before.After(end) {
					return
				}
				if errs[i] = w.Write(ctx, make([]byte, size)); errs[i] != nil {
					return
				}
				if before.After(begin) {
					latencies[i] = append(latencies[i], time.Since(before))
				}
			}
		})
	}
	time.Sleep(time.Until(begin))
	cpu := processTime()
	time.Sleep(time.Until(end))
	cpu = processTime() - cpu
	wg.Wait()
	r := result{writers: writers, took: span}
	for _, err := range errs {
		if err != nil {
			return r, err
		}
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	if r.writes = len(all); r.writes > 0 {
		r.p50, r.p99 = quantile(all, 0.5), quantile(all, 0.99)
		r.cpu = cpu / time.Duration(r.writes)
	}
	return r, nil
}

// quantile returns the value that a share of sorted is not above.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// processTime is the processor time of this process so far.
func processTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// counted counts the writes that were acknowledged.
type counted struct {
	writer
	n atomic.Int64
}

// Write implements writer.
func (c *counted) Write(ctx context.Context, data []byte) error {
	err := c.writer.Write(ctx, data)
	if err == nil {
		c.n.Add(1)
	}
	return err
}
