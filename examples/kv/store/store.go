package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/storage/pebblestore/diskguard"
)

// Store is the state of one replica of the key-value server, on disk. Apply, View
// and Restore are called by one goroutine at a time, which package replica does;
// everything else may be called at any time, concurrently.
type Store struct {
	o       Options
	dir     string
	db      *pebble.DB
	guard   *diskguard.FS
	lock    *pebble.Lock
	owner   identity
	history *history
	applied atomic.Uint64

	// mu is held for reading by what uses db or generation for a short time. Close
	// and the switch to a restored state hold it for writing.
	mu         sync.RWMutex
	generation uint64
	closed     bool

	// streams is held for reading while a View is written. Close waits for that.
	streams sync.RWMutex
	viewsMu sync.Mutex
	views   map[*view]struct{}

	// What follows belongs to the goroutine that applies.

	clients *clientTable
	members members
	work    applyWork
}

var _ replica.Durable = (*Store)(nil)

// Applied returns the index of the last command that the state holds, or that of
// the last Restore. See replica.Durable.
func (s *Store) Applied() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return 0, err
	}
	return s.applied.Load(), nil
}

// Sync makes everything that was applied and restored durable. It does not keep
// Apply from going on.
func (s *Store) Sync() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return err
	}
	// Pebble's log is written in order, so this record is not durable before all that
	// was committed before it. What is not in the log any more is in files that were
	// synced.
	return s.sync()
}

func (s *Store) sync() error {
	return s.write("sync", func() error { return s.db.LogData(nil, pebble.Sync) })
}

// Close makes everything durable and closes the Store. It waits for reads and for
// Views that are being written; other Views, and calls of Watch, end with
// ErrClosed. Where a write failed before, it returns that, and frees the directory all
// the same. A second Close does nothing.
func (s *Store) Close() error {
	s.history.close()
	s.streams.Lock()
	defer s.streams.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	errs := []error{s.sync()}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	for v := range s.views {
		errs = append(errs, v.snapshot.Close())
	}
	clear(s.views)
	errs = append(errs, s.closePebble())
	if err := s.failure(); err != nil {
		return err
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("store: closing: %w", err)
	}
	return nil
}
