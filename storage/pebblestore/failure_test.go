package pebblestore

import (
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// A read that was under way when a write failed may find what was not written: the
// disk failed, the data is not corrupt.
func TestReadsBesideAFailure(t *testing.T) {
	for name, read := range map[string]func(s *Storage) error{
		"Entries": func(s *Storage) error { _, err := s.Entries(1, 50, 1<<30); return err },
		"Verify":  func(s *Storage) error { return s.Verify() },
		"Snapshot": func(s *Storage) error {
			_, err := s.Snapshot()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := small(vfs.NewMem())
			o.EntryCacheBytes = -1
			e := open(t, o)
			s := group(t, e, 1)
			save(t, s, entries(1, 50, 1, 100))
			require.NoError(t, s.CreateSnapshot(5, pb.ConfState{Voters: []uint64{1}}, nil))
			// As a file that was not written looks: it has no records.
			require.NoError(t, e.db.Delete(key{1, kindEntry, 20}.bytes(), nil))
			require.NoError(t, e.db.Delete(key{group: 1, kind: kindSnapshot}.bytes(), nil))
			require.ErrorIs(t, read(s), ErrCorrupt)
			s.log.Write.Lock() // which a read waits for before it says so
			result := make(chan error)
			go func() { result <- read(s) }()
			time.Sleep(20 * time.Millisecond)
			e.guard.Fail("write", "a file", syscall.ENOSPC)
			s.log.Write.Unlock()
			err := <-result
			require.ErrorIs(t, err, ErrFailed)
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.NotErrorIs(t, err, ErrCorrupt)
			require.ErrorIs(t, e.Close(), ErrFailed)
		})
	}
}
