package wal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Groups are apart, whatever their IDs, and are listed once something was written.
func TestGroups(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	ids := []uint64{0, 1, 2, 255, 256, 1 << 40, math.MaxUint64}
	listed, err := e.Groups()
	require.NoError(t, err)
	require.Empty(t, listed)
	for n, id := range ids {
		s := group(t, e, id)
		require.Same(t, s, group(t, e, id))
		require.Equal(t, id, s.ID())
		require.Same(t, e, s.Engine())
		save(t, s, entries(1, uint64(n)+2, id%7+1, 10))
	}
	group(t, e, 77) // nothing is written to it
	for range 2 {
		listed, err = e.Groups()
		require.NoError(t, err)
		require.Equal(t, ids, listed)
		for n, id := range ids {
			require.Equal(t, entries(1, uint64(n)+2, id%7+1, 10), all(t, group(t, e, id)))
		}
		require.NoError(t, e.Close())
		e = open(t, small(fs))
	}
	require.NoError(t, e.Close())
}

// A destroyed group is gone, durably, with its neighbours untouched; whoever still
// holds its storage is told, and the ID can be used again.
func TestDestroyGroup(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	for _, id := range []uint64{1, 2, 3, math.MaxUint64} {
		save(t, group(t, e, id), entries(1, 30, 1, 10))
	}
	old := group(t, e, 2)
	for _, id := range []uint64{2, math.MaxUint64, 99} {
		require.NoError(t, e.DestroyGroup(id))
	}
	require.ErrorIs(t, old.Save(raft.Ready{HardState: pb.HardState{Term: 3}, MustSync: true}), ErrDestroyed)
	require.ErrorIs(t, old.Compact(1), ErrDestroyed)
	_, err := old.Entries(1, 2, 0)
	require.ErrorIs(t, err, ErrDestroyed)
	_, _, err = old.InitialState()
	require.ErrorIs(t, err, ErrDestroyed)
	_, err = old.Snapshot()
	require.ErrorIs(t, err, ErrDestroyed)
	require.ErrorIs(t, old.Verify(), ErrDestroyed)

	left := fs.crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = open(t, small(left))
	listed, err := e.Groups()
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 3}, listed)
	require.Empty(t, all(t, group(t, e, 2)))
	save(t, group(t, e, 2), entries(1, 3, 1, 10))
	require.Len(t, all(t, group(t, e, 1)), 29)
	require.Len(t, all(t, group(t, e, 2)), 2)
	require.NoError(t, e.Close())
}

// A directory is open once, and free again after Close.
func TestLocked(t *testing.T) {
	for name, o := range map[string]*Options{"memory": small(newMemFS()), "disk": nil} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e, err := Open(dir, o)
			require.NoError(t, err)
			_, err = Open(dir, o)
			require.ErrorIs(t, err, ErrLocked)
			require.ErrorContains(t, err, dir)
			require.NoError(t, e.Close())
			e, err = Open(dir, o)
			require.NoError(t, err)
			require.NoError(t, e.Close())
		})
	}
}

// A directory is for one node of one cluster, once it was told which.
func TestIdentity(t *testing.T) {
	fs := newMemFS()
	reopen := func(cluster, node uint64) error {
		o := small(fs)
		o.ClusterID, o.NodeID = cluster, node
		e, err := Open(testDir, o)
		if err != nil {
			return err
		}
		return e.Close()
	}
	require.NoError(t, reopen(0, 0))
	require.NoError(t, reopen(5, 0))
	require.NoError(t, reopen(5, 3)) // it did not say before
	require.NoError(t, reopen(0, 0))
	for _, other := range [][2]uint64{{5, 4}, {6, 3}, {6, 4}, {0, 4}} {
		err := reopen(other[0], other[1])
		require.ErrorIs(t, err, ErrIdentity)
		var id *IdentityError
		require.ErrorAs(t, err, &id)
		require.Equal(t, IdentityError{testDir, 5, 3, other[0], other[1]}, *id)
		require.ErrorContains(t, err, "node 3 of cluster 5")
		require.ErrorContains(t, err, fmt.Sprintf("node %d of cluster %d", other[1], other[0]))
	}
	require.NoError(t, reopen(5, 3))
}

