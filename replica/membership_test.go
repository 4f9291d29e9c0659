package replica_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// A change that cannot be meant is refused with the reason, and certain not to take
// effect.
func TestRefusedChanges(t *testing.T) {
	g := newGroup(t, 1, nil)
	leader := g.leader().replica
	require.NoError(t, leader.Read(g.context())) // it has committed in its term
	for want, change := range map[error]pb.ConfChangeI{
		confchange.ErrNotJoint:      nil,
		confchange.ErrInvalidNode:   pb.ConfChange{Type: pb.ConfChangeAddNode},
		confchange.ErrUnknownNode:   pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeRemoveNode, NodeID: 9}}},
		confchange.ErrNoVoters:      pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 1},
		confchange.ErrDuplicateNode: pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{NodeID: 2}, {NodeID: 2}}},
	} {
		_, err := leader.ProposeConfChange(g.context(), change)
		require.ErrorIs(t, err, want)
		require.ErrorIs(t, err, replica.ErrNotApplied)
		var refused *raft.ConfChangeError
		require.True(t, errors.As(err, &refused))
	}
}

// What a leader refuses, or what gets lost on the way to it, is not heard of by the
// member that passed it on, whose caller is told after a while that nobody knows.
func TestPassedOnAndNotHeardOf(t *testing.T) {
	g := newGroup(t, 3, func(c *replica.Config) { c.Raft.ElectionTick = 5 })
	leader := g.leader()
	g.must(leader, 1)
	follower := g.follower()
	require.NoError(t, follower.replica.Read(g.context()))
	_, err := follower.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 9})
	require.ErrorIs(t, err, replica.ErrAmbiguous)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgProp })
	_, err = follower.replica.Propose(g.context(), number(2))
	require.ErrorIs(t, err, replica.ErrAmbiguous)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	g.network.SetFilter(nil)
	require.EqualValues(t, 4, g.must(g.leader(), 3))
}

// A transfer ends on whichever member it was asked for: also if the leader refuses it,
// or never hears of it. Only the leader can choose who is next.
func TestTransferFromAFollower(t *testing.T) {
	g := newGroup(t, 3, func(c *replica.Config) { c.Raft.ElectionTick = 5 })
	leader := g.leader()
	g.must(leader, 1)
	follower := g.follower()
	require.NoError(t, follower.replica.Read(g.context()))
	require.ErrorIs(t, follower.replica.TransferLeadership(g.context(), raft.None), raft.ErrNotLeader)
	err := follower.replica.TransferLeadership(g.context(), 9)
	require.ErrorContains(t, err, "not transferred")
	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgTransferLeader })
	err = follower.replica.TransferLeadership(g.context(), follower.id)
	if id, _ := follower.replica.Leader(); id != follower.id { // by an election, under load
		require.ErrorContains(t, err, "not transferred")
	}
	g.network.SetFilter(nil)
}
