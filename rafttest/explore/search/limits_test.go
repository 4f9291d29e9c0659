package search

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// Bounds end a search at a layer, and a checkpoint goes on beyond them.
func TestBounds(t *testing.T) {
	m := grid{counters: 5, limit: 3}
	whole := run(t, m, Options{})
	r := run(t, m, Options{MaxDepth: 4})
	if r.Complete || r.Depth != 4 || !slices.Equal(r.Layers, whole.Layers[:5]) {
		t.Fatalf("%+v", r)
	}
	r = run(t, m, Options{MaxStates: 22})
	if r.Complete || r.States != 1+5+15+35 {
		t.Fatalf("%+v", r)
	}
	dir := t.TempDir()
	for depth := 1; depth <= 15; depth++ {
		if r := run(t, m, Options{MaxDepth: depth, Dir: dir}); r.Complete || r.Depth != depth {
			t.Fatalf("%+v", r)
		}
	}
	for range 2 {
		r = run(t, m, Options{Dir: dir})
		if !r.Complete || r.States != whole.States || r.Transitions != whole.Transitions || r.Terminal != 1 {
			t.Fatalf("%+v, want %+v", r, whole)
		}
	}
}

// A violation found at MaxDepth counts: its layer was emitted.
func TestViolationAtMaxDepth(t *testing.T) {
	m := grid{counters: 3, limit: 3, bad: []byte{1, 1, 1}}
	if r := run(t, m, Options{MaxDepth: 2}); r.Violation != nil {
		t.Fatalf("%+v", r)
	}
	r := run(t, m, Options{MaxDepth: 3})
	if r.Violation == nil || len(r.Violation.Actions) != 3 {
		t.Fatalf("%+v", r)
	}
}

// A cancelled search says so and returns what the finished layers had.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := Options{Progress: func(p Progress) {
		if p.Depth == 5 {
			cancel()
		}
	}}
	r, err := Run(ctx, grid{counters: 5, limit: 3}, o)
	if !errors.Is(err, context.Canceled) || r.Complete || r.Depth != 5 || r.Terminal != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestProgress(t *testing.T) {
	var seen []Progress
	r := run(t, grid{counters: 5, limit: 3}, Options{Dir: t.TempDir(), Progress: func(p Progress) { seen = append(seen, p) }})
	last := seen[len(seen)-1]
	if last.States != r.States || last.Transitions != r.Transitions || last.Disk == 0 || last.Memory == 0 {
		t.Fatalf("%+v at the end of %+v", last, r)
	}
	// On a slow machine there are others in between, each second.
	depth := -1
	for _, p := range seen {
		if p.Frontier == 0 {
			break // the end
		}
		if p.Depth > depth+1 || p.Depth < depth || p.Frontier != r.Layers[p.Depth] {
			t.Fatalf("%+v after depth %d of %+v", p, depth, r)
		}
		depth = p.Depth
	}
	if depth != r.Depth {
		t.Fatalf("reports end at depth %d, not %d", depth, r.Depth)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := Run(context.Background(), grid{}, Options{Workers: -1, MaxDepth: -2})
	if err == nil || !strings.Contains(err.Error(), "Workers (-1)") || !strings.Contains(err.Error(), "MaxDepth (-2)") {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), grid{}, Options{MemoryBytes: 1 << 20}); err == nil || !strings.Contains(err.Error(), "MemoryBytes (1048576)") {
		t.Fatal(err)
	}
}

type noCommuter struct{ *toy }

func (m noCommuter) NewWorker() Worker { return onlyWorker{m.toy} }

type onlyWorker struct{ w Worker }

func (o onlyWorker) Initial(out *Out) error              { return o.w.Initial(out) }
func (o onlyWorker) Expand(state []byte, out *Out) error { return o.w.Expand(state, out) }

