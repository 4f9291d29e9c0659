package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/sim"
)

func call(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = command(context.Background(), append([]string{"-quiet"}, args...), &out, &errs)
	return status, out.String(), errs.String()
}

// Wrong flags end with status 2, a line that names the flag or the value, and no
// run.
func TestWrongFlags(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"-faults netwrok", `"netwrok"`},
		{"-skip 3-1", `"3-1"`},
		{"-nodes 9", "-nodes (9)"},
		{"-runs 0", "-runs 0 needs -duration"},
		{"-steps 0", "-steps"},
		{"-parallel 0", "-parallel (0)"},
		{"-stop 0", "-stop"},
		{"-storage disk", "-storage (disk)"},
		{"-runs many", "-runs"},
		{"-unheard-of", "unheard-of"},
		{"-seed -1", "-seed"},
		{"more", `"more"`},
	} {
		status, stdout, stderr := call(strings.Fields(c.args)...)
		require.Equal(t, 2, status, c.args)
		require.Empty(t, stdout, c.args)
		require.Contains(t, stderr, c.says, c.args)
		require.Equal(t, 1, strings.Count(stderr, "\n"), "one line, and not all flags: %s", stderr)
	}
	status, _, stderr := call("-h")
	require.Zero(t, status)
	for _, says := range []string{"usage:", "exit status", "-faults names", "hostile"} {
		require.Contains(t, stderr, says)
	}
}

// Clean runs end with status 0 and a last line that counts them; the same flags
// give the same output whatever runs at the same time.
func TestCleanRuns(t *testing.T) {
	args := []string{"-seed", "5", "-runs", "6", "-steps", "2000"}
	status, stdout, _ := call(args...)
	require.Zero(t, status)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Regexp(t, `^runs=6 steps=\d+ violations=0$`, lines[len(lines)-1])
	_, again, _ := call(append(args, "-parallel", "1")...)
	require.Equal(t, stdout, again)
}

// The trace and the diagram of a run are the same each time, and a file that
// cannot be written is an error.
func TestFiles(t *testing.T) {
	write := func(name string) (trace, page string) {
		dir := t.TempDir()
		status, _, stderr := call("-steps", "500", "-trace", filepath.Join(dir, name), "-html", filepath.Join(dir, name+".html"))
		require.Zero(t, status, stderr)
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		html, err := os.ReadFile(filepath.Join(dir, name+".html"))
		require.NoError(t, err)
		return string(text), string(html)
	}
	trace, page := write("a")
	trace2, page2 := write("a")
	require.Equal(t, trace, trace2)
	require.Equal(t, page, page2)
	require.Regexp(t, `hash [0-9a-f]{16}\n$`, trace)
	require.Contains(t, page, "<!DOCTYPE html>")

	require.Contains(t, page, `<p id="subtitle">faults: all · `)

	for flag, what := range map[string]string{"-trace": "trace", "-html": "diagram"} {
		status, stdout, stderr := call("-steps", "500", flag, filepath.Join(t.TempDir(), "none", "a"))
		require.Equal(t, 2, status)
		require.Contains(t, stderr, "writing the "+what)
		require.Empty(t, stdout, "found out before any run is made")
	}
}

// The page of a run with more events than it can hold says that it shows the end.
func TestLongPage(t *testing.T) {
	f, err := parse([]string{"-steps", "500000", "-nodes", "3", "-faults", "none"}, &bytes.Buffer{})
	require.NoError(t, err)
	var page bytes.Buffer
	require.NoError(t, writePage(&page, f, f.options(1)))
	require.Regexp(t, `only the last 4\d{5} of \d+ events are shown`, page.String()[:5_000+bytes.Index(page.Bytes(), []byte("</style>"))])
}

