package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// world is a group as it would be, with a clock that only the test moves.
type world struct {
	t         *testing.T
	now       time.Time
	leads     bool
	term      uint64
	changing  bool
	conf      pb.ConfState
	heard     map[uint64]time.Time // when the leader last heard from each
	down      map[uint64]bool
	proposals []string
	confirm   func() error
	look      func() error
	refuse    error
	before    func() // the next proposal
}

func newWorld(t *testing.T, voters ...uint64) *world {
	return &world{
		t: t, now: t0, leads: true, term: 1, conf: pb.ConfState{Index: 1, Voters: voters},
		heard: map[uint64]time.Time{}, down: map[uint64]bool{},
	}
}

func (w *world) Look(context.Context) (View, error) {
	if w.look != nil {
		if err := w.look(); err != nil {
			return View{}, err
		}
	}
	v := View{
		ID: 1, Term: w.term, Leads: w.leads, Config: w.conf, Changing: w.changing, ElectionTimeout: electionTimeout,
		Silent: map[uint64]time.Duration{},
	}
	for _, id := range slices.Concat(w.conf.Voters, w.conf.Learners) {
		if !w.down[id] {
			w.heard[id] = w.now
		}
		v.Silent[id] = w.now.Sub(w.heard[id])
	}
	return v, nil
}

func (w *world) Confirm(context.Context) error {
	if w.confirm != nil {
		return w.confirm()
	}
	return nil
}

func (w *world) Propose(_ context.Context, m pb.Membership, term uint64) (uint64, error) {
	if w.before != nil {
		w.before()
	}
	if w.refuse != nil {
		return 0, &raft.ConfChangeError{Reason: w.refuse}
	}
	if !w.leads || w.term != term {
		return 0, raft.ErrNotLeader
	}
	if *m.Expected != w.conf.Index {
		return 0, &raft.ConfChangeError{Reason: confchange.ErrUnexpectedVersion}
	}
	target := m.Target()
	w.conf.Index++
	target.Version = w.conf.Index
	w.conf.Target = &target
	w.proposals = append(w.proposals, fmt.Sprint(target.Voters))
	return target.Version, nil
}

// end does what the group would: the target is reached if its servers are there.
func (w *world) end() {
	target := w.conf.Target
	if target == nil {
		return
	}
	w.conf.Index++
	outcome := pb.MembershipOutcome{Version: target.Version, Result: pb.MembershipReached, Index: w.conf.Index}
	for _, id := range target.Voters {
		if w.down[id] && !slices.Contains(w.conf.Voters, id) {
			outcome.Result, outcome.Reason, outcome.Node = pb.MembershipAborted, pb.MembershipNoAnswer, id
		}
	}
	if outcome.Result == pb.MembershipReached {
		w.conf.Voters, w.conf.Learners = target.Voters, target.Learners
	}
	w.conf.Target, w.conf.LastOutcome = nil, &outcome
}

// run lets time pass and the supervisors look.
func (w *world) run(d time.Duration, all ...*Supervisor) (last Decision) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(time.Second) {
		for _, s := range all {
			last = s.Step(context.Background())
		}
		w.end()
	}
	return last
}

func (w *world) supervisor(p Policy) *Supervisor {
	w.t.Helper()
	if len(p.Spares) == 0 {
		p.Spares = []pb.Member{{ID: 4}, {ID: 5}}
	}
	p.After = time.Minute
	s, err := New(Config{Group: w, Policy: p, Interval: time.Second, Now: func() time.Time { return w.now }})
	require.NoError(w.t, err)
	return s
}

// A voter that is gone is replaced when it was gone for long enough, and nothing is done
// before or after.
func TestReplace(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s := w.supervisor(Policy{})
	require.Equal(t, Healthy, w.run(time.Hour, s).Kind)
	w.down[3] = true
	require.Equal(t, Waiting, w.run(59*time.Second, s).Kind)
	require.Empty(t, w.proposals)
	require.Equal(t, Healthy, w.run(time.Minute, s).Kind)
	require.Equal(t, []string{"[1 2 4]"}, w.proposals)
	w.run(time.Hour, s)
	require.Len(t, w.proposals, 1)
	require.Equal(t, 1, s.Status().Replaced)
}

// A spare that is dead is given up and another one tried; it rests for longer each time, so
// that what is tried does not go on without an end.
func TestDeadSpares(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s := w.supervisor(Policy{Cooldown: 5 * time.Minute, MaxCooldown: 40 * time.Minute})
	w.down[3], w.down[4], w.down[5] = true, true, true
	w.run(2*time.Minute, s)
	require.Equal(t, []string{"[1 2 4]", "[1 2 5]"}, w.proposals, "one after the other")
	require.Equal(t, NoSpare, s.Status().Decision.Kind)
	require.False(t, s.Status().Decision.Until.IsZero())
	w.run(4*time.Hour, s)
	// After 5, 10, 20, 40, 40 ... minutes, each of both.
	require.LessOrEqual(t, len(w.proposals), 2*9)
	w.down[5] = false
	w.run(time.Hour, s)
	require.Equal(t, []uint64{1, 2, 5}, w.conf.Voters)
	require.Equal(t, Healthy, w.run(time.Hour, s).Kind)
}

