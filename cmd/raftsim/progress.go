package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
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
	t := &b.total
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
