package store

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	mine, theirs = uint64(11), uint64(12) // claims
)

// asker returns what applies one command after the other.
func asker(t *testing.T, s *Store) func(data []byte) Result {
	return func(data []byte) Result {
		t.Helper()
		return apply(t, s, appliedOf(t, s)+1, data)
	}
}

// An ID is given once, and never one that is not above what it is to be above, or that was
// retired; the same holds after a restart, and on a server that got the state as a
// snapshot.
func TestNewMember(t *testing.T) {
	fs := newFS()
	s := open(t, fs)
	require.Equal(t, Result{Done, 1}, apply(t, s, 10, EncodeNewMember(0, 0, 0)))
	require.Equal(t, Result{Done, 4}, apply(t, s, 11, EncodeNewMember(3, 0, mine)), "the first members were 1 to 3")
	require.Equal(t, Result{Done, 5}, apply(t, s, 12, EncodeNewMember(3, 0, 0)))
	require.Equal(t, Result{Done, 13}, apply(t, s, 13, EncodeRetireMembers(8, 8)))
	require.Equal(t, Result{Done, 14}, apply(t, s, 14, EncodeRetireMembers(2, 2)))
	require.Equal(t, Result{Done, 9}, apply(t, s, 15, EncodeNewMember(0, 0, 0)))
	view := viewOf(t, s)

	require.NoError(t, s.Close())
	s = open(t, fs)
	require.Equal(t, Result{Done, 4}, apply(t, s, 16, EncodeNewMember(0, 0, mine)))
	require.Equal(t, Result{Done, 10}, apply(t, s, 17, EncodeNewMember(0, 0, 0)))
	require.Empty(t, everything(t, s, 0), "an ID is no key")
	require.NoError(t, s.Restore(18, bytes.NewReader(view)))
	require.Equal(t, Result{Done, 4}, apply(t, s, 19, EncodeNewMember(0, 0, mine)))
	require.Equal(t, Result{Done, 10}, apply(t, s, 20, EncodeNewMember(0, 0, 0)))
	require.NoError(t, s.Close())

	other := opened(t)
	apply(t, other, 1, EncodeRetireMembers(0, 100))
	apply(t, other, 2, EncodeNewMember(0, 0, theirs))
	require.NoError(t, other.Restore(15, bytes.NewReader(view)))
	require.Equal(t, Result{Done, 10}, apply(t, other, 16, EncodeNewMember(0, 0, theirs)), "the state is that of the snapshot")
	require.NoError(t, other.Restore(17, bytes.NewReader(framed())))
	require.Equal(t, Result{Done, 1}, apply(t, other, 18, EncodeNewMember(0, 0, theirs)))
}

// A server that asks again, since it did not hear the answer, gets the same ID, whether it
// wants that one or any; and nobody else ever gets it.
func TestAClaimKeepsItsID(t *testing.T) {
	s := opened(t)
	ask := asker(t, s)
	taken := Result{Status: Taken}
	for range 2 {
		require.Equal(t, Result{Done, 4}, ask(EncodeNewMember(3, 0, mine)))
		require.Equal(t, Result{Done, 7}, ask(EncodeNewMember(3, 7, theirs)))
	}
	require.Equal(t, Result{Done, 4}, ask(EncodeNewMember(3, 4, mine)))
	require.Equal(t, Result{Taken, 4}, ask(EncodeNewMember(3, 9, mine)), "a claim has one ID")
	require.Equal(t, Result{Taken, 7}, ask(EncodeNewMember(3, 4, theirs)))
	for _, wanted := range []uint64{1, 3, 4, 5, 7} {
		require.Equal(t, taken, ask(EncodeNewMember(3, wanted, 13)), wanted)
	}
	require.Equal(t, Result{Done, 8}, ask(EncodeNewMember(3, 0, 13)))
}

// An ID that was given without a claim, for a server that is started later, is that of the
// first that claims it.
func TestAnIDIsClaimedOnce(t *testing.T) {
	s := opened(t)
	ask := asker(t, s)
	require.Equal(t, Result{Done, 4}, ask(EncodeNewMember(3, 0, 0)))
	require.Equal(t, Result{Done, 5}, ask(EncodeNewMember(3, 0, 0)), "no claim is no claim")
	require.Equal(t, Done, ask(EncodeUseMember(4, 0)).Status)
	require.Equal(t, Taken, ask(EncodeUseMember(4, mine)).Status)
	require.Equal(t, Taken, ask(EncodeNewMember(4, 4, 0)).Status)
	for range 2 {
		require.Equal(t, Result{Done, 4}, ask(EncodeNewMember(4, 4, mine)))
	}
	require.Equal(t, Taken, ask(EncodeNewMember(4, 4, theirs)).Status)
	require.Equal(t, Taken, ask(EncodeUseMember(4, 0)).Status)
	require.Equal(t, Done, ask(EncodeUseMember(5, 0)).Status)
}

