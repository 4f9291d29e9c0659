package rafttest

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// The checks of what outlives a storage.

// A restart begins from what the last run wrote (dissertation §3.8), synced or not
// if it ended in good order.
func checkReopen(p *probe) {
	p.needReopen()
	again := func() {
		for range 2 {
			p.reopen()
			p.same()
		}
	}
	again()
	p.withLog()
	again()
	p.save(raft.Ready{HardState: pb.HardState{Term: 4, Vote: 1, Commit: 9}})
	again()
	p.setConf(voters(8, 1, 2))
	again()
	p.createSnapshot(8, voters(8, 1, 2), "state")
	again()
	p.compact(7)
	again()
	p.save(raft.Ready{Entries: span(10, 11, 5), HardState: pb.HardState{Term: 5, Vote: 2, Commit: 9}, MustSync: true})
	again()
	// One Ready with everything.
	p.save(raft.Ready{
		Snapshot: snapshotAt(30, 5, voters(28, 1, 2, 3)), Entries: span(31, 35, 5),
		HardState: pb.HardState{Term: 6, Vote: 3, Commit: 30}, MustSync: true,
	})
	again()
	// What was refused is not there.
	p.save(raft.Ready{Snapshot: snapshotAt(9, 9, voters(8, 9)), HardState: pb.HardState{Term: 9}, MustSync: true})
	p.save(raft.Ready{Entries: span(40, 42, 9), HardState: pb.HardState{Term: 9}, MustSync: true})
	again()
	p.save(raft.Ready{Entries: span(33, 37, 6), MustSync: true})
	again()
}

// Votes and acknowledgements rest on what was synced (docs/host-contract.md),
// and that on what was written before.
func checkSynced(p *probe) {
	p.needCrash()
	again := func(what string) {
		kept := len(p.since) == 1
		p.crash()
		if kept {
			p.same()
			return
		}
		p.failf("%s: the last Save was synced", what)
	}
	again("nothing")
	hard := pb.HardState{Term: 4, Vote: 1, Commit: 8}
	sync := func() {
		hard.Term++
		p.save(raft.Ready{HardState: hard, MustSync: true})
	}
	p.withLog()
	again("entries")
	for round := range uint64(8) {
		last := p.model.last()
		p.save(raft.Ready{Entries: span(last+1, last+3, hard.Term)})
		hard.Commit++
		p.save(raft.Ready{HardState: hard})
		sync()
		again("entries, then hard state")
		p.save(raft.Ready{Entries: span(last+2, last+5, hard.Term), HardState: hard, MustSync: true})
		again("entries and hard state")
		p.setConf(voters(7+round, 1, 2, 3+round))
		p.createSnapshot(hard.Commit, p.model.conf, fmt.Sprint("state ", round))
		p.compact(hard.Commit - 1)
		if round%2 == 0 {
			sync()
		} else { // a host may want what was written to be durable, and have nothing new
			p.save(raft.Ready{HardState: hard, MustSync: true})
		}
		again("configuration, snapshot and compaction")
	}
	index := p.model.last() + 5
	p.save(raft.Ready{Snapshot: snapshotAt(index, 20, voters(20, 1)), Entries: span(index+1, index+3, 20), MustSync: true})
	again("a received snapshot")
}

// A later write that survived without an earlier one would contradict the log:
// a commit index past its end, or a vote for another log.
func checkUnsynced(p *probe) {
	p.needCrash()
	for round := range uint64(12) {
		p.fresh()
		p.withLog()
		hard := pb.HardState{Term: 5 + round, Vote: 1 + round%3, Commit: 8}
		for i := range uint64(6) {
			hard.Commit++
			last := p.model.last()
			if (i+round)%4 == 3 {
				last -= 2
				hard.Term++
			}
			p.save(raft.Ready{Entries: span(last+1, last+3, hard.Term), HardState: hard})
			switch (i + round) % 3 {
			case 0:
				hard.Term, hard.Vote = hard.Term+1, 0
				p.save(raft.Ready{HardState: hard})
				p.save(raft.Ready{Entries: span(last+1, last+3, hard.Term)}) // tells only by the log
			case 1:
				p.createSnapshot(6+i/2, voters(3, 1, 2, 3), fmt.Sprint("state ", i))
				p.compact(6 + i/2)
			}
		}
		if round%4 == 3 {
			p.save(raft.Ready{
				Snapshot: snapshotAt(40, 30, voters(31, 1)), Entries: span(41, 43, 30),
				HardState: pb.HardState{Term: 30, Commit: 40},
			})
		}
		p.crash()
		p.same()
		last := p.model.last()
		p.save(raft.Ready{Entries: span(last+1, last+3, 40), HardState: pb.HardState{Term: 40, Commit: last}, MustSync: true})
		p.crash()
		p.same()
	}
}

// recovered finds what the storage, just opened, kept of the writes since the
// last durable state, and makes that the model; or fails.
func (p *probe) recovered(since []storageModel) {
	first, err := p.s.FirstIndex()
	p.must("FirstIndex", err)
	last, err := p.s.LastIndex()
	p.must("LastIndex", err)
	hard, conf, err := p.s.InitialState()
	p.must("InitialState", err)
	snap := p.snapshot()

	for n := range since {
		saved := since[n]
		if saved.hard != hard || saved.last() != last {
			continue
		}
		// Configuration, snapshot and compaction may be of another time, but
		// not from before a received snapshot or after the next.
		of := func(is func(m *storageModel) bool) *storageModel {
			for i := range since {
				if since[i].installs == saved.installs && is(&since[i]) {
					return &since[i]
				}
			}
			return nil
		}
		compacted := of(func(m *storageModel) bool { return m.first == first })
		snapped := of(func(m *storageModel) bool { return sameSnapshot(m.snap, snap) })
		configured := of(func(m *storageModel) bool { return m.isConf(conf) })
		if compacted == nil || snapped == nil || configured == nil || first > last+1 || snap.Metadata.Index+1 < first {
			continue
		}
		saved.first, saved.snap = first, snapped.snap
		saved.conf, saved.confAt = configured.conf, configured.confAt
		if p.holdsLog(&saved) {
			p.model = saved
			return
		}
	}
	p.failf("after a crash: the log is [%d, %d], hard state {%v}, configuration {%v}, snapshot at %d; "+
		"no number of the last %d writes leaves that and the log that is there:\n%s",
		first, last, &hard, &conf, snap.Metadata.Index, len(since)-1, describeStates(since))
}

// holdsLog reports whether the storage holds the log of m.
func (p *probe) holdsLog(m *storageModel) bool {
	for i := m.first - 1; i <= m.last(); i++ {
		want, _ := m.term(i)
		if got, err := p.s.Term(i); err != nil || got != want {
			return false
		}
	}
	if m.first > m.last() {
		return true
	}
	want, _ := m.entries(m.first, m.last()+1)
	got, err := p.s.Entries(m.first, m.last()+1, noLimit)
	return err == nil && sameEntries(got, want)
}

func describeStates(states []storageModel) string {
	var b []byte
	for i := range states {
		m := &states[i]
		term, _ := m.term(m.last())
		b = fmt.Appendf(b, "\tafter %d: log [%d, %d] up to term %d, hard state {%v}, configuration {%v}, snapshot at %d\n",
			i, m.first, m.last(), term, &m.hard, &m.conf, m.snap.Metadata.Index)
	}
	return string(b)
}
