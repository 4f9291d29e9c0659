package raft_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// guards are the settings that protect a group from those who left it.
type guards struct {
	preVote, checkQuorum bool
	effect               raft.ConfChangeEffect
}

func (g guards) String() string {
	return fmt.Sprintf("PreVote=%t,CheckQuorum=%t,%v", g.preVote, g.checkQuorum, g.effect)
}

func (g guards) configure(c *raft.Config) {
	c.DisablePreVote, c.DisableCheckQuorum, c.ConfChangeEffect = !g.preVote, !g.checkQuorum, g.effect
}

// eachGuard runs a test with every combination of the settings.
func eachGuard(t *testing.T, test func(t *testing.T, g guards)) {
	for _, preVote := range []bool{true, false} {
		for _, checkQuorum := range []bool{true, false} {
			for _, effect := range []raft.ConfChangeEffect{raft.OnApply, raft.OnAppend} {
				g := guards{preVote, checkQuorum, effect}
				t.Run(g.String(), func(t *testing.T) { test(t, g) })
			}
		}
	}
}

// A leader that is removed replicates and commits its removal, does not go before a
// remaining voter knows that it is committed, and is followed by one of them within an
// election timeout; what it accepted before is not lost (dissertation §4.2.2).
func TestLeavingLeaderIsFollowedBySomebodyWhoKnows(t *testing.T) {
	eachGuard(t, func(t *testing.T, g guards) {
		for _, n := range []int{2, 3, 4, 5} {
			c := newGroup(t, n, g.configure)
			l := c.Elect(1)
			require.NoError(t, l.Propose([]byte("before")))
			removal := l.BasicStatus().LastIndex + 1
			require.NoError(t, l.ProposeConfChange(change(t, "r1")))
			c.Observe = func(id uint64, rd raft.Ready) {
				checkPromises(t, rd)
				if id != 1 || l.BasicStatus().RaftState == raft.StateLeader {
					return
				}
				knows := slices.ContainsFunc(c.Nodes(), func(m *rafttest.Member) bool {
					return m.ID != 1 && m.BasicStatus().Commit >= removal
				})
				require.True(t, knows, "it went, and nobody knows")
			}
			ticks := ticksUntil(t, c, 10, func() bool { return leaderBeside(c, 1) })
			require.Less(t, ticks, 10, "an election timeout, with %d members", n)
			require.Equal(t, raft.StateFollower, l.BasicStatus().RaftState)
			require.Equal(t, raft.StepDownRemoved, l.BasicStatus().LastStepDown)
			require.GreaterOrEqual(t, l.BasicStatus().Commit, removal)

			next := c.Leader()
			require.False(t, next.Status().Config.Contains(1))
			require.NoError(t, next.Propose([]byte("after")))
			c.Settle()
			require.Equal(t, next.BasicStatus().LastIndex, next.BasicStatus().Commit)
			require.Equal(t, []string{"before", "after"}, commands(next))
			c.Tick(100)
			require.Equal(t, next.BasicStatus().Term, l.BasicStatus().Term+1, "nor does it campaign")
		}
	})
}

// commands returns what a member has applied that is no change of configuration.
func commands(m *rafttest.Member) (data []string) {
	for _, e := range m.Applied {
		if e.Type == pb.EntryNormal && len(e.Data) > 0 {
			data = append(data, string(e.Data))
		}
	}
	return data
}

// outcast is a group whose last member was removed while it was cut off, and that is
// connected again. If it holds the removal it does not know that it is committed.
func outcast(t *testing.T, g guards, n uint64, holds bool) (*rafttest.Cluster, *rafttest.Member) {
	t.Helper()
	c := newGroup(t, int(n), g.configure)
	l := c.Elect(1)
	c.Drop = rafttest.Cut(n)
	require.NoError(t, l.ProposeConfChange(change(t, fmt.Sprint("r", n))))
	if holds {
		c.Drop = nil
		c.Handle(1)
		require.NoError(t, c.Deliver())
		c.Drop = rafttest.Cut(n)
	}
	c.Settle()
	require.False(t, l.Status().Config.Contains(n))
	gone := c.Node(n)
	require.True(t, gone.Conf.Index < l.Conf.Index, "it does not know")
	c.Drop = nil
	return c, gone
}

