package bugs

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// ExploredFile is the file of what exploration found, from the root of the module.
const ExploredFile = "rafttest/bugs/explored.txt"

//go:embed explored.txt
var explored string

// Finding is a bug that exploration finds: `raftsim explore` with Args ends with a violation of Rule, and no shorter
// path leads to one.
type Finding struct {
	Bug   int
	Rule  string
	Depth int
	// Args are the flags that make the model.
	Args []string
}

// String is the line of the file.
func (f Finding) String() string {
	return fmt.Sprintf("%d %s %d %s", f.Bug, f.Rule, f.Depth, strings.Join(f.Args, " "))
}

// Explored returns what is recorded in ExploredFile, in its order.
func Explored() ([]Finding, error) {
	var all []Finding
	for line := range strings.Lines(explored) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		f, err := parseFinding(fields)
		if err != nil {
			return nil, fmt.Errorf("bugs: %s: bad line %q", ExploredFile, line)
		}
		all = append(all, f)
	}
	return all, nil
}

func parseFinding(fields []string) (f Finding, err error) {
	if len(fields) < 4 || !isInvariant(fields[1]) {
		return f, strconv.ErrSyntax
	}
	f.Rule, f.Args = fields[1], fields[3:]
	if f.Bug, err = strconv.Atoi(fields[0]); err == nil {
		f.Depth, err = strconv.Atoi(fields[2])
	}
	return f, err
}

// ExploredTable returns the tables of docs/testing.md: the bugs that are found, and why others are not.
func ExploredTable() (string, error) {
	found, err := Explored()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| bug | what goes wrong | rule | depth | model |\n|---|---|---|---|---|\n")
	for _, f := range found {
		bug, err := Find(f.Bug)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %d | `%s` |\n", f.Bug, bug.Title, f.Rule, f.Depth, strings.Join(f.Args, " "))
	}
	b.WriteString("\n| bug | what goes wrong | why exploration does not find it |\n|---|---|---|\n")
	for _, u := range Unexplored() {
		bug, err := Find(u.Number)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", u.Number, bug.Title, u.Why)
	}
	return b.String(), nil
}
