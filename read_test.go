package raft_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

func (s *solo) read(ctx string) { require.NoError(s.t, s.ReadIndex([]byte(ctx))) }

// answeredReads are the reads that were answered, as "ctx@index".
func answeredReads(m *rafttest.Member) []string {
	var got []string
	for _, rs := range m.Reads {
		got = append(got, fmt.Sprintf("%s@%d", rs.RequestCtx, rs.Index))
	}
	return got
}

// A read is answered with the commit index of when it was asked, once a majority
// has answered heartbeats that were sent after that (dissertation §6.4, steps
// 2 and 3).
func TestReadWaitsForAQuorum(t *testing.T) {
	s := newLeader(t, nil, 1, 2, 3, 4, 5)
	s.read("a")
	beats := s.sent()
	require.Len(t, beats, 4)
	require.Empty(t, s.Reads)
	require.NoError(t, s.Propose([]byte("x")))
	s.sent()
	for id := uint64(2); id <= 4; id++ {
		s.recv(ack(id, 2, 3)) // an append's answer shows no leadership at a time after the read
	}
	s.sent()
	require.Equal(t, uint64(3), s.BasicStatus().Commit)
	require.Empty(t, s.Reads)
	s.recv(s.answer(beats[0]), s.answer(beats[0]))
	s.sent()
	require.Empty(t, s.Reads, "two of five")
	s.recv(s.answer(beats[1]))
	s.sent()
	require.Equal(t, []string{"a@2"}, answeredReads(s.Member))
}

// Any number of reads until the next Ready share a round of heartbeats, and come
// back in the order they were asked (dissertation §6.4, batching).
func TestReadsShareHeartbeats(t *testing.T) {
	s := newLeader(t, nil)
	var want []string
	for i := range 100 {
		s.read(fmt.Sprint(i))
		want = append(want, fmt.Sprintf("%d@2", i))
	}
	require.Len(t, ofType(s.serve(), pb.MsgHeartbeat), 2)
	require.Equal(t, want, answeredReads(s.Member))
}

// A later round of heartbeats confirms earlier reads too, so a lost heartbeat
// does not lose a read.
func TestLaterHeartbeatsAnswerEarlierReads(t *testing.T) {
	s := newLeader(t, nil)
	s.read("a")
	s.sent() // lost
	s.Tick()
	s.serve(2)
	require.Equal(t, []string{"a@2"}, answeredReads(s.Member))
}

// A leader that has not committed an entry of its own term does not know what is
// committed: reads wait, and at most MaxPendingReads of them (dissertation §6.4,
// step 1).
func TestReadsWaitForACommitInTheTerm(t *testing.T) {
	s := newSolo(t, func(c *raft.Config) { c.MaxPendingReads = 2 })
	s.withLog(pb.HardState{Term: 4, Commit: 1}, 2, 3)
	s.win()
	s.read("a")
	s.read("b")
	require.ErrorIs(t, s.ReadIndex([]byte("c")), raft.ErrTooManyReads)
	s.Tick()
	for _, m := range ofType(s.sent(), pb.MsgHeartbeat) {
		s.recv(s.answer(m)) // everybody still follows
	}
	require.Empty(t, ofType(s.sent(), pb.MsgReadIndexResp))
	require.Empty(t, s.Reads)
	require.Equal(t, 2, s.Status().PendingReads)
	s.recv(ack(2, 5, 4))
	s.serve()
	require.Equal(t, []string{"a@4", "b@4"}, answeredReads(s.Member))
	s.read("c")

	sole := newSolo(t, nil, 1)
	require.NoError(t, sole.Campaign())
	for sole.role() != raft.StateLeader {
		sole.persist(sole.ready())
	}
	sole.read("a")
	rd := sole.ready()
	require.Empty(t, rd.ReadStates)
	sole.persist(rd)
	sole.sent()
	require.Equal(t, []string{"a@2"}, answeredReads(sole.Member))
}

// The only voter needs nobody's word (dissertation §6.4).
func TestSoleVoterAnswersReadsAlone(t *testing.T) {
	s := newSoloIn(t, nil, pb.ConfState{Voters: []uint64{1}, Learners: []uint64{2}})
	s.elect()
	s.read("a")
	s.sent()
	require.Equal(t, []string{"a@2"}, answeredReads(s.Member))
}

