package raft_test

import (
	"fmt"
	"testing"

	"github.com/quorate-raft/raft"
)

// What a tick costs a leader, without a target and with one that waits for a server to
// catch up.
func BenchmarkLeaderTickWithTarget(b *testing.B) {
	for _, n := range []int{3, 101} {
		for _, target := range []bool{false, true} {
			b.Run(fmt.Sprintf("members=%d/target=%v", n, target), func(b *testing.B) {
				g := newBenchGroup(b, n, func(c *raft.Config) {
					c.ElectionTick, c.ConfChangeEffect = 1<<28, raft.OnAppend
				})
				g.inbox = append(g.inbox, nil) // of who never comes
				l := g.nodes[0]
				l.Tick()
				g.settle()
				if target {
					var voters []uint64
					for id := range n + 1 {
						voters = append(voters, uint64(id+1))
					}
					if err := l.ProposeMembership(membersOf(voters)); err != nil {
						b.Fatal(err)
					}
					g.settle()
				}
				b.ReportAllocs()
				for b.Loop() {
					l.Tick()
				}
				b.StopTimer()
				if l.BasicStatus().RaftState != raft.StateLeader || (l.Status().Config.Target != nil) != target {
					b.Fatal("it has ended")
				}
			})
		}
	}
}
