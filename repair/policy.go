package repair

import (
	"errors"
	"fmt"
	"time"

	pb "github.com/quorate-raft/raft/raftpb"
)

// ErrInvalidConfig matches every error of a Config or Policy that is refused.
var ErrInvalidConfig = errors.New("repair: invalid config")

// Policy is what a supervisor may do. Zero fields mean the default that is named with
// each.
type Policy struct {
	// Spares are servers that may take a voter's place, in the order in which they are
	// tried. One that is a learner of the group already keeps its context; another needs one
	// if the group's members have addresses. An ID that was removed is not used again: take
	// out those of replaced voters, since a supervisor knows only of those that it saw vote.
	Spares []pb.Member
	// Learners makes every learner of the group a spare, after Spares and by ID.
	Learners bool
	// MembersOnly passes over Spares that are no learners of the group: for a group that
	// knows by other means who may become a member.
	MembersOnly bool
	// After is for how long a voter must have been silent, without a break. It should be
	// longer than a restart of a machine takes, and is at least two election timeouts.
	// Default 10 minutes.
	After time.Duration
	// MinVoters is how many voters must be heard from, the leader among them. Default, and
	// least: as many as decide.
	MinVoters int
	// Cooldown is for how long a spare that failed is left alone, doubled each time that it
	// fails again up to MaxCooldown. If an attempt ended for another reason, as that
	// somebody cancelled it, all of them are. Default 5 minutes, and 1 hour or Cooldown
	// if that is more.
	Cooldown, MaxCooldown time.Duration
	// Paused makes it do nothing; see Supervisor.Pause.
	Paused bool
}

func (p Policy) withDefaults() Policy {
	setDefault(&p.After, 10*time.Minute)
	setDefault(&p.Cooldown, 5*time.Minute)
	setDefault(&p.MaxCooldown, max(time.Hour, p.Cooldown))
	return p
}

func setDefault(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

// Validate reports every fault of p, joined. It matches ErrInvalidConfig and changes
// nothing.
func (p *Policy) Validate() error {
	d := p.withDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(len(p.Spares) == 0 && !p.Learners, "Spares must name a server, or Learners be set")
	named := map[uint64]bool{}
	for _, spare := range p.Spares {
		fault(spare.ID == 0, "Spares: the ID 0 is nobody's")
		fault(named[spare.ID], "Spares: %d is named twice", spare.ID)
		named[spare.ID] = true
	}
	fault(d.After < 0, "After (%v) must be positive", d.After)
	fault(d.MinVoters < 0, "MinVoters (%d) must not be negative", d.MinVoters)
	fault(d.Cooldown < 0, "Cooldown (%v) must be positive", d.Cooldown)
	fault(d.MaxCooldown < d.Cooldown, "MaxCooldown (%v) must not be less than Cooldown (%v)", d.MaxCooldown, d.Cooldown)
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalidConfig, errors.Join(faults...))
}

// cooldown returns for how long to wait after n failures in a row.
func (p *Policy) cooldown(n int) time.Duration {
	wait := p.Cooldown
	for ; n > 1 && wait < p.MaxCooldown; n-- {
		wait *= 2
	}
	return min(wait, p.MaxCooldown)
}
