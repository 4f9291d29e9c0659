package rafttest

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// The checks of snapshots, compaction and configurations.

// A follower whose log does not reach the snapshot, or contradicts it, drops all
// of it (Raft §7); entries that follow may come in the same Ready.
func checkInstall(p *probe) {
	conf := voters(14, 1, 2, 4)
	for _, rd := range []raft.Ready{
		{Snapshot: snapshotAt(20, 5, conf)},
		{Snapshot: snapshotAt(13, 5, voters(10, 1))},
		{Snapshot: snapshotAt(10, 5, voters(10, 1))}, // in the log, which has another term there
		{Snapshot: snapshotAt(20, 5, conf), Entries: span(21, 25, 5), HardState: pb.HardState{Term: 5, Commit: 20}},
		{Snapshot: snapshotAt(20, 5, conf), HardState: pb.HardState{Term: 5, Vote: 2, Commit: 20}},
	} {
		rd.MustSync = true
		p.fresh()
		p.save(rd) // into an empty storage
		p.same()
		p.fresh()
		p.withLog()
		p.save(rd)
		p.same()
		p.sameTerm(p.model.first - 2)
		p.sameTerm(p.model.last() + 1)
		last := p.model.last()
		p.save(raft.Ready{Entries: span(last+1, last+4, 5), MustSync: true})
		p.same()
	}
}

// A delayed snapshot must not take the log back (Raft §7).
func checkStaleSnapshot(p *probe) {
	hard := pb.HardState{Term: 9, Vote: 3, Commit: 10}
	for _, index := range []uint64{1, 4, 5} {
		for _, rd := range []raft.Ready{
			{Snapshot: snapshotAt(index, 9, voters(1, 9))},
			{Snapshot: snapshotAt(index, 9, voters(1, 9)), HardState: hard},
			{Snapshot: snapshotAt(index, 9, voters(1, 9)), Entries: span(index+1, index+3, 9), HardState: hard},
			{Snapshot: snapshotAt(index, 9, voters(1, 9)), Entries: span(index+1, 20, 9)},
		} {
			p.fresh()
			rd.MustSync = true
			p.withLog()
			p.save(rd)
			p.same()
		}
	}
	// Neither does one older than a snapshot that was made here.
	p.createSnapshot(8, voters(3, 1, 2, 3), "mine")
	for _, index := range []uint64{6, 7, 8} {
		p.save(raft.Ready{Snapshot: snapshotAt(index, 3, voters(3, 1, 2, 3)), HardState: hard, MustSync: true})
		p.same()
	}
}

// Configurations are saved when they are applied, perhaps after a newer
// snapshot was; a restart goes on from the newest (storage.go).
func checkConfState(p *probe) {
	p.withLog()
	p.sameConf() // that of the snapshot
	for _, cs := range []pb.ConfState{
		voters(7, 1, 2),
		voters(2, 9),
		voters(6, 9),
		voters(8, 1, 2, 3, 4),
		{
			Voters: []uint64{1, 2}, VotersOutgoing: []uint64{1, 3}, Learners: []uint64{5}, LearnersNext: []uint64{3},
			AutoLeave: true, Index: 9, Members: []pb.Member{{ID: 5, Context: []byte("e:5")}},
			ConfChangeEffect: pb.ConfChangeOnAppend, Target: &pb.MembershipTarget{Version: 7, Voters: []uint64{1, 2}},
			LastOutcome: &pb.MembershipOutcome{Version: 5, Result: pb.MembershipReached, Index: 6},
		},
	} {
		p.setConf(cs)
		p.sameConf()
	}
	p.createSnapshot(6, voters(3, 1, 2, 3), "")
	p.sameConf() // an older one than what is applied
	p.sameSnapshot()
	p.save(raft.Ready{Entries: span(13, 16, 5), MustSync: true})
	p.createSnapshot(13, voters(10, 1, 2), "")
	p.sameConf() // a newer one
	p.save(raft.Ready{Snapshot: snapshotAt(30, 6, voters(22, 4, 5, 6)), MustSync: true})
	p.sameConf()
	p.setConf(voters(13, 1, 2)) // too late
	p.sameConf()
	// A snapshot from elsewhere may not say which entry its configuration is of.
	p.save(raft.Ready{Snapshot: snapshotAt(40, 6, voters(0, 5, 6, 7)), MustSync: true})
	p.sameConf()
	p.setConf(voters(31, 1))
	p.sameConf()
	p.save(raft.Ready{Entries: span(41, 44, 6), MustSync: true})
	p.setConf(voters(42, 5))
	p.sameConf()
}

