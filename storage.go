package raft

import (
	"errors"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Errors that a Storage returns by design. The core expects them and goes on;
// any other error is a fault and stops the node (see ErrStorage).
var (
	// ErrCompacted says that the index was compacted into a snapshot.
	ErrCompacted = errors.New("raft: requested index is unavailable due to compaction")
	// ErrUnavailable says that the index is past the end of the log.
	ErrUnavailable = errors.New("raft: requested entry is not available")
	// ErrSnapOutOfDate says that a snapshot is older than the one in place.
	ErrSnapOutOfDate = errors.New("raft: snapshot is out of date")
	// ErrSnapshotTemporarilyUnavailable says that a snapshot is being made;
	// the core asks again later.
	ErrSnapshotTemporarilyUnavailable = errors.New("raft: snapshot is temporarily unavailable")
)

// Storage is what the node has persisted, as the host wrote it from each
// Ready. The node reads it from the goroutine that drives the node; the host
// may write from others, so an implementation is safe for concurrent use.
//
// Returned entries are immutable for ever: neither the storage nor the caller
// may change them or their data.
type Storage interface {
	// InitialState returns the persisted HardState and configuration. Where
	// the configuration has an index (ConfState.Index), the node applies the
	// changes in the log between it and Config.Applied itself; without one it
	// must be the configuration as of Config.Applied. A host that saves what
	// ApplyConfChange returns keeps the one with the highest index, also over
	// the one in a snapshot. What has an index is taken for committed: save none
	// that is not, such as Ready.ActiveConf.
	InitialState() (pb.HardState, pb.ConfState, error)
	// Entries returns the entries [lo, hi), at least the first of them, and
	// no more than fit into maxSize bytes (Entry.Size). ErrCompacted if lo is
	// before FirstIndex, ErrUnavailable if the range passes LastIndex.
	Entries(lo, hi, maxSize uint64) ([]pb.Entry, error)
	// Term returns the term of entry i, for i in [FirstIndex()-1,
	// LastIndex()]; the one before the first is kept for the log matching
	// check. ErrCompacted if i is before that, ErrUnavailable if it is past
	// LastIndex.
	Term(i uint64) (uint64, error)
	// LastIndex returns the index of the last entry.
	LastIndex() (uint64, error)
	// FirstIndex returns the index of the first entry that Entries may
	// return: the one after the snapshot's.
	FirstIndex() (uint64, error)
	// Snapshot returns the latest snapshot, or
	// ErrSnapshotTemporarilyUnavailable while one is made. It must reach the
	// log's start: compact only what a snapshot that can be had covers.
	Snapshot() (pb.Snapshot, error)
}

// ConfEntryIndexer is an optional part of a Storage: one that can list where
// configuration changes are spares a restart the scan of unapplied entries.
type ConfEntryIndexer interface {
	// ConfEntryIndexes returns the indexes in [lo, hi) of entries of type
	// EntryConfChange or EntryConfChangeV2, in order.
	ConfEntryIndexes(lo, hi uint64) ([]uint64, error)
}
