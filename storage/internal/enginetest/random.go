package enginetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// model is what each group has to hold.
type model map[uint64]*raft.MemoryStorage

func (m model) group(id uint64) (rafttest.Storage, *raft.MemoryStorage) {
	if m[id] == nil {
		m[id] = raft.NewMemoryStorage()
	}
	return rafttest.Memory(m[id]), m[id]
}

// Whatever is written to many groups, in whatever order, with files freed, groups
// destroyed, and the log closed, killed, crashed after a sync and opened again in
// between: each group holds what a storage in memory does.
func testRandomGroups(t *testing.T, x *Subject) {
	for seed := range uint64(x.Scaled(4)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { randomGroups(t, x, seed) })
	}
}

func randomGroups(t *testing.T, x *Subject, seed uint64) {
	const groups = 6
	rnd := rand.New(rand.NewPCG(seed, 7))
	fs := x.NewDisk()
	o := Options{EntryCacheBytes: []int64{-1, 2 << 10, 1 << 20}[seed%3], FreeSoon: true}
	e := x.open(t, fs, o)
	m := model{}
	for round := range 700 {
		id := rnd.Uint64N(groups)
		s := Group(t, e, id)
		want, mem := m.group(id)
		first, _ := mem.FirstIndex()
		last, _ := mem.LastIndex()
		hs, _, _ := mem.InitialState()
		snap, _ := mem.Snapshot()
		var same func(s rafttest.Storage) error
		switch n := rnd.IntN(30); {
		case n == 0:
			require.NoError(t, e.DestroyGroup(id))
			delete(m, id)
			continue
		case n == 1:
			e, fs = x.reopened(t, e, fs, o, rnd)
			m.check(t, e)
			continue
		case n <= 3:
			index := last + rnd.Uint64N(5)
			rd := raft.Ready{HardState: hs, MustSync: true, Snapshot: pb.Snapshot{
				Data:     make([]byte, rnd.IntN(3000)),
				Metadata: pb.SnapshotMetadata{Index: index, Term: uint64(round + 1), ConfState: pb.ConfState{Voters: []uint64{id, uint64(round)}, Index: index}},
			}}
			rd.HardState.Term = uint64(round + 1)
			same = func(s rafttest.Storage) error { return s.Save(rd) }
		case n <= 5 && last >= first:
			index := first + rnd.Uint64N(last-first+1)
			cs := pb.ConfState{Voters: []uint64{7, uint64(round)}, Index: index}
			same = func(s rafttest.Storage) error { return s.CreateSnapshot(index, cs, make([]byte, round)) }
		case n <= 8 && snap.Metadata.Index >= first:
			index := first + rnd.Uint64N(snap.Metadata.Index-first+1)
			same = func(s rafttest.Storage) error { return s.Compact(index) }
		case n == 9:
			cs := pb.ConfState{Voters: []uint64{8, uint64(round)}, Index: 1 + rnd.Uint64N(last+1)}
			same = func(s rafttest.Storage) error { return s.SetConfState(cs) }
		default:
			from := last + 1
			if rnd.IntN(5) == 0 && last > first {
				from = first + rnd.Uint64N(last-first)
			}
			rd := raft.Ready{MustSync: rnd.IntN(3) > 0, Entries: Entries(from, from+rnd.Uint64N(12), uint64(round+1), rnd.IntN(1500))}
			if len(rd.Entries) > 0 && rnd.IntN(4) == 0 {
				rd.Entries[0].Type = pb.EntryConfChangeV2
			}
			rd.HardState = pb.HardState{Term: uint64(round + 1), Vote: rnd.Uint64N(4), Commit: hs.Commit + 1}
			same = func(s rafttest.Storage) error { return s.Save(rd) }
		}
		require.Equal(t, same(want), same(s), "round %d", round)
		m.checkGroup(t, id, s)
	}
	m.check(t, e)
	if x.CheckFreed != nil {
		require.NoError(t, x.CheckFreed(e))
	}
	require.NoError(t, e.Close())
}

// reopened ends the log in one of the ways that keep everything.
func (x *Subject) reopened(t *testing.T, e Engine, fs Disk, o Options, rnd *rand.Rand) (Engine, Disk) {
	switch rnd.IntN(3) {
	case 0:
		require.NoError(t, e.Close())
	default:
		s := Group(t, e, 0)
		require.NoError(t, s.Save(raft.Ready{MustSync: true}))
		left := fs.Crash(rnd)
		require.NoError(t, e.Close())
		fs = left
	}
	return x.open(t, fs, o), fs
}

func (m model) check(t *testing.T, e Engine) {
	t.Helper()
	for id := range m {
		s := Group(t, e, id)
		m.checkGroup(t, id, s)
		require.NoError(t, s.Verify())
	}
	ids, err := e.Groups()
	require.NoError(t, err)
	for _, id := range ids {
		require.Contains(t, m, id)
	}
}

func (m model) checkGroup(t *testing.T, id uint64, s Storage) {
	t.Helper()
	want := m[id]
	first, _ := want.FirstIndex()
	last, _ := want.LastIndex()
	gotFirst, err := s.FirstIndex()
	require.NoError(t, err)
	gotLast, err := s.LastIndex()
	require.NoError(t, err)
	require.Equal(t, [2]uint64{first, last}, [2]uint64{gotFirst, gotLast}, "group %d", id)
	hs, cs, _ := want.InitialState()
	gotHS, gotCS, err := s.InitialState()
	require.NoError(t, err)
	require.Equal(t, hs, gotHS)
	require.NoError(t, cs.Equivalent(gotCS))
	wantSnap, _ := want.Snapshot()
	snap, err := s.Snapshot()
	require.NoError(t, err)
	require.Equal(t, wantSnap.Metadata.Index, snap.Metadata.Index)
	require.Equal(t, len(wantSnap.Data), len(snap.Data))
	var changes []uint64
	for i := first - 1; i <= last; i++ {
		term, _ := want.Term(i)
		got, err := s.Term(i)
		require.NoError(t, err)
		require.Equal(t, term, got, "group %d, %d", id, i)
	}
	if last >= first {
		ents, _ := want.Entries(first, last+1, ^uint64(0))
		got, err := s.Entries(first, last+1, ^uint64(0))
		require.NoError(t, err)
		require.Equal(t, ents, got)
		for i := range ents {
			if ents[i].Type != pb.EntryNormal {
				changes = append(changes, ents[i].Index)
			}
		}
		some, _ := want.Entries(first, last+1, 2000)
		got, err = s.Entries(first, last+1, 2000)
		require.NoError(t, err)
		require.Equal(t, some, got)
	}
	indexes, err := s.ConfEntryIndexes(first, last+1)
	require.NoError(t, err)
	require.Equal(t, changes, indexes)
}
