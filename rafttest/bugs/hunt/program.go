package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

// build builds raftsim without a bug, and with all bugs that can be in one program.
func (h *hunt) build(all []bugs.Bug) error {
	h.programs = bugs.Builder{Dir: h.dir, ModuleRoot: ".", Package: "./cmd/raftsim"}
	var err error
	if h.clean, err = h.programs.Clean(); err != nil || h.own {
		return err
	}
	var combined bugs.Program
	combined, h.together, err = h.programs.Together(all)
	if err != nil || len(h.together.Numbers) == 0 {
		return err
	}
	return same(h.clean, combined)
}

// run runs raftsim and returns what it prints.
func run(ctx context.Context, p bugs.Program, args ...string) ([]byte, error) {
	return p.Command(ctx, append([]string{"-quiet"}, args...)...).Output()
}

// same says how runs with one program differ from those with another. A program whose
// bugs are all off has to do what the clean one does, or it would show other bugs
// than those that are asked for.
func same(a, b bugs.Program) error {
	for _, kind := range []string{"-runs 20", "-runs 20 -effect append", "-runs 20 -faults sleep,targets,membership,network"} {
		args := strings.Fields(kind)
		of, ofErr := run(context.Background(), a, args...)
		other, otherErr := run(context.Background(), b, args...)
		if string(of) != string(other) || fmt.Sprint(ofErr) != fmt.Sprint(otherErr) {
			return fmt.Errorf("raftsim %s prints (%v)\n%sand with bugs that are off (%v)\n%s", kind, ofErr, of, otherErr, other)
		}
	}
	return nil
}

var violation = regexp.MustCompile(`(?m)^violation in the run of seed (\d+): (\S+) at step`)

// simulate runs the command and returns the rule that was violated, "" if none,
// and the run's seed.
func simulate(p bugs.Program, args []string, limit time.Duration) (rule, number string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := run(ctx, p, append([]string{"-shrink", "0"}, args...)...)
	if ctx.Err() != nil {
		return "S20", firstSeed(args), nil // it hangs
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return "", "", fmt.Errorf("raftsim %s: %w", strings.Join(args, " "), err)
	}
	if m := violation.FindSubmatch(out); m != nil {
		return string(m[2]), string(m[1]), nil
	}
	return "", "", nil
}

func firstSeed(args []string) string {
	if i := slices.Index(args, "-seed"); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return "1"
}
