package raft

import (
	"errors"
	"fmt"
)

// Errors that a caller can act on. All are matched with errors.Is; those that
// carry more are types below.
var (
	// ErrStopped is returned by a Node's methods once it was stopped.
	ErrStopped = errors.New("raft: stopped")
	// ErrStepLocalMsg is returned by Step for a message type that only the
	// node itself may make.
	ErrStepLocalMsg = errors.New("raft: cannot step a local message")
	// ErrStepPeerNotFound is returned by Step for a response from a server
	// that is not a member. Nothing moved.
	ErrStepPeerNotFound = errors.New("raft: response from a server that is not a member")
	// ErrStaleSession is returned by Step for an answer of a member's former life:
	// it was removed and added again since it was asked. Nothing moved.
	ErrStaleSession = errors.New("raft: answer from a former life of the member")
	// ErrConfChangeEffect is returned by Step for a message of a node with another
	// Config.ConfChangeEffect, absent meaning OnApply. Nothing moved: all members of a
	// group have the same.
	ErrConfChangeEffect = errors.New("raft: another ConfChangeEffect")
	// ErrUnknownMessage is returned by Step for a message type that this
	// version does not know.
	ErrUnknownMessage = errors.New("raft: unknown message type")
	// ErrMisrouted is returned by Step for a message that is addressed to
	// another node, or that claims to come from this one or from nobody.
	ErrMisrouted = errors.New("raft: misrouted message")
	// ErrCorruptMessage is returned by Step for a message that no correct
	// peer sends: impossible indexes or terms, entries that contradict what
	// is committed. The node is unchanged. It tells of a damaged peer, of
	// lost data on this node, or of a forged message.
	ErrCorruptMessage = errors.New("raft: corrupt message")

	// ErrProposalDropped matches every refusal of a proposal: the entry was
	// not appended and may be proposed again.
	ErrProposalDropped = errors.New("raft: proposal dropped")
	// ErrNoLeader refuses what needs a leader while none is known. As a
	// refused proposal it matches ErrProposalDropped too.
	ErrNoLeader error = &refusal{"no leader is known"}
	// ErrTransferring refuses a proposal while leadership is being handed
	// over (dissertation §3.10).
	ErrTransferring error = &refusal{"proposal dropped: leadership is being transferred"}
	// ErrLeaving refuses a proposal at a leader that was removed or demoted
	// and is about to step down (dissertation §4.2.2).
	ErrLeaving error = &refusal{"proposal dropped: the leader was removed and is stepping down"}
	// ErrUncommittedFull refuses a proposal because Config.MaxUncommittedSize
	// bytes are waiting to be committed: back off and try again.
	ErrUncommittedFull error = &refusal{"proposal dropped: too many uncommitted bytes"}
	// ErrForwardingDisabled refuses a proposal at a follower that was told
	// not to forward (Config.DisableProposalForwarding).
	ErrForwardingDisabled error = &refusal{"proposal dropped: not the leader, and forwarding is disabled"}
	// ErrEmptyProposal refuses a proposal message without entries.
	ErrEmptyProposal error = &refusal{"proposal dropped: no entries"}
	// ErrIndexExhausted refuses a proposal because log indexes are used up.
	ErrIndexExhausted error = &refusal{"proposal dropped: log index is about to overflow"}

	// ErrTooManyReads refuses a read because Config.MaxPendingReads are
	// waiting already.
	ErrTooManyReads = errors.New("raft: too many pending reads")
	// ErrNoLease refuses a lease read; ReadIndex still works.
	ErrNoLease = errors.New("raft: no valid lease")

	// ErrNotLeader refuses what only a leader can do.
	ErrNotLeader = errors.New("raft: not the leader")
	// ErrTransferTarget refuses a transfer of leadership to a server that
	// cannot lead; a TransferError says which and why.
	ErrTransferTarget = errors.New("raft: invalid transfer target")
	// ErrUnknownPeer refuses a report about a server that is not a member.
	ErrUnknownPeer = errors.New("raft: unknown peer")

	// ErrCannotCampaign refuses a campaign; a CampaignError says why.
	ErrCannotCampaign = errors.New("raft: cannot campaign")
	// ErrLeaseInForce refuses to forget the leader, or to campaign early,
	// while this node's promise to refuse votes may back a lease.
	ErrLeaseInForce = errors.New("raft: a lease is in force")

	// ErrForeignAck refuses an acknowledgement that does not belong to what
	// this node handed out: of another instance, of the future, or out of
	// order. Nothing moved.
	ErrForeignAck = errors.New("raft: acknowledgement of something never handed out")

	// ErrStorage matches every error of a node whose Storage failed. Such a
	// node refuses all input and emits nothing more; build a new one from a
	// repaired Storage.
	ErrStorage = errors.New("raft: storage failed")
	// ErrInvalidConfig matches the error of a Config that Validate refuses.
	ErrInvalidConfig = errors.New("raft: invalid config")

	// Why a change of membership was refused; see ConfChangeError.

	// ErrConfChangePending: an earlier change is not yet applied
	// (dissertation §4.1: one at a time).
	ErrConfChangePending = errors.New("an earlier change is not yet applied")
	// ErrConfChangeTooEarly: the leader has not yet committed an entry of its
	// own term, without which two changes may both take effect (the
	// correction to dissertation §4.1).
	ErrConfChangeTooEarly = errors.New("the leader has not yet committed an entry of its term")
	// ErrConfChangeMultiple: a single message carries more than one change.
	ErrConfChangeMultiple = errors.New("more than one change in a proposal")
)

