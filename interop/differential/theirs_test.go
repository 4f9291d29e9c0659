package differential

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	tpb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/quorate-raft/raft/interop/etcdraft"
	"github.com/quorate-raft/raft/progress"
	opb "github.com/quorate-raft/raft/raftpb"
)

// Each test here is the shortest way to something that the driver found in
// etcd's raft v3.6.0, and holds ours to doing it right. It also holds theirs to
// what docs/differences.md says, so that a version without the fault shows.

// candidate returns a twin of three voters that stands for election in term 2.
func candidate(t *testing.T) *twin {
	var fired [len(ruleTable)]uint64
	w, err := newWorld(1, &plan{voters: 3, members: 3, settings: settings{
		electionTick: 10, heartbeatTick: 1, inflight: 256, snapshotTicks: 1000,
	}}, &fired)
	require.NoError(t, err)
	m := w.twins[0]
	m.stand(t)
	return m
}

func (m *twin) stand(t *testing.T) {
	require.NoError(t, m.o.Campaign())
	require.NoError(t, m.t.Campaign())
	m.rest(t)
}

// rest lets both halves come to rest.
func (m *twin) rest(t *testing.T) {
	m.out.reset()
	m.tout.reset()
	require.NoError(t, m.drain())
	m.applied = m.o.BasicStatus().Applied
}

// both gives both halves a message.
func (m *twin) both(t *testing.T, msg opb.Message) {
	msg.To, msg.Term = m.id, m.o.BasicStatus().Term
	if msg.Type == opb.MsgReadIndex {
		msg.Term = 0
	}
	require.NoError(t, m.o.Step(msg))
	require.NoError(t, m.t.Step(etcdraft.FromMessage(&msg)))
	m.rest(t)
}

// leader returns a twin that leads term 2 and has committed in it.
func leader(t *testing.T) *twin {
	m := candidate(t)
	m.both(t, opb.Message{Type: opb.MsgVoteResp, From: 2})
	m.both(t, opb.Message{Type: opb.MsgAppResp, From: 2, Index: 2})
	require.EqualValues(t, 2, m.o.BasicStatus().Commit)
	return m
}

// beat returns the heartbeats that both halves sent to a peer in the last step.
func (m *twin) beat(t *testing.T, to uint64) (o opb.Message, th tpb.Message) {
	i := slices.IndexFunc(m.out.messages, func(o opb.Message) bool { return o.Type == opb.MsgHeartbeat && o.To == to })
	j := slices.IndexFunc(m.tout.messages, func(o tpb.Message) bool { return o.Type == tpb.MsgHeartbeat && o.To == to })
	require.True(t, i >= 0 && j >= 0)
	return m.out.messages[i], m.tout.messages[j]
}

// answer gives each half the peer's answer to its heartbeat.
func (m *twin) answer(t *testing.T, o opb.Message, th tpb.Message) {
	require.NoError(t, m.o.Step(opb.Message{
		Type: opb.MsgHeartbeatResp, From: o.To, To: m.id, Term: o.Term, Context: o.Context, Round: o.Round,
	}))
	require.NoError(t, m.t.Step(tpb.Message{
		Type: tpb.MsgHeartbeatResp, From: th.To, To: m.id, Term: th.Term, Context: th.Context,
	}))
	m.rest(t)
}

// A read is answered only when a quorum has answered heartbeats that left after it
// was asked (dissertation §6.4). Theirs finds the request of an answer by its
// context: if a forwarded read comes twice, the answer to a heartbeat of the first
// copy confirms all that was asked before the second, among it reads that are
// younger than the heartbeat. A leader that was deposed meanwhile answers them with
// an old index.
func TestCopiedReadConfirmsNoOther(t *testing.T) {
	m := leader(t)
	forwarded := opb.Message{Type: opb.MsgReadIndex, From: 2, Entries: []opb.Entry{{Data: []byte("forwarded")}}}
	m.both(t, forwarded)
	o2, t2 := m.beat(t, 2)
	o3, t3 := m.beat(t, 3) // answered before 3 follows another leader, and delayed
	m.answer(t, o2, t2)

	require.NoError(t, m.o.ReadIndex([]byte("younger")))
	m.t.ReadIndex([]byte("younger"))
	m.rest(t)
	m.both(t, forwarded)
	m.answer(t, o3, t3)
	require.Empty(t, m.out.reads)
	require.Equal(t, []read{{2, "younger"}}, m.tout.reads)
}

