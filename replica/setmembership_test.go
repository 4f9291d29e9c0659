package replica_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// bothEffects runs f with each ConfChangeEffect.
func bothEffects(t *testing.T, f func(t *testing.T, change func(c *replica.Config))) {
	t.Run("OnApply", func(t *testing.T) { f(t, func(*replica.Config) {}) })
	t.Run("OnAppend", func(t *testing.T) {
		f(t, func(c *replica.Config) { c.Raft.ConfChangeEffect = raft.OnAppend })
	})
}

// voters is a membership of voters at their addresses.
func (g *group) voters(ids ...uint64) (m pb.Membership) {
	for _, id := range ids {
		member := pb.Member{ID: id}
		if s := g.members[id]; s != nil {
			member.Context = []byte(s.listen)
		}
		m.Voters = append(m.Voters, member)
	}
	return m
}

// set sets a membership on some member, until one takes it.
func (g *group) set(at func() *member, m pb.Membership) pb.MembershipOutcome {
	g.t.Helper()
	for ctx := g.context(); ; {
		outcome, err := at().replica.SetMembership(ctx, m)
		if errors.Is(err, replica.ErrAmbiguous) && ctx.Err() == nil {
			continue // it was passed on to a leader that is none any more, or refused it
		}
		require.NoError(g.t, err)
		return outcome
	}
}

// A group becomes what it is told to, whichever member is told, and who told it learns
// when it is so; whoever watches sees the target set and ended, once (dissertation §4).
func TestSetMembership(t *testing.T) {
	bothEffects(t, func(t *testing.T, change func(*replica.Config)) {
		g := newGroup(t, 3, change)
		g.must(g.leader(), 1)
		g.add(4)
		g.start(4)
		watcher := g.members[2].replica.Watch(64)
		outcome := g.set(g.leader, g.voters(1, 2, 3, 4))
		require.Equal(t, pb.MembershipReached, outcome.Result)
		stay := func() *member { return g.members[2] }
		outcome2 := g.set(stay, g.voters(2, 3, 4))
		require.Equal(t, pb.MembershipReached, outcome2.Result)
		g.must(g.members[4], 2)

		again, err := g.members[2].replica.AwaitMembership(g.context(), outcome.Version)
		require.NoError(t, err, "it is remembered")
		require.Equal(t, outcome, again)

		var set []uint64
		var ended []pb.MembershipOutcome
		for len(ended) < 2 || ended[len(ended)-1].Version != outcome2.Version {
			select {
			case e := <-watcher.C:
				switch e.Kind {
				case replica.TargetSet:
					set = append(set, e.Target.Version)
				case replica.TargetEnded:
					ended = append(ended, e.Outcome)
					require.Equal(t, e.Outcome.Version, set[len(set)-1])
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("set %v, ended %v", set, ended)
			}
		}
		require.Equal(t, outcome, ended[0])
		require.Len(t, set, len(ended))
	})
}

// A target whose new voter is not there is given up, and says because of whom
// (dissertation §4.2.1); the group is as it was.
func TestSetMembershipIsAborted(t *testing.T) {
	g := newGroup(t, 3, nil)
	leader := g.leader()
	g.must(leader, 1)
	g.add(4) // and not started
	outcome := g.set(g.leader, g.voters(1, 2, 3, 4))
	require.Equal(t, pb.MembershipAborted, outcome.Result)
	require.Equal(t, pb.MembershipNoAnswer, outcome.Reason)
	require.Equal(t, uint64(4), outcome.Node)
	status, err := g.leader().replica.Status(g.context())
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2, 3}, status.Config.IDs())
}

// standing sets a target that stands for an election timeout, a long one: of the log its new
// voter gets nothing.
func (g *group) standing() (leader *member, version uint64) {
	g.t.Helper()
	g.must(g.leader(), 1)
	g.add(4)
	g.start(4)
	g.network.SetFilter(func(m *pb.Message) bool { return m.To != 4 || m.Type == pb.MsgHeartbeat })
	leader = g.leader()
	ctx, cancel := context.WithTimeout(context.Background(), 20*tick)
	defer cancel()
	_, err := leader.replica.SetMembership(ctx, g.voters(1, 2, 3, 4))
	require.ErrorIs(g.t, err, context.DeadlineExceeded)
	var failed *replica.TargetError
	require.ErrorAs(g.t, err, &failed)
	return leader, failed.Version
}

