package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

func leases(c *raft.Config) { c.ReadOnlyOption = raft.ReadOnlyLeaseBased }

// newLeaseholder is a leader of term 2 whose peers promise to refuse votes.
func newLeaseholder(t *testing.T, conf configure, voters ...uint64) *solo {
	t.Helper()
	s := newSolo(t, func(c *raft.Config) {
		leases(c)
		if conf != nil {
			conf(c)
		}
	}, voters...)
	s.lease = 10
	s.elect()
	return s
}

// holds reports whether the leader has a lease.
func (s *solo) holds() bool {
	s.t.Helper()
	index, err := s.LeaseRead()
	if err != nil {
		require.ErrorIs(s.t, err, raft.ErrNoLease)
		require.Zero(s.t, s.Status().LeaseTicks)
		return false
	}
	require.Equal(s.t, s.BasicStatus().Commit, index)
	require.Positive(s.t, s.Status().LeaseTicks)
	return true
}

// A lease runs from the tick in which the heartbeats that a majority answered
// were sent, not from that of the answers, for an election timeout less what
// clocks may drift and what whole ticks hide (dissertation §6.4.1).
func TestLeaseRunsFromWhenHeartbeatsWereSent(t *testing.T) {
	for drift, want := range map[int]int{1: 8, 3: 6} {
		s := newLeaseholder(t, func(c *raft.Config) { c.MaxClockDrift = drift })
		require.False(t, s.holds(), "no heartbeat was answered yet")
		s.Tick()
		beats := ofType(s.sent(), pb.MsgHeartbeat)
		s.ticks(3) // the answers are on their way
		s.recv(s.answer(beats[0]))
		left := want - 3
		for range left {
			require.True(t, s.holds())
			require.Equal(t, left, s.Status().LeaseTicks)
			s.Tick()
			left--
		}
		require.False(t, s.holds(), "drift %d", drift)
		s.recv(s.answer(beats[1]), s.answer(beats[1])) // late answers prolong nothing
		require.False(t, s.holds())
	}
}

// Under a lease reads are answered at once, and without one by a round of
// heartbeats as ever (dissertation §6.4.1).
func TestLeaseReads(t *testing.T) {
	s := newLeaseholder(t, nil)
	s.read("a")
	require.Len(t, ofType(s.serve(), pb.MsgHeartbeat), 2)
	require.Len(t, s.Reads, 1)
	s.read("b")
	require.Empty(t, s.serve())
	require.Equal(t, []string{"a@2", "b@2"}, answeredReads(s.Member))
	s.ticks(9)
	s.sent()
	s.read("c")
	s.sent()
	require.Len(t, s.Reads, 2)
	s.Tick()
	s.serve()
	require.Len(t, s.Reads, 3)

	f := newSolo(t, leases)
	_, err := f.LeaseRead()
	require.ErrorIs(t, err, raft.ErrNotLeader)
	safe := newLeader(t, nil)
	safe.Tick()
	safe.lease = 10
	safe.serve()
	_, err = safe.LeaseRead()
	require.ErrorIs(t, err, raft.ErrNoLease, "leases are off")
}

// With leases on demand a read that did not ask for one does not rest on clocks: it is
// answered after a round of heartbeats (dissertation §6.4), while LeaseRead works.
func TestLeaseOnDemand(t *testing.T) {
	s := newLeaseholder(t, func(c *raft.Config) { c.ReadOnlyOption = raft.ReadOnlyLeaseOnDemand })
	s.Tick()
	s.serve()
	require.True(t, s.holds())
	s.read("a")
	beats := ofType(s.sent(), pb.MsgHeartbeat)
	require.Empty(t, s.Reads)
	s.recv(s.answer(beats[0]))
	s.sent()
	require.Equal(t, []string{"a@2"}, answeredReads(s.Member))
}

// There is no lease before the leader has committed in its term, like any read
// (dissertation §6.4).
func TestNoLeaseBeforeACommitInTheTerm(t *testing.T) {
	s := newSolo(t, leases)
	s.withLog(pb.HardState{Commit: 1})
	s.lease = 10
	s.win()
	s.Tick()
	for _, m := range ofType(s.sent(), pb.MsgHeartbeat) {
		s.recv(s.answer(m))
	}
	require.False(t, s.holds())
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 2, LeaseTicks: 10})
	require.True(t, s.holds())
}

