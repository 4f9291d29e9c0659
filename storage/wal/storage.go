package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// Storage is the log of one group: a raft.Storage with the writes of
// rafttest.Storage. It is safe for concurrent use; writes are made one after the
// other.
type Storage struct {
	e   *Engine
	log grouplog.Group[logState, *logState]

	// checkpoint is the position of the newest record of the whole state, 0 while
	// nothing was written. The log's locks protect it as they do its state.
	checkpoint uint64
}

var (
	_ raft.Storage          = (*Storage)(nil)
	_ raft.ConfEntryIndexer = (*Storage)(nil)
)

func newStorage(e *Engine, id uint64, st logState, checkpoint uint64) *Storage {
	s := &Storage{e: e, checkpoint: checkpoint}
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

// readEntries reads the entries [lo, hi), as many as fit but at least one, and
// returns their size.
func (s *Storage) readEntries(st logState, lo, hi, maxSize uint64) (ents []pb.Entry, size uint64, err error) {
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
		if ents, err = s.parseRun(ents, &st, lo, at[:n], buf); err != nil {
			return nil, 0, err
		}
		lo, at = lo+uint64(n), at[n:]
	}
	n, size := grouplog.Fitting(ents, maxSize, true)
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
		err = checkRecord(&rec, s.log.ID, at, kindEntry, kindEntryCopy)
	}
	if err == nil {
		e, err = parseEntry(rec.body)
	}
	if want := st.Term(index); err == nil && (e.Index != index || e.Term != want) {
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
		return fmt.Errorf("wal: reading %s of group %d: %w", what, s.log.ID, err)
	}
	file, offset := s.e.where(at.position)
	return &CorruptionError{Group: s.log.ID, Index: index, Record: what, File: file, Offset: offset, Err: err}
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
	index, at := st.Snap, st.snapAt
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
		err = checkRecord(&rec, s.log.ID, at, kindSnapshot, kindInstall, kindSnapshotCopy)
	}
	if err == nil && snap.Unmarshal(rec.body) != nil {
		err = errMalformed
	}
	if err == nil && snap.Metadata.Index != index {
		err = fmt.Errorf("%w: it ends at %d, the newest at %d", errOrder, snap.Metadata.Index, index)
	}
	return snap, err
}
