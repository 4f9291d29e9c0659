// Package gate holds what an operation may cost in instructions and allocations, which do not depend on how fast or
// how busy the machine is.
package gate

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Tolerance is by how much instructions may exceed their limit, as a part of it. They vary by less.
const Tolerance = 0.03

// allocTolerance and allocSlack are the same for allocations: buffers may grow in one run and not in another.
const (
	allocTolerance = 0.02
	allocSlack     = 0.1
)

// Cost is what an operation of one row costs.
type Cost struct {
	// Key is the row's.
	Key string
	// Instructions is 0 where they are not counted.
	Instructions float64
	Allocs       float64
}

// File is what the costs were when they were recorded.
type File struct {
	// Toolchain is the version of Go, as far as its code is the same, and the architecture: "go1.26 amd64".
	Toolchain string
	Costs     []Cost
}

// Toolchain returns what version (as of runtime.Version) and arch are in a File.
func Toolchain(version, arch string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".") + " " + arch
}

const head = `# What an operation of ours may cost: the row, instructions (- if they are not counted), allocations.
# go -C bench run . gate checks it, go -C bench run . gate -update writes it anew.
`

// Write writes the file.
func (f File) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%stoolchain %s\n", head, f.Toolchain)
	for _, c := range f.Costs {
		instructions := "-"
		if c.Instructions > 0 {
			instructions = fmt.Sprintf("%.0f", c.Instructions)
		}
		fmt.Fprintf(&b, "%s %s %.2f\n", c.Key, instructions, c.Allocs)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Parse reads a file.
func Parse(r io.Reader) (File, error) {
	var f File
	scan := bufio.NewScanner(r)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "toolchain "); ok {
			f.Toolchain = rest
			continue
		}
		c, err := parseCost(strings.Fields(line))
		if err != nil {
			return File{}, fmt.Errorf("line %d: %w", n, err)
		}
		f.Costs = append(f.Costs, c)
	}
	return f, scan.Err()
}

func parseCost(fields []string) (c Cost, err error) {
	if len(fields) != 3 {
		return c, fmt.Errorf("%d fields, want a row, instructions and allocations", len(fields))
	}
	c.Key = fields[0]
	if fields[1] != "-" {
		if c.Instructions, err = strconv.ParseFloat(fields[1], 64); err != nil {
			return c, err
		}
	}
	c.Allocs, err = strconv.ParseFloat(fields[2], 64)
	return c, err
}

// Compare returns what costs more than was recorded, and what costs so much less that it should be recorded anew.
// Instructions are compared only if the toolchain is that of the record.
func Compare(recorded, now File) (faults, gains []string) {
	was := make(map[string]Cost)
	for _, c := range recorded.Costs {
		was[c.Key] = c
	}
	say := func(key, what string, old, current, tolerance, slack float64) {
		switch {
		case current > old*(1+tolerance)+slack:
			faults = append(faults, fmt.Sprintf("%s: %.2f %s, recorded are %.2f", key, current, what, old))
		case current < old*(1-tolerance)-slack:
			gains = append(gains, fmt.Sprintf("%s: %.2f %s, recorded are %.2f", key, current, what, old))
		}
	}
	for _, c := range now.Costs {
		old, ok := was[c.Key]
		if !ok {
			faults = append(faults, c.Key+": nothing is recorded")
			continue
		}
		delete(was, c.Key)
		say(c.Key, "allocations", old.Allocs, c.Allocs, allocTolerance, allocSlack)
		if c.Instructions > 0 && recorded.Toolchain == now.Toolchain {
			say(c.Key, "instructions", old.Instructions, c.Instructions, Tolerance, 0)
		}
	}
	for _, c := range recorded.Costs {
		if _, left := was[c.Key]; left {
			faults = append(faults, c.Key+": recorded, but there is no such row")
		}
	}
	return faults, gains
}
