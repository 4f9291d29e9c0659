package enginetest

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// A leader that sends what it wrote does not read from disk, and what it is given
// are the bytes that it wrote.
func testRecentEntriesAreNotRead(t *testing.T, x *Subject) {
	e := x.open(t, x.NewDisk(), Options{EntryCacheBytes: 1 << 20})
	s := Group(t, e, 1)
	want := Entries(1, 101, 1, 100)
	for i := range want {
		Save(t, s, want[i:i+1])
	}
	require.Zero(t, testing.AllocsPerRun(10, func() {
		ents, err := s.Entries(1, 101, 1<<30)
		if err != nil || len(ents) != 100 || &ents[50].Data[0] != &want[50].Data[0] {
			t.Error("not what was written")
		}
	}))
	require.NoError(t, e.Close())
}

// The cache keeps to its limit for all groups together, gives up first what was
// written longest ago, and accounts for what goes in other ways.
func testCacheIsBounded(t *testing.T, x *Subject) {
	const limit = 20_000
	e := x.open(t, x.NewDisk(), Options{EntryCacheBytes: limit})
	rnd := rand.New(rand.NewPCG(1, 1))
	check := func() {
		t.Helper()
		require.NoError(t, x.CheckCache(e))
	}
	want := map[uint64][]pb.Entry{}
	for round := range 400 {
		id := rnd.Uint64N(5)
		s := Group(t, e, id)
		first, _ := s.FirstIndex()
		last, _ := s.LastIndex()
		switch n := rnd.IntN(10); {
		case n == 0 && last >= first:
			require.NoError(t, s.Compact(first+rnd.Uint64N(last-first+1)))
		case n == 1:
			require.NoError(t, s.Save(raft.Ready{Snapshot: pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: last + 3, Term: 1}}}))
			want[id] = nil
		case n == 2 && round%4 == 0:
			require.NoError(t, e.DestroyGroup(id))
			delete(want, id)
		default:
			from := last + 1
			if rnd.IntN(4) == 0 && last > first {
				from = first + rnd.Uint64N(last-first)
			}
			ents := Entries(from, from+1+rnd.Uint64N(10), uint64(round+1), rnd.IntN(600))
			Save(t, s, ents)
			kept := want[id]
			for len(kept) > 0 && kept[len(kept)-1].Index >= from {
				kept = kept[:len(kept)-1]
			}
			want[id] = append(kept[:len(kept):len(kept)], ents...)
		}
		check()
		for id := range want {
			s := Group(t, e, id)
			first, _ := s.FirstIndex()
			for len(want[id]) > 0 && want[id][0].Index < first {
				want[id] = want[id][1:]
			}
			require.Len(t, All(t, s), len(want[id]))
			for i, ent := range All(t, s) {
				require.Equal(t, want[id][i], ent)
			}
		}
	}
	// One write that is larger than the cache.
	Save(t, Group(t, e, 100), Entries(1, 9, 1, limit))
	check()
	require.NoError(t, e.Close())
}

// Reads from the disk beside truncations and compactions see the log before or
// after, and call nothing corrupt that is not.
func testReadsBesideWrites(t *testing.T, x *Subject) {
	e := x.open(t, x.NewDisk(), Options{EntryCacheBytes: -1})
	s := Group(t, e, 1)
	Save(t, s, Entries(1, 50, 1, 100))
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for !done.Load() {
				first, _ := s.FirstIndex()
				last, _ := s.LastIndex()
				ents, err := s.Entries(first, last+1, 1<<30)
				if err != nil && !errors.Is(err, raft.ErrCompacted) && !errors.Is(err, raft.ErrUnavailable) {
					t.Error(err)
					return
				}
				for i := range ents {
					if i > 0 && ents[i].Term < ents[i-1].Term {
						t.Errorf("entry %d of term %d after one of term %d", ents[i].Index, ents[i].Term, ents[i-1].Term)
					}
				}
				if _, err := s.Snapshot(); err != nil {
					t.Error(err)
				}
				if err := s.Verify(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for term := uint64(2); term < 150; term++ {
		last, _ := s.LastIndex()
		first, _ := s.FirstIndex()
		Save(t, s, Entries(max(first, last-5), last+20, term, 100))
		require.NoError(t, s.CreateSnapshot(last, pb.ConfState{Voters: []uint64{1}, Index: 1}, []byte("here")))
		require.NoError(t, s.Compact(last-10))
	}
	done.Store(true)
	readers.Wait()
	require.NoError(t, e.Close())
}

// No more is read than is asked for.
func testReadsStopAtTheLimit(t *testing.T, x *Subject) {
	e := x.open(t, x.NewDisk(), Options{EntryCacheBytes: -1})
	s := Group(t, e, 1)
	Save(t, s, Entries(1, 200, 1, 1000))
	ents, err := s.Entries(1, 200, 5000)
	require.NoError(t, err)
	require.Len(t, ents, 4)
	allocated := testing.AllocsPerRun(20, func() { _, _ = s.Entries(1, 200, 0) })
	require.Less(t, allocated, 40.0)
	require.NoError(t, e.Close())
}

// What the cache gave up is not kept in memory by the little that it still has of
// a group.
func testCacheFreesWhatItDrops(t *testing.T, x *Subject) {
	const groups, each, size = 10, 6, 128 << 10
	e := x.open(t, x.NewDisk(), Options{EntryCacheBytes: 4 << 20, FileBytes: 4 << 20})
	var freed atomic.Int64
	for id := range uint64(groups) {
		s := Group(t, e, id)
		for i := range uint64(each) {
			data := make([]byte, size)
			runtime.AddCleanup(&data[0], func(int) { freed.Add(1) }, 0)
			require.NoError(t, s.Save(raft.Ready{Entries: []pb.Entry{{Index: i + 1, Term: 1, Data: data}}}))
		}
		require.NoError(t, s.Compact(each-1)) // one is left
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		return freed.Load() >= groups*(each-1)
	}, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, e.Close())
}
