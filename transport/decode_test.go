package transport

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// A decoded message keeps nothing of the frame: the reader's buffer holds the next one
// soon, and the entries go into the log and to the state machine.
func TestDecodedMessageKeepsNothingOfTheFrame(t *testing.T) {
	for _, entries := range []int{0, 1, 3, 64} {
		want := raftpb.Message{Type: raftpb.MsgApp, From: 1, To: 2, Term: 3, Index: 7, LogTerm: 3, Commit: 7, Context: []byte("context")}
		for i := range entries {
			want.Entries = append(want.Entries, raftpb.Entry{Term: 3, Index: uint64(8 + i), Data: bytes.Repeat([]byte{byte(i + 1)}, 20)})
		}
		frame, err := want.Marshal()
		require.NoError(t, err)
		got, err := decodeMessage(frame)
		require.NoError(t, err)
		for i := range frame {
			frame[i] = 0xee
		}
		require.Equal(t, &want, got, "%d entries", entries)
	}
}
