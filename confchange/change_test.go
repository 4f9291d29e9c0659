package confchange

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// A change makes each node what it says, from whatever the node was, and the
// way it takes, simple or joint, follows from the change (dissertation §4.1 and
// §4.3; learners §4.2.1).
func TestApply(t *testing.T) {
	for _, test := range []struct {
		name, config, change, want string
	}{
		{"first voter", "", "v1", "1"},
		{"add a voter", "1", "v2", "1 2"},
		{"add a voter before the others", "2 3", "v1", "1 2 3"},
		{"add a voter that is one", "1 2", "v1", "1 2"},
		{"add a learner", "1", "l2", "1 | learners 2"},
		{"add a learner that is one", "1 | learners 2", "l2", "1 | learners 2"},
		{"promote a learner", "1 | learners 2 3", "v2", "1 2 | learners 3"},
		{"demote a voter", "1 2", "l2", "1 | learners 2"},
		{"remove a voter", "1 2 3", "r2", "1 3"},
		{"remove a learner", "1 | learners 2", "r2", "1"},
		{"remove a stranger", "1 2", "r3", "1 2"},
		{"update a member", "1 2", "u2", "1 2"},
		{"update a stranger", "1 2", "u3", "1 2"},
		{"void", "1 2", "r0", "1 2"},

		{"two voters", "1", "v2 v3", "1 2 3 & 1 | auto"},
		{"two learners", "1", "l2 l3", "1 & 1 | learners 2 3 | auto"},
		{"from ABC to BCD", "1 2 3", "v4 r1", "2 3 4 & 1 2 3 | auto"},
		{"joint although simple would do", "1 2", "implicit v3", "1 2 3 & 1 2 | auto"},
		{"left by hand", "1 2", "explicit v3", "1 2 3 & 1 2"},
		{"joint to the same", "1 2", "explicit", "1 2 & 1 2"},
		{"demote a voter jointly", "1 2", "explicit l2", "1 & 1 2 | next 2"},
		{"promote and demote", "1 2 | learners 3 4", "v3 l2", "1 3 & 1 2 | learners 4 | next 2 | auto"},
		{"demote, then promote again", "1 2", "l2 v2", "1 2 & 1 2 | auto"},
		{"demote, then remove", "1 2", "l2 r2", "1 & 1 2 | auto"},
		{"remove, then demote", "1 2", "r2 l2", "1 & 1 2 | next 2 | auto"},
		{"replace all", "1 2 | learners 3", "v4 v5 r1 r2 r3", "4 5 & 1 2 | auto"},
		{"void among others", "1 2", "v0 v3", "1 2 3 & 1 2 | auto"},

		{"leave", "2 3 4 & 1 2 3 | auto", "", "2 3 4"},
		{"leave by hand", "1 & 1 2 | learners 5 9 | next 2", "", "1 | learners 2 5 9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, want := parse(t, test.config), parse(t, test.want)
			got, err := Apply(c, parseChange(t, test.change))
			require.NoError(t, err)
			require.Equal(t, want.String(), got.String())
			require.True(t, got.Equal(want))
		})
	}
}

// A committed change that cannot be carried out is an error with its reason,
// never a panic and never a guess (dissertation §4.1 and §4.3 for what can).
func TestApplyRefuses(t *testing.T) {
	for _, test := range []struct {
		name, config, change string
		is                   error
		text                 string
	}{
		{"no voter left", "1", "r1", ErrNoVoters, `from voters (1) by "r1"`},
		{"only voter demoted", "1", "l1", ErrNoVoters, "(1)"},
		{"no voter left after joint", "1 2", "r1 r2", ErrNoVoters, `"r1 r2"`},
		{"first node a learner", "", "l1", ErrNoVoters, ""},
		{"joint from nothing", "", "v1 v2", ErrNoVoters, ""},
		{"leave what is not joint", "1 2", "", ErrNotJoint, "voters=(1 2)"},
		{"simple while joint", "1 & 1 2", "v3", ErrAlreadyJoint, "voters=(1)&&(1 2)"},
		{"joint while joint", "1 & 1 2", "v3 v4", ErrAlreadyJoint, ""},
		{"joint to the same while joint", "1 & 1 2", "explicit", ErrAlreadyJoint, ""},
		{"inconsistent, simple", "1 1", "v2", ErrInvalidConfig, ""},
		{"inconsistent, joint", "1 | next 1", "v2 v3", ErrInvalidConfig, ""},
		{"inconsistent, leaving", "1 & 1 2 | next 3", "", ErrInvalidConfig, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Apply(parse(t, test.config), parseChange(t, test.change))
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.text)
			require.Equal(t, Config{}, got)
		})
	}

	c := parse(t, "1 2 3")
	unknownType := raftpb.ConfChangeV2{Changes: []raftpb.ConfChangeSingle{{Type: 17, NodeID: 2}}}
	_, err := Apply(c, unknownType)
	require.ErrorIs(t, err, ErrUnknownChange)
	require.ErrorContains(t, err, "type 17 for node 2")
	_, err = Apply(c, raftpb.ConfChangeV2{Transition: 9})
	require.ErrorIs(t, err, ErrUnknownChange)
	require.ErrorContains(t, err, "transition 9")
}

// Servers are added and removed one at a time unless joint consensus is used
// (§4.1): going straight from three to five would allow two disjoint majorities
// (figure 4.2). Learners are in no majority, so any number may change.
func TestSimpleChangesOneVoter(t *testing.T) {
	old := parse(t, "1 2 3")
	require.True(t, disjointQuorums(old, parse(t, "1 2 3 4 5"), 5))
	_, err := Simple(old, changes(t, "v4 v5")...)
	require.ErrorIs(t, err, ErrNotSimple)
	require.ErrorContains(t, err, "from voters (1 2 3) to (1 2 3 4 5)")
	_, err = Simple(old, changes(t, "v4 r1")...)
	require.ErrorIs(t, err, ErrNotSimple)

	got, err := Simple(old, changes(t, "v4 l5 l6 u1 v4")...)
	require.NoError(t, err)
	require.Equal(t, "voters=(1 2 3 4) learners=(5 6)", got.String())
	got, err = Simple(old, changes(t, "v4 r4 l3 v3 r1")...)
	require.NoError(t, err, "what counts is the effect of all")
	require.Equal(t, "voters=(2 3)", got.String())
}
