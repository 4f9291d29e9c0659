package raft_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// bothEffects runs f with each ConfChangeEffect.
func bothEffects(t *testing.T, f func(t *testing.T, conf configure)) {
	t.Run("OnApply", func(t *testing.T) { f(t, func(*raft.Config) {}) })
	t.Run("OnAppend", func(t *testing.T) { f(t, onAppend) })
}

func with(confs ...configure) configure {
	return func(c *raft.Config) {
		for _, conf := range confs {
			conf(c)
		}
	}
}

// members are voters and learners without contexts.
func membersOf(voters []uint64, learners ...uint64) pb.Membership {
	var m pb.Membership
	for _, id := range voters {
		m.Voters = append(m.Voters, pb.Member{ID: id})
	}
	for _, id := range learners {
		m.Learners = append(m.Learners, pb.Member{ID: id})
	}
	return m
}

// ids are the members that a node knows.
func ids(m *rafttest.Member) []uint64 {
	cfg := m.Status().Config
	return cfg.IDs()
}

// driven is a group whose configurations are watched: every node applies the same
// configuration at an index, and each target ends at most once.
type driven struct {
	*rafttest.Cluster
	t    *testing.T
	ends map[uint64]pb.MembershipOutcome // by version
}

func newDriven(t *testing.T, n int, conf configure) *driven {
	t.Helper()
	d := &driven{Cluster: newGroup(t, n, conf), t: t, ends: map[uint64]pb.MembershipOutcome{}}
	d.Elect(1)
	d.Tick(1)
	return d
}

// watch notes what ended, and where it is told.
func (d *driven) watch() {
	d.t.Helper()
	for _, m := range d.Nodes() {
		o := m.Conf.LastOutcome
		if o == nil {
			continue
		}
		if before, ended := d.ends[o.Version]; ended {
			require.Equal(d.t, before, *o, "node %d was told something else", m.ID)
		}
		d.ends[o.Version] = *o
	}
}

func (d *driven) tick(n int) {
	d.t.Helper()
	for range n {
		d.Tick(1)
		d.watch()
	}
}

// propose sets a target at the leader and returns its version.
func (d *driven) propose(m pb.Membership) uint64 {
	d.t.Helper()
	l := d.Leader()
	require.NoError(d.t, l.ProposeMembership(m))
	return l.BasicStatus().LastIndex
}

// untilEnded ticks until the target of that version has ended for all of ids, and
// returns how.
func (d *driven) untilEnded(version uint64, limit int, ids ...uint64) pb.MembershipOutcome {
	d.t.Helper()
	for range limit {
		d.tick(1)
		told := true
		for _, id := range ids {
			o := d.Node(id).Conf.LastOutcome
			told = told && o != nil && o.Version == version
		}
		if o, ended := d.ends[version]; ended && told {
			return o
		}
	}
	require.Fail(d.t, "the target has not ended", "%v, leader %v", d.ends, d.Leader())
	return pb.MembershipOutcome{}
}

// A target is reached without anybody's help: who is missing is added as a learner
// and catches up, the voters change in one step, whoever is left over goes, and a
// leader that is to go hands over first and goes last (dissertation §4.1 to §4.3).
// Every node learns the one outcome.
func TestTargetIsReached(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		for _, target := range []pb.Membership{
			membersOf([]uint64{1, 2, 3}),
			membersOf([]uint64{1, 2, 3, 4}),
			membersOf([]uint64{1, 2, 4}),
			membersOf([]uint64{2, 3}),
			membersOf([]uint64{2}),
			membersOf([]uint64{4}),
			membersOf([]uint64{4, 5, 6}),
			membersOf([]uint64{4, 5}, 1, 6),
			membersOf([]uint64{1, 3}, 2),
		} {
			d := newDriven(t, 3, conf)
			for id := uint64(4); id <= 6; id++ {
				d.Add(id)
			}
			d.Tick(2)
			for range 20 {
				require.NoError(t, d.Leader().Propose([]byte("x")))
			}
			version := d.propose(target)
			first := target.Voters[0].ID
			outcome := d.untilEnded(version, 200, first)
			require.Equal(t, pb.MembershipReached, outcome.Result, "%v", target)
			d.tick(15)
			cfg := d.Node(first).Status().Config
			require.True(t, cfg.Reached(target.Target()), "%v", cfg)
			require.Nil(t, cfg.Target)
			require.NotNil(t, d.Leader())
			require.True(t, cfg.IsVoter(d.Leader().ID))
			for _, id := range cfg.IDs() {
				require.Equal(t, outcome, *d.Node(id).Conf.LastOutcome, "node %d", id)
			}
			sameLogs(t, d.Cluster, cfg.IDs()...)
			require.Len(t, d.ends, 1)
		}
	})
}

