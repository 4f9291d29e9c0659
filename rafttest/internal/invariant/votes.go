package invariant

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// vote is the vote of one node in one term. One that was lost in a crash before
// it was durable, and so before anybody heard of it, is forgotten.
type vote struct {
	term, to uint64
	left     bool // the grant went on the network
}

// voted is S7, when term or vote changed: at most one vote for each node and
// term (Raft §5.2), and only for a candidate whose log holds at least what the
// voter's holds (§5.4.1).
func (c *Checker) voted(n *node, was *raft.BasicStatus, in *pb.Message) *Violation {
	now := &n.st
	if now.Term == was.Term && was.Vote != raft.None {
		return n.violates("S7", "vote in term %d changed from %d to %d", now.Term, was.Vote, now.Vote)
	}
	if now.Vote == raft.None {
		return nil
	}
	if v := n.addVote(now.Term, now.Vote); v != nil {
		return v
	}
	c.stats.Votes++
	if now.Vote == n.id {
		return nil // roleChanged looks at the candidate
	}
	if in == nil || in.Type != pb.MsgVote || in.Term != now.Term || in.From != now.Vote {
		return n.violates("S7", "votes for %d in term %d, which did not ask", now.Vote, now.Term)
	}
	// An input that grants a vote does not change the log.
	own, asks := n.inner, entryID{in.LogTerm, in.Index}
	if own.known && (asks.term < own.term || asks.term == own.term && asks.index < own.index) {
		return n.violates("S7",
			"votes in term %d for %d, whose log ends with entry %d of term %d, while its own ends with entry %d of term %d",
			now.Term, now.Vote, asks.index, asks.term, own.index, own.term)
	}
	return nil
}

func (n *node) addVote(term, to uint64) *Violation {
	if old := findVote(n.votes, term); old != nil {
		if old.to != to {
			return n.violates("S7", "votes for %d in term %d, and voted for %d before", to, term, old.to)
		}
		return nil
	}
	// Terms only grow within a life, and a new one drops what was not durable.
	n.votes = append(n.votes, vote{term: term, to: to})
	return nil
}

func findVote(votes []vote, term uint64) *vote {
	for i := len(votes) - 1; i >= 0 && votes[i].term >= term; i-- {
		if votes[i].term == term {
			return &votes[i]
		}
	}
	return nil
}

// restoreVotes settles what a crash left of the node's votes.
func (n *node) restoreVotes() *Violation {
	hs := &n.durable
	kept := n.votes[:0]
	for _, v := range n.votes {
		lost := v.term > hs.Term || v.term == hs.Term && v.to != hs.Vote
		if lost && v.left {
			return n.violates("S7", "granted a vote to %d in term %d, and starts with term %d and vote %d",
				v.to, v.term, hs.Term, hs.Vote)
		}
		if !lost {
			kept = append(kept, v)
		}
	}
	n.votes = kept
	if hs.Vote == raft.None {
		return nil
	}
	return n.addVote(hs.Term, hs.Vote)
}

// checkElected is S12 for elections: voters of a majority of each half of the
// new leader's own active configuration granted it their vote, and it is on
// their disks (Raft §5.2, dissertation §4.3). A grant that left was durable (S8)
// and stays so; the leader's own never leaves, so its disk is asked.
func (c *Checker) checkElected(n *node) *Violation {
	term := n.st.Term
	for half, ids := range n.conf.cfg.Voters {
		granted := 0
		for _, id := range ids {
			if c.granted(id, term, n) {
				granted++
			}
		}
		if len(ids) > 0 && granted <= len(ids)/2 {
			return n.violates("S12", "leads term %d with %d durable votes of half %d of %v",
				term, granted, half, n.conf.cfg)
		}
	}
	return nil
}

func (c *Checker) granted(voter, term uint64, candidate *node) bool {
	if voter == candidate.id {
		hs, _, _ := candidate.disk.Durable()
		return hs.Term == term && hs.Vote == candidate.id
	}
	votes, _ := c.member(voter)
	v := findVote(votes, term)
	return v != nil && v.to == candidate.id && v.left
}

// member returns the votes and the disk of a node, also of one that is gone.
func (c *Checker) member(id uint64) ([]vote, Disk) {
	if n := c.find(id); n != nil {
		return n.votes, n.disk
	}
	for _, g := range c.gone {
		if g.id == id {
			return g.votes, g
		}
	}
	return nil, nil
}
