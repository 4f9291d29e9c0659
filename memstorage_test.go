package raft_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// storageWith returns a storage whose log is (first-1, last], entry i of term i.
func storageWith(t *testing.T, first, last uint64) *raft.MemoryStorage {
	ms := raft.NewMemoryStorage()
	if first > 1 {
		require.NoError(t, ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: first - 1, Term: first - 1}}))
	}
	require.NoError(t, ms.Append(numbered(first, last)))
	return ms
}

func numbered(first, last uint64) []pb.Entry {
	var ents []pb.Entry
	for i := first; i <= last; i++ {
		ents = append(ents, pb.Entry{Term: i, Index: i, Data: []byte{byte(i)}})
	}
	return ents
}

// Entries returns [lo, hi), at least one and otherwise within the bytes asked
// for; what is compacted or not there yet is named by its error.
func TestMemoryStorageEntries(t *testing.T) {
	ms := storageWith(t, 4, 8)
	all := numbered(4, 8)
	size := uint64(all[0].Size())
	for _, c := range []struct {
		lo, hi, max uint64
		want        []pb.Entry
		err         error
	}{
		{3, 5, math.MaxUint64, nil, raft.ErrCompacted},
		{0, 1, math.MaxUint64, nil, raft.ErrCompacted},
		{4, 9, math.MaxUint64, all, nil},
		{5, 7, math.MaxUint64, all[1:3], nil},
		{8, 10, math.MaxUint64, nil, raft.ErrUnavailable},
		{9, 10, math.MaxUint64, nil, raft.ErrUnavailable},
		{5, 5, math.MaxUint64, nil, raft.ErrUnavailable},
		{4, 9, 0, all[:1], nil},
		{4, 9, size, all[:1], nil},
		{4, 9, 2*size - 1, all[:1], nil},
		{4, 9, 2 * size, all[:2], nil},
	} {
		got, err := ms.Entries(c.lo, c.hi, c.max)
		require.ErrorIs(t, err, c.err, "%v", c)
		require.Equal(t, c.want, got, "%v", c)
	}
}

// The term of the entry before the first is kept, for the log matching check
// (Raft §5.3).
func TestMemoryStorageTermAndBounds(t *testing.T) {
	ms := storageWith(t, 4, 8)
	for i, want := range map[uint64]error{2: raft.ErrCompacted, 3: nil, 4: nil, 8: nil, 9: raft.ErrUnavailable} {
		term, err := ms.Term(i)
		require.ErrorIs(t, err, want)
		if want == nil {
			require.Equal(t, i, term)
		}
	}
	first, err := ms.FirstIndex()
	require.NoError(t, err)
	last, err := ms.LastIndex()
	require.NoError(t, err)
	require.Equal(t, []uint64{4, 8}, []uint64{first, last})

	empty := raft.NewMemoryStorage()
	first, _ = empty.FirstIndex()
	last, _ = empty.LastIndex()
	require.Equal(t, []uint64{1, 0}, []uint64{first, last})
	term, err := empty.Term(0)
	require.NoError(t, err)
	require.Zero(t, term)
}

// Append replaces from its first entry's index on, skips what the snapshot
// covers, and refuses a gap.
func TestMemoryStorageAppend(t *testing.T) {
	for _, c := range []struct {
		name string
		ents []pb.Entry
		want []uint64 // the terms from index 4 on
		err  bool
	}{
		{"nothing", nil, []uint64{4, 5, 6}, false},
		{"at the end", []pb.Entry{{Index: 7, Term: 9}}, []uint64{4, 5, 6, 9}, false},
		{"over the end", []pb.Entry{{Index: 6, Term: 9}, {Index: 7, Term: 9}}, []uint64{4, 5, 9, 9}, false},
		{"in the middle", []pb.Entry{{Index: 5, Term: 9}}, []uint64{4, 9}, false},
		{"from the start", []pb.Entry{{Index: 4, Term: 9}}, []uint64{9}, false},
		{"partly before the start", []pb.Entry{{Index: 2, Term: 9}, {Index: 3, Term: 9}, {Index: 4, Term: 9}}, []uint64{9}, false},
		{"before the start", []pb.Entry{{Index: 2, Term: 9}, {Index: 3, Term: 9}}, []uint64{4, 5, 6}, false},
		{"a gap", []pb.Entry{{Index: 8, Term: 9}}, []uint64{4, 5, 6}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ms := storageWith(t, 4, 6)
			err := ms.Append(c.ents)
			require.Equal(t, c.err, err != nil)
			last, _ := ms.LastIndex()
			require.Equal(t, 3+uint64(len(c.want)), last)
			for i, want := range c.want {
				term, err := ms.Term(4 + uint64(i))
				require.NoError(t, err)
				require.Equal(t, want, term)
			}
		})
	}
}

