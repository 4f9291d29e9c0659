package confchange

import (
	"testing"

	"github.com/quorate-raft/raft/raftpb"
)

// BenchmarkJointChange enters and leaves a joint configuration that replaces
// one voter of many.
func BenchmarkJointChange(b *testing.B) {
	for name, n := range map[string]uint64{"nodes=3": 3, "nodes=101": 101} {
		b.Run(name, func(b *testing.B) {
			var c Config
			for id := range n {
				c.Voters[0] = append(c.Voters[0], id+1)
			}
			cc := raftpb.ConfChangeV2{Changes: []raftpb.ConfChangeSingle{
				{Type: raftpb.ConfChangeAddNode, NodeID: n + 1},
				{Type: raftpb.ConfChangeRemoveNode, NodeID: 1},
			}}
			b.ReportAllocs()
			for b.Loop() {
				if err := Validate(c, cc); err != nil {
					b.Fatal(err)
				}
				joint, err := Apply(c, cc)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := LeaveJoint(joint); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
