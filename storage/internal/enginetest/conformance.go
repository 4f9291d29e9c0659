package enginetest

import (
	"math/rand/v2"
	"testing"

	"github.com/quorate-raft/raft/rafttest"
)

// memMedium is a crashable file system in memory with one group.
type memMedium struct {
	x   *Subject
	fs  Disk
	e   Engine
	rnd *rand.Rand
}

func (m *memMedium) open() (rafttest.Storage, error) {
	e, err := m.x.Open(Dir, m.fs, Options{})
	if err != nil {
		return nil, err
	}
	m.e = e
	return e.Group(7)
}

func (m *memMedium) close(rafttest.Storage) error { return m.e.Close() }

func (m *memMedium) crash(rafttest.Storage) {
	left := m.fs.Crash(m.rnd)
	_ = m.e.Close() // of no consequence any more
	m.fs = left
}

// The storage keeps the contract, whatever is kept in memory.
func testStorage(t *testing.T, x *Subject) {
	seed := uint64(0)
	rafttest.TestStorage(t, func(testing.TB) rafttest.StorageMedium {
		seed++
		m := &memMedium{x: x, fs: x.NewDisk(), rnd: rand.New(rand.NewPCG(seed, 1))}
		return rafttest.StorageMedium{Open: m.open, Close: m.close, Crash: m.crash}
	})
}

// So it does on a disk, with options as they are used.
func testStorageOnDisk(t *testing.T, x *Subject) {
	t.Parallel()
	for name, open := range x.OnDisk {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rafttest.TestStorage(t, func(t testing.TB) rafttest.StorageMedium {
				dir := t.TempDir()
				var e Engine
				return rafttest.StorageMedium{
					Open: func() (rafttest.Storage, error) {
						opened, err := open(dir)
						if err != nil {
							return nil, err
						}
						e = opened
						return e.Group(1)
					},
					Close: func(rafttest.Storage) error { return e.Close() },
				}
			})
		})
	}
}
