package sim

import (
	"github.com/quorate-raft/raft"
)

// Virtual time is in microseconds.
const (
	millisecond = 1000
	tickLength  = 10 * millisecond
)

// settings are what a seed draws for the whole run, so that runs differ in kind
// and not only in order.
type settings struct {
	nodes int
	// electionTick and the rest are those of raft.Config.
	electionTick, heartbeatTick int
	maxSizePerMsg               uint64
	maxCommittedSize            uint64
	maxUncommitted              uint64
	maxInflight                 int
	maxInflightBytes            uint64
	snapshotTicks               int
	catchUpRounds               int // 0 for the default
	disablePreVote              bool
	disableCheckQuorum          bool
	disableForwarding           bool
	lease                       bool
	sleepAfter                  int // 0 for never
	lazyClocks                  bool
	mixed                       bool // nodes differ, and change when they restart

	faults Faults

	// The network: delays of a message, and how many of 1000 are lost, sent
	// twice, or held up far longer.
	delayMin, delayMax    int64
	loss, twice, straggle int
	inOrder               bool // links keep the order, as a stream does
	linkLimit             int  // messages under way on one link; more are refused
	reportLoss            int  // how many of 1000 lost messages the transport notices
	// reportSnapshots says of how many of 1000 snapshots the transport tells how they
	// fared; loseSnapshotAcks, that the first acknowledgement of each gets lost.
	reportSnapshots  int
	loseSnapshotAcks bool

	// Disks: time for a write, and how many of 1000 take much longer.
	writeMin, writeMax int64
	slowWrites         int

	// Hosts.
	overlap    int // Readys under way at once
	applyMax   int64
	ackDelay   int64
	durableApp bool // state machines survive a crash as they are
	pumpDelay  int64

	// Snapshots and compaction: entries between two, entries kept.
	snapshotEvery, keepEntries uint64

	// Clients.
	clients   int
	think     int64 // between a client's operations
	readShare int   // how many of 1000 operations are reads

	// Faults that are planned: their distance in time, how often each comes, and
	// before how many of 1000 there is a calm phase in which things take effect.
	planMin, planMax int64
	weights          [numFaults]int
	calm             int
	// skew is by how many of 1000 clocks differ at most.
	skew int64
}

func drawSettings(o *Options) settings {
	r := newRandom(o.Seed, streamSettings)
	s := settings{
		nodes:        3,
		electionTick: pick(r, 10, 10, 5, 8, 20), heartbeatTick: pick(r, 1, 1, 2, 3),
		maxSizePerMsg:    pick[uint64](r, 1<<20, 1<<20, 400, 100, 1),
		maxCommittedSize: pick[uint64](r, 1<<20, 1<<20, 200, 1),
		maxUncommitted:   pick[uint64](r, 0, 0, 0, 500),
		maxInflight:      pick(r, 256, 256, 16, 2, 1),
		delayMin:         r.spread(20, 2*millisecond), writeMin: r.spread(5, millisecond),
		overlap: 1, snapshotEvery: 400, keepEntries: 50,
		clients: 2 + r.below(5), think: r.spread(500, 20*millisecond), readShare: pick(r, 100, 300, 600),
		pumpDelay: pick[int64](r, 0, 0, 50, 500),
		linkLimit: 256,
	}
	if o.Nodes > 0 {
		s.nodes = o.Nodes
	} else {
		s.nodes = pick(r, 3, 3, 3, 3, 5, 5, 4, 2, 1, 7)
	}
	s.delayMax = s.delayMin + r.spread(20, 5*millisecond)
	s.writeMax = s.writeMin + r.spread(5, 2*millisecond)
	if s.maxInflightBytes = pick[uint64](r, 0, 0, 1<<21); s.maxSizePerMsg < 1000 {
		s.maxInflightBytes = pick[uint64](r, 0, 0, 1000)
	}
	s.snapshotTicks = pick(r, 2*s.electionTick, 5*s.electionTick, 20*s.electionTick)
	s.drawFaults(r, o)
	return s
}

