package enginetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Groups are apart, whatever their IDs, and are listed once something was written.
func testGroups(t *testing.T, x *Subject) {
	fs := x.NewDisk()
	e := x.open(t, fs, Options{})
	ids := []uint64{0, 1, 2, 255, 256, 1 << 40, math.MaxUint64}
	listed, err := e.Groups()
	require.NoError(t, err)
	require.Empty(t, listed)
	for n, id := range ids {
		s := Group(t, e, id)
		require.Same(t, s, Group(t, e, id))
		require.Equal(t, id, s.ID())
		Save(t, s, Entries(1, uint64(n)+2, id%7+1, 10))
	}
	Group(t, e, 77) // nothing is written to it
	for range 2 {
		listed, err = e.Groups()
		require.NoError(t, err)
		require.Equal(t, ids, listed)
		for n, id := range ids {
			require.Equal(t, Entries(1, uint64(n)+2, id%7+1, 10), All(t, Group(t, e, id)))
		}
		require.NoError(t, e.Close())
		e = x.open(t, fs, Options{})
	}
	require.NoError(t, e.Close())
}

// A destroyed group is gone, durably, with its neighbours untouched; whoever still
// holds its storage is told, and the ID can be used again.
func testDestroyGroup(t *testing.T, x *Subject) {
	fs := x.NewDisk()
	e := x.open(t, fs, Options{})
	for _, id := range []uint64{1, 2, 3, math.MaxUint64} {
		Save(t, Group(t, e, id), Entries(1, 30, 1, 10))
	}
	old := Group(t, e, 2)
	for _, id := range []uint64{2, math.MaxUint64, 99} {
		require.NoError(t, e.DestroyGroup(id))
	}
	require.ErrorIs(t, old.Save(raft.Ready{HardState: pb.HardState{Term: 3}, MustSync: true}), x.Errors.Destroyed)
	require.ErrorIs(t, old.Compact(1), x.Errors.Destroyed)
	_, err := old.Entries(1, 2, 0)
	require.ErrorIs(t, err, x.Errors.Destroyed)
	_, _, err = old.InitialState()
	require.ErrorIs(t, err, x.Errors.Destroyed)
	_, err = old.Snapshot()
	require.ErrorIs(t, err, x.Errors.Destroyed)
	require.ErrorIs(t, old.Verify(), x.Errors.Destroyed)

	left := fs.Crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = x.open(t, left, Options{})
	listed, err := e.Groups()
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 3}, listed)
	require.Empty(t, All(t, Group(t, e, 2)))
	Save(t, Group(t, e, 2), Entries(1, 3, 1, 10))
	require.Len(t, All(t, Group(t, e, 1)), 29)
	require.Len(t, All(t, Group(t, e, 2)), 2)
	require.NoError(t, e.Close())
}

// A directory is open once, and free again after Close.
func testLocked(t *testing.T, x *Subject) {
	mem := x.NewDisk()
	for name, open := range map[string]func(dir string) (Engine, error){
		"memory": func(dir string) (Engine, error) { return x.Open(dir, mem, Options{}) },
		"disk":   x.OpenDefault,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e, err := open(dir)
			require.NoError(t, err)
			_, err = open(dir)
			require.ErrorIs(t, err, x.Errors.Locked)
			require.ErrorContains(t, err, dir)
			require.NoError(t, e.Close())
			e, err = open(dir)
			require.NoError(t, err)
			require.NoError(t, e.Close())
		})
	}
}

// A directory is for one node of one cluster, once it was told which.
func testIdentity(t *testing.T, x *Subject) {
	fs := x.NewDisk()
	reopen := func(cluster, node uint64) error {
		e, err := x.Open(Dir, fs, Options{ClusterID: cluster, NodeID: node})
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
		require.ErrorIs(t, err, x.Errors.Identity)
		require.Equal(t, x.IdentityError(Dir, [2]uint64{5, 3}, other), err)
		require.ErrorContains(t, err, "node 3 of cluster 5")
		require.ErrorContains(t, err, fmt.Sprintf("node %d of cluster %d", other[1], other[0]))
	}
	require.NoError(t, reopen(5, 3))
}

