package raft

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// state renders all that a node remembers and is about to emit.
func (r *raft) state() string {
	s := fmt.Sprintf("%+v\n%+v\n%+v\n", *r, *r.log, *r.collecting())
	if r.leader != nil {
		s += fmt.Sprintf("%+v\n", *r.leader)
	}
	if r.candidate != nil {
		s += fmt.Sprintf("%+v\n", *r.candidate)
	}
	return s
}

// inRole returns node 1 of three in the given role: term 2, one entry of its own
// or of leader 2 in the log, nothing left to do.
func inRole(t *testing.T, role StateType) *RawNode {
	t.Helper()
	storage := NewMemoryStorage()
	cs := pb.ConfState{Voters: []uint64{1, 2, 3}}
	require.NoError(t, storage.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: cs}}))
	rn, err := NewRawNode(&Config{ID: 1, Storage: storage, DisablePreVote: role != StatePreCandidate, DisableCheckQuorum: true})
	require.NoError(t, err)
	settle := func() {
		for rn.HasReady() {
			rd := rn.Ready()
			require.NoError(t, storage.Append(rd.Entries))
			if !IsEmptyHardState(rd.HardState) {
				require.NoError(t, storage.SetHardState(rd.HardState))
			}
			require.NoError(t, rn.Advance(rd))
		}
	}
	step := func(m pb.Message) { m.To = 1; require.NoError(t, rn.Step(m)); settle() }
	switch role {
	case StateFollower:
		step(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Entries: []pb.Entry{{Index: 2, Term: 2}}})
	case StatePreCandidate:
		step(pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 2})
		require.NoError(t, rn.Campaign())
	case StateCandidate:
		require.NoError(t, rn.Campaign())
	case StateLeader:
		require.NoError(t, rn.Campaign())
		settle()
		step(pb.Message{Type: pb.MsgVoteResp, From: 2, Term: 2})
		step(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 2, Index: 2})
		require.NoError(t, rn.Propose([]byte("x")))
	}
	settle()
	require.Equal(t, role, rn.raft.role)
	require.Equal(t, uint64(2), rn.raft.term)
	return rn
}

// What a message at the node's own term, from a member, does in each role (Raft
// figure 2). The pairs that mean nothing change no state and emit nothing: late
// answers, and requests that only another role can serve.
func TestEveryPairOfRoleAndMessage(t *testing.T) {
	const (
		acts    = "acts"
		nothing = "nothing"
		refused = "refused" // with an error
	)
	token := make([]byte, 16)
	tests := []struct {
		m                                        pb.Message
		follower, preCandidate, candidate, leads string
	}{
		{pb.Message{Type: pb.MsgApp, Term: 2, Index: 1, LogTerm: 1, Entries: []pb.Entry{{Index: 2, Term: 2}}}, acts, acts, acts, refused},
		{pb.Message{Type: pb.MsgHeartbeat, Term: 2, Round: 1}, acts, acts, acts, refused},
		{pb.Message{Type: pb.MsgSnap, Term: 2, Snapshot: &pb.Snapshot{Metadata: pb.SnapshotMetadata{
			Index: 9, Term: 2, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}},
		}}}, acts, acts, acts, refused},
		{pb.Message{Type: pb.MsgVote, Term: 2, Index: 9, LogTerm: 2}, acts, acts, acts, acts},
		{pb.Message{Type: pb.MsgPreVote, Term: 3, Index: 9, LogTerm: 2}, acts, acts, acts, acts},
		{pb.Message{Type: pb.MsgTimeoutNow, Term: 2}, acts, nothing, nothing, refused},
		{pb.Message{Type: pb.MsgAppResp, Term: 2, Index: 3}, nothing, nothing, nothing, acts},
		{pb.Message{Type: pb.MsgAppResp, Term: 2, Index: 3, Reject: true, RejectHint: 2, LogTerm: 2}, nothing, nothing, nothing, acts},
		{pb.Message{Type: pb.MsgHeartbeatResp, Term: 2}, nothing, nothing, nothing, acts},
		{pb.Message{Type: pb.MsgVoteResp, Term: 2}, nothing, nothing, acts, nothing},
		{pb.Message{Type: pb.MsgVoteResp, Term: 2, Reject: true}, nothing, nothing, acts, nothing},
		{pb.Message{Type: pb.MsgPreVoteResp, Term: 3}, nothing, acts, nothing, nothing},
		{pb.Message{Type: pb.MsgPreVoteResp, Term: 2, Reject: true}, nothing, acts, nothing, nothing},
		{pb.Message{Type: pb.MsgProp, Entries: []pb.Entry{{Data: []byte("x")}}, From: 3}, acts, refused, refused, acts},
		{pb.Message{Type: pb.MsgReadIndex, Entries: []pb.Entry{{Data: token}}, From: 3}, acts, refused, refused, acts},
		{pb.Message{Type: pb.MsgTransferLeader, From: 3}, acts, refused, refused, acts},
		{pb.Message{Type: pb.MsgReadIndexResp, Term: 2, Index: 1, Entries: []pb.Entry{{Data: token}}}, nothing, nothing, nothing, refused},
	}
	for _, tt := range tests {
		for role, want := range map[StateType]string{
			StateFollower: tt.follower, StatePreCandidate: tt.preCandidate, StateCandidate: tt.candidate, StateLeader: tt.leads,
		} {
			t.Run(fmt.Sprint(role, tt.m.Type, tt.m.Reject), func(t *testing.T) {
				rn := inRole(t, role)
				m := tt.m
				m.To = 1
				if m.From == None {
					m.From = 2
				}
				before := rn.raft.state()
				err := rn.Step(m)
				after := rn.raft.state()
				switch want {
				case acts:
					require.NoError(t, err)
					require.NotEqual(t, before, after)
				case nothing:
					require.NoError(t, err)
					require.Equal(t, before, after)
					require.False(t, rn.HasReady())
				case refused:
					require.Error(t, err)
					require.Equal(t, before, after)
					require.False(t, rn.HasReady())
				}
			})
		}
	}
}

