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

// A change takes effect when the host applies its committed entry, and not
// before (dissertation §4.1, with the effect on apply instead of append).
func TestChangeTakesEffectWhenApplied(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 4}))
	s.persist(s.ready())
	s.recv(ack(2, 2, 3))
	rd := s.ready()
	require.Len(t, rd.CommittedEntries, 1)
	require.Equal(t, []uint64{1, 2, 3}, s.Status().Config.IDs(), "committed, but not applied")
	require.Equal(t, uint64(3), s.Status().PendingConfIndex)
	require.Empty(t, to(rd.Messages, 4))
	s.Apply(rd)
	require.Equal(t, pb.ConfState{Voters: []uint64{1, 2, 3, 4}, Index: 3}, s.Conf)
	require.NoError(t, s.Advance(rd))
	require.Zero(t, s.Status().PendingConfIndex)
	m := theOne(t, to(s.sent(), 4), pb.MsgApp)
	require.Equal(t, uint64(3), m.Index, "the new peer is probed at once")
}

// One change at a time: the next is refused until the former is applied, however
// it is proposed (dissertation §4.1).
func TestOneChangeAtATime(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
	pending := func() {
		t.Helper()
		for _, cc := range []pb.ConfChangeI{change(t, "v5"), pb.ConfChange{NodeID: 5}, change(t, "v5 v6"), change(t, "")} {
			err := s.ProposeConfChange(cc)
			require.ErrorIs(t, err, raft.ErrConfChangePending)
			require.ErrorIs(t, err, raft.ErrProposalDropped)
			var ce *raft.ConfChangeError
			require.ErrorAs(t, err, &ce)
			require.Equal(t, uint64(3), ce.Index)
		}
	}
	pending()
	s.persist(s.ready())
	pending()
	s.recv(ack(2, 2, 3))
	rd := s.ready()
	pending() // committed, not applied
	s.Apply(rd)
	pending() // applied, not acknowledged
	require.NoError(t, s.Advance(rd))
	require.NoError(t, s.ProposeConfChange(change(t, "v5")))

	two := newLeader(t, nil)
	_, data, err := pb.MarshalConfChange(change(t, "v4"))
	require.NoError(t, err)
	e := pb.Entry{Type: pb.EntryConfChangeV2, Data: data}
	two.refuses(pb.Message{Type: pb.MsgProp, From: 2, Entries: []pb.Entry{e, e}}, raft.ErrConfChangeMultiple)
}

// A new leader proposes no change before it committed an entry of its own term:
// else two leaders' changes could both be decided by quorums that do not meet
// (the correction to dissertation §4.1).
func TestNoChangeBeforeACommitInTheTerm(t *testing.T) {
	s := newSolo(t, nil)
	s.win()
	err := s.ProposeConfChange(change(t, "v4"))
	require.ErrorIs(t, err, raft.ErrConfChangeTooEarly)
	require.Equal(t, uint64(2), s.BasicStatus().LastIndex)
	s.recv(ack(2, 2, 2))
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
}

// A change that cannot be meant is refused with the reason, before it gets into
// the log.
func TestImpossibleChangesAreRefused(t *testing.T) {
	s := newLeader(t, nil)
	for what, want := range map[string]error{
		"r9": confchange.ErrUnknownNode, "v2": confchange.ErrNoChange, "v0": confchange.ErrInvalidNode,
		"r1 r2 r3": confchange.ErrNoVoters, "v4 l4": confchange.ErrDuplicateNode, "": confchange.ErrNotJoint,
	} {
		err := s.ProposeConfChange(change(t, what))
		require.ErrorIs(t, err, want, what)
		require.ErrorIs(t, err, raft.ErrProposalDropped, what)
	}
	require.False(t, s.HasReady())
}

