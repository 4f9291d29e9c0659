package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// onAppend and its like are configurations of tests in which changes of membership
// take effect when they are appended (dissertation §4.1).
func onAppend(c *raft.Config) { c.ConfChangeEffect = raft.OnAppend }

func onAppendLonely(c *raft.Config) {
	onAppend(c)
	lonely(c)
}

func confEntry(t *testing.T, index, term uint64, what string) pb.Entry {
	t.Helper()
	kind, data, err := pb.MarshalConfChange(change(t, what))
	require.NoError(t, err)
	return pb.Entry{Type: kind, Index: index, Term: term, Data: data}
}

func (s *solo) members() []uint64 {
	st := s.Status()
	return st.Config.IDs()
}

// A leader uses a change from the moment it appends it, before it is durable
// anywhere, and needs no callback for it (dissertation §4.1).
func TestOnAppendLeaderUsesTheChangeAtOnce(t *testing.T) {
	s := newLeader(t, onAppend)
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
	require.Equal(t, []uint64{1, 2, 3, 4}, s.members())
	rd := s.ready()
	require.Equal(t, []uint64{1, 2, 3, 4}, rd.ActiveConf.Voters)
	require.EqualValues(t, 3, rd.ActiveConf.Index)
	require.Nil(t, rd.CommittedConf)
	require.Len(t, to(rd.Messages, 4), 1, "the new member is contacted at once")
	s.persist(rd)
	s.recv(ack(2, 2, 3))
	require.EqualValues(t, 2, s.BasicStatus().Commit, "two of four are no majority")
	s.recv(ack(3, 2, 3))
	require.EqualValues(t, 3, s.BasicStatus().Commit)
	rd = s.ready()
	require.Equal(t, []uint64{1, 2, 3, 4}, rd.CommittedConf.Voters)
	require.Nil(t, rd.ActiveConf)
	require.NoError(t, s.AckAppend(rd.AppendToken()))
	require.NoError(t, s.AckApply(3)) // without ApplyConfChange
	require.NoError(t, s.ProposeConfChange(change(t, "v5")))
	require.Equal(t, []uint64{1, 2, 3, 4, 5}, s.members())
}

// Another change waits until the one before is committed, not until it is applied
// (dissertation §4.1).
func TestOnAppendOneChangeAtATime(t *testing.T) {
	s := newLeader(t, onAppend)
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
	s.persist(s.ready())
	refused := s.ProposeConfChange(change(t, "v5"))
	require.ErrorIs(t, refused, raft.ErrConfChangePending)
	var ce *raft.ConfChangeError
	require.ErrorAs(t, refused, &ce)
	require.EqualValues(t, 3, ce.Index)
	require.EqualValues(t, 3, s.Status().PendingConfIndex)
	s.recv(ack(2, 2, 3), ack(3, 2, 3))
	require.Zero(t, s.Status().PendingConfIndex)
	require.NoError(t, s.ProposeConfChange(change(t, "v5")))
}

// Not before a commit in the leader's own term: two leaders whose changes are both
// uncommitted have quorums that need not meet (the correction to dissertation §4.1).
func TestOnAppendNoChangeBeforeACommitInTheTerm(t *testing.T) {
	s := newSolo(t, onAppend)
	s.win()
	require.ErrorIs(t, s.ProposeConfChange(change(t, "v4")), raft.ErrConfChangeTooEarly)
	require.Equal(t, []uint64{1, 2, 3}, s.members())
	s.recv(ack(2, 2, 2))
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
}

