package report

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/load"
)

func samples(values ...float64) []core.Sample {
	var s []core.Sample
	for _, v := range values {
		s = append(s, core.Sample{Value: v, Allocs: v / 100})
	}
	return s
}

func zero() *float64 { return new(float64) }

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 3: {9, 1, 3}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		require.InDelta(t, want, Median(values), 0, "%v", values)
	}
}

// A ratio is of samples that were taken together: a slow phase of the machine slows both.
func TestRatioIsPaired(t *testing.T) {
	r := Result{Samples: map[string][]core.Sample{Ours: samples(10, 100, 10), Etcd36: samples(20, 200, 40)}}
	ratio, ok := r.Ratio(Ours, Etcd36)
	require.True(t, ok)
	require.InDelta(t, 0.5, ratio, 1e-9)
	_, ok = r.Ratio(Ours, Etcd37)
	require.False(t, ok)
	require.InDelta(t, 0, r.Spread(Ours), 9.01)
}

// A goal is missed by the ratio, by allocations in whole ones, and by messages, each on its own.
func TestVerdict(t *testing.T) {
	result := func(ours, allocs, messages float64) Result {
		return Result{
			Row: core.Row{Goal: core.Goal{Value: 50, Peer: 100, Allocs: zero(), Messages: zero()}},
			Samples: map[string][]core.Sample{
				Ours: {{Value: ours, Allocs: allocs, Messages: messages}}, Etcd36: {{Value: 1000}},
			},
		}
	}
	require.Equal(t, "yes", result(500, 0.9, 0).Verdict())
	require.Equal(t, "no: 2.00 × by ratio, 20.0 × here", result(1000, 0, 0).Verdict())
	require.Equal(t, "no: allocations 1, not 0, messages 6, not 0", result(100, 1.5, 6).Verdict())
	require.Empty(t, Result{}.Verdict(), "a row without a goal")
}

// The summary counts rows with a goal, and names those furthest from theirs first.
func TestSummary(t *testing.T) {
	row := func(title string, ours float64) Result {
		return Result{
			Row:     core.Row{Title: title, Goal: core.Goal{Value: 50, Peer: 100}},
			Samples: map[string][]core.Sample{Ours: samples(ours), Etcd36: samples(1000)},
		}
	}
	require.Equal(t, "1 of 3 rows with a goal reach it. Furthest from theirs: c (6.00 ×); b (2.00 ×).",
		Summary([]Result{row("a", 500), row("b", 1000), row("c", 3000), {Row: core.Row{Title: "none"}}}))
	require.Equal(t, "1 of 1 rows with a goal reach it.", Summary([]Result{row("a", 500)}))
}

func TestFormat(t *testing.T) {
	for want, got := range map[string]string{
		"4.57 ns": Format(core.Time, 4.567), "45.7 ns": Format(core.Time, 45.67), "457 ns": Format(core.Time, 456.7),
		"1.20 µs": Format(core.Time, 1200), "17.0 ms": Format(core.Time, 17e6), "5.00 M/s": Format(core.Rate, 200),
		"1.20 KB": Format(core.Heap, 1200), "0.00032": digits(0.00032), "1,094,000": thousands(1_094_000), "12": thousands(12),
		"0.02": Whole(0.0157), "1.58": Whole(1.58), "3": Whole(3.0004), "315": Whole(314.9), "0": Whole(0.001),
	} {
		require.Equal(t, want, got)
	}
}

// The table has a row for each result, with as many cells as the head has.
func TestTable(t *testing.T) {
	results := []Result{
		{Row: core.Row{Title: "work", Goal: core.Goal{Value: 50, Peer: 100}}, Samples: map[string][]core.Sample{
			Ours: samples(250), Etcd36: samples(1000), Etcd37: samples(2000), Floor: samples(100),
		}},
		{Row: core.Row{Title: "size", Unit: core.Heap}, Samples: map[string][]core.Sample{Ours: samples(1000), Etcd36: samples(2000)}},
	}
	lines := strings.Split(strings.TrimSpace(Table(results)), "\n")
	require.Len(t, lines, 4)
	for _, line := range lines {
		require.Equal(t, strings.Count(lines[0], "|"), strings.Count(line, "|"), line)
	}
	require.Equal(t, "| work | 250 ns | 1.00 µs | 2.00 µs | 100 ns | 0.25 | 0.50 | 50.0 ns | 2.50, 10, 20 |  | yes |", lines[2])
	require.Equal(t, "| size | 1.00 KB | 2.00 KB |  |  | 0.50 |  |  |  |  |  |", lines[3])

	counts := Instructions{"propose/1": {Ours: 5206, Etcd36: 7064}}
	require.Contains(t, InstructionTable(counts), "| 5,206 | 7,064 |  |  | 2,000 | 2.60 |")
}

