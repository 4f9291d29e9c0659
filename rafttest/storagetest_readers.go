package rafttest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

const (
	readers      = 3
	readerRounds = 30
	// roundSpan is how many entries a round commits.
	roundSpan = 4
)

// whole is what readers know of a log while it is written. Round r commits
// entries of term 2r+2, and writes and replaces entries of term 2r+1 behind
// them.
type whole struct {
	s         Storage
	committed atomic.Uint64
	compacted atomic.Uint64 // raised before the entries go
	passes    atomic.Uint64
	done      atomic.Bool
}

// The node reads while the host writes (storage.go): what is committed is there
// at all times, and nothing is seen half.
func checkReaders(p *probe) {
	w := &whole{s: p.s}
	faults := make(chan error, readers)
	var running sync.WaitGroup
	for range readers {
		running.Go(func() {
			var last pb.HardState
			for !w.done.Load() {
				if err := w.pass(&last); err != nil {
					faults <- err
					return
				}
				w.passes.Add(1)
			}
		})
	}
	defer running.Wait()
	defer w.done.Store(true)
	for round := range uint64(readerRounds) {
		w.write(p, round)
		for seen := w.passes.Load(); w.passes.Load() < seen+readers && len(faults) == 0; {
			runtime.Gosched()
		}
		select {
		case err := <-faults:
			p.failf("while it was written: %w", err)
		default:
		}
	}
}

func (w *whole) write(p *probe, round uint64) {
	from := round*roundSpan + 1
	end := from + roundSpan
	w.save(p, span(from, end+3, 2*round+1), from-1)
	w.save(p, span(from, end, 2*round+2), from-1)
	w.save(p, span(end, end+2, 2*round+2), end-1)
	w.committed.Store(end - 1)
	if round%2 == 0 {
		p.setConf(voters(end-1, 1, 2, end-1))
	}
	if round%3 == 0 && round > 2 {
		at := end - 1 - 2*roundSpan
		p.createSnapshot(at, voters(at, 1, 2, at), fmt.Sprintf("state at %d", at))
		w.compacted.Store(at)
		p.compact(at)
	}
}

// save writes with a hard state whose fields tell of each other.
func (w *whole) save(p *probe, ents []pb.Entry, commit uint64) {
	term := ents[0].Term
	p.save(raft.Ready{Entries: ents, HardState: pb.HardState{Term: term, Vote: term + 7, Commit: commit}, MustSync: true})
}

// pass reads everything once. last is the hard state that the reader saw last.
func (w *whole) pass(last *pb.HardState) error {
	committed := w.committed.Load()
	if committed > 0 {
		if err := w.readCommitted(committed); err != nil {
			return err
		}
	}
	hs, cs, err := w.s.InitialState()
	switch {
	case err != nil:
		return fmt.Errorf("initial state: %w", err)
	case hs.Term > 0 && hs.Vote != hs.Term+7, hs.Term < last.Term, hs.Commit < last.Commit:
		return fmt.Errorf("hard state {%v} after {%v}", &hs, last)
	case cs.Index > 0 && !sameConf(cs, voters(cs.Index, 1, 2, cs.Index)):
		return fmt.Errorf("configuration {%v} is not what was written", &cs)
	}
	*last = hs
	snap, err := w.s.Snapshot()
	if errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) || err == nil && raft.IsEmptySnap(snap) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	at := snap.Metadata.Index
	if want := snapshotAt(at, termAt(at), voters(at, 1, 2, at)); !sameSnapshot(snap, want) {
		return fmt.Errorf("snapshot {%v}, want {%v}", &snap, &want)
	}
	return nil
}

// termAt is the term of a committed entry.
func termAt(i uint64) uint64 { return 2*((i-1)/roundSpan) + 2 }

// readCommitted reads a log that is committed to index.
func (w *whole) readCommitted(index uint64) error {
	first, err := w.s.FirstIndex()
	if err != nil {
		return fmt.Errorf("first index: %w", err)
	}
	last, err := w.s.LastIndex()
	if err != nil {
		return fmt.Errorf("last index: %w", err)
	}
	if first > index && w.compacted.Load() >= first-1 {
		return nil // meanwhile
	}
	if last < index || first > index {
		return fmt.Errorf("the log is [%d, %d] and committed to %d", first, last, index)
	}
	ents, err := w.s.Entries(first, index+1, noLimit)
	switch {
	case errors.Is(err, raft.ErrCompacted) && w.compacted.Load() >= first:
		return nil // meanwhile
	case err != nil:
		return fmt.Errorf("Entries(%d, %d): %w", first, index+1, err)
	case uint64(len(ents)) != index+1-first:
		return fmt.Errorf("Entries(%d, %d) returned %d entries", first, index+1, len(ents))
	}
	for i, e := range ents {
		at := first + uint64(i)
		if !sameEntry(e, entry(at, termAt(at))) {
			return fmt.Errorf("Entries(%d, %d) returned %s as entry %d, which is committed", first, index+1, describeEntry(e), at)
		}
	}
	term, err := w.s.Term(index)
	if errors.Is(err, raft.ErrCompacted) && w.compacted.Load() > index {
		return nil // meanwhile
	}
	if err != nil || term != termAt(index) {
		return fmt.Errorf("Term(%d) = %d, %v, want %d", index, term, err, termAt(index))
	}
	return nil
}
