package replica

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Config describes a replica. Zero fields mean the default that is named with each.
type Config struct {
	// ID is the member's identity in the group. Required.
	ID uint64
	// Storage, Transport and StateMachine are the replica's from Start on: it
	// closes the Transport when it stops, and leaves the others to the caller.
	// Required.
	Storage      Storage
	Transport    Transport
	StateMachine StateMachine
	// SnapshotDir is a directory of the replica's own, for snapshots that are
	// received and, unless the StateMachine is Durable, those that are taken. It
	// is made if it does not exist. Required.
	SnapshotDir string

	// Bootstrap are the first members of a new group, their Context being their
	// address. It counts at the very first start of each of them, when Storage is
	// empty. A server that joins a group that exists has none.
	Bootstrap []raft.Peer
	// Peers are addresses of members for a server that is not told of them by
	// the configuration yet, as one that joins. The configuration goes before.
	Peers map[uint64]string

	// Raft holds the other settings of the node. ID, Storage, Applied and Logger
	// are set by the replica. SleepAfter must be 0: replicas exchange no sign of life, which groups
	// that sleep need. SnapshotTicks defaults to no limit, since the replica
	// reports how sending a snapshot ended; MaxApplyingSize and MaxInflightBytes to
	// 64 MiB (the latter to MaxSizePerMsg if that is more); MaxUncommittedSize to 512 MiB.
	Raft raft.Config
	// TickInterval is how long a tick is. Default 100 ms.
	TickInterval time.Duration

	// MaxPending and MaxPendingBytes bound proposals and reads that wait for an
	// outcome here; past them there is ErrOverloaded. Default 65536 and 256 MiB.
	MaxPending      int
	MaxPendingBytes uint64
	// MaxProposalBytes bounds the entry of one proposal: the command and its header
	// of 20 bytes. An entry that the Transport cannot carry would hold up the
	// group for ever, so it must leave room below what that takes in one message,
	// and be the same on all members. Default 32 MiB.
	MaxProposalBytes uint64
	// MaxInbox bounds messages that arrived and wait for the loop; past it they
	// are dropped, as a network would. Default 8192.
	MaxInbox int

	// SnapshotEntries and SnapshotBytes say after how many applied entries, or
	// bytes of them, the log is compacted, whichever comes first. Unless the
	// StateMachine is Durable a snapshot is written for that. Default 100,000
	// and 256 MiB.
	SnapshotEntries uint64
	SnapshotBytes   uint64
	// TrailingEntries is how many entries a compaction leaves, for members that
	// are a little behind. A snapshot whose way to a member takes longer than so many
	// entries take to come is followed by another, so it should be as many as come
	// in that time. Default 10,000.
	TrailingEntries uint64
	// MaxSnapshotSends bounds the snapshots that are sent at the same time.
	// Default 2.
	MaxSnapshotSends int

	// HandOverOnStop makes Stop hand leadership to another voter first.
	HandOverOnStop bool
	// StopWhenRemoved makes the replica stop with a RemovedError once it is sure that it was
	// removed from the group: it has applied that itself, has handed over if it was the
	// leader, and two election timeouts have passed; or members say so. Default: there
	// are the event Removed and Status.Removal, and the host stops it.
	StopWhenRemoved bool
	// RemovalWords is how many members have to say that this one was removed until it
	// is sure without having applied it. One may be wrong, or lie. More than there are
	// make sure of nothing. Default: a majority of the voters, who could have removed it
	// as well, or all others where they are fewer, as in a group of two.
	RemovalWords int
	// Logger takes what is worth a line. Default: nothing is logged.
	Logger *zap.Logger

	hooks hooks
}

// hooks are for the package's own tests.
type hooks struct {
	manualTicks bool // ticks come from the test alone
	noTrailing  bool // compactions leave nothing
	overlaps    int  // Readys that may be written at the same time
	// applied is told of each entry, restored of each received snapshot, when it is
	// done; served of each answer to a read, also to one that the test asked.
	applied  func(e pb.Entry)
	restored func(meta pb.SnapshotMetadata)
	served   func(rs raft.ReadState)
}

func (c Config) withDefaults() Config {
	setDefault(&c.TickInterval, 100*time.Millisecond)
	setDefault(&c.MaxPending, 1<<16)
	setDefault(&c.MaxPendingBytes, 256<<20)
	setDefault(&c.MaxProposalBytes, 32<<20)
	setDefault(&c.MaxInbox, 8192)
	setDefault(&c.SnapshotEntries, 100_000)
	setDefault(&c.SnapshotBytes, 256<<20)
	setDefault(&c.TrailingEntries, 10_000)
	setDefault(&c.MaxSnapshotSends, 2)
	setDefault(&c.Raft.SnapshotTicks, 1<<30)
	setDefault(&c.Raft.MaxApplyingSize, 64<<20)
	setDefault(&c.Raft.MaxInflightBytes, max(64<<20, c.Raft.MaxSizePerMsg))
	setDefault(&c.Raft.MaxUncommittedSize, 512<<20)
	setDefault(&c.hooks.overlaps, 8)
	if c.hooks.noTrailing {
		c.TrailingEntries = 0
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	c.Raft.ID = c.ID
	c.Raft.Logger = c.Logger
	return c
}

func setDefault[T int | uint64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Validate reports every fault of c, joined. It matches ErrInvalidConfig and
// changes nothing.
func (c *Config) Validate() error {
	d := c.withDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Storage == nil, "Storage must be set")
	fault(c.Transport == nil, "Transport must be set")
	fault(c.StateMachine == nil, "StateMachine must be set")
	fault(c.SnapshotDir == "", "SnapshotDir must be set")
	fault(d.TickInterval < 0, "TickInterval (%v) must be positive", d.TickInterval)
	fault(d.MaxPending < 1, "MaxPending (%d) must be at least 1", d.MaxPending)
	fault(d.MaxProposalBytes <= headerSize, "MaxProposalBytes (%d) must exceed the header of %d", d.MaxProposalBytes, headerSize)
	fault(d.MaxInbox < 1, "MaxInbox (%d) must be at least 1", d.MaxInbox)
	fault(d.MaxSnapshotSends < 1, "MaxSnapshotSends (%d) must be at least 1", d.MaxSnapshotSends)
	fault(d.RemovalWords < 0, "RemovalWords (%d) must not be negative", d.RemovalWords)
	fault(c.Raft.ID != 0 && c.Raft.ID != c.ID, "Raft.ID (%d) must be ID (%d) or left out", c.Raft.ID, c.ID)
	fault(c.Raft.Storage != nil, "Raft.Storage must be left out: Storage is used")
	fault(c.Raft.Applied != 0, "Raft.Applied (%d) must be left out: the StateMachine says it", c.Raft.Applied)
	fault(c.Raft.SleepAfter != 0, "Raft.SleepAfter (%d) must be left out: a Replica exchanges no sign of life, so nobody would notice that "+
		"the leader of a sleeping group is gone", c.Raft.SleepAfter)
	r := d.Raft
	r.Storage = c.Storage
	if c.Storage != nil {
		if err := r.Validate(); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalidConfig, errors.Join(faults...))
}
