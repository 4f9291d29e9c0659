package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// injected are failures that show soon, after a restart, and when several entries
// go in one message.
var injected = map[string]func(o *Options){
	"a machine that differs": func(o *Options) {
		o.NewMachine = func(id uint64) StateMachine { return byNode{&ledger{}, id} }
		o.Commands = ledgerCommand
	},
	"a storage without votes": func(o *Options) {
		o.OpenStorage = func(id uint64, created bool) (rafttest.Storage, error) {
			s, err := newStorages().open(id, true) // a new one for each life
			return forgetsVote{s}, err
		}
	},
	"a transport that turns entries around": func(o *Options) {
		o.NewTransport = func(uint64) Transport { return codec{reverse} }
	},
}

// violating returns options of runs that violate something, of the first seeds
// that do, with what went wrong in each.
func violating(t *testing.T, count int, options func(seed uint64) Options) (found []Options, whole []Result) {
	t.Helper()
	for seed := uint64(1); len(found) < count; seed++ {
		require.LessOrEqual(t, seed, uint64(100), "found %d", len(found))
		o := options(seed)
		if r := Run(o); r.Violation != nil {
			found, whole = append(found, o), append(whole, r)
		}
	}
	return found, whole
}

// said is what can be said of options in a command.
func said(o Options) Options {
	return Options{Seed: o.Seed, Steps: o.Steps, Nodes: o.Nodes, Faults: o.Faults, Skip: o.Skip}
}

// A run that violates a rule shrinks to one that violates the same, no later and
// after no more faults, and that repeats from its options alone; the same run
// shrinks to the same.
func TestShrink(t *testing.T) {
	t.Parallel()
	for name, inject := range injected {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs, results := violating(t, 2, func(seed uint64) Options {
				o := Options{Seed: seed, Faults: All}
				inject(&o)
				return o
			})
			for i, o := range runs {
				whole := results[i]
				short, r := Shrink(o, 40)
				require.NotNil(t, r.Violation)
				require.Equal(t, whole.Violation.Rule, r.Violation.Rule)
				require.Equal(t, r, Run(short))
				require.LessOrEqual(t, r.Violation.Step, whole.Violation.Step)
				require.LessOrEqual(t, r.Stats.Steps, whole.Stats.Steps)
				require.LessOrEqual(t, r.Stats.Faults, whole.Stats.Faults)
				require.Zero(t, short.Faults&^All)
				require.LessOrEqual(t, short.Steps, uint64(defaultSteps))
				require.Equal(t, o.Seed, short.Seed)
				require.NoError(t, short.Validate())
				if k := len(short.Skip); k > 0 {
					require.LessOrEqual(t, short.Skip[k-1].Last, r.Violation.Planned, "nothing behind the end")
				}
				again, same := Shrink(o, 40)
				require.Equal(t, said(short), said(again))
				require.Equal(t, r, same)
			}
		})
	}
}

// What a failure does not need goes, in most cases: here all planned faults and
// their families do, as a machine differs after some commands whatever happens.
func TestShrinkLeavesOutMost(t *testing.T) {
	t.Parallel()
	runs, bare, quiet := 0, 0, 0
	for seed := uint64(1); runs < 5 && seed < 100; seed++ {
		o := Options{Seed: seed, Faults: All, Commands: ledgerCommand}
		o.NewMachine = func(id uint64) StateMachine { return differsLate{&ledger{}, id} }
		if whole := Run(o); whole.Violation == nil || whole.Stats.Faults < 5 {
			continue
		}
		runs++
		short, r := Shrink(o, 120)
		if r.Stats.Faults == 0 {
			bare++
		}
		if short.Faults == None {
			quiet++
		}
	}
	require.Equal(t, 5, runs)
	require.GreaterOrEqual(t, bare, 3)
	require.GreaterOrEqual(t, quiet, 2)
}

type differsLate struct {
	*ledger
	id uint64
}

func (d differsLate) Apply(index uint64, command []byte) []byte {
	if d.seen < 100 {
		return d.ledger.Apply(index, command)
	}
	return byNode(d).Apply(index, command)
}

// What a failure needs stays: a storage that forgets the vote shows at a restart,
// so one of the few faults that are left restarts a node.
func TestShrinkKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	runs, results := violating(t, 3, func(seed uint64) Options {
		o := Options{Seed: seed, Faults: Crash, Nodes: 3}
		injected["a storage without votes"](&o)
		return o
	})
	few := 0
	for i := range runs {
		short, r := Shrink(runs[i], 150)
		require.Equal(t, Crash, short.Faults)
		require.NotZero(t, r.Stats.Faults)
		require.NotZero(t, r.Stats.Crashes)
		if r.Stats.Faults <= 2 || r.Stats.Faults < results[i].Stats.Faults/4 {
			few++
		}
		// Without any of them there is no violation as early as that.
		bare := short
		bare.Skip = Spans{{1, lastPlanned}}
		v := Run(bare).Violation
		require.True(t, v == nil || v.Step > r.Violation.Step)
	}
	require.GreaterOrEqual(t, few, 2)
}

