// Command raftsim runs raft groups in a simulated world that fails in every way
// it knows, one run for each seed, and checks the safety of Raft after every
// step.
//
//	go run ./cmd/raftsim -seed 1 -runs 1000
//
// The exit status is 0 if all runs were clean, 1 if an invariant was violated, 2
// if it was called wrongly or a file could not be written, and 130 if it was
// interrupted before it found anything. On a violation it prints the command that
// repeats a shortened run. An interrupt ends it after the runs under way, a second
// one at once. If it ran, the last line of its output is
//
//	runs=… steps=… violations=…
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/sim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // The second interrupt is not caught.
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// flags are what the command was asked for.
type flags struct {
	first    uint64
	runs     uint64
	steps    uint64
	nodes    int
	storage  string
	faults   sim.Faults
	effect   raft.ConfChangeEffect
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

// interrupted is the exit status of a program that SIGINT ended.
const interrupted = 130

const usage = `usage: raftsim [flags]

Runs simulated raft groups, one for each seed, and checks that nothing goes wrong.

  raftsim -runs 1000                        seeds 1 to 1000
  raftsim -runs 0 -duration 10m             as many as there is time for
  raftsim -seed 7 -html run.html            one run, as a picture
  raftsim -faults all,-disk -nodes 5        one run of five members whose disks are whole
  raftsim -faults drift,network -nodes 3 -runs 1000
                                            clocks that leases cannot bear: stale reads are counted
  raftsim explore -h                        not one run for each seed, but all runs of small groups

The exit status is 0 if all runs were clean, 1 if an invariant was violated, 2 for wrong flags or a
file that cannot be written, and 130 after an interrupt. A violation's run is shortened, and the
command printed that repeats it.

`

func parse(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("raftsim", flag.ContinueOnError)
	set.SetOutput(io.Discard) // Errors are printed below, without all the flags.
	set.Usage = func() {}
	set.Uint64Var(&f.first, "seed", 1, "seed of the first `run`; the next ones have the seeds that follow")
	set.Uint64Var(&f.runs, "runs", 1, "how many `runs` to make; 0 for as many as -duration allows")
	set.Uint64Var(&f.steps, "steps", 20_000, "`steps` of a run before everything is mended and the group has to recover")
	set.IntVar(&f.nodes, "nodes", 0, "`members` that the group begins with, 1 to 7; 0 draws them from the seed")
	faults := set.String("faults", "all", "what may go wrong: `names` separated by commas, of "+strings.Join(sim.FaultNames(), ", ")+
		", all (without drift) and none; -name takes one out")
	effect := set.String("effect", "apply", "when a change of membership takes effect: `apply` or append")
	skip := set.String("skip", "", "planned faults to leave out, by `number`: 1-4,7")
	set.StringVar(&f.storage, "storage", "", "`what` nodes keep their log in beside the simulated disk: memory for MemoryStorage; default nothing")
	set.IntVar(&f.parallel, "parallel", runtime.GOMAXPROCS(0), "`runs` at the same time")
	set.DurationVar(&f.duration, "duration", 0, "begin no run after this `time`; 0 for no bound")
	set.StringVar(&f.trace, "trace", "", "write what happened in the first violating run, or else in the first run, to this `file`")
	set.StringVar(&f.html, "html", "", "write the space-time diagram of that run to this `file`")
	set.IntVar(&f.shrink, "shrink", 300, "make at most so many `runs` to shorten one that violates an invariant; 0 to leave it as it is")
	set.Uint64Var(&f.stop, "stop", 10, "begin no run after so many `violations`")
	set.BoolVar(&f.quiet, "quiet", false, "print no progress")
	set.BoolVar(&f.marks, "marks", false, "print how often each situation that runs should reach was reached, and fail if one was not")
	fail := func(format string, args ...any) (*flags, error) {
		fmt.Fprintf(stderr, "raftsim: "+format+"\n", args...)
		return nil, errUsage
	}
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		set.SetOutput(stderr)
		set.PrintDefaults()
		return nil, err
	case err != nil:
		return fail("%v; -h lists the flags", err)
	}
	var err error
	switch *effect {
	case "apply":
	case "append":
		f.effect = raft.OnAppend
	default:
		return fail("-effect: %q is neither apply nor append", *effect)
	}
	if f.faults, err = sim.ParseFaults(*faults); err != nil {
		return fail("-faults: %v", err)
	}
	if f.skip, err = sim.ParseSpans(*skip); err != nil {
		return fail("-skip: %v", err)
	}
	options := f.options(f.first)
	if err := options.Validate(); err != nil {
		return fail("%s", strings.ReplaceAll(err.Error(), "sim: Nodes", "-nodes"))
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
	o := sim.Options{Seed: seed, Steps: f.steps, Nodes: f.nodes, Faults: f.faults, ConfChangeEffect: f.effect, Skip: f.skip}
	if f.storage == "memory" {
		o.OpenStorage = memoryStorages()
	}
	return o
}

// replay returns the command that repeats a run, with what sim cannot name.
func (f *flags) replay(o sim.Options) string {
	text := sim.ReplayCommand(o)
	if f.storage != "" {
		text += " -storage " + f.storage
	}
	return text
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

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "explore" {
		return exploreCommand(ctx, args[1:], stdout, stderr)
	}
	f, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := writable(f); err != nil {
		fmt.Fprintf(stderr, "raftsim: %v\n", err)
		return 2
	}
	b := newBatch(f, stderr)
	b.run(ctx)
	status := 0
	show := f.options(f.first)
	switch {
	case b.violating != nil && ctx.Err() != nil:
		status = 1
		show = b.report(stdout, 0)
	case b.violating != nil:
		status = 1
		show = b.report(stdout, f.shrink)
	case ctx.Err() != nil:
		status = interrupted
	}
	if f.marks && !b.printMarks(stdout) {
		status = 1
	}
	if err := write(f, show, stdout); err != nil {
		fmt.Fprintf(stderr, "raftsim: %v\n", err)
		status = max(status, 2)
	}
	b.printLeases(stdout)
	fmt.Fprintf(stdout, "hash %016x\n", b.hash)
	fmt.Fprintf(stdout, "runs=%d steps=%d violations=%d\n", b.runs, b.total.Steps, b.violations)
	return status
}
