package processtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/rafttest/lincheck"
)

// history is what clients did to registers and saw of them. A register is a key, its value
// a number that is written once at most, 0 that the key is absent.
type history struct {
	began time.Time // of the monotonic clock

	mu        sync.Mutex
	ops       []lincheck.Op
	nextValue uint64
	// sightings are values as clients were told of them, by whatever read or write.
	sightings []sighting
	counts    [3]int // of ops by outcome
	acked     int    // writes that were acknowledged
}

// sighting is a value of a key with the revision that is said to have written it; stale if
// the read that saw it may have been of an older state.
type sighting struct {
	key, value, revision uint64
	stale                bool
	at                   int64 // when the answer was there
}

func newHistory() *history { return &history{began: time.Now()} }

func (h *history) now() int64 { return int64(time.Since(h.began)) }

// newValue returns a value that was never written.
func (h *history) newValue() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nextValue++
	return h.nextValue
}

// add records an operation that has ended.
func (h *history) add(o lincheck.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
	h.counts[o.Outcome]++
	if o.Outcome == lincheck.OK && (o.Kind == lincheck.Write || o.Swapped) {
		h.acked++
	}
}

// saw records that the value of a key was said to be of a revision.
func (h *history) saw(s sighting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sightings = append(h.sightings, s)
}

func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acked
}

// keys returns all keys of operations.
func (h *history) keys() []uint64 {
	var keys []uint64
	for i := range h.ops {
		keys = append(keys, h.ops[i].Key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// check returns what is wrong with the history.
func (h *history) check() error {
	if err := h.checkSightings(); err != nil {
		return err
	}
	return checkLinearizable(h.ops)
}

// checkLinearizable checks each key by itself: Porcupine does, where revisions do not
// explain all answers anyway.
func checkLinearizable(ops []lincheck.Op) error {
	c := lincheck.NewChecker(20 * lincheck.DefaultLimit)
	for i := range ops {
		if err := c.Add(ops[i]); err != nil {
			return err
		}
	}
	return c.Finish()
}

// checkSightings checks what holds of stale reads too: a value that is seen was written to
// this key by a write that had begun and is not certain to have failed, and all who see it
// are told of one revision. Two are those of a write that was applied twice.
func (h *history) checkSightings() error {
	type written struct{ key, value uint64 }
	writes := map[written]*lincheck.Op{}
	for i := range h.ops {
		if o := &h.ops[i]; o.Kind != lincheck.Read && o.Value != 0 {
			writes[written{o.Key, o.Value}] = o
		}
	}
	revisions := map[written]uint64{}
	for _, s := range h.sightings {
		w := written{s.key, s.value}
		o := writes[w]
		switch {
		case o == nil:
			return fmt.Errorf("key %d had the value %d, which nobody wrote: %+v", s.key, s.value, s)
		case o.Outcome == lincheck.Failed || o.Outcome == lincheck.OK && o.Kind == lincheck.CompareAndSwap && !o.Swapped:
			return fmt.Errorf("key %d had a value that is certain not to have been written: %+v, %v", s.key, s, o)
		case s.at < o.Call:
			return fmt.Errorf("key %d had a value before it was written: %+v, %v", s.key, s, o)
		case revisions[w] != 0 && revisions[w] != s.revision:
			return fmt.Errorf("key %d had the value %d at the revisions %d and %d: it was written twice", s.key, s.value, revisions[w], s.revision)
		}
		revisions[w] = s.revision
	}
	return nil
}

// forget returns the operations without the effect of an acknowledged write, as if servers
// had lost it: reads after it, up to the next write, see what was there before. What they see
// of it while it is under way may go either way, so a write is chosen that was seen after it
// was acknowledged, by a read that began when no other write to the key was under way or
// came in between.
func forget(ops []lincheck.Op, r *rand.Rand) (forgotten []lincheck.Op, lost lincheck.Op, ok bool) {
	for _, i := range r.Perm(len(ops)) {
		read := ops[i]
		if read.Kind != lincheck.Read || read.Outcome != lincheck.OK || read.Result == 0 {
			continue
		}
		w := slices.IndexFunc(ops, func(o lincheck.Op) bool {
			return o.Key == read.Key && o.Kind == lincheck.Write && o.Value == read.Result && o.Outcome == lincheck.OK && o.Return < read.Call
		})
		if w < 0 {
			continue
		}
		forgotten = slices.Clone(ops)
		for j := range forgotten {
			if o := &forgotten[j]; o.Key == read.Key && o.Kind == lincheck.Read && o.Result == read.Result {
				o.Result, o.Pos = 0, 0
			}
		}
		if slices.ContainsFunc(ops, func(o lincheck.Op) bool { // a delete may explain it
			return o.Key == read.Key && o.Kind == lincheck.Write && o.Value == 0
		}) {
			continue
		}
		return forgotten, ops[w], true
	}
	return nil, lost, false
}

// The checks that the long test relies on do object: to a write that is lost, to a value from
// nowhere, to one that was refused, and to one that was applied twice.
func TestHistoryIsChecked(t *testing.T) {
	t.Parallel()
	write := func(value uint64, call, ret int64) lincheck.Op {
		return lincheck.Op{Key: 1, Kind: lincheck.Write, Value: value, Call: call, Return: ret}
	}
	read := func(value uint64, call, ret int64) lincheck.Op {
		return lincheck.Op{Key: 1, Kind: lincheck.Read, Result: value, Call: call, Return: ret}
	}
	sound := []lincheck.Op{write(1, 1, 2), read(1, 3, 4), write(2, 5, 9), read(1, 6, 7), read(2, 10, 11), read(2, 12, 13)}
	for _, c := range []struct {
		name      string
		ops       []lincheck.Op
		sightings []sighting
		bad       bool
	}{
		{"sound", sound, []sighting{{key: 1, value: 1, revision: 7, at: 4}, {key: 1, value: 1, revision: 7, at: 20, stale: true}}, false},
		{"lost", append(slices.Clone(sound), read(1, 14, 15)), nil, true},
		{"lost, and the key with it", append(slices.Clone(sound), read(0, 14, 15)), nil, true},
		{"from nowhere", sound, []sighting{{key: 1, value: 3, revision: 7, at: 20, stale: true}}, true},
		{"from another key", sound, []sighting{{key: 2, value: 1, revision: 7, at: 20, stale: true}}, true},
		{"too early", sound, []sighting{{key: 1, value: 2, revision: 7, at: 4, stale: true}}, true},
		{"twice", sound, []sighting{{key: 1, value: 1, revision: 7, at: 20}, {key: 1, value: 1, revision: 8, at: 20}}, true},
		{
			"refused", append(slices.Clone(sound), lincheck.Op{Key: 1, Kind: lincheck.Write, Value: 3, Call: 1, Outcome: lincheck.Failed}),
			[]sighting{{key: 1, value: 3, revision: 7, at: 20, stale: true}}, true,
		},
	} {
		h := &history{ops: c.ops, sightings: c.sightings}
		if c.bad {
			require.Error(t, h.check(), c.name)
		} else {
			require.NoError(t, h.check(), c.name)
		}
	}
	forgotten, lost, ok := forget(sound, rand.New(rand.NewPCG(1, 1)))
	require.True(t, ok)
	require.Error(t, checkLinearizable(forgotten), lost)
}

func keyName(key uint64) []byte { return fmt.Appendf(nil, "k%08d", key) }

func number(n uint64) api.Text { return strconv.AppendUint(nil, n, 10) }

// parse returns the number in a key or value.
func parse(text []byte) (uint64, error) { return strconv.ParseUint(string(text), 10, 64) }
