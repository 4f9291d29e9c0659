package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// Sleep is no part of Raft, which sends heartbeats for ever (Raft §5.2). The rules here
// are what keeps it from taking away what Raft promises: a group sleeps only when all hold
// and know all that is committed, whatever is asked of it wakes it, and what a leader knew
// of its followers before it slept, it does not know after.

const sleepAfter = 5

func sleepy(c *raft.Config) { c.SleepAfter = sleepAfter }

func sleepyLeases(c *raft.Config) {
	c.SleepAfter = sleepAfter
	c.ReadOnlyOption = raft.ReadOnlyLeaseBased
}

// asleep returns the members that sleep.
func asleep(c *rafttest.Cluster) []uint64 {
	var ids []uint64
	for _, m := range c.Nodes() {
		if m.BasicStatus().Asleep {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// newSleepers is a group of n led by 1 that sleeps.
func newSleepers(t *testing.T, n int, conf configure) *rafttest.Cluster {
	t.Helper()
	c := newGroup(t, n, conf)
	c.Elect(1)
	c.Tick(sleepAfter + 3)
	require.Len(t, asleep(c), n)
	return c
}

// A leader of whom nothing was asked for SleepAfter ticks puts the group to sleep: nobody
// sends anything, ticks do nothing, and there is no deadline.
func TestIdleGroupSleeps(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		c := newGroup(t, n, sleepy)
		l := c.Elect(1)
		c.Tick(2)
		require.NoError(t, l.Propose([]byte("x")))
		c.Settle()
		c.Tick(sleepAfter - 1)
		require.Empty(t, asleep(c), "%d: not idle for so long", n)
		c.Tick(2)
		require.Len(t, asleep(c), n)
		require.Contains(t, l.Explain(), raft.Explanation{Reason: raft.ReasonAsleep})
		last := l.BasicStatus().LastIndex
		for _, m := range c.Nodes() {
			st := m.BasicStatus()
			require.Equal(t, []uint64{last, last, last}, []uint64{st.LastIndex, st.Commit, st.Applied})
			require.EqualValues(t, 1, st.Lead)
			_, ok := m.NextDeadline()
			require.False(t, ok)
			before := raft.Dump(m.RawNode)
			m.TickBy(1_000_000)
			m.Tick()
			require.Equal(t, before, raft.Dump(m.RawNode))
			require.False(t, m.HasReady())
		}
	}
	c := newGroup(t, 3, nil)
	c.Elect(1)
	c.Tick(200)
	require.Empty(t, asleep(c), "by default nobody does")
}

// The group stays awake while anything is under way: reads, a transfer, a joint
// configuration, a member without the log, one whose host does not want it to sleep.
func TestWhatKeepsAGroupAwake(t *testing.T) {
	for name, f := range map[string]func(c *rafttest.Cluster, l *rafttest.Member) (undo func()){
		"a member is down": func(c *rafttest.Cluster, _ *rafttest.Member) func() {
			c.Drop = rafttest.Cut(3)
			return func() { c.Drop = nil }
		},
		"a joint configuration": func(_ *rafttest.Cluster, l *rafttest.Member) func() {
			_ = l.ProposeConfChange(pb.ConfChangeV2{
				Transition: pb.ConfChangeTransitionJointExplicit, Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeUpdateNode, NodeID: 2, Context: []byte("x")}},
			})
			return func() { _ = l.ProposeConfChange(nil) }
		},
		"a learner without the log": func(c *rafttest.Cluster, l *rafttest.Member) func() {
			_ = l.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 4})
			return func() { c.Add(4) }
		},
		"a transfer to who is down": func(c *rafttest.Cluster, l *rafttest.Member) func() {
			c.Drop = func(m pb.Message) bool { return m.To == 2 && m.Type == pb.MsgTimeoutNow }
			_ = l.TransferLeader(2)
			return func() { c.Drop = nil; _ = l.AbortTransfer() }
		},
		"a member that does not answer": func(c *rafttest.Cluster, l *rafttest.Member) func() {
			c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgHeartbeatResp && m.From == 3 }
			return func() { c.Drop = nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newGroup(t, 3, sleepy)
			l := c.Elect(1)
			c.Tick(1)
			undo := f(c, l)
			c.Settle()
			for range 9 {
				c.Tick(1)
				require.False(t, l.BasicStatus().Asleep)
			}
			undo()
			c.Tick(sleepAfter + 4)
			require.Len(t, asleep(c), len(c.Nodes()))
		})
	}
	c := newGroup(t, 3, func(c *raft.Config) { c.SleepAfter = sleepAfter * int(c.ID%3) }) // 3 has 0
	c.Elect(1)
	c.Tick(100)
	require.Empty(t, asleep(c), "a member did not agree to sleep")
}

