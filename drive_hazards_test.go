package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// edited runs a group for some ticks, with every message changed on its way.
func edited(t *testing.T, c *rafttest.Cluster, ticks int, edit func(m *pb.Message)) {
	t.Helper()
	for range ticks {
		for _, m := range c.Nodes() {
			m.Tick()
		}
		for range 20 {
			for _, m := range c.Nodes() {
				c.Handle(m.ID)
			}
			msgs := c.Take(nil)
			for i := range msgs {
				edit(&msgs[i])
			}
			c.Send(msgs...)
			if err := c.Deliver(); err != nil { // of one that was removed meanwhile
				require.ErrorIs(t, err, raft.ErrStepPeerNotFound)
			}
		}
	}
}

// ignorant makes servers say that they do not know of targets.
func ignorant(ids ...uint64) func(m *pb.Message) {
	return func(m *pb.Message) {
		for _, id := range ids {
			if m.From == id {
				m.Features &^= pb.FeatureMembership
			}
		}
	}
}

// A leader that was held up and gets all its ticks at once, as replica gives them to it,
// has heard nobody meanwhile because it did not listen: no server is given up for that.
func TestTicksAtOnceGiveNobodyUp(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		d.Add(4)
		l := d.Leader()
		version := d.propose(membersOf([]uint64{1, 2, 3, 4}))
		for n := 0; l.Status().Progress[4].CatchUp == nil; n++ {
			require.Less(t, n, 10)
			d.Handle(1)
			require.NoError(t, d.Deliver())
			d.Handle(2)
			d.Handle(3)
		}
		for range 12 {
			l.Tick()
		}
		require.Equal(t, raft.StateLeader, l.BasicStatus().RaftState)
		require.Equal(t, pb.MembershipReached, d.untilEnded(version, 30, 1, 2, 3, 4).Result)
	})
}

// A leader that was cut off cannot tell who is gone.
func TestLeaderThatWasCutOffGivesNobodyUp(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		d.Tick(10 - 1) // so that the next quorum check is an election timeout away
		d.Add(4)
		d.Add(5)
		l := d.Leader()
		hold := func(m pb.Message) bool { return m.To == 5 && m.Type == pb.MsgApp }
		d.Drop = hold
		version := d.propose(membersOf([]uint64{1, 2, 3, 4, 5}))
		d.tick(4)
		require.NotNil(t, l.Status().Progress[5].CatchUp)
		d.Drop = func(m pb.Message) bool { return m.To == 1 || m.From == 1 }
		for range 11 {
			l.Tick()
			d.Settle()
		}
		require.Equal(t, raft.StateLeader, l.BasicStatus().RaftState)
		d.Drop = nil
		require.Equal(t, pb.MembershipReached, d.untilEnded(version, 60, 1, 2, 3, 4, 5).Result)
	})
}

// A learner that was a member before and goes back to software that does not know of
// targets cannot be made a voter: the target ends and does not wait for ever.
func TestTargetOfAMemberThatForgetsTargets(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		c := newGroup(t, 3, conf)
		l := c.Elect(1)
		c.Add(4)
		require.NoError(t, l.ProposeConfChange(change(t, "l4")))
		c.Tick(3)
		require.NoError(t, l.ProposeMembership(membersOf([]uint64{1, 2, 3, 4})))
		edited(t, c, 60, ignorant(4))
		st := l.Status()
		require.Nil(t, st.Config.Target)
		require.Equal(t, pb.MembershipRefused, st.Config.Outcome.Reason)
		require.EqualValues(t, 4, st.Config.Outcome.Node)
	})
}

// Who voted for the leader and died before it answered anything is silent after an
// election timeout, also without quorum checks.
func TestSilenceOfWhoOnlyVoted(t *testing.T) {
	c := newGroup(t, 3, func(c *raft.Config) { c.DisableCheckQuorum = true })
	c.Drop = func(m pb.Message) bool {
		vote := m.Type == pb.MsgVoteResp || m.Type == pb.MsgPreVoteResp
		return (m.From == 3 && !vote) || (m.From == 2 && vote)
	}
	l := c.Elect(1)
	c.Add(4)
	c.Tick(25)
	require.NoError(t, l.ProposeMembership(membersOf([]uint64{1, 2, 4})), "3 cannot say that it knows of targets, and need not")
}

