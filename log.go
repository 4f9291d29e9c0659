package raft

import (
	"errors"
	"fmt"
	"math"
	"sort"

	pb "github.com/quorate-raft/raft/raftpb"
)

const noLimit = math.MaxUint64

// raftLog is the node's view of its log: what Storage holds followed by what
// is in memory, and the cursors into it:
//
//	applied ≤ applying ≤ committed ≤ last
//	durable ≤ submitted ≤ last
//	applying ≤ durable
//
// While a received snapshot is not durable, durable, submitted and applying
// may lie before it and the log begins after it.
type raftLog struct {
	storage Storage
	unstable

	last  entryID
	terms termRuns
	// confs holds the indexes of configuration entries in (applied, last],
	// ascending.
	confs []uint64

	committed uint64
	applying  uint64 // handed out to be applied
	applied   uint64
	submitted uint64 // handed out to be persisted; durable is in unstable
	// savedCommit is the commit index that is durable.
	savedCommit uint64

	// snapshotHandedOut says that the unstable snapshot is in a Ready.
	snapshotHandedOut bool
	// restoring is the index of a durable snapshot that the host has not
	// applied yet, else 0.
	restoring uint64

	// maxApplying bounds the bytes that are handed out to be applied; of each
	// part of them beingApplied has the end and the size. noLimit: not counted.
	maxApplying   uint64
	beingApplied  []appliedPart
	applyingBytes uint64

	// writes are the Readys that are not acknowledged yet.
	writes batchQueue
}

func newLog(storage Storage, hs pb.HardState, applied uint64) (*raftLog, error) {
	first, err := storage.FirstIndex()
	if err != nil {
		return nil, &StorageError{"first index", err}
	}
	last, err := storage.LastIndex()
	if err != nil {
		return nil, &StorageError{"last index", err}
	}
	if first == 0 || last > maxStoredIndex || last+1 < first {
		return nil, &StorageError{"log bounds", fmt.Errorf("first index %d and last index %d", first, last)}
	}
	term, err := storage.Term(last)
	if err != nil {
		return nil, &StorageError{fmt.Sprintf("term of entry %d", last), err}
	}
	base := first - 1
	if applied == 0 {
		applied = base
	}
	if applied < base {
		return nil, fmt.Errorf("%w: Applied (%d) is before the snapshot in Storage (%d)", ErrInvalidConfig, applied, base)
	}
	if applied > last {
		return nil, fmt.Errorf("%w: Applied (%d) is past the last index in Storage (%d)", ErrInvalidConfig, applied, last)
	}
	if hs.Commit > last {
		return nil, &StorageError{"hard state", fmt.Errorf("commit %d is past the last index %d: log entries were lost", hs.Commit, last)}
	}
	if term > hs.Term && (hs.Term != 0 || last > first-1) {
		return nil, &StorageError{"hard state", fmt.Errorf("term %d is before the term %d of the last entry: hard state was lost", hs.Term, term)}
	}
	l := &raftLog{
		storage: storage, last: entryID{term, last},
		committed: max(hs.Commit, applied), applying: applied, applied: applied,
		submitted: last, maxApplying: noLimit,
	}
	l.durable = last
	l.savedCommit = l.committed
	l.offset = last + 1
	l.terms.reset(l.last)
	if l.confs, err = l.scanConfs(applied+1, last+1); err != nil {
		return nil, err
	}
	return l, nil
}

// scanConfs finds the configuration entries in [lo, hi) of Storage.
func (l *raftLog) scanConfs(lo, hi uint64) ([]uint64, error) {
	if lo >= hi {
		return nil, nil
	}
	if ix, ok := l.storage.(ConfEntryIndexer); ok {
		found, err := ix.ConfEntryIndexes(lo, hi)
		if err != nil {
			return nil, &StorageError{"configuration entries", err}
		}
		prev := lo - 1
		for _, i := range found {
			if i <= prev || i >= hi {
				return nil, &StorageError{"configuration entries", fmt.Errorf("indexes %v in [%d, %d)", found, lo, hi)}
			}
			prev = i
		}
		return found, nil
	}
	var found []uint64
	const page = 1 << 20 // bytes
	for lo < hi {
		ents, err := l.storage.Entries(lo, hi, page)
		if err == nil {
			err = l.checkRead(ents, lo, hi)
		}
		if err != nil {
			return nil, &StorageError{fmt.Sprintf("entries [%d, %d)", lo, hi), err}
		}
		for i := range ents {
			if isConfEntry(ents[i].Type) {
				found = append(found, ents[i].Index)
			}
		}
		lo += uint64(len(ents))
	}
	return found, nil
}