func TestSleepSetsNeedCommuter(t *testing.T) {
	if _, err := Run(context.Background(), noCommuter{missionaries()}, Options{SleepSets: true}); !errors.Is(err, ErrModel) {
		t.Fatal(err)
	}
}

// An error of the model ends the search and names the state.
func TestModelError(t *testing.T) {
	m := failing{missionaries()}
	if _, err := Run(context.Background(), m, Options{}); !errors.Is(err, ErrModel) || !errors.Is(err, errBad) || !strings.Contains(err.Error(), "depth 3") {
		t.Fatal(err)
	}
}

type failing struct{ *toy }

func (m failing) NewWorker() Worker { return m }
func (m failing) Expand(s []byte, out *Out) error {
	if out.depth == 3 {
		return errBad
	}
	return m.toy.Expand(s, out)
}

// bigGrid needs some 100 MB in memory.
var bigGrid = grid{counters: 8, limit: 5, wraps: true}

func TestMemoryLimitWithoutDir(t *testing.T) {
	r, err := Run(context.Background(), bigGrid, Options{MemoryBytes: 24 << 20})
	if !errors.Is(err, ErrMemory) || r.Complete || r.States == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// With a small limit a search holds no more than that, by its own account and by
// the runtime's, and finds the same.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("1.7 million states twice")
	}
	want := run(t, bigGrid, Options{})
	const limit = 10 << 20
	// What is live right after a collection is what the search holds.
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := live(), int64(0)
	got := run(t, bigGrid, Options{MemoryBytes: limit, Dir: t.TempDir(), Progress: func(Progress) { most = max(most, live()-before) }})
	if got.PeakMemory > limit || most > limit {
		t.Errorf("held %d by its own account and %d by the runtime's, more than %d", got.PeakMemory, most, limit)
	}
	if got.Spills < 2 {
		t.Errorf("%d spills: the test reaches too little", got.Spills)
	}
	t.Logf("%d states: in memory %d bytes; with a limit %d by its own account, %d by the runtime's, %d spills",
		got.States, want.PeakMemory, got.PeakMemory, most, got.Spills)
	if got.States != want.States || got.Transitions != want.Transitions || got.Terminal != want.Terminal || !slices.Equal(got.Layers, want.Layers) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// keeping is a model that keeps so much for each state that it expands.
type keeping struct {
	grid
	each int64
	kept *atomic.Int64
}

func (m keeping) Held() int64       { return m.kept.Load() }
func (m keeping) NewWorker() Worker { return keepingWorker{m.grid.NewWorker(), m} }

type keepingWorker struct {
	Worker
	m keeping
}

func (w keepingWorker) Expand(state []byte, out *Out) error {
	w.m.kept.Add(w.m.each)
	return w.Worker.Expand(state, out)
}

// What a model keeps counts: states go to the directory sooner for it, and without room for them the search ends.
func TestWhatTheModelKeepsCounts(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("400 thousand states three times; the tests of a search that goes to disk run the same code")
	}
	g := grid{counters: 8, limit: 4, wraps: true}
	want := run(t, g, Options{})
	for _, c := range []struct {
		each   int64
		spills bool
		fails  bool
	}{{0, false, false}, {50, true, false}, {1 << 10, false, true}} {
		m := keeping{g, c.each, new(atomic.Int64)}
		r, err := Run(context.Background(), m, Options{MemoryBytes: 40 << 20, Dir: t.TempDir()})
		switch {
		case c.fails:
			if !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "the model keeps") {
				t.Fatalf("%d bytes each: %+v, %v", c.each, r, err)
			}
			continue
		case err != nil:
			t.Fatal(err)
		}
		if r.States != want.States || (r.Spills > 0) != c.spills {
			t.Fatalf("%d bytes each: %d states of %d, %d spills", c.each, r.States, want.States, r.Spills)
		}
		if kept := int64(want.States) * c.each; r.PeakMemory < kept {
			t.Fatalf("%d bytes at most, and the model kept %d", r.PeakMemory, kept)
		}
	}
}
