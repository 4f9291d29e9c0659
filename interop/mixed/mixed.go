// Package mixed runs groups that have nodes of this library and of
// go.etcd.io/raft/v3, in the simulator of rafttest/sim.
package mixed

import (
	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest/sim"
)

// Faults are those that such a group is given.
const Faults = sim.Network | sim.Crash | sim.Clock | sim.Host | sim.Snapshot | sim.Transfer | sim.Membership

// Options returns the run of a seed.
func Options(seed uint64) sim.Options {
	return sim.Options{
		Seed: seed, Steps: 10_000, Nodes: [...]int{3, 3, 5, 7}[seed%4], Faults: Faults,
		NewForeign: func(c *ours.Config) (sim.Foreign, error) {
			switch c.Rand.Uint64() >> 32 % 4 {
			case 0:
				return newNode(c, false)
			case 1:
				return newNode(c, true)
			}
			return nil, nil
		},
	}
}
