package transport

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// A peer that vanishes without a word is noticed within PeerTimeout, at both ends,
// and found again when it is back.
func TestVanishedPeerIsNoticed(t *testing.T) {
	cfg := testConfig(1)
	cfg.PingInterval, cfg.PeerTimeout = 50*time.Millisecond, 500*time.Millisecond
	a := newEndpoint(t, cfg)
	cfg.NodeID = 2
	b := newEndpoint(t, cfg)
	p := newProxy(t, b.Addr().String(), nil)
	a.group.SetPeer(2, p.addr())
	connected(t, a, b)
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
	receive(t, b.messages, "the heartbeat")

	p.freeze()
	start := time.Now()
	require.Equal(t, uint64(2), receive(t, a.unreachable, "a report"))
	noticed := time.Since(start)
	t.Logf("noticed after %v", noticed)
	require.Less(t, noticed, 3*cfg.PeerTimeout)
	eventually(t, "the other end has noticed too", func() bool { return b.Stats().Inbound == 0 })

	p.unfreeze()
	eventually(t, "a heartbeat arrives again", func() bool {
		a.group.Send([]raftpb.Message{heartbeat(1, 2, 2)})
		return len(b.messages) > 0
	})
	require.GreaterOrEqual(t, a.Stats().Peers[0].Lanes[LaneControl].Connects, uint64(2))
}

// A silent connection between healthy nodes lives on, for pings keep it.
func TestIdleConnectionLives(t *testing.T) {
	cfg := testConfig(1)
	cfg.PingInterval, cfg.PeerTimeout = 10*time.Millisecond, 400*time.Millisecond
	a := newEndpoint(t, cfg)
	cfg.NodeID = 2
	b := newEndpoint(t, cfg)
	a.group.SetPeer(2, b.Addr().String())
	connected(t, a, b)
	select {
	case <-a.unreachable:
		t.Error("an idle connection was given up")
	case <-time.After(3 * cfg.PeerTimeout):
	}
	require.Equal(t, uint64(1), a.Stats().Peers[0].Lanes[LaneLog].Connects)
}

// A broken connection is made again at once; what waited in the queue is not lost.
func TestReconnect(t *testing.T) {
	a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(2))
	p := newProxy(t, b.Addr().String(), nil)
	a.group.SetPeer(2, p.addr())
	connected(t, a, b)
	for round := range uint64(5) {
		p.cut()
		require.Equal(t, uint64(2), receive(t, a.unreachable, "a report"))
		eventually(t, "a message arrives", func() bool {
			a.group.Send([]raftpb.Message{heartbeat(1, 2, round)})
			for len(b.messages) > 0 {
				if m := <-b.messages; m.Round == round {
					return true
				}
			}
			return false
		})
	}
}

// While a peer cannot be reached, messages to it are dropped and reported at once,
// and nothing piles up.
func TestUnreachablePeer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := ln.Addr().String()
	require.NoError(t, ln.Close())
	a := newEndpoint(t, testConfig(1))
	a.group.SetPeer(2, nobody)
	receive(t, a.unreachable, "the report of the failed dial")
	eventually(t, "messages are dropped", func() bool {
		a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
		return a.Stats().Peers[0].Dropped[ClassControl] > 0
	})
	receive(t, a.unreachable, "the report of the message")
	require.Greater(t, a.Stats().Peers[0].Lanes[LaneControl].FailedDials, uint64(0))

	// A changed address is tried at once, without waiting for the backoff.
	b := newEndpoint(t, testConfig(2))
	a.group.SetPeer(2, b.Addr().String())
	connected(t, a, b)
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 3)})
	eventually(t, "the message arrives", func() bool { return len(b.messages) > 0 })
}

// A node that is not where the configuration says is answered where it says itself that it
// is, also with a snapshot: one that was down while others moved has no other way to learn
// where they are. A configuration that is right again goes before.
func TestPeerIsElsewhere(t *testing.T) {
	a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(2))
	wrong := newEndpoint(t, testConfig(3)) // somebody else has the old address, or nobody
	for _, old := range []string{wrong.Addr().String(), "127.0.0.1:1"} {
		a.group.SetPeer(2, old)
		b.group.SetPeer(1, a.Addr().String())
		eventually(t, "a message arrives", func() bool {
			a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
			return len(b.messages) > 0
		})
		for len(b.messages) > 0 {
			<-b.messages
		}
		eventually(t, "a snapshot arrives", func() bool {
			return a.group.SendSnapshot(t.Context(), 2, nil, strings.NewReader("state")) == nil
		})
		b.group.RemovePeer(1)
		a.group.RemovePeer(2)
	}
	require.Empty(t, wrong.messages)

	moved := newEndpoint(t, testConfig(2))
	a.group.SetPeer(2, moved.Addr().String())
	eventually(t, "a message arrives at the new address", func() bool {
		a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
		return len(moved.messages) > 0
	})
}