// The leader itself has to be done too: what it has not applied or written keeps it awake, as its
// host has to acknowledge it.
func TestLeaderNotDoneStaysAwake(t *testing.T) {
	s := newLeader(t, sleepy)
	require.NoError(t, s.Propose([]byte("x")))
	rd := s.ready() // neither written nor applied yet
	s.c.Send(rd.Messages...)
	answers := func() {
		for _, m := range s.c.Take(nil) {
			resp := s.answer(m)
			resp.Sleep = m.Sleep
			s.recv(resp)
		}
	}
	idle := func(done func(rd raft.Ready)) {
		for range sleepAfter + 3 {
			answers()
			s.Tick()
			for s.HasReady() {
				rd := s.Ready()
				s.c.Send(rd.Messages...)
				done(rd)
			}
		}
		answers()
	}
	var later []raft.Ready
	idle(func(rd raft.Ready) { later = append(later, rd) })
	require.EqualValues(t, 3, s.BasicStatus().Commit, "the others hold it")
	require.False(t, s.BasicStatus().Asleep, "its own write is not done")
	later = append([]raft.Ready{rd}, later...)
	for _, rd := range later {
		s.persist(rd)
	}
	later = nil
	idle(func(rd raft.Ready) { later = append(later, rd); s.persist(rd) })
	require.False(t, s.BasicStatus().Asleep, "it has not applied it")
	require.NoError(t, s.AckApply(3))
	idle(func(rd raft.Ready) { s.persist(rd) })
	require.True(t, s.BasicStatus().Asleep)
}

// asksNobody ticks the leader, to whom nobody answers, for as long as it would take to
// be idle.
func (s *solo) asksNobody() {
	s.t.Helper()
	for range sleepAfter + 2 {
		s.Tick()
		for _, m := range s.sent() {
			require.False(s.t, m.Sleep)
		}
	}
}

// A read that waits is work (dissertation §6.4), however long ago it was asked.
func TestWaitingReadKeepsAwake(t *testing.T) {
	s := newLeader(t, sleepy)
	s.Tick()
	s.serve()
	s.read("a")
	s.asksNobody()
	s.Tick()
	s.serve()
	require.Len(t, s.Reads, 1)
}

// Who is about to be sent something is not asked to sleep beside it: that would wake it.
func TestNobodyIsAskedToSleepBesideAnAppend(t *testing.T) {
	s := newLeader(t, sleepy)
	s.Tick()
	s.serve()
	require.NoError(t, s.Propose([]byte("x")))
	for range sleepAfter + 2 {
		s.serve(2)
		s.Tick()
	}
	s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: 3})
	s.Tick()
	msgs := s.sent()
	require.Len(t, to(ofType(msgs, pb.MsgApp), 3), 1, "of the commit")
	for _, m := range msgs {
		require.False(t, m.Sleep)
	}
	s.Tick()
	require.True(t, ofType(s.sent(), pb.MsgHeartbeat)[0].Sleep)
}

// Nor who is being asked where its log ends.
func TestProbedPeerKeepsAwake(t *testing.T) {
	s := newLeader(t, sleepy)
	s.Tick()
	s.serve()
	require.NoError(t, s.ReportUnreachable(2))
	s.asksNobody()
}

// An answer to an attempt of before that comes late is none to this one.
func TestLateAnswerToAnAttemptOfBefore(t *testing.T) {
	s, _ := sleepRound(t, sleepy)
	s.Tick()
	late := ofType(s.sent(), pb.MsgHeartbeat)
	require.True(t, late[0].Sleep)
	s.read("a")
	for range sleepAfter {
		s.recv(s.answer(ofType(s.sent(), pb.MsgHeartbeat)[1]))
		s.Tick()
	}
	fresh := ofType(s.sent(), pb.MsgHeartbeat)
	require.True(t, fresh[0].Sleep)
	s.recv(s.sleeps(fresh[1]), s.sleeps(late[0]))
	require.False(t, s.BasicStatus().Asleep)
	s.recv(s.sleeps(fresh[0]))
	require.True(t, s.BasicStatus().Asleep)
}

// sleepRound returns a leader of three that has just asked its peers, which the test
// plays, to sleep, and what it sent them.
func sleepRound(t *testing.T, conf configure) (*solo, []pb.Message) {
	t.Helper()
	s := newSolo(t, conf)
	s.lease = 10
	s.elect()
	for range 20 {
		s.Tick()
		if beats := ofType(s.sent(), pb.MsgHeartbeat); len(beats) > 0 {
			if beats[0].Sleep {
				return s, beats
			}
			for _, m := range beats {
				s.recv(s.answer(m))
			}
		}
		s.serve()
	}
	require.Fail(t, "it asks nobody to sleep")
	return nil, nil
}

// sleeps is the answer of a peer that does as it was asked.
func (s *solo) sleeps(m pb.Message) pb.Message {
	resp := s.answer(m)
	resp.Sleep = m.Sleep
	return resp
}

// The leader sleeps only once every member has said, in answer to this attempt, that it
// sleeps (protocol: 'only after every voter acknowledged the commit'): one that missed it
// would campaign, or not know what is committed.
func TestLeaderSleepsLast(t *testing.T) {
	s, beats := sleepRound(t, sleepy)
	require.Len(t, beats, 2)
	for _, m := range beats {
		st := s.BasicStatus()
		require.Equal(t, []uint64{st.LastIndex, st.Term, st.Commit}, []uint64{m.Index, m.LogTerm, m.Commit})
	}
	s.recv(s.sleeps(beats[0]), s.sleeps(beats[0]))
	require.False(t, s.BasicStatus().Asleep)
	s.recv(s.answer(beats[1])) // 3 is awake
	require.False(t, s.BasicStatus().Asleep)
	s.Tick()
	again := ofType(s.sent(), pb.MsgHeartbeat)
	require.True(t, again[0].Sleep, "it asks again")
	s.recv(s.sleeps(again[1]))
	require.True(t, s.BasicStatus().Asleep, "2 said so before, in the same attempt")
}

