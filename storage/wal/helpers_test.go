package wal

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/storage/internal/enginetest"
)

var _ rafttest.Storage = (*Storage)(nil)

const testDir = enginetest.Dir

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

func entries(lo, hi, term uint64, size int) []pb.Entry { return enginetest.Entries(lo, hi, term, size) }

func save(t testing.TB, s *Storage, ents []pb.Entry) { t.Helper(); enginetest.Save(t, s, ents) }

func all(t testing.TB, s *Storage) []pb.Entry { t.Helper(); return enginetest.All(t, s) }
