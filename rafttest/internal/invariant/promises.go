package invariant

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// transferContext marks a request for votes of a candidate whose leader told it
// to campaign: who promised that leader to refuse votes is released from it
// (dissertation §4.2.3).
const transferContext = "CampaignTransfer"

// clock is what is kept of a node by its own clock: what it promised for so many
// ticks, and what it may not take longer over. A promise outlives the process;
// that it did not tick while it was down is part of it, since it cannot know how
// long that was.
type clock struct {
	ticks uint64 // in all lives

	// heard are the last heartbeats that it took: from then on its answers
	// promise.
	heard [16]heard
	next  int
	// Before tick until it does not vote, as it told leader to of term.
	until, to, term uint64
	// told is the last term in which a leader told it to campaign.
	told uint64

	// transfer counts ticks of the transfer under way; undone, ticks in which
	// none of a leader's own writes became durable, which were up to durable
	// before. timeout is Config.ElectionTick.
	transfer, undone, timeout int
	durable                   uint64
}

type heard struct{ from, term, round, at uint64 }

// Tick is called between Before and the node's Tick, whose election timeout is
// so many ticks.
func (c *Checker) Tick(id uint64, electionTick int) {
	n := c.node(id)
	k := &n.clock
	k.ticks++
	k.timeout = electionTick
	if n.st.RaftState != raft.StateLeader {
		k.undone = 0
		return
	}
	c.watchCatchUp(n, electionTick)
	n.lead.silence.tick(n.lead.round, k.ticks, electionTick)
	k.transfer++
	switch {
	case n.st.Durable == n.st.LastIndex:
		k.undone = 0
	case n.st.Durable > k.durable:
		k.undone = 1
	default:
		k.undone++
	}
	k.durable = n.st.Durable
	if k.undone == electionTick {
		k.transfer = 0 // the disk stands still: the leader begins another, perhaps to the same
	}
}

// checkTransfer is S16 for a transfer that goes on: it ends within an election
// timeout, since proposals are refused meanwhile (dissertation §3.10).
func (n *node) checkTransfer(was *raft.BasicStatus) *Violation {
	now, k := &n.st, &n.clock
	if now.LeadTransferee != was.LeadTransferee || now.Term != was.Term {
		k.transfer = 0
	}
	if now.LeadTransferee != raft.None && k.timeout > 0 && k.transfer >= k.timeout {
		return n.violates("S16", "leads term %d and hands over to %d for %d ticks, the election timeout is %d",
			now.Term, now.LeadTransferee, k.transfer, k.timeout)
	}
	return nil
}

// hears notes a heartbeat that the node took.
func (n *node) hears(m *pb.Message) {
	k := &n.clock
	k.heard[k.next%len(k.heard)] = heard{m.From, m.Term, m.Round, k.ticks}
	k.next++
}

// promises notes what an answer to a heartbeat that leaves promises: to refuse
// votes for so many ticks from the heartbeat on (dissertation §6.4.1).
func (n *node) promises(m *pb.Message) {
	k := &n.clock
	for i := range k.heard {
		h := &k.heard[(k.next+i)%len(k.heard)] // the oldest first
		if h.from == m.To && h.term == m.Term && h.round == m.Round {
			if until := h.at + m.LeaseTicks; until > k.until {
				k.until, k.to, k.term = until, m.To, m.Term
			}
			return
		}
	}
}

// keepsPromise is S15 at those on whom a lease rests: whoever told a leader that
// it refuses votes grants none in that time, and does not campaign either, also
// after a restart; but for a candidate that the leader itself told to campaign
// (dissertation §6.4.1). A leader's clock may be slower, which it allows for.
func (n *node) keepsPromise(was *raft.BasicStatus, in *pb.Message) *Violation {
	now, k := &n.st, &n.clock
	if k.ticks >= k.until || n.foreign {
		return nil
	}
	left := k.until - k.ticks
	campaigns := now.RaftState == raft.StateCandidate || now.RaftState == raft.StatePreCandidate
	switch {
	case campaigns && (now.RaftState != was.RaftState || now.Term != was.Term):
		if now.RaftState == raft.StateCandidate && now.Term == k.told+1 {
			return nil
		}
		return n.violates("S15", "becomes %v in term %d, %d ticks before the end of what it promised %d in term %d",
			now.RaftState, now.Term, left, k.to, k.term)
	case now.Vote == raft.None || now.Vote == n.id || now.Vote == was.Vote && now.Term == was.Term:
		return nil
	case in != nil && string(in.Context) == transferContext:
		return nil
	}
	return n.violates("S15", "votes for %d in term %d, %d ticks before the end of what it promised %d in term %d",
		now.Vote, now.Term, left, k.to, k.term)
}

// promisesReady is S8 for what a Ready hands out to be sent after its write: it
// speaks of what that write leaves on the disk. An acknowledgement of an earlier
// term may be for entries that are replaced before they were ever written.
func (n *node) promisesReady(msgs []pb.Message) *Violation {
	for i := range msgs {
		m := &msgs[i]
		switch {
		case m.Term != n.st.Term:
			if n.foreign {
				continue
			}
			return n.violates("S8", "%v of term %d is to leave once term %d is durable", m.Type, m.Term, n.st.Term)
		case m.Type == pb.MsgAppResp && !m.Reject && m.Index > n.log.last:
			return n.violates("S8", "entry %d is to be acknowledged, entries were handed out up to %d", m.Index, n.log.last)
		case m.Type == pb.MsgVoteResp && !m.Reject && m.To != n.st.Vote:
			return n.violates("S8", "a vote of term %d for %d is to leave, the vote is %d", m.Term, m.To, n.st.Vote)
		}
	}
	return nil
}