// Contexts reach their members, also those who are members already: a server can
// change its address.
func TestTargetSetsContexts(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 2, conf)
		d.Add(3)
		target := membersOf([]uint64{1, 2, 3})
		for i := range target.Voters {
			target.Voters[i].Context = fmt.Append(nil, "host", i)
		}
		outcome := d.untilEnded(d.propose(target), 100, 1, 2, 3)
		require.Equal(t, pb.MembershipReached, outcome.Result)
		for i, id := range []uint64{1, 2, 3} {
			st := d.Node(3).Status()
			require.Equal(t, fmt.Sprint("host", i), string(st.Config.Context(id)))
		}
	})
}

// The target lives in the configuration: whoever leads next goes on, at whatever
// point the leader before was lost, also if all restart (design of declarative
// membership, from dissertation §4.3: a joint configuration is finished by whoever
// leads).
func TestTargetSurvivesItsLeaders(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		for after := range 14 {
			for _, all := range []bool{false, true} {
				d := newDriven(t, 3, conf)
				for id := uint64(4); id <= 6; id++ {
					d.Add(id)
				}
				version := d.propose(membersOf([]uint64{3, 4, 5}, 6))
				for range after {
					d.Handle(1)
					require.NoError(t, d.Deliver())
					for id := uint64(2); id <= 6; id++ {
						d.Handle(id)
					}
					if after%2 == 0 {
						d.Node(1).Tick()
					}
				}
				if d.Node(1).BasicStatus().Commit < version {
					continue // it may be lost with its leader
				}
				for id := uint64(1); id <= 6; id++ {
					if all || id == 1 {
						d.Restart(id)
					}
				}
				outcome := d.untilEnded(version, 400, 3)
				require.Equal(t, pb.MembershipReached, outcome.Result, "lost after %d", after)
			}
		}
	})
}

// A server that does not answer for an election timeout is given up, and the learner
// that it became is removed again (dissertation §4.2.1).
func TestTargetWithADeadServer(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		d.Add(4)
		version := d.propose(membersOf([]uint64{1, 2, 3, 4, 7}))
		d.Add(7)
		d.Drop = rafttest.Cut(7)
		outcome := d.untilEnded(version, 40, 1, 2, 3)
		require.Equal(t, pb.MembershipOutcome{
			Version: version, Result: pb.MembershipAborted, Reason: pb.MembershipNoAnswer, Node: 7, Index: outcome.Index,
		}, outcome)
		st := d.Leader().Status()
		require.Equal(t, []uint64{1, 2, 3}, st.Config.IDs(), "also 4, which did catch up: it was added for this alone")
		require.Nil(t, st.MembershipStep)
		// The group can go on at once.
		outcome = d.untilEnded(d.propose(membersOf([]uint64{1, 2, 3, 4})), 40, 1, 2, 3, 4)
		require.Equal(t, pb.MembershipReached, outcome.Result)
	})
}

