package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Nothing to do is an empty Ready, which needs no acknowledgement and takes any.
func TestEmptyReady(t *testing.T) {
	h := newContractHost(t, Config{}, 1, 2, 3)
	h.settle()
	require.False(t, h.rn.HasReady())
	rd := h.rn.Ready()
	require.True(t, rd.IsEmpty())
	require.Zero(t, rd.AppliedIndex())
	require.NoError(t, h.rn.Advance(rd))
	require.Zero(t, h.rn.raft.log.writes.len())
}

// Acknowledgements are cumulative, and to repeat one is harmless.
func TestAcknowledgementsAreCumulative(t *testing.T) {
	h := newContractHost(t, Config{}, 1)
	h.elect()
	var tokens []AppendToken
	for i := range 4 {
		h.must(h.rn.Propose([]byte{byte(i)}))
		require.True(t, h.ready())
		require.True(t, h.persist())
		tokens = append(tokens, h.lastToken)
	}
	l := h.rn.raft.log
	before := l.durable
	require.NoError(t, h.rn.AckAppend(tokens[2]))
	require.Equal(t, before+3, l.durable)
	require.Equal(t, before+3, l.committed, "a single voter commits what is durable")
	for _, old := range tokens[:3] {
		state := dump(h.rn)
		require.NoError(t, h.rn.AckAppend(old))
		require.Equal(t, state, dump(h.rn))
	}
	require.NoError(t, h.rn.AckAppend(tokens[3]))
	require.Equal(t, before+4, l.durable)
}

// An acknowledgement of what was never handed out by this node moves nothing:
// that of another node, of this node's former life, of the future, or altered.
func TestForeignAcknowledgements(t *testing.T) {
	h := newContractHost(t, Config{}, 1)
	h.elect()
	h.must(h.rn.Propose([]byte("x")))
	h.ready()
	token := h.lastToken
	other := newContractHost(t, Config{}, 1)
	other.cfg.ElectionTick = 11
	other.start()
	h.must(other.rn.Campaign())
	other.ready()
	h.must(h.rn.Propose([]byte("y")))

	altered := map[string]AppendToken{"zero": {}, "another node's": other.lastToken}
	for name, change := range map[string]func(k *AppendToken){
		"instance": func(k *AppendToken) { k.instance++ },
		"future":   func(k *AppendToken) { k.seq++ },
		"none":     func(k *AppendToken) { k.seq = 0 },
	} {
		k := token
		change(&k)
		altered[name] = k
	}
	for name, k := range altered {
		before := dump(h.rn)
		require.ErrorIs(t, h.rn.AckAppend(k), ErrForeignAck, name)
		require.Equal(t, before, dump(h.rn), name)
	}

	h.start() // what was not written is lost, and so is its token
	before := dump(h.rn)
	require.ErrorIs(t, h.rn.AckAppend(token), ErrForeignAck)
	require.Equal(t, before, dump(h.rn))
}

// Only what was handed out can be applied.
func TestApplyOfWhatWasNotHandedOut(t *testing.T) {
	h := newContractHost(t, Config{}, 1, 2, 3)
	h.follow(2, 3, entriesAfter(1, 2, 2, 2)...)
	require.Equal(t, uint64(3), h.applied)
	before := dump(h.rn)
	for _, index := range []uint64{4, 5, 1 << 62, 1<<64 - 1} {
		require.ErrorIs(t, h.rn.AckApply(index), ErrForeignAck)
	}
	for _, index := range []uint64{0, 1, 3} {
		require.NoError(t, h.rn.AckApply(index))
	}
	require.Equal(t, before, dump(h.rn))
}

func snapshotMessage(index, term uint64) pb.Message {
	return pb.Message{Type: pb.MsgSnap, From: 2, To: 1, Term: term, Snapshot: &pb.Snapshot{
		Data:     []byte("state"),
		Metadata: pb.SnapshotMetadata{Index: index, Term: term, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Index: 1}},
	}}
}

