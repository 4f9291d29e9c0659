package mixed

import (
	"os"
	"strconv"
	"testing"

	"github.com/quorate-raft/raft/rafttest/sim"
)

func TestMixed(t *testing.T) {
	n := 500
	if s := os.Getenv("MIXED"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	rules := map[string]int{}
	var sum sim.Stats
	for seed := range uint64(n) {
		r := sim.Run(Options(seed))
		sum.Add(&r.Stats)
		if r.Violation != nil {
			rules[r.Violation.Rule]++
			if rules[r.Violation.Rule] < 4 {
				t.Logf("seed %d: %.900s", seed, r.Violation.Error())
			}
		}
	}
	t.Log(rules)
	t.Logf("%+v", sum)
}
