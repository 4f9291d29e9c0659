package replica

import (
	"errors"
	"fmt"
)

// What the outcome of a proposal can be, beside success. Every error of Propose and
// ProposeConfChange matches exactly one of ErrNotApplied and ErrAmbiguous.
var (
	// ErrNotApplied: the command has not taken effect and never will. It is safe
	// to propose it again.
	ErrNotApplied = errors.New("replica: not applied")
	// ErrAmbiguous: nobody knows yet whether the command takes effect. Proposing
	// it again may apply it twice, unless the state machine tells that.
	ErrAmbiguous = errors.New("replica: it is not known whether it was applied")

	// ErrOverloaded: too much is waiting already (Config.MaxPending,
	// MaxPendingBytes). Back off and try again. As a refused proposal it
	// matches ErrNotApplied too.
	ErrOverloaded = errors.New("replica: overloaded")
	// ErrTooLarge: a command exceeds Config.MaxProposalBytes. It matches
	// ErrNotApplied too.
	ErrTooLarge = errors.New("replica: proposal is too large")
	// ErrStopped: the replica was stopped, or stopped itself; Err says why.
	ErrStopped = errors.New("replica: stopped")
	// ErrDirInUse: another replica of this process has the same
	// Config.SnapshotDir, and perhaps the same Storage.
	ErrDirInUse = errors.New("replica: snapshot directory is in use")
	// ErrInvalidConfig matches every error of a Config that Start refuses.
	ErrInvalidConfig = errors.New("replica: invalid config")
	// ErrSnapshotMissing: the log begins after what the state machine holds, and
	// the snapshot in between is not there.
	ErrSnapshotMissing = errors.New("replica: snapshot is missing")
	// ErrSnapshotCorrupt: a snapshot's file is not what was written. Nothing of the
	// bad part was restored. As with ErrSnapshotMissing, what the member had is lost:
	// remove it from the group and add another, under an ID that was never used.
	ErrSnapshotCorrupt = errors.New("replica: snapshot is corrupt")
)

// outcome is the error of a proposal: ErrNotApplied or ErrAmbiguous, and why.
type outcome struct{ kind, why error }

func (e *outcome) Error() string   { return fmt.Sprintf("%v: %v", e.kind, e.why) }
func (e *outcome) Unwrap() []error { return []error{e.kind, e.why} }

func notApplied(why error) error { return &outcome{ErrNotApplied, why} }
func ambiguous(why error) error  { return &outcome{ErrAmbiguous, why} }

var (
	errReplaced  = errors.New("another leader's entry took its place in the log")
	errForwarded = errors.New("it was passed on to a leader that is none any more")
	errSkipped   = errors.New("its place in the log came with a snapshot")
	errUnheard   = errors.New("it was passed on to the leader and not heard of since")
)
