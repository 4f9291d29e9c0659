package confchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-raft/raft/quorum"
	"github.com/quorate-raft/raft/raftpb"
)

// Config is the membership of a cluster: who votes and who only learns. All ID
// slices are in ascending order without repetition; [Config.Check] states the
// rest. The zero value is the configuration of a node that belongs to no
// cluster yet.
//
// A Config is an immutable value. Configurations that come from each other
// share slices, so nobody may write to the fields of one that was handed out;
// under that rule it may be used concurrently.
type Config struct {
	// Voters holds the voters of the configuration that is coming or current
	// and, during a joint change, of the one that is going (dissertation §4.3).
	Voters quorum.JointConfig

	// Learners receive the log and count in no quorum (dissertation §4.2.1,
	// where they are called non-voting members). They are in neither half of
	// Voters.
	Learners []uint64

	// LearnersNext are outgoing voters that become learners when the joint
	// configuration is left. They must not be learners before that: they still
	// vote in the outgoing half.
	LearnersNext []uint64

	// AutoLeave tells the leader to leave the joint configuration by itself
	// once it is committed.
	AutoLeave bool

	// Contexts are the contexts of the members that have one, ascending by ID.
	// What a context says, such as an address, is the host's own affair.
	Contexts []raftpb.Member

	// Effect says when a change takes effect on a node. It is the group's, and
	// no change of members alters it.
	Effect raftpb.ConfChangeEffect

	// Target is the membership that the group works towards, in the normal form
	// of [ValidateTarget]; nil if none. [ApplyAt] sets and clears it.
	Target *raftpb.MembershipTarget

	// Outcome is how the last target that stands no more has ended, nil if there
	// was none.
	Outcome *raftpb.MembershipOutcome
}

// Joint reports whether c is between two configurations, so that decisions need
// a majority of each (dissertation §4.3).
func (c Config) Joint() bool { return c.Voters.Joint() }

// IsVoter reports whether id votes in either half of c.
func (c Config) IsVoter(id uint64) bool { return c.Voters.Contains(id) }

// IsLearner reports whether id is a learner now. A member of LearnersNext is
// not: it is still a voter.
func (c Config) IsLearner(id uint64) bool { return contains(c.Learners, id) }

// Contains reports whether id is a member of c in any capacity.
func (c Config) Contains(id uint64) bool { return c.IsVoter(id) || c.IsLearner(id) }

// IDs returns all members of c in ascending order, in a slice of its own; nil
// if there are none.
func (c Config) IDs() []uint64 {
	// LearnersNext need no mention, being voters of the outgoing half.
	ids := make([]uint64, 0, len(c.Voters[0])+len(c.Voters[1])+len(c.Learners))
	ids = append(ids, c.Voters[0]...)
	ids = append(ids, c.Voters[1]...)
	ids = append(ids, c.Learners...)
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return slices.Clip(slices.Compact(ids))
}

// Context returns the context of member id, nil if it has none.
func (c Config) Context(id uint64) []byte {
	if i, ok := findMember(c.Contexts, id); ok {
		return c.Contexts[i].Context
	}
	return nil
}

// ConfState returns c in the form in which snapshots and storage keep it,
// sharing no memory with c but the bytes of contexts. Index is 0: which entry c came from is known to
// the caller alone. [Restore] is the inverse.
func (c Config) ConfState() raftpb.ConfState {
	return raftpb.ConfState{
		Voters:         slices.Clone([]uint64(c.Voters[0])),
		VotersOutgoing: slices.Clone([]uint64(c.Voters[1])),
		Learners:       slices.Clone(c.Learners),
		LearnersNext:   slices.Clone(c.LearnersNext),
		AutoLeave:      c.AutoLeave,
		Members:        slices.Clone(c.Contexts),

		ConfChangeEffect: c.Effect,
		Target:           cloneTarget(c.Target),
		LastOutcome:      cloneOutcome(c.Outcome),
	}
}

// Equal reports whether c and other have the same members in the same
// capacities with the same contexts, and the same AutoLeave, Effect, Target and
// Outcome.
func (c Config) Equal(other Config) bool {
	return slices.Equal(c.Voters[0], other.Voters[0]) &&
		slices.Equal(c.Voters[1], other.Voters[1]) &&
		slices.Equal(c.Learners, other.Learners) &&
		slices.Equal(c.LearnersNext, other.LearnersNext) &&
		c.AutoLeave == other.AutoLeave &&
		slices.EqualFunc(c.Contexts, other.Contexts, raftpb.Member.Equal) &&
		c.Effect == other.Effect && c.Target.Equal(other.Target) && c.Outcome.Equal(other.Outcome)
}

// String returns what is set in c, but for contexts, as in
// "voters=(1 2 3)&&(2 3 4) learners=(5) learners_next=(4) autoleave", then
// "on_append", "target@7=(2 3 4) target_learners=(5)", where 7 is the version,
// and "outcome@4=MembershipAborted(MembershipTooSlow,5)".
func (c Config) String() string {
	var b strings.Builder
	b.WriteString("voters=" + c.Voters.String())
	if len(c.Learners) > 0 {
		b.WriteString(" learners=" + quorum.MajorityConfig(c.Learners).String())
	}
	if len(c.LearnersNext) > 0 {
		b.WriteString(" learners_next=" + quorum.MajorityConfig(c.LearnersNext).String())
	}
	if c.AutoLeave {
		b.WriteString(" autoleave")
	}
	switch c.Effect {
	case raftpb.ConfChangeOnApply:
	case raftpb.ConfChangeOnAppend:
		b.WriteString(" on_append")
	default:
		fmt.Fprintf(&b, " effect=%d", c.Effect)
	}
	if t := c.Target; t != nil {
		fmt.Fprintf(&b, " target@%d=%v", t.Version, quorum.MajorityConfig(t.Voters))
		if len(t.Learners) > 0 {
			fmt.Fprintf(&b, " target_learners=%v", quorum.MajorityConfig(t.Learners))
		}
	}
	if o := c.Outcome; o != nil {
		fmt.Fprintf(&b, " outcome@%d=%v", o.Version, o.Result)
		if o.Reason != raftpb.MembershipReasonNone {
			fmt.Fprintf(&b, "(%v,%d)", o.Reason, o.Node)
		}
	}
	return b.String()
}
