package quorum

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"
)

// naiveCommitted is the rule as figure 3.1 words it: the largest N that a
// majority of the values reaches, sought among the values themselves.
func naiveCommitted(acked []uint64) uint64 {
	if len(acked) == 0 {
		return math.MaxUint64
	}
	best := uint64(0)
	for _, n := range acked {
		reached := 0
		for _, a := range acked {
			if a >= n {
				reached++
			}
		}
		if 2*reached > len(acked) {
			best = max(best, n)
		}
	}
	return best
}

func checkCommitted(t *testing.T, acked []uint64) {
	t.Helper()
	scratch := slices.Clone(acked)
	if got, want := CommittedIndex(scratch), naiveCommitted(acked); got != want {
		t.Fatalf("CommittedIndex(%v) = %d, want %d", acked, got, want)
	}
	before := slices.Clone(acked)
	slices.Sort(before)
	slices.Sort(scratch)
	if !slices.Equal(before, scratch) {
		t.Fatalf("CommittedIndex(%v) changed the values to %v", acked, scratch)
	}
}

// An entry is committed once a majority of the servers stores it: 2 of 3, 3 of
// 5, 4 of 7, 5 of 9 (dissertation §3.5).
func TestCommittedIndexTable(t *testing.T) {
	for _, test := range []struct {
		acked []uint64
		want  uint64
	}{
		{nil, math.MaxUint64},
		{[]uint64{0}, 0},
		{[]uint64{7}, 7},
		{[]uint64{7, 5}, 5},
		{[]uint64{5, 0}, 0},
		{[]uint64{9, 0, 0}, 0},
		{[]uint64{9, 8, 0}, 8},
		{[]uint64{9, 8, 7}, 8},
		{[]uint64{9, 9, 0, 0}, 0},
		{[]uint64{9, 9, 9, 0}, 9},
		{[]uint64{9, 9, 0, 0, 0}, 0},
		{[]uint64{0, 9, 0, 9, 9}, 9},
		{[]uint64{9, 9, 9, 0, 0, 0}, 0},
		{[]uint64{9, 9, 9, 0, 0, 0, 0}, 0},
		{[]uint64{0, 9, 0, 9, 0, 9, 9}, 9},
		{[]uint64{9, 9, 9, 9, 0, 0, 0, 0, 0}, 0},
		{[]uint64{9, 9, 9, 9, 9, 0, 0, 0, 0}, 9},
		{[]uint64{math.MaxUint64, math.MaxUint64, 0}, math.MaxUint64},
	} {
		if got := CommittedIndex(slices.Clone(test.acked)); got != test.want {
			t.Errorf("CommittedIndex(%v) = %d, want %d", test.acked, got, test.want)
		}
		checkCommitted(t, test.acked)
	}
}

// The committed index is a matter of counting (§3.5), whichever way it is
// found: all orders of few distinct values, for every size with code of its own.
func TestCommittedIndexExhaustive(t *testing.T) {
	for n := 1; n <= 9; n++ {
		values := 4
		if n > 7 {
			values = 3
		}
		acked := make([]uint64, n)
		var fill func(i int)
		fill = func(i int) {
			if i == n {
				checkCommitted(t, acked)
				return
			}
			for v := range values {
				acked[i] = uint64(v)
				fill(i + 1)
			}
		}
		fill(0)
	}
	// Medians need all relative orders of distinct values as well.
	for n := 1; n <= 7; n++ {
		permute(n, func(p []uint64) { checkCommitted(t, p) })
	}
}

func permute(n int, visit func([]uint64)) {
	p := make([]uint64, n)
	var place func(v uint64)
	place = func(v uint64) {
		if v > uint64(n) {
			visit(p)
			return
		}
		for i := range p {
			if p[i] == 0 {
				p[i] = v
				place(v + 1)
				p[i] = 0
			}
		}
	}
	place(1)
}

