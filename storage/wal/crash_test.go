package wal

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
)

// Files without a batch go from the end, so that a crash between them leaves no gap.
func TestCrashBetweenUnusedFiles(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	save(t, group(t, e, 1), entries(1, 3, 1, 100))
	e.keeper.close()
	left, id := fs.kill(), e.id
	require.NoError(t, e.Close())
	for seq := uint64(2); seq <= 4; seq++ {
		data := make([]byte, minSegmentBytes)
		(&segmentHeader{version: formatVersion, id: id, seq: seq}).put(data)
		left.put(filepath.Join(testDir, segmentName(seq)), data)
	}
	var between []*memFS
	left.watch(func(op, _ string) error {
		if op == "remove" {
			between = append(between, left.kill())
		}
		return nil
	}, nil)
	e = open(t, small(left))
	left.watch(nil, nil)
	require.NoError(t, e.Close())
	require.Len(t, between, 3)
	for _, fs := range between {
		e := open(t, small(fs))
		require.Len(t, all(t, group(t, e, 1)), 2)
		require.NoError(t, e.Close())
	}
}

// What a process finds that was started after another was killed, it may build on: a
// loss of power does not take it any more, although the other one was killed before it
// was synced.
func TestPowerFailureAfterKill(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		fs := newMemFS()
		e := open(t, small(fs))
		save(t, group(t, e, 1), entries(1, 3, 1, 700))
		killed(fs, "sync", segmentSuffix)
		require.Error(t, group(t, e, 1).Save(raft.Ready{Entries: entries(3, 5, 1, 3000), MustSync: true}))
		require.Error(t, e.Close())
		fs.watch(nil, nil)
		e = open(t, small(fs))
		last, err := group(t, e, 1).LastIndex()
		require.NoError(t, err)
		require.Equal(t, uint64(4), last)
		left := fs.crash(rnd)
		require.NoError(t, e.Close())
		e = open(t, small(left))
		require.Equal(t, append(entries(1, 3, 1, 700), entries(3, 5, 1, 3000)...), all(t, group(t, e, 1)))
		require.NoError(t, e.Close())
	}
}

// What a process finds after a sync failed, it may build on too, although the failure took
// it: the system may serve what it did not write, and call it clean.
func TestPowerFailureAfterFailedSync(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	save(t, group(t, e, 1), entries(1, 3, 1, 100))
	name := fs.segments()[0]
	fs.watch(func(op, of string) error {
		if op != "sync" || of != name {
			return nil
		}
		fs.mu.Lock()
		defer fs.mu.Unlock()
		clear(fs.names[name].dirty)
		return syscall.EIO
	}, nil)
	require.ErrorIs(t, group(t, e, 1).Save(raft.Ready{Entries: entries(3, 5, 1, 3000), MustSync: true}), ErrFailed)
	require.ErrorIs(t, e.Close(), ErrFailed)
	fs.watch(nil, nil)
	e = open(t, small(fs))
	last, err := group(t, e, 1).LastIndex()
	require.NoError(t, err)
	require.Equal(t, uint64(4), last)
	left := fs.crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = open(t, small(left))
	require.Equal(t, append(entries(1, 3, 1, 100), entries(3, 5, 1, 3000)...), all(t, group(t, e, 1)))
	require.NoError(t, e.Close())
}

// The same where not even the name of the first file is durable.
func TestPowerFailureAfterKilledCreation(t *testing.T) {
	for seed := range uint64(20) {
		fs := newMemFS()
		killed(fs, "sync", testDir)
		_, err := Open(testDir, small(fs))
		require.ErrorIs(t, err, ErrFailed)
		require.Len(t, fs.segments(), 1)
		fs.watch(nil, nil)
		e := open(t, small(fs))
		save(t, group(t, e, 1), entries(1, 3, 1, 100))
		left := fs.crash(rand.New(rand.NewPCG(seed, 5)))
		require.NoError(t, e.Close())
		e = open(t, small(left))
		require.Len(t, all(t, group(t, e, 1)), 2)
		require.NoError(t, e.Close())
	}
}

// A process that was killed before the first batch of a new log leaves a file without any.
// Who opens it next may say whom it is for, and begins the log anew.
func TestIdentityAfterKilledCreation(t *testing.T) {
	fs := newMemFS()
	killed(fs, "write", segmentSuffix)
	_, err := Open(testDir, small(fs))
	require.ErrorIs(t, err, ErrFailed)
	require.Len(t, fs.segments(), 1)
	fs.watch(nil, nil)
	o := small(fs)
	o.ClusterID, o.NodeID = 5, 6
	e := open(t, o)
	save(t, group(t, e, 1), entries(1, 3, 1, 100))
	require.NoError(t, e.Close())
	e = open(t, o)
	require.Len(t, all(t, group(t, e, 1)), 2)
	require.NoError(t, e.Close())
}

// killed makes all that follows the first operation of a kind on a file fail, with it.
func killed(fs *memFS, op, suffix string) {
	var dead atomic.Bool
	fs.watch(func(did, name string) error {
		if did == op && strings.HasSuffix(name, suffix) {
			dead.Store(true)
		}
		if dead.Load() {
			return syscall.EIO
		}
		return nil
	}, nil)
}
