package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Each test here stands for a mistake that Raft implementations are known to
// have made.

// Acknowledgements of heartbeats that were sent for a read with the same context
// bytes, and of the appends between, answer no later read (dissertation §6.4).
func TestTrapReusedReadContext(t *testing.T) {
	s := newLeader(t, nil, 1, 2, 3, 4, 5)
	s.read("k")
	first := ofType(s.sent(), pb.MsgHeartbeat)
	s.recv(s.answer(first[0]), s.answer(first[1]))
	s.sent()
	require.Len(t, s.Reads, 1)
	s.read("k")
	second := ofType(s.sent(), pb.MsgHeartbeat)
	s.recv(s.answer(first[2]), s.answer(first[3])) // late
	s.recv(s.answer(second[0]))
	s.sent()
	require.Len(t, s.Reads, 1)
	s.recv(s.answer(second[2]))
	s.sent()
	require.Len(t, s.Reads, 2)
}

// That a voter was seen in the candidate's term, or a higher one, is no vote
// (Raft §5.2).
func TestTrapSeenTermIsNoVote(t *testing.T) {
	s := newSolo(t, noPreVote)
	require.NoError(t, s.Campaign())
	s.sent()
	s.recv(pb.Message{Type: pb.MsgVote, From: 2, Term: 2, LogTerm: 1, Index: 1}) // it campaigns too
	require.True(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 1},
		pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 2},
		pb.Message{Type: pb.MsgPreVoteResp, From: 3, Term: 2})
	require.Equal(t, raft.StateCandidate, s.role())
	// A vote for another that was only seen is nobody's vote in the new term.
	s.recv(pb.Message{Type: pb.MsgVote, From: 3, Term: 5}) // refused: its log is empty
	s.sent()
	require.Equal(t, raft.None, s.BasicStatus().Vote)
	s.recv(pb.Message{Type: pb.MsgVote, From: 2, Term: 5, LogTerm: 1, Index: 1})
	require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
	s.recv(pb.Message{Type: pb.MsgVote, From: 3, Term: 5, LogTerm: 1, Index: 1})
	require.True(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
}

// A leader that demotes itself does not stay in office as a learner, nor leaves
// the group without a leader (dissertation §4.2.2).
func TestTrapLeaderDemotesItself(t *testing.T) {
	c := newGroup(t, 3, nil)
	l := c.Elect(1)
	require.NoError(t, l.ProposeConfChange(change(t, "l1")))
	c.Settle()
	require.True(t, leaderBeside(c, 1))
	require.NoError(t, c.Leader().Propose([]byte("x")))
	c.Tick(2)
	sameLogs(t, c, 1, 2, 3)
	require.True(t, l.Status().Config.IsLearner(1))
	require.Equal(t, c.Leader().ID, l.BasicStatus().Lead)
}

// A follower that lost its disk is told of a commit index past its log. That is
// an error at every heartbeat, the node unchanged, and no crash: the leader
// relies on entries that are gone, so somebody must look (Raft figure 2:
// persistent state).
func TestTrapCommitPastALostLog(t *testing.T) {
	c := newGroup(t, 3, nil)
	l := c.Elect(1)
	for range 5 {
		require.NoError(t, l.Propose([]byte("x")))
	}
	c.Settle()
	lost := c.Node(3)
	*lost.Storage = *raft.NewMemoryStorage()
	lost.AppliedIndex, lost.Applied = 0, nil
	c.Restart(3)
	before := lost.Status()
	for range 3 {
		l.Tick()
		c.Handle(1)
		require.ErrorIs(t, c.Deliver(), raft.ErrCorruptMessage)
		require.Equal(t, before, lost.Status())
		require.NoError(t, lost.Err())
		c.Handle(2)
		require.NoError(t, c.Deliver())
	}
	require.NoError(t, l.Propose([]byte("y"))) // the others go on
	c.Settle()
	require.Equal(t, l.BasicStatus().LastIndex, l.BasicStatus().Commit)
}

// An append whose previous entry is compacted here is not taken for one whose
// previous entry has term 0: what lies before the log's start is unknown (Raft
// §5.3, §7).
func TestTrapCompactedPredecessorHasNoTerm(t *testing.T) {
	s := newSolo(t, nil)
	s.recv(snapMsg(2, 5, snapshot(10, 4, 1, 2, 3)))
	s.sent()
	s.recv(appendMsg(2, 5, 4, 10, 10, 5))
	s.sent()
	// Before the snapshot: committed, so the answer is the commit index.
	m := appendMsg(2, 5, 0, 7, 10)
	s.recv(m)
	resp := theOne(t, s.sent(), pb.MsgAppResp)
	require.False(t, resp.Reject)
	require.Equal(t, uint64(10), resp.Index)
	// Entries that reach past the commit must agree there.
	m = appendMsg(2, 5, 0, 9, 10, 3, 5)
	s.refuses(m, raft.ErrCorruptMessage)
	// Past the end nothing matches, whatever term is claimed.
	s.recv(appendMsg(2, 5, 0, 20, 10))
	require.True(t, theOne(t, s.sent(), pb.MsgAppResp).Reject)
	require.Equal(t, uint64(11), s.BasicStatus().LastIndex)

	// The leader knows no more of compacted entries: a peer that needs one of
	// them as predecessor gets the snapshot, not an append with term 0.
	l := compacted(t, nil)
	require.Empty(t, ofType(to(l.sent(), 3), pb.MsgApp))
}

