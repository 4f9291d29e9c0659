package load

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// writers write in a closed loop, each one write after the other.
type writers struct {
	cluster Cluster
	size    int
	acked   atomic.Int64 // also before and after what is measured
	serial  atomic.Uint64
}

// run has n writers write from now to end, and returns how long the writes took that were acknowledged after begin and
// before end, in order of that.
func (w *writers) run(ctx context.Context, n int, begin, end time.Time) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	latencies := make([][]time.Duration, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var err error
			if latencies[i], err = w.loop(ctx, begin, end); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	// The first error ended the others.
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	return all, nil
}

func (w *writers) loop(ctx context.Context, begin, end time.Time) (latencies []time.Duration, err error) {
	for before := time.Now(); before.Before(end); {
		// A library may keep what it is given, so each write has bytes of its own, in all libraries.
		data := make([]byte, w.size)
		binary.LittleEndian.PutUint64(data, w.serial.Add(1))
		if err := w.cluster.Write(ctx, data); err != nil {
			return nil, err
		}
		w.acked.Add(1)
		after := time.Now()
		if after.After(begin) && after.Before(end) {
			latencies = append(latencies, after.Sub(before))
		}
		before = after
	}
	return latencies, nil
}

// quantile returns the value that a share of sorted is not above, and 0 of none.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
