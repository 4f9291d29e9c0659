package raft_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// clocked is a cluster through all that moves a node's timers, drawn from a seed.
type clocked struct {
	*rafttest.Cluster
	rnd   *rand.Rand
	lossy int
	// large is for entries so large that a node at rest lets go of them.
	large bool
	// advance is n ticks of a node's clock.
	advance func(m *rafttest.Member, n int)
}

func newClocked(seed uint64, advance func(m *rafttest.Member, n int)) *clocked {
	settings := rand.New(rand.NewPCG(seed, 7))
	n := []int{1, 3, 5}[settings.IntN(3)]
	beat, sleep, leases := 1+settings.IntN(4), []int{0, 1, 15}[settings.IntN(3)], settings.IntN(2) == 0
	early := settings.IntN(4) == 0
	c := &clocked{Cluster: &rafttest.Cluster{}, rnd: rand.New(rand.NewPCG(seed, 99)), advance: advance}
	c.Configure = func(cfg *raft.Config) {
		cfg.Rand = rand.NewPCG(seed, cfg.ID<<32|cfg.Applied)
		cfg.HeartbeatTick, cfg.SleepAfter, cfg.SnapshotTicks = beat, sleep, 25
		cfg.DisablePreVote, cfg.MaxCatchUpRounds = early, 2
		if leases {
			cfg.ReadOnlyOption = raft.ReadOnlyLeaseBased
		}
	}
	var ids []uint64
	for id := range n {
		ids = append(ids, uint64(id+1))
	}
	for _, id := range ids {
		c.Add(id, ids...)
	}
	c.Add(uint64(n + 1)) // may join
	c.Drop = func(pb.Message) bool { return c.rnd.IntN(100) < c.lossy }
	return c
}

var large = make([]byte, 1<<20)

// step is one random thing that happens.
func (c *clocked) step() {
	rnd := c.rnd
	m := c.Nodes()[rnd.IntN(len(c.Nodes()))]
	leader := c.Leader()
	if leader == nil {
		leader = m
	}
	switch rnd.IntN(26) {
	case 0:
		c.Restart(m.ID)
	case 1:
		c.lossy = rnd.IntN(2) * rnd.IntN(90)
	case 2:
		_ = leader.TransferLeader(m.ID)
	case 3:
		_ = leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeType(rnd.IntN(4)), NodeID: m.ID})
	case 4:
		_ = leader.ProposeMembership(pb.Membership{Voters: []pb.Member{{ID: 1}, {ID: m.ID}}})
	case 5:
		if _, err := m.Storage.CreateSnapshot(m.AppliedIndex, &m.Conf, nil); err == nil {
			_ = m.Storage.Compact(m.AppliedIndex)
		}
	case 6, 7:
		_ = m.ReadIndex([]byte{1})
	case 8, 9:
		data := []byte{2}
		if c.large {
			data = large[:1+rnd.IntN(2)*rnd.IntN(len(large))]
		}
		for range 1 + len(data)>>18 {
			_ = m.Propose(data)
		}
	case 10:
		m.Wake()
	case 11:
		_ = m.Campaign()
	case 12, 13, 14:
		_ = c.Deliver()
	case 15, 16:
		c.Handle(m.ID)
	default:
		for _, m := range c.Nodes() {
			c.advance(m, rnd.IntN(1<<rnd.IntN(6)))
			if rnd.IntN(4) > 0 {
				c.Handle(m.ID)
			}
		}
		if rnd.IntN(3) > 0 {
			c.Settle()
		}
	}
}

// TickBy(n) is n calls of Tick, in whatever state a node is: promises and leases are
// counted in ticks (dissertation §6.4.1), so a clock that is brought up to date at once must
// stand where it would.
func TestTickByIsTicks(t *testing.T) {
	roles := map[raft.StateType]int{}
	slept := 0
	for seed := range uint64(60) {
		one := newClocked(seed, func(m *rafttest.Member, n int) {
			for range n {
				m.Tick()
			}
		})
		many := newClocked(seed, func(m *rafttest.Member, n int) { m.TickBy(n) })
		one.large, many.large = seed >= 40, seed >= 40
		for step := range 400 {
			one.step()
			many.step()
			if step%5 > 0 {
				continue // what differs stays so
			}
			for i, m := range one.Nodes() {
				st := m.BasicStatus()
				roles[st.RaftState]++
				if st.Asleep {
					slept++
				}
				require.Equal(t, raft.Dump(m.RawNode), raft.Dump(many.Nodes()[i].RawNode), "seed %d, step %d, node %d", seed, step, m.ID)
			}
		}
	}
	for role := raft.StateFollower; role <= raft.StatePreCandidate; role++ {
		require.Greater(t, roles[role], 10, role)
	}
	require.Greater(t, slept, 200)
}

