package wire

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// malformedSeeds are bytes at which readers part ways, or should not.
var malformedSeeds = []string{
	"",
	"08",                                                                           // truncated varint
	"10ffffffffffffffffff7f",                                                       // varint of 70 bits
	"10ffffffffffffffffffff01",                                                     // varint of eleven bytes
	"5080808080808080808002", "2880808080808080808002", "a00680808080808080808002", // true only by a bit beyond the 64th
	"3a0510",                 // entry longer than its bytes
	"62ffffffffffffffffff01", // negative length
	"0f", "0e",               // wire types that are none
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
// weRefuse and theyRefuse list; and that what both take is the same to both, and stays so when we write it again. The same
// again, without any reason, on what repair leaves of the bytes.
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
			f.Add(uint8(kind), g.odd(reflect.TypeOf(r).Elem(), encode(f, r)))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		readers{p, Record.Unmarshal}.compare(t, ours[int(kind)%len(ours)], data)
	})
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
