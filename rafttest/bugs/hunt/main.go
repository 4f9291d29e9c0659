// Command hunt shows that the simulator catches the known bugs of package bugs:
// it runs raftsim with one bug at a time. Those that can be are built into one
// program, each to be switched on; the others have builds of their own.
//
//	go run ./rafttest/bugs/hunt                    the recorded seeds, each also without the bug
//	go run ./rafttest/bugs/hunt -search 60s        looks for seeds anew, so long for each bug
//	go run ./rafttest/bugs/hunt -search 60s -record  and writes what it finds to seeds.txt
//	go run ./rafttest/bugs/hunt -search 60s -append  looks where changes of membership take effect on append
//	go run ./rafttest/bugs/hunt -explore           what exploration finds, as recorded in explored.txt
//	go run ./rafttest/bugs/hunt -explore -search 60s -record  looks for it in models, and writes what it finds
//	go run ./rafttest/bugs/hunt -table             prints the tables of docs/testing.md about that
//	go run ./rafttest/bugs/hunt -own               a build for each bug, as a check of the one program
//
// The exit status is 1 if a bug was not caught. It runs in the root of the
// module, and needs the go command.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

func main() {
	h := &hunt{}
	flag.DurationVar(&h.search, "search", 0, "look for seeds for so long with each bug, instead of running the recorded ones")
	flag.BoolVar(&h.append, "append", false, "with -search, make runs with -effect append; a seed of them is recorded beside another")
	flag.BoolVar(&h.record, "record", false, "with -search, write what is found to "+seedsFile)
	only := flag.String("bugs", "", "`numbers` of the bugs, separated by commas; default all")
	flag.BoolVar(&h.explore, "explore", false, "with `raftsim explore`, and the bugs against safety alone")
	table := flag.Bool("table", false, "print the tables about exploration for docs/testing.md, and do nothing else")
	flag.BoolVar(&h.own, "own", false, "give each bug a build of its own")
	flag.IntVar(&h.parallel, "parallel", runtime.GOMAXPROCS(0), "`bugs` at the same time")
	flag.Parse()
	if *table {
		text, err := bugs.ExploredTable()
		if err != nil {
			fmt.Fprintf(os.Stderr, "hunt: %v\n", err)
			os.Exit(1)
		}
		fmt.Print(text)
		return
	}
	if err := h.run(*only); err != nil {
		fmt.Fprintf(os.Stderr, "hunt: %v\n", err)
		os.Exit(1)
	}
}

const seedsFile = "rafttest/bugs/seeds.txt"

// hunt is one call of the command.
type hunt struct {
	search   time.Duration
	record   bool
	append   bool
	own      bool
	explore  bool
	parallel int

	dir      string           // for what is built
	programs bugs.Builder     // of raftsim
	clean    bugs.Program     // the one without a bug
	together bugs.Combination // the bugs that are in one program
	seeds    []seed
	found    []bugs.Finding // by exploration
	mu       sync.Mutex
	missing  []string
	unknown  int // bugs without a recorded seed
}

// unrecorded is said of a bug of which no seed is known.
const unrecorded = "no seed is recorded yet"

// seed is a run that shows a bug.
type seed struct {
	bug  int
	rule string
	args []string
}

// onAppend reports whether changes of membership take effect on append in the run.
func (s seed) onAppend() bool { return slices.Contains(s.args, "append") }

func (h *hunt) run(only string) error {
	all, err := bugs.All()
	if err != nil {
		return err
	}
	if h.seeds, err = readSeeds(); err != nil {
		return err
	}
	if h.found, err = bugs.Explored(); err != nil {
		return err
	}
	if all, err = chosen(all, only); err != nil {
		return err
	}
	if h.explore {
		all = explorable(all, only != "")
	}
	if h.dir, err = os.MkdirTemp("", "bugs"); err != nil {
		return err
	}
	defer os.RemoveAll(h.dir)
	if err := h.build(all); err != nil {
		return err
	}
	h.each(all)
	if h.explore && h.search == 0 {
		if err := h.exploreClean(all); err != nil {
			return err
		}
	}
	for _, b := range all {
		if why := h.together.Apart[b.Number]; why != nil {
			fmt.Printf("%s had a build of its own: %v\n", b.Name, why)
		}
	}
	if len(h.missing) > 0 {
		return fmt.Errorf("not caught: %s", strings.Join(h.missing, ", "))
	}
	fmt.Printf("%d of %d bugs were caught; %d had a build of their own\n",
		len(all)-h.unknown, len(all), len(all)-len(h.together.Numbers))
	return nil
}

