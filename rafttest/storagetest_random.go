package rafttest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

const (
	randomSeeds  = 4
	randomWrites = 250
)

// checkRandom writes whatever a correct host may write, and a few things that
// are refused, in random order, and compares everything after each write.
func checkRandom(p *probe) {
	for seed := range uint64(randomSeeds) {
		p.fresh()
		p.random(seed)
	}
}

func (p *probe) random(seed uint64) {
	var writes []string
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				f = failure{fmt.Errorf("panic: %v", r)}
			}
			panic(failure{fmt.Errorf("seed %d, after\n\t%s\n%w", seed, strings.Join(writes, "\n\t"), f.error)})
		}
	}()
	w := &randomWriter{rnd: rand.New(rand.NewPCG(seed, 0)), probe: p, term: 1}
	for range randomWrites {
		write := w.next()
		writes = append(writes, write.what)
		write.do()
		p.same()
		p.sameTerm(p.model.last() + 1)
		if p.model.first > 1 {
			p.sameTerm(p.model.first - 2)
			p.sameEntries(p.model.first-1, p.model.first)
		}
		p.sameEntries(p.model.first, p.model.last()+2)
		if p.model.first <= p.model.last() {
			lo, hi := w.inLog()
			p.sameConfIndexesOf(lo, hi)
			p.sameLimited(lo, hi, w.rnd.Uint64N(600))
		}
		p.held = p.held[max(0, len(p.held)-100):]
		p.sameHeld()
	}
}

// randomWriter chooses what to write. It keeps what a host keeps: entries are
// synced, and what is applied, and so what a snapshot or a configuration is
// of, is durable.
type randomWriter struct {
	*probe
	rnd  *rand.Rand
	term uint64
	ids  uint64
}

// randomWrite is a write and how a failure tells of it.
type randomWrite struct {
	what string
	do   func()
}

// upTo returns a number in [lo, hi], or lo if there is none.
func (w *randomWriter) upTo(lo, hi uint64) uint64 {
	if hi <= lo {
		return lo
	}
	return lo + w.rnd.Uint64N(hi-lo+1)
}

// inLog returns a range in the log.
func (w *randomWriter) inLog() (lo, hi uint64) {
	lo = w.upTo(w.model.first, w.model.last())
	return lo, w.upTo(lo+1, w.model.last()+1)
}

// applied is how far the host has applied: its commit index.
func (w *randomWriter) applied() uint64 {
	return min(max(w.model.hard.Commit, w.model.snap.Metadata.Index), w.model.last())
}

func (w *randomWriter) conf(index uint64) pb.ConfState {
	w.ids++
	return voters(index, 1, 2, 100+w.ids)
}

func (w *randomWriter) next() randomWrite {
	switch w.rnd.IntN(20) {
	case 0:
		return w.saving(w.received())
	case 1, 2:
		return w.saving(w.refused())
	case 3, 4:
		cs := w.conf(w.upTo(1, max(1, w.applied())))
		return randomWrite{fmt.Sprintf("SetConfState({%v})", &cs), func() { w.setConf(cs) }}
	case 5, 6:
		return w.creating()
	case 7, 8:
		return w.compacting()
	case 9:
		if w.medium.Close != nil {
			return randomWrite{"close and open", w.reopen}
		}
	case 10:
		if w.medium.Crash != nil {
			return randomWrite{"crash and open", w.crash}
		}
	case 11, 12:
		// Only the commit index moves: nothing to be synced.
		hs := w.model.hard
		hs.Term = max(hs.Term, 1)
		hs.Commit = w.upTo(w.applied(), w.model.last())
		return w.saving(raft.Ready{HardState: hs})
	}
	return w.saving(w.appended())
}

// received is a snapshot of a leader, perhaps with entries behind it.
func (w *randomWriter) received() raft.Ready {
	m := &w.model
	w.term++
	index := w.upTo(max(w.applied(), m.first-1)+1, m.last()+5)
	rd := raft.Ready{
		Snapshot:  snapshotAt(index, w.term, w.conf(w.upTo(max(1, m.confAt), index))),
		HardState: pb.HardState{Term: w.term, Vote: w.rnd.Uint64N(3), Commit: index},
		MustSync:  true,
	}
	if w.rnd.IntN(2) == 0 {
		rd.Entries = w.entries(index + 1)
	}
	return rd
}

// refused leaves a gap, or has a stale snapshot.
func (w *randomWriter) refused() raft.Ready {
	m := &w.model
	rd := raft.Ready{HardState: pb.HardState{Term: w.term + 9}, MustSync: true}
	if index := w.upTo(1, m.snap.Metadata.Index); index <= m.snap.Metadata.Index && w.rnd.IntN(2) == 0 {
		rd.Snapshot = snapshotAt(index, w.term, w.conf(index))
	} else {
		rd.Entries = w.entries(m.last() + 2 + w.rnd.Uint64N(3))
	}
	return rd
}

// appended continues the log, or replaces its end in a new term.
func (w *randomWriter) appended() raft.Ready {
	from := w.model.last() + 1
	if w.rnd.IntN(3) == 0 {
		from = w.upTo(max(w.applied(), w.model.first-1)+1, from)
		w.term++
	}
	rd := raft.Ready{Entries: w.entries(from), MustSync: true}
	if w.model.hard.Term < w.term || w.rnd.IntN(2) == 0 {
		rd.HardState = pb.HardState{Term: w.term, Vote: w.rnd.Uint64N(3), Commit: w.applied()}
	}
	return rd
}

// creating makes a snapshot of an applied index, or past the log's end.
func (w *randomWriter) creating() randomWrite {
	i := w.upTo(max(w.model.first-1, 1), w.applied())
	if w.rnd.IntN(8) == 0 {
		i = w.model.last() + 1
	}
	cs := w.conf(w.upTo(1, i))
	return randomWrite{fmt.Sprintf("CreateSnapshot(%d, {%v})", i, &cs), func() {
		w.createSnapshot(i, cs, fmt.Sprint("state ", i))
	}}
}

// compacting drops what a snapshot covers, or asks for more than there is.
func (w *randomWriter) compacting() randomWrite {
	covered := w.model.snap.Metadata.Index
	i := w.upTo(max(w.model.first-1, 1), covered)
	if w.rnd.IntN(8) == 0 || i > covered {
		i = w.model.last() + 1
	}
	return randomWrite{fmt.Sprintf("Compact(%d)", i), func() { w.compact(i) }}
}

func (w *randomWriter) entries(from uint64) []pb.Entry {
	return span(from, from+1+w.rnd.Uint64N(8), w.term)
}

func (w *randomWriter) saving(rd raft.Ready) randomWrite {
	return randomWrite{"Save(" + describeReady(rd) + ")", func() { _ = w.save(rd) }}
}
