package raft_test

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// The hazards of docs/membership.md that no other file has a test of.

// meet reports whether every majority of a has a member in common with every
// majority of b; both are sets of servers, as bits.
func meet(a, b uint) bool {
	majority := func(of, votes uint) bool { return 2*bits.OnesCount(votes&of) > bits.OnesCount(of) }
	for votes := range uint(1 << bits.Len(a|b)) {
		if majority(a, votes) && majority(b, ^votes) {
			return false
		}
	}
	return true
}

// Majorities before and after a change of one voter always meet, whatever the group;
// after a change of two they need not. So one change at a time, or a joint
// configuration (dissertation §4.1, figures 4.2 and 4.3).
func TestMajoritiesAroundAChange(t *testing.T) {
	const servers = 7
	for a := uint(1); a < 1<<servers; a++ {
		for i := range servers {
			if b := a ^ 1<<i; b != 0 {
				require.True(t, meet(a, b), "%b and %b", a, b)
			}
		}
	}
	require.False(t, meet(0b00111, 0b11111), "three servers become five")
	require.False(t, meet(0b0111, 0b1110), "one is replaced by another")
	// Two changes of one voter each, both from 1 2 3 4 and neither known to the other.
	require.False(t, meet(0b11111, 0b00111), "5 added here, 4 removed there")

	// So the core makes a joint configuration of two changes, whatever is asked for
	// about the way to leave it.
	for _, how := range []pb.ConfChangeTransition{
		pb.ConfChangeTransitionAuto, pb.ConfChangeTransitionJointImplicit, pb.ConfChangeTransitionJointExplicit,
	} {
		s := newLeader(t, onAppend)
		cc := change(t, "v4 v5")
		cc.Transition = how
		require.NoError(t, s.ProposeConfChange(cc))
		require.True(t, s.Status().Config.Joint(), "%v", how)
	}
}

// What happens if the configuration of a group is edited on its servers, one after
// the other, instead of changed through the log: two leaders in one term, and two
// entries committed at one index (dissertation figure 4.2).
func TestEditedConfigurationElectsTwoLeaders(t *testing.T) {
	c := &rafttest.Cluster{}
	for id := uint64(1); id <= 5; id++ {
		if id <= 2 {
			c.Add(id, 1, 2, 3)
		} else {
			c.Add(id, 1, 2, 3, 4, 5)
		}
	}
	c.Drop = rafttest.Cut(1, 2)
	one, three := c.Elect(1), c.Elect(3)
	require.Equal(t, one.BasicStatus().Term, three.BasicStatus().Term)
	require.NoError(t, one.Propose([]byte("x")))
	require.NoError(t, three.Propose([]byte("y")))
	c.Settle()
	require.EqualValues(t, 3, one.BasicStatus().Commit)
	require.EqualValues(t, 3, three.BasicStatus().Commit)
	require.NotEqual(t, one.Applied[1].Data, three.Applied[1].Data)
}

// The schedule by which changes of one voter each lost a committed entry, until
// leaders had to commit an entry of their own term first (Ongaro's correction to
// dissertation §4.1). Here the second leader is refused its change, and the first does
// not come back.
func TestChangeBeforeACommitInTheTermWouldLoseEntries(t *testing.T) {
	c := newGroup(t, 4, func(c *raft.Config) { onAppend(c); lonely(c); noPreVote(c) })
	c.Elect(1)
	require.NoError(t, c.Node(1).ProposeConfChange(change(t, "l5")))
	c.Add(5)
	c.Settle()
	c.Drop = func(m pb.Message) bool { return m.From == 1 && m.To != 5 }
	require.NoError(t, c.Node(1).ProposeConfChange(change(t, "v5"))) // 1 and 5 alone have it
	c.Settle()

	c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgApp && m.To != 3 || m.From == 1 }
	two := c.Node(2)
	require.NoError(t, two.Campaign())
	c.Settle()
	require.Equal(t, raft.StateLeader, two.BasicStatus().RaftState)
	require.ErrorIs(t, two.ProposeConfChange(change(t, "r4")), raft.ErrConfChangeTooEarly)
	require.NoError(t, two.Propose([]byte("x")))
	c.Settle()
	require.EqualValues(t, 3, two.BasicStatus().Commit, "2 and 3 are no majority of 1 2 3 4")

	// Once it has committed, 1 is not elected any more: that takes two of those who hold it.
	c.Drop = func(m pb.Message) bool { return m.To == 1 || m.From == 1 || m.To == 5 || m.From == 5 }
	two.Tick()
	c.Settle()
	require.EqualValues(t, 5, two.BasicStatus().Commit)
	require.NoError(t, two.ProposeConfChange(change(t, "r4")))
	c.Settle()
	c.Drop = nil
	require.NoError(t, c.Node(1).Campaign())
	c.Settle()
	require.NotEqual(t, raft.StateLeader, c.Node(1).BasicStatus().RaftState)
}

