package raft

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// badHosts are nodes in every role with something in the log: entries 2 to 4 of
// term 2, committed up to 3.
func badHosts(t *testing.T) map[string]*contractHost {
	hosts := map[string]*contractHost{}
	for _, name := range []string{"follower", "candidate", "pre-candidate", "leader"} {
		h := newContractHost(t, Config{DisablePreVote: name == "candidate"}, 1, 2, 3)
		h.follow(2, 3, entriesAfter(1, 2, 2, 2)...)
		switch name {
		case "candidate", "pre-candidate":
			h.must(h.rn.Campaign())
			h.settle()
		case "leader":
			h.elect()
		}
		require.False(t, h.rn.HasReady())
		hosts[name] = h
	}
	return hosts
}

// What no correct peer sends is refused with an error that says so, and changes
// nothing at all, whatever the node's role and the message's term.
func TestBadMessagesChangeNothing(t *testing.T) {
	const huge, wrap = 1 << 60, 1<<64 - 1
	conf := func(cs pb.ConfState) pb.Message {
		m := snapshotMessage(20, 3)
		m.Snapshot.Metadata.ConfState = cs
		return m
	}
	app := func(index, logTerm uint64, ents ...pb.Entry) pb.Message {
		return pb.Message{Type: pb.MsgApp, From: 2, Index: index, LogTerm: logTerm, Entries: ents}
	}
	otherHistory := snapshotMessage(3, 1)
	otherHistory.Term = 0
	for _, c := range []struct {
		name string
		m    pb.Message
		want error
	}{
		{"type below all", pb.Message{Type: -1, From: 2}, ErrUnknownMessage},
		{"lowest type", pb.Message{Type: -1 << 31, From: 2}, ErrUnknownMessage},
		{"type above all", pb.Message{Type: 24, From: 2}, ErrUnknownMessage},
		{"highest type", pb.Message{Type: 1<<31 - 1, From: 2}, ErrUnknownMessage},
		{"for another", pb.Message{Type: pb.MsgHeartbeat, From: 2, To: 3}, ErrMisrouted},
		{"from nobody", pb.Message{Type: pb.MsgHeartbeat}, ErrMisrouted},
		{"from itself", pb.Message{Type: pb.MsgVote, From: 1}, ErrMisrouted},
		{"read from nobody", pb.Message{Type: pb.MsgReadIndex, Entries: []pb.Entry{{}}}, ErrMisrouted},
		{"answer of a stranger", pb.Message{Type: pb.MsgAppResp, From: 9, Index: 3}, ErrStepPeerNotFound},
		{"vote of a stranger", pb.Message{Type: pb.MsgVoteResp, From: 9}, ErrStepPeerNotFound},
		{"pre-vote of a stranger", pb.Message{Type: pb.MsgPreVoteResp, From: 9}, ErrStepPeerNotFound},
		{"heartbeat answer of a stranger", pb.Message{Type: pb.MsgHeartbeatResp, From: 9}, ErrStepPeerNotFound},

		{"index wraps", pb.Message{Type: pb.MsgApp, From: 2, Index: wrap}, ErrCorruptMessage},
		{"commit wraps", pb.Message{Type: pb.MsgApp, From: 2, Index: 4, LogTerm: 2, Commit: wrap}, ErrCorruptMessage},
		{"hint wraps", pb.Message{Type: pb.MsgAppResp, From: 2, Reject: true, RejectHint: wrap}, ErrCorruptMessage},
		{"vote with an index that wraps", pb.Message{Type: pb.MsgVote, From: 2, Index: wrap}, ErrCorruptMessage},
		{"log term past the term", pb.Message{Type: pb.MsgVote, From: 2, LogTerm: 1 << 61}, ErrCorruptMessage},
		{"vote of who committed past its log", pb.Message{Type: pb.MsgVote, From: 2, Index: 4, LogTerm: 2, Commit: 5, RejectHint: 2}, ErrCorruptMessage},
		{"pre-vote of who committed past its last term", pb.Message{Type: pb.MsgPreVote, From: 2, Index: 4, LogTerm: 1, Commit: 4, RejectHint: 2}, ErrCorruptMessage},
		{"entry past all indexes", app(1<<62, 1, pb.Entry{Index: 1<<62 + 1, Term: 2}), ErrCorruptMessage},
		{"entry index wraps", app(1<<62, 1, pb.Entry{Index: wrap, Term: 2}), ErrCorruptMessage},
		{"the entry before the first has a term", app(0, 1), ErrCorruptMessage},

		{"gap after prev", app(4, 2, entriesAfter(5, 2)...), ErrCorruptMessage},
		{"overlap with prev", app(4, 2, entriesAfter(3, 2)...), ErrCorruptMessage},
		{"gap", app(4, 2, pb.Entry{Index: 5, Term: 2}, pb.Entry{Index: 7, Term: 2}), ErrCorruptMessage},
		{"repeated entry", app(4, 2, pb.Entry{Index: 5, Term: 2}, pb.Entry{Index: 5, Term: 2}), ErrCorruptMessage},
		{"terms go back", app(4, 2, pb.Entry{Index: 5, Term: 3}, pb.Entry{Index: 6, Term: 2}), ErrCorruptMessage},
		{"entry older than prev", app(4, 2, pb.Entry{Index: 5, Term: 1}), ErrCorruptMessage},
		{"entry without a term", app(0, 0, pb.Entry{Index: 1}), ErrCorruptMessage},
		{"entry of the future", app(4, 2, pb.Entry{Index: 5, Term: 1 << 61}), ErrCorruptMessage},
		{"unknown entry type", app(4, 2, pb.Entry{Index: 5, Term: 2, Type: 3}), ErrCorruptMessage},
		{"negative entry type", app(4, 2, pb.Entry{Index: 5, Term: 2, Type: -1}), ErrCorruptMessage},
		{"configuration entry that is none", app(4, 2, pb.Entry{Index: 5, Term: 2, Type: pb.EntryConfChange, Data: []byte{0xff}}), ErrCorruptMessage},

		{"contradicts a committed entry", app(2, 1), ErrCorruptMessage},
		{"contradicts the commit index", app(3, 3), ErrCorruptMessage},
		{"replaces a committed entry", app(1, 1, entriesAfter(1, 2, 3)...), ErrCorruptMessage},
		{"commit past the end", pb.Message{Type: pb.MsgHeartbeat, From: 2, Commit: 99}, ErrCorruptMessage},
		{"commit far past the end", pb.Message{Type: pb.MsgHeartbeat, From: 2, Commit: huge}, ErrCorruptMessage},

		{"no snapshot", pb.Message{Type: pb.MsgSnap, From: 2}, ErrCorruptMessage},
		{"empty snapshot", pb.Message{Type: pb.MsgSnap, From: 2, Snapshot: &pb.Snapshot{}}, ErrCorruptMessage},
		{"snapshot of another history", otherHistory, ErrCorruptMessage},
		{"answer to a read that names none", pb.Message{Type: pb.MsgReadIndexResp, From: 2, Index: 3}, ErrCorruptMessage},
		{"answer to two reads", pb.Message{Type: pb.MsgReadIndexResp, From: 2, Entries: make([]pb.Entry, 2)}, ErrCorruptMessage},
		{"snapshot past all indexes", snapshotMessage(1<<62+1, 3), ErrCorruptMessage},
		{"snapshot without members", conf(pb.ConfState{}), ErrCorruptMessage},
		{"snapshot with learners alone", conf(pb.ConfState{Learners: []uint64{1}}), ErrCorruptMessage},
		{"snapshot with a member twice", conf(pb.ConfState{Voters: []uint64{1, 1}}), ErrCorruptMessage},
		{"snapshot with member 0", conf(pb.ConfState{Voters: []uint64{0, 1}}), ErrCorruptMessage},
		{"snapshot with a voter who learns", conf(pb.ConfState{Voters: []uint64{1}, Learners: []uint64{1}}), ErrCorruptMessage},
		{"snapshot that is left automatically but not joint", conf(pb.ConfState{Voters: []uint64{1}, AutoLeave: true}), ErrCorruptMessage},
		{"snapshot with a configuration after it", conf(pb.ConfState{Voters: []uint64{1}, Index: 21}), ErrCorruptMessage},

		{"proposal with a term", pb.Message{Type: pb.MsgProp, From: 2, Term: 2, Entries: []pb.Entry{{}}}, ErrCorruptMessage},
		{"read with a term", pb.Message{Type: pb.MsgReadIndex, From: 2, Term: 2, Entries: []pb.Entry{{}}}, ErrCorruptMessage},
		{"vote of a wrapped term", pb.Message{Type: pb.MsgVote, From: 2, Term: wrap}, ErrCorruptMessage},
		{"append of a term past all", pb.Message{Type: pb.MsgApp, From: 2, Term: 1<<62 + 1}, ErrCorruptMessage},
		{"heartbeat without a term", pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 1 << 63}, ErrCorruptMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			for role, h := range badHosts(t) {
				terms := []uint64{c.m.Term}
				if kindOf(c.m.Type) != kindForwarded && c.m.Term == 0 {
					// Later terms too: a bad message must not even raise the term.
					terms = []uint64{h.rn.raft.term, h.rn.raft.term + 5}
				}
				for _, term := range terms {
					m := c.m
					m.Term = term
					before := dump(h.rn)
					require.ErrorIs(t, h.rn.Step(m), c.want, "%s, term %d", role, term)
					require.Equal(t, before, dump(h.rn), "%s, term %d", role, term)
					require.False(t, h.rn.HasReady())
				}
			}
		})
	}
}

