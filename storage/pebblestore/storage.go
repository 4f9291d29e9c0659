package pebblestore

import (
	"container/list"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Storage is the log of one group: a raft.Storage with the writes of
// rafttest.Storage. It is safe for concurrent use; writes are made one after the
// other.
type Storage struct {
	e     *Engine
	group uint64

	// write is held by a write until it is visible.
	write sync.Mutex

	// mu protects the rest, for moments; nothing waits for the disk under it.
	mu     sync.RWMutex
	state  logState
	recent recent
	gone   bool

	// cached is the place among the groups with cached entries, the cache's.
	cached *list.Element
}

var (
	_ raft.Storage          = (*Storage)(nil)
	_ raft.ConfEntryIndexer = (*Storage)(nil)
)

// ID returns the group's ID.
func (s *Storage) ID() uint64 { return s.group }

// Engine returns the Engine that the group is on.
func (s *Storage) Engine() *Engine { return s.e }

// view returns the state for a look at it.
func (s *Storage) view() (logState, error) {
	if err := s.e.acquire(); err != nil {
		return logState{}, err
	}
	defer s.e.release()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.gone {
		return logState{}, ErrDestroyed
	}
	return s.state, nil
}

// InitialState implements raft.Storage. The configuration has an index: that of a
// snapshot, where it came in one and had none.
func (s *Storage) InitialState() (pb.HardState, pb.ConfState, error) {
	st, err := s.view()
	if err != nil {
		return pb.HardState{}, pb.ConfState{}, err
	}
	cs := cloneConf(st.conf)
	cs.Index = st.confAt
	return st.hard, cs, nil
}

// Term implements raft.Storage, from memory.
func (s *Storage) Term(i uint64) (uint64, error) {
	st, err := s.view()
	if err == nil {
		err = st.checkTerm(i)
	}
	if err != nil {
		return 0, err
	}
	return st.term(i), nil
}

// LastIndex implements raft.Storage, from memory.
func (s *Storage) LastIndex() (uint64, error) {
	st, err := s.view()
	return st.last, err
}

// FirstIndex implements raft.Storage, from memory.
func (s *Storage) FirstIndex() (uint64, error) {
	st, err := s.view()
	if err != nil {
		return 0, err
	}
	return st.base.index + 1, nil
}

// ConfEntryIndexes implements raft.ConfEntryIndexer, from memory.
func (s *Storage) ConfEntryIndexes(lo, hi uint64) ([]uint64, error) {
	st, err := s.view()
	if err != nil {
		return nil, err
	}
	a, _ := slices.BinarySearch(st.changes, lo)
	b, _ := slices.BinarySearch(st.changes, hi)
	if a >= b {
		return nil, nil
	}
	return slices.Clone(st.changes[a:b]), nil
}

// Entries implements raft.Storage. It reads from the disk what the cache does not
// hold, and of that no more than fits.
func (s *Storage) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	var ents []pb.Entry
	err := s.read(func() (err error) {
		ents, err = s.entries(lo, hi, maxSize)
		return err
	})
	return ents, err
}

// read makes a read of the disk. If it fails, what is on the disk did not agree
// with what is known of it: it is corrupt, or a write came in between. So it is
// made again without writes, when there is only one answer.
func (s *Storage) read(read func() error) error {
	if err := s.e.acquire(); err != nil {
		return err
	}
	defer s.e.release()
	err := read()
	if err == nil || isAnswer(err) {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	return s.e.blame(read())
}

// isAnswer reports whether err is an answer of its own, not a fault.
func isAnswer(err error) bool {
	return errors.Is(err, raft.ErrCompacted) || errors.Is(err, raft.ErrUnavailable) || errors.Is(err, ErrDestroyed)
}

func (s *Storage) entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	st, cached, err := s.look(lo, hi)
	if err != nil {
		return nil, err
	}
	end := hi - uint64(len(cached))
	if lo == end {
		n, _ := fitting(cached, maxSize, true)
		return cached[:n:n], nil
	}
	ents, size, err := s.readEntries(&st, lo, end, maxSize)
	if err != nil || uint64(len(ents)) < end-lo {
		return ents, err
	}
	n, _ := fitting(cached, maxSize-min(size, maxSize), false)
	return append(ents, cached[:n]...), nil
}

// look returns the state and what is cached of the entries [lo, hi), or why they
// are not in the log.
func (s *Storage) look(lo, hi uint64) (logState, []pb.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.gone {
		return logState{}, nil, ErrDestroyed
	}
	if err := s.state.checkRange(lo, hi); err != nil {
		return logState{}, nil, err
	}
	return s.state, s.recent.from(lo, hi), nil
}

