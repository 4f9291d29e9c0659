// Command hunt shows that no rule of package differential hides a known bug: it
// runs raftdiff with one bug of rafttest/bugs at a time, and expects a
// difference. It runs in the interop module, and needs the go command.
//
//	go run ./differential/hunt              the bugs that a member and its double can show
//	go run ./differential/hunt -bugs 1,18   these
//
// The exit status is 1 if one was not found.
package main

import (
	"context"
	"errors"
	"flag"
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

// hidden are the bugs that cannot be seen here, or hardly, and why.
var hidden = map[int]string{
	7:  "seldom: a member takes a snapshot, and then a change at the index of one that the snapshot made void",
	71: "the host would have to take several messages before it asks for a Ready",
	83: "the disks return what was written",
	85: "etcd's members have no contexts",
}

func main() {
	steps := flag.Uint64("steps", 10_000_000, "give up after so many `steps`")
	only := flag.String("bugs", "", "`numbers` of bugs, separated by commas; default all that can be seen here")
	every := flag.Bool("every", false, "try every bug there is, and say which were found")
	flag.Parse()
	if err := run(*steps, *only, *every); err != nil {
		fmt.Fprintf(os.Stderr, "hunt: %v\n", err)
		os.Exit(1)
	}
}

func run(steps uint64, only string, every bool) error {
	all, err := bugs.All()
	if err != nil {
		return err
	}
	var numbers []int
	for _, b := range all {
		if hidden[b.Number] == "" && !slices.Contains(b.Needs, bugs.Append) { // etcd has no such setting
			numbers = append(numbers, b.Number)
		}
	}
	if only != "" {
		numbers = nil
		for _, text := range strings.Split(only, ",") {
			n, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			numbers = append(numbers, n)
		}
	}
	dir, err := os.MkdirTemp("", "differential")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if !every {
		all = slices.DeleteFunc(all, func(b bugs.Bug) bool { return !slices.Contains(numbers, b.Number) })
	}
	programs := &bugs.Builder{Dir: dir, ModuleRoot: "..", Package: "./differential/raftdiff"}
	if _, _, err := programs.Together(all); err != nil {
		return err
	}
	var missing []string
	for _, b := range all {
		began := time.Now()
		what, err := try(programs, b, steps)
		if err != nil {
			what = err.Error()
			missing = append(missing, b.Name)
		}
		fmt.Printf("%-52s %5.1fs  %s\n", b.Name, time.Since(began).Seconds(), what)
	}
	if len(missing) > 0 {
		return fmt.Errorf("not found: %s", strings.Join(missing, ", "))
	}
	return nil
}

var difference = regexp.MustCompile(`(?m)^seed \d+, step \d+: .*$`)

// try runs the program with the bug and returns how it showed.
func try(programs *bugs.Builder, b bugs.Bug, steps uint64) (string, error) {
	program, err := programs.With(b)
	if err != nil {
		return "", err
	}
	defer programs.Done(program)
	out, err := program.Command(context.Background(), "-quiet", "-steps", strconv.FormatUint(steps, 10)).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", fmt.Errorf("no difference in %d steps", steps)
	case !errors.As(err, &exit):
		return "", err
	}
	if what := difference.Find(out); what != nil {
		return string(what), nil
	}
	return "", fmt.Errorf("raftdiff failed otherwise:\n%s", out)
}
