package transport

import (
	"bytes"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// Every kind of message arrives as it was sent, and those of one lane in order.
func TestMessagesArrive(t *testing.T) {
	a, b := pair(t)
	var sent []raftpb.Message
	for kind := range raftpb.MessageType_name {
		m := raftpb.Message{
			Type: raftpb.MessageType(kind), From: 1, To: 2, Term: 3, LogTerm: 2, Index: 5, Commit: 4,
			Reject: true, RejectHint: 1, Context: []byte("context"), NoAnswer: true, Round: 9, LeaseTicks: 8,
			Entries: []raftpb.Entry{{Term: 2, Index: 6, Data: []byte("data")}, {Term: 3, Index: 7}},
		}
		if m.Type == raftpb.MsgSnap {
			m.Snapshot = &raftpb.Snapshot{
				Data:     []byte("state"),
				Metadata: raftpb.SnapshotMetadata{Index: 5, Term: 2, ConfState: raftpb.ConfState{Voters: []uint64{1, 2}}},
			}
		}
		sent = append(sent, m)
	}
	a.group.Send(sent)
	want := make(map[raftpb.MessageType]raftpb.Message)
	for _, m := range sent {
		want[m.Type] = m
	}
	for range sent {
		got := receive(t, b.messages, "a message")
		m := want[got.Type]
		require.True(t, proto.Equal(&m, got), "%v became %v", &m, got)
		delete(want, got.Type)
	}
	require.Empty(t, want)

	for i := range uint64(1000) {
		a.group.Send([]raftpb.Message{appendOf(1, 2, i+1, nil), heartbeat(1, 2, i)})
	}
	next := map[raftpb.MessageType]uint64{raftpb.MsgApp: 0, raftpb.MsgHeartbeat: 0}
	for range 2000 {
		m := receive(t, b.messages, "a message")
		require.Equal(t, next[m.Type], max(m.Index, m.Round))
		next[m.Type]++
	}
}

// Send does not keep what it is given: the node that makes messages uses their
// slices again (docs/host-contract.md, 'Who owns the memory').
func TestSendKeepsNothing(t *testing.T) {
	a, b := pair(t)
	msgs := make([]raftpb.Message, 1)
	entries := make([]raftpb.Entry, 2)
	context := []byte("context")
	for i := range uint64(500) {
		entries[0] = raftpb.Entry{Term: 1, Index: i + 1, Data: []byte("data")}
		entries[1] = raftpb.Entry{Term: 1, Index: i + 2}
		copy(context, "context")
		msgs[0] = raftpb.Message{Type: raftpb.MsgApp, From: 1, To: 2, Index: i, Entries: entries, Context: context}
		a.group.Send(msgs)
		msgs[0] = raftpb.Message{}
		clear(entries)
		clear(context)
	}
	for i := range uint64(500) {
		m := receive(t, b.messages, "a message")
		require.Equal(t, i, m.Index)
		require.Equal(t, []raftpb.Entry{{Term: 1, Index: i + 1, Data: []byte("data")}, {Term: 1, Index: i + 2}}, m.Entries)
		require.Equal(t, "context", string(m.Context))
	}
}

// A message near the limit passes; one above it is dropped and reported, and does
// not hurt the connection.
func TestLargeMessages(t *testing.T) {
	cfg := testConfig(1)
	cfg.MaxFrameSize = 3 << 20
	a, b := newEndpoint(t, cfg), newEndpoint(t, testConfig(2))
	a.group.SetPeer(2, b.Addr().String())
	connected(t, a, b)
	data := bytes.Repeat([]byte("0123456789abcdef"), 2<<16)
	require.Len(t, data, 2<<20)
	a.group.Send([]raftpb.Message{appendOf(1, 2, 1, data)})
	require.Equal(t, data, receive(t, b.messages, "the message").Entries[0].Data)

	a.group.Send([]raftpb.Message{appendOf(1, 2, 2, append(data, data...)), appendOf(1, 2, 3, nil)})
	require.Equal(t, uint64(2), receive(t, a.unreachable, "a report"))
	require.Equal(t, uint64(2), receive(t, b.messages, "the small message").Index)
	require.Equal(t, uint64(1), a.Stats().Peers[0].Dropped[ClassAppend])

	// The other end's limit holds too: it is told in the handshake.
	b.group.SetPeer(1, a.Addr().String())
	connected(t, b, a)
	b.group.Send([]raftpb.Message{appendOf(2, 1, 2, append(data, data...)), appendOf(2, 1, 3, nil)})
	require.Equal(t, uint64(1), receive(t, b.unreachable, "a report"))
	require.Equal(t, uint64(2), receive(t, a.messages, "the small message").Index)
	require.Equal(t, uint64(1), b.Stats().Peers[0].Lanes[LaneLog].Connects)
}

// Groups share the connections and do not get each other's messages; one that is
// unknown or closed gets none.
func TestGroupsShareConnections(t *testing.T) {
	a, b := pair(t)
	const groups = 50
	arrived := make(chan uint64, groups)
	var mine []*Group
	for id := range uint64(groups) {
		theirs, err := b.Group(1000 + id)
		require.NoError(t, err)
		require.NoError(t, theirs.Start(func(m *raftpb.Message) {
			if m.Round != id {
				t.Errorf("group %d got the message of %d", id, m.Round)
			}
			arrived <- id
		}, nil, nil))
		g, err := a.Group(1000 + id)
		require.NoError(t, err)
		g.SetPeer(2, b.Addr().String())
		mine = append(mine, g)
	}
	for id, g := range mine {
		g.Send([]raftpb.Message{heartbeat(1, 2, uint64(id))})
	}
	seen := make(map[uint64]bool)
	for range groups {
		seen[receive(t, arrived, "a message")] = true
	}
	require.Len(t, seen, groups)
	for _, l := range a.Stats().Peers[0].Lanes {
		require.Equal(t, uint64(1), l.Connects)
	}

	unknown, err := a.Group(5)
	require.NoError(t, err)
	unknown.SetPeer(2, b.Addr().String())
	unknown.Send([]raftpb.Message{heartbeat(1, 2, 1)})
	eventually(t, "the message for nobody is counted", func() bool { return b.Stats().UnknownGroup == 1 })

	_, err = a.Group(5)
	require.ErrorIs(t, err, ErrGroupExists)
	require.NoError(t, unknown.Close())
	_, err = a.Group(5)
	require.NoError(t, err)
	require.ErrorIs(t, unknown.Start(func(*raftpb.Message) {}, nil, nil), ErrClosed)
	require.ErrorIs(t, a.group.Start(func(*raftpb.Message) {}, nil, nil), ErrStarted)
}

// What claims another sender than the connection's, or another receiver, is dropped;
// what followers forward may name another sender.
func TestForeignSenderIsDropped(t *testing.T) {
	a, b := pair(t)
	a.group.Send([]raftpb.Message{heartbeat(3, 2, 1), appendOf(3, 2, 1, nil)})
	eventually(t, "both are counted", func() bool { return b.Stats().Misaddressed == 2 })
	a.group.Send([]raftpb.Message{
		{Type: raftpb.MsgTransferLeader, From: 3, To: 2},
		{Type: raftpb.MsgReadIndex, From: 3, To: 2, Entries: []raftpb.Entry{{Data: []byte("read")}}},
	})
	for _, kind := range []raftpb.MessageType{raftpb.MsgTransferLeader, raftpb.MsgReadIndex} {
		m := receive(t, b.messages, "a forwarded message")
		require.Equal(t, kind, m.Type)
		require.Equal(t, uint64(3), m.From)
	}
	require.Empty(t, b.messages)
}

// A node that joins does not know its leader's address: it answers at the one that
// the leader told when it connected, for as long as it is connected.
func TestUnknownPeerIsAnswered(t *testing.T) {
	a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(2))
	b.group.Send([]raftpb.Message{heartbeat(2, 1, 1)})
	require.Equal(t, uint64(1), receive(t, b.unreachable, "a report"))
	require.Equal(t, uint64(1), b.Stats().Unaddressed)

	a.group.SetPeer(2, b.Addr().String())
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
	require.Equal(t, uint64(1), receive(t, b.messages, "the heartbeat").Round)
	b.group.Send([]raftpb.Message{heartbeat(2, 1, 2)})
	require.Equal(t, uint64(2), receive(t, a.messages, "the answer").Round)

	a.group.RemovePeer(2)
	eventually(t, "the peer that was only answered is gone", func() bool { return len(b.Stats().Peers) == 0 })
}

