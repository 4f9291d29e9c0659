package confchange

import (
	"fmt"
	"math/bits"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// naiveFailures returns how many voters of c may fail, whichever: it tries all sets of nodes up to 7.
func naiveFailures(c Config) int {
	least := 8
	for down := range uint(1) << 8 {
		voters := uint(0)
		for _, id := range c.Voters.IDs() {
			voters |= 1 << id
		}
		if down&^voters == 0 && !decides(c, ^down) {
			least = min(least, bits.OnesCount(down))
		}
	}
	return least - 1
}

// A group bears the failures of a minority, and a joint one of a minority of each half (dissertation §4.3).
func TestResilience(t *testing.T) {
	for _, test := range []struct {
		config   string
		quorums  [2]int
		failures int
	}{
		{"", [2]int{}, 0},
		{"1", [2]int{1, 0}, 0},
		{"1 2 | learners 3 4", [2]int{2, 0}, 0},
		{"1 2 3", [2]int{2, 0}, 1},
		{"1 2 3 4 5", [2]int{3, 0}, 2},
		{"1 2 3 4 5 & 1 2", [2]int{3, 2}, 0},
		{"1 2 & 1 2 3 4 5", [2]int{2, 3}, 0},
		{"4 5 6 & 1 2 3", [2]int{2, 2}, 1},
	} {
		require.Equal(t, Resilience{Quorums: test.quorums, Failures: test.failures}, ResilienceOf(parse(t, test.config)), test.config)
	}
	for _, c := range append(plainConfigs(5), jointConfigs(4)...) {
		if len(c.Voters[0]) > 0 {
			require.Equal(t, naiveFailures(c), ResilienceOf(c).Failures, "%v", c)
		}
	}
}

// Before anything is proposed an operator sees each step with the configuration after it, and when the group bears least.
func TestPreflight(t *testing.T) {
	c := withTarget(t, parse(t, "1 2 3"), "1", 9) // one that stands does not count
	target := parseTarget(t, "1 4 5 | learners 2")
	target.Version = 4
	r, err := Preflight(c, target)
	require.NoError(t, err)
	var lines []string
	for _, s := range r.Steps {
		lines = append(lines, fmt.Sprintf("%v -> %v %v", s.Step, s.Config, s.Resilience))
	}
	require.Equal(t, []string{
		`add learner (4): "l4" -> voters=(1 2 3) learners=(4) {[2 0] 1}`,
		`add learner (5): "l5" -> voters=(1 2 3) learners=(4 5) {[2 0] 1}`,
		`catch up (4 5) -> voters=(1 2 3) learners=(4 5) {[2 0] 1}`,
		`change voters (2 3 4 5): "l2 r3 v4 v5" -> voters=(1 4 5)&&(1 2 3) learners_next=(2) autoleave {[2 2] 1}`,
		`await leave -> voters=(1 4 5) learners=(2) {[2 0] 1}`,
	}, lines)
	require.Equal(t, []uint64{2, 3}, r.Leaving)
	for _, resilience := range []Resilience{r.Before, r.During, r.After} {
		require.Equal(t, 1, resilience.Failures)
	}

	r, err = Preflight(parse(t, "1 2 3 4"), parseTarget(t, "1 2 5 6 7"))
	require.NoError(t, err)
	require.Equal(t, []int{1, 1, 2}, []int{r.Before.Failures, r.During.Failures, r.After.Failures})

	r, err = Preflight(parse(t, "1 2 3 4 5"), parseTarget(t, "1 6"))
	require.NoError(t, err)
	require.Equal(t, Resilience{Quorums: [2]int{2, 3}, Failures: 0}, r.During)

	r, err = Preflight(parse(t, "1 2 3"), parseTarget(t, "1 2"))
	require.NoError(t, err)
	require.Len(t, r.Steps, 1)
	require.Equal(t, []int{1, 0, 0}, []int{r.Before.Failures, r.During.Failures, r.After.Failures}, "nothing is between")

	r, err = Preflight(parse(t, "1"), parseTarget(t, "1"))
	require.NoError(t, err)
	require.Equal(t, Report{Before: ResilienceOf(parse(t, "1")), During: r.Before, After: r.Before}, r)

	for _, bad := range []struct {
		c  Config
		t  raftpb.MembershipTarget
		is error
	}{
		{parse(t, "1"), raftpb.MembershipTarget{}, ErrInvalidTarget},
		{Config{}, parseTarget(t, "1"), ErrNoVoters},
		{parse(t, "1 1"), parseTarget(t, "1"), ErrInvalidConfig},
	} {
		r, err := Preflight(bad.c, bad.t)
		require.ErrorIs(t, err, bad.is)
		require.Equal(t, Report{}, r)
	}
}

// What was announced is what happens, whoever leads: the same changes in the same order, and never fewer failures to bear
// than was said.
func TestPreflightIsThePlan(t *testing.T) {
	rnd := rand.New(rand.NewSource(4))
	codes := make([]int, 7)
	runs := 0
	for range 20_000 {
		for i := range codes {
			codes[i] = rnd.Intn(18)
			if i%2 == 0 {
				codes[i] = rnd.Intn(9) // or hardly any is plain
			}
		}
		c, target, ok := pairOf(codes, rnd.Perm(7), rnd.Intn(2) == 0)
		if !ok {
			continue
		}
		runs++
		r, err := Preflight(c, target)
		require.NoError(t, err)
		if n := len(r.Steps); n > 1 {
			least := 8
			for _, s := range r.Steps[:n-1] {
				least = min(least, naiveFailures(s.Config))
			}
			require.Equal(t, least, r.During.Failures, "from %v to %v", c, &target)
		}
		leader := c.Voters[0][rnd.Intn(len(c.Voters[0]))]
		d := drive(c, target, leader, func(c Config, _ uint64) {
			if least := min(r.Before.Failures, r.During.Failures, r.After.Failures); ResilienceOf(c).Failures < least {
				t.Fatalf("from %v to %v: %v bears less than %d", c, &target, c, least)
			}
		})
		d.require(t, leader)
		var steps, planned []string
		for _, step := range d.steps {
			if step.Kind != StepHandOver {
				steps = append(steps, step.String())
			} else {
				require.True(t, contains(r.Leaving, leader) || c.Joint())
			}
		}
		for _, s := range r.Steps {
			planned = append(planned, s.Step.String())
		}
		require.Equal(t, steps, planned, "from %v to %v", c, &target)
	}
	require.Greater(t, runs, 500)
}
