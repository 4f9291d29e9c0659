// Package load puts writers on whole hosts: three replicas of a library in one process, with logs on disk and TCP between
// them. It is written once for all libraries; each has a small adapter, which is a Library.
package load

import (
	"context"
	"encoding/binary"
	"io"
	"sync/atomic"
)

// Members is how many replicas a cluster has.
const Members = 3

// Library starts clusters.
type Library struct {
	// Name is what the programs call it.
	Name string
	// Start starts a cluster whose files are below dir, and waits for its leader.
	Start func(ctx context.Context, dir string) (Cluster, error)
}

// Cluster is a group of replicas in one process. Write and the counts may be called concurrently.
type Cluster interface {
	// Write has the leader take data, which it may keep, and returns once it is committed, durable on a majority, and
	// applied by the leader's state machine. It is not tried again: a write that is neither acknowledged
	// nor known to be lost would make the counts worthless.
	Write(ctx context.Context, data []byte) error
	// Machines are the state machines of the members.
	Machines() []*Machine
	// Syncs is how many times the members have had the system make files durable so far, and false if that cannot be
	// counted without changing what is done.
	Syncs() (int64, bool)
	// Close stops all members.
	Close() error
}

// Machine is a state machine that counts the writes, and sums up which they were and in which order.
type Machine struct {
	applied atomic.Int64
	sum     atomic.Uint64
}

// Apply applies a write. Apply, Snapshot and Restore are not to be called concurrently.
func (m *Machine) Apply(data []byte) {
	const prime = 1099511628211
	m.sum.Store((m.sum.Load() ^ binary.LittleEndian.Uint64(data)) * prime)
	m.applied.Add(1)
}

// Applied is how many writes were applied.
func (m *Machine) Applied() int64 { return m.applied.Load() }

// Sum is the same for machines that applied the same writes in the same order, and hardly for others.
func (m *Machine) Sum() uint64 { return m.sum.Load() }

// Snapshot is the state, for a member that is behind by more than the log has.
func (m *Machine) Snapshot() []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(m.applied.Load()))
	return binary.LittleEndian.AppendUint64(b, m.sum.Load())
}

// Restore takes the state from what Snapshot returned.
func (m *Machine) Restore(r io.Reader) error {
	b := make([]byte, 16)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	m.sum.Store(binary.LittleEndian.Uint64(b[8:]))
	m.applied.Store(int64(binary.LittleEndian.Uint64(b)))
	return nil
}

// Syncs counts how many times files are made durable.
type Syncs struct{ n atomic.Int64 }

// Add counts one more.
func (s *Syncs) Add() { s.n.Add(1) }

// Count is how many there were.
func (s *Syncs) Count() int64 { return s.n.Load() }
