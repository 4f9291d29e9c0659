package wire

import (
	"slices"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// rounds is how many values of each type go each way.
const rounds = 2000

// TestBytes checks that every record means the same to the peer as to us, whoever wrote it.
func TestBytes(t *testing.T, p Peer) {
	t.Run("schema", func(t *testing.T) { testSchema(t, p) })
	for _, empty := range ours {
		t.Run(nameOf(empty), func(t *testing.T) {
			t.Run("ours first", func(t *testing.T) { testOursFirst(t, p, empty) })
			t.Run("theirs first", func(t *testing.T) { testTheirsFirst(t, p, empty) })
			t.Run("other encodings", func(t *testing.T) { testEncodings(t, p, empty) })
		})
	}
	t.Run("message types", func(t *testing.T) { testMessageTypes(t, p) })
	t.Run("own fields", func(t *testing.T) { testOwnFields(t, p) })
	t.Run("entry size", func(t *testing.T) { testEntrySize(t, p) })
}

// What we write, the peer reads field by field as we do, and what it then writes we read as what we had; of the fields
// that only we have, a peer that keeps what it does not know gives back all and another none.
func testOursFirst(t *testing.T, p Peer, empty Record) {
	g := NewGenerator(1)
	for range rounds {
		r := blank(empty)
		g.Fill(r)
		oursFirst(t, p, r)
	}
}

func oursFirst(t *testing.T, p Peer, r Record) {
	theirs := decodeTheirs(t, p, encode(t, r), r)
	require.Empty(t, Differ(r, theirs), "%v", r)
	returned(t, p, theirs, r)
}

// returned checks that what the peer made of our record is that record when it comes back. It changes r.
func returned(t *testing.T, p Peer, theirs any, r Record) {
	encoded := encodeTheirs(t, p, theirs)
	again := blank(r)
	require.NoError(t, again.Unmarshal(encoded), "%x", encoded)
	if !p.KeepsUnknown() {
		clearFields(r, isOwn)
	}
	require.True(t, proto.Equal(r, again), "%v became %v", r, again)
}

// What the peer writes, we read field by field as it does, and what we then write it reads as what it had, but for
// Message.responses.
func testTheirsFirst(t *testing.T, p Peer, empty Record) {
	g := NewGenerator(2)
	for range rounds {
		theirs := p.New(nameOf(empty))
		g.Fill(theirs)
		theirsFirst(t, p, theirs, empty)
	}
}

func theirsFirst(t *testing.T, p Peer, theirs any, empty Record) {
	encoded := encodeTheirs(t, p, theirs)
	r := blank(empty)
	require.NoError(t, r.Unmarshal(encoded), "%x", encoded)
	require.Empty(t, Differ(theirs, r), "%v", theirs)

	again := decodeTheirs(t, p, encode(t, r), r)
	clearFields(theirs, isResponses)
	canonical(theirs)
	canonical(again)
	require.True(t, p.Equal(theirs, again), "%v became %v", theirs, again)
}

// A reader takes fields in any order, the last of several values, packed numbers for single ones and the reverse, a
// message in pieces, and skips what it does not know: another version or library may write so. What the peer keeps of that
// and writes again does no harm.
func testEncodings(t *testing.T, p Peer, empty Record) {
	g := NewGenerator(3)
	g.large, g.many = 100, 20
	for range rounds {
		r := blank(empty)
		g.Fill(r)
		rewritten := g.rewrite(r, encode(t, r))
		again := blank(empty)
		require.NoError(t, again.Unmarshal(rewritten), "%x", rewritten)
		require.True(t, proto.Equal(r, again), "%v became %v by %x", r, again, rewritten)
		theirs := decodeTheirs(t, p, rewritten, r)
		require.Empty(t, Differ(r, theirs), "%x", rewritten)
		returned(t, p, theirs, r)

		theirs = p.New(nameOf(empty))
		g.Fill(theirs)
		rewritten = g.rewrite(r, encodeTheirs(t, p, theirs))
		again = blank(empty)
		require.NoError(t, again.Unmarshal(rewritten), "%x", rewritten)
		require.Empty(t, Differ(theirs, again), "%x", rewritten)
		require.Empty(t, Differ(theirs, decodeTheirs(t, p, rewritten, r)), "%x", rewritten)
	}
}

// Each type of message arrives as what it was sent, declared or not: the reader judges it, not the decoder.
func testMessageTypes(t *testing.T, p Peer) {
	g := NewGenerator(4)
	g.large, g.many = 100, 20
	types := []int32{int32(len(pb.MessageType_name)), 1000, -1}
	for messageType := range pb.MessageType_name {
		types = append(types, messageType)
	}
	slices.Sort(types)
	for _, messageType := range types {
		for range 100 {
			m := &pb.Message{}
			g.Fill(m)
			m.Type = pb.MessageType(messageType)
			oursFirst(t, p, m)

			theirs := decodeTheirs(t, p, encode(t, m), m)
			theirsFirst(t, p, theirs, m)
		}
	}
}

// What only we have reaches us through a peer that keeps unknown fields, as when one forwards a message, and is gone
// after one that does not: both have to be borne, so both are said here.
func testOwnFields(t *testing.T, p Peer) {
	target := &pb.MembershipTarget{Version: 9, Voters: []uint64{1}, Members: []pb.Member{{ID: 1, Context: []byte("a:1")}}}
	for _, r := range []Record{
		&pb.Message{Type: pb.MsgHeartbeatResp, To: 1, NoAnswer: true, Round: 7, LeaseTicks: 10, Session: 5, Features: 3, Sleep: true},
		&pb.ConfState{Voters: []uint64{1}, Index: 9, Members: []pb.Member{{ID: 1, Context: []byte("a:1")}}},
		&pb.SnapshotMetadata{Index: 20, ConfState: pb.ConfState{Index: 9, Members: []pb.Member{{ID: 1, Context: []byte("a:1")}}}},
		&pb.ConfState{
			Voters: []uint64{1}, ConfChangeEffect: pb.ConfChangeOnAppend, Target: target,
			LastOutcome: &pb.MembershipOutcome{Version: 4, Result: pb.MembershipReached, Index: 8},
		},
		&pb.SnapshotMetadata{Index: 20, ConfState: pb.ConfState{
			Voters: []uint64{1}, ConfChangeEffect: pb.ConfChangeOnAppend, Target: target,
			LastOutcome: &pb.MembershipOutcome{Version: 4, Result: pb.MembershipReached, Index: 8},
		}},
		&pb.ConfChangeSingle{NodeID: 3, Context: []byte("c:3")},
		&pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{}}, Membership: &pb.MembershipChange{Target: target}},
	} {
		bare := proto.Clone(r).(Record)
		clearFields(bare, isOwn)
		require.False(t, proto.Equal(r, bare))

		theirs := decodeTheirs(t, p, encode(t, r), r)
		require.Empty(t, Differ(bare, theirs))
		again := blank(r)
		require.NoError(t, again.Unmarshal(encodeTheirs(t, p, theirs)))
		want := bare
		if p.KeepsUnknown() {
			want = r
		}
		require.True(t, proto.Equal(want, again), "%v became %v", r, again)
	}
}

