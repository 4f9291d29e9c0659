package search

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// interned is a grid whose states are numbers, given out in the order in which the
// workers ask. A number means nothing without the table.
type interned struct {
	grid
	mu     sync.Mutex
	number map[string]byte2
	states []string
}

type byte2 = [2]byte

func newInterned(g grid) *interned { return &interned{grid: g, number: map[string]byte2{}} }

func (m *interned) intern(s []byte) byte2 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.number[string(s)]
	if !ok {
		n = byte2{byte(len(m.states)), byte(len(m.states) >> 8)}
		m.number[string(s)] = n
		m.states = append(m.states, string(s))
	}
	return n
}

func (m *interned) Save(w io.Writer) error { return json.NewEncoder(w).Encode(m.states) }

func (m *interned) Load(r io.Reader) error {
	if err := json.NewDecoder(r).Decode(&m.states); err != nil {
		return err
	}
	for i, s := range m.states {
		m.number[s] = byte2{byte(i), byte(i >> 8)}
	}
	return nil
}

func (m *interned) NewWorker() Worker { return &internedWorker{m, m.grid.NewWorker().(*gridWorker)} }

type internedWorker struct {
	m *interned
	*gridWorker
}

func (w *internedWorker) Initial(out *Out) error {
	s := make([]byte, w.counters)
	n := w.m.intern(s)
	out.Emit(0, n[:], Hash(s))
	return nil
}

func (w *internedWorker) Expand(state []byte, out *Out) error {
	w.m.mu.Lock()
	s := []byte(w.m.states[int(state[0])|int(state[1])<<8])
	w.m.mu.Unlock()
	for i, c := range s {
		if !w.step(s, i) {
			continue
		}
		if out.Want(uint64(i)) {
			n := w.m.intern(s)
			out.Emit(uint64(i), n[:], Hash(s))
		}
		s[i] = c
	}
	return nil
}

var errCrash = errors.New("crash")

