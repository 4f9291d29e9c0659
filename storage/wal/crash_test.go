package wal

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// modelState is what a group holds after some number of its writes.
type modelState struct {
	first, last uint64
	hard        pb.HardState
	conf        uint64 // its index
	snap        uint64
	terms       map[uint64]uint64 // by index, also of the one before the first
	seeds       map[uint64]uint64 // what the data of each entry is made of
}

const maxWrites = 100

// scripted writes to one group like a correct host, by chance, and keeps what
// each write made of it.
type scripted struct {
	id     uint64
	s      *Storage
	rnd    *rand.Rand
	states [maxWrites + 1]modelState // by the number of writes
	n      int

	written atomic.Int64 // writes begun
	acked   atomic.Int64 // writes known to be durable
}

func entryData(seed uint64) []byte {
	size := 10 + seed%900
	if seed%97 == 0 {
		size = 70_000 // more than a segment
	}
	return []byte(strings.Repeat(fmt.Sprintf("%016x", seed), int(size/16)+1))
}

func newScripted(id, seed uint64) *scripted {
	c := &scripted{id: id, rnd: rand.New(rand.NewPCG(seed, id))}
	c.states[0] = modelState{first: 1, terms: map[uint64]uint64{0: 0}, seeds: map[uint64]uint64{}}
	return c
}

func (c *scripted) copy() modelState {
	st := c.states[c.n]
	terms, seeds := map[uint64]uint64{}, map[uint64]uint64{}
	for i := st.first - 1; i <= st.last; i++ {
		terms[i] = st.terms[i]
		if i >= st.first {
			seeds[i] = st.seeds[i]
		}
	}
	st.terms, st.seeds = terms, seeds
	return st
}

// step makes one write.
func (c *scripted) step() error {
	st := c.copy()
	var write func() error
	synced := false
	switch n := c.rnd.IntN(20); {
	case n == 0 && st.hard.Term > 0: // a snapshot from a leader
		st, write = c.received(st)
		synced = true
	case n <= 2 && st.hard.Commit > st.snap && st.hard.Commit >= st.first:
		i := st.hard.Commit
		write = func() error { return c.s.CreateSnapshot(i, pb.ConfState{Voters: []uint64{1}, Index: i}, []byte("at")) }
		st.snap, st.conf = i, i
	case n <= 5 && st.snap >= st.first:
		i := st.first + c.rnd.Uint64N(st.snap-st.first+1)
		write = func() error { return c.s.Compact(i) }
		st.first = i + 1
	case n == 6 && st.hard.Commit > st.conf:
		st.conf = st.hard.Commit
		cs := pb.ConfState{Voters: []uint64{1, 2}, Index: st.conf}
		write = func() error { return c.s.SetConfState(cs) }
	case n == 7 && st.hard.Commit < st.last: // the commit index alone is not synced
		st.hard.Commit += 1 + c.rnd.Uint64N(st.last-st.hard.Commit)
		hs := st.hard
		write = func() error { return c.s.Save(raft.Ready{HardState: hs}) }
	default:
		st, synced, write = c.appended(st)
	}
	c.n++
	c.states[c.n] = st
	c.written.Store(int64(c.n)) // who looks at it from elsewhere looks no further
	if err := write(); err != nil {
		return err
	}
	if synced {
		c.acked.Store(int64(c.n))
	}
	return nil
}

func (c *scripted) received(st modelState) (modelState, func() error) {
	st.hard.Term++
	index := st.last + 1 + c.rnd.Uint64N(3)
	st.first, st.last, st.snap, st.conf = index+1, index, index, index
	st.hard.Commit, st.hard.Vote = index, 2
	st.terms, st.seeds = map[uint64]uint64{index: st.hard.Term}, map[uint64]uint64{}
	rd := raft.Ready{HardState: st.hard, MustSync: true, Snapshot: pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: index, Term: st.hard.Term, ConfState: pb.ConfState{Voters: []uint64{1, 3}, Index: index},
	}}}
	return st, func() error { return c.s.Save(rd) }
}