// joinsAfresh is a group of three to which server 4 is added, and of which 3 fails
// before 4 has the log.
func joinsAfresh(t *testing.T, how string) *rafttest.Cluster {
	t.Helper()
	c := newGroup(t, 3, lonely)
	c.Elect(1)
	c.Add(4)
	c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgSnap }
	require.NoError(t, c.Node(1).ProposeConfChange(change(t, how)))
	c.Settle()
	c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgSnap || m.To == 3 || m.From == 3 }
	require.NoError(t, c.Node(1).Propose([]byte("x")))
	c.Settle()
	return c
}

// A voter that has no log yet counts in the majority and is no help: one failure more
// and nothing is committed until it has caught up (dissertation §4.2.1, figure 4.4).
func TestFreshVoterKeepsTheGroupFromCommitting(t *testing.T) {
	c := joinsAfresh(t, "v4")
	one := c.Node(1)
	c.Tick(5)
	require.EqualValues(t, 3, one.BasicStatus().Commit, "two of four")
	c.Drop = rafttest.Cut(3)
	require.NoError(t, one.ReportSnapshot(4, raft.SnapshotFailure))
	c.Tick(5)
	require.EqualValues(t, 4, one.BasicStatus().Commit)
}

// A learner without a log costs the group nothing, and is made a voter when it has it
// (dissertation §4.2.1).
func TestFreshLearnerCostsNothing(t *testing.T) {
	c := joinsAfresh(t, "l4")
	one := c.Node(1)
	require.EqualValues(t, 4, one.BasicStatus().Commit, "two of three")
	c.Drop = rafttest.Cut(3)
	require.NoError(t, one.ReportSnapshot(4, raft.SnapshotFailure))
	c.Tick(5)
	require.Equal(t, one.BasicStatus().LastIndex, one.Status().Progress[4].Match)
	require.NoError(t, one.ProposeConfChange(change(t, "v4")))
	c.Settle()
	require.Equal(t, []uint64{1, 2, 3, 4}, one.Conf.Voters)
	require.Equal(t, one.BasicStatus().LastIndex, one.BasicStatus().Commit, "with 4: three of four")
}

// Before its removal is committed, the removed server's log may be as good as that of a
// majority. Then pre-votes do not stop it from deposing the leader; refusing votes while
// there is a leader does (dissertation §4.2.3, figure 4.7).
func TestPreVoteAloneDoesNotStopTheRemoved(t *testing.T) {
	deposed := func(configure configure) bool {
		c := newGroup(t, 4, func(c *raft.Config) { onAppend(c); configure(c) })
		c.Elect(4)
		c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgApp }
		require.NoError(t, c.Node(4).ProposeConfChange(change(t, "r1")))
		for range 30 { // 1 gets nothing more, and its election timer runs out
			c.Tick(1)
			if c.Leader().ID != 4 {
				return true
			}
		}
		require.Equal(t, raft.StatePreCandidate, c.Node(1).BasicStatus().RaftState)
		return false
	}
	require.True(t, deposed(func(c *raft.Config) { c.DisableCheckQuorum = true }))
	require.False(t, deposed(func(*raft.Config) {}))
}

// A group of which only half the voters live can be shrunk by its leader where a change
// is committed by the configuration that it makes, and nowhere else; with fewer, by
// nobody (dissertation §4.1).
func TestHalfOfAGroupRemovesADeadMember(t *testing.T) {
	shrinks := func(effect raft.ConfChangeEffect, voters int, dead ...uint64) bool {
		c := newGroup(t, voters, func(c *raft.Config) { c.ConfChangeEffect = effect })
		c.Elect(1)
		c.Drop = rafttest.Cut(dead...)
		require.NoError(t, c.Node(1).ProposeConfChange(change(t, "r2")))
		c.Settle()
		c.Tick(30)
		require.Equal(t, c.Node(1).BasicStatus().Commit == 3, c.Node(1).BasicStatus().RaftState == raft.StateLeader)
		return c.Node(1).BasicStatus().Commit == 3
	}
	require.True(t, shrinks(raft.OnAppend, 2, 2))
	require.False(t, shrinks(raft.OnApply, 2, 2))
	require.True(t, shrinks(raft.OnAppend, 4, 2, 3))
	require.False(t, shrinks(raft.OnApply, 4, 2, 3))
	require.False(t, shrinks(raft.OnAppend, 3, 2, 3))
	require.False(t, shrinks(raft.OnApply, 3, 2, 3))
	require.True(t, shrinks(raft.OnApply, 3, 2))
}

