package raft

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Each test here is an interleaving that broke a promise, or locked up a group,
// in this library or in its design; the sentence says what must hold.

// machine is a node with its host; a crash loses what it has not persisted.
type machine struct {
	*RawNode
	t       *testing.T
	id      uint64
	storage *MemoryStorage
	starts  uint64
}

type machines map[uint64]*machine

func bootMachines(t *testing.T, n uint64, configure func(*Config)) machines {
	var peers []Peer
	for id := uint64(1); id <= n; id++ {
		peers = append(peers, Peer{ID: id})
	}
	ms := machines{}
	for id := uint64(1); id <= n; id++ {
		ms[id] = &machine{t: t, id: id, storage: NewMemoryStorage()}
		ms[id].start(configure)
		require.NoError(t, ms[id].Bootstrap(peers))
	}
	ms.settle(nil)
	return ms
}

func (m *machine) start(configure func(*Config)) {
	m.starts++
	c := &Config{ID: m.id, Storage: m.storage, Rand: rand.NewPCG(m.id, m.starts)}
	if configure != nil {
		configure(c)
	}
	rn, err := NewRawNode(c)
	require.NoError(m.t, err)
	m.RawNode = rn
}

func (m *machine) save(rd Ready) {
	if !IsEmptySnap(rd.Snapshot) {
		require.NoError(m.t, m.storage.ApplySnapshot(rd.Snapshot))
	}
	require.NoError(m.t, m.storage.Append(rd.Entries))
	if !IsEmptyHardState(rd.HardState) {
		require.NoError(m.t, m.storage.SetHardState(rd.HardState))
	}
}

// serve does all there is to do and returns what left.
func (m *machine) serve() []pb.Message {
	var out []pb.Message
	for m.HasReady() {
		rd := m.Ready()
		out = append(out, rd.Messages...)
		m.save(rd)
		out = append(out, rd.MessagesAfterAppend...)
		for _, e := range rd.CommittedEntries {
			if isConfEntry(e.Type) {
				cc, err := pb.UnmarshalConfChange(e)
				require.NoError(m.t, err)
				m.storage.SetConfState(*m.ApplyConfChange(cc))
			}
		}
		require.NoError(m.t, m.Advance(rd))
	}
	return out
}

func (ms machines) deliver(msgs []pb.Message, drop func(pb.Message) bool) {
	for _, msg := range msgs {
		if m := ms[msg.To]; m != nil && (drop == nil || !drop(msg)) {
			_ = m.Step(msg) // a refused message is a lost one
		}
	}
}

// settle delivers until nothing is left to do.
func (ms machines) settle(drop func(pb.Message) bool) {
	for range 200 {
		var msgs []pb.Message
		for id := uint64(1); id < 10; id++ {
			if m := ms[id]; m != nil {
				msgs = append(msgs, m.serve()...)
			}
		}
		if len(msgs) == 0 {
			return
		}
		ms.deliver(msgs, drop)
	}
	for _, m := range ms {
		m.t.Fatal("messages without end")
	}
}

func (ms machines) elect(id uint64) *machine {
	require.NoError(ms[id].t, ms[id].Campaign())
	ms.settle(nil)
	require.Equal(ms[id].t, StateLeader, ms[id].raft.role)
	return ms[id]
}

func only(t *testing.T, msgs []pb.Message, mt pb.MessageType, to uint64) pb.Message {
	t.Helper()
	for _, m := range msgs {
		if m.Type == mt && m.To == to {
			return m
		}
	}
	require.Fail(t, "missing", "%v to %d", mt, to)
	return pb.Message{}
}

