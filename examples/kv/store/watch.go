package store

import (
	"bytes"
	"context"
	"sort"
	"sync"
)

// Event is a change of a key. Its bytes must not be changed.
type Event struct {
	Key, Value []byte
	// Revision is the log index of the command that made the change.
	Revision uint64
	// Deleted says that the key was removed.
	Deleted bool
}

// Changes are what happened to a range of keys, in order.
type Changes struct {
	Events []Event
	// Through is the revision that they go up to: the one to watch from next.
	Through uint64
}

// Watch waits until keys from from on and before to change after the revision
// since, and returns these changes, some MiB of them at most. No to is no end.
// Called again with Through, it misses nothing and tells nothing twice. A client
// begins with the Revision of a Page.
//
// What is told is in the state, also for Get. When ctx ends, the error is that of
// ctx, and Through tells how far there was nothing. The history is bounded, in
// memory, and of this server: it begins anew when the Store is opened or restored.
// Where since is before it, the error is a CompactedError.
func (s *Store) Watch(ctx context.Context, from, to []byte, since uint64) (Changes, error) {
	seen := since
	for {
		changes, more, err := s.history.after(from, to, seen, since)
		if err == nil {
			if err := s.failure(); err != nil {
				return Changes{Through: seen}, err
			}
		}
		if err != nil || len(changes.Events) > 0 {
			return changes, err
		}
		seen = changes.Through
		select {
		case <-more:
		case <-ctx.Done():
			return changes, ctx.Err()
		}
	}
}

// history holds the newest changes.
type history struct {
	maxEvents, maxBytes int

	mu     sync.Mutex
	closed bool
	// events are those with a revision in (from, through], by revision.
	events        []Event
	bytes         int
	from, through uint64
	// more is closed when there is more, if anybody waits.
	more chan struct{}
}

func newHistory(maxEvents, maxBytes int, index uint64) *history {
	return &history{maxEvents: maxEvents, maxBytes: maxBytes, from: index, through: index}
}

func (e *Event) size() int { return len(e.Key) + len(e.Value) }

// add takes the changes up to index.
func (h *history) add(index uint64, events []Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.through = index
	if len(events) == 0 {
		return
	}
	h.events = append(h.events, events...)
	for i := range events {
		h.bytes += events[i].size()
	}
	drop := 0
	for ; drop < len(h.events) && (len(h.events)-drop > h.maxEvents || h.bytes > h.maxBytes); drop++ {
		h.bytes -= h.events[drop].size()
		h.from = h.events[drop].Revision
	}
	clear(h.events[:drop]) // append makes a new array in time, until then they hold nothing
	h.events = h.events[drop:]
	h.wakeLocked()
}

// reset begins anew at index.
func (h *history) reset(index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events, h.bytes, h.from, h.through = nil, 0, index, index
	h.wakeLocked()
}

func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.wakeLocked()
}

func (h *history) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wakeLocked()
}

func (h *history) wakeLocked() {
	if h.more != nil {
		close(h.more)
		h.more = nil
	}
}

// after returns the changes after seen, or, if there are none, what to wait for.
// since is what a watcher that has seen nothing yet asked for.
func (h *history) after(from, to []byte, seen, since uint64) (Changes, <-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changes := Changes{Through: max(seen, h.through)}
	if h.closed {
		return Changes{Through: seen}, nil, ErrClosed
	}
	if seen < h.from {
		return Changes{Through: seen}, nil, &CompactedError{Since: since, From: h.from}
	}
	first := sort.Search(len(h.events), func(i int) bool { return h.events[i].Revision > seen })
	size := 0
	for _, e := range h.events[first:] {
		if bytes.Compare(e.Key, from) < 0 || len(to) > 0 && bytes.Compare(e.Key, to) >= 0 {
			continue
		}
		if size >= maxPageBytes {
			changes.Through = changes.Events[len(changes.Events)-1].Revision
			break
		}
		size += e.size() + 32
		changes.Events = append(changes.Events, e)
	}
	if h.more == nil {
		h.more = make(chan struct{})
	}
	return changes, h.more, nil
}
