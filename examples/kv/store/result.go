package store

import (
	"errors"
	"fmt"
)

// Errors that a caller can act on, matched with errors.Is.
var (
	// ErrMalformed is of a command that does not decode. It changed nothing.
	ErrMalformed = errors.New("store: malformed command")
	// ErrMismatch is of a compare-and-set whose condition did not hold. It changed
	// nothing; Result.Revision is the key's, or 0 if there is no such key.
	ErrMismatch = errors.New("store: the condition does not hold")
	// ErrUnknownClient is of a request by a client that never registered, or was
	// quiet for so long that it was forgotten. It changed nothing now, but an earlier
	// try of the same request may have.
	ErrUnknownClient = errors.New("store: unknown client")
	// ErrSuperseded is of a request with a lower number than one of the same client
	// that was applied. It changed nothing now, but an earlier try may have.
	ErrSuperseded = errors.New("store: superseded by a later request of the client")

	// ErrTaken is of an EncodeNewMember or EncodeUseMember for an ID that this server
	// cannot have. It changed nothing.
	ErrTaken = errors.New("store: the ID is, or was, another server's")
	// ErrExhausted is of an EncodeNewMember when all IDs were given or retired. It changed
	// nothing.
	ErrExhausted = errors.New("store: there are no more IDs of members")

	// ErrKeySize and ErrValueSize refuse what is not within the limits, before it
	// is proposed, and ErrRequestID an ID with only one of client and number.
	ErrKeySize   = fmt.Errorf("store: a key must have 1 to %d bytes", MaxKeySize)
	ErrValueSize = fmt.Errorf("store: a value must not have more than %d bytes", MaxValueSize)
	ErrRequestID = errors.New("store: a request ID must have both a client and a number, or neither")

	// ErrCompacted matches every CompactedError.
	ErrCompacted = errors.New("store: the history begins later")
	// ErrSnapshot refuses a snapshot that is damaged, cut short, or none at all. The
	// state is as before.
	ErrSnapshot = errors.New("store: invalid snapshot")
	// ErrFormat refuses to open a directory that another program, or a newer version
	// of this one, wrote.
	ErrFormat = errors.New("store: unknown format")
	// ErrFailed is returned by everything once a write to the disk has failed, or an Apply
	// ended halfway. The error matches the cause too, such as syscall.ENOSPC. It is for
	// good: close the Store, and open the directory again, when the state is as after a
	// crash: as of some earlier command, with all that was synced.
	ErrFailed = errors.New("store: failed for good")
	// ErrLocked refuses to open a directory that a Store has open.
	ErrLocked = errors.New("store: the directory is in use, by this process or another")
	// ErrIdentity matches every IdentityError.
	ErrIdentity = errors.New("store: the directory belongs to another server")
	// ErrClosed is returned by everything but Close once the Store is closed.
	ErrClosed = errors.New("store: closed")
)

// CompactedError refuses to watch from a revision before the history of this
// server. The client reads what it watches anew, and watches from there on. It
// matches ErrCompacted.
type CompactedError struct {
	// Since was asked for, From is the earliest that can be.
	Since, From uint64
}

// Error names both revisions.
func (e *CompactedError) Error() string {
	return fmt.Sprintf("store: changes since revision %d were asked for, the history begins after %d", e.Since, e.From)
}

// Is says that the error is an ErrCompacted.
func (e *CompactedError) Is(target error) bool { return target == ErrCompacted }

// Status is how a command ended.
type Status uint8

// A command is Done, or Absent, or it was refused for one of the reasons that
// Result.Err names.
const (
	// Done commands did what they say.
	Done Status = iota + 1
	// Absent is of the deletion of a key that was not there.
	Absent
	Mismatch
	Malformed
	UnknownClient
	Superseded
	Exhausted
	Taken

	lastStatus = Taken
)

var statuses = [...]struct {
	name string
	err  error
}{
	Done: {"done", nil}, Absent: {"absent", nil}, Mismatch: {"mismatch", ErrMismatch},
	Malformed: {"malformed", ErrMalformed}, UnknownClient: {"unknown client", ErrUnknownClient},
	Superseded: {"superseded", ErrSuperseded}, Exhausted: {"exhausted", ErrExhausted}, Taken: {"taken", ErrTaken},
}

// String names the status.
func (s Status) String() string {
	if s == 0 || s > lastStatus {
		return fmt.Sprintf("status %d", uint8(s))
	}
	return statuses[s].name
}

// Result is the replica.Command.Result of every command. A request that is tried
// again has the Result of the first time.
type Result struct {
	Status Status
	// Revision is the log index of the command if it was Done, which for a Register
	// is the ID of the client; but for a NewMember that was Done it is the ID of the
	// member. For a Mismatch it is the revision of the key, 0 if it is absent. For a
	// NewMember that was Taken it is the ID that the claim has, if any. Otherwise it is 0.
	Revision uint64
}

// Err returns why the command was refused, or nil if it was not.
func (r Result) Err() error {
	if r.Status == 0 || r.Status > lastStatus {
		return fmt.Errorf("store: a result with %v", r.Status)
	}
	return statuses[r.Status].err
}