// seat is the world as another replica sees it.
type seat struct {
	*world
	leads bool
}

func (o *seat) Look(ctx context.Context) (View, error) {
	v, err := o.world.Look(ctx)
	v.Leads = o.leads
	return v, err
}

// A later leader's supervisor knows which spare has failed, as it saw the outcome too.
func TestFailuresAreKnownToTheNextLeader(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s, next := w.supervisor(Policy{Cooldown: time.Hour}), w.supervisor(Policy{Cooldown: time.Hour})
	other := &seat{world: w}
	next.group = other
	w.down[3], w.down[4], w.down[5] = true, true, true
	w.run(61*time.Second, s, next)
	require.Equal(t, []string{"[1 2 4]"}, w.proposals)
	other.leads, w.term = true, 2
	w.run(30*time.Minute, next)
	require.Equal(t, []string{"[1 2 4]", "[1 2 5]"}, w.proposals)
}

// A voter that answers now and then is not gone, however often it is silent.
func TestFlappingVoter(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s := w.supervisor(Policy{})
	for range 100 {
		w.down[3] = true
		w.run(58*time.Second, s)
		w.down[3] = false
		w.run(time.Second, s)
	}
	require.Empty(t, w.proposals)
}

// What is paused does nothing, and once it goes on it does what is due.
func TestPause(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s := w.supervisor(Policy{Paused: true})
	w.down[3] = true
	require.Equal(t, Paused, w.run(time.Hour, s).Kind)
	require.Empty(t, w.proposals)
	s.SetPaused(false)
	w.run(3*time.Second, s)
	require.Len(t, w.proposals, 1)
	s.SetPaused(true)
	require.True(t, s.Status().Policy.Paused)
	require.Equal(t, Paused, s.Step(t.Context()).Kind)
}

// Of two supervisors that find the same only one gets its way: the other expected another
// configuration. So nothing is done twice.
func TestRace(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s, other := w.supervisor(Policy{}), w.supervisor(Policy{Spares: []pb.Member{{ID: 5}}})
	w.down[3] = true
	w.run(60*time.Second, s, other)
	require.Empty(t, w.proposals)
	w.before = func() {
		w.before = nil
		require.NoError(t, other.Step(t.Context()).Err)
	}
	d := s.Step(t.Context())
	require.Equal(t, Replace, d.Kind)
	require.ErrorIs(t, d.Err, confchange.ErrUnexpectedVersion)
	require.Zero(t, s.memory.notYet, "it lost a race, which is no failure")
	require.Equal(t, []string{"[1 2 5]"}, w.proposals)
	w.end()
	require.Equal(t, Healthy, w.run(time.Hour, s, other).Kind)
	require.Len(t, w.proposals, 1)
}

// Nothing is done without a quorum's word, given after what was found, that this replica
// leads; nor if meanwhile it leads in another term, or the voter is back.
func TestConfirmation(t *testing.T) {
	for what, confirm := range map[string]func(w *world) error{
		"no quorum":         func(*world) error { return context.DeadlineExceeded },
		"another leads":     func(w *world) error { w.leads = false; return nil },
		"another term":      func(w *world) error { w.term++; return nil },
		"it is back":        func(w *world) error { w.down[3] = false; return nil },
		"a target stands":   func(w *world) error { w.conf.Target = &pb.MembershipTarget{Version: 1}; return nil },
		"a change by hand":  func(w *world) error { w.changing = true; return nil },
		"nobody knows more": func(w *world) error { w.look = func() error { return errors.New("gone") }; return nil },
	} {
		w := newWorld(t, 1, 2, 3)
		s := w.supervisor(Policy{})
		w.down[3] = true
		w.run(60*time.Second, s)
		asked := false
		w.confirm = func() error { asked = true; return confirm(w) }
		d := s.Step(t.Context())
		require.True(t, asked, what)
		require.NotEqual(t, Replace, d.Kind, what)
		require.Empty(t, w.proposals, what)
	}
}

// A supervisor that stood still has seen nothing, and a leader that is new knows nothing:
// both watch for the whole time before they act.
func TestWatchBeginsAnew(t *testing.T) {
	for what, interrupt := range map[string]func(w *world){
		"it stood still": func(w *world) { w.now = w.now.Add(time.Hour) },
		"a new term":     func(w *world) { w.term++ },
	} {
		w := newWorld(t, 1, 2, 3)
		s := w.supervisor(Policy{})
		w.down[3] = true
		w.run(50*time.Second, s)
		interrupt(w)
		require.Equal(t, Waiting, w.run(59*time.Second, s).Kind, what)
		require.Empty(t, w.proposals, what)
		w.run(5*time.Second, s)
		require.Len(t, w.proposals, 1, what)
	}
}