// A lease needs the promise of every voter that it refuses votes, of both halves
// of a joint configuration, since any majority may elect; it lasts as long as
// the shortest. Learners promise nothing and are not asked.
func TestLeaseNeedsEveryVotersPromise(t *testing.T) {
	s := newSoloIn(t, leases, pb.ConfState{Voters: []uint64{1, 2, 3}, VotersOutgoing: []uint64{1, 4}, Learners: []uint64{5}})
	s.elect()
	promise := func(id, ticks uint64) {
		s.recv(pb.Message{Type: pb.MsgAppResp, From: id, Term: 2, Index: 2, LeaseTicks: ticks})
	}
	for _, id := range []uint64{2, 3, 4} {
		require.False(t, s.holds())
		promise(id, 10)
	}
	require.False(t, s.holds(), "promised, but no round answered")
	s.Tick()
	for _, m := range ofType(s.sent(), pb.MsgHeartbeat) {
		if m.To == 2 {
			m := s.answer(m)
			m.LeaseTicks = 10
			s.recv(m)
			require.False(t, s.holds(), "one half")
		}
		if m.To == 4 {
			m := s.answer(m)
			m.LeaseTicks = 10
			s.recv(m)
		}
	}
	require.True(t, s.holds())
	promise(3, 5)
	require.Equal(t, 3, s.Status().LeaseTicks)
	promise(3, 0)
	require.False(t, s.holds())
}

// A voter that promises no more, as one that restarted without leases or as another
// implementation, ends the lease with the first heartbeat that it answers.
func TestLeaseEndsWithAPromise(t *testing.T) {
	s := newLeaseholder(t, nil)
	s.Tick()
	s.serve()
	require.True(t, s.holds())
	s.lease = 0
	s.Tick()
	for _, m := range to(ofType(s.sent(), pb.MsgHeartbeat), 3) {
		s.recv(s.answer(m))
	}
	require.False(t, s.holds())
	s.lease = 10
	s.Tick()
	s.serve()
	require.True(t, s.holds())
}

// Once the leader told a peer to campaign voters may elect it at any time: there
// is no lease for the rest of the term (dissertation §6.4.1).
func TestNoLeaseAfterTimeoutNow(t *testing.T) {
	s := newLeaseholder(t, nil)
	s.Tick()
	s.serve()
	require.True(t, s.holds())
	require.NoError(t, s.TransferLeader(2))
	require.False(t, s.holds())
	theOne(t, s.sent(), pb.MsgTimeoutNow)
	require.NoError(t, s.AbortTransfer())
	s.ticks(5)
	s.serve()
	require.False(t, s.holds())
	s.read("a") // reads still work
	s.serve()
	require.Len(t, s.Reads, 1)
}

// Before TimeoutNow is sent the lease stands.
func TestLeaseLastsUntilTimeoutNow(t *testing.T) {
	s := newLeaseholder(t, nil)
	require.NoError(t, s.Propose([]byte("x")))
	s.Tick()
	for _, m := range ofType(s.sent(), pb.MsgHeartbeat) {
		s.recv(s.answer(m))
	}
	require.NoError(t, s.TransferLeader(2)) // 2 lacks the entry
	require.Empty(t, ofType(s.sent(), pb.MsgTimeoutNow))
	require.True(t, s.holds())
	m := ack(2, 2, 3)
	m.LeaseTicks = 10
	s.recv(m)
	theOne(t, s.sent(), pb.MsgTimeoutNow)
	require.False(t, s.holds())
}

func voteAsk(mt pb.MessageType, from, term uint64) pb.Message {
	return pb.Message{Type: mt, From: from, Term: term, LogTerm: term - 1, Index: 99}
}

// A voter that restarts may have promised before: with leases on it refuses
// votes for an election timeout, transfers excepted (dissertation §6.4.1).
func TestRestartedVoterKeepsItsPromise(t *testing.T) {
	restart := func(conf configure) *solo {
		return newSolo(t, conf).withLog(pb.HardState{Term: 5, Commit: 1})
	}
	s := restart(leases)
	s.ticks(9)
	s.recv(voteAsk(pb.MsgVote, 2, 6), voteAsk(pb.MsgPreVote, 2, 6), voteAsk(pb.MsgVote, 2, 5))
	require.Empty(t, s.sent())
	require.ErrorIs(t, s.Campaign(), raft.ErrLeaseInForce)
	require.Equal(t, uint64(5), s.BasicStatus().Term)
	m := voteAsk(pb.MsgVote, 2, 6)
	m.Context = []byte("CampaignTransfer")
	s.recv(m)
	require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)

	s = restart(leases)
	s.ticks(10)
	if s.role() == raft.StateFollower {
		s.recv(voteAsk(pb.MsgVote, 2, 6))
		require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
	}
	s = restart(nil)
	s.recv(voteAsk(pb.MsgVote, 2, 6))
	require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject, "leases are off")
}

