package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// A transfer to a peer whose log is complete takes effect at once: the target
// campaigns in a new term without a pre-vote, and the others vote for it though
// they hear from the leader (dissertation §3.10, §4.2.3).
func TestTransfer(t *testing.T) {
	for _, conf := range []configure{nil, noPreVote, leases} {
		c := newGroup(t, 3, conf)
		ticksUntil(t, c, 100, func() bool { return c.Leader() != nil })
		l := c.Leader()
		target := l.ID%3 + 1
		term := l.BasicStatus().Term
		var kinds []pb.MessageType
		c.Drop = func(m pb.Message) bool { kinds = append(kinds, m.Type); return false }
		require.NoError(t, l.TransferLeader(target))
		require.Equal(t, target, l.BasicStatus().LeadTransferee)
		c.Settle()
		require.Equal(t, target, c.Leader().ID)
		require.Equal(t, term+1, c.Leader().BasicStatus().Term)
		require.NotContains(t, kinds, pb.MsgPreVote)
		require.Equal(t, raft.None, l.BasicStatus().LeadTransferee)
		require.Equal(t, raft.StepDownNone, l.BasicStatus().LastStepDown)
	}
}

// A target that is behind is brought up to date first, while proposals are
// refused; only then is it told to campaign (dissertation §3.10, steps 1 to 3).
func TestTransferBringsTheTargetUpToDate(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.Propose([]byte("x")))
	s.serve(3)
	require.NoError(t, s.TransferLeader(2))
	require.ErrorIs(t, s.Propose([]byte("y")), raft.ErrTransferring)
	require.ErrorIs(t, s.Propose([]byte("y")), raft.ErrProposalDropped)
	require.Empty(t, ofType(s.sent(), pb.MsgTimeoutNow))
	s.recv(ack(2, 2, 2))
	require.Empty(t, ofType(s.sent(), pb.MsgTimeoutNow), "not yet complete")
	s.recv(ack(2, 2, 3))
	m := theOne(t, s.sent(), pb.MsgTimeoutNow)
	require.Equal(t, uint64(2), m.To)
	require.Equal(t, uint64(2), m.Term)
	require.Equal(t, raft.StateLeader, s.role(), "it leads until somebody else does")
	require.ErrorIs(t, s.Propose([]byte("y")), raft.ErrTransferring)
}

// What cannot become leader is refused with an error that says why.
func TestTransferErrors(t *testing.T) {
	s := newSoloIn(t, nil, pb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{4}})
	require.ErrorIs(t, s.TransferLeader(2), raft.ErrNoLeader)
	require.ErrorIs(t, s.AbortTransfer(), raft.ErrNotLeader)
	s.elect()
	for _, target := range []uint64{raft.None, 9, 4, 1} {
		err := s.TransferLeader(target)
		require.ErrorIs(t, err, raft.ErrTransferTarget)
		var te *raft.TransferError
		require.ErrorAs(t, err, &te)
		require.Equal(t, target, te.Target)
		require.Equal(t, raft.None, s.BasicStatus().LeadTransferee)
	}
	require.NoError(t, s.AbortTransfer(), "nothing to abort")
}

// A transfer that is not done within an election timeout is given up, and
// proposals are taken again (dissertation §3.10).
func TestTransferHasADeadline(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.TransferLeader(2))
	for range 9 {
		s.Tick()
		s.serve(3)
		require.ErrorIs(t, s.Propose([]byte("x")), raft.ErrTransferring)
		require.NoError(t, s.TransferLeader(2), "asking again does not prolong it")
	}
	s.Tick()
	require.Equal(t, raft.None, s.BasicStatus().LeadTransferee)
	require.NoError(t, s.Propose([]byte("x")))
}

