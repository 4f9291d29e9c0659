package invariant

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A group whose parts all do what they should breaks no rule, whatever the
// network loses, repeats and reorders, and wherever nodes crash (Raft figure 3;
// the rules are those of docs/testing.md).
func TestCleanRuns(t *testing.T) {
	steps, seeds := 20_000, 12
	if testing.Short() {
		seeds = 3
	}
	var sum Stats
	for seed := range seeds {
		for _, n := range []int{3, 5} {
			t.Run(fmt.Sprintf("seed=%d/nodes=%d", seed, n), func(t *testing.T) {
				s := runClean(t, n, uint64(seed), steps)
				sum.Elections += s.Elections
				sum.JointConfs += s.JointConfs
				sum.Impossible += s.Impossible
				sum.Snapshots += s.Snapshots
				sum.Reads += s.Reads
				sum.LeaseReads += s.LeaseReads
				sum.Transfers += s.Transfers
				sum.Lives += s.Lives
				sum.Committed += s.Committed
			})
		}
	}
	t.Logf("%+v", sum)
	for name, n := range map[string]uint64{
		"elections": sum.Elections, "joint": sum.JointConfs, "snapshots": sum.Snapshots,
		"reads": sum.Reads, "lease reads": sum.LeaseReads, "transfers": sum.Transfers, "committed": sum.Committed,
	} {
		require.NotZero(t, n, "no %s: the runs test nothing", name)
	}
}

func runClean(t *testing.T, n int, seed uint64, steps int) Stats {
	g := newGroup(t, n, seed)
	g.lease, g.calm = seed%2 == 1, int(seed%5)*int(seed%5)
	if g.lease {
		for _, h := range g.hosts {
			g.crash(h, true)
		}
	}
	g.add(uint64(n+1), nil)
	for i := range steps {
		g.step()
		require.Nil(t, g.v, "step %d", i)
	}
	return g.c.Stats()
}
