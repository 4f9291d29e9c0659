// Package wire checks that bytes mean the same to this library and to a peer. It imports no peer: two
// versions of one cannot be linked into one program, so each has a module that calls this package with a [Peer].
package wire

import (
	"reflect"

	"github.com/gogo/protobuf/proto"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Peer is one version of etcd's raftpb. A record of it travels as any: a pointer to one of its structs.
type Peer interface {
	// Name is the version, such as "etcd-v3.6".
	Name() string
	// KeepsUnknown says whether a field that the peer does not know is kept and written again, or dropped.
	KeepsUnknown() bool
	// AlwaysWritesZero says whether the peer's structs have no absent scalars, so that each is on the wire.
	AlwaysWritesZero() bool
	// GoogleReader says whether bytes are read by Google's library, and not by code of gogo's generator as ours.
	GoogleReader() bool
	// Descriptor is the peer's raft.proto, as an encoded FileDescriptorProto.
	Descriptor() []byte

	// New returns a zero record of the message of that name, nil if there is none.
	New(name string) any
	Marshal(record any) ([]byte, error)
	Unmarshal(encoded []byte, record any) error
	Size(record any) int
	// Equal is the equality of the peer's own protobuf library.
	Equal(one, two any) bool

	// MarshalConfChange takes a ConfChange, a ConfChangeV2 or nil, and returns the type as a number.
	MarshalConfChange(change any) (entryType int32, data []byte, err error)
	// AsV2 takes a ConfChange or a ConfChangeV2.
	AsV2(change any) any
	// EnterJoint and LeaveJoint take a ConfChangeV2.
	EnterJoint(change any) (autoLeave, ok bool)
	LeaveJoint(change any) bool
	// ConfChangesFromString returns the changes within a ConfChangeV2; ConfChangesToString takes one.
	ConfChangesFromString(s string) (any, error)
	ConfChangesToString(change any) string
	// ConfStateOf returns the ConfState of a SnapshotMetadata.
	ConfStateOf(metadata any) any
	// Equivalent takes two ConfStates.
	Equivalent(one, two any) error
}

// Record is what every type of ours can do.
type Record interface {
	proto.Message
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
	Size() int
}

// ours has a zero record of every message that peers have too.
var ours = []Record{
	&pb.Entry{},
	&pb.SnapshotMetadata{},
	&pb.Snapshot{},
	&pb.Message{},
	&pb.HardState{},
	&pb.ConfState{},
	&pb.ConfChange{},
	&pb.ConfChangeSingle{},
	&pb.ConfChangeV2{},
}

// blank returns a new zero record of the type of r.
func blank(r Record) Record {
	return reflect.New(reflect.TypeOf(r).Elem()).Interface().(Record)
}

// nameOf returns the name of a record's message, which is the same on both sides.
func nameOf(record any) string { return reflect.TypeOf(record).Elem().Name() }
