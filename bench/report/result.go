// Package report makes a table and a chart of samples.
package report

import (
	"cmp"
	"slices"

	"github.com/quorate-raft/raft/bench/core"
)

// The columns, by the names of the libraries.
const (
	Ours   = "ours"
	Etcd36 = "etcd 3.6"
	Etcd37 = "etcd 3.7"
	Floor  = "floor"

	// Hashicorp and Dragonboat are measured end to end alone.
	Hashicorp  = "hashicorp"
	Dragonboat = "dragonboat"
)

// Columns are the cores, in the order in which tables have them.
func Columns() []string { return []string{Ours, Etcd36, Etcd37, Floor} }

// Result is what was sampled for one row.
type Result struct {
	core.Row
	// Samples are those of each library, in the order in which they were taken: the i-th samples of two libraries
	// were taken one after the other.
	Samples map[string][]core.Sample
}

// Instructions are those of an operation, for each row's key and library.
type Instructions map[string]map[string]float64

// Median returns the middle of values, or the mean of the two in the middle, and 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// median returns that of what f says of the samples of a library, and false if there are none.
func (r Result) median(lib string, f func(core.Sample) float64) (float64, bool) {
	samples := r.Samples[lib]
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = f(s)
	}
	return Median(values), len(values) > 0
}

// Value returns the median of a library's values, and false if there are none.
func (r Result) Value(lib string) (float64, bool) {
	return r.median(lib, func(s core.Sample) float64 { return s.Value })
}

// Allocs returns the median of a library's allocations, and false if there are none.
func (r Result) Allocs(lib string) (float64, bool) {
	if r.Unit != core.Time {
		return 0, false
	}
	return r.median(lib, func(s core.Sample) float64 { return s.Allocs })
}

// Messages returns the median of a library's messages, and false if there are none.
func (r Result) Messages(lib string) (float64, bool) {
	m, ok := r.median(lib, func(s core.Sample) float64 { return s.Messages })
	return m, ok && m > 0 && r.Unit == core.Time
}

// Ratio returns the median of the ratios of samples that were taken together, and false if there are none: what
// slowed both is not in it.
func (r Result) Ratio(lib, to string) (float64, bool) {
	a, b := r.Samples[lib], r.Samples[to]
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if b[i].Value > 0 {
			ratios = append(ratios, a[i].Value/b[i].Value)
		}
	}
	return Median(ratios), len(ratios) > 0
}

// Spread returns how far the values of a library lie apart, as a part of their median: the middle half of them.
func (r Result) Spread(lib string) float64 {
	v := slices.SortedFunc(slices.Values(r.Samples[lib]), func(a, b core.Sample) int { return cmp.Compare(a.Value, b.Value) })
	median, ok := r.Value(lib)
	if !ok || median == 0 {
		return 0
	}
	return (v[(3*len(v)-1)/4].Value - v[len(v)/4].Value) / median
}
