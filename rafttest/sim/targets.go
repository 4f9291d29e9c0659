package sim

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// The operator also says who is to be a member, and leaves the way there to whoever
// leads; changes its mind; and names servers that never answer.

// streamTargets is beside the streams that count up from 0.
const streamTargets = 0xfd

// neverStarted is the first of the IDs of servers that do not exist and never will.
const neverStarted = 1 << 20

// drawTargets decides whether the run has targets. What else it has does not change
// by that.
func (s *settings) drawTargets(o *Options) {
	r := newRandom(o.Seed, streamTargets)
	drawn := r.chance(650) // as for other profiles
	has := o.Faults.has(Targets) && (drawn || o.Faults == Targets)
	if has {
		s.faults |= Targets
		s.catchUpRounds = pick(r, 10, 10, 3, 2, 1)
	}
	for i := range faults {
		switch {
		case !faults[i].of.has(Targets):
		case !has:
			s.weights[i] = 0
		default:
			s.weights[i] = faults[i].weight * pick(r, 1, 1, 1, 4)
		}
	}
}

// setTarget proposes a membership at the leader, or at somebody who passes it on.
func (s *simulation) setTarget(r *random) string { return s.askForTarget(r, false) }

// askForTarget is setTarget, perhaps for one that is without the leader.
func (s *simulation) askForTarget(r *random, leaderGoes bool) string {
	n := s.leader()
	if r.oneIn(12) {
		n = s.anyUp(r)
	}
	if n == nil || n.paused > 0 {
		return ""
	}
	p := targetPlan{s: s, r: r, leader: n.id, cfg: n.Status().Config}
	if len(p.cfg.Voters[0]) == 0 {
		return "" // it joins
	}
	p.draw(leaderGoes)
	p.conditions(n.BasicStatus().ConfigIndex)
	if !p.bearable() {
		return ""
	}
	what := p.propose(n)
	switch r.below(8) {
	case 0:
		s.fill(n, 1+r.below(2))
	case 1: // and soon something else
		s.undoAfter(r.spread(millisecond, s.timeouts(3)), func() {
			if s.healing.phase == notHealing {
				pick(r, s.setTarget, s.cancelTarget, s.changeMembers)(r)
			}
		})
	}
	return what
}

// cancelTarget asks the leader to give up the target that stands, or one that does not.
func (s *simulation) cancelTarget(r *random) string {
	n := s.leader()
	if n == nil || n.paused > 0 {
		return ""
	}
	cfg := n.Status().Config
	if cfg.Target == nil && !r.oneIn(8) {
		return ""
	}
	if cfg.Target != nil && r.oneIn(6) {
		return s.proposeByHand(n, cfg, r)
	}
	version := uint64(1 + r.below(100))
	switch {
	case cfg.Target != nil && !r.oneIn(3):
		version = cfg.Target.Version
	case cfg.Outcome != nil: // too late
		version = cfg.Outcome.Version
	}
	err := s.proposeOf(n, confchange.CancelChange(version), func() error { return n.raw.CancelMembership(version) })
	return asked(fmt.Sprintf("%d is asked to give up the target of version %d", n.id, version), err)
}

// proposeByHand proposes what only the leader may do for the target that stands: it
// would be taken for the leader's.
func (s *simulation) proposeByHand(n *node, cfg confchange.Config, r *random) string {
	t := cfg.Target
	ccs := []pb.ConfChangeV2{
		confchange.OutcomeChange(pb.MembershipOutcome{Version: t.Version, Result: pb.MembershipAborted, Reason: pb.MembershipTooSlow}),
	}
	if cfg.Reached(*t) {
		ccs = append(ccs, confchange.OutcomeChange(pb.MembershipOutcome{Version: t.Version, Result: pb.MembershipReached}))
	}
	for _, id := range cfg.Learners {
		if slices.Contains(t.Voters, id) {
			ccs = append(ccs, pb.ConfChangeV2{
				Changes:    []pb.ConfChangeSingle{{Type: pb.ConfChangeAddNode, NodeID: id}},
				Membership: &pb.MembershipChange{Version: t.Version},
			})
		}
	}
	cc := ccs[r.below(len(ccs))]
	err := s.proposeOf(n, cc, func() error { return n.raw.ProposeConfChange(cc) })
	if err == nil {
		s.fail("S11c", n.id, fmt.Sprintf("leads and took what only it may propose: %v", cc))
	}
	return asked(fmt.Sprintf("%d is asked for what is its own to propose", n.id), err)
}

