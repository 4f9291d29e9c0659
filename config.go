package raft

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/internal/hook"
	pb "github.com/quorate-raft/raft/raftpb"
)

// None is the ID of no node: no leader, no vote.
const None uint64 = 0

// ReadOnlyOption says how ReadIndex is answered.
type ReadOnlyOption uint8

const (
	// ReadOnlySafe confirms leadership with a quorum for every batch of reads
	// (dissertation §6.4). It depends on no clock. The default.
	ReadOnlySafe ReadOnlyOption = iota
	// ReadOnlyLeaseBased answers at once while the leader holds a lease
	// (dissertation §6.4.1), and falls back to ReadOnlySafe while it does
	// not. It needs CheckQuorum, is only as safe as Config.MaxClockDrift is
	// true, and works once every voter has this setting. A voter with it
	// refuses votes, and does not campaign, for an election timeout after a
	// restart; one that is to run without this setting or with a shorter
	// ElectionTick from now on must stay down for that long first.
	ReadOnlyLeaseBased
	// ReadOnlyLeaseOnDemand answers ReadIndex as ReadOnlySafe does, and keeps a
	// lease as ReadOnlyLeaseBased does, with all that this needs: only
	// RawNode.LeaseRead, which a caller asks by name, then rests on clocks.
	ReadOnlyLeaseOnDemand
)

// ConfChangeEffect says from when on a change of membership is in effect.
type ConfChangeEffect = pb.ConfChangeEffect

const (
	// OnApply: a change is in effect on a node when its host applies the
	// committed entry, with ApplyConfChange. It is committed by the
	// configuration before. The default, and what etcd's raft does.
	OnApply = pb.ConfChangeOnApply
	// OnAppend: the newest configuration in a node's log is in effect from the
	// moment it is there, committed or not, and goes again when its entry is
	// replaced (dissertation §4.1). A change is committed by the configuration
	// that it makes, so a group of two can remove its dead member.
	OnAppend = pb.ConfChangeOnAppend
)

// Rand is the source of randomness of a node, used for election timeouts and
// for the node's instance number. Any math/rand/v2 Source is one. It is called
// from the goroutine that drives the node.
type Rand interface {
	Uint64() uint64
}