// refusal is a reason for which a proposal was not accepted.
type refusal struct{ why string }

func (e *refusal) Error() string { return "raft: " + e.why }

// Is makes every refusal match ErrProposalDropped.
func (e *refusal) Is(target error) bool { return target == ErrProposalDropped }

// ConfChangeError says why a proposed change of membership was refused. It
// matches ErrProposalDropped and its reason: ErrConfChangePending,
// ErrConfChangeTooEarly, ErrConfChangeMultiple, or one of package confchange.
type ConfChangeError struct {
	// Index is the log index of the change in the way, for
	// ErrConfChangePending, else 0.
	Index uint64
	// Reason is the sentinel error, perhaps wrapped with detail.
	Reason error
}

// Error names the reason and the index.
func (e *ConfChangeError) Error() string {
	if e.Index != 0 {
		return fmt.Sprintf("raft: membership change refused: %v (index %d)", e.Reason, e.Index)
	}
	return fmt.Sprintf("raft: membership change refused: %v", e.Reason)
}

// Unwrap returns the reason.
func (e *ConfChangeError) Unwrap() error { return e.Reason }

// Is makes every refused change match ErrProposalDropped.
func (e *ConfChangeError) Is(target error) bool { return target == ErrProposalDropped }

// TransferError says why leadership cannot go to Target. It matches
// ErrTransferTarget.
type TransferError struct {
	Target uint64
	Why    string
}

// Error names the target and the reason.
func (e *TransferError) Error() string {
	return fmt.Sprintf("raft: cannot transfer leadership to %d: %s", e.Target, e.Why)
}

// Unwrap returns ErrTransferTarget.
func (e *TransferError) Unwrap() error { return ErrTransferTarget }

// CampaignError says why a node does not campaign. It matches
// ErrCannotCampaign, and ErrLeaseInForce where that is the reason.
type CampaignError struct {
	Reason Reason
	err    error
}

// Error gives the reason in words.
func (e *CampaignError) Error() string {
	return "raft: cannot campaign: " + e.Reason.sentence()
}

// Is matches ErrCannotCampaign and the cause.
func (e *CampaignError) Is(target error) bool {
	return target == ErrCannotCampaign || (e.err != nil && target == e.err)
}

// StorageError wraps the first error that a node got from its Storage. It is
// sticky: see ErrStorage.
type StorageError struct {
	// Op says what the node was doing.
	Op string
	// Err is the storage's error.
	Err error
}

// Error names the operation and the cause.
func (e *StorageError) Error() string { return fmt.Sprintf("raft: storage: %s: %v", e.Op, e.Err) }

// Unwrap returns the storage's error.
func (e *StorageError) Unwrap() error { return e.Err }

// Is makes every StorageError match ErrStorage.
func (e *StorageError) Is(target error) bool { return target == ErrStorage }

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorruptMessage, fmt.Sprintf(format, args...))
}