// A follower uses a change when it is in its log, and what was before when the entry
// is replaced, through any number of changes at once (dissertation §4.1).
func TestOnAppendTruncationGoesBack(t *testing.T) {
	s := newSolo(t, onAppend)
	changes := pb.Message{
		Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2,
		Entries: []pb.Entry{
			confEntry(t, 2, 2, "v4"), confEntry(t, 3, 2, "v5"), {Index: 4, Term: 2}, confEntry(t, 5, 2, "r2"),
		},
	}
	s.recv(changes)
	require.Equal(t, []uint64{1, 3, 4, 5}, s.members())
	rd := s.ready()
	require.Equal(t, []uint64{1, 3, 4, 5}, rd.ActiveConf.Voters)
	require.EqualValues(t, 5, rd.ActiveConf.Index)
	require.Equal(t, []uint64{1, 2, 3, 4}, rd.CommittedConf.Voters)
	s.persist(rd)

	s.recv(appendMsg(3, 3, 2, 2, 2, 3)) // replaces 3, 4 and 5
	require.Equal(t, []uint64{1, 2, 3, 4}, s.members())
	require.EqualValues(t, 2, s.Status().ConfigIndex)
	rd = s.ready()
	require.Equal(t, []uint64{1, 2, 3, 4}, rd.ActiveConf.Voters)
	require.Nil(t, rd.CommittedConf)
	s.persist(rd)
	s.c.Restart(1)
	require.Equal(t, []uint64{1, 2, 3, 4}, s.members(), "also after a restart")
}

// An entry that is replaced by another change at the same index is another
// configuration, and the host hears of it.
func TestOnAppendReplacedByAnotherChange(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 1, Entries: []pb.Entry{confEntry(t, 2, 2, "v4")}})
	s.persist(s.ready())
	s.recv(pb.Message{Type: pb.MsgApp, From: 3, Term: 3, Index: 1, LogTerm: 1, Commit: 1, Entries: []pb.Entry{confEntry(t, 2, 3, "r2")}})
	require.Equal(t, []uint64{1, 3}, s.members())
	require.Equal(t, []uint64{1, 3}, s.ready().ActiveConf.Voters)
}

// A restart uses the newest configuration in the log, although it is uncommitted and
// whatever the host saved (dissertation §4.1).
func TestOnAppendRestart(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{
		Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2,
		Entries: []pb.Entry{confEntry(t, 2, 2, "v4"), confEntry(t, 3, 2, "r3")},
	})
	s.sent() // persists, and applies entry 2
	require.EqualValues(t, 2, s.Conf.Index)
	s.c.Restart(1)
	require.Equal(t, []uint64{1, 2, 4}, s.members())
	require.EqualValues(t, 3, s.Status().ConfigIndex)
	require.EqualValues(t, 3, s.Status().PendingConfIndex)
	s.recv(appendMsg(2, 3, 2, 2, 2, 3))
	require.Equal(t, []uint64{1, 2, 3, 4}, s.members(), "and goes back behind the restart")
}

// A snapshot has the configuration of its own index, never a later one.
func TestOnAppendSnapshotHasItsOwnConfiguration(t *testing.T) {
	s := newLeader(t, onAppend)
	require.NoError(t, s.Propose([]byte("x")))
	s.serve()
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
	s.persist(s.ready())
	cs, err := s.ConfStateAt(3)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2, 3}, cs.Voters)
	_, err = s.ConfStateAt(4)
	require.ErrorIs(t, err, raft.ErrUnavailable)
	s.recv(ack(2, 2, 4), ack(3, 2, 4))
	cs, err = s.ConfStateAt(4)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2, 3, 4}, cs.Voters)
	cs, err = s.ConfStateAt(3)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2, 3}, cs.Voters)
}

// A received snapshot replaces an uncommitted configuration, and what a host saves
// until the snapshot is durable is what the disk still leads to.
func TestOnAppendSnapshotReplacesTheUncommitted(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{
		Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2,
		Entries: []pb.Entry{confEntry(t, 2, 2, "v4"), confEntry(t, 3, 2, "r3")},
	})
	s.persist(s.ready())
	snap := &pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 9, Term: 3, ConfState: pb.ConfState{Voters: []uint64{1, 2, 7}, Index: 8}}}
	s.recv(pb.Message{Type: pb.MsgSnap, From: 3, Term: 3, Snapshot: snap})
	require.Equal(t, []uint64{1, 2, 7}, s.members())
	saved := s.ApplyConfChange(change(t, "v4"))
	require.Equal(t, []uint64{1, 2, 3, 4}, saved.Voters)
	require.EqualValues(t, 2, saved.Index)
	rd := s.ready()
	require.Equal(t, []uint64{1, 2, 7}, rd.ActiveConf.Voters)
	require.Equal(t, []uint64{1, 2, 7}, rd.CommittedConf.Voters)
}

