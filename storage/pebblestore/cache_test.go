package pebblestore

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// A read that comes between a write's batch and what is known of it waits for the
// write, and is answered by what holds then.
func TestReadWithinAWrite(t *testing.T) {
	o := small(vfs.NewMem())
	o.EntryCacheBytes = -1
	e := open(t, o)
	s := group(t, e, 1)
	save(t, s, entries(1, 50, 1, 100))
	require.NoError(t, s.CreateSnapshot(5, pb.ConfState{Voters: []uint64{1}}, nil))
	for _, test := range []struct {
		fill func(u *update) error
		want error
	}{
		{func(u *update) error { return u.append(entries(30, 50, 2, 100)) }, nil},
		{func(u *update) error { return u.append(entries(40, 45, 3, 100)) }, raft.ErrUnavailable},
		{func(u *update) error {
			return u.install(&pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 60, Term: 3}})
		}, raft.ErrCompacted},
	} {
		s.log.Write.Lock()
		u := &update{s: s, batch: e.newBatch(0), state: s.log.State}
		require.NoError(t, test.fill(u))
		require.NoError(t, e.apply(u.batch, false))
		first, last := s.log.State.Base.Index+1, s.log.State.Last
		read := make(chan error)
		go func() {
			_, err := s.Entries(first, last+1, 1<<30)
			read <- err
		}()
		select {
		case err := <-read:
			t.Fatalf("the read did not wait: %v", err)
		case <-time.After(30 * time.Millisecond):
		}
		u.publish()
		s.log.Write.Unlock()
		require.Equal(t, test.want, <-read)
	}
	require.NoError(t, e.Close())
}