// A vote is for the log that the candidate named, so the request may leave only
// when that log, and the term, are durable (Raft §5.4.1): else the candidate
// crashes, asks again in the same term with a shorter log, and the old grant
// elects it over a committed entry.
func TestHazardVoteRequestBeforeItsLogIsDurable(t *testing.T) {
	ms := bootMachines(t, 3, func(c *Config) { c.DisablePreVote, c.DisableCheckQuorum = true, true })
	leader := ms.elect(1)
	require.NoError(t, leader.Propose([]byte("x")))
	msgs := leader.serve()
	require.NoError(t, ms[2].Step(only(t, msgs, pb.MsgApp, 2)))
	require.NoError(t, ms[3].Step(only(t, msgs, pb.MsgApp, 3)))
	ms.deliver(ms[2].serve(), nil)
	leader.serve()
	require.Equal(t, leader.raft.log.last.index, leader.raft.log.committed)

	// 3 holds the entry in memory alone and campaigns.
	require.NoError(t, ms[3].Campaign())
	rd := ms[3].Ready()
	require.Empty(t, rd.Messages)
	require.Len(t, rd.MessagesAfterAppend, 2, "the acknowledgement of the old term is withdrawn")
	for _, m := range rd.MessagesAfterAppend {
		require.Equal(t, pb.MsgVote, m.Type)
	}
}

// A node that its own configuration calls the only voter may not campaign while
// it promised a leader, which has not applied the change, to refuse votes
// (dissertation §6.4.1).
func TestHazardSoleVoterInsideALease(t *testing.T) {
	ms := bootMachines(t, 2, leasesForHazards)
	leader := ms.elect(1)
	leader.Tick()
	ms.settle(nil)
	require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 1}))
	ms.deliver(leader.serve(), nil)
	ms.deliver(ms[2].serve(), nil)
	rd := leader.Ready() // the leader's host is slow to apply it
	ms.deliver(rd.Messages, nil)
	ms[2].serve()
	require.True(t, ms[2].raft.conf.soleVoter(2))
	_, err := leader.LeaseRead()
	require.NoError(t, err)
	require.ErrorIs(t, ms[2].Campaign(), ErrLeaseInForce)
}

func leasesForHazards(c *Config) { c.ReadOnlyOption = ReadOnlyLeaseBased }

// A voter promises to refuse votes only once a crash would not make a node of it
// that knows of no promise (dissertation §6.4.1).
func TestHazardLeasePromiseOfAFreshVoter(t *testing.T) {
	fresh := &machine{t: t, id: 3, storage: NewMemoryStorage()}
	fresh.start(leasesForHazards)
	beat := pb.Message{Type: pb.MsgHeartbeat, From: 1, To: 3, Term: 2, Round: 1}
	require.NoError(t, fresh.Step(beat))
	require.Zero(t, only(t, fresh.serve(), pb.MsgHeartbeatResp, 1).LeaseTicks)
	require.NoError(t, fresh.Step(beat))
	require.Equal(t, uint64(10), only(t, fresh.serve(), pb.MsgHeartbeatResp, 1).LeaseTicks)
	fresh.start(leasesForHazards)
	require.Positive(t, fresh.raft.promised)
}

// An answer to a read of a former life is not taken for a new read's, also when
// the host's randomness repeats itself (dissertation §6.4).
func TestHazardReadAcrossRestartWithTheSameRandomness(t *testing.T) {
	ms := bootMachines(t, 3, nil)
	leader := ms.elect(1)
	again := func() {
		ms[3].start(func(c *Config) { c.Rand = rand.NewPCG(3, 42) })
		leader.Tick()
		ms.settle(nil)
	}
	again()
	require.NoError(t, ms[3].ReadIndex([]byte("first")))
	var late pb.Message
	ms.settle(func(m pb.Message) bool {
		if m.Type == pb.MsgReadIndexResp {
			late = m
		}
		return m.Type == pb.MsgReadIndexResp
	})
	require.NoError(t, leader.Propose([]byte("y")))
	ms.settle(nil)
	again()
	require.NoError(t, ms[3].ReadIndex([]byte("second")))
	ms[3].serve()
	require.NoError(t, ms[3].Step(late))
	require.Empty(t, ms[3].Ready().ReadStates)
}

// Only the term's leader may tell a node to campaign past the refusal of votes
// (dissertation §3.10, §4.2.3).
func TestHazardTimeoutNowFromAnybody(t *testing.T) {
	ms := bootMachines(t, 3, nil)
	require.NoError(t, ms[1].Step(pb.Message{Type: pb.MsgHeartbeat, From: 2, To: 1, Term: 2}))
	require.ErrorIs(t, ms[1].Step(pb.Message{Type: pb.MsgTimeoutNow, From: 77, To: 1, Term: 2}), ErrCorruptMessage)
	require.Equal(t, StateFollower, ms[1].raft.role)
}

