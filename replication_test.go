package raft_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// The receiver of an append checks the entry before, removes what conflicts and
// all after it, appends what is new, and commits as far as its log is known to
// equal the leader's (Raft figure 2, AppendEntries; §5.3).
func TestAppendAtTheFollower(t *testing.T) {
	// The log is (1) 2 2 3 3 from index 1 on, committed up to 2.
	tests := []struct {
		name   string
		m      pb.Message
		index  uint64 // acknowledged, or with reject the one refused
		reject bool
		hint   uint64
		log    []uint64
		commit uint64
	}{
		{"new entry", appendMsg(2, 5, 3, 5, 2, 5), 6, false, 0, []uint64{2, 2, 3, 3, 5}, 2},
		{"nothing new", appendMsg(2, 5, 3, 5, 2), 5, false, 0, []uint64{2, 2, 3, 3}, 2},
		{"commit is bounded by the last new entry", appendMsg(2, 5, 3, 4, 9), 4, false, 0, []uint64{2, 2, 3, 3}, 4},
		{"commit within the entries", appendMsg(2, 5, 3, 5, 6, 5, 5), 7, false, 0, []uint64{2, 2, 3, 3, 5, 5}, 6},
		{"commit behind", appendMsg(2, 5, 3, 5, 1), 5, false, 0, []uint64{2, 2, 3, 3}, 2},
		{"all there already", appendMsg(2, 5, 2, 2, 2, 2, 3), 4, false, 0, []uint64{2, 2, 3, 3}, 2},
		{"conflict at the end", appendMsg(2, 5, 3, 4, 2, 4), 5, false, 0, []uint64{2, 2, 3, 4}, 2},
		{"conflict in the middle", appendMsg(2, 5, 2, 3, 2, 4), 4, false, 0, []uint64{2, 2, 4}, 2},
		{"conflict after matching ones", appendMsg(2, 5, 2, 2, 2, 2, 4, 4), 5, false, 0, []uint64{2, 2, 4, 4}, 2},
		{"from the committed part", appendMsg(2, 5, 1, 1, 2, 2, 2, 4), 4, false, 0, []uint64{2, 2, 4}, 2},
		{"all of it committed", appendMsg(2, 5, 1, 1, 2, 2), 2, false, 0, []uint64{2, 2, 3, 3}, 2},
		{"gap", appendMsg(2, 5, 5, 7, 9, 5), 7, true, 5, []uint64{2, 2, 3, 3}, 2},
		{"other term before", appendMsg(2, 5, 4, 5, 9, 5), 5, true, 5, []uint64{2, 2, 3, 3}, 2},
		{"older term before", appendMsg(2, 5, 2, 5, 9, 5), 5, true, 3, []uint64{2, 2, 3, 3}, 2},
		{"empty append that does not match", appendMsg(2, 5, 4, 4, 9), 4, true, 4, []uint64{2, 2, 3, 3}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, nil).withLog(pb.HardState{Term: 3, Commit: 2}, 2, 2, 3, 3)
			s.recv(tt.m)
			rd := s.ready()
			checkPromises(t, rd)
			m := theOne(t, rd.MessagesAfterAppend, pb.MsgAppResp)
			require.Equal(t, tt.index, m.Index)
			require.Equal(t, tt.reject, m.Reject)
			require.Equal(t, tt.hint, m.RejectHint)
			require.Equal(t, uint64(5), m.Term)
			s.Persist(rd)
			require.Equal(t, tt.commit, s.BasicStatus().Commit)
			require.Equal(t, uint64(len(tt.log)+1), s.BasicStatus().LastIndex)
			require.Equal(t, tt.log, s.logTerms())
			require.Equal(t, uint64(2), s.BasicStatus().Lead)
		})
	}
}