// A leader that removes itself leads until the removal is committed, by a majority
// in which it does not count, and manages the others meanwhile (dissertation §4.2.2).
func TestOnAppendRemovedLeaderDoesNotCountItself(t *testing.T) {
	for _, what := range []string{"r1", "l1"} {
		t.Run(what, func(t *testing.T) {
			s := newLeader(t, onAppendLonely)
			require.NoError(t, s.ProposeConfChange(change(t, what)))
			require.NoError(t, s.Propose([]byte("x")), "it is no leaving leader before the commit")
			s.persist(s.ready())
			s.recv(ack(2, 2, 4))
			require.EqualValues(t, 2, s.BasicStatus().Commit, "1 of 2 and 3, and the leader does not count")
			s.ticks(50)
			require.Equal(t, raft.StateLeader, s.role())
			require.NotEmpty(t, ofType(s.sent(), pb.MsgHeartbeat))
			s.recv(ack(3, 2, 4))
			require.EqualValues(t, 4, s.BasicStatus().Commit)
			require.ErrorIs(t, s.Propose([]byte("y")), raft.ErrLeaving)
			s.serve()
			require.Equal(t, raft.StateFollower, s.role())
			require.Equal(t, raft.StepDownRemoved, s.BasicStatus().LastStepDown)
		})
	}
}

// The only node that holds an uncommitted change which removes it must be able to
// lead: nobody else's log is long enough, and without it the group would wait for
// ever. It asks those of the new configuration and does not count its own vote
// (dissertation §4.2.2).
func TestOnAppendSoleHolderOfItsRemovalCampaigns(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 1, Entries: []pb.Entry{confEntry(t, 2, 2, "r1")}})
	s.sent()
	require.Equal(t, []uint64{2, 3}, s.members())
	s.untilCampaign(20)
	asked := ofType(s.sent(), pb.MsgPreVote)
	require.Len(t, asked, 2)
	s.recv(s.answer(asked[0]))
	require.Equal(t, raft.StatePreCandidate, s.role(), "its own vote does not count")
	s.recv(s.answer(asked[1]))
	asked = ofType(s.sent(), pb.MsgVote)
	require.Len(t, asked, 2)
	s.recv(s.answer(asked[0]))
	require.Equal(t, raft.StateCandidate, s.role())
	s.recv(s.answer(asked[1]))
	require.Equal(t, raft.StateLeader, s.role())
	s.sent()
	s.recv(ack(2, 3, 3), ack(3, 3, 3))
	require.EqualValues(t, 3, s.BasicStatus().Commit)
	s.serve()
	require.Equal(t, raft.StepDownRemoved, s.BasicStatus().LastStepDown)
	s.ticks(100)
	require.Equal(t, raft.StateFollower, s.role(), "now the removal is committed")
}

// Whoever knows the committed change that removed it does not campaign.
func TestOnAppendCommittedRemovalForbidsToCampaign(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2, Entries: []pb.Entry{confEntry(t, 2, 2, "r1")}})
	s.sent()
	s.ticks(100)
	require.Equal(t, raft.StateFollower, s.role())
	var ce *raft.CampaignError
	require.ErrorAs(t, s.Campaign(), &ce)
	require.Equal(t, raft.ReasonNotVoter, ce.Reason)
}

// A candidate that learns of the commit of its removal gives up, although the ballot is
// open.
func TestOnAppendCandidateLearnsOfItsRemoval(t *testing.T) {
	s := newSolo(t, onAppend, 1, 2, 3, 4, 5)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 1, Entries: []pb.Entry{confEntry(t, 2, 2, "r1")}})
	s.sent()
	require.NoError(t, s.Campaign())
	s.sent()
	s.recv(pb.Message{Type: pb.MsgPreVoteResp, From: 2, Term: 2, Reject: true, Commit: 2, LogTerm: 2})
	require.Equal(t, raft.StateFollower, s.role())
}

