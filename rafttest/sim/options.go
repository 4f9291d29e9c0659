package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// Options says which run to make. The same options give the same run, byte for
// byte, on every machine.
type Options struct {
	// Seed draws everything that is not said below.
	Seed uint64
	// Steps is how many steps the run has before everything is healed and the
	// group has to recover, which takes some more. A step is one thing that
	// happens: a tick, a message that arrives, a part of a host's loop, a
	// client's action, a fault. Default 20,000.
	Steps uint64
	// Nodes is how many members the group begins with, 1 to 7. Default: drawn
	// from the seed, most often 3.
	Nodes int
	// Faults are what the run may draw from.
	Faults Faults
	// ConfChangeEffect is that of all nodes.
	ConfChangeEffect raft.ConfChangeEffect
	// Skip leaves out planned faults, by their number, without changing the
	// others.
	Skip Spans
	// Observer, if set, is shown what happens. It must not keep the event.
	Observer func(*trace.Event)

	// Configure, if set, changes a node's Config before each of its lives. ID,
	// Storage, Applied and Rand are not to be changed.
	Configure func(id uint64, c *raft.Config)
	// OpenStorage, if set, opens the storage of a node, at each of its lives:
	// first with created set, to be made empty, later as a crash left it, which
	// must be all that was saved. A simulated disk runs beside it, and the two
	// have to agree at every start.
	OpenStorage func(id uint64, created bool) (rafttest.Storage, error)
	// NewMachine, if set, makes an empty state machine for each life of a node.
	// Commands makes what is proposed for it, from a random number. Replicas
	// that answer differently violate S5.
	NewMachine func(id uint64) StateMachine
	Commands   func(random uint64) []byte
	// NewTransport, if set, makes the transport of a node at each of its lives:
	// messages pass the simulated network as the frames that it makes of them.
	NewTransport func(id uint64) Transport
	// NewForeign, if set, makes the node of a life from its Config, or returns
	// nil to leave it to this library: a group of several implementations.
	// Members have no contexts then, and hosts report on every snapshot. Faults
	// must be none of Disk, Drift, Lease, Hostile, which other implementations do
	// not claim to bear in the same way.
	NewForeign func(c *raft.Config) (Foreign, error)
}

// bearableByForeign are the faults that a group with foreign nodes is given.
const bearableByForeign = Network | Crash | Clock | Host | Snapshot | Transfer | Membership

// StateMachine is an embedder's state machine.
type StateMachine interface {
	// Apply applies the command of the entry at index and returns its result.
	Apply(index uint64, command []byte) []byte
	// Snapshot returns the whole state, Restore replaces it.
	Snapshot() []byte
	Restore(snapshot []byte) error
}

// Spans is a set of numbers, as ranges in order that neither touch nor overlap.
type Spans []Span

// Span is the numbers First to Last.
type Span struct{ First, Last uint64 }

// Contains reports whether n is in the set.
func (s Spans) Contains(n uint64) bool {
	for _, span := range s {
		if n >= span.First && n <= span.Last {
			return true
		}
	}
	return false
}

// SpansOf returns the set of the given numbers.
func SpansOf(numbers []uint64) Spans {
	numbers = slices.Compact(slices.Sorted(slices.Values(numbers)))
	var s Spans
	for _, n := range numbers {
		if k := len(s); k > 0 && s[k-1].Last+1 == n {
			s[k-1].Last = n
			continue
		}
		s = append(s, Span{n, n})
	}
	return s
}

// String prints the set as ParseSpans reads it: 1-4,7.
func (s Spans) String() string {
	var parts []string
	for _, span := range s {
		if span.First == span.Last {
			parts = append(parts, strconv.FormatUint(span.First, 10))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", span.First, span.Last))
		}
	}
	return strings.Join(parts, ",")
}

// ParseSpans reads a set of numbers, such as 1-4,7.
func ParseSpans(text string) (Spans, error) {
	if text == "" {
		return nil, nil
	}
	var s Spans
	for _, part := range strings.Split(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("span %q: %w", part, err)
		}
		last, err := strconv.ParseUint(to, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("span %q: %w", part, err)
		}
		if last < first || (len(s) > 0 && first <= s[len(s)-1].Last) {
			return nil, fmt.Errorf("span %q is out of order", part)
		}
		if k := len(s); k > 0 && first == s[k-1].Last+1 {
			s[k-1].Last = last
			continue
		}
		s = append(s, Span{first, last})
	}
	return s, nil
}

