package invariant

import (
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// confAt is the configuration of C from entry index on.
type confAt struct {
	index uint64
	cfg   confchange.Config
	ids   []uint64 // all members, ascending
}

func newConfAt(index uint64, cfg confchange.Config) *confAt {
	return &confAt{index: index, cfg: cfg, ids: cfg.IDs()}
}

// noConf is the configuration of a node that joins.
var noConf = newConfAt(0, confchange.Config{})

func (a *confAt) isVoter(id uint64) bool { return a.cfg.IsVoter(id) }

// soleVoter reports whether id decides everything alone.
func (a *confAt) soleVoter(id uint64) bool {
	return len(a.cfg.Voters[0]) == 1 && len(a.cfg.Voters[1]) == 0 && a.cfg.Voters[0][0] == id
}

// is reports whether cs is the same configuration; its index does not count.
func (a *confAt) is(cs *pb.ConfState) bool {
	cfg, err := confchange.Restore(*cs)
	return err == nil && cfg.Equal(a.cfg)
}

// growth says that the log of the leader of a term had grown to last when it had
// these cursors.
type growth struct{ term, last, applied, commit uint64 }

// confEntry is a change of configuration that some node was asked to write.
type confEntry struct {
	entryID
	entry pb.Entry
	at    *confAt // with OnAppend, what it made
}

// ConfAt returns the configuration of C at index i, and whether it is known.
func (c *Checker) ConfAt(i uint64) (pb.ConfState, bool) {
	at := c.confAt(i)
	if at == nil || i > c.committed {
		return pb.ConfState{}, false
	}
	cs := at.cfg.ConfState()
	cs.Index = at.index
	return cs, true
}

// Newest returns the newest configuration of C, not to be changed, and the index
// of its entry.
func (c *Checker) Newest() (confchange.Config, uint64) {
	at := c.history[len(c.history)-1]
	return at.cfg, at.index
}

// confAt returns C's configuration at index i, nil if it was pruned.
func (c *Checker) confAt(i uint64) *confAt {
	for k := len(c.history) - 1; k >= 0; k-- {
		if c.history[k].index <= i {
			return c.history[k]
		}
	}
	return nil
}

// confIn returns the first change of configuration of C in (lo, hi], or 0.
func (c *Checker) confIn(lo, hi uint64) uint64 {
	found := uint64(0)
	for k := len(c.history) - 1; k > 0 && c.history[k].index > lo; k-- {
		if c.history[k].index <= hi {
			found = c.history[k].index
		}
	}
	return found
}

// confCommitted folds a change that was just committed into the history, and
// checks that no two majorities before and after can miss each other
// (dissertation §4.1, §4.3). A change that is impossible is skipped, by all alike.
func (c *Checker) confCommitted(n *node, index, term uint64) *Violation {
	before := c.history[len(c.history)-1]
	next := before.cfg
	var decoded *pb.ConfChangeV2
	if e := c.confEntry(index, term); e != nil {
		if cc, err := pb.UnmarshalConfChange(*e); err == nil {
			change := cc.AsV2()
			if c.opt.Refused != nil && c.opt.Refused(e) {
				change = refused(change)
			}
			decoded = &change
			if applied, err := c.apply(before.cfg, change, index); err == nil {
				next = applied
			} else {
				c.stats.Impossible++
			}
		}
	}
	if v := c.targetMoved(n, index, before.cfg, next, decoded); v != nil {
		return v
	}
	c.history = append(c.history, newConfAt(index, next))
	c.join(c.history[len(c.history)-1])
	c.stats.Confs++
	if next.Joint() && !before.cfg.Joint() {
		c.stats.JointConfs++
	}
	if !intersect(before.cfg.Voters, next.Voters) {
		return n.violates("S11a", "entry %d changes %v to %v, whose quorums need not meet", index, before.cfg, next)
	}
	return nil
}

// join notes who is a member for the first time.
func (c *Checker) join(at *confAt) {
	for _, id := range at.ids {
		if _, known := c.joined[id]; !known {
			c.joined[id] = at.index
		}
	}
}

func refused(cc pb.ConfChangeV2) pb.ConfChangeV2 {
	cc.Changes = slices.Clone(cc.Changes)
	for i := range cc.Changes {
		cc.Changes[i].NodeID = 0
	}
	return cc
}

// intersect reports whether some half of a and some half of b are such that any
// majorities of the two have a member in common. No half at all agrees with
// everything and meets nobody, but then there was no group before.
func intersect(a, b quorum.JointConfig) bool {
	if len(a.IDs()) == 0 {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			if len(x) == 0 || len(y) == 0 {
				continue
			}
			both := quorum.JointConfig{x, y}
			if len(x)/2+1+len(y)/2+1 > len(both.IDs()) {
				return true
			}
		}
	}
	return false
}

func (c *Checker) confEntry(index, term uint64) *pb.Entry {
	for k := len(c.confEntries) - 1; k >= 0; k-- {
		if ce := &c.confEntries[k]; ce.index == index && ce.term == term {
			return &ce.entry
		}
	}
	return nil
}