// Whom it is for is not forgotten with the file that a crash left without a batch and
// that alone says so.
func TestIdentityAfterCrashes(t *testing.T) {
	fs := newMemFS()
	require.NoError(t, open(t, small(fs)).Close())
	o := small(fs)
	o.ClusterID = 5
	killed(fs, "write", segmentName(2))
	_, err := Open(testDir, o)
	require.ErrorIs(t, err, ErrFailed)
	killed(fs, "rename", spareName(3)) // no file is made ahead that says it too
	e, err := Open(testDir, o)
	if err == nil {
		_ = e.Close()
	}
	fs.watch(nil, nil)
	require.Len(t, fs.segments(), 2)
	o = small(fs)
	o.ClusterID = 7
	_, err = Open(testDir, o)
	require.ErrorIs(t, err, ErrIdentity)
}

// What this program does not understand it leaves alone.
func TestFormat(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	require.NoError(t, e.Close())
	segments := fs.segments()
	f := fs.names[segments[len(segments)-1]]
	written := append([]byte(nil), f.data...)
	h := segmentHeader{}
	require.NoError(t, h.parse(f.data))
	h.version = 9
	h.put(f.data[:blockSize])
	_, err := Open(testDir, small(fs))
	var format *FormatError
	require.ErrorAs(t, err, &format)
	require.Equal(t, FormatError{testDir, 9, formatVersion}, *format)
	require.ErrorIs(t, err, ErrFormat)
	f.data = written
	require.NoError(t, open(t, small(fs)).Close())

	foreign := newMemFS()
	foreign.put(filepath.Join(testDir, "CURRENT"), nil)
	_, err = Open(testDir, small(foreign))
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorContains(t, err, "something else")
	require.Len(t, foreign.names, 1)
}