// Work ends the attempt: what was answered before it speaks of another log.
func TestWorkEndsTheAttemptToSleep(t *testing.T) {
	for name, f := range map[string]func(s *solo){
		"proposal": func(s *solo) { require.NoError(t, s.Propose([]byte("x"))) },
		"read":     func(s *solo) { s.read("a") },
		"lease":    func(s *solo) { _, _ = s.LeaseRead() },
		"transfer": func(s *solo) {
			require.NoError(t, s.TransferLeader(2))
			require.NoError(t, s.AbortTransfer())
		},
		"vote": func(s *solo) {
			s.recv(pb.Message{Type: pb.MsgPreVote, From: 3, Term: 3, Index: 2, LogTerm: 2})
		},
	} {
		s, beats := sleepRound(t, sleepy)
		s.recv(s.sleeps(beats[0]))
		f(s)
		s.recv(s.sleeps(beats[1]))
		require.False(t, s.BasicStatus().Asleep, name)
		s.serve()
		s.ticks(sleepAfter)
		again := ofType(s.sent(), pb.MsgHeartbeat)
		require.True(t, again[0].Sleep, name)
		s.recv(s.sleeps(again[1]))
		require.False(t, s.BasicStatus().Asleep, "%s: 2 has not answered this attempt", name)
		s.recv(s.sleeps(again[0]))
		require.True(t, s.BasicStatus().Asleep, name)
	}
}

// What arrives at a sleeping leader after the last answer is part of falling asleep, or
// old; what says that a member is awake is neither.
func TestLateAnswersDoNotWake(t *testing.T) {
	s, beats := sleepRound(t, sleepy)
	s.Tick()
	second := ofType(s.sent(), pb.MsgHeartbeat)
	s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
	require.True(t, s.BasicStatus().Asleep)
	s.sent()
	s.recv(s.sleeps(second[0]), s.sleeps(beats[0]))
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 2})
	old := s.answer(beats[0])
	old.Round--
	s.recv(old)
	require.True(t, s.BasicStatus().Asleep)
	require.Empty(t, s.sent())
	s.recv(s.answer(second[1])) // 3 was asked in vain
	require.False(t, s.BasicStatus().Asleep)
	require.Len(t, ofType(s.sent(), pb.MsgHeartbeat), 2, "it calls at once")

	s, beats = sleepRound(t, sleepy)
	s.Tick() // the next round is due, and not sent yet
	s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
	require.True(t, s.BasicStatus().Asleep)
	require.Empty(t, s.sent())
}

// asked is a follower of three, of leader 2, that was asked to sleep in the given round.
func askedToSleep(t *testing.T, conf configure, round uint64) *solo {
	t.Helper()
	s := newSolo(t, conf)
	s.recv(appendMsg(2, 2, 1, 1, 2, 2))
	s.sent()
	s.recv(toSleep(round))
	return s
}

func toSleep(round uint64) pb.Message {
	return pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 2, LogTerm: 2, Index: 2, Commit: 2, Round: round, Sleep: true}
}

// A follower sleeps, and says so, if its log ends where the leader's does; it then knows
// that all of it is committed. Otherwise it answers as ever.
func TestFollowerSleepsWhenAsked(t *testing.T) {
	s := askedToSleep(t, sleepy, 7)
	require.True(t, s.BasicStatus().Asleep)
	require.EqualValues(t, 2, s.BasicStatus().Commit)
	resp := theOne(t, s.sent(), pb.MsgHeartbeatResp)
	require.True(t, resp.Sleep)
	require.EqualValues(t, 7, resp.Round)
	s.recv(toSleep(8), toSleep(7)) // once more, and one that came late
	for _, m := range s.sent() {
		require.True(t, m.Sleep)
	}
	require.True(t, s.BasicStatus().Asleep)

	stays := func(name string, s *solo) {
		require.False(t, s.BasicStatus().Asleep, name)
		for _, m := range ofType(s.sent(), pb.MsgHeartbeatResp) {
			require.False(t, m.Sleep, name)
		}
	}
	stays("it does not want to", askedToSleep(t, nil, 7))

	s = newSolo(t, sleepy)
	s.recv(appendMsg(2, 2, 1, 1, 2, 2, 2))
	s.sent()
	s.recv(toSleep(7))
	stays("its log goes on", s)

	s = newSolo(t, sleepy)
	s.recv(appendMsg(2, 2, 1, 1, 2, 2))
	s.sent()
	require.NoError(t, s.ReadIndex([]byte("a")))
	s.sent()
	s.recv(toSleep(7))
	stays("a read waits for its answer", s)
	s.ticks(9)
	s.recv(toSleep(8))
	stays("still", s)
	s.Tick()
	s.recv(toSleep(9))
	require.True(t, s.BasicStatus().Asleep, "it waits no more")

	s = askedToSleep(t, sleepy, 7)
	s.recv(beat(2, 2, 2)) // round 1, from before
	require.True(t, s.BasicStatus().Asleep)
	s.sent()
	s.recv(pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 2, Commit: 2, Round: 8})
	stays("the leader is awake", s)
	s.recv(toSleep(7))
	stays("that was before it woke", s)

	s = newSolo(t, sleepy)
	cc := change(t, "v4")
	_, data, err := pb.MarshalConfChange(cc)
	require.NoError(t, err)
	m := appendMsg(2, 2, 1, 1, 2, 2)
	m.Entries[0].Type, m.Entries[0].Data = pb.EntryConfChangeV2, data
	s.recv(m)
	s.recv(toSleep(7))
	require.False(t, s.BasicStatus().Asleep, "it does not know its members yet")
	s.sent()
	s.recv(toSleep(8))
	require.True(t, s.BasicStatus().Asleep)
}

