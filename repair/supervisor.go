package repair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Group is what a supervisor looks at and acts on. Of returns that of a replica.
type Group interface {
	// Look returns the present state.
	Look(ctx context.Context) (View, error)
	// Confirm returns when, after the call, a quorum has confirmed that there is a leader:
	// this replica, unless Look shows another term then.
	Confirm(ctx context.Context) error
	// Propose sets a target, as the leader of that term alone, and returns its version when
	// it stands. It does not wait for its outcome.
	Propose(ctx context.Context, m pb.Membership, term uint64) (version uint64, err error)
}

// Config describes a Supervisor. Zero fields mean the default that is named with each.
type Config struct {
	// Group is what to look after. Required.
	Group Group
	// Policy is what may be done.
	Policy Policy
	// Interval is the time between two looks of Run. Default 1 s, and no more than a tenth
	// of Policy.After.
	Interval time.Duration
	// Now is the clock, which must not go back. Default time.Now.
	Now func() time.Time
	// Logger takes what is worth a line. Default: nothing is logged.
	Logger *zap.Logger
}

// Supervisor looks after a group. Its methods may be called concurrently.
type Supervisor struct {
	group    Group
	interval time.Duration
	now      func() time.Time
	log      *zap.Logger
	wake     chan struct{} // has room for one: Run is to look at once
	stepping sync.Mutex    // held by the one Step at a time, which owns memory
	memory   *memory

	mu     sync.Mutex
	policy Policy
	status Status
}

// Status is what a supervisor does.
type Status struct {
	// Decision is the last one, and At when it was made. Zero before the first.
	Decision Decision
	At       time.Time
	// Policy is what may be done.
	Policy Policy
	// Replaced is how often this supervisor has set a target.
	Replaced int
	// Resting are the spares that failed, with when they may be tried again.
	Resting map[uint64]time.Time
}

// New returns a supervisor that does nothing yet. The error matches ErrInvalidConfig.
func New(c Config) (*Supervisor, error) {
	if err := c.Policy.Validate(); err != nil {
		return nil, err
	}
	policy := c.Policy.withDefaults()
	switch {
	case c.Group == nil:
		return nil, fmt.Errorf("%w: Group must be set", ErrInvalidConfig)
	case c.Interval < 0:
		return nil, fmt.Errorf("%w: Interval (%v) must be positive", ErrInvalidConfig, c.Interval)
	}
	setDefault(&c.Interval, max(min(time.Second, policy.After/10), time.Millisecond))
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return &Supervisor{
		group: c.Group, interval: c.Interval, now: c.Now, log: c.Logger,
		wake: make(chan struct{}, 1), memory: newMemory(), policy: policy,
		status: Status{Policy: policy},
	}, nil
}

// Run takes steps until ctx ends.
func (s *Supervisor) Run(ctx context.Context) {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		s.Step(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// SetPaused makes the supervisor do nothing, or go on. A target that it has set already, or
// is about to propose at this moment, stands all the same: Status shows it, and
// replica.Replica.CancelMembership gives it up.
func (s *Supervisor) SetPaused(paused bool) {
	s.mu.Lock()
	p := s.policy
	p.Paused = paused
	s.setPolicy(p)
	s.mu.Unlock()
}

// setPolicy lets a policy count, and Run look at once. The lock is held.
func (s *Supervisor) setPolicy(p Policy) {
	s.policy, s.status.Policy = p, p
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// SetPolicy changes what may be done. The error matches ErrInvalidConfig.
func (s *Supervisor) SetPolicy(p Policy) error {
	if err := p.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setPolicy(p.withDefaults())
	return nil
}

// Status returns what the supervisor does.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Resting = maps.Clone(st.Resting)
	return st
}

// Step looks at the group once, does what is to be done, if anything, and returns what
// that was. It waits for the group no longer than a few election timeouts.
func (s *Supervisor) Step(ctx context.Context) Decision {
	s.stepping.Lock()
	defer s.stepping.Unlock()
	d := s.step(ctx)
	if ctx.Err() != nil && d.Err != nil {
		return d // it ends, and that is no news
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.status.Decision
	s.status.Decision, s.status.At, s.status.Resting = d, s.now(), maps.Clone(s.memory.rests)
	if d.Kind == Replace && d.Err == nil {
		s.status.Replaced++
	}
	if d.Kind != before.Kind || d.Voter != before.Voter || d.Spare != before.Spare {
		s.log.Info("repair", zap.Stringer("decision", d))
	}
	return d
}

// step judges twice, with a confirmation in between: what was seen at first may have
// been seen by one who was the leader.
func (s *Supervisor) step(ctx context.Context) Decision {
	first, v, _ := s.judge(ctx)
	if first.Kind != Replace {
		return first
	}
	timeout := max(2*v.ElectionTimeout, time.Millisecond)
	within, cancel := context.WithTimeout(ctx, timeout)
	err := s.group.Confirm(within)
	cancel()
	if err != nil {
		first.Kind, first.Spare, first.Err = Unconfirmed, 0, err
		return first
	}
	d, now, p := s.judge(ctx)
	if d.Kind != Replace {
		return d
	}
	if now.Term != v.Term || d.Voter != first.Voter || d.Spare != first.Spare {
		d.Kind, d.Spare = Unconfirmed, 0
		return d
	}
	within, cancel = context.WithTimeout(ctx, 5*timeout)
	defer cancel()
	d.Version, d.Err = s.group.Propose(within, now.membership(p, d), now.Term)
	if refusedForGood(d.Err) {
		s.memory.cool(p, s.now())
	}
	return d
}

// judge looks, and decides by the policy that it returns.
func (s *Supervisor) judge(ctx context.Context) (Decision, View, Policy) {
	v, err := s.group.Look(ctx)
	s.mu.Lock()
	p := s.policy
	s.mu.Unlock()
	if err != nil {
		return Decision{Kind: Unknown, Err: err}, v, p
	}
	now := s.now()
	s.memory.take(&v, p, now, 2*(s.interval+2*v.ElectionTimeout))
	return Decide(v, p, now), v, p
}

// refusedForGood reports whether trying again at once would be refused again: other
// refusals are because the group has changed, and the next look shows how.
func refusedForGood(err error) bool {
	var refused *raft.ConfChangeError
	return errors.As(err, &refused) && !errors.Is(err, confchange.ErrUnexpectedVersion) &&
		!errors.Is(err, raft.ErrConfChangePending) && !errors.Is(err, raft.ErrConfChangeTooEarly)
}
