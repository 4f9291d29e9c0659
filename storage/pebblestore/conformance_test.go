package pebblestore

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest"
)

// memMedium is a crashable file system in memory with one group.
type memMedium struct {
	fs  *vfs.MemFS
	e   *Engine
	rnd *rand.Rand
}

func (m *memMedium) open() (rafttest.Storage, error) {
	e, err := Open(testDir, small(m.fs))
	if err != nil {
		return nil, err
	}
	m.e = e
	return e.Group(7)
}

func (m *memMedium) close(rafttest.Storage) error { return m.e.Close() }

func (m *memMedium) crash(rafttest.Storage) {
	left := crash(m.fs, m.rnd)
	_ = m.e.Close() // of no consequence any more
	m.fs = left
}

// The storage keeps the contract, whatever is kept in memory.
func TestStorage(t *testing.T) {
	seed := uint64(0)
	rafttest.TestStorage(t, func(t testing.TB) rafttest.StorageMedium {
		seed++
		m := &memMedium{fs: vfs.NewCrashableMem(), rnd: rand.New(rand.NewPCG(seed, 1))}
		return rafttest.StorageMedium{Open: m.open, Close: m.close, Crash: m.crash}
	})
}

// So it does on a disk, with the default options.
func TestStorageOnDisk(t *testing.T) {
	t.Parallel()
	rafttest.TestStorage(t, func(t testing.TB) rafttest.StorageMedium {
		dir := t.TempDir()
		var e *Engine
		return rafttest.StorageMedium{
			Open: func() (rafttest.Storage, error) {
				var err error
				if e, err = Open(dir, nil); err != nil {
					return nil, err
				}
				return e.Group(1)
			},
			Close: func(rafttest.Storage) error { return e.Close() },
		}
	})
}

func TestOptions(t *testing.T) {
	require.NoError(t, (*Options)(nil).Validate())
	require.NoError(t, (&Options{}).Validate())
	err := (&Options{MemTableBytes: 1, BlockCacheBytes: -1, FreeSpaceDelay: -1}).Validate()
	require.ErrorContains(t, err, "BlockCacheBytes (-1)")
	require.ErrorContains(t, err, "MemTableBytes (1)")
	require.ErrorContains(t, err, "FreeSpaceDelay (-1ns)")
	_, err = Open(testDir, &Options{FS: vfs.NewMem(), MemTableBytes: 1})
	require.Error(t, err)
}
