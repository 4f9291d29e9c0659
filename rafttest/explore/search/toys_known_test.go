package search

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
)

// everyWay runs check with each combination of workers, memory and sleep sets.
func everyWay(t *testing.T, check func(t *testing.T, o Options)) {
	for _, workers := range []int{1, 3} {
		for _, where := range []string{"memory", "checkpoints", "disk"} {
			for _, sleep := range []bool{false, true} {
				t.Run(fmt.Sprintf("workers=%d/%s/sleep=%t", workers, where, sleep), func(t *testing.T) {
					o := Options{Workers: workers, SleepSets: sleep, tune: small()}
					if where != "memory" {
						o.Dir = t.TempDir()
					}
					if where == "disk" {
						o.MemoryBytes = smallMemory(o.tune, workers, 0)
					}
					check(t, o)
				})
			}
		}
	}
}

// A grid's layer d holds the ways to write d as a sum, its transitions are known,
// and with sleep sets each state but the first is reached once.
func TestGrid(t *testing.T) {
	everyWay(t, func(t *testing.T, o Options) {
		r := run(t, grid{counters: 5, limit: 3}, o)
		if r.States != 1024 || r.Depth != 15 || r.Terminal != 1 || !r.Complete {
			t.Fatalf("%+v", r)
		}
		if r.Layers[1] != 5 || r.Layers[2] != 15 || r.Layers[15] != 1 || r.Layers[7] != r.Layers[8] {
			t.Fatalf("layers %v", r.Layers)
		}
		want := uint64(5 * 3 * 256)
		if o.SleepSets {
			want = 1023
		}
		if r.Transitions != want {
			t.Fatalf("%d transitions, want %d", r.Transitions, want)
		}
	})
}

// missionaries is the puzzle: three missionaries and three cannibals cross in a
// boat for two. A state is who is on the near bank, and the boat.
func missionaries() *toy {
	safe := func(m, c byte) bool { return m == 0 || m >= c }
	return &toy{
		name: "missionaries", initial: []string{string([]byte{3, 3, 1})},
		steps: func(s string, step func(uint64, string)) {
			for m := byte(0); m <= 2; m++ {
				for c := byte(0); m+c <= 2; c++ {
					nm, nc := s[0]-m, s[1]-c
					if s[2] == 0 {
						nm, nc = s[0]+m, s[1]+c
					}
					if m+c == 0 || nm > 3 || nc > 3 || !safe(nm, nc) || !safe(3-nm, 3-nc) {
						continue
					}
					step(uint64(m)<<8|uint64(c), string([]byte{nm, nc, 1 - s[2]}))
				}
			}
		},
		bad: func(s string) bool { return s == "\x00\x00\x00" },
	}
}

// The puzzle's shortest solution takes eleven crossings.
func TestMissionaries(t *testing.T) {
	everyWay(t, func(t *testing.T, o Options) {
		r := run(t, missionaries(), o)
		if r.Violation == nil || len(r.Violation.Actions) != 11 || !errors.Is(r.Violation, errBad) || r.Complete {
			t.Fatalf("%+v", r)
		}
	})
}

// peterson is Peterson's algorithm for two processes. A state is the flags, the
// turn and both program counters: 0 idle, 1 flag is up, 2 turn is given away and
// the process waits, 3 critical section.
func peterson(broken bool) *toy {
	return &toy{
		name: fmt.Sprintf("peterson broken=%t", broken), initial: []string{string(make([]byte, 5))},
		steps: func(s string, step func(uint64, string)) {
			for i := range 2 {
				n := []byte(s)
				flag, other, turn, pc := &n[i], n[1-i], &n[2], &n[3+i]
				switch *pc {
				case 0:
					*flag, *pc = 1, 1
				case 1:
					*turn, *pc = byte(1-i), 2
					if broken {
						*turn = byte(i)
					}
				case 2:
					if other == 1 && *turn != byte(i) {
						continue
					}
					*pc = 3
				case 3:
					*flag, *pc = 0, 0
				}
				step(uint64(i), string(n))
			}
		},
		bad: func(s string) bool { return s[3] == 3 && s[4] == 3 },
		// Raising a flag and lowering it touch what the other's waiting reads.
		commute: func(s string, a, b uint64) bool {
			pa, pb := s[3+a], s[3+b]
			local := func(own, other byte) bool { return (own == 0 || own == 3) && other != 2 }
			return a != b && (local(pa, pb) || local(pb, pa)) && pa != 2 && pb != 2
		},
	}
}

