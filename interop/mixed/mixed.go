// Package mixed runs groups of nodes of this library and of go.etcd.io/raft/v3
// together, in the simulator of rafttest/sim: the same network, crashes, disks,
// clients and changes of membership, and the same judge of safety.
//
// Each life of a node is this library's or etcd's, with synchronous or asynchronous
// writes of its host, as the seed draws it; so every restart may be a migration or
// a way back, on the files of before. Each seed has its settings of PreVote and
// CheckQuorum, and in a part of them each life has its own.
//
// # What is judged
//
// All safety invariants, for nodes of both kinds, and that the clients' history is
// linearizable. invariant.StartForeign lists what only this library promises, and
// is asked of its own nodes alone.
//
// That a group recovers is not demanded of each run, only of nearly all: a group
// that has lives of etcd's may lock up for good. See Stalls.
//
// # A careful host
//
// What etcd's raft has been found to do wrong is kept away from these runs, each by
// a rule of the host or network, and has a test of its own here or in
// interop/differential: a forwarded read must not arrive twice; a change of
// configuration that was handed out must not be applied any more once a newer
// snapshot has come; the log must not be compacted past what Advance has told; the
// only voter must not be asked for reads before it has committed in its term. A
// change that would panic when it is applied is not proposed. All hosts take a
// snapshot after every change, since etcd's nodes restore none that lacks them, and
// report on every snapshot that they send.
//
// Not in these runs: contexts of members, leases, and removed leaders that go for good
// because they handed over, which etcd's nodes may forget in a crash. An answer to a
// read of an earlier life as etcd's may be refused as corrupt.
package mixed

import (
	"github.com/quorate-raft/raft/rafttest/sim"

	ours "github.com/quorate-raft/raft"
)

// Faults are those that such a group is given.
const Faults = sim.Network | sim.Crash | sim.Clock | sim.Host | sim.Snapshot | sim.Transfer | sim.Membership

// Kind is what a node is in one of its lives.
type Kind int

// The kinds.
const (
	Ours Kind = iota
	// TheirsSync is etcd's with a host that writes, sends, applies and calls
	// Advance; TheirsAsync etcd's with AsyncStorageWrites.
	TheirsSync
	TheirsAsync
)

// String names the kind.
func (k Kind) String() string {
	return [...]string{"ours", "etcd's", "etcd's, writing asynchronously"}[k]
}

// Options returns the run of a seed. onLife, if not nil, hears of each life before
// it begins.
func Options(seed uint64, onLife func(c *ours.Config, k Kind)) sim.Options {
	return sim.Options{
		Seed: seed, Steps: 10_000, Nodes: [...]int{3, 3, 5, 7}[seed%4], Faults: Faults,
		NewForeign: func(c *ours.Config) (sim.Foreign, error) {
			k := [...]Kind{Ours, Ours, TheirsSync, TheirsAsync}[c.Rand.Uint64()%4]
			if onLife != nil {
				onLife(c, k)
			}
			if k == Ours {
				return nil, nil
			}
			return newNode(c, k == TheirsAsync)
		},
	}
}

// Stalls is how many of 1000 runs may fail to recover (L1), or to bring a member up
// to date (L2). All that were looked at had one of these reasons, for which etcd's
// part is in docs/differences.md:
//
//   - a removed leader, etcd's or one of ours that nobody answered, stepped down
//     before those who remain knew, and one of them that is etcd's asks it for its
//     vote in vain (removed-hands-over, vote-names-commit);
//   - a node of etcd's that has PreVote and CheckQuorum off where others have them on
//     is alone in a newer term and tells nobody of it (stale-answered);
//   - a member of etcd's ignores the snapshot that a leader has, since it lacks the
//     member (snapshot-without-self).
const Stalls = 20

// stalls are the rules that such runs violate.
var stalls = map[string]bool{"L1": true, "L2": true}
