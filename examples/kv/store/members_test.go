package store

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// An ID is made once, and never one that is not above what it is to be above, or that was
// reserved; the same holds after a restart, and on a server that got the state as a
// snapshot.
func TestNewMember(t *testing.T) {
	fs := newFS()
	s := open(t, fs)
	require.Equal(t, Result{Done, 1}, apply(t, s, 10, EncodeNewMember(0)))
	require.Equal(t, Result{Done, 4}, apply(t, s, 11, EncodeNewMember(3)), "the first members were 1 to 3")
	require.Equal(t, Result{Done, 5}, apply(t, s, 12, EncodeNewMember(3)))
	require.Equal(t, Result{Done, 13}, apply(t, s, 13, EncodeReserveMembers(8)))
	require.Equal(t, Result{Done, 14}, apply(t, s, 14, EncodeReserveMembers(2)))
	require.Equal(t, Result{Done, 9}, apply(t, s, 15, EncodeNewMember(0)))
	view := viewOf(t, s)

	require.NoError(t, s.Close())
	s = open(t, fs)
	require.Equal(t, Result{Done, 10}, apply(t, s, 16, EncodeNewMember(0)))
	require.Empty(t, everything(t, s, 0), "an ID is no key")
	require.NoError(t, s.Restore(17, bytes.NewReader(view)))
	require.Equal(t, Result{Done, 10}, apply(t, s, 18, EncodeNewMember(0)))
	require.NoError(t, s.Close())

	other := opened(t)
	apply(t, other, 1, EncodeReserveMembers(100))
	require.NoError(t, other.Restore(15, bytes.NewReader(view)))
	require.Equal(t, Result{Done, 10}, apply(t, other, 16, EncodeNewMember(0)), "the state is that of the snapshot")
	require.NoError(t, other.Restore(17, bytes.NewReader(framed())))
	require.Equal(t, Result{Done, 1}, apply(t, other, 18, EncodeNewMember(0)))
}

// IDs never wrap: 0 and the highest number are no server's, and when there are no more,
// that is said, and reserved IDs stay reserved.
func TestNoMoreMembers(t *testing.T) {
	s := opened(t)
	for i, data := range [][]byte{
		EncodeReserveMembers(0), EncodeReserveMembers(math.MaxUint64), EncodeNewMember(math.MaxUint64),
	} {
		require.Equal(t, Result{Status: Malformed}, apply(t, s, uint64(i+1), data))
	}
	require.Equal(t, Result{Status: Exhausted}, apply(t, s, 4, EncodeNewMember(MaxMember)))
	require.Equal(t, Result{Done, 1}, apply(t, s, 5, EncodeNewMember(0)), "the refused ones changed nothing")
	require.Equal(t, Result{Done, MaxMember}, apply(t, s, 6, EncodeNewMember(MaxMember-1)))
	result := apply(t, s, 7, EncodeNewMember(0))
	require.Equal(t, Result{Status: Exhausted}, result)
	require.ErrorIs(t, result.Err(), ErrExhausted)
	require.Equal(t, Result{Done, 8}, apply(t, s, 8, EncodeReserveMembers(MaxMember)))
	require.ErrorIs(t, apply(t, s, 9, EncodeNewMember(0)).Err(), ErrExhausted)
}

// A command of a later version is refused, by all servers alike.
func TestUnknownCommand(t *testing.T) {
	s := opened(t)
	before := viewOf(t, s)
	require.Equal(t, Result{Status: Malformed}, apply(t, s, 1, encodeMember(opReserveMembers+1, 5)))
	require.Equal(t, before, viewOf(t, s))
}
