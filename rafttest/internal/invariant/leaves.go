package invariant

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Leaves is called when message m of node id goes on the network. promise says
// that it came in MessagesAfterAppend.
func (c *Checker) Leaves(id uint64, m *pb.Message, promise bool) *Violation {
	n := c.node(id)
	switch m.Type {
	case pb.MsgApp:
		if v := c.ledBy(n, m, "S1"); v != nil {
			return v
		}
		return c.appendLeaves(n, m)
	case pb.MsgHeartbeat, pb.MsgReadIndexResp:
		return c.ledBy(n, m, "S1")
	case pb.MsgSnap:
		if v := c.ledBy(n, m, "S1"); v != nil {
			return v
		}
		return c.checkSnapshot(n, &m.Snapshot.Metadata)
	case pb.MsgTimeoutNow:
		c.stats.Transfers++
		return c.ledBy(n, m, "S16")
	case pb.MsgVote, pb.MsgVoteResp, pb.MsgAppResp:
		return c.promiseLeaves(n, m, promise)
	case pb.MsgHeartbeatResp:
		return c.leaseLeaves(n, m)
	}
	// The others promise nothing: pre-votes and their answers, and what is only
	// passed on.
	return nil
}

// ledBy checks that what only the leader of a term sends comes from it.
func (c *Checker) ledBy(n *node, m *pb.Message, rule string) *Violation {
	switch l := c.leaderOf(m.Term); {
	case m.Term > n.st.Term:
		return n.violates(rule, "sends %v of term %d in term %d", m.Type, m.Term, n.st.Term)
	case l == nil && m.Term >= c.minTerm:
		return n.violates(rule, "sends %v of term %d, which has no leader", m.Type, m.Term)
	case l != nil && l.node != n.id:
		return n.violates(rule, "sends %v of term %d, which %d leads", m.Type, m.Term, l.node)
	}
	return nil
}

// appendLeaves is S3 for what an append says: the entry before, and each of its
// entries, is what was written somewhere. Entries are handed out to be written
// no later than they are sent.
func (c *Checker) appendLeaves(n *node, m *pb.Message) *Violation {
	if m.Index > c.log.low && c.log.find(m.Index, m.LogTerm) == nil {
		return n.violates("S3", "sends an append after entry %d of term %d, which nobody was asked to write",
			m.Index, m.LogTerm)
	}
	prev := m.LogTerm
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index != m.Index+1+uint64(i) {
			return n.violates("S3", "sends an append with entry %d after entry %d", e.Index, m.Index+uint64(i))
		}
		if e.Index > c.log.low {
			rec := c.log.find(e.Index, e.Term)
			if rec == nil && n.foreign {
				// It led, and its log was replaced since, before it wrote this.
				if v := c.register(n, e, prev, isConf(e)); v != nil {
					return v
				}
				prev = e.Term
				continue
			}
			if rec == nil {
				return n.violates("S3", "sends entry %d of term %d, which nobody was asked to write", e.Index, e.Term)
			}
			if v := compare(n, e, prev, Digest(e), rec); v != nil {
				return v
			}
		}
		prev = e.Term
	}
	return nil
}

// promiseLeaves is S8: what a vote, a request for one or an acknowledgement
// rests on is on the disk when it leaves (Raft figure 2: persisted before
// responding). Writes of later Readys may be durable by then as well, so the
// disk may have gone on to a later term, and hold another log.
func (c *Checker) promiseLeaves(n *node, m *pb.Message, promise bool) *Violation {
	if n.foreign && m.Type == pb.MsgVote {
		return nil
	}
	if !promise {
		return n.violates("S8", "%v of term %d is handed out to be sent before what it rests on is durable", m.Type, m.Term)
	}
	hs, base, last := n.disk.Durable()
	if hs.Term < m.Term {
		return n.violates("S8", "%v of term %d leaves, the durable term is %d", m.Type, m.Term, hs.Term)
	}
	if m.LeaseTicks > 0 {
		c.leases = true
	}
	switch {
	case m.Type == pb.MsgVote:
		return n.requestLeaves(m, &hs)
	case m.Type == pb.MsgVoteResp && !m.Reject:
		v := findVote(n.votes, m.Term)
		if m.Term < c.minTerm && v == nil {
			return nil // forgotten, and nobody counts it any more
		}
		if v == nil || v.to != m.To {
			return n.violates("S7", "a vote of term %d for %d leaves, recorded is %v", m.Term, m.To, v)
		}
		if hs.Term == m.Term && hs.Vote != m.To {
			return n.violates("S8", "a vote of term %d for %d leaves, the durable vote is %d", m.Term, m.To, hs.Vote)
		}
		v.left = true
	case m.Type == pb.MsgAppResp && !m.Reject && hs.Term == m.Term:
		// In a later term the entries may be replaced already; the leader whom
		// it would concern has lost its majority then.
		if m.Index > last {
			return n.violates("S8", "entry %d is acknowledged in term %d, the disk holds %d to %d",
				m.Index, m.Term, base, last)
		}
		return c.acknowledged(n, m, base)
	}
	return nil
}

// acknowledged checks that the entry which is acknowledged is the leader's, as
// far as that still leads and has not forgotten: a node answers for what it
// compared, not for what lies behind it (Raft figure 2).
func (c *Checker) acknowledged(n *node, m *pb.Message, base uint64) *Violation {
	to := c.find(m.To)
	if to == nil || to.rn == nil || to.st.Term != m.Term || to.st.RaftState != raft.StateLeader || m.Index < base {
		return nil
	}
	own, held := n.disk.DurableTerm(m.Index)
	theirs, known := to.log.term(m.Index)
	if m.Index > to.log.last || known && held && own != theirs {
		return n.violates("S8",
			"entry %d of term %d is acknowledged to the leader of term %d, who has term %d there and entries up to %d",
			m.Index, own, m.Term, theirs, to.log.last)
	}
	return nil
}

// requestLeaves is S8 for a request for votes: the term, the candidate's own
// vote, and the log that it names. One of a node that is no candidate of that
// term any more is for an election that it cannot win, whatever became of its
// log.
func (n *node) requestLeaves(m *pb.Message, hs *pb.HardState) *Violation {
	if hs.Term == m.Term && hs.Vote != n.id {
		return n.violates("S8", "a request for votes of term %d leaves, the durable vote is %d", m.Term, hs.Vote)
	}
	if n.st.Term != m.Term || n.st.RaftState != raft.StateCandidate && n.st.RaftState != raft.StateLeader {
		return nil
	}
	if !holds(n.disk, m.Index, m.LogTerm) {
		_, base, last := n.disk.Durable()
		return n.violates("S8",
			"a request for votes of term %d for a log up to entry %d of term %d leaves, the disk holds %d to %d",
			m.Term, m.Index, m.LogTerm, base, last)
	}
	return nil
}

// leaseLeaves is S8 for the one promise in the answer to a heartbeat: a node
// that has no durable term would not know after a restart that it may have
// promised to refuse votes (dissertation §6.4.1).
func (c *Checker) leaseLeaves(n *node, m *pb.Message) *Violation {
	if m.LeaseTicks == 0 {
		return nil
	}
	c.leases = true
	if hs, _, _ := n.disk.Durable(); hs.Term == 0 {
		return n.violates("S8", "a promise to refuse votes for %d ticks leaves, and no term is durable", m.LeaseTicks)
	}
	n.promises(m)
	return nil
}
