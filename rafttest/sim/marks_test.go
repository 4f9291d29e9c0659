package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
)

// rarely are situations that a few hundred short runs may miss. Nightly runs have
// to reach them too.
var rarely = map[Mark]bool{
	markRestoredOverLog:   true,
	markRemovedNoHandover: true,
	markRefusedFull:       true,
}

// Short runs reach nearly every situation that runs should reach, and every
// planned fault, so that what they do not find is not there for lack of looking.
func TestMarks(t *testing.T) {
	t.Parallel()
	if seeds(2) < 2 {
		t.Skip("needs some hundred runs")
	}
	const atATime, enough = 40, 4000
	var total Stats
	var missing []string
	for first := uint64(0); first < enough; first += atATime {
		total.Add(clean(t, atATime, func(seed uint64) Options { return Options{Seed: first + seed, Steps: 6000, Faults: All} }))
		missing = nil
		for m := range Mark(numMarks) {
			if total.Marks[m] == 0 && m.Expected(Options{Faults: All}) && !rarely[m] {
				missing = append(missing, m.String())
			}
		}
		if missing == nil {
			return
		}
	}
	t.Errorf("%d runs do not reach: %q", enough, missing)
}

// Every mark has a name of its own, and is expected of runs that can reach it: of
// all faults, but for no point at all, and a planned fault of its family.
func TestMarkNames(t *testing.T) {
	t.Parallel()
	names := map[string]Mark{}
	for m := range Mark(numMarks) {
		if m == markPoints {
			require.False(t, m.Expected(Options{Faults: All | Drift}))
			continue
		}
		require.NotEmpty(t, m.String())
		require.NotEqual(t, "planned: ", m.String())
		require.NotEqual(t, "crash ", m.String())
		require.NotContains(t, names, m.String())
		names[m.String()] = m
		all := Options{Faults: All | Drift}
		if m == markConfAhead || m == markOutcomeRolledBack {
			all.ConfChangeEffect = raft.OnAppend
		}
		require.True(t, m.Expected(all), m.String())
		require.False(t, m.Expected(Options{Faults: None}), m.String())
		if m < markFaults {
			require.True(t, m.Expected(Options{Faults: All}), m.String())
			require.False(t, m.Expected(Options{Faults: All &^ Lease}), m.String())
		}
	}
	for i := range faults {
		m, of := markFaults+Mark(i), faults[i].of
		require.Equal(t, m, names["planned: "+faults[i].name])
		require.True(t, m.Expected(Options{Faults: of}), faults[i].name)
		for one := Faults(1); one < endOfFaults; one <<= 1 {
			require.Equal(t, !of.has(one), m.Expected(Options{Faults: (All | Drift) &^ one}), faults[i].name)
		}
	}
}

// A fault can be drawn, and has all that the plan needs of it.
func TestFaultsAreComplete(t *testing.T) {
	t.Parallel()
	for i := range faults {
		f := &faults[i]
		require.Positive(t, f.weight, f.name)
		require.NotNil(t, f.do, f.name)
		require.NotZero(t, f.of, f.name)
		require.Zero(t, f.of&^(All|Drift), f.name)
	}
}
