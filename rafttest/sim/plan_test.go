package sim

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/trace"
)

// before returns the events up to a step.
func before(events []trace.Event, step uint64) []trace.Event {
	i := slices.IndexFunc(events, func(e trace.Event) bool { return e.Step >= step })
	if i < 0 {
		return events
	}
	return events[:i]
}

// Leaving out a planned fault changes nothing before it: event by event the run
// is the same. What is planned after it comes at the same times.
func TestSkipOne(t *testing.T) {
	t.Parallel()
	compared := 0
	for seed := uint64(1); seed <= max(2, seeds(8)); seed++ {
		o := Options{Seed: seed, Steps: 6000, Faults: All}
		_, whole := recorded(o)
		var carriedOut []trace.Event
		at := map[uint64]int64{}
		for _, e := range whole {
			if e.Kind == trace.Fault {
				carriedOut = append(carriedOut, e)
				at[e.Index] = e.At
			}
		}
		for i := 0; i < len(carriedOut); i += 1 + len(carriedOut)/3 {
			f := carriedOut[i]
			o.Skip = SpansOf([]uint64{f.Index})
			_, without := recorded(o)
			if !slices.Equal(before(whole, f.Step), before(without, f.Step)) {
				t.Fatalf("seed %d: the run is another before fault %d", seed, f.Index)
			}
			for _, e := range without {
				if e.Kind != trace.Fault {
					continue
				}
				require.NotEqual(t, f.Index, e.Index)
				if before, too := at[e.Index]; too {
					require.Equal(t, before, e.At, "seed %d, without %d, fault %d", seed, f.Index, e.Index)
					compared++
				}
			}
		}
	}
	require.Greater(t, compared, 20)
}

// Leaving out all planned faults leaves none, and what remains is the background
// of the families: the network's loss, for one.
func TestSkipAll(t *testing.T) {
	t.Parallel()
	total := clean(t, 8, func(seed uint64) Options {
		return Options{Seed: seed, Steps: 3000, Faults: Network, Skip: Spans{{1, 1 << 40}}}
	})
	require.Zero(t, total.Faults)
	for i := range faults {
		require.Zero(t, total.Marks[markFaults+Mark(i)])
	}
	require.NotZero(t, total.Lost)
	_, events := recorded(Options{Seed: 1, Steps: 3000, Faults: All, Skip: Spans{{1, 1 << 40}}})
	require.Empty(t, plannedFaults(events))
}

// Skipping what was not carried out changes nothing at all.
func TestSkipOthers(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= max(2, seeds(8)); seed++ {
		o := Options{Seed: seed, Steps: 3000, Faults: All}
		whole, events := recorded(o)
		planned := plannedFaults(events)
		if len(planned) == 0 {
			continue // a quiet run
		}
		var others []uint64
		for n := range planned[len(planned)-1] + 100 {
			if !slices.Contains(planned, n) {
				others = append(others, n)
			}
		}
		o.Skip = SpansOf(others)
		require.Equal(t, whole, Run(o), "seed %d", seed)
	}
}

// Which fault a number stands for depends on the seed and the number alone, and on
// the families that the run may draw from: without one, its faults become others,
// and those of the rest stay what they were.
func TestFaultOfNumber(t *testing.T) {
	t.Parallel()
	drawOf := func(set settings, seed, number uint64) int {
		s := &simulation{set: set}
		return s.drawFault(newRandom(seed, streamPlan+number<<8+1))
	}
	draw := func(families Faults, seed, number uint64) int {
		set := settings{faults: families}
		for i := range faults {
			set.weights[i] = faults[i].weight
		}
		return drawOf(set, seed, number)
	}
	for out := Faults(1); out < endOfFaults; out <<= 1 {
		has := slices.ContainsFunc(faults[:], func(f fault) bool { return f.of.has(out) })
		moved := 0
		for number := uint64(0); number < 150 || (has && moved == 0 && number < 10_000); number++ {
			with, without := draw(All, 1, number), draw(All&^out, 1, number)
			if with < 0 || !faults[with].of.has(out) {
				if with != without {
					t.Fatalf("without %v fault %d is %q and not %q", out, number, faults[without].name, faults[with].name)
				}
				continue
			}
			if moved++; without >= 0 {
				require.False(t, faults[without].of.has(out))
			}
		}
		require.Equal(t, has, moved > 0, out.String())
	}
	require.Equal(t, -1, draw(None, 1, 1), "nothing to draw from")

	// So it is in a run, whatever was carried out or skipped before.
	compared := 0
	for seed := uint64(1); seed <= 6; seed++ {
		var s *simulation
		var counts Marks
		see := func(e *trace.Event) {
			if e.Kind != trace.Fault {
				return
			}
			what := drawOf(s.set, seed, e.Index)
			require.Equal(t, counts[markFaults+Mark(what)]+1, s.stats.Marks[markFaults+Mark(what)], "seed %d: fault %d is no %q", seed, e.Index, faults[what].name)
			counts = s.stats.Marks
			compared++
		}
		for _, skip := range []Spans{nil, {{3, 9}, {20, 30}}} {
			counts = Marks{}
			s = newSimulation(Options{Seed: seed, Steps: 3000, Faults: All, Skip: skip, Observer: see})
			s.run()
		}
	}
	require.Greater(t, compared, 50)
}

// Planned of a violation bounds the faults that led to it: to leave out later
// ones changes nothing.
func TestViolationPlanned(t *testing.T) {
	t.Parallel()
	found := 0
	for seed := uint64(1); found < 4; seed++ {
		require.LessOrEqual(t, seed, uint64(60))
		o := Options{Seed: seed, Nodes: 3, Faults: All}
		o.NewMachine = func(id uint64) StateMachine { return differsLate{&ledger{}, id} }
		o.Commands = ledgerCommand
		whole, events := recorded(o)
		if whole.Violation == nil {
			continue
		}
		found++
		require.Equal(t, trace.Violation, events[len(events)-1].Kind)
		require.Equal(t, whole.Violation.Step, events[len(events)-1].Step)
		for _, number := range plannedFaults(events) {
			require.LessOrEqual(t, number, whole.Violation.Planned)
		}
		o.Skip = Spans{{whole.Violation.Planned + 1, 1 << 40}}
		require.Equal(t, whole, Run(o))
	}
}