// Validate says all that is wrong with the options, each with its value.
func (o *Options) Validate() error {
	var errs []error
	if o.Nodes < 0 || o.Nodes > maxFirst {
		errs = append(errs, fmt.Errorf("sim: Nodes (%d) must be between 1 and %d, or 0 to draw it", o.Nodes, maxFirst))
	}
	if unknown := o.Faults &^ (All | Drift); unknown != 0 {
		errs = append(errs, fmt.Errorf("sim: unknown faults %#x", uint32(unknown)))
	}
	if o.ConfChangeEffect != raft.OnApply && o.ConfChangeEffect != raft.OnAppend {
		errs = append(errs, fmt.Errorf("sim: unknown ConfChangeEffect %d", o.ConfChangeEffect))
	}
	for i, span := range o.Skip {
		if span.Last < span.First || (i > 0 && span.First <= o.Skip[i-1].Last) {
			errs = append(errs, fmt.Errorf("sim: Skip (%v) is out of order", o.Skip))
			break
		}
	}
	if (o.NewMachine == nil) != (o.Commands == nil) {
		errs = append(errs, errors.New("sim: NewMachine and Commands belong together"))
	}
	if o.NewForeign != nil && o.Faults&^bearableByForeign != 0 {
		errs = append(errs, fmt.Errorf("sim: with NewForeign, Faults (%v) must be among %v", o.Faults, bearableByForeign))
	}
	return errors.Join(errs...)
}

const (
	defaultSteps = 20_000
	maxFirst     = 7
)

// Result is how a run ended.
type Result struct {
	// Hash is of everything that happened: equal for equal runs.
	Hash uint64
	// Violation is the first invariant that did not hold, or nil.
	Violation *Violation
	Stats     Stats
}

// Violation is an invariant that did not hold.
type Violation struct {
	// Rule is the invariant's name: S1 to S20, L1 to L9 for liveness, or
	// storage, transport, machine, start for what does not work at all.
	Rule string
	// Step is when, Planned the number of the last planned fault by then.
	Step, Planned uint64
	// Node is where, or 0.
	Node   uint64
	Detail string
}

// Error describes the violation in one line.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s at step %d, node %d: %s", v.Rule, v.Step, v.Node, v.Detail)
}

// Stats counts what happened in a run.
type Stats struct {
	Steps, Messages, Lost, Elections, Commits, Applied uint64
	// Faults counts planned faults that were carried out; Crashes, Starts and
	// Stops (with an error, by design) the lives of processes; Replaced the
	// disks that were lost for good.
	Faults, Crashes, Starts, Stops, Replaced uint64
	ConfChanges, Snapshots, Transfers        uint64
	// Operations are the clients'; of Unknown nobody told them the outcome.
	Operations, Unknown, LeaseReads uint64
	// StaleLeases are lease reads that missed a commit, with Drift.
	StaleLeases uint64
	// Recovery is how many election timeouts passed, in thousandths, from the
	// end of faults until a leader had committed; Unjudged counts runs in which
	// no majority was left to do so.
	Recovery, Unjudged uint64
	Marks              Marks
}

// Add adds what another run counted. Recovery becomes the longer one.
func (s *Stats) Add(o *Stats) {
	s.Steps += o.Steps
	s.Messages += o.Messages
	s.Lost += o.Lost
	s.Elections += o.Elections
	s.Commits += o.Commits
	s.Applied += o.Applied
	s.Faults += o.Faults
	s.Crashes += o.Crashes
	s.Starts += o.Starts
	s.Stops += o.Stops
	s.Replaced += o.Replaced
	s.ConfChanges += o.ConfChanges
	s.Snapshots += o.Snapshots
	s.Transfers += o.Transfers
	s.Operations += o.Operations
	s.Unknown += o.Unknown
	s.LeaseReads += o.LeaseReads
	s.StaleLeases += o.StaleLeases
	s.Recovery = max(s.Recovery, o.Recovery)
	s.Unjudged += o.Unjudged
	for m := range o.Marks {
		s.Marks[m] += o.Marks[m]
	}
}

// ReplayCommand returns the command that makes the same run, from the root of
// the library's module. It cannot name what an embedder brought.
func ReplayCommand(o Options) string {
	text := fmt.Sprintf("go run ./cmd/raftsim -seed %d", o.Seed)
	if o.Steps != 0 && o.Steps != defaultSteps {
		text += fmt.Sprintf(" -steps %d", o.Steps)
	}
	if o.Nodes != 0 {
		text += fmt.Sprintf(" -nodes %d", o.Nodes)
	}
	if o.Faults != All {
		text += fmt.Sprintf(" -faults %v", o.Faults)
	}
	if o.ConfChangeEffect == raft.OnAppend {
		text += " -effect append"
	}
	if len(o.Skip) > 0 {
		text += fmt.Sprintf(" -skip %v", o.Skip)
	}
	return text
}
