package bench

import (
	"slices"
	"time"
)

// Figures are those of one kind of request. Latencies are exact: every one was kept.
type Figures struct {
	// Count were answered within Seconds, Failed were not for ten seconds, or refused.
	Count   int     `json:"count"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
	// PerSecond is Count by Seconds.
	PerSecond float64 `json:"per_second"`
	// Latencies in nanoseconds: so many of the requests took no longer.
	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
}

func merge(all []samples, d time.Duration) Figures {
	var took []time.Duration
	failed := 0
	for i := range all {
		took = append(took, all[i].took...)
		failed += all[i].failed
	}
	f := figuresOf(took, d)
	f.Failed = failed
	return f
}

func figuresOf(took []time.Duration, d time.Duration) Figures {
	slices.Sort(took)
	f := Figures{Count: len(took), Seconds: d.Seconds(), PerSecond: float64(len(took)) / d.Seconds()}
	if len(took) > 0 {
		f.P50, f.P99, f.P999, f.Max = quantile(took, 500), quantile(took, 990), quantile(took, 999), took[len(took)-1]
	}
	return f
}

// quantile returns the smallest of sorted values that so many thousandths of all do
// not exceed.
func quantile(sorted []time.Duration, thousandths int) time.Duration {
	rank := (len(sorted)*thousandths + 999) / 1000
	return sorted[max(rank, 1)-1]
}
