package raftpb

import (
	"bytes"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"
)

// The configuration in a snapshot must have nothing on the wire that etcd does not know: v3.7 panics over it.
func TestSnapshotHasEtcdsConfState(t *testing.T) {
	meta := SnapshotMetadata{
		Index: 20, Term: 6,
		ConfState: ConfState{
			Voters: []uint64{1, 2}, Index: 17, Members: []Member{{ID: 1, Context: []byte("a:1")}},
			ConfChangeEffect: ConfChangeOnAppend, Target: &MembershipTarget{Version: 9, Voters: []uint64{1}},
			LastOutcome: &MembershipOutcome{Version: 7, Result: MembershipSuperseded, Index: 9},
		},
	}
	before := *proto.Clone(&meta).(*SnapshotMetadata)
	encoded, err := (&Message{Type: MsgSnap, Snapshot: &Snapshot{Metadata: meta}}).Marshal()
	require.NoError(t, err)
	require.Equal(t, before, meta, "encoding changes nothing")

	bare, err := (&ConfState{Voters: []uint64{1, 2}}).Marshal()
	require.NoError(t, err)
	require.Contains(t, string(encoded), string(append([]byte{0x0a, byte(len(bare))}, bare...)))

	var got Message
	require.NoError(t, got.Unmarshal(encoded))
	require.Equal(t, meta, got.Snapshot.Metadata)

	encoded, err = proto.Marshal(&meta)
	require.NoError(t, err)
	var again SnapshotMetadata
	require.NoError(t, proto.Unmarshal(encoded, &again))
	require.Equal(t, meta, again, "by the library's functions")
}

// Etcd v3.7's MemoryStorage writes the fields that it did not know of one snapshot into the next: what they say of the
// configuration is then wrong.
func TestSnapshotConfOfAnotherSnapshot(t *testing.T) {
	conf := SnapshotConf{SnapshotIndex: 20, Index: 17, Members: []Member{{ID: 1, Context: []byte("a:1")}}}
	encodedConf, err := conf.Marshal()
	require.NoError(t, err)
	tail := append([]byte{0xa2, 0x06, byte(len(encodedConf))}, encodedConf...)
	for index, found := range map[uint64]bool{19: false, 20: true, 21: false} {
		encoded, err := (&SnapshotMetadata{Index: index, ConfState: ConfState{Voters: []uint64{1}}}).Marshal()
		require.NoError(t, err)
		for _, order := range [][]byte{append(encoded, tail...), append(tail, encoded...)} {
			var got SnapshotMetadata
			require.NoError(t, got.Unmarshal(order))
			require.Equal(t, found, got.ConfState.Index == 17)
			require.Equal(t, found, len(got.ConfState.Members) == 1)
		}
	}
}

// Each field of a configuration that etcd does not know is beside the others in a snapshot, also if it is the only one: one
// that a later version adds must not be forgotten in apart or Unmarshal.
func TestSnapshotKeepsEachOwnField(t *testing.T) {
	bare, err := (&SnapshotMetadata{Index: 20, ConfState: ConfState{Voters: []uint64{1}}}).Marshal()
	require.NoError(t, err)
	own := 0
	for field := range reflect.TypeFor[ConfState]().Fields() {
		number, err := strconv.Atoi(strings.Split(field.Tag.Get("protobuf"), ",")[1])
		require.NoError(t, err)
		if number < 100 {
			continue
		}
		own++
		meta := SnapshotMetadata{Index: 20, ConfState: ConfState{Voters: []uint64{1}}}
		switch v := reflect.ValueOf(&meta.ConfState).Elem().FieldByIndex(field.Index); v.Kind() {
		case reflect.Uint64:
			v.SetUint(3)
		case reflect.Int32:
			v.SetInt(1)
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		default:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		encoded, err := meta.Marshal()
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(encoded, bare), "%s is within the configuration", field.Name)
		require.Len(t, encoded, meta.Size())
		var got SnapshotMetadata
		require.NoError(t, got.Unmarshal(encoded))
		require.Equal(t, meta, got, field.Name)
	}
	require.Equal(t, 5, own)
}

func TestMalformedSnapshotConf(t *testing.T) {
	for name, encoded := range map[string][]byte{
		"scalar":           {0xa0, 0x06, 1},
		"truncated":        {0xa2, 0x06, 2, 8},
		"truncated within": {0xa2, 0x06, 1, 8},
		"truncated tag":    {0xa2},
		"group":            {0xa3, 0x06, 0xa4, 0x06},
		"negative length":  {0xa2, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		require.Error(t, new(SnapshotMetadata).Unmarshal(encoded), name)
	}
}
