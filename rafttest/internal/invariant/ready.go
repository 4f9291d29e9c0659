package invariant

import (
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Ready is called when node id returned rd, before anything of it is done.
func (c *Checker) Ready(id uint64, rd *raft.Ready) *Violation {
	n := c.node(id)
	if rd.IsEmpty() {
		return nil
	}
	n.switched, n.switches = n.switches, 0
	leads := n.st.RaftState == raft.StateLeader
	if v := c.checkMustSync(n, rd); v != nil {
		return v
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		if v := c.snapshotReady(n, rd, leads); v != nil {
			return v
		}
	}
	if len(rd.Entries) > 0 {
		if v := c.entriesReady(n, rd.Entries, leads); v != nil {
			return v
		}
	}
	n.growth = n.growth[:0]
	if !raft.IsEmptyHardState(rd.HardState) {
		n.hard = rd.HardState
	}
	if !n.foreign {
		if v := n.allHandedOut(); v != nil {
			return v
		}
	}
	n.inner = innerEnd{n.log.end(), n.log.last == n.st.LastIndex}
	if c.opt.OnAppend {
		n.claimed = n.claimed || len(rd.Entries) > 0 // an entry may replace one at the same index
		if v := c.checkActive(n); v != nil {
			return v
		}
	}
	if n.st.Commit != n.seenCommit && n.hard.Commit == n.st.Commit {
		if v := c.commitReady(n); v != nil {
			return v
		}
	}
	if len(rd.CommittedEntries) > 0 {
		if v := n.committedReady(rd); v != nil {
			return v
		}
	}
	if v := n.promisesReady(rd.MessagesAfterAppend); v != nil {
		return v
	}
	if leads {
		return n.messagesReady(rd.Messages)
	}
	return nil
}

// allHandedOut is the part of S18 that says that a Ready leaves nothing for later of
// what is to be written.
func (n *node) allHandedOut() *Violation {
	switch {
	case n.log.last != n.st.LastIndex:
		return n.violates("S18", "the log ends at %d, entries were handed out up to %d", n.st.LastIndex, n.log.last)
	case n.hard != n.st.HardState:
		return n.violates("S18", "the hard state is %v, %v was handed out", n.st.HardState, n.hard)
	}
	return nil
}

// checkMustSync is the part of S18 that says when a write has to reach the disk.
// The node need not sync a commit index that covers changes which the host told
// it, at the start, to have applied: that is remembered elsewhere.
func (c *Checker) checkMustSync(n *node, rd *raft.Ready) *Violation {
	must := len(rd.Entries) > 0 || !raft.IsEmptySnap(rd.Snapshot)
	if hs := &rd.HardState; !raft.IsEmptyHardState(*hs) {
		known := max(n.hard.Commit, n.startApplied)
		must = must || hs.Term != n.hard.Term || hs.Vote != n.hard.Vote || c.confIn(known, hs.Commit) != 0
	}
	if must != rd.MustSync && !n.foreign {
		return n.violates("S18", "MustSync is %t for %d entries, snapshot %d and hard state %v after %v",
			rd.MustSync, len(rd.Entries), rd.Snapshot.Metadata.Index, rd.HardState, n.hard)
	}
	return nil
}

// snapshotReady is S17 for a snapshot that is to be restored: the log begins
// after it.
func (c *Checker) snapshotReady(n *node, rd *raft.Ready, leads bool) *Violation {
	meta := &rd.Snapshot.Metadata
	committed := max(n.hard.Commit, n.startApplied)
	switch {
	case leads:
		return n.violates("S17", "leads term %d and restores a snapshot at %d", n.st.Term, meta.Index)
	case meta.Index <= committed:
		return n.violates("S17", "a snapshot at %d replaces a log that is committed up to %d", meta.Index, committed)
	case len(rd.CommittedEntries) > 0:
		return n.violates("S18", "committed entries from %d on come beside a snapshot at %d",
			rd.CommittedEntries[0].Index, meta.Index)
	}
	if v := c.checkSnapshot(n, meta); v != nil {
		return v
	}
	n.log.reset(entryID{meta.Term, meta.Index})
	n.snapshot, n.restoring, n.handed = meta.Index, meta.Index, meta.Index
	if at := c.confAt(meta.Index); at != nil {
		n.setConf(at)
	} else if cfg, err := confchange.Restore(meta.ConfState); err == nil {
		// It is an old one that came late; what was so then is forgotten.
		n.setConf(newConfAt(meta.ConfState.Index, cfg))
	}
	n.ahead = max(n.ahead, meta.Index)
	return nil
}

// checkSnapshot is S17 for any snapshot: it is at an entry of C and has C's
// configuration there.
func (c *Checker) checkSnapshot(n *node, meta *pb.SnapshotMetadata) *Violation {
	if meta.Index > c.committed {
		return n.violates("S17", "a snapshot is at %d, %d is committed", meta.Index, c.committed)
	}
	if term, known := c.CommittedTerm(meta.Index); known && term != meta.Term {
		return n.violates("S17", "a snapshot at %d has term %d, the committed entry has term %d",
			meta.Index, meta.Term, term)
	}
	cs := &meta.ConfState
	if cs.Index > meta.Index {
		return n.violates("S17", "a snapshot at %d has the configuration of entry %d", meta.Index, cs.Index)
	}
	if at := c.confAt(meta.Index); at != nil && !at.is(cs) {
		return n.violates("S17", "a snapshot at %d has configuration %v, the committed changes give %v",
			meta.Index, *cs, at.cfg)
	}
	return nil
}

// entriesReady is S2, S3 and S9 for entries that are to be written.
func (c *Checker) entriesReady(n *node, ents []pb.Entry, leads bool) *Violation {
	first := ents[0].Index
	committed := max(n.hard.Commit, n.startApplied)
	switch {
	case first > n.log.last+1 || first <= n.log.runs[0].start:
		return n.violates("S18", "entries from %d on do not continue a log of entries %d to %d",
			first, n.log.runs[0].start, n.log.last)
	case leads && first != n.log.last+1:
		return n.violates("S2", "leads term %d and writes entry %d again, its log was up to %d",
			n.st.Term, first, n.log.last)
	case first <= n.log.last && first <= committed:
		return n.violates("S9", "writes entry %d again, which was committed, up to %d", first, committed)
	}
	prev, _ := n.log.term(first - 1)
	n.log.truncate(first - 1)
	for i := range ents {
		e := &ents[i]
		switch {
		case e.Index != first+uint64(i):
			return n.violates("S18", "entry %d is handed out after entry %d", e.Index, first+uint64(i)-1)
		case e.Term < prev || e.Term > n.st.Term:
			return n.violates("S3", "entry %d of term %d follows one of term %d in term %d",
				e.Index, e.Term, prev, n.st.Term)
		case leads && e.Term != n.st.Term:
			return n.violates("S2", "leads term %d and appends entry %d of term %d", n.st.Term, e.Index, e.Term)
		}
		conf := isConf(e)
		if conf {
			if v := c.confAppended(n, e); v != nil {
				return v
			}
		}
		if v := c.register(n, e, prev, conf); v != nil {
			return v
		}
		n.log.push(e.Term, conf)
		prev = e.Term
	}
	return nil
}

func isConf(e *pb.Entry) bool { return e.Type == pb.EntryConfChange || e.Type == pb.EntryConfChangeV2 }

// register is S3 for an entry that is to be written after one of term prev.
func (c *Checker) register(n *node, e *pb.Entry, prev uint64, conf bool) *Violation {
	if e.Index <= c.log.low {
		return nil // forgotten
	}
	d := Digest(e)
	if rec := c.log.find(e.Index, e.Term); rec != nil {
		return compare(n, e, prev, d, rec)
	}
	if e.Index-1 > c.log.low && c.log.find(e.Index-1, prev) == nil {
		return n.violates("S3", "entry %d of term %d follows one of term %d, which nobody was asked to write",
			e.Index, e.Term, prev)
	}
	c.log.put(e.Index, record{e.Term, prev, d, conf})
	if conf {
		ce := confEntry{entryID: entryID{e.Term, e.Index}, entry: *e}
		if c.opt.OnAppend {
			ce.at = c.made(n, e)
		}
		c.confEntries = append(c.confEntries, ce)
	}
	return nil
}

func compare(n *node, e *pb.Entry, prev, digest uint64, rec *record) *Violation {
	if rec.prev != prev {
		return n.violates("S3", "entry %d of term %d follows one of term %d, elsewhere one of term %d",
			e.Index, e.Term, prev, rec.prev)
	}
	if rec.digest != digest {
		return n.violates("S3", "entry %d of term %d has digest %#x, elsewhere %#x", e.Index, e.Term, digest, rec.digest)
	}
	return nil
}

// commitReady compares the entry at a node's commit index with C, now that the
// node's log is known so far. It was checked already that C reaches there.
func (c *Checker) commitReady(n *node) *Violation {
	commit := n.st.Commit
	n.seenCommit = commit
	got, has := n.log.term(commit)
	want, known := c.CommittedTerm(commit)
	if has && known && got != want {
		return n.violates("S6", "takes its entry %d of term %d for committed, the committed one has term %d",
			commit, got, want)
	}
	return nil
}

// committedReady is S18 for entries that are to be applied. What they hold is
// compared when they are.
func (n *node) committedReady(rd *raft.Ready) *Violation {
	ents := rd.CommittedEntries
	if n.restoring != 0 && n.st.Applied < n.restoring {
		return n.violates("S18", "committed entries from %d on come before the snapshot at %d is applied, up to %d",
			ents[0].Index, n.restoring, n.st.Applied)
	}
	for i := range ents {
		if ents[i].Index != n.handed+1 {
			return n.violates("S18", "committed entry %d is handed out after %d", ents[i].Index, n.handed)
		}
		n.handed++
	}
	last := &ents[len(ents)-1]
	if last.Index > n.st.Commit {
		return n.violates("S18", "entry %d is handed out as committed, the commit is %d", last.Index, n.st.Commit)
	}
	if !holds(n.disk, last.Index, last.Term) {
		_, base, end := n.disk.Durable()
		return n.violates("S18",
			"committed entry %d of term %d is handed out, and is not on the disk, which holds %d to %d",
			last.Index, last.Term, base, end)
	}
	return nil
}

// messagesReady notes the round of heartbeats that a leader makes, and checks
// that it tells a peer of no commit, unasked, past what the peer is known to
// hold: the peer does not check (S10).
func (n *node) messagesReady(msgs []pb.Message) *Violation {
	for i := range msgs {
		m := &msgs[i]
		switch {
		case n.foreign && (m.Term != n.st.Term || !slices.Contains(n.conf.ids, m.To)):
			// Made when it led before, or when that was a member.
		case m.Type == pb.MsgHeartbeat:
			n.lead.round = max(n.lead.round, m.Round)
			n.lead.asksToSleep(m)
			if match := valueOf(n.lead.matched, m.To); m.Commit > match {
				return n.violates("S10", "leads term %d and tells %d with match %d of the commit %d",
					m.Term, m.To, match, m.Commit)
			}
		case m.Type == pb.MsgApp && m.NoAnswer && len(m.Entries) == 0:
			if match := valueOf(n.lead.matched, m.To); m.Index > match {
				return n.violates("S10", "leads term %d and wants no answer of %d with match %d to entry %d",
					m.Term, m.To, match, m.Index)
			}
		}
	}
	return nil
}
