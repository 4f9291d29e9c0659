package server

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
)

// The log of a new cluster begins with its first members, whom all of them have to put there
// in the same order: entries of one place and term must be the same everywhere.
func TestFirstMembersAreInOrder(t *testing.T) {
	first := map[uint64]string{}
	var want []raft.Peer
	for id := uint64(1); id <= 20; id++ {
		first[id] = "host" + strconv.FormatUint(id, 10) + ":1"
		want = append(want, raft.Peer{ID: id, Context: []byte(first[id])})
	}
	s := &Server{identity: &identity{First: first}}
	for range 10 {
		require.Equal(t, want, s.firstMembers())
	}
}

// A server is not taken for removed by a configuration from before it was a member, which it
// meets when it applies entries anew after a crash.
func TestWasRemoved(t *testing.T) {
	require.False(t, (&identity{}).wasRemoved(9), "it is no member yet")
	member := &identity{Member: 3}
	require.False(t, member.wasRemoved(2))
	require.False(t, member.wasRemoved(3))
	require.True(t, member.wasRemoved(4))
}
