package sim

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
)

// A run of any length takes the same memory: every so often all who may start
// again have compacted what was long ago, those removed and those without a disk
// have made room for others, and the checks have forgotten what nobody can
// contradict. What is held back for ever by one node shows in the last third.
func TestMemoryStaysFlat(t *testing.T) {
	steps := uint64(400_000)
	if underRace || testing.Short() {
		steps /= 4
	}
	for _, faults := range []Faults{Network, Disk, Membership, Disk | Membership, Crash | Host, All} {
		t.Run(faults.String(), func(t *testing.T) {
			var ids uint64
			for seed := uint64(1); seed <= seeds(2); seed++ {
				s := newSimulation(Options{Seed: seed, Nodes: 3, Faults: faults})
				held, heap := leastHeld(t, s, steps)
				// Some hold back a part for a while, nobody all of it.
				require.Less(t, held, max(5000, int(s.check.Committed()/3)), "seed %d: indexes and the like", seed)
				require.Less(t, heap, uint64(6<<20), "seed %d: bytes", seed)
				ids += uint64(len(s.ids))
			}
			if faults.has(Membership) && faults != All {
				// With the places taken by those removed there would be no change any
				// more for which there is something to check.
				require.Greater(t, ids, seeds(2)*steps/40_000, "nodes ever made")
			}
		})
	}
}

// leastHeld makes a run and returns the least that was held in its last third:
// history of the checker, and bytes of the whole process.
func leastHeld(t *testing.T, s *simulation, steps uint64) (held int, heap uint64) {
	t.Helper()
	held, heap = 1<<62, 1<<62
	for s.stats.Steps < steps && !s.stopped() {
		s.next()
		if at := s.stats.Steps; at < steps*2/3 || at%1024 != 0 {
			continue
		}
		if now := s.check.Held(); now < held {
			held = now
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			heap = min(heap, m.HeapAlloc)
		}
	}
	require.Nil(t, s.result.Violation)
	return held, heap
}

// What is remembered of a node's configuration is what Status says, so that the
// recovery is judged by what is so.
func TestActiveIsWhatStatusSays(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= seeds(8); seed++ {
		s := newSimulation(Options{Seed: seed, Faults: All | Membership})
		for s.stats.Steps < 30_000 && !s.stopped() {
			s.next()
			for _, n := range s.nodes {
				if n == nil || !n.up || (s.stats.Steps+n.id)%4 != 0 {
					continue
				}
				st := n.Status()
				cfg, ids := n.active()
				require.True(t, cfg.Equal(st.Config), "node %d: %v is %v", n.id, cfg, st.Config)
				require.Equal(t, st.Config.IDs(), ids)
				require.Equal(t, st.ConfigIndex, n.conf.index)
				if st.RaftState == raft.StateLeader || s.stats.Steps%64 == 0 {
					require.Equal(t, st.PendingConfIndex, n.pendingConf(), "node %d", n.id)
				}
			}
		}
		require.Nil(t, s.result.Violation)
	}
}
