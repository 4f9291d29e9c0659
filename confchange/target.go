package confchange

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft/raftpb"
)

// ValidateTarget returns t in normal form: IDs in ascending order, each once,
// contexts in the order of their IDs, sharing no memory with t but the bytes of
// contexts. The error wraps [ErrInvalidTarget] and names the fault: there is no
// voter, an ID is 0 or that of a voter and a learner, or a context is empty, of
// no member or one of two of the same member.
func ValidateTarget(t raftpb.MembershipTarget) (raftpb.MembershipTarget, error) {
	if err := t.Validate(); err != nil {
		return raftpb.MembershipTarget{}, fmt.Errorf("%w: %w", ErrInvalidTarget, err)
	}
	t = *cloneTarget(&t)
	t.Voters, t.Learners, t.Added = slices.Compact(t.Voters), slices.Compact(t.Learners), slices.Compact(t.Added)
	return t, nil
}

// TargetChange returns the change that sets t as the group's target; see
// [ApplyAt]. Its Version does not count. Changes has the one void change that
// nodes which know of no targets carry out.
func TargetChange(t raftpb.MembershipTarget) raftpb.ConfChangeV2 {
	t.Version, t.Added = 0, nil
	return membershipChange(raftpb.MembershipChange{Target: &t})
}

// OutcomeChange returns the change that ends the target of version o.Version as
// o says; see [ApplyAt]. Its Index does not count.
func OutcomeChange(o raftpb.MembershipOutcome) raftpb.ConfChangeV2 {
	o.Index = 0
	return membershipChange(raftpb.MembershipChange{Outcome: &o})
}

// CancelChange returns the change that gives up the target of that version
// because somebody asks for it.
func CancelChange(version uint64) raftpb.ConfChangeV2 {
	return OutcomeChange(raftpb.MembershipOutcome{
		Version: version, Result: raftpb.MembershipAborted, Reason: raftpb.MembershipCancelled,
	})
}

func membershipChange(m raftpb.MembershipChange) raftpb.ConfChangeV2 {
	return raftpb.ConfChangeV2{Changes: make([]raftpb.ConfChangeSingle, 1), Membership: &m}
}

// CheckExpected returns nil if cc expects no particular configuration or the one
// that is the newest, whose ConfState.Index is version, and otherwise an error
// that wraps [ErrUnexpectedVersion]. A leader that takes a change only while the
// newest configuration of its log is applied (dissertation §4.1) and compares
// then, compares with what the change will be applied to: nothing that changes
// the configuration gets in between.
func CheckExpected(cc raftpb.ConfChangeV2, version uint64) error {
	m := cc.Membership
	if m == nil || !m.HasExpected || m.Expected == version {
		return nil
	}
	return fmt.Errorf("version %d, and %d was expected: %w", version, m.Expected, ErrUnexpectedVersion)
}

// withAdded returns c, which a step has made from before, with what the target
// remembers of whom its steps added.
func (c Config) withAdded(before Config, changes []raftpb.ConfChangeSingle) Config {
	added := c.Target.Added
	for _, change := range changes {
		id := change.NodeID
		switch {
		case !c.Contains(id):
			added = without(added, id)
		case !before.Contains(id):
			added = with(added, id)
		}
	}
	if len(added) != len(c.Target.Added) {
		c.Target = cloneTarget(c.Target)
		c.Target.Added = added
	}
	return c
}

