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
		slices.Equal(sorted(t.Added), sorted(other.Added)) &&
		t.Force == other.Force
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

// Membership is who is to be in a group, as one proposes it; see MembershipTarget for what a group keeps of it. A Context
// that is empty leaves the member the one that it has.
type Membership struct {
	// Voters are to vote, Learners to receive the log and not to vote. Who is in neither is no member any more.
	Voters, Learners []Member
	// Expected, unless nil, is the ConfState.Index that the proposer took the present configuration to have: if it is another
	// when the leader takes the proposal, the membership is not set.
	Expected *uint64
	// Force sets the membership, and makes its voters the group's, although so many of them are not heard from that the rest
	// could not decide, and although members that stay and are not heard from have not said to this leader that they know of
	// targets.
	Force bool
}

// MembershipOf returns the membership of a configuration: of a joint one that to which it leads, and of one with a target the
// present one all the same. To change it and to propose the result, with cs.Index as Expected, is a compare-and-set.
func MembershipOf(cs ConfState) Membership {
	members := func(sets ...[]uint64) []Member {
		var list []Member
		for _, set := range sets {
			for _, id := range set {
				m := Member{ID: id}
				if i := slices.IndexFunc(cs.Members, func(m Member) bool { return m.ID == id }); i >= 0 {
					m.Context = cs.Members[i].Context
				}
				list = append(list, m)
			}
		}
		return byID(list)
	}
	return Membership{Voters: members(cs.Voters), Learners: members(cs.Learners, cs.LearnersNext)}
}

// Target returns the target that m is, without a version.
func (m Membership) Target() MembershipTarget {
	t := MembershipTarget{Force: m.Force}
	for _, role := range []struct {
		ids     *[]uint64
		members []Member
	}{{&t.Voters, m.Voters}, {&t.Learners, m.Learners}} {
		for _, member := range role.members {
			*role.ids = append(*role.ids, member.ID)
			if len(member.Context) > 0 {
				t.Members = append(t.Members, member)
			}
		}
	}
	return t
}

// Change returns the change that sets m as the group's target, which whoever leads then works towards.
func (m Membership) Change() ConfChangeV2 {
	target := m.Target()
	change := &MembershipChange{Target: &target}
	if m.Expected != nil {
		change.Expected, change.HasExpected = *m.Expected, true
	}
	// With one void change it is void where nobody knows of targets.
	return ConfChangeV2{Changes: make([]ConfChangeSingle, 1), Membership: change}
}