// In a joint configuration a read needs a majority of both halves, and learners
// never count (dissertation §4.3).
func TestReadQuorumOfEachHalf(t *testing.T) {
	for _, tt := range []struct {
		from []uint64
		ok   bool
	}{
		{[]uint64{2, 3}, false}, {[]uint64{4, 5}, false}, {[]uint64{6, 7}, false},
		{[]uint64{2, 4}, true}, {[]uint64{3, 5, 6}, true},
	} {
		s := newSoloIn(t, nil, pb.ConfState{
			Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}, Learners: []uint64{6, 7},
		})
		s.elect()
		s.read("a")
		s.serve(tt.from...)
		require.Equal(t, tt.ok, len(s.Reads) == 1, "%v", tt.from)
	}
}

// An answer to an earlier heartbeat, late or doubled, never confirms a later
// read; nor does one to a round that was never sent (dissertation §6.4, step 3).
func TestLateHeartbeatAnswersConfirmNoLaterRead(t *testing.T) {
	for _, contextOnly := range []bool{false, true} {
		t.Run(fmt.Sprint(contextOnly), func(t *testing.T) {
			s := newLeader(t, nil)
			answer := func(m pb.Message) pb.Message {
				resp := s.answer(m)
				if contextOnly {
					resp.Round = 0 // as peers do that know only the context
				}
				return resp
			}
			s.read("same")
			old := ofType(s.sent(), pb.MsgHeartbeat)
			s.recv(answer(old[0]))
			s.sent()
			require.Len(t, s.Reads, 1)
			s.read("same")
			beats := ofType(s.sent(), pb.MsgHeartbeat)
			s.recv(answer(old[0]), answer(old[1]))
			s.sent()
			require.Len(t, s.Reads, 1)
			forged := answer(beats[1])
			forged.Round += 100
			s.refuses(forged, raft.ErrCorruptMessage)
			s.recv(answer(beats[1]))
			s.sent()
			require.Len(t, s.Reads, 2)
		})
	}
}

// A peer that echoes only the context, as other implementations of this wire
// format do, confirms reads too; the context of another term's round confirms
// nothing.
func TestPeersThatEchoOnlyTheContext(t *testing.T) {
	s := newLeader(t, nil)
	s.read("a")
	old := ofType(s.sent(), pb.MsgHeartbeat)[0]
	require.NotEmpty(t, old.Context)
	s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 2, Context: []byte("something else")})
	s.sent()
	require.Empty(t, s.Reads)
	s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 2, Context: old.Context})
	s.sent()
	require.Len(t, s.Reads, 1)

	// Lead again, in a later term, with the same round numbers.
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 5, Reject: true})
	s.elect()
	s.read("b")
	beats := ofType(s.sent(), pb.MsgHeartbeat)
	s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 6, Context: old.Context})
	s.sent()
	require.Len(t, s.Reads, 1)
	s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 6, Context: beats[0].Context})
	s.sent()
	require.Len(t, s.Reads, 2)

	// Once a peer is known to echo the round it gets no copy of it.
	s.Tick()
	s.serve()
	s.Tick()
	for _, m := range ofType(s.sent(), pb.MsgHeartbeat) {
		require.Empty(t, m.Context)
		require.NotZero(t, m.Round)
	}
}

// A peer may go back to an implementation that echoes only the context while the
// leader stays: its answers count again from the second heartbeat on.
func TestPeerThatGoesBackToTheContext(t *testing.T) {
	s := newLeader(t, nil)
	s.Tick()
	s.recv(s.answer(to(ofType(s.sent(), pb.MsgHeartbeat), 2)[0])) // with its round
	s.read("a")
	for range 2 {
		s.Tick()
		m := to(ofType(s.sent(), pb.MsgHeartbeat), 2)
		m[0] = m[len(m)-1]
		s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 2, Context: m[0].Context})
	}
	s.sent()
	require.Len(t, s.Reads, 1)
}

// Followers and learners ask the leader; all reads until the next Ready travel
// together (dissertation §6.4).
func TestReadsAreForwarded(t *testing.T) {
	c := newGroup(t, 3, nil)
	l := c.Elect(1)
	require.NoError(t, l.ProposeConfChange(change(t, "l4")))
	c.Add(4)
	c.Tick(3)
	for _, id := range []uint64{2, 4} {
		n := c.Node(id)
		require.NoError(t, n.ReadIndex([]byte("a")))
		require.NoError(t, n.ReadIndex([]byte("b")))
		requests := 0
		c.Drop = func(m pb.Message) bool {
			if m.Type == pb.MsgReadIndex {
				requests++
			}
			return false
		}
		c.Settle()
		require.Equal(t, 1, requests)
		at := l.BasicStatus().Commit
		require.Equal(t, []string{fmt.Sprintf("a@%d", at), fmt.Sprintf("b@%d", at)}, answeredReads(n))
	}
}