// Two that take themselves for one node tell their addresses by turns, as they push each
// other out. Whoever reads one of these reads it whole; the race detector says.
func TestToldAddressesChange(t *testing.T) {
	a := newEndpoint(t, testConfig(1))
	a.group.SetPeer(2, "127.0.0.1:1") // nobody, so that it is looked for where it says it is
	twins := []*endpoint{newEndpoint(t, testConfig(2)), newEndpoint(t, testConfig(2))}
	for _, twin := range twins {
		twin.group.SetPeer(1, a.Addr().String())
	}
	eventually(t, "they push each other out", func() bool {
		a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
		connects := uint64(0)
		for _, twin := range twins {
			connects += twin.Stats().Peers[0].Lanes[LaneControl].Connects
		}
		return connects > 20
	})
}

// A changed address replaces the connections; where groups differ, the address set
// last counts, and that of a group that goes counts no more.
func TestAddressChanges(t *testing.T) {
	a := newEndpoint(t, testConfig(1))
	b, moved := newEndpoint(t, testConfig(2)), newEndpoint(t, testConfig(2))
	other, err := a.Group(99)
	require.NoError(t, err)
	arrives := func(at *endpoint) {
		t.Helper()
		eventually(t, "a message arrives at the right address", func() bool {
			a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
			return len(at.messages) > 0
		})
		for len(at.messages) > 0 {
			<-at.messages
		}
	}
	address := func(want *endpoint) {
		t.Helper()
		require.Equal(t, want.Addr().String(), a.Stats().Peers[0].Address)
	}
	a.group.SetPeer(2, b.Addr().String())
	arrives(b)
	other.SetPeer(2, moved.Addr().String())
	address(moved)
	arrives(moved)
	a.group.SetPeer(2, b.Addr().String()) // as before, so it says nothing new
	address(moved)
	require.NoError(t, other.Close())
	address(b)
	arrives(b)
	a.group.RemovePeer(2)
	require.Empty(t, a.Stats().Peers)
	a.group.SetPeer(1, a.Addr().String()) // itself
	require.Empty(t, a.Stats().Peers)
}

// Send never blocks: a full queue drops by class, so that appends that pile up take
// no room from answers, and heartbeats go their own way.
func TestFullQueueDropsByClass(t *testing.T) {
	cfg := testConfig(1)
	cfg.QueueBytes, cfg.QueueMessages = 4<<20, 100
	cfg.PeerTimeout = time.Minute
	a, b := newEndpoint(t, cfg), newEndpoint(t, testConfig(2))
	p := newProxy(t, b.Addr().String(), nil)
	a.group.SetPeer(2, p.addr())
	connected(t, a, b)
	p.freeze()
	data := make([]byte, 1<<20)
	dropped := func(c Class) uint64 { return a.Stats().Peers[0].Dropped[c] }
	eventually(t, "appends are dropped", func() bool {
		start := time.Now()
		a.group.Send([]raftpb.Message{appendOf(1, 2, 1, data)})
		require.Less(t, time.Since(start), time.Second)
		return dropped(ClassAppend) > 0
	})
	require.Equal(t, uint64(2), receive(t, a.unreachable, "a report"))
	require.LessOrEqual(t, a.Stats().Peers[0].Lanes[LaneLog].QueuedBytes, 4<<20)
	a.group.Send([]raftpb.Message{{Type: raftpb.MsgAppResp, From: 1, To: 2, Index: 5}, heartbeat(1, 2, 1)})
	require.Zero(t, dropped(ClassAnswer))
	require.Zero(t, dropped(ClassControl))
	for range 200 {
		a.group.Send([]raftpb.Message{{Type: raftpb.MsgProp, From: 1, To: 2}})
	}
	require.Equal(t, uint64(100), dropped(ClassProposal))
	p.unfreeze()
	eventually(t, "all that waited is sent", func() bool {
		return a.Stats().Peers[0].Lanes[LaneLog].QueuedMessages == 0
	})
}

