package invariant

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Start is called when node id begins its life-th life (1, 2, ...) with rn, just
// made from what disk holds durably. applied was Config.Applied; 0 is the
// snapshot's index.
func (c *Checker) Start(id, life uint64, rn Node, disk Disk, applied uint64) *Violation {
	return c.start(id, life, rn, disk, applied, false)
}

// StartForeign is Start for a node of another implementation. What is safe is
// the same for it. Not judged is what this library promises beyond that:
//
//   - when a Ready has to be synced, that it leaves nothing for the next, and in which
//     term it was when it hands out a promise (S18, S8);
//   - that a heartbeat of an earlier leadership, or to a member of before, which is
//     still to leave, tells of no more than the peer holds (S10);
//   - that what it sends was handed out to be written before (S3);
//   - that a change of configuration waits for a commit in the leader's term,
//     which matters only where changes take effect when they are appended (S11a);
//   - that requests for votes leave after the candidate's own vote is durable (S8);
//   - that it takes itself for a holder only of what it has durably (S10), and that a
//     commit which it learned survives a crash (S11a);
//   - promises on which leases rest (S15), which it does not make;
//   - how a read was confirmed (S14). What it returns is judged.
func (c *Checker) StartForeign(id, life uint64, n Node, disk Disk, applied uint64) *Violation {
	return c.start(id, life, n, disk, applied, true)
}

func (c *Checker) start(id, life uint64, rn Node, disk Disk, applied uint64, foreign bool) *Violation {
	n := c.find(id)
	if n == nil {
		n = &node{id: id}
		c.ids = append(c.ids, id)
		c.nodes = append(c.nodes, n)
	}
	if n.rn != nil || life <= n.life {
		panic(fmt.Sprintf("invariant: node %d starts life %d in life %d", id, life, n.life))
	}
	n.life, n.rn, n.foreign, n.disk = life, rn, foreign, disk
	c.stats.Lives++
	if v := c.Synced(id); v != nil {
		return v
	}
	if v := n.restoreVotes(); v != nil {
		return v
	}
	if v := c.load(n); v != nil {
		return v
	}
	if applied == 0 {
		applied = n.log.runs[0].start
	}
	st := rn.Status()
	n.st = st.BasicStatus
	n.hard = n.durable
	n.startApplied, n.handed, n.applied = applied, applied, applied
	n.snapshot, n.restoring, n.seenCommit = 0, 0, 0
	n.inner = innerEnd{n.log.end(), true}
	n.lead.term, n.lead.round = 0, 0
	n.before, n.switches, n.switched = nil, 0, 0
	n.growth = n.growth[:0]
	n.transferring = false
	n.clock.heard = [16]heard{}
	if v := c.checkStart(n); v != nil {
		return v
	}
	return c.startConf(n, &st)
}

// load reads the log that the disk holds.
func (c *Checker) load(n *node) *Violation {
	_, base, last := n.disk.Durable()
	term, ok := n.disk.DurableTerm(base)
	if !ok && base != 0 {
		return n.violates("S9", "the disk begins after entry %d, whose term it does not hold", base)
	}
	n.log.reset(entryID{term, base})
	for i := base + 1; i <= last; i++ {
		term, ok := n.disk.DurableTerm(i)
		if !ok {
			return n.violates("S9", "the disk ends at %d and does not hold entry %d", last, i)
		}
		conf := false
		if i > c.log.low {
			rec := c.log.find(i, term)
			if rec == nil {
				return n.violates("S3", "the disk holds entry %d of term %d, which nobody was asked to write", i, term)
			}
			conf = rec.conf
		}
		n.log.push(term, conf)
	}
	return nil
}

// checkStart is S9 across lives: a node goes on from what its disk holds.
func (c *Checker) checkStart(n *node) *Violation {
	st, hs, end := &n.st, &n.durable, n.log.end()
	// An empty hard state beside a snapshot is a group that was seeded by hand.
	switch {
	case st.Term != max(hs.Term, end.term) || st.Term == hs.Term && st.Vote != hs.Vote:
		return n.violates("S9", "starts with term %d and vote %d, the disk holds %d and %d",
			st.Term, st.Vote, hs.Term, hs.Vote)
	case st.LastIndex != end.index:
		return n.violates("S9", "starts with a log up to %d, the disk holds it up to %d", st.LastIndex, end.index)
	case st.Applied != n.startApplied || !c.mayStartCommitted(n):
		return n.violates("S9", "starts with commit %d and applied %d, the disk holds commit %d and the host applied %d",
			st.Commit, st.Applied, hs.Commit, n.startApplied)
	case st.Commit > c.committed:
		return n.violates("S6", "starts with commit %d, leaders committed up to %d", st.Commit, c.committed)
	case st.RaftState != raft.StateFollower:
		return n.violates("S1", "starts as %v of term %d", st.RaftState, st.Term)
	}
	return c.commitReady(n)
}