// A new member votes from the moment its log has it, and one that a log has no more
// may not; votes are given by term and log alone in any case (dissertation §4.1).
func TestOnAppendCampaignsUnderTheNewest(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 1, Entries: []pb.Entry{confEntry(t, 2, 2, "v4")}})
	s.sent()
	require.NoError(t, s.Campaign())
	asked := ofType(s.sent(), pb.MsgPreVote)
	require.Len(t, asked, 3)
	s.recv(s.answer(asked[0]))
	require.Equal(t, raft.StatePreCandidate, s.role(), "two of four")
	s.recv(s.answer(asked[1]))
	require.Equal(t, raft.StateCandidate, s.role())
}

// A learner of an uncommitted configuration is a follower that does not campaign,
// unless the newest committed one has it as a voter.
func TestOnAppendDemotion(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 1, Entries: []pb.Entry{confEntry(t, 2, 2, "l1")}})
	s.sent()
	s.untilCampaign(20)
	s.recv(beat(2, 3, 2)) // another leads, and it is committed
	s.sent()
	s.ticks(100)
	require.Equal(t, raft.StateFollower, s.role())
}

// A group of two can remove its dead member: the change is committed by the
// configuration that it makes. With OnApply it needs the dead one's word, and the
// group is stuck (dissertation §4.1, and docs/membership.md).
func TestTwoNodeRemoval(t *testing.T) {
	leads := func(t *testing.T, effect raft.ConfChangeEffect) *rafttest.Cluster {
		c := newGroup(t, 2, func(c *raft.Config) { c.ConfChangeEffect = effect })
		c.Elect(1)
		c.Drop = rafttest.Cut(2)
		require.NoError(t, c.Node(1).ProposeConfChange(change(t, "r2")))
		c.Settle()
		return c
	}
	t.Run("OnAppend", func(t *testing.T) {
		c := leads(t, raft.OnAppend)
		one := c.Node(1)
		require.Equal(t, one.BasicStatus().LastIndex, one.BasicStatus().Commit)
		require.Equal(t, []uint64{1}, one.Conf.Voters)
		c.Tick(50)
		require.Equal(t, raft.StateLeader, one.BasicStatus().RaftState)
		require.NoError(t, one.Propose([]byte("x")))
		c.Settle()
		require.Equal(t, one.BasicStatus().LastIndex, one.BasicStatus().Commit)
		require.NotEqual(t, raft.StateLeader, c.Node(2).BasicStatus().RaftState)
	})
	t.Run("OnApply", func(t *testing.T) {
		c := leads(t, raft.OnApply)
		one := c.Node(1)
		require.Less(t, one.BasicStatus().Commit, one.BasicStatus().LastIndex)
		c.Tick(50)
		require.NotEqual(t, raft.StateLeader, one.BasicStatus().RaftState, "it does not hear from a quorum")
	})
	// What OnAppend cannot do: if the leader is the dead one, the other is no
	// majority of two and leads nothing.
	t.Run("the leader is dead", func(t *testing.T) {
		c := newGroup(t, 2, onAppend)
		c.Elect(1)
		c.Drop = rafttest.Cut(1)
		c.Tick(50)
		require.Error(t, c.Node(2).ProposeConfChange(change(t, "r1")))
		require.NotEqual(t, raft.StateLeader, c.Node(2).BasicStatus().RaftState)
	})
}

