package sim

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/trace"
)

// underRace says that the race detector is on, which makes runs some ten times as
// long.
var underRace bool

// seeds returns how many seeds a test looks at that would look at n.
func seeds(n uint64) uint64 {
	if underRace || testing.Short() {
		return max(1, n/8)
	}
	return n
}

// each makes the runs of seeds 1 to n, some at the same time, and returns their
// options and results in order.
func each(n uint64, options func(seed uint64) Options) ([]Options, []Result) {
	o, r := make([]Options, n), make([]Result, n)
	var workers sync.WaitGroup
	todo := make(chan uint64)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range todo {
				o[i] = options(i + 1)
				r[i] = Run(o[i])
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	workers.Wait()
	return o, r
}

// clean makes the runs of seeds 1 to n, fails the test if one of them violates
// anything, and returns what they counted.
func clean(t *testing.T, n uint64, options func(seed uint64) Options) *Stats {
	t.Helper()
	var total Stats
	o, r := each(n, options)
	for i := range r {
		if v := r[i].Violation; v != nil {
			t.Fatalf("%v\nreplay: %s", v, ReplayCommand(o[i]))
		}
		total.Add(&r[i].Stats)
	}
	return &total
}

// traced makes a run and returns all that an observer sees of it.
func traced(o Options) (Result, string) {
	r, events := recorded(o)
	var b strings.Builder
	for i := range events {
		fmt.Fprintln(&b, &events[i])
	}
	return r, b.String()
}

func recorded(o Options) (Result, []trace.Event) {
	var events []trace.Event
	o.Observer = func(e *trace.Event) { events = append(events, *e) }
	return Run(o), events
}

// One seed is one run: the same options give the same events, byte for byte, the
// same hash and the same counts, however many other runs there are beside it.
func TestSameSeedSameRun(t *testing.T) {
	t.Parallel()
	type run struct {
		result Result
		text   string
	}
	n := 2 + seeds(8)
	options := func(i uint64) Options {
		o := Options{Seed: i/2 + 1, Steps: 6000, Faults: All}
		if i%2 == 1 { // what an embedder brings keeps to it too
			o.OpenStorage = newStorages().open
			o.NewMachine, o.Commands = newLedger, ledgerCommand
			o.NewTransport = func(uint64) Transport { return codec{} }
		}
		return o
	}
	var alone, beside []run
	for i := range n {
		r, text := traced(options(i))
		require.Nil(t, r.Violation)
		require.NotEmpty(t, text)
		alone = append(alone, run{r, text})
	}
	beside = make([]run, 2*n)
	var all sync.WaitGroup
	for i := range beside {
		all.Go(func() { beside[i].result, beside[i].text = traced(options(uint64(i) % n)) })
	}
	all.Wait()
	for i := range beside {
		same := alone[uint64(i)%n]
		require.Equal(t, same.result, beside[i].result)
		if same.text != beside[i].text { // too long for a message
			t.Fatalf("seed %d: the traces differ", uint64(i)%n/2+1)
		}
	}
}

// Who watches a run does not change it.
func TestObserverChangesNothing(t *testing.T) {
	t.Parallel()
	for seed := range seeds(8) {
		o := Options{Seed: seed, Steps: 6000, Faults: All}
		unseen := Run(o)
		seen, _ := recorded(o)
		require.Equal(t, unseen, seen)
	}
}

// Different seeds are different runs, and so are a run with a fault and one
// without it: the hash tells them apart.
func TestHashTellsRunsApart(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for seed := uint64(1); seed <= 40; seed++ {
		for _, faults := range []Faults{None, All} {
			o := Options{Seed: seed, Steps: 200, Faults: faults}
			hash := Run(o).Hash
			require.Empty(t, seen[hash], "%s", ReplayCommand(o))
			seen[hash] = ReplayCommand(o)
		}
	}
	o := Options{Seed: 1, Steps: 3000, Faults: Transfer}
	whole, events := recorded(o)
	o.Skip = SpansOf(plannedFaults(events)[3:4])
	require.NotEqual(t, whole.Hash, Run(o).Hash)
}

// An observer sees all that is counted, steps and time never go back, and a node's
// lives and roles follow one another.
func TestObserverSeesEverything(t *testing.T) {
	t.Parallel()
	var total Stats
	counts := map[trace.Kind]uint64{}
	for seed := uint64(1); seed <= 4; seed++ {
		r, events := recorded(Options{Seed: seed, Steps: 6000, Faults: All})
		total.Add(&r.Stats)
		up := map[uint64]bool{}
		var last trace.Event
		for _, e := range events {
			counts[e.Kind]++
			require.GreaterOrEqual(t, e.Step, last.Step)
			require.GreaterOrEqual(t, e.At, last.At)
			last = e
			switch e.Kind {
			case trace.Start:
				require.False(t, up[e.Node], "%v", &e)
				up[e.Node] = true
			case trace.Crash, trace.Stop:
				up[e.Node] = false
			case trace.Deliver, trace.Role, trace.Commit, trace.Apply, trace.Write, trace.Sync, trace.Client:
				require.True(t, up[e.Node], "%v", &e)
			}
		}
		require.LessOrEqual(t, last.Step, r.Stats.Steps)
	}
	require.Equal(t, total.Messages, counts[trace.Send])
	require.Equal(t, total.Lost, counts[trace.Drop])
	require.Equal(t, total.Faults, counts[trace.Fault])
	require.Equal(t, total.Crashes, counts[trace.Crash])
	require.Equal(t, total.Starts, counts[trace.Start])
	require.Equal(t, total.Stops+total.Replaced, counts[trace.Stop])
	require.Equal(t, total.ConfChanges, counts[trace.Conf])
	require.NotZero(t, counts[trace.Cut])
	require.NotZero(t, counts[trace.Client])
	require.Zero(t, counts[trace.Violation])
}

// plannedFaults returns the numbers of the faults that were carried out.
func plannedFaults(events []trace.Event) []uint64 {
	var numbers []uint64
	for i := range events {
		if events[i].Kind == trace.Fault {
			numbers = append(numbers, events[i].Index)
		}
	}
	return numbers
}

// A group survives every profile alone, and a profile alone plans its own faults,
// all of them, and no others.
func TestProfiles(t *testing.T) {
	t.Parallel()
	shows := map[Faults]func(s *Stats) uint64{
		Network:    func(s *Stats) uint64 { return s.Lost },
		Crash:      func(s *Stats) uint64 { return s.Crashes },
		Disk:       func(s *Stats) uint64 { return s.Stops },
		Snapshot:   func(s *Stats) uint64 { return s.Snapshots },
		Transfer:   func(s *Stats) uint64 { return s.Transfers },
		Membership: func(s *Stats) uint64 { return s.ConfChanges },
		Lease:      func(s *Stats) uint64 { return s.LeaseReads },
		Drift:      func(s *Stats) uint64 { return s.LeaseReads },
	}
	for one := Faults(1); one < endOfFaults; one <<= 1 {
		t.Run(one.String(), func(t *testing.T) {
			total := clean(t, seeds(12), func(seed uint64) Options { return Options{Seed: seed, Faults: one} })
			for i := range faults {
				count := total.Marks[markFaults+Mark(i)]
				if faults[i].of != one {
					require.Zero(t, count, faults[i].name)
				} else if seeds(12) == 12 {
					require.NotZero(t, count, faults[i].name)
				}
			}
			if count := shows[one]; count != nil {
				require.NotZero(t, count(total))
			}
			require.NotZero(t, total.Commits)
			require.NotZero(t, total.Operations)
		})
	}
}

// Without faults nothing goes wrong: nothing is planned, nothing stops, and
// nobody's disk is lost.
func TestNoFaults(t *testing.T) {
	t.Parallel()
	total := clean(t, seeds(12), func(seed uint64) Options { return Options{Seed: seed, Faults: None} })
	require.Zero(t, total.Faults)
	require.Zero(t, total.Stops)
	require.Zero(t, total.Replaced)
	require.Zero(t, total.ConfChanges)
	require.Zero(t, total.StaleLeases)
	require.NotZero(t, total.Commits)
}

// Groups of every size survive all faults at once, and recover.
func TestSizes(t *testing.T) {
	t.Parallel()
	for nodes := range maxFirst + 1 {
		n := max(4, seeds(8))
		total := clean(t, n, func(seed uint64) Options {
			return Options{Seed: 100*uint64(nodes) + seed, Nodes: nodes, Faults: All}
		})
		require.GreaterOrEqual(t, total.Steps, n*defaultSteps)
		require.NotZero(t, total.Faults)
		require.NotZero(t, total.Marks[markRecovered], "%d nodes", nodes)
		require.LessOrEqual(t, total.Recovery, uint64(recoverWithin*1000+100))
	}
}

// With clocks far outside the declared bound leases do not hold, and the check of
// lease reads sees it: it is not vacuous (S15). Inside the bound they hold.
func TestLeasesNeedTheirBound(t *testing.T) {
	t.Parallel()
	// Neither depends on a draw: a set of which each seed takes a part would.
	set := func(seed uint64, faults Faults) Options {
		return Options{Seed: seed, Nodes: 3, Faults: faults}
	}
	var drifting Stats
	for first := uint64(0); drifting.StaleLeases == 0 && first < 1000; first += 20 {
		drifting.Add(clean(t, 20, func(seed uint64) Options { return set(first+seed, Drift|Network) }))
	}
	require.NotZero(t, drifting.StaleLeases)
	bounded := clean(t, seeds(40), func(seed uint64) Options { return set(seed, Lease|Clock|Network|Crash|Transfer) })
	require.NotZero(t, bounded.LeaseReads)
	require.Zero(t, bounded.StaleLeases)
}

// A broken core or checker must not pass for a clean run: a panic is a violation
// that names where it happened, and ends the run.
func TestPanicIsAViolation(t *testing.T) {
	t.Parallel()
	o := Options{Seed: 1, Steps: 500, Faults: None}
	o.NewMachine = func(uint64) StateMachine { return panicking{} }
	o.Commands = ledgerCommand
	r := Run(o)
	require.NotNil(t, r.Violation)
	require.Equal(t, "S20", r.Violation.Rule)
	require.Contains(t, r.Violation.Detail, "out of order")
	require.Contains(t, r.Violation.Detail, "rafttest/sim.(*simulation).apply")
	require.Equal(t, r.Stats.Steps, r.Violation.Step)
	require.Equal(t, r, Run(o))
}

type panicking struct{ StateMachine }

func (panicking) Apply(uint64, []byte) []byte { panic("out of order") }
func (panicking) Snapshot() []byte            { return nil }
func (panicking) Restore([]byte) error        { return nil }

// Statistics add up, every field of them, but for the recovery, of which the
// longest counts.
func TestStatsAdd(t *testing.T) {
	t.Parallel()
	var a, b Stats
	for i := range reflect.TypeFor[Stats]().NumField() {
		if f := reflect.ValueOf(&a).Elem().Field(i); f.Kind() == reflect.Uint64 {
			f.SetUint(uint64(1000 + i))
			reflect.ValueOf(&b).Elem().Field(i).SetUint(uint64(10 * i))
		}
	}
	a.Marks[3], b.Marks[3] = 5, 6
	sum := a
	sum.Add(&b)
	for i := range reflect.TypeFor[Stats]().NumField() {
		name := reflect.TypeFor[Stats]().Field(i).Name
		if f := reflect.ValueOf(sum).Field(i); name == "Recovery" {
			require.Equal(t, uint64(1000+i), f.Uint())
		} else if f.Kind() == reflect.Uint64 {
			require.Equal(t, uint64(1000+11*i), f.Uint(), name)
		}
	}
	require.Equal(t, uint64(11), sum.Marks[3])
}
