package raft_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// A leader that does not hear from a majority of each half for an election
// timeout steps down, at the latest within two; learners do not count
// (dissertation §6.2).
func TestLeaderWithoutQuorumStepsDown(t *testing.T) {
	tests := []struct {
		name   string
		conf   pb.ConfState
		answer []uint64 // who still answers
		leads  bool
	}{
		{"nobody of three", pb.ConfState{Voters: []uint64{1, 2, 3}}, []uint64{9}, false},
		{"one of three", pb.ConfState{Voters: []uint64{1, 2, 3}}, []uint64{2}, true},
		{"one of five", pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}, []uint64{5}, false},
		{"two of five", pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}, []uint64{5, 3}, true},
		{"learners alone", pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4, 5, 6}}, []uint64{4, 5, 6}, false},
		{"one half", pb.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}, []uint64{4, 5}, false},
		{"other half", pb.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}, []uint64{2, 3}, false},
		{"both halves", pb.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}, []uint64{3, 4}, true},
		{"alone", pb.ConfState{Voters: []uint64{1}, Learners: []uint64{2}}, []uint64{9}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSoloIn(t, nil, tt.conf)
			s.elect()
			for range 20 {
				s.Tick()
				s.serve(tt.answer...)
			}
			st := s.BasicStatus()
			if tt.leads {
				require.Equal(t, raft.StateLeader, st.RaftState)
				return
			}
			require.Equal(t, raft.StateFollower, st.RaftState)
			require.Equal(t, raft.StepDownQuorumLost, st.LastStepDown)
			require.Equal(t, raft.None, st.Lead)
			require.Equal(t, uint64(2), st.Term, "it steps down within its term")
		})
	}
}

// Without CheckQuorum a leader that is alone stays in office.
func TestCheckQuorumCanBeDisabled(t *testing.T) {
	s := newLeader(t, func(c *raft.Config) { c.DisableCheckQuorum = true })
	s.ticks(100)
	require.Equal(t, raft.StateLeader, s.role())
}

// Any answer shows that a peer lives, also a rejection (dissertation §6.2).
func TestEveryAnswerCountsForCheckQuorum(t *testing.T) {
	for _, m := range []pb.Message{
		{Type: pb.MsgHeartbeatResp, From: 2, Term: 2},
		{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 1},
		{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 2, Reject: true, RejectHint: 1},
	} {
		s := newLeader(t, nil)
		for range 50 {
			s.ticks(9)
			s.sent()
			s.recv(m)
		}
		require.Equal(t, raft.StateLeader, s.role())
	}
}

// A node that heard from its leader within an election timeout ignores requests
// for votes, their term included, so that removed servers cannot depose a leader
// (dissertation §4.2.3). Only with CheckQuorum on this node, and not if the
// leader itself told the candidate to campaign.
func TestVotesAreRefusedForALivingLeader(t *testing.T) {
	ask := func(mt pb.MessageType, context string) pb.Message {
		return pb.Message{Type: mt, From: 3, Term: 6, LogTerm: 5, Index: 9, Context: []byte(context)}
	}
	for _, mt := range []pb.MessageType{pb.MsgVote, pb.MsgPreVote} {
		resp := pb.MsgVoteResp
		if mt == pb.MsgPreVote {
			resp = pb.MsgPreVoteResp
		}
		t.Run(mt.String(), func(t *testing.T) {
			s := newSolo(t, nil)
			s.recv(beat(2, 5, 0))
			s.ticks(9)
			s.sent()
			s.recv(ask(mt, ""))
			require.Empty(t, s.sent(), "not even an answer")
			require.Equal(t, uint64(5), s.BasicStatus().Term)
			require.Equal(t, uint64(2), s.BasicStatus().Lead)

			s.recv(ask(mt, "CampaignTransfer"))
			require.False(t, theOne(t, s.sent(), resp).Reject)

			s = newSolo(t, nil)
			s.recv(beat(2, 5, 0))
			s.ticks(10)
			s.sent()
			s.recv(ask(mt, ""))
			require.False(t, theOne(t, s.sent(), resp).Reject, "an election timeout later")

			s = newSolo(t, func(c *raft.Config) { c.DisableCheckQuorum = true })
			s.recv(beat(2, 5, 0))
			s.sent()
			s.recv(ask(mt, ""))
			require.False(t, theOne(t, s.sent(), resp).Reject, "CheckQuorum is off here")

			s = newSolo(t, nil)
			s.recv(ask(mt, ""))
			require.False(t, theOne(t, s.sent(), resp).Reject, "no leader is known")

			s = newSolo(t, nil)
			s.recv(beat(2, 5, 0))
			require.NoError(t, s.ForgetLeader())
			s.sent()
			s.recv(ask(mt, ""))
			require.False(t, theOne(t, s.sent(), resp).Reject, "the host knows that the leader is gone")
		})
	}
}

