package confchange

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft/quorum"
	"github.com/quorate-raft/raft/raftpb"
)

// Resilience is what a configuration needs to decide, and what it bears.
type Resilience struct {
	// Quorums are the voters that have to agree: of the incoming or only half, and
	// of the outgoing one, 0 if there is none (dissertation §4.3).
	Quorums [2]int
	// Failures is the highest number of voters that may fail, whichever they are,
	// while the others can still decide.
	Failures int
}

// ResilienceOf returns what c needs and bears. Of a joint configuration all that
// fail may be of the half that bears less.
func ResilienceOf(c Config) Resilience {
	var r Resilience
	for i, half := range c.Voters {
		if len(half) == 0 {
			continue
		}
		r.Quorums[i] = quorum.Size(len(half))
		bears := len(half) - r.Quorums[i]
		if i == 0 || bears < r.Failures {
			r.Failures = bears
		}
	}
	return r
}

// PlannedStep is a step, and how things are after it.
type PlannedStep struct {
	Step       Step
	Config     Config
	Resilience Resilience
}

// Report is what lies ahead of a group on its way to a target.
type Report struct {
	// Steps are those of [Plan] in order, without the one that says that all is
	// done; none if the target is reached already. Each learner that is to vote
	// is waited for once. Handing over is not among them, since it depends on who
	// leads: see Leaving.
	Steps []PlannedStep
	// Leaving are the voters of now that are none of the target. If one of them
	// leads, it hands over before it is removed or demoted.
	Leaving []uint64
	// Before and After are of the configuration now and of the target.
	Before, After Resilience
	// During is of the configuration that bears the fewest failures of all those
	// between; without any, of that of the two ends which bears fewer.
	During Resilience
}

// Preflight returns what is ahead on the way from c to t, before anything is
// proposed. A target that stands in c does not count. The errors are those of
// [Step].
func Preflight(c Config, t raftpb.MembershipTarget) (Report, error) {
	c.Target, t.Version = nil, 0
	r := Report{Before: ResilienceOf(c)}
	for _, id := range c.Voters.IDs() {
		if !slices.Contains(t.Voters, id) {
			r.Leaving = append(r.Leaving, id)
		}
	}
	waited := make(map[uint64]bool)
	ready := func(id uint64) bool { return waited[id] }
	for {
		step := Plan(c, t, ready, 0)
		var err error
		switch step.Kind {
		case StepDone:
			r.After = ResilienceOf(c)
			r.During = r.weakest()
			return r, nil
		case StepImpossible:
			err = step.Err
		case StepCatchUp:
			for _, id := range step.IDs {
				waited[id] = true
			}
		case StepAwaitLeave:
			c, err = LeaveJoint(c)
		default:
			c, err = Apply(c, step.Change)
		}
		if err != nil {
			return Report{}, fmt.Errorf("towards <%v>: %w", &t, err)
		}
		r.Steps = append(r.Steps, PlannedStep{Step: step, Config: c, Resilience: ResilienceOf(c)})
	}
}

func (r Report) weakest() Resilience {
	weakest := r.Before
	if r.After.Failures < weakest.Failures {
		weakest = r.After
	}
	// The last step that proposes or waits leads to the target itself.
	for i, step := range r.Steps[:max(len(r.Steps)-1, 0)] {
		if i == 0 || step.Resilience.Failures < weakest.Failures {
			weakest = step.Resilience
		}
	}
	return weakest
}
