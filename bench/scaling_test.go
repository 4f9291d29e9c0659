package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/report"
)

func TestScalingOptions(t *testing.T) {
	o, err := parseScaling(nil)
	require.NoError(t, err)
	require.False(t, o.partial())
	require.Equal(t, core.Curves(), o.curves)
	o, err = parseScaling([]string{"-short"})
	require.NoError(t, err)
	require.True(t, o.partial())
	require.Equal(t, 20*time.Millisecond, o.length)
	for _, c := range o.curves {
		require.Equal(t, c.Few, c.Points[len(c.Points)-1], c.Key)
	}
	o, err = parseScaling([]string{"-curves", "^(log|voters)$"})
	require.NoError(t, err)
	require.True(t, o.partial())
	require.Len(t, o.curves, 2)
	for _, bad := range [][]string{{"-samples", "0"}, {"-curves", "("}, {"-curves", "nope"}, {"log"}} {
		_, err := parseScaling(bad)
		require.Error(t, err, "%v", bad)
	}
}

// Points that take long are sampled less often, and what does not vary once.
func TestSamplesOf(t *testing.T) {
	c := core.Curve{Few: 100}
	require.Equal(t, 5, samplesOf(5, c, core.Line{}, 100))
	require.Equal(t, 2, samplesOf(5, c, core.Line{}, 101))
	require.Equal(t, 1, samplesOf(1, c, core.Line{}, 101))
	require.Equal(t, 1, samplesOf(5, c, core.Line{Once: true}, 1))
}

// The page has a place for every curve.
func TestPageHasCurves(t *testing.T) {
	b, err := os.ReadFile(output.Page)
	require.NoError(t, err)
	for _, c := range core.Curves() {
		_, err := report.Splice(string(b), "scaling-"+c.Key, "")
		require.NoError(t, err)
	}
}