// A server that never gets within an election timeout of the end of the log is given
// up after MaxCatchUpRounds (dissertation §4.2.1), and is not made a voter meanwhile.
func TestTargetWithASlowServer(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, with(conf, func(c *raft.Config) {
			c.MaxCatchUpRounds, c.MaxSizePerMsg, c.MaxInflightMsgs = 3, 1, 1
		}))
		l := d.Leader()
		load := func(n int) {
			for range n {
				require.NoError(t, l.Propose([]byte("x")))
			}
		}
		load(40)
		d.Tick(3)
		d.Add(4)
		appends := 0
		d.Drop = func(m pb.Message) bool { // one entry in a tick
			if m.To != 4 || len(m.Entries) == 0 {
				return false
			}
			appends++
			return appends > 1
		}
		version := d.propose(membersOf([]uint64{1, 2, 3, 4}))
		rounds := map[int]bool{}
		for n := 0; len(d.ends) == 0; n++ {
			require.Less(t, n, 400)
			load(1)
			appends = 0
			d.tick(1)
			st := l.Status()
			if p, member := st.Progress[4]; member && p.CatchUp != nil {
				require.False(t, st.Config.IsVoter(4))
				require.Equal(t, confchange.StepCatchUp, st.MembershipStep.Kind)
				rounds[p.CatchUp.Round] = true
			}
		}
		require.Equal(t, map[int]bool{1: true, 2: true, 3: true}, rounds)
		require.Equal(t, pb.MembershipTooSlow, d.ends[version].Reason)
		require.EqualValues(t, 4, d.ends[version].Node)
		require.Equal(t, []uint64{1, 2, 3}, ids(l))
	})
}

// A target can be cancelled, and another be set in its place. Each ends once.
func TestTargetIsCancelledAndSuperseded(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		for id := uint64(4); id <= 5; id++ {
			d.Add(id)
		}
		l := d.Leader()
		require.ErrorIs(t, l.CancelMembership(7), confchange.ErrStaleStep)
		d.Drop = func(m pb.Message) bool { return m.To == 4 && m.Type == pb.MsgApp }
		first := d.propose(membersOf([]uint64{1, 2, 4}))
		d.tick(3)
		st := l.Status()
		require.Equal(t, confchange.StepCatchUp, st.MembershipStep.Kind)
		require.ErrorIs(t, l.ProposeConfChange(change(t, "v5")), confchange.ErrTargetStands)
		second := d.propose(membersOf([]uint64{1, 2, 3, 5}))
		outcome := d.untilEnded(second, 100, 1, 2, 3, 5)
		require.Equal(t, pb.MembershipReached, outcome.Result)
		require.Equal(t, pb.MembershipSuperseded, d.ends[first].Result)
		require.Equal(t, []uint64{1, 2, 3, 5}, ids(l), "the learner of the first is gone")

		third := d.propose(membersOf([]uint64{1, 2, 4}))
		d.tick(3)
		require.NoError(t, l.CancelMembership(third))
		outcome = d.untilEnded(third, 20, 1, 2, 3, 5)
		require.Equal(t, pb.MembershipCancelled, outcome.Reason)
		require.Equal(t, []uint64{1, 2, 3, 5}, ids(l))
		require.Len(t, d.ends, 3)
	})
}

// Compare-and-set: a target is only set in the configuration that its proposer knows.
func TestTargetExpectsAVersion(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		l := d.Leader()
		m := membersOf([]uint64{1, 2})
		version := l.BasicStatus().ConfigIndex
		m.Expected = new(version + 1)
		require.ErrorIs(t, l.ProposeMembership(m), confchange.ErrUnexpectedVersion)
		m.Expected = new(version)
		d.untilEnded(d.propose(m), 30, 1, 2)
		require.ErrorIs(t, l.ProposeMembership(m), confchange.ErrUnexpectedVersion)
	})
}

