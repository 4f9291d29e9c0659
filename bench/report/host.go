package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/load"
)

// HostResult is what was sampled of whole hosts with a number of writers.
type HostResult struct {
	Writers int
	// Samples are those of each library, in the order in which they were taken, as in Result.
	Samples map[string][]load.Sample
}

// hostGoals are the goals in writes per second, by the number of writers, and what etcd's raft v3.6 reached in a host made
// for it where they were set.
var hostGoals = map[int]struct{ ours, peer float64 }{
	1: {6500, 5800}, 16: {36_000, 23_800}, 64: {90_000, 58_000}, 256: {200_000, 135_000},
}

// HostRows are the results as rows of the time between writes, all writers together.
func HostRows(results []HostResult) []Result {
	var rows []Result
	for _, r := range results {
		rows = append(rows, r.row())
	}
	return rows
}

// row is the result as that of a row of the time between writes.
func (r HostResult) row() Result {
	row := Result{Row: core.Row{Title: plural(r.Writers, "writer")}, Samples: make(map[string][]core.Sample)}
	if goal, ok := hostGoals[r.Writers]; ok {
		row.Goal = core.Goal{Value: 1e9 / goal.ours, Peer: 1e9 / goal.peer}
	}
	for lib, samples := range r.Samples {
		for _, s := range samples {
			row.Samples[lib] = append(row.Samples[lib], core.Sample{Value: 1e9 / s.Rate})
		}
	}
	return row
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hostColumns are the libraries, in the order in which tables have them.
func hostColumns() []string { return []string{Ours, Etcd36, Hashicorp, Dragonboat} }

// median returns that of what f says of the samples of a library.
func (r HostResult) median(lib string, f func(load.Sample) float64) float64 {
	var values []float64
	for _, s := range r.Samples[lib] {
		values = append(values, f(s))
	}
	return Median(values)
}

// HostTable returns the results as a table in Markdown, a line for each number of writers and library.
func HostTable(results []HostResult) string {
	var b strings.Builder
	b.WriteString("| writers | library | writes/s | ours ÷ it | p50 | p99 | p50 ÷ floor | processor time of a write | syncs | allocations | goal reached |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		row := r.row()
		for _, lib := range hostColumns() {
			if len(r.Samples[lib]) == 0 {
				continue
			}
			fmt.Fprintf(&b, "| %d | %s | %s |", r.Writers, lib, thousands(r.median(lib, func(s load.Sample) float64 { return s.Rate })))
			ratio, ok := row.Ratio(lib, Ours)
			cell(&b, ok && lib != Ours, digits(ratio))
			for _, d := range []func(load.Sample) time.Duration{
				func(s load.Sample) time.Duration { return s.P50 }, func(s load.Sample) time.Duration { return s.P99 },
			} {
				cell(&b, true, Format(core.Time, r.median(lib, func(s load.Sample) float64 { return float64(d(s)) })))
			}
			cell(&b, true, digits(r.median(lib, func(s load.Sample) float64 { return float64(s.P50) / float64(s.Floor.Write()) })))
			cell(&b, true, Format(core.Time, r.median(lib, func(s load.Sample) float64 { return float64(s.CPU) })))
			syncs := r.median(lib, func(s load.Sample) float64 { return s.Syncs })
			if syncs < 0 {
				cell(&b, true, "not counted")
			} else {
				cell(&b, true, digits(syncs))
			}
			cell(&b, true, Whole(r.median(lib, func(s load.Sample) float64 { return s.Allocs })))
			cell(&b, merged(results).others() <= tooBusy, hostVerdict(row, lib))
			b.WriteString("\n")
		}
	}
	return b.String()
}

// hostVerdict says whether ours reaches the goal of a row, by the ratio to etcd's raft v3.6.
func hostVerdict(row Result, lib string) string {
	ratio, ok := row.Ratio(Etcd36, Ours)
	if lib != Ours || !ok || row.Goal.Value == 0 {
		return ""
	}
	goal := 1 / row.Goal.Ratio()
	if ratio >= goal {
		return "yes"
	}
	return fmt.Sprintf("no: %s of %s × etcd 3.6", digits(ratio), digits(goal))
}

// HostSummary says in a sentence or two what the disk and the network took, and how much others took of the machine.
func HostSummary(results []HostResult) string {
	m := merged(results)
	of := func(f func(load.Floor) time.Duration) string {
		return Format(core.Time, m.median("", func(s load.Sample) float64 { return float64(f(s.Floor)) }))
	}
	s := fmt.Sprintf("The floor is %s: the faster sync of 4 KiB, of %s in a growing file and %s in a zero-filled one (for three at the "+
		"same time %s and %s), and a round trip on loopback of %s.",
		of(load.Floor.Write), of(func(f load.Floor) time.Duration { return f.Growing }), of(func(f load.Floor) time.Duration { return f.ZeroFilled }),
		of(func(f load.Floor) time.Duration { return f.GrowingOfThree }), of(func(f load.Floor) time.Duration { return f.ZeroFilledOfThree }),
		of(func(f load.Floor) time.Duration { return f.RoundTrip }))
	if others := m.others(); others >= 0 {
		s += fmt.Sprintf(" Other processes took %.0f %% of the processors' time meanwhile", 100*others)
		if others > tooBusy {
			s += ": **too much for the figures to say more than that all of this runs**; they are to be taken again on a quiet machine"
		}
		s += "."
	}
	return s
}

// tooBusy is the part of the processors' time that others may take.
const tooBusy = 0.25

// merged has all samples as those of one library, "".
func merged(results []HostResult) HostResult {
	m := HostResult{Samples: make(map[string][]load.Sample)}
	for _, r := range results {
		for _, samples := range r.Samples {
			m.Samples[""] = append(m.Samples[""], samples...)
		}
	}
	return m
}

func (r HostResult) others() float64 {
	return r.median("", func(s load.Sample) float64 { return s.Others })
}