// A joint configuration counts from its append on, and is left only when it is
// committed: by its own leader, or by the next one that finds it in its log
// (dissertation §4.3).
func TestOnAppendJoint(t *testing.T) {
	s := newLeader(t, onAppendLonely)
	require.NoError(t, s.ProposeConfChange(change(t, "v4 v5 r3")))
	require.True(t, s.Status().Config.Joint())
	s.persist(s.ready())
	s.recv(ack(2, 2, 3))
	require.EqualValues(t, 2, s.BasicStatus().Commit, "a majority of the outgoing half only")
	require.EqualValues(t, 3, s.BasicStatus().LastIndex)
	s.recv(ack(4, 2, 3))
	require.EqualValues(t, 3, s.BasicStatus().Commit)
	require.EqualValues(t, 4, s.BasicStatus().LastIndex, "it is left")
	require.False(t, s.Status().Config.Joint(), "at once")
	require.Equal(t, []uint64{1, 2, 4, 5}, s.members())
	s.persist(s.ready())
	s.recv(ack(2, 2, 4))
	require.EqualValues(t, 3, s.BasicStatus().Commit)
	s.recv(ack(4, 2, 4))
	require.EqualValues(t, 4, s.BasicStatus().Commit)
}

func TestOnAppendRecoveredJointIsLeftAfterItsCommit(t *testing.T) {
	s := newSolo(t, onAppendLonely)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 1, Entries: []pb.Entry{confEntry(t, 2, 2, "v4 v5 r3")}})
	s.sent()
	s.c.Restart(1)
	require.True(t, s.Status().Config.Joint())
	require.NoError(t, s.Campaign())
	for s.role() != raft.StateLeader {
		for _, m := range ofType(s.sent(), pb.MsgPreVote, pb.MsgVote) {
			s.recv(s.answer(m))
		}
	}
	s.sent()
	require.EqualValues(t, 3, s.BasicStatus().LastIndex)
	s.recv(ack(2, 3, 3))
	require.EqualValues(t, 3, s.BasicStatus().LastIndex, "not before both halves hold it")
	s.recv(ack(5, 3, 3))
	require.EqualValues(t, 3, s.BasicStatus().Commit)
	require.EqualValues(t, 4, s.BasicStatus().LastIndex)
	s.sent()
	s.recv(ack(2, 3, 4), ack(4, 3, 4))
	require.EqualValues(t, 4, s.BasicStatus().LastIndex, "and once")
}

// A committed change that is impossible is skipped by all alike; the configuration
// stays.
func TestOnAppendImpossibleChange(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2, Entries: []pb.Entry{confEntry(t, 2, 2, "")}})
	require.Equal(t, []uint64{1, 2, 3}, s.members())
	s.sent()
	s.c.Restart(1)
	require.Equal(t, []uint64{1, 2, 3}, s.members())
}

// A new group may begin with changes that take effect when they are appended.
func TestOnAppendBootstrap(t *testing.T) {
	c := &rafttest.Cluster{Configure: onAppend}
	m := c.Add(1)
	require.NoError(t, m.Bootstrap([]raft.Peer{{ID: 1}}))
	c.Settle()
	require.Equal(t, []uint64{1}, m.Conf.Voters)
	require.NoError(t, m.Campaign())
	c.Settle()
	require.NoError(t, m.ProposeConfChange(change(t, "l2")))
	require.Equal(t, []uint64{1, 2}, (&solo{Member: m}).members())
	c.Settle()
	c.Restart(1)
	require.Equal(t, []uint64{1, 2}, (&solo{Member: m}).members())
}

// A removed member that does not know cannot be told by the log, which it gets no
// more. With pre-votes and quorum checks it disturbs nobody (dissertation §4.2.3).
func TestOnAppendRemovedFollowerDoesNotDisturb(t *testing.T) {
	c := newGroup(t, 3, onAppend)
	c.Elect(1)
	require.NoError(t, c.Node(1).ProposeConfChange(change(t, "r3")))
	c.Settle()
	term := c.Node(1).BasicStatus().Term
	c.Tick(200)
	require.Equal(t, term, c.Node(1).BasicStatus().Term)
	require.Equal(t, raft.StateLeader, c.Node(1).BasicStatus().RaftState)
}

// An unknown setting is refused.
func TestConfChangeEffectIsChecked(t *testing.T) {
	_, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: raft.NewMemoryStorage(), ConfChangeEffect: 2})
	require.ErrorIs(t, err, raft.ErrInvalidConfig)
	require.ErrorContains(t, err, "ConfChangeEffect (2)")
	require.Equal(t, "ConfChangeOnAppend", raft.OnAppend.String())
}

