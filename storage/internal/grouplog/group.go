package grouplog

import (
	"fmt"
	"slices"
	"sync"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Keeper is what an engine keeps of a group: a pointer to a struct that embeds State,
// or is one.
type Keeper[S any] interface {
	*S
	Known() *State
}

// Group is one group of an engine, but for what is on the disk. It is safe for
// concurrent use; writes are made one after the other.
type Group[S any, P Keeper[S]] struct {
	Part // its lock protects what follows

	// ID is the group's ID, which never changes.
	ID     uint64
	shared *Shared

	// Write is held by a write until it is visible. Under it State and Gone can be read
	// without the other lock, since only writes change them.
	Write sync.Mutex
	State S
	// Gone says that the group was destroyed.
	Gone bool
}

// Reader reads the entries [lo, hi) of st from the disk, as many as fit but at least
// one, and returns their size.
type Reader[S any] func(st S, lo, hi, maxSize uint64) (ents []pb.Entry, size uint64, err error)

// Init is called once, before anything else.
func (g *Group[S, P]) Init(shared *Shared, id uint64, st S) {
	g.shared, g.ID, g.State = shared, id, st
}

// Look returns all that is known, unless the group is gone.
func (g *Group[S, P]) Look() (st S, err error) {
	g.Mu.RLock()
	defer g.Mu.RUnlock()
	if g.Gone {
		return st, g.shared.errs.Destroyed
	}
	return g.State, nil
}

// view is Look as an operation of its own, for what both engines know.
func (g *Group[S, P]) view() (State, error) {
	if err := g.shared.Acquire(); err != nil {
		return State{}, err
	}
	defer g.shared.Release()
	g.Mu.RLock()
	defer g.Mu.RUnlock()
	if g.Gone {
		return State{}, g.shared.errs.Destroyed
	}
	return *P(&g.State).Known(), nil
}

// InitialState implements raft.Storage. The configuration has an index: that of a
// snapshot, where it came in one and had none.
func (g *Group[S, P]) InitialState() (pb.HardState, pb.ConfState, error) {
	st, err := g.view()
	if err != nil {
		return pb.HardState{}, pb.ConfState{}, err
	}
	cs := cloneConf(st.Conf)
	cs.Index = st.ConfAt
	return st.Hard, cs, nil
}

// Term implements raft.Storage.
func (g *Group[S, P]) Term(i uint64) (uint64, error) {
	st, err := g.view()
	if err == nil {
		err = st.CheckTerm(i)
	}
	if err != nil {
		return 0, err
	}
	return st.Term(i), nil
}

// LastIndex implements raft.Storage.
func (g *Group[S, P]) LastIndex() (uint64, error) {
	st, err := g.view()
	return st.Last, err
}

// FirstIndex implements raft.Storage.
func (g *Group[S, P]) FirstIndex() (uint64, error) {
	st, err := g.view()
	if err != nil {
		return 0, err
	}
	return st.Base.Index + 1, nil
}

// ConfEntryIndexes implements raft.ConfEntryIndexer.
func (g *Group[S, P]) ConfEntryIndexes(lo, hi uint64) ([]uint64, error) {
	st, err := g.view()
	if err != nil {
		return nil, err
	}
	a, _ := slices.BinarySearch(st.Changes, lo)
	b, _ := slices.BinarySearch(st.Changes, hi)
	if a >= b {
		return nil, nil
	}
	return slices.Clone(st.Changes[a:b]), nil
}

// Read makes a read of the disk. If it fails, what is on the disk did not agree
// with what is known of it: it is corrupt, or it was moved or dropped in between. So
// it is made again without writes, when there is only one answer.
func (g *Group[S, P]) Read(read func() error) error {
	if err := g.shared.Acquire(); err != nil {
		return err
	}
	defer g.shared.Release()
	err := read()
	if err == nil || g.shared.isAnswer(err) {
		return err
	}
	g.Write.Lock()
	defer g.Write.Unlock()
	return g.shared.Blame(read())
}

// Entries implements raft.Storage. It reads what the cache does not hold, and of that
// no more than fits.
func (g *Group[S, P]) Entries(lo, hi, maxSize uint64, read Reader[S]) ([]pb.Entry, error) {
	var ents []pb.Entry
	err := g.Read(func() (err error) {
		ents, err = g.entries(lo, hi, maxSize, read)
		return err
	})
	return ents, err
}

func (g *Group[S, P]) entries(lo, hi, maxSize uint64, read Reader[S]) ([]pb.Entry, error) {
	st, cached, err := g.lookAt(lo, hi)
	if err != nil {
		return nil, err
	}
	end := hi - uint64(len(cached))
	if lo == end {
		n, _ := Fitting(cached, maxSize, true)
		return cached[:n:n], nil
	}
	ents, size, err := read(st, lo, end, maxSize)
	if err != nil || uint64(len(ents)) < end-lo {
		return ents, err
	}
	n, _ := Fitting(cached, maxSize-min(size, maxSize), false)
	return append(ents, cached[:n]...), nil
}

// lookAt returns the state and what is cached of the entries [lo, hi), or why they
// are not in the log.
func (g *Group[S, P]) lookAt(lo, hi uint64) (st S, cached []pb.Entry, err error) {
	g.Mu.RLock()
	defer g.Mu.RUnlock()
	if g.Gone {
		return st, nil, g.shared.errs.Destroyed
	}
	if err := P(&g.State).Known().CheckRange(lo, hi); err != nil {
		return st, nil, err
	}
	return g.State, g.recent.from(lo, hi), nil
}

// Fitting returns how many of ents fit into maxSize, and their size. The first
// one fits if it must.
func Fitting(ents []pb.Entry, maxSize uint64, must bool) (n int, size uint64) {
	for i := range ents {
		one := uint64(ents[i].Size())
		if size+one > maxSize && (i > 0 || !must) {
			return i, size
		}
		size += one
	}
	return len(ents), size
}

// verifiedAtOnce is how many entries VerifyEntries reads with one look at the log.
const verifiedAtOnce = 1024

// VerifyEntries reads all entries past the cache, and returns the first fault. Writes
// go on meanwhile.
func (g *Group[S, P]) VerifyEntries(read Reader[S]) error {
	next := uint64(0)
	for {
		st, err := g.view()
		if err != nil {
			return err
		}
		lo := max(next, st.Base.Index+1)
		if lo > st.Last {
			return nil
		}
		hi := min(lo+verifiedAtOnce, st.Last+1)
		err = g.Read(func() error {
			st, _, err := g.lookAt(lo, hi)
			if err == nil {
				_, _, err = read(st, lo, hi, ^uint64(0))
			}
			return err
		})
		if err != nil && !g.shared.isAnswer(err) {
			return err
		} else if err == nil {
			next = hi
		}
	}
}

// Fresh returns the entries that the log of st does not begin after, or says that
// they do not continue it.
func (g *Group[S, P]) Fresh(st *State, ents []pb.Entry) ([]pb.Entry, error) {
	for len(ents) > 0 && ents[0].Index <= st.Base.Index {
		ents = ents[1:]
	}
	if len(ents) == 0 {
		return nil, nil
	}
	first := ents[0].Index
	for i := range ents {
		if want := min(first, st.Last+1) + uint64(i); ents[i].Index != want {
			return nil, fmt.Errorf("%w: entry %d of group %d comes where %d should", g.shared.errs.Gap, ents[i].Index, g.ID, want)
		}
	}
	return ents, nil
}

// Written is what a write did, as far as the cache has to know.
type Written struct {
	// Entries are in place of all from the first one's index on.
	Entries []pb.Entry
	// Installed says that the whole log was replaced before.
	Installed bool
	// Compacted is up to where the log was dropped, or 0.
	Compacted uint64
}

// Publish makes a write what is known, under Write.
func (g *Group[S, P]) Publish(st *S, w Written) {
	cache := &g.shared.cache
	grown := int64(0)
	g.Mu.Lock()
	g.State = *st
	if w.Installed {
		grown -= g.recent.bytes
		g.recent = recent{}
	}
	if w.Compacted > 0 {
		grown += g.recent.compact(w.Compacted)
	}
	if len(w.Entries) > 0 && cache.limit > 0 {
		grown += g.recent.replace(w.Entries)
	}
	empty := len(g.recent.ents) == 0
	g.Mu.Unlock()
	switch {
	case len(w.Entries) > 0 && cache.limit > 0:
		cache.wrote(&g.Part, grown)
	case grown != 0:
		cache.dropped(&g.Part, grown, empty)
	}
}

// Destroy makes the group refuse everything, under Write.
func (g *Group[S, P]) Destroy() {
	var nothing S
	g.Mu.Lock()
	g.Gone = true
	grown := -g.recent.bytes
	g.recent, g.State = recent{}, nothing
	g.Mu.Unlock()
	g.shared.cache.dropped(&g.Part, grown, true)
}
