package wal

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

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
	disk := newMemFS()
	c := newScripted(1, seed)
	e, err := Open(testDir, small(disk))
	require.NoError(t, err)
	c.s, err = e.Group(1)
	require.NoError(t, err)
	for range 1 + rnd.IntN(70) {
		require.NoError(t, c.step())
	}
	acked, written := c.acked.Load(), c.written.Load()
	left := disk.crash(rnd)
	_ = e.Close()
	for depth := range 3 {
		var mu sync.Mutex
		var again []*memFS
		var names []string
		w := left
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
			kept := fs.kill()
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
