// Package etcd is etcd's raftpb of v3.7 as a [wire.Peer].
package etcd

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"

	"github.com/quorate-raft/raft/interop/wire"
)

// Peer is etcd's raftpb.
var Peer wire.Peer = peer{}

type peer struct{}

func (peer) Name() string           { return "etcd-v3.7" }
func (peer) KeepsUnknown() bool     { return true }
func (peer) AlwaysWritesZero() bool { return false }
func (peer) GoogleReader() bool     { return true }

func (peer) Descriptor() []byte {
	descriptor, err := proto.Marshal(protodesc.ToFileDescriptorProto(raftpb.File_raft_proto))
	if err != nil {
		panic(fmt.Sprintf("etcd's descriptor: %v", err))
	}
	return descriptor
}

func (peer) New(name string) any {
	switch name {
	case "Entry":
		return &raftpb.Entry{}
	case "SnapshotMetadata":
		return &raftpb.SnapshotMetadata{}
	case "Snapshot":
		return &raftpb.Snapshot{}
	case "Message":
		return &raftpb.Message{}
	case "HardState":
		return &raftpb.HardState{}
	case "ConfState":
		return &raftpb.ConfState{}
	case "ConfChange":
		return &raftpb.ConfChange{}
	case "ConfChangeSingle":
		return &raftpb.ConfChangeSingle{}
	case "ConfChangeV2":
		return &raftpb.ConfChangeV2{}
	}
	return nil
}

func (peer) Marshal(r any) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(r.(proto.Message))
}
func (peer) Unmarshal(b []byte, r any) error    { return proto.Unmarshal(b, r.(proto.Message)) }
func (peer) Size(r any) int                     { return proto.Size(r.(proto.Message)) }
func (peer) Equal(one, two any) bool            { return proto.Equal(one.(proto.Message), two.(proto.Message)) }
func (peer) LeaveJoint(change any) bool         { return change.(*raftpb.ConfChangeV2).LeaveJoint() }
func (peer) EnterJoint(change any) (bool, bool) { return change.(*raftpb.ConfChangeV2).EnterJoint() }
func (peer) ConfChangesToString(c any) string {
	return raftpb.ConfChangesToString(c.(*raftpb.ConfChangeV2).Changes)
}

func (peer) MarshalConfChange(change any) (int32, []byte, error) {
	c, _ := change.(raftpb.ConfChangeI)
	entryType, data, err := raftpb.MarshalConfChange(c)
	return int32(entryType), data, err
}

func (peer) AsV2(change any) any { return change.(raftpb.ConfChangeI).AsV2() }

func (peer) ConfChangesFromString(s string) (any, error) {
	changes, err := raftpb.ConfChangesFromString(s)
	return &raftpb.ConfChangeV2{Changes: changes}, err
}

func (peer) Equivalent(one, two any) error {
	return one.(*raftpb.ConfState).Equivalent(two.(*raftpb.ConfState))
}

func (peer) ConfStateOf(metadata any) any { return metadata.(*raftpb.SnapshotMetadata).ConfState }
