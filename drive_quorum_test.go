package raft_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// whileCatchingUp is a group of five on its way to voters 1, 4, 5 and 6, of whom 4 and
// 5 fall silent while 6 catches up. It has caught up when this returns.
func whileCatchingUp(t *testing.T, conf configure, force bool) (d *driven, version uint64) {
	d = newDriven(t, 5, with(conf, func(c *raft.Config) { c.MaxCatchUpRounds = 3 }))
	d.Add(6)
	silent := rafttest.Cut(4, 5)
	d.Drop = func(m pb.Message) bool { return m.To == 6 && len(m.Entries) > 0 || silent(m) }
	d.tick(6)
	m := membersOf([]uint64{1, 4, 5, 6})
	m.Force = force
	version = d.propose(m)
	d.tick(6)
	require.NotNil(t, d.Leader().Status().Progress[6].CatchUp)
	d.Drop = silent
	ticksUntil(t, d.Cluster, 40, func() bool {
		p, is := d.Leader().Status().Progress[6]
		return is && (p.CatchUp == nil || p.CatchUp.CaughtUp)
	})
	d.tick(2)
	return d, version
}

func isVoter(d *driven, id uint64) bool {
	cfg := d.Leader().Status().Config
	return cfg.IsVoter(id)
}

func waitsForVoters(l *rafttest.Member) bool {
	return slices.ContainsFunc(l.Explain(), func(e raft.Explanation) bool { return e.Reason == raft.ReasonVotersSilent })
}

// Too many of the voters to be fall silent while another catches up: the change that
// would stop the group (a joint configuration needs both majorities, dissertation §4.3)
// is not made. It is when they are back.
func TestChangeOfVotersWaitsForThem(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d, version := whileCatchingUp(t, conf, false)
		for range 10 {
			d.tick(1)
			require.False(t, isVoter(d, 6))
			require.Equal(t, confchange.StepChangeVoters, d.Leader().Status().MembershipStep.Kind)
			require.True(t, waitsForVoters(d.Leader()))
			require.NoError(t, d.Leader().Propose([]byte("the group goes on")))
		}
		d.Drop = rafttest.Cut(5)
		require.Equal(t, pb.MembershipReached, d.untilEnded(version, 30, 1, 4, 6).Result, "3 of 4 decide")
		require.False(t, waitsForVoters(d.Leader()))
	})
}

// If they do not come back for as long as a server gets to catch up, the target is
// given up, and the group is what it was.
func TestChangeOfVotersIsGivenUp(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d, version := whileCatchingUp(t, conf, false)
		d.tick(15)
		require.NotContains(t, d.ends, version)
		outcome := d.untilEnded(version, 20, 1, 2, 3)
		require.Equal(t, pb.MembershipAborted, outcome.Result)
		require.Equal(t, pb.MembershipNoQuorum, outcome.Reason)
		require.Equal(t, []uint64{1, 2, 3, 4, 5}, ids(d.Leader()))
		require.NoError(t, d.Leader().Propose(nil))
	})
}

// A forced target goes on: who forces it says that it is known.
func TestForcedChangeOfVotersDoesNotWait(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d, _ := whileCatchingUp(t, conf, true)
		require.True(t, isVoter(d, 6))
		require.False(t, waitsForVoters(d.Leader()))
	})
}

// lead has a node campaign, as if it were asked to take over. It gives up a first
// campaign in which it hears of a change that it has to apply before.
func lead(t *testing.T, c *rafttest.Cluster, id uint64) {
	for range 2 {
		m := c.Node(id)
		require.NoError(t, m.Step(pb.Message{Type: pb.MsgTimeoutNow, From: c.Leader().ID, To: id, Term: m.BasicStatus().Term}))
		c.Settle()
		if m.BasicStatus().RaftState == raft.StateLeader {
			return
		}
	}
	require.Fail(t, "not elected", "%d", id)
}

// A leader that is new takes nobody's word for it that the voters to be are there:
// neither does it change the voters before they have answered it, nor hand over to one
// of them.
func TestNewLeaderWaitsForTheVotersToBe(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		for _, next := range []uint64{1, 2} { // a voter of the target, and one that is none
			d := newDriven(t, 5, conf)
			d.propose(membersOf([]uint64{1, 4, 5}))
			// A majority has the target, and its leader does not hear of it.
			for _, m := range d.Nodes() {
				d.Handle(m.ID)
			}
			require.NoError(t, d.Deliver())
			for id := uint64(2); id <= 5; id++ {
				d.Handle(id)
			}
			silent, term := rafttest.Cut(4, 5), d.Node(1).BasicStatus().Term
			d.Drop = func(m pb.Message) bool { return m.To == 1 && m.Term == term || silent(m) }
			lead(t, d.Cluster, 3)
			lead(t, d.Cluster, next)
			for range 25 {
				d.tick(1)
				require.Equal(t, next, d.Leader().ID)
				require.Equal(t, raft.None, d.Leader().BasicStatus().LeadTransferee)
				cfg := d.Leader().Status().Config
				require.NotNil(t, cfg.Target)
				require.False(t, cfg.Joint())
				require.True(t, isVoter(d, 2))
			}
			d.Drop = nil
			d.tick(40)
			require.Equal(t, []uint64{1, 4, 5}, ids(d.Leader()))
		}
	})
}