// A leader in touch with its quorum is not deposed by a request for votes
// (dissertation §4.2.3), but by an answer of a higher term, without which a
// follower that got ahead could never come back.
func TestLeaderRefusesVotes(t *testing.T) {
	s := newLeader(t, nil)
	s.recv(pb.Message{Type: pb.MsgVote, From: 3, Term: 9, LogTerm: 9, Index: 9})
	require.Empty(t, s.sent())
	require.Equal(t, raft.StateLeader, s.role())
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 9, Reject: true})
	require.Equal(t, raft.StateFollower, s.role())
	require.Equal(t, uint64(9), s.BasicStatus().Term)
}

// A removed server that did not hear of it cannot disturb the rest
// (dissertation §4.2.3).
func TestRemovedServerDoesNotDisturb(t *testing.T) {
	c := newGroup(t, 4, noPreVote)
	l := c.Elect(1)
	c.Drop = rafttest.Cut(4)
	require.NoError(t, l.ProposeConfChange(change(t, "r4")))
	c.Settle()
	term := l.BasicStatus().Term
	c.Drop = nil
	c.Tick(200)
	require.Equal(t, uint64(1), c.Leader().ID, "4 campaigns, but nobody minds")
	require.Greater(t, c.Node(4).BasicStatus().Term, term)
	require.Equal(t, term, l.BasicStatus().Term)
}

// Nodes with different settings of PreVote and CheckQuorum elect, re-elect when
// the leader dies, and find together again when a node returns with a higher
// term, so that settings can be rolled out node by node (dissertation §9.6).
func TestMixedSettingsElect(t *testing.T) {
	const limit = 10 * 10 // ten election timeouts
	settings := func(i int) configure {
		return func(c *raft.Config) { c.DisablePreVote, c.DisableCheckQuorum = i&1 != 0, i&2 != 0 }
	}
	longest := 0
	for a := range 4 {
		for b := range 4 {
			for odd := range uint64(3) {
				name := fmt.Sprintf("%d of setting %d, others of %d", odd+1, a, b)
				t.Run(name, func(t *testing.T) {
					c := newGroup(t, 3, func(c *raft.Config) {
						if c.ID == odd+1 {
							settings(a)(c)
						} else {
							settings(b)(c)
						}
					})
					elected := func() bool {
						l := c.Leader()
						if l == nil {
							return false
						}
						for _, m := range c.Nodes() {
							if m.BasicStatus().Lead != l.ID || m.BasicStatus().Term != l.BasicStatus().Term {
								return false
							}
						}
						return true
					}
					longest = max(longest, ticksUntil(t, c, limit, elected))
					old := c.Leader()
					require.NoError(t, old.Propose([]byte("a")))
					c.Settle()

					// The leader dies.
					c.Drop = rafttest.Cut(old.ID)
					longest = max(longest, ticksUntil(t, c, limit, func() bool { return leaderBeside(c, old.ID) }))
					require.NoError(t, c.Leader().Propose([]byte("b")))
					c.Settle()
					c.Drop = nil
					longest = max(longest, ticksUntil(t, c, limit, elected))

					// A follower is away, and returns from a term far ahead.
					away := c.Node(c.Leader().ID%3 + 1)
					c.Drop = rafttest.Cut(away.ID)
					require.NoError(t, c.Leader().Propose([]byte("c")))
					c.Settle()
					c.Restart(away.ID)
					hs, _, err := away.Storage.InitialState()
					require.NoError(t, err)
					hs.Term, hs.Vote = hs.Term+20, away.ID
					require.NoError(t, away.Storage.SetHardState(hs))
					c.Restart(away.ID)
					c.Tick(5)
					c.Drop = nil
					longest = max(longest, ticksUntil(t, c, limit, func() bool {
						return elected() && c.Leader().BasicStatus().Term >= hs.Term
					}))
					require.NoError(t, c.Leader().Propose([]byte("d")))
					c.Tick(2)
					sameLogs(t, c, 1, 2, 3)
				})
			}
		}
	}
	t.Logf("longest wait: %d ticks", longest)
}