// confAppended checks a change of configuration that n is asked to write.
func (c *Checker) confAppended(n *node, e *pb.Entry) *Violation {
	if v := c.promoted(n, e); v != nil {
		return v
	}
	prev := n.log.lastConf()
	// The leader had applied the change before when it proposed this one, so
	// every append with this one tells that that one is committed. Whoever holds
	// this change and campaigns must know (roleChanged).
	if prev > n.st.Commit {
		return n.violates("S11a", "writes the change of entry %d beside that of entry %d, and knows of a commit of %d only",
			e.Index, prev, n.st.Commit)
	}
	for i := range n.growth {
		g := &n.growth[i]
		if g.term != e.Term || g.last < e.Index {
			continue
		}
		switch {
		case c.opt.OnAppend && prev > g.commit:
			return n.violates("S11b",
				"leads term %d and took up the change of entry %d when it had committed %d, not the change of entry %d",
				g.term, e.Index, g.commit, prev)
		case prev > g.applied && !c.opt.OnAppend:
			return n.violates("S11a",
				"leads term %d and took up the change of entry %d when it had applied %d, not the change of entry %d",
				g.term, e.Index, g.applied, prev)
		case g.commit < n.lead.start && !n.foreign:
			return n.violates("S11a",
				"leads term %d from entry %d on and took up the change of entry %d when it had committed %d",
				g.term, n.lead.start, e.Index, g.commit)
		}
		break
	}
	return nil
}

// Told is called when a Ready of node id says that it was removed, as a configuration
// at index lacks it. It may have come back since, but not be still to come.
func (c *Checker) Told(id, index uint64) *Violation {
	n := c.node(id)
	if index > c.committed {
		return n.violates("S11a", "is told that it was removed at %d, and %d is committed", index, c.committed)
	}
	if at := c.confAt(index); at != nil && slices.Contains(at.ids, id) {
		return n.violates("S11a", "is told that it was removed at %d, and is a member at %d: %v", index, at.index, at.cfg)
	}
	switch first, was := c.joined[id]; {
	case !was:
		return n.violates("S11a", "is told that it was removed at %d, and never was a member", index)
	case index < first:
		return n.violates("S11a", "is told that it was removed at %d, and was added first at %d", index, first)
	}
	return nil
}

// ConfApplied is called right after ApplyConfChange for the entry at index
// returned cs at node id, without Before and After.
func (c *Checker) ConfApplied(id, index uint64, cs *pb.ConfState) *Violation {
	n := c.node(id)
	if v := c.checkApplied(n, index, cs); v != nil {
		return v
	}
	return c.observe(n, nil, nil) // it may have committed, or ended a campaign
}

func (c *Checker) checkApplied(n *node, index uint64, cs *pb.ConfState) *Violation {
	if cs == nil {
		return n.violates("S11a", "entry %d gives no configuration", index)
	}
	if index > c.committed || index > c.log.low && c.confIn(index-1, index) == 0 {
		return n.violates("S11a", "entry %d is applied as a change of configuration, and is none of C, which ends at %d",
			index, c.committed)
	}
	if c.opt.OnAppend {
		return c.appliedOnAppend(n, index, cs)
	}
	switch {
	case cs.Index > index && n.ahead < cs.Index:
		return n.violates("S11a", "entry %d gives the configuration of entry %d, ahead of what was in effect, %d",
			index, cs.Index, n.ahead)
	case cs.Index > index && cs.Index > durableEnd(n.disk):
		// The host saves it, and may start with it from what its disk holds.
		return n.violates("S11a", "entry %d gives the configuration of entry %d, and the disk holds entries up to %d",
			index, cs.Index, durableEnd(n.disk))
	case cs.Index < index && (n.snapshot == 0 || n.st.Durable >= n.snapshot):
		// While a received snapshot is not durable nothing is applied to what it
		// replaces.
		return n.violates("S11a", "entry %d gives the configuration of entry %d", index, cs.Index)
	}
	want := c.confAt(cs.Index)
	if want == nil {
		return nil
	}
	if !want.is(cs) {
		return n.violates("S11a", "entry %d gives configuration %v, the committed changes give %v", index, *cs, want.cfg)
	}
	if cs.Index >= n.conf.index {
		n.setConf(want)
	}
	return nil
}

func durableEnd(d Disk) uint64 {
	_, _, last := d.Durable()
	return last
}

// resigned is dissertation §4.2.2: a leader that was removed, or demoted, says that
// it handed over only when a majority of each half of those who remain know of the
// commit and cannot forget it.
func (c *Checker) resigned(n *node, was *raft.BasicStatus) *Violation {
	if was.RaftState != raft.StateLeader || n.st.Term != was.Term || n.st.LastStepDown != raft.StepDownRemoved {
		return nil
	}
	for _, ids := range n.conf.cfg.Voters {
		know := 0
		for _, id := range ids {
			if c.remembers(id, n.conf.index) {
				know++
			}
		}
		if len(ids) > 0 && know <= len(ids)/2 {
			return n.violates("S11a", "led term %d, was removed by entry %d and handed over, and %d of %v remember the commit",
				n.st.Term, n.conf.index, know, n.conf.cfg)
		}
	}
	return nil
}

// remembers reports whether a node knows that C reaches to index, also after a crash
// if it is this library's.
func (c *Checker) remembers(id, index uint64) bool {
	n := c.find(id)
	if n == nil {
		return true // destroyed meanwhile
	}
	if n.foreign {
		return n.st.Commit >= index
	}
	hs, base, _ := n.disk.Durable()
	return max(hs.Commit, base, n.startApplied) >= index
}

// setConf makes a configuration the active one.
func (n *node) setConf(at *confAt) {
	if n.st.RaftState == raft.StateLeader {
		n.lead.realign()
	}
	n.before, n.conf = n.conf, at
	n.switches++
}
