package mixed

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/sim"
	"github.com/quorate-raft/raft/rafttest/trace"

	ours "github.com/quorate-raft/raft"
)

func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// tally is what a number of runs had.
type tally struct {
	sim.Stats
	// settings are those of lives, by PreVote and CheckQuorum; changed the
	// restarts as another kind.
	settings [2][2]uint64
	lives    [3]uint64
	changed  [3][3]uint64
	led      [3]uint64
	stalls   []string
}

// watched makes the run of a seed and counts what the test is about.
func watched(seed uint64) (sim.Result, *tally) {
	c := &tally{}
	kinds := map[uint64]Kind{}
	o := Options(seed, func(cfg *ours.Config, k Kind) {
		c.lives[k]++
		c.settings[bit(!cfg.DisablePreVote)][bit(!cfg.DisableCheckQuorum)]++
		if was, again := kinds[cfg.ID]; again {
			c.changed[was][k]++
		}
		kinds[cfg.ID] = k
	})
	o.Observer = func(e *trace.Event) {
		if e.Kind == trace.Role && e.Role == ours.StateLeader {
			c.led[kinds[e.Node]]++
		}
	}
	r := sim.Run(o)
	c.Stats = r.Stats
	if v := r.Violation; v != nil && stalls[v.Rule] {
		c.stalls = append(c.stalls, fmt.Sprintf("seed %d with %v: %v", seed, kinds, v))
	}
	return r, c
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *tally) add(o *tally) {
	c.Stats.Add(&o.Stats)
	for i := range c.lives {
		c.lives[i] += o.lives[i]
		c.led[i] += o.led[i]
		for j := range c.changed[i] {
			c.changed[i][j] += o.changed[i][j]
		}
	}
	for i := range c.settings {
		for j := range c.settings[i] {
			c.settings[i][j] += o.settings[i][j]
		}
	}
	c.stalls = append(c.stalls, o.stalls...)
}

// Nodes of both make one group that is as safe as one of either, and its clients'
// history is linearizable.
func TestMixed(t *testing.T) {
	first, count := number(t, "MIXED_SEED", 0), number(t, "MIXED_RUNS", 500)
	var next atomic.Uint64
	var mu sync.Mutex
	var all tally
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= count {
					return
				}
				r, c := watched(first + i)
				mu.Lock()
				all.add(c)
				if v := r.Violation; v != nil && len(c.stalls) == 0 {
					t.Errorf("seed %d: %v\nagain, with its last events: MIXED_SEED=%d MIXED_RUNS=1 go -C interop test -run '^TestMixed$' ./mixed",
						first+i, v, first+i)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	t.Logf("lives %v, as another kind %v, led %v, by PreVote and CheckQuorum %v", all.lives, all.changed, all.led, all.settings)
	t.Logf("%d steps, %d crashes, %d elections, %d commits, %d changes of configuration applied, %d snapshots, %d operations, %d stalled: %v",
		all.Steps, all.Crashes, all.Elections, all.Commits, all.ConfChanges, all.Snapshots, all.Operations, len(all.stalls), all.stalls)
	if count == 1 && (t.Failed() || len(all.stalls) > 0) {
		t.Errorf("%v", all.stalls)
		lastEvents(t, first)
	}
	if count < 500 {
		return
	}
	if uint64(len(all.stalls))*1000 > count*Stalls {
		t.Errorf("%d of %d runs did not recover", len(all.stalls), count)
	}
	// What a run is worth: everything that the test claims did happen, often.
	for was := range all.changed {
		require.Greater(t, all.led[was], count/10, "leaders of kind %v", Kind(was))
		for is := range all.changed[was] {
			require.Greater(t, all.changed[was][is], count/10, "restarts of %v as %v", Kind(was), Kind(is))
		}
	}
	for _, s := range all.settings {
		require.Greater(t, min(s[0], s[1]), count/10, "PreVote and CheckQuorum")
	}
	for m, reached := range all.Marks {
		if mark := sim.Mark(m); mark.Expected(Options(0, nil)) && reached == 0 {
			t.Errorf("no run reached: %v", mark)
		}
	}
}

// lastEvents shows how a run ended.
func lastEvents(t *testing.T, seed uint64) {
	var lines []string
	o := Options(seed, func(c *ours.Config, k Kind) { lines = append(lines, fmt.Sprintf("node %d is %v", c.ID, k)) })
	o.Observer = func(e *trace.Event) { lines = append(lines, e.String()) }
	sim.Run(o)
	t.Log(strings.Join(lines[max(0, len(lines)-200):], "\n"))
}

// A seed is the same run each time, although etcd's raft draws its election timeouts
// from a global source.
func TestSeedIsTheRun(t *testing.T) {
	for seed := range uint64(20) {
		require.Equal(t, sim.Run(Options(seed, nil)), sim.Run(Options(seed, nil)), "seed %d", seed)
	}
}

// hasty is etcd's raft with a host that sends at once what rests on its writes.
type hasty struct{ sim.Foreign }

func (h hasty) Ready() ours.Ready {
	rd := h.Foreign.Ready()
	rd.Messages = append(rd.Messages, rd.MessagesAfterAppend...)
	rd.MessagesAfterAppend = nil
	return rd
}

// forgetful is a host that loses the hard state, as of now.
type forgetful struct{ sim.Foreign }

func (h forgetful) Ready() ours.Ready {
	rd := h.Foreign.Ready()
	if rd.HardState.Vote != 0 {
		rd.HardState.Vote = 0
	}
	return rd
}

// The judge judges etcd's nodes too: it names the rule that a broken host breaks.
func TestBrokenHostIsCaught(t *testing.T) {
	for name, test := range map[string]struct {
		broken func(sim.Foreign) sim.Foreign
		rule   string
	}{
		"sends before it writes": {func(f sim.Foreign) sim.Foreign { return hasty{f} }, "S8"},
		"forgets its vote":       {func(f sim.Foreign) sim.Foreign { return forgetful{f} }, "S8"},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(50) {
				o := Options(seed, nil)
				foreign := o.NewForeign
				o.NewForeign = func(c *ours.Config) (sim.Foreign, error) {
					f, err := foreign(c)
					if f == nil || err != nil {
						return nil, err
					}
					return test.broken(f), nil
				}
				if v := sim.Run(o).Violation; v != nil && v.Rule == test.rule {
					return
				}
			}
			t.Errorf("nothing breaks %s", test.rule)
		})
	}
}
