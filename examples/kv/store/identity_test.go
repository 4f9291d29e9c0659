package store

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// owned are options for a server of a cluster.
func owned(fs vfs.FS, cluster, node uint64) *Options {
	o := small(fs)
	o.ClusterID, o.NodeID = cluster, node
	return o
}

func openOwned(t *testing.T, fs vfs.FS, cluster, node uint64) *Store {
	t.Helper()
	s, err := Open(testDir, owned(fs, cluster, node))
	require.NoError(t, err)
	return s
}

// A directory is opened for the server that it was made for and for no other, also after
// commands, a restore and a loss of power; what is 0, there or here, is not compared, and is
// written down when it is known.
func TestIdentity(t *testing.T) {
	fs := newFS()
	require.NoError(t, openOwned(t, fs, 0, 0).Close())
	require.NoError(t, openOwned(t, fs, 0, 3).Close())
	fs = fs.crash(rand.New(rand.NewPCG(1, 1)))
	s := openOwned(t, fs, 7, 0)
	fs = fs.crash(rand.New(rand.NewPCG(1, 2))) // as Open left it
	require.NoError(t, s.Close())
	for round := range 3 {
		for _, want := range [][2]uint64{{8, 3}, {7, 4}, {8, 0}, {0, 4}} {
			_, err := Open(testDir, owned(fs, want[0], want[1]))
			require.ErrorIs(t, err, ErrIdentity)
			var other *IdentityError
			require.ErrorAs(t, err, &other)
			require.Equal(t, IdentityError{testDir, 7, 3, want[0], want[1]}, *other)
		}
		s := openOwned(t, fs, 7, 3)
		if round == 0 {
			putAt(t, s, 1, "k", "v")
		} else {
			require.NoError(t, s.Restore(9, bytes.NewReader(framed())))
		}
		require.NoError(t, s.Close())
		s = openOwned(t, fs, 0, 0)
		require.NoError(t, s.Close())
	}
	_, err := Open(testDir, owned(fs, 8, 5))
	require.EqualError(t, err, "store: data/kv belongs to node 3 of cluster 7, opened for node 5 of cluster 8")
}

// Whose a directory is, is no part of the state: servers with the same state write the same
// View, and a View of one makes the other no other server.
func TestIdentityIsNotReplicated(t *testing.T) {
	a, b := openOwned(t, newFS(), 7, 1), openOwned(t, newFS(), 7, 2)
	defer a.Close()
	putAt(t, a, 5, "k", "v")
	putAt(t, b, 5, "k", "v")
	view := viewOf(t, a)
	require.Equal(t, view, viewOf(t, b))
	require.NoError(t, b.Restore(6, bytes.NewReader(view)))
	require.NoError(t, b.Close())
	b = openOwned(t, b.o.FS, 7, 2)
	require.NoError(t, b.Close())
}

// A directory that is given to another cluster has its state and is of that cluster from
// then on, for good. It takes whose it is to do that, a second try is harmless, and nothing
// is made where nothing was.
func TestRebrand(t *testing.T) {
	fs := newFS()
	s := openOwned(t, fs, 7, 3)
	last := filled(t, s)
	want := viewOf(t, s)
	require.ErrorIs(t, Rebrand(testDir, owned(fs, 7, 3), 8), ErrLocked)
	require.NoError(t, s.Close())

	require.Error(t, Rebrand(testDir, owned(fs, 7, 3), 0))
	require.Error(t, Rebrand(testDir, &Options{FS: fs, CacheBytes: -1}, 8))
	require.ErrorIs(t, Rebrand(testDir, owned(fs, 6, 3), 8), ErrIdentity)
	require.ErrorIs(t, Rebrand(testDir, owned(fs, 7, 4), 8), ErrIdentity)
	require.NoError(t, openOwned(t, fs, 7, 3).Close())

	require.NoError(t, Rebrand(testDir, owned(fs, 7, 3), 8))
	fs = fs.crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, Rebrand(testDir, owned(fs, 7, 3), 8), "the second try")
	require.ErrorIs(t, Rebrand(testDir, owned(fs, 7, 4), 8), ErrIdentity)
	_, err := Open(testDir, owned(fs, 7, 3))
	require.ErrorIs(t, err, ErrIdentity)
	s = openOwned(t, fs, 8, 3)
	require.Equal(t, last, appliedOf(t, s))
	require.Equal(t, want, viewOf(t, s))
	require.NoError(t, s.Close())
	require.NoError(t, Rebrand(testDir, owned(fs, 0, 0), 9))
	require.NoError(t, openOwned(t, fs, 9, 3).Close())

	empty := newFS()
	require.ErrorIs(t, Rebrand(testDir, owned(empty, 7, 3), 8), os.ErrNotExist)
	require.NoError(t, empty.MkdirAll(testDir, 0o755))
	require.ErrorIs(t, Rebrand(testDir, owned(empty, 7, 3), 8), pebble.ErrDBDoesNotExist)
}