// Who asks to sleep knows what it committed here; one that does not is no correct peer.
func TestFalseWordsOfSleepAreRefused(t *testing.T) {
	s := newSolo(t, sleepy)
	s.recv(appendMsg(2, 2, 1, 1, 1, 2, 2))
	s.sent()
	m := toSleep(3)
	m.Commit = 1
	s.refuses(m, raft.ErrCorruptMessage)
	m = toSleep(3)
	m.LogTerm = 1
	s.refuses(m, raft.ErrCorruptMessage)
	m = toSleep(3)
	m.Index, m.Commit = 4, 4
	s.refuses(m, raft.ErrCorruptMessage)
}

// Whatever a member asks of a sleeping follower wakes it, requests for votes too, and its
// timer begins anew: its leader, who may be awake, has an election timeout to call.
func TestWhatWakesAFollower(t *testing.T) {
	for name, m := range map[string]pb.Message{
		"append":                appendMsg(2, 2, 2, 2, 2, 2),
		"heartbeat":             {Type: pb.MsgHeartbeat, From: 2, Term: 2, Round: 9},
		"pre-vote":              {Type: pb.MsgPreVote, From: 3, Term: 3, Index: 2, LogTerm: 2},
		"vote":                  {Type: pb.MsgVote, From: 3, Term: 3, Index: 2, LogTerm: 2},
		"proposal":              {Type: pb.MsgProp, From: 3, Entries: []pb.Entry{{}}},
		"a stranger's proposal": {Type: pb.MsgProp, From: 77, Entries: []pb.Entry{{}}},
		"read":                  {Type: pb.MsgReadIndex, From: 3, Entries: []pb.Entry{{Data: make([]byte, 16)}}},
		"transfer":              {Type: pb.MsgTransferLeader, From: 3},
		"new leader":            {Type: pb.MsgHeartbeat, From: 3, Term: 3, Round: 1},
		"take over":             {Type: pb.MsgTimeoutNow, From: 2, Term: 2},
	} {
		s := askedToSleep(t, sleepy, 7)
		s.recv(m)
		require.False(t, s.BasicStatus().Asleep, name)
		left, ok := s.NextDeadline()
		require.True(t, ok, name)
		require.GreaterOrEqual(t, left, 10, name)
	}
	for name, f := range map[string]func(s *solo) error{
		"propose":  func(s *solo) error { return s.Propose(nil) },
		"read":     func(s *solo) error { return s.ReadIndex(nil) },
		"transfer": func(s *solo) error { return s.TransferLeader(1) },
		"campaign": func(s *solo) error { return s.Campaign() },
		"wake":     func(s *solo) error { s.Wake(); return nil },
		"forget":   func(s *solo) error { return s.ForgetLeader() },
		"change":   func(s *solo) error { return s.ProposeConfChange(pb.ConfChange{NodeID: 4}) },
	} {
		s := askedToSleep(t, sleepy, 7)
		require.NoError(t, f(s), name)
		require.False(t, s.BasicStatus().Asleep, name)
	}
	for name, m := range map[string]pb.Message{
		"a stranger's pre-vote": {Type: pb.MsgPreVote, From: 77, Term: 3, Index: 2, LogTerm: 2},
		"a stranger's vote":     {Type: pb.MsgVote, From: 77, Term: 3, Index: 2, LogTerm: 2},
		"a stranger's read":     {Type: pb.MsgReadIndex, From: 77, Entries: []pb.Entry{{Data: make([]byte, 16)}}},
		"an old term's vote":    {Type: pb.MsgVote, From: 3, Term: 1, Index: 2, LogTerm: 1},
		"a late answer":         {Type: pb.MsgAppResp, From: 3, Term: 2, Index: 2},
		"a read's late answer":  {Type: pb.MsgReadIndexResp, From: 2, Term: 2, Index: 2, Entries: []pb.Entry{{Data: make([]byte, 16)}}},
		"a word of removal":     {Type: pb.MsgRemoved, From: 3, Index: 9, Session: 9},
	} {
		s := askedToSleep(t, sleepy, 7)
		s.sent()
		s.recv(m)
		require.True(t, s.BasicStatus().Asleep, name)
		require.Empty(t, ofType(s.sent(), pb.MsgReadIndex), name)
	}
}