// Who was added is not silent for as long as it could not answer, and is afterwards.
func TestSilenceOfWhoWasAdded(t *testing.T) {
	for _, checkQuorum := range []bool{true, false} {
		c := newGroup(t, 3, func(c *raft.Config) { c.DisableCheckQuorum = !checkQuorum })
		l := c.Elect(1)
		c.Tick(19)
		require.NoError(t, l.ProposeConfChange(change(t, "l4")))
		c.Settle()
		silent := func() bool {
			check, err := l.CheckMembership(membersOf([]uint64{1, 2, 3}, 4))
			require.NoError(t, err)
			for _, o := range check.Obstacles {
				if o.Kind == raft.ObstacleUnreachable {
					return true
				}
			}
			return false
		}
		for range 9 {
			require.False(t, silent())
			c.Tick(1)
		}
		c.Tick(5)
		require.True(t, silent())
	}
}

// Installing a snapshot may take long. A server that does, and answers heartbeats, is
// waited for, also once the host has reported that it has the bytes.
func TestCatchUpWhileASnapshotIsInstalled(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		l := d.Leader()
		for range 5 {
			require.NoError(t, l.Propose([]byte("x")))
		}
		d.Tick(2)
		_, err := l.Storage.CreateSnapshot(l.AppliedIndex, &l.Conf, nil)
		require.NoError(t, err)
		require.NoError(t, l.Storage.Compact(l.AppliedIndex))
		d.Add(4)
		// What rests on the disk of 4 does not leave.
		installing := true
		d.Drop = func(m pb.Message) bool { return m.From == 4 && m.Type == pb.MsgAppResp && installing && !m.Reject }
		version := d.propose(membersOf([]uint64{1, 2, 3, 4}))
		d.tick(4)
		require.NoError(t, l.ReportSnapshot(4, raft.SnapshotFinish))
		d.tick(30)
		require.Empty(t, d.ends)
		installing = false
		require.Equal(t, pb.MembershipReached, d.untilEnded(version, 30, 1, 2, 3, 4).Result)
	})
}

// A leader that is to go does not hand over to one that would not go on.
func TestTargetIsHandedToWhoKnowsOfThem(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		c := newGroup(t, 3, conf)
		l := c.Elect(1)
		c.Tick(3)
		require.NoError(t, l.ProposeConfChange(change(t, "u1"))) // something to be slow with
		c.Tick(2)
		edit := ignorant(2)
		// 2 goes back to older software at this moment.
		edited(t, c, 2, edit)
		m := membersOf([]uint64{2, 3})
		require.ErrorIs(t, l.ProposeMembership(m), confchange.ErrUnsupported)
		edited(t, c, 2, ignorant())
		c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
		require.NoError(t, l.ProposeMembership(m))
		told := []uint64{}
		c.Observe = func(id uint64, rd raft.Ready) {
			for _, m := range rd.Messages {
				if m.Type == pb.MsgTimeoutNow {
					told = append(told, m.To)
				}
			}
		}
		edited(t, c, 1, edit)
		require.NotContains(t, told, uint64(2))
	})
}

// One late answer is no silence where heartbeats are almost as rare as an election timeout.
func TestSilenceWithRareHeartbeats(t *testing.T) {
	c := newGroup(t, 3, func(c *raft.Config) { c.ElectionTick, c.HeartbeatTick = 10, 9 })
	l := c.Elect(1)
	late := []pb.Message{}
	c.Drop = func(m pb.Message) bool {
		if m.To == 1 && m.Type == pb.MsgHeartbeatResp {
			late = append(late, m)
			return true
		}
		return false
	}
	for n := range 60 {
		c.Tick(1)
		if n > 20 {
			check, err := l.CheckMembership(membersOf([]uint64{1, 2, 3}))
			require.NoError(t, err)
			require.Empty(t, check.Obstacles, "tick %d", n)
		}
		if n%3 == 1 { // two ticks late
			for _, m := range late {
				require.NoError(t, l.Step(m))
			}
			late = nil
		}
	}
}