// The chart is well-formed, and has a mark for each row that has both figures.
func TestChart(t *testing.T) {
	results := []Result{
		{Row: core.Row{Title: "a < b", Goal: core.Goal{Value: 1, Peer: 1000}}, Samples: map[string][]core.Sample{
			Ours: samples(10), Etcd36: samples(1000), Etcd37: samples(9000),
		}},
		{Row: core.Row{Title: "alone"}, Samples: map[string][]core.Sample{Ours: samples(10)}},
	}
	svg := string(Chart("A & B", results, Etcd37))
	wellFormed(t, svg)
	require.Equal(t, 1, strings.Count(svg, "<circle class=\"ours\" cx=")-1, "one mark beside the legend's")
	require.Contains(t, svg, "a &lt; b")
	require.NotContains(t, svg, "alone")
	c := &chart{low: -3, high: 1}
	require.Len(t, c.ticks(), 5)
	require.InDeltaSlice(t, []float64{0.1, 0.2, 0.5, 1, 2}, (&chart{low: -1, high: 0.5}).ticks(), 1e-9)
	require.Less(t, c.x(0.001), c.x(0.01))
	require.InDelta(t, c.x(0.1)-c.x(0.01), c.x(1)-c.x(0.1), 1e-9, "a decade is as wide as another")
}

func TestSplice(t *testing.T) {
	page := "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
	got, err := Splice(page, "x", "new\n")
	require.NoError(t, err)
	require.Equal(t, "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n", got)
	_, err = Splice(page, "y", "new\n")
	require.Error(t, err)
}

// The table of hosts has a line for each number of writers and library, its verdict by the ratio of pairs.
func TestHostTable(t *testing.T) {
	floor := load.Floor{Growing: 300 * time.Microsecond, ZeroFilled: 200 * time.Microsecond, RoundTrip: 50 * time.Microsecond}
	sample := func(rate float64) load.Sample {
		return load.Sample{Rate: rate, P50: time.Millisecond, P99: 5 * time.Millisecond, CPU: 20 * time.Microsecond, Allocs: 5.5, Syncs: 0.5, Floor: floor}
	}
	uncounted := sample(10_000)
	uncounted.Syncs = -1
	results := []HostResult{
		{Writers: 1, Samples: map[string][]load.Sample{Ours: {sample(1200), sample(2400)}, Etcd36: {sample(1000), sample(2000)}}},
		{Writers: 16, Samples: map[string][]load.Sample{Ours: {sample(20_000)}, Dragonboat: {uncounted}}},
	}
	lines := strings.Split(strings.TrimSpace(HostTable(results)), "\n")
	require.Len(t, lines, 6)
	for _, line := range lines {
		require.Equal(t, strings.Count(lines[0], "|"), strings.Count(line, "|"), line)
	}
	require.Equal(t, "| 1 | ours | 1,800 |  | 1.00 ms | 5.00 ms | 4.00 | 20.0 µs | 0.50 | 5.50 | yes |", lines[2])
	require.Contains(t, lines[3], "| 1 | etcd 3.6 | 1,500 | 1.20 |")
	require.Contains(t, lines[5], "| 16 | dragonboat | 10,000 | 2.00 | 1.00 ms | 5.00 ms | 4.00 | 20.0 µs | not counted |")
	require.Contains(t, HostSummary(results), "The floor is 250 µs")

	require.NotContains(t, HostSummary(results), "quiet machine")

	results[0].Samples[Ours][0].Rate = 1000
	require.Contains(t, HostTable(results[:1]), "no: 1.10 of 1.12 × etcd 3.6")
	busy := []HostResult{{Writers: 1, Samples: map[string][]load.Sample{Ours: {{Rate: 9, Others: 0.5}}, Etcd36: {{Rate: 1, Others: 0.5}}}}}
	require.Contains(t, HostSummary(busy), "took 50 % of the processors' time meanwhile: **too much")
	require.NotContains(t, HostTable(busy), "yes", "there is no verdict")
	require.Equal(t, []string{"1 writer", "16 writers"}, []string{HostRows(results)[0].Title, HostRows(results)[1].Title})
}
