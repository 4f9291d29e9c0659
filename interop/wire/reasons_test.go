package wire

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// A reason is found where it is and nowhere else: one that is found everywhere would excuse any difference.
func TestReasons(t *testing.T) {
	for text, want := range map[string][]reason{
		"":                       nil,
		"08":                     {malformed},
		"10ffffffffffffffffff7f": {longVarint},
		"3a0510":                 {malformed},
		"0000":                   {badNumber},
		"808080801001":           {badNumber},
		"6001":                   {otherWireType},
		"08051a00":               {otherWireType},
		"3a020805":               nil,
		"3a0108":                 {malformed},
		"737c":                   {badGroup, badResponses},
		"7b8401":                 {badGroup},
		"7b00057c":               {badNumber},
		"7200":                   nil,
		"720108":                 {malformed, badResponses},
		"7001":                   {otherWireType, badResponses},
		"a00601":                 nil,
		"a20600":                 {otherWireType, badOwnField},
		"7f":                     {malformed},
	} {
		encoded, err := hex.DecodeString(text)
		require.NoError(t, err)
		var found []reason
		for r := range reasons(&pb.Message{}, encoded) {
			found = append(found, r)
		}
		require.ElementsMatch(t, want, found, text)
	}
	require.Equal(t, map[reason]bool{malformed: true, badOwnField: true}, reasons(&pb.ConfState{}, []byte{0xaa, 6, 1, 8}))
	require.Empty(t, reasons(&pb.ConfState{}, []byte{0x0a, 3, 1, 0x80, 1}))
	require.Equal(t, map[reason]bool{malformed: true, badPacked: true}, reasons(&pb.ConfState{}, []byte{0x0a, 2, 1, 0x80, 8, 1}))
}
