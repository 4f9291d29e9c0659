package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// A snapshot carries the configuration of its own index, never a later one
// (dissertation §5.1, §4.1), however far the node went on before it is taken.
func TestConfStateAt(t *testing.T) {
	c := rafttest.NewCluster(1, 1)
	leader := c.Elect(1) // entry 2 is its own
	change := func(kind pb.ConfChangeType, id uint64) uint64 {
		require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: kind, NodeID: id}))
		c.Handle(1)
		c.Handle(1)
		return leader.BasicStatus().LastIndex
	}
	learner := change(pb.ConfChangeAddLearnerNode, 2)
	c.Settle()
	require.NoError(t, leader.Propose([]byte("x")))
	c.Settle()
	gone := change(pb.ConfChangeRemoveNode, 2)
	c.Settle()
	require.Equal(t, learner+2, gone)

	at := func(i uint64) pb.ConfState {
		cs, err := leader.ConfStateAt(i)
		require.NoError(t, err)
		return *cs
	}
	require.Equal(t, pb.ConfState{Voters: []uint64{1}, Index: 1}, at(learner-1))
	withLearner := pb.ConfState{Voters: []uint64{1}, Learners: []uint64{2}, Index: learner}
	require.Equal(t, withLearner, at(learner))
	require.Equal(t, withLearner, at(gone-1))
	require.Equal(t, pb.ConfState{Voters: []uint64{1}, Index: gone}, at(gone))
	_, err := leader.ConfStateAt(0)
	require.ErrorIs(t, err, raft.ErrCompacted)
	_, err = leader.ConfStateAt(gone + 1)
	require.ErrorIs(t, err, raft.ErrUnavailable)

	// While a change is being applied, what comes after it is not known yet.
	require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 3}))
	rd := leader.Ready()
	leader.Persist(rd)
	require.NoError(t, leader.Advance(rd))
	rd = leader.Ready()
	require.Len(t, rd.CommittedEntries, 1)
	_, err = leader.ConfStateAt(gone + 1)
	require.ErrorIs(t, err, raft.ErrUnavailable)
	leader.Apply(rd)
	require.Equal(t, []uint64{3}, at(gone+1).Learners)
	require.NoError(t, leader.Advance(rd))

	// What is compacted is forgotten with the next change, the rest is kept, and
	// a restart knows it again.
	require.NoError(t, leader.Storage.Compact(gone))
	last := change(pb.ConfChangeRemoveNode, 3)
	c.Settle()
	_, err = leader.ConfStateAt(learner)
	require.ErrorIs(t, err, raft.ErrCompacted)
	require.Equal(t, []uint64{3}, at(gone+1).Learners)
	leader = c.Restart(1)
	require.Equal(t, pb.ConfState{Voters: []uint64{1}, Index: last}, at(last))
}

// The members' contexts are part of the configuration: bootstrap, changes, snapshots
// and restarts keep them, so that any later leader can reach every member.
func TestConfStateKeepsContexts(t *testing.T) {
	ms := raft.NewMemoryStorage()
	start := func(applied uint64) *raft.RawNode {
		rn, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: ms, Applied: applied})
		require.NoError(t, err)
		return rn
	}
	host := rafttest.Memory(ms)
	run := func(rn *raft.RawNode) {
		for rn.HasReady() {
			rd := rn.Ready()
			require.NoError(t, host.Save(rd))
			for _, e := range rd.CommittedEntries {
				if cc, err := pb.UnmarshalConfChange(e); err == nil {
					require.NoError(t, host.SetConfState(*rn.ApplyConfChange(cc)))
				}
			}
			require.NoError(t, rn.Advance(rd))
		}
	}
	rn := start(0)
	require.NoError(t, rn.Bootstrap([]raft.Peer{{ID: 1, Context: []byte("a:1")}}))
	run(rn)
	require.NoError(t, rn.Campaign())
	run(rn)
	for _, cc := range []pb.ConfChangeI{
		pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 2, Context: []byte("b:1")},
		pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeUpdateNode, NodeID: 1, Context: []byte("a:2")}}},
	} {
		require.NoError(t, rn.ProposeConfChange(cc))
		run(rn)
	}
	want := []pb.Member{{ID: 1, Context: []byte("a:2")}, {ID: 2, Context: []byte("b:1")}}
	last := rn.BasicStatus().LastIndex
	cs, err := rn.ConfStateAt(last)
	require.NoError(t, err)
	require.Equal(t, want, cs.Members)

	// From the log alone, as after a crash before the first configuration was saved ...
	ms.SetConfState(pb.ConfState{})
	require.Equal(t, want, start(last).Status().Config.Contexts)
	// ... and from a snapshot.
	require.NoError(t, host.CreateSnapshot(last, *cs, nil))
	require.NoError(t, host.Compact(last))
	require.Equal(t, want, start(last).Status().Config.Contexts)
}
