package invariant

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// segment says that C was committed up to index by leaders of terms up to term.
type segment struct{ index, term uint64 }

// Committed returns the highest index that any node ever knew to be committed:
// the end of C.
func (c *Checker) Committed() uint64 { return c.committed }

// CommittedTerm returns the term of C's entry i, and whether it is known: it is
// not past C's end and was not pruned.
func (c *Checker) CommittedTerm(i uint64) (uint64, bool) {
	if i > c.committed || !c.log.known(i) {
		return 0, false
	}
	return c.log.at(i).committed, true
}

// StateDigest returns the digest of a state machine that applied C up to i with
// Fold, and whether it is known.
func (c *Checker) StateDigest(i uint64) (uint64, bool) {
	if i > c.committed || !c.log.known(i) {
		return 0, false
	}
	return c.log.at(i).state, true
}

// commitMoved is S6. C grows by leaders alone; others learn of what is in it.
// A new leader has nothing of its own durable: what it knows more came with a vote.
func (c *Checker) commitMoved(n *node, was *raft.BasicStatus, in *pb.Message) *Violation {
	now := &n.st
	if now.RaftState == raft.StateLeader && was.RaftState == raft.StateLeader {
		return c.leaderCommits(n, was, now.Commit)
	}
	if now.Commit > c.committed {
		return n.violates("S6", "takes entry %d for committed in term %d, but leaders committed up to %d",
			now.Commit, now.Term, c.committed)
	}
	if in != nil && in.Type == pb.MsgApp && now.Commit > in.Index+uint64(len(in.Entries)) {
		// Raft figure 2: up to the last new entry. What lies behind it may be
		// another leader's.
		return n.violates("S6", "takes entry %d for committed upon an append of entries up to %d",
			now.Commit, in.Index+uint64(len(in.Entries)))
	}
	return nil // Ready compares the entry itself, when it is handed out
}

// leaderCommits checks that entry to is of the leader's own term (Raft §5.4.2)
// and that the disks of a majority of each half of its active configuration hold
// it (dissertation §4.3). Once a majority holds it no election can be won
// without it, so none of these disks can have dropped it since.
//
// Where changes take effect on append the leader may append one upon the commit, and
// goes by it at once: then the commit may have been by the configuration before.
func (c *Checker) leaderCommits(n *node, was *raft.BasicStatus, to uint64) *Violation {
	leads := n.st.Term
	term, known := n.log.term(to)
	if !known {
		return n.violates("S6",
			"leads term %d and commits entry %d, which was not handed out to anybody; its log was up to %d",
			leads, to, n.log.last)
	}
	if term != leads {
		return n.violates("S6", "leads term %d and commits entry %d of term %d by counting", leads, to, term)
	}
	if half, held := c.lacking(n.conf, to, term); half >= 0 {
		before := c.opt.OnAppend && n.conf.index > was.LastIndex && n.before != nil
		if before {
			half, _ := c.lacking(n.before, to, term)
			before = half < 0
		}
		if !before {
			return n.violates("S6", "commits entry %d of term %d, which %d disks hold of half %d of %v",
				to, term, held, half, n.conf.cfg)
		}
	}
	if to <= c.committed {
		if want, ok := c.CommittedTerm(to); ok && want != term {
			return n.violates("S4", "commits entry %d of term %d, where one of term %d is committed", to, term, want)
		}
		return nil
	}
	return c.extend(n, to, term)
}

// lacking returns a half of a configuration of which too few disks hold an entry, and
// how many do; or -1.
func (c *Checker) lacking(at *confAt, index, term uint64) (half, held int) {
	for half, ids := range at.cfg.Voters {
		held = 0
		for _, id := range ids {
			if _, disk := c.member(id); disk != nil && holds(disk, index, term) {
				held++
			}
		}
		if len(ids) > 0 && held <= len(ids)/2 {
			return half, held
		}
	}
	return -1, 0
}

// holds reports whether a disk durably holds an entry, in the log or, since
// snapshots are of C (S17), below it.
func holds(disk Disk, index, term uint64) bool {
	_, base, last := disk.Durable()
	if index > last {
		return false
	}
	if index < base {
		return true
	}
	t, ok := disk.DurableTerm(index)
	return ok && t == term
}

// extend makes entry to of n's log the end of C.
func (c *Checker) extend(n *node, to, term uint64) *Violation {
	leads := n.st.Term
	t := term
	for i := to; i > c.committed; i-- {
		rec := c.log.find(i, t)
		if rec == nil {
			return n.violates("S3", "commits entry %d of term %d, which nobody was asked to write", i, t)
		}
		c.log.at(i).committed = t
		t = rec.prev
	}
	if want := c.log.at(c.committed).committed; t != want {
		return n.violates("S4", "leads term %d with entry %d of term %d, where one of term %d is committed",
			leads, c.committed, t, want)
	}
	// A leader of a later term that was elected before this commit has to hold
	// the entry all the same.
	for k := len(c.leaders) - 1; k >= 0 && c.leaders[k].term > leads; k-- {
		if l := &c.leaders[k]; !c.reaches(l.last, entryID{term, to}) {
			return n.violates("S4",
				"commits entry %d of term %d, which node %d does not hold, elected in term %d with entry %d of term %d as the last",
				to, term, l.node, l.term, l.last.index, l.last.term)
		}
	}
	c.stats.Committed += to - c.committed
	for i := c.committed + 1; i <= to; i++ {
		s := c.log.at(i)
		rec := c.log.find(i, s.committed)
		s.state = fold(c.log.at(i-1).state, i, rec.term, rec.digest)
		c.committed = i
		if rec.conf {
			if v := c.confCommitted(n, i, rec.term); v != nil {
				return v
			}
		}
	}
	if last := &c.segments[len(c.segments)-1]; last.term == leads {
		last.index = to
	} else {
		c.segments = append(c.segments, segment{to, leads})
	}
	return nil
}

// reaches reports whether a log that ends with last holds id.
func (c *Checker) reaches(last, id entryID) bool {
	if last.index < id.index {
		return false
	}
	t := last.term
	for i := last.index; i > id.index; i-- {
		rec := c.log.find(i, t)
		if rec == nil {
			return true // forgotten: nobody can tell any more
		}
		t = rec.prev
	}
	return t == id.term
}
