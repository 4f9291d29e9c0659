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

	// ErrInvalidConfig: a configuration contradicts itself; see [Config.Check].
	ErrInvalidConfig = errors.New("invalid configuration")
)