// A member that was added a moment ago and says nothing yet was not silent before.
func TestNewVoter(t *testing.T) {
	w := newWorld(t, 1, 2)
	s := w.supervisor(Policy{})
	w.run(time.Hour, s)
	w.conf.Index, w.conf.Voters, w.down[3] = 2, []uint64{1, 2, 3}, true
	require.Equal(t, Waiting, w.run(59*time.Second, s).Kind)
}

// What an operator cancels is not begun again at once, and neither is what is refused.
func TestCancelledAndRefused(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s := w.supervisor(Policy{Cooldown: 10 * time.Minute})
	w.down[3] = true
	w.run(60*time.Second, s)
	require.Equal(t, Replace, s.Step(t.Context()).Kind)
	w.conf.Index++
	w.conf.LastOutcome = &pb.MembershipOutcome{
		Version: w.conf.Target.Version, Result: pb.MembershipAborted, Reason: pb.MembershipCancelled, Index: w.conf.Index,
	}
	w.conf.Target = nil
	require.Equal(t, CoolingDown, w.run(9*time.Minute, s).Kind)
	w.refuse = confchange.ErrWouldLoseQuorum
	require.Equal(t, CoolingDown, w.run(5*time.Minute, s).Kind)
	require.Len(t, w.proposals, 1)
	w.refuse = nil
	w.run(30*time.Minute, s)
	require.Equal(t, []uint64{1, 2, 4}, w.conf.Voters)
}

// Run looks again and again, and at once when it is told what it may do.
func TestRun(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	looked := make(chan struct{}, 100)
	w.look = func() error { looked <- struct{}{}; return nil }
	s, err := New(Config{Group: w, Policy: Policy{Learners: true}, Interval: time.Hour})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	<-looked
	require.Error(t, s.SetPolicy(Policy{}))
	require.NoError(t, s.SetPolicy(Policy{Learners: true, After: time.Hour}))
	<-looked
	s.SetPaused(true)
	<-looked
	cancel()
	<-ended
	require.Equal(t, time.Hour, s.Status().Policy.After)
	require.Equal(t, Paused, s.Status().Decision.Kind)
}

// The ID of a voter that was replaced is not used again, though it is among the spares: the
// server may have forgotten its votes. As a learner that somebody else added it is one.
func TestRemovedVoterIsNoSpare(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s := w.supervisor(Policy{Spares: []pb.Member{{ID: 3}, {ID: 4}}})
	require.Equal(t, Healthy, w.run(time.Minute, s).Kind)
	w.down[3] = true
	w.run(2*time.Minute, s)
	require.Equal(t, []string{"[1 2 4]"}, w.proposals)
	w.down[3], w.down[2] = false, true
	require.Equal(t, NoSpare, w.run(time.Hour, s).Kind)
	w.conf.Learners = []uint64{3}
	w.run(time.Second, s)
	require.Equal(t, []uint64{1, 4, 3}, w.conf.Voters)
}

// What is paused while it waits to be confirmed as the leader does nothing.
func TestPauseMeanwhile(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	s := w.supervisor(Policy{})
	w.down[3] = true
	w.run(60*time.Second, s)
	w.confirm = func() error { s.SetPaused(true); return nil }
	require.Equal(t, Paused, s.Step(t.Context()).Kind)
	require.Empty(t, w.proposals)
}

// What was confirmed is what is done: if it is another voter, or spare, by then it is judged
// again.
func TestAnotherVerdict(t *testing.T) {
	for what, confirm := range map[string]func(w *world, s *Supervisor){
		"another voter": func(w *world, _ *Supervisor) { w.down[4] = false },
		"another spare": func(_ *world, s *Supervisor) {
			require.NoError(t, s.SetPolicy(Policy{Spares: []pb.Member{{ID: 7}}, After: time.Minute}))
		},
	} {
		w := newWorld(t, 1, 2, 3, 4, 5)
		s := w.supervisor(Policy{Spares: []pb.Member{{ID: 6}}})
		w.down[4] = true
		w.run(time.Second, s)
		w.down[5] = true
		w.confirm = func() error { return context.DeadlineExceeded }
		w.run(2*time.Minute, s)
		w.confirm = func() error { confirm(w, s); return nil }
		require.Equal(t, Unconfirmed, s.Step(t.Context()).Kind, what)
		require.Empty(t, w.proposals, what)
		w.confirm = nil
		require.Equal(t, Replace, s.Step(t.Context()).Kind, what)
	}
}

// deadlines notes how much time it is given.
type deadlines struct {
	*world
	given time.Duration
}

func (d *deadlines) Confirm(ctx context.Context) error {
	until, _ := ctx.Deadline()
	d.given = time.Until(until)
	return nil
}

// A leader that nobody confirms is not waited for longer than it takes to be another's follower.
func TestConfirmationInTime(t *testing.T) {
	w := &deadlines{world: newWorld(t, 1, 2, 3)}
	s := w.supervisor(Policy{})
	s.group = w
	w.down[3] = true
	w.run(61*time.Second, s)
	require.Len(t, w.proposals, 1)
	require.Positive(t, w.given)
	require.LessOrEqual(t, w.given, 2*electionTimeout)
}