// A group that removed its leader elects another, though the removed one, whose
// vote the other still thinks that it needs, has the longer log: a refused vote
// tells what is committed (dissertation §4.2.2).
func TestHazardRemovedLeaderWithTheLongerLog(t *testing.T) {
	ms := bootMachines(t, 2, nil)
	leader := ms.elect(1)
	require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 1}))
	msgs := leader.serve()
	require.NoError(t, leader.Propose([]byte("x")), "the removal is not applied yet")
	ms.deliver(msgs, nil)
	ms.deliver(ms[2].serve(), nil)
	for range 12 { // it commits, applies and leaves while the link is down
		leader.serve()
		leader.Tick()
	}
	require.Equal(t, StateFollower, leader.raft.role)
	ms.tickUntilLed(100)
	require.Equal(t, StateLeader, ms[2].raft.role)
}

// The same with a removed follower, when the leader dies.
func TestHazardRemovedFollowerWithTheLongerLog(t *testing.T) {
	ms := bootMachines(t, 4, nil)
	leader := ms.elect(1)
	require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 4}))
	ms.deliver(leader.serve(), nil)
	for id := uint64(2); id <= 4; id++ {
		ms.deliver(ms[id].serve(), nil)
	}
	require.NoError(t, leader.Propose([]byte("x")))
	ms.deliver(leader.Ready().Messages, func(m pb.Message) bool { return m.To != 4 })
	ms[4].serve()
	delete(ms, 1)
	ms.tickUntilLed(200)
}

func (ms machines) tickUntilLed(limit int) {
	for range limit {
		for id := uint64(1); id < 10; id++ {
			if m := ms[id]; m != nil {
				m.Tick()
			}
		}
		ms.settle(nil)
		for _, m := range ms {
			if m.raft.role == StateLeader {
				return
			}
		}
	}
	for _, m := range ms {
		m.t.Fatal("no leader, with a majority of the voters up and connected")
	}
}

// A voter may say that it knows of the leader's removal only when no crash can
// make it forget: by this word the leader goes for good (dissertation §4.2.2).
func TestHazardRemovalKnownToOneThatForgets(t *testing.T) {
	ms := bootMachines(t, 2, nil)
	leader := ms.elect(1)
	require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 1}))
	ms.deliver(leader.serve(), nil)
	ms.deliver(ms[2].serve(), nil)
	ms.deliver(leader.serve(), nil) // it commits, applies, and tells
	rd := ms[2].Ready()
	require.True(t, rd.MustSync)
	ms.deliver(rd.Messages, nil)
	ms[2].start(nil) // before anything is written
	leader.serve()
	require.Equal(t, StateLeader, leader.raft.role)
	ms.settle(nil)
	leader.Tick()
	ms.settle(nil)
	require.Equal(t, StepDownRemoved, leader.raft.stepDown)
	delete(ms, 1)
	ms.tickUntilLed(100)
}

// Nor does a group lock up if the voter with the longest log is the one that does
// not know of the removal: also a granted vote tells what is committed.
func TestHazardRemovalUnknownToTheLongestLog(t *testing.T) {
	ms := bootMachines(t, 4, nil)
	leader := ms.elect(1)
	require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 1}))
	ms.deliver(leader.serve(), nil)
	require.NoError(t, leader.Propose([]byte("x")), "the removal is not applied yet")
	for _, m := range leader.serve() {
		if m.To == 4 {
			require.NoError(t, ms[4].Step(m))
		}
	}
	for id := uint64(2); id <= 4; id++ {
		ms.deliver(ms[id].serve(), nil)
	}
	ms.settle(func(m pb.Message) bool { return m.To == 4 || m.Type == pb.MsgApp || m.Type == pb.MsgTimeoutNow })
	require.Equal(t, StepDownRemoved, leader.raft.stepDown)
	require.Greater(t, ms[4].raft.log.last.index, ms[2].raft.log.last.index)
	delete(ms, 1)
	delete(ms, 3)
	ms.tickUntilLed(200) // 2 and 4, a majority of 2 3 4
}

