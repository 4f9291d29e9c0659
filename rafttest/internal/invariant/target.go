package invariant

import (
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// S11c: a membership that is a target. It stands in the configuration until one entry
// of C ends it, nothing but steps towards it changes the members meanwhile, and
// nobody becomes a voter by it without the log (dissertation §4.2.1). What an entry
// does to a target is said here once more, apart from confchange.ApplyAt, which the
// fold of C uses as the nodes do.

// targetMoved judges the change in C's entry index, which made now of was, for what it
// does to a target. cc is nil if the entry could not be decoded.
func (c *Checker) targetMoved(n *node, index uint64, was, now confchange.Config, cc *pb.ConfChangeV2) *Violation {
	if cc == nil || was.Equal(now) {
		return nil // skipped, or without effect
	}
	var m pb.MembershipChange
	if cc.Membership != nil {
		m = *cc.Membership
	}
	switch t := was.Target; {
	case now.Target != nil && (t == nil || t.Version != now.Target.Version):
		return c.targetSet(n, index, was, now, &m)
	case t != nil && now.Target == nil:
		return c.targetEnded(n, index, was, now, &m)
	case !was.Outcome.Equal(now.Outcome):
		return n.violates("S11c", "entry %d changes the last outcome from %v to %v, and no target ends", index, was.Outcome, now.Outcome)
	case t != nil:
		return c.targetStep(n, index, was, now, cc, &m)
	}
	return nil
}

// targetSet: it stands as it was proposed, under the index of its entry, in the
// configuration that was expected; one that stood ends as superseded.
func (c *Checker) targetSet(n *node, index uint64, was, now confchange.Config, m *pb.MembershipChange) *Violation {
	outcome := was.Outcome
	if was.Target != nil {
		outcome = &pb.MembershipOutcome{Version: was.Target.Version, Result: pb.MembershipSuperseded, Index: index}
		c.stats.Targets.Superseded++
	}
	c.stats.Targets.Set++
	before := c.history[len(c.history)-1]
	switch t := now.Target; {
	case m.Target == nil || t.Version != index || !sameTarget(t, m.Target):
		return n.violates("S11c", "entry %d sets target %v, proposed was %v", index, t, m.Target)
	case m.HasExpected && m.Expected != before.index && before.index != c.opt.Base:
		return n.violates("S11c", "entry %d sets a target that expects configuration %d, and that of entry %d was in effect",
			index, m.Expected, before.index)
	case !outcome.Equal(now.Outcome):
		return n.violates("S11c", "entry %d sets a target, and the last outcome is %v, not %v", index, now.Outcome, outcome)
	case !sameMembers(was, now):
		return n.violates("S11c", "entry %d sets a target, and changes %v to %v at once", index, was, now)
	}
	c.added = slices.DeleteFunc(c.added, func(id uint64) bool { return !now.IsLearner(id) })
	return nil
}

// targetEnded: by the first entry of C that says so. It was reached only if the
// configuration was what it asks for; given up, it takes with it whom it added and
// did not get to vote.
func (c *Checker) targetEnded(n *node, index uint64, was, now confchange.Config, m *pb.MembershipChange) *Violation {
	t := was.Target
	if m.Outcome == nil || m.Outcome.Version != t.Version {
		return n.violates("S11c", "entry %d ends the target of version %d and is no outcome of it", index, t.Version)
	}
	want := *m.Outcome
	want.Index = index
	learners := was.Learners
	switch {
	case !want.Equal(now.Outcome) || want.Result != pb.MembershipReached && want.Result != pb.MembershipAborted:
		return n.violates("S11c", "entry %d ends the target of version %d with %v, in the configuration it is %v", index, t.Version, want, now.Outcome)
	case want.Result == pb.MembershipReached:
		c.stats.Targets.Reached++
		if v := n.isTarget(index, was, t); v != nil {
			return v
		}
	default:
		c.stats.Targets.Aborted++
		learners = slices.DeleteFunc(slices.Clone(learners), func(id uint64) bool {
			return slices.Contains(c.added, id) && slices.Contains(t.Voters, id)
		})
	}
	without := was
	without.Learners = learners
	if !sameMembers(without, now) {
		return n.violates("S11c", "entry %d ends the target of version %d, which added %v, as %v, and changes %v to %v",
			index, t.Version, c.added, want, was, now)
	}
	c.added = nil
	return nil
}

// isTarget reports that a configuration is what a target asks for.
func (n *node) isTarget(index uint64, cfg confchange.Config, t *pb.MembershipTarget) *Violation {
	is := len(cfg.Voters[1]) == 0 && sameSet(cfg.Voters[0], t.Voters) && sameSet(cfg.Learners, t.Learners)
	for _, member := range t.Members {
		is = is && string(cfg.Context(member.ID)) == string(member.Context)
	}
	if !is {
		return n.violates("S11c", "entry %d ends target %v as reached, the configuration is %v", index, t, cfg)
	}
	return nil
}

// targetStep: while a target stands it stays as it is, and only steps towards it
// change the members, or leaving a joint configuration. A step adds nobody whom the
// target does not have, removes nobody whom it has, and makes nobody a voter who was
// no member.
func (c *Checker) targetStep(n *node, index uint64, was, now confchange.Config, cc *pb.ConfChangeV2, m *pb.MembershipChange) *Violation {
	t := was.Target
	if !sameTarget(t, now.Target) {
		return n.violates("S11c", "entry %d changes target %v to %v", index, t, now.Target)
	}
	if sameMembers(was, now) || len(cc.Changes) == 0 {
		return nil
	}
	if m.Version != t.Version {
		return n.violates("S11c", "entry %d changes %v to %v while the target of version %d stands, and is a step of version %d",
			index, was, now, t.Version, m.Version)
	}
	for _, id := range now.IDs() {
		if was.Contains(id) {
			continue
		}
		if !inTarget(t, id) || !now.IsLearner(id) {
			return n.violates("S11c", "entry %d adds %d on the way from %v to target %v: %v", index, id, was, t, now)
		}
		c.added = append(c.added, id)
	}
	for _, id := range was.IDs() {
		if (!now.Contains(id) || was.Voters[0].Contains(id) && !now.Voters[0].Contains(id)) && slices.Contains(t.Voters, id) ||
			!now.Contains(id) && inTarget(t, id) {
			return n.violates("S11c", "entry %d removes %d on the way from %v to target %v: %v", index, id, was, t, now)
		}
	}
	c.added = slices.DeleteFunc(c.added, func(id uint64) bool { return !now.IsLearner(id) })
	return nil
}

func inTarget(t *pb.MembershipTarget, id uint64) bool {
	return slices.Contains(t.Voters, id) || slices.Contains(t.Learners, id)
}

func sameTarget(a, b *pb.MembershipTarget) bool {
	return a.Force == b.Force && sameSet(a.Voters, b.Voters) && sameSet(a.Learners, b.Learners) && len(a.Members) == len(b.Members) &&
		!slices.ContainsFunc(a.Members, func(m pb.Member) bool { return !slices.ContainsFunc(b.Members, m.Equal) })
}

func sameSet(a, b []uint64) bool {
	lacks := func(a, b []uint64) bool {
		return slices.ContainsFunc(a, func(id uint64) bool { return !slices.Contains(b, id) })
	}
	return !lacks(a, b) && !lacks(b, a)
}

func sameMembers(a, b confchange.Config) bool {
	return slices.Equal(a.Voters[0], b.Voters[0]) && slices.Equal(a.Voters[1], b.Voters[1]) &&
		slices.Equal(a.Learners, b.Learners) && slices.Equal(a.LearnersNext, b.LearnersNext)
}

// catchUp is what is kept of how the learners keep up that a leader is to make voters.
type catchUp struct {
	version uint64
	// round is the last round of heartbeats that was seen before it began, lastRound the
	// one at the last tick.
	round, lastRound uint64

	ends []uint64 // of the leader's log at its last ticks
	held []uint64 // who held, at some tick, the log of less than an election timeout before
}

// watchCatchUp is called before each tick of a leader.
func (c *Checker) watchCatchUp(n *node, electionTick int) {
	u := &n.lead.catchUp
	t := n.conf.cfg.Target
	before := u.lastRound
	u.lastRound = n.lead.round
	if t == nil || n.foreign {
		u.version, u.ends, u.held = 0, u.ends[:0], u.held[:0]
		return
	}
	if u.version != t.Version {
		u.version, u.round, u.held = t.Version, before, u.held[:0]
	}
	if u.ends = append(u.ends, n.st.LastIndex); len(u.ends) > electionTick {
		u.ends = slices.Delete(u.ends, 0, len(u.ends)-electionTick)
	}
	for _, id := range n.conf.cfg.Learners {
		if slices.Contains(u.held, id) || !slices.Contains(t.Voters, id) || valueOf(n.lead.acked, id) <= u.round {
			continue
		}
		end := c.measuredFrom(n, t.Version, id)
		if len(u.ends) == electionTick {
			end = max(end, u.ends[0])
		}
		if valueOf(n.lead.matched, id) >= end {
			u.held = append(u.held, id)
		}
	}
}

// measuredFrom is where the leader's log ended at least when it began to see whether
// learner id keeps up: it led then, the target stood, and the learner was a member.
func (c *Checker) measuredFrom(n *node, version, id uint64) uint64 {
	end := max(n.lead.start, version)
	for k := len(c.history) - 1; k >= 0 && slices.Contains(c.history[k].ids, id); k-- {
		if k > 0 && !slices.Contains(c.history[k-1].ids, id) {
			end = max(end, c.history[k].index)
		}
	}
	return end
}

// silence is what is kept to tell who has not answered a leader of late.
type silence struct {
	beats []beat // of an election timeout before the last
	stale uint64 // the last round before these
}

// beat is a round of heartbeats and when it was made, in ticks.
type beat struct{ round, tick uint64 }

// tick is called before each tick of a leader, with its last round.
func (s *silence) tick(round, now uint64, electionTick int) {
	if round == 0 || len(s.beats) > 0 && s.beats[len(s.beats)-1].round == round {
		return
	}
	s.beats = append(s.beats, beat{round, now})
	for s.beats[0].tick+uint64(electionTick) <= now {
		s.stale = s.beats[0].round
		s.beats = slices.Delete(s.beats, 0, 1)
	}
}

// deciding is the rule for a change towards a target that decides who votes: unless it
// is forced, a leader makes it only if a majority of those who are to vote, itself
// among them, have answered heartbeats of the last election timeout. Else the group
// might stop: a joint configuration needs both majorities (dissertation §4.3).
func (c *Checker) deciding(n *node, e *pb.Entry, t *pb.MembershipTarget, cc *pb.ConfChangeV2) *Violation {
	was, _ := c.Newest()
	was.Target = t // it may just have been committed
	now, err := confchange.ApplyAt(was, *cc, e.Index)
	if err != nil || t.Force || slices.Equal(was.Voters[0], now.Voters[0]) {
		return nil
	}
	var silent []uint64
	for _, id := range t.Voters {
		if n.isSilent(id) {
			silent = append(silent, id)
		}
	}
	if len(t.Voters)-len(silent) <= len(t.Voters)/2 {
		return n.violates("S11c", "leads term %d and makes %v the voters by entry %d; %v have not answered heartbeats of the last %d ticks",
			n.st.Term, t.Voters, e.Index, silent, n.clock.timeout)
	}
	return nil
}

// isSilent reports whether another has not answered heartbeats of the last election
// timeout of a leader.
func (n *node) isSilent(id uint64) bool {
	return id != n.id && valueOf(n.lead.acked, id) <= n.lead.silence.stale
}

// promoted is the rule of dissertation §4.2.1 for a change towards a target that a
// leader appended: who is to vote by it had, at one of the leader's ticks of this
// term, what the leader's log held less than an election timeout before, and had
// answered. The leader judges by rounds; each that ends in time makes this true. And it
// has heard from enough of them.
func (c *Checker) promoted(n *node, e *pb.Entry) *Violation {
	if n.st.RaftState != raft.StateLeader || n.st.Term != e.Term || n.foreign {
		return nil
	}
	cc, err := pb.UnmarshalConfChange(*e)
	if err != nil {
		return nil
	}
	change := cc.AsV2()
	if change.Membership == nil || change.Membership.Version == 0 {
		return nil
	}
	for i := range change.Changes {
		single := &change.Changes[i]
		if single.Type != pb.ConfChangeAddNode {
			continue
		}
		if n.isSilent(single.NodeID) {
			return n.violates("S11c", "leads term %d and makes %d a voter by entry %d, which has not answered heartbeats of the last %d ticks",
				n.st.Term, single.NodeID, e.Index, n.clock.timeout)
		}
		if !slices.Contains(n.lead.catchUp.held, single.NodeID) {
			return n.violates("S11c", "leads term %d and makes %d a voter by entry %d, which never held the log of less than %d ticks before; its match is %d",
				n.st.Term, single.NodeID, e.Index, n.clock.timeout, valueOf(n.lead.matched, single.NodeID))
		}
	}
	if t := n.conf.cfg.Target; t != nil && t.Version == change.Membership.Version {
		return c.deciding(n, e, t, &change)
	}
	return nil
}