// Peterson's algorithm excludes; with the turn taken rather than given away, both
// processes are inside after three steps each.
func TestMutualExclusion(t *testing.T) {
	states := uint64(0)
	everyWay(t, func(t *testing.T, o Options) {
		r := run(t, peterson(false), o)
		if r.Violation != nil || !r.Complete || r.Terminal != 0 {
			t.Fatalf("%+v", r)
		}
		if states == 0 {
			states = r.States
		}
		if r.States != states {
			t.Fatalf("%d states, not %d", r.States, states)
		}
		if o.Dir != "" {
			o.Dir = t.TempDir()
		}
		r = run(t, peterson(true), o)
		if r.Violation == nil || len(r.Violation.Actions) != 6 {
			t.Fatalf("%v", r.Violation)
		}
	})
}

// philosophers take the left fork, then the right one, and put both down. A state
// is what each holds: 0 nothing, 1 the left fork, 2 both.
func philosophers(n int, forbidden bool) *toy {
	return &toy{
		name: "philosophers", initial: []string{string(make([]byte, n))}, deadlock: forbidden,
		steps: func(s string, step func(uint64, string)) {
			for i := range n {
				next := []byte(s)
				left, right := s[(i+n-1)%n], s[(i+1)%n]
				switch s[i] {
				case 0:
					if left == 2 { // the neighbour has this one's left fork as his right one
						continue
					}
					next[i] = 1
				case 1:
					if right != 0 {
						continue
					}
					next[i] = 2
				case 2:
					next[i] = 0
				}
				step(uint64(i), string(next))
			}
		},
		commute: func(_ string, a, b uint64) bool {
			d := (int(a) - int(b) + n) % n
			return d > 1 && d < n-1
		},
	}
}

// Philosophers have one deadlock, when each holds his left fork, n steps away.
func TestPhilosophers(t *testing.T) {
	const n = 7
	layers := []uint64(nil)
	everyWay(t, func(t *testing.T, o Options) {
		r := run(t, philosophers(n, false), o)
		if layers == nil {
			layers = r.Layers
		}
		if r.Terminal != 1 || !slices.Equal(r.Layers, layers) {
			t.Fatalf("%+v, want layers %v", r, layers)
		}
		if o.Dir != "" {
			o.Dir = t.TempDir()
		}
		r = run(t, philosophers(n, true), o)
		v := r.Violation
		if v == nil || len(v.Actions) != n || string(v.States[n]) != "\x01\x01\x01\x01\x01\x01\x01" {
			t.Fatalf("%+v", v)
		}
	})
}

// Processes that are alike and independent: a state up to symmetry is a multiset
// of places, so there are C(n+limit, n) of them, with sleep sets too.
func TestSymmetricProcesses(t *testing.T) {
	up := make([][]edge, 5)
	for at := range 4 {
		up[at] = []edge{{to: byte(at + 1), guard: anyValue, set: anyValue}}
	}
	m := &randomModel{procs: [][][]edge{up, up, up, up, up, up}, places: 5, symmetric: true}
	everyWay(t, func(t *testing.T, o Options) {
		r := run(t, m, o)
		if want := uint64(2 * 210); r.States != want || r.Depth != 24 || r.Terminal != 2 { // 2: the variable
			t.Fatalf("%+v, want %d states", r, want)
		}
	})
}

