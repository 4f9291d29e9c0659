package enginetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// crashPoint is what a crash at one moment left, and how far each group was.
type crashPoint struct {
	when           string
	left           Disk
	acked, written []int64
}

// A power failure at any moment, before and after every sync and between: what
// was acknowledged with MustSync is there, what is lost is lost from the end, of
// each group, and a node can start from the rest.
func testCrashAtEverySync(t *testing.T, x *Subject) {
	t.Parallel()
	for seed := range uint64(x.Scaled(4)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { crashAtEverySync(t, x, seed) })
	}
}

func crashAtEverySync(t *testing.T, x *Subject, seed uint64) {
	const groups = 3
	steps := min(80, x.Scaled(80)) // maxWrites bounds them
	w := x.NewDisk()
	scripts := make([]*scripted, groups)
	for i := range scripts {
		scripts[i] = newScripted(uint64(i+1), seed)
	}
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 99))
	points := make(chan crashPoint, 16)
	take := func(when string) {
		mu.Lock()
		defer mu.Unlock()
		p := crashPoint{when: when}
		// What is acknowledged is read before the crash, what is written after it.
		for _, c := range scripts {
			p.acked = append(p.acked, c.acked.Load())
		}
		p.left = w.Crash(rnd)
		for _, c := range scripts {
			p.written = append(p.written, c.written.Load())
		}
		points <- p
	}
	e := x.open(t, w, Options{FreeSoon: true})
	var turn atomic.Int64
	w.Watch(func(op, name string) error {
		if op != "write" || turn.Add(1)%7 == 0 {
			take("before " + op + " of " + name)
		}
		return nil
	}, func(op, name string) { take("after " + op + " of " + name) })

	checked := make(chan int)
	go func() {
		n := 0
		for p := range points {
			checkCrash(t, x, scripts, p)
			n++
		}
		checked <- n
	}()
	var writers sync.WaitGroup
	for _, c := range scripts {
		c.s = Group(t, e, c.id)
		writers.Go(func() {
			for range steps {
				if err := c.step(); err != nil {
					t.Errorf("group %d: %v", c.id, err)
					return
				}
			}
		})
	}
	writers.Wait()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	close(points)
	mu.Unlock()
	t.Log(<-checked, "crashes")
}

func checkCrash(t *testing.T, x *Subject, scripts []*scripted, p crashPoint) {
	e, err := x.Open(Dir, p.left, Options{EntryCacheBytes: -1, Still: true})
	if err != nil {
		t.Errorf("crash %s: %v", p.when, err)
		return
	}
	for i, c := range scripts {
		if err := c.check(e, p.acked[i], p.written[i]); err != nil {
			t.Errorf("crash %s: %v", p.when, err)
		}
	}
	if err := e.Close(); err != nil {
		t.Errorf("crash %s: %v", p.when, err)
	}
}

// A crash while it recovers from a crash leaves the same.
func testCrashWhileOpening(t *testing.T, x *Subject) {
	rnd := rand.New(rand.NewPCG(5, 5))
	disk := x.NewDisk()
	c := newScripted(1, 5)
	e := x.open(t, disk, Options{})
	c.s = Group(t, e, 1)
	for range 60 {
		require.NoError(t, c.step())
	}
	acked, written := c.acked.Load(), c.written.Load()
	left := disk.Crash(rnd)
	require.NoError(t, e.Close())
	// Once recovered, what is there is durable: a second recovery finds it.
	var mu sync.Mutex
	var again []Disk
	w := left
	w.Watch(nil, func(string, string) {
		mu.Lock()
		defer mu.Unlock()
		again = append(again, w.Crash(rnd))
	})
	e = x.open(t, w, Options{})
	require.NoError(t, c.check(e, acked, written))
	require.NoError(t, e.Close())
	require.NotEmpty(t, again)
	for i, fs := range again {
		checkCrash(t, x, []*scripted{c}, crashPoint{fmt.Sprint("at sync ", i, " of the recovery"), fs, []int64{acked}, []int64{written}})
	}
}

// A new directory, with all its parents, is there after a crash as soon as
// something in it is acknowledged; a crash before that leaves nothing in the way.
func testCrashOfNewDirectory(t *testing.T, x *Subject) {
	const dir = "new/and/nested/db"
	rnd := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	var left []Disk
	w := x.NewDisk()
	w.Watch(func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		left = append(left, w.Crash(rnd), w.Crash(rnd))
		return nil
	}, nil)
	e, err := x.Open(dir, w, Options{})
	require.NoError(t, err)
	Save(t, Group(t, e, 1), Entries(1, 4, 1, 10))
	acked := w.Crash(rnd)
	require.NoError(t, e.Close())
	mu.Lock()
	defer mu.Unlock()
	for i, fs := range append(left, acked) {
		e, err := x.Open(dir, fs, Options{})
		require.NoError(t, err, "crash %d", i)
		if fs == acked {
			require.Len(t, All(t, Group(t, e, 1)), 3)
		}
		require.NoError(t, e.Close())
	}
}

// A crash while a store is being opened after a crash, and so on, leaves one that opens
// and has all that was acknowledged (reliability: crash loops).
func testCrashesInARow(t *testing.T, x *Subject) {
	for seed := range uint64(x.Scaled(24)) {
		crashesInARow(t, x, 1000+seed)
	}
}

func crashesInARow(t *testing.T, x *Subject, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 77))
	disk := x.NewDisk()
	c := newScripted(1, seed)
	e, err := x.Open(Dir, disk, Options{})
	require.NoError(t, err)
	c.s, err = e.Group(1)
	require.NoError(t, err)
	for range 1 + rnd.IntN(70) {
		require.NoError(t, c.step())
	}
	acked, written := c.acked.Load(), c.written.Load()
	left := disk.Crash(rnd)
	_ = e.Close()
	for depth := range 3 {
		var mu sync.Mutex
		var again []Disk
		var names []string
		w := left
		w.Watch(func(op, name string) error {
			mu.Lock()
			defer mu.Unlock()
			again = append(again, w.Crash(rnd))
			names = append(names, op+" "+name)
			return nil
		}, nil)
		e, err := x.Open(Dir, w, Options{})
		require.NoError(t, err, "seed %d depth %d", seed, depth)
		require.NoError(t, c.check(e, acked, written), "seed %d depth %d", seed, depth)
		_ = e.Close()
		next := rnd.IntN(len(again))
		for i, fs := range again {
			if i != next && rnd.IntN(len(again)) > 12 {
				continue
			}
			kept := fs.Kill()
			where := fmt.Sprint("seed ", seed, " depth ", depth, " at ", names[i])
			checkCrash(t, x, []*scripted{c}, crashPoint{where, fs, []int64{acked}, []int64{written}})
			again[i] = kept
		}
		if t.Failed() {
			return
		}
		left = again[next]
	}
}
