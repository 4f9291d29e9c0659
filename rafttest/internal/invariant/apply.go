package invariant

import pb "github.com/quorate-raft/raft/raftpb"

// Apply is called when the host of node id applies e. It is S5: entries are
// applied in order, each once in a life, and are those of C (Raft figure 3,
// state machine safety).
func (c *Checker) Apply(id uint64, e *pb.Entry) *Violation {
	n := c.node(id)
	if e.Index != n.applied+1 {
		return n.violates("S5", "applies entry %d after %d", e.Index, n.applied)
	}
	n.applied = e.Index
	c.stats.Applied++
	if e.Index > c.committed {
		return n.violates("S5", "applies entry %d of term %d, %d is committed", e.Index, e.Term, c.committed)
	}
	want, known := c.CommittedTerm(e.Index)
	if !known || e.Index == c.log.low {
		return nil
	}
	if e.Term != want {
		return n.violates("S5", "applies entry %d of term %d, the committed one has term %d", e.Index, e.Term, want)
	}
	if rec, d := c.log.find(e.Index, want), Digest(e); rec.digest != d {
		return n.violates("S5", "applies entry %d of term %d with digest %#x, the committed one has %#x",
			e.Index, e.Term, d, rec.digest)
	}
	return nil
}

// Restore is called when the host of node id restores a snapshot. What is in it
// can be told with State.
func (c *Checker) Restore(id uint64, meta *pb.SnapshotMetadata) *Violation {
	n := c.node(id)
	c.stats.Snapshots++
	if meta.Index <= n.applied {
		return n.violates("S5", "restores a snapshot at %d after it applied %d", meta.Index, n.applied)
	}
	n.applied = meta.Index
	if meta.Index > c.committed {
		return n.violates("S5", "restores a snapshot at %d, %d is committed", meta.Index, c.committed)
	}
	if want, known := c.CommittedTerm(meta.Index); known && meta.Term != want {
		return n.violates("S5", "restores a snapshot at %d of term %d, the committed entry has term %d",
			meta.Index, meta.Term, want)
	}
	return c.checkSnapshot(n, meta)
}

// State compares the digest of node id's state machine, which folds what it
// applies with Fold, with that of C. It may be asked at any time.
func (c *Checker) State(id, digest uint64) *Violation {
	n := c.node(id)
	if want, known := c.StateDigest(n.applied); known && digest != want {
		return n.violates("S5", "the state at %d has digest %#x, that of the committed entries %#x",
			n.applied, digest, want)
	}
	return nil
}

// SnapshotTaken is called when the host of node id took a snapshot.
func (c *Checker) SnapshotTaken(id uint64, meta *pb.SnapshotMetadata) *Violation {
	n := c.node(id)
	c.stats.SnapshotsTaken++
	if meta.Index > n.applied {
		return n.violates("S17", "takes a snapshot at %d and applied %d", meta.Index, n.applied)
	}
	return c.checkSnapshot(n, meta)
}

// Stats returns what was counted so far.
func (c *Checker) Stats() Stats { return c.stats }
