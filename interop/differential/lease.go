package differential

import (
	theirs "go.etcd.io/raft/v3"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// With leases theirs answers a leader's reads at once, by its own clock. Ours does
// so only while a quorum has promised to refuse votes, and keeps its own promises.
// The driver has an account of all of them, and holds ours to it.

// leaseLost is by how many ticks less than an election timeout a lease lasts:
// clocks may drift, and whole ticks hide a part.
const leaseLost = 3

// transferred marks a request for a vote that no promise forbids to grant.
const transferred = "CampaignTransfer"

// notePromise notes that ours, which took a message, promises its leader to refuse
// votes.
func (m *twin) notePromise(it *item) {
	c := &m.w.cur
	switch it.o.Type {
	case opb.MsgApp, opb.MsgHeartbeat, opb.MsgSnap:
		if c.oErr == nil && it.o.Term >= c.before.Term {
			m.promised = m.w.settings.electionTick
		}
	}
}

// mustRefuse reports whether ours has to ignore a request for a vote for the sake
// of a promise. Theirs knows none, and is not asked.
func (m *twin) mustRefuse(it *item) bool {
	return m.w.settings.lease && m.promised > 0 && (it.o.Type == opb.MsgVote || it.o.Type == opb.MsgPreVote) &&
		it.o.Term >= m.w.cur.before.Term && string(it.o.Context) != transferred
}

// mustNotCampaign is the same for a host that asks for a campaign.
func (m *twin) mustNotCampaign() bool {
	s := m.o.BasicStatus()
	return m.w.settings.lease && s.RaftState != ours.StateLeader &&
		(m.promised > 0 || s.Lead != 0 && m.op.elapsed() < m.w.settings.electionTick)
}

// quorum reports whether a majority of each half of our configuration has it. The
// member itself always does.
func (m *twin) quorum(has func(id uint64) bool) bool {
	half := func(ids []uint64) bool {
		n := 0
		for _, id := range ids {
			if id == m.id || has(id) {
				n++
			}
		}
		return n > len(ids)/2 || len(ids) == 0
	}
	return half(m.oConf.Voters) && half(m.oConf.VotersOutgoing)
}

// hasLease reports whether a quorum refuses votes until after this tick.
func (m *twin) hasLease() bool {
	s := m.o.BasicStatus()
	// Nobody leads without a vote of the only voter, who leads.
	holds := m.handedOver != s.Term || m.quorum(func(uint64) bool { return false })
	return m.w.settings.lease && s.RaftState == ours.StateLeader && holds && m.term(s.Commit) == s.Term &&
		m.quorum(func(id uint64) bool {
			b, ok := m.answered[id]
			return ok && m.promisers[id] && m.ticks-b.tick <= m.w.settings.electionTick-leaseLost
		})
}

// noteAnswer notes the answer to a heartbeat, in the term of the leader.
func (m *twin) noteAnswer(it *item) {
	if it.o.Term != m.answeredTerm {
		m.answeredTerm = it.o.Term
		clear(m.answered)
		clear(m.promisers)
	}
	if it.beat.step > m.answered[it.o.From].step {
		m.answered[it.o.From] = it.beat
	}
	m.promisers[it.o.From] = m.promisers[it.o.From] || it.o.LeaseTicks > 0
}

// compareLease holds ours to serving reads by a lease only while there is one.
func (w *world) compareLease() error {
	m := w.cur.m
	if !w.settings.lease {
		return nil
	}
	s := m.o.BasicStatus()
	if index, err := m.o.LeaseRead(); err == nil {
		w.apply(leaseByPromise)
		if index != s.Commit || !m.hasLease() {
			return w.fail("ours serves reads at %d by a lease that it does not hold", index)
		}
	}
	return nil
}

// notePromises holds what leaves to what is on disk: a promise outlives a restart
// only if a term does. It also notes that another is told to take over.
func (w *world) notePromises(o *opb.Message) error {
	m := w.cur.m
	if o.Type == opb.MsgTimeoutNow {
		m.handedOver = o.Term
	}
	if hs, _, _ := m.od.InitialState(); o.LeaseTicks > 0 && hs.Term == 0 {
		return w.fail("ours promises to refuse votes, and a restart would forget that: %s", describe(o))
	}
	return nil
}

// mayAnswer reports whether ours may answer a read: a quorum has confirmed since it
// was asked that the leader leads, or promised so.
func (m *twin) mayAnswer(ctx string) bool { return m.confirmed(ctx) || m.hasLease() }

// byClock notes that theirs answers a read by its clock alone.
func (w *world) byClock(ctx string) bool {
	m := w.cur.m
	if !w.settings.lease || m.t.BasicStatus().RaftState != theirs.StateLeader {
		return false
	}
	w.apply(leaseByPromise)
	m.tooSoon[ctx] = true
	return true
}
