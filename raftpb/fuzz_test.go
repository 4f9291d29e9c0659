package raftpb

import (
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"
)

// roundTrip checks that any bytes either fail to decode or decode to a record that survives being encoded and
// decoded again: a node that stores or forwards what it was sent must not change it. Nothing may panic, for the
// bytes are a peer's. Returns nil if the bytes do not decode.
func roundTrip(t *testing.T, data []byte, empty record) record {
	first := blank(empty)
	if first.Unmarshal(data) != nil {
		return nil
	}
	encoded, err := first.Marshal()
	require.NoError(t, err)
	require.Len(t, encoded, first.Size())

	second := blank(empty)
	require.NoError(t, second.Unmarshal(encoded))
	// Equal takes nil and empty bytes to be the same, as the format does.
	require.True(t, proto.Equal(first, second), "%v became %v", first, second)
	again, err := second.Marshal()
	require.NoError(t, err)
	require.Equal(t, encoded, again)
	_ = first.String()
	return first
}

// addVectors gives the fuzzer the vectors of all messages to start from, since a wrong type is a good input too.
func addVectors(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.bytes)
	}
}

func FuzzMessageRoundTrip(f *testing.F) {
	addVectors(f)
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, &Message{}) })
}

func FuzzEntryRoundTrip(f *testing.F) {
	addVectors(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, ok := roundTrip(t, data, &Entry{}).(*Entry)
		if !ok {
			return
		}
		// An entry's data is whatever a client proposed.
		_, _ = UnmarshalConfChange(*e)
	})
}

func FuzzConfChangeRoundTrip(f *testing.F) {
	for _, v := range readVectors(f) {
		for entryType := range EntryType_name {
			f.Add(entryType, v.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, entryType int32, data []byte) {
		roundTrip(t, data, &ConfChange{})
		roundTrip(t, data, &ConfChangeV2{})

		change, err := UnmarshalConfChange(Entry{Type: EntryType(entryType), Data: data})
		if err != nil {
			require.ErrorIs(t, err, ErrInvalidConfChange)
			require.Nil(t, change)
			return
		}
		encodedType, encoded, err := MarshalConfChange(change)
		require.NoError(t, err)
		require.Equal(t, EntryType(entryType), encodedType)
		again, err := UnmarshalConfChange(Entry{Type: encodedType, Data: encoded})
		require.NoError(t, err)
		one, two := change.AsV2(), again.AsV2()
		require.True(t, proto.Equal(&one, &two), "%v became %v", &one, &two)

		singles, err := ConfChangesFromString(ConfChangesToString(one.Changes))
		require.NoError(t, err)
		for i := range one.Changes {
			one.Changes[i].Context = nil // the notation leaves it out
		}
		require.Equal(t, one.Changes, singles)
	})
}