// fitting returns how many of ents fit into maxSize, and their size. The first
// one fits if it must.
func fitting(ents []pb.Entry, maxSize uint64, must bool) (n int, size uint64) {
	for i := range ents {
		one := uint64(ents[i].Size())
		if size+one > maxSize && (i > 0 || !must) {
			return i, size
		}
		size += one
	}
	return len(ents), size
}

// maxReserved bounds the space that is reserved for entries before it is known
// how many of them fit.
const maxReserved = 1024

// readEntries reads the entries [lo, hi), as many as fit but at least one, and
// returns their size.
func (s *Storage) readEntries(st *logState, lo, hi, maxSize uint64) (ents []pb.Entry, size uint64, err error) {
	next := key{s.group, kindEntry, lo}
	it, err := s.e.db.NewIter(&pebble.IterOptions{
		LowerBound: next.bytes(),
		UpperBound: key{s.group, kindEntry, hi}.bytes(),
	})
	if err != nil {
		return nil, 0, readError(next, err)
	}
	defer it.Close()
	ents = make([]pb.Entry, 0, min(hi-lo, maxReserved))
	run := st.run(lo)
	for ok := it.First(); ok; ok = it.Next() {
		// The length of a value is known before the value is fetched, which may
		// lie elsewhere.
		value := it.LazyValue()
		one := uint64(max(0, value.Len()-crcLen))
		if size+one > maxSize && len(ents) > 0 {
			return ents, size, nil
		}
		e, err := readEntry(s.group, it)
		if err != nil {
			return nil, 0, err
		}
		if e.Index != next.index {
			break
		}
		for run+1 < len(st.runs) && st.runs[run+1].start <= e.Index {
			run++
		}
		if want := st.runs[run].term; e.Term != want {
			return nil, 0, corruptRecord(next, fmt.Errorf("%w: it is of term %d, the log says %d", errOrder, e.Term, want))
		}
		ents, size = append(ents, e), size+one
		next.index++
	}
	if err := it.Error(); err != nil {
		return nil, 0, readError(next, err)
	}
	if next.index < hi {
		return nil, 0, corruptRecord(next, errMissing)
	}
	return ents, size, nil
}

// Snapshot implements raft.Storage. It reads the data that was given to
// CreateSnapshot, or came in a Ready, from the disk.
func (s *Storage) Snapshot() (pb.Snapshot, error) {
	var snap pb.Snapshot
	err := s.read(func() (err error) {
		snap, err = s.snapshot()
		return err
	})
	return snap, err
}

func (s *Storage) snapshot() (snap pb.Snapshot, err error) {
	s.mu.RLock()
	index, gone := s.state.snap, s.gone
	s.mu.RUnlock()
	if gone {
		return snap, ErrDestroyed
	}
	if index == 0 {
		return snap, nil
	}
	k := key{group: s.group, kind: kindSnapshot}
	value, closer, err := s.e.db.Get(k.bytes())
	if errors.Is(err, pebble.ErrNotFound) {
		return snap, corruptRecord(k, errMissing)
	}
	if err != nil {
		return snap, readError(k, err)
	}
	defer closer.Close()
	payload, err := unseal(k.bytes(), value)
	if err == nil {
		err = snap.Unmarshal(payload)
	}
	if err == nil && snap.Metadata.Index < index {
		err = fmt.Errorf("%w: it ends at %d, the newest at %d", errOrder, snap.Metadata.Index, index)
	}
	if err != nil {
		return pb.Snapshot{}, corruptRecord(k, err)
	}
	return snap, nil
}

// Verify reads all of the group from the disk and returns the first damage that
// it finds, a CorruptionError. It may take long; reads and writes go on meanwhile.
func (s *Storage) Verify() error {
	next := uint64(0)
	for {
		st, err := s.view()
		if err != nil {
			return err
		}
		lo := max(next, st.base.index+1)
		if lo > st.last {
			break
		}
		hi := min(lo+maxReserved, st.last+1)
		err = s.read(func() error { return s.verifyEntries(lo, hi) })
		if err != nil && !isAnswer(err) {
			return err
		} else if err == nil {
			next = hi
		}
	}
	if _, err := s.Snapshot(); err != nil {
		return err
	}
	return s.read(s.verifyRecords)
}

// verifyEntries reads [lo, hi) past the cache.
func (s *Storage) verifyEntries(lo, hi uint64) error {
	st, _, err := s.look(lo, hi)
	if err != nil {
		return err
	}
	_, _, err = s.readEntries(&st, lo, hi, ^uint64(0))
	return err
}

// verifyRecords compares what the disk has of the state with what is known of it.
func (s *Storage) verifyRecords() error {
	s.mu.RLock()
	st, gone := s.state, s.gone
	s.mu.RUnlock()
	if gone {
		return ErrDestroyed
	}
	stored, err := s.e.load(s.group)
	if err != nil {
		return err
	}
	return stored.compare(s.group, &st)
}