// patient makes election timeouts so long that nothing is given up in a test.
func patient(c *replica.Config) { c.Raft.ElectionTick, c.Raft.HeartbeatTick = 100, 1 }

// Whoever stops waiting knows what to wait for again, or to give up; and a target that is
// given up, or another one takes the place of, has ended as that and nothing else.
func TestTargetThatStands(t *testing.T) {
	g := newGroup(t, 3, patient)
	leader, version := g.standing()
	follower := g.members[leader.id%3+1].replica
	got := make(chan pb.MembershipOutcome, 1)
	go func() {
		outcome, _ := follower.AwaitMembership(g.context(), version)
		got <- outcome
	}()
	// By hand nothing is changed meanwhile.
	_, err := leader.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 9})
	require.True(t, errors.Is(err, confchange.ErrTargetStands) || errors.Is(err, raft.ErrConfChangePending), "%v", err)

	next, err := leader.replica.ProposeMembership(g.context(), g.voters(1, 2, 4))
	require.NoError(t, err)
	require.Greater(t, next, version)
	outcome, err := leader.replica.AwaitMembership(g.context(), version)
	require.NoError(t, err)
	require.Equal(t, pb.MembershipSuperseded, outcome.Result)
	require.Equal(t, outcome, <-got)

	outcome, err = leader.replica.CancelMembership(g.context(), 0)
	require.NoError(t, err)
	require.Equal(t, next, outcome.Version)
	require.Equal(t, pb.MembershipCancelled, outcome.Reason)
	again, err := leader.replica.CancelMembership(g.context(), next)
	require.NoError(t, err, "it has ended, and that is told")
	require.Equal(t, outcome, again)
	_, err = leader.replica.CancelMembership(g.context(), 0)
	require.ErrorIs(t, err, replica.ErrNoTarget)
	_, err = leader.replica.AwaitMembership(g.context(), 1)
	require.ErrorIs(t, err, replica.ErrOutcomeUnknown, "of before it is not known that there was none")
	status, err := leader.replica.Status(g.context())
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2, 3}, status.Config.IDs(), "who did not catch up is gone again")
}

// What cannot be is refused with the reason, and nothing is changed; a preflight says so
// beforehand.
func TestRefusedMemberships(t *testing.T) {
	g := newGroup(t, 3, patient)
	leader := g.leader().replica
	require.NoError(t, leader.Read(g.context()))
	status, err := leader.Status(g.context())
	require.NoError(t, err)

	wrong := g.voters(1, 2)
	version := status.ConfigIndex + 7
	wrong.Expected = &version
	_, err = leader.SetMembership(g.context(), wrong)
	require.ErrorIs(t, err, confchange.ErrUnexpectedVersion)
	require.ErrorIs(t, err, replica.ErrNotApplied)
	_, err = leader.SetMembership(g.context(), pb.Membership{})
	require.ErrorIs(t, err, confchange.ErrInvalidTarget)
	_, err = leader.ProposeMembershipInTerm(g.context(), g.voters(1, 2), status.Term+1)
	require.ErrorIs(t, err, raft.ErrNotLeader)
	_, err = leader.ProposeMembershipInTerm(g.context(), g.voters(1, 2), 0)
	require.ErrorIs(t, err, raft.ErrNotLeader)
	_, err = g.follower().replica.ProposeMembershipInTerm(g.context(), g.voters(1, 2), status.Term)
	require.ErrorIs(t, err, raft.ErrNotLeader)

	check, err := leader.CheckMembership(g.context(), g.voters(1, 2))
	require.NoError(t, err)
	require.Equal(t, status.ConfigIndex, check.Version)
	require.Len(t, check.Steps, 1)
	_, err = g.follower().replica.CheckMembership(g.context(), g.voters(1, 2))
	require.ErrorIs(t, err, raft.ErrNotLeader)

	// An early end of the context is one before anything was proposed.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = leader.SetMembership(ctx, g.voters(1, 2))
	require.ErrorIs(t, err, replica.ErrNotApplied)
	_, err = leader.AwaitMembership(ctx, 1<<40)
	require.ErrorIs(t, err, context.Canceled)
}