// A transfer can be aborted, and be turned to another target.
func TestTransferCanBeAbortedAndReplaced(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.Propose([]byte("x")))
	s.serve(3)
	require.NoError(t, s.TransferLeader(2))
	require.NoError(t, s.AbortTransfer())
	require.NoError(t, s.Propose([]byte("y")))
	s.sent()
	s.recv(ack(2, 2, 4))
	require.Empty(t, ofType(s.sent(), pb.MsgTimeoutNow), "aborted")

	require.NoError(t, s.Propose([]byte("z")))
	s.sent()
	require.NoError(t, s.TransferLeader(2))
	s.ticks(5)
	require.NoError(t, s.TransferLeader(3))
	s.ticks(5)
	require.Equal(t, uint64(3), s.BasicStatus().LeadTransferee, "with a time of its own")
	s.recv(ack(2, 2, 5))
	require.Empty(t, ofType(s.sent(), pb.MsgTimeoutNow))
	s.recv(ack(3, 2, 5))
	require.Equal(t, uint64(3), theOne(t, s.sent(), pb.MsgTimeoutNow).To)
}

// A transfer ends with leadership: no refusal is left over in a later term.
func TestTransferDoesNotOutliveLeadership(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.TransferLeader(2))
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 7, Reject: true})
	require.Equal(t, raft.None, s.BasicStatus().LeadTransferee)
	s.elect()
	require.Equal(t, raft.None, s.BasicStatus().LeadTransferee)
	require.NoError(t, s.Propose([]byte("x")))
}

// The removal or demotion of the target ends the transfer (dissertation §3.10).
func TestRemovalOfTheTargetAbortsTheTransfer(t *testing.T) {
	for _, what := range []string{"r3", "l3"} {
		s := newLeader(t, nil)
		require.NoError(t, s.ProposeConfChange(change(t, what)))
		s.sent()
		require.NoError(t, s.TransferLeader(3))
		s.recv(ack(2, 2, 3))
		s.sent()
		require.False(t, s.Status().Config.IsVoter(3))
		require.Equal(t, raft.None, s.BasicStatus().LeadTransferee)
		require.NoError(t, s.Propose([]byte("x")))
		s.serve()
	}
}

// Anybody may ask: followers pass the request on to the leader.
func TestTransferRequestsAreForwarded(t *testing.T) {
	c := newGroup(t, 3, nil)
	c.Elect(1)
	require.NoError(t, c.Node(2).TransferLeader(3))
	c.Settle()
	require.Equal(t, uint64(3), c.Leader().ID)
	require.NoError(t, c.Node(1).TransferLeader(1))
	c.Settle()
	require.Equal(t, uint64(1), c.Leader().ID)
}

// TimeoutNow makes a voter that follows campaign, in a new term at once; a late
// one of an older term does nothing (dissertation §3.10).
func TestTimeoutNow(t *testing.T) {
	s := newSolo(t, nil)
	s.recv(beat(2, 5, 0))
	s.sent()
	s.recv(pb.Message{Type: pb.MsgTimeoutNow, From: 2, Term: 4})
	require.Equal(t, raft.StateFollower, s.role())
	s.recv(pb.Message{Type: pb.MsgTimeoutNow, From: 2, Term: 5})
	require.Equal(t, raft.StateCandidate, s.role())
	for _, m := range ofType(s.sent(), pb.MsgVote) {
		require.Equal(t, "CampaignTransfer", string(m.Context))
		require.Equal(t, uint64(6), m.Term)
	}
	// Only that election is the leader's wish; the next is ordinary.
	for s.role() == raft.StateCandidate {
		s.Tick()
	}
	for _, m := range s.sent() {
		require.Equal(t, pb.MsgPreVote, m.Type)
		require.Empty(t, m.Context)
	}
}

// A target that is lost, or learns of TimeoutNow too late, leaves the group with
// its leader (dissertation §3.10).
func TestTransferToALostTarget(t *testing.T) {
	c := newGroup(t, 3, nil)
	l := c.Elect(1)
	c.Drop = rafttest.Cut(2)
	require.NoError(t, l.TransferLeader(2))
	c.Tick(11)
	require.Equal(t, uint64(1), c.Leader().ID)
	require.NoError(t, l.Propose([]byte("x")))
	c.Settle()
	require.Equal(t, l.BasicStatus().LastIndex, l.BasicStatus().Commit)
	c.Drop = nil
	c.Tick(5)
	sameLogs(t, c, 1, 2, 3)
}