// The same at the leader, which calls its followers at once.
func TestWhatWakesALeader(t *testing.T) {
	fallen := func() *solo {
		s, beats := sleepRound(t, sleepy)
		s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
		require.True(t, s.BasicStatus().Asleep)
		require.Empty(t, s.sent())
		return s
	}
	for name, f := range map[string]func(s *solo){
		"propose":     func(s *solo) { require.NoError(t, s.Propose(nil)) },
		"read":        func(s *solo) { s.read("a") },
		"lease":       func(s *solo) { _, err := s.LeaseRead(); require.ErrorIs(t, err, raft.ErrNoLease) },
		"transfer":    func(s *solo) { require.NoError(t, s.TransferLeader(2)) },
		"wake":        func(s *solo) { s.Wake() },
		"unreachable": func(s *solo) { require.NoError(t, s.ReportUnreachable(2)) },
		"pre-vote":    func(s *solo) { s.recv(pb.Message{Type: pb.MsgPreVote, From: 3, Term: 3, Index: 2, LogTerm: 2}) },
		"proposal":    func(s *solo) { s.recv(pb.Message{Type: pb.MsgProp, From: 3, Entries: []pb.Entry{{}}}) },
		"member's read": func(s *solo) {
			s.recv(pb.Message{Type: pb.MsgReadIndex, From: 3, Entries: []pb.Entry{{Data: make([]byte, 16)}}})
		},
		"rejection": func(s *solo) { s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: 2, Reject: true}) },
	} {
		s := fallen()
		f(s)
		require.False(t, s.BasicStatus().Asleep, name)
		beats := ofType(s.sent(), pb.MsgHeartbeat)
		require.Len(t, beats, 2, name)
		require.False(t, beats[0].Sleep, "%s: not to sleep at once", name)
	}
	s := fallen()
	s.recv(pb.Message{Type: pb.MsgPreVote, From: 77, Term: 3, Index: 2, LogTerm: 2})
	s.recv(pb.Message{Type: pb.MsgReadIndex, From: 77, Entries: []pb.Entry{{Data: make([]byte, 16)}}})
	require.True(t, s.BasicStatus().Asleep, "strangers")
	for _, m := range []pb.Message{
		{Type: pb.MsgProp, From: 3},
		{Type: pb.MsgProp, From: 3, Entries: []pb.Entry{{Type: 9}}},
		{Type: pb.MsgReadIndex, From: 3},
		{Type: pb.MsgTransferLeader, From: 1},
		{Type: pb.MsgTransferLeader, From: 77},
		{Type: pb.MsgHeartbeatResp, From: 3, Term: 2, Round: 1 << 60},
	} {
		require.Error(t, s.Step(m), "%v", m)
		require.True(t, s.BasicStatus().Asleep, "what is refused: %v", m)
	}
	require.Empty(t, s.sent())
	_ = s.ReportSnapshot(2, raft.SnapshotFinish)
	require.Empty(t, s.sent())
}

// A lease ends with sleep (dissertation §6.4.1: it rests on a clock, and a sleeping leader's
// stands still): neither the promises of before, nor answers that were under way, make
// one after. New answers do.
func TestLeaseEndsAsleep(t *testing.T) {
	s, beats := sleepRound(t, sleepyLeases)
	s.Tick()
	late := ofType(s.sent(), pb.MsgHeartbeat)
	require.Positive(t, s.Status().LeaseTicks)
	s.Tick()
	s.sent()
	s.ticks(1)
	later := ofType(s.sent(), pb.MsgHeartbeat)
	s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
	require.True(t, s.BasicStatus().Asleep)
	require.Zero(t, s.Status().LeaseTicks)
	_, err := s.LeaseRead()
	require.ErrorIs(t, err, raft.ErrNoLease)
	fresh := ofType(s.sent(), pb.MsgHeartbeat)
	require.False(t, s.holds())
	s.recv(s.sleeps(late[0]), s.sleeps(later[1]), s.sleeps(later[0]))
	require.False(t, s.holds(), "these are answers to before")
	s.read("a")
	s.sent()
	require.Empty(t, s.Reads)
	s.recv(s.answer(fresh[0]))
	require.True(t, s.holds())
}

// The quorum check begins anew (dissertation §6.2): nobody counts who has not answered
// since, and all have an election timeout to.
func TestQuorumCheckBeginsAnew(t *testing.T) {
	s, beats := sleepRound(t, sleepy)
	s.Tick()
	late := ofType(s.sent(), pb.MsgHeartbeat)
	s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
	require.True(t, s.BasicStatus().Asleep)
	s.Wake()
	s.ticks(4)
	s.recv(s.sleeps(late[0]), pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: 2})
	s.ticks(5)
	require.Equal(t, raft.StateLeader, s.role())
	for id, ticks := range s.Status().SilentTicks {
		require.LessOrEqual(t, ticks, uint64(9), id)
	}
	s.Tick()
	require.Equal(t, raft.StateFollower, s.role())
	require.Equal(t, raft.StepDownQuorumLost, s.BasicStatus().LastStepDown)

	s, beats = sleepRound(t, sleepy)
	s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
	s.Wake()
	s.recv(s.answer(ofType(s.sent(), pb.MsgHeartbeat)[0]))
	s.ticks(10)
	require.Equal(t, raft.StateLeader, s.role())
}

// Whoever is to vote has to be heard from before it does, and nobody has the benefit of the
// doubt there; elsewhere who had no chance to answer has.
func TestNobodyWasHeardAsleep(t *testing.T) {
	s, beats := sleepRound(t, sleepy)
	s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
	require.NoError(t, s.ProposeMembership(pb.Membership{Voters: []pb.Member{{ID: 1}, {ID: 2}}}))
	s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: s.BasicStatus().LastIndex})
	s.sent()
	require.NotNil(t, s.Status().Config.Target)
	s.Tick()
	s.sent()
	require.Zero(t, s.Status().PendingConfIndex, "2 has not answered a heartbeat since")
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: s.BasicStatus().LastIndex})
	s.asksNobody() // all have the log, and the target stands
	for range 3 {
		s.Tick()
		s.serve(2)
	}
	require.Equal(t, []uint64{1, 2}, s.Status().Config.IDs())
}

