package wal

import (
	"errors"
	"fmt"
)

// Errors that a caller can act on, matched with errors.Is. Most come as one of
// the types below, which say more.
var (
	// ErrCorrupt matches every CorruptionError.
	ErrCorrupt = errors.New("wal: corrupt data")
	// ErrFailed matches every error of an Engine on which a write has failed.
	ErrFailed = errors.New("wal: failed for good")
	// ErrClosed is returned by everything but Close once the Engine is closed.
	ErrClosed = errors.New("wal: closed")
	// ErrDestroyed is returned by a Storage whose group was destroyed.
	ErrDestroyed = errors.New("wal: the group was destroyed")
	// ErrLocked refuses to open a directory that an Engine has open.
	ErrLocked = errors.New("wal: the directory is in use, by this process or another")
	// ErrGap refuses entries that do not continue the log. Nothing was written.
	ErrGap = errors.New("wal: the entries would leave a gap in the log")
	// ErrIdentity matches every IdentityError.
	ErrIdentity = errors.New("wal: the directory belongs to another node")
	// ErrFormat matches every FormatError.
	ErrFormat = errors.New("wal: unknown format")
	// ErrTooLarge refuses a write that does not fit into one atomic batch.
	ErrTooLarge = errors.New("wal: write too large")
)

// CorruptionError tells of data that is not what was written. It is never served
// and never repaired by dropping it: replace the node, or bring back a copy of
// the directory. It matches ErrCorrupt.
type CorruptionError struct {
	// Group and Index say which group and which log entry it is about; both are 0
	// where the file alone is known, Index is 0 where it is no entry.
	Group, Index uint64
	// Record says in words what was read, or is empty.
	Record string
	// File is the file that the damage is in, and Offset where in it.
	File   string
	Offset int64
	// Err says what is wrong.
	Err error
}

// Error names the place and the cause.
func (e *CorruptionError) Error() string {
	text := "wal: corrupt data"
	if e.Record != "" {
		text += fmt.Sprintf(": %s of group %d", e.Record, e.Group)
	}
	if e.File != "" {
		text += fmt.Sprintf(": file %s at %d", e.File, e.Offset)
	}
	return fmt.Sprintf("%s: %v", text, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptionError) Unwrap() error { return e.Err }

// Is matches ErrCorrupt.
func (e *CorruptionError) Is(target error) bool { return target == ErrCorrupt }

// FailedError is the first write to the disk that failed. It is sticky, for all
// groups of the Engine: what is on the disk is as unknown as after a crash, so
// nothing is written, retried or read any more until the directory is opened
// again. It matches ErrFailed and its cause, such as syscall.ENOSPC.
type FailedError struct {
	// Op is what was done: write, create, rename, sync.
	Op string
	// File is what it was done to.
	File string
	// Err is the cause.
	Err error
}

// Error names the operation and the cause.
func (e *FailedError) Error() string {
	return fmt.Sprintf("wal: failed for good: %s of %s: %v", e.Op, e.File, e.Err)
}

// Unwrap returns the cause.
func (e *FailedError) Unwrap() error { return e.Err }

// Is matches ErrFailed.
func (e *FailedError) Is(target error) bool { return target == ErrFailed }

// IdentityError refuses to open a directory for a node that it does not belong
// to. It matches ErrIdentity.
type IdentityError struct {
	Dir string
	// ClusterID and NodeID are whose the directory is.
	ClusterID, NodeID uint64
	// WantClusterID and WantNodeID are those of Options.
	WantClusterID, WantNodeID uint64
}

// Error names both nodes.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("wal: %s belongs to node %d of cluster %d, opened for node %d of cluster %d",
		e.Dir, e.NodeID, e.ClusterID, e.WantNodeID, e.WantClusterID)
}

// Is matches ErrIdentity.
func (e *IdentityError) Is(target error) bool { return target == ErrIdentity }

// FormatError refuses to open what this version does not understand. It matches
// ErrFormat.
type FormatError struct {
	Dir string
	// Version is the one found, 0 for a directory with files of something else.
	Version uint64
	// Newest is the newest one that this version understands.
	Newest uint64
}

// Error names both versions.
func (e *FormatError) Error() string {
	if e.Version == 0 {
		return fmt.Sprintf("wal: %s has files of something else", e.Dir)
	}
	return fmt.Sprintf("wal: %s has format version %d, this program knows versions up to %d", e.Dir, e.Version, e.Newest)
}

// Is matches ErrFormat.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }
