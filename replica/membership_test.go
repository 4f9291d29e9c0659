package replica_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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

// What gets lost on the way to a leader, or back from it, is not heard of by the member
// that passed it on, whose caller is told after a while that nobody knows.
func TestPassedOnAndNotHeardOf(t *testing.T) {
	g := newGroup(t, 3, nil)
	g.must(g.leader(), 1)
	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgPropRefused })
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

// What the leader refuses is refused on every member with the same reason, and at once,
// over any transport. That it is certain not to take effect is said only where the
// transport repeats nothing: else a copy may be on its way.
func TestRefusedByTheLeader(t *testing.T) {
	unknown := pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 9}
	plain := func(c *replica.Config) { c.Transport = struct{ replica.Transport }{c.Transport} }
	for name, g := range map[string]*group{"memory": newGroup(t, 3, nil), "tcp": newTCPGroup(t, 3, nil), "unknown": newGroup(t, 3, plain)} {
		t.Run(name, func(t *testing.T) {
			g.must(g.leader(), 1)
			var err error
			for range 20 {
				ctx, cancel := context.WithTimeout(g.context(), 5*time.Second)
				_, err = g.follower().replica.ProposeConfChange(ctx, unknown)
				cancel()
				if errors.Is(err, confchange.ErrUnknownNode) {
					break // else there was an election
				}
			}
			require.ErrorIs(t, err, confchange.ErrUnknownNode)
			var refused *raft.ConfChangeError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, name != "unknown", errors.Is(err, replica.ErrNotApplied), "%v", err)
			require.Equal(t, name == "unknown", errors.Is(err, replica.ErrAmbiguous), "%v", err)
		})
	}
}

// doubling is a transport that sends each proposal that is passed on twice.
type doubling struct{ replica.Transport }

func (d doubling) Send(ms []pb.Message) {
	for _, m := range ms {
		d.Transport.Send([]pb.Message{m})
		if m.Type == pb.MsgProp {
			d.Transport.Send([]pb.Message{m})
		}
	}
}

// Of a change that arrives twice the leader takes the first copy and refuses the other,
// because of the first. Nobody may be told that it does not take effect.
func TestRefusedCopyOfAChange(t *testing.T) {
	g := newGroup(t, 3, func(c *replica.Config) { c.Transport = doubling{c.Transport} })
	g.must(g.leader(), 1)
	seen := 0
	for i := range uint64(40) {
		change := pb.ConfChange{Type: pb.ConfChangeUpdateNode, NodeID: i%3 + 1}
		_, err := g.follower().replica.ProposeConfChange(g.context(), change)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		if errors.Is(err, raft.ErrConfChangePending) {
			require.ErrorIs(t, err, replica.ErrAmbiguous)
			require.NotErrorIs(t, err, replica.ErrNotApplied)
			seen++
		}
	}
	require.NotZero(t, seen)
}
