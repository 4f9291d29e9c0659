package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/quorate-raft/raft/rafttest/sim"
	"github.com/quorate-raft/raft/rafttest/spacetime"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// writable makes sure that the files can be written, before any run is made. What
// is in them stays until there is something else to be written.
func writable(f *flags) error {
	for what, name := range map[string]string{"trace": f.trace, "diagram": f.html} {
		if name == "" {
			continue
		}
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return fmt.Errorf("writing the %s: %w", what, err)
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("writing the %s: %w", what, err)
		}
	}
	return nil
}

// write repeats the run and writes the files that were asked for.
func write(f *flags, o sim.Options, stdout io.Writer) error {
	if f.trace != "" {
		if err := toFile(f.trace, func(w io.Writer) error { return writeTrace(w, o) }); err != nil {
			return fmt.Errorf("writing the trace: %w", err)
		}
		fmt.Fprintf(stdout, "trace of seed %d: %s\n", o.Seed, f.trace)
	}
	if f.html != "" {
		if err := toFile(f.html, func(w io.Writer) error { return writePage(w, f, o) }); err != nil {
			return fmt.Errorf("writing the diagram: %w", err)
		}
		fmt.Fprintf(stdout, "diagram of seed %d: %s\n", o.Seed, f.html)
	}
	return nil
}

func toFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// writeTrace writes one line for each event, and the run's hash.
func writeTrace(w io.Writer, o sim.Options) error {
	var failed error
	o.Observer = func(e *trace.Event) {
		if failed == nil {
			_, failed = fmt.Fprintln(w, e)
		}
	}
	r := sim.Run(o)
	if failed == nil {
		_, failed = fmt.Fprintf(w, "hash %016x\n", r.Hash)
	}
	return failed
}

// maxPageEvents bounds the size of a page; it shows the end of a longer run.
const maxPageEvents = 400_000

func writePage(w io.Writer, f *flags, o sim.Options) error {
	var events []trace.Event
	var happened uint64
	o.Observer = func(e *trace.Event) {
		happened++
		if len(events) == 2*maxPageEvents {
			events = append(events[:0], events[maxPageEvents:]...)
		}
		events = append(events, *e)
	}
	r := sim.Run(o)
	if len(events) > maxPageEvents {
		events = events[len(events)-maxPageEvents:]
	}
	run := spacetime.Run{Title: fmt.Sprintf("seed %d: no violation", o.Seed), Replay: f.replay(o), Events: events}
	if r.Violation != nil {
		run.Title = fmt.Sprintf("seed %d: %s", o.Seed, r.Violation.Rule)
	}
	s := &r.Stats
	if v := r.Violation; v != nil {
		run.Subtitle = fmt.Sprintf("step %d, node %d: %s · ", v.Step, v.Node, v.Detail)
	}
	run.Subtitle += fmt.Sprintf("faults: %v · %d steps, %d faults, %d crashes, %d elections, %d commits, %d changes of configuration",
		o.Faults, s.Steps, s.Faults, s.Crashes, s.Elections, s.Commits, s.ConfChanges)
	if n := uint64(len(events)); n < happened {
		run.Subtitle += fmt.Sprintf(" · only the last %d of %d events are shown", n, happened)
	}
	return spacetime.Write(w, run)
}
