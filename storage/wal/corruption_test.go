package wal

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// filled is a log of two groups with records of all kinds that a crash left: the
// last batch is one entry of group 1.
func filled(t *testing.T) *memFS {
	fs := newMemFS()
	e := open(t, small(fs))
	for id := uint64(1); id <= 2; id++ {
		s := group(t, e, id)
		save(t, s, entries(1, 4, 1, 100))
		save(t, s, entries(4, 7, 2, 100))
		require.NoError(t, s.Save(raft.Ready{Entries: []pb.Entry{{Index: 7, Term: 2, Type: pb.EntryConfChange}}, MustSync: true}))
		require.NoError(t, s.SetConfState(pb.ConfState{Voters: []uint64{1, 2}, Index: 6}))
		require.NoError(t, s.CreateSnapshot(5, pb.ConfState{Voters: []uint64{1, 2}, Index: 6}, []byte("where it is")))
		require.NoError(t, s.Compact(2))
	}
	save(t, group(t, e, 1), entries(8, 9, 2, 5000))
	save(t, group(t, e, 1), entries(9, 10, 2, 5000))
	left := fs.kill()
	require.NoError(t, e.Close())
	return left
}

// contents is all that the groups have, or the error that says why not.
func contents(fs *memFS) (string, error) {
	e, err := Open(testDir, small(fs))
	if err != nil {
		return "", err
	}
	defer e.Close()
	text := ""
	for id := uint64(1); id <= 2; id++ {
		s, err := e.Group(id)
		if err != nil {
			return "", err
		}
		if err := s.Verify(); err != nil {
			return "", err
		}
		st, err := s.log.Look()
		if err != nil {
			return "", err
		}
		snap, err := s.Snapshot()
		if err != nil {
			return "", err
		}
		text += fmt.Sprintln(id, st.Base, st.Last, st.Runs, st.Changes, st.Hard, st.Conf, st.ConfAt, snap)
		if st.Last > st.Base.Index {
			ents, err := s.Entries(st.Base.Index+1, st.Last+1, ^uint64(0))
			if err != nil {
				return "", err
			}
			text += fmt.Sprintln(ents)
		}
	}
	return text, nil
}

// batches returns where the batches of a segment are.
func batches(t *testing.T, fs *memFS, name string) (from, to []int) {
	data := fs.names[name].data
	var h segmentHeader
	require.NoError(t, h.parse(data))
	for at := blockSize; at < len(data); {
		var b batchHeader
		if !b.parse(data[at:], &h.id) {
			break
		}
		from, to = append(from, at), append(to, at+batchHeaderLen+int(b.size))
		at += blocks(batchHeaderLen + int(b.size))
	}
	return from, to
}

// Whichever byte rots of a log that a crash left: all is there, or it is an error
// that names the file and stays, and the log is not touched. Only the last batch may be
// missing instead, since that is what a torn end looks like.
func TestEveryByteOfACrashedLog(t *testing.T) {
	fs := filled(t)
	want, err := contents(fs.kill())
	require.NoError(t, err)
	name := fs.segments()[0]
	from, to := batches(t, fs, name)
	require.Len(t, from, 9)
	last, end := from[len(from)-1], to[len(to)-1]
	withoutLast := fs.kill()
	clear(withoutLast.names[name].data[last : last+batchHeaderLen])
	torn, err := contents(withoutLast)
	require.NoError(t, err)
	require.NotEqual(t, want, torn)

	rnd := rand.New(rand.NewPCG(1, 1))
	corrupt, lost := 0, 0
	for at := 0; at < end; at++ {
		padding, chance := true, 100
		for i := range from {
			if at >= from[i] && at < to[i] {
				if padding = false; at < from[i]+batchHeaderLen+recordHeaderLen {
					chance = 1 // what damage to which says different things
				} else {
					chance = 40
				}
			}
		}
		if rnd.IntN(chance) > 0 || subject.Scaled(4) < 4 && rnd.IntN(10) > 0 {
			continue
		}
		rotten := fs.kill()
		rotten.names[name].data[at] ^= 1 << rnd.IntN(8)
		before := slices.Clone(rotten.names[name].data)
		got, err := contents(rotten)
		switch {
		case err != nil:
			corrupt++
			require.ErrorIs(t, err, ErrCorrupt, "at %d", at)
			require.Contains(t, err.Error(), filepath.Base(name), "at %d", at)
			require.Less(t, at, last)
			require.Equal(t, before, rotten.names[name].data, "the log was touched")
			if corrupt%8 == 0 {
				_, again := contents(rotten)
				require.ErrorIs(t, again, ErrCorrupt, "it went away")
			}
		case got != want:
			lost++
			require.Equal(t, torn, got, "at %d", at)
			require.GreaterOrEqual(t, at, last)
		default:
			require.True(t, padding || at < blockSize, "at %d", at)
		}
	}
	t.Log(corrupt, "found,", lost, "taken for a torn end")
	require.NotZero(t, corrupt)
	require.NotZero(t, lost)
}

