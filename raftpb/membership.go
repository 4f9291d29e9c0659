package raftpb

import (
	"fmt"
	"slices"
)

// Equal reports whether both are the same target of the same version, in whatever order; or both nil.
func (t *MembershipTarget) Equal(other *MembershipTarget) bool {
	if t == nil || other == nil {
		return t == other
	}
	return t.Version == other.Version &&
		slices.Equal(sorted(t.Voters), sorted(other.Voters)) &&
		slices.Equal(sorted(t.Learners), sorted(other.Learners)) &&
		slices.EqualFunc(byID(t.Members), byID(other.Members), Member.Equal) &&
		slices.Equal(sorted(t.Added), sorted(other.Added))
}

// Validate returns an error that wraps [ErrInvalidConfChange] if no group could ever reach the target: it has no voters,
// an ID is 0 or both a voter's and a learner's, or a context is empty, of no member or one of two.
func (t *MembershipTarget) Validate() error {
	if len(t.Voters) == 0 {
		return fmt.Errorf("%w: target without voters", ErrInvalidConfChange)
	}
	for _, ids := range [][]uint64{t.Voters, t.Learners, t.Added} {
		if slices.Contains(ids, 0) {
			return fmt.Errorf("%w: target with a node of ID 0", ErrInvalidConfChange)
		}
	}
	for _, id := range t.Learners {
		if slices.Contains(t.Voters, id) {
			return fmt.Errorf("%w: target with node %d as voter and learner", ErrInvalidConfChange, id)
		}
	}
	members := byID(t.Members)
	for i, m := range members {
		switch {
		case len(m.Context) == 0:
			return fmt.Errorf("%w: target with an empty context of node %d", ErrInvalidConfChange, m.ID)
		case !slices.Contains(t.Voters, m.ID) && !slices.Contains(t.Learners, m.ID):
			return fmt.Errorf("%w: target with a context of node %d, which is no member of it", ErrInvalidConfChange, m.ID)
		case i > 0 && members[i-1].ID == m.ID:
			return fmt.Errorf("%w: target with two contexts of node %d", ErrInvalidConfChange, m.ID)
		}
	}
	return nil
}

// Equal reports whether both are the same outcome, or both nil.
func (o *MembershipOutcome) Equal(other *MembershipOutcome) bool {
	if o == nil || other == nil {
		return o == other
	}
	return *o == *other
}

// Validate returns an error that wraps [ErrInvalidConfChange] if the outcome contradicts itself: it is of no target, none
// of the declared results or reasons, or has a reason where nothing was given up, or none where something was.
func (o *MembershipOutcome) Validate() error {
	_, knownResult := MembershipResult_name[int32(o.Result)]
	_, knownReason := MembershipReason_name[int32(o.Reason)]
	switch {
	case !knownResult || o.Result == MembershipPending:
		return fmt.Errorf("%w: outcome with result %v", ErrInvalidConfChange, o.Result)
	case !knownReason:
		return fmt.Errorf("%w: outcome with unknown reason %d", ErrInvalidConfChange, int32(o.Reason))
	case o.Version == 0:
		return fmt.Errorf("%w: outcome of a target of version 0", ErrInvalidConfChange)
	case (o.Result == MembershipAborted) != (o.Reason != MembershipReasonNone):
		return fmt.Errorf("%w: outcome %v with reason %v", ErrInvalidConfChange, o.Result, o.Reason)
	case o.Result != MembershipAborted && o.Node != 0:
		return fmt.Errorf("%w: outcome %v because of node %d", ErrInvalidConfChange, o.Result, o.Node)
	}
	return nil
}

// validateMembership judges what the change says of a target.
func (c ConfChangeV2) validateMembership() error {
	m := c.Membership
	if m == nil {
		return nil
	}
	setsOrEnds := m.Target != nil || m.Outcome != nil
	switch {
	case len(c.Changes) == 0:
		// Who does not know the field would leave a joint configuration.
		return fmt.Errorf("%w: change of a target without a void change", ErrInvalidConfChange)
	case !m.HasExpected && m.Expected != 0:
		return fmt.Errorf("%w: version %d expected and not to be compared", ErrInvalidConfChange, m.Expected)
	case m.Force && m.Target == nil:
		return fmt.Errorf("%w: change that forces a target and sets none", ErrInvalidConfChange)
	case m.Target != nil && m.Outcome != nil:
		return fmt.Errorf("%w: change that sets a target and ends one", ErrInvalidConfChange)
	case !setsOrEnds && m.Version == 0:
		return fmt.Errorf("%w: step towards a target of version 0", ErrInvalidConfChange)
	case !setsOrEnds:
		return nil
	case m.Version != 0:
		return fmt.Errorf("%w: change that sets or ends a target and is a step towards version %d", ErrInvalidConfChange, m.Version)
	case c.Transition != ConfChangeTransitionAuto || len(c.Changes) != 1 || c.Changes[0].NodeID != 0:
		// More than one would enter a joint configuration.
		return fmt.Errorf("%w: change that sets or ends a target has %q instead of one void change",
			ErrInvalidConfChange, ConfChangesToString(c.Changes))
	case m.Target != nil && len(m.Target.Added) > 0:
		return fmt.Errorf("%w: change that sets a target says that it has added nodes %v", ErrInvalidConfChange, m.Target.Added)
	case m.Target != nil && m.Target.Version != 0:
		return fmt.Errorf("%w: change that sets a target names its version %d", ErrInvalidConfChange, m.Target.Version)
	case m.Target != nil:
		return m.Target.Validate()
	case m.Outcome.Index != 0:
		return fmt.Errorf("%w: change that ends a target names its own index %d", ErrInvalidConfChange, m.Outcome.Index)
	case m.Outcome.Result == MembershipSuperseded:
		return fmt.Errorf("%w: change that ends a target as superseded sets none", ErrInvalidConfChange)
	default:
		return m.Outcome.Validate()
	}
}
