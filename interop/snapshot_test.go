package interop

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	pb "github.com/quorate-raft/raft/raftpb"
)

// ours is a snapshot with all that only we have.
var ours = pb.Snapshot{
	Data: []byte("state"),
	Metadata: pb.SnapshotMetadata{
		Index: 20, Term: 3,
		ConfState: pb.ConfState{
			Voters: []uint64{1, 2, 4}, Learners: []uint64{5}, VotersOutgoing: []uint64{1, 2, 3}, LearnersNext: []uint64{3},
			AutoLeave: true, Index: 17, Members: []pb.Member{{ID: 1, Context: []byte("a:1")}, {ID: 2, Context: []byte("a:2")}},
			ConfChangeEffect: pb.ConfChangeOnAppend, Target: &pb.MembershipTarget{Version: 16, Voters: []uint64{1, 2, 4}},
			LastOutcome: &pb.MembershipOutcome{Version: 12, Result: pb.MembershipSuperseded, Index: 16},
		},
	},
}

// A follower of etcd's takes a snapshot of ours, and starts again from it.
func TestPeerTakesOurSnapshot(t *testing.T) {
	encoded, err := (&pb.Message{Type: pb.MsgSnap, To: 2, From: 1, Term: 3, Snapshot: &ours}).Marshal()
	require.NoError(t, err)
	var m raftpb.Message
	require.NoError(t, m.Unmarshal(encoded))

	storage := raft.NewMemoryStorage()
	start := func() *raft.RawNode {
		node, err := raft.NewRawNode(&raft.Config{
			ID: 2, ElectionTick: 10, HeartbeatTick: 1, Storage: storage, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 10,
		})
		require.NoError(t, err)
		return node
	}
	node := start()
	require.NoError(t, node.Step(m))
	snapshot := node.Ready().Snapshot
	require.Equal(t, uint64(20), snapshot.Metadata.Index)
	require.NoError(t, storage.ApplySnapshot(snapshot))
	require.Len(t, start().Status().Config.Voters.IDs(), 4)
}
