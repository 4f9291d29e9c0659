package raft_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

func noPreVote(c *raft.Config) { c.DisablePreVote = true }

// A candidate enters a new term, votes for itself and asks every other voter
// with the end of its log (Raft figure 2, candidates; §5.2).
func TestCampaignAsksEveryVoter(t *testing.T) {
	s := newSoloIn(t, noPreVote, pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}})
	s.withLog(pb.HardState{Term: 4, Commit: 1}, 2, 3)
	require.NoError(t, s.Campaign())
	rd := s.ready()
	require.Equal(t, pb.HardState{Term: 5, Vote: 1, Commit: 1}, rd.HardState)
	require.True(t, rd.MustSync)
	require.Empty(t, rd.Messages)
	require.Len(t, rd.MessagesAfterAppend, 2)
	for i, m := range rd.MessagesAfterAppend {
		require.NotZero(t, m.Session)
		require.Equal(t, pb.Message{Type: pb.MsgVote, From: 1, To: uint64(i + 2), Term: 5, Index: 3, LogTerm: 3, Commit: 1, RejectHint: 1,
			Session: m.Session, Features: pb.FeatureMembership}, m)
	}
}

// A candidate does not lead before its own {term, vote} is durable, though all
// others voted for it: it could crash, come back without them, be elected again
// in the same term and write another entry at the same place (Raft §5.2, one
// leader per term).
func TestCandidateWaitsForItsOwnDurableVote(t *testing.T) {
	for _, voters := range [][]uint64{{1}, {1, 2}, {1, 2, 3}, {1, 2, 3, 4, 5}} {
		for _, off := range []bool{false, true} {
			t.Run(fmt.Sprint(voters, off), func(t *testing.T) {
				s := newSolo(t, func(c *raft.Config) { c.DisablePreVote = off }, voters...)
				s.Tick() // an elder Ready whose acknowledgement says nothing of the vote
				require.NoError(t, s.Campaign())
				var elder raft.Ready
				if !off && len(voters) > 1 {
					elder = s.ready()
					for _, m := range elder.Messages {
						s.recv(s.answer(m))
					}
				}
				require.Equal(t, raft.StateCandidate, s.role())
				rd := s.ready()
				require.Equal(t, uint64(1), rd.Vote)
				for _, m := range rd.MessagesAfterAppend { // grants of a former life
					s.recv(s.answer(m))
				}
				require.Equal(t, raft.StateCandidate, s.role())
				if !elder.IsEmpty() {
					s.persist(elder)
					require.Equal(t, raft.StateCandidate, s.role())
				}
				s.persist(rd)
				require.Equal(t, raft.StateLeader, s.role())
			})
		}
	}
}

// Votes go to one candidate in a term, first come first served, and only to one
// whose log is at least as up to date (Raft figure 2, RequestVote; §5.4.1). The
// answer rests on the persisted vote.
func TestVoteIsDecidedByTermVoteAndLog(t *testing.T) {
	const lead, other = 3, 2 // the candidate, and somebody who got the vote before
	tests := []struct {
		name             string
		vote, term       uint64 // of the voter, whose log ends with index 4, term 3
		reqTerm          uint64
		lastTerm, last   uint64
		granted          bool
		wantTerm, wanted uint64
	}{
		{"older term", 0, 5, 4, 3, 4, false, 5, 0},
		{"same end", 0, 5, 5, 3, 4, true, 5, lead},
		{"higher term, same end", other, 5, 6, 3, 4, true, 6, lead},
		{"higher term, shorter log", other, 5, 6, 3, 3, false, 6, 0},
		{"longer log", 0, 5, 5, 3, 5, true, 5, lead},
		{"later last term, shorter log", 0, 5, 5, 4, 2, true, 5, lead},
		{"earlier last term, longer log", 0, 5, 5, 2, 9, false, 5, 0},
		{"voted for another", other, 5, 5, 3, 4, false, 5, other},
		{"voted for it before", lead, 5, 5, 3, 4, true, 5, lead},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, nil).withLog(pb.HardState{Term: tt.term, Vote: tt.vote, Commit: 1}, 2, 2, 3)
			s.recv(pb.Message{Type: pb.MsgVote, From: lead, Term: tt.reqTerm, LogTerm: tt.lastTerm, Index: tt.last})
			rd := s.ready()
			require.Empty(t, rd.Messages)
			require.Len(t, rd.MessagesAfterAppend, 1)
			m := rd.MessagesAfterAppend[0]
			require.Equal(t, pb.MsgVoteResp, m.Type)
			require.Equal(t, !tt.granted, m.Reject)
			require.Equal(t, tt.wantTerm, m.Term)
			st := s.BasicStatus()
			require.Equal(t, tt.wantTerm, st.Term)
			require.Equal(t, tt.wanted, st.Vote)
			if tt.vote != tt.wanted || tt.term != tt.wantTerm {
				require.Equal(t, st.HardState, rd.HardState, "to be persisted before the answer leaves")
				require.True(t, rd.MustSync)
			}
		})
	}
}