// Synced writes of several groups share syncs, and each is durable when it returns.
func testSharedSyncs(t *testing.T, x *Subject) {
	const groups, saves = 16, 40
	w := x.NewDisk()
	w.Watch(func(op, _ string) error {
		if op == "sync" {
			time.Sleep(time.Millisecond) // as a disk would take
		}
		return nil
	}, nil)
	e := x.open(t, w, Options{FileBytes: 4 << 20})
	before := w.LogSyncs()
	var writers sync.WaitGroup
	for id := range uint64(groups) {
		s := Group(t, e, id)
		writers.Go(func() {
			for i := range uint64(saves) {
				if err := s.Save(raft.Ready{Entries: Entries(i+1, i+2, 1, 10), MustSync: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	syncs := w.LogSyncs() - before
	t.Logf("%d syncs for %d synced saves", syncs, groups*saves)
	require.Less(t, syncs, int64(groups*saves/3))
	require.NoError(t, e.Close())
}

// Compaction frees the disk, and so does the end of a group.
func testSpaceIsFreed(t *testing.T, x *Subject) {
	fs := x.NewDisk()
	o := Options{LongLog: true, FreeSoon: true}
	e := x.open(t, fs, o)
	s, other := Group(t, e, 1), Group(t, e, 2)
	random := rand.NewChaCha8([32]byte{})
	for i := uint64(1); i < 2000; i += 50 {
		ents := Entries(i, i+50, 1, 0)
		for n := range ents { // what cannot be compressed
			ents[n].Data = make([]byte, 1000)
			_, _ = random.Read(ents[n].Data)
		}
		Save(t, s, ents)
		Save(t, other, Entries(i, i+50, 1, 100))
	}
	full := fs.Size()
	require.Greater(t, full, 2_000_000)
	require.NoError(t, s.CreateSnapshot(1990, pb.ConfState{Voters: []uint64{1}}, nil))
	require.NoError(t, s.Compact(1990))
	require.NoError(t, e.DestroyGroup(2))
	require.Eventually(t, func() bool { return fs.Size() < full/5 }, 20*time.Second, 5*time.Millisecond)
	require.Len(t, All(t, s), 10)
	require.NoError(t, s.Verify())
	require.NoError(t, e.Close())
	e = x.open(t, fs, o)
	require.Len(t, All(t, Group(t, e, 1)), 10)
	require.NoError(t, e.Close())
}

// An idle group takes little memory.
func testIdleGroupsAreSmall(t *testing.T, x *Subject) {
	const groups = 2000
	fs := x.NewDisk()
	o := Options{LongLog: true}
	e := x.open(t, fs, o)
	for id := range uint64(groups) {
		require.NoError(t, Group(t, e, id).Save(raft.Ready{
			Snapshot: pb.Snapshot{Metadata: pb.SnapshotMetadata{
				Index: 5, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}, Index: 4},
			}},
			Entries:   Entries(6, 9, 2, 10),
			HardState: pb.HardState{Term: 2, Vote: 1, Commit: 6},
		}))
	}
	require.NoError(t, e.Close())
	e = x.open(t, fs, o)
	require.NoError(t, e.Close()) // once more, so that little is left to be recovered
	size := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := size()
	e = x.open(t, fs, o)
	for id := range uint64(groups) {
		Group(t, e, id)
	}
	each := (int64(size()) - int64(before)) / groups
	t.Log(each, "bytes for each group")
	require.Less(t, each, int64(2048))
	require.NoError(t, e.Close())
}

// A write that is larger than a file of the log is one write all the same.
func testLargeWrites(t *testing.T, x *Subject) {
	fs := x.NewDisk()
	e := x.open(t, fs, Options{})
	s := Group(t, e, 1)
	Save(t, s, Entries(1, 4, 1, 300_000))
	Save(t, s, Entries(2, 6, 2, 200_000))
	require.NoError(t, s.Verify())
	left := fs.Crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = x.open(t, left, Options{})
	s = Group(t, e, 1)
	require.NoError(t, s.Verify())
	require.Equal(t, append(Entries(1, 2, 1, 300_000), Entries(2, 6, 2, 200_000)...), All(t, s))
	require.NoError(t, e.Close())
}

// A write that is too large for one is refused, whatever makes it large, and nothing
// comes of it.
func testTooLargeWrites(t *testing.T, x *Subject) {
	fs := x.NewDisk()
	e := x.open(t, fs, Options{})
	s := Group(t, e, 1)
	Save(t, s, Entries(1, 4, 1, 100))
	same := make([]pb.Entry, 40) // 2.5 GiB, more than 31 bits hold, all of it in one place
	data := make([]byte, 64<<20)
	for i := range same {
		same[i] = pb.Entry{Index: 4 + uint64(i), Term: 1, Data: data}
	}
	require.ErrorIs(t, s.Save(raft.Ready{Entries: same, MustSync: true}), x.Errors.TooLarge)
	x.LimitWrites(e, 4096)
	for name, write := range map[string]func() error{
		"one entry":   func() error { return s.Save(raft.Ready{Entries: Entries(4, 5, 1, 5000), MustSync: true}) },
		"all entries": func() error { return s.Save(raft.Ready{Entries: Entries(2, 60, 2, 70), MustSync: true}) },
		"a snapshot": func() error {
			snap := pb.Snapshot{Data: make([]byte, 5000), Metadata: pb.SnapshotMetadata{Index: 9, Term: 1}}
			return s.Save(raft.Ready{Snapshot: snap, MustSync: true})
		},
		"a snapshot of its own": func() error { return s.CreateSnapshot(2, pb.ConfState{Voters: []uint64{1}}, make([]byte, 5000)) },
	} {
		require.ErrorIs(t, write(), x.Errors.TooLarge, name)
		require.NoError(t, e.Err(), name)
		require.Equal(t, Entries(1, 4, 1, 100), All(t, s), name)
	}
	Save(t, s, Entries(4, 6, 1, 100))
	left := fs.Crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = x.open(t, left, Options{})
	require.Equal(t, Entries(1, 6, 1, 100), All(t, Group(t, e, 1)))
	require.NoError(t, e.Close())
}

// A Save with nothing to write still makes what came before it durable.
func testEmptySaveSyncs(t *testing.T, x *Subject) {
	fs := x.NewDisk()
	e := x.open(t, fs, Options{})
	s := Group(t, e, 1)
	require.NoError(t, s.Save(raft.Ready{Entries: Entries(1, 4, 1, 10)}))
	require.NoError(t, s.Save(raft.Ready{MustSync: true}))
	left := fs.Crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = x.open(t, left, Options{})
	require.Len(t, All(t, Group(t, e, 1)), 3)
	require.NoError(t, e.Close())
}