// A promise is to the clock, not to a term: it outlasts a higher term seen from
// a third server, within which the former leader may still serve reads
// (dissertation §6.4.1).
func TestPromiseOutlastsATermBump(t *testing.T) {
	s := newSolo(t, leases)
	s.recv(beat(2, 5, 0))
	s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 8, Reject: true})
	require.Equal(t, uint64(8), s.BasicStatus().Term)
	require.Equal(t, raft.None, s.BasicStatus().Lead)
	s.recv(voteAsk(pb.MsgVote, 3, 8), voteAsk(pb.MsgVote, 3, 9), voteAsk(pb.MsgPreVote, 3, 9))
	require.Empty(t, s.sent())
	require.ErrorIs(t, s.Campaign(), raft.ErrLeaseInForce)
	for range 9 { // nor does its own timer make it campaign earlier
		s.Tick()
		require.Equal(t, raft.StateFollower, s.role())
	}
	require.Empty(t, s.sent())
	s.Tick()
	if s.role() == raft.StateFollower {
		s.recv(voteAsk(pb.MsgVote, 3, 9))
		require.False(t, theOne(t, s.sent(), pb.MsgVoteResp).Reject)
	}
}

// With leases on a follower cannot be made to forget its leader or to campaign
// early: its own vote would break the promise (dissertation §6.4.1).
func TestFollowerKeepsFaithWithTheLease(t *testing.T) {
	s := newSolo(t, leases)
	s.recv(beat(2, 5, 0))
	require.ErrorIs(t, s.ForgetLeader(), raft.ErrLeaseInForce)
	require.Equal(t, uint64(2), s.BasicStatus().Lead)
	err := s.Campaign()
	require.ErrorIs(t, err, raft.ErrLeaseInForce)
	require.ErrorIs(t, err, raft.ErrCannotCampaign)
	resp := theOne(t, s.sent(), pb.MsgHeartbeatResp)
	require.Zero(t, resp.LeaseTicks, "a crash could still make a new node of it, which knows of no promise")
	s.recv(beat(2, 5, 0))
	resp = theOne(t, s.sent(), pb.MsgHeartbeatResp)
	require.Equal(t, uint64(10), resp.LeaseTicks, "the promise is told")

	off := newSolo(t, nil)
	off.recv(beat(2, 5, 0))
	require.Zero(t, theOne(t, off.sent(), pb.MsgHeartbeatResp).LeaseTicks)
	require.NoError(t, off.ForgetLeader())
	require.Equal(t, raft.None, off.BasicStatus().Lead)
	require.NoError(t, off.Campaign())
}

// While a leader may serve lease reads nobody else can be elected, whichever
// node asks for votes, as long as clocks keep within the bound; and every write
// of a new leader is later than the last lease read (dissertation §6.4.1).
func TestLeaseExcludesAnotherLeader(t *testing.T) {
	for fast := range 4 { // which node counts an extra tick per election timeout; 0 none
		c := newGroup(t, 3, leases)
		c.Tick(12) // promises of the start are over
		if c.Leader() == nil {
			ticksUntil(t, c, 100, func() bool { return c.Leader() != nil })
		}
		old := c.Leader()
		c.Tick(2)
		_, err := old.LeaseRead()
		require.NoError(t, err)
		c.Drop = func(m pb.Message) bool { return (m.From == old.ID) != (m.To == old.ID) }
		served := 0
		for i := range 40 {
			c.Tick(1)
			if fast != 0 && uint64(fast) != old.ID && i == 3 {
				c.Node(uint64(fast)).Tick()
				c.Settle()
			}
			for _, m := range c.Nodes() {
				if m.ID != old.ID {
					_ = m.Campaign()
					c.Settle()
				}
			}
			_, err := old.LeaseRead()
			if err == nil {
				served++
				require.False(t, leaderBeside(c, old.ID), "another leader beside a lease, tick %d", i)
			}
		}
		require.Positive(t, served)
		require.True(t, leaderBeside(c, old.ID))
	}
}
