package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// TestConfChanges checks that what raftpb exports beside its records gives the peer's results: a host that changes
// libraries keeps its changes of configuration.
func TestConfChanges(t *testing.T, p Peer) {
	t.Run("MarshalConfChange", func(t *testing.T) { testMarshalConfChange(t, p) })
	t.Run("joint", func(t *testing.T) { testJoint(t, p) })
	t.Run("strings", func(t *testing.T) { testStrings(t, p) })
	t.Run("Equivalent", func(t *testing.T) { testEquivalent(t, p) })
}

// A change becomes an entry of the same type, whose data either side reads as that change; no change becomes the same
// entry without data. The change as v2 is the same but for the context of the member, which only we have.
func testMarshalConfChange(t *testing.T, p Peer) {
	wantType, wantData, err := p.MarshalConfChange(nil)
	require.NoError(t, err)
	gotType, gotData, err := pb.MarshalConfChange(nil)
	require.NoError(t, err)
	require.Equal(t, wantType, int32(gotType))
	require.Equal(t, wantData, gotData)

	g := NewGenerator(6)
	for range rounds {
		for _, r := range []Record{&pb.ConfChange{}, &pb.ConfChangeV2{}} {
			theirs := p.New(nameOf(r))
			g.Fill(theirs)
			encoded := encodeTheirs(t, p, theirs)
			require.NoError(t, r.Unmarshal(encoded))

			wantType, wantData, err := p.MarshalConfChange(theirs)
			require.NoError(t, err)
			require.Equal(t, encoded, wantData)
			gotType, gotData, err := pb.MarshalConfChange(r.(pb.ConfChangeI))
			require.NoError(t, err)
			require.Equal(t, wantType, int32(gotType))
			require.Empty(t, Differ(r, decodeTheirs(t, p, gotData, r)))

			v2 := r.(pb.ConfChangeI).AsV2()
			require.Empty(t, Differ(&v2, p.AsV2(theirs)), "%v", r)

			decoded, err := pb.UnmarshalConfChange(pb.Entry{Type: pb.EntryType(wantType), Data: wantData})
			if err != nil {
				require.ErrorIs(t, err, pb.ErrInvalidConfChange)
				require.Error(t, v2.Validate(), "%v", r)
				continue
			}
			v2 = decoded.AsV2()
			require.Empty(t, Differ(&v2, p.AsV2(theirs)), "%v", r)
		}
	}
}

// Both sides agree which changes enter and leave a joint configuration. Where the transition is unknown etcd panics;
// we refuse the change, so no answer of ours counts.
func testJoint(t *testing.T, p Peer) {
	g := NewGenerator(7)
	joint := 0
	for range rounds {
		theirs := p.New("ConfChangeV2")
		g.Fill(theirs)
		var c pb.ConfChangeV2
		require.NoError(t, c.Unmarshal(encodeTheirs(t, p, theirs)))
		require.Equal(t, p.LeaveJoint(theirs), c.LeaveJoint(), "%v", &c)
		if _, known := pb.ConfChangeTransition_name[int32(c.Transition)]; !known {
			require.Panics(t, func() { p.EnterJoint(theirs) })
			require.ErrorIs(t, c.Validate(), pb.ErrInvalidConfChange)
			continue
		}
		wantAuto, wantJoint := p.EnterJoint(theirs)
		auto, enters := c.EnterJoint()
		require.Equal(t, wantJoint, enters, "%v", &c)
		require.Equal(t, wantAuto, auto, "%v", &c)
		if enters {
			joint++
		}
	}
	require.Greater(t, joint, rounds/10)

	// A peer skips what sets or ends a target, and must neither enter nor leave a joint configuration by what is left.
	for _, m := range []*pb.MembershipChange{
		{Target: &pb.MembershipTarget{Voters: []uint64{1}}}, {Outcome: &pb.MembershipOutcome{Version: 9, Result: pb.MembershipReached}},
	} {
		c := &pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{}}, Membership: m}
		require.NoError(t, c.Validate())
		theirs := decodeTheirs(t, p, encode(t, c), c)
		_, enters := p.EnterJoint(theirs)
		require.False(t, enters)
		require.False(t, p.LeaveJoint(theirs))
		require.Equal(t, "v0", p.ConfChangesToString(theirs))
	}
}

