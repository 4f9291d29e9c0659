package wal

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// someState is a state with all that there can be in one.
func someState() *logState {
	st := &logState{State: grouplog.State{Hard: pb.HardState{Term: 9, Vote: 3, Commit: 1 << 40}}}
	st.install(&pb.SnapshotMetadata{Index: 1 << 33, Term: 4, ConfState: pb.ConfState{Voters: []uint64{1, 2}, Index: 77}}, location{5000, 100})
	for i := range uint64(50) {
		st.push(1<<33+1+i, 4+i/20, i%7 == 3, location{6000 + 300*i, uint32(40 + i)})
	}
	st.at[3].position = 90_000 // moved
	st.moved = true
	return st
}

// A state comes back as it was, an empty one too.
func TestStateCodec(t *testing.T) {
	compacted := *someState()
	compacted.compact(1<<33 + 50)
	require.Empty(t, compacted.at)
	compacted.at, compacted.moved = nil, false
	for _, st := range []*logState{{}, someState(), &compacted} {
		body, err := st.body()
		require.NoError(t, err)
		back, err := parseState(body)
		require.NoError(t, err)
		if len(st.Runs) == 0 {
			st.Runs, st.Changes = nil, nil
		}
		require.Equal(t, *st, back)
		for n := range body {
			_, err := parseState(body[:n])
			require.Error(t, err, "%d of %d bytes", n, len(body))
		}
		_, err = parseState(append(body, 0))
		require.Error(t, err)
	}
}

// A state that contradicts itself is refused, whatever its checksum.
func TestContradictoryStates(t *testing.T) {
	for name, spoil := range map[string]func(st *logState){
		"no runs":                 func(st *logState) { st.Runs = nil },
		"a run begins late":       func(st *logState) { st.Runs[0].Start++ },
		"runs out of order":       func(st *logState) { st.Runs[1], st.Runs[2] = st.Runs[2], st.Runs[1] },
		"a run after the end":     func(st *logState) { st.Runs[2].Start += 100 },
		"changes out of order":    func(st *logState) { st.Changes[1] = st.Changes[0] },
		"a change after the end":  func(st *logState) { st.Changes[3] += 100 },
		"a change before the log": func(st *logState) { st.Changes[0] = st.Base.Index },
		"an entry too few":        func(st *logState) { st.at = st.at[1:] },
		"an end before the start": func(st *logState) { st.Last = st.Base.Index - 1 },
		"a snapshot without one":  func(st *logState) { st.snapAt = location{} },
		"a far position":          func(st *logState) { st.at[5].position = maxPosition + 1 },
		"a large record":          func(st *logState) { st.at[5].size = maxRecord + 1 },
	} {
		st := someState()
		spoil(st)
		body, err := st.body()
		require.NoError(t, err)
		_, err = parseState(body)
		require.Error(t, err, name)
	}
}

// Records that cannot follow each other are an error of the log, although each is whole.
func TestContradictoryRecords(t *testing.T) {
	empty, err := new(logState).body()
	require.NoError(t, err)
	snapshot := func(index uint64) []byte {
		body, err := (&pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: index, Term: 1}}).Marshal()
		require.NoError(t, err)
		return body
	}
	room := func() []byte { return make([]byte, 0, 4096) }
	begin := putBytes(room(), 1, kindState, empty)
	begin = putEntry(begin, 1, &pb.Entry{Index: 1, Term: 1})
	begin = putBytes(begin, 1, kindSnapshot, snapshot(1))
	require.NoError(t, newReplay().batch(begin, 0))
	for name, rec := range map[string][]byte{
		"a gap":                   putEntry(room(), 1, &pb.Entry{Index: 3, Term: 1}),
		"an entry before the log": putEntry(room(), 1, &pb.Entry{Index: 0, Term: 1}),
		"a snapshot once more":    putBytes(room(), 1, kindSnapshot, snapshot(1)),
		"compaction of nothing":   putNumber(room(), 1, kindCompact, 0),
		"compaction past the end": putNumber(room(), 1, kindCompact, 2),
		"a short hard state":      putBytes(room(), 1, kindHard, make([]byte, 23)),
		"a short entry":           putBytes(room(), 1, kindEntry, make([]byte, 19)),
		"a short configuration":   putBytes(room(), 1, kindConf, make([]byte, 7)),
		"a short number":          putBytes(room(), 1, kindCompact, make([]byte, 7)),
		"a state that is none":    putBytes(room(), 1, kindState, []byte{1}),
		"an unknown kind":         putBytes(room(), 1, kindEnd, nil),
		"half a record":           putHard(room(), 1, pb.HardState{Term: 1})[:20],
	} {
		require.Error(t, newReplay().batch(append(append([]byte(nil), begin...), rec...), 0), name)
	}
}

// A group of which there are records but no state before or after is not passed over.
func TestStateIsMissing(t *testing.T) {
	r := newReplay()
	require.NoError(t, r.batch(putHard(make([]byte, 0, 100), 5, pb.HardState{Term: 1}), 0))
	err := r.finish(&segment{seq: 1, start: firstPosition}, 1<<20)
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "state of group 5")
}