// tear leaves of each file that the manifest does not name only a part, or
// garbage, as a crash of the machine may.
func tear(t *testing.T, dir string, rng *rand.Rand) {
	t.Helper()
	named, _ := os.ReadFile(filepath.Join(dir, manifestName))
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == manifestName || strings.Contains(string(named), f.Name()) {
			continue
		}
		path := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data = data[:rng.IntN(len(data)+1)]
		if len(data) > 0 && rng.IntN(2) == 0 {
			data[rng.IntN(len(data))] ^= 0x55
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A search that dies before any step that matters to the disk goes on at the last
// finished layer, and finds what an undisturbed one finds. It dies again and
// again, each time a little later.
func TestResumeAfterCrashAtEachStep(t *testing.T) {
	for _, disk := range []bool{false, true} {
		for _, sleep := range []bool{false, true} {
			t.Run(fmt.Sprintf("disk=%t/sleep=%t", disk, sleep), func(t *testing.T) {
				g := grid{counters: 3, limit: 3, wraps: true}
				want := run(t, g, Options{SleepSets: sleep})
				rng := rand.New(rand.NewPCG(1, 2))
				crashes := 0
				// The n-th search dies every n steps; a layer takes some twenty.
				for every := 1; ; every += 1 + every/8 {
					dir := t.TempDir()
					done, deaths := crashAndResume(t, g, dir, disk, sleep, every, rng, want)
					crashes += deaths
					if done && deaths == 0 {
						break
					}
				}
				if crashes < 50 {
					t.Errorf("%d crashes: the test reaches too little", crashes)
				}
			})
		}
	}
}

func crashAndResume(t *testing.T, g grid, dir string, disk, sleep bool, every int, rng *rand.Rand, want Result) (done bool, deaths int) {
	t.Helper()
	for ; deaths < 15; deaths++ {
		tune := small()
		steps := 0
		tune.fault = func(step string) error {
			if steps++; steps > every {
				return fmt.Errorf("%w at %s", errCrash, step)
			}
			return nil
		}
		o := Options{Workers: 2, Dir: dir, SleepSets: sleep, tune: tune}
		if disk {
			o.MemoryBytes = smallMemory(tune, 2, 0)
		}
		r, err := Run(context.Background(), newInterned(g), o)
		if err == nil {
			if r.States != want.States || r.Transitions != want.Transitions || r.Terminal != want.Terminal || !slices.Equal(r.Layers, want.Layers) || !r.Complete {
				t.Fatalf("every %d, after %d deaths: %+v, want %+v", every, deaths, r, want)
			}
			return true, deaths
		}
		if !errors.Is(err, errCrash) {
			t.Fatalf("every %d, after %d deaths: %v", every, deaths, err)
		}
		tear(t, dir, rng)
	}
	return false, deaths // it dies too early to come further
}

// What a finished search leaves is the manifest and what it names.
func TestNothingIsLeftOver(t *testing.T) {
	o := Options{Workers: 2, Dir: t.TempDir(), tune: small()}
	o.MemoryBytes = smallMemory(o.tune, 2, 0)
	other := filepath.Join(o.Dir, "not ours")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, newInterned(grid{counters: 4, limit: 3, wraps: true}), o); r.Spills == 0 {
		t.Fatalf("%+v", r)
	}
	m, err := (&directory{path: o.Dir}).load()
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(o.Dir)
	if want := len(m.Runs) + 4; err != nil || len(files) != want {
		t.Fatalf("%d files in %v, want %d (%v)", len(files), files, want, err)
	}
	for i, r := range m.Runs[1:] {
		if 2*r.Bytes >= m.Runs[i].Bytes {
			t.Fatalf("runs %+v: a run is not twice as long as the next", m.Runs)
		}
	}
}

// A violation is found again, with the same path, by a search that goes on.
func TestResumedViolation(t *testing.T) {
	g := grid{counters: 4, limit: 3, bad: []byte{2, 1, 2, 1}}
	want := run(t, g, Options{}).Violation
	dir := t.TempDir()
	run(t, g, Options{Dir: dir, MaxDepth: 4})
	for range 2 {
		got := run(t, g, Options{Dir: dir}).Violation
		if got == nil || !slices.Equal(got.Actions, want.Actions) || !slices.EqualFunc(got.States, want.States, bytes.Equal) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}

// A checkpoint of another model, or of other options, is refused, as is one whose
// files are not what was written.
func TestCheckpointIsRefused(t *testing.T) {
	g := grid{counters: 4, limit: 3}
	dir := t.TempDir()
	run(t, newInterned(g), Options{Dir: dir, MaxDepth: 5})
	refused := func(m Model, o Options, want error) {
		t.Helper()
		o.Dir = dir
		if _, err := Run(context.Background(), m, o); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	refused(newInterned(grid{counters: 4, limit: 2}), Options{}, ErrOtherSearch)
	refused(newInterned(g), Options{SleepSets: true}, ErrOtherSearch)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			damaged := slices.Clone(data)
			damaged[len(data)*i/12] ^= 1 << (i % 8)
			if i == 0 {
				damaged = data[:len(data)-1]
			}
			if err := os.WriteFile(f, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(newInterned(g), Options{}, ErrDamaged)
		}
		if err := os.WriteFile(f, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := run(t, newInterned(g), Options{Dir: dir}); !r.Complete || r.States != 256 {
		t.Fatalf("%+v", r)
	}
}

// killedGrid is searched by a process that is killed.
var killedGrid = grid{counters: 7, limit: 5, wraps: true}

func killedOptions(dir string) Options {
	return Options{Workers: 2, Dir: dir, MemoryBytes: 9 << 20}
}

// TestMain is the process that TestResumeKilledProcess kills, if it is told so.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SEARCH_TEST_DIR"); dir != "" {
		if _, err := Run(context.Background(), killedGrid, killedOptions(dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A process that is killed at any time leaves a checkpoint from which another
// finishes.
func TestResumeKilledProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	want := run(t, killedGrid, Options{})
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 4))
	killed := 0
	for wait := 100 * time.Millisecond; ; wait += time.Duration(rng.IntN(200)) * time.Millisecond {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SEARCH_TEST_DIR="+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		kill.Stop()
		if err == nil {
			break
		}
		if stderr.Len() > 0 {
			t.Fatalf("%v: %s", err, &stderr)
		}
		killed++
	}
	r := run(t, killedGrid, killedOptions(dir))
	if !r.Complete || r.States != want.States || r.Transitions != want.Transitions || !slices.Equal(r.Layers, want.Layers) {
		t.Fatalf("after %d kills: %+v, want %+v", killed, r, want)
	}
	if killed < 3 {
		t.Errorf("killed %d times: the test reaches too little", killed)
	}
	t.Logf("killed %d times", killed)
}
