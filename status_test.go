package raft_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// busyLeader leads three nodes with entries on their way to the others.
func busyLeader(t *testing.T) (*rafttest.Cluster, *rafttest.Member) {
	c := rafttest.NewCluster(3, 1)
	l := c.Elect(1)
	for range 3 {
		require.NoError(t, l.Propose(make([]byte, 100)))
		c.Handle(1)
	}
	return c, l
}

// A node can be asked how it does as often as one likes.
func TestStatusAllocatesNothing(t *testing.T) {
	_, l := busyLeader(t)
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = l.BasicStatus() }))
	inflight := 0
	require.Zero(t, testing.AllocsPerRun(100, func() {
		l.WithProgress(func(_ uint64, p progress.Progress) { inflight += p.Window.Count() })
	}))
	require.Positive(t, inflight)
}

// A status is a copy: what the node does later, or the caller to it, does not
// show on the other side.
func TestStatusIsACopy(t *testing.T) {
	c, l := busyLeader(t)
	s := l.Status()
	before := fmt.Sprintf("%+v", s)
	c.Settle()
	require.NoError(t, l.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 4}))
	c.Settle()
	require.Equal(t, before, fmt.Sprintf("%+v", s))

	require.NoError(t, l.Propose(make([]byte, 100)))
	c.Handle(1)
	s = l.Status()
	for id, p := range s.Progress {
		p.Match, p.Next = 0, 0
		p.Window.FreeTo(1 << 60)
		p.Window.Add(99, 99)
		s.Progress[id] = p
	}
	delete(s.Progress, 2)
	now := l.Status()
	require.Positive(t, now.Progress[2].Match)
	w := now.Progress[2].Window
	require.Equal(t, 1, w.Count())
	require.NotEqual(t, uint64(99), w.Bytes())
	c.Settle()
	require.NoError(t, l.Err())
	require.Equal(t, l.BasicStatus().LastIndex, l.Status().Progress[2].Match)
}

// Members come in the order of their IDs, to a leader alone, and the status says
// what waits.
func TestStatusFields(t *testing.T) {
	c, l := busyLeader(t)
	var ids []uint64
	l.WithProgress(func(id uint64, _ progress.Progress) { ids = append(ids, id) })
	require.Equal(t, []uint64{1, 2, 3}, ids)
	c.Node(2).WithProgress(func(uint64, progress.Progress) { t.Error("a follower knows no progress") })
	require.Nil(t, c.Node(2).Status().Progress)

	s := l.Status()
	require.Equal(t, raft.StateLeader, s.RaftState)
	require.Equal(t, uint64(1), s.Lead)
	require.Equal(t, uint64(300), s.UncommittedBytes)
	require.Equal(t, s.LastIndex, s.Durable)
	require.Less(t, s.Commit, s.LastIndex)
	require.Equal(t, s.Applied, s.Commit)
	require.Equal(t, "voters=(1 2 3)", s.Config.String())
	require.NoError(t, l.ReadIndex(nil))
	require.NoError(t, l.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 4}))
	rd := l.Ready()
	s = l.Status()
	require.Equal(t, 1, s.PendingReads)
	require.Equal(t, 1, s.UnackedReadys)
	require.Equal(t, s.LastIndex, s.PendingConfIndex)
	require.Less(t, s.Durable, s.LastIndex)
	c.Send(rd.Messages...)
	l.Persist(rd)
	require.NoError(t, l.Advance(rd))
	c.Settle()
	s = l.Status()
	require.Zero(t, s.PendingReads+s.UnackedReadys)
	require.Zero(t, s.UncommittedBytes)
	require.Equal(t, s.ConfigIndex, s.LastIndex)
	require.Zero(t, s.PendingConfIndex)
	require.NoError(t, l.TransferLeader(2))
	require.Equal(t, uint64(2), l.BasicStatus().LeadTransferee)
}

// A leader tells for how long each member has been silent: a single answer to a heartbeat
// ends that, and a new leader begins anew, since it knows nothing of before.
func TestSilentTicks(t *testing.T) {
	c := newGroup(t, 3, func(*raft.Config) {})
	c.Elect(1)
	c.Tick(3)
	require.Nil(t, c.Node(2).Status().SilentTicks)
	c.Drop = rafttest.Cut(3)
	c.Tick(7)
	silent := c.Node(1).Status().SilentTicks
	require.Zero(t, silent[1])
	require.LessOrEqual(t, silent[2], uint64(1))
	require.GreaterOrEqual(t, silent[3], uint64(7))
	c.Drop = nil
	c.Tick(2)
	require.LessOrEqual(t, c.Node(1).Status().SilentTicks[3], uint64(1))
}