// mayStartCommitted reports whether the node begins with the commit index that its disk and what
// the host applied give, or with that of a later configuration: the host saved it when it
// applied the change, before the commit index was on its disk.
func (c *Checker) mayStartCommitted(n *node) bool {
	given := max(n.durable.Commit, n.startApplied)
	at := n.st.Commit
	return at == given || at > given && (at <= c.log.low || slices.Contains(n.log.confs, at))
}

// startConf is S11a for what a node begins with: the fold of C up to what it
// applied, or further, if storage held a later configuration.
func (c *Checker) startConf(n *node, st *raft.Status) *Violation {
	n.ahead = st.ConfigIndex
	if c.opt.OnAppend {
		return c.startLast(n, st)
	}
	if len(st.Config.Voters[0]) == 0 && n.log.last == 0 {
		n.conf = noConf // it joins
		return nil
	}
	if from := max(st.ConfigIndex, n.startApplied); from < c.history[0].index {
		// An old snapshot reached an empty disk late; what was so then is forgotten.
		n.conf = newConfAt(st.ConfigIndex, st.Config)
		return nil
	}
	if st.ConfigIndex > st.Commit {
		return n.violates("S9", "starts with the configuration of entry %d, which its host applied, and with commit %d", st.ConfigIndex, st.Commit)
	}
	at := c.confAt(max(st.ConfigIndex, n.startApplied))
	if at == nil || st.ConfigIndex > c.committed {
		return n.violates("S11a", "starts with configuration %v of entry %d and applied %d, C is known from %d to %d",
			st.Config, st.ConfigIndex, n.startApplied, c.log.low, c.committed)
	}
	if !at.cfg.Equal(st.Config) {
		return n.violates("S11a", "starts with configuration %v of entry %d and applied %d, the committed changes give %v",
			st.Config, st.ConfigIndex, n.startApplied, at.cfg)
	}
	n.conf = at
	return nil
}

// Down is called when a node crashed or stopped. Its disk goes on to count.
func (c *Checker) Down(id uint64) {
	n := c.node(id)
	n.rn = nil
	for key, r := range c.reads {
		if r.node == id {
			delete(c.reads, key) // in whatever order
		}
	}
}

// Synced is called when what node id's disk holds durably changed, before
// AckAppend. It is S9 for disks.
func (c *Checker) Synced(id uint64) *Violation {
	n := c.node(id)
	hs, base, last := n.disk.Durable()
	was := n.durable
	n.durable = hs
	switch {
	case hs.Term < was.Term:
		return n.violates("S9", "the durable term went back from %d to %d", was.Term, hs.Term)
	case hs.Term == was.Term && was.Vote != raft.None && hs.Vote != was.Vote:
		return n.violates("S7", "the durable vote in term %d changed from %d to %d", hs.Term, was.Vote, hs.Vote)
	case hs.Commit < was.Commit:
		return n.violates("S9", "the durable commit went back from %d to %d", was.Commit, hs.Commit)
	case hs.Commit > last:
		return n.violates("S9", "the durable commit is %d, the disk holds entries %d to %d", hs.Commit, base, last)
	}
	if i := n.heldC; i >= base {
		if want, known := c.CommittedTerm(i); known && !holds(n.disk, i, want) {
			return n.violates("S9", "the disk does not hold the committed entry %d of term %d any more; it holds %d to %d",
				i, want, base, last)
		}
	}
	// Only in the term of the commit or later is a node safe from leaders that
	// do not hold the entry: a delayed append of one of before may replace it
	// rightfully, on a disk that nobody counted.
	if to := min(last, c.committed); to > n.heldC && hs.Term >= c.segments[len(c.segments)-1].term {
		if want, known := c.CommittedTerm(to); known && holds(n.disk, to, want) {
			n.heldC = to
		}
	}
	return nil
}

// gone is what is left of a node that is forgotten: votes that it gave, and what
// its disk held, may still be on their way to a leader.
type gone struct {
	id         uint64
	votes      []vote
	hs         pb.HardState
	base, last uint64
	log        hostLog
}

func (g *gone) Durable() (pb.HardState, uint64, uint64) { return g.hs, g.base, g.last }

func (g *gone) DurableTerm(i uint64) (uint64, bool) { return g.log.term(i) }

// Forget is called when a node never starts again: it is destroyed after it was
// removed, or its disk is lost. Its ID is not used again. What it promised and
// held goes on to count for as long as a known configuration has it, but no log
// is kept for its sake any more.
func (c *Checker) Forget(id uint64) {
	n := c.node(id)
	g := &gone{id: id, votes: n.votes}
	g.hs, g.base, g.last = n.disk.Durable()
	term, _ := n.disk.DurableTerm(g.base)
	g.log.reset(entryID{term, g.base})
	for i := g.base + 1; i <= g.last; i++ {
		term, _ := n.disk.DurableTerm(i)
		g.log.push(term, false)
	}
	c.Down(id)
	c.gone = append(c.gone, g)
	for i := range c.ids {
		if c.ids[i] == id {
			c.ids = append(c.ids[:i], c.ids[i+1:]...)
			c.nodes = append(c.nodes[:i], c.nodes[i+1:]...)
			break
		}
	}
}
