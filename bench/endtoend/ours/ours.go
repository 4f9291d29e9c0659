// Package ours is package replica, with a durable storage and package transport, as a [load.Library].
package ours

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/bench/load"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/transport"
)

const clusterID, group = 1, 1

// Name is what the library is called with a storage.
func Name(storage string) string { return "ours/" + storage }

// Libraries returns ours with each storage. All settings are the defaults.
func Libraries() []load.Library {
	var all []load.Library
	for _, storage := range Storages() {
		all = append(all, load.Library{Name: Name(storage), Start: func(ctx context.Context, dir string) (load.Cluster, error) {
			return start(ctx, dir, storages[storage])
		}})
	}
	return all
}

// member is one server: a log, a port, a replica.
type member struct {
	network *transport.Transport
	replica *replica.Replica
	machine machine
	store   *store
}

type cluster struct {
	all    []*member
	leader *member
}

func start(ctx context.Context, dir string, open open) (_ load.Cluster, err error) {
	c := &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	listeners := make([]net.Listener, load.Members)
	peers := make([]raft.Peer, load.Members)
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return c, err
		}
		peers[i] = raft.Peer{ID: uint64(i + 1), Context: []byte(listeners[i].Addr().String())}
	}
	for i, l := range listeners {
		m := &member{}
		c.all = append(c.all, m)
		if err := m.start(peers, i, l, filepath.Join(dir, fmt.Sprint(i+1)), open); err != nil {
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

func (m *member) start(peers []raft.Peer, i int, l net.Listener, dir string, open open) (err error) {
	id := peers[i].ID
	if m.store, err = open(dir, id); err != nil {
		return err
	}
	m.network, err = transport.New(transport.Config{ClusterID: clusterID, NodeID: id, Listener: l})
	if err != nil {
		return err
	}
	wire, err := m.network.Group(group)
	if err != nil {
		return err
	}
	m.replica, err = replica.Start(replica.Config{
		ID: id, Bootstrap: peers, Storage: m.store, Transport: wire, StateMachine: &m.machine,
		SnapshotDir: filepath.Join(dir, "snapshots"),
	})
	return err
}

// Write implements load.Cluster, as the following do.
func (c *cluster) Write(ctx context.Context, data []byte) error {
	_, err := c.leader.replica.Propose(ctx, data)
	return err
}

func (c *cluster) Machines() []*load.Machine {
	var all []*load.Machine
	for _, m := range c.all {
		all = append(all, &m.machine.Machine)
	}
	return all
}

func (c *cluster) Syncs() (int64, bool) {
	n := int64(0)
	for _, m := range c.all {
		n += m.store.syncs()
	}
	return n, true
}

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
		if m.store != nil {
			errs = append(errs, m.store.close())
		}
	}
	return errors.Join(errs...)
}

// machine is a state machine that counts.
type machine struct{ load.Machine }

// Apply implements replica.StateMachine, as the following do.
func (m *machine) Apply(commands []replica.Command) error {
	for i := range commands {
		m.Machine.Apply(commands[i].Data)
	}
	return nil
}

func (m *machine) View() (replica.View, error) { return view(m.Snapshot()), nil }

func (m *machine) Restore(_ uint64, r io.Reader) error { return m.Machine.Restore(r) }

// view is a snapshot.
type view []byte

func (v view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v)
	return int64(n), err
}

func (view) Close() error { return nil }
