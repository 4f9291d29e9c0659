package confchange

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft/quorum"
	"github.com/quorate-raft/raft/raftpb"
)

// StepKind says what a [Step] is.
type StepKind uint8

const (
	// StepImpossible: there is no way, and Step.Err says why.
	StepImpossible StepKind = iota
	// StepDone: the configuration is the target.
	StepDone
	// StepUpdateContext: Change gives the member in IDs the context of the target.
	StepUpdateContext
	// StepAddLearner: Change adds the server in IDs as a learner, so that it has
	// the log before it votes (dissertation §4.2.1).
	StepAddLearner
	// StepCatchUp: the learners in IDs are to vote and do not have the log yet
	// (§4.2.1). Plan again when they do, or give up.
	StepCatchUp
	// StepHandOver: the leader would not be a voter after the next change. It has
	// to hand over first, to one of IDs (§3.10, §4.2.2).
	StepHandOver
	// StepChangeVoters: Change changes who votes: one voter alone (§4.1), or as
	// many as it takes by joint consensus (§4.3). IDs are those who change.
	StepChangeVoters
	// StepLeaveJoint: Change leaves a joint configuration that is not left
	// automatically (§4.3).
	StepLeaveJoint
	// StepAwaitLeave: the leader leaves the joint configuration by itself (§4.3).
	// Plan again when it has.
	StepAwaitLeave
	// StepRemoveLearner: Change removes the learner in IDs.
	StepRemoveLearner
)

var stepKinds = [...]string{
	"impossible", "done", "update context", "add learner", "catch up", "hand over", "change voters", "leave joint",
	"await leave", "remove learner",
}

// String returns the kind in words, as in "add learner".
func (k StepKind) String() string {
	if int(k) < len(stepKinds) {
		return stepKinds[k]
	}
	return fmt.Sprintf("StepKind(%d)", uint8(k))
}

// Step is the next thing to do on the way to a target.
type Step struct {
	// Kind says what is to be done.
	Kind StepKind
	// IDs are the servers that it is about, ascending; Kind says which.
	IDs []uint64
	// Change is to be proposed, if the kind says that there is one. It names the
	// version of the target, if it has one, but for the change that leaves a joint
	// configuration, which has to be empty.
	Change raftpb.ConfChangeV2
	// Err says why there is no way: [ErrInvalidTarget], [ErrInvalidConfig] or
	// [ErrNoVoters]. Nil otherwise.
	Err error
}

// Proposes reports whether Change is to be proposed.
func (s Step) Proposes() bool {
	switch s.Kind {
	case StepUpdateContext, StepAddLearner, StepChangeVoters, StepLeaveJoint, StepRemoveLearner:
		return true
	default:
		return false
	}
}

// String returns the step on one line, as in `change voters (1 4): "r1 v4"`.
func (s Step) String() string {
	text := s.Kind.String()
	if len(s.IDs) > 0 {
		text += " " + quorum.MajorityConfig(s.IDs).String()
	}
	if len(s.Change.Changes) > 0 {
		text += fmt.Sprintf(": %q", raftpb.ConfChangesToString(s.Change.Changes))
	}
	if s.Err != nil {
		text += fmt.Sprintf(": %v", s.Err)
	}
	return text
}

// Plan returns the next single thing to do on the way from c to t. It remembers
// nothing: whoever leads asks it again after every step, and goes on from
// whatever configuration it finds, also one that somebody else has left behind.
// From there the order is:
//
//  1. leave a joint configuration (dissertation §4.3), since nothing else can be
//     changed in one;
//  2. give members the contexts of the target, since they may be addresses under
//     which a member is reached;
//  3. add who is missing as a learner, one at a time, and wait until those who
//     are to vote have the log (§4.2.1: until a new voter has it, the group may
//     be unable to commit although nobody else fails);
//  4. change the voters, all at once: by a change of one voter where only one
//     differs (§4.1), and otherwise by a joint configuration that is left
//     automatically (§4.3);
//  5. remove the learners that are left over, one at a time.
//
// A leader that step 4, or leaving a joint configuration, would make no voter
// hands over first (§4.2.2): so the group is without a leader for no longer than
// a transfer takes, and nobody counts majorities that do not include itself. If
// no voter of c is one of t there is nobody to hand over to; then the new voter
// with the lowest ID is made one beforehand. (Only what is left automatically
// waits for nobody: a leader that loses its vote by that hands over when it has
// applied it, as after a change by hand.)
//
// t is the target that stands in c, or one that is not set yet, whose steps then
// name no version.
//
// It ends: each member of t is added at most once and given a context once, each
// learner of c removed once, and beside these there are at most seven steps.
//
// ready reports whether a learner has the log, and is asked about those who are
// to vote; nil means that all have. leader is the ID of the leader, 0 if it does
// not matter. Each Change is valid in c, if t stands in it or no target does, and
// leaves no two quorums, of before and after, that do not meet.
func Plan(c Config, t raftpb.MembershipTarget, ready func(id uint64) bool, leader uint64) Step {
	t, err := ValidateTarget(t)
	if err != nil {
		return Step{Err: err}
	}
	if err := c.Check(); err != nil {
		return Step{Err: err}
	}
	if len(c.Voters[0]) == 0 {
		return Step{Err: fmt.Errorf("towards a target: %w to begin with", ErrNoVoters)}
	}
	p := plan{c: c, t: t, leader: leader}
	if c.Joint() {
		return p.leaveJoint()
	}
	if step, found := p.context(); found {
		return step
	}
	if step, found := p.missing(); found {
		return step
	}
	if !slices.Equal(c.Voters[0], t.Voters) {
		return p.voters(ready)
	}
	for _, id := range c.Learners {
		if !contains(t.Learners, id) {
			return p.step(StepRemoveLearner, raftpb.ConfChangeSingle{Type: raftpb.ConfChangeRemoveNode, NodeID: id})
		}
	}
	return Step{Kind: StepDone}
}