// savedAhead is a storage of a host that saved the configuration of the committed
// entry 3 before the commit index: a write was lost in a crash. Entry 4 is
// uncommitted.
func savedAhead(t *testing.T) *raft.MemoryStorage {
	t.Helper()
	ms := raft.NewMemoryStorage()
	require.NoError(t, ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}},
	}}))
	require.NoError(t, ms.Append([]pb.Entry{confEntry(t, 2, 2, "v4"), confEntry(t, 3, 2, "v5"), confEntry(t, 4, 2, "r3")}))
	require.NoError(t, ms.SetHardState(pb.HardState{Term: 2, Commit: 2}))
	ms.SetConfState(pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}, Index: 3})
	return ms
}

// What a host is given to save is never uncommitted, also after a restart from a
// configuration that is ahead of the commit index: it would outlive its entry.
func TestOnAppendSavedConfigurationAheadOfTheCommit(t *testing.T) {
	ms := savedAhead(t)
	rn, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: ms, ConfChangeEffect: raft.OnAppend})
	require.NoError(t, err)
	require.EqualValues(t, 3, rn.BasicStatus().Commit, "it was saved, so it was committed")
	rd := rn.Ready()
	require.Len(t, rd.CommittedEntries, 2)
	require.EqualValues(t, 3, rd.HardState.Commit)
	require.EqualValues(t, 4, rd.ActiveConf.Index, "the first Ready tells what there is")
	require.EqualValues(t, 3, rd.CommittedConf.Index)
	require.EqualValues(t, 3, rn.ApplyConfChange(change(t, "v4")).Index)
	require.EqualValues(t, 3, rn.ApplyConfChange(change(t, "v5")).Index)
	require.NoError(t, rn.Advance(rd))
	require.NoError(t, rn.Step(pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 2, Index: 4, LogTerm: 2, Commit: 4, Features: pb.FeatureOnAppend}))
	rd = rn.Ready()
	require.Equal(t, []uint64{1, 2, 4, 5}, rd.CommittedConf.Voters)
}

// ApplyConfChange returns the configuration of the entry that is applied, and not that
// of a later committed one: a snapshot of that index may be made with it.
func TestOnAppendAppliedConfigurationIsOfItsEntry(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{
		Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 3,
		Entries: []pb.Entry{confEntry(t, 2, 2, "v4"), confEntry(t, 3, 2, "v5")},
	})
	s.persist(s.ready())
	s.ready()
	cs := s.ApplyConfChange(change(t, "v4"))
	require.EqualValues(t, 2, cs.Index)
	require.Equal(t, []uint64{1, 2, 3, 4}, cs.Voters)
	require.NoError(t, s.AckApply(2))
	snap, err := s.Storage.CreateSnapshot(2, cs, nil)
	require.NoError(t, err)
	newSolo(t, onAppend).recv(pb.Message{Type: pb.MsgSnap, From: 2, Term: 2, Snapshot: &snap})
}

// The configuration says when changes take effect: a node does not start with the other
// setting, by which it would elect and commit under another configuration than the
// rest, and takes no snapshot of such a group.
func TestOnAppendIsNotForgotten(t *testing.T) {
	s := newLeader(t, onAppend)
	require.NoError(t, s.ProposeConfChange(change(t, "l4")))
	s.serve()
	require.Equal(t, raft.OnAppend, s.Conf.ConfChangeEffect)
	_, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: s.Storage, Applied: s.AppliedIndex})
	require.ErrorIs(t, err, raft.ErrInvalidConfig)
	require.ErrorContains(t, err, "ConfChangeEffect is OnApply")

	snap, err := s.Storage.CreateSnapshot(3, &s.Conf, nil)
	require.NoError(t, err)
	newSolo(t, nil).refuses(pb.Message{Type: pb.MsgSnap, From: 2, Term: 2, Snapshot: &snap}, raft.ErrConfChangeEffect)
}

