package differential

import (
	"errors"
	"fmt"
	"slices"

	theirs "go.etcd.io/raft/v3"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// compare compares what came of the step on both sides, lets the rules explain
// what differs, and puts what the member says on the network.
func (w *world) compare() error {
	c := &w.cur
	if err := w.compareErrors(); err != nil {
		return err
	}
	if err := w.compareCore(); err != nil {
		return err
	}
	if c.hasRule {
		w.routeAll(nil)
		return w.realign()
	}
	if err := w.compareWrites(); err != nil {
		return err
	}
	if err := w.compareConf(); err != nil {
		return err
	}
	w.ageForwards()
	if err := w.compareReads(); err != nil {
		return err
	}
	if err := w.compareLease(); err != nil {
		return err
	}
	if err := w.compareMessages(); err != nil {
		return err
	}
	if err := w.compareTimers(); err != nil {
		return err
	}
	if c.hasRule {
		return w.realign()
	}
	return nil
}

func (w *world) compareErrors() error {
	c := &w.cur
	o, t := c.oErr, c.tErr
	isProp := c.op.kind == opPropose || c.op.kind == opProposeMany || c.op.kind == opConf || (c.in != nil && c.in.o.Type == opb.MsgProp)
	switch {
	case o == nil && t == nil:
		return nil
	case o != nil && t != nil:
		if isProp && errors.Is(o, ours.ErrProposalDropped) && t == theirs.ErrProposalDropped {
			return nil
		}
		if errors.Is(o, ours.ErrStepPeerNotFound) && t == theirs.ErrStepPeerNotFound {
			return nil
		}
	case o == nil && t == theirs.ErrStepPeerNotFound && c.in != nil && c.in.o.Type == opb.MsgReadIndexResp && !contains(c.m.oConf, c.in.o.From) &&
		(c.in.o.From == c.before.Lead || len(c.m.out.reads) == 0):
		w.apply(readOfUnknownLeader)
		c.m.out.reads = c.m.out.reads[:0]
		return nil
	case t == nil:
		var change *ours.ConfChangeError
		var campaign *ours.CampaignError
		var transfer *ours.TransferError
		switch {
		case errors.As(o, &change) || c.hasRefusal:
			return nil // feedProposal has judged it
		case errors.As(o, &campaign), errors.As(o, &transfer), errors.Is(o, ours.ErrUnknownPeer), errors.Is(o, ours.ErrLeaseInForce),
			errors.Is(o, ours.ErrNoLeader) && !isProp:
			w.apply(saysWhy)
			return nil
		case errors.Is(o, ours.ErrNoLeader) && c.in != nil && c.in.o.From == c.before.Lead:
			w.apply(notBounced)
			return nil
		}
	}
	return w.fail("ours returns %v, theirs %v", o, t)
}

// compareCore compares term, vote, commit, role, leader and the log's end.
func (w *world) compareCore() error {
	c, m := &w.cur, w.cur.m
	o, t := m.o.BasicStatus(), m.t.BasicStatus()
	tLast := m.tLast
	if err := w.checkTransfer(&o); err != nil {
		return err
	}
	if err := w.checkRemoved(&o); err != nil {
		return err
	}
	if err := w.checkLearned(&o); err != nil {
		return err
	}
	if w.leavesSooner(&o, &t) {
		w.restartBoth(leaveByCommit)
		return nil
	}
	if w.settings.async && o.RaftState == ours.StateLeader && tLast == o.LastIndex+1 && m.oConf.AutoLeave && m.term(o.Commit) != o.Term && w.theirsLeaves() {
		w.restartBoth(leaveByCommit)
		return nil
	}
	what := coreDifference(&o, &t, tLast)
	if what == "" {
		return nil
	}
	switch {
	case o.RaftState == ours.StateLeader && t.RaftState == theirs.StateFollower && m.confChanged && !m.votes(m.oConf) &&
		o.Term == t.Term && o.Vote == t.Vote && t.Lead == 0 && o.LastIndex == tLast && c.before.RaftState == ours.StateLeader &&
		(o.Commit == t.Commit && o.Applied == t.Applied || o.Commit > t.Commit && o.Commit <= w.held()):
		w.restartBoth(removedHandsOver)
		if o.Commit > t.Commit {
			return nil // it still commits, by the voters that are left
		}
		if err := w.compareWrites(); err != nil {
			return err
		}
		return w.compareConf()
	case o.Lead == 0 && t.Lead == c.before.Lead && c.op.kind == opTick && c.in == nil && o.RaftState == ours.StateFollower &&
		c.elapsed+1 >= m.op.timeout() && m.op.elapsed() == 0 && o.Term == t.Term && !m.mayCampaign():
		w.apply(silentLeaderForgotten)
		*m.tp.lead(), *m.tp.elapsed() = 0, 0
		if err := m.drainTheirs(); err != nil {
			return w.fail("theirs: %v", err)
		}
	case c.in != nil && c.in.o.Type == opb.MsgSnap && m.out.snapshot != 0 && m.tout.snapshot == 0 &&
		!contains(&c.in.o.Snapshot.Metadata.ConfState, m.id) && o.Term == t.Term && o.Vote == t.Vote && o.Lead == t.Lead &&
		o.Commit == c.in.o.Snapshot.Metadata.Index && o.LastIndex == o.Commit && (o.Applied == o.Commit || m.tailSnap != nil):
		w.restartBoth(snapshotWithoutSelf)
		return nil
	case w.learned(&o, &t):
		if o.Term == t.Term && int(o.RaftState) == int(t.RaftState) && o.Vote == t.Vote {
			w.apply(commitLearned)
			*m.tp.committed() = o.Commit
			if err := m.drainTheirs(); err != nil {
				return w.fail("theirs: %v", err)
			}
		} else if o.RaftState == ours.StateFollower && w.changeIn(t.Commit, o.Commit) {
			w.restartBoth(commitLearned) // and ends the election, which would be over that change
			return nil
		}
	case o.RaftState == ours.StateCandidate && o.Term == c.before.Term+1 && c.before.RaftState == ours.StateFollower && c.before.Term == m.takeOver &&
		o.Applied > c.before.Applied && !w.changeIn(o.Applied, c.before.Commit) && t.Term == c.before.Term:
		w.apply(takeOverOnceApplied)
		m.takeOver = 0
		if err := m.tellToTakeOver(c.before.Lead); err != nil {
			return w.fail("theirs: %v", err)
		}
	case o.LeadTransferee == c.before.LeadTransferee && t.LeadTransferee == 0 && o.RaftState == ours.StateLeader && errors.As(c.oErr, new(*ours.TransferError)):
		w.apply(selfTransfer)
		*m.tp.transferee() = o.LeadTransferee
	case c.tErr == theirs.ErrStepPeerNotFound && c.in.o.Type == opb.MsgReadIndexResp && o.Term == c.in.o.Term && o.Term > c.before.Term &&
		o.Vote == 0 && o.Lead == 0 && o.RaftState == ours.StateFollower && o.Commit == t.Commit && o.LastIndex == tLast && t.Term == c.before.Term:
		w.restartBoth(readOfUnknownLeader) // and sees the new term
		return nil
	case o.LeadTransferee != 0 && o.RaftState == ours.StateLeader && o.LastIndex == tLast+1 && w.isLeave(o.LastIndex):
		w.restartBoth(leaveDuringTransfer)
		return nil
	case o.LeadTransferee != t.LeadTransferee && c.op.kind == opTick && c.in == nil && o.RaftState == ours.StateLeader &&
		(o.LeadTransferee == 0 || t.LeadTransferee == 0) && c.before.LeadTransferee != 0:
		w.apply(transferClock)
		*m.tp.transferee() = o.LeadTransferee
	}
	o, t = m.o.BasicStatus(), m.t.BasicStatus()
	if what := coreDifference(&o, &t, tLast); what != "" {
		return w.fail("%s", what)
	}
	return nil
}

// checkTransfer holds a transfer of ours to an election timeout of its own.
func (w *world) checkTransfer(o *ours.BasicStatus) error {
	c, m := &w.cur, w.cur.m
	if o.LeadTransferee != c.before.LeadTransferee || o.LeadTransferee == 0 {
		if c.before.LeadTransferee != 0 && o.LeadTransferee == 0 && o.RaftState == ours.StateLeader && c.op.kind == opTick && c.in == nil &&
			m.transferTicks+1 < w.settings.electionTick {
			return w.fail("ours gives up a transfer after %d ticks", m.transferTicks+1)
		}
		m.transferTicks = 0
		return nil
	}
	if c.op.kind == opTick && c.in == nil {
		m.transferTicks++
	}
	if m.transferTicks >= w.settings.electionTick {
		return w.fail("ours still transfers after %d ticks", m.transferTicks)
	}
	return nil
}

func coreDifference(o *ours.BasicStatus, t *theirs.BasicStatus, tLast uint64) string {
	switch {
	case o.Term != t.Term:
		return fmt.Sprintf("term %d, theirs %d", o.Term, t.Term)
	case o.Vote != t.Vote:
		return fmt.Sprintf("vote %d, theirs %d", o.Vote, t.Vote)
	case o.RaftState.String() != t.RaftState.String():
		return fmt.Sprintf("%v, theirs %v", o.RaftState, t.RaftState)
	case o.Commit != t.Commit:
		return fmt.Sprintf("commit %d, theirs %d", o.Commit, t.Commit)
	case o.LastIndex != tLast:
		return fmt.Sprintf("last index %d, theirs %d", o.LastIndex, tLast)
	case o.Lead != t.Lead:
		return fmt.Sprintf("leader %d, theirs %d", o.Lead, t.Lead)
	case o.Applied != t.Applied:
		return fmt.Sprintf("applied %d, theirs %d", o.Applied, t.Applied)
	case o.LeadTransferee != t.LeadTransferee:
		return fmt.Sprintf("transferee %d, theirs %d", o.LeadTransferee, t.LeadTransferee)
	}
	return ""
}

// held returns the highest index that a majority of each half has acknowledged,
// as far as the driver knows from the state before the step and its message.
func (w *world) held() uint64 {
	c, m := &w.cur, w.cur.m
	half := func(ids []uint64) uint64 {
		var acks []uint64
		for _, id := range ids {
			n := c.matches[id].match
			if c.in != nil && c.in.o.Type == opb.MsgAppResp && c.in.o.From == id && !c.in.o.Reject {
				n = max(n, c.in.o.Index)
			}
			acks = append(acks, n)
		}
		slices.Sort(acks)
		return acks[(len(acks)-1)/2]
	}
	n := half(m.oConf.Voters)
	if len(m.oConf.VotersOutgoing) > 0 {
		n = min(n, half(m.oConf.VotersOutgoing))
	}
	return n
}

func (w *world) changeIn(lo, hi uint64) bool { return w.cur.m.changeIn(lo, hi) }

// holds reports whether our log has the entry.
func (w *world) holds(term, index uint64) bool { return w.cur.m.term(index) == term }

func contains(cs *opb.ConfState, id uint64) bool {
	return slices.Contains(cs.Voters, id) || slices.Contains(cs.VotersOutgoing, id) || slices.Contains(cs.Learners, id)
}

func (m *twin) votes(cs *opb.ConfState) bool {
	return slices.Contains(cs.Voters, m.id) || slices.Contains(cs.VotersOutgoing, m.id)
}

// mayCampaign reports whether nothing but a leader that is heard keeps the member
// from campaigning.
func (m *twin) mayCampaign() bool {
	return m.votes(m.oConf) && m.tailSnap == nil && !m.changeIn(m.applied, m.o.BasicStatus().Commit)
}

// confirmed reports whether a quorum answered heartbeats that left no earlier
// than the read with that context came.
func (m *twin) confirmed(ctx string) bool {
	asked, ok := m.asked[ctx]
	if !ok {
		return false
	}
	return m.quorum(func(id uint64) bool { return m.answered[id].step >= asked })
}

// ageForwards drops the forwarded reads that ours may have given up: those of
// another leader, and those older than an election timeout.
func (w *world) ageForwards() {
	c, m := &w.cur, w.cur.m
	if m.o.BasicStatus().Lead != c.before.Lead {
		clear(m.forwards)
	}
	if c.op.kind != opTick || c.in != nil {
		return
	}
	for ctx, ticks := range m.forwards {
		if *ticks++; *ticks >= w.settings.electionTick {
			delete(m.forwards, ctx)
		}
	}
}

// takeEarly reports, and forgets, that ours answered the read before.
func (m *twin) takeEarly(to uint64, ctx string, index uint64) bool {
	for i, e := range m.early {
		if e.to == to && e.ctx == ctx && e.index == index {
			m.early = append(m.early[:i], m.early[i+1:]...)
			return true
		}
	}
	return false
}

// readsTooSoon reports whether theirs, the only voter, answered a read at an index
// before it has committed in its term.
func (w *world) readsTooSoon(index uint64) bool {
	m := w.cur.m
	s := m.o.BasicStatus()
	return s.RaftState == ours.StateLeader && len(m.oConf.Voters) == 1 && m.oConf.Voters[0] == m.id && len(m.oConf.VotersOutgoing) == 0 &&
		index == s.Commit && m.term(index) != s.Term
}

func (w *world) compareReads() error {
	c, m := &w.cur, w.cur.m
	for _, r := range m.out.reads {
		if m.asked[r.ctx] == 0 {
			return w.fail("ours answers read %x, which was not asked since it started", r.ctx)
		}
	}
	answered := slices.Clone(m.out.reads)
	defer func() {
		for _, r := range answered {
			delete(m.forwards, r.ctx)
		}
	}()
	for _, r := range m.tout.reads {
		if i := slices.Index(m.out.reads, r); i >= 0 {
			m.out.reads = slices.Delete(m.out.reads, i, i+1)
			if w.settings.lease && m.o.BasicStatus().RaftState == ours.StateLeader && !m.mayAnswer(r.ctx) {
				return w.fail("ours answers read %x at %d without a lease", r.ctx, r.index)
			}
			continue
		}
		switch {
		case m.takeEarly(0, r.ctx, r.index):
		case w.readsTooSoon(r.index):
			w.apply(soleVoterCommitsFirst)
			m.tooSoon[r.ctx] = true
		case w.byClock(r.ctx):
		case w.answersCopy():
			w.apply(readCopied)
		case c.in != nil && c.in.o.Type == opb.MsgReadIndexResp && m.forwards[r.ctx] == nil:
			w.apply(readLate)
		default:
			return w.fail("theirs answers read %x at %d, ours does not", r.ctx, r.index)
		}
	}
	for _, r := range m.out.reads {
		if m.o.BasicStatus().RaftState != ours.StateLeader || !m.mayAnswer(r.ctx) {
			return w.fail("ours answers read %x at %d, theirs does not", r.ctx, r.index)
		}
		if m.tooSoon[r.ctx] {
			delete(m.tooSoon, r.ctx)
			continue
		}
		w.apply(readEarly)
		m.early = append(m.early, early{0, r.ctx, r.index})
	}
	return nil
}

// compareTimers compares the clocks, and gives theirs the random timeout of ours.
func (w *world) compareTimers() error {
	c, m := &w.cur, w.cur.m
	o := m.o.BasicStatus()
	if o.RaftState == ours.StateLeader {
		beat, quorum := m.op.leaderTimers()
		if beat != *m.tp.beat() {
			return w.fail("%d ticks since the last heartbeat, theirs %d", beat, *m.tp.beat())
		}
		if quorum != *m.tp.elapsed() {
			if *m.tp.elapsed() != 0 || !(c.op.kind == opTransfer || c.in != nil && c.in.o.Type == opb.MsgTransferLeader) {
				return w.fail("%d ticks since the last quorum check, theirs %d", quorum, *m.tp.elapsed())
			}
			w.apply(transferClock)
			*m.tp.elapsed() = quorum
		}
		return nil
	}
	if waiting := m.tp.waitingReads(); len(*waiting) > 0 {
		w.apply(readSurvives)
		*waiting = nil
	}
	low, high := w.settings.electionTick, 2*w.settings.electionTick
	if n := *m.tp.timeout(); n < low || n >= high {
		return w.fail("theirs has an election timeout of %d", n)
	}
	if n := m.op.timeout(); n < low || n >= high {
		return w.fail("ours has an election timeout of %d", n)
	}
	*m.tp.timeout() = m.op.timeout()
	if m.op.elapsed() == *m.tp.elapsed() {
		return nil
	}
	switch {
	case o.RaftState == ours.StateFollower && c.before.RaftState == ours.StateFollower && c.in != nil && o.Term > c.before.Term && o.Lead == 0 &&
		*m.tp.elapsed() == 0 && m.op.elapsed() == c.elapsed:
		w.apply(timerRunsOn)
	case c.op.kind == opTick && c.in == nil && o.RaftState == ours.StateFollower && c.elapsed+1 >= m.op.timeout() && m.op.elapsed() == 0 &&
		!m.mayCampaign():
		w.apply(silentLeaderForgotten)
	case o.RaftState == ours.StatePreCandidate && m.op.elapsed() == 0 && *m.tp.elapsed() == c.elapsed && c.op.kind == opCampaign && c.in == nil:
		w.apply(preVoteTimer)
	default:
		return w.fail("%d ticks since the timer began, theirs %d", m.op.elapsed(), *m.tp.elapsed())
	}
	*m.tp.elapsed() = m.op.elapsed()
	return nil
}

// checkRemoved holds a leader of ours that applied its removal or demotion to
// staying until it has handed over.
func (w *world) checkRemoved(o *ours.BasicStatus) error {
	c, m := &w.cur, w.cur.m
	if c.op.kind != opRestart && c.before.RaftState == ours.StateLeader && m.confChanged && !m.votes(m.oConf) && o.Term == c.before.Term && o.RaftState != ours.StateLeader {
		return w.fail("ours leaves at once when it is removed")
	}
	return nil
}

// checkLearned holds ours to taking a commit that a request for a vote, or an answer to one,
// names, where it may matter (a refusal, or past a change of configuration).
func (w *world) checkLearned(o *ours.BasicStatus) error {
	c := &w.cur
	if c.in == nil || c.oErr != nil || c.before.RaftState == ours.StateLeader {
		return nil
	}
	index, term := namedCommit(&c.in.o)
	if index > o.Commit && w.holds(term, index) && (c.in.o.Reject || w.changeIn(o.Commit, index)) {
		return w.fail("ours does not take the commit that %s names", describe(&c.in.o))
	}
	return nil
}

// learned reports whether ours took the commit that the message which came names.
func (w *world) learned(o *ours.BasicStatus, t *theirs.BasicStatus) bool {
	c := &w.cur
	if c.in == nil || t.Commit >= o.Commit || t.Commit != c.before.Commit || o.Commit > c.before.LastIndex {
		return false
	}
	index, term := namedCommit(&c.in.o)
	return index == o.Commit && w.holds(term, index) && (ours.IsResponseMsg(c.in.o.Type) || w.changeIn(t.Commit, index))
}
