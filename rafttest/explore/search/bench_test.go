package search

import "testing"

// BenchmarkMemory measures the search itself: the model's expansion is a few
// nanoseconds, and each state has eight successors.
func BenchmarkMemory(b *testing.B) {
	benchmark(b, grid{counters: 8, limit: 5}, Options{MemoryBytes: 1 << 30})
}

// BenchmarkSleepSets has the sleep sets of BenchmarkMemory computed.
func BenchmarkSleepSets(b *testing.B) {
	benchmark(b, grid{counters: 8, limit: 5}, Options{MemoryBytes: 1 << 30, SleepSets: true})
}

// BenchmarkCheckpoints has all in memory and saves each layer.
func BenchmarkCheckpoints(b *testing.B) {
	benchmark(b, grid{counters: 8, limit: 5}, Options{MemoryBytes: 1 << 30, Dir: b.TempDir()})
}

// BenchmarkDisk has room for a small part of the states.
func BenchmarkDisk(b *testing.B) {
	benchmark(b, grid{counters: 8, limit: 5}, Options{MemoryBytes: 24 << 20, Dir: b.TempDir()})
}

func benchmark(b *testing.B, m grid, o Options) {
	dir := o.Dir
	states, transitions := 0.0, 0.0
	for i := 0; b.Loop(); i++ {
		if dir != "" {
			o.Dir = b.TempDir()
		}
		r := run(b, m, o)
		states += float64(r.States)
		transitions += float64(r.Transitions)
		b.ReportMetric(float64(r.PeakMemory)/float64(r.States), "B/state")
		b.ReportMetric(float64(r.Spills), "spills")
	}
	b.ReportMetric(states/b.Elapsed().Seconds()/1e6, "Mstates/s")
	b.ReportMetric(transitions/b.Elapsed().Seconds()/1e6, "Mtransitions/s")
}
