package rafttest_test

import (
	"fmt"
	"testing"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// counter is a host whose state machine, in memory, counts entries.
type counter struct {
	node    *raft.RawNode
	storage rafttest.Storage
	check   *rafttest.HostCheck
	send    func(m pb.Message)
	apply   func(e pb.Entry)
	restore func(s pb.Snapshot)

	applied, count uint64
	conf           pb.ConfState
	reads          []raft.ReadState
	down           bool
}

// startCounter starts the host from what its storage holds. What it does is told
// to the check by the functions that the check wraps.
func startCounter(env *rafttest.HostEnv) (rafttest.Host, error) {
	env.Synchronous = true
	c := &counter{storage: env.Storage, check: env.Check, send: env.Send}
	c.apply = env.Check.Apply(func(e pb.Entry) { c.applied, c.count = e.Index, c.count+1 })
	c.restore = env.Check.Restore(c.load)
	snap, err := c.storage.Snapshot()
	if err != nil {
		return nil, err
	}
	c.load(snap)
	cfg := env.Config
	cfg.Storage, cfg.Applied = c.storage, c.applied
	if c.node, err = raft.NewRawNode(&cfg); err != nil {
		return nil, err
	}
	if env.Peers != nil {
		if err := c.node.Bootstrap(env.Peers); err != nil {
			return nil, err
		}
	}
	c.work()
	return c, nil
}

func (c *counter) load(s pb.Snapshot) {
	c.applied, c.conf = s.Metadata.Index, s.Metadata.ConfState
	_, _ = fmt.Sscan(string(s.Data), &c.count) // nothing in the first one
}

// work is the loop of the host.
func (c *counter) work() {
	for !c.down && c.node.HasReady() {
		rd := c.node.Ready()
		for _, m := range rd.Messages {
			c.send(m)
		}
		if c.down = c.storage.Save(rd) != nil; c.down {
			return // nothing of rd may be acknowledged
		}
		for _, m := range rd.MessagesAfterAppend {
			c.send(m)
		}
		if !raft.IsEmptySnap(rd.Snapshot) {
			c.restore(rd.Snapshot)
		}
		for _, e := range rd.CommittedEntries {
			if cc, err := pb.UnmarshalConfChange(e); err == nil {
				c.conf = *c.node.ApplyConfChange(cc)
			}
			c.apply(e)
		}
		c.reads = append(c.reads, rd.ReadStates...)
		for len(c.reads) > 0 && c.reads[0].Index <= c.applied {
			c.check.Served(c.reads[0])
			c.reads = c.reads[1:]
		}
		c.down = c.node.Advance(rd) != nil
	}
}

func (c *counter) do(f func()) {
	if !c.down {
		f()
		c.work()
	}
}

func (c *counter) Tick()               { c.do(c.node.Tick) }
func (c *counter) Step(m pb.Message)   { c.do(func() { _ = c.node.Step(m) }) }
func (c *counter) Campaign()           { c.do(func() { _ = c.node.Campaign() }) }
func (c *counter) Propose(data []byte) { c.do(func() { _ = c.node.Propose(data) }) }
func (c *counter) ProposeConfChange(cc pb.ConfChangeI) {
	c.do(func() { _ = c.node.ProposeConfChange(cc) })
}
func (c *counter) ReadIndex(rctx []byte) { c.do(func() { _ = c.node.ReadIndex(rctx) }) }
func (c *counter) Stop()                 {}

func (c *counter) TakeSnapshot() {
	c.do(func() {
		if c.storage.CreateSnapshot(c.applied, c.conf, fmt.Append(nil, c.count)) == nil {
			_ = c.storage.Compact(c.applied)
		}
	})
}

// Your host's test: it fails with the names of the rules that the host breaks.
func TestCounter(t *testing.T) {
	rafttest.ExerciseHost(t, startCounter)
}

// printing stands for a *testing.T, which an example does not have.
type printing struct{ testing.TB }

func (printing) Helper()                           {}
func (printing) Cleanup(func())                    {}
func (printing) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// In a test of your own, CheckHost watches the host of every node that is made
// from the Config. This host lets a request for votes leave before it has
// written its vote.
func ExampleCheckHost() {
	var t printing // in a test, t *testing.T
	storage := raft.NewMemoryStorage()
	cfg := raft.Config{ID: 1, Storage: storage, DisablePreVote: true}
	check := rafttest.CheckHost(t, &cfg)

	node, err := raft.NewRawNode(&cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := node.Bootstrap([]raft.Peer{{ID: 1}, {ID: 2}}); err != nil {
		fmt.Println(err)
		return
	}
	for range 20 {
		node.Tick()
		for node.HasReady() {
			rd := node.Ready()
			for _, m := range append(rd.Messages, rd.MessagesAfterAppend...) {
				check.Sent(m)
			}
			if err := rafttest.Memory(storage).Save(rd); err != nil {
				fmt.Println(err)
			}
			check.Persisted(rd)
			for _, e := range rd.CommittedEntries {
				if cc, err := pb.UnmarshalConfChange(e); err == nil {
					node.ApplyConfChange(cc)
				}
				check.Applied(e)
			}
			if err := node.Advance(rd); err != nil {
				fmt.Println(err)
			}
		}
	}
	// Output:
	// host rule promise-after-write: MsgVote of Ready 3 is sent, its write is not durable
}
