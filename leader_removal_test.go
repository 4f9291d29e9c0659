package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// removed is a leader of term 2 whose change, entry 3, is committed and applied;
// what it sent on that is returned.
func removed(t *testing.T, what string, conf configure, voters ...uint64) (*solo, []pb.Message) {
	t.Helper()
	s := newLeader(t, conf, voters...)
	require.NoError(t, s.ProposeConfChange(change(t, what)))
	s.sent()
	for _, id := range voters[1 : len(voters)/2+1] {
		s.recv(ack(id, 2, 3))
	}
	msgs := s.sent()
	require.False(t, s.Status().Config.IsVoter(1))
	require.Equal(t, raft.StateLeader, s.role())
	return s, msgs
}

// A leader that is removed or demoted goes only when a majority of the remaining
// voters has answered a heartbeat that told it of the commit: else they might
// have to elect with a member that takes itself for removed (dissertation
// §4.2.2). Then it tells one of them to campaign, and steps down.
func TestRemovedLeaderMakesSureTheRestKnows(t *testing.T) {
	for _, what := range []string{"r1", "l1"} {
		t.Run(what, func(t *testing.T) {
			s, msgs := removed(t, what, lonely, 1, 2, 3, 4, 5) // the rest: 2 3 4 5
			beats := ofType(msgs, pb.MsgHeartbeat)
			require.Len(t, beats, 4)
			require.ErrorIs(t, s.Propose([]byte("x")), raft.ErrLeaving)
			require.ErrorIs(t, s.Propose([]byte("x")), raft.ErrProposalDropped)
			for _, m := range beats {
				// 2 and 3 hold the entry and learn that it is committed, 4 and 5 do not.
				require.Equal(t, m.To <= 3, m.Commit == 3)
				s.recv(s.answer(m))
			}
			require.Equal(t, raft.StateLeader, s.role())
			s.recv(ack(4, 2, 3))
			again := to(ofType(s.sent(), pb.MsgHeartbeat), 4)
			require.Len(t, again, 1, "told at once")
			require.Equal(t, uint64(3), again[0].Commit)
			require.Equal(t, raft.StateLeader, s.role())
			s.recv(s.answer(again[0]))
			require.Equal(t, raft.StateFollower, s.role())
			require.Equal(t, raft.StepDownRemoved, s.BasicStatus().LastStepDown)
			m := theOne(t, s.sent(), pb.MsgTimeoutNow)
			require.Contains(t, []uint64{2, 3, 4}, m.To)
			require.Equal(t, uint64(2), m.Term)
			s.ticks(100)
			require.Equal(t, raft.StateFollower, s.role(), "and it does not campaign")
		})
	}
}

// The answer to a heartbeat that did not tell of the commit says nothing of it.
func TestOldHeartbeatsDoNotReleaseTheLeader(t *testing.T) {
	s := newLeader(t, lonely)
	s.Tick()
	old := ofType(s.sent(), pb.MsgHeartbeat)
	require.NoError(t, s.ProposeConfChange(change(t, "r1")))
	s.sent()
	s.recv(ack(2, 2, 3), ack(3, 2, 3))
	s.sent()
	for _, m := range old {
		s.recv(s.answer(m))
	}
	require.Equal(t, raft.StateLeader, s.role())
}

// After an election timeout it goes in any case, and says that the hand-over did
// not succeed (dissertation §4.2.2).
func TestRemovedLeaderGoesAfterATimeout(t *testing.T) {
	s, _ := removed(t, "r1", lonely, 1, 2, 3)
	s.ticks(9)
	require.Equal(t, raft.StateLeader, s.role())
	s.Tick()
	require.Equal(t, raft.StateFollower, s.role())
	require.Equal(t, raft.StepDownRemovedNoHandover, s.BasicStatus().LastStepDown)
	// One voter holds all and was heard from: it is told all the same.
	require.Equal(t, uint64(2), theOne(t, s.sent(), pb.MsgTimeoutNow).To)

	s, _ = removed(t, "r1", lonely, 1, 2, 3)
	s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 2})
	s.ticks(10)
	require.Equal(t, raft.StepDownRemovedNoHandover, s.BasicStatus().LastStepDown)
}