// Whoever is left of two when the leader dies is no majority of two, and removes nobody,
// with either setting (dissertation §4.1).
func TestDeadLeaderOfTwoIsNotRemoved(t *testing.T) {
	for _, effect := range []raft.ConfChangeEffect{raft.OnApply, raft.OnAppend} {
		c := newGroup(t, 2, func(c *raft.Config) { c.ConfChangeEffect = effect })
		c.Elect(1)
		c.Drop = rafttest.Cut(1)
		c.Tick(50)
		require.Error(t, c.Node(2).ProposeConfChange(change(t, "r1")))
		require.NotEqual(t, raft.StateLeader, c.Node(2).BasicStatus().RaftState)
	}
}

// The price of it: a voter that is added counts for the commit of its own addition, and
// if it is not there a further failure leaves that uncommitted. Where the configuration before
// decides, the change is committed, and what comes after it waits (dissertation §4.1, §4.2.1).
func TestAddedVoterCountsForItsOwnAddition(t *testing.T) {
	adds := func(effect raft.ConfChangeEffect) *rafttest.Member {
		c := newGroup(t, 3, func(c *raft.Config) { c.ConfChangeEffect = effect; lonely(c) })
		c.Elect(1)
		c.Drop = rafttest.Cut(3)
		require.NoError(t, c.Node(1).ProposeConfChange(change(t, "v4"))) // which does not exist
		c.Settle()
		return c.Node(1)
	}
	one := adds(raft.OnApply)
	require.EqualValues(t, 3, one.BasicStatus().Commit, "two of three")
	require.NoError(t, one.ProposeConfChange(change(t, "r4")), "but its removal needs three of four")
	one = adds(raft.OnAppend)
	require.EqualValues(t, 2, one.BasicStatus().Commit, "two of four")
	require.ErrorIs(t, one.ProposeConfChange(change(t, "r4")), raft.ErrConfChangePending)
}

// A group of two whose leader alone holds its own removal goes on when it is back, with
// either setting: with OnAppend because it may lead although its configuration does not
// have it (dissertation §4.2.2).
func TestSoleHolderOfItsRemovalInAGroup(t *testing.T) {
	for _, effect := range []raft.ConfChangeEffect{raft.OnApply, raft.OnAppend} {
		c := newGroup(t, 2, func(c *raft.Config) { c.ConfChangeEffect = effect })
		c.Elect(1)
		c.Drop = rafttest.Cut(1)
		require.NoError(t, c.Node(1).ProposeConfChange(change(t, "r1")))
		c.Settle()
		c.Restart(1)
		c.Drop = nil
		ticksUntil(t, c, 200, func() bool {
			two := c.Node(2).BasicStatus()
			return two.RaftState == raft.StateLeader && two.Commit >= 4
		})
		require.Equal(t, []uint64{2}, c.Node(2).Conf.Voters)
	}
}

// What a majority does not hold is undone everywhere, the configuration too, and the
// members of it go on as what they were (dissertation §4.1).
func TestUncommittedChangeIsUndoneInAGroup(t *testing.T) {
	c := newGroup(t, 3, func(c *raft.Config) { onAppend(c); lonely(c) })
	c.Elect(1)
	require.NoError(t, c.Node(1).ProposeConfChange(change(t, "l4")))
	c.Add(4)
	c.Settle()
	c.Drop = func(m pb.Message) bool { return m.From == 1 && m.To != 4 || m.From == 4 }
	require.NoError(t, c.Node(1).ProposeConfChange(change(t, "v4")))
	c.Settle()
	require.True(t, c.Node(4).Status().Config.IsVoter(4))
	c.Drop = rafttest.Cut(1)
	c.Elect(2)
	require.True(t, c.Node(4).Status().Config.IsLearner(4), "replaced")
	c.Drop = nil
	c.Tick(5)
	require.True(t, c.Node(1).Status().Config.IsLearner(4))
	sameLogs(t, c, 1, 2, 3, 4)
}

// With OnAppend a host cannot void a change: it is in effect, here and elsewhere, before
// any host sees it.
func TestOnAppendHostCannotVoidAChange(t *testing.T) {
	s := newLeader(t, onAppend)
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
	s.persist(s.ready())
	s.recv(ack(2, 2, 3), ack(3, 2, 3))
	rd := s.ready()
	require.Len(t, rd.CommittedEntries, 1)
	cs := s.ApplyConfChange(pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{}}})
	require.Equal(t, []uint64{1, 2, 3, 4}, cs.Voters)
	require.NoError(t, s.Advance(rd))
	require.Equal(t, []uint64{1, 2, 3, 4}, s.members())
}