// Only who was given an ID may use it, as often as it asks, and nobody once it is retired.
func TestUseAndRetire(t *testing.T) {
	s := opened(t)
	ask := asker(t, s)
	require.Equal(t, Taken, ask(EncodeUseMember(2, mine)).Status, "it was not given")
	require.Equal(t, Result{Done, 4}, ask(EncodeNewMember(3, 0, mine)))
	require.Equal(t, Result{Done, 5}, ask(EncodeNewMember(3, 0, theirs)))
	for range 2 {
		require.Equal(t, Done, ask(EncodeUseMember(4, mine)).Status)
		require.ErrorIs(t, ask(EncodeUseMember(4, theirs)).Err(), ErrTaken)
	}
	for range 2 {
		require.Equal(t, Done, ask(EncodeRetireMembers(4, 4)).Status)
		require.Equal(t, Taken, ask(EncodeUseMember(4, mine)).Status)
		require.Equal(t, Taken, ask(EncodeNewMember(3, 4, mine)).Status)
	}
	require.Equal(t, Done, ask(EncodeUseMember(5, theirs)).Status)
	require.Equal(t, Result{Done, 6}, ask(EncodeNewMember(3, 0, mine)))
	require.Equal(t, Done, ask(EncodeRetireMembers(0, 8)).Status, "all of them")
	require.Equal(t, Taken, ask(EncodeUseMember(5, theirs)).Status)
	require.Equal(t, Result{Done, 9}, ask(EncodeNewMember(3, 0, mine)))
}

// Of more open IDs than are kept the lowest is forgotten, by all servers alike: it is
// nobody's then.
func TestOpenIDsAreBounded(t *testing.T) {
	s := opened(t)
	ask := asker(t, s)
	for i := range uint64(fewOpen + 1) {
		require.Equal(t, Result{Done, i + 1}, ask(EncodeNewMember(0, 0, 100+i)))
	}
	require.Equal(t, Taken, ask(EncodeUseMember(1, 100)).Status)
	require.Equal(t, Taken, ask(EncodeNewMember(0, 1, 100)).Status)
	require.Equal(t, Done, ask(EncodeUseMember(2, 101)).Status)
	require.Equal(t, Result{Done, fewOpen + 2}, ask(EncodeNewMember(0, 0, 100)), "it is a new server")
}

// IDs never wrap: 0 and the highest number are no server's, and when there are no more,
// that is said, and retired IDs stay retired.
func TestNoMoreMembers(t *testing.T) {
	s := opened(t)
	ask := asker(t, s)
	for _, data := range [][]byte{
		EncodeRetireMembers(0, 0), EncodeRetireMembers(0, math.MaxUint64), EncodeRetireMembers(5, 4),
		EncodeNewMember(math.MaxUint64, 0, 0), EncodeNewMember(0, math.MaxUint64, 0),
		EncodeUseMember(0, 0), EncodeUseMember(math.MaxUint64, 0),
	} {
		require.Equal(t, Result{Status: Malformed}, ask(data))
	}
	require.Equal(t, Result{Status: Exhausted}, ask(EncodeNewMember(MaxMember, 0, 0)))
	require.Equal(t, Result{Done, 1}, ask(EncodeNewMember(0, 0, 0)), "the refused ones changed nothing")
	require.Equal(t, Result{Done, MaxMember}, ask(EncodeNewMember(MaxMember-1, 0, mine)))
	result := ask(EncodeNewMember(0, 0, 0))
	require.Equal(t, Result{Status: Exhausted}, result)
	require.ErrorIs(t, result.Err(), ErrExhausted)
	require.Equal(t, Result{Done, MaxMember}, ask(EncodeNewMember(0, 0, mine)), "which has its ID already")
	require.Equal(t, Done, ask(EncodeRetireMembers(MaxMember, MaxMember)).Status)
	require.ErrorIs(t, ask(EncodeNewMember(0, 0, mine)).Err(), ErrExhausted)
}

// Nobody can use up the IDs by asking for a high one.
func TestAnIDThatIsTooHigh(t *testing.T) {
	s := opened(t)
	ask := asker(t, s)
	require.Equal(t, Result{Status: Taken}, ask(EncodeNewMember(3, MaxMember, mine)))
	require.Equal(t, Result{Status: Taken}, ask(EncodeNewMember(3, 4+MaxMemberSkip, mine)))
	require.Equal(t, Result{Done, 3 + MaxMemberSkip}, ask(EncodeNewMember(3, 3+MaxMemberSkip, mine)))
	require.Equal(t, Result{Done, 4 + MaxMemberSkip}, ask(EncodeNewMember(3, 0, theirs)))
	near := opened(t)
	require.Equal(t, Done, apply(t, near, 1, EncodeNewMember(MaxMember-5, MaxMember, mine)).Status)
}

// A command of a later version is refused, by all servers alike.
func TestUnknownCommand(t *testing.T) {
	s := opened(t)
	before := viewOf(t, s)
	require.Equal(t, Result{Status: Malformed}, apply(t, s, 1, encodeMember(&command{op: opRetireMembers + 1, member: 5})))
	require.Equal(t, before, viewOf(t, s))
}
