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

// Each test here is the shortest way to something that mixed groups found in
// etcd's raft v3.6.0. It holds ours to doing it right, and theirs to what
// docs/differences.md says, so that a version without the fault shows.

// voters is a log that begins after entry 1 of term 1 with five voters.
var voters = opb.Snapshot{Metadata: opb.SnapshotMetadata{Index: 1, Term: 1, ConfState: opb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}}}

func ourNode(t *testing.T, disk *ours.MemoryStorage) *ours.RawNode {
	n, err := ours.NewRawNode(&ours.Config{ID: 1, ElectionTick: 10, HeartbeatTick: 1, Storage: disk, DisablePreVote: true})
	require.NoError(t, err)
	return n
}

func theirNode(t *testing.T, disk *raft.MemoryStorage, async bool) *raft.RawNode {
	n, err := raft.NewRawNode(&raft.Config{
		ID: 1, ElectionTick: 10, HeartbeatTick: 1, Storage: disk, AsyncStorageWrites: async,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, Logger: etcdraft.Quiet{},
	})
	require.NoError(t, err)
	return n
}

func disks(t *testing.T) (*ours.MemoryStorage, *raft.MemoryStorage) {
	o, th := ours.NewMemoryStorage(), raft.NewMemoryStorage()
	require.NoError(t, o.ApplySnapshot(voters))
	require.NoError(t, o.SetHardState(opb.HardState{Term: 1, Commit: 1}))
	require.NoError(t, th.ApplySnapshot(*etcdraft.FromSnapshot(&voters)))
	require.NoError(t, th.SetHardState(tpb.HardState{Term: 1, Commit: 1}))
	return o, th
}

// A change of configuration that was handed out to be applied is not applied on top
// of a snapshot that came since: the snapshot has it, and perhaps what undid it.
// Theirs restores the configuration when the snapshot arrives, and then changes it
// by what the host applies of the past. Here a node ends with three voters of five:
// two of them are a majority to it.
func TestChangeAppliedAfterSnapshot(t *testing.T) {
	remove := func(id uint64) opb.ConfChangeV2 {
		return opb.ConfChangeV2{Changes: []opb.ConfChangeSingle{{Type: opb.ConfChangeRemoveNode, NodeID: id}}}
	}
	entry := func(index, id uint64) opb.Entry {
		cc := remove(id)
		data, err := cc.Marshal()
		require.NoError(t, err)
		return opb.Entry{Type: opb.EntryConfChangeV2, Index: index, Term: 1, Data: data}
	}
	appended := opb.Message{
		Type: opb.MsgApp, From: 2, To: 1, Term: 1, Index: 1, LogTerm: 1, Commit: 3, Entries: []opb.Entry{entry(2, 4), entry(3, 5)},
	}
	// Meanwhile 4 and 5 were added again.
	later := opb.Snapshot{Metadata: opb.SnapshotMetadata{Index: 9, Term: 1, ConfState: voters.Metadata.ConfState}}
	snapshot := opb.Message{Type: opb.MsgSnap, From: 2, To: 1, Term: 1, Snapshot: &later}
	disk, theirDisk := disks(t)

	o := ourNode(t, disk)
	require.NoError(t, o.Step(appended))
	rd := o.Ready()
	require.NoError(t, disk.Append(rd.Entries))
	require.NoError(t, o.AckAppend(rd.AppendToken()))
	rd = o.Ready()
	require.Len(t, rd.CommittedEntries, 2)
	require.NoError(t, o.Step(snapshot))
	o.ApplyConfChange(remove(4))
	o.ApplyConfChange(remove(5))
	rd = o.Ready()
	require.NoError(t, disk.ApplySnapshot(rd.Snapshot))
	require.NoError(t, o.AckAppend(rd.AppendToken()))
	require.NoError(t, o.AckApply(9))
	require.Equal(t, voters.Metadata.ConfState.Voters, o.Status().Config.ConfState().Voters)

	th := theirNode(t, theirDisk, false)
	require.NoError(t, th.Step(etcdraft.FromMessage(&appended)))
	trd := th.Ready()
	require.Len(t, trd.CommittedEntries, 2)
	require.NoError(t, theirDisk.Append(trd.Entries))
	require.NoError(t, th.Step(etcdraft.FromMessage(&snapshot)))
	th.ApplyConfChange(etcdraft.FromChange(remove(4)))
	th.ApplyConfChange(etcdraft.FromChange(remove(5)))
	th.Advance(trd)
	trd = th.Ready()
	require.NoError(t, theirDisk.ApplySnapshot(trd.Snapshot))
	th.Advance(trd)
	require.Len(t, th.Status().Config.Voters.IDs(), 3)
}

// A host compacts its log once it has applied and taken a snapshot, and may have to
// tell the node later. Theirs panics if it is to campaign in between and has a change
// of configuration to look for in what is gone.
func TestCompactedBeforeAdvance(t *testing.T) {
	appended := opb.Message{
		Type: opb.MsgApp, From: 2, To: 1, Term: 1, Index: 1, LogTerm: 1, Commit: 1, Entries: []opb.Entry{{Index: 2, Term: 1}},
	}
	committed := opb.Message{Type: opb.MsgHeartbeat, From: 2, To: 1, Term: 1, Commit: 2}
	disk, theirDisk := disks(t)

	o := ourNode(t, disk)
	require.NoError(t, o.Step(appended))
	rd := o.Ready()
	require.NoError(t, disk.Append(rd.Entries))
	require.NoError(t, o.AckAppend(rd.AppendToken()))
	require.NoError(t, o.Step(committed))
	rd = o.Ready()
	require.Len(t, rd.CommittedEntries, 1)
	require.NoError(t, disk.Compact(2))
	require.NoError(t, o.Campaign())
	require.Equal(t, ours.StateCandidate, o.BasicStatus().RaftState)

	th := theirNode(t, theirDisk, false)
	require.NoError(t, th.Step(etcdraft.FromMessage(&appended)))
	trd := th.Ready()
	require.NoError(t, theirDisk.Append(trd.Entries))
	th.Advance(trd)
	require.NoError(t, th.Step(etcdraft.FromMessage(&committed)))
	require.Len(t, th.Ready().CommittedEntries, 1)
	require.NoError(t, theirDisk.Compact(2))
	require.Panics(t, func() { _ = th.Campaign() })
}
