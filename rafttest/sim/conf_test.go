package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Where changes take effect on append hosts keep configurations in three ways, all of
// which the contract allows, and a node that changes from one to the other starts.
func TestHabitsOnAppend(t *testing.T) {
	t.Parallel()
	total := clean(t, 20+seeds(60), func(seed uint64) Options {
		return Options{Seed: seed, Steps: 6000, Faults: Crash | Host | Membership | Snapshot | Network, ConfChangeEffect: raft.OnAppend}
	})
	require.NotZero(t, total.ConfChanges)
	habits := map[confHabit]int{}
	for seed := range uint64(30) {
		s := newSimulation(Options{Seed: seed, ConfChangeEffect: raft.OnAppend})
		habits[s.drawHabit(&node{id: 1, life: 1})]++
		s = newSimulation(Options{Seed: seed})
		require.Equal(t, confInOrder, s.drawHabit(&node{id: 1, life: 1}))
	}
	require.Len(t, habits, int(numHabits))
}

// A configuration that is kept apart is durable at once, but not before its entry is: a
// node does not start from one past its log.
func TestKeptApart(t *testing.T) {
	t.Parallel()
	d := newDisk()
	d.write(record{ents: []pb.Entry{{Index: 1, Term: 1}, {Index: 2, Term: 1}}})
	cs := &pb.ConfState{Voters: []uint64{1}, Index: 2}
	require.False(t, d.keepApart(cs))
	d.sync(1)
	d.write(record{ents: []pb.Entry{{Index: 2, Term: 2}}})
	require.False(t, d.keepApart(cs), "another entry is durable there")
	d.write(record{hs: pb.HardState{Term: 2, Commit: 2}})
	d.sync(1)
	require.True(t, d.keepApart(cs))
	d.fail(0)
	require.Equal(t, *cs, d.durable.conf)
	require.Zero(t, d.durable.hs.Commit, "and the commit index is lost")
}
