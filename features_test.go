package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// fromEffect are messages of a node with that effect, of each type that says so, all of
// which would move the node: its term, its log, its vote, its leader or what it knows
// of the peer.
func fromEffect(effect raft.ConfChangeEffect, term uint64) []pb.Message {
	snap := &pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 20, Term: term, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}}}}
	msgs := []pb.Message{
		{Type: pb.MsgVote, Term: term, Index: 9, LogTerm: term, Session: 7},
		{Type: pb.MsgPreVote, Term: term, Index: 9, LogTerm: term, Session: 7},
		appendMsg(0, term, 1, 1, 1, term),
		{Type: pb.MsgHeartbeat, Term: term, Commit: 1, Round: 1},
		{Type: pb.MsgSnap, Term: term, Snapshot: snap},
		{Type: pb.MsgHeartbeatResp, Term: term},
	}
	for i := range msgs {
		msgs[i].From, msgs[i].To = 2, 1
		msgs[i].Features = featuresOf(effect, msgs[i].Type)
	}
	return msgs
}

// All members of a group have the same ConfChangeEffect: by another one a node would
// vote and count by other configurations, whose majorities need not meet ours
// (dissertation §4.1). So it is not listened to, in any role, not even for its term;
// absent means OnApply, as from etcd's nodes.
func TestNodesWithAnotherEffectAreNotListenedTo(t *testing.T) {
	for _, own := range []raft.ConfChangeEffect{raft.OnApply, raft.OnAppend} {
		conf := func(c *raft.Config) { c.ConfChangeEffect = own }
		other := raft.OnApply + raft.OnAppend - own
		follower, leader, candidate := newSolo(t, conf), newLeader(t, conf), newSolo(t, conf)
		require.NoError(t, candidate.Campaign())
		leader.Tick()
		for _, s := range []*solo{follower, leader, candidate} {
			s.sent()
			for _, term := range []uint64{s.BasicStatus().Term, s.BasicStatus().Term + 5} {
				if term < 2 {
					continue
				}
				for _, m := range fromEffect(other, term) {
					before, ready := s.Status(), s.HasReady()
					err := s.Member.Step(m)
					require.ErrorIs(t, err, raft.ErrConfChangeEffect, "%v", m.Type)
					require.ErrorContains(t, err, "that of 2 is "+other.String()+", here it is "+own.String())
					require.Equal(t, before, s.Status(), "%v", m.Type)
					require.Equal(t, ready, s.HasReady(), "%v", m.Type)
				}
			}
		}
		for _, m := range fromEffect(own, 7) {
			s := newSolo(t, conf)
			require.NoError(t, s.Member.Step(m))
			require.Equal(t, m.Type == pb.MsgPreVote, s.BasicStatus().Term < 7, "%v", m.Type)
		}
	}
}

// It is logged once of each peer: the messages go on.
func TestAnotherEffectIsLoggedOnce(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	s := newSolo(t, func(c *raft.Config) { c.Logger = zap.New(core) })
	for _, from := range []uint64{2, 3, 2, 3, 2} {
		m := fromEffect(raft.OnAppend, 3)[3]
		m.From = from
		require.ErrorIs(t, s.Member.Step(m), raft.ErrConfChangeEffect)
	}
	require.Equal(t, 2, logs.FilterField(zap.Stringer("peer effect", raft.OnAppend)).Len())
}

// What a node says of itself is where raftpb says: all of it in requests for votes, in
// heartbeats and their answers, and with OnAppend that alone in appends and snapshots,
// so that a group with OnApply pays nothing for it there.
func TestWhatNodesSayOfThemselves(t *testing.T) {
	for _, effect := range []raft.ConfChangeEffect{raft.OnApply, raft.OnAppend} {
		s := newSolo(t, func(c *raft.Config) { c.ConfChangeEffect = effect; c.DisableCheckQuorum = true })
		seen := map[pb.MessageType]bool{}
		check := func(msgs []pb.Message) {
			t.Helper()
			for _, m := range msgs {
				seen[m.Type] = true
				want := featuresOf(effect, m.Type)
				switch m.Type {
				case pb.MsgVote, pb.MsgPreVote, pb.MsgHeartbeat, pb.MsgHeartbeatResp:
					want |= pb.FeatureMembership
				}
				require.Equal(t, want, m.Features, "%v with %v", m.Type, effect)
			}
		}
		s.recv(beat(2, 2, 1))
		check(s.sent())
		require.NoError(t, s.Campaign())
		check(s.serve(2))
		require.Equal(t, raft.StateLeader, s.role())
		require.NoError(t, s.Propose([]byte("x")))
		check(s.serve(2))
		_, err := s.Storage.CreateSnapshot(s.AppliedIndex, &pb.ConfState{Voters: []uint64{1, 2, 3}}, nil)
		require.NoError(t, err)
		require.NoError(t, s.Storage.Compact(s.AppliedIndex))
		s.Tick()
		for _, m := range s.sent() {
			check([]pb.Message{m})
			s.recv(s.answer(m))
		}
		s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: s.BasicStatus().Term, Reject: true, Index: s.BasicStatus().LastIndex})
		check(s.sent())
		for _, mt := range []pb.MessageType{pb.MsgVote, pb.MsgPreVote, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgApp, pb.MsgSnap} {
			require.True(t, seen[mt], "%v was not seen", mt)
		}
	}
}

// A group whose nodes are set differently stands still rather than go by different
// majorities, and goes on once they agree.
func TestGroupWithBothEffectsStandsStill(t *testing.T) {
	c := newGroup(t, 3, func(c *raft.Config) {
		if c.ID != 1 {
			c.ConfChangeEffect = raft.OnAppend
		}
	})
	c.Elect(2)
	c.Tick(50)
	require.EqualValues(t, 0, c.Node(1).BasicStatus().LastIndex-1, "it takes nothing of the others")
	require.Equal(t, raft.StateLeader, c.Node(2).BasicStatus().RaftState)
	c.Configure = onAppend
	c.Restart(1)
	c.Tick(20)
	sameLogs(t, c, 1, 2, 3)
}
