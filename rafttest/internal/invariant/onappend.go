package invariant

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// S11b, where changes take effect when they are appended: the active configuration
// is the last one in a node's log, through truncation of any depth, restarts and
// snapshots (dissertation §4.1).
//
// What a node appended is seen only in its next Ready, but it decides by it at once.
// So what it says is taken for true until then, and judged there, before anything
// that rests on it leaves.

// claim takes the configuration that the node says is active.
func (n *node) claim() {
	st := n.rn.Status()
	n.claimed = true
	if n.conf.index != st.ConfigIndex || !n.conf.cfg.Equal(st.Config) {
		n.setConf(newConfAt(st.ConfigIndex, st.Config))
	}
}

// checkActive judges the configuration of a node whose log is known to the end.
func (c *Checker) checkActive(n *node) *Violation {
	if !n.claimed || n.log.last != n.st.LastIndex {
		return nil
	}
	n.claimed = false
	want := c.lastInLog(n)
	if want == nil {
		return nil
	}
	if n.claim(); !n.conf.cfg.Equal(want.cfg) {
		return n.violates("S11b", "goes by configuration %v of entry %d; the last in its log, which ends at %d, is %v of entry %d",
			n.conf.cfg, n.conf.index, n.log.last, want.cfg, want.index)
	}
	n.claimed = false
	return nil
}

// lastInLog returns the last configuration in the log of a node as it was handed
// out, or nil if it is forgotten.
func (c *Checker) lastInLog(n *node) *confAt {
	i := n.log.lastConf()
	if i == 0 {
		if n.log.runs[0].start == 0 {
			return noConf
		}
		return c.confAt(n.log.runs[0].start)
	}
	term, _ := n.log.term(i)
	if at := c.confOf(i, term); at != nil {
		return at
	}
	if i > c.committed {
		return nil
	}
	return c.confAt(i)
}

// confOf returns the configuration that an entry made.
func (c *Checker) confOf(index, term uint64) *confAt {
	for k := len(c.confEntries) - 1; k >= 0; k-- {
		if e := &c.confEntries[k]; e.index == index && e.term == term {
			return e.at
		}
	}
	return nil
}

// made returns the configuration that e, which n is asked to write next, makes of
// that before it.
func (c *Checker) made(n *node, e *pb.Entry) *confAt {
	before := c.lastInLog(n)
	if before == nil {
		return nil
	}
	cfg := before.cfg
	if cc, err := pb.UnmarshalConfChange(*e); err == nil {
		if next, err := c.apply(cfg, cc.AsV2(), e.Index); err == nil {
			cfg = next
		}
	}
	return newConfAt(e.Index, cfg)
}

// mayCampaign is S13: a voter of the active configuration, or where changes take
// effect on append one of the newest that it knows to be committed (dissertation
// §4.2.2).
func (c *Checker) mayCampaign(n *node) bool {
	if n.conf.isVoter(n.id) {
		return true
	}
	if !c.opt.OnAppend || n.conf.index <= n.st.Commit {
		return false
	}
	at := c.confAt(n.st.Commit)
	return at != nil && at.isVoter(n.id)
}

// startLast is S11b for what a node begins with.
func (c *Checker) startLast(n *node, st *raft.Status) *Violation {
	n.conf, n.claimed = newConfAt(st.ConfigIndex, st.Config), true
	if len(st.Config.Voters[0]) == 0 && n.log.last == 0 {
		n.conf = noConf
	}
	return c.checkActive(n)
}

// appliedOnAppend judges what ApplyConfChange returned for the entry at index: the
// newest configuration of C that the disk holds.
func (c *Checker) appliedOnAppend(n *node, index uint64, cs *pb.ConfState) *Violation {
	switch {
	case cs.Index > durableEnd(n.disk):
		return n.violates("S11b", "entry %d gives the configuration of entry %d, and the disk holds entries up to %d",
			index, cs.Index, durableEnd(n.disk))
	case cs.Index > c.committed:
		return n.violates("S11b", "entry %d gives the configuration of entry %d, which is not committed", index, cs.Index)
	case cs.Index < index && (n.snapshot == 0 || n.st.Durable >= n.snapshot):
		return n.violates("S11b", "entry %d gives the configuration of entry %d", index, cs.Index)
	}
	if want := c.confAt(cs.Index); want != nil && !want.is(cs) {
		return n.violates("S11b", "entry %d gives configuration %v, the committed changes give %v", index, *cs, want.cfg)
	}
	return nil
}
