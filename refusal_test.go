package raft_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// inTurn makes changes of membership at a leader, each of them committed and applied
// before the next.
func (s *solo) inTurn(ccs ...pb.ConfChangeV2) {
	s.t.Helper()
	for _, cc := range ccs {
		require.NoError(s.t, s.ProposeConfChange(cc))
		s.serve()
	}
}

func changeOf(t *testing.T, cc pb.ConfChangeI) []pb.Entry {
	t.Helper()
	typ, data, err := pb.MarshalConfChange(cc)
	require.NoError(t, err)
	return []pb.Entry{{Type: typ, Data: data}}
}

// refusedProposals are proposals and a leader of voters 1 to 3 that refuses them.
func refusedProposals(t *testing.T) []struct {
	name   string
	leader *solo
	ents   []pb.Entry
	want   error
	index  uint64
} {
	v := func(s string) pb.ConfChangeV2 { return change(t, s) }
	joint := func(s string) pb.ConfChangeV2 {
		cc := v(s)
		cc.Transition = pb.ConfChangeTransitionJointExplicit
		return cc
	}
	expecting := func(version uint64) pb.ConfChangeV2 {
		cc := confchange.TargetChange(pb.MembershipTarget{Voters: []uint64{1, 2}})
		cc.Membership.Expected, cc.Membership.HasExpected = version, true
		return cc
	}
	target := func(t pb.MembershipTarget) pb.ConfChangeV2 { return confchange.TargetChange(t) }
	stands := target(pb.MembershipTarget{Voters: []uint64{1, 2, 4}})
	step := v("l4")
	step.Membership = &pb.MembershipChange{Version: 3}
	after := func(ccs ...pb.ConfChangeV2) *solo {
		s := newLeader(t, lonely)
		s.beat()
		s.inTurn(ccs...)
		return s
	}
	silent := after()
	silent.ticks(10)
	pending := newLeader(t, lonely)
	require.NoError(t, pending.Propose(nil))
	require.NoError(t, pending.ProposeConfChange(v("l9"))) // entry 4
	early := newSolo(t, lonely)
	early.win()
	transferring := newLeader(t, lonely)
	require.NoError(t, transferring.TransferLeader(2))
	leaving, _ := removed(t, "r1", lonely, 1, 2, 3)
	full := newLeader(t, func(c *raft.Config) { lonely(c); c.MaxUncommittedSize = 10 })
	require.NoError(t, full.Propose(make([]byte, 10)))
	one := func(cc pb.ConfChangeI) []pb.Entry { return changeOf(t, cc) }
	return []struct {
		name   string
		leader *solo
		ents   []pb.Entry
		want   error
		index  uint64
	}{
		{"nothing", after(), nil, raft.ErrEmptyProposal, 0},
		{"transfer", transferring, []pb.Entry{{Data: []byte("x")}}, raft.ErrTransferring, 0},
		{"the leader leaves", leaving, []pb.Entry{{Data: []byte("x")}}, raft.ErrLeaving, 0},
		{"too much", full, []pb.Entry{{Data: []byte("x")}}, raft.ErrUncommittedFull, 0},
		{"unknown entry", after(), []pb.Entry{{Type: 7}}, raft.ErrCorruptMessage, 0},

		{"another change", pending, one(v("v4")), raft.ErrConfChangePending, 4},
		{"no commit in the term", early, one(v("v4")), raft.ErrConfChangeTooEarly, 0},
		{"two changes", after(), append(one(v("v4")), one(v("v5"))...), raft.ErrConfChangeMultiple, 0},
		{"joint already", after(joint("v4 v5")), one(joint("v6")), confchange.ErrAlreadyJoint, 0},
		{"a voter of a joint one", after(joint("v4 v5")), one(v("v6")), confchange.ErrAlreadyJoint, 0},
		{"not joint", after(), one(pb.ConfChangeV2{}), confchange.ErrNotJoint, 0},
		{"no voters are left", after(v("r2"), v("r3")), one(v("r1")), confchange.ErrNoVoters, 0},
		{"the only voter learns", after(v("r2"), v("r3")), one(v("l1")), confchange.ErrNoVoters, 0},
		{"no voters after a joint one", after(), one(v("r1 r2 r3")), confchange.ErrNoVoters, 0},
		{"nobody", after(), one(pb.ConfChange{Type: pb.ConfChangeAddNode}), confchange.ErrInvalidNode, 0},
		{"removes a stranger", after(), one(v("r9")), confchange.ErrUnknownNode, 0},
		{"updates a stranger", after(), one(v("u9")), confchange.ErrUnknownNode, 0},
		{"named twice", after(), one(v("v4 v4")), confchange.ErrDuplicateNode, 0},
		{"voter and learner at once", after(), one(v("v4 l4")), confchange.ErrDuplicateNode, 0},
		{"a voter is one", after(), one(v("v2")), confchange.ErrNoChange, 0},
		{"a learner is one", after(v("l4")), one(v("l4")), confchange.ErrNoChange, 0},
		{"unknown kind", after(), []pb.Entry{{Type: pb.EntryConfChangeV2, Data: []byte{0x12, 2, 0x08, 9}}}, pb.ErrInvalidConfChange, 0},
		{"no change at all", after(), []pb.Entry{{Type: pb.EntryConfChangeV2, Data: []byte{0xff}}}, pb.ErrInvalidConfChange, 0},

		{"by hand towards a target", after(stands), one(v("v5")), confchange.ErrTargetStands, 0},
		{"end of no target", after(), one(confchange.CancelChange(3)), confchange.ErrStaleStep, 0},
		{"end of another target", after(stands), one(confchange.CancelChange(2)), confchange.ErrStaleStep, 0},
		{"reached, by hand", after(stands), one(confchange.OutcomeChange(pb.MembershipOutcome{Version: 3, Result: pb.MembershipReached})), confchange.ErrLeadersOwn, 0},
		{"given up for another reason, by hand", after(stands), one(confchange.OutcomeChange(pb.MembershipOutcome{Version: 3, Result: pb.MembershipAborted, Reason: pb.MembershipTooSlow})), confchange.ErrLeadersOwn, 0},
		{"step by hand", after(stands), one(step), confchange.ErrLeadersOwn, 0},
		{"a target without voters", after(), one(target(pb.MembershipTarget{Learners: []uint64{4}})), pb.ErrInvalidConfChange, 0},
		{"a target's voter that learns", after(), one(target(pb.MembershipTarget{Voters: []uint64{1, 2}, Learners: []uint64{2}})), pb.ErrInvalidConfChange, 0},
		{"members that did not say that they know of targets", newLeader(t, lonely), one(stands), confchange.ErrUnsupported, 0},
		{"a target of the silent", silent, one(target(pb.MembershipTarget{Voters: []uint64{1, 2, 3}})), confchange.ErrWouldLoseQuorum, 0},
		{"another version", after(v("v4")), one(expecting(1)), confchange.ErrUnexpectedVersion, 0},
	}
}