func (c *scripted) appended(st modelState) (modelState, bool, func() error) {
	from := st.last + 1
	if st.hard.Term == 0 || c.rnd.IntN(5) == 0 {
		st.hard.Term++
		st.hard.Vote = c.rnd.Uint64N(3)
		if low := max(st.hard.Commit, st.first-1) + 1; low < from && c.rnd.IntN(2) == 0 {
			from = low + c.rnd.Uint64N(from-low) // a conflict
		}
	}
	rd := raft.Ready{MustSync: c.rnd.IntN(3) > 0}
	for i := from; i < from+1+c.rnd.Uint64N(5); i++ {
		seed := c.rnd.Uint64()
		e := pb.Entry{Index: i, Term: st.hard.Term, Data: entryData(seed)}
		st.terms[i], st.seeds[i] = e.Term, seed
		rd.Entries = append(rd.Entries, e)
	}
	st.last = from + uint64(len(rd.Entries)) - 1
	st.hard.Commit = max(st.hard.Commit, min(st.last, st.hard.Commit+c.rnd.Uint64N(4)))
	rd.HardState = st.hard
	return st, rd.MustSync, func() error { return c.s.Save(rd) }
}

// check compares what is left of the group with its writes from acked to written:
// it has to be what one number of them made.
func (c *scripted) check(e *Engine, acked, written int64) error {
	s, err := e.Group(c.id)
	if err != nil {
		return err
	}
	if err := s.Verify(); err != nil {
		return err
	}
	var misfits []string
	for n := written; n >= acked; n-- {
		if err := c.states[n].check(s); err != nil {
			misfits = append(misfits, fmt.Sprintf("after %d: %v", n, err))
			continue
		}
		// A node could start from it.
		hs, _, _ := s.InitialState()
		applied := max(c.states[n].snap, min(hs.Commit, c.states[n].last))
		node, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: s, Applied: applied})
		if err != nil {
			return fmt.Errorf("group %d: NewRawNode: %w", c.id, err)
		}
		return node.Err()
	}
	return fmt.Errorf("group %d: no number of writes from %d, which are durable, to %d leaves what is there: %s",
		c.id, acked, written, strings.Join(misfits, "; "))
}

func (m *modelState) check(s *Storage) error {
	first, _ := s.FirstIndex()
	last, _ := s.LastIndex()
	hs, cs, _ := s.InitialState()
	snap, err := s.Snapshot()
	if err != nil {
		return err
	}
	if first != m.first || last != m.last || hs != m.hard || cs.Index != m.conf || snap.Metadata.Index != m.snap {
		return fmt.Errorf("[%d, %d] %v conf %d snap %d, found [%d, %d] %v conf %d snap %d",
			m.first, m.last, m.hard, m.conf, m.snap, first, last, hs, cs.Index, snap.Metadata.Index)
	}
	for i := first - 1; i <= last; i++ {
		if term, err := s.Term(i); err != nil || term != m.terms[i] {
			return fmt.Errorf("term of %d is %d, %v, want %d", i, term, err, m.terms[i])
		}
		if i < first {
			continue
		}
		ents, err := s.Entries(i, i+1, 0)
		if err != nil || string(ents[0].Data) != string(entryData(m.seeds[i])) {
			return fmt.Errorf("entry %d differs, %v", i, err)
		}
	}
	return nil
}

// crashPoint is what a crash at one moment left, and how far each group was.
type crashPoint struct {
	when           string
	left           *memFS
	acked, written []int64
}

// A power failure at any moment, before and after every sync and between: what
// was acknowledged with MustSync is there, what is lost is lost from the end, of
// each group, and a node can start from the rest.
func TestCrashAtEverySync(t *testing.T) {
	t.Parallel()
	for seed := range uint64(scaled(4)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { crashAtEverySync(t, seed) })
	}
}

