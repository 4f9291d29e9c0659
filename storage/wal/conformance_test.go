package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest"
)

// memMedium is a crashable file system in memory with one group.
type memMedium struct {
	fs  *memFS
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
	left := m.fs.crash(m.rnd)
	_ = m.e.Close() // of no consequence any more
	m.fs = left
}

// The storage keeps the contract, whatever is kept in memory.
func TestStorage(t *testing.T) {
	seed := uint64(0)
	rafttest.TestStorage(t, func(testing.TB) rafttest.StorageMedium {
		seed++
		m := &memMedium{fs: newMemFS(), rnd: rand.New(rand.NewPCG(seed, 1))}
		return rafttest.StorageMedium{Open: m.open, Close: m.close, Crash: m.crash}
	})
}

// So it does on a disk, with the default options, and through the cache of the
// operating system.
func TestStorageOnDisk(t *testing.T) {
	t.Parallel()
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprint("cached=", cached), func(t *testing.T) {
			t.Parallel()
			rafttest.TestStorage(t, func(t testing.TB) rafttest.StorageMedium {
				dir := t.TempDir()
				var e *Engine
				return rafttest.StorageMedium{
					Open: func() (rafttest.Storage, error) {
						var err error
						if e, err = Open(dir, &Options{DisableDirectIO: cached, SegmentBytes: 256 << 10}); err != nil {
							return nil, err
						}
						return e.Group(1)
					},
					Close: func(rafttest.Storage) error { return e.Close() },
				}
			})
		})
	}
}

func TestOptions(t *testing.T) {
	require.NoError(t, (*Options)(nil).Validate())
	require.NoError(t, (&Options{}).Validate())
	require.NoError(t, (&Options{SegmentBytes: maxSegmentBytes}).Validate())
	err := (&Options{SegmentBytes: 4097, LogBytes: 1}).Validate()
	require.ErrorContains(t, err, "SegmentBytes (4097) must be between 65536")
	require.ErrorContains(t, err, "SegmentBytes (4097) must be a multiple of 4096")
	require.ErrorContains(t, err, "LogBytes (1)")
	_, err = Open(testDir, &Options{files: newMemFS(), LogBytes: 1})
	require.Error(t, err)
}