// proposeOf hands a proposal, which becomes the change cc, to a node by f.
func (s *simulation) proposeOf(n *node, cc pb.ConfChangeV2, f func() error) error {
	typ, data, err := pb.MarshalConfChange(cc)
	if err != nil {
		panic(fmt.Sprintf("sim: %v", err))
	}
	return s.proposeEntry(n, typ, data, f)
}

func asked(what string, err error) string {
	if err != nil {
		return what + ": " + err.Error()
	}
	return what
}

// targetPlan makes up a membership that somebody could ask for in a configuration.
type targetPlan struct {
	s      *simulation
	r      *random
	leader uint64
	cfg    confchange.Config
	m      pb.Membership
	fresh  int // servers that are to be started for it
}

func (p *targetPlan) draw(leaderGoes bool) {
	p.m = pb.MembershipOf(p.cfg.ConfState())
	if t := p.cfg.Target; t != nil && p.r.oneIn(2) {
		p.m = pb.MembershipOf(pb.ConfState{Voters: t.Voters, Learners: t.Learners, Members: t.Members})
	}
	kind := p.r.below(8)
	if leaderGoes {
		kind = 1
	}
	switch kind {
	case 0: // everybody is replaced
		old := p.m.Voters
		p.m.Voters = nil
		for range 1 + p.r.below(3) {
			p.add(&p.m.Voters)
		}
		if p.r.oneIn(3) {
			p.m.Learners = append(p.m.Learners, old[p.r.below(len(old))])
		}
	case 1: // the leader goes
		p.drop(&p.m.Voters, p.leader)
		if p.r.oneIn(3) {
			p.m.Learners = append(p.m.Learners, pb.Member{ID: p.leader})
		}
		if p.r.oneIn(2) {
			p.add(&p.m.Voters)
		}
	default:
		for range 1 + p.r.below(3) {
			p.edit()
		}
	}
}

// edit is one difference from the configuration.
func (p *targetPlan) edit() {
	voters, learners := &p.m.Voters, &p.m.Learners
	switch p.r.below(8) {
	case 0, 1:
		p.add(voters)
	case 2:
		p.add(learners)
	case 3: // promote
		if len(*learners) > 0 {
			*voters = append(*voters, p.take(learners))
		}
	case 4: // demote
		if len(*voters) > 1 {
			*learners = append(*learners, p.take(voters))
		}
	case 5:
		if len(*voters) > 1 {
			p.take(voters)
		}
	case 6:
		if len(*learners) > 0 {
			p.take(learners)
		}
	case 7: // a member moves
		if len(*voters) > 0 {
			(*voters)[p.r.below(len(*voters))].Context = binary.LittleEndian.AppendUint16(nil, uint16(p.r.Uint64()))
		}
	}
}

func (p *targetPlan) take(from *[]pb.Member) pb.Member {
	i := p.r.below(len(*from))
	m := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return m
}

func (p *targetPlan) drop(from *[]pb.Member, id uint64) {
	*from = slices.DeleteFunc(*from, func(m pb.Member) bool { return m.ID == id })
}

