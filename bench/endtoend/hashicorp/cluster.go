package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"

	"github.com/quorate-raft/raft/bench/load"
)

// library is hashicorp/raft with raft-wal and its own transport over TCP.
var library = load.Library{Name: "hashicorp", Start: start}

// maxAppendEntries is how many entries there are in a message, and in a batch of proposals.
const maxAppendEntries = 256

type member struct {
	raft      *raft.Raft
	log       *wal.WAL
	transport *raft.NetworkTransport
	machine   machine
}

type cluster struct {
	all    []*member
	leader *member
	syncs  load.Syncs
}

func start(ctx context.Context, dir string) (_ load.Cluster, err error) {
	c := &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	var servers raft.Configuration
	for i := range load.Members {
		m := &member{}
		c.all = append(c.all, m)
		m.transport, err = raft.NewTCPTransportWithConfig("127.0.0.1:0", nil, &raft.NetworkTransportConfig{
			MaxPool: 3, Timeout: 10 * time.Second, Logger: hclog.NewNullLogger(),
		})
		if err != nil {
			return c, err
		}
		servers.Servers = append(servers.Servers, raft.Server{ID: id(i), Address: m.transport.LocalAddr()})
	}
	for i, m := range c.all {
		if err := m.start(i, filepath.Join(dir, fmt.Sprint(i+1)), servers, &c.syncs); err != nil {
			return c, err
		}
	}
	for c.leader == nil {
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
		for _, m := range c.all {
			if m.raft.State() == raft.Leader {
				c.leader = m
			}
		}
	}
	return c, c.leader.raft.Barrier(10 * time.Second).Error()
}

func id(i int) raft.ServerID { return raft.ServerID(fmt.Sprint(i + 1)) }

func (m *member) start(i int, dir string, servers raft.Configuration, syncs *load.Syncs) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if m.log, err = wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()),
		wal.WithSegmentFiler(segment.NewFiler(dir, countingFS{fs.New(), syncs}))); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	config := raft.DefaultConfig()
	config.LocalID = id(i)
	config.Logger = hclog.NewNullLogger()
	config.MaxAppendEntries = maxAppendEntries
	config.BatchApplyCh = true
	config.NoLegacyTelemetry = true
	// As raft-wal's documentation has it, it is the log and the stable store; the cache is what HashiCorp's products have
	// before it.
	cached, err := raft.NewLogCache(512, m.log)
	if err != nil {
		return err
	}
	if err := raft.BootstrapCluster(config, m.log, m.log, snapshots, m.transport, servers); err != nil {
		return err
	}
	m.raft, err = raft.NewRaft(config, &m.machine, cached, m.log, snapshots, m.transport)
	return err
}

// Write implements load.Cluster, as the following do.
func (c *cluster) Write(_ context.Context, data []byte) error {
	return c.leader.raft.Apply(data, 10*time.Second).Error()
}

func (c *cluster) Machines() []*load.Machine {
	var all []*load.Machine
	for _, m := range c.all {
		all = append(all, &m.machine.Machine)
	}
	return all
}

// Syncs has those of the segments, and not those of the few writes of terms and votes.
func (c *cluster) Syncs() (int64, bool) { return c.syncs.Count(), true }

func (c *cluster) Close() error {
	var errs []error
	for _, m := range c.all {
		if m.raft != nil {
			errs = append(errs, m.raft.Shutdown().Error())
		}
	}
	for _, m := range c.all {
		if m.transport != nil {
			errs = append(errs, m.transport.Close())
		}
		if m.log != nil {
			errs = append(errs, m.log.Close())
		}
	}
	return errors.Join(errs...)
}