// A violation among the initial states, or in one, has a path without actions.
func TestInitialViolation(t *testing.T) {
	everyWay(t, func(t *testing.T, o Options) {
		m := &toy{name: "stuck", initial: []string{"b", "a"}, steps: func(string, func(uint64, string)) {}, deadlock: true}
		v := run(t, m, o).Violation
		if v == nil || len(v.Actions) != 0 || len(v.States) != 1 {
			t.Fatalf("%+v", v)
		}
		if o.Dir != "" {
			o.Dir = t.TempDir()
		}
		v = run(t, failsAtOnce{m}, o).Violation
		if v == nil || len(v.Actions) != 0 || len(v.States) != 1 || string(v.States[0]) != "bad" {
			t.Fatalf("%+v", v)
		}
	})
}

type failsAtOnce struct{ *toy }

func (m failsAtOnce) NewWorker() Worker { return m }
func (m failsAtOnce) Initial(out *Out) error {
	out.Fail(7, []byte("bad"), errBad)
	return m.toy.Initial(out)
}

// The vectors are those of the published implementation.
func TestHash(t *testing.T) {
	for _, c := range []struct {
		in string
		fp Fingerprint
	}{
		{"", Fingerprint{}},
		{"hello", Fingerprint{0xcbd8a7b341bd9b02, 0x5b1e906a48ae1d19}},
		{"hello, world", Fingerprint{0x342fac623a5ebc8e, 0x4cdcbc079642414d}},
		{"19 Jan 2038 at 3:14:07 AM", Fingerprint{0xb89e5988b737affc, 0x664fc2950231b2cb}},
		{"The quick brown fox jumps over the lazy dog.", Fingerprint{0xcd99481f9ee902c9, 0x695da1a38987b6e7}},
	} {
		if got := Hash([]byte(c.in)); got != c.fp {
			t.Errorf("Hash(%q) = %x, want %x", c.in, got, c.fp)
		}
	}
}

// The expected number of missed states is that of pairs, over 2^128.
func TestMissed(t *testing.T) {
	r := run(t, grid{counters: 5, limit: 3}, Options{})
	if want := 1024.0 * 1024 / 2 * math.Pow(2, -128); r.Missed != want {
		t.Fatalf("%g, want %g", r.Missed, want)
	}
}

// A state that is itself forbidden is nearer than one that a state of its layer
// leads to, whichever has the lesser fingerprint.
func TestNearerViolationFirst(t *testing.T) {
	for i := range 8 {
		here, leads := fmt.Sprintf("here%d", i), fmt.Sprintf("leads%d", i)
		m := &toy{
			name: "two", initial: []string{leads, here}, deadlock: true,
			steps: func(s string, step func(uint64, string)) {
				if s == leads {
					step(1, "bad")
				}
			},
			bad: func(s string) bool { return s == "bad" },
		}
		if v := run(t, m, Options{Workers: 1}).Violation; v == nil || len(v.Actions) != 0 || string(v.States[0]) != here {
			t.Fatalf("%+v, want %s", v, here)
		}
	}
}

// States are told apart by all 128 bits.
func TestHalfOfFingerprintIsNotEnough(t *testing.T) {
	everyWay(t, func(t *testing.T, o Options) {
		if r := run(t, alike{grid{counters: 3, limit: 3, wraps: true}}, o); r.States != 64 || !r.Complete {
			t.Fatalf("%+v", r)
		}
	})
}

// alike is a grid whose fingerprints differ in Lo only.
type alike struct{ grid }

func (m alike) NewWorker() Worker { return alikeWorker{m.grid.NewWorker().(*gridWorker)} }

type alikeWorker struct{ *gridWorker }

func (w alikeWorker) Initial(out *Out) error { return w.lower(out, w.gridWorker.Initial) }

func (w alikeWorker) Expand(state []byte, out *Out) error {
	return w.lower(out, func(out *Out) error { return w.gridWorker.Expand(state, out) })
}

func (w alikeWorker) lower(out *Out, do func(*Out) error) error {
	to := out.sink
	out.sink = loweringSink{to}
	defer func() { out.sink = to }()
	return do(out)
}

type loweringSink struct{ sink }

func (s loweringSink) emit(o *Out, a uint64, next []byte, fp Fingerprint) {
	s.sink.emit(o, a, next, Fingerprint{Lo: fp.Lo})
}