// Types that a node makes for itself are refused from outside, as is a message
// that needs a term and has none.
func TestLocalAndTermlessMessages(t *testing.T) {
	for role, h := range badHosts(t) {
		for typ := pb.MsgHup; typ <= pb.MsgForgetLeader; typ++ {
			before := dump(h.rn)
			m := pb.Message{Type: typ, From: 2, To: 1}
			switch err := h.rn.Step(m); kindOf(typ) {
			case kindLocal:
				require.ErrorIs(t, err, ErrStepLocalMsg, "%s, %v", role, typ)
				require.True(t, IsLocalMsg(typ))
			case kindForwarded:
				continue
			default:
				require.ErrorIs(t, err, ErrCorruptMessage, "%s, %v", role, typ)
			}
			require.Equal(t, before, dump(h.rn), "%s, %v", role, typ)
		}
	}
}

// A leader believes no answer to what it did not send.
func TestForgedAnswersToALeader(t *testing.T) {
	h := badHosts(t)["leader"]
	term, last := h.rn.raft.term, h.rn.raft.log.last.index
	for name, c := range map[string]struct {
		m    pb.Message
		want error
	}{
		"acknowledges past the end":    {pb.Message{Type: pb.MsgAppResp, Index: last + 1}, ErrCorruptMessage},
		"acknowledges far past":        {pb.Message{Type: pb.MsgAppResp, Index: 1 << 60}, ErrCorruptMessage},
		"answers a round never sent":   {pb.Message{Type: pb.MsgHeartbeatResp, Round: 1 << 50}, ErrCorruptMessage},
		"answers one in the context":   {pb.Message{Type: pb.MsgHeartbeatResp, Context: contextOfRound(term, 1<<50)}, ErrCorruptMessage},
		"another leader's append":      {pb.Message{Type: pb.MsgApp, Index: last}, ErrCorruptMessage},
		"another leader's heartbeat":   {pb.Message{Type: pb.MsgHeartbeat}, ErrCorruptMessage},
		"another leader's snapshot":    {snapshotMessage(99, term), ErrCorruptMessage},
		"read request without a read":  {pb.Message{Type: pb.MsgReadIndex, Term: 0}, ErrCorruptMessage},
		"proposal without entries":     {pb.Message{Type: pb.MsgProp}, ErrEmptyProposal},
		"proposal of an unknown type":  {pb.Message{Type: pb.MsgProp, Entries: []pb.Entry{{Type: 7}}}, ErrCorruptMessage},
		"proposal of a negative type":  {pb.Message{Type: pb.MsgProp, Entries: []pb.Entry{{}, {Type: -7}}}, ErrCorruptMessage},
		"change that does not decode":  {pb.Message{Type: pb.MsgProp, Entries: []pb.Entry{{Type: pb.EntryConfChange, Data: []byte{0xff}}}}, ErrProposalDropped},
		"empty change":                 {pb.Message{Type: pb.MsgProp, Entries: []pb.Entry{{Type: pb.EntryConfChangeV2}}}, ErrProposalDropped},
		"transfer to a stranger":       {pb.Message{Type: pb.MsgTransferLeader, From: 9}, ErrTransferTarget},
		"transfer to nobody":           {pb.Message{Type: pb.MsgTransferLeader}, ErrTransferTarget},
		"rejection far past":           {pb.Message{Type: pb.MsgAppResp, Reject: true, Index: 1 << 60, RejectHint: 1 << 60, LogTerm: 1}, nil},
		"vote that was not asked for":  {pb.Message{Type: pb.MsgVoteResp}, nil},
		"pre-vote of another election": {pb.Message{Type: pb.MsgPreVoteResp, Term: term + 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.m
			if m.From == None && m.Type != pb.MsgTransferLeader {
				m.From = 2
			}
			if m.Term == 0 && kindOf(m.Type) != kindForwarded {
				m.Term = term
			}
			before := dump(h.rn)
			err := h.rn.Step(m)
			require.ErrorIs(t, err, c.want)
			if c.want != nil {
				require.Equal(t, before, dump(h.rn))
			}
			require.Equal(t, StateLeader, h.rn.raft.role)
			require.Equal(t, term, h.rn.raft.term)
		})
	}
}

