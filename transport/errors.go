package transport

import (
	"errors"
	"fmt"
)

// Errors that a caller can act on, to be matched with errors.Is.
var (
	// ErrInvalidConfig matches the error of a Config that Validate refuses.
	ErrInvalidConfig = errors.New("transport: invalid config")
	// ErrClosed is returned once the transport or the group was closed.
	ErrClosed = errors.New("transport: closed")
	// ErrGroupExists refuses a second Group of one ID.
	ErrGroupExists = errors.New("transport: group exists")
	// ErrStarted refuses a second Start of a group.
	ErrStarted = errors.New("transport: group is started")
	// ErrUnknownPeer says that the group has no peer of that ID, or no address
	// for it.
	ErrUnknownPeer = errors.New("transport: unknown peer")
	// ErrUnreachable says that no connection to a peer could be made or kept.
	ErrUnreachable = errors.New("transport: peer is unreachable")
	// ErrRefused matches the refusal of a handshake; a HandshakeError says which
	// side refused and why.
	ErrRefused = errors.New("transport: handshake refused")
	// ErrProtocol says that the other end sent what no correct peer sends: a
	// frame that is damaged, too large or out of place.
	ErrProtocol = errors.New("transport: protocol violation")
	// ErrTooLarge refuses what does not fit in a frame.
	ErrTooLarge = errors.New("transport: too large")

	// Why a snapshot did not arrive.

	// ErrSnapshotRefused says that the receiver's callback or its sink failed;
	// the text is the receiver's.
	ErrSnapshotRefused = errors.New("transport: snapshot refused by the receiver")
	// ErrSnapshotBusy says that the receiver takes as many snapshots as it may.
	ErrSnapshotBusy = errors.New("transport: receiver takes no more snapshots now")
	// ErrSnapshotLost says that the receiver does not know the stream any more,
	// so that it cannot be resumed: it restarted, gave up waiting, or got a newer
	// snapshot.
	ErrSnapshotLost = errors.New("transport: receiver lost the snapshot")
	// ErrSnapshotCorrupt says that what arrived was not what was sent.
	ErrSnapshotCorrupt = errors.New("transport: snapshot arrived damaged")
	// ErrUnknownGroup says that the receiver has no such group, or has not
	// started it.
	ErrUnknownGroup = errors.New("transport: receiver does not have the group")
)

// HandshakeError says why a connection was not accepted. It matches ErrRefused.
type HandshakeError struct {
	// ByPeer says that the other end refused; else this one did.
	ByPeer bool
	// Reason is the reason in words.
	Reason string
}

// Error names the side and the reason.
func (e *HandshakeError) Error() string {
	if e.ByPeer {
		return "transport: handshake refused by the peer: " + e.Reason
	}
	return "transport: handshake refused: " + e.Reason
}

// Unwrap returns ErrRefused.
func (e *HandshakeError) Unwrap() error { return ErrRefused }

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}
