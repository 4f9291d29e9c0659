package raft

import (
	"slices"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// A leader works towards the membership target that stands in the configuration. What
// is to be done next follows from the configuration alone (confchange.Plan), so the
// next leader, also one that restarted, goes on where the last one stopped.

// drive is what a leader remembers of its work. It dies with its leadership: rounds of
// catch-up begin anew, and who was asked to take over may be asked again.
type drive struct {
	version uint64 // of the target that the rest is about; 0 if there is none
	// step is what was found to be next, and index the last entry that was appended for it.
	step  confchange.Step
	index uint64
	// repeats counts how often the same change was appended without an effect.
	repeats int
	// outcome is how the target ended for this leader, and ends how often that was
	// appended.
	outcome pb.MembershipOutcome
	ends    int
	// handedTo are those who were asked to take over; alone says that nobody did, so
	// that the leader makes the change that ends its leadership (dissertation §4.2.2).
	handedTo []uint64
	alone    bool
	// beat is the tick of the last heartbeats that a majority answered.
	beat uint64
	// asked says that the change of voters has to wait for those who are to vote, and
	// waited for how many ticks it has.
	asked  bool
	waited uint64
}

// maxRepeats is how often a change without an effect is tried. A host that refuses
// what was committed (see ApplyConfChange) refuses it again.
const maxRepeats = 3

// maxHandOvers is how many are asked to take over. Proposals are refused for an election
// timeout each time, and one who is not there to answer was not asked.
const maxHandOvers = 2

// drives reports whether a target stands, or the last one has to be forgotten.
func (r *raft) drives() bool {
	return r.role == StateLeader && (r.conf.cfg.Target != nil || r.leader.drive.version != 0)
}

// driveTarget does what comes next towards the target that stands, if there is one and
// nothing is in the way. ticked says that a tick has passed since the last call.
func (r *raft) driveTarget(ticked bool) error {
	if r.role != StateLeader {
		return nil
	}
	l, t := r.leader, r.conf.cfg.Target
	if t == nil {
		if l.drive.version != 0 {
			r.endDrive()
		}
		return nil
	}
	if l.drive.version != t.Version {
		r.endDrive()
		l.drive.version = t.Version
		l.drive.beat = r.confirmedRound() >> roundBits
	}
	if to := l.transfer.target; to != None && !slices.Contains(l.drive.handedTo, to) {
		// Somebody else asked it. Proposals are refused meanwhile, so not once more.
		l.drive.handedTo = append(l.drive.handedTo, to)
	}
	inTouch := 0
	if ticked {
		inTouch = r.tickInTouch()
	}
	outcome := r.measureCatchUp(t, ticked, inTouch)
	if _, pending := r.pendingConf(); pending || !l.committedInTerm(r.log) || l.transfer.target != None || l.leaving != nil {
		return nil
	}
	switch {
	case l.drive.outcome.Result != pb.MembershipPending:
		return r.endTarget(l.drive.outcome)
	case outcome.Result != pb.MembershipPending:
		return r.endTarget(outcome)
	}
	step := r.nextStep(t)
	repeated := l.drive.index != 0 && step.Kind == l.drive.step.Kind && slices.Equal(step.IDs, l.drive.step.IDs)
	l.drive.step = step
	if wait, gaveUp := r.awaitVoters(t, inTouch); gaveUp {
		return r.endTarget(aborted(pb.MembershipNoQuorum, None))
	} else if wait {
		return nil
	}
	switch {
	case step.Kind == confchange.StepImpossible, repeated && step.Proposes() && l.drive.repeats >= maxRepeats:
		return r.endTarget(aborted(pb.MembershipImpossible, None))
	case step.Kind == confchange.StepDone:
		return r.endTarget(pb.MembershipOutcome{Result: pb.MembershipReached})
	case step.Kind == confchange.StepHandOver:
		return r.handOverTo(step.IDs)
	case step.Proposes():
		return r.driveBy(step.Change, repeated)
	}
	return nil // to wait for a catch-up, or for the joint configuration to be left
}

// endDrive forgets the work towards a target that stands no more.
func (r *raft) endDrive() {
	r.leader.drive = drive{}
	for i := range r.leader.peers {
		r.leader.peers[i].CatchUp = nil
	}
}

// nextStep plans from the configuration, as the leader that this node is until it has
// found nobody to hand over to.
func (r *raft) nextStep(t *pb.MembershipTarget) confchange.Step {
	leader := r.id
	if r.leader.drive.alone {
		leader = None
	}
	return confchange.Plan(r.conf.cfg, *t, r.caughtUp, leader)
}

// caughtUp reports whether the learner id can vote: it has the log, it answers (the next
// tick would find that it does not, and a change may be planned before that; where no
// voter stays it is the one that the others then need), and it knows of targets, which a
// member has to while one stands.
func (r *raft) caughtUp(id uint64) bool {
	i := r.conf.pos(id)
	if i < 0 || r.leader.peers[i].CatchUp == nil || !r.leader.peers[i].CatchUp.CaughtUp {
		return false
	}
	return r.answers(i) && r.knowsTargets(id)
}

// awaitsVoters reports whether the next step has to wait because it decides who votes, as
// the change of voters does, and handing over before it: so many of the voters to be do
// not answer that the group would stop. That was looked at when the target was set, but a
// catch-up may take hours, and this leader may be another one, so nobody has the benefit
// of the doubt.
func (r *raft) awaitsVoters(t *pb.MembershipTarget) bool {
	kind := r.leader.drive.step.Kind
	decides := kind == confchange.StepChangeVoters || kind == confchange.StepHandOver
	return decides && !t.Force && r.wouldLoseQuorum(t.Voters, r.answers)
}

// awaitVoters says whether to wait for the voters to be, and whether that has taken too
// long.
func (r *raft) awaitVoters(t *pb.MembershipTarget, inTouch int) (wait, gaveUp bool) {
	d := &r.leader.drive
	if !r.awaitsVoters(t) {
		d.asked, d.waited = false, 0
		return false, false
	}
	if !d.asked { // who has had nothing to answer yet
		d.asked, r.leader.beatDue = true, true
	}
	d.waited += uint64(inTouch)
	return true, d.waited >= r.votersAwaited()
}

// votersAwaited is for how many ticks such a step waits.
func (r *raft) votersAwaited() uint64 {
	return uint64(r.cfg.MaxCatchUpRounds) * uint64(r.cfg.ElectionTick)
}

// measureCatchUp measures the learners that are to vote (dissertation §4.2.1), and
// returns why the target has to be given up, if it has.
func (r *raft) measureCatchUp(t *pb.MembershipTarget, ticked bool, inTouch int) pb.MembershipOutcome {
	l := r.leader
	limits := progress.CatchUpLimits{ElectionTick: r.cfg.ElectionTick, MaxRounds: r.cfg.MaxCatchUpRounds, MaxTicks: r.cfg.SnapshotTicks}
	var outcome pb.MembershipOutcome
	for i, id := range r.conf.ids {
		p := &l.peers[i]
		promoted := r.conf.roles[i] == roleLearner && slices.Contains(t.Voters, id)
		if (promoted || slices.Contains(t.Added, id)) && p.AckedRound > 0 && !r.knowsTargets(id) {
			outcome = aborted(pb.MembershipRefused, id)
		}
		if !promoted {
			p.CatchUp = nil
			continue
		}
		if p.CatchUp == nil {
			p.BeginCatchUp(r.log.last.index, l.round)
			l.beatDue = true
			continue
		}
		if !ticked {
			continue
		}
		switch p.TickCatchUp(r.log.last.index, inTouch, limits) {
		case progress.TooSlow:
			outcome = aborted(pb.MembershipTooSlow, id)
		case progress.NoAnswer:
			outcome = aborted(pb.MembershipNoAnswer, id)
		}
	}
	return outcome
}

// tickInTouch returns by how many ticks the time has advanced of which the leader knows
// that a majority answered it. A leader that was cut off, or that was held up and gets all
// its ticks at once, must not take that for the silence of others: so however long there
// was no answer, one that comes stands for a heartbeat interval.
func (r *raft) tickInTouch() int {
	d := &r.leader.drive
	beat, before := r.confirmedRound()>>roundBits, d.beat
	if beat <= before {
		return 0
	}
	d.beat = beat
	return int(min(beat-before, uint64(r.cfg.HeartbeatTick)))
}

func aborted(why pb.MembershipReason, node uint64) pb.MembershipOutcome {
	return pb.MembershipOutcome{Result: pb.MembershipAborted, Reason: why, Node: node}
}

// endTarget proposes how the target that stands has ended. The first such entry that is
// committed counts, whoever proposed it.
func (r *raft) endTarget(outcome pb.MembershipOutcome) error {
	d := &r.leader.drive
	if d.ends > maxRepeats {
		return nil
	}
	d.ends++
	outcome.Version = d.version
	d.outcome = outcome
	d.step = confchange.Step{Kind: confchange.StepDone}
	return r.driveBy(confchange.OutcomeChange(outcome), false)
}

// driveBy appends a change on the way to the target.
func (r *raft) driveBy(cc pb.ConfChangeV2, repeated bool) error {
	d := &r.leader.drive
	if r.log.last.index >= maxIndex-reservedIndexes {
		return nil // as for every proposal
	}
	if err := r.checkConfChange(cc); err != nil {
		r.logger.Error("a change towards the membership target is refused",
			zap.Uint64("id", r.id), zap.Uint64("target", d.version), zap.Stringer("step", d.step), zap.Error(err))
		return nil
	}
	kind, data, err := pb.MarshalConfChange(cc)
	if err != nil {
		return err
	}
	if d.repeats++; !repeated {
		d.repeats = 0
	}
	r.logger.Info("working towards the membership target", zap.Uint64("id", r.id), zap.Uint64("target", d.version),
		zap.Stringer("step", d.step), zap.Uint64("index", r.log.last.index+1))
	d.index = r.log.last.index + 1
	// It bypasses MaxUncommittedSize: a busy group must still be able to change.
	return r.appendOne(pb.Entry{Type: kind, Data: data})
}

// handOverTo hands leadership to the best of ids before the change that ends this
// node's own (dissertation §4.2.2). Each is asked once, and not all of many.
func (r *raft) handOverTo(ids []uint64) error {
	l := r.leader
	best, match := None, uint64(0)
	for _, id := range ids {
		i := r.conf.pos(id)
		stops := l.peers[i].AckedRound > 0 && !r.knowsTargets(id) // it would not go on as leader
		if len(l.drive.handedTo) >= maxHandOvers || slices.Contains(l.drive.handedTo, id) || !r.heard(i) || stops {
			continue
		}
		if m := l.peers[i].Match; best == None || m > match {
			best, match = id, m
		}
	}
	if best == None {
		// As after a change by hand it hands over once the change is committed.
		l.drive.alone = true
		r.logger.Warn("nobody takes over from a leader that is to go", zap.Uint64("id", r.id), zap.Uint64("target", l.drive.version))
		return r.driveTarget(false)
	}
	l.drive.handedTo = append(l.drive.handedTo, best)
	return r.startTransfer(best)
}

// heard reports whether member i has answered heartbeats of less than an election timeout
// before the last ones. (The time since these does not count: a leader that was held up
// has sent none.) One that had no chance to answer yet has the benefit of the doubt.
func (r *raft) heard(i int) bool {
	l := r.leader
	p := &l.peers[i]
	return i == l.self || l.round>>roundBits-max(p.AckedRound, p.Since, l.woke)>>roundBits < uint64(r.cfg.ElectionTick)
}

// answers reports whether member i was heard from, has answered this leader at all since it
// leads or woke up, and was asked lately: a leader that was held up and gets all its ticks at
// once knows nothing of anybody.
func (r *raft) answers(i int) bool {
	l := r.leader
	return i == l.self || l.peers[i].AckedRound > l.woke && r.heard(i) && l.ticks-l.round>>roundBits < uint64(r.cfg.ElectionTick)
}

// silent returns for how many ticks the leader has not heard from member i, or for how
// many it leads, or is awake, if it has not since.
func (r *raft) silent(i int) uint64 {
	l := r.leader
	if i == l.self {
		return 0
	}
	return l.ticks - max(l.peers[i].AckedRound, l.woke)>>roundBits
}