// A late or repeated append that is shorter than the log, and matches, removes
// nothing (Raft figure 2: only an entry that conflicts).
func TestTrapLateShorterAppend(t *testing.T) {
	s := newSolo(t, nil)
	long := appendMsg(2, 5, 1, 1, 1, 5, 5, 5, 5)
	s.recv(long)
	require.Equal(t, []uint64{5, 5, 5, 5}, s.logTerms())
	s.recv(appendMsg(2, 5, 1, 1, 1, 5, 5))
	require.Equal(t, uint64(3), theOne(t, s.sent(), pb.MsgAppResp).Index)
	s.recv(appendMsg(2, 5, 5, 3, 1))
	require.Equal(t, uint64(3), theOne(t, s.sent(), pb.MsgAppResp).Index)
	require.Equal(t, []uint64{5, 5, 5, 5}, s.logTerms())
	require.Equal(t, uint64(5), s.BasicStatus().LastIndex)
}

// What a peer once acknowledged it holds for the rest of the term: no late
// rejection, old answer or lost message moves its match back (Raft figure 2:
// matchIndex increases monotonically).
func TestTrapMatchNeverGoesBack(t *testing.T) {
	s := newLeader(t, nil)
	for range 5 {
		require.NoError(t, s.Propose([]byte("x")))
		s.sent()
	}
	s.recv(ack(2, 2, 7))
	s.sent()
	for _, m := range []pb.Message{
		{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 5, Reject: true, RejectHint: 1, LogTerm: 1},
		{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 7, Reject: true, RejectHint: 0},
		{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 3},
	} {
		s.recv(m)
		require.Equal(t, uint64(7), progressOf(s, 2).Match)
		require.Equal(t, uint64(8), progressOf(s, 2).Next)
		require.Equal(t, progress.Replicate, progressOf(s, 2).State)
	}
	require.NoError(t, s.ReportUnreachable(2))
	s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 7, Reject: true, RejectHint: 1, LogTerm: 1})
	require.Equal(t, uint64(7), progressOf(s, 2).Match)
	require.Equal(t, uint64(8), progressOf(s, 2).Next)
	// Nor does an answer claim more than the leader has.
	s.refuses(ack(2, 2, 99), raft.ErrCorruptMessage)
}

// The window gives back every byte, whether messages are acknowledged one by one
// or together, lost, probed again or replaced by a snapshot.
func TestTrapInflightBytesLeak(t *testing.T) {
	s := newLeader(t, func(c *raft.Config) { c.MaxSizePerMsg, c.MaxInflightBytes = 200, 1000 })
	free := func() {
		t.Helper()
		for range 20 { // heartbeats find what got lost
			s.Tick()
			s.serve()
		}
		for _, id := range []uint64{2, 3} {
			require.Zero(t, progressOf(s, id).Window.Bytes(), "peer %d", id)
			require.Zero(t, progressOf(s, id).Window.Count(), "peer %d", id)
			require.Equal(t, s.BasicStatus().LastIndex, progressOf(s, id).Match)
		}
	}
	for round := range 6 {
		for range 12 {
			require.NoError(t, s.Propose(make([]byte, 90)))
			s.sent() // lost
		}
		require.NotZero(t, progressOf(s, 2).Window.Bytes())
		switch last := s.BasicStatus().LastIndex; round % 3 {
		case 0:
			s.recv(ack(2, 2, last-7), ack(2, 2, last-9), ack(2, 2, last-7))
		case 1:
			require.NoError(t, s.ReportUnreachable(2))
			require.Zero(t, progressOf(s, 2).Window.Bytes())
		case 2:
			s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: last - 5, Reject: true, RejectHint: last - 12, LogTerm: 2})
		}
		s.recv(ack(3, 2, s.BasicStatus().LastIndex))
		free()
	}
}

// A vote that was given but not persisted does not leave, and term and vote are
// persisted together (Raft figure 2).
func TestTrapTermAndVoteGoTogether(t *testing.T) {
	s := newSolo(t, nil)
	s.recv(pb.Message{Type: pb.MsgVote, From: 2, Term: 7, LogTerm: 1, Index: 1})
	rd := s.ready()
	require.Equal(t, uint64(7), rd.Term)
	require.Equal(t, uint64(2), rd.Vote)
	require.True(t, rd.MustSync)
	require.Empty(t, rd.Messages)
}

// A configuration of two voters survives the removal of either, the leader
// included (dissertation §4.2.2, §4.4).
func TestTrapTwoVoters(t *testing.T) {
	for _, what := range []string{"r1", "r2"} {
		c := newGroup(t, 2, nil)
		l := c.Elect(1)
		require.NoError(t, l.ProposeConfChange(change(t, what)))
		c.Tick(40)
		leader := c.Leader()
		require.NotNil(t, leader)
		require.NoError(t, leader.Propose([]byte("x")))
		c.Tick(2)
		require.Equal(t, leader.BasicStatus().LastIndex, leader.BasicStatus().Commit)
	}
}
