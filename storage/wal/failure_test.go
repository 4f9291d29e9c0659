package wal

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/storage/internal/enginetest"
)

// All who wait when a write fails are told, those for whom the next would have been too:
// nobody is left waiting for one who does not come.
func TestFailureReachesAllWhoWait(t *testing.T) {
	const writers = 12
	fs := newMemFS()
	e := open(t, small(fs))
	waiting := func() (n int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.pending.waiters
	}
	for id := range uint64(writers) {
		save(t, group(t, e, id), entries(1, 2, 1, 10))
	}
	e.keeper.close() // it syncs too
	flying := make(chan struct{})
	fs.watch(func(op, _ string) error {
		if op != "sync" {
			return nil
		}
		close(flying) // there is one sync, none after the failure
		for waiting() < writers-1 {
			time.Sleep(time.Millisecond)
		}
		return syscall.EIO
	}, nil)
	enginetest.Within(t, "a write", func() {
		var running sync.WaitGroup
		for id := range uint64(writers) {
			running.Go(func() {
				err := group(t, e, id).Save(raft.Ready{Entries: entries(2, 3, 1, 10), MustSync: true})
				if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
					t.Error(err)
				}
			})
			<-flying // the first writes alone, so all others wait for the next batch
		}
		running.Wait()
	})
	require.ErrorIs(t, e.Close(), ErrFailed)
}

// The directory is not synced beside a sync of it that fails, nor after it.
func TestDirectoryIsNotSyncedBesideAFailure(t *testing.T) {
	fs := newMemFS()
	o := small(fs)
	e := open(t, o)
	e.keeper.close() // it syncs too
	var syncs atomic.Int64
	beside := make(chan error, 1)
	fs.watch(func(op, name string) error {
		if op != "sync" || name != e.dir {
			return nil
		}
		if syncs.Add(1) == 1 {
			go func() { beside <- e.syncDir() }()
			time.Sleep(30 * time.Millisecond) // who does not wait comes meanwhile
		}
		return syscall.EIO
	}, nil)
	failure := e.syncDir()
	require.ErrorIs(t, failure, ErrFailed)
	require.Equal(t, failure, <-beside)
	require.EqualValues(t, 1, syncs.Load())
	require.Equal(t, failure, e.Close())
}