// A leader that is to go hands over before the change that ends its vote
// (dissertation §4.2.2), to the voter of the target that holds most; and if nobody
// takes over it makes the change all the same.
func TestTargetWithoutItsLeader(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		version := d.propose(membersOf([]uint64{2, 3}))
		d.untilEnded(version, 30, 2, 3)
		require.Equal(t, raft.StepDownNone, d.Node(1).BasicStatus().LastStepDown, "it went as a follower")

		d = newDriven(t, 3, conf)
		d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
		version = d.propose(membersOf([]uint64{2, 3}))
		outcome := d.untilEnded(version, 150, 2, 3)
		require.Equal(t, pb.MembershipReached, outcome.Result)
		require.NotEqual(t, raft.StepDownNone, d.Node(1).BasicStatus().LastStepDown)
	})
}

// Whoever was asked by hand to take over and did not is not asked once more at once:
// proposals are refused while a transfer is under way (dissertation §3.10).
func TestTargetAfterATransferThatFailed(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
		d.propose(membersOf([]uint64{2, 3}))
		require.NoError(t, d.Leader().TransferLeader(2))
		for range 9 {
			d.tick(1)
			require.EqualValues(t, 2, d.Leader().BasicStatus().LeadTransferee)
		}
		d.tick(1)
		require.EqualValues(t, 3, d.Leader().BasicStatus().LeadTransferee)
	})
}

// A target whose voters could not decide, as too many are silent, is refused unless it
// is forced, and so is nothing else.
func TestTargetWouldLoseQuorum(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 5, conf)
		d.Tick(30)
		d.Drop = rafttest.Cut(4, 5)
		d.tick(12)
		l := d.Leader()
		bad, fine := membersOf([]uint64{1, 4, 5}), membersOf([]uint64{1, 2, 4})
		require.ErrorIs(t, l.ProposeMembership(bad), confchange.ErrWouldLoseQuorum)
		check, err := l.CheckMembership(bad)
		require.NoError(t, err)
		require.ErrorIs(t, check.Err, confchange.ErrWouldLoseQuorum)
		require.Equal(t, []raft.Obstacle{
			{Kind: raft.ObstacleUnreachable, Node: 4}, {Kind: raft.ObstacleUnreachable, Node: 5}, {Kind: raft.ObstacleQuorum},
		}, check.Obstacles)

		check, err = l.CheckMembership(fine)
		require.NoError(t, err)
		require.NoError(t, check.Err)
		require.Equal(t, []raft.Obstacle{{Kind: raft.ObstacleUnreachable, Node: 4}}, check.Obstacles)
		require.Equal(t, []uint64{3, 5}, check.Leaving)
		require.Equal(t, 2, check.Before.Failures)
		require.Equal(t, 1, check.After.Failures)
		bad.Force = true
		require.NoError(t, l.ProposeMembership(bad))
	})
}

// A dead voter is replaced: the group needs no word from it.
func TestTargetReplacesADeadVoter(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		d.Add(4)
		d.Drop = rafttest.Cut(3)
		d.Tick(20)
		outcome := d.untilEnded(d.propose(membersOf([]uint64{1, 2, 4})), 60, 1, 2, 4)
		require.Equal(t, pb.MembershipReached, outcome.Result)
	})
}