// Every refusal is of one kind that a caller can tell, and whoever forwarded the
// proposal hears the same as who proposes at the leader: the kind, the change in the
// way, and the words.
func TestRefusalsAreTheSameNearAndFar(t *testing.T) {
	for _, c := range refusedProposals(t) {
		t.Run(c.name, func(t *testing.T) {
			c.leader.sent()
			asked := pb.Message{Type: pb.MsgProp, From: 2, To: 1, Entries: c.ents, Features: pb.FeatureRefusals}
			last := c.leader.BasicStatus().LastIndex
			near := c.leader.Step(asked)
			require.ErrorIs(t, near, c.want)
			require.Equal(t, last, c.leader.BasicStatus().LastIndex)
			told := theOne(t, c.leader.sent(), pb.MsgPropRefused)
			require.EqualValues(t, 2, told.To)
			require.EqualValues(t, 1, told.From)
			require.Zero(t, told.Term)
			require.Equal(t, c.ents, told.Entries)

			follower := newSolo(t, nil)
			told.From = 2 // the follower is node 1
			rd := refusals(t, follower, told)
			require.Len(t, rd, 1)
			far := rd[0].Err
			require.EqualValues(t, 2, rd[0].By)
			require.Equal(t, c.ents, rd[0].Entries)
			require.ErrorIs(t, far, c.want)
			require.ErrorIs(t, far, raft.ErrProposalDropped)
			require.Equal(t, near.Error(), far.Error())
			var nearChange, farChange *raft.ConfChangeError
			require.Equal(t, asChange(near, &nearChange), asChange(far, &farChange))
			if nearChange != nil {
				require.Equal(t, c.index, nearChange.Index)
				require.Equal(t, c.index, farChange.Index)
			}
		})
	}
}