// add adds a server that is not in it: most often a new one, else one that is no
// member any more, or that nobody ever starts.
func (p *targetPlan) add(to *[]pb.Member) {
	s := p.s
	id := uint64(neverStarted + p.r.below(4))
	switch kind := p.r.below(10); {
	case kind < 7 && s.room(p.fresh):
		id = uint64(len(s.ids) + p.fresh)
		p.fresh++
	case kind < 9:
		old := 1 + p.r.below(len(s.ids)-1)
		if !p.cfg.Contains(uint64(old)) && !slices.Contains(s.goneWell, uint64(old)) {
			id = uint64(old)
		}
	}
	for _, m := range append(slices.Clone(p.m.Voters), p.m.Learners...) {
		if m.ID == id {
			return
		}
	}
	member := pb.Member{ID: id}
	if p.r.oneIn(2) {
		member.Context = binary.LittleEndian.AppendUint16(nil, uint16(p.r.Uint64()))
	}
	*to = append(*to, member)
}

// bearable is bearable for a target: nobody forces voters on a group whose majority
// has lost its disks. Unforced, they are not to become its voters.
func (p *targetPlan) bearable() bool {
	target := p.m.Target()
	cfg := p.cfg
	cfg.Target = &target
	if len(target.Voters) == 0 || len(target.Voters) > maxVoters {
		return false
	}
	return p.s.targetLives(cfg, false, nil) || !target.Force && p.r.oneIn(3)
}

// conditions says what the target expects, and that it is to be forced.
func (p *targetPlan) conditions(version uint64) {
	if p.r.oneIn(3) {
		if p.r.oneIn(5) {
			version = uint64(p.r.below(int(version) + 2))
		}
		p.m.Expected = &version
	}
	p.m.Force = p.r.oneIn(6)
}

// propose proposes it and, if it is taken, starts who is new, perhaps late.
func (p *targetPlan) propose(n *node) string {
	s := p.s
	err := s.proposeOf(n, p.m.Change(), func() error { return n.raw.ProposeMembership(p.m) })
	if err == nil {
		for range p.fresh {
			o := s.create(nil)
			if o == nil {
				panic("sim: no room for a server that was counted in")
			}
			if p.r.oneIn(4) && !s.stopped() {
				o.stayDown++
				s.undoAfter(p.r.spread(tickLength, s.timeouts(8)), func() { o.stayDown-- })
				s.crash(o, false, "comes late")
			}
		}
	}
	target := p.m.Target()
	for _, id := range append(slices.Clone(target.Voters), target.Learners...) {
		if o := s.byID(id); o != nil && err == nil {
			o.handedOver = false // it said that they can do without it, before it was asked back
		}
	}
	return asked(fmt.Sprintf("%d is asked for target %v, learners %v", n.id, target.Voters, target.Learners), err)
}

// targetLives reports whether too few of the voters of the target that stands in cfg
// are gone for the rest to decide, beside one. Those who do not vote yet count if
// learners do: they may have caught up just before. Others become no voters.
func (s *simulation) targetLives(cfg confchange.Config, learners bool, beside *node) bool {
	t := cfg.Target
	if t == nil {
		return true
	}
	gone := 0
	for _, id := range t.Voters {
		if !cfg.IsVoter(id) && !(learners && cfg.IsLearner(id)) {
			continue
		}
		if n := s.byID(id); n == nil || n == beside || n.gone() || n.disk.wiped || n.disk.rotten != 0 {
			gone++
		}
	}
	return len(t.Voters)-gone > len(t.Voters)/2
}

// targetGoesOn reports whether the target that stands in cfg leaves the group able to
// decide: it is not forced, so that its voters are awaited, or enough of them live.
func (s *simulation) targetGoesOn(cfg confchange.Config, learners bool) bool {
	return cfg.Target == nil || !cfg.Target.Force || s.targetLives(cfg, learners, nil)
}

// driving reports what the leader does for the target that stands, and whether there
// is one. Where changes take effect on append none stands any more once its outcome is
// in the log, committed or not.
func (s *simulation) driving(l *node) (confchange.Step, bool) {
	st := l.Status()
	switch {
	case st.Config.Target == nil && st.Config.Outcome != nil && st.Config.Outcome.Index == st.ConfigIndex && st.ConfigIndex > st.Commit:
		return confchange.Step{Kind: confchange.StepDone}, true
	case st.Config.Target == nil || st.MembershipStep == nil:
		return confchange.Step{}, false
	default:
		return *st.MembershipStep, true
	}
}

