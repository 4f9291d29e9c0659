package bugs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const wellFormed = `number: 7
title: a title: with a colon
rule: a rule
  that goes on
safety: yes
invariants: S6 S11a liveness
nodes: 3
needs: crash pipeline
chance: seldom

shows: first
	then

--- leader.go
@@
 	before
-	old
+	new

 	after
@@
-x
--- progress/progress.go
@@
+y
 z
`

// A bug file says what it says: nothing is dropped or guessed.
func TestParse(t *testing.T) {
	b, err := parse("07-a-title.bug", wellFormed)
	require.NoError(t, err)
	require.Equal(t, Bug{
		Number: 7, Name: "07-a-title", Title: "a title: with a colon", Rule: "a rule that goes on", Safety: true,
		Invariants: []string{"S6", "S11a", "liveness"}, Nodes: 3, Needs: []Need{Crash, Pipeline}, Chance: Seldom,
		Shows: "first then",
		Edits: []Edit{
			{File: "leader.go", Old: "\tbefore\n\told\n\n\tafter\n", New: "\tbefore\n\tnew\n\n\tafter\n"},
			{File: "leader.go", Old: "x\n", New: ""},
			{File: "progress/progress.go", Old: "z\n", New: "y\nz\n"},
		},
	}, b)
}

// A malformed bug file is an error that names the file and the fault.
func TestParseFaults(t *testing.T) {
	for _, test := range []struct{ from, to, fault string }{
		{"number: 7", "number: 8", "does not begin with the number 8"},
		{"number: 7", "number: seven", "number:"},
		{"number: 7\n", "", "no number"},
		{"title: a title: with a colon", "title", "is no 'key: value'"},
		{"nodes: 3", "nodes: 0", "nodes: 0"},
		{"nodes: 3", "nodes: 3\nnodes: 3", "a repeated one"},
		{"nodes: 3", "nodes: 3\ncolour: red", `unknown keys ["colour"]`},
		{"number: 7", "  number: 7", "continues nothing"},
		{"safety: yes", "safety: maybe", "neither yes nor no"},
		{"invariants: S6", "invariants: S22", `invariant "S22"`},
		{"invariants: S6", "invariants: S06", `invariant "S06"`},
		{"invariants: S6", "invariants: S6 S6", `invariant "S6"`},
		{"needs: crash", "needs: crush", `unknown need "crush"`},
		{"chance: seldom", "chance: never", `unknown chance "never"`},
		{"shows: first\n\tthen\n", "", "no shows"},
		{"--- leader.go", "--- ../leader.go", "no Go file of the module"},
		{"--- leader.go", "--- leader.txt", "no Go file of the module"},
		{"--- leader.go\n@@\n", "--- leader.go\n", "outside of an edit"},
		{"-\told\n+\tnew", "-\told\n+\told", "changes nothing"},
		{"@@\n-x\n", "@@\n+x\n", "replaces nothing"},
		{"+\tnew", "*\tnew", "has no mark"},
		{wellFormed[strings.Index(wellFormed, "--- leader.go"):], "", "no edits"},
	} {
		text := strings.Replace(wellFormed, test.from, test.to, 1)
		require.NotEqual(t, wellFormed, text, test.from)
		_, err := parse("07-a-title.bug", text)
		require.ErrorContains(t, err, test.fault, test.to)
		require.ErrorContains(t, err, "07-a-title.bug")
	}
}
