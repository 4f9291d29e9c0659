package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is written by a set of profiles is read back as it was.
func TestFaultsRoundTrip(t *testing.T) {
	t.Parallel()
	for f := None; f < endOfFaults; f++ {
		parsed, err := ParseFaults(f.String())
		require.NoError(t, err)
		require.Equal(t, f, parsed, f.String())
	}
	require.Equal(t, endOfFaults, Faults(1)<<len(FaultNames()))
	for i, name := range FaultNames() {
		require.Equal(t, name, Faults(1<<i).String())
	}
	require.Zero(t, All&Drift, "what leases cannot survive is not asked of them")
}

// A list of profiles is read from left to right; what is not one is an error that
// names it.
func TestParseFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Faults{
		"none":                   None,
		"all":                    All,
		"all,drift":              All | Drift,
		"all,-disk,-crash":       All &^ (Disk | Crash),
		"network, disk":          Network | Disk,
		"-all":                   None,
		"-disk,all":              All,
		"disk,none":              Disk,
		"network,network,-drift": Network,
	} {
		f, err := ParseFaults(text)
		require.NoError(t, err, text)
		require.Equal(t, want, f, text)
	}
	for text, name := range map[string]string{
		"netwrok": `"netwrok"`, "": `""`, "all,": `""`, "Network": `"Network"`, "all,--disk": `"-disk"`, "network;disk": `"network;disk"`,
	} {
		_, err := ParseFaults(text)
		require.ErrorContains(t, err, name, text)
		require.ErrorContains(t, err, "membership", "it says what there is")
	}
}

// A set of numbers is written and read back as it was, and contains what it was
// made of.
func TestSpansRoundTrip(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		in := map[uint64]bool{}
		var numbers []uint64
		for range rnd.IntN(20) {
			n := rnd.Uint64N(30)
			numbers, in[n] = append(numbers, n), true
		}
		s := SpansOf(numbers)
		for n := range uint64(31) {
			require.Equal(t, in[n], s.Contains(n), "%v in %v", n, s)
		}
		for i, span := range s {
			require.LessOrEqual(t, span.First, span.Last)
			require.True(t, i == 0 || s[i-1].Last+1 < span.First, "%v touches", s)
		}
		parsed, err := ParseSpans(s.String())
		require.NoError(t, err)
		require.Equal(t, s, parsed)
	}
	require.Equal(t, "1-3,7,9", SpansOf([]uint64{9, 1, 2, 3, 7, 2}).String())
	top := SpansOf([]uint64{math.MaxUint64, math.MaxUint64 - 1, 0})
	require.True(t, top.Contains(math.MaxUint64) && top.Contains(0) && !top.Contains(1))
	require.Empty(t, SpansOf(nil).String())
}

// What is no set of numbers is an error that names the part that is not.
func TestParseSpans(t *testing.T) {
	t.Parallel()
	for text, part := range map[string]string{
		"x": `"x"`, "1-x": `"1-x"`, "3-1": `"3-1"`, "5,2": `"2"`, "1-4,4": `"4"`, "1,1": `"1"`, "-1": `"-1"`, "1-": `"1-"`,
		"1,,2": `""`, ",": `""`, "1 -2": `"1 -2"`, "1-2-3": `"1-2-3"`, "18446744073709551616": `"18446744073709551616"`,
	} {
		_, err := ParseSpans(text)
		require.ErrorContains(t, err, part, text)
	}
	s, err := ParseSpans("1-4,5,7")
	require.NoError(t, err)
	require.Equal(t, Spans{{1, 5}, {7, 7}}, s, "ranges that touch are one")
}

// Impossible options are an error that names the value, and no run. All that is
// wrong is said at once.
func TestValidate(t *testing.T) {
	t.Parallel()
	wrong := map[string]Options{
		"Nodes (8) must be between 1 and 7":                          {Nodes: 8},
		"Nodes (-1) must be between 1 and 7":                         {Nodes: -1},
		fmt.Sprintf("unknown faults %#x", 1<<31):                     {Faults: All | 1<<31},
		fmt.Sprintf("unknown faults %#x", int(1<<len(FaultNames()))): {Faults: endOfFaults | Network},
		"Skip (5-4) is out of order":                                 {Skip: Spans{{5, 4}}},
		"Skip (7,3) is out of order":                                 {Skip: Spans{{7, 7}, {3, 3}}},
		"Skip (1-4,4-5) is out of order":                             {Skip: Spans{{1, 4}, {4, 5}}},
		"NewMachine and Commands belong":                             {Commands: ledgerCommand},
		"NewMachine and Commands belong toget":                       {NewMachine: newLedger},
	}
	all := Options{Nodes: 8, Faults: 1 << 31, Skip: Spans{{5, 4}}, Commands: ledgerCommand}
	for want, o := range wrong {
		require.ErrorContains(t, o.Validate(), want)
		r := Run(o)
		require.NotNil(t, r.Violation)
		require.Equal(t, "options", r.Violation.Rule)
		require.Contains(t, r.Violation.Error(), want)
		require.Zero(t, r.Stats)
	}
	for _, want := range []string{"Nodes (8)", "unknown faults 0x80000000", "Skip (5-4)", "NewMachine and Commands"} {
		require.ErrorContains(t, all.Validate(), want)
	}
	for _, o := range []Options{
		{}, {Nodes: 1}, {Nodes: 7, Faults: All | Drift}, {NewMachine: newLedger, Commands: ledgerCommand},
		{Skip: Spans{{1, 4}, {5, 5}, {7, math.MaxUint64}}},
	} {
		require.NoError(t, o.Validate())
	}
}

// Without options a run has the default number of steps.
func TestDefaults(t *testing.T) {
	t.Parallel()
	r := Run(Options{Seed: 1})
	require.Nil(t, r.Violation)
	require.Equal(t, Run(Options{Seed: 1, Steps: 20_000}), r)
	require.Greater(t, r.Stats.Steps, uint64(20_000))
}

// The command that repeats a run names what is not the command's default.
func TestReplayCommand(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"go run ./cmd/raftsim -seed 7":              {Seed: 7, Faults: All},
		"go run ./cmd/raftsim -seed 8":              {Seed: 8, Faults: All, Steps: 20_000},
		"go run ./cmd/raftsim -seed 0 -faults none": {},
		"go run ./cmd/raftsim -seed 1 -steps 99 -nodes 5 -faults network,lease -skip 1-4,1000": {Seed: 1, Steps: 99, Nodes: 5, Faults: Network | Lease, Skip: Spans{{1, 4}, {1000, 1000}}},
	} {
		require.Equal(t, want, ReplayCommand(o))
	}
}