// After Close nothing that rots is taken for a torn end.
func TestEveryByteOfAClosedLog(t *testing.T) {
	fs := filled(t)
	e := open(t, small(fs))
	require.NoError(t, group(t, e, 1).Save(raft.Ready{Entries: entries(10, 12, 2, 100)})) // not synced before
	require.NoError(t, e.Close())
	want, err := contents(fs.kill())
	require.NoError(t, err)
	name := fs.segments()[0]
	from, to := batches(t, fs, name)
	rnd := rand.New(rand.NewPCG(1, 2))
	require.Equal(t, batchHeaderLen+recordHeaderLen+8, to[len(to)-1]-from[len(from)-1], "no mark")
	for i := range len(from) - 1 {
		for at := from[i]; at < to[i]; at += 1 + rnd.IntN(40) {
			rotten := fs.kill()
			rotten.names[name].data[at] ^= 1 << rnd.IntN(8)
			_, err := contents(rotten)
			require.ErrorIs(t, err, ErrCorrupt, "at %d", at)
		}
	}
	got, err := contents(fs)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// A process that was opened after a crash knows from then on that what it found is
// no torn end.
func TestWhatWasFoundIsSynced(t *testing.T) {
	fs := filled(t)
	name := fs.segments()[0]
	from, _ := batches(t, fs, name)
	e := open(t, small(fs))
	left := fs.kill()
	require.NoError(t, e.Close())
	left.names[name].data[from[len(from)-1]+50] ^= 1
	_, err := contents(left)
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorIs(t, err, errSynced)
	var corrupt *CorruptionError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, filepath.Base(name), corrupt.File)
	require.Equal(t, int64(from[len(from)-1]), corrupt.Offset)
}

// long is a log of several segments that a crash left, the oldest of which are gone.
func long(t *testing.T) *memFS {
	fs := newMemFS()
	o := small(fs)
	o.LogBytes = 1 << 20
	e := open(t, o)
	for id := uint64(1); id <= 2; id++ {
		s := group(t, e, id)
		for i := uint64(1); i < 120; i++ {
			save(t, s, entries(i, i+1, i/50+1, 2000))
		}
		require.NoError(t, s.Compact(30*id))
		save(t, s, entries(120, 121, 4, 2000))
	}
	require.Eventually(t, func() bool { return fs.segments()[0] != filepath.Join(testDir, segmentName(1)) }, waitFor, tick)
	e.keeper.close() // in the middle of nothing
	require.Greater(t, len(fs.segments()), 6)
	left := fs.kill()
	require.NoError(t, e.Close())
	return left
}

