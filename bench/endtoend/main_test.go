package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/report"
)

// TestMain makes the test's program take samples, as main does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sample" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The table has a line for each library and number of writers, whose members all applied what was acknowledged. The
// libraries with modules of their own have tests there.
func TestCompare(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, compare(t.Context(), &out, []string{
		"-libs", "ours,etcd36", "-writers", "1,4", "-time", "200ms", "-warm", "50ms", "-rounds", "1", "-quiet", "1", "-dir", t.TempDir(),
	}))
	for _, line := range []string{`\| 1 \| ours`, `\| 1 \| etcd 3.6`, `\| 4 \| ours`, `\| 4 \| etcd 3.6`} {
		require.Regexp(t, `(?m)^`+line+` \| [1-9]`, out.String())
	}
}

func TestOptions(t *testing.T) {
	o, err := parseOptions(nil)
	require.NoError(t, err)
	require.False(t, o.partial())
	require.Equal(t, keys(), o.libs)
	for _, some := range [][]string{{"-short"}, {"-libs", "ours"}, {"-writers", "1"}, {"-size", "64"}, {"-processors", "1"}} {
		o, err := parseOptions(some)
		require.NoError(t, err)
		require.True(t, o.partial(), "%v: results are those of a whole run", some)
	}
	o, err = parseOptions([]string{"-libs", "ours", "-writers", "64", "-time", "10s", "-cpuprofile", "x"})
	require.NoError(t, err)
	require.Equal(t, 1, o.rounds)
	require.Equal(t, 10*time.Second, o.Span)
	for _, bad := range [][]string{
		{"-writers", "0"}, {"-writers", "x"}, {"-time", "0s"}, {"-size", "7"}, {"-libs", "x"}, {"-storage", "x"}, {"-logdb", "x"}, {"-rounds", "0"},
		{"-cpuprofile", "x"}, {"extra"},
	} {
		_, err := parseOptions(bad)
		require.Error(t, err, "%v", bad)
	}
}

// Libraries take turns in the order of the list.
func TestTitles(t *testing.T) {
	p := programs{report.Dragonboat: {"x"}, report.Ours: {"x"}}
	require.Equal(t, []string{report.Ours, report.Dragonboat}, p.titles())
}