// A follower that was removed and never told asks for votes for ever. Either of PreVote and
// CheckQuorum alone keeps it from disturbing: by the first it has to win before it raises
// the term, and whoever has the committed removal refuses it or tells it; by the second
// those who hear from a leader do not listen (dissertation §4.2.3). With both off each of
// its campaigns deposes the leader, until it is told. No write is lost in any case, since a
// majority of the rest holds what was committed.
func TestLeavingFollowerThatIsNeverTold(t *testing.T) {
	eachGuard(t, func(t *testing.T, g guards) {
		for _, n := range []uint64{3, 4, 5} {
			for _, holds := range []bool{false, true} {
				if holds && g.effect == raft.OnAppend {
					continue // it is not sent the entry
				}
				c, gone := outcast(t, g, n, holds)
				c.Drop = func(m pb.Message) bool { return m.Type == pb.MsgRemoved }
				before := c.Leader().BasicStatus().Term
				requests := campaigns(c, n)
				acked := writeFor(t, c, n, 500)
				after := c.Node(1).BasicStatus().Term
				require.Positive(t, *requests)
				if g.preVote || g.checkQuorum {
					require.Equal(t, before, after, "%d members", n)
					require.Len(t, acked, 500)
				} else {
					require.Greater(t, after, before+10, "the rest is disturbed again and again")
				}
				if g.preVote {
					require.LessOrEqual(t, gone.BasicStatus().Term, after)
				}
				require.Positive(t, len(acked), "there is progress all the same")

				ticksUntil(t, c, 100, func() bool { return leaderBeside(c, n) })
				require.Subset(t, commands(c.Leader()), acked)
			}
		}
	})
}

// campaigns counts the requests for votes of a member.
func campaigns(c *rafttest.Cluster, id uint64) *int {
	count := 0
	c.Observe = func(from uint64, rd raft.Ready) {
		if from == id {
			count += len(ofType(rd.Messages, pb.MsgPreVote)) + len(ofType(rd.MessagesAfterAppend, pb.MsgVote))
		}
	}
	return &count
}

// writeFor ticks so often, writes each time if there is a leader, and returns what was
// committed at once. The leader is never the given member.
func writeFor(t *testing.T, c *rafttest.Cluster, id uint64, ticks int) (acked []string) {
	t.Helper()
	for i := range ticks {
		c.Tick(1)
		l := c.Leader()
		if l == nil || l.Propose([]byte(fmt.Sprint("write ", i))) != nil {
			continue
		}
		require.NotEqual(t, id, l.ID)
		c.Settle()
		if st := l.BasicStatus(); st.RaftState == raft.StateLeader && st.Commit == st.LastIndex {
			acked = append(acked, fmt.Sprint("write ", i))
		}
	}
	return acked
}

// Every member that has applied the removal tells who asks for its vote, whatever the settings,
// also if it does not listen to the request otherwise (dissertation §4.2.3). The host that
// shuts the removed one down ends the disturbance.
func TestLeavingFollowerIsTold(t *testing.T) {
	eachGuard(t, func(t *testing.T, g guards) {
		c, gone := outcast(t, g, 4, false)
		removal := c.Leader().Conf.Index
		told := map[uint64]uint64{}
		c.Observe = func(id uint64, rd raft.Ready) {
			for _, word := range rd.Removed {
				require.EqualValues(t, 4, id, "nobody else is told")
				told[word.By] = word.Index
			}
		}
		ticksUntil(t, c, 30, func() bool { return len(told) == 3 })
		require.Equal(t, map[uint64]uint64{1: removal, 2: removal, 3: removal}, told)
		require.Contains(t, gone.Status().Config.IDs(), uint64(4), "it believes nobody by itself")

		c.Drop = rafttest.Cut(4) // its host shuts it down
		ticksUntil(t, c, 100, func() bool { return leaderBeside(c, 4) })
		term := c.Leader().BasicStatus().Term
		require.Len(t, writeFor(t, c, 4, 200), 200)
		require.Equal(t, term, c.Leader().BasicStatus().Term)
	})
}

// A learner that was removed is told by nobody, as it asks nobody for votes. Nor does it
// disturb anybody: its host has to ask for the members.
func TestLeavingLearnerIsSilent(t *testing.T) {
	eachGuard(t, func(t *testing.T, g guards) {
		c := newGroup(t, 3, g.configure)
		l := c.Elect(1)
		c.Add(4)
		require.NoError(t, l.ProposeConfChange(change(t, "l4")))
		c.Settle()
		c.Drop = rafttest.Cut(4)
		require.NoError(t, l.ProposeConfChange(change(t, "r4")))
		c.Settle()
		c.Drop = nil
		c.Observe = func(id uint64, rd raft.Ready) {
			require.Empty(t, rd.Removed)
			if id == 4 {
				require.Empty(t, append(rd.Messages, rd.MessagesAfterAppend...))
			}
		}
		require.Len(t, writeFor(t, c, 4, 100), 100)
		require.True(t, c.Node(4).Conf.Index < l.Conf.Index)
	})
}
