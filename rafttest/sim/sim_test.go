package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// traced makes a run and returns all that an observer sees of it.
func traced(o Options) (Result, string) {
	var b strings.Builder
	o.Observer = func(e *trace.Event) { fmt.Fprintln(&b, e) }
	return Run(o), b.String()
}

// One seed is one run: the same options give the same events, byte for byte, the
// same hash and the same counts, watched or not, alone or beside others.
func TestSameSeedSameRun(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		o := Options{Seed: seed, Steps: 5000, Faults: All}
		first, text := traced(o)
		done := make(chan Result, 2)
		for range 2 {
			go func() { done <- Run(o) }()
		}
		second, again := traced(o)
		require.Equal(t, text, again)
		require.Equal(t, first, second)
		require.Equal(t, first, <-done)
		require.Equal(t, first, <-done)
	}
}

// Different seeds are different runs.
func TestOtherSeedOtherRun(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := uint64(1); seed <= 50; seed++ {
		hash := Run(Options{Seed: seed, Steps: 200, Faults: All}).Hash
		require.Zero(t, seen[hash], "seeds %d and %d", seen[hash], seed)
		seen[hash] = seed
	}
}

// Under every profile alone, under none and under all, with groups of all sizes,
// no invariant is violated.
func TestProfiles(t *testing.T) {
	check := func(o Options) {
		t.Helper()
		if v := Run(o).Violation; v != nil {
			t.Fatalf("%v\nreplay: %s", v, ReplayCommand(o))
		}
	}
	for seed := uint64(1); seed <= 4; seed++ {
		check(Options{Seed: seed, Steps: 5000, Faults: None})
		for one := Faults(1); one < endOfFaults; one <<= 1 {
			check(Options{Seed: seed, Steps: 5000, Faults: one})
		}
		for nodes := 1; nodes <= maxFirst; nodes++ {
			check(Options{Seed: seed, Steps: 5000, Nodes: nodes, Faults: All})
		}
	}
}

// With clocks far outside the declared bound leases do not hold, and the check
// of lease reads sees it: it is not vacuous (S15). Inside the bound they hold.
func TestLeasesNeedTheirBound(t *testing.T) {
	var drifting, bounded Stats
	for seed := uint64(1); seed <= 60; seed++ {
		for stats, faults := range map[*Stats]Faults{&drifting: Drift | Network | Crash | Transfer, &bounded: Lease | Clock | Network} {
			r := Run(Options{Seed: seed, Steps: 20_000, Nodes: 3, Faults: faults})
			require.Nil(t, r.Violation, "seed %d", seed)
			stats.Add(&r.Stats)
		}
	}
	require.NotZero(t, drifting.StaleLeases)
	require.NotZero(t, bounded.LeaseReads)
	require.Zero(t, bounded.StaleLeases)
}

// Leaving a planned fault out changes nothing before it, and leaving out all
// leaves none.
func TestSkip(t *testing.T) {
	o := Options{Seed: 7, Steps: 5000, Faults: All}
	_, whole := traced(o)
	at := strings.Index(whole, " fault index=")
	at += 1 + strings.Index(whole[at+1:], " fault index=") // the second
	line := strings.LastIndex(whole[:at], "\n") + 1
	var number uint64
	_, err := fmt.Sscanf(whole[at:], " fault index=%d", &number)
	require.NoError(t, err)
	before := whole[:strings.LastIndex(whole[:line-1], "\n")+1]

	o.Skip = SpansOf([]uint64{number})
	_, text := traced(o)
	require.NotEqual(t, whole, text)
	require.True(t, strings.HasPrefix(text, before[:len(before)/2]), "what came before is the same")
	o.Skip = Spans{{1, 1 << 40}}
	r := Run(o)
	require.Zero(t, r.Stats.Faults)
}

// A storage of an embedder's takes the place of the disk's log and survives all
// faults; one that loses what it was given to save is found out.
func TestEmbeddersStorage(t *testing.T) {
	run := func(seed uint64, wrap func(rafttest.Storage) rafttest.Storage) Result {
		storages := map[uint64]*raft.MemoryStorage{}
		return Run(Options{Seed: seed, Steps: 5000, Nodes: 3, Faults: All, OpenStorage: func(id uint64, created bool) (rafttest.Storage, error) {
			if created {
				storages[id] = raft.NewMemoryStorage()
			}
			return wrap(rafttest.Memory(storages[id])), nil
		}})
	}
	found := 0
	for seed := uint64(1); seed <= 20; seed++ {
		r := run(seed, func(s rafttest.Storage) rafttest.Storage { return s })
		require.Nil(t, r.Violation, "seed %d", seed)
		if v := run(seed, func(s rafttest.Storage) rafttest.Storage { return forgetful{s} }).Violation; v != nil {
			found++
		}
	}
	require.Greater(t, found, 4)
}

