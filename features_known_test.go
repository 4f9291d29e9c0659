package raft

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// A node remembers what each member last said of itself, whatever the term and its own
// role: a target may be proposed only if every member has said that it knows of them,
// and one that went back to older software has said that it does not (its heartbeat
// answers say nothing).
func TestWhatMembersKnowIsRemembered(t *testing.T) {
	h := newContractHost(t, Config{}, 1, 2, 3)
	r := h.rn.raft
	known := func() (ids []uint64) {
		for id := range uint64(9) {
			if r.knowsTargets(id) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	say := func(m pb.Message) {
		t.Helper()
		m.To = 1
		require.NoError(t, h.rn.Step(m))
	}
	require.Equal(t, []uint64{1}, known(), "of itself it knows")
	say(pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 2, Features: pb.FeatureMembership})
	require.Equal(t, []uint64{1, 2}, known())
	say(pb.Message{Type: pb.MsgVote, From: 3, Term: 1, Features: pb.FeatureMembership})
	require.Equal(t, []uint64{1, 2}, known(), "a word of an earlier term")
	say(pb.Message{Type: pb.MsgPreVote, From: 3, Term: 3, Features: pb.FeatureMembership})
	require.Equal(t, []uint64{1, 2, 3}, known(), "also where the request is not granted")
	say(pb.Message{Type: pb.MsgVote, From: 3, Term: 9, Context: []byte(transferContext)})
	require.Equal(t, []uint64{1, 2}, known())
	say(pb.Message{Type: pb.MsgVote, From: 7, Term: 9, Features: pb.FeatureMembership})
	require.Equal(t, []uint64{1, 2}, known(), "it is no member")

	h.elect()
	require.Equal(t, []uint64{1, 2}, known(), "another term changes nothing")
	answer := pb.Message{Type: pb.MsgHeartbeatResp, Term: r.term}
	answer.From, answer.Features, answer.Session = 3, pb.FeatureMembership, 1<<40
	require.ErrorIs(t, h.rn.Step(answer), ErrStaleSession)
	require.Equal(t, []uint64{1, 2}, known(), "it was refused")
	answer.Session = 0
	say(answer)
	require.Equal(t, []uint64{1, 2, 3}, known())
	answer.From, answer.Features = 2, 0
	say(answer)
	require.Equal(t, []uint64{1, 3}, known(), "it went back to older software")

	// A change of configuration carries it over by member, and a new one is unknown.
	acknowledge := func() {
		h.settle()
		for _, id := range []uint64{2, 3} {
			_ = h.rn.Step(pb.Message{Type: pb.MsgAppResp, From: id, To: 1, Term: r.term, Index: r.log.last.index})
		}
		h.settle()
	}
	acknowledge()
	for _, cc := range []pb.ConfChange{{Type: pb.ConfChangeRemoveNode, NodeID: 2}, {Type: pb.ConfChangeAddNode, NodeID: 2}} {
		require.NoError(t, h.rn.ProposeConfChange(cc))
		acknowledge()
		require.EqualValues(t, r.log.last.index, r.conf.index)
		require.Equal(t, []uint64{1, 3}, known())
	}
}