// An interrupt lets the runs under way end, and the last lines still say what was
// made.
func TestInterrupt(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	var out, errs bytes.Buffer
	require.Equal(t, interrupted, command(ctx, []string{"-runs", "1000"}, &out, &errs))
	require.Regexp(t, `\nruns=0 steps=0 violations=0\n$`, out.String())

	ctx, interrupt = context.WithCancel(context.Background())
	f, err := parse([]string{"-runs", "1000000000", "-steps", "100", "-quiet"}, &bytes.Buffer{})
	require.NoError(t, err)
	b := newBatch(f, &bytes.Buffer{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.run(ctx)
	}()
	interrupt()
	<-done
	require.Less(t, b.runs, f.runs)
	require.Equal(t, b.next, b.runs, "what began has ended")
}

// Progress says how far it is: at least once, in whole lines where there is no
// terminal, over the last line on one.
func TestProgress(t *testing.T) {
	var out, errs bytes.Buffer
	require.Zero(t, command(context.Background(), []string{"-runs", "2", "-steps", "500"}, &out, &errs))
	require.Regexp(t, `^(.*\n)*2 of 2 runs, \d+ steps/s, \d+ elections, \d+ commits, \d+ faults injected\n$`, errs.String())

	// Of a long run it says what was done so far, and the run is the same.
	f, err := parse([]string{"-seed", "4", "-nodes", "3"}, &bytes.Buffer{})
	require.NoError(t, err)
	b := newBatch(f, &bytes.Buffer{})
	o := f.options(4)
	o.Steps = 100_000
	plain := sim.Run(o)
	o.Observer = b.watch(4)
	require.Equal(t, plain, sim.Run(o))
	soFar := b.underWay[4]
	require.InDelta(t, plain.Stats.Steps, soFar.Steps, 11_000)
	require.NotZero(t, soFar.Elections)
	require.InEpsilon(t, plain.Stats.Commits, soFar.Commits, 0.2)
	b.started = time.Now()
	require.Regexp(t, `^0 of 1 runs, [1-9]\d* steps/s, [1-9]`, b.progressLine())
	b.ended(4, plain)
	require.Empty(t, b.underWay, "nothing is counted twice")

	var terminal bytes.Buffer
	p := printer{w: &terminal, over: true}
	p.print("a longer one")
	p.print("short")
	p.end()
	p.end()
	require.Equal(t, "\ra longer one\rshort       \n", terminal.String())
}

// With drift, stale lease reads are printed; without, there is nothing to print.
func TestStaleLeases(t *testing.T) {
	leases := func(faults string) string {
		f, err := parse([]string{"-faults", faults}, &bytes.Buffer{})
		require.NoError(t, err)
		b := newBatch(f, &bytes.Buffer{})
		b.ended(1, sim.Result{Stats: sim.Stats{StaleLeases: 3, LeaseReads: 70}})
		b.ended(2, sim.Result{Stats: sim.Stats{StaleLeases: 1, LeaseReads: 30}})
		var out bytes.Buffer
		b.printLeases(&out)
		return out.String()
	}
	require.Contains(t, leases("drift,network"), "stale leases 4, lease reads 100 ")
	require.Empty(t, leases("all"))
	_, stdout, _ := call("-faults", "drift,network", "-steps", "2000")
	require.Regexp(t, `\nstale leases \d+, lease reads \d+ .*\nhash `, "\n"+stdout)
}

// The printed command makes the same run: its flags are read back to the same
// options.
func TestReplayCommand(t *testing.T) {
	for _, o := range []sim.Options{
		{Seed: 3, Steps: 20_000, Faults: sim.All},
		{Seed: 4, Steps: 99, Nodes: 5, Faults: sim.Network | sim.Drift, Skip: sim.Spans{{First: 1, Last: 4}, {First: 9, Last: 9}}},
	} {
		text, found := strings.CutPrefix(sim.ReplayCommand(o), "go run ./cmd/raftsim ")
		require.True(t, found)
		f, err := parse(strings.Fields(text), &bytes.Buffer{})
		require.NoError(t, err)
		require.Equal(t, o, f.options(f.first))
	}
}

// What nodes keep their log in is part of the command that repeats a run.
func TestReplayWithStorage(t *testing.T) {
	args := []string{"-seed", "3", "-faults", "crash", "-storage", "memory"}
	f, err := parse(args, &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, "go run ./cmd/raftsim "+strings.Join(args, " "), f.replay(f.options(f.first)))
}

// A run that violates an invariant is reported with the command that repeats it,
// and its shortened run is shown.
func TestReport(t *testing.T) {
	f, err := parse([]string{"-seed", "8", "-shrink", "0", "-faults", "none"}, &bytes.Buffer{})
	require.NoError(t, err)
	b := newBatch(f, &bytes.Buffer{})
	bad := &sim.Violation{Rule: "S1", Step: 7, Node: 2, Detail: "made up"}
	b.ended(9, sim.Result{Violation: bad})
	b.ended(8, sim.Result{Violation: bad})
	b.ended(10, sim.Result{Violation: bad})
	require.Equal(t, uint64(3), b.violations)
	var out bytes.Buffer
	o := b.report(&out, 0)
	require.Equal(t, uint64(8), o.Seed, "the lowest seed")
	require.Equal(t, "violation in the run of seed 8: S1 at step 7, node 2: made up\n"+
		"replay: go run ./cmd/raftsim -seed 8 -faults none\n", out.String())
}

// The command that is printed for a violation repeats it after its run was
// shortened: read back by the flags, to the same rule at the same step, and all
// that came before.
func TestReplayAfterShrink(t *testing.T) {
	inject := func(o sim.Options) sim.Options {
		o.NewMachine = func(id uint64) sim.StateMachine { return &differing{id: byte(id)} }
		o.Commands = func(uint64) []byte { return []byte("command") }
		return o
	}
	found := 0
	for seed := uint64(1); found < 3; seed++ {
		require.LessOrEqual(t, seed, uint64(60))
		o := inject(sim.Options{Seed: seed, Faults: sim.All})
		whole := sim.Run(o)
		if whole.Violation == nil || whole.Stats.Faults == 0 {
			continue
		}
		found++
		// With few tries most is left: a command with all its flags.
		for _, tries := range []int{6, 80} {
			short, r := sim.Shrink(o, tries)
			text, _ := strings.CutPrefix(sim.ReplayCommand(short), "go run ./cmd/raftsim ")
			f, err := parse(strings.Fields(text), &bytes.Buffer{})
			require.NoError(t, err, text)
			again := sim.Run(inject(f.options(f.first)))
			require.Equal(t, r, again, text)
			require.Equal(t, whole.Violation.Rule, again.Violation.Rule)
		}
	}
}

// differing is a state machine that differs from node to node after some commands.
type differing struct{ seen, id byte }

func (d *differing) Apply(uint64, []byte) []byte {
	if d.seen < 60 {
		d.seen++
		return nil
	}
	return []byte{d.id}
}

func (d *differing) Snapshot() []byte { return []byte{d.seen} }

func (d *differing) Restore(b []byte) error { d.seen = b[0]; return nil }