// forgetful forgets the hard state where entries come with it.
type forgetful struct{ rafttest.Storage }

func (f forgetful) Save(rd raft.Ready) error {
	if len(rd.Entries) > 0 {
		rd.HardState = raft.Ready{}.HardState
	}
	return f.Storage.Save(rd)
}

// A violation shrinks to a run that violates the same rule, is no longer, and
// repeats from its options alone; a clean run stays as it is.
func TestShrink(t *testing.T) {
	o := Options{Seed: 3, Steps: 5000, Nodes: 3, Faults: All}
	same, r := Shrink(o, 10)
	require.Nil(t, r.Violation)
	require.Equal(t, o.Skip, same.Skip)

	o.OpenStorage = func(id uint64, created bool) (rafttest.Storage, error) {
		return forgetful{rafttest.Memory(raft.NewMemoryStorage())}, nil // a new one for each life
	}
	whole := Run(o)
	require.NotNil(t, whole.Violation)
	short, r := Shrink(o, 100)
	require.Equal(t, whole.Violation.Rule, r.Violation.Rule)
	require.LessOrEqual(t, r.Stats.Steps, whole.Stats.Steps)
	require.LessOrEqual(t, r.Stats.Faults, whole.Stats.Faults)
	require.Equal(t, r, Run(short))
}

// What is written by a profile's or a set's String is read back as it was, and
// what cannot be read is an error that names it.
func TestParse(t *testing.T) {
	for _, f := range []Faults{None, All, Network | Disk, All &^ Disk, Drift} {
		parsed, err := ParseFaults(f.String())
		require.NoError(t, err)
		require.Equal(t, f, parsed)
	}
	f, err := ParseFaults("all,-disk")
	require.NoError(t, err)
	require.Equal(t, All&^Disk, f)
	_, err = ParseFaults("netwrok")
	require.ErrorContains(t, err, `"netwrok"`)

	s := SpansOf([]uint64{9, 1, 2, 3, 7, 2})
	require.Equal(t, "1-3,7,9", s.String())
	parsed, err := ParseSpans(s.String())
	require.NoError(t, err)
	require.Equal(t, s, parsed)
	for _, bad := range []string{"x", "3-1", "5,2", "1-x"} {
		_, err := ParseSpans(bad)
		require.Error(t, err, bad)
	}
	require.True(t, s.Contains(2) && s.Contains(9) && !s.Contains(8))
}

// Impossible options are an error, not a run.
func TestValidate(t *testing.T) {
	require.Error(t, (&Options{Nodes: 8}).Validate())
	require.Error(t, (&Options{Faults: endOfFaults}).Validate())
	require.Error(t, (&Options{Commands: func(uint64) []byte { return nil }}).Validate())
	require.Equal(t, "options", Run(Options{Nodes: -1}).Violation.Rule)
}

// Of writes that were not synced a crash leaves a beginning; what was synced
// stays, and what was handed out before never changes.
func TestDiskCrash(t *testing.T) {
	d := newDisk()
	for i := uint64(1); i <= 6; i++ {
		d.write(record{ents: entries(1, i)})
		if i == 3 {
			d.syncTo(d.count)
		}
	}
	d.write(record{ents: entries(2, 5)}) // replaces 5 and 6
	handed, err := d.Entries(1, 6, 1<<20)
	require.NoError(t, err)
	d.fail(2)
	last, _ := d.LastIndex()
	require.Equal(t, uint64(5), last)
	term, _ := d.Term(5)
	require.Equal(t, uint64(1), term)
	require.Equal(t, uint64(2), handed[4].Term)
	d.fail(0)
	last, _ = d.LastIndex()
	require.Equal(t, uint64(5), last, "what recovery read is durable")
}

// What is due comes in the order of its time, and at one time in the order in
// which it was scheduled.
func TestQueue(t *testing.T) {
	var q queue
	r := newRandom(1, 1)
	for i := range 1000 {
		q.push(event{at: int64(r.below(50)), arg: uint64(i)})
	}
	last := q.pop()
	for range 999 {
		e := q.pop()
		require.True(t, last.at < e.at || (last.at == e.at && last.arg < e.arg))
		last = e
	}
}

func entries(term, index uint64) []pb.Entry { return []pb.Entry{{Term: term, Index: index}} }