func asChange(err error, change **raft.ConfChangeError) bool {
	for ; err != nil; err = unwrap(err) {
		if c, ok := err.(*raft.ConfChangeError); ok {
			*change = c
			return true
		}
	}
	return false
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// refusals steps a message that must move nothing, and returns what the host is told.
func refusals(t *testing.T, s *solo, m pb.Message) []raft.Refusal {
	t.Helper()
	s.sent()
	m.To = 1
	before := s.Status()
	require.NoError(t, s.Step(m))
	require.Equal(t, before, s.Status())
	if !s.HasReady() {
		return nil
	}
	rd := s.ready()
	told := append([]raft.Refusal(nil), rd.Refusals...)
	require.False(t, rd.IsEmpty())
	require.Empty(t, rd.Messages)
	require.Empty(t, rd.MessagesAfterAppend)
	require.NoError(t, s.Advance(rd))
	require.False(t, s.HasReady(), "once")
	return told
}

// A proposal finds its way back through a third node, from whoever does not take it:
// one that knows no leader, one that does not forward, or the leader.
func TestRefusalGoesToWhoProposed(t *testing.T) {
	asked := pb.Message{Type: pb.MsgProp, From: 3, Entries: []pb.Entry{{Data: []byte("x")}}, Features: pb.FeatureRefusals}
	passing := newSolo(t, nil)
	passing.recv(beat(2, 2, 1))
	passing.sent()
	passing.recv(asked)
	on := theOne(t, passing.sent(), pb.MsgProp)
	require.EqualValues(t, 3, on.From)
	require.EqualValues(t, 2, on.To)
	require.Equal(t, pb.FeatureRefusals, on.Features)

	lost := newSolo(t, nil)
	lost.refusesAndTells(asked, raft.ErrNoLeader, pb.RefusalNoLeader)
	lost.recv(beat(3, 2, 1))
	lost.sent()
	lost.refusesAndTells(asked, raft.ErrNoLeader, pb.RefusalNoLeader) // it would go back to 3
	keeping := newSolo(t, func(c *raft.Config) { c.DisableProposalForwarding = true })
	keeping.recv(beat(2, 2, 1))
	keeping.sent()
	keeping.refusesAndTells(asked, raft.ErrForwardingDisabled, pb.RefusalForwardingDisabled)
}

// refusesAndTells steps a proposal that is refused, of which its origin hears.
func (s *solo) refusesAndTells(m pb.Message, want error, number pb.ProposalRefusal) {
	s.t.Helper()
	m.To = 1
	require.ErrorIs(s.t, s.Step(m), want)
	told := theOne(s.t, s.sent(), pb.MsgPropRefused)
	require.Equal(s.t, pb.Message{
		Type: pb.MsgPropRefused, To: m.From, From: 1, Entries: m.Entries, RejectHint: uint64(number), Context: []byte(want.Error()),
	}, told)
}

// A proposal that comes back to who made it, and is refused there, is told at once.
func TestRefusalOfAProposalThatCameBack(t *testing.T) {
	s := newSolo(t, nil)
	s.sent()
	require.ErrorIs(t, s.Step(pb.Message{Type: pb.MsgProp, From: 1, To: 1, Entries: []pb.Entry{{Data: []byte("x")}}, Features: pb.FeatureRefusals}), raft.ErrNoLeader)
	rd := s.ready()
	require.Len(t, rd.Refusals, 1)
	require.EqualValues(t, 1, rd.Refusals[0].By)
	require.ErrorIs(t, rd.Refusals[0].Err, raft.ErrNoLeader)
	require.Empty(t, rd.Messages)
}

// A follower asks to hear of refusals of its own proposals. It is not told of those
// that it refuses itself, which Propose returns; a peer that did not ask, etcd's for
// one, is not told either.
func TestWhoIsNotToldOfARefusal(t *testing.T) {
	s := newSolo(t, nil)
	s.recv(beat(2, 2, 1))
	s.sent()
	require.NoError(t, s.Propose([]byte("x")))
	require.Equal(t, pb.FeatureRefusals, theOne(t, s.sent(), pb.MsgProp).Features)

	alone := newSolo(t, nil)
	alone.sent()
	require.ErrorIs(t, alone.Propose([]byte("x")), raft.ErrNoLeader)
	require.ErrorIs(t, alone.ProposeConfChange(change(t, "v4")), raft.ErrNoLeader)
	require.False(t, alone.HasReady())
	alone.refuses(pb.Message{Type: pb.MsgProp, From: 2, Entries: []pb.Entry{{}}}, raft.ErrNoLeader)
	alone.refuses(pb.Message{Type: pb.MsgProp, Entries: []pb.Entry{{}}, Features: pb.FeatureRefusals}, raft.ErrNoLeader)
	// What cannot be a proposal is not answered.
	alone.refuses(pb.Message{Type: pb.MsgProp, From: 2, Term: 2, Entries: []pb.Entry{{}}, Features: pb.FeatureRefusals}, raft.ErrCorruptMessage)

	leader := newLeader(t, lonely)
	leader.sent()
	require.ErrorIs(t, leader.ProposeConfChange(change(t, "r9")), confchange.ErrUnknownNode)
	require.False(t, leader.HasReady())
}

// A refusal reaches the host whatever the node has become meanwhile.
func TestRefusalReachesEveryRole(t *testing.T) {
	told := pb.Message{Type: pb.MsgPropRefused, From: 2, RejectHint: uint64(pb.RefusalTransferring)}
	candidate := newSolo(t, nil)
	require.NoError(t, candidate.Campaign())
	for _, s := range []*solo{newSolo(t, nil), candidate, newLeader(t, lonely)} {
		rs := refusals(t, s, told)
		require.Len(t, rs, 1)
		require.ErrorIs(t, rs[0].Err, raft.ErrTransferring)
		require.Equal(t, raft.ErrTransferring.Error(), rs[0].Err.Error(), "it said no words")
	}
}

// What a later version or a liar says is a refusal of no known kind, or nothing; and
// of its words no more is kept than a log can bear.
func TestRefusalsThatMakeNoSense(t *testing.T) {
	for _, number := range []uint64{0, 9, 99, 1<<32 + uint64(pb.RefusalTransferring), 1 << 62} {
		s := newSolo(t, nil)
		rs := refusals(t, s, pb.Message{Type: pb.MsgPropRefused, From: 2, RejectHint: number, Index: 7, Context: []byte("no\n\x1b[1m\xff" + strings.Repeat("x", 5000))})
		require.Len(t, rs, 1)
		require.ErrorIs(t, rs[0].Err, raft.ErrProposalDropped)
		require.NotErrorIs(t, rs[0].Err, raft.ErrTransferring)
		require.True(t, strings.HasPrefix(rs[0].Err.Error(), "no\uFFFD\uFFFD[1m\uFFFDx"), "%q", rs[0].Err.Error()[:20])
		require.Less(t, len(rs[0].Err.Error()), 1100)
	}
	s := newSolo(t, nil)
	s.sent()
	s.refuses(pb.Message{Type: pb.MsgPropRefused, From: 2, Term: 2}, raft.ErrCorruptMessage)
	s.refuses(pb.Message{Type: pb.MsgPropRefused, From: 2, RejectHint: 1<<62 + 1}, raft.ErrCorruptMessage)
	s.refuses(pb.Message{Type: pb.MsgPropRefused, From: 1}, raft.ErrMisrouted)
	s.refuses(pb.Message{Type: pb.MsgPropRefused}, raft.ErrMisrouted)
}

// However many refusals come, or have to be said, before the host takes a Ready, they
// hold no more than a bounded part of the memory: the newest are dropped.
func TestRefusalsAreBounded(t *testing.T) {
	big := []pb.Entry{{Data: make([]byte, 3<<20)}}
	for want, ents := range map[int][]pb.Entry{1024: nil, 5: big, 1: {{Data: make([]byte, 20<<20)}}} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			s := newSolo(t, nil)
			s.sent()
			for range 2 {
				for i := range 1100 {
					require.NoError(t, s.Step(pb.Message{Type: pb.MsgPropRefused, From: 2, To: 1, Entries: ents, Index: uint64(i + 1), RejectHint: uint64(pb.RefusalConfPending)}))
				}
				rd := s.ready()
				require.Len(t, rd.Refusals, want)
				require.ErrorContains(t, rd.Refusals[want-1].Err, fmt.Sprintf("(index %d)", want))
				require.NoError(t, s.Advance(rd))
			}
			for range 2 {
				for range 1100 {
					require.Error(t, s.Step(pb.Message{Type: pb.MsgProp, From: 2, To: 1, Entries: ents, Features: pb.FeatureRefusals}))
				}
				require.Len(t, ofType(s.sent(), pb.MsgPropRefused), want)
			}
		})
	}
}

