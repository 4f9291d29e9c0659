package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-raft/raft/bench/core"
)

// Curve is what was sampled for a curve.
type Curve struct {
	core.Curve
	// Results are those of each line, in the order of its points.
	Results [][]Result
}

// Libraries returns whose lines a line of a curve stands for.
func Libraries(l core.Line) []string {
	if l.Alone {
		return []string{Ours}
	}
	return []string{Ours, Etcd36}
}

// CurveOf takes the samples of a curve, by row and library, from all samples.
func CurveOf(c core.Curve, samples map[string]map[string][]core.Sample) Curve {
	curve := Curve{Curve: c}
	for _, l := range c.Lines {
		var results []Result
		for _, n := range c.Points {
			row := l.Row(c, n)
			results = append(results, Result{Row: row, Samples: samples[row.Key]})
		}
		curve.Results = append(curve.Results, results)
	}
	return curve
}

// Table returns a table in Markdown with a row for each point.
func (c Curve) Table() string {
	var b strings.Builder
	head := []string{c.Axis}
	for _, l := range c.Lines {
		for _, lib := range Libraries(l) {
			head = append(head, strings.TrimPrefix(l.Title+": "+lib, ": "))
		}
	}
	single := len(c.Lines) == 1
	if single {
		head = append(head, "ours ÷ 3.6")
		if c.Linear {
			head = append(head, "ours ÷ "+c.Axis)
		}
		head = append(head, "allocations: ours, 3.6", "bytes allocated: ours, 3.6")
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for i, n := range c.Points {
		fmt.Fprintf(&b, "| %s |", thousands(float64(n)))
		for j, l := range c.Lines {
			for _, lib := range Libraries(l) {
				v, ok := c.Results[j][i].Value(lib)
				cell(&b, ok, Format(c.Unit, v))
			}
		}
		if single {
			c.details(&b, i)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// details are the last columns of a curve of one line.
func (c Curve) details(b *strings.Builder, i int) {
	r := c.Results[0][i]
	ratio, ok := r.Ratio(Ours, Etcd36)
	cell(b, ok, digits(ratio))
	if c.Linear {
		v, ok := r.Value(Ours)
		cell(b, ok, Format(c.Unit, v/float64(c.Points[i])))
	}
	cell(b, true, list(r.Allocs, Ours, Etcd36))
	cell(b, true, list(r.bytes, Ours, Etcd36))
}

// bytes returns the median of what a library allocates, and false if there is no sample.
func (r Result) bytes(lib string) (float64, bool) {
	return r.median(lib, func(s core.Sample) float64 { return s.Bytes })
}

// Growth says how much more the last point costs than the first that counts, for each line, and what it comes to
// for all.
func (c Curve) Growth() string {
	from, end := max(slices.Index(c.Points, c.From), 0), len(c.Points)-1
	first, last := c.Points[from], c.Points[end]
	factors := c.each(func(results []Result, lib string) string {
		was, _ := results[from].Value(lib)
		is, _ := results[end].Value(lib)
		if was == 0 || is == 0 {
			return "" // what costs nothing does not grow
		}
		return digits(is/was) + " ×"
	})
	ratio := ""
	if c.Linear {
		ratio = ", which is " + digits(float64(last)/float64(first)) + " ×,"
	}
	s := fmt.Sprintf("From %s to %s %s%s the cost changes by: %s.", thousands(float64(first)), thousands(float64(last)), c.Axis, ratio, factors)
	if !c.Whole {
		return s
	}
	all := c.each(func(results []Result, lib string) string {
		v, ok := results[end].Value(lib)
		if !ok || v < 1 {
			return ""
		}
		return Format(c.Unit, v*float64(last))
	})
	return s + fmt.Sprintf(" For all %s %s: %s.", thousands(float64(last)), c.Axis, all)
}

// each says something of each line and library, but where it is empty.
func (c Curve) each(say func(results []Result, lib string) string) string {
	var parts []string
	for j, l := range c.Lines {
		var said []string
		for _, lib := range Libraries(l) {
			if s := say(c.Results[j], lib); s != "" {
				said = append(said, lib+" "+s)
			}
		}
		if len(said) > 0 {
			parts = append(parts, strings.TrimLeft(l.Title+" ", " ")+strings.Join(said, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// Counts says how many instructions an operation of ours takes at the points where they are counted. It is empty if none are.
func (c Curve) Counts(counts Instructions) string {
	var parts []string
	for _, l := range c.Lines {
		said := ""
		for _, at := range l.Counted {
			n, ok := counts[l.Row(c.Curve, at.Point).Key][Ours]
			if !ok {
				continue
			}
			if said += ", "; said == ", " {
				said = strings.TrimLeft(l.Title+" ", " ")
			}
			said += thousands(n) + " at " + thousands(float64(at.Point))
			if c.Linear {
				said += " (" + thousands(n/float64(at.Point)) + " for each)"
			}
		}
		if said != "" {
			parts = append(parts, said)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Instructions of ours: " + strings.Join(parts, "; ") + "."
}

// short names a point on an axis: 1k, 64Ki.
func short(n int) string {
	switch {
	case n > 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "Ki"
	case n >= 1e6 && n%1e6 == 0:
		return strconv.Itoa(n/1e6) + "M"
	case n >= 1e3 && n%1e3 == 0:
		return strconv.Itoa(n/1e3) + "k"
	}
	return strconv.Itoa(n)
}
