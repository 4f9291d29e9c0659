package raft_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// flatStorage is a log in an array that was made before.
type flatStorage struct {
	ents []pb.Entry // ents[i] has index i
	cs   pb.ConfState
	hs   pb.HardState
}

func (s *flatStorage) InitialState() (pb.HardState, pb.ConfState, error) { return s.hs, s.cs, nil }
func (s *flatStorage) FirstIndex() (uint64, error)                       { return 1, nil }
func (s *flatStorage) LastIndex() (uint64, error)                        { return uint64(len(s.ents) - 1), nil }
func (s *flatStorage) Term(i uint64) (uint64, error)                     { return s.ents[i].Term, nil }
func (s *flatStorage) Snapshot() (pb.Snapshot, error)                    { return pb.Snapshot{}, nil }

func (s *flatStorage) Entries(lo, hi, _ uint64) ([]pb.Entry, error) { return s.ents[lo:hi:hi], nil }

// allocGroup is a group whose host allocates nothing: it does one thing after
// the other, and messages go by value.
type allocGroup struct {
	nodes    []*raft.RawNode
	storages []*flatStorage
	inbox    [][]pb.Message
	reads    int
}

func newAllocGroup(t *testing.T, voters int, option raft.ReadOnlyOption) *allocGroup {
	var cs pb.ConfState
	for i := range voters {
		cs.Voters = append(cs.Voters, uint64(i+1))
	}
	return newAllocGroupIn(t, cs, option)
}

// newAllocGroupIn has a node for each of the voters, then of the learners, who are numbered from 1 on.
func newAllocGroupIn(t *testing.T, cs pb.ConfState, option raft.ReadOnlyOption) *allocGroup {
	g := &allocGroup{}
	for i := range len(cs.Voters) + len(cs.Learners) {
		s := &flatStorage{ents: make([]pb.Entry, 1, 1<<16), cs: cs}
		rn, err := raft.NewRawNode(&raft.Config{ID: uint64(i + 1), Storage: s, Rand: rand.NewPCG(1, uint64(i)), ReadOnlyOption: option})
		require.NoError(t, err)
		g.nodes, g.storages = append(g.nodes, rn), append(g.storages, s)
		g.inbox = append(g.inbox, make([]pb.Message, 0, 256))
	}
	require.NoError(t, g.nodes[0].Campaign())
	g.settle()
	require.Equal(t, raft.StateLeader, g.nodes[0].BasicStatus().RaftState)
	return g
}

func (g *allocGroup) handle(i int) bool {
	rn, s := g.nodes[i], g.storages[i]
	if !rn.HasReady() {
		return false
	}
	rd := rn.Ready()
	g.send(rd.Messages)
	if n := len(rd.Entries); n > 0 {
		s.ents = append(s.ents[:rd.Entries[0].Index], rd.Entries...)
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		s.hs = rd.HardState
	}
	g.send(rd.MessagesAfterAppend)
	g.reads += len(rd.ReadStates)
	if err := rn.Advance(rd); err != nil {
		panic(err)
	}
	return true
}

func (g *allocGroup) send(msgs []pb.Message) {
	for i := range msgs {
		to := msgs[i].To - 1
		g.inbox[to] = append(g.inbox[to], msgs[i])
	}
}

// propose has n entries proposed and applied everywhere.
func (g *allocGroup) propose(data []byte, n int) {
	for range n {
		if err := g.nodes[0].Propose(data); err != nil {
			panic(err)
		}
	}
	g.settle()
}

func (g *allocGroup) settle() {
	for busy := true; busy; {
		busy = false
		for i := range g.nodes {
			for g.handle(i) {
				busy = true
			}
			for j := range g.inbox[i] {
				if err := g.nodes[i].Step(g.inbox[i][j]); err != nil {
					panic(err)
				}
				busy = true
			}
			g.inbox[i] = g.inbox[i][:0]
		}
	}
}

// mallocs returns how many allocations op takes on average.
func mallocs(runs int, op func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 300 {
		op() // until all buffers have their size
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		op()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(runs)
}

// payloads are sizes of data from none to more than a message may have by default.
func payloads() []int { return []int{0, 16, 1 << 10, 8 << 10, 64 << 10, 1 << 20, 4 << 20} }

// What an entry allocates does not grow with its data: each node makes an array for every 16 entries
// at most, as it does for every 64 small ones, also if they come together and go in one message each.
// So at the usual resolution, whole allocations, all that a group of up to nine does is none.
func TestPayloadAllocatesNothing(t *testing.T) {
	ctx := []byte("read")
	for _, voters := range []int{1, 3, 5, 9} {
		for _, size := range payloads() {
			t.Run(fmt.Sprint(voters, " voters, ", size, " bytes"), func(t *testing.T) {
				data := make([]byte, size)
				for _, together := range []int{1, 8} {
					g := newAllocGroup(t, voters, raft.ReadOnlySafe)
					perOp := mallocs(1600, func() { g.propose(data, together) })
					perEntry := perOp / float64(voters*together)
					t.Logf("%d at once: %.4f for a node and entry", together, perEntry)
					require.LessOrEqual(t, perEntry, 1.0/16+0.002)
					require.Equal(t, g.nodes[0].BasicStatus().Commit, g.nodes[voters-1].BasicStatus().Applied)
				}

				g := newAllocGroup(t, voters, raft.ReadOnlySafe)
				all := func() {
					g.propose(data, 1)
					if err := g.nodes[0].ReadIndex(ctx); err != nil {
						panic(err)
					}
					g.settle()
					for _, rn := range g.nodes {
						rn.Tick()
					}
					g.settle()
				}
				for range 100 {
					all()
				}
				require.Zero(t, testing.AllocsPerRun(500, all))
			})
		}
	}
}

// In the steady state the core allocates for the log alone, in chunks: at most
// 0.05 times for each node and proposal that is appended, replicated,
// acknowledged, committed and applied everywhere. Heartbeats and reads allocate
// nothing.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	data := make([]byte, 16)
	ctx := []byte("read")
	for _, voters := range []int{1, 3, 5, 9} {
		t.Run(fmt.Sprint(voters, " voters"), func(t *testing.T) {
			g := newAllocGroup(t, voters, raft.ReadOnlySafe)
			leader := g.nodes[0]
			perOp := mallocs(10_000, func() { g.propose(data, 1) })
			t.Logf("proposal: %.4f per node", perOp/float64(voters))
			require.LessOrEqual(t, perOp/float64(voters), 0.05)
			for i, rn := range g.nodes {
				require.Greater(t, rn.BasicStatus().Applied, uint64(10_000), "node %d took part", i+1)
			}

			perRound := mallocs(2000, func() {
				for _, rn := range g.nodes {
					rn.Tick()
				}
				g.settle()
			})
			require.InDelta(t, 0, perRound, 0.005, "heartbeats")

			g.reads = 0
			perRead := mallocs(2000, func() {
				if err := leader.ReadIndex(ctx); err != nil {
					panic(err)
				}
				g.settle()
			})
			require.Equal(t, 2300, g.reads)
			require.InDelta(t, 0, perRead, 0.005, "reads")

			g = newAllocGroup(t, voters, raft.ReadOnlyLeaseBased)
			for _, rn := range g.nodes {
				rn.Tick()
			}
			g.settle()
			perLease := mallocs(2000, func() {
				if _, err := g.nodes[0].LeaseRead(); err != nil {
					panic(err)
				}
			})
			require.InDelta(t, 0, perLease, 0.005, "lease reads")
		})
	}
}
