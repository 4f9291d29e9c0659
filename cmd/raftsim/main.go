// Command raftsim runs raft groups in a simulated world that fails in every way
// it knows, one run for each seed, and checks the safety of Raft after every
// step.
//
//	go run ./cmd/raftsim -seed 1 -runs 1000
//
// The exit status is 0 if all runs were clean, 1 if an invariant was violated,
// and 2 if it was called wrongly. On a violation it prints the command that
// repeats a shortened run. The last line of its output is always
//
//	runs=… steps=… violations=…
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/sim"
)

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// flags are what the command was asked for.
type flags struct {
	first    uint64
	runs     uint64
	steps    uint64
	nodes    int
	storage  string
	faults   sim.Faults
	skip     sim.Spans
	parallel int
	duration time.Duration
	trace    string
	html     string
	shrink   int
	stop     uint64
	quiet    bool
	marks    bool
}

var errUsage = errors.New("usage")

func parse(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("raftsim", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprintf(stderr, "usage: raftsim [flags]\n\nRuns simulated raft groups and checks that nothing goes wrong.\n\n")
		set.PrintDefaults()
	}
	set.Uint64Var(&f.first, "seed", 1, "seed of the first `run`; the next ones have the seeds that follow")
	set.Uint64Var(&f.runs, "runs", 1, "how many `runs` to make; 0 for as many as -duration allows")
	set.Uint64Var(&f.steps, "steps", 20_000, "`steps` of a run before everything is mended and the group has to recover")
	set.IntVar(&f.nodes, "nodes", 0, "`members` that the group begins with, 1 to 7; 0 draws them from the seed")
	faults := set.String("faults", "all", "what may go wrong: `names` separated by commas, of "+strings.Join(sim.FaultNames(), ", ")+
		", all (without drift) and none; -name takes one out")
	skip := set.String("skip", "", "planned faults to leave out, by `number`: 1-4,7")
	set.StringVar(&f.storage, "storage", "", "what nodes keep their log in beside the simulated disk: memory for MemoryStorage; default nothing")
	set.IntVar(&f.parallel, "parallel", runtime.GOMAXPROCS(0), "`runs` at the same time")
	set.DurationVar(&f.duration, "duration", 0, "begin no run after this `time`; 0 for no bound")
	set.StringVar(&f.trace, "trace", "", "write what happened in the first violating run, or else in the first run, to this `file`")
	set.StringVar(&f.html, "html", "", "write the space-time diagram of that run to this `file`")
	set.IntVar(&f.shrink, "shrink", 300, "make at most so many `runs` to shorten one that violates an invariant; 0 to leave it as it is")
	set.Uint64Var(&f.stop, "stop", 10, "begin no run after so many `violations`")
	set.BoolVar(&f.quiet, "quiet", false, "print no progress")
	set.BoolVar(&f.marks, "marks", false, "print how often each situation that runs should reach was reached, and fail if one was not")
	if err := set.Parse(args); err != nil {
		return nil, errors.Join(errUsage, err)
	}
	fail := func(format string, args ...any) (*flags, error) {
		fmt.Fprintf(stderr, "raftsim: "+format+"\n", args...)
		return nil, errUsage
	}
	var err error
	if f.faults, err = sim.ParseFaults(*faults); err != nil {
		return fail("-faults: %v", err)
	}
	if f.skip, err = sim.ParseSpans(*skip); err != nil {
		return fail("-skip: %v", err)
	}
	options := f.options(f.first)
	if err := options.Validate(); err != nil {
		return fail("%v", err)
	}
	switch {
	case set.NArg() > 0:
		return fail("unexpected argument %q", set.Arg(0))
	case f.runs == 0 && f.duration == 0:
		return fail("-runs 0 needs -duration")
	case f.steps == 0:
		return fail("-steps must be at least 1")
	case f.stop == 0:
		return fail("-stop must be at least 1")
	case f.storage != "" && f.storage != "memory":
		return fail("-storage (%s) must be memory, or left out", f.storage)
	case f.parallel < 1:
		return fail("-parallel (%d) must be at least 1", f.parallel)
	case f.duration < 0 || f.shrink < 0:
		return fail("-duration and -shrink must not be negative")
	}
	return f, nil
}

func (f *flags) options(seed uint64) sim.Options {
	o := sim.Options{Seed: seed, Steps: f.steps, Nodes: f.nodes, Faults: f.faults, Skip: f.skip}
	if f.storage == "memory" {
		o.OpenStorage = memoryStorages()
	}
	return o
}

// memoryStorages gives each node a MemoryStorage that outlives its process. A run
// that is repeated creates its nodes anew.
func memoryStorages() func(id uint64, created bool) (rafttest.Storage, error) {
	storages := map[uint64]*raft.MemoryStorage{}
	return func(id uint64, created bool) (rafttest.Storage, error) {
		if created {
			storages[id] = raft.NewMemoryStorage()
		}
		return rafttest.Memory(storages[id]), nil
	}
}

func command(args []string, stdout, stderr io.Writer) int {
	f, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	b := newBatch(f, stderr)
	b.run()
	status := 0
	show := f.options(f.first)
	if b.violating != nil {
		status = 1
		show = b.report(stdout)
	}
	if f.marks && !b.printMarks(stdout) {
		status = 1
	}
	if err := write(f, show, stdout); err != nil {
		fmt.Fprintf(stderr, "raftsim: %v\n", err)
		status = max(status, 2)
	}
	fmt.Fprintf(stdout, "hash %016x\n", b.hash)
	fmt.Fprintf(stdout, "runs=%d steps=%d violations=%d\n", b.runs, b.total.Steps, b.violations)
	return status
}
