package invariant

import (
	"slices"

	"github.com/quorate-raft/raft"
)

// leader is who leads a term, and the last entry that it was elected with.
type leader struct {
	term, node, life uint64
	last             entryID
}

func (c *Checker) leaderOf(term uint64) *leader {
	for i := len(c.leaders) - 1; i >= 0 && c.leaders[i].term >= term; i-- {
		if c.leaders[i].term == term {
			return &c.leaders[i]
		}
	}
	return nil
}

// roleChanged looks at a node that campaigns or leads now and did not before.
func (c *Checker) roleChanged(n *node, was *raft.BasicStatus) *Violation {
	now := &n.st
	if now.RaftState == raft.StateFollower {
		return c.resigned(n, was)
	}
	if !c.mayCampaign(n) {
		return n.violates("S13", "becomes %v in term %d and is no voter of %v", now.RaftState, now.Term, n.conf.cfg)
	}
	if now.RaftState == raft.StateLeader {
		return c.elected(n, was)
	}
	// Whoever knows the change to be committed may be the only one who has not
	// switched yet, and then elects by quorums of the past. Inputs do not apply
	// anything, so the state after tells the state before.
	if i := c.confIn(now.Applied, now.Commit); i != 0 && !c.opt.OnAppend {
		return n.violates("S11a",
			"becomes %v in term %d with applied %d and commit %d, between which entry %d changes the configuration",
			now.RaftState, now.Term, now.Applied, now.Commit, i)
	}
	return nil
}

// elected looks at a new leader: S1, S4 and S12.
func (c *Checker) elected(n *node, was *raft.BasicStatus) *Violation {
	term := n.st.Term
	if old := c.leaderOf(term); old != nil {
		return n.violates("S1", "leads term %d in life %d, which node %d led in life %d", term, n.life, old.node, old.life)
	}
	if v := c.checkElected(n); v != nil {
		return v
	}
	if v := c.checkComplete(n); v != nil {
		return v
	}
	c.stats.Elections++
	at := len(c.leaders)
	for at > 0 && c.leaders[at-1].term > term {
		at--
	}
	c.leaders = slices.Insert(c.leaders, at, leader{term, n.id, n.life, n.log.end()})
	n.lead = leading{
		term: term, start: was.LastIndex + 1,
		matched: n.lead.matched[:0], before: n.lead.before[:0], acked: n.lead.acked[:0],
		catchUp: catchUp{ends: n.lead.catchUp.ends[:0], held: n.lead.catchUp.held[:0]},
		silence: silence{beats: n.lead.silence.beats[:0]},
	}
	return nil
}

// checkComplete is S4: a leader's log holds every entry that leaders of earlier
// terms committed (Raft §5.4.3). By log matching (S3) the last of them is
// enough. All that the node holds was handed out by now: a candidate appends
// nothing, and its vote came after.
func (c *Checker) checkComplete(n *node) *Violation {
	term := n.st.Term
	k := len(c.segments) - 1
	for k >= 0 && c.segments[k].term >= term {
		k--
	}
	if k < 0 {
		return nil
	}
	must := c.segments[k].index
	want, known := c.CommittedTerm(must)
	if !known {
		return nil
	}
	got, has := n.log.term(must)
	if must > n.log.last || has && got != want {
		return n.violates("S4",
			"leads term %d with a log that ends at %d and has term %d at entry %d, which was committed with term %d in term %d",
			term, n.log.last, got, must, want, c.segments[k].term)
	}
	return nil
}

// follows is S1 as others see it: the leader that a node knows is the term's.
func (c *Checker) follows(n *node) *Violation {
	term, lead := n.st.Term, n.st.Lead
	if l := c.leaderOf(term); l != nil && l.node != lead {
		return n.violates("S1", "takes %d for the leader of term %d, which %d leads", lead, term, l.node)
	} else if l == nil && term >= c.minTerm {
		return n.violates("S1", "takes %d for the leader of term %d, which has none", lead, term)
	}
	return nil
}