// drawFaults decides which of the faults the run has, and how many.
func (s *settings) drawFaults(r *random, o *Options) {
	allowed := o.Faults &^ (Hostile | Targets)
	for one := Faults(1); one < Hostile; one <<= 1 { // these two have streams of their own
		// Alone it is always there; among others a part of them is.
		if drawn := r.chance(650); allowed.has(one) && (drawn || allowed == one) {
			s.faults |= one
		}
	}
	quiet := r.chance(100)
	network := newRandom(r.Uint64(), 1)
	if s.faults.has(Network) && !quiet {
		rates := []int{0, 1, 10, 50, 200}
		s.loss, s.twice, s.straggle = pick(network, rates...), pick(network, rates...), pick(network, rates...)
		s.inOrder = network.chance(300)
		s.delayMax = s.delayMin + network.spread(20, 3*tickLength)
		s.linkLimit = pick(network, 256, 32, 4)
		s.reportLoss = pick(network, 0, 100, 1000)
	}
	host := newRandom(r.Uint64(), 2)
	if s.faults.has(Host) {
		s.overlap = pick(host, 2, 3, 8)
		s.applyMax = host.spread(1, 20*millisecond)
		s.ackDelay = pick(host, 0, 0, host.spread(1, 10*millisecond))
		s.writeMax = s.writeMin + host.spread(5, 2*tickLength)
	}
	s.durableApp = host.chance(500)
	disk := newRandom(r.Uint64(), 3)
	if s.faults.has(Disk) {
		s.slowWrites = pick(disk, 0, 5, 30)
	}
	clock := newRandom(r.Uint64(), 4)
	if s.faults.has(Clock) {
		// Two clocks may differ by MaxClockDrift, one tick, in an election timeout.
		s.skew = clock.between(0, 400/int64(s.electionTick))
	}
	if s.faults.has(Drift) {
		s.skew = 900
	}
	snapshot := newRandom(r.Uint64(), 5)
	if s.faults.has(Snapshot) {
		s.snapshotEvery = uint64(snapshot.spread(1, 100))
		s.keepEntries = uint64(snapshot.below(20))
	}
	config := newRandom(r.Uint64(), 6)
	s.lease = s.faults.has(Lease) || s.faults.has(Drift)
	if s.lease {
		// A lease has to outlast a heartbeat.
		s.electionTick, s.heartbeatTick = max(s.electionTick, 8), 1
	} else {
		s.disablePreVote = config.chance(250)
		s.disableCheckQuorum = config.chance(200)
		s.mixed = config.chance(250)
	}
	s.disableForwarding = config.chance(150)
	s.reportSnapshots = pick(config, 0, 700, 700, 1000) // a host need not
	if s.faults.has(Snapshot) && config.chance(250) {
		s.reportSnapshots, s.loseSnapshotAcks = 0, true
	}
	if o.NewForeign != nil {
		s.reportSnapshots, s.loseSnapshotAcks = 1000, false
	}
	plan := newRandom(r.Uint64(), 7)
	s.planMin = plan.spread(2*millisecond, 30*tickLength)
	s.planMax = s.planMin + plan.spread(2*millisecond, 30*tickLength)
	s.calm = pick(plan, 0, 0, 20, 100)
	for i := range s.weights {
		s.weights[i] = faults[i].weight * pick(plan, 0, 1, 1, 1, 4)
		if faults[i].name == cleanUp {
			s.weights[i] = max(s.weights[i], faults[i].weight)
		}
	}
	s.drawTargets(o)
	s.drawSleep(o)
	if quiet {
		s.planMin, s.planMax = 100*tickLength, 300*tickLength
	}
}

// config returns a node's configuration for a life that begins now.
func (s *settings) config(r *random) raft.Config {
	c := raft.Config{
		ElectionTick: s.electionTick, HeartbeatTick: s.heartbeatTick,
		MaxSizePerMsg: s.maxSizePerMsg, MaxCommittedSizePerReady: s.maxCommittedSize,
		MaxUncommittedSize: s.maxUncommitted, MaxInflightMsgs: s.maxInflight, MaxInflightBytes: s.maxInflightBytes,
		SnapshotTicks: s.snapshotTicks, MaxCatchUpRounds: s.catchUpRounds,
		DisablePreVote: s.disablePreVote, DisableCheckQuorum: s.disableCheckQuorum,
		DisableProposalForwarding: s.disableForwarding,
		SleepAfter:                s.sleepAfter,
		Rand:                      newRandom(r.Uint64(), streamNode),
	}
	if s.lease {
		c.ReadOnlyOption = raft.ReadOnlyLeaseBased
	}
	if s.mixed {
		c.DisablePreVote, c.DisableCheckQuorum = r.chance(300), r.chance(300)
		c.MaxInflightMsgs = pick(r, 256, 2)
		c.MaxSizePerMsg = pick[uint64](r, 1<<20, 100)
		c.MaxInflightBytes = 0
	}
	return c
}

// The streams of random numbers of a run.
const (
	streamSettings = iota
	streamNetwork
	streamDisk
	streamHost
	streamClient
	streamStart
	streamNode
	streamOperator
	streamHeal
	streamPlan // the last: each planned fault has one of its own
)
