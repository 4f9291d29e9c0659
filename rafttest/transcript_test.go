package rafttest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
)

// Each script of testdata states a rule of the protocol with its source, drives nodes step by step and shows every
// effect: what stands there was read against the paper before it was accepted. After a change, run with -rewrite,
// and read the difference in the same way.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(source), "#"), "%s must begin with the rule that it shows", path)
		runTranscript(t, path, map[raft.Reason]bool{})
	})
}

// Every reason that Explain can return is shown by a script in which it is true, so that none is forgotten or
// cannot happen.
func TestExplainScenarios(t *testing.T) {
	// These say why Campaign and LeaseRead do nothing; Explain has no place for them.
	notExplained := map[raft.Reason]string{
		raft.ReasonIsLeader:  "explain_errors.txt: Campaign at a leader does nothing",
		raft.ReasonLeasesOff: "explain_errors.txt: LeaseRead is refused",
	}
	seen := map[raft.Reason]bool{}
	scripts, err := filepath.Glob("testdata/explain_*.txt")
	require.NoError(t, err)
	for _, path := range scripts {
		t.Run(filepath.Base(path), func(t *testing.T) { runTranscript(t, path, seen) })
	}
	for reason := raft.Reason(1); !strings.HasPrefix(reason.String(), "Reason("); reason++ {
		if _, never := notExplained[reason]; never {
			require.False(t, seen[reason], "Explain does return %v", reason)
			continue
		}
		require.True(t, seen[reason], "no script testdata/explain_*.txt in which Explain returns %v", reason)
	}
	require.NotEmpty(t, seen)
}

func runTranscript(t *testing.T, path string, reasons map[raft.Reason]bool) {
	tr := &transcript{reasons: reasons}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		tr.out.Reset()
		for _, one := range commandsOf(t, d) {
			tr.run(t, one)
		}
		if tr.out.Len() == 0 {
			return "ok\n"
		}
		return tr.out.String()
	})
}

// commandsOf returns the commands of a block, one a line; the lines after 'step' are messages.
func commandsOf(t *testing.T, d *datadriven.TestData) []*datadriven.TestData {
	all := []*datadriven.TestData{d}
	if d.Cmd == "step" {
		return all
	}
	for _, line := range strings.Split(d.Input, "\n") {
		cmd, cmdArgs, err := datadriven.ParseLine(line)
		require.NoError(t, err, d.Pos)
		if cmd != "" {
			all = append(all, &datadriven.TestData{Pos: d.Pos, Cmd: cmd, CmdArgs: cmdArgs})
		}
	}
	return all
}

func (t *transcript) run(test *testing.T, d *datadriven.TestData) {
	run, known := commands[d.Cmd]
	if !known {
		d.Fatalf(test, "unknown command %q", d.Cmd)
	}
	a := &args{t: test, d: d}
	t.quiet = a.flag("quiet")
	if err := run(t, a); err != nil {
		t.print("%s", describeError(err))
	}
	if rest := a.unused(); len(rest) > 0 {
		d.Fatalf(test, "%s: unknown arguments %q", d.Cmd, rest)
	}
}

// args are the arguments of a command: words in order, and settings by name.
type args struct {
	t    *testing.T
	d    *datadriven.TestData
	used []int
}

func (a *args) unused() []string {
	var rest []string
	for i, arg := range a.d.CmdArgs {
		if !slices.Contains(a.used, i) {
			rest = append(rest, arg.Key)
		}
	}
	return rest
}

// words takes the remaining arguments without a value.
func (a *args) words() []string {
	var words []string
	for i, arg := range a.d.CmdArgs {
		if len(arg.Vals) == 0 && !slices.Contains(a.used, i) {
			a.used = append(a.used, i)
			words = append(words, arg.Key)
		}
	}
	return words
}

// word takes the next argument without a value, "" if there is none.
func (a *args) word() string {
	for i, arg := range a.d.CmdArgs {
		if len(arg.Vals) == 0 && !slices.Contains(a.used, i) {
			a.used = append(a.used, i)
			return arg.Key
		}
	}
	return ""
}

func (a *args) flag(name string) bool {
	for i, arg := range a.d.CmdArgs {
		if arg.Key == name && len(arg.Vals) == 0 {
			a.used = append(a.used, i)
			return true
		}
	}
	return false
}

func (a *args) values(name string) ([]string, bool) {
	for i, arg := range a.d.CmdArgs {
		if arg.Key == name && len(arg.Vals) > 0 {
			a.used = append(a.used, i)
			return arg.Vals, true
		}
	}
	return nil, false
}

func (a *args) value(name string) string {
	vals, _ := a.values(name)
	return strings.Join(vals, ",")
}

func (a *args) number(name string, def uint64) uint64 {
	vals, ok := a.values(name)
	if !ok {
		return def
	}
	n, err := number(vals[0])
	require.NoError(a.t, err, a.d.Pos)
	return n
}

func (a *args) int(name string, def int) int { return int(a.number(name, uint64(def))) }

func (a *args) numbers(name string) []uint64 {
	vals, _ := a.values(name)
	return a.parse(vals)
}

func (a *args) parse(words []string) []uint64 {
	var ns []uint64
	for _, w := range words {
		n, err := number(w)
		require.NoError(a.t, err, a.d.Pos)
		ns = append(ns, n)
	}
	return ns
}

// id takes the next word as a node's ID.
func (a *args) id() uint64 {
	n, err := number(a.word())
	require.NoError(a.t, err, a.d.Pos)
	return n
}

// node takes the next word as the ID of a node that runs.
func (a *args) node(tr *transcript) *host {
	h := tr.host(a.id())
	require.NotNil(a.t, h, a.d.Pos)
	require.False(a.t, h.crash, "%s: the node is down", a.d.Pos)
	return h
}

func (a *args) filter() filter {
	f := filter{from: a.numbers("from"), to: a.numbers("to")}
	f.types, _ = a.values("type")
	return f
}

func (a *args) fail(format string, args ...any) {
	a.d.Fatalf(a.t, "%s", fmt.Sprintf(format, args...))
}