// Members say what they know of with their first answers to a new leader. A call before that
// waits for it, as long as it may be on its way; after that it says of whom it misses the word.
func TestMembershipRightAfterElection(t *testing.T) {
	for _, answers := range []bool{true, false} {
		g := newGroup(t, 3, func(c *replica.Config) {
			c.Raft.DisableCheckQuorum = true
			if c.ID != 1 { // it is the one that asks for votes, which says something too
				c.Raft.ElectionTick, c.Raft.HeartbeatTick = 1000, 1
			}
		})
		for id := range uint64(3) {
			g.stop(id + 1)
		}
		g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgHeartbeatResp })
		for id := range uint64(3) {
			g.start(id + 1)
		}
		leader := g.leader().replica
		require.Eventually(t, func() bool { // at first it may not have committed anything in its term
			check, err := leader.CheckMembership(g.context(), g.voters(1, 2))
			require.NoError(t, err)
			return errors.Is(check.Err, confchange.ErrUnsupported)
		}, 10*time.Second, time.Millisecond)
		if answers {
			time.AfterFunc(3*tick, func() { g.network.SetFilter(nil) })
		}
		outcome, err := leader.SetMembership(g.context(), g.voters(1, 2, 3))
		if answers {
			require.NoError(t, err)
			require.Equal(t, pb.MembershipReached, outcome.Result)
		} else {
			require.ErrorIs(t, err, confchange.ErrUnsupported)
			require.ErrorIs(t, err, replica.ErrNotApplied)
		}
	}
}

// To give up what does not stand is answered at once, and for certain: also of a version that
// the log does not reach, and by one who has not heard yet how the target ended.
func TestCancelWhatDoesNotStand(t *testing.T) {
	g := newGroup(t, 3, patient)
	leader, version := g.standing()
	_, err := leader.replica.CancelMembership(g.context(), 1<<40)
	require.ErrorIs(t, err, replica.ErrNoTarget)
	require.EqualError(t, err, "replica: membership target 1099511627776: there is no such membership target")
	// The follower has not heard how the target ended when the leader refuses, and waits for it.
	late := leader.id%3 + 1
	g.network.SetFilter(func(m *pb.Message) bool {
		return (m.To != late || m.Type != pb.MsgApp) && (m.To != 4 || m.Type == pb.MsgHeartbeat)
	})
	outcome, err := leader.replica.CancelMembership(g.context(), version)
	require.NoError(t, err)
	require.Equal(t, pb.MembershipCancelled, outcome.Reason)
	time.AfterFunc(10*tick, func() { g.network.SetFilter(nil) })
	for _, id := range []uint64{late, leader.id} {
		again, err := g.members[id].replica.CancelMembership(g.context(), version)
		require.NoError(t, err)
		require.Equal(t, outcome, again)
	}
	// Who knows needs to ask nobody.
	g.network.SetFilter(func(*pb.Message) bool { return false })
	again, err := leader.replica.CancelMembership(g.context(), version)
	require.NoError(t, err)
	require.Equal(t, outcome, again)
}

// Who waits for an outcome when the replica stops is told so.
func TestAwaitMembershipEndsWithTheReplica(t *testing.T) {
	g := newGroup(t, 1, nil)
	r := g.leader().replica
	ended := make(chan error, 1)
	go func() {
		_, err := r.AwaitMembership(g.context(), 1<<40)
		ended <- err
	}()
	time.AfterFunc(tick, func() { _ = r.Stop(context.Background()) })
	require.ErrorIs(t, <-ended, replica.ErrStopped)
}