func (l *raftLog) firstIndex() (uint64, error) {
	if l.snapshot != nil {
		return l.snapshot.Metadata.Index + 1, nil
	}
	first, err := l.storage.FirstIndex()
	if err != nil {
		return 0, &StorageError{"first index", err}
	}
	return first, nil
}

// term returns the term of entry i: ErrCompacted before the log's start,
// ErrUnavailable past its end, a StorageError when Storage fails.
func (l *raftLog) term(i uint64) (uint64, error) {
	if i == l.last.index { // mostly
		return l.last.term, nil
	}
	return l.earlierTerm(i)
}

func (l *raftLog) earlierTerm(i uint64) (uint64, error) {
	switch {
	case i > l.last.index:
		return 0, ErrUnavailable
	case l.terms.covers(i):
		return l.terms.run(i).term, nil
	case i >= l.first():
		// Storage may hold nothing there, or what was replaced.
		return l.unstable.term(i), nil
	case l.snapshot != nil && i == l.snapshot.Metadata.Index:
		return l.snapshot.Metadata.Term, nil
	case l.snapshot != nil:
		// Storage still holds what the snapshot replaces.
		return 0, ErrCompacted
	}
	t, err := l.storage.Term(i)
	if err == nil || errors.Is(err, ErrCompacted) {
		return t, err
	}
	return 0, &StorageError{fmt.Sprintf("term of entry %d", i), err}
}

// matches reports whether the log holds the entry. A compacted one is unknown
// and does not match.
func (l *raftLog) matches(id entryID) (bool, error) {
	t, err := l.term(id.index)
	if err == nil {
		return t == id.term, nil
	}
	if errors.Is(err, ErrStorage) {
		return false, err
	}
	return false, nil
}

// isUpToDate reports whether a log that ends with id holds at least what this
// one holds (Raft §5.4.1).
func (l *raftLog) isUpToDate(id entryID) bool {
	return id.term > l.last.term || (id.term == l.last.term && id.index >= l.last.index)
}

// agreement returns the last index ≤ index whose term is ≤ term, and its term:
// the latest place where this log can agree with one whose entry at index has
// the given term (Raft §5.3, skipping whole terms). Terms never decrease along
// a log, so it is found by halving. The term is 0 where it is unknown.
func (l *raftLog) agreement(index, term uint64) (uint64, uint64, error) {
	index = min(index, l.last.index)
	if t, err := l.term(index); err != nil {
		return l.unlessFault(index, err)
	} else if t <= term {
		return index, t, nil
	}
	first, err := l.firstIndex()
	if err != nil {
		return 0, 0, err
	}
	lo := first - 1 // the earliest entry whose term is known
	if index < lo {
		return index, 0, nil
	}
	var fault error
	n := sort.Search(int(index-lo), func(i int) bool {
		t, err := l.term(lo + uint64(i))
		if err != nil && fault == nil {
			fault = err
		}
		return err != nil || t > term
	})
	if fault != nil {
		return l.unlessFault(lo, fault)
	}
	if n == 0 {
		if lo == 0 {
			return 0, 0, nil
		}
		return lo - 1, 0, nil
	}
	at := lo + uint64(n) - 1
	t, err := l.term(at)
	if err != nil {
		return l.unlessFault(at, err)
	}
	return at, t, nil
}

func (l *raftLog) unlessFault(index uint64, err error) (uint64, uint64, error) {
	if errors.Is(err, ErrStorage) {
		return 0, 0, err
	}
	return index, 0, nil
}

// slice returns entries from lo on, at most to hi (exclusive) and within
// maxSize bytes, at least one. It stops where what Storage surely holds, or an array in
// memory, ends rather than copying them together. ErrCompacted if lo is gone.
func (l *raftLog) slice(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	if lo >= hi {
		return nil, nil
	}
	if hi > l.last.index+1 {
		panic(fmt.Sprintf("raft: slice [%d, %d) of a log that ends at %d", lo, hi, l.last.index))
	}
	if lo >= l.first() {
		return l.unstable.slice(lo, hi, maxSize), nil
	}
	if l.snapshot != nil {
		return nil, ErrCompacted
	}
	hi = min(hi, l.durable+1)
	ents, err := l.storage.Entries(lo, hi, maxSize)
	if err == nil {
		if err = l.checkRead(ents, lo, hi); err == nil {
			return ents, nil
		}
	} else if errors.Is(err, ErrCompacted) {
		return nil, ErrCompacted
	}
	return nil, &StorageError{fmt.Sprintf("entries [%d, %d)", lo, hi), err}
}

