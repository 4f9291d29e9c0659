package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/gate"
	"github.com/quorate-raft/raft/bench/report"
)

const gatesFile = "gates.txt"

// errGate is returned when something costs more than was recorded.
var errGate = errors.New("an operation costs more than gates.txt allows")

// runGate compares what operations of ours cost with what was recorded.
func runGate(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("gate", flag.ContinueOnError)
	update := flags.Bool("update", false, "record what operations cost now")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := exec.LookPath("valgrind"); err != nil {
		return fmt.Errorf("instructions are counted by valgrind (Debian's package of that name): %w", err)
	}
	now, err := costs(ctx)
	if err != nil {
		return err
	}
	if *update {
		var b strings.Builder
		if err := now.Write(&b); err != nil {
			return err
		}
		return os.WriteFile(gatesFile, []byte(b.String()), 0o644)
	}
	f, err := os.Open(gatesFile)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	recorded, err := gate.Parse(f)
	if err != nil {
		return fmt.Errorf("%s: %w", gatesFile, err)
	}
	if recorded.Toolchain != now.Toolchain {
		fmt.Fprintf(out, "recorded with %s, this is %s: instructions are not compared\n", recorded.Toolchain, now.Toolchain)
	}
	faults, gains := gate.Compare(recorded, now)
	for _, g := range gains {
		fmt.Fprintf(out, "less: %s (record it: go -C bench run . gate -update)\n", g)
	}
	for _, f := range faults {
		fmt.Fprintf(out, "MORE: %s\n", f)
	}
	if len(faults) > 0 {
		return errGate
	}
	fmt.Fprintf(out, "%d rows cost no more than was recorded\n", len(now.Costs))
	return nil
}

// costs takes the counts of all rows that have some.
func costs(ctx context.Context) (gate.File, error) {
	f := gate.File{Toolchain: gate.Toolchain(runtime.Version(), runtime.GOARCH)}
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	p := programs{report.Ours: []string{self, "sample"}}
	for _, row := range core.Rows() {
		if row.Unit != core.Time {
			continue
		}
		c := gate.Cost{Key: row.Key}
		s, err := p.sample(ctx, report.Ours, row.Key, "-n", "64")
		if err != nil {
			return f, err
		}
		c.Allocs = s.Allocs
		if slices.Contains(core.Counted(), row.Key) {
			if c.Instructions, err = p.instructions(ctx, report.Ours, row.Key); err != nil {
				return f, err
			}
		}
		f.Costs = append(f.Costs, c)
	}
	return f, nil
}
