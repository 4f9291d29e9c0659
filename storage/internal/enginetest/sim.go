package enginetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/sim"
)

// simulated keeps the engines of a simulated run, one for each node.
type simulated struct {
	x       *Subject
	engines map[uint64]Engine
	disks   map[uint64]Disk
	opened  int
}

func (s *simulated) open(id uint64, created bool) (rafttest.Storage, error) {
	if e := s.engines[id]; e != nil {
		if err := e.Close(); err != nil {
			return nil, err
		}
	}
	if created {
		s.disks[id] = s.x.NewDisk()
	}
	e, err := s.x.Open(Dir, s.disks[id], Options{ClusterID: 9, NodeID: id})
	if err != nil {
		return nil, err
	}
	s.engines[id] = e
	s.opened++
	return e.Group(1)
}

// Whole groups on this storage survive all faults of the simulator, in which it
// runs beside a simulated disk that it has to agree with at every start.
func testSimulation(t *testing.T, x *Subject) {
	t.Parallel()
	opened := 0
	for seed := range uint64(x.Scaled(x.Simulations)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := &simulated{x: x, engines: map[uint64]Engine{}, disks: map[uint64]Disk{}}
			r := sim.Run(sim.Options{Seed: seed, Steps: 8000, Faults: sim.All, OpenStorage: s.open})
			for _, e := range s.engines {
				require.NoError(t, e.Close())
			}
			if r.Violation != nil {
				t.Fatal(r.Violation)
			}
			opened += s.opened
		})
	}
	require.Greater(t, opened, 5)
}
