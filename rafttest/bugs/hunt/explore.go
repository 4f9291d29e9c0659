package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

// explorable returns the bugs against safety, without those that are known to be out of reach unless they are named.
func explorable(all []bugs.Bug, named bool) []bugs.Bug {
	return slices.DeleteFunc(slices.Clone(all), func(b bugs.Bug) bool {
		return !b.Safety || !named && slices.ContainsFunc(bugs.Unexplored(), func(u bugs.Unseen) bool { return u.Number == b.Number })
	})
}

// exploreOne repeats what exploration found of a bug, or looks for it.
func (h *hunt) exploreOne(b bugs.Bug, p bugs.Program) (string, error) {
	if h.search > 0 {
		return h.lookFor(b, p)
	}
	i := slices.IndexFunc(h.found, func(f bugs.Finding) bool { return f.Bug == b.Number })
	if i < 0 {
		return unrecorded, nil
	}
	f := h.found[i]
	rule, depth, err := explore(p, f.Args, 0, time.Minute)
	switch {
	case err != nil:
		return "", err
	case rule == "":
		return "", fmt.Errorf("is not found in %s any more", strings.Join(f.Args, " "))
	case depth != f.Depth:
		return "", fmt.Errorf("the shortest path has %d steps (%s) in %s, %d (%s) are recorded", depth, rule, strings.Join(f.Args, " "), f.Depth, f.Rule)
	case rule != f.Rule:
		// Which of several rules that are broken at one depth is named depends on how states are encoded.
		return fmt.Sprintf("%s (recorded as %s) after %d", rule, f.Rule, depth), nil
	}
	return fmt.Sprintf("%s after %d", rule, depth), nil
}

// exploreClean shows that the models have nothing wrong without the bugs as far as they are explored with them.
func (h *hunt) exploreClean(all []bugs.Bug) error {
	deepest := map[string]int{}
	for _, f := range h.found {
		if slices.ContainsFunc(all, func(b bugs.Bug) bool { return b.Number == f.Bug }) {
			args := strings.Join(f.Args, " ")
			deepest[args] = max(deepest[args], f.Depth)
		}
	}
	for args, depth := range deepest {
		rule, at, err := explore(h.clean, strings.Fields(args), depth, time.Minute)
		if err == nil && rule != "" {
			err = fmt.Errorf("%s: %s after %d steps without a bug", args, rule, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lookFor looks for a bug in one model after the other, and notes that in which the shortest path leads to it.
func (h *hunt) lookFor(b bugs.Bug, p bugs.Program) (string, error) {
	best := bugs.Finding{Bug: b.Number}
	end := time.Now().Add(h.search)
	for _, model := range modelsFor(b) {
		left := time.Until(end)
		if left < time.Second || best.Depth == 1 {
			break
		}
		args := strings.Fields(model)
		rule, depth, err := explore(p, args, max(best.Depth-1, 0), min(left, max(h.search/8, 4*time.Second)))
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errTooLarge) {
			continue
		}
		if err != nil {
			return "", err
		}
		if rule != "" {
			best.Rule, best.Depth, best.Args = rule, depth, args
		}
	}
	if best.Rule == "" {
		return "", fmt.Errorf("not found in %v", h.search)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = slices.DeleteFunc(h.found, func(f bugs.Finding) bool { return f.Bug == b.Number })
	h.found = append(h.found, best)
	return fmt.Sprintf("%s after %d with %s", best.Rule, best.Depth, strings.Join(best.Args, " ")), nil
}

var errTooLarge = errors.New("the model needs too much memory")

var explorerViolation = regexp.MustCompile(`(?m)^\S+: violation after (\d+) actions: (\S+) at node`)

// explore runs raftsim explore and returns the rule that was violated, "" if none, after how many steps.
func explore(p bugs.Program, args []string, depth int, limit time.Duration) (rule string, steps int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	args = append([]string{"explore", "-quiet", "-workers", "1", "-memory", "3072", "-depth", strconv.Itoa(depth)}, args...)
	cmd := p.Command(ctx, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", 0, fmt.Errorf("raftsim %s: %w", strings.Join(args, " "), ctx.Err())
	}
	var exit *exec.ExitError
	if strings.Contains(errs.String(), "needs more memory") {
		return "", 0, fmt.Errorf("raftsim %s: %w", strings.Join(args, " "), errTooLarge)
	}
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return "", 0, fmt.Errorf("raftsim %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	m := explorerViolation.FindSubmatch(out)
	if m == nil {
		return "", 0, nil
	}
	steps, err = strconv.Atoi(string(m[1]))
	return string(m[2]), steps, err
}

const exploredHeader = `# What exploration finds of the bugs: number, a rule that is violated, the depth of the shortest path, flags of raftsim explore.
# Written by: go run ./rafttest/bugs/hunt -explore -search 60s -record
`

func writeExplored(found []bugs.Finding) error {
	slices.SortFunc(found, func(a, b bugs.Finding) int { return a.Bug - b.Bug })
	var b strings.Builder
	b.WriteString(exploredHeader)
	for _, f := range found {
		fmt.Fprintln(&b, f)
	}
	return os.WriteFile(bugs.ExploredFile, []byte(b.String()), 0o644)
}
