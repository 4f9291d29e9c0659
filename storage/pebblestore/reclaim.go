package pebblestore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// reclaimBytes is how much deleted data a group may leave on the disk for Pebble
// to come across by itself. Pebble drops what a range deletion covers when it
// rewrites the files, and rewrites when enough is written: where nobody writes,
// any amount would stay.
const reclaimBytes = 1 << 20

// reclaimer has Pebble rewrite what covers much deleted data, some time after the
// deletion.
type reclaimer struct {
	e    *Engine
	stop context.CancelFunc
	done chan struct{}

	mu sync.Mutex
	// spans are the deleted keys by group.
	spans map[uint64]keySpan
}

// keySpan is the keys [start, end).
type keySpan struct{ start, end []byte }

func startReclaimer(e *Engine) *reclaimer {
	ctx, stop := context.WithCancel(context.Background())
	r := &reclaimer{e: e, stop: stop, done: make(chan struct{}), spans: map[uint64]keySpan{}}
	go r.run(ctx)
	return r
}

// close ends it, before db is closed.
func (r *reclaimer) close() {
	r.stop()
	<-r.done
}

// deleted notes that keys of a group were deleted.
func (r *reclaimer) deleted(group uint64, start, end []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, ok := r.spans[group]; ok {
		if bytes.Compare(have.start, start) < 0 {
			start = have.start
		}
		if bytes.Compare(have.end, end) > 0 {
			end = have.end
		}
	}
	r.spans[group] = keySpan{start, end}
}

func (r *reclaimer) run(ctx context.Context) {
	defer close(r.done)
	ticker := time.NewTicker(r.e.o.FreeSpaceDelay)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if r.e.guard.Failure() != nil {
			return
		}
		for group, span := range r.take() {
			r.reclaim(ctx, group, span)
		}
	}
}

func (r *reclaimer) take() map[uint64]keySpan {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.spans
	r.spans = map[uint64]keySpan{}
	return taken
}

// reclaim rewrites what covers the span, if that is worth it; otherwise the span
// waits for more.
func (r *reclaimer) reclaim(ctx context.Context, group uint64, span keySpan) {
	used, err := r.e.db.EstimateDiskUsage(span.start, span.end)
	switch {
	case ctx.Err() != nil || used == 0 && err == nil:
		return
	case err == nil && used < reclaimBytes:
		r.deleted(group, span.start, span.end)
		return
	case err == nil:
		err = r.e.db.Compact(ctx, span.start, span.end, false)
	}
	if err != nil && ctx.Err() == nil {
		// What it means for reads and writes, those find out.
		r.e.o.Logger.Warn("freeing disk space failed", zap.Uint64("group", group), zap.Error(err))
	}
}
