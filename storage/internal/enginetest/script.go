package enginetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

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
	s      Storage
	rnd    *rand.Rand
	states [maxWrites + 1]modelState // by the number of writes
	n      int

	written atomic.Int64 // writes begun
	acked   atomic.Int64 // writes known to be durable
}

func entryData(seed uint64) []byte {
	size := 10 + seed%900
	if seed%97 == 0 {
		size = 70_000 // more than fits into a file of the log, or most of it
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
func (c *scripted) check(e Engine, acked, written int64) error {
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

func (m *modelState) check(s Storage) error {
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