// A sleeping group loses nothing but time: a request at any member wakes it, and is
// served by the same leader in the same term.
func TestRequestsWakeTheGroup(t *testing.T) {
	for id := range uint64(3) {
		c := newSleepers(t, 3, sleepy)
		term := c.Node(1).BasicStatus().Term
		m := c.Node(id + 1)
		require.NoError(t, m.Propose([]byte("x")))
		c.Settle()
		c.Tick(1)
		for _, n := range c.Nodes() {
			require.Equal(t, []byte("x"), n.Applied[len(n.Applied)-1].Data)
			require.Equal(t, term, n.BasicStatus().Term)
			require.False(t, n.BasicStatus().Asleep)
		}
		c.Tick(sleepAfter + 3)
		require.Len(t, asleep(c), 3, "it sleeps again")
		require.NoError(t, m.ReadIndex([]byte("r")))
		c.Settle()
		require.Len(t, m.Reads, 1)
	}
}

// When the leader of a sleeping group is gone nobody notices by itself. The sign of life
// of its host does, or a request: the group then elects as ever (Raft §5.2).
func TestDeadLeaderOfASleepingGroup(t *testing.T) {
	for name, conf := range map[string]configure{"leases": sleepyLeases, "no leases": sleepy} {
		for name2, wake := range map[string]func(m *rafttest.Member){
			"signal":  func(m *rafttest.Member) { m.Wake() },
			"request": func(m *rafttest.Member) { require.NoError(t, m.Propose([]byte("x"))) },
		} {
			c := newSleepers(t, 3, conf)
			c.Drop = rafttest.Cut(1)
			c.Tick(200)
			require.Len(t, asleep(c), 3, "nobody notices")
			wake(c.Node(2))
			c.Settle()
			for range 80 {
				c.Tick(1)
			}
			l := c.Leader()
			require.NotEqual(t, uint64(1), l.ID, "%s, %s", name, name2)
			require.Greater(t, l.BasicStatus().Term, c.Node(1).BasicStatus().Term)
			require.True(t, c.Node(1).BasicStatus().Asleep, "it sleeps on, and serves nothing")
			_, err := c.Node(1).LeaseRead()
			require.ErrorIs(t, err, raft.ErrNoLease)
			c.Drop = nil
			c.Tick(3)
			require.Equal(t, l.BasicStatus().Term, c.Node(1).BasicStatus().Term)
		}
	}
}

// A member that comes back, or was woken alone, finds the sleeping leader by itself: a voter
// by its request for votes, which disturbs nobody (dissertation §9.6), and who may not
// campaign by a call.
func TestWhoIsAwakeAloneFindsItsLeader(t *testing.T) {
	for _, learner := range []bool{false, true} {
		c := newGroup(t, 3, sleepy)
		l := c.Elect(1)
		if learner {
			require.NoError(t, l.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 3}))
			c.Settle()
		}
		c.Tick(sleepAfter + 4)
		require.Len(t, asleep(c), 3)
		term := l.BasicStatus().Term
		c.Restart(3)
		c.Tick(45)
		require.EqualValues(t, 1, c.Node(3).BasicStatus().Lead)
		require.Equal(t, term, l.BasicStatus().Term)
		require.Len(t, asleep(c), 3, "and all sleep again")
		c.Node(3).Wake()
		c.Tick(50)
		require.Len(t, asleep(c), 3)
		require.Equal(t, term, l.BasicStatus().Term)
	}
}

// A learner that was removed while it was cut off calls its leader for ever. That neither wakes a
// group nor keeps it from falling asleep, however seldom it calls.
func TestRemovedLearnerKeepsNobodyAwake(t *testing.T) {
	for _, after := range []int{sleepAfter, 15, 25, 100} {
		for _, lease := range []raft.ReadOnlyOption{raft.ReadOnlySafe, raft.ReadOnlyLeaseBased} {
			c := newGroup(t, 3, func(c *raft.Config) { c.SleepAfter, c.ReadOnlyOption = after, lease })
			l := c.Elect(1)
			require.NoError(t, l.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 3}))
			c.Settle()
			c.Drop = rafttest.Cut(3)
			require.NoError(t, l.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 3}))
			c.Settle()
			c.Drop = nil
			c.Tick(after + 4)
			for range 60 {
				require.Equal(t, []uint64{1, 2}, asleep(c), "SleepAfter %d", after)
				c.Tick(1)
			}
		}
	}
}

