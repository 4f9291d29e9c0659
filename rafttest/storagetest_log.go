package rafttest

import (
	"errors"
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// The checks of the log. Most begin with the log of withLog: it starts in the
// middle, where an index is no position.

// entry returns the one entry that this suite writes at an index in a term: its
// size and type vary with the index.
func entry(index, term uint64) pb.Entry {
	e := pb.Entry{Index: index, Term: term}
	switch index % 5 {
	case 0: // what opens a term has no data
	case 3:
		e.Type = pb.EntryType(1 + term%2)
		fallthrough
	default:
		e.Data = fmt.Appendf(nil, "%d.%d.%0*d", term, index, int(index%7)*20, 0)
	}
	return e
}

// span returns the entries [lo, hi) of one term.
func span(lo, hi, term uint64) []pb.Entry {
	var ents []pb.Entry
	for i := lo; i < hi; i++ {
		ents = append(ents, entry(i, term))
	}
	return ents
}

func voters(index uint64, ids ...uint64) pb.ConfState { return pb.ConfState{Voters: ids, Index: index} }

func snapshotAt(index, term uint64, cs pb.ConfState) pb.Snapshot {
	return pb.Snapshot{
		Data:     fmt.Appendf(nil, "state at %d", index),
		Metadata: pb.SnapshotMetadata{Index: index, Term: term, ConfState: cs},
	}
}

// withLog writes a snapshot at 5 and the entries 6 to 12 of the terms 3 3 3 4 4 4
// 4, committed to 8.
func (p *probe) withLog() {
	p.must("save", p.save(raft.Ready{Snapshot: snapshotAt(5, 2, voters(3, 1, 2, 3)), MustSync: true}))
	p.must("save", p.save(raft.Ready{
		Entries:   append(span(6, 9, 3), span(9, 13, 4)...),
		HardState: pb.HardState{Term: 4, Vote: 1, Commit: 8},
		MustSync:  true,
	}))
}

// A storage that nothing was written to is that of a node that joins a group.
func checkEmpty(p *probe) {
	p.sameBounds()
	p.sameTerm(0)
	p.sameTerm(1)
	_, err := p.s.Entries(1, 2, noLimit)
	p.wantErr("Entries(1, 2) of an empty log", err, raft.ErrUnavailable)
	hs, cs, err := p.s.InitialState()
	p.must("InitialState", err)
	if !raft.IsEmptyHardState(hs) || !sameConf(cs, pb.ConfState{}) {
		p.failf("InitialState returned {%v} and {%v}, want nothing", &hs, &cs)
	}
	snap, err := p.s.Snapshot()
	if !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) {
		p.must("Snapshot", err)
		if !raft.IsEmptySnap(snap) {
			p.failf("there is a snapshot {%v}", &snap)
		}
	}
}

// The log matching check (Raft §5.3) needs the term of the entry before the first.
func checkTerms(p *probe) {
	p.save(raft.Ready{Entries: span(1, 4, 1), MustSync: true})
	for i := range uint64(6) {
		p.sameTerm(i)
	}
	p.fresh()
	p.withLog()
	for i := uint64(0); i <= 15; i++ {
		p.sameTerm(i)
	}
	p.sameTerm(1 << 60)
}

// Entries returns [lo, hi), or says which end of the log is passed.
func checkRanges(p *probe) {
	p.withLog()
	first, last := p.model.first, p.model.last()
	for lo := first; lo <= last; lo++ {
		for hi := lo + 1; hi <= last+1; hi++ {
			p.sameEntries(lo, hi)
		}
	}
	for lo := range first { // compacted
		p.sameEntries(lo, lo+1)
		p.sameEntries(lo, last+1)
	}
	for hi := last + 2; hi <= last+4; hi++ { // not there yet
		p.sameEntries(first, hi)
		p.sameEntries(last+1, hi)
	}
	p.sameEntries(last+2, 1<<60)
}

// A message or a Ready takes as many bytes as it may, and makes progress all the same.
func checkSizes(p *probe) {
	p.withLog()
	first, end := p.model.first, p.model.last()+1
	for lo := first; lo < end; lo++ {
		ents, _ := p.model.entries(lo, end)
		p.sameLimited(lo, end, 0)
		size := uint64(0)
		for i := range ents {
			size += uint64(ents[i].Size())
			for _, limit := range []uint64{size - 1, size, size + 1} {
				p.sameLimited(lo, end, limit)
			}
		}
	}
}

