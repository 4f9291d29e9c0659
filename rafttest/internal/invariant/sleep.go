package invariant

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// S21: sleep takes nothing away but time. Who sleeps has nothing that is not committed; a
// leader sleeps after all others did, in answer to one attempt of it, for its whole log; and
// its lease rests on answers of after it woke up.

// slept is what a node last fell asleep with, or confirmed asleep.
type slept struct{ term, round, last uint64 }

// sleepMoved compares two consecutive states of a node in one of which it sleeps.
func (c *Checker) sleepMoved(n *node, was *raft.BasicStatus) *Violation {
	now := &n.st
	if was.Asleep && !now.Asleep && now.RaftState == raft.StateLeader {
		n.lead.woke = n.lead.round
	}
	if !now.Asleep {
		return nil
	}
	switch {
	case now.Lead == raft.None || now.RaftState != raft.StateLeader && now.RaftState != raft.StateFollower:
		return n.violates("S21", "sleeps as %v with leader %d", now.RaftState, now.Lead)
	case now.Commit != now.LastIndex:
		return n.violates("S21", "sleeps with a log up to %d, committed is %d", now.LastIndex, now.Commit)
	case now.RaftState == raft.StateFollower || was.Asleep:
		return nil
	case now.Applied != now.LastIndex || now.LeadTransferee != raft.None:
		return n.violates("S21", "leads term %d and sleeps with applied %d of %d, handing over to %d",
			now.Term, now.Applied, now.LastIndex, now.LeadTransferee)
	}
	return c.leaderSleeps(n)
}

// leaderSleeps looks at a leader that falls asleep.
func (c *Checker) leaderSleeps(n *node) *Violation {
	last := n.st.LastIndex
	term, _ := n.log.term(last)
	for _, id := range n.conf.ids {
		m := c.find(id)
		if id == n.id || m == nil {
			continue // the others may have lost its disk since
		}
		s := m.slept
		if s.term != n.st.Term || s.last != last || s.round < n.lead.sleepFrom || n.lead.sleepFrom == 0 {
			return n.violates("S21", "leads term %d and sleeps at %d, asking since round %d; %d last slept in term %d at %d, round %d",
				n.st.Term, last, n.lead.sleepFrom, id, s.term, s.last, s.round)
		}
		if !holds(m.disk, last, term) {
			return n.violates("S21", "leads term %d and sleeps, and %d does not hold its last entry %d of term %d", n.st.Term, id, last, term)
		}
	}
	return nil
}

// toldToSleep notes that a node sleeps by a round of heartbeats.
func (n *node) toldToSleep(m *pb.Message) {
	if m.Sleep && n.st.Asleep && (n.slept.term != m.Term || n.slept.round < m.Round) {
		n.slept = slept{m.Term, m.Round, m.Index}
	}
}

// asksToSleep notes the rounds of an attempt of the leader.
func (l *leading) asksToSleep(m *pb.Message) {
	switch {
	case !m.Sleep:
		l.sleepFrom = 0
	case l.sleepFrom == 0:
		l.sleepFrom = m.Round
	}
}

// checkWoken is S21 for a lease read of a leader: who sleeps has no lease, and who woke
// up has one by answers to what it sent since.
func (n *node) checkWoken() *Violation {
	if n.st.Asleep {
		return n.violates("S21", "answers a lease read in term %d, asleep", n.st.Term)
	}
	if n.lead.woke > 0 && n.lead.term == n.st.Term && !n.confirmed(n.conf, n.lead.woke) {
		return n.violates("S21", "answers a lease read in term %d, and no quorum of %v answered a round after %d, the last before it woke up",
			n.st.Term, n.conf.cfg, n.lead.woke)
	}
	return nil
}