func crashAtEverySync(t *testing.T, seed uint64) {
	const groups = 3
	steps := min(80, scaled(80)) // maxWrites bounds them
	w := newMemFS()
	scripts := make([]*scripted, groups)
	for i := range scripts {
		scripts[i] = newScripted(uint64(i+1), seed)
	}
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 99))
	points := make(chan crashPoint, 16)
	take := func(when string) {
		mu.Lock()
		defer mu.Unlock()
		p := crashPoint{when: when}
		// What is acknowledged is read before the crash, what is written after it.
		for _, c := range scripts {
			p.acked = append(p.acked, c.acked.Load())
		}
		p.left = w.crash(rnd)
		for _, c := range scripts {
			p.written = append(p.written, c.written.Load())
		}
		points <- p
	}
	e := open(t, small(w))
	var turn atomic.Int64
	w.watch(func(op, name string) error {
		if op != "write" || turn.Add(1)%3 == 0 {
			take("before " + op + " of " + name)
		}
		return nil
	}, func(op, name string) { take("after " + op + " of " + name) })

	checked := make(chan int)
	go func() {
		n := 0
		for p := range points {
			checkCrash(t, scripts, p)
			n++
		}
		checked <- n
	}()
	var writers sync.WaitGroup
	for _, c := range scripts {
		c.s = group(t, e, c.id)
		writers.Go(func() {
			for range steps {
				if err := c.step(); err != nil {
					t.Errorf("group %d: %v", c.id, err)
					return
				}
			}
		})
	}
	writers.Wait()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	close(points)
	mu.Unlock()
	t.Log(<-checked, "crashes")
}

func checkCrash(t *testing.T, scripts []*scripted, p crashPoint) {
	o := small(p.left)
	o.EntryCacheBytes = -1
	e, err := Open(testDir, o)
	if err != nil {
		t.Errorf("crash %s: %v", p.when, err)
		return
	}
	for i, c := range scripts {
		if err := c.check(e, p.acked[i], p.written[i]); err != nil {
			t.Errorf("crash %s: %v", p.when, err)
		}
	}
	if err := e.Close(); err != nil {
		t.Errorf("crash %s: %v", p.when, err)
	}
}

// A crash while it recovers from a crash leaves the same.
func TestCrashWhileOpening(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	disk := newMemFS()
	c := newScripted(1, 5)
	e := open(t, small(disk))
	c.s = group(t, e, 1)
	for range 60 {
		require.NoError(t, c.step())
	}
	acked, written := c.acked.Load(), c.written.Load()
	left := disk.crash(rnd)
	require.NoError(t, e.Close())
	// Once recovered, what is there is durable: a second recovery finds it.
	var mu sync.Mutex
	var again []*memFS
	w := left
	w.after = func(string, string) {
		mu.Lock()
		defer mu.Unlock()
		again = append(again, w.crash(rnd))
	}
	e = open(t, small(w))
	require.NoError(t, c.check(e, acked, written))
	require.NoError(t, e.Close())
	require.NotEmpty(t, again)
	for i, fs := range again {
		checkCrash(t, []*scripted{c}, crashPoint{fmt.Sprint("at sync ", i, " of the recovery"), fs, []int64{acked}, []int64{written}})
	}
}

// Files without a batch go from the end, so that a crash between them leaves no gap.
func TestCrashBetweenUnusedFiles(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	save(t, group(t, e, 1), entries(1, 3, 1, 100))
	e.keeper.close()
	left, id := fs.kill(), e.id
	require.NoError(t, e.Close())
	for seq := uint64(2); seq <= 4; seq++ {
		data := make([]byte, minSegmentBytes)
		(&segmentHeader{version: formatVersion, id: id, seq: seq}).put(data)
		left.put(filepath.Join(testDir, segmentName(seq)), data)
	}
	var between []*memFS
	left.watch(func(op, _ string) error {
		if op == "remove" {
			between = append(between, left.kill())
		}
		return nil
	}, nil)
	e = open(t, small(left))
	left.watch(nil, nil)
	require.NoError(t, e.Close())
	require.Len(t, between, 3)
	for _, fs := range between {
		e := open(t, small(fs))
		require.Len(t, all(t, group(t, e, 1)), 2)
		require.NoError(t, e.Close())
	}
}

// A new log is there after a crash as soon as something in it is acknowledged; a
// crash before that leaves nothing in the way.
func TestCrashOfNewDirectory(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	var left []*memFS
	w := newMemFS()
	w.before = func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		left = append(left, w.crash(rnd), w.crash(rnd))
		return nil
	}
	e := open(t, small(w))
	save(t, group(t, e, 1), entries(1, 4, 1, 10))
	acked := w.crash(rnd)
	require.NoError(t, e.Close())
	mu.Lock()
	defer mu.Unlock()
	for i, fs := range append(left, acked) {
		e, err := Open(testDir, small(fs))
		require.NoError(t, err, "crash %d", i)
		if fs == acked {
			require.Len(t, all(t, group(t, e, 1)), 3)
		}
		require.NoError(t, e.Close())
	}
}

