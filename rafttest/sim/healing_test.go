package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// led is a group of some members, without faults, that has a leader.
func led(t *testing.T, nodes int) (s *simulation, leader, other *node) {
	for seed := uint64(1); seed <= 20; seed++ {
		s = newSimulation(Options{Seed: seed, Nodes: nodes, Faults: None})
		advance(s, 3000)
		require.Nil(t, s.result.Violation)
		if leader = s.leader(); leader == nil {
			continue
		}
		for _, n := range s.nodes {
			if n != nil && n != leader {
				other = n
			}
		}
		return s, leader, other
	}
	t.Fatal("no leader")
	return nil, nil, nil
}

func removal(id uint64) pb.ConfChangeV2 {
	return pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeRemoveNode, NodeID: id}}}
}

// A node that was removed while nobody could tell it is destroyed once all
// members know, although it takes itself for one; not before, as who does not
// know yet may need its vote (dissertation §4.2.2).
func TestRetireWhoDoesNotKnow(t *testing.T) {
	t.Parallel()
	s, leader, gone := led(t, 5)
	r := newRandom(1, 1)
	s.cutOff(gone, 1)
	require.Empty(t, s.retireNodes(r), "nobody was removed")
	var late *node // another member that does not hear of it at first
	for _, n := range s.nodes {
		if n != nil && n != leader && n != gone {
			late = n
		}
	}
	late.paused++
	s.proposeChange(leader, removal(gone.id), nil)
	advance(s, 1000)
	require.Nil(t, s.result.Violation)
	require.False(t, leader.Status().Config.Contains(gone.id), "three of five suffice")
	require.True(t, late.Status().Config.Contains(gone.id))
	require.Empty(t, s.retireNodes(r), "a member does not know yet")
	s.resume(late)
	advance(s, 3000)
	require.Nil(t, s.result.Violation)
	require.True(t, gone.Status().Config.Contains(gone.id), "it does not know")
	require.True(t, s.judgeable(false))
	late.stayDown++
	s.crash(late, false, "")
	require.Empty(t, s.retireNodes(r), "a member is down and might not know")
	late.stayDown--
	advance(s, 3000)
	require.NotEmpty(t, s.retireNodes(r))
	require.Nil(t, s.byID(gone.id))
	require.False(t, gone.exists)
	advance(s, 3000)
	require.Nil(t, s.result.Violation)
}

// A group is judged by those who can still be members: what a node that was
// removed believes, of whom nobody is left, does not excuse the others.
func TestJudgeable(t *testing.T) {
	t.Parallel()
	s, leader, other := led(t, 3)
	require.True(t, s.judgeable(false))
	other.dead = true
	require.True(t, s.judgeable(false), "two of three")
	leader.dead = true
	require.False(t, s.judgeable(false), "one of three")
	leader.dead, other.dead = false, false

	// The one that is removed knows a group of four of whom two will be lost.
	s, leader, gone := led(t, 4)
	s.cutOff(gone, 1)
	s.proposeChange(leader, removal(gone.id), nil)
	advance(s, 3000)
	for _, n := range s.nodes {
		if n != nil && n != leader && n != gone {
			s.proposeChange(leader, removal(n.id), nil)
			advance(s, 3000)
			n.dead = true
		}
	}
	require.Nil(t, s.result.Violation)
	require.Len(t, leader.Status().Config.IDs(), 1)
	require.Len(t, gone.Status().Config.IDs(), 4)
	require.True(t, s.judgeable(false), s.describe())
}

// After the faults a proposal has to be committed (L4). One that was taken by a
// leader which was deposed may be lost, which is no violation: it is made again.
func TestWriteOfDeposedLeader(t *testing.T) {
	t.Parallel()
	s, leader, _ := led(t, 3)
	h := &s.healing
	s.enter(waitForWrite)
	h.write, h.writeIn = leader.BasicStatus().LastIndex+10_000, leader.term-1
	for end := s.now + s.timeouts(moveWithin); h.phase == waitForWrite && s.now <= end; {
		advance(s, 20)
		s.watchWrite()
	}
	require.Nil(t, s.result.Violation)
	require.Equal(t, waitForRest, h.phase)
	require.Equal(t, leader.term, h.writeIn)
	require.Less(t, h.write, uint64(10_000))

	// One that never commits is.
	s, leader, _ = led(t, 3)
	h = &s.healing
	s.enter(waitForWrite)
	h.write, h.writeIn = leader.BasicStatus().LastIndex+1_000_000, leader.term
	for end := s.now + s.timeouts(moveWithin+1); !s.stopped() && s.now <= end; {
		advance(s, 20)
		s.watchWrite()
	}
	require.NotNil(t, s.result.Violation)
	require.Equal(t, "L4", s.result.Violation.Rule)
}
