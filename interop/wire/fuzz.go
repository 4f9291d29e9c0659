package wire

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// malformedSeeds are bytes at which readers part ways, or should not.
var malformedSeeds = []string{
	"",
	"08",                       // truncated varint
	"10ffffffffffffffffff7f",   // varint of 70 bits
	"10ffffffffffffffffffff01", // varint of eleven bytes
	"3a0510",                   // entry longer than its bytes
	"62ffffffffffffffffff01",   // negative length
	"0f", "0e",                 // wire types that are none
	"0000",                // field number zero
	"8080808010" + "01",   // field number of 30 bits
	"8880808080" + "0105", // field number of 33 bits, of which the lower 32 are 1
	"6001", "0a00",        // bytes and scalar in each other's place
	"74", "73", "7374", "737c", // groups that end, do not, do, end as another
	"73" + "0005" + "74",     // field number zero within a group
	"7200", "720208", "7001", // responses: empty, truncated, as a scalar
	"a00601", "a20600", "aa0600", "aa060108", "a2060161", // our fields, well and not
	"b00601", "ba06020801", "ba060108", "c206020801", "c20600", "a206040a020801", // those of targets
	"0affffffff0f01", "2802", // lengths beyond the end, true as two
	"0a0301808001", "0a0180", "0a018001", // packed numbers: whole, truncated, longer than their field
}

// FuzzDecode checks on any bytes that we take what the peer takes and the other way round, but for the reasons that
// weMayRefuse and theyMayRefuse list; and that what both take is the same to both, and stays so when we write it again.
func FuzzDecode(f *testing.F, p Peer) {
	for kind := range ours {
		for _, text := range malformedSeeds {
			seed, err := hex.DecodeString(text)
			require.NoError(f, err)
			f.Add(uint8(kind), seed)
		}
		g := NewGenerator(uint64(100 + kind))
		g.large, g.many = 20, 3
		for range 10 {
			r, theirs := blank(ours[kind]), p.New(nameOf(ours[kind]))
			g.Fill(r)
			g.Fill(theirs)
			f.Add(uint8(kind), encode(f, r))
			f.Add(uint8(kind), encodeTheirs(f, p, theirs))
			f.Add(uint8(kind), g.rewrite(r, encode(f, r)))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		compareDecoding(t, p, ours[int(kind)%len(ours)], data)
	})
}

func compareDecoding(t testing.TB, p Peer, empty Record, data []byte) {
	r, theirs := blank(empty), p.New(nameOf(empty))
	err, theirErr := r.Unmarshal(data), p.Unmarshal(data, theirs)
	switch {
	case err == nil && theirErr == nil:
		require.Empty(t, Differ(r, theirs), "%x", data)
		again := decodeTheirs(t, p, encode(t, r), r)
		require.Empty(t, Differ(r, again), "%x", data)
		final := blank(empty)
		require.NoError(t, final.Unmarshal(encodeTheirs(t, p, again)))
		if !p.KeepsUnknown() {
			clearFields(r, isOwn)
		}
		require.True(t, proto.Equal(r, final), "%x: %v became %v", data, r, final)
	case err != nil && theirErr == nil:
		requireReason(t, reasons(r, data), weMayRefuse(p), "%s: we refuse what the peer takes, %x: %v", nameOf(r), data, err)
	case err == nil && theirErr != nil:
		requireReason(t, reasons(r, data), theyMayRefuse(p), "%s: the peer refuses what we take, %x: %v", nameOf(r), data, theirErr)
	}
}

func requireReason(t testing.TB, found map[reason]bool, allowed []reason, message string, args ...any) {
	t.Helper()
	for _, r := range allowed {
		if found[r] {
			return
		}
	}
	require.Fail(t, "no known reason", append([]any{message}, args...)...)
}

// FuzzConfChangesFromString checks that any text is the same changes to both sides, once white space that only we take
// is out of the way.
func FuzzConfChangesFromString(f *testing.F, p Peer) {
	for _, s := range []string{"", "v1 l2 r3 u4", "v18446744073709551616", "v", "1", "v1\tl2", "v1  l2", "v+1", "v1_0", "[8]3", "\u00a0v1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		single := strings.Join(strings.Fields(s), " ")
		compareChanges(t, p, single)
		one, err := pb.ConfChangesFromString(s)
		two, err2 := pb.ConfChangesFromString(single)
		require.Equal(t, err2, err)
		require.Equal(t, two, one)
	})
}
