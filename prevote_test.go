package raft_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// A pre-vote asks for the next term and changes neither the asker's term nor
// its vote (dissertation §9.6).
func TestPreVoteChangesNothing(t *testing.T) {
	s := newSolo(t, nil).withLog(pb.HardState{Term: 4, Vote: 2, Commit: 1}, 2, 3)
	s.untilCampaign(20)
	require.Equal(t, raft.StatePreCandidate, s.role())
	rd := s.ready()
	require.True(t, raft.IsEmptyHardState(rd.HardState))
	require.False(t, rd.MustSync)
	require.Len(t, rd.Messages, 2)
	for i, m := range rd.Messages {
		require.NotZero(t, m.Session)
		require.Equal(t, pb.Message{Type: pb.MsgPreVote, From: 1, To: uint64(i + 2), Term: 5, Index: 3, LogTerm: 3, Commit: 1, RejectHint: 1,
			Session: m.Session, Features: pb.FeatureMembership}, m)
	}
	s.ticks(200) // it asks again and again and stays in its term
	s.sent()
	require.Equal(t, uint64(4), s.BasicStatus().Term)
	require.Equal(t, uint64(2), s.BasicStatus().Vote)
}

// A pre-vote is granted for a later term to a log that is up to date, whatever
// vote was given in this term; a grant carries the term asked for and a refusal
// the voter's. Neither needs the disk (dissertation §9.6).
func TestPreVoteAnswers(t *testing.T) {
	tests := []struct {
		name                string
		term, lastTerm, idx uint64
		granted             bool
		answerTerm          uint64
	}{
		{"next term", 6, 3, 3, true, 6},
		{"far term", 60, 3, 3, true, 60},
		{"longer log", 6, 3, 9, true, 6},
		{"shorter log", 6, 3, 2, false, 5},
		{"older log", 6, 2, 9, false, 5},
		{"own term, vote given to another", 5, 3, 3, false, 5},
		{"older term", 4, 3, 3, false, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, nil).withLog(pb.HardState{Term: 5, Vote: 3, Commit: 1}, 2, 3)
			s.recv(pb.Message{Type: pb.MsgPreVote, From: 2, Term: tt.term, LogTerm: tt.lastTerm, Index: tt.idx})
			rd := s.ready()
			m := theOne(t, rd.Messages, pb.MsgPreVoteResp)
			require.Equal(t, !tt.granted, m.Reject)
			require.Equal(t, tt.answerTerm, m.Term)
			require.True(t, raft.IsEmptyHardState(rd.HardState))
			require.Equal(t, pb.HardState{Term: 5, Vote: 3, Commit: 1}, s.BasicStatus().HardState)
		})
	}
}

// Only a majority of grants for the term that was asked for starts the real
// election; a majority of refusals ends the attempt (dissertation §9.6).
func TestPreVoteTally(t *testing.T) {
	grant := func(from, term uint64) pb.Message {
		return pb.Message{Type: pb.MsgPreVoteResp, From: from, Term: term}
	}
	refuse := func(from uint64) pb.Message {
		return pb.Message{Type: pb.MsgPreVoteResp, From: from, Term: 1, Reject: true}
	}
	tests := []struct {
		name string
		msgs []pb.Message
		want raft.StateType
		term uint64
	}{
		{"minority", []pb.Message{grant(2, 2), grant(2, 2)}, raft.StatePreCandidate, 1},
		{"majority", []pb.Message{grant(2, 2), grant(3, 2)}, raft.StateCandidate, 2},
		{"of another ballot", []pb.Message{grant(2, 3), grant(3, 3), grant(4, 3)}, raft.StatePreCandidate, 1},
		{"refused", []pb.Message{refuse(2), refuse(3), refuse(4)}, raft.StateFollower, 1},
		{"real votes", []pb.Message{{Type: pb.MsgVoteResp, From: 2, Term: 1}, {Type: pb.MsgVoteResp, From: 3, Term: 1}}, raft.StatePreCandidate, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, nil, 1, 2, 3, 4, 5)
			require.NoError(t, s.Campaign())
			s.sent()
			s.recv(tt.msgs...)
			require.Equal(t, tt.want, s.role())
			require.Equal(t, tt.term, s.BasicStatus().Term)
		})
	}
}

// A grant in a pre-vote is no vote: the real election asks everybody anew
// (dissertation §9.6).
func TestPreVoteGrantIsNoVote(t *testing.T) {
	s := newSolo(t, nil)
	require.NoError(t, s.Campaign())
	s.sent()
	s.recv(pb.Message{Type: pb.MsgPreVoteResp, From: 2, Term: 2})
	require.Equal(t, raft.StateCandidate, s.role())
	require.Len(t, ofType(s.sent(), pb.MsgVote), 2)
	require.Equal(t, raft.StateCandidate, s.role(), "its own vote is not a majority of three")
	s.recv(pb.Message{Type: pb.MsgPreVoteResp, From: 3, Term: 2})
	require.Equal(t, raft.StateCandidate, s.role())
}

// A node that was cut off raises no term while it is away, and deposes nobody
// when it returns (dissertation §9.6).
func TestReturningNodeDoesNotDisturb(t *testing.T) {
	c := newGroup(t, 3, func(c *raft.Config) { c.DisableCheckQuorum = true })
	l := c.Elect(1)
	term := l.BasicStatus().Term
	c.Drop = rafttest.Cut(3)
	c.Tick(200)
	require.Equal(t, raft.StatePreCandidate, c.Node(3).BasicStatus().RaftState)
	require.NoError(t, l.Propose([]byte("x")))
	c.Settle()
	c.Drop = nil
	c.Tick(40)
	require.Equal(t, uint64(1), c.Leader().ID)
	require.Equal(t, term, c.Leader().BasicStatus().Term)
	sameLogs(t, c, 1, 2, 3)
}

// A node of a higher term with a shorter log does not keep the others from
// electing: its refusal carries its term, which the next pre-vote passes
// (dissertation §9.6 with the rule of figure 2 that higher terms are adopted).
func TestPreVoteGetsPastAHigherTerm(t *testing.T) {
	for _, checkQuorumOff := range []bool{false, true} {
		t.Run(fmt.Sprint(checkQuorumOff), func(t *testing.T) {
			c := newGroup(t, 3, func(c *raft.Config) { c.DisableCheckQuorum = checkQuorumOff })
			l := c.Elect(1)
			c.Drop = rafttest.Cut(3)
			require.NoError(t, l.Propose([]byte("not at 3")))
			c.Settle()
			// 3 once got into a term far ahead; then the leader dies.
			hs, _, err := c.Node(3).Storage.InitialState()
			require.NoError(t, err)
			hs.Term, hs.Vote = 50, 3
			require.NoError(t, c.Node(3).Storage.SetHardState(hs))
			c.Restart(3)
			c.Drop = rafttest.Cut(1)
			ticksUntil(t, c, 100, func() bool { return leaderBeside(c, 1) })
			require.Greater(t, c.Leader().BasicStatus().Term, uint64(50))
		})
	}
}
