package lincheck

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A history checked key by key as it grows gives what all of it gives at once.
func TestStreamingEqualsBatch(t *testing.T) {
	violations := 0
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		var all []Op
		for key := range uint64(6) {
			ops := simulated(rnd, key, 1+rnd.IntN(30), 4, 6, 6)
			if rnd.IntN(10) == 0 {
				mutate(rnd, &ops[rnd.IntN(len(ops))])
			}
			all = append(all, ops...)
		}
		want := Check(all, 0)

		c := NewChecker(0)
		var first error
		keep := func(err error) {
			if first == nil {
				first = err
			}
		}
		for i, o := range all {
			if i > 0 && all[i-1].Key != o.Key && rnd.IntN(2) == 0 {
				keep(c.Close(all[i-1].Key))
				require.ErrorIs(t, c.Add(all[i-1]), ErrClosed)
			}
			require.NoError(t, c.Add(o))
		}
		keep(c.Finish())
		require.Equal(t, uint64(len(all)), c.Stats().Ops)
		require.Equal(t, uint64(6), c.Stats().Keys)
		require.Empty(t, c.open)
		if want == nil {
			require.NoError(t, first, "seed %d", seed)
			continue
		}
		violations++
		require.Error(t, first)
		// Keys that stayed open come last, so of several violations another may be first.
		var v *Violation
		require.ErrorAs(t, first, &v)
		require.Error(t, Check(slices.DeleteFunc(slices.Clone(all), func(o Op) bool { return o.Key != v.Key }), 0))
	}
	require.Greater(t, violations, 20)
}

// Positions spare the search, but for one key of sixteen; without them every key is searched.
func TestPositionsSpareTheSearch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	c := NewChecker(0)
	bare := NewChecker(0)
	for key := range uint64(160) {
		for _, o := range simulated(rnd, key, 40, 4, 20, 10) {
			require.NoError(t, c.Add(o))
			o.Pos = 0
			require.NoError(t, bare.Add(o))
		}
		require.NoError(t, c.Close(key))
		require.NoError(t, bare.Close(key))
	}
	require.Equal(t, uint64(160), c.Stats().Explained)
	require.Equal(t, uint64(160/crossCheck), c.Stats().Searched)
	require.Equal(t, uint64(160), bare.Stats().Searched)
	require.Less(t, bare.Stats().Steps, uint64(160*40*100))
}

// A history that is checked at once is searched whatever the positions say, and of several violations that of the
// lowest key is told.
func TestBatchSearchesEveryKey(t *testing.T) {
	var fine, wrong []Op
	for key := range uint64(20) {
		ops := simulated(rand.New(rand.NewPCG(9, key)), key, 20, 3, 9, 0)
		fine = append(fine, ops...)
		wrong = append(wrong, ops...)
		if key >= 7 {
			wrong = append(wrong, Op{Key: key, Kind: Read, Result: 99, Call: 1000, Return: 1001})
		}
	}
	stats, err := checkAll(fine, 0)
	require.NoError(t, err)
	require.Equal(t, []uint64{20, 20, 20}, []uint64{stats.Keys, stats.Explained, stats.Searched})
	var v *Violation
	require.ErrorAs(t, Check(wrong, 0), &v)
	require.Equal(t, uint64(7), v.Key)
	require.Equal(t, 21, v.Total)
	require.Len(t, v.Ops, 1)
}

// If the positions explain what the search finds no explanation for, one of the two is broken, and that is reported;
// if the search only gives up, the explanation stands.
func TestChecksAgainstEachOther(t *testing.T) {
	ops := simulated(rand.New(rand.NewPCG(5, 5)), 1, 40, 4, 20, 0)
	c := NewChecker(0)
	c.every = 1
	c.search.model.Step = func(state, _, _ any) (bool, any) { return false, state }
	for _, o := range ops {
		require.NoError(t, c.Add(o))
	}
	require.ErrorIs(t, c.Close(1), ErrDisagreement)

	c = NewChecker(1)
	c.every = 1
	for _, o := range ops {
		require.NoError(t, c.Add(o))
	}
	require.NoError(t, c.Finish())
	require.Equal(t, uint64(1), c.Stats().Unconfirmed)
}

