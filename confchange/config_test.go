package confchange

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A member is a voter of either half or a learner, and a voter on its way to
// being a learner still votes (dissertation §4.2.1, §4.3).
func TestConfigMembers(t *testing.T) {
	c := parse(t, "2 3 4 & 1 2 5 | learners 6 | next 5 | auto")
	require.NoError(t, c.Check())
	require.True(t, c.Joint())
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6}, c.IDs())
	for id := range uint64(9) {
		require.Equal(t, id >= 1 && id <= 5, c.IsVoter(id), id)
		require.Equal(t, id == 6, c.IsLearner(id), id)
		require.Equal(t, id >= 1 && id <= 6, c.Contains(id), id)
	}
	require.Equal(t, "voters=(2 3 4)&&(1 2 5) learners=(6) learners_next=(5) autoleave", c.String())
	require.Equal(t, "voters=(1 2)", parse(t, "1 2").String())
	require.Equal(t, "voters=()", Config{}.String())
	require.Nil(t, Config{}.IDs())
	require.False(t, Config{}.Joint())
}

// Configurations are equal when every node has the same part in both; empty and
// absent sets are the same set.
func TestConfigEqual(t *testing.T) {
	all := append(plainConfigs(2), jointConfigs(2)...)
	for i, a := range all {
		for j, b := range all {
			require.Equal(t, i == j, a.Equal(b), "%v and %v", a, b)
		}
		require.True(t, a.Equal(spacious(a)), "%v", a)
	}
}

// Nobody is in two places (§4.2.1, §4.3): a learner does not vote, a voter to be
// demoted is leaving and not coming, and what belongs to a joint configuration
// is only in one.
func TestConfigCheck(t *testing.T) {
	for _, test := range []struct {
		config, text string
		is           error
	}{
		{"", "", nil},
		{"1", "", nil},
		{"1 2 3 | learners 4 5", "", nil},
		{"1 & 1", "", nil},
		{"1 & 2 | next 2 | learners 3 | auto", "", nil},
		{"0 1", "voters [0 1]", ErrInvalidNode},
		{"1 & 0", "outgoing voters [0]", ErrInvalidNode},
		{"1 | learners 0", "learners [0]", ErrInvalidNode},
		{"1 & 1 | next 0", "next learners [0]", ErrInvalidNode},
		{"2 1", "voters [2 1]: 1 after 2", nil},
		{"1 1", "voters [1 1]: 1 after 1", nil},
		{"1 & 3 2", "outgoing voters [3 2]", nil},
		{"1 | learners 3 3", "learners [3 3]", nil},
		{"1 | learners 1", "node 1 is both learner and voter", nil},
		{"1 & 2 | learners 2", "node 2 is both learner and outgoing voter", nil},
		{"1 2 & 1 2 | next 2", "node 2 is both next learner and incoming voter", nil},
		{"1 & 1 | next 2", "next learner 2 is not an outgoing voter", nil},
		{"1 | next 2", "next learners [2] without outgoing voters", nil},
		{"1 | auto", "without outgoing voters", nil},
		{" | auto", "without outgoing voters", nil},
		{" | learners 1", "no voters among members [1]", ErrNoVoters},
		{" & 1", "no voters among members [1]", ErrNoVoters},
	} {
		err := parse(t, test.config).Check()
		if test.text == "" {
			require.NoError(t, err, test.config)
			continue
		}
		require.ErrorIs(t, err, ErrInvalidConfig, test.config)
		require.ErrorContains(t, err, test.text, test.config)
		if test.is != nil {
			require.ErrorIs(t, err, test.is, test.config)
		}
	}
}
