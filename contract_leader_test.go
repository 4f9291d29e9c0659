package raft

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// A candidate leads only once its own vote is durable, even with the votes of
// all others: it could crash, forget the term and lead it a second time (Raft
// figure 2: persistent state is written before a server answers, itself
// included).
func TestLeadsOnlyOnceItsOwnVoteIsDurable(t *testing.T) {
	h := newContractHost(t, Config{DisablePreVote: true}, 1, 2, 3)
	h.must(h.rn.Campaign())
	require.True(t, h.ready())
	for _, from := range []uint64{2, 3} {
		h.must(h.rn.Step(pb.Message{Type: pb.MsgVoteResp, From: from, To: 1, Term: h.rn.raft.term}))
		require.Equal(t, StateCandidate, h.rn.raft.role)
	}
	require.Equal(t, ReasonOwnVoteNotDurable, h.rn.Explain()[0].Reason)
	require.True(t, h.persist())
	require.Equal(t, StateCandidate, h.rn.raft.role)
	require.True(t, h.acknowledge(1))
	require.Equal(t, StateLeader, h.rn.raft.role)
}

// A single voter commits nothing before its disk has it (dissertation §10.2.1:
// the leader counts itself once its own write is done).
func TestLeaderCountsItselfOnlyOnceDurable(t *testing.T) {
	h := newContractHost(t, Config{}, 1)
	h.elect()
	commit := h.rn.raft.log.committed
	h.must(h.rn.Propose(nil))
	h.ready()
	h.persist()
	require.Equal(t, commit, h.rn.raft.log.committed)
	h.acknowledge(1)
	require.Equal(t, commit+1, h.rn.raft.log.committed)
}

// A leader may find in its log, behind its own removal, the change that brings it
// back: an earlier leader appended it when the removal was applied there. It then
// leads on, and what it kept for leaving is gone (dissertation §4.2.2).
func TestLeaderIsRemovedAndBroughtBackByTheNextEntry(t *testing.T) {
	data := func(typ pb.ConfChangeType) []byte {
		b, err := (&pb.ConfChange{Type: typ, NodeID: 1}).Marshal()
		require.NoError(t, err)
		return b
	}
	ents := entriesAfter(1, 2, 2)
	ents[0].Type, ents[0].Data = pb.EntryConfChange, data(pb.ConfChangeRemoveNode)
	ents[1].Type, ents[1].Data = pb.EntryConfChange, data(pb.ConfChangeAddNode)
	h := newContractHost(t, Config{}, 1, 2, 3)
	h.follow(2, 1, ents...)
	h.elect()
	agree := func() {
		sent := h.sent
		h.sent = nil
		for i := range sent {
			if a, ok := agreeing(&sent[i]); ok {
				_ = h.rn.Step(a)
			}
		}
		h.settle()
	}
	for range 5 {
		agree()
	}
	require.Equal(t, uint64(3), h.rn.raft.conf.index)
	for range 30 {
		h.rn.Tick()
		h.settle()
		agree()
	}
	require.Equal(t, StateLeader, h.rn.raft.role)
	require.NoError(t, h.rn.Propose(nil))
}

// A read that this node asked of an earlier leader and that comes back to it once
// it leads was forgotten when leadership changed: its host never sees a context
// that it did not give (dissertation §6.4).
func TestForwardedReadComesBackToItsAsker(t *testing.T) {
	h := newContractHost(t, Config{}, 1, 2, 3)
	h.follow(2, 1, entriesAfter(1, 2)...)
	h.reads["x"] = true
	h.must(h.rn.ReadIndex([]byte("x")))
	h.settle()
	asked := h.sent[len(h.sent)-1]
	require.Equal(t, pb.MsgReadIndex, asked.Type)
	h.elect()
	asked.To = 1
	h.must(h.rn.Step(asked))
	h.rn.Tick()
	h.settle()
	require.Zero(t, h.rn.Status().PendingReads)
}
