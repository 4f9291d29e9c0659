package raft

import (
	"fmt"
	"slices"
	"sync"

	pb "github.com/quorate-raft/raft/raftpb"
)

// MemoryStorage is a Storage in memory, for tests and for state that may be
// lost. It is safe for concurrent use. Entries that it returned stay valid and
// unchanged whatever is written later.
type MemoryStorage struct {
	mu        sync.RWMutex
	hardState pb.HardState
	confState pb.ConfState
	snapshot  pb.Snapshot
	// entries[0] stands for the last entry of the snapshot and has no data;
	// entries[i] has index entries[0].Index+i.
	entries []pb.Entry
	// confs holds the indexes of configuration entries, ascending.
	confs []uint64
}

var (
	_ Storage          = (*MemoryStorage)(nil)
	_ ConfEntryIndexer = (*MemoryStorage)(nil)
)

// NewMemoryStorage returns an empty storage.
func NewMemoryStorage() *MemoryStorage {
	return &MemoryStorage{entries: make([]pb.Entry, 1)}
}

// InitialState implements Storage. The configuration is the one of SetConfState
// where that was called after the last snapshot, else the snapshot's.
func (ms *MemoryStorage) InitialState() (pb.HardState, pb.ConfState, error) {
	ms.mu.RLock()
	defer ms.mu.RUnlock()
	cs := ms.confState
	cs.Index = ms.confIndex()
	return ms.hardState, cs, nil
}

// confIndex is the index that the configuration in place is of. One without an
// index is as of the snapshot.
func (ms *MemoryStorage) confIndex() uint64 {
	if ms.confState.Index == 0 {
		return ms.snapshot.Metadata.Index
	}
	return ms.confState.Index
}

// SetHardState saves st.
func (ms *MemoryStorage) SetHardState(st pb.HardState) error {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.hardState = st
	return nil
}

// SetConfState saves the configuration that ApplyConfChange returned, so that a
// restart needs not find it in the log. One with a lower index than that in
// place is ignored: a snapshot was saved since.
func (ms *MemoryStorage) SetConfState(cs pb.ConfState) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if cs.Index == 0 || cs.Index >= ms.confIndex() {
		ms.confState = cs
	}
}

// Entries implements Storage.
func (ms *MemoryStorage) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	ms.mu.RLock()
	defer ms.mu.RUnlock()
	offset := ms.entries[0].Index
	if lo <= offset {
		return nil, ErrCompacted
	}
	if hi > ms.last()+1 || lo >= hi {
		return nil, ErrUnavailable
	}
	ents := ms.entries[lo-offset : hi-offset]
	n := fitting(ents, maxSize)
	return ents[:n:n], nil
}

// ConfEntryIndexes implements ConfEntryIndexer.
func (ms *MemoryStorage) ConfEntryIndexes(lo, hi uint64) ([]uint64, error) {
	ms.mu.RLock()
	defer ms.mu.RUnlock()
	a, _ := slices.BinarySearch(ms.confs, lo)
	b, _ := slices.BinarySearch(ms.confs, hi)
	if a >= b {
		return nil, nil
	}
	return slices.Clone(ms.confs[a:b]), nil
}

// Term implements Storage.
func (ms *MemoryStorage) Term(i uint64) (uint64, error) {
	ms.mu.RLock()
	defer ms.mu.RUnlock()
	offset := ms.entries[0].Index
	if i < offset {
		return 0, ErrCompacted
	}
	if i > ms.last() {
		return 0, ErrUnavailable
	}
	return ms.entries[i-offset].Term, nil
}

// LastIndex implements Storage.
func (ms *MemoryStorage) LastIndex() (uint64, error) {
	ms.mu.RLock()
	defer ms.mu.RUnlock()
	return ms.last(), nil
}

func (ms *MemoryStorage) last() uint64 { return ms.entries[len(ms.entries)-1].Index }

// FirstIndex implements Storage.
func (ms *MemoryStorage) FirstIndex() (uint64, error) {
	ms.mu.RLock()
	defer ms.mu.RUnlock()
	return ms.entries[0].Index + 1, nil
}

