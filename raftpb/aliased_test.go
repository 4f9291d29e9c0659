package raftpb

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// manyEntries is an append of n entries, some of them without data.
func manyEntries(n int) Message {
	m := Message{Type: MsgApp, To: 2, From: 1, Term: 7, LogTerm: 6, Index: 99, Commit: 98, Session: 3}
	for i := range n {
		e := Entry{Term: 7, Index: uint64(100 + i)}
		if i%5 != 4 {
			e.Data = bytes.Repeat([]byte{byte(i)}, i%300)
		}
		m.Entries = append(m.Entries, e)
	}
	return m
}

// checkAliased reads b both ways: they say the same.
func checkAliased(t *testing.T, b []byte) {
	t.Helper()
	var copied, aliased Message
	aliased.Entries, aliased.Term = []Entry{{Term: 1}}, 5 // is replaced
	err := copied.Unmarshal(b)
	require.Equal(t, err, aliased.UnmarshalAliased(b))
	if err == nil {
		require.Equal(t, copied, aliased)
	}
}

// UnmarshalAliased reads what Unmarshal reads, and refuses what it refuses.
func TestAliasedIsTheSame(t *testing.T) {
	messages := []Message{
		{}, {Type: MsgHeartbeat, From: 1, Term: 2, Context: []byte("c")}, manyEntries(1), manyEntries(200),
		{
			Type: MsgAppResp, To: 1 << 40, From: 300, Term: 1 << 62, LogTerm: 128, Index: 16384, Commit: 16383, Entries: manyEntries(3).Entries,
			Reject: true, RejectHint: 5, Context: []byte{}, NoAnswer: true, Round: 6, LeaseTicks: 7, Session: 8, Features: 9, Sleep: true,
		},
		{Type: MsgHeartbeat, Term: 1 << 63, Vote: 4},
		{Type: MsgSnap, Snapshot: &Snapshot{Data: []byte("x"), Metadata: SnapshotMetadata{Index: 1, Term: 1}}},
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, m := range messages {
		b, err := m.Marshal()
		require.NoError(t, err)
		checkAliased(t, b)
		for range 2000 {
			broken := bytes.Clone(b)
			for range 1 + rnd.IntN(3) {
				if len(broken) > 0 {
					broken[rnd.IntN(len(broken))] = byte(rnd.Uint32())
				}
			}
			checkAliased(t, broken[:rnd.IntN(len(broken)+1)])
		}
	}
}

// The entries of a message take one allocation, and their data lies in the frame
// and cannot grow into it.
func TestAliasedSharesTheFrame(t *testing.T) {
	m := manyEntries(64)
	b, err := m.Marshal()
	require.NoError(t, err)
	var got Message
	require.InDelta(t, 1, testing.AllocsPerRun(100, func() {
		if err := got.UnmarshalAliased(b); err != nil {
			panic(err)
		}
	}), 0)
	require.Equal(t, cap(got.Entries), len(got.Entries))
	clear(b)
	for i := range got.Entries {
		data := got.Entries[i].Data
		require.Equal(t, cap(data), len(data))
		require.Equal(t, make([]byte, len(m.Entries[i].Data)), append([]byte{}, data...))
	}
}

func FuzzUnmarshalAliased(f *testing.F) {
	for _, n := range []int{0, 1, 5} {
		m := manyEntries(n)
		b, err := m.Marshal()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkAliased(t, b) })
}
