package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate-raft/raft/rafttest/explore"
	"github.com/quorate-raft/raft/rafttest/explore/search"
	"github.com/quorate-raft/raft/rafttest/spacetime"
)

const exploreUsage = `usage: raftsim explore [flags]

Explores everything that small groups can do, with the real code, and checks the safety of Raft in every state.

  raftsim explore                           the models of tier change
  raftsim explore -list                     what tiers and models there are
  raftsim explore -tier nightly -dir DIR    the models of tier nightly; a run that was ended goes on from DIR
  raftsim explore -model crash -html p.html one model; a violation's shortest path as a picture
  raftsim explore -members 3 -terms 2 -proposals 1 -no-prevote
                                            a model that is none of a tier

The exit status is 0 if all that there is, or up to -depth, was explored and nothing was wrong, 1 if an invariant was
violated or there are not as many states as are recorded, 2 for wrong flags or a directory that cannot
be used, and 130 after an interrupt.

`

// exploreFlags are what the command was asked for.
type exploreFlags struct {
	parts       []explore.Part
	dir         string
	memory      int64
	workers     int
	trace, html string
	quiet, list bool
	own         []string // the flags of a model that is none of a tier
	depth       int
}

func parseExplore(args []string, stderr io.Writer) (*exploreFlags, error) {
	f := &exploreFlags{}
	set := flag.NewFlagSet("raftsim explore", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	tier := set.String("tier", "change", "explore the models of this `tier`")
	model := set.String("model", "", "explore only the model of that `name`, of whichever tier")
	set.StringVar(&f.dir, "dir", "", "keep what does not fit into memory, and what a later run goes on from, in this `directory`")
	mib := set.Int64("memory", 2048, "hold no more states in memory than fit into so many `MiB`")
	set.IntVar(&f.workers, "workers", 0, "explore with so many `goroutines`; 0 for one for each processor")
	set.IntVar(&f.depth, "depth", 0, "explore what is reached in so many `steps`; 0 for all")
	set.StringVar(&f.trace, "trace", "", "write what leads to a violation to this `file`")
	set.StringVar(&f.html, "html", "", "write the space-time diagram of it to this `file`")
	set.BoolVar(&f.quiet, "quiet", false, "print no progress")
	set.BoolVar(&f.list, "list", false, "list the tiers and their models")
	bounds := newModelFlags(set)
	fail := func(format string, args ...any) (*exploreFlags, error) {
		fmt.Fprintf(stderr, "raftsim explore: "+format+"\n", args...)
		return nil, errUsage
	}
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, exploreUsage)
		set.SetOutput(stderr)
		set.PrintDefaults()
		return nil, err
	case err != nil:
		return fail("%v; -h lists the flags", err)
	case set.NArg() > 0:
		return fail("unexpected argument %q", set.Arg(0))
	case *mib < 1 || *mib > 1<<30:
		return fail("-memory (%d) must be between 1 and %d", *mib, 1<<30)
	case f.workers < 0:
		return fail("-workers must not be negative")
	case f.depth < 0:
		return fail("-depth must not be negative")
	}
	f.memory = *mib << 20
	switch own, err := bounds.part(); {
	case err != nil:
		return fail("%s", strings.TrimPrefix(err.Error(), "explore: "))
	case own != nil:
		f.parts, f.own = []explore.Part{*own}, bounds.args()
		return f, nil
	}
	var tiers, models []string
	for _, t := range explore.Tiers() {
		tiers = append(tiers, t.Name)
		for _, p := range t.Parts {
			models = append(models, p.Name)
			if p.Name == *model || *model == "" && t.Name == *tier {
				f.parts = append(f.parts, p)
			}
		}
	}
	switch {
	case len(f.parts) == 0 && *model != "":
		return fail("-model: there is no %q; there are %s", *model, strings.Join(models, ", "))
	case len(f.parts) == 0:
		return fail("-tier: there is no %q; there are %s", *tier, strings.Join(tiers, ", "))
	}
	return f, nil
}

func exploreCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f, err := parseExplore(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case f.list:
		for _, t := range explore.Tiers() {
			fmt.Fprintf(stdout, "%s: %s\n", t.Name, t.About)
			for _, p := range t.Parts {
				fmt.Fprintf(stdout, "  %-20s %s\n", p.Name, p.Bounds)
			}
		}
		return 0
	}
	if err := writable(&flags{trace: f.trace, html: f.html}); err != nil {
		fmt.Fprintf(stderr, "raftsim explore: %v\n", err)
		return 2
	}
	status := 0
	for _, p := range f.parts {
		switch s := f.explore(ctx, p, stdout, stderr); s {
		case 0:
		case 1:
			status = 1
		default:
			return s
		}
	}
	return status
}

// explore explores one model and returns the exit status.
func (f *exploreFlags) explore(ctx context.Context, p explore.Part, stdout, stderr io.Writer) int {
	m, err := explore.NewModel(p.Bounds)
	if err != nil {
		fmt.Fprintf(stderr, "raftsim explore: %v\n", err)
		return 2
	}
	opts := search.Options{Workers: f.workers, MemoryBytes: f.memory, MaxDepth: f.depth}
	if f.dir != "" {
		opts.Dir = filepath.Join(f.dir, p.Name)
	}
	if !f.quiet {
		opts.Progress = exploreProgress(p.Name, stderr)
	}
	r, err := search.Run(ctx, m, opts)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintf(stdout, "%s: interrupted at depth %d with %d states\n", p.Name, r.Depth, r.States)
		return interrupted
	case errors.Is(err, search.ErrMemory):
		fmt.Fprintf(stderr, "raftsim explore: %s: %v; -memory gives it more, -dir a directory\n", p.Name, err)
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "raftsim explore: %s: %v\n", p.Name, err)
		return 2
	}
	fmt.Fprintf(stdout, "%s: states=%d transitions=%d depth=%d rate=%.0f/s missed=%.1e\n",
		p.Name, r.States, r.Transitions, r.Depth, float64(r.States)/r.Elapsed.Seconds(), r.Missed)
	if r.Violation != nil {
		if err := f.show(p, m, r.Violation, stdout); err != nil {
			fmt.Fprintf(stderr, "raftsim explore: %s: %v\n", p.Name, err)
			return 2
		}
		return 1
	}
	if p.States != 0 && r.States != p.States && r.Complete {
		fmt.Fprintf(stdout, "%s: %d states are recorded; if there is a reason for the difference, record the new number in "+
			"rafttest/explore and docs/testing.md\n", p.Name, p.States)
		return 1
	}
	return 0
}

// modelArgs returns the flags that choose a model.
func (f *exploreFlags) modelArgs(p explore.Part) string {
	if f.own != nil {
		return strings.Join(f.own, " ")
	}
	return "-model " + p.Name
}

// show prints what leads to a violation, and writes the files that were asked for.
func (f *exploreFlags) show(p explore.Part, m *explore.Model, v *search.Violation, stdout io.Writer) error {
	events, err := m.Events(v)
	if err != nil {
		return err
	}
	lines := func(w io.Writer) (err error) {
		for i := range events {
			if _, err = fmt.Fprintln(w, &events[i]); err != nil {
				break
			}
		}
		return err
	}
	fmt.Fprintf(stdout, "%s: violation %v\n", p.Name, v)
	if err := lines(stdout); err != nil {
		return err
	}
	if f.trace != "" {
		if err := toFile(f.trace, lines); err != nil {
			return fmt.Errorf("writing the trace: %w", err)
		}
	}
	if f.html != "" {
		run := spacetime.Run{
			Title: fmt.Sprintf("%s: %v", p.Name, v), Subtitle: p.Bounds.String(),
			Replay: "go run ./cmd/raftsim explore " + f.modelArgs(p), Events: events,
		}
		if err := toFile(f.html, func(w io.Writer) error { return spacetime.Write(w, run) }); err != nil {
			return fmt.Errorf("writing the diagram: %w", err)
		}
	}
	return nil
}

// exploreProgress prints how far a search is, every two seconds.
func exploreProgress(name string, stderr io.Writer) func(search.Progress) {
	var last time.Time
	return func(p search.Progress) {
		if time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(stderr, "%s: %d states, depth %d, %d of %d of it done, %.0f/s, %d MiB in memory, %d MiB on disk\n",
			name, p.States, p.Depth, p.Expanded, p.Frontier, p.Rate, p.Memory>>20, p.Disk>>20)
	}
}
