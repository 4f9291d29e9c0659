package replica

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// A replica says how a target has ended if it can know that for certain, that it does not
// know where entries came as a snapshot, and waits where the answer is still to come.
func TestWhatIsKnownOfTargets(t *testing.T) {
	conf := func(target, outcome uint64) *pb.ConfState {
		cs := &pb.ConfState{Voters: []uint64{1, 2}}
		if target != 0 {
			cs.Target = &pb.MembershipTarget{Version: target}
		}
		if outcome != 0 {
			cs.LastOutcome = &pb.MembershipOutcome{Version: outcome, Result: pb.MembershipReached, Index: outcome + 1}
		}
		return cs
	}
	kinds := func(events []Event) (kinds []EventKind) {
		for _, e := range events {
			kinds = append(kinds, e.Kind)
		}
		return kinds
	}
	ts := newTargets(1)
	waits := func(version uint64) {
		t.Helper()
		_, known, err := ts.outcome(version)
		require.NoError(t, err)
		require.False(t, known)
	}
	unknown := func(version uint64, want error) {
		t.Helper()
		_, known, err := ts.outcome(version)
		require.True(t, known)
		require.ErrorIs(t, err, want)
	}
	waits(10)
	require.Empty(t, ts.note(conf(0, 0), 5))
	unknown(5, ErrNoTarget)
	require.Equal(t, []EventKind{TargetSet}, kinds(ts.note(conf(10, 0), 10)))
	require.Empty(t, ts.note(conf(10, 0), 11), "a step on the way")
	waits(10)
	unknown(9, ErrOutcomeUnknown)
	require.Equal(t, []EventKind{TargetEnded}, kinds(ts.note(conf(0, 10), 12)))
	o, known, err := ts.outcome(10)
	require.True(t, known)
	require.NoError(t, err)
	require.Equal(t, uint64(10), o.Version)
	waits(20)
	require.Equal(t, []EventKind{TargetEnded, TargetSet}, kinds(ts.note(conf(40, 30), 50)), "by a snapshot")
	unknown(20, ErrOutcomeUnknown)
	waits(40)
	_, known, err = ts.outcome(10)
	require.True(t, known)
	require.NoError(t, err)

	changed := ts.wait()
	ts.appliedTo(60)
	<-changed
	ts.waited()
	require.Zero(t, ts.waiting)
	waits(61)

	// Who was removed on the way to a target does not hear of its end.
	gone := conf(40, 30)
	gone.Voters = []uint64{2}
	ts.note(gone, 61)
	unknown(40, ErrNotMember)
	unknown(90, ErrNotMember)
	unknown(90, ErrOutcomeUnknown)
	o, _, err = ts.outcome(30)
	require.NoError(t, err)
	require.Equal(t, uint64(30), o.Version)

	for i := uint64(100); i < 300; i++ {
		ts.note(conf(0, i), i+1)
	}
	require.Len(t, ts.ended, maxOutcomes)
	unknown(110, ErrOutcomeUnknown)
}

// One who is about to join was no member yet, and waits.
func TestJoiningIsNotGone(t *testing.T) {
	ts := newTargets(3)
	ts.note(&pb.ConfState{Voters: []uint64{1, 2}, Target: &pb.MembershipTarget{Version: 10}}, 10)
	_, known, err := ts.outcome(10)
	require.NoError(t, err)
	require.False(t, known)
}

// One who was told for certain that he was removed waits for nothing more.
func TestToldToBeRemoved(t *testing.T) {
	ts := newTargets(1)
	ts.note(&pb.ConfState{Voters: []uint64{1, 2}, Target: &pb.MembershipTarget{Version: 10}}, 10)
	changed := ts.wait()
	ts.removed()
	<-changed
	for _, version := range []uint64{10, 11} {
		_, known, err := ts.outcome(version)
		require.True(t, known)
		require.ErrorIs(t, err, ErrNotMember)
	}
}

// What may have been applied is not tried again, whatever the reason for which it was refused.
func TestOnlyWhatIsNotAppliedPasses(t *testing.T) {
	for _, reason := range []error{raft.ErrConfChangePending, raft.ErrNoLeader, confchange.ErrUnsupported} {
		require.True(t, passes(notApplied(reason), true))
		require.False(t, passes(fmt.Errorf("%w: %w", ErrAmbiguous, reason), true))
	}
	require.False(t, passes(notApplied(confchange.ErrUnsupported), false))
	require.False(t, passes(notApplied(confchange.ErrWouldLoseQuorum), true))
}
