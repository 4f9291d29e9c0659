package pebblestore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// A crash while a store is being opened after a crash, and so on, leaves one that opens
// and has all that was acknowledged (reliability: crash loops).
func TestCrashesInARow(t *testing.T) {
	for seed := range uint64(scaled(24)) {
		crashesInARow(t, 1000+seed)
	}
}

func crashesInARow(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 77))
	disk := vfs.NewCrashableMem()
	c := newScripted(1, seed)
	e, err := Open(testDir, small(disk))
	require.NoError(t, err)
	c.s, err = e.Group(1)
	require.NoError(t, err)
	for range 1 + rnd.IntN(70) {
		require.NoError(t, c.step())
	}
	acked, written := c.acked.Load(), c.written.Load()
	left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.IntN(101), RNG: rnd})
	_ = e.Close()
	for depth := range 3 {
		var mu sync.Mutex
		var again []*vfs.MemFS
		var names []string
		w := &watchedFS{FS: left}
		w.before = func(op, name string) error {
			mu.Lock()
			defer mu.Unlock()
			again = append(again, w.crash(rnd))
			names = append(names, op+" "+name)
			return nil
		}
		e, err := Open(testDir, small(w))
		require.NoError(t, err, "seed %d depth %d", seed, depth)
		require.NoError(t, c.check(e, acked, written), "seed %d depth %d", seed, depth)
		_ = e.Close()
		next := rnd.IntN(len(again))
		for i, fs := range again {
			if i != next && rnd.IntN(len(again)) > 12 {
				continue
			}
			kept := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rnd})
			where := fmt.Sprint("seed ", seed, " depth ", depth, " at ", names[i])
			checkCrash(t, []*scripted{c}, crashPoint{where, fs, []int64{acked}, []int64{written}})
			again[i] = kept
		}
		if t.Failed() {
			return
		}
		left = again[next]
	}
}

// Where a crash kept the marker of a new manifest and not the manifest, the store goes on
// from the one before: nothing was written to the new one yet.
func TestMarkerWithoutManifest(t *testing.T) {
	fs := filled(t)
	names, err := fs.List(testDir)
	require.NoError(t, err)
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, manifestMarker); ok {
			iter, _, _ := strings.Cut(rest, ".")
			var n uint64
			_, err := fmt.Sscan(iter, &n)
			require.NoError(t, err)
			for later := n + 1; later <= n+2; later++ {
				f, err := fs.Create(fs.PathJoin(testDir, fmt.Sprintf("%s%06d.MANIFEST-%06d", manifestMarker, later, 900+later)), vfs.WriteCategoryUnspecified)
				require.NoError(t, err)
				require.NoError(t, f.Close())
			}
		}
	}
	e, err := Open(testDir, small(fs))
	require.NoError(t, err)
	defer e.Close()
	groups, err := e.Groups()
	require.NoError(t, err)
	require.NotEmpty(t, groups, "what was there is gone")
	for _, id := range groups {
		s, err := e.Group(id)
		require.NoError(t, err)
		require.NoError(t, s.Verify())
		last, err := s.LastIndex()
		require.NoError(t, err)
		require.NotZero(t, last)
	}
}
