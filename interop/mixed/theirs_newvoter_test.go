package mixed

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/interop/etcdraft"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// survivor is what the disk of a member holds after the leader 1 of voters 1 2 3 has made the learner 4
// a voter and died: 2 and 3 heard that the change is committed, and 4 got one more entry instead.
func survivor(t *testing.T, id uint64) (opb.Snapshot, []opb.Entry, opb.HardState) {
	snap := opb.Snapshot{Metadata: opb.SnapshotMetadata{Index: 1, Term: 1,
		ConfState: opb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}}}
	cc := opb.ConfChange{Type: opb.ConfChangeAddNode, NodeID: 4}
	data, err := cc.Marshal()
	require.NoError(t, err)
	ents := []opb.Entry{{Type: opb.EntryConfChange, Term: 1, Index: 2, Data: data}}
	if id == 4 {
		return snap, append(ents, opb.Entry{Term: 1, Index: 3}), opb.HardState{Term: 1, Commit: 1}
	}
	return snap, ents, opb.HardState{Term: 1, Commit: 2}
}

// Three of four voters are up, so they elect a leader. The one with the longest log does not know that
// it is a voter, so it does not campaign, and it refuses the others its vote. Ours learns from the
// requests that it is one; a group of theirs waits for ever.
func TestNewVoterWithTheLongerLog(t *testing.T) {
	our, their := map[uint64]*ours.RawNode{}, map[uint64]*raft.RawNode{}
	ourDisks, theirDisks := map[uint64]*ours.MemoryStorage{}, map[uint64]*raft.MemoryStorage{}
	for id := uint64(2); id <= 4; id++ {
		snap, ents, hs := survivor(t, id)
		o, th := ours.NewMemoryStorage(), raft.NewMemoryStorage()
		require.NoError(t, o.ApplySnapshot(snap))
		require.NoError(t, o.Append(ents))
		require.NoError(t, o.SetHardState(hs))
		require.NoError(t, th.ApplySnapshot(*etcdraft.FromSnapshot(&snap)))
		require.NoError(t, th.Append(etcdraft.FromEntries(ents)))
		require.NoError(t, th.SetHardState(tpb.HardState{Term: hs.Term, Commit: hs.Commit}))
		var err error
		our[id], err = ours.NewRawNode(&ours.Config{ID: id, Storage: o})
		require.NoError(t, err)
		their[id], err = raft.NewRawNode(&raft.Config{
			ID: id, ElectionTick: 10, HeartbeatTick: 1, Storage: th, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256,
			PreVote: true, CheckQuorum: true, Logger: etcdraft.Quiet{},
		})
		require.NoError(t, err)
		ourDisks[id], theirDisks[id] = o, th
	}
	led := false
	for range 200 {
		for id, n := range our {
			n.Tick()
			serveOurs(t, our, ourDisks[id], id)
			led = led || n.BasicStatus().RaftState == ours.StateLeader
		}
	}
	require.True(t, led)
	for range 2000 {
		for id, n := range their {
			n.Tick()
			serveTheirs(t, their, theirDisks[id], id)
			require.NotEqual(t, raft.StateLeader, n.BasicStatus().RaftState)
		}
	}
	require.NotContains(t, their[4].Status().Config.Voters[0], uint64(4))
	require.Contains(t, their[2].Status().Config.Voters[0], uint64(4))
}

// serveOurs writes, applies and delivers what a member has to do, and what others then have.
func serveOurs(t *testing.T, nodes map[uint64]*ours.RawNode, disk *ours.MemoryStorage, id uint64) {
	for n := nodes[id]; n.HasReady(); {
		rd := n.Ready()
		require.NoError(t, disk.Append(rd.Entries))
		if !ours.IsEmptyHardState(rd.HardState) {
			require.NoError(t, disk.SetHardState(rd.HardState))
		}
		for i := range rd.CommittedEntries {
			if rd.CommittedEntries[i].Type != opb.EntryNormal {
				cc, err := opb.UnmarshalConfChange(rd.CommittedEntries[i])
				require.NoError(t, err)
				n.ApplyConfChange(cc)
			}
		}
		for _, m := range append(append([]opb.Message(nil), rd.Messages...), rd.MessagesAfterAppend...) {
			if to := nodes[m.To]; to != nil {
				_ = to.Step(m)
			}
		}
		require.NoError(t, n.Advance(rd))
	}
}

func serveTheirs(t *testing.T, nodes map[uint64]*raft.RawNode, disk *raft.MemoryStorage, id uint64) {
	for n := nodes[id]; n.HasReady(); {
		rd := n.Ready()
		require.NoError(t, disk.Append(rd.Entries))
		if !raft.IsEmptyHardState(rd.HardState) {
			require.NoError(t, disk.SetHardState(rd.HardState))
		}
		for _, e := range rd.CommittedEntries {
			if e.Type == tpb.EntryConfChange {
				var cc tpb.ConfChange
				require.NoError(t, cc.Unmarshal(e.Data))
				n.ApplyConfChange(cc)
			}
		}
		for _, m := range rd.Messages {
			if to := nodes[m.To]; to != nil {
				_ = to.Step(m)
			}
		}
		n.Advance(rd)
	}
}