// MaxSizePerMsg and the like count encoded bytes: an entry is as large to the peer as to us, but for two bytes for each
// zero scalar, and for empty data, that the peer writes.
func testEntrySize(t *testing.T, p Peer) {
	g := NewGenerator(5)
	for range rounds {
		e := &pb.Entry{}
		g.Fill(e)
		theirs := decodeTheirs(t, p, encode(t, e), e)
		want := e.Size()
		if p.AlwaysWritesZero() {
			for _, zero := range []bool{e.Type == 0, e.Term == 0, e.Index == 0} {
				if zero {
					want += 2
				}
			}
		}
		require.Equal(t, want, p.Size(theirs), "%v", e)

		theirs = p.New("Entry")
		g.Fill(theirs)
		e = &pb.Entry{}
		require.NoError(t, e.Unmarshal(encodeTheirs(t, p, theirs)))
		require.LessOrEqual(t, e.Size(), p.Size(theirs))
		require.LessOrEqual(t, p.Size(theirs), e.Size()+8)
	}
}

func encode(t testing.TB, r Record) []byte {
	t.Helper()
	encoded, err := r.Marshal()
	require.NoError(t, err)
	require.Len(t, encoded, r.Size())
	return encoded
}

func encodeTheirs(t testing.TB, p Peer, theirs any) []byte {
	t.Helper()
	encoded, err := p.Marshal(theirs)
	require.NoError(t, err)
	require.Len(t, encoded, p.Size(theirs))
	return encoded
}

// decodeTheirs returns the peer's record of the message of like.
func decodeTheirs(t testing.TB, p Peer, encoded []byte, like Record) any {
	t.Helper()
	theirs := p.New(nameOf(like))
	require.NoError(t, p.Unmarshal(encoded, theirs), "%x", encoded)
	return theirs
}