// Nor if the one with the longest log does not know that it has become a voter: it does not
// campaign, and the others need its vote. A request for a vote tells what is committed, too.
func TestHazardNewVoterWithTheLongerLog(t *testing.T) {
	for name, configure := range map[string]func(*Config){
		"pre-vote":    nil,
		"no pre-vote": func(c *Config) { c.DisablePreVote = true },
	} {
		t.Run(name, func(t *testing.T) {
			ms := bootMachines(t, 3, configure)
			leader := ms.elect(1)
			ms.addLearner(leader, 4, configure)
			require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 4}))
			ms.deliver(leader.serve(), nil)
			require.NoError(t, leader.Propose([]byte("x")), "the change is not committed yet")
			ms.deliver(leader.serve(), func(m pb.Message) bool { return m.To != 4 })
			ms.settle(func(m pb.Message) bool { return m.To == 4 || len(m.Entries) > 0 })
			require.Greater(t, ms[4].raft.log.last.index, ms[2].raft.log.last.index)
			require.False(t, ms[4].raft.conf.isVoter(4))
			require.True(t, ms[2].raft.conf.isVoter(4) && ms[3].raft.conf.isVoter(4), "they know")
			delete(ms, 1)
			ms.tickUntilLed(200) // 2, 3 and 4, a majority of four
		})
	}
}

// The same where all crash: a host that applies beside writing has saved the configuration of a
// change before the commit index that covers it, and what it had sent further is gone.
func TestHazardConfigurationSavedBeforeItsCommitIndex(t *testing.T) {
	ms := bootMachines(t, 1, nil)
	leader := ms.elect(1)
	ms.addLearner(leader, 2, nil)
	require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 2}))
	change := leader.Ready()
	leader.save(change)
	ms.deliver(change.Messages, nil)
	require.NoError(t, leader.Propose([]byte("x")))
	lost := leader.Ready() // sent, and never written
	ms.deliver(lost.Messages, nil)
	ms[2].serve()
	require.NoError(t, leader.AckAppend(change.AppendToken()))
	apply := leader.Ready() // nor is the commit index in this one
	require.Len(t, apply.CommittedEntries, 1)
	leader.storage.SetConfState(*leader.ApplyConfChange(pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 2}))
	for id := range ms {
		ms[id].start(nil)
	}
	require.Less(t, leader.raft.log.last.index, ms[2].raft.log.last.index)
	ms.tickUntilLed(200)
	require.True(t, ms[2].raft.conf.isVoter(2))
}

// addLearner adds a learner, which catches up.
func (ms machines) addLearner(leader *machine, id uint64, configure func(*Config)) {
	ms[id] = &machine{t: leader.t, id: id, storage: NewMemoryStorage()}
	ms[id].start(configure)
	require.NoError(leader.t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: id}))
	ms.settle(nil)
	require.Equal(leader.t, leader.raft.log.last, ms[id].raft.log.last)
}

// A peer that lost what it had acknowledged is asked again at heartbeats, not as
// fast as messages travel.
func TestHazardPeerThatLostItsLog(t *testing.T) {
	ms := bootMachines(t, 3, nil)
	leader := ms.elect(1)
	ms[3].storage = NewMemoryStorage()
	ms[3].start(nil)
	require.NoError(t, leader.ReportUnreachable(3))
	ms.settle(nil) // fails if it does not end
	require.True(t, leader.raft.leader.peers[2].Waiting)
}

// A node that is told to take over while the change that removes the leader is
// not applied takes over as soon as it is.
func TestHazardTakeOverBeforeTheChangeIsApplied(t *testing.T) {
	ms := bootMachines(t, 2, nil)
	leader := ms.elect(1)
	require.NoError(t, leader.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 1}))
	ms.deliver(leader.serve(), nil)
	ms.deliver(ms[2].serve(), nil)
	ms.deliver(leader.serve(), nil)
	rd := ms[2].Ready() // hands out the change
	require.Len(t, rd.CommittedEntries, 1)
	ms[2].save(rd)
	require.NoError(t, ms[2].AckAppend(rd.AppendToken()))
	require.NoError(t, ms[2].Step(pb.Message{Type: pb.MsgTimeoutNow, From: 1, To: 2, Term: leader.raft.term}))
	require.Equal(t, StateFollower, ms[2].raft.role)
	ms[2].ApplyConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 1})
	require.NoError(t, ms[2].AckApply(rd.AppliedIndex()))
	ms[2].serve()
	require.Equal(t, StateLeader, ms[2].raft.role)
}

