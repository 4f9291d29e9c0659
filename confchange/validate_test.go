package confchange

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// A proposal is refused, with its reason, when it cannot be carried out or
// cannot have been meant (dissertation §4.1 and §4.3 for the former).
func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name, config, change string
		is                   error
		text                 string
	}{
		{"add a voter", "1 2", "v3", nil, ""},
		{"first voter", "", "v1", nil, ""},
		{"demote", "1 2", "l2", nil, ""},
		{"update", "1 2", "u2", nil, ""},
		{"update a learner", "1 | learners 2", "u2", nil, ""},
		{"update and what is so already", "1 2", "u2 v1", nil, ""},
		{"from ABC to BCD", "1 2 3", "v4 r1", nil, ""},
		{"one that changes nothing among others", "1 2 3", "v1 v4", nil, ""},
		{"leave", "1 & 1 2", "", nil, ""},

		{"add what is a voter", "1 2", "v2", ErrNoChange, `"v2" from voters=(1 2)`},
		{"add what is a learner", "1 | learners 2", "l2", ErrNoChange, ""},
		{"add what are members, jointly", "1 2", "explicit v1 v2", ErrNoChange, ""},
		{"nothing, jointly", "1 2", "explicit", ErrNoChange, ""},
		{"node 0", "1 2", "v0", ErrInvalidNode, "ConfChangeAddNode"},
		{"node 0 among others", "1 2", "v3 r0", ErrInvalidNode, "ConfChangeRemoveNode"},
		{"remove a stranger", "1 2", "r3", ErrUnknownNode, "node 3 in voters=(1 2)"},
		{"update a stranger", "1 2", "u3", ErrUnknownNode, "node 3"},
		{"update a node that the same change adds", "1 2", "v3 u3", ErrUnknownNode, "node 3"},
		{"twice the same", "1 2", "v3 v3", ErrDuplicateNode, "node 3"},
		{"to and fro", "1 2", "l2 v2", ErrDuplicateNode, "node 2"},
		{"update and remove", "1 2 3", "u2 v4 r2", ErrDuplicateNode, "node 2"},
		{"no voter left", "1", "r1", ErrNoVoters, ""},
		{"no voter left after joint", "1 2", "l1 r2", ErrNoVoters, ""},
		{"first node a learner", "", "l1", ErrNoVoters, ""},
		{"leave what is not joint", "1 2", "", ErrNotJoint, ""},
		{"anything but leave", "1 & 1 2", "u1", ErrAlreadyJoint, ""},
		{"another joint one", "1 & 1 2", "implicit v3", ErrAlreadyJoint, ""},
		{"inconsistent configuration", "1 1", "v3", ErrInvalidConfig, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Validate(parse(t, test.config), parseChange(t, test.change))
			if test.is == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.text)
		})
	}

	c := parse(t, "1 2 3")
	require.ErrorIs(t, Validate(c, raftpb.ConfChangeV2{Transition: -1}), ErrUnknownChange)
	require.ErrorIs(t, Validate(c, raftpb.ConfChangeV2{Changes: []raftpb.ConfChangeSingle{{Type: 4, NodeID: 4}}}), ErrUnknownChange)
}

// What leaves a joint configuration may carry a context, which is the host's
// (dissertation §4.3).
func TestValidateIgnoresContext(t *testing.T) {
	require.NoError(t, Validate(parse(t, "1 & 1 2"), raftpb.ConfChangeV2{Context: []byte("why")}))
}