// Snapshot implements Storage.
func (ms *MemoryStorage) Snapshot() (pb.Snapshot, error) {
	ms.mu.RLock()
	defer ms.mu.RUnlock()
	return ms.snapshot, nil
}

// ApplySnapshot replaces the whole log by snap, which came in a Ready. It
// returns ErrSnapOutOfDate and changes nothing if the one in place is newer or
// the same.
func (ms *MemoryStorage) ApplySnapshot(snap pb.Snapshot) error {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if snap.Metadata.Index <= ms.snapshot.Metadata.Index {
		return ErrSnapOutOfDate
	}
	ms.snapshot = snap
	ms.confState = snap.Metadata.ConfState
	ms.confs = nil
	ms.entries = []pb.Entry{{Term: snap.Metadata.Term, Index: snap.Metadata.Index}}
	return nil
}

// CreateSnapshot records a snapshot of the state machine at index i with the
// configuration cs of that index and returns it; a nil cs keeps that of the
// snapshot in place. It compacts nothing. ErrSnapOutOfDate if there is a newer
// one, ErrCompacted if the log begins after i, ErrUnavailable if it ends before.
func (ms *MemoryStorage) CreateSnapshot(i uint64, cs *pb.ConfState, data []byte) (pb.Snapshot, error) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if i <= ms.snapshot.Metadata.Index {
		return pb.Snapshot{}, ErrSnapOutOfDate
	}
	if i < ms.entries[0].Index {
		return pb.Snapshot{}, ErrCompacted
	}
	if i > ms.last() {
		return pb.Snapshot{}, ErrUnavailable
	}
	if cs != nil {
		if cs.Index >= ms.confState.Index || (cs.Index == 0 && i >= ms.confState.Index) {
			ms.confState = *cs
		}
		ms.snapshot.Metadata.ConfState = *cs
	}
	ms.snapshot.Metadata.Index = i
	ms.snapshot.Metadata.Term = ms.entries[i-ms.entries[0].Index].Term
	ms.snapshot.Data = data
	return ms.snapshot, nil
}

// Compact drops the entries up to and including index i. The host makes sure
// that they are applied and in a snapshot. ErrCompacted if they are gone
// already, ErrUnavailable if the log ends before i.
func (ms *MemoryStorage) Compact(i uint64) error {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	offset := ms.entries[0].Index
	if i <= offset {
		return ErrCompacted
	}
	if i > ms.last() {
		return ErrUnavailable
	}
	rest := ms.entries[i-offset:]
	// A new array, so that what was handed out stays as it was and the
	// dropped entries can be freed.
	ents := make([]pb.Entry, len(rest), len(rest)+len(rest)/4)
	copy(ents, rest)
	ents[0] = pb.Entry{Term: rest[0].Term, Index: rest[0].Index}
	ms.entries = ents
	n, _ := slices.BinarySearch(ms.confs, i+1)
	ms.confs = slices.Clone(ms.confs[n:])
	return nil
}

// Append writes entries, contiguous and from a Ready; those in place from the
// first one's index on are replaced. Entries that the snapshot covers are
// skipped. A gap is an error and writes nothing.
func (ms *MemoryStorage) Append(entries []pb.Entry) error {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	offset := ms.entries[0].Index
	for len(entries) > 0 && entries[0].Index <= offset {
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return nil
	}
	first, last := entries[0].Index, ms.last()
	if first > last+1 {
		return fmt.Errorf("raft: append of entries from %d on would leave a gap after %d", first, last)
	}
	if first <= last {
		// Replaced entries may be in somebody's hands: go on in a new array.
		keep := ms.entries[:first-offset]
		ents := make([]pb.Entry, len(keep), len(keep)+len(entries))
		copy(ents, keep)
		ms.entries = ents
		n, _ := slices.BinarySearch(ms.confs, first)
		ms.confs = ms.confs[:n]
	}
	ms.entries = append(ms.entries, entries...)
	for i := range entries {
		if isConfEntry(entries[i].Type) {
			ms.confs = append(ms.confs, entries[i].Index)
		}
	}
	return nil
}
