package bugs_test

import (
	"go/format"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

const moduleRoot = "../.."

func allBugs(t *testing.T) []bugs.Bug {
	all, err := bugs.All()
	require.NoError(t, err)
	return all
}

// Every number of the list of mistakes that circulates among implementers is
// either here or has a reason, so that none is forgotten; and most are here.
func TestEveryNumberIsHereOrHasAReason(t *testing.T) {
	where := map[int]string{}
	listed, last := 0, 0
	for _, b := range allBugs(t) {
		require.Greater(t, b.Number, last, "in order, each once")
		last = b.Number
		where[b.Number] = b.Name
		if b.Number <= bugs.Listed {
			listed++
		}
		found, err := bugs.Find(b.Number)
		require.NoError(t, err)
		require.Equal(t, b, found)
	}
	for _, a := range bugs.NotApplicable() {
		require.Empty(t, where[a.Number], "%d is not applicable, and here", a.Number)
		require.LessOrEqual(t, a.Number, bugs.Listed)
		require.NotEmpty(t, a.Title)
		require.NotEmpty(t, a.Why)
		where[a.Number] = a.Title
	}
	for n := 1; n <= bugs.Listed; n++ {
		require.NotEmpty(t, where[n], "%d is missing", n)
	}
	require.GreaterOrEqual(t, listed, 30)
	_, err := bugs.Find(8)
	require.ErrorContains(t, err, "no bug 8")
}

// A bug finds its places in the code as it is, once each, and what it makes is
// formatted code that differs: else it has to follow the code.
func TestEveryBugApplies(t *testing.T) {
	module := os.DirFS(moduleRoot)
	for _, b := range allBugs(t) {
		t.Run(b.Name, func(t *testing.T) {
			patched, err := b.Apply(module)
			require.NoError(t, err)
			require.NotEmpty(t, patched)
			for _, f := range patched {
				formatted, err := format.Source(f.Content)
				require.NoError(t, err, f.Name)
				require.Equal(t, string(formatted), string(f.Content), f.Name)
				present, err := os.ReadFile(moduleRoot + "/" + f.Name)
				require.NoError(t, err)
				require.NotEqual(t, string(present), string(f.Content), f.Name)
				require.False(t, strings.HasSuffix(f.Name, "_test.go") || strings.HasSuffix(f.Name, ".pb.go"), f.Name)
			}
		})
	}
}

// What nobody can look for is not worth keeping: every bug that breaks safety names
// a general invariant, every other one names a rule or liveness, and all say how
// they show.
func TestEveryBugSaysHowItShows(t *testing.T) {
	for _, b := range allBugs(t) {
		if b.Safety {
			require.NotEqual(t, "liveness", b.Invariants[0], b.Name)
		}
		require.NotEmpty(t, b.Needs, b.Name)
		require.Greater(t, len(b.Shows), 80, b.Name)
		require.Contains(t, b.Shows, ".", b.Name)
		require.Equal(t, strings.ToLower(b.Name), b.Name)
		require.NotContains(t, b.Name, " ")
		if slices.Contains(b.Needs, bugs.LeaseReads) {
			require.Contains(t, b.Needs, bugs.Leases, b.Name)
		}
	}
}

// An edit replaces whole lines at the only place that has them; anything else is an
// error and no guess.
func TestApply(t *testing.T) {
	source := "package a\n\nvar one = 1\nvar two = 2\n\nvar onetwo = 3\nvar two = 2\n// x\n// x\n// x\n"
	apply := func(edits ...bugs.Edit) (string, error) {
		b := bugs.Bug{Name: "00-x", Edits: edits}
		patched, err := b.Apply(fstest.MapFS{"a/a.go": {Data: []byte(source)}})
		if err != nil {
			return "", err
		}
		require.Len(t, patched, 1)
		require.Equal(t, "a/a.go", patched[0].Name)
		return string(patched[0].Content), nil
	}
	edit := func(from, to string) bugs.Edit { return bugs.Edit{File: "a/a.go", Old: from, New: to} }

	out, err := apply(edit("var onetwo = 3\nvar two = 2\n", "var four = 4\n"), edit("var one = 1\n", ""),
		edit("package a\n", "package b\n"))
	require.NoError(t, err)
	require.Equal(t, "package b\n\nvar two = 2\n\nvar four = 4\n// x\n// x\n// x\n", out)

	for name, edits := range map[string][]bugs.Edit{
		"gone":                                  {edit("var three = 3\n", "")},
		"twice":                                 {edit("var two = 2\n", "")},
		"twice, overlapping":                    {edit("// x\n// x\n", "")},
		"part of a line":                        {edit("two = 2\n", "")},
		"overlapping":                           {edit("var one = 1\nvar two = 2\n", ""), edit("var one = 1\n", "")},
		"found only in what another edit wrote": {edit("var one = 1\n", "var five = 5\n"), edit("var five = 5\n", "")},
	} {
		_, err := apply(edits...)
		require.ErrorIs(t, err, bugs.ErrMoved, name)
		require.ErrorContains(t, err, "00-x", name)
		require.ErrorContains(t, err, "a/a.go", name)
	}
	_, err = apply(bugs.Edit{File: "b.go", Old: "x\n"})
	require.ErrorIs(t, err, os.ErrNotExist)
}