// The committed index is the one that counting gives (§3.5) for clusters of any
// size, few distinct values or many, sorted or not, up to the largest index.
func TestCommittedIndexRandom(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for round := range 30000 {
		acked := make([]uint64, rnd.Intn(130))
		base := []uint64{0, 1 << 40, math.MaxUint64 - 200}[rnd.Intn(3)]
		spread := []int{1, 2, 3, 10, 200}[rnd.Intn(5)]
		for i := range acked {
			acked[i] = base + uint64(rnd.Intn(spread+1))
			if base > 1<<40 && rnd.Intn(4) == 0 {
				acked[i] = math.MaxUint64
			}
		}
		switch round % 4 {
		case 0:
			slices.Sort(acked)
		case 1:
			slices.Sort(acked)
			slices.Reverse(acked)
		}
		checkCommitted(t, acked)
	}
}

// However bad the pivots, the answer is the one that counting gives (§3.5): an
// input made against the median of three ends in the sort.
func TestCommittedIndexAdversary(t *testing.T) {
	for _, n := range []int{64, 101, 999, 5000} {
		acked := adversary(n)
		want := slices.Clone(acked)
		slices.Sort(want)
		if got := CommittedIndex(acked); got != want[(n-1)/2] {
			t.Fatalf("%d voters: got %d, want %d", n, got, want[(n-1)/2])
		}
	}
}

// adversary returns n distinct values for which nearly every pivot that
// selectNth picks is among the least of its range. It runs the same steps on
// keys, whose lower half says which value it is and whose upper half is the
// value once it is settled; each value is settled, as the least that is left,
// when it becomes a candidate for the pivot. Till then it is above all others.
func adversary(n int) []uint64 {
	const open, shift = 1 << 31, 32
	keys := make([]uint64, n)
	for i := range keys {
		keys[i] = open<<shift | uint64(i)
	}
	values := make([]uint64, n)
	settled := uint64(0)
	settle := func(key *uint64) {
		if *key>>shift == open {
			settled++
			*key = settled<<shift | *key&(1<<shift-1)
			values[*key&(1<<shift-1)] = settled
		}
	}
	left := keys
	for len(left) > insertionMax {
		settle(&left[0])
		settle(&left[len(left)/2])
		pivot := median3(left[0], left[len(left)/2], left[len(left)-1])
		below := partition(left, pivot)
		if below == 0 {
			below = partition(left, pivot+1)
		}
		left = left[below:]
	}
	for i := range left {
		settle(&left[i])
	}
	return values
}

// More acknowledgement never takes back commitment (§3.5): raising any value
// does not lower the committed index.
func TestCommittedIndexMonotone(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	for range 20000 {
		acked := make([]uint64, 1+rnd.Intn(20))
		for i := range acked {
			acked[i] = uint64(rnd.Intn(10))
		}
		before := CommittedIndex(slices.Clone(acked))
		i := rnd.Intn(len(acked))
		acked[i] += uint64(rnd.Intn(5))
		if after := CommittedIndex(slices.Clone(acked)); after < before {
			t.Fatalf("raising value %d to %d in %v lowered the committed index from %d to %d", i, acked[i], acked, before, after)
		}
	}
}

// Every voter that acknowledges may move the committed index (§3.5), so finding
// it must not allocate.
func TestCommittedIndexAllocatesNothing(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 101, 5000} {
		acked := adversary(max(n, 1))[:n]
		scratch := make([]uint64, n)
		allocs := testing.AllocsPerRun(100, func() {
			copy(scratch, acked)
			sinkIndex = CommittedIndex(scratch)
		})
		if allocs != 0 {
			t.Errorf("%d voters: %v allocations", n, allocs)
		}
	}
}

func ExampleCommittedIndex() {
	// The leader and one follower of five have index 12, the third is at 11.
	fmt.Println(CommittedIndex([]uint64{12, 3, 12, 11, 8}))
	// Output: 11
}
