package confchange

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// A snapshot carries the configuration as of its last entry (dissertation
// §5.1), so writing one down and reading it back gives the same one, in
// whatever order its IDs are kept; and neither shares memory with the other.
func TestRestore(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for _, c := range append(plainConfigs(4), jointConfigs(4)...) {
		cs := c.ConfState()
		for _, set := range [][]uint64{cs.Voters, cs.VotersOutgoing, cs.Learners, cs.LearnersNext} {
			rnd.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
		}
		cs.Index = 7
		require.NoError(t, c.Check(), "the shuffling reached %v", c)
		got, err := Restore(cs)
		require.NoError(t, err)
		require.True(t, got.Equal(c), "%v became %v", c, got)

		for _, set := range [][]uint64{cs.Voters, cs.VotersOutgoing, cs.Learners, cs.LearnersNext} {
			clear(set)
		}
		require.True(t, got.Equal(c), "%v changed with its ConfState", got)
		require.Zero(t, got.ConfState().Index)
	}
	got, err := Restore(raftpb.ConfState{Voters: []uint64{}, Index: 3})
	require.NoError(t, err)
	require.Equal(t, Config{}, got)
}

// What is read back from a snapshot or a disk (§5.1) is checked, as any input:
// repeated and contradictory IDs are errors.
func TestRestoreRefuses(t *testing.T) {
	for _, cs := range []raftpb.ConfState{
		{Voters: []uint64{1, 2, 1}},
		{Voters: []uint64{0}},
		{Voters: []uint64{1}, Learners: []uint64{1}},
		{Voters: []uint64{1}, Learners: []uint64{3, 2, 3}},
		{Voters: []uint64{1}, LearnersNext: []uint64{2}},
		{Voters: []uint64{1}, VotersOutgoing: []uint64{2, 2}},
		{Voters: []uint64{1}, VotersOutgoing: []uint64{2}, Learners: []uint64{2}},
		{Voters: []uint64{1}, VotersOutgoing: []uint64{2}, LearnersNext: []uint64{1}},
		{Voters: []uint64{1}, AutoLeave: true},
		{VotersOutgoing: []uint64{1}},
		{Learners: []uint64{1}},
	} {
		before := slices.Clone(cs.Voters)
		got, err := Restore(cs)
		require.ErrorIs(t, err, ErrInvalidConfig, "%v", cs)
		require.Equal(t, Config{}, got)
		require.Equal(t, before, cs.Voters, "the argument was sorted")
	}
}

// No ConfState, however malformed, gives a configuration that fails its check
// or is not the one described (§5.1: a server starts from nothing else).
func TestRestoreRandom(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	set := func() []uint64 {
		ids := make([]uint64, rnd.Intn(4))
		for i := range ids {
			ids[i] = uint64(rnd.Intn(9))
		}
		return ids
	}
	valid := 0
	for range 50000 {
		cs := raftpb.ConfState{
			Voters: set(), VotersOutgoing: set(), Learners: set(), LearnersNext: set(), AutoLeave: rnd.Intn(2) == 0,
		}
		c, err := Restore(cs)
		if err != nil {
			continue
		}
		valid++
		require.NoError(t, c.Check())
		back := c.ConfState()
		require.ElementsMatch(t, cs.Voters, back.Voters)
		require.ElementsMatch(t, cs.VotersOutgoing, back.VotersOutgoing)
		require.ElementsMatch(t, cs.Learners, back.Learners)
		require.ElementsMatch(t, cs.LearnersNext, back.LearnersNext)
		require.Equal(t, cs.AutoLeave, back.AutoLeave)
	}
	require.Greater(t, valid, 100)
}

// What set or ended a target was no later than the entry that made the configuration.
func TestRestoreTargetOfTheFuture(t *testing.T) {
	cs := raftpb.ConfState{Voters: []uint64{1}, Index: 7, Target: &raftpb.MembershipTarget{Version: 7, Voters: []uint64{1}}}
	_, err := Restore(cs)
	require.NoError(t, err)
	cs.Target.Version = 8
	_, err = Restore(cs)
	require.ErrorIs(t, err, ErrInvalidConfig)
	cs.Index = 0 // unknown
	_, err = Restore(cs)
	require.NoError(t, err)
	cs = raftpb.ConfState{
		Voters: []uint64{1}, Index: 7,
		LastOutcome: &raftpb.MembershipOutcome{Version: 3, Result: raftpb.MembershipReached, Index: 8},
	}
	_, err = Restore(cs)
	require.ErrorIs(t, err, ErrInvalidConfig)
}
