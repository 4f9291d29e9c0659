package differential

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/interop/etcdraft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// The same as in theirs_test.go, for what needs writes or applications that are
// under way, or a crash.

// newTwin returns a member of a new group of voters.
func newTwin(t *testing.T, id uint64, voters int, s settings) *twin {
	s.electionTick, s.heartbeatTick, s.inflight, s.snapshotTicks = 10, 1, 256, 1000
	var fired [len(ruleTable)]uint64
	w, err := newWorld(1, &plan{voters: voters, members: voters, settings: s}, &fired)
	require.NoError(t, err)
	return w.twins[id-1]
}

// finish finishes all writes that are under way.
func (m *twin) finish(t *testing.T) {
	for len(m.pendingSteps()) > 0 {
		require.NoError(t, m.written(0))
		m.rest(t)
	}
}

// of returns a message from a peer, of the given term.
func (m *twin) of(t *testing.T, term uint64, msg opb.Message) {
	msg.To, msg.Term = m.id, term
	m.w.step++
	m.w.cur = current{op: op{kind: opDeliver}, m: m, in: &item{o: msg}}
	require.NoError(t, m.o.Step(msg))
	require.NoError(t, m.t.Step(etcdraft.FromMessage(&msg)))
	m.rest(t)
}

// A leader that is the only voter of both halves of a joint configuration decides
// alone, so it answers reads. Theirs waits for somebody to answer a heartbeat, and
// there is nobody.
func TestOnlyVoterOfBothHalvesReads(t *testing.T) {
	m := newTwin(t, 1, 1, settings{})
	m.stand(t)
	joint := opb.ConfChangeV2{
		Transition: opb.ConfChangeTransitionJointExplicit,
		Changes:    []opb.ConfChangeSingle{{Type: opb.ConfChangeUpdateNode, NodeID: 1}},
	}
	require.NoError(t, m.o.ProposeConfChange(joint))
	require.NoError(t, m.t.ProposeConfChange(tpb.ConfChangeV2{
		Transition: tpb.ConfChangeTransitionJointExplicit,
		Changes:    []tpb.ConfChangeSingle{{Type: tpb.ConfChangeUpdateNode, NodeID: 1}},
	}))
	m.rest(t)
	require.True(t, m.alone())
	require.NoError(t, m.o.ReadIndex([]byte("read")))
	m.t.ReadIndex([]byte("read"))
	m.rest(t)
	require.Equal(t, []read{{3, "read"}}, m.out.reads)
	for range 1000 {
		require.Empty(t, m.tout.reads)
		m.t.Tick()
		m.rest(t)
	}
}

// A new leader does not know what is committed until it has committed in its term
// (dissertation §6.4, step 1); an only voter too, as a crash may lose the commit
// index, which nobody has to sync. Theirs answers a read before.
func TestOnlyVoterReadsWhatWasCommitted(t *testing.T) {
	m := newTwin(t, 1, 1, settings{loseCommit: true})
	m.stand(t)
	require.NoError(t, m.o.Propose([]byte("acknowledged")))
	require.NoError(t, m.t.Propose([]byte("acknowledged")))
	m.rest(t)
	require.EqualValues(t, 3, m.o.BasicStatus().Commit)
	m.synced = 1 // neither half said MustSync for the commit alone
	require.NoError(t, m.crash(0))
	require.NoError(t, m.start())

	require.NoError(t, m.o.Campaign())
	rd := m.o.Ready()
	require.NoError(t, m.writeOurs(&rd))
	require.NoError(t, m.o.Advance(rd))
	require.Equal(t, ours.StateLeader, m.o.BasicStatus().RaftState)
	require.NoError(t, m.o.ReadIndex([]byte("read")))
	require.NoError(t, m.t.Campaign())
	trd := m.t.Ready()
	require.NoError(t, m.td.SetHardState(trd.HardState))
	m.t.Advance(trd)
	require.Equal(t, theirs.StateLeader, m.t.BasicStatus().RaftState)
	m.t.ReadIndex([]byte("read"))
	m.rest(t)
	require.Equal(t, []read{{4, "read"}}, m.out.reads)
	require.Equal(t, []read{{1, "read"}}, m.tout.reads)
}