// A state that leads to where the log is not, before the oldest file or past the end, is
// an error when the log is opened, and not only when it is read there.
func TestStateLeadsNowhere(t *testing.T) {
	const from, to = 10 * blockSize, 20 * blockSize
	for at, want := range map[location]error{
		{from, 50}: nil, {to - 50, 50}: nil, {from - 1, 50}: ErrCorrupt, {to - 49, 50}: ErrCorrupt,
	} {
		var entry, snap logState
		entry.push(1, 1, false, at)
		snap.setSnapshot(1, at)
		for _, st := range []logState{entry, snap} {
			body, err := st.body()
			require.NoError(t, err)
			r := newReplay()
			require.NoError(t, r.batch(putBytes(make([]byte, 0, 4096), 1, kindState, body), to-blockSize))
			require.ErrorIs(t, r.finish(&segment{seq: 1, start: from}, to), want, "%v", at)
		}
	}
}

// Whatever a record is, it is read or refused: no panic, and nothing that is much
// larger than it.
func FuzzRecords(f *testing.F) {
	body, _ := someState().body()
	b := putBytes(make([]byte, 0, 1<<16), 1, kindState, body)
	b = putEntry(b, 1, &pb.Entry{Index: 1<<33 + 51, Term: 9, Data: []byte("data")})
	b = putHard(b, 1, pb.HardState{Term: 3})
	b = putNumber(b, 1, kindCompact, 1<<33+20)
	f.Add(b, false)
	f.Add(body, true)
	f.Fuzz(func(t *testing.T, data []byte, state bool) {
		if state {
			data = putBytes(make([]byte, 0, len(data)+recordHeaderLen), 1, kindState, data)
		}
		r := newReplay()
		if r.batch(data, blockSize) != nil {
			return
		}
		for _, g := range r.groups {
			// What is taken can be written, and read to be the same.
			body, err := g.body()
			require.NoError(t, err)
			again, err := parseState(body)
			require.NoError(t, err)
			require.Equal(t, g.Last, again.Last)
			require.Equal(t, len(g.at), len(again.at))
			for i := g.Base.Index; i <= g.Last; i++ {
				require.Equal(t, g.Term(i), again.Term(i))
			}
		}
	})
}

// Whatever is written over a part of the log, opening it is an answer: what was there,
// some of it from the front, or corruption.
func FuzzDamage(f *testing.F) {
	fs := newMemFS()
	e, err := Open(testDir, small(fs))
	if err != nil {
		f.Fatal(err)
	}
	s, _ := e.Group(1)
	for i := uint64(1); i < 8; i++ {
		if err := s.Save(raft.Ready{Entries: entries(i, i+1, 1, 10), MustSync: true}); err != nil {
			f.Fatal(err)
		}
	}
	id := e.id
	whole := fs.kill()
	_ = e.Close()
	name := filepath.Join(testDir, segmentName(1))
	data := whole.names[name].data[:12*blockSize]
	f.Add(uint32(blockSize), []byte{1, 2, 3})
	f.Add(uint32(3*blockSize), data[4*blockSize:4*blockSize+200])
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		rotten := append([]byte(nil), data...)
		copy(rotten[int(at)%len(rotten):], patch)
		left := newMemFS()
		left.put(name, rotten)
		file, _ := left.Open(name)
		e := &Engine{id: id, groups: map[uint64]*Storage{}, o: (&Options{files: left}).withDefaults()}
		only := []*segment{{seq: 1, name: name, file: file, size: int64(len(rotten))}}
		if e.recover(only) != nil || e.groups[1] == nil {
			return
		}
		st := e.groups[1].log.State
		for i := uint64(1); i <= st.Last; i++ {
			if st.Term(i) != 1 && len(patch) < batchHeaderLen {
				t.Fatalf("entry %d is of term %d", i, st.Term(i))
			}
		}
	})
}

// Steady writes of one group leave nothing to the collector but the growth of what is
// known of the log.
func TestSaveAllocatesNothing(t *testing.T) {
	o := small(newMemFS())
	o.EntryCacheBytes = -1
	e := open(t, o)
	s := group(t, e, 1)
	rd := raft.Ready{Entries: []pb.Entry{{Term: 1, Data: make([]byte, 128)}}}
	next := uint64(1)
	write := func() {
		rd.Entries[0].Index = next
		rd.HardState = pb.HardState{Term: 1, Commit: next}
		if err := s.Save(rd); err != nil {
			t.Error(err)
		}
		next++
	}
	for range 3000 {
		write()
	}
	require.Less(t, testing.AllocsPerRun(1000, write), 0.1)
	require.NoError(t, e.Close())
}

// Positions are found whatever the order of random truncations and compactions, and the
// size of what is live is right.
func TestLogStateAccounts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	st := logState{}
	position := uint64(firstPosition)
	for range 5000 {
		switch n := rnd.IntN(10); {
		case n == 0 && st.Last > st.Base.Index:
			st.truncate(st.Base.Index + 1 + rnd.Uint64N(st.Last-st.Base.Index))
		case n == 1 && st.Last > st.Base.Index:
			st.compact(st.Base.Index + 1 + rnd.Uint64N(st.Last-st.Base.Index))
		case n == 2:
			st.setSnapshot(st.Last+1, location{position, 77})
		default:
			st.push(st.Last+1, st.Last/5, false, location{position, uint32(rnd.IntN(100) + 1)})
		}
		position += 100
		live := int64(st.snapAt.size)
		for _, at := range st.at {
			live += int64(at.size)
		}
		require.Equal(t, live, st.live)
		require.Len(t, st.at, int(st.Last-st.Base.Index))
	}
}