// A snapshot stands for what was applied, with the term and the configuration
// there (dissertation §5.1). The log stays until it is compacted.
func checkCreateSnapshot(p *probe) {
	p.withLog()
	p.sameSnapshot()
	conf := voters(3, 1, 2, 3)
	for _, i := range []uint64{5, 3, 13, 20} { // errors
		p.createSnapshot(i, conf, "no")
		p.same()
	}
	p.createSnapshot(7, conf, "seven")
	p.same()
	p.createSnapshot(6, conf, "older")
	p.createSnapshot(7, conf, "again")
	p.same()
	p.createSnapshot(9, voters(8, 1, 2), "nine")
	p.same()
	p.createSnapshot(12, voters(8, 1, 2), "")
	p.same()
	p.save(raft.Ready{Entries: span(13, 15, 4), MustSync: true})
	p.same()
}

// A compacted log begins after the entry whose term it still knows
// (dissertation §5.1).
func checkCompact(p *probe) {
	conf := voters(3, 1, 2, 3)
	for _, to := range []uint64{6, 8, 9, 11, 12} {
		p.fresh()
		p.withLog()
		p.createSnapshot(12, conf, "")
		p.compact(5)
		p.compact(13)
		p.sameLog()
		p.compact(to)
		p.sameLog()
		p.compact(to)
		p.compact(to - 1)
		p.sameTerm(to - 1)
		p.sameEntries(to, to+1)
		p.sameLog()
		p.save(raft.Ready{Entries: span(13, 17, 5), MustSync: true})
		p.sameLog()
		p.save(raft.Ready{Entries: span(to+1, to+3, 6), MustSync: true})
		p.sameLog()
		p.sameSnapshot()
		p.sameHard()
	}
}

// A leader sends the snapshot to who needs an entry that is compacted; one that
// ends before the log begins would never help (storage.go).
func checkSnapshotReach(p *probe) {
	p.withLog()
	reach := func() {
		first, err := p.s.FirstIndex()
		p.must("FirstIndex", err)
		snap := p.snapshot()
		if snap.Metadata.Index+1 < first {
			p.failf("the snapshot ends at %d and the log begins at %d", snap.Metadata.Index, first)
		}
		p.sameSnapshot()
		if term, err := p.s.Term(first - 1); snap.Metadata.Index == first-1 && err == nil && term != snap.Metadata.Term {
			p.failf("the snapshot at %d is of term %d, the log says %d", first-1, snap.Metadata.Term, term)
		}
	}
	reach()
	for i := uint64(7); i <= 12; i++ {
		p.createSnapshot(i, voters(3, 1, 2, 3), fmt.Sprint("state ", i))
		reach()
		p.compact(i - i%2)
		reach()
	}
	p.save(raft.Ready{Snapshot: snapshotAt(20, 5, voters(3, 1)), MustSync: true})
	reach()
	p.save(raft.Ready{Entries: span(21, 25, 5), MustSync: true})
	p.createSnapshot(24, voters(3, 1), "")
	p.compact(24)
	reach()
}

// A restart trusts the list instead of reading the log (ConfEntryIndexer).
func checkConfIndexes(p *probe) {
	if _, ok := p.s.(raft.ConfEntryIndexer); !ok {
		panic(skipError("the storage is no raft.ConfEntryIndexer, which is optional"))
	}
	p.withLog()
	p.sameConfIndexes()
	p.save(raft.Ready{Entries: span(13, 40, 5), MustSync: true})
	p.sameConfIndexes()
	p.save(raft.Ready{Entries: []pb.Entry{{Index: 28, Term: 6}, {Index: 29, Term: 6, Type: pb.EntryConfChange}}, MustSync: true})
	p.sameConfIndexes()
	p.save(raft.Ready{Entries: span(18, 24, 7), MustSync: true})
	p.sameConfIndexes()
	p.createSnapshot(19, voters(13, 1), "")
	p.compact(12)
	p.sameConfIndexes()
	p.compact(19)
	p.sameConfIndexes()
	if p.medium.Close != nil {
		p.reopen()
		p.sameConfIndexes()
	}
	p.save(raft.Ready{Entries: span(23, 50, 8), MustSync: true})
	p.sameConfIndexes()
	p.save(raft.Ready{Snapshot: snapshotAt(48, 9, voters(43, 1)), Entries: span(49, 60, 9), MustSync: true})
	p.sameConfIndexes()
}

// sameConfIndexes compares the list for every range in the log.
func (p *probe) sameConfIndexes() {
	for lo := p.model.first; lo <= p.model.last(); lo++ {
		for hi := lo + 1; hi <= p.model.last()+1; hi++ {
			p.sameConfIndexesOf(lo, hi)
		}
	}
}

// sameConfIndexesOf compares the list for one range, if there is a list.
func (p *probe) sameConfIndexesOf(lo, hi uint64) {
	ix, ok := p.s.(raft.ConfEntryIndexer)
	if !ok {
		return
	}
	got, err := ix.ConfEntryIndexes(lo, hi)
	p.must(fmt.Sprintf("ConfEntryIndexes(%d, %d)", lo, hi), err)
	if want := p.model.confIndexes(lo, hi); !slices.Equal(got, want) {
		p.failf("ConfEntryIndexes(%d, %d) = %v, want %v", lo, hi, got, want)
	}
}
