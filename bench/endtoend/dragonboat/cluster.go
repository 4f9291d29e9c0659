package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/statemachine"
	"github.com/lni/vfs"

	"github.com/quorate-raft/raft/bench/load"
)

// libraries are dragonboat with each of its log databases: its documentation calls tan the faster one. The rest is the
// default: its TCP transport, its engine.
var libraries = []load.Library{
	{Name: "dragonboat/tan", Start: func(ctx context.Context, dir string) (load.Cluster, error) {
		c := &cluster{counted: true}
		return c, c.start(ctx, dir, config.ExpertConfig{LogDBFactory: tan.Factory, FS: countingFS{vfs.Default, &c.syncs}})
	}},
	// It takes no file system but its own, so its syncs are not counted.
	{Name: "dragonboat/pebble", Start: func(ctx context.Context, dir string) (load.Cluster, error) {
		c := &cluster{}
		return c, c.start(ctx, dir, config.ExpertConfig{})
	}},
}

const shard = 1

// silence may be done but once.
var silence = sync.OnceFunc(func() { logger.SetLoggerFactory(func(string) logger.ILogger { return quiet{} }) })

type cluster struct {
	hosts    []*dragonboat.NodeHost
	machines []*load.Machine
	leader   *dragonboat.NodeHost
	counted  bool
	syncs    load.Syncs
}

func (c *cluster) start(ctx context.Context, dir string, expert config.ExpertConfig) (err error) {
	silence()
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	addresses, err := freeAddresses(load.Members)
	if err != nil {
		return err
	}
	for i, address := range addresses {
		host, err := dragonboat.NewNodeHost(config.NodeHostConfig{
			NodeHostDir: filepath.Join(dir, fmt.Sprint(i+1)), RTTMillisecond: 100, RaftAddress: address, Expert: expert,
		})
		if err != nil {
			return err
		}
		m := &load.Machine{}
		c.hosts, c.machines = append(c.hosts, host), append(c.machines, m)
		create := func(uint64, uint64) statemachine.IConcurrentStateMachine { return machine{m} }
		if err := host.StartConcurrentReplica(members(addresses), false, create, config.Config{
			ShardID: shard, ReplicaID: uint64(i + 1), ElectionRTT: 10, HeartbeatRTT: 1, CheckQuorum: true, PreVote: true,
		}); err != nil {
			return err
		}
	}
	for c.leader == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
		// An error says that a leader is not known yet.
		if id, _, ok, err := c.hosts[0].GetLeaderID(shard); err == nil && ok {
			c.leader = c.hosts[id-1]
		}
	}
	return nil
}

func members(addresses []string) map[uint64]string {
	all := make(map[uint64]string)
	for i, address := range addresses {
		all[uint64(i+1)] = address
	}
	return all
}

// freeAddresses returns addresses that nobody listens at: the library listens itself, and has to be told where before.
func freeAddresses(n int) ([]string, error) {
	var all []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		all = append(all, l.Addr().String())
	}
	return all, nil
}

// Write implements load.Cluster, as the following do.
func (c *cluster) Write(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := c.leader.SyncPropose(ctx, c.leader.GetNoOPSession(shard), data)
	return err
}

func (c *cluster) Machines() []*load.Machine { return c.machines }

func (c *cluster) Syncs() (int64, bool) { return c.syncs.Count(), c.counted }

func (c *cluster) Close() error {
	for _, host := range c.hosts {
		host.Close()
	}
	return nil
}