// Config describes one node. Zero fields mean the default that is named with
// each. Durations are in ticks: the host decides how long a tick is.
type Config struct {
	// ID is this node's identity, unique in the group and never used again
	// after the node was removed. It cannot be 0. Sessions keep answers of a
	// former life from the leader (ErrStaleSession), not votes from being cast twice.
	ID uint64

	// ElectionTick is the election timeout in ticks: a follower that hears
	// nothing campaigns after a random time in [ElectionTick, 2·ElectionTick)
	// (Raft §5.2). It must exceed HeartbeatTick; ten times is usual.
	// Default 10.
	ElectionTick int
	// HeartbeatTick is the number of ticks between heartbeats. Default 1.
	HeartbeatTick int

	// SleepAfter is for how many ticks nothing must be asked of a leader before it puts
	// the group to sleep: without ticks, heartbeats and timers, until the first message or
	// request. It takes all members, learners too, to have it set, whatever the number;
	// see docs/host-contract.md for what their hosts owe a group that sleeps. Default 0: never.
	SleepAfter int

	// Storage holds what the node has persisted. Required.
	Storage Storage
	// Applied is the last index that the state machine holds after a
	// restart. The node hands out committed entries from Applied+1 on.
	// Default: the index of the snapshot in Storage.
	Applied uint64

	// MaxSizePerMsg bounds the bytes of entries in one append message; one
	// entry always fits. Default 1 MiB.
	MaxSizePerMsg uint64
	// MaxCommittedSizePerReady bounds the bytes of committed entries in one
	// Ready; one entry always fits. Default MaxSizePerMsg.
	MaxCommittedSizePerReady uint64
	// MaxApplyingSize bounds the bytes of committed entries that are handed out
	// and that AckApply does not cover yet, for a host that applies apart from
	// the node: past it no more are handed out. One entry always fits.
	// Default: no bound.
	MaxApplyingSize uint64
	// MaxUncommittedSize bounds the payload bytes that a leader accepts
	// before they are committed and handed out; past it proposals get
	// ErrUncommittedFull. An entry without payload, and a first one of any
	// size, always pass. Default: no bound.
	MaxUncommittedSize uint64
	// MaxInflightMsgs bounds the append messages on their way to one peer.
	// Default 256.
	MaxInflightMsgs int
	// MaxInflightBytes bounds the bytes of entries on their way to one peer.
	// It must be at least MaxSizePerMsg. Default: no bound.
	MaxInflightBytes uint64
	// MaxPendingReads bounds the reads that wait for an answer on this node.
	// Default 65536.
	MaxPendingReads int
	// SnapshotTicks is for how long the leader waits for ReportSnapshot or
	// the peer's own answer after it handed out a snapshot. Then it takes
	// the snapshot for lost and probes the peer again, which may send
	// another. Default 100·ElectionTick.
	SnapshotTicks int

	// MaxCatchUpRounds is how many rounds of an election timeout or longer a server
	// gets that a membership target makes a voter, before the target is given up
	// (dissertation §4.2.1). A single round may last SnapshotTicks. It is also for how
	// many election timeouts the change of voters waits for a majority of the new ones to
	// answer. Default 10.
	MaxCatchUpRounds int

	// DisablePreVote turns off the round of pre-votes before an election
	// (dissertation §9.6), without which a node that was cut off deposes a
	// healthy leader when it returns.
	DisablePreVote bool
	// DisableCheckQuorum turns off that a leader that does not hear from a
	// quorum for an election timeout steps down, and that this node refuses
	// votes within an election timeout of hearing from a leader
	// (dissertation §6.2, §4.2.3).
	DisableCheckQuorum bool
	// DisableStallCheck turns off that a leader hands over and steps down when
	// its own writes stay unacknowledged for an election timeout while others
	// could lead (two, if its successor has to be brought up to date).
	DisableStallCheck bool
	// DisableProposalForwarding makes a follower refuse proposals instead of
	// forwarding them to the leader.
	DisableProposalForwarding bool
	// ConfChangeEffect says from when on a change of membership is in effect.
	// All members of a group must have the same, for ever: others are not listened to
	// (ErrConfChangeEffect). A node does not start with OnApply on what OnAppend has
	// written. Default OnApply.
	ConfChangeEffect ConfChangeEffect
	// StayAfterRemoval keeps a leader that was removed or demoted in office
	// instead of letting it hand over and step down. For experts.
	StayAfterRemoval bool

	// ReadOnlyOption says how ReadIndex is answered. Default ReadOnlySafe.
	ReadOnlyOption ReadOnlyOption
	// MaxClockDrift bounds, in ticks per election timeout, how much faster a
	// leader's peers may count ticks than the leader. It shortens the lease.
	// Default 1. Only where there are leases.
	MaxClockDrift int

	// Rand is where election timeouts and the number of this instance come
	// from. For runs that can be repeated give each node, at each start, a
	// source with a seed of its own: an instance must not draw the numbers of
	// an earlier one. Default: the runtime's random numbers.
	Rand Rand
	// Logger takes the few lines that a node logs: changes of role and
	// configuration, refused input. Default: nothing is logged.
	Logger *zap.Logger

	watch hook.Host[Ready, AppendToken, Storage]
}

// Watch shows h what nodes made from c hand out and what their host answers. It
// is for package rafttest alone, whose CheckHost rests on it.
func Watch(c *Config, h hook.Host[Ready, AppendToken, Storage]) { c.watch = h }

// withDefaults returns a copy with every zero field that has a default filled.
func (c Config) withDefaults() Config {
	setDefault(&c.ElectionTick, 10)
	setDefault(&c.HeartbeatTick, 1)
	setDefault(&c.MaxSizePerMsg, 1<<20)
	setDefault(&c.MaxCommittedSizePerReady, c.MaxSizePerMsg)
	setDefault(&c.MaxUncommittedSize, math.MaxUint64)
	setDefault(&c.MaxApplyingSize, math.MaxUint64)
	setDefault(&c.MaxInflightMsgs, 256)
	setDefault(&c.MaxPendingReads, 1<<16)
	setDefault(&c.MaxCatchUpRounds, 10)
	setDefault(&c.MaxClockDrift, 1)
	if c.ElectionTick > 0 {
		setDefault(&c.SnapshotTicks, min(100*c.ElectionTick, maxTicks))
	}
	if c.Rand == nil {
		c.Rand = globalRand{}
	}
	if c.Logger == nil {
		c.Logger = silent
	}
	return c
}