func chosen(all []bugs.Bug, only string) ([]bugs.Bug, error) {
	if only == "" {
		return all, nil
	}
	var some []bugs.Bug
	for _, text := range strings.Split(only, ",") {
		number, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(b bugs.Bug) bool { return b.Number == number })
		if i < 0 {
			return nil, fmt.Errorf("no bug %d", number)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// each deals with the bugs, some at the same time.
func (h *hunt) each(all []bugs.Bug) {
	queue := make(chan bugs.Bug)
	var workers sync.WaitGroup
	for range h.parallel {
		workers.Go(func() {
			for b := range queue {
				h.one(b)
			}
		})
	}
	for _, b := range all {
		queue <- b
	}
	close(queue)
	workers.Wait()
}

func (h *hunt) one(b bugs.Bug) {
	began := time.Now()
	result, err := h.try(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.missing = append(h.missing, b.Name)
		result = err.Error()
	}
	if result == unrecorded {
		h.unknown++
	}
	fmt.Printf("%-52s %5.1fs  %s\n", b.Name, time.Since(began).Seconds(), result)
	if h.record && err == nil {
		write := func() error { return writeSeeds(h.seeds) }
		if h.explore {
			write = func() error { return writeExplored(h.found) }
		}
		if err := write(); err != nil {
			fmt.Println(err)
		}
	}
}

// try runs the program with the bug and says how it was caught.
func (h *hunt) try(b bugs.Bug) (string, error) {
	p, err := h.programs.With(b)
	if err != nil {
		return "", err
	}
	defer h.programs.Done(p)
	if h.explore {
		return h.exploreOne(b, p)
	}
	if h.search > 0 {
		return h.find(b, p)
	}
	var rules []string
	for _, s := range h.seeds {
		if s.bug != b.Number {
			continue
		}
		rule, err := h.repeat(s, p)
		if err != nil {
			return "", err
		}
		rules = append(rules, rule)
	}
	if rules == nil {
		return unrecorded, nil
	}
	return strings.Join(rules, ", "), nil
}

// repeat runs a recorded seed, with the bug and without.
func (h *hunt) repeat(s seed, p bugs.Program) (string, error) {
	rule, _, err := simulate(p, s.args, time.Minute)
	if err != nil {
		return "", err
	}
	if rule != s.rule {
		return "", fmt.Errorf("the recorded seed (%s) shows %q, not %s", strings.Join(s.args, " "), rule, s.rule)
	}
	if rule, _, err = simulate(h.clean, s.args, time.Minute); err != nil {
		return "", err
	} else if rule != "" {
		return "", fmt.Errorf("the recorded seed (%s) shows %s without the bug, too", strings.Join(s.args, " "), rule)
	}
	return s.rule, nil
}

// find looks for a seed under one kind of run after the other, longer each time.
func (h *hunt) find(b bugs.Bug, p bugs.Program) (string, error) {
	began := time.Now()
	for share := 16; ; share = max(share/2, 1) {
		kinds := h.kindsFor(b)
		for _, kind := range kinds {
			left := h.search - time.Since(began)
			if left <= 0 {
				return "", fmt.Errorf("not found in %v", h.search)
			}
			part := min(left, max(h.search/time.Duration(share*len(kinds)), 100*time.Millisecond))
			args := append(strings.Fields(kind), "-runs", "0", "-duration", part.String(), "-stop", "1", "-parallel", "1")
			rule, number, err := simulate(p, args, part+time.Minute)
			if err != nil {
				return "", err
			}
			if rule == "" {
				continue
			}
			s := seed{b.Number, rule, append([]string{"-seed", number}, strings.Fields(kind)...)}
			h.mu.Lock()
			h.seeds = slices.DeleteFunc(h.seeds, func(old seed) bool { return old.bug == b.Number && old.onAppend() == s.onAppend() })
			h.seeds = append(h.seeds, s)
			h.mu.Unlock()
			return fmt.Sprintf("%s with %s", rule, strings.Join(s.args, " ")), nil
		}
	}
}

// kindsFor returns the kinds of runs in which a bug can show.
func (h *hunt) kindsFor(b bugs.Bug) []string {
	kinds := kinds
	switch {
	case slices.Contains(b.Needs, bugs.Targets):
		kinds = kindsOfTargets
	case slices.Contains(b.Needs, bugs.Sleep):
		kinds = kindsOfSleep
	}
	if !h.append && !slices.Contains(b.Needs, bugs.Append) {
		return kinds
	}
	var found []string
	for _, kind := range kinds {
		if strings.Contains(kind, "all") || strings.Contains(kind, "membership") || strings.Contains(kind, "targets") {
			found = append(found, kind+" -effect append")
		}
	}
	return found
}

// kinds are the runs among which a seed is looked for.
var kinds = []string{
	"-faults all",
	"-faults all -nodes 3",
	"-faults network,crash,host -nodes 3",
	"-faults membership,crash,network,transfer -nodes 3",
	"-faults membership,transfer -nodes 2",
	"-faults lease,network,crash,transfer -nodes 3",
	"-faults snapshot,network,membership,crash,host -nodes 3",
	"-faults crash,disk,host,transfer -nodes 2",
	"-faults all -nodes 5",
	"-faults membership,network -nodes 3",
	"-faults membership,network,host -nodes 2",
	"-faults lease,crash,transfer -nodes 2",
	"-faults all -nodes 3 -storage memory",
}

// kindsOfSleep are those of bugs that need sleep.
var kindsOfSleep = []string{
	"-faults sleep",
	"-faults sleep,network,lease -nodes 3",
	"-faults sleep,network,crash -nodes 3",
	"-faults all",
}

// kindsOfTargets are those of bugs that need targets.
var kindsOfTargets = []string{
	"-faults all",
	"-faults targets,network,crash,transfer -nodes 3",
	"-faults targets,network,snapshot,host -nodes 2",
}