// The witness is refused for each thing that can be wrong with it.
func TestWitnessRefuses(t *testing.T) {
	at := func(o Op, pos uint64) Op {
		o.Pos = pos
		return o
	}
	for name, test := range map[string]struct {
		ops  []Op
		want bool
	}{
		"a legal order":                  {[]Op{at(set(1, 1, 2, 5), 1), at(read(2, 3, 4, 5), 1)}, true},
		"a read at a later write":        {[]Op{at(read(2, 1, 9, 5), 1), at(set(1, 3, 4, 5), 1)}, true},
		"an answer without a position":   {[]Op{at(set(1, 1, 2, 5), 1), read(2, 3, 4, 5)}, false},
		"an unknown one without":         {[]Op{unknown(set(1, 1, 2, 5)), at(read(2, 3, 4, 0), 1)}, true},
		"an unknown one with a position": {[]Op{at(unknown(set(1, 1, 2, 5)), 2), at(read(2, 3, 4, 5), 2)}, true},
		"before its call":                {[]Op{at(read(2, 1, 2, 5), 2), at(set(1, 3, 4, 5), 1)}, false},
		"an unknown one before its call": {[]Op{at(read(2, 1, 2, 5), 2), at(unknown(set(1, 3, 4, 5)), 1)}, false},
		"against the order of times":     {[]Op{at(set(1, 1, 2, 5), 2), at(set(2, 3, 4, 6), 1), at(read(1, 5, 6, 5), 3)}, false},
		"a wrong value":                  {[]Op{at(set(1, 1, 2, 5), 1), at(read(2, 3, 4, 6), 2)}, false},
		"a wrong swap":                   {[]Op{at(swap(1, 1, 2, 3, 5, true), 1)}, false},
		"a swap that should have won":    {[]Op{at(swap(1, 1, 2, 0, 5, false), 1)}, false},
	} {
		var w witness
		require.Equal(t, test.want, w.explains(test.ops), name)
	}
}

// Keys that were closed stay so, in any order, and cost nothing where they touch.
func TestClosedKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	var r ranges
	want := map[uint64]bool{}
	for range 2000 {
		key := rnd.Uint64N(300)
		r.add(key)
		want[key] = true
		probe := rnd.Uint64N(302)
		require.Equal(t, want[probe], r.contain(probe))
	}
	for i := range r {
		require.LessOrEqual(t, r[i][0], r[i][1])
		require.True(t, i == 0 || r[i-1][1]+1 < r[i][0], "%v", r)
	}
	r = nil
	for _, key := range []uint64{0, ^uint64(0), 1, ^uint64(0) - 1, 2} {
		r.add(key)
	}
	require.Equal(t, ranges{{0, 2}, {^uint64(0) - 1, ^uint64(0)}}, r)
}

// In a long run memory stays as it is: what a closed key took is used again.
func TestMemoryStaysFlat(t *testing.T) {
	history := simulated(rand.New(rand.NewPCG(7, 7)), 0, 40, 4, 20, 10)
	c := NewChecker(0)
	c.every = 1 << 60
	key := uint64(0)
	run := func() {
		for _, o := range history {
			o.Key = key
			_ = c.Add(o)
		}
		if err := c.Close(key); err != nil {
			t.Fatal(err)
		}
		key++
	}
	run()
	require.Zero(t, testing.AllocsPerRun(1000, run))
	require.Len(t, c.closed, 1)
	require.Len(t, c.spare, 1)
}

func ExampleCheck() {
	err := Check([]Op{
		{Client: 1, Key: 8, Kind: Write, Value: 5, Call: 10, Return: 20},
		{Client: 2, Key: 8, Kind: Read, Result: 5, Call: 12, Return: 15},
		{Client: 3, Key: 8, Kind: Read, Result: 0, Call: 21, Return: 25},
	}, 0)
	fmt.Println(err)
	// Output:
	// lincheck: key 8 is not linearizable; these 2 of its 3 operations contradict each other:
	// 	[10, 20] client 1: write 5
	// 	[21, 25] client 3: read = 0
}

// The simulator gives one operation for some thirty steps, of which it makes a million in a second.
func BenchmarkChecker(b *testing.B) {
	const histories, length = 64, 40
	for _, mode := range []struct {
		name  string
		every uint64
		bare  bool
	}{{"positions", crossCheck, false}, {"positions alone", 1 << 60, false}, {"search", 1, true}} {
		b.Run(mode.name, func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(8, 8))
			var all [histories][]Op
			for i := range all {
				all[i] = simulated(rnd, 0, length, 4, 1000, 12)
				slices.SortStableFunc(all[i], func(a, b Op) int { return int(a.Call - b.Call) })
				for j := range all[i] {
					if mode.bare {
						all[i][j].Pos = 0
					}
				}
			}
			c := NewChecker(0)
			c.every = mode.every
			key := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				for _, o := range all[key%histories] {
					o.Key = key
					_ = c.Add(o)
				}
				if err := c.Close(key); err != nil {
					b.Fatal(err)
				}
				key++
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(key*length), "µs/client-op")
		})
	}
}
