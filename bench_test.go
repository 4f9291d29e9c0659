package raft_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// benchGroup moves messages between nodes by value, with a host that does one
// thing after the other.
type benchGroup struct {
	nodes    []*raft.RawNode
	storages []*raft.MemoryStorage
	inbox    [][]pb.Message
	applied  int
	messages int
	reads    int
}

func newBenchGroup(b *testing.B, n int, configure func(*raft.Config)) *benchGroup {
	g := &benchGroup{inbox: make([][]pb.Message, n)}
	var ids []uint64
	for i := range n {
		ids = append(ids, uint64(i+1))
	}
	for _, id := range ids {
		s := raft.NewMemoryStorage()
		snap := pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: pb.ConfState{Voters: ids}}}
		if err := s.ApplySnapshot(snap); err != nil {
			b.Fatal(err)
		}
		c := &raft.Config{ID: id, Storage: s, Rand: rand.NewPCG(1, id)}
		if configure != nil {
			configure(c)
		}
		node, err := raft.NewRawNode(c)
		if err != nil {
			b.Fatal(err)
		}
		g.nodes, g.storages = append(g.nodes, node), append(g.storages, s)
	}
	if err := g.nodes[0].Campaign(); err != nil {
		b.Fatal(err)
	}
	g.settle()
	if g.nodes[0].BasicStatus().RaftState != raft.StateLeader {
		b.Fatal("no leader")
	}
	return g
}

func (g *benchGroup) settle() {
	for busy := true; busy; {
		busy = false
		for i, n := range g.nodes {
			for j := range g.inbox[i] {
				_ = n.Step(g.inbox[i][j])
			}
			g.inbox[i] = g.inbox[i][:0]
			for n.HasReady() {
				busy = true
				rd := n.Ready()
				g.send(rd.Messages)
				if len(rd.Entries) > 0 {
					_ = g.storages[i].Append(rd.Entries)
				}
				if !raft.IsEmptyHardState(rd.HardState) {
					_ = g.storages[i].SetHardState(rd.HardState)
				}
				g.send(rd.MessagesAfterAppend)
				g.applied += len(rd.CommittedEntries)
				g.reads += len(rd.ReadStates)
				if err := n.Advance(rd); err != nil {
					panic(err)
				}
			}
		}
	}
}

func (g *benchGroup) send(msgs []pb.Message) {
	g.messages += len(msgs)
	for i := range msgs {
		to := msgs[i].To - 1
		g.inbox[to] = append(g.inbox[to], msgs[i])
	}
}

// compact keeps the storages small, outside of what is measured.
func (g *benchGroup) compact(b *testing.B) {
	b.StopTimer()
	for i, n := range g.nodes {
		_ = g.storages[i].Compact(n.BasicStatus().Applied)
	}
	b.StartTimer()
}

// BenchmarkPropose: batch entries proposed one by one, then committed and applied
// on all nodes.
func BenchmarkPropose(b *testing.B) {
	for _, n := range []int{1, 3, 5, 7, 101} {
		for _, batch := range []int{1, 64} {
			if n > 7 && batch > 1 {
				continue
			}
			b.Run(fmt.Sprintf("voters=%d/batch=%d", n, batch), func(b *testing.B) {
				g := newBenchGroup(b, n, nil)
				data := make([]byte, 128)
				b.ReportAllocs()
				g.applied, g.messages = 0, 0
				i := 0
				for b.Loop() {
					for range batch {
						if err := g.nodes[0].Propose(data); err != nil {
							b.Fatal(err)
						}
					}
					g.settle()
					if i++; i%10_000 == 0 {
						g.compact(b)
					}
				}
				if g.applied != b.N*batch*n {
					b.Fatalf("applied %d, want %d", g.applied, b.N*batch*n)
				}
				b.ReportMetric(float64(g.messages)/float64(b.N), "messages/op")
			})
		}
	}
}

// BenchmarkRead: reads that share a round, and lease reads.
func BenchmarkRead(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("index/batch=%d", batch), func(b *testing.B) {
			g := newBenchGroup(b, 3, nil)
			ctx := []byte("context")
			b.ReportAllocs()
			g.reads = 0
			for b.Loop() {
				for range batch {
					if err := g.nodes[0].ReadIndex(ctx); err != nil {
						b.Fatal(err)
					}
				}
				g.settle()
			}
			if g.reads != b.N*batch {
				b.Fatalf("answered %d, want %d", g.reads, b.N*batch)
			}
		})
	}
	b.Run("lease", func(b *testing.B) {
		g := newBenchGroup(b, 3, func(c *raft.Config) { c.ReadOnlyOption = raft.ReadOnlyLeaseBased })
		g.nodes[0].Tick()
		g.settle()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := g.nodes[0].LeaseRead(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTick: an idle follower's, and a leader's with its heartbeats.
func BenchmarkTick(b *testing.B) {
	b.Run("follower", func(b *testing.B) {
		g := newBenchGroup(b, 3, func(c *raft.Config) { c.ElectionTick = 1 << 29 })
		b.ReportAllocs()
		for b.Loop() {
			g.nodes[1].Tick()
		}
	})
	b.Run("leader", func(b *testing.B) {
		g := newBenchGroup(b, 3, nil)
		b.ReportAllocs()
		for b.Loop() {
			g.nodes[0].Tick()
			g.settle()
		}
	})
}