// append adds entries that continue the log. Of many it keeps the array, see unstable.push.
func (l *raftLog) append(ents []pb.Entry) {
	if len(ents) == 0 {
		return
	}
	if ents[0].Index != l.last.index+1 {
		panic(fmt.Sprintf("raft: append of entry %d to a log that ends at %d", ents[0].Index, l.last.index))
	}
	term := l.last.term
	for i := range ents {
		e := &ents[i]
		if e.Term != term {
			term = e.Term
			l.terms.push(entryID{e.Term, e.Index})
		}
		if isConfEntry(e.Type) {
			l.confs = append(l.confs, e.Index)
		}
	}
	l.push(ents)
	l.last = entryID{term, ents[len(ents)-1].Index}
}

// conflict returns the first of ents, which continue an entry that matches,
// that this log does not hold; and whether the log holds another in its place.
// It returns len(ents) if all are there.
func (l *raftLog) conflict(ents []pb.Entry) (n int, differs bool, err error) {
	for i := range ents {
		id := entryID{ents[i].Term, ents[i].Index}
		if id.index > l.last.index {
			return i, false, nil
		}
		ok, err := l.matches(id)
		if err != nil {
			return 0, false, err
		}
		if !ok {
			return i, true, nil
		}
	}
	return len(ents), false, nil
}

// truncate removes the entries from index on: a new leader replaces them
// (Raft §5.3). before is the entry that then is the last. What was written of
// them no longer counts as durable, whatever is acknowledged later.
func (l *raftLog) truncate(before entryID) {
	if before.index < l.committed {
		panic(fmt.Sprintf("raft: truncation after %d of a log committed to %d", before.index, l.committed))
	}
	if before.index+1 >= l.offset {
		l.unstable.truncate(before.index + 1)
	} else {
		l.unstable.restart(before.index)
	}
	l.last = before
	l.terms.truncate(before)
	for len(l.confs) > 0 && l.confs[len(l.confs)-1] > before.index {
		l.confs = l.confs[:len(l.confs)-1]
	}
	l.lowerDurable(before.index)
	l.check()
}

// commitTo moves the commit index forward to index, if that is ahead.
func (l *raftLog) commitTo(index uint64) bool {
	if index <= l.committed {
		return false
	}
	if index > l.last.index {
		panic(fmt.Sprintf("raft: commit %d is past the last index %d", index, l.last.index))
	}
	l.committed = index
	return true
}

// restore replaces the log by a snapshot that is ahead of the commit index.
func (l *raftLog) restore(snap *pb.Snapshot) {
	meta := &snap.Metadata
	if meta.Index <= l.committed {
		panic(fmt.Sprintf("raft: snapshot at %d restored over commit %d", meta.Index, l.committed))
	}
	// What is committed stays true; what came after it is void.
	l.lowerDurable(l.committed)
	l.snapshot = snap
	l.snapshotHandedOut = false
	l.unstable.restart(meta.Index)
	l.last = entryID{meta.Term, meta.Index}
	l.terms.reset(l.last)
	l.confs = l.confs[:0]
	l.committed = meta.Index
	l.check()
}

// applicable returns the end (inclusive) of what may be handed out to apply:
// committed, durable here, and not behind a snapshot that the host has yet to
// restore.
func (l *raftLog) applicable() uint64 {
	if l.snapshot != nil || l.restoring != 0 {
		return l.applying
	}
	return min(l.committed, l.durable)
}

// mayApply reports whether there is something to hand out to apply, and room.
func (l *raftLog) mayApply() bool {
	return l.applicable() > l.applying && l.applyingBytes < l.maxApplying
}

// nextCommitted returns the next entries to apply, within maxSize bytes and the
// room that there is.
func (l *raftLog) nextCommitted(maxSize uint64) ([]pb.Entry, error) {
	if !l.mayApply() {
		return nil, nil
	}
	hi := l.applicable()
	if first := l.first(); l.applying+1 < first {
		hi = min(hi, first-1) // the others need not be read, they are in memory
	}
	ents, err := l.slice(l.applying+1, hi+1, min(maxSize, l.maxApplying-l.applyingBytes))
	if err != nil && errors.Is(err, ErrCompacted) {
		err = &StorageError{fmt.Sprintf("entry %d", l.applying+1), errors.New("compacted before it was applied")}
	}
	return ents, err
}

// unappliedConf returns the index of the first configuration entry that is not
// applied, and whether there is one at or below limit.
func (l *raftLog) unappliedConf(limit uint64) (uint64, bool) {
	if len(l.confs) > 0 && l.confs[0] <= limit {
		return l.confs[0], true
	}
	return 0, false
}

// confIn reports whether a configuration entry lies in (lo, hi].
func (l *raftLog) confIn(lo, hi uint64) bool {
	for _, i := range l.confs {
		if i > lo && i <= hi {
			return true
		}
	}
	return false
}