// stillAdded returns those of the servers that the standing target has added which
// do not vote yet.
func (c Config) stillAdded() []uint64 {
	var ids []uint64
	if c.Target != nil {
		for _, id := range c.Target.Added {
			if c.IsLearner(id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// ApplyAt returns the configuration that follows c once the change cc of the
// entry at index is in effect: it does what [Apply] does, and what needs the
// index.
//
//   - A target that is set gets the index as its version and stands. One that
//     stood before ends as superseded, and what it added counts as added by the
//     new one.
//   - An outcome ends the target that stands, which must be the one that it
//     names ([ErrStaleStep]): the first one in the log counts. As reached it ends
//     only if c is what it asks for ([ErrNotReached]). If it is given up, the
//     servers that its steps added, and that were to vote and do not yet, are
//     removed with it (dissertation §4.2.1).
//   - A step is for the target that stands ([ErrStaleStep]).
//
// A committed change that is an error here is skipped as a whole, by all nodes
// alike: nothing but the arguments decides.
//
// Further errors: [ErrNoIndex], [ErrNoVoters] for a target in a group that has no
// voters, [raftpb.ErrInvalidConfChange] for what contradicts itself.
func ApplyAt(c Config, cc raftpb.ConfChangeV2, index uint64) (Config, error) {
	m := cc.Membership
	if m == nil || m.Target == nil && m.Outcome == nil {
		return Apply(c, cc)
	}
	if err := c.Check(); err != nil {
		return Config{}, err
	}
	if err := checkMembership(c, cc); err != nil {
		return Config{}, err
	}
	if newest := c.newestIndex(); index <= newest {
		return Config{}, fmt.Errorf("change of a target by entry %d after that by entry %d: %w", index, newest, ErrNoIndex)
	}
	if m.Target != nil {
		return c.withTarget(*m.Target, index)
	}
	return c.withOutcome(*m.Outcome, index)
}

func (c Config) withTarget(t raftpb.MembershipTarget, index uint64) (Config, error) {
	if len(c.Voters[0]) == 0 {
		return Config{}, fmt.Errorf("setting a target: %w to begin with", ErrNoVoters)
	}
	t, err := ValidateTarget(t)
	if err != nil {
		return Config{}, err
	}
	if c.Target != nil {
		c.Outcome = &raftpb.MembershipOutcome{Version: c.Target.Version, Result: raftpb.MembershipSuperseded, Index: index}
	}
	t.Version, t.Added = index, c.stillAdded()
	c.Target = &t
	return c, nil
}

func (c Config) withOutcome(o raftpb.MembershipOutcome, index uint64) (Config, error) {
	if o.Result == raftpb.MembershipReached && !c.Reached(*c.Target) {
		return Config{}, fmt.Errorf("%v: %w", c, ErrNotReached)
	}
	o.Index = index
	if o.Result == raftpb.MembershipAborted {
		for _, id := range c.stillAdded() {
			if contains(c.Target.Voters, id) {
				c = c.withoutMember(id)
			}
		}
		c = c.withMembersContexts()
	}
	c.Target, c.Outcome = nil, &o
	return c, nil
}

// Reached reports whether c is what t asks for: the same voters and learners, in
// no joint configuration, and the contexts that t names.
func (c Config) Reached(t raftpb.MembershipTarget) bool {
	t, err := ValidateTarget(t)
	if err != nil || c.Joint() || !slices.Equal(c.Voters[0], t.Voters) || !slices.Equal(c.Learners, t.Learners) {
		return false
	}
	_, pending := c.staleContext(t)
	return !pending
}

// newestIndex returns the highest index of an entry that set or ended a target,
// 0 if none is known.
func (c Config) newestIndex() uint64 {
	newest := uint64(0)
	if c.Target != nil {
		newest = c.Target.Version
	}
	if c.Outcome != nil {
		newest = max(newest, c.Outcome.Index)
	}
	return newest
}

// checkMembership says whether cc, which has something to do with a target, is
// sound and meant for the target that stands.
func checkMembership(c Config, cc raftpb.ConfChangeV2) error {
	if err := cc.Validate(); err != nil {
		return err
	}
	m := cc.Membership
	version := m.Version
	switch {
	case m.Target != nil:
		return nil
	case m.Outcome != nil:
		version = m.Outcome.Version
	}
	switch {
	case c.Target == nil:
		return fmt.Errorf("version %d: %w, none does", version, ErrStaleStep)
	case c.Target.Version != version:
		return fmt.Errorf("version %d: %w, %d does", version, ErrStaleStep, c.Target.Version)
	}
	return nil
}

// cloneTarget returns a copy of t with everything in ascending order; repeated
// IDs stay. Nil for nil.
func cloneTarget(t *raftpb.MembershipTarget) *raftpb.MembershipTarget {
	if t == nil {
		return nil
	}
	return &raftpb.MembershipTarget{
		Version: t.Version, Voters: sorted(t.Voters), Learners: sorted(t.Learners), Members: sortedMembers(t.Members),
		Added: sorted(t.Added), Force: t.Force,
	}
}

func cloneOutcome(o *raftpb.MembershipOutcome) *raftpb.MembershipOutcome {
	if o == nil {
		return nil
	}
	o2 := *o
	return &o2
}
