package wal

import (
	"slices"
	"sort"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// entryID names an entry.
type entryID struct{ index, term uint64 }

// termRun says that a term begins at an index.
type termRun struct{ start, term uint64 }

// location is where a record is in the log, and its size.
type location struct {
	position uint64
	size     uint32
}

const (
	maxRecord   = 1 << 30
	maxPosition = 1 << 62
)

// logState is what is known of a group in memory. Its slices are only appended
// to, never overwritten, so a copy of the struct is a copy of the state.
type logState struct {
	// base is the entry before the first.
	base entryID
	last uint64
	// runs are where terms begin in (base, last]: the first of them is at
	// base.index+1 unless the log is empty.
	runs []termRun
	// changes are the indexes of configuration entries.
	changes []uint64
	// at is where the entries (base, last] are.
	at   []location
	hard pb.HardState
	conf pb.ConfState
	// confAt is the index that conf counts as being of.
	confAt uint64
	// snap is the snapshot's index, or 0, and snapAt where it is.
	snap   uint64
	snapAt location
	// live is the size of the entries and the snapshot.
	live int64
	// moved says that a position in at may be higher than the one after it.
	moved bool
}

// term returns the term of an index in [base, last].
func (st *logState) term(index uint64) uint64 {
	if index == st.base.index {
		return st.base.term
	}
	run := sort.Search(len(st.runs), func(i int) bool { return st.runs[i].start > index }) - 1
	return st.runs[run].term
}

// checkTerm says why the term of index is not known.
func (st *logState) checkTerm(index uint64) error {
	switch {
	case index < st.base.index:
		return raft.ErrCompacted
	case index > st.last:
		return raft.ErrUnavailable
	}
	return nil
}

// checkRange says why [lo, hi) is not in the log.
func (st *logState) checkRange(lo, hi uint64) error {
	switch {
	case lo <= st.base.index:
		return raft.ErrCompacted
	case hi > st.last+1 || lo >= hi:
		return raft.ErrUnavailable
	}
	return nil
}

// locations returns where the entries [lo, hi), which are in the log, are.
func (st *logState) locations(lo, hi uint64) []location {
	first := st.base.index + 1
	return st.at[lo-first : hi-first]
}

// truncate forgets the entries from index on, which is after base.
func (st *logState) truncate(index uint64) {
	if index > st.last {
		return
	}
	r := sort.Search(len(st.runs), func(i int) bool { return st.runs[i].start >= index })
	c, _ := slices.BinarySearch(st.changes, index)
	n := int(index - st.base.index - 1)
	for _, at := range st.at[n:] {
		st.live -= int64(at.size)
	}
	// The capacity goes too: what comes next must not overwrite what readers hold.
	st.runs, st.changes, st.at = st.runs[:r:r], st.changes[:c:c], st.at[:n:n]
	st.last = index - 1
}

// push adds an entry to the end.
func (st *logState) push(index, term uint64, change bool, at location) {
	if st.last == st.base.index || st.runs[len(st.runs)-1].term != term {
		st.runs = append(st.runs, termRun{index, term})
	}
	if change {
		st.changes = append(st.changes, index)
	}
	st.at = append(st.at, at)
	st.live += int64(at.size)
	st.last = index
}

// compact forgets the entries up to and including index, which is in the log.
func (st *logState) compact(index uint64) {
	r := sort.Search(len(st.runs), func(i int) bool { return st.runs[i].start > index })
	c, _ := slices.BinarySearch(st.changes, index+1)
	rest := st.runs[r:]
	term := st.term(index)
	if index < st.last && (len(rest) == 0 || rest[0].start != index+1) {
		rest = append([]termRun{{index + 1, term}}, rest...)
	} else {
		rest = slices.Clone(rest)
	}
	n := int(index - st.base.index)
	for _, at := range st.at[:n] {
		st.live -= int64(at.size)
	}
	st.runs, st.changes = rest, slices.Clone(st.changes[c:])
	// The array keeps what was dropped; a copy lets go of it once that is the most.
	if st.at = st.at[n:]; n > len(st.at) {
		st.at = slices.Clone(st.at)
	}
	st.base = entryID{index, term}
}

// install replaces all but the hard state by a received snapshot.
func (st *logState) install(meta *pb.SnapshotMetadata, at location) {
	*st = logState{
		base: entryID{meta.Index, meta.Term}, last: meta.Index, hard: st.hard,
		conf: meta.ConfState, confAt: confIndex(&meta.ConfState, meta.Index),
		snap: meta.Index, snapAt: at, live: int64(at.size),
	}
}

// setSnapshot takes a snapshot that was made here.
func (st *logState) setSnapshot(index uint64, at location) {
	st.live += int64(at.size) - int64(st.snapAt.size)
	st.snap, st.snapAt = index, at
}

// setConf takes a configuration that counts as being of index, unless there is a
// newer one.
func (st *logState) setConf(cs pb.ConfState, at uint64) bool {
	if at < st.confAt {
		return false
	}
	st.conf, st.confAt = cs, at
	return true
}

// low returns the lowest position of an entry or the snapshot; no position is as
// high as noPosition.
func (st *logState) low() uint64 {
	low := uint64(noPosition)
	if st.snap > 0 {
		low = st.snapAt.position
	}
	for _, at := range st.at {
		low = min(low, at.position)
		if !st.moved {
			break
		}
	}
	return low
}

const noPosition = ^uint64(0)

// confIndex is the index that a configuration counts as being of that came in a
// snapshot at index.
func confIndex(cs *pb.ConfState, index uint64) uint64 {
	if cs.Index == 0 {
		return index
	}
	return cs.Index
}

// cloneConf makes the slices of cs the caller's own.
func cloneConf(cs pb.ConfState) pb.ConfState {
	cs.Voters = slices.Clone(cs.Voters)
	cs.Learners = slices.Clone(cs.Learners)
	cs.VotersOutgoing = slices.Clone(cs.VotersOutgoing)
	cs.LearnersNext = slices.Clone(cs.LearnersNext)
	return cs
}