// plan has the arguments of Plan, which are sound; t is in normal form.
type plan struct {
	c      Config
	t      raftpb.MembershipTarget
	leader uint64
}

// leaveJoint comes before all else.
func (p plan) leaveJoint() Step {
	if p.c.AutoLeave {
		return Step{Kind: StepAwaitLeave}
	}
	if step, first := p.handOver(p.c.Voters[0]); first {
		return step
	}
	return Step{Kind: StepLeaveJoint}
}

// context gives a member the context of the target.
func (p plan) context() (Step, bool) {
	m, found := p.c.staleContext(p.t)
	if !found {
		return Step{}, false
	}
	return p.step(StepUpdateContext, raftpb.ConfChangeSingle{
		Type: raftpb.ConfChangeUpdateNode, NodeID: m.ID, Context: m.Context,
	}), true
}

// staleContext returns the first member of c, as t would have it, whose context
// is another.
func (c Config) staleContext(t raftpb.MembershipTarget) (raftpb.Member, bool) {
	for _, m := range t.Members {
		if c.Contains(m.ID) && string(c.Context(m.ID)) != string(m.Context) {
			return m, true
		}
	}
	return raftpb.Member{}, false
}

// missing adds a server that is no member yet.
func (p plan) missing() (Step, bool) {
	for _, ids := range [][]uint64{p.t.Voters, p.t.Learners} {
		for _, id := range ids {
			if p.c.Contains(id) {
				continue
			}
			add := raftpb.ConfChangeSingle{Type: raftpb.ConfChangeAddLearnerNode, NodeID: id}
			if i, found := findMember(p.t.Members, id); found {
				add.Context = p.t.Members[i].Context
			}
			return p.step(StepAddLearner, add), true
		}
	}
	return Step{}, false
}

// voters changes who votes, once who is to vote can and who leads will.
func (p plan) voters(ready func(uint64) bool) Step {
	old := p.c.Voters[0]
	var behind []uint64
	for _, id := range p.t.Voters {
		if !old.Contains(id) && ready != nil && !ready(id) {
			behind = append(behind, id)
		}
	}
	if len(behind) > 0 {
		return Step{Kind: StepCatchUp, IDs: behind}
	}
	if _, overlap := common(old, p.t.Voters); !overlap {
		// Nobody who votes now could lead afterwards.
		return p.step(StepChangeVoters, raftpb.ConfChangeSingle{Type: raftpb.ConfChangeAddNode, NodeID: p.t.Voters[0]})
	}
	if step, first := p.handOver(p.t.Voters); first {
		return step
	}
	return p.step(StepChangeVoters, p.voterChanges()...)
}

// voterChanges returns what makes the voters those of the target, by ID.
func (p plan) voterChanges() []raftpb.ConfChangeSingle {
	var changes []raftpb.ConfChangeSingle
	for _, id := range p.c.IDs() {
		change := raftpb.ConfChangeSingle{NodeID: id}
		switch votes, shall := p.c.IsVoter(id), contains(p.t.Voters, id); {
		case votes == shall:
			continue
		case shall:
			change.Type = raftpb.ConfChangeAddNode
		case contains(p.t.Learners, id):
			change.Type = raftpb.ConfChangeAddLearnerNode
		default:
			change.Type = raftpb.ConfChangeRemoveNode
		}
		changes = append(changes, change)
	}
	return changes
}

// handOver is first if the leader is a voter and not one of those that the next
// change leaves. Of these it names those who vote now, and only those of the
// target if there are any: they need not hand over again.
func (p plan) handOver(left []uint64) (Step, bool) {
	if !p.c.IsVoter(p.leader) || contains(left, p.leader) {
		return Step{}, false
	}
	var to, toStay []uint64
	for _, id := range left {
		if !p.c.IsVoter(id) {
			continue
		}
		to = append(to, id)
		if contains(p.t.Voters, id) {
			toStay = append(toStay, id)
		}
	}
	if len(toStay) > 0 {
		to = toStay
	}
	return Step{Kind: StepHandOver, IDs: to}, true
}

// step returns a step by changes. More than one go through a joint configuration
// that is left automatically.
func (p plan) step(kind StepKind, changes ...raftpb.ConfChangeSingle) Step {
	s := Step{Kind: kind, Change: raftpb.ConfChangeV2{Changes: changes}}
	for _, change := range changes {
		s.IDs = append(s.IDs, change.NodeID)
	}
	if len(changes) > 1 {
		s.Change.Transition = raftpb.ConfChangeTransitionJointImplicit
	}
	if p.t.Version > 0 {
		s.Change.Membership = &raftpb.MembershipChange{Version: p.t.Version}
	}
	return s
}
