package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// A node holds a leader's snapshot only if it has that very entry, or a snapshot past
// it, durable (Raft §5.3: same index and term). With another entry in its place it
// waits rightly, and the leader is not to blame (L2).
func TestHoldsTheSnapshot(t *testing.T) {
	t.Parallel()
	with := func(base uint64, terms ...uint64) *node {
		d := newDisk()
		d.format(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: base, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1}}}})
		for i, term := range terms {
			d.write(record{ents: []pb.Entry{{Index: base + 1 + uint64(i), Term: term}}})
		}
		d.fail(len(d.unsynced)) // all of it is durable
		return &node{disk: d}
	}
	leader := with(1, 2, 3)
	require.True(t, with(1, 2, 3).holds(leader, 3))
	require.False(t, with(1, 2, 2).holds(leader, 3), "another entry in its place")
	require.False(t, with(1, 2).holds(leader, 3), "it is not there")
	require.True(t, with(5).holds(leader, 3), "a snapshot past it")
}