// A vote holds across a restart (Raft figure 2, persistent state).
func TestVoteSurvivesRestart(t *testing.T) {
	s := newSolo(t, nil)
	ask := func(id uint64) pb.Message {
		return pb.Message{Type: pb.MsgVote, From: id, Term: 7, LogTerm: 1, Index: 1}
	}
	s.recv(ask(2))
	require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
	s.c.Restart(1)
	s.recv(ask(3))
	require.True(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
	s.recv(ask(2))
	require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
}

// Once a node knows the leader of its term it votes for nobody else in it (Raft
// §5.2: at most one leader in a term).
func TestNoVoteBesideAKnownLeader(t *testing.T) {
	s := newSolo(t, func(c *raft.Config) { c.DisableCheckQuorum = true })
	s.recv(beat(2, 5, 0))
	s.sent()
	s.recv(pb.Message{Type: pb.MsgVote, From: 3, Term: 5, LogTerm: 4, Index: 9})
	require.True(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
}

// A candidate wins with a majority of all voters, loses with a majority of
// refusals, and counts only the first answer of each voter (Raft §5.2).
func TestMajorityDecidesElection(t *testing.T) {
	tests := []struct {
		voters int
		votes  string // who answers what; capitals refuse
		want   raft.StateType
	}{
		{1, "", raft.StateLeader},
		{2, "", raft.StateCandidate},
		{2, "b", raft.StateLeader},
		{2, "B", raft.StateFollower},
		{3, "b", raft.StateLeader},
		{3, "B", raft.StateCandidate},
		{3, "BC", raft.StateFollower},
		{3, "Bc", raft.StateLeader},
		{3, "Bb", raft.StateCandidate},
		{4, "b", raft.StateCandidate},
		{4, "bb", raft.StateCandidate},
		{4, "bC", raft.StateCandidate},
		{4, "bCD", raft.StateFollower},
		{4, "bc", raft.StateLeader},
		{5, "bB", raft.StateCandidate},
		{5, "bBBBc", raft.StateLeader},
		{5, "BCD", raft.StateFollower},
		{5, "bCD", raft.StateCandidate},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.voters, tt.votes), func(t *testing.T) {
			voters := []uint64{1, 2, 3, 4, 5}[:tt.voters]
			s := newSolo(t, noPreVote, voters...)
			require.NoError(t, s.Campaign())
			s.sent()
			for _, v := range tt.votes {
				m := pb.Message{Type: pb.MsgVoteResp, Term: 2, From: uint64(v-'a') + 1}
				if v < 'a' {
					m.From, m.Reject = uint64(v-'A')+1, true
				}
				s.recv(m)
			}
			require.Equal(t, tt.want, s.role())
			require.Equal(t, uint64(2), s.BasicStatus().Term)
		})
	}
}

// In a joint configuration a candidate needs a majority of both halves, and a
// majority of refusals in either ends the attempt (dissertation §4.3).
func TestElectionInAJointConfiguration(t *testing.T) {
	cs := pb.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}, Learners: []uint64{6}}
	for _, tt := range []struct {
		granted, refused []uint64
		want             raft.StateType
	}{
		{[]uint64{4, 5}, nil, raft.StateCandidate},
		{[]uint64{2, 3}, nil, raft.StateCandidate},
		{[]uint64{4, 5, 6}, nil, raft.StateCandidate},
		{[]uint64{2, 4}, nil, raft.StateLeader},
		{nil, []uint64{2, 4}, raft.StateCandidate},
		{nil, []uint64{2, 3}, raft.StateFollower},
		{[]uint64{2, 3}, []uint64{4, 5}, raft.StateFollower},
	} {
		s := newSoloIn(t, noPreVote, cs)
		require.NoError(t, s.Campaign())
		require.Len(t, ofType(s.sent(), pb.MsgVote), 4)
		for _, id := range tt.granted {
			s.recv(pb.Message{Type: pb.MsgVoteResp, From: id, Term: 2})
		}
		for _, id := range tt.refused {
			s.recv(pb.Message{Type: pb.MsgVoteResp, From: id, Term: 2, Reject: true})
		}
		require.Equal(t, tt.want, s.role(), "%v %v", tt.granted, tt.refused)
	}
}

