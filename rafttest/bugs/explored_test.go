package bugs_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

// A bug against safety is found by exploration, or there is a reason why it is not; never both, so that a reason that is
// none any more goes.
func TestEverySafetyBugIsExploredOrHasAReason(t *testing.T) {
	where := map[int]string{}
	found, err := bugs.Explored()
	require.NoError(t, err)
	last := 0
	for _, f := range found {
		require.Greater(t, f.Bug, last, "in order, each once")
		last = f.Bug
		require.Positive(t, f.Depth)
		where[f.Bug] = f.String()
	}
	last = 0
	for _, u := range bugs.Unexplored() {
		require.Greater(t, u.Number, last, "in order, each once")
		last = u.Number
		require.Empty(t, where[u.Number], "bug %d is found, and has a reason", u.Number)
		require.NotEmpty(t, u.Why)
		where[u.Number] = u.Why
	}
	for _, b := range allBugs(t) {
		if b.Safety {
			require.NotEmpty(t, where[b.Number], "%s: neither found by exploration nor is there a reason", b.Name)
		} else {
			require.Empty(t, where[b.Number], "%s is none against safety", b.Name)
		}
		delete(where, b.Number)
	}
	require.Empty(t, where, "there are no such bugs")
}

// The tables of docs/testing.md are those that the records make.
func TestExploredTableIsInTheDocs(t *testing.T) {
	table, err := bugs.ExploredTable()
	require.NoError(t, err)
	docs, err := os.ReadFile(moduleRoot + "/docs/testing.md")
	require.NoError(t, err)
	require.Contains(t, string(docs), table, "go run ./rafttest/bugs/hunt -table prints it")
}