// interruptTarget waits for a stage on the way to a target, and disturbs it.
func (s *simulation) interruptTarget(r *random) string {
	l := s.leader()
	if l == nil || l.paused > 0 {
		return ""
	}
	stage := pick(r, confchange.StepAddLearner, confchange.StepCatchUp, confchange.StepCatchUp, confchange.StepHandOver,
		confchange.StepChangeVoters, confchange.StepAwaitLeave, confchange.StepRemoveLearner, confchange.StepDone, confchange.StepDone)
	what := "the target that stands"
	if l.Status().Config.Target == nil {
		if what = s.askForTarget(r, stage == confchange.StepHandOver); what == "" {
			return ""
		}
	}
	last := uint64(0)
	s.steer(s.timeouts(8), func() bool {
		if l = s.leader(); l == nil || l.paused > 0 {
			return false
		}
		if st := l.BasicStatus(); st.LastIndex+st.Commit == last {
			return false
		} else {
			last = st.LastIndex + st.Commit
		}
		step, stands := s.driving(l)
		if !stands || step.Kind != stage {
			return false
		}
		s.disturb(l, step, r)
		return true
	})
	return fmt.Sprintf("%s; it is to be disturbed at %q", what, stage)
}

// disturb does something to the leader of a group on its way to a target, or to whom
// it is about.
func (s *simulation) disturb(l *node, step confchange.Step, r *random) {
	time := r.between(s.timeouts(1), s.timeouts(6))
	var who *node
	if len(step.IDs) > 0 {
		who = s.byID(step.IDs[r.below(len(step.IDs))])
	}
	switch kind := r.below(9); {
	case step.Kind == confchange.StepHandOver && s.set.faults.has(Network) && r.oneIn(2):
		if to := s.byID(l.BasicStatus().LeadTransferee); to != nil { // it never hears of it
			s.cutUntil(tickLength, func(from, at int) bool { return from == int(l.slot) && at == int(to.slot) })
		}
	case kind == 0 && s.set.faults.has(Crash):
		s.crash(l, r.oneIn(2), "it drives a target")
	case kind == 1 && s.set.faults.has(Crash):
		s.crashAll(r)
	case kind == 2 && s.set.faults.has(Network):
		s.cutOffUntil(l, time)
		s.fill(l, r.below(2))
	case kind == 3 && s.set.faults.has(Network) && who != nil:
		s.cutOffUntil(who, time)
	case (kind == 4 || kind == 5) && s.set.faults.has(Network) && who != nil:
		// It answers, but it takes many rounds.
		there, back := &s.net.links[l.slot][who.slot], &s.net.links[who.slot][l.slot]
		extra := r.between(s.timeouts(1)/6, s.timeouts(1)*2/5)
		there.extra, back.extra = extra, extra
		s.undoAfter(r.between(s.timeouts(4), s.timeouts(20)), func() { there.extra, back.extra = 0, 0 })
	case kind == 6 && s.set.faults.has(Snapshot):
		s.compactAll(l)
	case kind == 7:
		s.cancelTarget(r)
	default:
		s.setTarget(r)
	}
}

// noteTarget takes notice of what a node's configuration says of targets after an
// input.
func (s *simulation) noteTarget(n *node, st *raft.BasicStatus) {
	d := &n.drive
	if st.ConfigIndex != d.index {
		if d.ended > st.ConfigIndex && n.life == d.life {
			s.mark(markOutcomeRolledBack)
		}
		cfg, _ := n.active()
		d.index, d.life, d.ended, d.stays = st.ConfigIndex, n.life, 0, true
		if o := cfg.Outcome; o != nil && o.Index == st.ConfigIndex && o.Index > st.Commit {
			d.ended = o.Index
		}
		if d.stands = cfg.Target != nil; d.stands {
			d.stays = slices.Contains(cfg.Target.Voters, n.id)
		}
	}
	if st.RaftState == raft.StateLeader && st.LeadTransferee != 0 && d.stands && !d.stays {
		d.handsOver = st.Term
	}
}

