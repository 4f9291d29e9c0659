package repair

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Silence is no longer than the watch, but a young watch makes nobody one who is heard from;
// of one that was no member meanwhile it begins anew.
func TestWatch(t *testing.T) {
	m := newMemory()
	look := func(now time.Time, voters ...uint64) View {
		v := dead(4)
		v.Config.Voters = voters
		m.watch(&v, now, time.Minute)
		return v
	}
	v := look(t0, 1, 2, 3, 4, 5)
	require.Equal(t, electionTimeout, v.Silent[4])
	require.False(t, v.heard(4))
	v = look(t0.Add(30*time.Second), 1, 2, 3, 4, 5)
	require.Equal(t, 30*time.Second, v.Silent[4])
	look(t0.Add(40*time.Second), 1, 2, 3, 5)
	v = look(t0.Add(50*time.Second), 1, 2, 3, 4, 5)
	require.Equal(t, electionTimeout, v.Silent[4])
}

// Each failure in a row doubles the time of rest, up to the most; a spare that came to vote
// has failed no more, and a target that was reached lets all be tried again.
func TestLearn(t *testing.T) {
	p := Policy{Cooldown: 4 * time.Minute, MaxCooldown: 10 * time.Minute}
	m, index := newMemory(), uint64(0)
	ends := func(result pb.MembershipResult, reason pb.MembershipReason, voters ...uint64) {
		index++
		m.learn(&pb.ConfState{Voters: voters, LastOutcome: &pb.MembershipOutcome{Index: index, Result: result, Reason: reason, Node: 7}}, p, t0)
	}
	for _, reason := range []pb.MembershipReason{pb.MembershipTooSlow, pb.MembershipNoAnswer, pb.MembershipRefused} {
		ends(pb.MembershipAborted, reason, 1)
	}
	require.Equal(t, t0.Add(10*time.Minute), m.rests[7])
	require.Zero(t, m.notYet)
	ends(pb.MembershipReached, 0, 1, 7)
	require.Empty(t, m.rests)
	ends(pb.MembershipAborted, pb.MembershipNoAnswer, 1)
	require.Equal(t, t0.Add(4*time.Minute), m.rests[7])

	ends(pb.MembershipAborted, pb.MembershipCancelled, 1)
	ends(pb.MembershipAborted, pb.MembershipCancelled, 1)
	require.Equal(t, t0.Add(8*time.Minute), m.notYet)
	ends(pb.MembershipReached, 0, 1)
	require.Zero(t, m.notYet)
	ends(pb.MembershipAborted, pb.MembershipCancelled, 1)
	require.Equal(t, t0.Add(4*time.Minute), m.notYet)
}
