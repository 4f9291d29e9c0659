package differential

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

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
		w.routeAll(nil, nil)
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
		case errors.As(o, &campaign), errors.As(o, &transfer), errors.Is(o, ours.ErrUnknownPeer),
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
	tLast, _ := m.td.LastIndex()
	if err := w.checkTransfer(&o); err != nil {
		return err
	}
	if err := w.checkRemoved(&o); err != nil {
		return err
	}
	if err := w.checkLearned(&o); err != nil {
		return err
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
		c.elapsed+1 >= m.op.timeout() && m.op.elapsed() == 0 && o.Term == t.Term && !m.votes(m.oConf):
		w.apply(silentLeaderForgotten)
		*m.tp.lead(), *m.tp.elapsed() = 0, 0
		if err := m.drainTheirs(); err != nil {
			return w.fail("theirs: %v", err)
		}
	case c.in != nil && c.in.o.Type == opb.MsgSnap && m.out.snapshot != 0 && m.tout.snapshot == 0 &&
		!contains(&c.in.o.Snapshot.Metadata.ConfState, m.id) && o.Term == t.Term && o.Vote == t.Vote && o.Lead == t.Lead &&
		o.Commit == c.in.o.Snapshot.Metadata.Index && o.LastIndex == o.Commit && o.Applied == o.Commit:
		w.restartBoth(snapshotWithoutSelf)
		return nil
	case c.in != nil && (c.in.o.Type == opb.MsgVoteResp || c.in.o.Type == opb.MsgPreVoteResp) &&
		o.Commit == c.in.o.Commit && t.Commit < o.Commit && t.Commit == c.before.Commit && o.Commit <= c.before.LastIndex && o.Commit != 0 && w.holds(c.in.o.LogTerm, o.Commit):
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

// isLeave reports whether our log has an entry there that leaves a joint
// configuration, as a leader makes it by itself.
func (w *world) isLeave(index uint64) bool {
	ents, err := w.cur.m.od.Entries(index, index+1, 1<<40)
	return err == nil && ents[0].Type == opb.EntryConfChangeV2 && len(ents[0].Data) == 0
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

// changeIn reports whether our log has a change of configuration in (lo, hi].
func (w *world) changeIn(lo, hi uint64) bool {
	ents, err := w.cur.m.od.Entries(lo+1, hi+1, 1<<40)
	return err == nil && slices.ContainsFunc(ents, func(e opb.Entry) bool { return e.Type != opb.EntryNormal })
}

// holds reports whether our log has the entry.
func (w *world) holds(term, index uint64) bool {
	t, err := w.cur.m.od.Term(index)
	return err == nil && t == term
}

func contains(cs *opb.ConfState, id uint64) bool {
	return slices.Contains(cs.Voters, id) || slices.Contains(cs.VotersOutgoing, id) || slices.Contains(cs.Learners, id)
}

func (m *twin) votes(cs *opb.ConfState) bool {
	return slices.Contains(cs.Voters, m.id) || slices.Contains(cs.VotersOutgoing, m.id)
}

// compareWrites compares what was persisted and what was applied.
func (w *world) compareWrites() error {
	m := w.cur.m
	if what := entriesDiffer(m.out.persisted, m.tout.persisted); what != "" {
		return w.fail("persisted: %s", what)
	}
	if what := entriesDiffer(m.out.committed, m.tout.committed); what != "" {
		return w.fail("committed: %s", what)
	}
	if m.out.snapshot != m.tout.snapshot {
		return w.fail("restores snapshot %d, theirs %d", m.out.snapshot, m.tout.snapshot)
	}
	oh, _, _ := m.od.InitialState()
	th, _, _ := m.td.InitialState()
	if oh.Term != th.Term || oh.Vote != th.Vote || oh.Commit != th.Commit {
		return w.fail("hard state on disk %v, theirs %v", oh, th)
	}
	if !m.out.mustSync && slices.ContainsFunc(m.out.committed, func(e opb.Entry) bool { return e.Type != opb.EntryNormal }) &&
		w.cur.op.kind != opRestart {
		return w.fail("ours need not sync, though a change of configuration was committed")
	}
	if m.out.mustSync != m.tout.mustSync {
		if !m.out.mustSync || !(m.confChanged || m.out.snapshot != 0) {
			return w.fail("must sync %t, theirs %t", m.out.mustSync, m.tout.mustSync)
		}
		w.apply(syncForCommittedChange)
	}
	return nil
}

func entriesDiffer(o []opb.Entry, t []tpb.Entry) string {
	if len(o) != len(t) {
		return fmt.Sprintf("%d entries, theirs %d: %v, theirs %v", len(o), len(t), o, t)
	}
	for i := range o {
		if o[i].Index != t[i].Index || o[i].Term != t[i].Term || int32(o[i].Type) != int32(t[i].Type) || !bytes.Equal(o[i].Data, t[i].Data) {
			return fmt.Sprintf("entry %v, theirs %v", o[i], t[i])
		}
	}
	return ""
}

// compareConf compares the active configuration after each change.
func (w *world) compareConf() error {
	m := w.cur.m
	if !m.confChanged {
		return nil
	}
	cfg := m.o.Status().Config
	cs := cfg.ConfState()
	cs.Members = nil // etcd has no contexts
	trk := m.tp.trk().ConfState()
	theirs := confToOurs(&trk)
	if err := cs.Equivalent(theirs); err != nil {
		return w.fail("active configuration, ours and theirs: %v", err)
	}
	told := *m.oConf
	told.Members = nil
	if err := told.Equivalent(confToOurs(&m.tConf)); err != nil {
		return w.fail("configuration as told, ours and theirs: %v", err)
	}
	return nil
}

// confirmed reports whether a quorum answered heartbeats that left no earlier
// than the read with that context came.
func (m *twin) confirmed(ctx string) bool {
	asked, ok := m.asked[ctx]
	if !ok {
		return false
	}
	half := func(ids []uint64) bool {
		n := 0
		for _, id := range ids {
			if id == m.id || m.answered[id] >= asked {
				n++
			}
		}
		return n > len(ids)/2 || len(ids) == 0
	}
	return half(m.oConf.Voters) && half(m.oConf.VotersOutgoing)
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
			continue
		}
		switch {
		case m.takeEarly(0, r.ctx, r.index):
		case w.answersCopy():
			w.apply(readCopied)
		case c.in != nil && c.in.o.Type == opb.MsgReadIndexResp && m.forwards[r.ctx] == nil:
			w.apply(readLate)
		default:
			return w.fail("theirs answers read %x at %d, ours does not", r.ctx, r.index)
		}
	}
	for _, r := range m.out.reads {
		if m.o.BasicStatus().RaftState != ours.StateLeader || !m.confirmed(r.ctx) {
			return w.fail("ours answers read %x at %d, theirs does not", r.ctx, r.index)
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
		!m.votes(m.oConf):
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
	if c.before.RaftState == ours.StateLeader && m.confChanged && !m.votes(m.oConf) && o.Term == c.before.Term && o.RaftState != ours.StateLeader {
		return w.fail("ours leaves at once when it is removed")
	}
	return nil
}

// checkLearned holds ours to taking a commit that an answer to a request for a
// vote names, where it may matter (a refusal, or past a change of configuration).
func (w *world) checkLearned(o *ours.BasicStatus) error {
	c := &w.cur
	if c.in == nil || c.oErr != nil || !c.in.o.Reject || (c.in.o.Type != opb.MsgVoteResp && c.in.o.Type != opb.MsgPreVoteResp) {
		return nil
	}
	if c.before.RaftState != ours.StateLeader && c.in.o.Commit > o.Commit && w.holds(c.in.o.LogTerm, c.in.o.Commit) {
		return w.fail("ours does not take the commit that a refused vote names")
	}
	return nil
}