// For experts: it may be kept in office.
func TestRemovedLeaderCanStay(t *testing.T) {
	s, _ := removed(t, "r1", func(c *raft.Config) { c.DisableCheckQuorum, c.StayAfterRemoval = true, true }, 1, 2, 3)
	s.ticks(50)
	require.Equal(t, raft.StateLeader, s.role())
	require.NoError(t, s.Propose([]byte("x")))
	s.persist(s.ready())
	s.recv(ack(2, 2, 4))
	require.Equal(t, uint64(3), s.BasicStatus().Commit, "its own log does not count any more")
	s.recv(ack(3, 2, 4))
	require.Equal(t, uint64(4), s.BasicStatus().Commit)
}

// A leader that is in the outgoing half leads until the joint configuration is
// left (dissertation §4.3).
func TestLeaderOfTheOutgoingHalfLeadsUntilTheEnd(t *testing.T) {
	s := newLeader(t, lonely)
	cc := change(t, "r1 v4")
	cc.Transition = pb.ConfChangeTransitionJointExplicit
	require.NoError(t, s.ProposeConfChange(cc))
	for range 20 {
		s.Tick()
		s.serve()
	}
	require.Equal(t, raft.StateLeader, s.role())
	require.NoError(t, s.Propose([]byte("x")))
	s.serve()
	require.NoError(t, s.ProposeConfChange(pb.ConfChangeV2{}))
	s.serve()
	require.Equal(t, raft.StateFollower, s.role())
	require.Equal(t, raft.StepDownRemoved, s.BasicStatus().LastStepDown)
}

// The group goes on without its removed or demoted leader within the time of the
// hand-over, whatever its size.
func TestGroupGoesOnWithoutItsLeader(t *testing.T) {
	for _, what := range []string{"r1", "l1", "r1 v9", "l1 v9"} {
		for _, n := range []int{2, 3, 4, 5} {
			c := newGroup(t, n, nil)
			l := c.Elect(1)
			require.NoError(t, l.ProposeConfChange(change(t, what)))
			if len(what) > 2 {
				c.Add(9)
			}
			ticks := ticksUntil(t, c, 15, func() bool { return leaderBeside(c, 1) })
			require.LessOrEqual(t, ticks, 5, "handed over, not timed out: %s of %d", what, n)
			require.Equal(t, raft.StepDownRemoved, l.BasicStatus().LastStepDown)
			next := c.Leader()
			require.False(t, next.Status().Config.IsVoter(1))
			require.NoError(t, next.Propose([]byte("x")))
			c.Tick(2)
			require.Equal(t, next.BasicStatus().LastIndex, next.BasicStatus().Commit)
			term := next.BasicStatus().Term
			c.Tick(100)
			require.Equal(t, term, c.Leader().BasicStatus().Term, "the old leader does not disturb")
		}
	}
}

// If the hand-over is lost the rest elect by their own timers.
func TestGroupGoesOnIfTheHandOverIsLost(t *testing.T) {
	c := newGroup(t, 3, nil)
	l := c.Elect(1)
	require.NoError(t, l.ProposeConfChange(change(t, "l1")))
	c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
	ticksUntil(t, c, 100, func() bool { return leaderBeside(c, 1) })
	c.Drop = nil
	c.Tick(5)
	sameLogs(t, c, 1, 2, 3)
	require.Equal(t, c.Leader().ID, l.BasicStatus().Lead, "the learner follows")

	c = newGroup(t, 3, nil)
	l = c.Elect(1)
	require.NoError(t, l.ProposeConfChange(change(t, "r1")))
	c.Handle(1)
	require.NoError(t, c.Deliver())
	c.Drop = rafttest.Cut(1) // it dies before it can commit
	ticksUntil(t, c, 100, func() bool { return leaderBeside(c, 1) })
}