// A change that was committed but not applied forbids to campaign, by timer, by
// the host's word and by the leader's: others may elect under it already, with
// quorums that need not meet those of the configuration before.
func TestNoCampaignOverAnUnappliedChange(t *testing.T) {
	s := newSolo(t, nil)
	m := appendMsg(2, 5, 1, 1, 2, 5)
	_, data, err := pb.MarshalConfChange(change(t, "v4"))
	require.NoError(t, err)
	m.Entries[0].Type, m.Entries[0].Data = pb.EntryConfChangeV2, data
	m.Commit = 1
	s.recv(m)
	s.sent()
	require.NoError(t, s.Campaign(), "an uncommitted change is no obstacle")
	require.Equal(t, raft.StatePreCandidate, s.role())
	s.recv(beat(2, 5, 2))
	var rds []raft.Ready
	for s.HasReady() { // persisted, handed out, not applied
		rd := s.ready()
		s.persist(rd)
		rds = append(rds, rd)
	}
	var ce *raft.CampaignError
	require.ErrorAs(t, s.Campaign(), &ce)
	require.Equal(t, raft.ReasonChangeUnapplied, ce.Reason)
	s.ticks(100)
	require.Equal(t, raft.StateFollower, s.role())
	s.recv(pb.Message{Type: pb.MsgTimeoutNow, From: 2, Term: 5})
	require.Equal(t, raft.StateFollower, s.role())
	require.Empty(t, s.Ready().Messages)
	for _, rd := range rds {
		s.Apply(rd)
		if i := rd.AppliedIndex(); i != 0 {
			require.NoError(t, s.AckApply(i))
		}
	}
	s.untilCampaign(40)
}

// Removing a voter can complete the majority of an entry that waits: quorums are
// judged anew when the configuration changes.
func TestSmallerQuorumCommitsWhatWaits(t *testing.T) {
	s := newLeader(t, nil, 1, 2, 3, 4)
	require.NoError(t, s.ProposeConfChange(change(t, "r4")))
	require.NoError(t, s.Propose([]byte("x")))
	s.sent()
	s.recv(ack(2, 2, 4), ack(3, 2, 3))
	s.sent()
	require.Equal(t, []uint64{1, 2, 3}, s.Status().Config.IDs())
	require.Equal(t, uint64(4), s.BasicStatus().Commit)
}

// The host may refuse a committed change, as all hosts must alike, and the next
// one is taken.
func TestHostCanVoidAChange(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
	s.persist(s.ready())
	s.recv(ack(2, 2, 3))
	rd := s.ready()
	cs := s.ApplyConfChange(pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{}}})
	require.Equal(t, []uint64{1, 2, 3}, cs.Voters)
	require.NoError(t, s.Advance(rd))
	require.NoError(t, s.ProposeConfChange(change(t, "v5")))
}

// joint proposes to replace 3 by 4 and 5 in one joint change.
func joint(t *testing.T, s *solo) {
	t.Helper()
	require.NoError(t, s.ProposeConfChange(change(t, "v4 v5 r3")))
	s.sent()
}

// confEntries counts the changes of configuration in the log from index on.
func confEntries(t *testing.T, m *rafttest.Member) int {
	t.Helper()
	first, err := m.Storage.FirstIndex()
	require.NoError(t, err)
	last, err := m.Storage.LastIndex()
	require.NoError(t, err)
	found, err := m.Storage.ConfEntryIndexes(first, last+1)
	require.NoError(t, err)
	return len(found)
}

// A change of several members goes through a joint configuration, in which
// both majorities count; the leader leaves it by itself, once, when it is
// applied and not before (dissertation §4.3).
func TestAutomaticLeave(t *testing.T) {
	s := newLeader(t, nil)
	joint(t, s)
	require.NoError(t, s.Propose([]byte("x")))
	s.persist(s.ready())
	s.recv(ack(2, 2, 3))
	rd := s.ready()
	s.persist(rd)
	require.Equal(t, uint64(4), s.BasicStatus().LastIndex, "committed, not applied: not left")
	s.Apply(rd)
	require.Equal(t, uint64(4), s.BasicStatus().LastIndex)
	require.True(t, s.Status().Config.Joint())
	require.NoError(t, s.AckApply(rd.AppliedIndex()))
	require.Equal(t, uint64(5), s.BasicStatus().LastIndex)
	require.NoError(t, s.AckApply(rd.AppliedIndex()))
	require.ErrorIs(t, s.ProposeConfChange(change(t, "v6")), raft.ErrConfChangePending)
	s.sent()
	s.recv(ack(2, 2, 5))
	s.sent()
	require.True(t, s.Status().Config.Joint(), "the incoming half has not agreed")
	s.Tick()
	s.serve()
	require.Equal(t, "voters=(1 2 4 5)", s.Status().Config.String())
	require.Equal(t, 2, confEntries(t, s.Member))
	require.Equal(t, uint64(5), s.BasicStatus().LastIndex)
}

