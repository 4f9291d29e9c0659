package wal

import (
	"container/list"
	"errors"
	"fmt"
	"slices"
	"sync"

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

	// mu protects the rest, for moments; nothing waits for the disk under it. What
	// only writes change they read without it.
	mu     sync.RWMutex
	state  logState
	recent recent
	gone   bool
	// checkpoint is the position of the newest record of the whole state, 0 while
	// nothing was written.
	checkpoint uint64

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
// with what is known of it: it is corrupt, or it was moved or dropped in between. So
// it is made again without writes, when there is only one answer.
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

// readEntries reads the entries [lo, hi), as many as fit but at least one, and
// returns their size.
func (s *Storage) readEntries(st *logState, lo, hi, maxSize uint64) (ents []pb.Entry, size uint64, err error) {
	at := st.locations(lo, hi)
	// The data alone is a bound on what fits.
	data := uint64(0)
	for i := range at {
		data += uint64(at[i].size) - min(uint64(at[i].size), entryOverhead)
		if data > maxSize && i > 0 {
			at = at[:i]
			break
		}
	}
	ents = make([]pb.Entry, 0, len(at))
	var buf []byte
	for len(at) > 0 {
		var n int
		if buf, n, err = s.e.readRun(at, buf); err != nil {
			return nil, 0, s.readError(kindEntry, lo, at[0], err)
		}
		if ents, err = s.parseRun(ents, st, lo, at[:n], buf); err != nil {
			return nil, 0, err
		}
		lo, at = lo+uint64(n), at[n:]
	}
	n, size := fitting(ents, maxSize, true)
	return ents[:n:n], size, nil
}

// parseRun appends the entries from index on, which were read into buf.
func (s *Storage) parseRun(ents []pb.Entry, st *logState, index uint64, at []location, buf []byte) ([]pb.Entry, error) {
	data := 0
	for i := range at {
		data += int(at[i].size) - entryOverhead
	}
	kept := make([]byte, 0, max(0, data)) // buf has more in it than the entries, and is used again
	for i := range at {
		e, err := s.entryIn(buf[at[i].position-at[0].position:][:at[i].size], st, index, at[i])
		if err != nil {
			return nil, s.readError(kindEntry, index, at[i], err)
		}
		if len(e.Data) > 0 {
			from := len(kept)
			kept = append(kept, e.Data...)
			e.Data = kept[from:len(kept):len(kept)]
		}
		ents = append(ents, e)
		index++
	}
	return ents, nil
}

// entryIn returns the entry in a record that was read, if it is the one that the log
// has at an index.
func (s *Storage) entryIn(b []byte, st *logState, index uint64, at location) (e pb.Entry, err error) {
	rec, err := parseRecord(b)
	if err == nil {
		err = checkRecord(&rec, s.group, at, kindEntry, kindEntryCopy)
	}
	if err == nil {
		e, err = parseEntry(rec.body)
	}
	if want := st.term(index); err == nil && (e.Index != index || e.Term != want) {
		err = fmt.Errorf("%w: it says to be entry %d of term %d, the log says %d", errOrder, e.Index, e.Term, want)
	}
	return e, err
}

// checkRecord reports a record that is another than what was to be read.
func checkRecord(rec *record, group uint64, at location, kinds ...kind) error {
	switch {
	case uint32(rec.size) != at.size:
		return errMalformed
	case rec.group != group:
		return fmt.Errorf("%w: it is of group %d", errOrder, rec.group)
	case !slices.Contains(kinds, rec.kind):
		return fmt.Errorf("%w: it is a %s", errOrder, rec.kind)
	}
	return nil
}

// readError says what was being read.
func (s *Storage) readError(k kind, index uint64, at location, err error) error {
	what := k.String()
	if k == kindEntry || k == kindEntryCopy {
		what = fmt.Sprintf("entry %d", index)
	}
	if !isDamage(err) {
		return fmt.Errorf("wal: reading %s of group %d: %w", what, s.group, err)
	}
	file, offset := s.e.where(at.position)
	return &CorruptionError{Group: s.group, Index: index, Record: what, File: file, Offset: offset, Err: err}
}

// isDamage reports whether err is about what was read; otherwise nothing was.
func isDamage(err error) bool {
	for _, damage := range []error{errChecksum, errMalformed, errOrder, errMissing} {
		if errors.Is(err, damage) {
			return true
		}
	}
	return false
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
	index, at, gone := s.state.snap, s.state.snapAt, s.gone
	s.mu.RUnlock()
	if gone {
		return snap, ErrDestroyed
	}
	if index == 0 {
		return snap, nil
	}
	buf, _, err := s.e.readRun([]location{at}, nil)
	if err != nil {
		return snap, s.readError(kindSnapshot, 0, at, err)
	}
	if snap, err = s.snapshotIn(buf, index, at); err != nil {
		return pb.Snapshot{}, s.readError(kindSnapshot, 0, at, err)
	}
	return snap, nil
}

// snapshotIn returns the snapshot in a record that was read, if it is that of an index.
func (s *Storage) snapshotIn(b []byte, index uint64, at location) (snap pb.Snapshot, err error) {
	rec, err := parseRecord(b)
	if err == nil {
		err = checkRecord(&rec, s.group, at, kindSnapshot, kindInstall, kindSnapshotCopy)
	}
	if err == nil && snap.Unmarshal(rec.body) != nil {
		err = errMalformed
	}
	if err == nil && snap.Metadata.Index != index {
		err = fmt.Errorf("%w: it ends at %d, the newest at %d", errOrder, snap.Metadata.Index, index)
	}
	return snap, err
}
