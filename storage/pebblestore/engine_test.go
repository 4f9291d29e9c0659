package pebblestore

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Groups are apart, whatever their IDs, and are listed once something was written.
func TestGroups(t *testing.T) {
	fs := vfs.NewMem()
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
	fs := vfs.NewCrashableMem()
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

	left := fs.CrashClone(vfs.CrashCloneCfg{})
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
	for name, o := range map[string]*Options{"memory": small(vfs.NewMem()), "disk": nil} {
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
	fs := vfs.NewMem()
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

// What this program does not understand it leaves alone.
func TestFormat(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, small(fs))
	require.NoError(t, e.Close())
	version := make([]byte, crcLen+8, crcLen+40)
	version[crcLen+7] = 9
	withRaw(t, fs, func(db *pebble.DB) {
		value := append(version, "and more"...)
		sum := checksum(identityKey, value[crcLen:])
		value[0], value[1], value[2], value[3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		require.NoError(t, db.Set(identityKey, value, pebble.Sync))
	})
	_, err := Open(testDir, small(fs))
	var format *FormatError
	require.ErrorAs(t, err, &format)
	require.Equal(t, FormatError{testDir, 9, formatVersion}, *format)
	require.ErrorIs(t, err, ErrFormat)

	withRaw(t, fs, func(db *pebble.DB) { require.NoError(t, db.Set(identityKey, version, pebble.Sync)) })
	_, err = Open(testDir, small(fs))
	require.ErrorIs(t, err, ErrCorrupt)

	foreign := vfs.NewMem()
	withRaw(t, foreign, func(db *pebble.DB) { require.NoError(t, db.Set([]byte("some"), []byte("thing"), pebble.Sync)) })
	_, err = Open(testDir, small(foreign))
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorContains(t, err, "something else")
}

// Synced writes of several groups share syncs, and each is durable when it returns.
func TestSharedSyncs(t *testing.T) {
	const groups, saves = 16, 40
	w := &watchedFS{FS: vfs.NewCrashableMem()}
	w.before = func(op, _ string) error {
		if op == "sync" {
			time.Sleep(time.Millisecond) // as a disk would take
		}
		return nil
	}
	o := small(w)
	o.MemTableBytes = 4 << 20
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
	fs := vfs.NewMem()
	o := small(fs)
	o.FreeSpaceDelay = 10 * time.Millisecond
	e := open(t, o)
	s, other := group(t, e, 1), group(t, e, 2)
	random := rand.NewChaCha8([32]byte{})
	for i := uint64(1); i < 2000; i += 50 {
		ents := entries(i, i+50, 1, 0)
		for n := range ents { // what cannot be compressed
			ents[n].Data = make([]byte, 1000)
			_, _ = random.Read(ents[n].Data)
		}
		save(t, s, ents)
		save(t, other, entries(i, i+50, 1, 100))
	}
	full := diskUsage(t, fs)
	require.Greater(t, full, 2_000_000)
	require.NoError(t, s.CreateSnapshot(1990, pb.ConfState{Voters: []uint64{1}}, nil))
	require.NoError(t, s.Compact(1990))
	require.NoError(t, e.DestroyGroup(2))
	deadline := time.Now().Add(20 * time.Second)
	for diskUsage(t, fs) > full/5 {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d bytes are left\n%s\n%s", diskUsage(t, fs), full, fs, e.db.Metrics())
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.Len(t, all(t, s), 10)
	require.NoError(t, e.Close())
}

func diskUsage(t *testing.T, fs vfs.FS) int {
	total := 0
	for _, name := range files(t, fs, "") {
		if info, err := fs.Stat(name); err == nil {
			total += int(info.Size())
		}
	}
	return total
}

// An idle group takes little memory.
func TestIdleGroupsAreSmall(t *testing.T) {
	const groups = 2000
	fs := vfs.NewMem()
	o := small(fs)
	o.MemTableBytes = 4 << 20
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
	e = open(t, o)
	size := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := size()
	for id := range uint64(groups) {
		group(t, e, id)
	}
	each := (int64(size()) - int64(before)) / groups
	t.Log(each, "bytes for each group")
	require.Less(t, each, int64(2048))
	require.NoError(t, e.Close())
}

// A write that is larger than a memtable is one write all the same.
func TestLargeWrites(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, small(fs))
	s := group(t, e, 1)
	save(t, s, entries(1, 4, 1, 300_000))
	save(t, s, entries(2, 6, 2, 200_000))
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	require.NoError(t, e.Close())
	e = open(t, small(left))
	s = group(t, e, 1)
	require.Equal(t, append(entries(1, 2, 1, 300_000), entries(2, 6, 2, 200_000)...), all(t, s))
	err := s.run(maxBatch+1, true, nil)
	require.ErrorIs(t, err, ErrTooLarge)
	require.NoError(t, e.Close())
}

// A Save with nothing to write still makes what came before it durable.
func TestEmptySaveSyncs(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, small(fs))
	s := group(t, e, 1)
	require.NoError(t, s.Save(raft.Ready{Entries: entries(1, 4, 1, 10)}))
	require.NoError(t, s.Save(raft.Ready{MustSync: true}))
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	require.NoError(t, e.Close())
	e = open(t, small(left))
	require.Len(t, all(t, group(t, e, 1)), 3)
	require.NoError(t, e.Close())
}
