package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/replica"
)

// member is a replica's store.
type member struct {
	fs     *stillFS
	s      *Store
	synced uint64 // what must not be lost
}

// world is two stores that follow one log, and the model.
type world struct {
	*testing.T
	generator
	members [2]*member
	counts  map[string]int
}

// Whatever happens, a store holds what the commands up to its applied index make, and
// answers as the model does; a crash takes it back no further than the last Sync, and
// it then goes on from its index to the same state.
func TestModel(t *testing.T) {
	counts := map[string]int{}
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{T: t, counts: counts}
			w.generator = generator{rnd: rand.New(rand.NewPCG(seed, 1)), m: newModel()}
			for i := range w.members {
				fs := newFS()
				w.members[i] = &member{fs: fs, s: open(t, fs)}
			}
			for range 60 {
				w.step(w.members[w.rnd.IntN(2)], w.rnd.IntN(14))
			}
			for _, m := range w.members {
				w.replay(m)
				w.check(m)
			}
			require.Equal(t, viewOf(t, w.members[0].s), viewOf(t, w.members[1].s))
			for _, m := range w.members {
				require.NoError(t, m.s.Close())
			}
		})
	}
	t.Log(counts)
	for _, what := range []string{"reopened", "crashed", "lost", "restored", "crashed in restore", "old after restore", "new after restore",
		Taken.String()} {
		require.NotZero(t, counts[what], what)
	}
}

func (w *world) step(m *member, action int) {
	switch action {
	case 0:
		require.NoError(w, m.s.Sync())
		m.synced = appliedOf(w, m.s)
	case 1:
		w.counts["reopened"]++
		before := appliedOf(w, m.s)
		require.NoError(w, m.s.Close())
		m.s, m.synced = open(w, m.fs), before
		require.Equal(w, before, appliedOf(w, m.s))
		w.check(m)
	case 2, 3:
		w.crash(m)
	case 4:
		w.restore(m)
	case 5:
		w.crashInRestore(m)
	case 6:
		w.check(m)
	default:
		w.replay(m)
		w.propose(m)
	}
}

// propose applies some new commands in one Apply.
func (w *world) propose(m *member) {
	var commands []replica.Command
	var want []Result
	for range 1 + w.rnd.IntN(20) {
		r, result := w.next()
		w.counts[result.Status.String()]++
		commands, want = append(commands, replica.Command{Index: r.index, Data: r.data}), append(want, result)
	}
	require.NoError(w, m.s.Apply(commands))
	for i, c := range commands {
		require.Equal(w, want[i], c.Result, "index %d", c.Index)
	}
}

// replay applies what the store is behind, in batches of another size, and checks the
// results.
func (w *world) replay(m *member) {
	applied := appliedOf(w, m.s)
	truth := modelAt(w.log, applied)
	for i := range w.log {
		if r := &w.log[i]; r.index > applied {
			require.Equal(w, truth.apply(r), apply(w, m.s, r.index, r.data), "index %d", r.index)
		}
	}
}

// crash goes on with what a loss of power leaves.
func (w *world) crash(m *member) {
	w.counts["crashed"]++
	before := appliedOf(w, m.s)
	fs := m.fs.crash(w.rnd)
	require.NoError(w, m.s.Close())
	m.fs, m.s = fs, open(w, fs)
	after := appliedOf(w, m.s)
	require.GreaterOrEqual(w, after, m.synced)
	require.LessOrEqual(w, after, before)
	if after < before {
		w.counts["lost"]++
	}
	m.synced = after
	w.check(m)
}

// restore brings a store that is behind, or not, to the state of the other.
func (w *world) restore(m *member) {
	w.counts["restored"]++
	from := w.other(m)
	w.replay(from)
	view := viewOf(w, from.s)
	require.NoError(w, m.s.Restore(w.last, bytes.NewReader(view)))
	require.Equal(w, w.last, appliedOf(w, m.s))
	require.Equal(w, view, viewOf(w, m.s))
	w.check(m)
}

func (w *world) other(m *member) *member {
	if w.members[0] == m {
		return w.members[1]
	}
	return w.members[0]
}