// Power that is lost at any moment while a directory is given to another cluster leaves it
// the one's or the other's, with its state; and a disk that fails then is an error.
func TestRebrandCrash(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	fs := &faultyFS{stillFS: newFS()}
	s := openOwned(t, fs, 7, 3)
	last := filled(t, s)
	want := viewOf(t, s)
	require.NoError(t, s.Close())
	before := fs.stillFS.crash(rnd)

	var mu sync.Mutex
	var left []*stillFS
	fs.before = func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		left = append(left, fs.crash(rnd))
		return nil
	}
	require.NoError(t, Rebrand(testDir, owned(fs, 7, 3), 8))
	fs.before = nil
	require.NotEmpty(t, left)
	clusters := map[uint64]int{}
	for _, fs := range append(left, fs.crash(rnd)) {
		s := openOwned(t, fs, 0, 0)
		require.Equal(t, last, appliedOf(t, s))
		require.Equal(t, want, viewOf(t, s))
		require.EqualValues(t, 3, s.owner.node)
		clusters[s.owner.cluster]++
		require.NoError(t, s.Close())
		require.NoError(t, Rebrand(testDir, owned(fs, 7, 3), 8))
		require.NoError(t, openOwned(t, fs, 8, 3).Close())
	}
	require.Len(t, clusters, 2)
	require.NotZero(t, clusters[7])
	require.NotZero(t, clusters[8])

	failing := &faultyFS{stillFS: before}
	var n atomic.Int64
	for _, what := range []string{"the first try", "the second try"} {
		for at := int64(1); ; at++ {
			n.Store(0)
			failing.before = func(string, string) error {
				if n.Add(1) == at {
					return syscall.ENOSPC
				}
				return nil
			}
			err := Rebrand(testDir, owned(failing, 7, 3), 8)
			if n.Load() < at {
				require.NoError(t, err)
				break
			}
			require.ErrorIs(t, err, syscall.ENOSPC, "%s, operation %d", what, at)
		}
	}
	failing.before = nil
	require.NoError(t, openOwned(t, failing, 8, 3).Close())
}

// A directory is the same by whatever path it is opened: the operating system's lock keeps
// out other processes only, and this one would write the log twice.
func TestLockedByAnyPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	link := dir + "-link"
	s, err := Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(dir, link))
	t.Chdir(filepath.Dir(dir))
	for _, other := range []string{"db", "./db", dir + "/", dir + "/../db", link} {
		_, err := Open(other, nil)
		require.ErrorIs(t, err, ErrLocked, other)
		require.ErrorContains(t, err, "store: the directory is in use, by this process or another: "+other)
	}
	putAt(t, s, 1, "k", "v")
	require.NoError(t, s.Close())
	s, err = Open(link, nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// lockedVariable makes TestLockedByAnotherProcess the other process.
const lockedVariable = "KV_STORE_LOCKED_DIR"

// A directory that another process has open is refused as one that this one has.
func TestLockedByAnotherProcess(t *testing.T) {
	if dir := os.Getenv(lockedVariable); dir != "" {
		_, err := Open(dir, nil)
		require.ErrorIs(t, err, ErrLocked)
		return
	}
	dir := t.TempDir()
	s, err := Open(dir, nil)
	require.NoError(t, err)
	other := exec.Command(os.Args[0], "-test.run=^TestLockedByAnotherProcess$")
	other.Env = append(os.Environ(), lockedVariable+"="+dir)
	out, err := other.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, s.Close())
}

// A lock that cannot be taken for another reason is not in use by anyone.
func TestLockFileCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "LOCK"), 0o755))
	_, err := Open(dir, nil)
	var cause *os.PathError
	require.ErrorAs(t, err, &cause)
	require.NotErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, dir)
}
