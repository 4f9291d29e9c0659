package bench

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dto "github.com/prometheus/client_model/go"
)

// A quantile is the smallest value that so many of all do not exceed: a real sample, and
// with few samples the worst of them, not something better.
func TestQuantiles(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	var took []time.Duration
	for i := 1000; i >= 1; i-- {
		took = append(took, ms(i))
	}
	f := figuresOf(took, 2*time.Second)
	require.Equal(t, Figures{Count: 1000, Seconds: 2, PerSecond: 500, P50: ms(500), P99: ms(990), P999: ms(999), Max: ms(1000)}, f)
	f = figuresOf([]time.Duration{ms(3), ms(1), ms(2)}, time.Second)
	require.Equal(t, []time.Duration{ms(2), ms(3), ms(3)}, []time.Duration{f.P50, f.P99, f.P999})
	require.Zero(t, figuresOf(nil, time.Second).P99)
}

// What is estimated from a histogram is of what came to it meanwhile.
func TestHistograms(t *testing.T) {
	parse := func(counts ...int) *dto.Histogram {
		text := "# TYPE raftkv_log_sync_seconds histogram\n"
		for i, le := range []string{"0.001", "0.002", "0.004", "+Inf"} {
			text += "raftkv_log_sync_seconds_bucket{le=\"" + le + "\"} " + strconv.Itoa(counts[i]) + "\n"
		}
		h, err := parseSyncs(strings.NewReader(text + "raftkv_log_sync_seconds_sum 1\nraftkv_log_sync_seconds_count " + strconv.Itoa(counts[3]) + "\n"))
		require.NoError(t, err)
		return h
	}
	before, after := parse(100, 100, 100, 100), parse(100, 150, 199, 200)
	all := syncsBetween(map[uint64]*dto.Histogram{1: before, 2: before, 3: nil}, map[uint64]*dto.Histogram{1: after, 2: before, 4: after})
	require.Len(t, all, 1, "the others were not there all the time, or did nothing")
	require.Equal(t, uint64(100), all[0].Count)
	require.InDelta(t, 2e6, float64(all[0].P50), 1)
	require.InDelta(t, 4e6, float64(all[0].P99), 1)
	require.InDelta(t, 4e6, float64(estimate(before, after, 1)), 1, "no more is known of the last bucket")
	none, err := parseSyncs(strings.NewReader("go_goroutines 3\n"))
	require.NoError(t, err)
	require.Nil(t, none)
}