// Heartbeats, votes and appends that a node refuses because they contradict what
// it committed, or cannot come from a correct leader, change nothing.
func TestImpossibleAppendsAreRefused(t *testing.T) {
	bad := map[string]pb.Message{
		"previous entry contradicts a committed one": appendMsg(2, 5, 3, 2, 2),
		"entry contradicts a committed one":          appendMsg(2, 5, 1, 1, 2, 3),
		"terms go back":                              appendMsg(2, 5, 3, 5, 2, 5, 4),
		"entry of a later term":                      appendMsg(2, 5, 3, 5, 2, 6),
		"previous entry of a later term":             appendMsg(2, 5, 6, 5, 2),
		"entry of term 0":                            appendMsg(2, 5, 0, 0, 2, 0),
		"indexes not in order": {Type: pb.MsgApp, From: 2, Term: 5, Index: 5, LogTerm: 3,
			Entries: []pb.Entry{{Index: 7, Term: 5}}},
		"index overflow":        {Type: pb.MsgApp, From: 2, Term: 5, Index: 1<<62 + 1, LogTerm: 3},
		"commit overflow":       {Type: pb.MsgApp, From: 2, Term: 5, Index: 5, LogTerm: 3, Commit: ^uint64(0)},
		"heartbeat of the lost": beat(2, 5, 6),
		"unknown entry type": {Type: pb.MsgApp, From: 2, Term: 5, Index: 5, LogTerm: 3,
			Entries: []pb.Entry{{Index: 6, Term: 5, Type: 9}}},
		"change that does not decode": {Type: pb.MsgApp, From: 2, Term: 5, Index: 5, LogTerm: 3,
			Entries: []pb.Entry{{Index: 6, Term: 5, Type: pb.EntryConfChange, Data: []byte{0xff}}}},
	}
	for name, m := range bad {
		t.Run(name, func(t *testing.T) {
			s := newSolo(t, nil).withLog(pb.HardState{Term: 3, Commit: 2}, 2, 2, 3, 3)
			s.sent()
			s.refuses(m, raft.ErrCorruptMessage)
		})
	}
	t.Run("two leaders in a term", func(t *testing.T) {
		s := newSolo(t, nil)
		s.recv(beat(2, 5, 0))
		s.sent()
		s.refuses(beat(3, 5, 0), raft.ErrCorruptMessage)
		s = newLeader(t, nil)
		s.refuses(appendMsg(3, 2, 2, 2, 2), raft.ErrCorruptMessage)
	})
}

// A promise of an older term that has not left is withdrawn once the node enters
// a newer one: the log it speaks of may be replaced in the same write.
func TestPromisesOfAnOlderTermAreWithdrawn(t *testing.T) {
	s := newSolo(t, nil)
	s.recv(appendMsg(2, 5, 1, 1, 1, 5, 5))
	s.recv(appendMsg(3, 6, 1, 1, 1, 6))
	rd := s.ready()
	require.Len(t, rd.MessagesAfterAppend, 1)
	require.Equal(t, uint64(3), rd.MessagesAfterAppend[0].To)
	require.Equal(t, uint64(2), rd.MessagesAfterAppend[0].Index)
	require.Len(t, rd.Entries, 1)

	s = newSolo(t, nil)
	s.recv(pb.Message{Type: pb.MsgVote, From: 2, Term: 5, LogTerm: 1, Index: 1})
	s.recv(pb.Message{Type: pb.MsgVote, From: 3, Term: 6, LogTerm: 1, Index: 1})
	m := theOne(t, s.ready().MessagesAfterAppend, pb.MsgVoteResp)
	require.Equal(t, uint64(6), m.Term)
	require.Equal(t, uint64(3), m.To)
}

// However many proposals come between two Readys, each peer gets one append with
// all of them (dissertation §10.2.1, batching).
func TestOneAppendForManyProposals(t *testing.T) {
	s := newLeader(t, nil)
	for i := range 64 {
		require.NoError(t, s.Propose([]byte{byte(i)}))
	}
	rd := s.ready()
	require.Len(t, rd.Messages, 2)
	for _, m := range rd.Messages {
		require.Equal(t, pb.MsgApp, m.Type)
		require.Len(t, m.Entries, 64)
	}
	require.Len(t, rd.Entries, 64)
	require.False(t, s.HasReady(), "nothing is said twice")
}

// Appends leave before the leader's own write is durable (dissertation §10.2.1,
// writing in parallel), and further ones before the first is answered
// (pipelining).
func TestAppendsArePipelined(t *testing.T) {
	s := newLeader(t, nil)
	for i := range uint64(5) {
		require.NoError(t, s.Propose([]byte("x")))
		rd := s.ready() // neither written nor acknowledged
		m := theOne(t, to(rd.Messages, 2), pb.MsgApp)
		require.Equal(t, 2+i, m.Index)
		require.Len(t, m.Entries, 1)
		require.Equal(t, progress.Replicate, s.Status().Progress[2].State)
	}
}

// One committed proposal costs a group of three at most six messages: append,
// answer and commit for each follower.
func TestMessagesPerProposal(t *testing.T) {
	for _, n := range []int{3, 5} {
		c := newGroup(t, n, nil)
		l := c.Elect(1)
		count := 0
		c.Drop = func(pb.Message) bool { count++; return false }
		for range 10 {
			count = 0
			require.NoError(t, l.Propose([]byte("x")))
			c.Settle()
			require.LessOrEqual(t, count, 3*(n-1))
			for _, m := range c.Nodes() {
				require.Equal(t, l.BasicStatus().LastIndex, m.BasicStatus().Commit)
			}
		}
	}
}