// A follower refuses what it cannot ask, and what is too much.
func TestForwardedReadsAreBounded(t *testing.T) {
	s := newSolo(t, func(c *raft.Config) { c.MaxPendingReads = 3 })
	require.ErrorIs(t, s.ReadIndex([]byte("a")), raft.ErrNoLeader)
	s.recv(beat(2, 5, 0))
	s.read("a")
	s.sent()
	s.read("b")
	s.read("c")
	require.ErrorIs(t, s.ReadIndex([]byte("d")), raft.ErrTooManyReads)
	s.sent()
	require.ErrorIs(t, s.ReadIndex([]byte("d")), raft.ErrTooManyReads)
	for range 10 { // unanswered for an election timeout: given up
		s.Tick()
		s.recv(beat(2, 5, 0))
	}
	s.read("d")
	require.Equal(t, 1, s.Status().PendingReads)
}

// An answer is taken only for the request it belongs to: a repeated one, one for
// an earlier life of this node, and one of a former leader answer nothing.
func TestForwardedReadsTakeOnlyTheirOwnAnswer(t *testing.T) {
	ask := func(s *solo, ctx string) pb.Message {
		s.read(ctx)
		return theOne(s.t, s.sent(), pb.MsgReadIndex)
	}
	reply := func(req pb.Message, term, index uint64) pb.Message {
		return pb.Message{Type: pb.MsgReadIndexResp, From: 2, Term: term, Index: index, Entries: req.Entries}
	}
	s := newSolo(t, nil)
	s.recv(appendMsg(2, 5, 1, 1, 4, 5, 5, 5))
	s.sent()
	first := ask(s, "same")
	s.recv(reply(first, 5, 2))
	second := ask(s, "same")
	s.recv(reply(first, 5, 2)) // doubled
	s.sent()
	require.Equal(t, []string{"same@2"}, answeredReads(s.Member))
	s.recv(reply(second, 5, 4))
	s.sent()
	require.Equal(t, []string{"same@2", "same@4"}, answeredReads(s.Member))

	s.c.Restart(1)
	s.recv(beat(2, 5, 0))
	s.sent()
	third := ask(s, "same")
	s.recv(reply(first, 5, 2), reply(second, 5, 2)) // to the former life
	s.sent()
	require.Empty(t, s.Reads)
	s.recv(reply(third, 5, 4))
	s.sent()
	require.Len(t, s.Reads, 1)

	fourth := ask(s, "same")
	s.recv(beat(3, 6, 0)) // another leader: what the former one was asked is lost
	s.recv(reply(fourth, 5, 2))
	late := reply(fourth, 6, 2)
	late.From = 3
	s.recv(late)
	s.sent()
	require.Len(t, s.Reads, 1)
	require.Zero(t, s.Status().PendingReads)

	s.refuses(pb.Message{Type: pb.MsgReadIndexResp, From: 3, Term: 6, Index: 2}, raft.ErrCorruptMessage)
}

// A deposed leader answers no read that it has not confirmed (dissertation §6.4).
func TestDeposedLeaderAnswersNoRead(t *testing.T) {
	s := newLeader(t, nil)
	s.read("a")
	beats := s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 7, Reject: true})
	for _, m := range beats {
		s.recv(s.answer(m))
	}
	s.sent()
	require.Empty(t, s.Reads)
	s.elect()
	require.Empty(t, s.Reads)
}

// A leader that was cut off without knowing it answers no read after another was
// elected, however its clock runs (dissertation §6.4: no stale reads).
func TestIsolatedLeaderServesNoStaleRead(t *testing.T) {
	c := newGroup(t, 3, func(c *raft.Config) { c.DisableCheckQuorum = true })
	old := c.Elect(1)
	c.Drop = rafttest.Cut(1)
	ticksUntil(t, c, 100, func() bool { return leaderBeside(c, 1) })
	require.NoError(t, c.Leader().Propose([]byte("new")))
	c.Settle()
	require.Equal(t, raft.StateLeader, old.BasicStatus().RaftState)
	require.NoError(t, old.ReadIndex([]byte("stale")))
	c.Tick(30)
	require.Empty(t, old.Reads)
	c.Drop = nil
	c.Tick(30)
	require.Empty(t, old.Reads)
}
