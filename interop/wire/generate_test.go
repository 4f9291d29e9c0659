package wire

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/quorate-raft/raft/raftpb"
)

// A message that is added to raft.proto is compared too, or it is one of those that only we have.
func TestEveryMessageIsCompared(t *testing.T) {
	var file descriptorpb.FileDescriptorProto
	require.NoError(t, proto.Unmarshal(ownDescriptor(t), &file))
	var declared, compared []string
	for _, message := range file.MessageType {
		declared = append(declared, message.GetName())
	}
	for _, r := range ours {
		compared = append(compared, nameOf(r))
	}
	require.ElementsMatch(t, declared, append(compared, "Member", "SnapshotConf",
		"MembershipTarget", "MembershipOutcome", "MembershipChange"))
}

// The generator gives every field of every type, nested ones as well, zero and other values: a field that it left out
// would be compared as zero and zero.
func TestGeneratorFillsEveryField(t *testing.T) {
	g := NewGenerator(1)
	g.large, g.many = 10, 3
	for _, empty := range ours {
		seen := make(map[string]bool)
		for range 1000 {
			r := blank(empty)
			g.Fill(r)
			walk(reflect.ValueOf(r).Elem(), func(structType reflect.Type, field reflect.StructField, v reflect.Value) {
				seen[fmt.Sprintf("%s.%s zero %t", structType.Name(), field.Name, v.IsZero())] = true
			})
		}
		requireFieldsSeen(t, seen, reflect.TypeOf(empty).Elem())
	}
}

func requireFieldsSeen(t *testing.T, seen map[string]bool, structType reflect.Type) {
	for field := range structType.Fields() {
		_, ok := numberOf(field)
		require.True(t, ok, "%s.%s has no number", structType.Name(), field.Name)
		for _, zero := range []bool{false, true} {
			// Our structs hold some messages by value; one with nothing in it is rare, and its fields are looked at below.
			if zero && field.Type.Kind() == reflect.Struct {
				continue
			}
			name := fmt.Sprintf("%s.%s zero %t", structType.Name(), field.Name, zero)
			require.True(t, seen[name], name)
		}
		if inner, message := messageOf(field.Type); message {
			requireFieldsSeen(t, seen, inner)
		}
	}
}

// The same seed makes the same records, or golden files could not be made again.
func TestGeneratorRepeats(t *testing.T) {
	for _, empty := range ours {
		one, two := blank(empty), blank(empty)
		NewGenerator(3).Fill(one)
		NewGenerator(3).Fill(two)
		require.Equal(t, one, two)
	}
}

// The comparison names the field that differs, however deep it is: one that never finds a difference would pass too.
func TestDiffer(t *testing.T) {
	g := NewGenerator(2)
	g.large, g.many = 10, 3
	found := 0
	for range 1000 {
		one, two := &pb.Message{}, &pb.Message{}
		g.fillStruct(reflect.ValueOf(one).Elem(), 1, 0)
		require.NoError(t, two.Unmarshal(encode(t, one)))
		require.Empty(t, Differ(one, two))
		var fields []reflect.Value
		walk(reflect.ValueOf(two).Elem(), func(_ reflect.Type, _ reflect.StructField, v reflect.Value) {
			if !v.IsZero() {
				fields = append(fields, v)
			}
		})
		fields[g.IntN(len(fields))].SetZero()
		require.NotEmpty(t, Differ(one, two))
		found++
	}
	require.Equal(t, 1000, found)
}