// CheckMembership says what would happen and changes nothing.
func TestCheckMembership(t *testing.T) {
	d := newDriven(t, 3, nil)
	l := d.Leader()
	for range 5 {
		require.NoError(t, l.Propose([]byte("x")))
	}
	before := l.Status()
	check, err := l.CheckMembership(membersOf([]uint64{1, 4, 5}))
	require.NoError(t, err)
	require.Equal(t, before, l.Status())
	require.NoError(t, check.Err)
	require.Equal(t, before.ConfigIndex, check.Version)
	var kinds []confchange.StepKind
	for _, s := range check.Steps {
		kinds = append(kinds, s.Step.Kind)
	}
	require.Equal(t, []confchange.StepKind{
		confchange.StepAddLearner, confchange.StepAddLearner, confchange.StepCatchUp, confchange.StepChangeVoters, confchange.StepAwaitLeave,
	}, kinds)

	_, err = d.Node(2).CheckMembership(membersOf([]uint64{1}))
	require.ErrorIs(t, err, raft.ErrNotLeader)
	_, err = l.CheckMembership(pb.Membership{})
	require.ErrorIs(t, err, confchange.ErrInvalidTarget)
	refused := l.ProposeMembership(pb.Membership{})
	require.ErrorIs(t, refused, confchange.ErrInvalidTarget)
	require.ErrorIs(t, refused, raft.ErrProposalDropped)

	// What a voter to be lacks.
	d.Drop = rafttest.Cut(3)
	d.Tick(2)
	check, err = l.CheckMembership(membersOf([]uint64{1, 2, 3}))
	require.NoError(t, err)
	require.Equal(t, []raft.Obstacle{{Kind: raft.ObstacleBehind, Node: 3, Behind: 5}}, check.Obstacles)
	require.Equal(t, "node 3 lacks entries (5 entries)", check.Obstacles[0].String())
	require.NoError(t, l.Storage.Compact(l.AppliedIndex))
	check, err = l.CheckMembership(membersOf([]uint64{1, 2, 3}))
	require.NoError(t, err)
	require.Equal(t, raft.ObstacleNeedsSnapshot, check.Obstacles[0].Kind)
}

// A host that refuses what was committed (see ApplyConfChange) cannot keep the leader at
// it for ever: steps without effect end the target, and outcomes without effect are not
// repeated without end.
func TestTargetWithoutEffectIsGivenUp(t *testing.T) {
	for _, everything := range []bool{false, true} {
		s := newLeader(t, nil, 1)
		require.NoError(t, s.ProposeMembership(membersOf([]uint64{1}, 2)))
		set := false
		for range 40 {
			for s.HasReady() {
				rd := s.ready()
				s.persist(rd)
				for _, e := range rd.CommittedEntries {
					if e.Type == pb.EntryNormal {
						continue
					}
					cc, err := pb.UnmarshalConfChange(e)
					require.NoError(t, err)
					v2 := cc.AsV2()
					if v2.Membership.Version != 0 || (everything && set) {
						v2 = pb.ConfChangeV2{Changes: make([]pb.ConfChangeSingle, 1)}
					}
					set = true
					s.Conf = *s.ApplyConfChange(v2)
				}
				if index := rd.AppliedIndex(); index != 0 {
					require.NoError(t, s.AckApply(index))
				}
			}
			s.Tick()
		}
		require.LessOrEqual(t, s.BasicStatus().LastIndex, uint64(15))
		if everything {
			require.NotNil(t, s.Conf.Target)
			continue
		}
		require.NotNil(t, s.Conf.LastOutcome)
		require.Equal(t, pb.MembershipImpossible, s.Conf.LastOutcome.Reason)
		require.Nil(t, s.Conf.Target)
	}
}

// A target that takes another's place begins anew: the rounds of catch-up, and who was
// asked to take over.
func TestSupersedingTargetBeginsAnew(t *testing.T) {
	d := newDriven(t, 3, func(c *raft.Config) { c.SnapshotTicks = 1000 })
	d.Add(4)
	l := d.Leader()
	for range 5 {
		require.NoError(t, l.Propose([]byte("x")))
	}
	d.propose(membersOf([]uint64{1, 2, 4}))
	d.Drop = func(m pb.Message) bool { return m.To == 4 && m.Type == pb.MsgApp }
	d.tick(6)
	require.GreaterOrEqual(t, l.Status().Progress[4].CatchUp.Ticks, 5)
	second := d.propose(membersOf([]uint64{1, 2, 3, 4}))
	d.tick(2)
	require.LessOrEqual(t, l.Status().Progress[4].CatchUp.Ticks, 2)
	d.Drop = nil
	require.Equal(t, pb.MembershipReached, d.untilEnded(second, 30, 1, 2, 3, 4).Result)

	// 2 did not take over for the first target; for the second it is asked again.
	d = newDriven(t, 2, nil)
	asked := 0
	d.Drop = func(m pb.Message) bool {
		if m.Type == pb.MsgTimeoutNow {
			asked++
			return asked == 1
		}
		return false
	}
	d.propose(membersOf([]uint64{2}))
	d.tick(4)
	require.Equal(t, 1, asked)
	require.NoError(t, d.Leader().AbortTransfer())
	require.NoError(t, d.Leader().ProposeMembership(membersOf([]uint64{2}, 1)))
	d.tick(4)
	require.GreaterOrEqual(t, asked, 2)
	require.EqualValues(t, 2, d.Leader().ID)
}

