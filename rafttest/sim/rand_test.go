package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A stream of random numbers is the same on every machine and with every version
// of Go, or recorded seeds would mean nothing.
func TestRandomNeverChanges(t *testing.T) {
	t.Parallel()
	r := newRandom(42, streamNetwork)
	got := []uint64{r.Uint64(), uint64(r.below(1000)), uint64(r.between(-5, 5) + 5), uint64(r.spread(1, 1<<30))}
	require.Equal(t, []uint64{0x8501f690c3df0d91, 386, 5, 23537525}, got)
}

// Numbers stay within their bounds and reach both.
func TestRandomBounds(t *testing.T) {
	t.Parallel()
	r := newRandom(1, 1)
	for _, b := range [][2]int64{{0, 0}, {0, 1}, {3, 9}, {-4, 4}, {7, 7}} {
		seen := map[int64]bool{}
		for range 2000 {
			n := r.between(b[0], b[1])
			require.True(t, n >= b[0] && n <= b[1], "%d in %v", n, b)
			seen[n] = true
		}
		require.Len(t, seen, int(b[1]-b[0]+1))
	}
	require.Equal(t, int64(9), r.between(9, 3), "an empty range is its beginning")
	counts := make([]int, 10)
	for range 10_000 {
		counts[r.below(10)]++
	}
	for n, count := range counts {
		require.InDelta(t, 1000, count, 150, "%d", n)
	}
	for range 100 {
		require.False(t, r.chance(0))
		require.True(t, r.chance(1000))
		require.True(t, r.oneIn(1))
		require.Contains(t, []int{4, 5}, pick(r, 4, 5))
	}
}

// Numbers that are spread are as often small as large by their order of magnitude.
func TestRandomSpread(t *testing.T) {
	t.Parallel()
	r := newRandom(1, 1)
	for _, b := range [][2]int64{{1, 1}, {1, 2}, {1, 100}, {20, 2000}, {1000, 40 * tickLength}, {5, 4}} {
		low, high := b[1], b[0]
		for range 5000 {
			n := r.spread(b[0], b[1])
			require.True(t, n >= b[0] && n <= max(b[0], b[1]), "%d in %v", n, b)
			low, high = min(low, n), max(high, n)
		}
		require.LessOrEqual(t, low, b[0]+b[0]/10)
		require.GreaterOrEqual(t, high, b[1]-b[1]/10)
	}
	small := 0
	for range 10_000 {
		if r.spread(1, 1<<20) < 1<<10 {
			small++
		}
	}
	require.InDelta(t, 5000, small, 700)
}

// Seeds and streams give unrelated numbers, neighbours too, and a stream that is
// seeded anew repeats itself.
func TestRandomStreams(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for seed := range uint64(50) {
		for stream := range uint64(50) {
			r := newRandom(seed, stream)
			for range 4 {
				seen[r.Uint64()] = true
			}
		}
	}
	require.Len(t, seen, 50*50*4)
	var r random
	r.seed(7, 8)
	first := r.Uint64()
	r.Uint64()
	r.seed(7, 8)
	require.Equal(t, first, r.Uint64())
}
