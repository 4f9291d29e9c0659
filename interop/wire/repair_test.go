package wire

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// lib is the peer whose readings a repair goes by.
type lib struct {
	Peer
	google bool
}

func (l lib) GoogleReader() bool { return l.google }

// A reason is found where it is and nowhere else, and its field alone becomes another: a reason that is found everywhere would
// excuse any difference, and so would a repair of more than the field.
func TestRepair(t *testing.T) {
	const to, commit = "1007", "4009"
	for _, c := range []struct {
		record  Record
		google  bool
		encoded string
		want    string // "" if it is the same
		reasons []reason
		refused bool
	}{
		{encoded: ""},
		{encoded: to + "08", refused: true},
		{encoded: to + "3a0510" + commit, refused: true},
		{encoded: "3a020805" + commit},
		{encoded: "3a0108" + commit, refused: true},
		{encoded: "7f", refused: true},
		{encoded: "74", refused: true},
		{encoded: "0000", refused: true},
		{encoded: "10ffffffffffffffffffff01", refused: true},
		{encoded: "80808080808080808001" + "05", google: true, refused: true}, // 0 in the lower 32 bits
		{encoded: "62ffffffffffffffffff01", refused: true},

		{encoded: to + "10ffffffffffffffffff7f" + commit, google: true,
			want: to + "10ffffffffffffffffff01" + commit, reasons: []reason{longVarint}},
		{encoded: "3a0b10ffffffffffffffffff7f" + "08", google: true,
			want: "3a0b10ffffffffffffffffff01" + "08", reasons: []reason{longVarint}, refused: true},
		{encoded: "90808080808080808002" + "05", google: true,
			want: "90808080808080808000" + "05", reasons: []reason{longVarint}},
		{encoded: "62818080808080808080" + "0261" + commit, google: true,
			want: "62818080808080808080" + "0061" + commit, reasons: []reason{longVarint}},

		{encoded: to + "9080808080" + "0105" + commit, google: true,
			want: to + "10" + "05" + commit, reasons: []reason{badNumber}},
		{encoded: "8080808010" + "05" + commit, google: true,
			want: "f8ffffff0f" + "05" + commit, reasons: []reason{badNumber}},
		{encoded: "7b" + "0005" + "7c" + commit, google: true,
			want: "7b" + "f8ffffff0f05" + "7c" + commit, reasons: []reason{badNumber}},
		{encoded: "7b" + "8080808010" + "05" + "7c", google: true},

		{encoded: "7b" + "1007" + "8401" + commit, google: true,
			want: "7b" + "1007" + "7c" + commit, reasons: []reason{badGroup}},
		{encoded: "7b" + "83017c8401" + commit, google: true,
			want: "7b" + "830184017c" + commit, reasons: []reason{badGroup}},
		{encoded: strings.Repeat("7b", 10_001) + strings.Repeat("7c", 10_001), google: true},
		{encoded: strings.Repeat("7b", 10_002) + "1001" + strings.Repeat("7c", 10_002), google: true,
			want: strings.Repeat("7b", 10_001) + strings.Repeat("7c", 10_001), reasons: []reason{badGroup}},

		{record: &pb.ConfState{}, google: true, encoded: "0a03018001" + "2801"},
		{record: &pb.ConfState{}, google: true, encoded: "0a020180" + "01" + "2801",
			want: "0a03018001" + "2801", reasons: []reason{badPacked}},
		{record: &pb.ConfState{}, google: true, encoded: "2801" + "0a020180", refused: true},
		{record: &pb.SnapshotMetadata{}, google: true, encoded: "0a050a020180" + "01" + "1007",
			want: "0a050a03018001" + "1007", reasons: []reason{badPacked}},

		{encoded: to + "6001" + commit, google: true, want: to + commit, reasons: []reason{otherWireType}},
		{encoded: to + "08051a00" + commit, google: true, want: to + "0805" + commit, reasons: []reason{otherWireType}},
		{encoded: "3a0408010a00" + commit, google: true, want: "3a020801" + commit, reasons: []reason{otherWireType}},
		{encoded: to + "6001", refused: true},

		{encoded: "a00601" + commit},
		{encoded: to + "a20600" + commit, want: to + commit, reasons: []reason{badOwnField}},
		{encoded: to + "a20601" + commit, google: true, refused: true, want: to + "09", reasons: []reason{badOwnField}},
		{record: &pb.ConfState{}, encoded: "2801" + "aa060108" + "0801", want: "2801" + "0801", reasons: []reason{badOwnField}},
		{record: &pb.ConfState{}, google: true, encoded: "aa060b08ffffffffffffffffff7f"},

		{encoded: "7200" + commit},
		{encoded: to + "720108" + commit, want: to + commit, reasons: []reason{badResponses}},
		{encoded: to + "7001" + commit, want: to + commit, reasons: []reason{badResponses}},
		{encoded: to + "7001" + commit, google: true},
		{encoded: "7202" + "6001" + commit, google: true},
		{encoded: "7203" + "a20600" + commit},
		{encoded: "720b10ffffffffffffffffff7f" + commit},
		{encoded: "720b10ffffffffffffffffff7f" + commit, google: true, want: commit, reasons: []reason{badResponses}},
		{encoded: "737c" + commit, google: true, want: "7374" + commit, reasons: []reason{badGroup}},
		{encoded: "737c" + commit, want: commit, reasons: []reason{badGroup, badResponses}},
	} {
		name := fmt.Sprintf("%.60s google %t", c.encoded, c.google)
		if c.record == nil {
			c.record = &pb.Message{}
		}
		encoded, err := hex.DecodeString(c.encoded)
		require.NoError(t, err)
		before := slices.Clone(encoded)
		repaired, found, well := repair(lib{google: c.google}, reflect.TypeOf(c.record).Elem(), encoded)
		require.Equal(t, before, encoded, "the bytes are the caller's")
		require.Equal(t, !c.refused, well, name)
		if c.want == "" {
			c.want = c.encoded
		}
		require.Equal(t, c.want, hex.EncodeToString(repaired), name)
		var reasons []reason
		for r := range found {
			reasons = append(reasons, r)
		}
		require.ElementsMatch(t, c.reasons, reasons, name)
		if !c.google {
			continue
		}
		_, found, _ = repair(lib{google: true}, reflect.TypeOf(c.record).Elem(), repaired)
		require.Empty(t, found, "%s: %x is repaired", name, repaired)
	}
}