// A newer connection of a node takes the place of the older: the peer has given
// that one up, though this end may not know.
func TestNewerConnectionWins(t *testing.T) {
	_, b := pair(t)
	old := rawPeer(t, b, 3, LaneControl)
	again := rawPeer(t, b, 3, LaneControl)
	_, err := old.next()
	require.Error(t, err)
	m := heartbeat(3, 2, 1)
	frame, err := appendMessage(nil, testGroup, &m, m.Size())
	require.NoError(t, err)
	require.NoError(t, again.write(frame))
	require.Equal(t, uint64(3), receive(t, b.messages, "the message").From)
}

// Close ends everything that was started, whatever is under way, and may be called
// again.
func TestCloseUnderLoad(t *testing.T) {
	a, b := pair(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := uint64(1); !isClosed(stop); i++ {
			a.group.Send([]raftpb.Message{appendOf(1, 2, i, make([]byte, 1000)), heartbeat(1, 2, i)})
		}
	}()
	receive(t, b.messages, "a message")
	require.NoError(t, b.Close())
	require.NoError(t, a.Close())
	require.NoError(t, a.Close())
	close(stop)
	<-done
	_, err := a.Group(1)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, a.group.SendSnapshot(t.Context(), 2, nil, nil), ErrClosed)
	a.group.SetPeer(2, "127.0.0.1:1")
	require.Empty(t, a.Stats().Peers)
}

// Validate reports every fault at once, with its value and its bound, and changes
// nothing.
func TestConfigFaults(t *testing.T) {
	c := Config{
		Listen: "nowhere", Advertise: "x", MaxFrameSize: 1, QueueMessages: -1, MaxPeers: -1, SnapshotWindow: 1,
		DialTimeout: -1, PingInterval: time.Second, PeerTimeout: time.Second, MinBackoff: 2, MaxBackoff: 1,
		TLS: &TLSConfig{ReloadInterval: -1},
	}
	before := fmt.Sprintf("%+v", c)
	err := c.Validate()
	require.Equal(t, before, fmt.Sprintf("%+v", c))
	require.ErrorIs(t, err, ErrInvalidConfig)
	for _, want := range []string{
		"ClusterID must not be 0", "NodeID must not be 0", `Listen ("nowhere")`, `Advertise ("x")`,
		"MaxFrameSize (1) must be between 1024 and", "QueueMessages (-1)", "MaxPeers (-1)", "SnapshotWindow (1)",
		"DialTimeout (-1ns) must be positive", "PeerTimeout (1s) must be at least twice PingInterval (1s)",
		"MaxBackoff (1ns) must be at least MinBackoff (2ns)", "TLS.CertFile must be set", "TLS.ReloadInterval (-1ns)",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(c)
	require.ErrorIs(t, err, ErrInvalidConfig)
	require.ErrorIs(t, (*Config)(nil).Validate(), ErrInvalidConfig)
	good := testConfig(1)
	require.NoError(t, good.Validate())
}

// A node that another answers for is not talked to; and what is advertised is an
// address that others can use.
func TestWrongNodeAnswers(t *testing.T) {
	a, c := newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(3))
	a.group.SetPeer(2, c.Addr().String())
	receive(t, a.unreachable, "a report")
	require.Zero(t, a.Stats().Peers[0].Lanes[LaneControl].Connects)
	for _, w := range []welcome{
		{version: protocolVersion, node: 3},
		{version: 99, node: 2},
		{answer: answerCluster},
	} {
		require.ErrorIs(t, w.check(2), ErrRefused)
	}

	require.Equal(t, a.Addr().String(), a.Advertise())
	cfg := testConfig(4)
	held, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	holder := newEndpoint(t, Config{ClusterID: 1, NodeID: 9, Listener: held})
	require.Equal(t, held.Addr(), holder.Addr())
	holder.group.SetPeer(1, a.Addr().String())
	a.group.SetPeer(9, holder.Addr().String())
	connected(t, a, holder)
	cfg.Listen = "0.0.0.0:0"
	open := newEndpoint(t, cfg)
	require.Regexp(t, `^:\d+$`, open.Advertise())
	cfg.NodeID, cfg.Advertise = 5, "example.org:1"
	require.Equal(t, "example.org:1", newEndpoint(t, cfg).Advertise())
	open.group.SetPeer(1, a.Addr().String())
	connected(t, open, a)
	a.group.Send([]raftpb.Message{heartbeat(1, 4, 1)}) // at the host that it came from
	receive(t, open.messages, "a message")
}
