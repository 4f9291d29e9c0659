package rafttest

import (
	"fmt"
	"math"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What Storage holds, against what has to be durable there.

// storageView is what could be read of a Storage.
type storageView struct {
	ok          bool // false where it failed, or changed meanwhile
	hard        pb.HardState
	first, last uint64
	log         map[uint64]digest
	snapshot    uint64 // index of the latest one
	hasSnapshot bool   // false while one is being made
}

// readStorage reads s from entry from on. What a compaction may move meanwhile
// is read in an order in which it only grows.
func readStorage(s raft.Storage, from uint64) storageView {
	v := storageView{log: map[uint64]digest{}}
	if s == nil {
		return v
	}
	var err [3]error
	v.first, err[0] = s.FirstIndex()
	v.hard, _, err[1] = s.InitialState()
	v.last, err[2] = s.LastIndex()
	if err != [3]error{} {
		return v
	}
	for lo := max(v.first, from); lo <= v.last; {
		ents, err := s.Entries(lo, v.last+1, math.MaxUint64)
		if err != nil || len(ents) == 0 {
			return v
		}
		for i := range ents {
			v.log[ents[i].Index] = digestOf(&ents[i])
		}
		lo += uint64(len(ents))
	}
	snap, snapErr := s.Snapshot()
	v.snapshot, v.hasSnapshot = snap.Metadata.Index, snapErr == nil
	v.ok = true
	return v
}

// model returns v as what has to stay.
func (v storageView) model() diskModel {
	return diskModel{hard: v.hard, first: v.first, last: v.last, log: v.log}
}

// diskModel is what has to be on the disk: the log [first, last], less what the
// host compacts, and the hard state, of which Commit may be higher.
type diskModel struct {
	hard        pb.HardState
	first, last uint64
	log         map[uint64]digest // beyond last, what was replaced
}

// fold adds the write of r.
func (d *diskModel) fold(r *handedReady) {
	if snap := r.rd.Snapshot; !raft.IsEmptySnap(snap) {
		d.log = map[uint64]digest{}
		d.first, d.last = snap.Metadata.Index+1, snap.Metadata.Index
	}
	for i := range r.rd.Entries {
		d.last = r.rd.Entries[i].Index
		d.log[d.last] = r.entries[i]
	}
	if hs := r.rd.HardState; !raft.IsEmptyHardState(hs) {
		d.hard.Term, d.hard.Vote = hs.Term, hs.Vote
		if r.rd.MustSync {
			d.hard.Commit = hs.Commit
		}
	}
}

// missing says what of d, from entry from on, is not in v, or returns "". Of the
// Readys that are not durable, later, any number may have been written, in order.
func (d *diskModel) missing(v storageView, from uint64, later []*handedReady) string {
	replaced, snapshot := uint64(math.MaxUint64), false
	known := v.hard.Term == d.hard.Term && v.hard.Vote == d.hard.Vote
	for _, r := range later {
		if len(r.rd.Entries) > 0 {
			replaced = min(replaced, r.rd.Entries[0].Index)
		}
		snapshot = snapshot || !raft.IsEmptySnap(r.rd.Snapshot)
		known = known || (v.hard.Term == r.hard.Term && v.hard.Vote == r.hard.Vote)
	}
	switch {
	case !known || v.hard.Commit < d.hard.Commit:
		return fmt.Sprintf("Storage has hard state {%v}, durable is {%v}", &v.hard, &d.hard)
	case snapshot:
		return "" // it may have replaced the log
	case v.first < d.first:
		return fmt.Sprintf("the log in Storage begins at %d, a durable snapshot is at %d", v.first, d.first-1)
	}
	for i := max(v.first, d.first, from); i <= min(d.last, replaced-1); i++ {
		if v.log[i] != d.log[i] {
			return fmt.Sprintf("the log in Storage, up to %d, does not have the entry %d that is durable", v.last, i)
		}
	}
	return ""
}

// compareStorage compares what became durable, by the host's word, since it was
// last compared with what Storage holds. Storage is read without the lock, since
// it may have one of its own; so it is done again if more became durable
// meanwhile.
func (c *HostCheck) compareStorage() {
	for range 3 {
		n := c.enter()
		if n == nil || n.compared == n.durable {
			c.mu.Unlock()
			return
		}
		durable, from := n.durable, n.firstWritten(n.compared)
		c.mu.Unlock()
		view := readStorage(n.storage, from)
		if c.judgeStorage(n, view, durable, from) {
			return
		}
	}
}

// firstWritten returns the first index that Readys after seq wrote.
func (n *watchedNode) firstWritten(seq uint64) uint64 {
	from := uint64(math.MaxUint64)
	for _, r := range n.between(seq, n.durable) {
		if len(r.rd.Entries) > 0 {
			from = min(from, r.rd.Entries[0].Index)
		}
	}
	return from
}

// judgeStorage judges a view of the Storage from when durable was the last
// durable Ready. It returns false if it no longer is.
func (c *HostCheck) judgeStorage(n *watchedNode, view storageView, durable, from uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished || c.node != n || n.dead || !view.ok {
		return true
	}
	if n.durable != durable {
		return false
	}
	if fault := n.disk.missing(view, from, n.handedAfter(durable)); fault != "" {
		c.broke(RuleWriteWhole, "%s", fault)
	}
	n.compared = durable
	c.judgeCompaction(n, view.first-1, view)
	return true
}

// judgeCompaction judges that the log was dropped up to index i.
func (c *HostCheck) judgeCompaction(n *watchedNode, i uint64, view storageView) {
	if held := max(n.apply.high, n.apply.snapshot); i > held {
		c.broke(RuleCompactApplied, "the log is compacted to %d, applied is %d", i, held)
	}
	snapshot := n.snapshot
	if view.hasSnapshot {
		snapshot = view.snapshot
	}
	if i > snapshot {
		c.broke(RuleCompactCovered, "the log is compacted to %d, the latest snapshot is of %d", i, snapshot)
	}
}