// A snapshot is made of what is in the log, never goes back, and compacts
// nothing; compaction keeps the entry before the first.
func TestMemoryStorageSnapshotAndCompaction(t *testing.T) {
	ms := storageWith(t, 4, 8)
	cs := &pb.ConfState{Voters: []uint64{1, 2}, Index: 5}
	_, err := ms.CreateSnapshot(3, cs, nil)
	require.ErrorIs(t, err, raft.ErrSnapOutOfDate)
	_, err = ms.CreateSnapshot(9, cs, nil)
	require.ErrorIs(t, err, raft.ErrUnavailable)
	snap, err := ms.CreateSnapshot(6, cs, []byte("state"))
	require.NoError(t, err)
	want := pb.Snapshot{Data: []byte("state"), Metadata: pb.SnapshotMetadata{Index: 6, Term: 6, ConfState: *cs}}
	require.Equal(t, want, snap)
	got, err := ms.Snapshot()
	require.NoError(t, err)
	require.Equal(t, want, got)
	first, _ := ms.FirstIndex()
	require.Equal(t, uint64(4), first)
	snap, err = ms.CreateSnapshot(7, nil, nil)
	require.NoError(t, err)
	require.Equal(t, *cs, snap.Metadata.ConfState, "without a configuration the one in place stays")

	require.ErrorIs(t, ms.Compact(3), raft.ErrCompacted)
	require.ErrorIs(t, ms.Compact(9), raft.ErrUnavailable)
	require.NoError(t, ms.Compact(6))
	first, _ = ms.FirstIndex()
	require.Equal(t, uint64(7), first)
	term, err := ms.Term(6)
	require.NoError(t, err)
	require.Equal(t, uint64(6), term)
	require.NoError(t, ms.Compact(8))
	_, err = ms.Entries(8, 9, 1)
	require.ErrorIs(t, err, raft.ErrCompacted)
	require.NoError(t, ms.Append(numbered(9, 9)), "the log goes on after all was compacted")

	for index, want := range map[uint64]error{6: raft.ErrSnapOutOfDate, 7: raft.ErrSnapOutOfDate} {
		require.ErrorIs(t, ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: index, Term: 50}}), want)
	}
	require.NoError(t, ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 20, Term: 9}}))
	first, _ = ms.FirstIndex()
	last, _ := ms.LastIndex()
	require.Equal(t, []uint64{21, 20}, []uint64{first, last})
	term, err = ms.Term(20)
	require.NoError(t, err)
	require.Equal(t, uint64(9), term)
}

// InitialState is what was saved. A configuration without an index came with the
// snapshot and is as of it; one that ApplyConfChange returned has its own.
func TestMemoryStorageInitialState(t *testing.T) {
	ms := raft.NewMemoryStorage()
	hs, cs, err := ms.InitialState()
	require.NoError(t, err)
	require.Equal(t, pb.HardState{}, hs)
	require.Equal(t, pb.ConfState{}, cs)

	require.NoError(t, ms.SetHardState(pb.HardState{Term: 3, Vote: 2, Commit: 1}))
	require.NoError(t, ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 5, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1}}}}))
	hs, cs, _ = ms.InitialState()
	require.Equal(t, pb.HardState{Term: 3, Vote: 2, Commit: 1}, hs)
	require.Equal(t, pb.ConfState{Voters: []uint64{1}, Index: 5}, cs)

	require.NoError(t, ms.Append([]pb.Entry{{Index: 6, Term: 1}, {Index: 7, Term: 1}, {Index: 8, Term: 1}}))
	newer := pb.ConfState{Voters: []uint64{1, 2}, Index: 7}
	ms.SetConfState(newer)
	_, cs, _ = ms.InitialState()
	require.Equal(t, newer, cs)
	_, err = ms.CreateSnapshot(6, &pb.ConfState{Voters: []uint64{1}, Index: 5}, nil)
	require.NoError(t, err)
	_, cs, _ = ms.InitialState()
	require.Equal(t, newer, cs, "a snapshot of an older configuration does not take back a newer one")
	_, err = ms.CreateSnapshot(8, &pb.ConfState{Voters: []uint64{1, 2, 3}, Index: 8}, nil)
	require.NoError(t, err)
	_, cs, _ = ms.InitialState()
	require.Equal(t, uint64(8), cs.Index)
}

