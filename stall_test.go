package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

func lonely(c *raft.Config) { c.DisableCheckQuorum = true }

// A leader whose own writes stay unacknowledged for an election timeout hands
// over and steps down: others could go on while its disk stands still
// (dissertation §10.2.1: it may lead without its own disk only for a while).
func TestLeaderWithAStalledDiskStepsDown(t *testing.T) {
	s := newLeader(t, lonely)
	require.NoError(t, s.Propose([]byte("x")))
	rd := s.ready() // its write does not come back
	s.recv(ack(2, 2, 3), ack(3, 2, 3))
	s.ticks(9)
	require.Equal(t, raft.StateLeader, s.role())
	s.Tick()
	st := s.BasicStatus()
	require.Equal(t, raft.StateFollower, st.RaftState)
	require.Equal(t, raft.StepDownDiskStalled, st.LastStepDown)
	require.Equal(t, uint64(2), st.Term)
	more := s.ready()
	theOne(t, more.Messages, pb.MsgTimeoutNow)

	// It does not campaign until a write is acknowledged, not even when told to.
	s.ticks(100)
	require.Equal(t, raft.StateFollower, s.role())
	var ce *raft.CampaignError
	require.ErrorAs(t, s.Campaign(), &ce)
	require.Equal(t, raft.ReasonDiskStalled, ce.Reason)
	s.recv(pb.Message{Type: pb.MsgTimeoutNow, From: 2, Term: 2})
	require.Equal(t, raft.StateFollower, s.role())
	s.persist(rd)
	require.NoError(t, s.Campaign())
	require.NotEqual(t, raft.StateFollower, s.role())
}

// A slow disk that gets on with its work is none that stands still.
func TestSlowDiskKeepsTheLeader(t *testing.T) {
	s := newLeader(t, lonely)
	for range 10 {
		require.NoError(t, s.Propose([]byte("a")))
		first := s.ready()
		require.NoError(t, s.Propose([]byte("b")))
		second := s.ready()
		s.ticks(9)
		s.persist(first)
		s.ticks(9)
		s.persist(second)
		s.sent()
	}
	require.Equal(t, raft.StateLeader, s.role())
	s.ticks(50) // nothing to write
	require.Equal(t, raft.StateLeader, s.role())
}

// A new leader that never gets its first entry written steps down too.
func TestStallFromTheFirstEntryOn(t *testing.T) {
	s := newSolo(t, func(c *raft.Config) { c.DisableCheckQuorum, c.DisablePreVote = true, true })
	require.NoError(t, s.Campaign())
	s.sent()
	s.recv(pb.Message{Type: pb.MsgVoteResp, From: 2, Term: 2})
	require.Equal(t, raft.StateLeader, s.role())
	s.ready()
	s.ticks(10)
	require.Equal(t, raft.StateLeader, s.role(), "2 gets a chance to take over")
	require.ErrorIs(t, s.Propose([]byte("x")), raft.ErrTransferring)
	s.ticks(10)
	require.Equal(t, raft.StateFollower, s.role())
	require.Equal(t, raft.StepDownDiskStalled, s.BasicStatus().LastStepDown)
	require.Empty(t, ofType(s.Ready().Messages, pb.MsgTimeoutNow), "it did not catch up")
}

// With a single voter nobody else could lead, and the check can be turned off.
func TestStallWithoutAlternative(t *testing.T) {
	s := newSoloIn(t, lonely, pb.ConfState{Voters: []uint64{1}, Learners: []uint64{2}})
	s.elect()
	require.NoError(t, s.Propose([]byte("x")))
	s.ready()
	s.ticks(100)
	require.Equal(t, raft.StateLeader, s.role())

	s = newLeader(t, func(c *raft.Config) { c.DisableCheckQuorum, c.DisableStallCheck = true, true })
	require.NoError(t, s.Propose([]byte("x")))
	s.ready()
	s.ticks(100)
	require.Equal(t, raft.StateLeader, s.role())
}