// A removed leader may be kept in office here too.
func TestOnAppendRemovedLeaderCanStay(t *testing.T) {
	s := newLeader(t, func(c *raft.Config) { onAppendLonely(c); c.StayAfterRemoval = true })
	require.NoError(t, s.ProposeConfChange(change(t, "r1")))
	s.persist(s.ready())
	s.recv(ack(2, 2, 3), ack(3, 2, 3))
	require.EqualValues(t, 3, s.BasicStatus().Commit)
	require.NoError(t, s.Propose([]byte("x")))
	s.serve()
	s.ticks(30)
	require.Equal(t, raft.StateLeader, s.role())
}

// A committed change that the host has not applied is in effect, and nothing to wait
// for before a campaign.
func TestOnAppendCampaignDoesNotWaitForTheHost(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2, Entries: []pb.Entry{confEntry(t, 2, 2, "v4")}})
	s.persist(s.ready())
	require.NoError(t, s.Campaign())
}

// No configuration of a log that a snapshot replaced is left.
func TestOnAppendSnapshotForgetsTheLog(t *testing.T) {
	s := newSolo(t, onAppend)
	s.recv(pb.Message{
		Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2,
		Entries: []pb.Entry{confEntry(t, 2, 2, "v4"), confEntry(t, 3, 2, "r3")},
	})
	s.persist(s.ready())
	s.recv(pb.Message{Type: pb.MsgSnap, From: 3, Term: 3, Snapshot: &pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: 9, Term: 3, ConfState: pb.ConfState{Voters: []uint64{1, 2, 7}, Index: 8},
	}}})
	s.serve()
	_, err := s.ConfStateAt(5)
	require.ErrorIs(t, err, raft.ErrCompacted)
}

// Who is new had no chance to be heard: it does not fail the quorum check that follows
// (dissertation §6.2).
func TestOnAppendNewMemberPassesTheFirstQuorumCheck(t *testing.T) {
	s := newLeader(t, onAppend, 1)
	s.ticks(9)
	require.NoError(t, s.ProposeConfChange(change(t, "v2")))
	s.sent()
	s.Tick()
	require.Equal(t, raft.StateLeader, s.role(), "at the first check")
	s.ticks(10)
	require.Equal(t, raft.StepDownQuorumLost, s.BasicStatus().LastStepDown, "and then it does")
}

// A joint configuration that was committed before, as the new leader knows, is left
// with the first commit in its term, without a word of the host (dissertation §4.3).
func TestOnAppendCommittedJointIsLeftByTheNextLeader(t *testing.T) {
	s := newSolo(t, onAppendLonely)
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2, Entries: []pb.Entry{confEntry(t, 2, 2, "v4 v5 r3")}})
	s.sent()
	require.NoError(t, s.Campaign())
	for s.role() != raft.StateLeader {
		rd := s.ready()
		asked := append(ofType(rd.Messages, pb.MsgPreVote), ofType(rd.MessagesAfterAppend, pb.MsgVote)...)
		s.persist(rd)
		for _, m := range asked {
			s.recv(s.answer(m))
		}
	}
	s.persist(s.ready())
	require.EqualValues(t, 3, s.BasicStatus().LastIndex)
	s.recv(ack(2, 3, 3), ack(4, 3, 3))
	require.EqualValues(t, 3, s.BasicStatus().Commit)
	require.EqualValues(t, 4, s.BasicStatus().LastIndex, "it is left")
	require.Equal(t, []uint64{1, 2, 4, 5}, s.members())
}

// A read that a majority of the new, smaller configuration has confirmed is answered
// when that is appended.
func TestOnAppendReadOfASmallerQuorum(t *testing.T) {
	s := newLeader(t, onAppendLonely, 1, 2, 3, 4)
	require.NoError(t, s.ReadIndex([]byte("x")))
	for _, m := range to(ofType(s.sent(), pb.MsgHeartbeat), 2) {
		s.recv(s.answer(m))
	}
	require.Empty(t, s.Reads)
	require.NoError(t, s.ProposeConfChange(change(t, "r4")))
	require.NotEmpty(t, s.ready().ReadStates)
}