// Answers to an election of an earlier term do not count in this one (Raft §5.1).
func TestVotesOfAnEarlierTermDoNotCount(t *testing.T) {
	s := newSolo(t, noPreVote)
	require.NoError(t, s.Campaign())
	old := s.sent()
	require.NoError(t, s.Campaign())
	s.sent()
	require.Equal(t, uint64(3), s.BasicStatus().Term)
	for _, m := range old {
		s.recv(s.answer(m))
	}
	require.Equal(t, raft.StateCandidate, s.role())
}

// Without word of a leader a follower campaigns after a random time in
// [ElectionTick, 2·ElectionTick), another one for each node and attempt (Raft
// §5.2).
func TestElectionTimeoutIsRandomWithinBounds(t *testing.T) {
	seen := map[int]bool{}
	for seed := range uint64(200) {
		c := rafttest.NewCluster(3, seed)
		n := c.Node(1)
		ticks := 0
		for n.BasicStatus().RaftState == raft.StateFollower {
			n.Tick()
			ticks++
		}
		require.GreaterOrEqual(t, ticks, 10)
		require.Less(t, ticks, 20)
		seen[ticks] = true
	}
	require.Len(t, seen, 10)
}

// A follower's election timer begins anew when it hears from the leader of its
// term or grants a vote, and at nothing else (Raft figure 2, followers).
func TestWhatResetsTheElectionTimer(t *testing.T) {
	tests := []struct {
		name  string
		msg   pb.Message
		reset bool
	}{
		{"append", appendMsg(2, 5, 3, 3, 0), true},
		{"append that does not match", appendMsg(2, 5, 4, 9, 0), true},
		{"heartbeat", beat(2, 5, 0), true},
		{"snapshot", pb.Message{Type: pb.MsgSnap, From: 2, Term: 5, Snapshot: snapshot(9, 4, 1, 2, 3)}, true},
		{"granted vote", pb.Message{Type: pb.MsgVote, From: 2, Term: 5, LogTerm: 3, Index: 3}, true},
		{"granted vote of a higher term", pb.Message{Type: pb.MsgVote, From: 2, Term: 6, LogTerm: 3, Index: 3}, true},
		{"refused vote", pb.Message{Type: pb.MsgVote, From: 2, Term: 5, LogTerm: 2, Index: 3}, false},
		{"refused vote of a higher term", pb.Message{Type: pb.MsgVote, From: 2, Term: 6, LogTerm: 2, Index: 3}, false},
		{"pre-vote", pb.Message{Type: pb.MsgPreVote, From: 2, Term: 6, LogTerm: 3, Index: 3}, false},
		{"leader of an older term", beat(2, 4, 0), false},
		{"answer of a higher term", pb.Message{Type: pb.MsgAppResp, From: 2, Term: 7}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, nil).withLog(pb.HardState{Term: 5, Commit: 1}, 2, 3)
			fires := 0
			for n := 1; fires == 0; n++ {
				s.Tick()
				if n == 9 {
					s.recv(tt.msg)
					s.sent()
				}
				if s.role() != raft.StateFollower {
					fires = n
				}
			}
			if tt.reset {
				require.GreaterOrEqual(t, fires, 19)
			} else {
				require.Less(t, fires, 20)
			}
		})
	}
}

// A follower that hears from its leader never campaigns (Raft §5.2).
func TestHeartbeatsKeepFollowersQuiet(t *testing.T) {
	s := newSolo(t, nil)
	for range 30 {
		s.ticks(9)
		s.recv(beat(2, 5, 0))
		require.Equal(t, raft.StateFollower, s.role())
	}
}

// A candidate that hears from the leader of its term follows it (Raft §5.2).
func TestCandidateYieldsToTheLeaderOfItsTerm(t *testing.T) {
	msgs := map[string]pb.Message{
		"append":    appendMsg(2, 2, 1, 1, 0, 2),
		"heartbeat": beat(2, 2, 0),
		"snapshot":  {Type: pb.MsgSnap, From: 2, Term: 2, Snapshot: snapshot(5, 2, 1, 2, 3)},
	}
	for name, m := range msgs {
		t.Run(name, func(t *testing.T) {
			s := newSolo(t, noPreVote)
			require.NoError(t, s.Campaign())
			s.sent()
			require.Equal(t, raft.StateCandidate, s.role())
			s.recv(m)
			st := s.BasicStatus()
			require.Equal(t, raft.StateFollower, st.RaftState)
			require.Equal(t, uint64(2), st.Lead)
			require.Equal(t, uint64(2), st.Term)
			require.Equal(t, uint64(1), st.Vote, "the vote of the term stays")
			s.sent()
			// Late votes do not bring the candidacy back.
			s.recv(pb.Message{Type: pb.MsgVoteResp, From: 2, Term: 2}, pb.Message{Type: pb.MsgVoteResp, From: 3, Term: 2})
			require.Equal(t, raft.StateFollower, s.role())
		})
	}
}

