package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// readSeeds reads the recorded seeds: for each bug a line with its number, the
// rule that is violated, and the flags of raftsim.
func readSeeds() ([]seed, error) {
	data, err := os.ReadFile(seedsFile)
	if err != nil {
		return nil, err
	}
	var seeds []seed
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		number, err := strconv.Atoi(fields[0])
		if err != nil || len(fields) < 2 {
			return nil, fmt.Errorf("%s: bad line %q", seedsFile, line)
		}
		seeds = append(seeds, seed{number, fields[1], fields[2:]})
	}
	return seeds, nil
}

const seedsHeader = `# Runs that show the bugs: number, the rule that is violated, flags of raftsim.
# Written by: go run ./rafttest/bugs/hunt -search 60s -record
`

func writeSeeds(seeds []seed) error {
	slices.SortFunc(seeds, func(a, b seed) int {
		return cmp.Or(a.bug-b.bug, strings.Compare(strings.Join(a.args[2:], " "), strings.Join(b.args[2:], " ")))
	})
	var b strings.Builder
	b.WriteString(seedsHeader)
	for _, s := range seeds {
		fmt.Fprintf(&b, "%d %s %s\n", s.bug, s.rule, strings.Join(s.args, " "))
	}
	return os.WriteFile(seedsFile, []byte(b.String()), 0o644)
}