// What a process finds that was started after another was killed, it may build on: a
// loss of power does not take it any more, although the other one was killed before it
// was synced.
func TestPowerFailureAfterKill(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		fs := newMemFS()
		e := open(t, small(fs))
		save(t, group(t, e, 1), entries(1, 3, 1, 700))
		killed(fs, "sync", segmentSuffix)
		require.Error(t, group(t, e, 1).Save(raft.Ready{Entries: entries(3, 5, 1, 3000), MustSync: true}))
		require.Error(t, e.Close())
		fs.watch(nil, nil)
		e = open(t, small(fs))
		last, err := group(t, e, 1).LastIndex()
		require.NoError(t, err)
		require.Equal(t, uint64(4), last)
		left := fs.crash(rnd)
		require.NoError(t, e.Close())
		e = open(t, small(left))
		require.Equal(t, append(entries(1, 3, 1, 700), entries(3, 5, 1, 3000)...), all(t, group(t, e, 1)))
		require.NoError(t, e.Close())
	}
}

// What a process finds after a sync failed, it may build on too, although the failure took
// it: the system may serve what it did not write, and call it clean.
func TestPowerFailureAfterFailedSync(t *testing.T) {
	fs := newMemFS()
	e := open(t, small(fs))
	save(t, group(t, e, 1), entries(1, 3, 1, 100))
	name := fs.segments()[0]
	fs.watch(func(op, of string) error {
		if op != "sync" || of != name {
			return nil
		}
		fs.mu.Lock()
		defer fs.mu.Unlock()
		clear(fs.names[name].dirty)
		return syscall.EIO
	}, nil)
	require.ErrorIs(t, group(t, e, 1).Save(raft.Ready{Entries: entries(3, 5, 1, 3000), MustSync: true}), ErrFailed)
	require.ErrorIs(t, e.Close(), ErrFailed)
	fs.watch(nil, nil)
	e = open(t, small(fs))
	last, err := group(t, e, 1).LastIndex()
	require.NoError(t, err)
	require.Equal(t, uint64(4), last)
	left := fs.crash(rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, e.Close())
	e = open(t, small(left))
	require.Equal(t, append(entries(1, 3, 1, 100), entries(3, 5, 1, 3000)...), all(t, group(t, e, 1)))
	require.NoError(t, e.Close())
}

// The same where not even the name of the first file is durable.
func TestPowerFailureAfterKilledCreation(t *testing.T) {
	for seed := range uint64(20) {
		fs := newMemFS()
		killed(fs, "sync", testDir)
		_, err := Open(testDir, small(fs))
		require.ErrorIs(t, err, ErrFailed)
		require.Len(t, fs.segments(), 1)
		fs.watch(nil, nil)
		e := open(t, small(fs))
		save(t, group(t, e, 1), entries(1, 3, 1, 100))
		left := fs.crash(rand.New(rand.NewPCG(seed, 5)))
		require.NoError(t, e.Close())
		e = open(t, small(left))
		require.Len(t, all(t, group(t, e, 1)), 2)
		require.NoError(t, e.Close())
	}
}

// A process that was killed before the first batch of a new log leaves a file without any.
// Who opens it next may say whom it is for, and begins the log anew.
func TestIdentityAfterKilledCreation(t *testing.T) {
	fs := newMemFS()
	killed(fs, "write", segmentSuffix)
	_, err := Open(testDir, small(fs))
	require.ErrorIs(t, err, ErrFailed)
	require.Len(t, fs.segments(), 1)
	fs.watch(nil, nil)
	o := small(fs)
	o.ClusterID, o.NodeID = 5, 6
	e := open(t, o)
	save(t, group(t, e, 1), entries(1, 3, 1, 100))
	require.NoError(t, e.Close())
	e = open(t, o)
	require.Len(t, all(t, group(t, e, 1)), 2)
	require.NoError(t, e.Close())
}

// killed makes all that follows the first operation of a kind on a file fail, with it.
func killed(fs *memFS, op, suffix string) {
	var dead atomic.Bool
	fs.watch(func(did, name string) error {
		if did == op && strings.HasSuffix(name, suffix) {
			dead.Store(true)
		}
		if dead.Load() {
			return syscall.EIO
		}
		return nil
	}, nil)
}
