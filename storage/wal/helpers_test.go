package wal

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

var _ rafttest.Storage = (*Storage)(nil)

const testDir = "db"

// Within waitFor something has to come, that is looked for each tick.
const (
	waitFor = 20 * time.Second
	tick    = 2 * time.Millisecond
)

// small are options under which little data makes the log do all that it does.
func small(fs fileSystem) *Options {
	return &Options{
		files: fs, SegmentBytes: minSegmentBytes, LogBytes: 2 * minSegmentBytes, EntryCacheBytes: 2 << 10,
		keeperPause: time.Millisecond,
	}
}

func open(t testing.TB, o *Options) *Engine {
	t.Helper()
	e, err := Open(testDir, o)
	require.NoError(t, err)
	return e
}

func group(t testing.TB, e *Engine, id uint64) *Storage {
	t.Helper()
	s, err := e.Group(id)
	require.NoError(t, err)
	return s
}

// entries returns the entries [lo, hi) of one term, with so many bytes of data.
func entries(lo, hi, term uint64, size int) []pb.Entry {
	var ents []pb.Entry
	for i := lo; i < hi; i++ {
		ents = append(ents, pb.Entry{Index: i, Term: term, Data: fmt.Appendf(nil, "%d.%d.%0*d", term, i, size, 0)})
	}
	return ents
}

func save(t testing.TB, s *Storage, ents []pb.Entry) {
	t.Helper()
	last := ents[len(ents)-1]
	require.NoError(t, s.Save(raft.Ready{
		Entries: ents, HardState: pb.HardState{Term: last.Term, Vote: 1, Commit: last.Index}, MustSync: true,
	}))
}

func all(t testing.TB, s *Storage) []pb.Entry {
	t.Helper()
	first, err := s.FirstIndex()
	require.NoError(t, err)
	last, err := s.LastIndex()
	require.NoError(t, err)
	if first > last {
		return nil
	}
	ents, err := s.Entries(first, last+1, ^uint64(0))
	require.NoError(t, err)
	return ents
}

// nightly makes the tests that look at many seeds look at more of them.
var nightly = os.Getenv("WAL_NIGHTLY") != ""

// scaled returns how many of something a test tries.
func scaled(n int) int {
	switch {
	case nightly:
		return 25 * n
	case underRace:
		return max(1, n/4)
	}
	return n
}
