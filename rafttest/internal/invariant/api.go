// Package invariant is the safety of Raft as a program: it is shown everything
// that happens in a group, by somebody who knows what each disk truly holds,
// and says which rule does not hold. It knows nothing of how the group is run.
//
// The rules have the names S1 to S18 of docs/testing.md. Each looks at one state
// or at two consecutive ones, beside a history that is kept along the way: the
// leader of each term, the chain C of committed entries, the configurations.
//
// What a node says of its own disk, or of what is committed, is never taken for
// true. What cannot be seen from outside is said where it matters.
package invariant

import (
	"fmt"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Violation says which rule does not hold, at which node, and why. The same run
// gives the same text.
type Violation struct {
	Rule   string // "S1" to "S18"; "S11a" for changes that take effect on apply
	Node   uint64
	Detail string // with the values that contradict each other
}

// Error names rule, node and values.
func (v *Violation) Error() string { return fmt.Sprintf("%s at node %d: %s", v.Rule, v.Node, v.Detail) }

func (n *node) violates(rule, format string, args ...any) *Violation {
	return &Violation{Rule: rule, Node: n.id, Detail: fmt.Sprintf(format, args...)}
}

// Disk is what a node's disk holds durably: what a crash right now would leave
// at least.
type Disk interface {
	// Durable returns the durable hard state, the index before the first entry
	// (that of the snapshot, or of what was compacted), and the last index.
	Durable() (hs pb.HardState, base, last uint64)
	// DurableTerm returns the term of entry i for base ≤ i ≤ last, and whether it
	// is held.
	DurableTerm(i uint64) (uint64, bool)
}

// Options describes the group at its beginning. Bootstrap is not supported: it
// commits entries without a leader.
type Options struct {
	// Base is the last entry before the run, which every first member holds as
	// a snapshot with configuration Conf.
	Base, BaseTerm uint64
	Conf           pb.ConfState
	// OnAppend says that changes of configuration take effect when they are
	// appended (S11b in the place of S11a).
	OnAppend bool
	// Drifting says that clocks run outside Config.MaxClockDrift: lease reads
	// may be stale then (S15), and StaleLeases counts them instead.
	Drifting bool
	// Refused, if set, says that every host refuses the committed change of
	// configuration e, by applying it with node 0.
	Refused func(e *pb.Entry) bool
}

// Stats counts what happened, for statistics and to tell whether a run was
// worth anything.
type Stats struct {
	Lives, Votes, Elections uint64
	// Committed is the number of entries in C since the beginning, Confs that
	// of changes of configuration among them, JointConfs those that led into a
	// joint configuration, Impossible those that were skipped.
	Committed, Confs, JointConfs, Impossible uint64
	// Applied counts entries on all nodes, Snapshots those that were restored,
	// SnapshotsTaken those that were made.
	Applied, Snapshots, SnapshotsTaken uint64
	// Reads were answered by ReadIndex, LeaseReads by LeaseRead. StaleLeases
	// are those of either kind that a lease answered with an index of the past,
	// which only drifting clocks excuse.
	Reads, LeaseReads, StaleLeases uint64
	// Transfers counts TimeoutNow messages.
	Transfers uint64
	Targets   Targets
}

// Targets counts what became of targets in C.
type Targets struct{ Set, Reached, Aborted, Superseded uint64 }

// Node is what is looked at of a node: a *raft.RawNode, or one of another
// implementation in a group that has both.
type Node interface {
	Status() raft.Status
	BasicStatus() raft.BasicStatus
	WithProgress(f func(id uint64, p progress.Progress))
	LeaseRead() (uint64, error)
}