// crashInRestore loses power while a snapshot is read, or just after.
func (w *world) crashInRestore(m *member) {
	w.counts["crashed in restore"]++
	w.replay(w.other(m))
	view := viewOf(w, w.other(m).s)
	before, at := appliedOf(w, m.s), w.rnd.IntN(len(view)+len(view)/4)
	var fs *stillFS
	r := io.MultiReader(bytes.NewReader(view[:min(at, len(view))]), callReader(func() {
		if at < len(view) {
			fs = m.fs.crash(w.rnd)
		}
	}), bytes.NewReader(view[min(at, len(view)):]))
	require.NoError(w, m.s.Restore(w.last, r))
	if fs == nil {
		if w.rnd.IntN(2) == 0 {
			require.NoError(w, m.s.Sync())
			m.synced = w.last
		}
		fs = m.fs.crash(w.rnd)
	}
	require.NoError(w, m.s.Close())
	m.fs, m.s = fs, open(w, fs)
	after := appliedOf(w, m.s)
	require.GreaterOrEqual(w, after, m.synced)
	if after > before {
		require.Equal(w, w.last, after)
		w.counts["new after restore"]++
	} else {
		w.counts["old after restore"]++
	}
	m.synced = after
	w.check(m)
}

// callReader is empty, and calls when it is read.
type callReader func()

func (f callReader) Read([]byte) (int, error) { f(); return 0, io.EOF }

// check compares all that can be read with the model at the store's index.
func (w *world) check(m *member) {
	truth := modelAt(w.log, appliedOf(w, m.s))
	all := everything(w, m.s, w.rnd.IntN(5))
	require.Len(w, all, len(truth.keys))
	for i, want := range truth.entries() {
		require.Equal(w, string(want.Key), string(all[i].Key))
		require.True(w, bytes.Equal(want.Value, all[i].Value))
		require.Equal(w, want.Revision, all[i].Revision)
	}
	key := keyName(w.rnd.IntN(12))
	value, revision, found, err := m.s.Get(key)
	require.NoError(w, err)
	want, ok := truth.keys[string(key)]
	require.Equal(w, ok, found)
	require.Equal(w, want.Revision, revision)
	require.True(w, bytes.Equal(want.Value, value))

	require.Len(w, m.s.clients.byID, len(truth.clients))
	for id, c := range truth.clients {
		require.Equal(w, c, *m.s.clients.byID[id].Value.(*client))
	}
	stored, err := m.s.readClients()
	require.NoError(w, err)
	require.Len(w, stored, len(truth.clients))
	for _, c := range stored {
		require.Equal(w, truth.clients[c.id], *c)
	}
	onDisk, err := m.s.readMeta()
	require.NoError(w, err)
	require.Equal(w, meta{generation: m.s.generation, applied: appliedOf(w, m.s), owner: identity{7, 3}}, onDisk)
	require.Equal(w, members{truth.highest, truth.open}, m.s.members)
	ofDisk, err := m.s.readMembers()
	require.NoError(w, err)
	require.Equal(w, m.s.members, ofDisk)
	for _, r := range [][2][]byte{
		{{generationByte}, generationPrefix(m.s.generation)}, {generationPrefix(m.s.generation + 1), nil},
	} {
		left, err := m.s.holds(r[0], r[1])
		require.NoError(w, err)
		require.False(w, left, "what is not the state takes room")
	}
	w.checkWatch(m, truth)
}

// checkWatch watches from some revision of the history.
func (w *world) checkWatch(m *member, truth *model) {
	h := m.s.history
	since := h.from + w.rnd.Uint64N(h.through-h.from+1)
	from, to := keyName(w.rnd.IntN(6)), keyName(6+w.rnd.IntN(6))
	var want []Event
	for _, e := range truth.events {
		if e.Revision > since && bytes.Compare(e.Key, from) >= 0 && bytes.Compare(e.Key, to) < 0 {
			want = append(want, e)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	changes, err := m.s.Watch(ended, from, to, since)
	if len(want) == 0 {
		require.ErrorIs(w, err, context.Canceled)
	} else {
		require.NoError(w, err)
	}
	require.Equal(w, appliedOf(w, m.s), changes.Through)
	require.Len(w, changes.Events, len(want))
	for i, e := range changes.Events {
		require.Equal(w, want[i].Revision, e.Revision)
		require.Equal(w, want[i].Deleted, e.Deleted)
		require.True(w, bytes.Equal(want[i].Key, e.Key) && bytes.Equal(want[i].Value, e.Value))
	}
}