// A peer that was removed and does not know it is answered where it was before, also if
// the address that it tells, as from behind a translation of addresses, is of no use; and
// only for as long as it is connected. Of very many that were removed the oldest are
// forgotten.
func TestFormerPeerIsAnswered(t *testing.T) {
	for _, advertise := range []string{"127.0.0.1:1", "nonsense:1", ""} {
		cfg := testConfig(2)
		cfg.Advertise = advertise
		a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, cfg)
		a.group.SetPeer(2, b.Addr().String())
		a.group.RemovePeer(2)
		a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
		require.Equal(t, uint64(2), receive(t, a.unreachable, "a report: it is not connected"))
		require.Empty(t, a.Stats().Peers)

		b.group.SetPeer(1, a.Addr().String())
		b.group.Send([]raftpb.Message{{Type: raftpb.MsgPreVote, From: 2, To: 1, Term: 2}})
		require.Equal(t, raftpb.MsgPreVote, receive(t, a.messages, "the request").Type)
		a.group.Send([]raftpb.Message{{Type: raftpb.MsgRemoved, From: 1, To: 2, Index: 5, Session: 1}})
		require.Equal(t, raftpb.MsgRemoved, receive(t, b.messages, "the answer").Type)

		b.group.RemovePeer(1)
		eventually(t, "the former peer is gone", func() bool { return len(a.Stats().Peers) == 0 })
	}
	a := newEndpoint(t, testConfig(1))
	for id := uint64(2); id < 2+2*maxFormerPeers; id++ {
		a.group.SetPeer(id, "127.0.0.1:1")
		a.group.RemovePeer(id)
	}
	require.Len(t, a.former, maxFormerPeers)
	require.Empty(t, a.formerAddress(2))
	require.NotEmpty(t, a.formerAddress(2*maxFormerPeers))
}
