package replica

import (
	"sync"

	pb "github.com/quorate-raft/raft/raftpb"
)

// maxOutcomes is how many outcomes of membership targets a replica remembers, so that
// one who asks a little late still gets an exact answer.
const maxOutcomes = 64

// targets is what this replica knows of membership targets from the configurations that
// it has applied. All of them are committed, also with OnAppend.
type targets struct {
	id uint64 // the replica's own

	mu      sync.Mutex
	applied uint64 // index up to which it knows
	stands  *pb.MembershipTarget
	last    *pb.MembershipOutcome
	ended   []pb.MembershipOutcome // the last ones, oldest first
	member  bool                   // this replica is one
	gone    bool                   // it was one, and is not any more
	waiting int
	changed chan struct{} // closed, and made anew, when any of the above changes
}

func newTargets(id uint64) *targets { return &targets{id: id, changed: make(chan struct{})} }

// note takes a configuration that was applied, by an entry or with a snapshot, and
// returns what there is to tell of it.
func (ts *targets) note(cs *pb.ConfState, applied uint64) (events []Event) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.applied = max(ts.applied, applied)
	if o := cs.LastOutcome; o != nil && !o.Equal(ts.last) {
		ts.last = o
		ts.ended = append(ts.ended, *o)
		ts.ended = ts.ended[max(0, len(ts.ended)-maxOutcomes):]
		events = append(events, Event{Kind: TargetEnded, Outcome: *o, Index: o.Index})
	}
	if t := cs.Target; t != nil && (ts.stands == nil || ts.stands.Version != t.Version) {
		events = append(events, Event{Kind: TargetSet, Target: *t, Index: t.Version})
	}
	ts.stands = cs.Target
	was := ts.member
	ts.member = isMember(cs, ts.id)
	ts.gone = !ts.member && (was || ts.gone)
	ts.wake()
	return events
}

// removed takes note that this replica is no member any more, of which it has no entry.
func (ts *targets) removed() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.gone = true
	ts.wake()
}

// appliedTo takes note of how far is applied, for those who wait for a version that may
// be none.
func (ts *targets) appliedTo(index uint64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.applied = index
	ts.wake()
}

// wake lets those who wait look again. The lock is held.
func (ts *targets) wake() {
	if ts.waiting > 0 {
		close(ts.changed)
		ts.changed = make(chan struct{})
	}
}

// standing returns the version of the target that stands, 0 if none does.
func (ts *targets) standing() uint64 {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.stands == nil {
		return 0
	}
	return ts.stands.Version
}

// known returns the target that stands, and how the last one ended.
func (ts *targets) known() pb.ConfState {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return pb.ConfState{Target: ts.stands, LastOutcome: ts.last}
}

// outcome says how the target of a version has ended; known is false if the answer is
// to be waited for.
func (ts *targets) outcome(version uint64) (o pb.MembershipOutcome, known bool, err error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, o := range ts.ended {
		if o.Version == version {
			return o, true, nil
		}
	}
	stands := ts.stands != nil && ts.stands.Version == version
	later := ts.stands != nil && ts.stands.Version > version || ts.last != nil && ts.last.Version > version
	switch {
	case stands && ts.gone:
		return o, true, ErrNotMember
	case stands:
		return o, false, nil
	case later:
		// If there was such a target it has ended, perhaps by one of these.
		return o, true, ErrOutcomeUnknown
	case ts.applied >= version:
		return o, true, ErrNoTarget
	case ts.gone:
		return o, true, ErrNotMember
	}
	return o, false, nil
}

// wait counts one in who waits, and returns what is closed when he should look again.
func (ts *targets) wait() <-chan struct{} {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.waiting++
	return ts.changed
}

func (ts *targets) waited() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.waiting--
}
