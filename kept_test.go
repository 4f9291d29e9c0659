package raft_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// keepers is a group whose hosts keep no data of what they applied: what is alive of it, the
// nodes keep.
type keepers struct {
	*allocGroup
	t    *testing.T
	data []weak.Pointer[byte]
}

func newKeepers(t *testing.T, voters, learners int) *keepers {
	var cs pb.ConfState
	for i := range uint64(voters) {
		cs.Voters = append(cs.Voters, i+1)
	}
	for i := range uint64(learners) {
		cs.Learners = append(cs.Learners, uint64(voters)+i+1)
	}
	return &keepers{allocGroup: newAllocGroupIn(t, cs, raft.ReadOnlySafe), t: t}
}

// write has n entries of size bytes proposed and applied everywhere, one after the other.
func (g *keepers) write(n, size int) {
	for range n {
		data := make([]byte, size)
		g.data = append(g.data, weak.Make(&data[0]))
		g.propose(data, 1)
		g.forget()
	}
}

func (g *keepers) forget() {
	for i, s := range g.storages {
		require.Equal(g.t, uint64(len(s.ents)-1), g.nodes[i].BasicStatus().Applied)
		for j := range s.ents {
			s.ents[j].Data = nil
		}
		clear(g.inbox[i][:cap(g.inbox[i])])
	}
}

// only leaves one node; the others are gone.
func (g *keepers) only(i int) *raft.RawNode {
	for j := range g.nodes {
		if j != i {
			g.nodes[j] = nil
		}
	}
	return g.nodes[i]
}

// alive returns of how many entries the data is still in memory.
func (g *keepers) alive() int {
	runtime.GC()
	n := 0
	for _, p := range g.data {
		if p.Value() != nil {
			n++
		}
	}
	runtime.KeepAlive(g.nodes)
	return n
}

// ticks is n ticks on all nodes, with all that they say.
func (g *keepers) ticks(n int) {
	for range n {
		for _, rn := range g.nodes {
			rn.Tick()
		}
		g.settle()
	}
	for i := range g.inbox {
		clear(g.inbox[i][:cap(g.inbox[i])])
	}
}

// byDeadline ticks a node as a host does that asks for its deadlines, until it has none or some passed.
func byDeadline(rn *raft.RawNode, most int) (left bool) {
	for range most {
		k, ok := rn.NextDeadline()
		if !ok {
			return false
		}
		rn.TickBy(k)
	}
	_, left = rn.NextDeadline()
	return left
}

// At work a group keeps the data of at most 15 large entries that it no longer needs, so as not to
// allocate; a group at rest, of which a host may have thousands, keeps none, be it led or not, and
// also where its host ticks no node that has no deadline.
func TestLargeEntriesAreNotKeptAtRest(t *testing.T) {
	const size, most = 128 << 10, 15
	t.Run("at work", func(t *testing.T) {
		g := newKeepers(t, 3, 1)
		seen := 0
		for range 60 {
			g.write(1, size)
			g.ticks(1)
			alive := g.alive()
			seen = max(seen, alive)
			require.LessOrEqual(t, alive, most)
		}
		require.Equal(t, most, seen)
	})
	t.Run("small entries", func(t *testing.T) {
		g := newKeepers(t, 3, 1)
		for range 10 {
			g.write(60, 4<<10)
			require.LessOrEqual(t, g.alive(), 64)
		}
	})
	t.Run("a burst", func(t *testing.T) {
		g := newKeepers(t, 3, 0)
		for range 100 {
			data := make([]byte, size)
			g.data = append(g.data, weak.Make(&data[0]))
			require.NoError(t, g.nodes[0].Propose(data))
		}
		g.settle()
		g.forget()
		require.LessOrEqual(t, g.alive(), most)
		g.ticks(2)
		require.Zero(t, g.alive())
	})
	t.Run("at rest", func(t *testing.T) {
		g := newKeepers(t, 3, 1)
		g.write(25, size)
		require.Positive(t, g.alive())
		g.ticks(3)
		require.Zero(t, g.alive())
	})
	t.Run("lone leader", func(t *testing.T) {
		g := newKeepers(t, 1, 0)
		g.write(25, size)
		require.Positive(t, g.alive())
		require.False(t, byDeadline(g.nodes[0], 3), "then it has none")
		require.Zero(t, g.alive())
	})
	t.Run("follower without a leader", func(t *testing.T) {
		g := newKeepers(t, 3, 0)
		g.write(25, size)
		rn := g.only(1)
		require.Positive(t, g.alive())
		require.True(t, byDeadline(rn, 1))
		require.Zero(t, g.alive())
	})
	t.Run("learner without a leader", func(t *testing.T) {
		g := newKeepers(t, 3, 1)
		g.write(25, size)
		rn := g.only(3)
		require.Positive(t, g.alive())
		require.False(t, byDeadline(rn, 2))
		require.Zero(t, g.alive())
	})
	t.Run("learner that forgot its leader", func(t *testing.T) {
		g := newKeepers(t, 3, 1)
		g.write(25, size)
		rn := g.only(3)
		require.NoError(t, rn.ForgetLeader())
		require.Positive(t, g.alive())
		require.False(t, byDeadline(rn, 2))
		require.Zero(t, g.alive())
	})
}