// An append that only tells of the commit index goes to a peer in state
// Replicate, at an entry it surely holds, asks for no answer and takes no place
// in the window.
func TestCommitOnlyAppend(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.Propose([]byte("x")))
	s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 3})
	msgs := s.sent()
	m := theOne(t, to(msgs, 2), pb.MsgApp)
	require.True(t, m.NoAnswer)
	require.Empty(t, m.Entries)
	require.Equal(t, uint64(3), m.Index)
	require.Equal(t, uint64(3), m.Commit)
	require.Zero(t, progressOf(s, 2).Window.Count())
	require.Empty(t, to(msgs, 3), "3 has not answered and does not hold the entry")

	// A probed peer is told by what is sent as a probe, which is answered.
	require.NoError(t, s.ReportUnreachable(2))
	require.NoError(t, s.Propose([]byte("y")))
	s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: 4})
	for _, m := range to(s.sent(), 2) {
		require.False(t, m.NoAnswer)
	}
}

func progressOf(s *solo, id uint64) *progress.Progress {
	p := s.Status().Progress[id]
	return &p
}

// Such an append moves the commit index and gets no answer, unless it does not
// match: a rejection is always sent.
func TestCommitOnlyAppendAtTheFollower(t *testing.T) {
	start := func() *solo {
		s := newSolo(t, nil).withLog(pb.HardState{Term: 5, Commit: 2}, 2, 2, 3, 3)
		s.recv(beat(2, 5, 0))
		s.sent()
		return s
	}
	commitOnly := func(prevTerm, prev, commit uint64) pb.Message {
		m := appendMsg(2, 5, prevTerm, prev, commit)
		m.NoAnswer = true
		return m
	}
	s := start()
	s.recv(commitOnly(3, 4, 5))
	require.Empty(t, s.sent())
	require.Equal(t, uint64(4), s.BasicStatus().Commit, "not past the entry that is named")
	s.recv(commitOnly(2, 3, 4)) // late, behind the commit index
	require.Empty(t, s.sent())

	s = start()
	s.recv(commitOnly(5, 7, 7))
	require.True(t, theOne(t, s.sent(), pb.MsgAppResp).Reject)

	s = start()
	m := appendMsg(2, 5, 3, 5, 5, 5) // with an entry it is no commit-only append
	m.NoAnswer = true
	s.recv(m)
	require.Equal(t, uint64(6), theOne(t, s.sent(), pb.MsgAppResp).Index)
}

// A heartbeat tells a peer of no more than it is known to hold: a log that is
// behind may end, or differ, before the leader's commit index.
func TestHeartbeatsCarryCommitUpToMatch(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.Propose([]byte("x")))
	s.serve(2)
	require.Equal(t, uint64(3), s.BasicStatus().Commit)
	s.Tick()
	beats := ofType(s.sent(), pb.MsgHeartbeat)
	require.Len(t, beats, 2)
	require.Equal(t, uint64(3), to(beats, 2)[0].Commit)
	require.Equal(t, uint64(2), to(beats, 3)[0].Commit)
}

// Appends hold at most MaxSizePerMsg bytes of entries, and one entry of any
// size.
func TestMaxSizePerMsg(t *testing.T) {
	s := newLeader(t, func(c *raft.Config) { c.MaxSizePerMsg = 300 })
	sizes := []int{10, 100, 100, 100, 1000, 10, 10}
	for _, n := range sizes {
		require.NoError(t, s.Propose(make([]byte, n)))
	}
	msgs := ofType(to(s.sent(), 2), pb.MsgApp)
	next, got := uint64(3), 0
	for _, m := range msgs {
		require.Equal(t, next-1, m.Index)
		size := 0
		for i := range m.Entries {
			size += m.Entries[i].Size()
		}
		require.True(t, size <= 300 || len(m.Entries) == 1, "%d bytes", size)
		next += uint64(len(m.Entries))
		got += len(m.Entries)
	}
	require.Equal(t, len(sizes), got)
	require.Len(t, msgs, 4, "no smaller than need be")
}