// Whatever its role, a node that sees a higher term enters it as a follower
// without a vote (Raft figure 2, all servers; §5.1).
func TestHigherTermMakesAFollower(t *testing.T) {
	roles := map[string]func(s *solo){
		"follower":      func(s *solo) { s.recv(beat(3, 2, 0)) },
		"pre-candidate": func(s *solo) { require.NoError(t, s.Campaign()) },
		"candidate": func(s *solo) {
			require.NoError(t, s.Campaign())
			s.recv(pb.Message{Type: pb.MsgPreVoteResp, From: 2, Term: 2})
			require.Equal(t, raft.StateCandidate, s.role())
		},
		"leader": func(s *solo) { s.elect() },
	}
	msgs := []pb.Message{
		appendMsg(2, 9, 1, 1, 0), beat(2, 9, 0),
		{Type: pb.MsgSnap, From: 2, Term: 9, Snapshot: snapshot(5, 2, 1, 2, 3)},
		{Type: pb.MsgVote, From: 2, Term: 9}, // with an empty log: refused
		{Type: pb.MsgAppResp, From: 2, Term: 9, Reject: true},
		{Type: pb.MsgHeartbeatResp, From: 2, Term: 9},
		{Type: pb.MsgVoteResp, From: 2, Term: 9, Reject: true},
		{Type: pb.MsgPreVoteResp, From: 2, Term: 9, Reject: true},
	}
	for name, become := range roles {
		for _, m := range msgs {
			t.Run(fmt.Sprint(name, m.Type), func(t *testing.T) {
				s := newSolo(t, func(c *raft.Config) { c.DisableCheckQuorum = true })
				become(s)
				s.recv(m)
				st := s.BasicStatus()
				require.Equal(t, raft.StateFollower, st.RaftState)
				require.Equal(t, uint64(9), st.Term)
				require.Equal(t, raft.None, st.Vote)
				if m.Type == pb.MsgApp || m.Type == pb.MsgHeartbeat || m.Type == pb.MsgSnap {
					require.Equal(t, uint64(2), st.Lead)
				} else {
					require.Equal(t, raft.None, st.Lead)
				}
			})
		}
	}
}

// Requests of an older term are answered with the newer one, so that a leader
// that was cut off steps down (Raft figure 2, 'reply false if term < currentTerm').
func TestOlderTermIsToldTheNewer(t *testing.T) {
	for _, m := range []pb.Message{
		appendMsg(2, 3, 1, 1, 1, 3), beat(2, 3, 0),
		{Type: pb.MsgSnap, From: 2, Term: 3, Snapshot: snapshot(5, 2, 1, 2, 3)},
		{Type: pb.MsgVote, From: 2, Term: 3, LogTerm: 3, Index: 9},
		{Type: pb.MsgPreVote, From: 2, Term: 3, LogTerm: 3, Index: 9},
	} {
		s := newSolo(t, nil).withLog(pb.HardState{Term: 5, Commit: 1})
		s.recv(m)
		got := s.sent()
		require.Len(t, got, 1, "%v", m.Type)
		require.True(t, got[0].Reject)
		require.Equal(t, uint64(5), got[0].Term)
		require.Equal(t, raft.None, s.BasicStatus().Lead)
		require.Empty(t, s.logTerms())
	}
}

// Requests from servers that are not in this node's configuration are judged by
// term and log alone, since the sender may know a later configuration
// (dissertation §4.2.1); answers from them are refused before their term counts.
func TestUnknownServers(t *testing.T) {
	s := newSolo(t, nil)
	s.recv(pb.Message{Type: pb.MsgPreVote, From: 9, Term: 4, LogTerm: 1, Index: 1})
	require.False(t, theOne(t, s.sent(), pb.MsgPreVoteResp).Reject)
	s.recv(pb.Message{Type: pb.MsgVote, From: 9, Term: 4, LogTerm: 1, Index: 1})
	require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
	s.recv(appendMsg(9, 4, 1, 1, 2, 4))
	require.Equal(t, uint64(2), theOne(t, s.sent(), pb.MsgAppResp).Index)
	require.Equal(t, uint64(2), s.BasicStatus().Commit)

	for _, mt := range []pb.MessageType{pb.MsgAppResp, pb.MsgHeartbeatResp, pb.MsgVoteResp, pb.MsgPreVoteResp} {
		s.refuses(pb.Message{Type: mt, From: 9, Term: 50, Reject: true}, raft.ErrStepPeerNotFound)
	}
	require.Equal(t, uint64(4), s.BasicStatus().Term)
}

