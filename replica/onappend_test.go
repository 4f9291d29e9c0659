package replica_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// Where a change takes effect on append, a new member is connected before the change is
// committed: a group of one needs the second voter's word for it (dissertation §4.1).
func TestJoinOnAppend(t *testing.T) {
	for _, kind := range []pb.ConfChangeType{pb.ConfChangeAddNode, pb.ConfChangeAddLearnerNode} {
		t.Run(kind.String(), func(t *testing.T) {
			g := newTCPGroup(t, 1, func(c *replica.Config) { c.Raft.ConfChangeEffect = raft.OnAppend })
			leader := g.leader().replica
			require.NoError(t, leader.Read(g.context()))
			m := g.add(2)
			g.start(2)
			_, err := leader.ProposeConfChange(g.context(), pb.ConfChange{Type: kind, NodeID: 2, Context: []byte(m.listen)})
			require.NoError(t, err)
			require.NoError(t, m.replica.Read(g.context()))
		})
	}
}

// A group of two removes its dead member, where the leader is the one that lives
// (dissertation §4.1; see docs/host-contract.md).
func TestTwoNodeRemovalOnAppend(t *testing.T) {
	g := newGroup(t, 2, func(c *replica.Config) { c.Raft.ConfChangeEffect = raft.OnAppend })
	leader := g.leader()
	require.NoError(t, leader.replica.Read(g.context()))
	other := g.follower()
	g.stop(other.id)
	_, err := leader.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: other.id})
	require.NoError(t, err)
	g.must(leader, 3)
}
