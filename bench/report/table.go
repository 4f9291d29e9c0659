package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/quorate-raft/raft/bench/core"
)

// Table returns the results as a table in Markdown.
func Table(results []Result) string {
	var b strings.Builder
	b.WriteString("| work | ours | etcd 3.6 | etcd 3.7 | floor | ours ÷ 3.6 | goal ÷ 3.6 | goal | allocations: ours, 3.6, 3.7 | messages: ours, 3.6 | goal reached |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s |", r.Title)
		for _, lib := range Columns() {
			v, ok := r.Value(lib)
			cell(&b, ok, Format(r.Unit, v))
		}
		ratio, ok := r.Ratio(Ours, Etcd36)
		cell(&b, ok, digits(ratio))
		cell(&b, r.Goal.Value > 0, digits(r.Goal.Ratio()))
		cell(&b, r.Goal.Value > 0, Format(r.Unit, r.Goal.Value))
		cell(&b, r.Unit == core.Time, list(r.Allocs, Ours, Etcd36, Etcd37))
		cell(&b, r.Unit == core.Time, list(r.Messages, Ours, Etcd36))
		fmt.Fprintf(&b, " %s |\n", r.Verdict())
	}
	return b.String()
}

func cell(b *strings.Builder, ok bool, text string) {
	if !ok {
		text = ""
	}
	fmt.Fprintf(b, " %s |", text)
}

// list returns a count for each library that has one.
func list(count func(string) (float64, bool), libs ...string) string {
	var parts []string
	for _, lib := range libs {
		if n, ok := count(lib); ok {
			parts = append(parts, Whole(n))
		}
	}
	return strings.Join(parts, ", ")
}

// Whole formats a count: without decimals, but for a small one that is not whole.
func Whole(n float64) string {
	if n < 10 && math.Abs(n-math.Round(n)) >= 0.005 {
		return fmt.Sprintf("%.2f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

// Verdict says whether the goals of a row are reached, by the ratio to etcd's raft v3.6 and by what was counted, and
// otherwise by how much they are missed, also by what was measured here whatever the machine. It is empty for a row
// without a goal for its time.
// Allocations count as testing.B counts them, in whole ones: an array for many operations is none.
func (r Result) Verdict() string {
	var missed []string
	if ratio, ok := r.Ratio(Ours, Etcd36); ok && r.Goal.Value > 0 && ratio > r.Goal.Ratio() {
		value, _ := r.Value(Ours)
		missed = append(missed, fmt.Sprintf("%s × by ratio, %s × here", digits(ratio/r.Goal.Ratio()), digits(value/r.Goal.Value)))
	}
	if n, ok := r.Allocs(Ours); ok && r.Goal.Allocs != nil && math.Floor(n) > *r.Goal.Allocs {
		missed = append(missed, fmt.Sprintf("allocations %.0f, not %.0f", math.Floor(n), *r.Goal.Allocs))
	}
	if n, ok := r.Messages(Ours); ok && r.Goal.Messages != nil && n > *r.Goal.Messages {
		missed = append(missed, fmt.Sprintf("messages %.0f, not %.0f", n, *r.Goal.Messages))
	}
	switch {
	case len(missed) == 0 && r.Goal.Value == 0:
		return ""
	case len(missed) == 0:
		return "yes"
	}
	return "no: " + strings.Join(missed, ", ")
}

// Format returns a value with its unit.
func Format(unit core.Unit, v float64) string {
	switch {
	case unit == core.Rate && v > 0:
		return digits(1e3/v) + " M/s"
	case unit == core.Heap && v >= 1e6:
		return digits(v/1e6) + " MB"
	case unit == core.Heap:
		return digits(v/1000) + " KB"
	case v < 1e3:
		return digits(v) + " ns"
	case v < 1e6:
		return digits(v/1e3) + " µs"
	}
	return digits(v/1e6) + " ms"
}

// digits formats v with three digits that count, or two decimals less for what is large.
func digits(v float64) string {
	switch {
	case v >= 99.5:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.95:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.0995 || v == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// InstructionTable returns a table of instructions per operation.
func InstructionTable(counts Instructions) string {
	var b strings.Builder
	b.WriteString("| instructions for each | ours | etcd 3.6 | etcd 3.7 | floor | goal | ours ÷ goal |\n|---|---|---|---|---|---|---|\n")
	for _, key := range core.Counted() {
		row, _ := core.RowOf(key)
		fmt.Fprintf(&b, "| %s |", row.Title)
		for _, lib := range Columns() {
			n, ok := counts[key][lib]
			cell(&b, ok, thousands(n))
		}
		fmt.Fprintf(&b, " %s | %s |\n", thousands(row.Goal.Instructions), digits(counts[key][Ours]/row.Goal.Instructions))
	}
	return b.String()
}

// thousands formats a whole number in groups of three.
func thousands(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