// A server that is no member, or knows of none, does not campaign, and still
// votes: the candidate may need its vote to elect at all (dissertation §4.2.1).
func TestNonMembersVoteAndDoNotCampaign(t *testing.T) {
	confs := map[string]pb.ConfState{
		"learner":   {Voters: []uint64{2, 3}, Learners: []uint64{1}},
		"no member": {Voters: []uint64{2, 3}},
	}
	for name, cs := range confs {
		t.Run(name, func(t *testing.T) {
			s := newSoloIn(t, nil, cs)
			s.ticks(100)
			require.Equal(t, raft.StateFollower, s.role())
			var ce *raft.CampaignError
			require.ErrorAs(t, s.Campaign(), &ce)
			require.Equal(t, raft.ReasonNotVoter, ce.Reason)
			s.recv(pb.Message{Type: pb.MsgVote, From: 2, Term: 3, LogTerm: 1, Index: 1})
			require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
			s.recv(pb.Message{Type: pb.MsgTimeoutNow, From: 2, Term: 3})
			require.Equal(t, raft.StateFollower, s.role())
			require.Empty(t, s.sent())
		})
	}
	t.Run("empty configuration", func(t *testing.T) {
		c := &rafttest.Cluster{}
		m := c.Add(1)
		for range 100 {
			m.Tick()
		}
		var ce *raft.CampaignError
		require.ErrorAs(t, m.Campaign(), &ce)
		require.Equal(t, raft.ReasonEmptyConfiguration, ce.Reason)
		require.NoError(t, m.Step(pb.Message{Type: pb.MsgTimeoutNow, From: 2, To: 1, Term: 1}))
		require.Equal(t, raft.StateFollower, m.BasicStatus().RaftState)
		require.NoError(t, m.Step(pb.Message{Type: pb.MsgVote, From: 2, To: 1, Term: 3}))
		c.Handle(1)
		require.False(t, theOne(t, c.Take(nil), pb.MsgVoteResp).Reject)
	})
}

// Terms do not wrap: a node at the last one does not campaign, and a message
// that passes it is corrupt (Raft §5.1, terms increase monotonically).
func TestTermsDoNotOverflow(t *testing.T) {
	const last = 1 << 62
	s := newSolo(t, noPreVote).withLog(pb.HardState{Term: last, Commit: 1})
	s.ticks(50)
	require.Equal(t, uint64(last), s.BasicStatus().Term)
	var ce *raft.CampaignError
	require.ErrorAs(t, s.Campaign(), &ce)
	require.Equal(t, raft.ReasonTermExhausted, ce.Reason)
	s.recv(pb.Message{Type: pb.MsgTimeoutNow, From: 2, Term: last})
	require.Equal(t, uint64(last), s.BasicStatus().Term)
	for _, mt := range []pb.MessageType{pb.MsgVote, pb.MsgPreVote, pb.MsgHeartbeat, pb.MsgAppResp} {
		s.refuses(pb.Message{Type: mt, From: 2, Term: last + 1}, raft.ErrCorruptMessage)
		s.refuses(pb.Message{Type: mt, From: 2, Term: ^uint64(0)}, raft.ErrCorruptMessage)
	}
}

// The whole group elects one leader by itself, and another when that one is
// cut off (Raft §5.2).
func TestGroupElectsAndReelects(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 7} {
		c := newGroup(t, n, nil)
		ticksUntil(t, c, 100, func() bool { return c.Leader() != nil })
		old := c.Leader()
		for _, m := range c.Nodes() {
			require.Equal(t, old.ID, m.BasicStatus().Lead)
		}
		if n < 3 {
			continue
		}
		c.Drop = rafttest.Cut(old.ID)
		ticksUntil(t, c, 100, func() bool { return leaderBeside(c, old.ID) })
		c.Drop = nil
		c.Tick(2)
		require.Equal(t, c.Leader().ID, old.BasicStatus().Lead)
		require.Equal(t, raft.StateFollower, old.BasicStatus().RaftState)
	}
}