// A grant is for the log that the candidate named, so the request leaves when term,
// vote and log are durable. With AsyncStorageWrites theirs sends it at once: a crash
// makes the candidate forget all three, it stands in the same term again, and the
// grant of before elects it without an entry that may be committed.
func TestVoteIsAskedForWhatIsDurable(t *testing.T) {
	m := newTwin(t, 3, 3, settings{async: true})
	m.of(t, 2, opb.Message{Type: opb.MsgHeartbeat, From: 1})
	m.finish(t)
	// 1 and 2 hold entry 2, it is committed. 3 writes it, and stands for election.
	m.of(t, 2, opb.Message{Type: opb.MsgApp, From: 1, Index: 1, LogTerm: 1, Entries: []opb.Entry{{Term: 2, Index: 2}}})
	require.NoError(t, m.o.Campaign())
	require.NoError(t, m.t.Campaign())
	asks := func(msgs []opb.Message) bool {
		return slices.ContainsFunc(msgs, func(o opb.Message) bool { return o.Type == opb.MsgVote && o.Term == 3 && o.Index == 2 })
	}
	rd, trd := m.o.Ready(), m.t.Ready()
	require.False(t, asks(rd.Messages))
	require.True(t, asks(rd.MessagesAfterAppend))
	require.True(t, slices.ContainsFunc(trd.Messages, func(t tpb.Message) bool {
		return t.Type == tpb.MsgVote && t.Term == 3 && t.Index == 2
	}))

	require.NoError(t, m.crash(0)) // nothing was written
	require.NoError(t, m.start())
	m.stand(t)
	m.finish(t)
	require.EqualValues(t, 3, m.t.BasicStatus().Term)
	require.EqualValues(t, 1, m.tLast)
	grant := tpb.Message{Type: tpb.MsgVoteResp, From: 2, To: 3, Term: 3} // of 2, which has entry 2
	require.NoError(t, m.t.Step(grant))
	require.Equal(t, theirs.StateLeader, m.t.BasicStatus().RaftState)
}

// A snapshot has the configuration as of its index. With AsyncStorageWrites theirs
// takes that as soon as the snapshot comes; a change from before it that the host
// is applying then is applied to the snapshot's configuration, where it does not
// belong, and stays in it.
func TestSnapshotKeepsItsConfiguration(t *testing.T) {
	m := newTwin(t, 3, 3, settings{async: true, holdApply: true})
	cc := opb.ConfChange{Type: opb.ConfChangeAddNode, NodeID: 4}
	_, data, err := opb.MarshalConfChange(cc)
	require.NoError(t, err)
	m.of(t, 2, opb.Message{
		Type: opb.MsgApp, From: 1, Index: 1, LogTerm: 1, Commit: 2, Entries: []opb.Entry{{Type: opb.EntryConfChange, Term: 2, Index: 2, Data: data}},
	})
	m.finish(t) // the change is handed out to be applied
	// Meanwhile 4 has been removed again, and the log compacted.
	without4 := opb.ConfState{Voters: []uint64{1, 2, 3}}
	m.of(t, 2, opb.Message{
		Type: opb.MsgSnap, From: 1, Snapshot: &opb.Snapshot{Metadata: opb.SnapshotMetadata{Index: 9, Term: 2, ConfState: without4}},
	})
	m.tailSnap = nil // let theirs be told of the change
	require.NoError(t, m.applyAll())
	m.finish(t)
	require.Equal(t, []uint64{1, 2, 3}, m.o.Status().Config.ConfState().Voters)
	require.Equal(t, []uint64{1, 2, 3, 4}, m.tp.trk().ConfState().Voters)
	require.EqualValues(t, 9, m.t.BasicStatus().Applied)
}
