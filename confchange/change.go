package confchange

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft/raftpb"
)

// Apply returns the configuration that follows c once cc is in effect: it
// leaves the joint configuration if cc says so, enters one if cc asks for it or
// has more than one change, and is a [Simple] change otherwise.
//
// It is for changes that are in the log already, so what does no harm has no
// effect: removing a node that is not a member, adding one as what it is,
// updating one, and a change of node 0, which is how a host rejects a committed
// change. What cannot be done is an error: [ErrUnknownChange], or those of
// [Simple], [EnterJoint] and [LeaveJoint]. A step towards a target that does not
// stand is [ErrStaleStep]; a change that is no step is carried out also while a
// target stands, as it is by nodes that know of none.
//
// What sets or ends a target needs the index of its entry and is [ErrNoIndex]
// here: see [ApplyAt], which does all that Apply does.
func Apply(c Config, cc raftpb.ConfChangeV2) (Config, error) {
	if m := cc.Membership; m != nil {
		if err := checkMembership(c, cc); err != nil {
			return Config{}, err
		}
		if m.Target != nil || m.Outcome != nil {
			return Config{}, fmt.Errorf("change of a target: %w", ErrNoIndex)
		}
	}
	next, err := apply(c, cc)
	if err == nil && cc.Membership != nil {
		next = next.withAdded(c, cc.Changes)
	}
	return next, err
}

func apply(c Config, cc raftpb.ConfChangeV2) (Config, error) {
	if err := checkTransition(cc); err != nil {
		return Config{}, err
	}
	if cc.LeaveJoint() {
		return LeaveJoint(c)
	}
	if autoLeave, ok := cc.EnterJoint(); ok {
		return EnterJoint(c, autoLeave, cc.Changes...)
	}
	return Simple(c, cc.Changes...)
}

// Simple returns c after changes that alter the set of voters by at most one
// node, all taken together; learners may change at will. Any majority before
// then shares a voter with any majority after (dissertation §4.1, figure 4.3),
// so no joint configuration is needed.
//
// The first voter of an empty configuration is added that way too.
//
// Errors: [ErrAlreadyJoint], [ErrNotSimple], [ErrNoVoters] if no voter would be
// left, [ErrUnknownChange], [ErrInvalidConfig].
func Simple(c Config, changes ...raftpb.ConfChangeSingle) (Config, error) {
	if err := c.checkNotJoint(); err != nil {
		return Config{}, err
	}
	next, err := c.change(changes)
	if err != nil {
		return Config{}, err
	}
	if symmetricDifference(c.Voters[0], next.Voters[0]) > 1 {
		return Config{}, fmt.Errorf("from voters %v to %v: %w", c.Voters[0], next.Voters[0], ErrNotSimple)
	}
	return next, nil
}

// EnterJoint returns the joint configuration C(old,new) of dissertation §4.3,
// whose outgoing half is the voters of c and whose incoming half is these after
// changes. A voter that is to become a learner waits in LearnersNext until the
// outgoing half, where it still votes, is gone; new learners and promoted ones
// change at once. autoLeave is kept in the result for the leader to act on.
//
// Errors: [ErrAlreadyJoint], [ErrNoVoters] if c has none or none would come in,
// [ErrUnknownChange], [ErrInvalidConfig].
func EnterJoint(c Config, autoLeave bool, changes ...raftpb.ConfChangeSingle) (Config, error) {
	if err := c.checkNotJoint(); err != nil {
		return Config{}, err
	}
	if len(c.Voters[0]) == 0 {
		return Config{}, fmt.Errorf("entering a joint configuration: %w to come from", ErrNoVoters)
	}
	c.Voters[1] = c.Voters[0]
	c.AutoLeave = autoLeave
	return c.change(changes)
}

// LeaveJoint returns C(new) of dissertation §4.3: the outgoing half of c is
// dropped, and what waited in LearnersNext is a learner.
//
// Errors: [ErrNotJoint], [ErrInvalidConfig].
func LeaveJoint(c Config) (Config, error) {
	if err := c.Check(); err != nil {
		return Config{}, err
	}
	if !c.Joint() {
		return Config{}, fmt.Errorf("leaving %v: %w", c, ErrNotJoint)
	}
	for _, id := range c.LearnersNext {
		c.Learners = with(c.Learners, id)
	}
	c.Voters[1], c.LearnersNext, c.AutoLeave = nil, nil, false
	return c.withMembersContexts(), nil
}

func (c Config) checkNotJoint() error {
	if err := c.Check(); err != nil {
		return err
	}
	if c.Joint() {
		return fmt.Errorf("changing %v: %w", c, ErrAlreadyJoint)
	}
	return nil
}

// change carries out changes on the incoming half, in order.
func (c Config) change(changes []raftpb.ConfChangeSingle) (Config, error) {
	before := c.Voters[0]
	for _, change := range changes {
		id := change.NodeID
		if id == 0 {
			continue
		}
		switch change.Type {
		case raftpb.ConfChangeAddNode:
			c = c.withoutMember(id)
			c.Voters[0] = with(c.Voters[0], id)
		case raftpb.ConfChangeAddLearnerNode:
			c = c.withoutMember(id)
			if c.Voters[1].Contains(id) {
				c.LearnersNext = with(c.LearnersNext, id)
			} else {
				c.Learners = with(c.Learners, id)
			}
		case raftpb.ConfChangeRemoveNode:
			c = c.withoutMember(id)
		case raftpb.ConfChangeUpdateNode:
			// Who the members are stays the same; a context may change.
		default:
			return Config{}, fmt.Errorf("type %d for node %d: %w", change.Type, id, ErrUnknownChange)
		}
		if len(change.Context) > 0 && change.Type != raftpb.ConfChangeRemoveNode {
			c.Contexts = withContext(c.Contexts, id, change.Context)
		}
	}
	if len(c.Voters[0]) == 0 {
		return Config{}, fmt.Errorf("from voters %v by %q: %w left", before, raftpb.ConfChangesToString(changes), ErrNoVoters)
	}
	return c.withMembersContexts(), nil
}

// withMembersContexts drops the contexts of those who are no members any more.
func (c Config) withMembersContexts() Config {
	gone := func(m raftpb.Member) bool { return !c.Contains(m.ID) }
	if slices.ContainsFunc(c.Contexts, gone) {
		if c.Contexts = slices.DeleteFunc(slices.Clone(c.Contexts), gone); len(c.Contexts) == 0 {
			c.Contexts = nil
		}
	}
	return c
}

// withoutMember takes id out of everything but the outgoing half, which stays
// as it is until the joint configuration is left.
func (c Config) withoutMember(id uint64) Config {
	c.Voters[0] = without(c.Voters[0], id)
	c.Learners = without(c.Learners, id)
	c.LearnersNext = without(c.LearnersNext, id)
	return c
}

func checkTransition(cc raftpb.ConfChangeV2) error {
	switch cc.Transition {
	case raftpb.ConfChangeTransitionAuto, raftpb.ConfChangeTransitionJointImplicit, raftpb.ConfChangeTransitionJointExplicit:
		return nil
	default:
		return fmt.Errorf("transition %d: %w", cc.Transition, ErrUnknownChange)
	}
}
