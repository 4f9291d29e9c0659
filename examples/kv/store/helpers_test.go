package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/replica"
)

const testDir = "data/kv"

// stillFS keeps ReuseForWrite, which takes a lock of the file system in memory twice,
// from running beside a crash.
type stillFS struct {
	*vfs.MemFS
	still sync.Mutex
}

func newFS() *stillFS { return &stillFS{MemFS: vfs.NewCrashableMem()} }

func (fs *stillFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	fs.still.Lock()
	defer fs.still.Unlock()
	return fs.MemFS.ReuseForWrite(old, name, c)
}

// crash returns what a loss of power leaves: of what was not synced some, by chance.
func (fs *stillFS) crash(rnd *rand.Rand) *stillFS {
	fs.still.Lock()
	defer fs.still.Unlock()
	percent := []int{0, 0, 50, 90, 100}[rnd.IntN(5)]
	return &stillFS{MemFS: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rnd})}
}

// fewClients is how many clients stores remember in tests, fewOpen how many IDs are open.
const fewClients, fewOpen = 4, 5

// small are options under which little data makes Pebble do all that it does.
func small(fs vfs.FS) *Options {
	return &Options{
		ClusterID: 7, NodeID: 3,
		FS: fs, HistoryEvents: 50, HistoryBytes: 200 << 10, CacheBytes: 64 << 10, MemTableBytes: 64 << 10, maxClients: fewClients, maxOpen: fewOpen,
		Pebble: func(o *pebble.Options) {
			o.LBaseMaxBytes = 64 << 10
			o.Experimental.FileCacheShards = 1
		},
	}
}

func open(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(testDir, small(fs))
	require.NoError(t, err)
	return s
}

// opened returns a new store that is closed at the end.
func opened(t testing.TB) *Store {
	s := open(t, newFS())
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// apply applies one command, and returns its result.
func apply(t testing.TB, s *Store, index uint64, data []byte) Result {
	t.Helper()
	commands := []replica.Command{{Index: index, Term: 1, Data: data}}
	require.NoError(t, s.Apply(commands))
	return commands[0].Result.(Result)
}

func putAt(t testing.TB, s *Store, index uint64, key, value string) {
	t.Helper()
	require.Equal(t, Result{Done, index}, apply(t, s, index, must(EncodePut(RequestID{}, []byte(key), []byte(value)))))
}

// viewOf returns what a View of the state writes.
func viewOf(t testing.TB, s *Store) []byte {
	t.Helper()
	v, err := s.View()
	require.NoError(t, err)
	var b bytes.Buffer
	n, err := v.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	require.NoError(t, v.Close())
	return b.Bytes()
}

func appliedOf(t testing.TB, s *Store) uint64 {
	t.Helper()
	index, err := s.Applied()
	require.NoError(t, err)
	return index
}

// everything reads all keys, in pages.
func everything(t testing.TB, s *Store, limit int) []Entry {
	t.Helper()
	var all []Entry
	for from := []byte(nil); ; {
		page, err := s.Range(from, nil, limit)
		require.NoError(t, err)
		require.Equal(t, appliedOf(t, s), page.Revision)
		all = append(all, page.Entries...)
		if from = page.Next; from == nil {
			return all
		}
	}
}

func keyName(i int) []byte { return fmt.Appendf(nil, "key%02d", i) }
