package replica_test

import (
	"context"
	"errors"
	"strings"
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
	require.NoError(t, leader.Read(g.context())) // it has committed in its term, and is alone
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

// onFollower does something on a follower until its error is the one that is wanted:
// on a loaded machine a follower may lead before it gets to it.
func onFollower(t *testing.T, g *group, want string, do func(r *replica.Replica) error) {
	t.Helper()
	for range 20 {
		err := do(g.follower().replica)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		if err != nil && strings.Contains(err.Error(), want) {
			return
		}
	}
	t.Fatalf("never: %s", want)
}

// What a leader refuses, or what gets lost on the way to it, is not heard of by the
// member that passed it on, whose caller is told after a while that nobody knows.
func TestPassedOnAndNotHeardOf(t *testing.T) {
	g := newGroup(t, 3, nil)
	g.must(g.leader(), 1)
	onFollower(t, g, replica.ErrAmbiguous.Error(), func(r *replica.Replica) error {
		_, err := r.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 9})
		return err
	})
	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgProp })
	onFollower(t, g, replica.ErrAmbiguous.Error(), func(r *replica.Replica) error {
		_, err := r.Propose(g.context(), number(2))
		return err
	})
	g.network.SetFilter(nil)
	g.must(g.leader(), 3)
}

// A transfer ends on whichever member it was asked for: also if the leader refuses it,
// or never hears of it. Only the leader can choose who is next.
func TestTransferFromAFollower(t *testing.T) {
	g := newGroup(t, 3, nil)
	g.must(g.leader(), 1)
	onFollower(t, g, raft.ErrNotLeader.Error(), func(r *replica.Replica) error {
		return r.TransferLeadership(g.context(), raft.None)
	})
	onFollower(t, g, "not transferred", func(r *replica.Replica) error {
		return r.TransferLeadership(g.context(), 9)
	})
	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgTransferLeader })
	onFollower(t, g, "not transferred", func(r *replica.Replica) error {
		status, err := r.Status(g.context())
		if err != nil {
			return err
		}
		return r.TransferLeadership(g.context(), status.ID)
	})
}
