package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// naive is a breadth-first search as a textbook has it.
type naive struct {
	layers                []uint64
	transitions, terminal uint64
	badDepth              int // -1: none
}

func searchNaively(m *randomModel) naive {
	n := naive{badDepth: -1}
	seen := map[string]bool{}
	var layer, next []string
	t := &collector{}
	out := &Out{sink: t}
	_ = m.Initial(out)
	next = t.states
	for depth := 0; len(next) > 0; depth++ {
		layer = layer[:0]
		for _, s := range next {
			if !seen[s] {
				seen[s] = true
				layer = append(layer, s)
			}
		}
		next = nil
		if len(layer) == 0 {
			break
		}
		n.layers = append(n.layers, uint64(len(layer)))
		for _, s := range layer {
			*t = collector{}
			_ = m.Expand([]byte(s), out)
			n.transitions += uint64(len(t.states))
			if len(t.states) == 0 {
				n.terminal++
			}
			if t.failed && n.badDepth < 0 {
				n.badDepth = depth + 1
			}
			next = append(next, t.states...)
		}
	}
	return n
}

type collector struct {
	states []string
	failed bool
}

func (t *collector) emit(_ *Out, _ uint64, next []byte, _ Fingerprint) {
	t.states = append(t.states, string(next))
}
func (t *collector) fail(*Out, failure) { t.failed = true }

// small makes a search write out states after a few of them.
func small() *tuning {
	return &tuning{shardBits: 1, chunkBits: 1, batch: 3, take: 2, fanIn: 3, buffer: 64, noSync: true}
}

// smallMemory leaves room for n bytes beyond buffers and what every search needs.
func smallMemory(t *tuning, workers int, n int64) int64 {
	return t.minimum() - t.room(workers, 0) + n
}

// Whatever the workers, the memory and the sleep sets, a search finds what a
// textbook's search finds: the same states at the same depths, and a shortest path
// to what is forbidden.
func TestRandomGraphsAgainstNaiveSearch(t *testing.T) {
	seeds := 80
	if testing.Short() || raceEnabled {
		seeds = 40
	}
	spilled, slept := 0, 0
	for seed := range uint64(seeds) {
		g := newRandomModel(rand.New(rand.NewPCG(seed, 1)))
		clean := *g
		clean.bad = nil
		want := searchNaively(&clean)
		wantBad := searchNaively(g).badDepth
		violations := map[bool][]string{} // by whether there are sleep sets, which change parents
		for _, workers := range []int{1, 2, 4} {
			for kind := range 6 {
				o := Options{Workers: workers, tune: small(), SleepSets: kind%2 == 1}
				if kind/2 > 0 {
					o.Dir = t.TempDir()
				}
				if kind/2 == 2 {
					o.MemoryBytes = smallMemory(o.tune, workers, 0)
				}
				name := fmt.Sprintf("seed %d, %d workers, kind %d", seed, workers, kind)
				r := run(t, &clean, o)
				spilled += r.Spills
				if !slices.Equal(r.Layers, want.layers) || r.Terminal != want.terminal || !r.Complete || r.Violation != nil {
					t.Fatalf("%s: %+v, want %+v", name, r, want)
				}
				if o.SleepSets {
					slept += int(want.transitions - r.Transitions)
				}
				if r.Transitions > want.transitions || !o.SleepSets && r.Transitions != want.transitions {
					t.Fatalf("%s: %d transitions, want %d", name, r.Transitions, want.transitions)
				}
				if o.Dir != "" {
					o.Dir = t.TempDir()
				}
				r = run(t, g, o)
				if (r.Violation != nil) != (wantBad >= 0) {
					t.Fatalf("%s: violation %v, want one at depth %d", name, r.Violation, wantBad)
				}
				if r.Violation == nil {
					continue
				}
				checkPath(t, g, r.Violation, wantBad)
				violations[o.SleepSets] = append(violations[o.SleepSets], fmt.Sprintf("%v %x", r.Violation, r.Violation.States))
			}
		}
		for _, v := range violations {
			if len(slices.Compact(v)) > 1 {
				t.Fatalf("seed %d: violations differ: %q", seed, v)
			}
		}
	}
	if spilled == 0 || slept == 0 {
		t.Fatalf("%d spills, %d transitions saved: the test reaches too little", spilled, slept)
	}
}

// checkPath follows a path through the model.
func checkPath(t *testing.T, m *randomModel, v *Violation, depth int) {
	t.Helper()
	if len(v.Actions) != depth || len(v.States) != depth+1 || !m.bad[string(v.States[depth])] {
		t.Fatalf("path %x by %x: want %d steps to a bad state", v.States, v.Actions, depth)
	}
	for i, a := range v.Actions {
		if next, _ := m.apply(v.States[i], a); !slices.Equal(next, v.States[i+1]) {
			t.Fatalf("path %x by %x: step %d is none of the model", v.States, v.Actions, i)
		}
	}
}