// A snapshot comes alone: its Ready has no committed entries, no later one has
// any until the snapshot is applied, and it cannot be applied before it is
// durable (Raft §7).
func TestSnapshotComesBeforeCommittedEntries(t *testing.T) {
	h := newContractHost(t, Config{}, 1, 2, 3)
	h.follow(2, 1, entriesAfter(1, 2, 2)...)
	h.must(h.rn.Step(snapshotMessage(10, 2)))
	rd := h.rn.Ready()
	require.Equal(t, uint64(10), rd.Snapshot.Metadata.Index)
	require.Equal(t, uint64(10), rd.AppliedIndex())
	require.True(t, rd.MustSync)
	require.Empty(t, rd.CommittedEntries)
	require.ErrorIs(t, h.rn.AckApply(10), ErrForeignAck, "it is not durable")

	h.must(h.rn.Step(pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 2, Index: 10, LogTerm: 2, Entries: entriesAfter(10, 2), Commit: 11}))
	next := h.rn.Ready()
	require.Len(t, next.Entries, 1)
	require.Empty(t, next.CommittedEntries)
	h.must(h.ms.ApplySnapshot(rd.Snapshot))
	h.must(h.ms.Append(next.Entries))
	require.NoError(t, h.rn.AckAppend(next.AppendToken()))
	require.Zero(t, len(h.rn.Ready().CommittedEntries), "the snapshot is not restored yet")
	require.NoError(t, h.rn.AckApply(10))
	last := h.rn.Ready()
	require.Len(t, last.CommittedEntries, 1)
	require.Equal(t, uint64(11), last.CommittedEntries[0].Index)
	require.NoError(t, h.rn.Advance(last))
}

// A newer snapshot may come while an older one is being written: the late
// acknowledgement of the older is not one of the newer.
func TestSnapshotReplacedByANewerOne(t *testing.T) {
	h := newContractHost(t, Config{}, 1, 2, 3)
	h.must(h.rn.Step(snapshotMessage(10, 2)))
	h.ready()
	h.must(h.rn.Step(snapshotMessage(20, 2)))
	h.ready()
	h.persist()
	h.acknowledge(1)
	require.ErrorIs(t, h.rn.AckApply(20), ErrForeignAck)
	require.True(t, h.apply())
	require.Equal(t, uint64(10), h.applied)
	h.persist()
	h.acknowledge(1)
	require.True(t, h.apply())
	require.Equal(t, uint64(20), h.applied)
	require.NoError(t, h.rn.Err())
}

// A write has to reach the disk when term, vote, log or snapshot changed, or the
// commit index passed a change of configuration, and not otherwise.
func TestMustSync(t *testing.T) {
	cc, err := (&pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 4}).Marshal()
	require.NoError(t, err)
	conf := pb.Entry{Type: pb.EntryConfChange, Term: 2, Index: 3, Data: cc}
	h := newContractHost(t, Config{}, 1, 2, 3)
	take := func(m pb.Message) Ready {
		m.From, m.To = 2, 1
		h.must(h.rn.Step(m))
		rd := h.rn.Ready()
		require.False(t, rd.IsEmpty())
		h.must(h.ms.Append(rd.Entries))
		h.must(h.rn.AckAppend(rd.AppendToken()))
		return rd
	}
	app := pb.Message{Type: pb.MsgApp, Term: 2, Index: 1, LogTerm: 1}
	require.True(t, take(app).MustSync, "term")
	require.False(t, take(app).MustSync, "nothing but an answer")
	app.Entries = []pb.Entry{{Term: 2, Index: 2}, conf, {Term: 2, Index: 4}}
	require.True(t, take(app).MustSync, "entries")
	beat := pb.Message{Type: pb.MsgHeartbeat, Term: 2, Commit: 2}
	require.False(t, take(beat).MustSync, "commit")
	beat.Commit = 4
	require.True(t, take(beat).MustSync, "commit of a change of configuration")
	require.True(t, take(pb.Message{Type: pb.MsgVote, Term: 3, Index: 9, LogTerm: 3, Context: []byte(transferContext)}).MustSync, "vote")
	require.True(t, take(snapshotMessage(20, 3)).MustSync, "snapshot")
}

// However late a host writes, acknowledges and applies, in whatever portions:
// what it is asked to do keeps to the contract, which contractHost checks.
func TestContractOfAPipelinedHost(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 17))
		h := newContractHost(t, Config{MaxSizePerMsg: 60, MaxCommittedSizePerReady: 40, MaxInflightMsgs: 3}, []uint64{1, 2, 3}[:1+2*rnd.IntN(2)]...)
		for range 600 {
			randomContractStep(h, rnd)
		}
		h.settle()
		require.Empty(t, h.handed)
	}
}