// An answer to a forwarded read acts on a follower that waits for it.
func TestReadAnswerActsOnTheFollowerThatWaits(t *testing.T) {
	rn := inRole(t, StateFollower)
	require.NoError(t, rn.ReadIndex([]byte("r")))
	rd := rn.Ready()
	m := rd.Messages[0]
	require.NoError(t, rn.Step(pb.Message{Type: pb.MsgReadIndexResp, From: 2, To: 1, Term: 2, Index: 2, Entries: m.Entries}))
	require.Len(t, rn.Ready().ReadStates, 1)
}

// Every message type is of one kind, and one that a node makes for itself, or
// that nobody knows, is refused from outside and changes nothing.
func TestLocalAndUnknownMessagesAreRefused(t *testing.T) {
	for value := range pb.MessageType_name {
		mt := pb.MessageType(value)
		require.NotEqual(t, uint8(kindUnknown), kindOf(mt), "%v", mt)
		if !IsLocalMsg(mt) {
			continue
		}
		for role := range StateType(len(roleNames)) {
			rn := inRole(t, role)
			before := rn.raft.state()
			require.ErrorIs(t, rn.Step(pb.Message{Type: mt, From: 2, To: 1, Term: 2}), ErrStepLocalMsg)
			require.Equal(t, before, rn.raft.state())
		}
	}
	rn := inRole(t, StateFollower)
	before := rn.raft.state()
	for _, mt := range []pb.MessageType{-1, 24, 1 << 30} {
		require.ErrorIs(t, rn.Step(pb.Message{Type: mt, From: 2, To: 1, Term: 9}), ErrUnknownMessage)
	}
	require.Equal(t, before, rn.raft.state())
}

// A message that is for another node, from nobody, or from this node itself, is
// refused and changes nothing.
func TestMisroutedMessagesAreRefused(t *testing.T) {
	for role := range StateType(len(roleNames)) {
		rn := inRole(t, role)
		before := rn.raft.state()
		for _, m := range []pb.Message{
			{Type: pb.MsgHeartbeat, From: 2, To: 3, Term: 9},
			{Type: pb.MsgHeartbeat, From: 0, To: 1, Term: 9},
			{Type: pb.MsgHeartbeat, From: 1, To: 1, Term: 9},
			{Type: pb.MsgVoteResp, From: 1, To: 1, Term: 2},
			{Type: pb.MsgReadIndex, From: 0, To: 1, Entries: []pb.Entry{{}}},
		} {
			require.ErrorIs(t, rn.Step(m), ErrMisrouted)
		}
		for _, m := range []pb.Message{
			{Type: pb.MsgHeartbeat, From: 2, To: 1},
			{Type: pb.MsgAppResp, From: 2, To: 1},
			{Type: pb.MsgProp, From: 2, To: 1, Term: 9},
			{Type: pb.MsgVote, From: 2, To: 1, Term: 9, LogTerm: 10},
		} {
			require.ErrorIs(t, rn.Step(m), ErrCorruptMessage)
		}
		require.Equal(t, before, rn.raft.state())
	}
}

// The role changes only along the edges of Raft figure 4, with the pre-candidate
// of dissertation §9.6 before the candidate: anything else is a fault of this
// package and panics.
func TestIllegalTransitionsPanic(t *testing.T) {
	leads := inRole(t, StateLeader).raft
	require.Panics(t, leads.becomePreCandidate)
	require.Panics(t, leads.becomeCandidate)
	require.Panics(t, func() { _ = leads.becomeLeader() })
	require.Panics(t, func() { leads.becomeFollower(1, None) })
	require.Panics(t, func() { _ = inRole(t, StateFollower).raft.becomeLeader() })
	require.Panics(t, func() { _ = inRole(t, StatePreCandidate).raft.becomeLeader() })
	candidate := inRole(t, StateCandidate).raft
	candidate.candidate.ownVoteDurable = false
	require.Panics(t, func() { _ = candidate.becomeLeader() })
}
