package wal

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// A file that the disk cannot read is an error, and no torn end.
func TestUnreadableFile(t *testing.T) {
	fs := filled(t)
	broken := errors.New("medium error")
	fs.unreadable = broken
	_, err := contents(fs)
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, ErrCorrupt)
	fs.unreadable = nil
	_, err = contents(fs)
	require.NoError(t, err)
}

// What rots while the log is open is found where it is read, and by Verify: an entry by
// its index, anything by its place.
func TestRotBeneathAnOpenLog(t *testing.T) {
	for _, test := range []struct {
		name   string
		find   func(s *Storage) location
		index  uint64
		record string
	}{
		{"an entry", func(s *Storage) location { return s.log.State.locations(5, 6)[0] }, 5, "entry 5"},
		{"the snapshot", func(s *Storage) location { return s.log.State.snapAt }, 0, "snapshot"},
		{"the state", func(s *Storage) location { return location{s.checkpoint, 20} }, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := filled(t)
			o := small(fs)
			o.EntryCacheBytes = -1
			e := open(t, o)
			s := group(t, e, 1)
			require.NoError(t, s.Verify())
			at := test.find(s)
			file, offset := e.where(at.position)
			fs.mu.Lock() // a new segment may be being made
			data := fs.names[filepath.Join(testDir, file)].data
			data[offset+int64(at.size)-2] ^= 4
			fs.mu.Unlock()
			err := s.Verify()
			var corrupt *CorruptionError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, test.index, corrupt.Index)
			require.Equal(t, test.record, corrupt.Record)
			require.Equal(t, file, corrupt.File)
			require.LessOrEqual(t, corrupt.Offset, offset)
			if test.index > 0 {
				require.Equal(t, uint64(1), corrupt.Group)
				_, err = s.Entries(5, 6, 0)
				require.ErrorIs(t, err, ErrCorrupt)
				require.ErrorContains(t, err, "entry 5 of group 1")
			}
			require.NoError(t, e.Close())
		})
	}
}

// A read that gets another record than it asked for, whole as it may be, is an error.
func TestMisdirectedReads(t *testing.T) {
	o := small(filled(t))
	o.EntryCacheBytes = -1
	e := open(t, o)
	s, other := group(t, e, 1), group(t, e, 2)
	right := s.log.State.at[2]
	before := s.log.State.at[6]
	save(t, s, entries(9, 10, 3, 5000)) // in place of an entry of the term before
	for name, at := range map[string]location{
		"another entry":   s.log.State.at[1],
		"another group":   other.log.State.at[2],
		"no entry":        s.log.State.snapAt,
		"part of a block": {right.position + 1, right.size},
		"another size":    {right.position, right.size - 1},
		"nowhere":         {1, 30},
	} {
		s.log.State.at[2] = at
		_, err := s.Entries(5, 6, 0)
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
	s.log.State.at[2] = right
	s.log.State.at[6] = before
	_, err := s.Entries(9, 10, 0)
	require.ErrorIs(t, err, ErrCorrupt, "what was replaced")
	s.log.State.snapAt = other.log.State.snapAt
	_, err = s.Snapshot()
	require.ErrorIs(t, err, ErrCorrupt)
	require.NoError(t, e.Close())
}

// What is read to be moved gets a new checksum, and the old record goes: so another one,
// whole as it may be, is an error here too.
func TestMisdirectedReadsOfMoves(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	a, b := group(t, e, 1), group(t, e, 2)
	save(t, a, entries(1, 5, 1, 100))
	save(t, b, []pb.Entry{{Index: 1, Term: 1, Data: entries(9, 10, 7, 100)[0].Data}, {Index: 2, Term: 1}})
	require.NoError(t, b.CreateSnapshot(1, pb.ConfState{Voters: []uint64{1}, Index: 1}, nil))
	right := a.log.State.at[0]
	for name, at := range map[string]location{
		"another group": b.log.State.at[0], "another entry": a.log.State.at[1], "no entry": b.log.State.snapAt,
	} {
		a.log.State.at[0] = at
		_, err := a.move(e.pending.end())
		require.ErrorIs(t, err, ErrCorrupt, name)
		require.ErrorContains(t, err, "entry 1 of group 1", name)
	}
	a.log.State.at[0] = right
	b.log.State.snapAt = a.log.State.at[0]
	_, err := b.move(e.pending.end())
	require.ErrorIs(t, err, ErrCorrupt, "no snapshot")
	require.NoError(t, e.Close())
}

// What users write can look like a batch that came after a torn one, and is none: they
// do not know the log's ID.
func TestDataThatLooksLikeABatch(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	s := group(t, e, 1)
	save(t, s, entries(1, 2, 1, 10))
	var forged logID
	data := make([]byte, 3*blockSize)
	for at := 0; at+batchHeaderLen < len(data); at++ {
		h := batchHeader{position: 90 * blockSize, seq: 1}
		if at%batchHeaderLen == 0 {
			h.put(data[at:], &forged)
		}
	}
	save(t, s, []pb.Entry{{Index: 2, Term: 1, Data: data}})
	left := fs.kill()
	require.NoError(t, e.Close())
	name := left.segments()[0]
	from, _ := batches(t, left, name)
	left.names[name].data[from[len(from)-1]+batchHeaderLen] ^= 1
	e = open(t, small(left))
	last, err := group(t, e, 1).LastIndex()
	require.NoError(t, err)
	require.Equal(t, uint64(1), last)
	require.NoError(t, e.Close())
}
