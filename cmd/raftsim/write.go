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

// write repeats the run and writes the files that were asked for.
func write(f *flags, o sim.Options, stdout io.Writer) error {
	if f.trace != "" {
		if err := toFile(f.trace, func(w io.Writer) error { return writeTrace(w, o) }); err != nil {
			return fmt.Errorf("writing the trace: %w", err)
		}
		fmt.Fprintf(stdout, "trace of seed %d: %s\n", o.Seed, f.trace)
	}
	if f.html != "" {
		if err := toFile(f.html, func(w io.Writer) error { return writePage(w, o) }); err != nil {
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

func writePage(w io.Writer, o sim.Options) error {
	var events []trace.Event
	o.Observer = func(e *trace.Event) {
		if len(events) == 2*maxPageEvents {
			events = append(events[:0], events[maxPageEvents:]...)
		}
		events = append(events, *e)
	}
	r := sim.Run(o)
	if len(events) > maxPageEvents {
		events = events[len(events)-maxPageEvents:]
	}
	title := fmt.Sprintf("seed %d: no violation", o.Seed)
	if r.Violation != nil {
		title = fmt.Sprintf("seed %d: %s", o.Seed, r.Violation.Rule)
	}
	return spacetime.Write(w, spacetime.Run{Title: title, Replay: sim.ReplayCommand(o), Events: events})
}