// Proposals may be of any size, one of any size passes an empty account, and
// many entries in one message keep their order.
func TestHugeAndManyProposals(t *testing.T) {
	h := newContractHost(t, Config{MaxUncommittedSize: 100, MaxSizePerMsg: 10}, 1)
	h.elect()
	require.NoError(t, h.rn.Propose(make([]byte, 8<<20)))
	require.ErrorIs(t, h.rn.Propose([]byte("x")), ErrUncommittedFull)
	require.NoError(t, h.rn.Propose(nil), "without payload")
	h.settle()
	ents := make([]pb.Entry, 500)
	for i := range ents {
		ents[i].Index, ents[i].Term = 1<<64-1, 1<<64-1 // the leader numbers them
	}
	require.NoError(t, h.rn.Step(pb.Message{Type: pb.MsgProp, From: 2, Entries: ents}))
	h.settle()
	require.Equal(t, h.rn.raft.log.last.index, h.applied)
	require.Equal(t, uint64(1<<64-1), ents[0].Index, "the caller's array was changed")
}

// A message that is refused as wrong leaves the node as it was, a forwarded
// request that cannot be served says why, and no message is worth a panic.
func TestRandomBadMessages(t *testing.T) {
	refused := 0
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 23))
		f := newFuzzRun(t, append([]byte{byte(rnd.Uint32()), opAppend, 0, 1, byte(rnd.Uint32()), opSettle}, fuzzSeeds()[0][1:1+rnd.IntN(7)]...))
		f.run()
		for range 20 {
			f.data = nil
			for range 9 {
				f.data = append(f.data, byte(rnd.Uint32()))
			}
			m := f.message()
			m.Features &^= pb.FeatureRefusals // who asks hears of it
			before := dump(f.h.rn)
			err := f.h.rn.Step(m)
			wrong := isOneOf(err, ErrCorruptMessage, ErrMisrouted, ErrUnknownMessage, ErrStepLocalMsg, ErrStepPeerNotFound, ErrConfChangeEffect)
			if wrong {
				refused++
			} else if err != nil {
				require.Equal(t, uint8(kindForwarded), kindOf(m.Type))
				require.True(t, isOneOf(err, ErrProposalDropped, ErrNoLeader, ErrTooManyReads, ErrTransferTarget), "%v", err)
			}
			if wrong || (err != nil && m.Term == 0) {
				require.Equal(t, before, dump(f.h.rn), "%v: %+v", err, m)
			}
		}
		f.h.settle()
	}
	require.Greater(t, refused, 500)
}

func isOneOf(err error, known ...error) bool {
	return slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) })
}
