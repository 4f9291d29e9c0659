package transport

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/quorate-raft/raft/raftpb"
)

// Sink takes a snapshot that arrives. Write is called with its bytes in order; then
// exactly one of Commit, when all of it arrived as it was sent, and Abort. All are
// called from one goroutine; Close of the group waits for the call under way.
type Sink = interface {
	io.Writer
	Commit() error
	Abort()
}

// calls is what a group was started with, and who is inside it.
type calls struct {
	running atomic.Bool    // started and not closed
	users   sync.WaitGroup // calls of SendSnapshot, and others that Close waits for

	// mu is held for reading while deliver or unreachable runs, so that none does
	// after Close.
	mu              sync.RWMutex
	started, closed bool
	deliver         func(m *raftpb.Message)
	unreachable     func(peer uint64)
	snapshot        func(from uint64, meta []byte) (Sink, error)
}

func (c *calls) start(deliver func(m *raftpb.Message), unreachable func(peer uint64), snapshot func(from uint64, meta []byte) (Sink, error)) error {
	if deliver == nil {
		return errors.New("transport: Start without deliver")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.started {
		return ErrStarted
	}
	c.started, c.deliver, c.unreachable, c.snapshot = true, deliver, unreachable, snapshot
	c.running.Store(true)
	return nil
}

// enter lets a caller in, who calls users.Done at the end. ErrClosed after the end.
func (c *calls) enter() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return ErrClosed
	}
	c.users.Add(1)
	return nil
}

// end lets nobody in any more, and waits for deliver and unreachable.
func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.running.Store(false)
}

// receive hands over a message. It reports false if nobody wants it.
func (c *calls) receive(m *raftpb.Message) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.running.Load() {
		return false
	}
	c.deliver(m)
	return true
}

func (c *calls) reportUnreachable(peer uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.running.Load() && c.unreachable != nil {
		c.unreachable(peer)
	}
}

// openSink asks where a snapshot is to go. It holds no lock, since the callback may
// take its time: Close waits for it by other means.
func (c *calls) openSink(from uint64, meta []byte) (Sink, error) {
	if !c.running.Load() {
		return nil, ErrClosed
	}
	if c.snapshot == nil {
		return nil, errors.New("transport: the group takes no snapshots")
	}
	sink, err := c.snapshot(from, meta)
	if err == nil && sink == nil {
		err = errors.New("transport: the group has no sink for the snapshot")
	}
	return sink, err
}
