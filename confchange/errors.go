package confchange

import "errors"

// The reasons for which a change or configuration is refused, to be compared
// with errors.Is. What is returned wraps them with the IDs concerned.
var (
	// ErrAlreadyJoint: the configuration is joint, and only leaving it is
	// possible.
	ErrAlreadyJoint = errors.New("configuration is joint and must be left first")

	// ErrNotJoint: the configuration is to be left and is not joint.
	ErrNotJoint = errors.New("configuration is not joint")

	// ErrNoVoters: the configuration has no voters, or would have none.
	ErrNoVoters = errors.New("no voters")

	// ErrNotSimple: more than one voter would change without a joint
	// configuration, so that two disjoint majorities could exist.
	ErrNotSimple = errors.New("more than one voter changes without a joint configuration")

	// ErrInvalidNode: a node has ID 0, which is nobody's.
	ErrInvalidNode = errors.New("invalid node ID 0")

	// ErrUnknownNode: a node to be removed or updated is not a member.
	ErrUnknownNode = errors.New("unknown node")

	// ErrDuplicateNode: one change names the same node twice.
	ErrDuplicateNode = errors.New("node named twice")

	// ErrUnknownChange: the change has a type or transition that this version
	// does not know.
	ErrUnknownChange = errors.New("unknown kind of configuration change")

	// ErrNoChange: every node already is what the change would make it.
	ErrNoChange = errors.New("change has no effect")

	// ErrTargetStands: members are changed by hand while a target stands.
	// Another target may be set, or the one that stands cancelled.
	ErrTargetStands = errors.New("a membership target stands")

	// ErrStaleStep: a step towards a target, or its outcome, that is not the one
	// that stands.
	ErrStaleStep = errors.New("the membership target does not stand")

	// ErrNotReached: a target is to end as reached, and the configuration is
	// another.
	ErrNotReached = errors.New("the membership target is not reached")

	// ErrLeadersOwn: a step towards a target, or an outcome other than that somebody
	// asked to give it up, was proposed to the leader, which alone decides on them.
	ErrLeadersOwn = errors.New("only the leader itself proposes it")

	// ErrNoIndex: what sets or ends a target needs the index of its entry, which
	// is higher than those of targets before.
	ErrNoIndex = errors.New("index of the entry is missing or too low")

	// ErrInvalidTarget: no group could ever reach the target; see
	// [ValidateTarget].
	ErrInvalidTarget = errors.New("invalid membership target")

	// ErrUnexpectedVersion: the configuration is not the one that the proposer
	// expected; see [CheckExpected].
	ErrUnexpectedVersion = errors.New("configuration is not the expected one")

	// ErrUnsupported: a target cannot be set, since a member does not know of
	// targets or has not said yet that it does.
	ErrUnsupported = errors.New("a member does not know of membership targets")

	// ErrWouldLoseQuorum: a target is not set, since of those who would vote too
	// many are not heard from for the rest to decide. It can be forced.
	ErrWouldLoseQuorum = errors.New("too many of the voters to be are not heard from")

	// ErrInvalidConfig: a configuration contradicts itself; see [Config.Check].
	ErrInvalidConfig = errors.New("invalid configuration")
)
