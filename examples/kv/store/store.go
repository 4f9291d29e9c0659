package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-raft/raft/replica"
)

// Store is the state of one replica of the key-value server, on disk. Apply, View
// and Restore are called by one goroutine at a time, which package replica does;
// everything else may be called at any time, concurrently.
type Store struct {
	o       Options
	db      *pebble.DB
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
	// failed is set by an Apply that ended halfway: clients are then ahead of db.
	failed error
	work   applyWork
}

var _ replica.Durable = (*Store)(nil)

// Open opens the directory, which is created if it is missing. Nil options are the
// default. The error is an ErrFormat if something else is in the directory.
func Open(dir string, o *Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Store{o: o.withDefaults(), views: map[*view]struct{}{}}
	if err := makeDirectory(s.o.FS, dir); err != nil {
		return nil, fmt.Errorf("store: creating %s: %w", dir, err)
	}
	db, err := pebble.Open(dir, s.o.pebbleOptions())
	if err != nil {
		return nil, fmt.Errorf("store: opening %s: %w", dir, err)
	}
	s.db = db
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("store: opening %s: %w", dir, err), db.Close())
	}
	return s, nil
}

// makeDirectory creates dir so that it is there after a crash: all directories on
// the way that did not exist are synced into their parents. The ones that did may
// be of a process that ended before it came to that.
func makeDirectory(fs vfs.FS, dir string) error {
	missing := map[string]bool{}
	var path []string
	for at := dir; ; at = fs.PathDir(at) {
		_, err := fs.Stat(at)
		missing[at] = err != nil
		if fs.PathDir(at) == at {
			break
		}
		path = append(path, at)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, at := range path {
		// What was there before need not be ours to sync.
		if err := syncDirectory(fs, fs.PathDir(at)); err != nil && missing[at] {
			return err
		}
	}
	return nil
}

func syncDirectory(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load reads what is kept in memory, and removes what a crash in the middle of a
// Restore left.
func (s *Store) load() error {
	m, err := s.readMeta()
	if err != nil {
		return err
	}
	s.generation = m.generation
	s.applied.Store(m.applied)
	s.history = newHistory(s.o.HistoryEvents, s.o.HistoryBytes, m.applied)
	if err := s.dropOthers(); err != nil {
		return err
	}
	clients, err := s.readClients()
	if err != nil {
		return err
	}
	s.clients, err = newClientTable(s.o.maxClients, clients)
	return err
}

func (s *Store) readMeta() (m meta, err error) {
	record, done, err := s.db.Get(metaKey)
	switch {
	case err == nil:
		defer done.Close()
		return parseMeta(record)
	case !errors.Is(err, pebble.ErrNotFound):
		return m, err
	}
	// A new directory, or one whose first batch was lost in a crash.
	other, err := s.holds(nil, []byte{generationByte})
	if err == nil && !other {
		other, err = s.holds([]byte{generationByte + 1}, nil)
	}
	if err == nil && other {
		err = fmt.Errorf("%w: there is no record of the state", ErrFormat)
	}
	return m, err
}

// holds says whether there is a key from lower on and before upper.
func (s *Store) holds(lower, upper []byte) (found bool, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return false, err
	}
	found = it.First()
	return found, it.Close()
}

// dropOthers removes all generations that are not the state.
func (s *Store) dropOthers() error {
	ranges := [][2][]byte{
		{{generationByte}, generationPrefix(s.generation)},
		{generationPrefix(s.generation + 1), {generationByte + 1}},
	}
	for _, r := range ranges {
		found, err := s.holds(r[0], r[1])
		if err == nil && found {
			err = s.db.DeleteRange(r[0], r[1], pebble.NoSync)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) readClients() (clients []*client, err error) {
	prefix := generationPrefix(s.generation)
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: append(prefix, clientRecord),
		UpperBound: append(generationPrefix(s.generation), clientRecord+1),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for valid := it.First(); valid; valid = it.Next() {
		c, err := parseClient(it.Key()[prefixLen+1:], it.Value())
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// Applied returns the index of the last command that the state holds, or that of
// the last Restore. See replica.Durable.
func (s *Store) Applied() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0, ErrClosed
	}
	return s.applied.Load(), nil
}

// Sync makes everything that was applied and restored durable. It does not keep
// Apply from going on.
func (s *Store) Sync() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	// Pebble's log is written in order, so this record is not durable before all that
	// was committed before it. What is not in the log any more is in files that were
	// synced.
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("store: sync: %w", err)
	}
	return nil
}

// Close makes everything durable and closes the Store. It waits for reads and for
// Views that are being written; other Views, and calls of Watch, end with
// ErrClosed. A second Close does nothing.
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
	errs := []error{s.db.LogData(nil, pebble.Sync)}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	for v := range s.views {
		errs = append(errs, v.snapshot.Close())
	}
	clear(s.views)
	errs = append(errs, s.db.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("store: closing: %w", err)
	}
	return nil
}