// The short notation is read and written alike, and what one side refuses the other does. White space is an
// exception: we take any between and around changes, etcd takes single spaces. A type that is unknown both write as
// something that neither reads: etcd without its number.
func testStrings(t *testing.T, p Peer) {
	for _, s := range []string{
		"", " ", "v1", "v1 l2 r3 u4", " v1 ", "v0", "v18446744073709551615", "v18446744073709551616", "v", "1", "x1", "v-1",
		"v+1", "v0x1", "v1_0", "v01", "v1,l2", "v1 é2", "V1", "vv1", "[8]3", "v1 v1", "v1 l", "unknown3",
	} {
		compareChanges(t, p, s)
	}
	g := NewGenerator(8)
	for range rounds {
		var s strings.Builder
		for i := range g.IntN(6) {
			if i > 0 {
				s.WriteByte(' ')
			}
			for range 1 + g.IntN(3) {
				s.WriteByte("vlru0129x-"[g.IntN(10)])
			}
		}
		compareChanges(t, p, s.String())
	}
	for _, s := range []string{"v1  l2", "v1\tl2", "v1\nl2"} {
		_, err := p.ConfChangesFromString(s)
		require.Error(t, err, "%q", s)
		changes, err := pb.ConfChangesFromString(s)
		require.NoError(t, err, "%q", s)
		require.Equal(t, "v1 l2", pb.ConfChangesToString(changes))
	}
	unknown := &pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: 8, NodeID: 3}}}
	require.Equal(t, "[8]3", pb.ConfChangesToString(unknown.Changes))
	require.Equal(t, "unknown3", p.ConfChangesToString(decodeTheirs(t, p, encode(t, unknown), unknown)))
}

func compareChanges(t testing.TB, p Peer, s string) {
	t.Helper()
	theirs, theirErr := p.ConfChangesFromString(s)
	changes, err := pb.ConfChangesFromString(s)
	require.Equal(t, theirErr == nil, err == nil, "%q: %v and %v", s, theirErr, err)
	if err != nil {
		return
	}
	require.Empty(t, Differ(&pb.ConfChangeV2{Changes: changes}, theirs), "%q", s)
	require.Equal(t, p.ConfChangesToString(theirs), pb.ConfChangesToString(changes))
}

// Two configurations are equivalent to the peer if and only if they are to us; but for fields of ours, of which we
// compare Members, a peer that drops them none, and one that keeps them all. Hence a snapshot's have none.
func testEquivalent(t *testing.T, p Peer) {
	g := NewGenerator(9)
	g.many = 3
	equivalent := 0
	for range rounds {
		one, two := &pb.ConfState{}, &pb.ConfState{}
		g.bare = true
		g.Fill(one)
		require.NoError(t, two.Unmarshal(encode(t, one)))
		g.Shuffle(len(two.Voters), func(i, j int) { two.Voters[i], two.Voters[j] = two.Voters[j], two.Voters[i] })
		if g.IntN(2) == 0 {
			g.Fill(two)
		}
		err := one.Equivalent(*two)
		theirErr := p.Equivalent(decodeTheirs(t, p, encode(t, one), one), decodeTheirs(t, p, encode(t, two), two))
		require.Equal(t, theirErr == nil, err == nil, "%v and %v: %v, %v", one, two, theirErr, err)
		if err == nil {
			equivalent++
		}
	}
	require.Greater(t, equivalent, rounds/3)

	bare, indexed := &pb.ConfState{Voters: []uint64{1}}, &pb.ConfState{Voters: []uint64{1}, Index: 9}
	require.NoError(t, bare.Equivalent(*indexed))
	err := p.Equivalent(decodeTheirs(t, p, encode(t, bare), bare), decodeTheirs(t, p, encode(t, indexed), bare))
	require.Equal(t, p.KeepsUnknown(), err != nil)
	one, two := &pb.SnapshotMetadata{ConfState: *bare}, &pb.SnapshotMetadata{ConfState: *indexed}
	err = p.Equivalent(p.ConfStateOf(decodeTheirs(t, p, encode(t, one), one)), p.ConfStateOf(decodeTheirs(t, p, encode(t, two), two)))
	require.NoError(t, err)
}
