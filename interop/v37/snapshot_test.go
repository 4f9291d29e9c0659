package v37

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

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

// A follower of etcd's takes a snapshot of ours, and starts again from it; it compares configurations with the fields
// that it does not know and panics if they differ. Of the snapshot that it makes next, with the unknown fields of
// ours still in it, we take what is etcd's and no more.
func TestPeerTakesOurSnapshot(t *testing.T) {
	encoded, err := (&pb.Message{Type: pb.MsgSnap, To: 2, From: 1, Term: 3, Snapshot: &ours}).Marshal()
	require.NoError(t, err)
	var m raftpb.Message
	require.NoError(t, proto.Unmarshal(encoded, &m))

	storage := raft.NewMemoryStorage()
	start := func() *raft.RawNode {
		node, err := raft.NewRawNode(&raft.Config{
			ID: 2, ElectionTick: 10, HeartbeatTick: 1, Storage: storage, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 10,
		})
		require.NoError(t, err)
		return node
	}
	node := start()
	require.NoError(t, node.Step(&m))
	snapshot := node.Ready().Snapshot
	require.Equal(t, uint64(20), snapshot.GetMetadata().GetIndex())
	require.NoError(t, storage.ApplySnapshot(snapshot))
	require.Len(t, start().Status().Config.Voters.IDs(), 4)

	// The same snapshot back is what we sent.
	require.Equal(t, ours.Metadata, decode(t, snapshot).Metadata)

	require.NoError(t, storage.Append([]*raftpb.Entry{{Term: proto.Uint64(3), Index: proto.Uint64(21)}}))
	next, err := storage.CreateSnapshot(21, &raftpb.ConfState{Voters: []uint64{1, 2}}, []byte("later"))
	require.NoError(t, err)
	require.NotEmpty(t, next.GetMetadata().ProtoReflect().GetUnknown(), "fields of ours are still in it")
	require.Equal(t, pb.ConfState{Voters: []uint64{1, 2}}, decode(t, next).Metadata.ConfState)
}

func decode(t *testing.T, snapshot *raftpb.Snapshot) pb.Snapshot {
	encoded, err := proto.Marshal(snapshot)
	require.NoError(t, err)
	var s pb.Snapshot
	require.NoError(t, s.Unmarshal(encoded))
	return s
}
