package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"time"

	"github.com/quorate-raft/raft/bench/child"
	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/report"
)

// scalingOptions say which points of the curves are measured, and how.
type scalingOptions struct {
	options
	curves []core.Curve
}

func parseScaling(args []string) (scalingOptions, error) {
	var o scalingOptions
	flags := flag.NewFlagSet("scaling", flag.ContinueOnError)
	flags.BoolVar(&o.short, "short", false, "take one short sample of each point, leave out the largest, and write no files")
	flags.IntVar(&o.samples, "samples", 3, "how many samples to take of each point and library: half as many where a short run takes none")
	flags.DurationVar(&o.length, "time", 100*time.Millisecond, "processor time of a sample")
	keys := flags.String("curves", "", "a regular expression: measure the curves whose keys match, and write no files")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.rows, err = regexp.Compile(*keys); err != nil {
		return o, err
	}
	if o.samples < 1 || flags.NArg() > 0 {
		return o, fmt.Errorf("-samples (%d) must be at least 1, and %q is too much", o.samples, flags.Args())
	}
	for _, c := range core.Curves() {
		if !o.rows.MatchString(c.Key) {
			continue
		}
		if o.short {
			c.Points = slices.DeleteFunc(c.Points, func(n int) bool { return n > c.Few })
		}
		o.curves = append(o.curves, c)
	}
	if len(o.curves) == 0 {
		return o, fmt.Errorf("-curves: no curve matches %q", *keys)
	}
	if *keys == "" {
		o.rows = nil
	}
	if o.short {
		o.samples, o.length = 1, 20*time.Millisecond
	}
	return o, nil
}

// scaling measures the curves, prints their tables, and writes the files.
func scaling(ctx context.Context, out io.Writer, args []string) error {
	o, err := parseScaling(args)
	if err != nil {
		return err
	}
	p, err := ownPrograms()
	if err != nil {
		return err
	}
	r := record{About: about(o.samples, o.length) + " Half as many where one takes long.", Samples: make(map[string]map[string][]core.Sample)}
	for _, c := range o.curves {
		started := time.Now()
		for _, l := range c.Lines {
			results, err := sampleLine(ctx, p, o.options, c, l)
			if err != nil {
				return err
			}
			r.add(results)
		}
		fmt.Fprintf(os.Stderr, "%-8s %5.1f s\n", c.Key, time.Since(started).Seconds())
		curve := report.CurveOf(c, r.Samples)
		fmt.Fprintf(out, "%s, by %s\n\n%s\n%s\n\n", c.Title, c.Axis, curve.Table(), curve.Growth())
	}
	if o.partial() {
		return nil
	}
	if r.Instructions, err = countCurves(ctx, p); err != nil {
		return err
	}
	if err := scalingOutput.Save(r); err != nil {
		return err
	}
	return r.renderScaling()
}

// samplesOf is how many samples are taken of a point: half of what is asked for, but at least one, where each takes long.
func samplesOf(asked int, c core.Curve, l core.Line, point int) int {
	switch {
	case l.Once:
		return 1
	case point > c.Few:
		return max(1, asked/2)
	}
	return asked
}

// sampleLine takes samples of all points of a line.
func sampleLine(ctx context.Context, p programs, o options, c core.Curve, l core.Line) ([]report.Result, error) {
	var results []report.Result
	for _, n := range c.Points {
		samples := samplesOf(o.samples, c, l, n)
		row := l.Row(c, n)
		taken, err := child.InTurn(samples, report.Libraries(l), func(lib string) (core.Sample, error) {
			return p.sample(ctx, lib, row.Key, "-time", o.length.String())
		})
		if err != nil {
			return nil, err
		}
		results = append(results, report.Result{Row: row, Samples: taken})
	}
	return results, nil
}

// countCurves counts our instructions at some points, if valgrind is there.
func countCurves(ctx context.Context, p programs) (report.Instructions, error) {
	counts := report.Instructions{}
	if _, err := exec.LookPath("valgrind"); err != nil {
		return counts, nil
	}
	started := time.Now()
	for _, c := range core.Curves() {
		for _, l := range c.Lines {
			for _, at := range l.Counted {
				key := l.Row(c, at.Point).Key
				n, err := p.instructionsOf(ctx, report.Ours, key, at.Ops)
				if err != nil {
					return nil, err
				}
				counts[key] = map[string]float64{report.Ours: math.Round(n)}
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%-8s %5.1f s\n", "counted", time.Since(started).Seconds())
	return counts, nil
}

// renderScaling writes the tables of the curves, also into docs/performance.md, and their drawing.
func (r record) renderScaling() error {
	blocks := map[string]string{"": r.About + "\n"}
	all := "# How cost grows\n\nWritten by `go -C bench run . scaling`; docs/performance.md explains it. " + r.About + "\n"
	var curves []report.Curve
	for _, c := range core.Curves() {
		curve := report.CurveOf(c, r.Samples)
		curves = append(curves, curve)
		block := curve.Table() + "\n" + curve.Growth() + "\n"
		if counts := curve.Counts(r.Instructions); counts != "" {
			block += counts + "\n"
		}
		blocks["-"+c.Key] = block
		all += "\n## " + c.Title + ", by " + c.Axis + "\n\n" + block
	}
	return scalingOutput.RenderBlocks(all, blocks, report.Curves("How cost grows, against etcd's raft 3.6", curves))
}
