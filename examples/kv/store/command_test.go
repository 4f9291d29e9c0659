package store

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	someID      = RequestID{Client: 7, Number: 300}
	longestKey  = bytes.Repeat([]byte("k"), MaxKeySize)
	longestText = bytes.Repeat([]byte("v"), MaxValueSize)
)

// Every command that is encoded is decoded to the same, up to the limits.
func TestEncodeDecode(t *testing.T) {
	for _, c := range []command{
		{op: opRegister},
		{op: opPut, key: []byte("k"), value: []byte{}},
		{op: opPut, id: someID, key: longestKey, value: longestText},
		{op: opDelete, id: someID, key: []byte{0}},
		{op: opNewMember},
		{op: opNewMember, bound: 7, member: MaxMember, claim: 1 << 63},
		{op: opUseMember, member: 5},
		{op: opUseMember, member: 300, claim: math.MaxUint64},
		{op: opRetireMembers, bound: 300},
		{op: opRetireMembers, member: 3, bound: MaxMember},
		{op: opCompareAndSet, key: []byte("k"), condition: IfAbsent(), value: []byte("v")},
		{op: opCompareAndSet, id: someID, key: []byte("k"), condition: IfRevision(1 << 63), value: []byte("v")},
		{op: opCompareAndSet, id: someID, key: []byte("k"), condition: IfValue(longestText), value: longestText},
	} {
		var data []byte
		switch c.op {
		case opRegister:
			data = EncodeRegister()
		case opNewMember:
			data = EncodeNewMember(c.bound, c.member, c.claim)
		case opUseMember:
			data = EncodeUseMember(c.member, c.claim)
		case opRetireMembers:
			data = EncodeRetireMembers(c.member, c.bound)
		default:
			data = must(c.encode())
		}
		got, err := decode(data)
		require.NoError(t, err)
		require.Equal(t, c, got)
		for n := range min(len(data), 40) {
			_, err := decode(data[:n])
			require.ErrorIs(t, err, ErrMalformed, "cut to %d", n)
		}
		_, err = decode(append(data, 0))
		require.ErrorIs(t, err, ErrMalformed, "one too many")
		data[0]++
		_, err = decode(data)
		require.ErrorIs(t, err, ErrMalformed, "another version")
	}
}

// What is beyond the limits is refused before it is proposed, by type; and where it was
// proposed all the same, it is refused when it is applied.
func TestLimits(t *testing.T) {
	tooLong := append(bytes.Clone(longestText), 'v')
	for _, c := range []struct {
		command
		want error
	}{
		{command{op: opPut}, ErrKeySize},
		{command{op: opDelete, key: append(bytes.Clone(longestKey), 'k')}, ErrKeySize},
		{command{op: opPut, key: []byte("k"), value: tooLong}, ErrValueSize},
		{command{op: opCompareAndSet, key: []byte("k"), condition: IfValue(tooLong)}, ErrValueSize},
		{command{op: opDelete, key: []byte("k"), id: RequestID{Client: 1}}, ErrRequestID},
		{command{op: opDelete, key: []byte("k"), id: RequestID{Number: 1}}, ErrRequestID},
	} {
		_, err := c.encode()
		require.ErrorIs(t, err, c.want)
	}
	_, err := EncodeCompareAndSet(RequestID{}, []byte("k"), Condition{}, nil)
	require.Error(t, err)

	s := opened(t)
	huge := append([]byte{commandVersion, byte(opDelete), 0, 0}, appendBytes(nil, tooLong)...)
	result := apply(t, s, 1, huge)
	require.Equal(t, Result{Status: Malformed}, result)
	require.ErrorIs(t, result.Err(), ErrMalformed)
	require.EqualValues(t, 1, appliedOf(t, s))
}

// Every Status has a name and, if it is a refusal, an error of its own; no other has.
func TestStatus(t *testing.T) {
	seen := map[string]bool{}
	for status := Done; status <= lastStatus; status++ {
		seen[status.String()] = true
		require.Equal(t, status == Done || status == Absent, Result{Status: status}.Err() == nil)
	}
	require.Len(t, seen, int(lastStatus))
	for _, status := range []Status{0, lastStatus + 1} {
		require.True(t, strings.HasPrefix(status.String(), "status "))
		require.Error(t, Result{Status: status}.Err())
	}
}

// Whatever bytes are in the log: they are a command within the limits, which encoded
// again decodes to the same, or they are refused.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(EncodeRegister())
	f.Add(must(EncodePut(someID, []byte("key"), []byte("value"))))
	f.Add(must(EncodeDelete(RequestID{}, []byte("key"))))
	f.Add(must(EncodeCompareAndSet(someID, []byte("key"), IfRevision(9), []byte("value"))))
	f.Add(must(EncodeCompareAndSet(someID, []byte("key"), IfValue([]byte("old")), nil)))
	f.Add(EncodeNewMember(3, 4, 5))
	f.Add(EncodeUseMember(3, math.MaxUint64))
	f.Add(EncodeRetireMembers(0, MaxMember))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decode(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		var encoded []byte
		switch c.op {
		case opRegister:
			encoded = EncodeRegister()
			require.Equal(t, encoded, data)
		case opNewMember, opUseMember, opRetireMembers:
			encoded = encodeMember(&c)
		default:
			encoded = must(c.encode())
		}
		again, err := decode(encoded)
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
