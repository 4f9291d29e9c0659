package quorum

import (
	"math"
	"math/bits"
	"slices"
)

// CommittedIndex returns the highest log index that a majority of the voters
// has acknowledged, where acked holds for each voter the highest index it
// acknowledged, 0 if none (dissertation §3.5; the matchIndex rule of figure
// 3.1). Without voters it returns math.MaxUint64: an empty majority agrees
// with everything, and the minimum over the halves of a joint configuration
// needs no special case.
//
// That an entry is acknowledged by a majority does not make it safe to commit
// unless it is of the leader's term (§3.6.2): the caller checks that.
//
// It may reorder acked, and allocates nothing.
func CommittedIndex(acked []uint64) uint64 {
	// With n values in ascending order the answer is the one at (n-1)/2: it and
	// all behind it are a majority. An even count has the same answer as the
	// next odd one with a voter at 0 added, which is how 4 and 6 are done.
	switch len(acked) {
	case 0:
		return math.MaxUint64
	case 1:
		return acked[0]
	case 2:
		return min(acked[0], acked[1])
	case 3:
		return median3(acked[0], acked[1], acked[2])
	case 4:
		return median5(acked[0], acked[1], acked[2], acked[3], 0)
	case 5:
		return median5(acked[0], acked[1], acked[2], acked[3], acked[4])
	case 6:
		return median7(acked[0], acked[1], acked[2], acked[3], acked[4], acked[5], 0)
	case 7:
		return median7(acked[0], acked[1], acked[2], acked[3], acked[4], acked[5], acked[6])
	default:
		return selectNth(acked, (len(acked)-1)/2)
	}
}

// The medians are written with min and max, which compile to conditional
// moves: acknowledgements arrive in no order that a branch predictor could
// learn.

func median3(a, b, c uint64) uint64 {
	return max(min(a, b), min(max(a, b), c))
}

// median5 drops the smaller of two minima and the larger of two maxima: the
// first has three values above it, the second three below, so neither is the
// median, and one was dropped on each side of it.
func median5(a, b, c, d, e uint64) uint64 {
	low := max(min(a, b), min(c, d))
	high := min(max(a, b), max(c, d))
	return median3(low, high, e)
}

// median7 is forgetful selection: the least and the greatest of any five of
// seven values have four values on one side and so cannot be the median; of the
// three left and a sixth value the same holds among the five that remain, and
// then three are left.
func median7(a, b, c, d, e, f, g uint64) uint64 {
	// Of a..d, low ≤ high are the middle two, unordered; least and greatest are
	// the outer ones. The fifth then takes the place of an outer one it exceeds.
	least, low := min(min(a, b), min(c, d)), max(min(a, b), min(c, d))
	greatest, high := max(max(a, b), max(c, d)), min(max(a, b), max(c, d))
	mid := median3(least, greatest, e)

	// low, high, mid are the five without their extremes. Add f, drop again.
	x, y := min(low, high), max(low, high)
	p, q := min(mid, f), max(mid, f)
	return median3(max(x, p), min(y, q), g)
}

// insertionMax is the longest range that sorting by insertion beats dividing.
const insertionMax = 12

// selectNth returns the value that would be at position n if values were
// sorted in ascending order, reordering them on the way. It narrows the range
// around n by partitioning at a median of three; the choice of pivots is a
// function of the input alone, so equal inputs take equal steps.
func selectNth(values []uint64, n int) uint64 {
	// Every round should remove a good part of the range. An input made to
	// prevent that is sorted instead, in O(n log n).
	for rounds := 2 * bits.Len(uint(len(values))); len(values) > insertionMax; rounds-- {
		if rounds == 0 {
			slices.Sort(values)
			return values[n]
		}
		pivot := median3(values[0], values[len(values)/2], values[len(values)-1])
		below := partition(values, pivot)
		if n < below {
			values = values[:below]
			continue
		}
		values, n = values[below:], n-below
		if below > 0 {
			continue
		}
		// Nothing is below the pivot, so it is the least: set its equals aside.
		// Followers that keep up all acknowledge the same index.
		equal := len(values)
		if pivot < math.MaxUint64 {
			equal = partition(values, pivot+1)
		}
		if n < equal {
			return pivot
		}
		values, n = values[equal:], n-equal
	}
	insertionSort(values)
	return values[n]
}

// partition moves the values below pivot to the front and returns their number.
func partition(values []uint64, pivot uint64) int {
	var below uint
	for i, v := range values {
		// below ≤ i < len(values); swap always, then keep it only if v is
		// below the pivot: the borrow of v-pivot is 1 exactly then, which saves
		// a branch that goes either way half of the time.
		values[i] = values[below]
		values[below] = v
		_, borrow := bits.Sub64(v, pivot, 0)
		below += uint(borrow)
	}
	return int(below)
}

func insertionSort(values []uint64) {
	for i := 1; i < len(values); i++ {
		v, j := values[i], i
		for ; j > 0 && values[j-1] > v; j-- {
			values[j] = values[j-1]
		}
		values[j] = v
	}
}
