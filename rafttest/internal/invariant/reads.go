package invariant

import (
	"encoding/binary"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// readAsked is a read that waits for its answer.
type readAsked struct {
	node, life uint64
	committed  uint64 // C's end when it was asked
	// term is what the node led then, 0 if it did not; round the last round of
	// heartbeats that it had made.
	term, round uint64
	leased      bool // a lease may answer it
	prunes      uint64
}

// keepReads is after how many Prunes a read that was not answered is forgotten.
const keepReads = 64

// ReadAsked is called when ReadIndex is called at node id. key is unique in a
// run.
func (c *Checker) ReadAsked(id, key uint64) {
	n := c.node(id)
	r := readAsked{node: id, life: n.life, committed: c.committed, prunes: c.prunes}
	if n.st.RaftState == raft.StateLeader {
		r.term, r.round = n.st.Term, n.lead.round
		if !n.st.Asleep { // to ask would wake it
			_, err := n.rn.LeaseRead()
			r.leased = err == nil
		}
	}
	c.reads[key] = r
}

// ReadReady is called when the answer to that read comes out of node id. One
// that was asked long ago (see Prune) is not judged.
func (c *Checker) ReadReady(id, key, index uint64) *Violation {
	n := c.node(id)
	r, known := c.reads[key]
	if !known {
		return nil
	}
	delete(c.reads, key)
	c.stats.Reads++
	if r.node != id || r.life != n.life {
		return n.violates("S14", "answers in life %d a read that node %d was asked for in life %d", n.life, r.node, r.life)
	}
	if index < r.committed {
		// A read of a follower may be answered by the leader's lease, which
		// cannot be told from outside.
		if c.opt.Drifting && c.leases && (r.leased || r.term == 0) {
			c.stats.StaleLeases++
			return nil
		}
		return n.violates("S14", "a read is answered with index %d, %d was committed when it was asked", index, r.committed)
	}
	if r.term == 0 || r.leased || n.lead.term != r.term || n.foreign {
		return nil
	}
	// Between the answer and its Ready the configuration may have changed.
	confirmed := n.confirmed(n.conf, r.round) || n.switched > 1 || n.switched == 1 && n.confirmed(n.before, r.round)
	if !confirmed {
		return n.violates("S14",
			"leads term %d and answers a read with index %d, while no quorum of %v answered a heartbeat after round %d",
			r.term, index, n.conf.cfg, r.round)
	}
	return nil
}

// confirmed reports whether majorities of both halves answered a round of
// heartbeats that was made after the given one (dissertation §6.4).
func (n *node) confirmed(at *confAt, after uint64) bool {
	if at.soleVoter(n.id) {
		return true
	}
	for _, ids := range at.cfg.Voters {
		got := 0
		for _, id := range ids {
			if id == n.id || valueOf(n.lead.acked, id) > after {
				got++
			}
		}
		if len(ids) > 0 && got <= len(ids)/2 {
			return false
		}
	}
	return true
}

// heartbeatAnswered notes which round a peer answered in the leader's term, also
// where the leader, being removed, stepped down upon it.
func (n *node) heartbeatAnswered(was *raft.BasicStatus, m *pb.Message) {
	l := &n.lead
	if was.RaftState != raft.StateLeader || m.Term != was.Term {
		return
	}
	round := m.Round
	if round == 0 && len(m.Context) == 16 {
		// A peer that does not know rounds echoes the context, which has it.
		round = binary.BigEndian.Uint64(m.Context[8:])
	}
	for i := range l.acked {
		if l.acked[i].id == m.From {
			l.acked[i].value = max(l.acked[i].value, round)
			return
		}
	}
	l.acked = append(l.acked, peer{m.From, round})
}

// LeaseRead is called when LeaseRead at node id returned index now.
func (c *Checker) LeaseRead(id, index uint64) *Violation {
	n := c.node(id)
	c.stats.LeaseReads++
	if v := n.checkWoken(); v != nil {
		return v
	}
	if index >= c.committed {
		return nil
	}
	if c.opt.Drifting {
		c.stats.StaleLeases++
		return nil
	}
	return n.violates("S15", "a lease read in term %d is answered with index %d, %d is committed",
		n.st.Term, index, c.committed)
}

// Proposed is called when node id, leader or not, returned err for a proposal:
// Propose, ProposeConfChange, or Step of a MsgProp.
func (c *Checker) Proposed(id uint64, err error) *Violation {
	n := c.node(id)
	if err != nil || !n.transferring {
		return nil
	}
	if now := n.rn.BasicStatus(); now.RaftState == raft.StateLeader && now.LeadTransferee != raft.None {
		return n.violates("S16", "accepts a proposal while it hands term %d over to %d", now.Term, now.LeadTransferee)
	}
	return nil
}
