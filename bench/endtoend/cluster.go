package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/storage/pebblestore"
	"github.com/quorate-raft/raft/transport"
)

// members is how many replicas a cluster has.
const members = 3

const clusterID, group = 1, 1

// member is one server: a disk, a port, a replica.
type member struct {
	engine  *pebblestore.Engine
	network *transport.Transport
	replica *replica.Replica
	machine *machine
}

// cluster is three servers in one process, which reach each other by TCP on loopback and write to
// directories of their own.
type cluster struct {
	all    []*member
	leader *member
}

// newCluster starts a cluster whose logs are below dir, and waits for its leader.
func newCluster(ctx context.Context, dir string) (c *cluster, err error) {
	c = &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	listeners := make([]net.Listener, members)
	peers := make([]raft.Peer, members)
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return c, err
		}
		peers[i] = raft.Peer{ID: uint64(i + 1), Context: []byte(listeners[i].Addr().String())}
	}
	for i := range listeners {
		m := &member{machine: &machine{}}
		c.all = append(c.all, m)
		if err := m.start(peers, i, listeners[i], filepath.Join(dir, fmt.Sprint(i+1))); err != nil {
			return c, err
		}
	}
	for c.leader == nil {
		for _, m := range c.all {
			st, err := m.replica.Status(ctx)
			if err != nil {
				return c, err
			}
			if st.RaftState == raft.StateLeader {
				c.leader = m
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return c, nil
}

func (m *member) start(peers []raft.Peer, i int, l net.Listener, dir string) (err error) {
	id := peers[i].ID
	if m.engine, err = pebblestore.Open(filepath.Join(dir, "log"), &pebblestore.Options{ClusterID: clusterID, NodeID: id}); err != nil {
		return err
	}
	m.network, err = transport.New(transport.Config{ClusterID: clusterID, NodeID: id, Listener: l})
	if err != nil {
		return err
	}
	storage, err := m.engine.Group(group)
	if err != nil {
		return err
	}
	wire, err := m.network.Group(group)
	if err != nil {
		return err
	}
	m.replica, err = replica.Start(replica.Config{
		ID: id, Bootstrap: peers, Storage: storage, Transport: wire, StateMachine: m.machine,
		SnapshotDir: filepath.Join(dir, "snapshots"),
	})
	return err
}

// Write has the leader take data, and returns once it is committed and applied there.
func (c *cluster) Write(ctx context.Context, data []byte) error {
	_, err := c.leader.replica.Propose(ctx, data)
	return err
}

// applied is how many commands each member has applied.
func (c *cluster) applied() []int64 {
	var n []int64
	for _, m := range c.all {
		n = append(n, m.machine.applied.Load())
	}
	return n
}

// Close stops all members.
func (c *cluster) Close() error {
	var errs []error
	for _, m := range c.all {
		if m.replica != nil {
			errs = append(errs, m.replica.Stop(context.Background()))
		}
	}
	for _, m := range c.all {
		if m.network != nil {
			m.network.Close()
		}
		if m.engine != nil {
			errs = append(errs, m.engine.Close())
		}
	}
	return errors.Join(errs...)
}

// machine is a state machine that counts.
type machine struct{ applied atomic.Int64 }

// Apply implements replica.StateMachine.
func (m *machine) Apply(commands []replica.Command) error {
	m.applied.Add(int64(len(commands)))
	return nil
}

// View implements replica.StateMachine.
func (m *machine) View() (replica.View, error) { return nothing{}, nil }

// Restore implements replica.StateMachine.
func (m *machine) Restore(_ uint64, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// nothing is the state of a machine that only counts.
type nothing struct{}

func (nothing) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write([]byte{0})
	return int64(n), err
}

func (nothing) Close() error { return nil }