func randomContractStep(h *contractHost, rnd *rand.Rand) {
	switch rnd.IntN(16) {
	case 0, 1:
		h.rn.Tick()
	case 2, 3:
		_ = h.rn.Propose(make([]byte, rnd.IntN(40)))
	case 4, 5, 6:
		if len(h.sent) > 0 {
			if a, ok := agreeing(&h.sent[rnd.IntN(len(h.sent))]); ok {
				_ = h.rn.Step(a)
			}
		}
	case 7:
		ctx := fmt.Sprint("read", rnd.Uint64())
		h.reads[ctx] = true
		_ = h.rn.ReadIndex([]byte(ctx))
	case 8:
		_ = h.rn.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeType(rnd.IntN(4)), NodeID: uint64(2 + rnd.IntN(4))})
	case 9:
		if rnd.IntN(4) == 0 {
			randomLeader(h, rnd)
		}
	case 10, 11:
		h.ready()
	case 12:
		h.persist()
	case 13:
		h.acknowledge(1 + rnd.IntN(3))
	case 14:
		h.apply()
	case 15:
		switch rnd.IntN(20) {
		case 0:
			h.start()
		case 1:
			_ = h.rn.Step(snapshotMessage(h.rn.raft.log.committed+uint64(rnd.IntN(5)), h.rn.raft.term+1))
		}
	}
}

// randomLeader lets 2 lead a higher term, with a log that agrees with the node's
// for a while.
func randomLeader(h *contractHost, rnd *rand.Rand) {
	r := h.rn.raft
	prev := r.log.committed + uint64(rnd.IntN(int(r.log.last.index-r.log.committed)+1))
	term, err := r.log.term(prev)
	h.must(err)
	ents := entriesAfter(prev, slices.Repeat([]uint64{r.term + 1}, 1+rnd.IntN(4))...)
	_ = h.rn.Step(pb.Message{
		Type: pb.MsgApp, From: 2, To: 1, Term: r.term + 1, Index: prev, LogTerm: term,
		Entries: ents, Commit: prev + uint64(rnd.IntN(3)),
	})
}

// A read that nobody can answer yet makes no empty Ready: a single voter waits
// for its own disk.
func TestHasReadyWithAWaitingRead(t *testing.T) {
	h := newContractHost(t, Config{}, 1)
	h.must(h.rn.Campaign())
	h.ready()
	h.persist()
	h.acknowledge(1) // leads from here
	h.ready()
	require.Equal(t, StateLeader, h.rn.raft.role)
	h.reads["x"] = true
	h.must(h.rn.ReadIndex([]byte("x")))
	h.rn.Tick()
	require.False(t, h.rn.HasReady())
	h.settle()
	require.Zero(t, h.rn.Status().PendingReads)
}

// A host that applies apart from the node does not have to hold more than
// MaxApplyingSize of what it has not applied yet: what is left comes when it
// acknowledges, all of it, once and in order (Config.MaxApplyingSize).
func TestMaxApplyingSize(t *testing.T) {
	h := newContractHost(t, Config{MaxApplyingSize: 300}, 1)
	h.elect()
	first := h.rn.BasicStatus().LastIndex
	for i := range 50 {
		h.must(h.rn.Propose(make([]byte, 100+i)))
	}
	var handed []uint64
	held, acked := []pb.Entry(nil), first
	for acked < first+50 {
		for h.rn.HasReady() {
			rd := h.rn.Ready()
			require.False(t, rd.IsEmpty(), "HasReady promised something")
			h.must(h.ms.Append(rd.Entries))
			h.must(h.rn.AckAppend(rd.AppendToken()))
			held = append(held, rd.CommittedEntries...)
		}
		require.NotEmpty(t, held, "one entry fits always")
		// Only the last may pass the bound.
		require.Less(t, entriesSize(held[:len(held)-1]), uint64(300))
		for _, e := range held {
			handed = append(handed, e.Index)
		}
		acked = held[len(held)-1].Index
		held = nil
		h.must(h.rn.AckApply(acked))
	}
	require.Len(t, handed, 50)
	for i, index := range handed {
		require.Equal(t, first+1+uint64(i), index)
	}
}