// At most MaxInflightMsgs appends and MaxInflightBytes bytes (with one append
// over) are under way to a peer; an acknowledgement frees what it covers.
func TestWindowBoundsWhatIsUnderWay(t *testing.T) {
	propose := func(s *solo, n, size int) (sent []pb.Message) {
		for range n {
			require.NoError(t, s.Propose(make([]byte, size)))
			sent = append(sent, to(s.sent(), 2)...)
		}
		return sent
	}
	t.Run("messages", func(t *testing.T) {
		s := newLeader(t, func(c *raft.Config) { c.MaxInflightMsgs = 3 })
		require.Len(t, propose(s, 10, 1), 3)
		require.True(t, slices.ContainsFunc(s.Explain(), func(e raft.Explanation) bool {
			return e.Reason == raft.ReasonPeerWindowFull && e.Peer == 2
		}))
		s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 4}) // two of three
		m := ofType(to(s.sent(), 2), pb.MsgApp)
		require.Len(t, m, 1)
		require.Len(t, m[0].Entries, 7, "what waited leaves at once")
	})
	t.Run("bytes", func(t *testing.T) {
		s := newLeader(t, func(c *raft.Config) { c.MaxSizePerMsg, c.MaxInflightBytes = 100, 250 })
		require.Len(t, propose(s, 10, 90), 3)
		require.NotZero(t, progressOf(s, 2).Window.Bytes())
		s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 5})
		require.Len(t, ofType(to(s.sent(), 2), pb.MsgApp), 3)
	})
}

// A heartbeat's answer makes the leader probe a peer whose append may be lost,
// also with a full window, so that a lost message cannot stop replication
// (Raft §5.3: appends are retried).
func TestLostAppendsAreRepeated(t *testing.T) {
	s := newLeader(t, func(c *raft.Config) { c.MaxInflightMsgs = 2 })
	for range 2 {
		require.NoError(t, s.Propose([]byte("x")))
		s.sent() // lost
	}
	s.Tick()
	for _, m := range to(s.sent(), 2) {
		s.recv(s.answer(m))
	}
	probe := theOne(t, to(s.sent(), 2), pb.MsgApp)
	require.Equal(t, uint64(4), probe.Index)
	require.Empty(t, probe.Entries)
	require.False(t, probe.NoAnswer)
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 4, Reject: true, RejectHint: 2, LogTerm: 2})
	again := theOne(t, to(s.sent(), 2), pb.MsgApp)
	require.Equal(t, uint64(2), again.Index)
	require.Len(t, again.Entries, 2)
}

// A peer whose log is unknown gets one append at a time until the logs agree.
func TestProbesGoOneAtATime(t *testing.T) {
	s := newSolo(t, nil).withLog(pb.HardState{Term: 5, Commit: 1}, 2, 2, 3, 3)
	msgs := s.win()
	require.Len(t, ofType(to(msgs, 2), pb.MsgApp), 1)
	for range 3 {
		require.NoError(t, s.Propose([]byte("x")))
		require.Empty(t, to(s.sent(), 2))
	}
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 6, Index: 5, Reject: true, RejectHint: 3, LogTerm: 2})
	require.Equal(t, uint64(3), theOne(t, to(s.sent(), 2), pb.MsgApp).Index)
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 6, Index: 9})
	require.Equal(t, progress.Replicate, progressOf(s, 2).State)
}

// Followers whose logs diverged in any of the ways of Raft figure 7 end with the
// leader's log, and both sides skip whole terms, so that it takes a message per
// term that differs at most (§5.3).
func TestDivergentLogsConverge(t *testing.T) {
	repeat := func(parts ...uint64) []uint64 { // term, count, ...
		var terms []uint64
		for i := 0; i < len(parts); i += 2 {
			terms = append(terms, slices.Repeat([]uint64{parts[i]}, int(parts[i+1]))...)
		}
		return terms
	}
	leader := repeat(1, 3, 4, 2, 5, 2, 6, 3)
	tests := []struct {
		name             string
		leader, follower []uint64
		rejections       int
	}{
		{"same", leader, leader, 0},
		{"a: missing one", leader, repeat(1, 3, 4, 2, 5, 2, 6, 2), 1},
		{"b: missing many", leader, repeat(1, 3, 4, 1), 1},
		{"c: extra in the same term", leader, repeat(1, 3, 4, 2, 5, 2, 6, 4), 0},
		{"d: extra in a later term", leader, repeat(1, 3, 4, 2, 5, 2, 6, 3, 7, 2), 0},
		{"e: missing and extra", leader, repeat(1, 3, 4, 4), 1},
		{"f: other terms", leader, repeat(1, 3, 2, 3, 3, 5), 1},
		{"long tail of an old term", repeat(1, 1, 5, 500), repeat(1, 1, 2, 700), 1},
		{"empty", repeat(3, 500), nil, 1},
		{"many terms on both sides",
			repeat(1, 5, 3, 50, 5, 50, 7, 50, 9, 50), repeat(1, 5, 2, 60, 4, 60, 6, 60, 8, 60), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newGroup(t, 3, nil)
			for id, terms := range [][]uint64{tt.leader, tt.follower, tt.leader} {
				n := c.Node(uint64(id + 1))
				require.NoError(t, n.Storage.Append(entries(2, terms...)))
				require.NoError(t, n.Storage.SetHardState(pb.HardState{Term: 9, Commit: 1}))
				c.Restart(n.ID)
			}
			rejections := 0
			c.Drop = func(m pb.Message) bool {
				if m.Type == pb.MsgAppResp && m.From == 2 && m.Reject {
					rejections++
				}
				return false
			}
			for c.Node(1).BasicStatus().RaftState != raft.StateLeader {
				require.NoError(t, c.Node(1).Campaign())
				c.Settle()
			}
			require.Equal(t, tt.rejections, rejections)
			sameLogs(t, c, 1, 2, 3)
			require.Equal(t, c.Node(1).BasicStatus().LastIndex, c.Node(2).BasicStatus().Commit)
		})
	}
}