// An acknowledgement moves a peer out of probing only if it answers the probe.
// Theirs tells a leader of an older term of the new one by an empty acknowledgement;
// if that node then leads the new term, it takes the answer for one of index 0,
// replicates from there, and sends a snapshot that nobody needs.
func TestEmptyAnswerIsNoAcknowledgement(t *testing.T) {
	m := candidate(t)
	m.both(t, opb.Message{Type: opb.MsgVoteResp, From: 2})
	m.both(t, opb.Message{Type: opb.MsgAppResp, From: 2})
	require.Empty(t, m.out.messages)
	require.Equal(t, progress.Probe, m.peer(2).State)
	require.True(t, slices.ContainsFunc(m.tout.messages, func(t tpb.Message) bool { return t.Type == tpb.MsgSnap }))
}

// Reads that wait are lost with leadership. Theirs keeps those that wait for a
// commit in the term, and asks the group about them when it leads again, for
// callers who gave up long ago.
func TestWaitingReadsEndWithLeadership(t *testing.T) {
	m := candidate(t)
	m.both(t, opb.Message{Type: opb.MsgVoteResp, From: 2})
	require.NoError(t, m.o.ReadIndex([]byte("waits")))
	m.t.ReadIndex([]byte("waits"))
	m.rest(t)
	deposed := opb.Message{Type: opb.MsgHeartbeat, From: 3, To: 1, Term: 3}
	require.NoError(t, m.o.Step(deposed))
	require.NoError(t, m.t.Step(etcdraft.FromMessage(&deposed)))
	m.rest(t)
	m.stand(t)
	m.both(t, opb.Message{Type: opb.MsgVoteResp, From: 2})
	m.both(t, opb.Message{Type: opb.MsgAppResp, From: 2, Index: 3})
	require.Zero(t, m.o.Status().PendingReads)
	require.True(t, slices.ContainsFunc(m.tout.messages, func(t tpb.Message) bool { return string(t.Context) == "waits" }))
}

// A peer that says that it has the snapshot is sent what comes after it. If the
// log was compacted past that meanwhile, theirs goes on waiting for a report on the
// snapshot, and sends the peer nothing.
func TestArrivedSnapshotEndsTheWait(t *testing.T) {
	m := leader(t)
	for range 4 {
		require.NoError(t, m.o.Propose([]byte("x")))
		require.NoError(t, m.t.Propose([]byte("x")))
		m.rest(t)
	}
	commit := func(index uint64) {
		m.both(t, opb.Message{Type: opb.MsgAppResp, From: 2, Index: index})
		cs, err := m.o.ConfStateAt(index)
		require.NoError(t, err)
		_, err = m.od.CreateSnapshot(index, cs, nil)
		require.NoError(t, err)
		_, err = m.td.CreateSnapshot(index, &m.tConf, nil)
		require.NoError(t, err)
		require.NoError(t, m.od.Compact(index))
		require.NoError(t, m.td.Compact(index))
	}
	commit(4)
	m.both(t, opb.Message{Type: opb.MsgAppResp, From: 3, Index: 1, Reject: true})
	require.Equal(t, progress.Snapshot, m.peer(3).State)
	require.Equal(t, tracker.StateSnapshot, m.tp.trk().Progress[3].State)
	commit(6)
	m.both(t, opb.Message{Type: opb.MsgAppResp, From: 3, Index: 4})
	require.NotEmpty(t, m.out.messages)
	require.EqualValues(t, 6, m.peer(3).PendingSnapshot)
	require.Empty(t, m.tout.messages)
	require.EqualValues(t, 4, m.tp.trk().Progress[3].PendingSnapshot)
}
