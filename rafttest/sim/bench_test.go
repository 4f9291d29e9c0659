package sim

import (
	"sync/atomic"
	"testing"
)

// BenchmarkSimulator makes one run of 20,000 steps for each iteration, as many at
// the same time as there are processors, with all checks on.
func BenchmarkSimulator(b *testing.B) {
	for _, bench := range []struct {
		name   string
		faults Faults
	}{
		{"none", None},
		{"network", Network},
		{"disk", Disk | Crash | Network},
		{"all", All},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			var seed, steps atomic.Uint64
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					r := Run(Options{Seed: seed.Add(1), Nodes: 3, Faults: bench.faults})
					if r.Violation != nil {
						b.Error(r.Violation)
					}
					steps.Add(r.Stats.Steps)
				}
			})
			b.ReportMetric(float64(steps.Load())/b.Elapsed().Seconds(), "steps/s")
		})
	}
}
