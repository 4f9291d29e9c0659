package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/child"
	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/gate"
	"github.com/quorate-raft/raft/bench/report"
)

// Libraries are sampled in turn, again and again, and not one after the other.
func TestSamplesAreTakenInTurn(t *testing.T) {
	round := programs{}.of("lease/3")
	require.Equal(t, []string{report.Ours, report.Etcd36, report.Etcd37}, round, "all but the floor, which does not read")
	var order []string
	samples, err := child.InTurn(2, round, func(lib string) (int, error) {
		order = append(order, lib)
		return len(order), nil
	})
	require.NoError(t, err)
	require.Equal(t, append(round, round...), order)
	require.Equal(t, []int{1, 4}, samples[report.Ours])

	failed := errors.New("failed")
	_, err = child.InTurn(1, round, func(string) (int, error) { return 0, failed })
	require.ErrorIs(t, err, failed)
}

func TestOptions(t *testing.T) {
	o, err := parseOptions(nil)
	require.NoError(t, err)
	require.Equal(t, 6, o.samples)
	require.False(t, o.partial())
	o, err = parseOptions([]string{"-short"})
	require.NoError(t, err)
	require.Equal(t, 25*time.Millisecond, o.length)
	require.True(t, o.partial(), "results are those of a whole run")
	o, err = parseOptions([]string{"-rows", "^propose", "-samples", "2"})
	require.NoError(t, err)
	require.True(t, o.partial())
	for _, bad := range [][]string{{"-samples", "0"}, {"-rows", "("}, {"-rows", "nope"}, {"gates"}} {
		_, err := parseOptions(bad)
		require.Error(t, err, "%v", bad)
	}
}

// A child writes one sample as JSON, and fails for what a library does not do.
func TestChild(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, child.Main(&out, []string{"-lib", report.Ours, "-row", "lease/3", "-n", "10"}, libraries()...))
	var s core.Sample
	require.NoError(t, json.Unmarshal(out.Bytes(), &s))
	require.Equal(t, 10, s.Ops)
	for _, bad := range [][]string{
		{"-lib", "other", "-row", "lease/3"}, {"-lib", report.Floor, "-row", "lease/3"}, {"-lib", report.Ours, "-row", "lease"},
	} {
		require.Error(t, child.Main(&out, bad, libraries()...), "%v", bad)
	}
}

// gates.txt has the rows that there are.
func TestGatesAreOfTheRows(t *testing.T) {
	f, err := os.Open(gatesFile)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	recorded, err := gate.Parse(f)
	require.NoError(t, err)
	var keys []string
	for _, c := range recorded.Costs {
		keys = append(keys, c.Key)
	}
	var want []string
	for _, r := range core.Rows() {
		if r.Unit == core.Time {
			want = append(want, r.Key)
		}
	}
	require.Equal(t, want, keys)
}

// What is drawn from a file is what was drawn from the run.
func TestRecordKeepsWhatIsShown(t *testing.T) {
	row, ok := core.RowOf("propose/1")
	require.True(t, ok)
	results := []report.Result{{Row: row, Samples: map[string][]core.Sample{
		report.Ours: {{Value: 806.87654, Allocs: 0.0156}}, report.Etcd36: {{Value: 1292.4}},
	}}}
	r := newRecord(results, nil, options{samples: 1, length: time.Second})
	require.Contains(t, r.About, "1 samples of 1s")
	b, err := json.Marshal(r)
	require.NoError(t, err)
	var again record
	require.NoError(t, json.Unmarshal(b, &again))
	require.Equal(t, report.Table(results), report.Table(again.results()))
}
