package main

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

// A bug in the program that has them all is the bug in a build of its own: the runs
// that show it are the same, to the hash of all that happened. The bugs are of every
// package that bugs change, and two of them of one function; RAFT_BUGS=build, as
// builds take long.
func TestTogetherIsAsApart(t *testing.T) {
	if os.Getenv("RAFT_BUGS") != "build" {
		t.Skip("RAFT_BUGS=build builds bugs")
	}
	t.Chdir("../../..")
	all, err := bugs.All()
	require.NoError(t, err)
	some, err := chosen(all, "21,23,104,19")
	require.NoError(t, err)
	seeds, err := readSeeds()
	require.NoError(t, err)
	together := &hunt{dir: t.TempDir()}
	require.NoError(t, together.build(all), "and with none active it is as the clean one")
	apart := bugs.Builder{Dir: t.TempDir(), ModuleRoot: ".", Package: "./cmd/raftsim"}
	for _, b := range some {
		one, err := together.programs.With(b)
		require.NoError(t, err)
		require.Equal(t, b.Number, one.Bug)
		other, err := apart.With(b)
		require.NoError(t, err)
		require.Zero(t, other.Bug)
		for _, s := range seeds {
			if s.bug == b.Number {
				require.Equal(t, output(t, other, s.args), output(t, one, s.args), b.Name)
			}
		}
		few := []string{"-runs", "5"}
		require.Equal(t, output(t, other, few), output(t, one, few), b.Name)
	}
}

// output returns what a program prints, whether or not it shows a violation.
func output(t *testing.T, p bugs.Program, args []string) string {
	out, err := run(context.Background(), p, append([]string{"-shrink", "0"}, args...)...)
	if err != nil {
		require.ErrorContains(t, err, "exit status 1")
	}
	require.Regexp(t, `(?m)^hash `, string(out))
	return string(out)
}
