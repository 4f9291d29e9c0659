// Package etcd is etcd's raftpb of v3.6 as a [wire.Peer].
package etcd

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	gogoproto "github.com/gogo/protobuf/proto"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/interop/wire"
)

// Peer is etcd's raftpb.
var Peer wire.Peer = peer{}

type peer struct{}

// record is what each of etcd's messages can do.
type record interface {
	gogoproto.Message
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
	Size() int
}

func (peer) Name() string           { return "etcd-v3.6" }
func (peer) KeepsUnknown() bool     { return false }
func (peer) AlwaysWritesZero() bool { return true }
func (peer) GoogleReader() bool     { return false }

func (peer) Descriptor() []byte {
	compressed, _ := (&raftpb.Entry{}).Descriptor()
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		panic(fmt.Sprintf("etcd's descriptor: %v", err))
	}
	descriptor, err := io.ReadAll(reader)
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

func (peer) Marshal(r any) ([]byte, error)   { return r.(record).Marshal() }
func (peer) Unmarshal(b []byte, r any) error { return r.(record).Unmarshal(b) }
func (peer) Size(r any) int                  { return r.(record).Size() }
func (peer) Equal(one, two any) bool         { return gogoproto.Equal(one.(record), two.(record)) }
func (peer) LeaveJoint(change any) bool      { return change.(*raftpb.ConfChangeV2).LeaveJoint() }
func (peer) ConfChangesToString(c any) string {
	return raftpb.ConfChangesToString(c.(*raftpb.ConfChangeV2).Changes)
}
func (peer) EnterJoint(change any) (bool, bool) { return change.(*raftpb.ConfChangeV2).EnterJoint() }

func (peer) MarshalConfChange(change any) (int32, []byte, error) {
	c, _ := change.(raftpb.ConfChangeI)
	entryType, data, err := raftpb.MarshalConfChange(c)
	return int32(entryType), data, err
}

func (peer) AsV2(change any) any {
	v2 := change.(raftpb.ConfChangeI).AsV2()
	return &v2
}

func (peer) ConfChangesFromString(s string) (any, error) {
	changes, err := raftpb.ConfChangesFromString(s)
	return &raftpb.ConfChangeV2{Changes: changes}, err
}

func (peer) Equivalent(one, two any) error {
	return one.(*raftpb.ConfState).Equivalent(*two.(*raftpb.ConfState))
}

func (peer) ConfStateOf(metadata any) any { return &metadata.(*raftpb.SnapshotMetadata).ConfState }