// A leader never overwrites or removes entries of its own log (Raft figure 3,
// leader append-only), and proposals go through followers too (§8).
func TestProposalsAreForwarded(t *testing.T) {
	c := newGroup(t, 3, nil)
	require.ErrorIs(t, c.Node(2).Propose([]byte("x")), raft.ErrNoLeader)
	c.Elect(1)
	for id := range uint64(3) {
		require.NoError(t, c.Node(id+1).Propose(fmt.Append(nil, id)))
	}
	c.Settle()
	sameLogs(t, c, 1, 2, 3)
	require.Equal(t, uint64(5), c.Node(1).BasicStatus().Commit)

	off := newSolo(t, func(c *raft.Config) { c.DisableProposalForwarding = true })
	off.recv(beat(2, 5, 0))
	require.ErrorIs(t, off.Propose([]byte("x")), raft.ErrForwardingDisabled)
	require.ErrorIs(t, off.Propose([]byte("x")), raft.ErrProposalDropped)
}

// Messages that are lost, doubled and out of order leave the logs of a group
// equal in the end (Raft §5.3, log matching).
func TestUnreliableNetworkConverges(t *testing.T) {
	for seed := range uint64(10) {
		c := newGroup(t, 3, nil)
		n := seed
		var late []pb.Message
		c.Drop = func(m pb.Message) bool {
			n = n*6364136223846793005 + 1442695040888963407
			switch n >> 60 {
			case 0, 1, 2:
				return true
			case 3, 4:
				late = append(late, m)
				return n>>59&1 == 0
			}
			return false
		}
		for i := range 200 {
			if l := c.Leader(); l != nil {
				_ = l.Propose(fmt.Append(nil, i))
			}
			c.Tick(1)
			if i%7 == 0 {
				c.Send(late...)
				late = nil
			}
		}
		c.Drop = nil
		ticksUntil(t, c, 100, func() bool { return c.Leader() != nil })
		require.NoError(t, c.Leader().Propose([]byte("end")))
		c.Tick(5)
		sameLogs(t, c, 1, 2, 3)
		require.Equal(t, c.Node(1).Applied, c.Node(2).Applied)
		require.Equal(t, c.Node(1).Applied, c.Node(3).Applied)
		require.Equal(t, c.Leader().BasicStatus().LastIndex, c.Leader().BasicStatus().Commit)
	}
}

// A follower takes messages and restarts only as the protocol says, whatever its
// host is slow at: what it acknowledged is in its storage (Raft figure 2).
func TestAcknowledgementsRestOnDurableEntries(t *testing.T) {
	c := newGroup(t, 3, nil)
	c.Observe = func(id uint64, rd raft.Ready) {
		checkPromises(t, rd)
		n := c.Node(id)
		last := n.BasicStatus().LastIndex
		for _, m := range rd.MessagesAfterAppend {
			if m.Type == pb.MsgAppResp && !m.Reject {
				require.LessOrEqual(t, m.Index, last)
			}
		}
		for _, e := range rd.CommittedEntries {
			durable, err := n.Storage.LastIndex()
			require.NoError(t, err)
			require.LessOrEqual(t, e.Index, durable, "applied before it is durable")
		}
	}
	l := c.Elect(1)
	for range 20 {
		require.NoError(t, l.Propose([]byte("x")))
		c.Settle()
	}
	sameLogs(t, c, 1, 2, 3)
}