// With OnAppend a target's outcome is in effect where it is appended, and is told when it is committed: one that is lost
// with its leader was none, and the next leader comes to its own (dissertation §4.1).
func TestOnAppendOutcomeIsToldWhenCommitted(t *testing.T) {
	d := newDriven(t, 3, onAppend)
	d.Observe = func(id uint64, rd raft.Ready) {
		if c := rd.CommittedConf; c != nil && c.LastOutcome != nil {
			require.LessOrEqual(t, c.LastOutcome.Index, d.Node(id).BasicStatus().Commit, "node %d", id)
		}
	}
	ends := func(m pb.Message) bool {
		for _, e := range m.Entries {
			if e.Type == pb.EntryNormal {
				continue
			}
			cc, err := pb.UnmarshalConfChange(e)
			require.NoError(t, err)
			if mc := cc.AsV2().Membership; mc != nil && mc.Outcome != nil {
				return true
			}
		}
		return false
	}
	d.Drop = ends
	l := d.Leader()
	version := d.propose(membersOf([]uint64{1, 2, 3}, 4))
	d.tick(5)
	st := l.Status()
	require.NotNil(t, st.Config.Outcome, "in effect")
	lost := st.Config.Outcome.Index
	require.Less(t, st.Commit, lost)
	require.Empty(t, d.ends, "nobody is told")

	d.Drop = rafttest.Cut(1)
	ticksUntil(t, d.Cluster, 60, func() bool { return leaderBeside(d.Cluster, 1) })
	outcome := d.untilEnded(version, 60, 2, 3)
	require.Greater(t, outcome.Index, lost)
	d.Drop = nil
	require.Equal(t, outcome, d.untilEnded(version, 60, 1))
}

// While leadership is on its way nothing more is appended for a target: the next leader
// needs the whole log (dissertation §3.10).
func TestTargetWaitsForAHandOver(t *testing.T) {
	d := newDriven(t, 3, nil)
	l := d.Leader()
	d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
	d.propose(membersOf([]uint64{2, 3}))
	d.tick(3)
	require.NotEqual(t, raft.None, l.BasicStatus().LeadTransferee)
	last := l.BasicStatus().LastIndex
	d.tick(6)
	require.Equal(t, last, l.BasicStatus().LastIndex)
}

// A leader hands over only to who was heard from lately, and in a term of its own: who
// led before may have changed the configuration.
func TestTargetHandsOverToTheLiving(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 3, conf)
		d.Tick(20)
		d.Drop = rafttest.Cut(2) // it holds as much as 3, and comes first
		d.tick(15)
		m := membersOf([]uint64{2, 3})
		m.Force = true
		d.propose(m)
		ticksUntil(t, d.Cluster, 5, func() bool { return leaderBeside(d.Cluster, 1) })
		require.EqualValues(t, 3, d.Leader().ID)

		d = newDriven(t, 5, conf)
		d.Drop = rafttest.Cut(4, 5)
		d.tick(15)
		m = membersOf([]uint64{4, 5})
		m.Force = true
		l := d.Leader()
		d.propose(m)
		for range 5 {
			d.tick(1)
			require.Equal(t, raft.None, l.BasicStatus().LeadTransferee, "nobody there to take over")
		}
	})
}

