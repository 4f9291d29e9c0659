package wire

import (
	"reflect"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"
)

// TestDecoding checks that what one side is known to refuse is compared too, and hides nothing.
func TestDecoding(t *testing.T, p Peer) {
	t.Run("oddities", func(t *testing.T) { testOddities(t, p) })
	t.Run("depth", func(t *testing.T) { testDepth(t, p) })
	t.Run("nothing is hidden", func(t *testing.T) { testNothingIsHidden(t, p) })
}

// readers are the two sides whose reading is compared.
type readers struct {
	p Peer
	// read is our Unmarshal, but in tests of the comparison.
	read func(Record, []byte) error
}

// compare checks that the bytes are the same to both sides. A side has to refuse them if there is something in them that
// it is known to refuse alone, but then both have to agree on the rest, and to find in it what they found in the whole.
func (s readers) compare(t testing.TB, empty Record, encoded []byte) {
	repaired, found, well := repair(s.p, reflect.TypeOf(empty).Elem(), encoded)
	r, theirs := s.both(t, empty, encoded, well && !oneOf(weRefuse(s.p), found), well && !oneOf(theyRefuse(s.p), found))
	if len(found) == 0 {
		return
	}
	again, theirsAgain := s.both(t, empty, repaired, well, well)
	if r != nil {
		require.True(t, proto.Equal(r, again), "%x: %v, but by %x %v", encoded, r, repaired, again)
	}
	if theirs != nil {
		require.Empty(t, Differ(theirs, theirsAgain), "%x and %x", encoded, repaired)
	}
}

// both returns what the bytes are to us and to the peer, nil if they are to be refused, after it compared the two.
func (s readers) both(t testing.TB, empty Record, encoded []byte, weTake, theyTake bool) (Record, any) {
	r, theirs := blank(empty), s.p.New(nameOf(empty))
	err, theirErr := s.read(r, encoded), s.p.Unmarshal(encoded, theirs)
	require.Equal(t, weTake, err == nil, "%s, whether we take %x: %v; the peer: %v", nameOf(r), encoded, err, theirErr)
	require.Equal(t, theyTake, theirErr == nil, "%s, whether the peer takes %x: %v; we: %v", nameOf(r), encoded, theirErr, err)
	if weTake && theyTake {
		s.agree(t, r, theirs, encoded)
	}
	if !weTake {
		r = nil
	}
	if !theyTake {
		theirs = nil
	}
	return r, theirs
}

// agree checks that a record of ours is one of the peer's, and stays so when we write it and when the peer does.
func (s readers) agree(t testing.TB, r Record, theirs any, encoded []byte) {
	require.Empty(t, Differ(r, theirs), "%x", encoded)
	again := decodeTheirs(t, s.p, encode(t, r), r)
	require.Empty(t, Differ(r, again), "%x", encoded)
	final, want := blank(r), r
	require.NoError(t, s.read(final, encodeTheirs(t, s.p, again)))
	if !s.p.KeepsUnknown() {
		want = proto.Clone(r).(Record)
		clearFields(want, isOwn)
	}
	require.True(t, proto.Equal(want, final), "%x: %v became %v", encoded, want, final)
}
