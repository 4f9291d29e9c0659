package raftpb

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"
)

// golden is one block of a golden file: a record, the bytes in which a peer wrote it, if it did, those in which we do, and
// others that mean the same.
type golden struct {
	message, value    string
	peer, ours, other []byte
}

func readGolden(t testing.TB, path string) []golden {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var blocks []golden
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			blocks = append(blocks, golden{message: strings.TrimSuffix(name, "]")})
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		last := &blocks[len(blocks)-1]
		key, rest, _ := strings.Cut(line, " ")
		switch key {
		case "value":
			last.value = rest
		case "peer", "ours", "other":
			decoded, err := hex.DecodeString(rest)
			require.NoError(t, err, line)
			*map[string]*[]byte{"peer": &last.peer, "ours": &last.ours, "other": &last.other}[key] = decoded
		default:
			require.Fail(t, "neither value nor bytes", line)
		}
	}
	return blocks
}

// What etcd wrote must go on meaning what it meant to etcd, or a log of etcd's is lost; and what we wrote too.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/golden-*.txt")
	require.NoError(t, err)
	require.Equal(t, []string{"testdata/golden-etcd-v3.6.txt", "testdata/golden-etcd-v3.7.txt"}, paths)
	empty := map[string]record{
		"Entry": &Entry{}, "SnapshotMetadata": &SnapshotMetadata{}, "Snapshot": &Snapshot{}, "Message": &Message{},
		"HardState": &HardState{}, "ConfState": &ConfState{}, "ConfChange": &ConfChange{},
		"ConfChangeSingle": &ConfChangeSingle{}, "ConfChangeV2": &ConfChangeV2{},
	}
	for _, path := range paths {
		found := make(map[string]int)
		for _, block := range readGolden(t, path) {
			require.Contains(t, empty, block.message)
			found[block.message]++
			want := blank(empty[block.message])
			require.NoError(t, proto.UnmarshalText(block.value, want), block.value)

			require.NotNil(t, block.ours)
			require.NotNil(t, block.other)
			encodings := [][]byte{block.ours, block.other}
			if block.peer != nil {
				encodings = append(encodings, block.peer)
			}
			for _, encoded := range encodings {
				got := blank(want)
				require.NoError(t, got.Unmarshal(encoded), "%x", encoded)
				require.True(t, proto.Equal(want, got), "%s: want %v, got %v", path, want, got)
			}
			encoded, err := want.Marshal()
			require.NoError(t, err)
			require.Equal(t, hex.EncodeToString(block.ours), hex.EncodeToString(encoded), block.value)
		}
		require.Len(t, found, len(empty))
		require.GreaterOrEqual(t, found["Message"], len(MessageType_name))
	}
}
