package transport

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// What goes over a connection of the snapshot lane; see the package documentation
// for the layout.
const (
	chunkSize = 256 << 10
	minWindow = 64 << 10
	idSize    = 16
	openHead  = idSize + 1
	ackSize   = 20
	endSize   = 8 + sha256.Size
	maxReason = 512
	maxMeta   = maxSmallFrame - openHead
)

// streamID names one snapshot on its way, over all its connections.
type streamID [idSize]byte

func newStreamID() (id streamID) {
	_, _ = rand.Read(id[:]) // it never fails
	return id
}

// encodeOpen begins a stream, or goes on with one that the receiver has begun.
func encodeOpen(id streamID, resume bool, meta []byte) []byte {
	b := make([]byte, openHead, openHead+len(meta))
	copy(b, id[:])
	if resume {
		b[idSize] = 1
	}
	return append(b, meta...)
}

func decodeOpen(b []byte) (id streamID, resume bool, meta []byte, err error) {
	if len(b) < openHead || b[idSize] > 1 {
		return id, false, nil, violation("malformed start of a snapshot")
	}
	copy(id[:], b)
	return id, b[idSize] == 1, bytes.Clone(b[openHead:]), nil
}

// ack is how far a receiver is.
type ack struct {
	taken    uint64 // bytes that the sink has taken
	received uint64 // bytes that need not be sent again
	window   uint32 // how far received may be ahead of taken
}

func (a ack) encode() []byte {
	b := make([]byte, 0, ackSize)
	b = binary.BigEndian.AppendUint64(b, a.taken)
	b = binary.BigEndian.AppendUint64(b, a.received)
	return binary.BigEndian.AppendUint32(b, a.window)
}

func decodeAck(b []byte) (ack, error) {
	if len(b) != ackSize {
		return ack{}, violation("acknowledgement of %d bytes", len(b))
	}
	a := ack{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:])}
	if a.taken > a.received || a.window < minWindow {
		return ack{}, violation("acknowledgement of %d taken, %d received, window %d", a.taken, a.received, a.window)
	}
	return a, nil
}

// outcome is how a stream ended.
type outcome uint8

const (
	outcomeCommitted outcome = iota
	outcomeRefused
	outcomeBusy
	outcomeLost
	outcomeCorrupt
	outcomeNoGroup
)

// result is the outcome, with the receiver's words.
type result struct {
	outcome outcome
	text    string
}

func (r result) encode() []byte {
	return append([]byte{byte(r.outcome)}, r.text[:min(len(r.text), maxReason)]...)
}

func decodeResult(b []byte) (result, error) {
	if len(b) < 1 || len(b) > 1+maxReason {
		return result{}, violation("malformed end of a snapshot")
	}
	return result{outcome(b[0]), string(b[1:])}, nil
}

// err is what SendSnapshot returns.
func (r result) err() error {
	switch r.outcome {
	case outcomeCommitted:
		return nil
	case outcomeBusy:
		return ErrSnapshotBusy
	case outcomeLost:
		return ErrSnapshotLost
	case outcomeCorrupt:
		return ErrSnapshotCorrupt
	case outcomeNoGroup:
		return ErrUnknownGroup
	}
	return fmt.Errorf("%w: %q", ErrSnapshotRefused, r.text)
}

// pacer spaces what is sent evenly, so that a rate is kept over short times too.
type pacer struct {
	rate int // bytes per second; 0 for no limit

	mu   sync.Mutex
	next time.Time // when the next bytes may leave
}

// wait returns how long n bytes have to wait.
func (p *pacer) wait(n int) time.Duration {
	if p.rate == 0 {
		return 0
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	d := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return d
}

// chunk is how much to send at a time: little enough that a rate is kept in steps
// of 50 ms.
func (p *pacer) chunk() int {
	if p.rate == 0 {
		return chunkSize
	}
	return min(max(p.rate/20, 1<<10), chunkSize)
}
