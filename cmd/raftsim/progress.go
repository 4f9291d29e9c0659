package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest/sim"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// progress prints a line every second and one at the end: on a terminal over the
// last one, elsewhere one below the other.
func (b *batch) progress(ctx context.Context, done <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	p := printer{w: b.stderr, over: isTerminal(b.stderr)}
	interrupted := ctx.Done()
	for {
		select {
		case <-done:
			p.print(b.progressLine())
			p.end()
			return
		case <-interrupted:
			p.end()
			fmt.Fprintln(b.stderr, "interrupted: waiting for the runs under way; once more to stop at once")
			interrupted = nil
		case <-ticker.C:
			p.print(b.progressLine())
		}
	}
}

func (b *batch) progressLine() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.total
	for _, s := range b.underWay {
		t.Add(&s)
	}
	runs := fmt.Sprintf("%d runs", b.runs)
	if b.f.runs > 0 {
		runs = fmt.Sprintf("%d of %d runs", b.runs, b.f.runs)
	}
	line := fmt.Sprintf("%s, %.0f steps/s, %d elections, %d commits, %d faults injected", runs,
		float64(t.Steps)/time.Since(b.started).Seconds(), t.Elections, t.Commits, t.Faults+t.Crashes+t.Lost)
	if b.violations > 0 {
		line += fmt.Sprintf(", %d violations", b.violations)
	}
	return line
}

// longRun is how many steps a run has of which the progress line does not await
// the end.
const longRun = 500_000

// watch returns an observer that counts, about, what the run has done so far. It
// changes nothing of the run.
func (b *batch) watch(seed uint64) func(*trace.Event) {
	var s sim.Stats
	return func(e *trace.Event) {
		switch e.Kind {
		case trace.Role:
			if e.Role == raft.StateLeader {
				s.Elections++
			}
		case trace.Commit:
			s.Commits = max(s.Commits, e.Index)
		case trace.Fault:
			s.Faults++
		case trace.Crash:
			s.Crashes++
		case trace.Drop:
			s.Lost++
		}
		if e.Step < s.Steps+10_000 {
			return
		}
		s.Steps = e.Step
		b.mu.Lock()
		defer b.mu.Unlock()
		b.underWay[seed] = s
	}
}

// printer prints lines, over each other if it is to.
type printer struct {
	w    io.Writer
	over bool
	last int // how long the line is that the cursor is behind, with over
}

func (p *printer) print(line string) {
	if !p.over {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprint(p.w, "\r", line, strings.Repeat(" ", max(0, p.last-len(line))))
	p.last = len(line)
}

// end goes to a new line, if the cursor is not at the beginning of one.
func (p *printer) end() {
	if p.last > 0 {
		fmt.Fprintln(p.w)
	}
	p.last = 0
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