// A change that expects a configuration is taken if it is the newest one, whatever its
// version is, and else refused before anything else is said of it.
func TestExpectedVersionIsCompared(t *testing.T) {
	for _, conf := range []configure{lonely, func(c *raft.Config) { lonely(c); onAppend(c) }} {
		s := newLeader(t, conf)
		s.inTurn(change(t, "v4"))
		s.beat()
		version := s.Status().ConfigIndex
		require.EqualValues(t, 3, version)
		cc := confchange.TargetChange(pb.MembershipTarget{Voters: []uint64{1, 2}})
		cc.Membership.HasExpected = true
		for _, wrong := range []uint64{0, 1, version - 1, version + 1} {
			cc.Membership.Expected = wrong
			require.ErrorIs(t, s.ProposeConfChange(cc), confchange.ErrUnexpectedVersion)
		}
		stale := confchange.CancelChange(1)
		stale.Membership.HasExpected = true
		require.ErrorIs(t, s.ProposeConfChange(stale), confchange.ErrUnexpectedVersion)
		cc.Membership.Expected = version
		require.NoError(t, s.ProposeConfChange(cc))
		s.serve()
		require.Greater(t, s.Status().ConfigIndex, version)
		require.ErrorIs(t, s.ProposeConfChange(cc), confchange.ErrUnexpectedVersion, "it is another now")
	}
}

// beat lets a heartbeat go round, whose answers say that the members know of targets.
func (s *solo) beat() {
	s.t.Helper()
	for len(ofType(s.serve(), pb.MsgHeartbeat)) == 0 {
		s.Tick()
	}
}
