package raft_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// idleGroups are so many groups of three in one process, of each of which one node is kept: the
// leader, or a follower.
func idleGroups(b *testing.B, n int, leaders bool, configure func(*raft.Config)) []*raft.RawNode {
	nodes := make([]*raft.RawNode, n)
	for i := range nodes {
		g := newBenchGroup(b, 3, configure)
		for range 30 {
			for _, rn := range g.nodes {
				rn.Tick()
			}
			g.settle()
		}
		nodes[i] = g.nodes[1]
		if leaders {
			nodes[i] = g.nodes[0]
		}
	}
	runtime.GC()
	return nodes
}

// BenchmarkIdleTick is a tick of one node of many, one after the other: what ticking costs a
// host with so many groups at each interval, and for each of them.
func BenchmarkIdleTick(b *testing.B) {
	follows := func(c *raft.Config) { c.ElectionTick = 1 << 29 }
	sleeps := func(c *raft.Config) { c.SleepAfter = 5 }
	for _, n := range []int{1, 10_000, 100_000} {
		for _, kind := range []struct {
			name      string
			configure func(*raft.Config)
			tick      func(rn *raft.RawNode)
		}{
			{"follower", follows, (*raft.RawNode).Tick},
			{"sleeping", sleeps, (*raft.RawNode).Tick},
			{"deadline", follows, func(rn *raft.RawNode) { rn.NextDeadline() }},
			{"by100", follows, func(rn *raft.RawNode) { rn.TickBy(100) }},
		} {
			b.Run(fmt.Sprintf("%s/groups=%d", kind.name, n), func(b *testing.B) {
				nodes := idleGroups(b, n, false, kind.configure)
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					kind.tick(nodes[i])
					if i++; i == n {
						i = 0
					}
				}
			})
		}
	}
}

// BenchmarkIdleHeap is the memory of one idle replica of a group of three, without its storage.
func BenchmarkIdleHeap(b *testing.B) {
	for name, leaders := range map[string]bool{"follower": false, "leader": true} {
		for _, asleep := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/asleep=%t", name, asleep), func(b *testing.B) {
				const n = 1000
				for b.Loop() {
					heap := func() uint64 {
						runtime.GC()
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						return m.HeapAlloc
					}
					storages := make([]*flatStorage, n)
					for i := range storages {
						storages[i] = &flatStorage{ents: make([]pb.Entry, 1, 64), cs: pb.ConfState{Voters: []uint64{1, 2, 3}}}
					}
					before := heap()
					nodes := make([]*raft.RawNode, n)
					for i := range nodes {
						nodes[i] = idleNode(b, storages[i], leaders, asleep)
					}
					b.ReportMetric(float64(heap()-before)/n, "B/replica")
					runtime.KeepAlive(nodes)
					runtime.KeepAlive(storages)
				}
			})
		}
	}
}

// idleNode returns node 1 or 2 of an idle group of three, whose others are gone.
func idleNode(b *testing.B, s *flatStorage, leader, asleep bool) *raft.RawNode {
	g := &allocGroup{}
	for i := range 3 {
		storage := &flatStorage{ents: make([]pb.Entry, 1, 64), cs: s.cs}
		if leader && i == 0 || !leader && i == 1 {
			storage = s
		}
		c := &raft.Config{ID: uint64(i + 1), Storage: storage, Rand: sharedRand}
		if asleep {
			c.SleepAfter = 2
		}
		rn, err := raft.NewRawNode(c)
		if err != nil {
			b.Fatal(err)
		}
		g.nodes, g.storages, g.inbox = append(g.nodes, rn), append(g.storages, storage), append(g.inbox, nil)
	}
	if err := g.nodes[0].Campaign(); err != nil {
		b.Fatal(err)
	}
	g.settle()
	for range 5 {
		for _, rn := range g.nodes {
			rn.Tick()
		}
		g.settle()
	}
	if g.nodes[0].BasicStatus().RaftState != raft.StateLeader || g.nodes[1].BasicStatus().Asleep != asleep {
		b.Fatal("not idle")
	}
	if leader {
		return g.nodes[0]
	}
	return g.nodes[1]
}

var sharedRand = rand.NewPCG(1, 2)