// To wake a follower of a leader that lives costs a round of heartbeats, in whatever way it is woken:
// it calls its leader at once, does not lose sight of it and does not campaign, so no term moves
// (dissertation §9.6), also where elections are not protected by pre-votes or the quorum check.
func TestWokenFollowerKeepsItsLeader(t *testing.T) {
	for name, conf := range map[string]configure{
		"default":         sleepy,
		"no pre-vote":     func(c *raft.Config) { sleepy(c); c.DisablePreVote = true },
		"no quorum check": func(c *raft.Config) { sleepy(c); c.DisableCheckQuorum = true },
		"neither":         func(c *raft.Config) { sleepy(c); c.DisableCheckQuorum, c.DisablePreVote = true, true },
	} {
		for how, f := range map[string]func(c *rafttest.Cluster) error{
			"wake": func(c *rafttest.Cluster) error { c.Node(2).Wake(); return nil },
			"a proposal that the leader refuses": func(c *rafttest.Cluster) error {
				return c.Node(2).ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 99})
			},
			"a transfer that the leader refuses": func(c *rafttest.Cluster) error { return c.Node(2).TransferLeader(99) },
			"another's request": func(c *rafttest.Cluster) error {
				return c.Node(2).Step(pb.Message{Type: pb.MsgPreVote, From: 3, To: 2, Term: 3, Index: 2, LogTerm: 2})
			},
		} {
			c := newSleepers(t, 3, conf)
			term := c.Node(1).BasicStatus().Term
			require.NoError(t, f(c), how)
			for range 60 {
				c.Node(2).Tick()
				st := c.Node(2).BasicStatus()
				require.EqualValues(t, 1, st.Lead, "%s, %s", name, how)
				require.Equal(t, raft.StateFollower, st.RaftState)
				c.Settle()
				for _, id := range []uint64{1, 3} {
					c.Node(id).Tick()
					c.Settle()
				}
			}
			require.Equal(t, term, c.Node(1).BasicStatus().Term, "%s, %s", name, how)
			require.Len(t, asleep(c), 3, "%s, %s", name, how)
		}
	}
}

// A leader that was removed, or made a learner, and stays (StayAfterRemoval) does not sleep: requests
// for votes and calls go to voters only, so who restarts would not find it.
func TestLeaderThatIsNoVoterStaysAwake(t *testing.T) {
	for _, effect := range []raft.ConfChangeEffect{raft.OnApply, raft.OnAppend} {
		for _, change := range []pb.ConfChangeType{pb.ConfChangeRemoveNode, pb.ConfChangeAddLearnerNode} {
			c := newGroup(t, 3, func(c *raft.Config) { sleepy(c); c.StayAfterRemoval, c.ConfChangeEffect = true, effect })
			l := c.Elect(1)
			require.NoError(t, l.ProposeConfChange(pb.ConfChange{Type: change, NodeID: 1}))
			c.Settle()
			for range 4 * sleepAfter {
				c.Tick(1)
				require.Equal(t, raft.StateLeader, l.BasicStatus().RaftState)
				require.False(t, l.BasicStatus().Asleep, "%v, %v", effect, change)
			}
			term := l.BasicStatus().Term
			c.Restart(3)
			c.Tick(60)
			st := c.Node(3).BasicStatus()
			require.Equal(t, []uint64{1, term}, []uint64{st.Lead, st.Term}, "%v, %v", effect, change)
		}
	}
}

// A round that was under way when a follower got something to do does not put it to sleep: its leader
// may be gone since, and nobody would notice. It agrees again once it has heard a later round by which
// its leader is awake, or after an election timeout of none.
func TestRoundUnderWayDoesNotPutToSleepWhoWasWoken(t *testing.T) {
	for name, f := range map[string]func(s *solo){
		"wake":     func(s *solo) { s.Wake() },
		"propose":  func(s *solo) { require.NoError(t, s.Propose(nil)) },
		"transfer": func(s *solo) { require.NoError(t, s.TransferLeader(1)) },
		"another":  func(s *solo) { s.recv(pb.Message{Type: pb.MsgPreVote, From: 3, Term: 3, Index: 2, LogTerm: 2}) },
	} {
		for _, slept := range []bool{true, false} {
			if !slept && name == "another" {
				continue
			}
			begin := func() *solo {
				s := askedToSleep(t, sleepy, 7)
				if !slept {
					s.recv(pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 2, Commit: 2, Round: 8})
				}
				s.sent()
				f(s)
				calls := 0
				if slept {
					calls = 1
				}
				require.Len(t, to(ofType(s.sent(), pb.MsgReadIndex), 2), calls, name)
				s.recv(toSleep(9))
				require.False(t, theOne(t, s.sent(), pb.MsgHeartbeatResp).Sleep, name)
				require.False(t, s.BasicStatus().Asleep, name)
				return s
			}
			s := begin()
			s.recv(pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 2, Commit: 2, Round: 8})
			s.recv(toSleep(10))
			require.False(t, s.BasicStatus().Asleep, "%s: that round was older", name)
			s.recv(pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 2, Commit: 2, Round: 11})
			s.recv(toSleep(12))
			require.True(t, s.BasicStatus().Asleep, name)

			s = begin()
			s.ticks(9)
			s.recv(toSleep(10))
			require.False(t, s.BasicStatus().Asleep, name)
			s.Tick()
			s.recv(toSleep(11))
			require.True(t, s.BasicStatus().Asleep, name)

			s = begin()
			s.recv(pb.Message{Type: pb.MsgHeartbeat, From: 3, Term: 3, LogTerm: 2, Index: 2, Commit: 2, Round: 1, Sleep: true})
			require.True(t, s.BasicStatus().Asleep, "%s: another leader", name)
		}
	}
}

