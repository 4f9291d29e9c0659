package pebblestore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// Storage is the log of one group: a raft.Storage with the writes of
// rafttest.Storage. It is safe for concurrent use; writes are made one after the
// other.
type Storage struct {
	e   *Engine
	log grouplog.Group[grouplog.State, *grouplog.State]
}

var (
	_ raft.Storage          = (*Storage)(nil)
	_ raft.ConfEntryIndexer = (*Storage)(nil)
)

func newStorage(e *Engine, id uint64, st grouplog.State) *Storage {
	s := &Storage{e: e}
	s.log.Init(&e.shared, id, st)
	return s
}

// ID returns the group's ID.
func (s *Storage) ID() uint64 { return s.log.ID }

// Engine returns the Engine that the group is on.
func (s *Storage) Engine() *Engine { return s.e }

// InitialState implements raft.Storage. The configuration has an index: that of a
// snapshot, where it came in one and had none.
func (s *Storage) InitialState() (pb.HardState, pb.ConfState, error) { return s.log.InitialState() }

// Term implements raft.Storage, from memory.
func (s *Storage) Term(i uint64) (uint64, error) { return s.log.Term(i) }

// LastIndex implements raft.Storage, from memory.
func (s *Storage) LastIndex() (uint64, error) { return s.log.LastIndex() }

// FirstIndex implements raft.Storage, from memory.
func (s *Storage) FirstIndex() (uint64, error) { return s.log.FirstIndex() }

// ConfEntryIndexes implements raft.ConfEntryIndexer, from memory.
func (s *Storage) ConfEntryIndexes(lo, hi uint64) ([]uint64, error) {
	return s.log.ConfEntryIndexes(lo, hi)
}

// Entries implements raft.Storage. It reads from the disk what the cache does not
// hold, and of that no more than fits.
func (s *Storage) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	return s.log.Entries(lo, hi, maxSize, s.readEntries)
}

// maxReserved bounds the space that is reserved for entries before it is known
// how many of them fit.
const maxReserved = 1024

// readEntries reads the entries [lo, hi), as many as fit but at least one, and
// returns their size.
func (s *Storage) readEntries(st grouplog.State, lo, hi, maxSize uint64) (ents []pb.Entry, size uint64, err error) {
	next := key{s.log.ID, kindEntry, lo}
	it, err := s.e.db.NewIter(&pebble.IterOptions{
		LowerBound: next.bytes(),
		UpperBound: key{s.log.ID, kindEntry, hi}.bytes(),
	})
	if err != nil {
		return nil, 0, readError(next, err)
	}
	defer it.Close()
	ents = make([]pb.Entry, 0, min(hi-lo, maxReserved))
	run := st.Run(lo)
	for ok := it.First(); ok; ok = it.Next() {
		// The length of a value is known before the value is fetched, which may
		// lie elsewhere.
		value := it.LazyValue()
		one := uint64(max(0, value.Len()-crcLen))
		if size+one > maxSize && len(ents) > 0 {
			return ents, size, nil
		}
		e, err := readEntry(s.log.ID, it)
		if err != nil {
			return nil, 0, err
		}
		if e.Index != next.index {
			break
		}
		for run+1 < len(st.Runs) && st.Runs[run+1].Start <= e.Index {
			run++
		}
		if want := st.Runs[run].Term; e.Term != want {
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
	err := s.log.Read(func() (err error) {
		snap, err = s.snapshot()
		return err
	})
	return snap, err
}

func (s *Storage) snapshot() (snap pb.Snapshot, err error) {
	st, err := s.log.Look()
	if err != nil || st.Snap == 0 {
		return snap, err
	}
	k := key{group: s.log.ID, kind: kindSnapshot}
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
	if err == nil && snap.Metadata.Index < st.Snap {
		err = fmt.Errorf("%w: it ends at %d, the newest at %d", errOrder, snap.Metadata.Index, st.Snap)
	}
	if err != nil {
		return pb.Snapshot{}, corruptRecord(k, err)
	}
	return snap, nil
}

// Verify reads all of the group from the disk and returns the first damage that
// it finds, a CorruptionError. It may take long; reads and writes go on meanwhile.
func (s *Storage) Verify() error {
	if err := s.log.VerifyEntries(s.readEntries); err != nil {
		return err
	}
	if _, err := s.Snapshot(); err != nil {
		return err
	}
	return s.log.Read(s.verifyRecords)
}

// verifyRecords compares what the disk has of the state with what is known of it.
func (s *Storage) verifyRecords() error {
	st, err := s.log.Look()
	if err != nil {
		return err
	}
	stored, err := s.e.load(s.log.ID)
	if err != nil {
		return err
	}
	return compare(s.log.ID, &stored, &st)
}
