package raft

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the runs cover they know as a plain list of terms does, the last entry is
// always covered, and never more than the bound is kept.
func TestTermRunsKnowTheTruth(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		base := uint64(rnd.IntN(10))
		terms := []uint64{1} // terms[i] is that of entry base+i
		var runs termRuns
		runs.reset(entryID{1, base})
		for range 500 {
			last := uint64(len(terms) - 1)
			switch n := rnd.IntN(100); {
			case n < 90:
				term := terms[last] + uint64(rnd.IntN(2))
				terms = append(terms, term)
				runs.push(entryID{term, base + last + 1})
			case n < 99:
				keep := last - min(last, uint64(rnd.IntN(5)))
				terms = terms[:keep+1]
				runs.truncate(entryID{terms[keep], base + keep})
			default:
				base, terms = base+last+3, []uint64{terms[last]}
				runs.reset(entryID{terms[0], base})
			}
			require.LessOrEqual(t, len(runs.runs), maxTermRuns)
			require.True(t, runs.covers(base+uint64(len(terms)-1)))
			for i, term := range terms {
				if runs.covers(base + uint64(i)) {
					require.Equal(t, term, runs.run(base+uint64(i)).term)
				}
			}
			require.False(t, base > 0 && runs.covers(base-1))
		}
	}
}

// At least the newest half of the bound's terms is known, however many there
// were; and a truncation before all of them leaves the entry it ends with.
func TestTermRunsDropTheOldest(t *testing.T) {
	var runs termRuns
	runs.reset(entryID{1, 1})
	for i := uint64(2); i <= 1000; i++ {
		runs.push(entryID{i, i})
		require.True(t, i <= maxTermRuns/2 || runs.covers(i-maxTermRuns/2+1))
	}
	require.False(t, runs.covers(1))
	runs.truncate(entryID{3, 3})
	require.True(t, runs.covers(3))
	require.False(t, runs.covers(2))
	require.Equal(t, termRun{3, 3}, runs.run(3))
}