// driveNotes are what noteTarget knows of a node.
type driveNotes struct {
	index         uint64 // of the configuration that the rest is about
	life          uint32
	stands, stays bool   // a target does; the node is a voter of it
	ended         uint64 // the entry, not committed when it came, that ended one
	handsOver     uint64 // the last term in which it was to hand over, as the target is without it
}

// noteLeader takes notice of a new leader that finds a target.
func (s *simulation) noteLeader(n *node) {
	if n.drive.stands {
		s.mark(markTargetOfFormerLeader)
	}
	for _, o := range s.nodes {
		if o != nil && o != n && o.drive.handsOver != 0 && o.drive.handsOver+1 == n.term {
			s.mark(markTargetHandedOver)
		}
	}
}

// noteOutcome takes notice of an outcome that a node applied.
func (s *simulation) noteOutcome(o *pb.MembershipOutcome) {
	switch o.Result {
	case pb.MembershipReached:
		s.mark(markTargetReached)
	case pb.MembershipSuperseded:
		s.mark(markTargetSuperseded)
	case pb.MembershipAborted:
		switch o.Reason {
		case pb.MembershipNoAnswer:
			s.mark(markTargetNoAnswer)
		case pb.MembershipTooSlow:
			s.mark(markTargetTooSlow)
		case pb.MembershipNoQuorum:
			s.mark(markTargetNoQuorum)
		case pb.MembershipCancelled:
			s.mark(markTargetCancelled)
		}
	}
}

// askLeaderToGo proposes a target without the leader to a group that has recovered, and
// perhaps keeps from the one that is to take over first that it is. It reports whether
// there is something to wait for.
func (s *simulation) askLeaderToGo(leader *node, cfg confchange.Config) bool {
	h := &s.healing
	h.askedToGo = true
	if !s.set.faults.has(Targets) || !cfg.Voters[0].Contains(leader.id) || h.random.oneIn(3) {
		return false
	}
	m := pb.MembershipOf(cfg.ConfState())
	m.Voters = slices.DeleteFunc(m.Voters, func(m pb.Member) bool { return m.ID == leader.id })
	target := m.Target()
	cfg.Target = &target
	if len(m.Voters) == 0 || !s.targetLives(cfg, true, nil) {
		return false
	}
	if err := s.proposeOf(leader, m.Change(), func() error { return leader.raw.ProposeMembership(m) }); err != nil {
		return false
	}
	if h.random.oneIn(2) {
		s.steer(s.timeouts(2), func() bool {
			to := s.byID(leader.BasicStatus().LeadTransferee)
			if to == nil {
				return !leader.up
			}
			s.cutUntil(tickLength, func(from, at int) bool { return from == int(leader.slot) && at == int(to.slot) })
			return true
		})
	}
	return true
}

// watchTarget is L9: a target that stands, and that nobody touches any more, ends, also
// if the leader has to hand over on the way. Each of two leaders may have to see a
// server through all the rounds that it gets, as long as each may be, and then to await
// the voters to be; the rest is a matter of elections and commits.
func (s *simulation) watchTarget() {
	h := &s.healing
	cfg, _ := s.check.Newest()
	version := uint64(0)
	if cfg.Target != nil {
		version = cfg.Target.Version
	}
	if version != h.target {
		h.target, h.targetSince = version, s.now
	}
	rounds := int64(max(s.set.catchUpRounds, 1))
	bound := s.timeouts(recoverWithin+moveWithin) + 2*rounds*(int64(s.set.snapshotTicks)*tickLength+s.timeouts(1))
	if version != 0 && s.now > h.targetSince+bound {
		s.fail("L9", 0, fmt.Sprintf("the target of version %d has not ended for %d election timeouts: %s",
			version, bound/s.timeouts(1), s.describe()))
	}
}