// A file of the log that is missing, in the place of another, of another log, or as it
// was before, is an error that names a file.
func TestDamagedFiles(t *testing.T) {
	fs, other := long(t), long(t)
	want, err := contents(fs.kill())
	require.NoError(t, err)
	names := fs.segments()
	middle := names[len(names)/2]
	for name, damage := range map[string]func(fs *memFS){
		"the oldest is missing": func(fs *memFS) { delete(fs.names, names[0]) },
		"one is missing":        func(fs *memFS) { delete(fs.names, middle) },
		"one is in the place of another": func(fs *memFS) {
			fs.names[middle] = fs.names[names[1]]
		},
		"one is of another log": func(fs *memFS) { fs.names[middle] = other.names[middle] },
		"one is empty":          func(fs *memFS) { fs.put(middle, nil) },
		"one has zeros":         func(fs *memFS) { clear(fs.names[middle].data) },
		"the first batch of the oldest": func(fs *memFS) {
			fs.names[names[0]].data[blockSize+40] ^= 1
		},
		"nothing is left but an empty one": func(fs *memFS) { // which is no new log
			for _, name := range names[:len(names)-1] {
				delete(fs.names, name)
			}
			clear(fs.names[names[len(names)-1]].data[blockSize:])
		},
		"one is cut": func(fs *memFS) {
			fs.names[middle].data = fs.names[middle].data[:minSegmentBytes/2]
		},
		"a block was not written": func(fs *memFS) { // and has what was there before
			clear(fs.names[middle].data[5*blockSize : 6*blockSize])
		},
		"a batch was written to the place of another": func(fs *memFS) {
			data := fs.names[middle].data
			copy(data[5*blockSize:6*blockSize], data[7*blockSize:])
		},
		"all but the first blocks are as they were": func(fs *memFS) {
			clear(fs.names[middle].data[5*blockSize:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			rotten := fs.kill()
			damage(rotten)
			before := rotten.kill()
			_, err := contents(rotten)
			require.ErrorIs(t, err, ErrCorrupt)
			require.Contains(t, err.Error(), segmentSuffix)
			switch name {
			case "one is missing":
				require.Contains(t, err.Error(), filepath.Base(middle))
			case "one is of another log":
				require.ErrorIs(t, err, errForeign)
			}
			for _, name := range before.segments() {
				f := before.names[name]
				require.Equal(t, f.data, rotten.names[name].data, "the log was touched")
			}
		})
	}
	got, err := contents(fs)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// The first files of a log of which none was freed are missed too, where no group that
// the others know needs them: those that they do not know would be gone.
func TestFirstFileIsMissing(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	save(t, group(t, e, 1), entries(1, 3, 1, 100))
	save(t, group(t, e, 1), entries(3, 4, 1, 70_000)) // more than a file
	save(t, group(t, e, 2), entries(1, 3, 1, 100))    // in one of its own
	left := fs.kill()
	require.NoError(t, e.Close())
	_, err := contents(left.kill())
	require.NoError(t, err)
	names := left.segments()
	require.Equal(t, filepath.Join(testDir, segmentName(1)), names[0])
	for n := 1; n < len(names); n++ {
		delete(left.names, names[n-1])
		_, err = contents(left.kill())
		require.ErrorIs(t, err, ErrCorrupt, "without the first %d files of %v", n, names)
	}
}

// A spare file without a log is what is left of one, and not of a new one.
func TestAllFilesAreMissing(t *testing.T) {
	for seq, want := range map[uint64]error{1: nil, 2: ErrCorrupt} {
		fs := newMemFS()
		fs.put(filepath.Join(testDir, spareName(seq)), make([]byte, minSegmentBytes))
		_, err := contents(fs)
		require.ErrorIs(t, err, want, "spare %d", seq)
	}
}

// A whole batch that is not the next one of the log does not pass for it, whatever it is
// that tells: where it says that it belongs, or what it follows.
func TestBatchIsBoundToItsPlace(t *testing.T) {
	id := logID{1, 2, 3}
	place := func(h batchHeader, as logID) []byte {
		block := alignedBytes(blockSize)
		records := putHard(block[:batchHeaderLen], 1, pb.HardState{Term: 1})[batchHeaderLen:]
		h.payload, h.size = checksum(records), uint32(len(records))
		h.put(block, &as)
		return block
	}
	first := batchHeader{position: firstPosition, seq: 1}
	begin := place(first, id)
	require.True(t, first.parse(begin, &id))
	right := batchHeader{position: 2 * blockSize, seq: 1, previous: first.sum}
	for name, test := range map[string]struct {
		h     batchHeader
		id    logID
		found int
	}{
		"the next":          {right, id, 2},
		"another position":  {batchHeader{position: 3 * blockSize, seq: 1, previous: first.sum}, id, 1},
		"an old position":   {batchHeader{position: firstPosition, seq: 1, previous: first.sum}, id, 1},
		"another file":      {batchHeader{position: 2 * blockSize, seq: 2, previous: first.sum}, id, 1},
		"another log":       {right, logID{9}, 1},
		"after another one": {batchHeader{position: 2 * blockSize, seq: 1, previous: first.sum + 1}, id, 1},
	} {
		fs := newMemFS()
		fs.put("log", append(append(make([]byte, blockSize), begin...), place(test.h, test.id)...))
		f, err := fs.Open("log")
		require.NoError(t, err)
		s := scanner{id: &id, segments: []*segment{{seq: 1, name: "log", file: f, size: 3 * blockSize}}}
		found := 0
		for {
			records, err := s.next()
			require.NoError(t, err)
			if records == nil {
				break
			}
			found++
		}
		require.Equal(t, test.found, found, name)
	}
}