// A violation that shows only while the group should recover is looked for after
// fewer steps: here nobody campaigns, so that there is no leader (L1).
func TestShrinkRecovery(t *testing.T) {
	t.Parallel()
	runs, results := violating(t, 1, func(seed uint64) Options {
		return Options{Seed: seed, Nodes: 3, Steps: 6000, Faults: Network, Configure: func(_ uint64, c *raft.Config) {
			c.ElectionTick = 1_000_000 // nobody ever campaigns
		}}
	})
	for i := range runs {
		require.Greater(t, results[i].Violation.Step, runs[i].Steps)
		short, r := Shrink(runs[i], 40)
		require.Equal(t, results[i].Violation.Rule, r.Violation.Rule)
		require.Less(t, short.Steps, runs[i].Steps/10)
		require.Less(t, r.Stats.Steps, results[i].Stats.Steps)
		require.Equal(t, r, Run(short))
	}
}

// A shorter run counts if it violates the same rule, no later than the whole run
// did, after no more faults than the best so far; each of them is needed.
func TestShrinkTakes(t *testing.T) {
	t.Parallel()
	found, results := violating(t, 1, func(seed uint64) Options {
		o := Options{Seed: seed, Faults: Crash, Nodes: 3}
		injected["a storage without votes"](&o)
		return o
	})
	v, faults := results[0].Violation, results[0].Stats.Faults
	require.NotZero(t, faults)
	for name, c := range map[string]struct {
		rule   string
		step   uint64
		faults uint64
		takes  bool
	}{
		"as good":     {v.Rule, v.Step, faults, true},
		"better":      {v.Rule, v.Step + 1, faults + 1, true},
		"other rule":  {v.Rule + "0", v.Step, faults, false},
		"later":       {v.Rule, v.Step - 1, faults, false},
		"more faults": {v.Rule, v.Step, faults - 1, false},
	} {
		sh := shrinker{rule: c.rule, step: c.step, tries: 1}
		sh.result.Stats.Faults = c.faults
		before := sh.result
		require.Equal(t, c.takes, sh.try(found[0]), name)
		if c.takes {
			require.Equal(t, results[0], sh.result, name)
			require.Equal(t, said(found[0]), said(sh.best), name)
		} else {
			require.Equal(t, before, sh.result, name)
			require.Equal(t, Options{}, sh.best, name)
		}
		require.False(t, sh.try(found[0]), "no tries are left")
	}
}

// Shrink makes no more runs than it may; the more it may make, the fewer faults
// are left.
func TestShrinkTries(t *testing.T) {
	t.Parallel()
	runs := 0
	found, results := violating(t, 1, func(seed uint64) Options {
		return Options{Seed: seed, Nodes: 3, Faults: Crash | Network, OpenStorage: func(id uint64, created bool) (rafttest.Storage, error) {
			if id == 1 && created {
				runs++
			}
			s, err := newStorages().open(id, true)
			return forgetsVote{s}, err
		}}
	})
	last := results[0].Stats.Faults
	for _, tries := range []int{-1, 0, 1, 2, 3, 10, 60} {
		runs = 0
		_, r := Shrink(found[0], tries)
		require.NotNil(t, r.Violation)
		require.Positive(t, runs)
		require.LessOrEqual(t, runs, max(1, tries))
		require.LessOrEqual(t, r.Stats.Faults, last)
		last = r.Stats.Faults
	}
}

// A clean run stays as it is, and who watches is not shown the tries.
func TestShrinkClean(t *testing.T) {
	t.Parallel()
	o := Options{Seed: 4, Steps: 3000, Nodes: 3, Faults: All, Skip: Spans{{2, 5}}}
	same, r := Shrink(o, 100)
	require.Nil(t, r.Violation)
	require.Equal(t, o, same)
	require.Equal(t, Run(o), r)

	found, _ := violating(t, 1, func(seed uint64) Options {
		o := Options{Seed: seed, Faults: All}
		injected["a machine that differs"](&o)
		return o
	})
	seen := 0
	found[0].Observer = func(*trace.Event) { seen++ }
	short, _ := Shrink(found[0], 30)
	require.Zero(t, seen)
	Run(short)
	require.NotZero(t, seen, "it is kept for the run that is left")
}
