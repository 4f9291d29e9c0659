// Package bugs holds known mistakes of Raft implementations, and of this one, as
// patches that put them back into the library: what tests must catch. A bug is
// built with an overlay, so the tree stays as it is:
//
//	overlay, err := bugs.Overlay(dir, bug, moduleRoot)
//	// go build -overlay <overlay> ./cmd/raftsim
//
// Combine makes one overlay of many bugs, to be switched on by the environment, and
// Builder the programs with them.
//
// Each bug is a file NN-name.bug beside this one: a header that says which rule
// it breaks and how that shows, then edits in the manner of a diff. An edit names
// its place by the text that it replaces, which must occur exactly once; where the
// code has moved the bug no longer applies, and says so.
//
//	number: 7
//	title: what goes wrong
//	rule: the rule that it breaks, and its source
//	safety: yes
//	invariants: S6 S4
//	nodes: 3
//	needs: crash pipeline
//	chance: often
//	shows: the interleaving that shows it; a line that
//	  begins with a blank goes on
//
//	--- leader.go
//	@@
//	 context
//	-old
//	+new
//
// The functions of this package may be called concurrently.
package bugs

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed *.bug
var files embed.FS

// Bug is a mistake that can be put into the library.
type Bug struct {
	// Number identifies the bug. Those up to Listed are a list that circulates
	// among implementers; the others are from this project's own history.
	Number int
	// Name is that of the bug's file without its ending: "07-what-goes-wrong".
	Name string
	// Title says what goes wrong.
	Title string
	// Rule is the rule that it breaks, with its source.
	Rule string
	// Safety says that it can lose or contradict what was committed, promised or
	// read. The others break liveness, or a rule that protects against worse.
	Safety bool
	// Invariants name what may catch it, the most likely first: "S1" to "S21" as
	// in docs/testing.md, or "liveness".
	Invariants []string
	// Nodes is the number of members of the smallest group that shows it.
	Nodes int
	// Needs are the conditions without which it does not show; see Needs.
	Needs []Need
	// Chance is how likely a random run meets it.
	Chance Chance
	// Shows describes how it shows: who does what in which order.
	Shows string
	// Edits are the changes to the module's files.
	Edits []Edit
}

// Edit replaces one piece of a file of the module.
type Edit struct {
	// File is relative to the module's root, with slashes.
	File string
	// Old is replaced by New. Both are whole lines, each ending with a line break.
	Old, New string
}

// Chance says how likely a random run under the right conditions meets a bug.
type Chance string

// The chances.
const (
	// Often: within seconds of simulation.
	Often Chance = "often"
	// Seldom: within minutes.
	Seldom Chance = "seldom"
	// Steered: only if the run is made to look for it.
	Steered Chance = "steered"
)

// Listed is the last number of the list that NotApplicable completes.
const Listed = 50

// All returns every bug, by number. An error says which file is malformed.
func All() ([]Bug, error) {
	names, err := fs.Glob(files, "*.bug")
	if err != nil {
		return nil, fmt.Errorf("bugs: %w", err)
	}
	all := make([]Bug, 0, len(names))
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("bugs: %w", err)
		}
		b, err := parse(name, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Bug) int { return a.Number - b.Number })
	for i := 1; i < len(all); i++ {
		if all[i].Number == all[i-1].Number {
			return nil, fmt.Errorf("bugs: %s and %s have the same number", all[i-1].Name, all[i].Name)
		}
	}
	return all, nil
}

// Find returns the bug of that number.
func Find(number int) (Bug, error) {
	all, err := All()
	if err != nil {
		return Bug{}, err
	}
	for _, b := range all {
		if b.Number == number {
			return b, nil
		}
	}
	return Bug{}, fmt.Errorf("bugs: there is no bug %d", number)
}
