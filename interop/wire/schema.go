package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/quorate-raft/raft/raftpb"
)

// onlyOurs are the messages and enums that only we have.
var onlyOurs = map[string]bool{
	"Member": true, "SnapshotConf": true, "ConfChangeEffect": true, "MembershipTarget": true, "MembershipResult": true,
	"MembershipReason": true, "MembershipOutcome": true, "ProposalRefusal": true, "MembershipChange": true,
}

// Both sides declare the same messages, fields and enum values, but for our fields and enum values from 100 up, our own
// messages and enums, and etcd's Message.responses. Whatever a version adds has to be looked at before it passes here.
func testSchema(t *testing.T, p Peer) {
	theirs, mine := schema(t, p.Descriptor()), schema(t, ownDescriptor(t))
	require.Greater(t, len(theirs), 70)
	for line := range theirs {
		if line != "Message 14 responses LABEL_REPEATED TYPE_MESSAGE Message" {
			require.Contains(t, mine, line, "only the peer has it")
		}
	}
	for line, number := range mine {
		if name, _, _ := strings.Cut(line, " "); number < int32(ownFields) && !onlyOurs[name] {
			require.Contains(t, theirs, line, "only we have it")
		}
	}
}

// ownDescriptor returns our raft.proto as the generated code has it.
func ownDescriptor(t *testing.T) []byte {
	compressed, _ := (&pb.Entry{}).Descriptor()
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	require.NoError(t, err)
	descriptor, err := io.ReadAll(reader)
	require.NoError(t, err)
	return descriptor
}

// schema returns a line for each field and each enum value, with its number.
func schema(t *testing.T, descriptor []byte) map[string]int32 {
	var file descriptorpb.FileDescriptorProto
	require.NoError(t, proto.Unmarshal(descriptor, &file))
	lines := make(map[string]int32)
	for _, message := range file.MessageType {
		for _, field := range message.Field {
			typeName := strings.TrimPrefix(field.GetTypeName(), "."+file.GetPackage()+".")
			line := fmt.Sprintf("%s %d %s %v %v %s", message.GetName(), field.GetNumber(), field.GetName(),
				field.GetLabel(), field.GetType(), typeName)
			lines[strings.TrimSpace(line)] = field.GetNumber()
		}
	}
	for _, enum := range file.EnumType {
		for _, value := range enum.Value {
			lines[fmt.Sprintf("%s %s = %d", enum.GetName(), value.GetName(), value.GetNumber())] = value.GetNumber()
		}
	}
	return lines
}