// silent is the logger of all nodes that were given none: one for each would be a
// twentieth of an idle node.
var silent = zap.NewNop()

func setDefault[T int | uint64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// globalRand draws from the runtime's generator, which is seeded at random and
// safe for concurrent use.
type globalRand struct{}

func (globalRand) Uint64() uint64 { return rand.Uint64() }

// maxTicks bounds every setting in ticks, so that counters never overflow.
const maxTicks = 1 << 30

// Validate reports every fault of c at once, joined; each names the value and
// its bound. It matches ErrInvalidConfig. It changes nothing: defaults are
// filled on a copy first.
func (c *Config) Validate() error {
	if c == nil {
		return fmt.Errorf("%w: nil Config", ErrInvalidConfig)
	}
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	d := c.withDefaults()
	fault(d.ID == None, "ID must not be 0")
	fault(d.Storage == nil, "Storage must be set")
	fault(d.HeartbeatTick < 1, "HeartbeatTick (%d) must be at least 1", d.HeartbeatTick)
	fault(d.ElectionTick <= d.HeartbeatTick, "ElectionTick (%d) must exceed HeartbeatTick (%d)", d.ElectionTick, d.HeartbeatTick)
	fault(d.ElectionTick > maxTicks, "ElectionTick (%d) must be at most %d", d.ElectionTick, maxTicks)
	fault(d.SleepAfter < 0 || d.SleepAfter > maxTicks, "SleepAfter (%d) must be between 0 and %d", d.SleepAfter, maxTicks)
	fault(d.MaxInflightMsgs < 1, "MaxInflightMsgs (%d) must be at least 1", d.MaxInflightMsgs)
	fault(d.MaxInflightBytes != 0 && d.MaxInflightBytes < d.MaxSizePerMsg,
		"MaxInflightBytes (%d) must be at least MaxSizePerMsg (%d)", d.MaxInflightBytes, d.MaxSizePerMsg)
	fault(d.MaxPendingReads < 1, "MaxPendingReads (%d) must be at least 1", d.MaxPendingReads)
	fault(d.MaxCatchUpRounds < 1, "MaxCatchUpRounds (%d) must be at least 1", d.MaxCatchUpRounds)
	fault(c.SnapshotTicks < 0 || d.SnapshotTicks > maxTicks, "SnapshotTicks (%d) must be between 1 and %d", d.SnapshotTicks, maxTicks)
	fault(d.MaxClockDrift < 0, "MaxClockDrift (%d) must not be negative", d.MaxClockDrift)
	fault(d.ConfChangeEffect != OnApply && d.ConfChangeEffect != OnAppend, "ConfChangeEffect (%d) is unknown", d.ConfChangeEffect)
	switch d.ReadOnlyOption {
	case ReadOnlySafe:
	case ReadOnlyLeaseBased, ReadOnlyLeaseOnDemand:
		fault(d.DisableCheckQuorum, "a lease needs CheckQuorum, which DisableCheckQuorum turns off")
		fault(d.leaseTicks() <= d.HeartbeatTick,
			"a lease of ElectionTick (%d) less MaxClockDrift (%d) less %d must exceed HeartbeatTick (%d)",
			d.ElectionTick, d.MaxClockDrift, leaseSlack, d.HeartbeatTick)
	default:
		fault(true, "ReadOnlyOption (%d) is unknown", d.ReadOnlyOption)
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalidConfig, errors.Join(faults...))
}

// leaseSlack is what counting in whole ticks costs a lease: the voter's first
// tick may follow the heartbeat at once, and the leader's current tick may be
// almost over.
const leaseSlack = 2

func (c *Config) leaseTicks() int { return c.ElectionTick - c.MaxClockDrift - leaseSlack }