// Before NextDeadline a node does nothing that its host could see, so that the host need
// not tick it; and at it a follower does (Raft §5.2), a leader within a heartbeat interval.
func TestNextDeadline(t *testing.T) {
	never, due := 0, 0
	for seed := range uint64(60) {
		c := newClocked(seed, func(m *rafttest.Member, n int) { m.TickBy(n) })
		for step := range 300 {
			if c.step(); step%3 > 0 {
				continue
			}
			c.Settle()
			for _, m := range c.Nodes() {
				ticks, ok := m.NextDeadline()
				quiet := 70
				if ok {
					require.Positive(t, ticks)
					quiet = ticks - 1
				}
				st := m.BasicStatus()
				require.False(t, ok && st.Asleep)
				for n := range quiet {
					m.Tick()
					require.False(t, m.HasReady(), "seed %d, step %d: node %d, %v, does something at tick %d, its deadline is %d %v",
						seed, step, m.ID, st.RaftState, n+1, ticks, ok)
					if ok {
						left, _ := m.NextDeadline()
						require.Equal(t, ticks-n-1, left, "it comes as it was said")
					}
				}
				if !ok {
					never++
					continue
				}
				due++
				m.Tick()
				if st.RaftState != raft.StateLeader {
					require.True(t, m.HasReady(), "seed %d, step %d: node %d, %v, does nothing at tick %d: %v",
						seed, step, m.ID, st.RaftState, ticks, m.Explain())
				}
				if m.Status().Config.Target == nil && st.RaftState == raft.StateLeader && len(m.Status().Progress) > 1 {
					for n := 0; n < 4 && !m.HasReady(); n++ {
						m.Tick()
					}
					require.True(t, m.HasReady(), "seed %d, step %d: the leader %d does nothing", seed, step, m.ID)
				}
				c.Settle()
			}
		}
	}
	require.Greater(t, never, 500)
	require.Greater(t, due, 1000)
}

// No ticks are no time, and so many less are left of it.
func TestTickByCountsDown(t *testing.T) {
	s := newSolo(t, nil)
	s.sent()
	s.TickBy(0)
	s.TickBy(-3)
	left, ok := s.NextDeadline()
	require.True(t, ok)
	s.TickBy(left - 1)
	now, _ := s.NextDeadline()
	require.Equal(t, 1, now)
	require.False(t, s.HasReady())
	s.TickBy(1)
	require.Equal(t, raft.StatePreCandidate, s.role())
}

// A node that was cut off for however long does not campaign as often at once; what it counts ends its
// promises all the same. For one that does not lead to count too little is safe.
func TestTickByOfAGreatNumber(t *testing.T) {
	s := newSolo(t, func(c *raft.Config) { c.ReadOnlyOption = raft.ReadOnlyLeaseBased })
	s.recv(beat(2, 2, 1))
	s.sent()
	s.TickBy(1<<31 - 1)
	require.Equal(t, raft.StatePreCandidate, s.role())
	require.LessOrEqual(t, len(s.sent()), 2*16)
	s.recv(pb.Message{Type: pb.MsgPreVote, From: 3, Term: 3, Index: 1, LogTerm: 1})
	require.False(t, theOne(t, s.sent(), pb.MsgPreVoteResp).Reject)

	s = newLeader(t, nil, 1) // nobody decides without it
	s.sent()
	for range 5 {
		s.TickBy(1<<31 - 1)
	}
	require.Equal(t, raft.StateLeader, s.role())
	require.NoError(t, s.ReadIndex(nil))
}

// A leader that was removed gives up waiting for who knows of it after an election timeout (dissertation
// §4.2.2), between two heartbeats as well: that tick does more than count.
func TestTickByOfALeaderThatLeaves(t *testing.T) {
	for offset := range 7 {
		leaves := func(advance func(m *rafttest.Member)) *rafttest.Member {
			c := newGroup(t, 3, func(c *raft.Config) { c.HeartbeatTick, c.DisableCheckQuorum = 7, true })
			l := c.Elect(1)
			c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgHeartbeatResp }
			for range offset {
				l.Tick()
			}
			require.NoError(t, l.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 1}))
			c.Settle()
			require.Equal(t, raft.StateLeader, l.BasicStatus().RaftState)
			advance(l)
			return l
		}
		one := leaves(func(m *rafttest.Member) {
			for range 10 {
				m.Tick()
			}
		})
		many := leaves(func(m *rafttest.Member) { m.TickBy(10) })
		require.Equal(t, raft.StateFollower, one.BasicStatus().RaftState)
		require.Equal(t, raft.Dump(one.RawNode), raft.Dump(many.RawNode), "%d ticks after a heartbeat", offset)
	}
}