// A leader whose disk stands still hands over also under load: it accepts no
// more, brings the best successor up to date, and tells it to take over.
func TestHazardStalledDiskUnderLoad(t *testing.T) {
	ms := bootMachines(t, 3, nil)
	leader := ms.elect(1)
	var told []pb.Message
	for range 25 {
		if leader.raft.role != StateLeader {
			break
		}
		rd := leader.Ready() // never acknowledged
		told = append(told, rd.Messages...)
		ms.deliver(append([]pb.Message(nil), rd.Messages...), nil)
		for id := uint64(2); id <= 3; id++ {
			ms.deliver(ms[id].serve(), nil)
		}
		_ = leader.Propose([]byte("load")) // refused once it transfers
		leader.Tick()
	}
	told = append(told, leader.Ready().Messages...)
	require.Equal(t, StepDownDiskStalled, leader.raft.stepDown)
	require.Equal(t, pb.MsgTimeoutNow, only(t, told, pb.MsgTimeoutNow, 2).Type)
}

// The configuration of any index that a snapshot may have is one that a receiver
// takes, also between the entries of a bootstrap.
func TestHazardConfigurationOfBootstrapEntries(t *testing.T) {
	m := bootMachines(t, 3, nil)[1]
	for i := uint64(1); i <= 3; i++ {
		cs, err := m.ConfStateAt(i)
		require.NoError(t, err)
		require.Equal(t, pb.ConfState{Voters: []uint64{1, 2, 3}, Index: i}, *cs)
	}
}

// A configuration from past the end of the log was not saved by this node.
func TestHazardConfigurationOfTheFuture(t *testing.T) {
	s := NewMemoryStorage()
	require.NoError(t, s.Append([]pb.Entry{{Index: 1, Term: 1}}))
	require.NoError(t, s.SetHardState(pb.HardState{Term: 1, Commit: 1}))
	s.SetConfState(pb.ConfState{Voters: []uint64{1}, Index: 100})
	_, err := NewRawNode(&Config{ID: 1, Storage: s})
	require.ErrorIs(t, err, ErrStorage)
}

// A nil change, also behind a pointer, leaves a joint configuration or is
// refused; it never panics.
func TestHazardNilChange(t *testing.T) {
	ms := bootMachines(t, 1, nil)
	leader := ms.elect(1)
	require.ErrorIs(t, leader.ProposeConfChange((*pb.ConfChangeV2)(nil)), ErrProposalDropped)
	require.ErrorIs(t, leader.ProposeConfChange((*pb.ConfChange)(nil)), ErrProposalDropped)
	require.Equal(t, []uint64{1}, leader.ApplyConfChange((*pb.ConfChange)(nil)).Voters)
}

// While a received snapshot is not durable, a change that is being applied
// returns the configuration from before it: saved by the host, it is one that
// the log still leads to after a crash.
func TestHazardChangeAppliedBesideAPendingSnapshot(t *testing.T) {
	m := bootMachines(t, 3, nil)[1]
	cc := pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 4}
	data, err := cc.Marshal()
	require.NoError(t, err)
	require.NoError(t, m.Step(pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 2, Index: 3, LogTerm: 1, Commit: 4,
		Entries: []pb.Entry{{Type: pb.EntryConfChange, Term: 2, Index: 4, Data: data}}}))
	rd := m.Ready()
	m.save(rd)
	require.NoError(t, m.AckAppend(rd.AppendToken()))
	rd = m.Ready()
	require.Len(t, rd.CommittedEntries, 1)
	snap := &pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 9, Term: 2,
		ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4, 5}, Index: 8}}}
	require.NoError(t, m.Step(pb.Message{Type: pb.MsgSnap, From: 2, To: 1, Term: 2, Snapshot: snap}))
	cs := m.ApplyConfChange(cc)
	require.LessOrEqual(t, cs.Index, uint64(4))
	m.storage.SetConfState(*cs)
	m.start(nil) // fails for a configuration from past the log
	m.serve()
	require.Equal(t, []uint64{4}, m.raft.conf.cfg.Learners)
}
