package confchange

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-raft/raft/quorum"
	"github.com/quorate-raft/raft/raftpb"
)

// driver does what Plan says, as a leader that is always heard would, and checks every step.
type driver struct {
	c, start Config
	target   raftpb.MembershipTarget
	leader   uint64
	index    uint64
	// ready has the learners that have caught up.
	ready map[uint64]bool
	// steps are all so far.
	steps []Step
	// joint counts the joint configurations that were entered, switched the changes of voters.
	joint, switched, handOvers int
	problem                    string
}

// maxSteps bounds the way to a target: each of its members may be added and get a context, those that were members
// before may be left over as learners; once each: catching up, a bridging voter, handing over before that is left and
// before the voters change, the change, leaving what was joint and what is.
func maxSteps(c Config, t raftpb.MembershipTarget) int {
	return len(t.Voters) + len(t.Learners) + len(t.Members) + len(c.Learners) + len(c.LearnersNext) + 7
}

func drive(c Config, target raftpb.MembershipTarget, leader uint64, visit func(c Config, leader uint64)) *driver {
	d := &driver{leader: leader, index: 100, ready: make(map[uint64]bool)}
	c, err := ApplyAt(c, TargetChange(target), d.index)
	if err != nil {
		d.fail("%v", err)
		return d
	}
	d.c, d.start, d.target = c, c, *c.Target
	for d.problem == "" {
		step := Plan(d.c, *d.c.Target, func(id uint64) bool { return d.ready[id] }, d.leader)
		if step.Kind == StepDone {
			d.finish()
			return d
		}
		if visit != nil {
			visit(d.c, d.leader)
		}
		d.steps = append(d.steps, step)
		if len(d.steps) > maxSteps(d.start, d.target) {
			d.fail("no end")
			return d
		}
		d.take(step)
	}
	return d
}

func (d *driver) fail(format string, args ...any) {
	if d.problem == "" {
		d.problem = fmt.Sprintf(format, args...)
	}
}

func (d *driver) take(step Step) {
	d.index++
	switch step.Kind {
	case StepCatchUp:
		for _, id := range step.IDs {
			if !d.c.IsLearner(id) || !contains(d.target.Voters, id) {
				d.fail("%d is waited for, but will not vote", id)
			}
			d.ready[id] = true
		}
	case StepHandOver:
		d.handOvers++
		if len(step.IDs) == 0 || !d.c.IsVoter(d.leader) {
			d.fail("%d does not lead, or has nobody to hand over to", d.leader)
			return
		}
		if contains(d.target.Voters, d.leader) && !d.c.Joint() {
			d.fail("%d is to vote and hands over", d.leader)
		}
		to := step.IDs[int(d.index)%len(step.IDs)]
		if !d.c.IsVoter(to) || to == d.leader {
			d.fail("%d cannot take over from %d in %v", to, d.leader, d.c)
		}
		d.leader = to
	case StepAwaitLeave:
		next, err := Apply(d.c, raftpb.ConfChangeV2{})
		d.became(step, next, err)
	default:
		if !step.Proposes() {
			d.fail("%v", step)
			return
		}
		if err := Validate(d.c, step.Change); err != nil {
			d.fail("%v", err)
		}
		next, err := ApplyAt(d.c, step.Change, d.index)
		d.became(step, next, err)
	}
}

// became checks two consecutive configurations.
func (d *driver) became(step Step, next Config, err error) {
	was := d.c
	if err == nil {
		err = next.Check()
	}
	if err != nil {
		d.fail("%v in %v: %v", step, was, err)
		return
	}
	d.c = next
	if next.Joint() && !was.Joint() {
		d.joint++
		if !next.AutoLeave {
			d.fail("%v would stand without a leader that knows of the target", next)
		}
	}
	if was.Joint() && was.AutoLeave != (step.Kind == StepAwaitLeave) {
		d.fail("%v in %v", step, was)
	}
	for _, id := range append(slices.Clone(d.target.Voters), d.target.Learners...) {
		if was.Contains(id) && !next.Contains(id) && !was.Joint() {
			d.fail("from %v to %v: %d is to stay", was, next, id)
		}
	}
	if !slices.Equal(was.Voters[0], next.Voters[0]) {
		d.switched++
		differ := symmetricDifference(was.Voters[0], d.target.Voters)
		if step.Kind != StepChangeVoters {
			d.fail("%v changes the voters of %v to those of %v", step, was, next)
		}
		if differ == 1 && next.Joint() {
			d.fail("from %v to %v for one voter", was, next)
		}
	}
	if !meet(was, next) {
		d.fail("%v has a quorum without one of %v", next, was)
	}
	for _, id := range next.Voters.IDs() {
		if !was.IsVoter(id) && (!was.IsLearner(id) || !d.ready[id]) {
			d.fail("from %v to %v: %d votes and has not caught up", was, next, id)
		}
	}
	for _, id := range was.Learners {
		if !next.Contains(id) && !slices.Equal(next.Voters[0], d.target.Voters) {
			d.fail("from %v to %v: a learner is removed before the voters are those of the target", was, next)
		}
	}
	if was.IsVoter(d.leader) && !next.IsVoter(d.leader) {
		// Where the configuration was left automatically from the start, nobody could hand over.
		if step.Kind != StepAwaitLeave || d.joint > 0 {
			d.fail("%v: leader %d is removed", step, d.leader)
		}
		d.leader = next.Voters[0][0]
	}
}

var met = make(map[[4]uint]bool)

// meet reports whether all quorums of a and b meet, for nodes up to 7; met remembers.
func meet(a, b Config) bool {
	var pair [4]uint
	for i, half := range [][]uint64{a.Voters[0], a.Voters[1], b.Voters[0], b.Voters[1]} {
		for _, id := range half {
			pair[i] |= 1 << id
		}
	}
	if _, known := met[pair]; !known {
		met[pair] = !disjointQuorums(a, b, 7)
	}
	return met[pair]
}

func (d *driver) finish() {
	t := d.target
	want := Config{Voters: quorum.JointConfig{t.Voters}, Learners: t.Learners}
	got := d.c
	got.Target, got.Outcome, got.Contexts = nil, nil, nil
	if !got.Equal(want) || !d.c.Reached(t) {
		d.fail("ends with %v", got)
	}
	reached := OutcomeChange(raftpb.MembershipOutcome{Version: t.Version, Result: raftpb.MembershipReached})
	if _, err := ApplyAt(d.c, reached, d.index+1); err != nil {
		d.fail("%v", err)
	}
	if d.joint > 1 {
		d.fail("%d joint configurations", d.joint)
	}
	from := d.start.Voters[0]
	differ := symmetricDifference(from, t.Voters)
	_, overlap := common(from, t.Voters)
	most := min(differ, 1)
	if !overlap {
		most = 2
	}
	if d.switched > most {
		d.fail("the voters changed %d times for %d", d.switched, differ)
	}
	if differ <= 1 && d.joint > 0 {
		d.fail("joint for %d voters", differ)
	}
	if d.handOvers > 2 || d.handOvers > 1 && (!d.start.Joint() || overlap) {
		d.fail("%d times handed over", d.handOvers)
	}
}

func (d *driver) require(t *testing.T, leader uint64) {
	t.Helper()
	if d.problem == "" {
		return
	}
	var steps []string
	for _, step := range d.steps {
		steps = append(steps, step.String())
	}
	t.Fatalf("from %v, %d leads: %s\nafter %s", d.start, leader, d.problem, strings.Join(steps, "; "))
}