// Synced writes of several groups share syncs, and each is durable when it returns.
func TestSharedSyncs(t *testing.T) {
	const groups, saves = 16, 40
	w := newMemFS()
	w.watch(func(op, _ string) error {
		if op == "sync" {
			time.Sleep(time.Millisecond) // as a disk would take
		}
		return nil
	}, nil)
	o := small(w)
	o.SegmentBytes, o.LogBytes = 4<<20, 16<<20
	e := open(t, o)
	before := w.syncs.Load()
	var writers sync.WaitGroup
	for id := range uint64(groups) {
		s := group(t, e, id)
		writers.Go(func() {
			for i := range uint64(saves) {
				if err := s.Save(raft.Ready{Entries: entries(i+1, i+2, 1, 10), MustSync: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	syncs := w.syncs.Load() - before
	t.Logf("%d syncs for %d synced saves", syncs, groups*saves)
	require.Less(t, syncs, int64(groups*saves/3))
	require.NoError(t, e.Close())
}

// Compaction frees the disk, and so does the end of a group.
func TestSpaceIsFreed(t *testing.T) {
	fs := newMemFS()
	o := small(fs)
	o.LogBytes = 100 << 20
	e := open(t, o)
	s, other := group(t, e, 1), group(t, e, 2)
	for i := uint64(1); i < 2000; i += 50 {
		save(t, s, entries(i, i+50, 1, 1000))
		save(t, other, entries(i, i+50, 1, 100))
	}
	full := fs.size()
	require.Greater(t, full, 2_000_000)
	require.NoError(t, s.CreateSnapshot(1990, pb.ConfState{Voters: []uint64{1}}, nil))
	require.NoError(t, s.Compact(1990))
	require.NoError(t, e.DestroyGroup(2))
	require.Eventually(t, func() bool { return fs.size() < full/5 }, 20*time.Second, 5*time.Millisecond)
	require.Len(t, all(t, s), 10)
	require.NoError(t, s.Verify())
	require.NoError(t, e.Close())
	e = open(t, o)
	require.Len(t, all(t, group(t, e, 1)), 10)
	require.NoError(t, e.Close())
}

// A group that is idle, or does not compact, does not keep the files of the others
// for ever: what it has is moved, and is there after a restart and a crash.
func TestIdleGroupsDoNotKeepFiles(t *testing.T) {
	fs := newMemFS()
	o := small(fs)
	e := open(t, o)
	idle, busy := group(t, e, 1), group(t, e, 2)
	want := entries(1, 40, 1, 500)
	save(t, idle, want)
	require.NoError(t, idle.CreateSnapshot(7, pb.ConfState{Voters: []uint64{1}}, []byte("kept")))
	require.NoError(t, idle.Compact(3))
	hs, _, err := idle.InitialState()
	require.NoError(t, err)
	check := func() {
		t.Helper()
		require.Equal(t, want[3:], all(t, idle))
		snap, err := idle.Snapshot()
		require.NoError(t, err)
		require.Equal(t, []byte("kept"), snap.Data)
		got, _, err := idle.InitialState()
		require.NoError(t, err)
		require.Equal(t, hs, got)
		require.NoError(t, idle.Verify())
	}
	for i := uint64(1); i < 400; i++ {
		save(t, busy, entries(i, i+1, 1, 3000))
		if i%20 == 0 {
			require.NoError(t, busy.Compact(i-5))
		}
	}
	require.Eventually(t, func() bool { return fs.size() < 9*minSegmentBytes }, 20*time.Second, 5*time.Millisecond)
	check()
	left := fs.crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	for _, fs := range []*memFS{fs, left} {
		o.files = fs
		e = open(t, o)
		idle = group(t, e, 1)
		check()
		require.NoError(t, e.Close())
	}
}

// A file that is not needed any more is the next one: its blocks were written before.
func TestFilesAreRecycled(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	s := group(t, e, 1)
	var created atomic.Int64
	fs.watch(func(op, _ string) error {
		if op == "create" {
			created.Add(1)
		}
		return nil
	}, nil)
	for i := uint64(1); i < 600; i++ {
		save(t, s, entries(i, i+1, 1, 3000))
		if i%10 == 0 {
			require.NoError(t, s.Compact(i-1))
			time.Sleep(time.Millisecond)
		}
	}
	require.NoError(t, e.Close())
	t.Log(e.lastSeq, "segments,", created.Load(), "files created")
	require.Greater(t, e.lastSeq, uint64(30))
	require.Less(t, created.Load(), int64(12))
}

// An idle group takes little memory.
func TestIdleGroupsAreSmall(t *testing.T) {
	const groups = 2000
	fs := newMemFS()
	o := small(fs)
	o.LogBytes = 16 << 20
	e := open(t, o)
	for id := range uint64(groups) {
		require.NoError(t, group(t, e, id).Save(raft.Ready{
			Snapshot: pb.Snapshot{Metadata: pb.SnapshotMetadata{
				Index: 5, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}, Index: 4},
			}},
			Entries:   entries(6, 9, 2, 10),
			HardState: pb.HardState{Term: 2, Vote: 1, Commit: 6},
		}))
	}
	require.NoError(t, e.Close())
	size := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := size()
	e = open(t, o)
	each := (int64(size()) - int64(before)) / groups
	t.Log(each, "bytes for each group")
	require.Less(t, each, int64(2048))
	require.NoError(t, e.Close())
}

// A write that is larger than a segment is one write all the same.
func TestLargeWrites(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	s := group(t, e, 1)
	save(t, s, entries(1, 4, 1, 300_000))
	save(t, s, entries(2, 6, 2, 200_000))
	require.NoError(t, s.Verify())
	left := fs.crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = open(t, small(left))
	s = group(t, e, 1)
	require.NoError(t, s.Verify())
	require.Equal(t, append(entries(1, 2, 1, 300_000), entries(2, 6, 2, 200_000)...), all(t, s))
	_, err := s.begin(maxRecord + 1)
	require.ErrorIs(t, err, ErrTooLarge)
	save(t, s, entries(6, 7, 2, 10)) // nothing came of it
	require.NoError(t, e.Close())
}

// A Save with nothing to write still makes what came before it durable.
func TestEmptySaveSyncs(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	s := group(t, e, 1)
	require.NoError(t, s.Save(raft.Ready{Entries: entries(1, 4, 1, 10)}))
	require.NoError(t, s.Save(raft.Ready{MustSync: true}))
	left := fs.crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = open(t, small(left))
	require.Len(t, all(t, group(t, e, 1)), 3)
	require.NoError(t, e.Close())
}