// Who never answered this leader has the benefit of the doubt for an election timeout,
// and is silent after that.
func TestSilenceFromTheStart(t *testing.T) {
	for _, checkQuorum := range []bool{true, false} {
		c := newGroup(t, 3, func(c *raft.Config) { c.DisableCheckQuorum = !checkQuorum })
		c.Drop = rafttest.Cut(3)
		l := c.Elect(1)
		m := membersOf([]uint64{1, 2, 3})
		silent := func() bool {
			check, err := l.CheckMembership(m)
			require.NoError(t, err)
			for _, o := range check.Obstacles {
				if o.Kind == raft.ObstacleUnreachable {
					require.EqualValues(t, 3, o.Node)
					return true
				}
			}
			return false
		}
		require.False(t, silent())
		c.Tick(5)
		require.False(t, silent())
		c.Tick(6)
		require.True(t, silent())

		// One that was just added had no chance either.
		require.NoError(t, l.ProposeConfChange(change(t, "l4")))
		c.Settle()
		m = membersOf([]uint64{1, 2}, 4)
		require.False(t, silent())
	}
}

// A round does not last longer than SnapshotTicks, whatever the server answers: the
// snapshot may never arrive.
func TestCatchUpRoundIsBounded(t *testing.T) {
	d := newDriven(t, 3, func(c *raft.Config) { c.SnapshotTicks = 17 })
	l := d.Leader()
	for range 5 {
		require.NoError(t, l.Propose([]byte("x")))
	}
	d.Tick(2)
	_, err := l.Storage.CreateSnapshot(l.AppliedIndex, &l.Conf, nil)
	require.NoError(t, err)
	require.NoError(t, l.Storage.Compact(l.AppliedIndex))
	d.Add(4)
	d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgSnap }
	version := d.propose(membersOf([]uint64{1, 2, 3, 4}))
	require.Equal(t, pb.MembershipTooSlow, d.untilEnded(version, 20, 1).Reason)
}

// Rounds are measured in ticks, not by how often the leader looks.
func TestCatchUpCountsTicks(t *testing.T) {
	d := newDriven(t, 3, nil)
	d.Add(4)
	l := d.Leader()
	d.Drop = func(m pb.Message) bool { return m.To == 4 && m.Type == pb.MsgApp }
	d.propose(membersOf([]uint64{1, 2, 3, 4}))
	d.tick(2)
	before := l.Status().Progress[4].CatchUp.Ticks
	for range 20 {
		require.NoError(t, l.Propose([]byte("x")))
		d.Settle()
	}
	require.Equal(t, before, l.Status().Progress[4].CatchUp.Ticks)
}

// A server that holds everything must answer a heartbeat of the round, which it is sent
// at once, however rare heartbeats are.
func TestCatchUpSendsAHeartbeat(t *testing.T) {
	d := newDriven(t, 3, func(c *raft.Config) { c.ElectionTick, c.HeartbeatTick = 10, 9 })
	d.Add(4)
	d.Tick(10) // the others say that they know of targets
	version := d.propose(membersOf([]uint64{1, 2, 3, 4}))
	require.Equal(t, pb.MembershipReached, d.untilEnded(version, 4, 1).Result)
}

// A server that votes is measured no more, also while its target still stands.
func TestVoterIsNotMeasured(t *testing.T) {
	d := newDriven(t, 3, nil)
	d.Add(4)
	l := d.Leader()
	voter := false
	d.Observe = func(id uint64, rd raft.Ready) {
		if id != 1 || l.Status().Config.Target == nil || !l.Status().Config.IsVoter(4) || l.Status().Config.Joint() {
			return
		}
		voter = true
		require.Nil(t, l.Status().Progress[4].CatchUp)
	}
	d.untilEnded(d.propose(membersOf([]uint64{1, 2, 4})), 30, 1)
	require.True(t, voter)
}