// An explicit joint configuration stands until the application leaves it.
func TestExplicitLeave(t *testing.T) {
	s := newLeader(t, nil)
	cc := change(t, "v4 r3")
	cc.Transition = pb.ConfChangeTransitionJointExplicit
	require.NoError(t, s.ProposeConfChange(cc))
	for range 5 {
		s.serve()
		s.Tick()
	}
	require.True(t, s.Status().Config.Joint())
	require.ErrorIs(t, s.ProposeConfChange(change(t, "v6")), confchange.ErrAlreadyJoint)
	require.NoError(t, s.ProposeConfChange(pb.ConfChangeV2{}))
	s.serve()
	require.Equal(t, "voters=(1 2 4)", s.Status().Config.String())
	require.Equal(t, 2, confEntries(t, s.Member))
}

// Whichever leader finds an automatic joint configuration leaves it, exactly
// once, also after leader changes and restarts at every point (dissertation
// §4.3).
func TestAutomaticLeaveAcrossLeadersAndRestarts(t *testing.T) {
	for stop := range 30 {
		c := newGroup(t, 3, noPreVote)
		l := c.Elect(1)
		require.NoError(t, l.ProposeConfChange(change(t, "v4 r3")))
		c.Add(4)
		// After some steps the leader crashes and is cut off; another takes over.
		steps := 0
		for _, m := range slices.Repeat(c.Nodes(), 10) {
			if steps++; steps > stop {
				break
			}
			c.Handle(m.ID)
			if steps%4 == 0 {
				_ = c.Deliver()
			}
		}
		c.Restart(1)
		c.Drop = rafttest.Cut(1)
		if stop%2 == 0 {
			c.Restart(2)
		}
		c.Tick(60)
		c.Drop = nil
		ticksUntil(t, c, 200, func() bool {
			return c.Leader() != nil && !c.Leader().Status().Config.Joint()
		})
		c.Tick(30)
		ids := []uint64{1, 2, 4}
		if confEntries(t, c.Leader()) == 0 { // the change was lost with its leader
			ids = []uint64{1, 2, 3}
			sameLogs(t, c, ids...)
			continue
		}
		sameLogs(t, c, ids...)
		for _, id := range ids {
			require.Equal(t, "voters=(1 2 4)", c.Node(id).Status().Config.String(), "stop %d", stop)
			require.Equal(t, 2, confEntries(t, c.Node(id)), "stop %d", stop)
		}
	}
}

// A learner gets the log, answers votes and counts nowhere; promoted it is a
// voter like any other (dissertation §4.2.1).
func TestLearnerIsPromoted(t *testing.T) {
	c := newGroup(t, 3, nil)
	l := c.Elect(1)
	require.NoError(t, l.ProposeConfChange(change(t, "l4")))
	c.Add(4)
	c.Tick(3)
	sameLogs(t, c, 1, 2, 3, 4)
	require.NoError(t, l.ProposeConfChange(change(t, "v4")))
	c.Settle()
	require.NoError(t, l.TransferLeader(4))
	c.Settle()
	require.Equal(t, uint64(4), c.Leader().ID)
}

// A configuration is found again after a restart, whether or not the host saved
// it with the state machine, joint ones included.
func TestConfigurationSurvivesRestart(t *testing.T) {
	s := newLeader(t, nil)
	cc := change(t, "v4 r3 l2")
	cc.Transition = pb.ConfChangeTransitionJointExplicit
	require.NoError(t, s.ProposeConfChange(cc))
	s.serve()
	want := s.Status().Config
	require.True(t, want.Joint())
	s.c.Restart(1)
	require.Equal(t, want.String(), s.Status().Config.String())
	require.Equal(t, uint64(3), s.Status().ConfigIndex)

	s.Storage.SetConfState(pb.ConfState{Voters: []uint64{1, 2, 3}}) // as of the snapshot
	s.c.Restart(1)
	require.Equal(t, want.String(), s.Status().Config.String())

	s.AppliedIndex = 1 // the state machine was behind: nothing of it counts yet
	s.c.Restart(1)
	require.False(t, s.Status().Config.Joint())
	require.Equal(t, uint64(3), s.Status().PendingConfIndex)
	s.sent()
	require.Equal(t, want.String(), s.Status().Config.String())
}