// So the death of a leader is noticed at the next request, also while it was asking for sleep.
func TestDeathOfALeaderThatAskedForSleepIsNoticed(t *testing.T) {
	c := newGroup(t, 3, sleepy)
	c.Elect(1)
	c.Tick(2)
	// 3's answers are lost, so that the leader asks again.
	c.Drop = func(m pb.Message) bool { return m.From == 3 && m.Type == pb.MsgHeartbeatResp }
	for !c.Node(2).BasicStatus().Asleep {
		c.Tick(1)
	}
	var held []pb.Message
	c.Drop = func(m pb.Message) bool {
		if m.From == 1 && m.To == 2 {
			held = append(held, m)
		}
		return m.From == 1 && m.To == 2 || m.From == 3 && m.To == 1
	}
	c.Tick(1)
	require.Len(t, held, 1)
	c.Drop = rafttest.Cut(1)
	require.NoError(t, c.Node(2).Propose([]byte("x")))
	c.Settle()
	require.NoError(t, c.Node(2).Step(held[0]))
	c.Settle()
	c.Tick(100)
	require.NotNil(t, c.Leader())
	require.NotEqual(t, uint64(1), c.Leader().ID)
}

// What a member refuses its own host wakes nobody, so that who asks in vain, again and again, keeps no
// group awake. A Campaign that comes too early for a lease is an exception: the lease would never end.
func TestRefusedRequestsWakeNobody(t *testing.T) {
	for name, f := range map[string]func(s *solo) error{
		"change":      func(s *solo) error { return s.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddNode}) },
		"transfer":    func(s *solo) error { return s.TransferLeader(99) },
		"target":      func(s *solo) error { return s.ProposeMembership(pb.Membership{}) },
		"cancel":      func(s *solo) error { return s.CancelMembership(9) },
		"unreachable": func(s *solo) error { return s.ReportUnreachable(77) },
	} {
		s, beats := sleepRound(t, sleepy)
		s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
		require.Error(t, f(s), name)
		require.True(t, s.BasicStatus().Asleep, name)
	}
	s, beats := sleepRound(t, sleepy)
	s.recv(s.sleeps(beats[0]), s.sleeps(beats[1]))
	require.NoError(t, s.Campaign(), "it leads")
	require.True(t, s.BasicStatus().Asleep)

	for name, f := range map[string]func(s *solo) error{
		"propose": func(s *solo) error { return s.Propose(nil) },
		"change":  func(s *solo) error { return s.ProposeConfChange(nil) },
		"lease":   func(s *solo) error { _, err := s.LeaseRead(); return err },
		"abort":   func(s *solo) error { return s.AbortTransfer() },
	} {
		s := askedToSleep(t, func(c *raft.Config) { sleepy(c); c.DisableProposalForwarding = true }, 7)
		require.Error(t, f(s), name)
		require.True(t, s.BasicStatus().Asleep, name)
	}

	s = askedToSleep(t, sleepyLeases, 7)
	require.ErrorIs(t, s.Campaign(), raft.ErrLeaseInForce)
	require.False(t, s.BasicStatus().Asleep)
	s.ticks(10)
	require.NoError(t, s.Campaign())
}

// An answer of a member that was awake when it gave it, and has said since that it sleeps, says nothing
// new either. One to the same round does: the round was delivered twice, and the member woke in between.
func TestAwakeAnswerFromBeforeSleepDoesNotWake(t *testing.T) {
	s, beats := sleepRound(t, sleepy)
	s.Tick()
	second := ofType(s.sent(), pb.MsgHeartbeat)
	s.recv(s.sleeps(beats[0]), s.sleeps(second[1]))
	require.True(t, s.BasicStatus().Asleep)
	s.recv(s.answer(beats[1]))
	require.True(t, s.BasicStatus().Asleep)
	s.recv(s.answer(second[1]))
	require.False(t, s.BasicStatus().Asleep)
}

// A learner that restarts without SleepAfter does not call: its host wakes the leader, and the group
// stays awake from then on.
func TestLearnerWithoutSleepIsFoundByAWake(t *testing.T) {
	off := false
	c := newGroup(t, 3, func(c *raft.Config) {
		if sleepy(c); off && c.ID == 3 {
			c.SleepAfter = 0
		}
	})
	l := c.Elect(1)
	require.NoError(t, l.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 3}))
	c.Settle()
	c.Tick(sleepAfter + 4)
	require.Len(t, asleep(c), 3)
	off = true
	c.Restart(3)
	l.Wake()
	for range 100 {
		c.Tick(1)
		require.Equal(t, raft.StateLeader, l.BasicStatus().RaftState)
		require.False(t, l.BasicStatus().Asleep)
	}
	require.EqualValues(t, 1, c.Node(3).BasicStatus().Lead)
}

// A read that a lease answers at once is asked of the leader too, a member's as well as its host's own:
// who reads often keeps its group awake.
func TestReadUnderALeaseKeepsAwake(t *testing.T) {
	for _, id := range []uint64{1, 2} {
		c := newGroup(t, 3, sleepyLeases)
		l := c.Elect(1)
		c.Tick(1)
		for range 4 {
			c.Tick(sleepAfter - 2)
			require.Empty(t, asleep(c), "%d", id)
			require.Positive(t, l.Status().LeaseTicks)
			require.NoError(t, c.Node(id).ReadIndex([]byte("a")))
			c.Settle()
		}
		require.Len(t, c.Node(id).Reads, 4)
		c.Tick(sleepAfter + 3)
		require.Len(t, asleep(c), 3)
	}
}
