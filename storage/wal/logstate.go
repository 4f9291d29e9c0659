package wal

import (
	"slices"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// location is where a record is in the log, and its size.
type location struct {
	position uint64
	size     uint32
}

const (
	maxRecord   = 1 << 30
	maxPosition = 1 << 62
)

// logState is what is known of a group in memory, and where its records are. Its
// slices are only appended to, never overwritten, so a copy of the struct is a copy of
// the state.
type logState struct {
	grouplog.State
	// at is where the entries (Base, Last] are.
	at []location
	// snapAt is where the snapshot is, if there is one.
	snapAt location
	// live is the size of the entries and the snapshot.
	live int64
	// moved says that a position in at may be higher than the one after it.
	moved bool
}

// locations returns where the entries [lo, hi), which are in the log, are.
func (st *logState) locations(lo, hi uint64) []location {
	first := st.Base.Index + 1
	return st.at[lo-first : hi-first]
}

// truncate forgets the entries from index on, which is after Base.
func (st *logState) truncate(index uint64) {
	if index > st.Last {
		return
	}
	n := int(index - st.Base.Index - 1)
	for _, at := range st.at[n:] {
		st.live -= int64(at.size)
	}
	st.at = st.at[:n:n] // what comes next must not overwrite what readers hold
	st.Truncate(index)
}

// push adds an entry to the end.
func (st *logState) push(index, term uint64, change bool, at location) {
	st.Push(index, term, change)
	st.at = append(st.at, at)
	st.live += int64(at.size)
}

// compact forgets the entries up to and including index, which is in the log.
func (st *logState) compact(index uint64) {
	n := int(index - st.Base.Index)
	for _, at := range st.at[:n] {
		st.live -= int64(at.size)
	}
	// The array keeps what was dropped; a copy lets go of it once that is the most.
	if st.at = st.at[n:]; n > len(st.at) {
		st.at = slices.Clone(st.at)
	}
	st.Compact(index)
}

// install replaces all but the hard state by a received snapshot.
func (st *logState) install(meta *pb.SnapshotMetadata, at location) {
	*st = logState{State: st.State, snapAt: at, live: int64(at.size)}
	st.Install(meta)
}

// setSnapshot takes a snapshot that was made here.
func (st *logState) setSnapshot(index uint64, at location) {
	st.live += int64(at.size) - int64(st.snapAt.size)
	st.Snap, st.snapAt = index, at
}

// low returns the lowest position of an entry or the snapshot; no position is as
// high as noPosition.
func (st *logState) low() uint64 {
	low := uint64(noPosition)
	if st.Snap > 0 {
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