// A follower replaces the entries that conflict with its leader's (Raft §5.3).
func checkOverwrite(p *probe) {
	for _, ents := range [][]pb.Entry{
		span(13, 16, 5), // at the end
		span(13, 14, 5),
		span(11, 13, 5), // the same length
		span(11, 18, 5), // longer
		span(9, 10, 5),  // shorter
		span(6, 7, 5),   // from the first entry on
		span(6, 16, 5),
		append(span(6, 9, 3), span(9, 11, 4)...), // what is there
	} {
		p.fresh()
		p.withLog()
		p.save(raft.Ready{Entries: ents, HardState: pb.HardState{Term: 5, Commit: 5}, MustSync: true})
		p.sameLog()
		p.sameTerm(p.model.last() + 1)
		// The log goes on from there.
		p.save(raft.Ready{Entries: span(p.model.last()+1, p.model.last()+4, 6), MustSync: true})
		p.sameLog()
	}
}

// What a snapshot covers is committed and needs not be written.
func checkCovered(p *probe) {
	for _, lohi := range [][2]uint64{{3, 5}, {3, 6}, {3, 7}, {1, 13}, {5, 20}} {
		p.fresh()
		p.withLog()
		p.save(raft.Ready{Entries: span(lohi[0], lohi[1], 4), MustSync: true})
		p.sameLog()
	}
	p.fresh()
	p.withLog()
	p.createSnapshot(8, voters(3, 1, 2, 3), "")
	p.compact(8)
	p.save(raft.Ready{Entries: span(7, 11, 5), MustSync: true})
	p.sameLog()
}

// A gap is a write that got lost. What is acknowledged with it would be too.
func checkGap(p *probe) {
	for _, rd := range []raft.Ready{
		{Entries: span(14, 15, 4)},
		{Entries: span(20, 24, 4), HardState: pb.HardState{Term: 9, Vote: 2, Commit: 9}},
		{Entries: span(22, 24, 4), Snapshot: snapshotAt(20, 4, voters(3, 1, 2, 3))},
		{Entries: span(22, 24, 9), Snapshot: snapshotAt(20, 9, voters(3, 1)), HardState: pb.HardState{Term: 9, Commit: 20}},
	} {
		p.fresh()
		rd.MustSync = true
		if p.save(raft.Ready{Entries: span(2, 3, 1), MustSync: true}) == nil {
			p.failf("a gap at the start was accepted")
		}
		p.sameBounds()
		p.withLog()
		p.save(rd)
		p.same()
	}
}

// Entries are shared with messages and with the state machine, while the node
// goes on writing (ready.go). They are held across every kind of write.
func checkImmutable(p *probe) {
	p.withLog()
	read := func() {
		first, last := p.model.first, p.model.last()
		for lo := first; lo <= last; lo++ {
			p.sameEntries(lo, last+1)
			p.sameEntries(first, lo+1)
			p.sameLimited(lo, last+1, 100)
		}
		p.sameHeld()
	}
	read()
	for term := uint64(5); term < 8; term++ {
		last := p.model.last()
		for _, lohi := range [][2]uint64{{last + 1, last + 4}, {last + 3, last + 4}, {last, last + 9}, {10, 12}, {12, 30}, {9, 10}} {
			p.save(raft.Ready{Entries: span(lohi[0], lohi[1], term), MustSync: true})
			read()
		}
		p.save(raft.Ready{Entries: span(10, 30, term), MustSync: true})
		read()
	}
	p.createSnapshot(8, voters(3, 1, 2, 3), "state")
	p.compact(7)
	read()
	p.compact(8)
	read()
	for _, lohi := range [][2]uint64{{9, 12}, {12, 40}, {9, 10}} {
		p.save(raft.Ready{Entries: span(lohi[0], lohi[1], 9), MustSync: true})
		read()
	}
	p.save(raft.Ready{Snapshot: snapshotAt(50, 9, voters(3, 1)), Entries: span(51, 60, 9), MustSync: true})
	read()
}

// Term and vote are what a node may never forget (Raft figure 2); a Ready
// without them says that they are as before.
func checkHardState(p *probe) {
	p.withLog()
	p.sameHard()
	for _, hs := range []pb.HardState{
		{Term: 5, Commit: 8}, {Term: 5, Vote: 3, Commit: 8}, {Term: 5, Vote: 3, Commit: 9}, {Term: 6, Vote: 2, Commit: 9},
	} {
		p.save(raft.Ready{HardState: hs, MustSync: true})
		p.sameHard()
		last := p.model.last()
		p.save(raft.Ready{Entries: span(last+1, last+2, hs.Term), MustSync: true})
		p.sameHard()
		p.save(raft.Ready{})
		p.sameHard()
	}
	p.save(raft.Ready{Snapshot: snapshotAt(40, 6, voters(3, 1)), MustSync: true})
	p.sameHard()
}
