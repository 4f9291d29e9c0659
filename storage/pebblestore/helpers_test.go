package pebblestore

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/storage/internal/enginetest"
)

var _ rafttest.Storage = (*Storage)(nil)

const testDir = enginetest.Dir

// small are options under which little data makes Pebble do all that it does.
func small(fs vfs.FS) *Options {
	return &Options{
		FS: fs, MemTableBytes: minMemTable, EntryCacheBytes: 2 << 10, BlockCacheBytes: 64 << 10, FreeSpaceDelay: time.Hour,
		Pebble: func(o *pebble.Options) {
			o.LBaseMaxBytes = 64 << 10
			o.MemTableStopWritesThreshold = 2
			o.Experimental.FileCacheShards = 1
		},
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

// crash returns what is left on the file system after a loss of power: of what
// was not synced some blocks, by chance.
func crash(fs *vfs.MemFS, rnd *rand.Rand) *vfs.MemFS {
	percent := []int{0, 0, 50, 90, 100}[rnd.IntN(5)]
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rnd})
}

func entries(lo, hi, term uint64, size int) []pb.Entry { return enginetest.Entries(lo, hi, term, size) }

func save(t testing.TB, s *Storage, ents []pb.Entry) { t.Helper(); enginetest.Save(t, s, ents) }

func all(t testing.TB, s *Storage) []pb.Entry { t.Helper(); return enginetest.All(t, s) }