// A target is set only once all members have said that they know of targets; one that is
// silent and is to go does not keep the group from replacing it. A server that is added
// and does not know of them is refused (protocol of declarative membership: every member
// has to carry the target on when it leads).
func TestTargetNeedsMembersThatKnowOfThem(t *testing.T) {
	old := func(ids ...uint64) func(m *pb.Message) {
		return func(m *pb.Message) {
			for _, id := range ids {
				if m.From == id {
					m.Features &^= pb.FeatureMembership
				}
			}
		}
	}
	c := newGroup(t, 3, nil)
	l := c.Elect(1)
	edit := old(3)
	run := func(ticks int) {
		for range ticks {
			for id := range uint64(len(c.Nodes())) {
				c.Node(id + 1).Tick()
			}
			for range 20 {
				for id := range uint64(len(c.Nodes())) {
					c.Handle(id + 1)
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
	run(2)
	all := membersOf([]uint64{1, 2, 3})
	require.ErrorIs(t, l.ProposeMembership(all), confchange.ErrUnsupported)
	require.ErrorIs(t, l.ProposeMembership(membersOf([]uint64{1, 2})), confchange.ErrUnsupported, "it is there, and might lead")
	check, err := l.CheckMembership(all)
	require.NoError(t, err)
	require.Equal(t, []raft.Obstacle{{Kind: raft.ObstacleUnsupported, Node: 3}}, check.Obstacles)

	c.Drop = rafttest.Cut(3)
	run(15)
	require.ErrorIs(t, l.ProposeMembership(all), confchange.ErrUnsupported)
	forced := all
	forced.Force = true
	check, err = l.CheckMembership(forced)
	require.NoError(t, err)
	require.NoError(t, check.Err)

	// 4 takes its place, and does not know of targets either.
	c.Add(4)
	edit = old(3, 4)
	require.NoError(t, l.ProposeMembership(membersOf([]uint64{1, 2, 4})))
	run(10)
	st := l.Status()
	require.Equal(t, pb.MembershipRefused, st.Config.Outcome.Reason)
	require.EqualValues(t, 4, st.Config.Outcome.Node)
	require.Equal(t, []uint64{1, 2, 3}, st.Config.IDs())

	edit = old()
	require.NoError(t, l.ProposeMembership(membersOf([]uint64{1, 2, 4})))
	run(10)
	st = l.Status()
	require.Equal(t, pb.MembershipReached, st.Config.Outcome.Result)
}

// CheckMembership says what ProposeMembership would: also what refuses every proposal.
func TestCheckMembershipDuringATransfer(t *testing.T) {
	d := newDriven(t, 3, nil)
	d.Tick(2)
	l := d.Leader()
	m := membersOf([]uint64{1, 2})
	d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
	require.NoError(t, l.TransferLeader(2))
	require.ErrorIs(t, l.ProposeMembership(m), raft.ErrTransferring)
	check, err := l.CheckMembership(m)
	require.NoError(t, err)
	require.ErrorIs(t, check.Err, raft.ErrTransferring)

	d = newDriven(t, 3, func(c *raft.Config) { c.MaxUncommittedSize = 10 })
	d.Tick(2)
	l = d.Leader()
	require.NoError(t, l.Propose(make([]byte, 20)))
	require.ErrorIs(t, l.ProposeMembership(m), raft.ErrUncommittedFull)
	check, err = l.CheckMembership(m)
	require.NoError(t, err)
	require.ErrorIs(t, check.Err, raft.ErrUncommittedFull)
}

// However many could take over and do not, proposals are refused for no longer than two
// election timeouts: then the leader makes the change that ends its own leadership.
func TestHandOversAreFew(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 7, conf)
		l := d.Leader()
		d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
		version := d.propose(membersOf([]uint64{2, 3, 4, 5, 6, 7}))
		refused := 0
		for range 100 {
			d.tick(1)
			if l.BasicStatus().LeadTransferee != raft.None {
				refused++
			}
		}
		require.LessOrEqual(t, refused, 2*10)
		require.Equal(t, pb.MembershipReached, d.ends[version].Result)
	})
}
