// Command hunt shows that no rule of package differential hides a known bug: it
// builds raftdiff with one bug of rafttest/bugs at a time, and expects a
// difference. It runs in the interop module, and needs the go command.
//
//	go run ./differential/hunt              the bugs that a member and its double can show
//	go run ./differential/hunt -bugs 1,18   these
//
// The exit status is 1 if one was not found.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	var missing []string
	for _, b := range all {
		if !every && !slices.Contains(numbers, b.Number) {
			continue
		}
		began := time.Now()
		what, err := try(filepath.Join(dir, b.Name), b, steps)
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

// try builds with the bug and returns how it showed.
func try(dir string, b bugs.Bug, steps uint64) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	overlay, err := bugs.Overlay(dir, b, root)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "raftdiff")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", program, "./differential/raftdiff")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	out, err := exec.Command(program, "-quiet", "-steps", strconv.FormatUint(steps, 10)).CombinedOutput()
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
