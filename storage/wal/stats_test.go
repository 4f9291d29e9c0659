package wal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// A write that has to be synced is one batch, and costs one sync; one that has not waits in memory.
func TestStats(t *testing.T) {
	e, err := Open(t.TempDir(), nil)
	require.NoError(t, err)
	s, err := e.Group(1)
	require.NoError(t, err)
	save := func(index uint64, sync bool) {
		require.NoError(t, s.Save(raft.Ready{Entries: []pb.Entry{{Term: 1, Index: index}}, MustSync: sync}))
	}
	before := e.Stats()
	require.NotZero(t, before.Syncs)
	save(1, false)
	require.Equal(t, before.Batches, e.Stats().Batches)
	save(2, true)
	save(3, true)
	after := e.Stats()
	require.Equal(t, before.Batches+2, after.Batches)
	require.Equal(t, before.Bytes+2*blockSize, after.Bytes)
	require.GreaterOrEqual(t, after.Syncs, before.Syncs+2)
	require.NoError(t, e.Close())
}