// Under any writes, the list of configuration entries equals a scan of the log,
// and what was returned before stays as it was.
func TestMemoryStorageAgainstAScan(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		ms := raft.NewMemoryStorage()
		type held struct{ got, was []pb.Entry }
		var out []held
		var want []pb.Entry // the log from first on
		first := uint64(1)
		for step := range 200 {
			last := first + uint64(len(want)) - 1
			switch rnd.IntN(10) {
			default:
				from := last + 1 - min(uint64(rnd.IntN(4)), uint64(len(want)))
				ents := make([]pb.Entry, 1+rnd.IntN(5))
				for i := range ents {
					ents[i] = pb.Entry{Term: uint64(step + 1), Index: from + uint64(i), Type: pb.EntryType(rnd.IntN(3)), Data: []byte{byte(step)}}
				}
				require.NoError(t, ms.Append(ents))
				want = append(slices.Clone(want[:from-first]), ents...)
			case 0:
				if len(want) > 0 {
					n := 1 + rnd.IntN(len(want))
					require.NoError(t, ms.Compact(first+uint64(n)-1))
					want, first = want[n:], first+uint64(n)
				}
			case 1:
				if rnd.IntN(5) == 0 {
					require.NoError(t, ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: last + 3, Term: uint64(step + 1)}}))
					want, first = nil, last+4
				}
			}
			last = first + uint64(len(want)) - 1
			if len(want) > 0 {
				got, err := ms.Entries(first, last+1, math.MaxUint64)
				require.NoError(t, err)
				require.Equal(t, want, got)
				out = append(out, held{got, slices.Clone(got)})
			}
			lo := first + uint64(rnd.IntN(len(want)+1))
			hi := lo + uint64(rnd.IntN(len(want)+1))
			var scan []uint64
			for _, e := range want {
				if e.Index >= lo && e.Index < hi && e.Type != pb.EntryNormal {
					scan = append(scan, e.Index)
				}
			}
			got, err := ms.ConfEntryIndexes(lo, hi)
			require.NoError(t, err)
			require.ElementsMatch(t, scan, got)
			require.True(t, slices.IsSorted(got))
		}
		for _, h := range out {
			require.Equal(t, h.was, h.got, "entries that were returned changed")
		}
	}
}

// A configuration that is saved late does not replace the newer one of a
// snapshot, nor one that was saved before.
func TestMemoryStorageKeepsTheNewestConfiguration(t *testing.T) {
	s := raft.NewMemoryStorage()
	newest := pb.ConfState{Voters: []uint64{1, 2}, Index: 8}
	require.NoError(t, s.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 9, Term: 2, ConfState: newest}}))
	s.SetConfState(pb.ConfState{Voters: []uint64{1}, Index: 4})
	_, cs, err := s.InitialState()
	require.NoError(t, err)
	require.Equal(t, newest, cs)
	newest = pb.ConfState{Voters: []uint64{1, 2, 3}, Index: 12}
	s.SetConfState(newest)
	s.SetConfState(pb.ConfState{Voters: []uint64{1}, Index: 11})
	_, cs, err = s.InitialState()
	require.NoError(t, err)
	require.Equal(t, newest, cs)
}

// The configuration of a snapshot that names no entry for it, as one of another implementation, holds at the
// snapshot: what was applied before does not replace it, what is applied later does.
func TestMemoryStorageDatesASnapshotsConfiguration(t *testing.T) {
	configuration := func(s *raft.MemoryStorage) pb.ConfState {
		_, cs, err := s.InitialState()
		require.NoError(t, err)
		return cs
	}
	received := raft.NewMemoryStorage()
	require.NoError(t, received.ApplySnapshot(pb.Snapshot{
		Metadata: pb.SnapshotMetadata{Index: 9, Term: 2, ConfState: pb.ConfState{Voters: []uint64{1, 2}}},
	}))
	received.SetConfState(pb.ConfState{Voters: []uint64{1}, Index: 4})
	require.Equal(t, pb.ConfState{Voters: []uint64{1, 2}, Index: 9}, configuration(received))
	received.SetConfState(pb.ConfState{Voters: []uint64{3}, Index: 10})
	require.Equal(t, pb.ConfState{Voters: []uint64{3}, Index: 10}, configuration(received))

	made := storageWith(t, 4, 8)
	made.SetConfState(pb.ConfState{Voters: []uint64{1}, Index: 6})
	_, err := made.CreateSnapshot(5, &pb.ConfState{Voters: []uint64{5}}, nil)
	require.NoError(t, err)
	require.Equal(t, pb.ConfState{Voters: []uint64{1}, Index: 6}, configuration(made), "made of an earlier index")
	_, err = made.CreateSnapshot(7, &pb.ConfState{Voters: []uint64{7}}, nil)
	require.NoError(t, err)
	require.Equal(t, pb.ConfState{Voters: []uint64{7}, Index: 7}, configuration(made))
}
