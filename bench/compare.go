package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"time"

	"github.com/quorate-raft/raft/bench/child"
	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/report"
)

// options say what is compared.
type options struct {
	samples int
	length  time.Duration
	short   bool
	rows    *regexp.Regexp
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.short, "short", false, "take three short samples of each row, and write no files")
	flags.IntVar(&o.samples, "samples", 6, "how many samples to take of each row and library")
	flags.DurationVar(&o.length, "time", 200*time.Millisecond, "processor time of a sample")
	rows := flags.String("rows", "", "a regular expression: take the rows whose keys match, and write no files")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown command %q", flags.Arg(0))
	}
	if o.samples < 1 {
		return o, fmt.Errorf("-samples (%d) must be at least 1", o.samples)
	}
	if o.short {
		o.samples, o.length = 3, 25*time.Millisecond
	}
	if *rows != "" {
		var err error
		if o.rows, err = regexp.Compile(*rows); err != nil {
			return o, err
		}
		if !slices.ContainsFunc(core.Rows(), func(r core.Row) bool { return o.rows.MatchString(r.Key) }) {
			return o, fmt.Errorf("-rows: no row matches %q", *rows)
		}
	}
	return o, nil
}

// partial reports whether this is not what results are written from.
func (o options) partial() bool { return o.short || o.rows != nil }

// compare takes samples of every library in turn, prints the table, and writes the files.
func compare(ctx context.Context, out io.Writer, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := newPrograms(ctx, dir)
	if err != nil {
		return err
	}
	var results []report.Result
	for _, row := range core.Rows() {
		if o.rows != nil && !o.rows.MatchString(row.Key) {
			continue
		}
		started := time.Now()
		samples, err := child.InTurn(o.samples, p.of(row.Key), func(lib string) (core.Sample, error) {
			return p.sample(ctx, lib, row.Key, "-time", o.length.String())
		})
		if err != nil {
			return err
		}
		r := report.Result{Row: row, Samples: samples}
		results = append(results, r)
		fmt.Fprintf(os.Stderr, "%-22s %5.1f s  ours ± %.0f%%  %s\n", row.Key, time.Since(started).Seconds(), 50*r.Spread(report.Ours), r.Verdict())
	}
	counts, err := countInstructions(ctx, p, o)
	if err != nil {
		return err
	}
	fmt.Fprint(out, report.Table(results))
	if len(counts) > 0 {
		fmt.Fprint(out, "\n", report.InstructionTable(counts))
	}
	if o.partial() {
		return nil
	}
	return newRecord(results, counts, o).write()
}

// countInstructions counts for all libraries, if valgrind is there and the run is a whole one.
func countInstructions(ctx context.Context, p programs, o options) (report.Instructions, error) {
	if _, err := exec.LookPath("valgrind"); err != nil || o.partial() {
		return nil, nil
	}
	counts := report.Instructions{}
	for _, key := range core.Counted() {
		counts[key] = make(map[string]float64)
		for _, lib := range report.Columns() {
			n, err := p.instructions(ctx, lib, key)
			if err != nil {
				return nil, err
			}
			counts[key][lib] = n
		}
	}
	return counts, nil
}
