package transport

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/quorate-raft/raft/raftpb"
)

// attacked is an endpoint whose log is kept, with a healthy peer.
func attacked(t *testing.T, change func(*Config)) (b *endpoint, healthy *endpoint, logs *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	cfg := testConfig(2)
	cfg.Logger = zap.New(core)
	cfg.MaxHandshakes = 16
	cfg.HandshakeTimeout = time.Second
	if change != nil {
		change(&cfg)
	}
	b, healthy = newEndpoint(t, cfg), newEndpoint(t, testConfig(1))
	healthy.group.SetPeer(2, b.Addr().String())
	connected(t, healthy, b)
	return b, healthy, logs
}

// stillServes checks that the healthy peer was not hurt.
func stillServes(t *testing.T, b, healthy *endpoint) {
	t.Helper()
	healthy.group.Send([]raftpb.Message{heartbeat(1, 2, 77)})
	require.Equal(t, uint64(77), receive(t, b.messages, "a heartbeat").Round)
	require.Equal(t, uint64(1), healthy.Stats().Peers[0].Lanes[LaneControl].Connects)
}

// heapInUse is what lives after a collection.
func heapInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// closedByPeer waits until the other end has closed.
func closedByPeer(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(wait)))
	_, err := c.Read(make([]byte, 256))
	for err == nil {
		_, err = c.Read(make([]byte, 256))
	}
	ne, ok := err.(net.Error)
	require.False(t, ok && ne.Timeout(), "the connection is still open")
}

// Strangers of every kind are refused, with bounded memory and few lines of log,
// and the peers that are let in notice nothing.
func TestStrangersAreRefused(t *testing.T) {
	good := hello{version: protocolVersion, minVersion: minProtocolVersion, lane: LaneControl, cluster: 1, from: 3, to: 2}
	changed := func(change func(*hello)) []byte {
		h := good
		change(&h)
		return h.encode()
	}
	for _, test := range []struct {
		name, log string
		say       []byte
	}{
		{"garbage", "not this protocol", bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 1000)},
		{"zeros", "not this protocol", make([]byte, 1<<16)},
		{"huge length", "not this protocol", bytes.Repeat([]byte{0x7f, 0xff, 0xff, 0xff}, 20)},
		{"damaged", "wrong checksum", append(good.encode()[:helloSize-1], 0)},
		{"another cluster", "another cluster", changed(func(h *hello) { h.cluster = 9 })},
		{"another node", "another node", changed(func(h *hello) { h.to = 9 })},
		{"this node", "another node", changed(func(h *hello) { h.from = 2 })},
		{"nobody", "another node", changed(func(h *hello) { h.from = 0 })},
		{"future version", "no common protocol version", changed(func(h *hello) { h.version, h.minVersion = 99, 98 })},
		{"no version", "no common protocol version", changed(func(h *hello) { h.version = 0 })},
		{"unknown lane", "unknown lane", changed(func(h *hello) { h.lane = 9 })},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, healthy, logs := attacked(t, nil)
			before := heapInUse()
			const times = 50
			for range times {
				c := stranger(t, b)
				_, _ = c.Write(test.say)
				closedByPeer(t, c)
				_ = c.Close()
			}
			eventually(t, "all are counted", func() bool { return b.Stats().Refused == times })
			require.Less(t, heapInUse()-before, 1<<20)
			lines := logs.FilterMessage("connection refused").All()
			require.NotEmpty(t, lines)
			require.LessOrEqual(t, len(lines), 3, "the log is not limited")
			require.Contains(t, lines[0].ContextMap()["error"], test.log)
			stillServes(t, b, healthy)
		})
	}
}

// Connections that say nothing, or a byte now and then, hold a bounded number of
// places for a bounded time, and newcomers get in past them.
func TestSlowLoris(t *testing.T) {
	b, healthy, _ := attacked(t, nil)
	before := heapInUse()
	var held []net.Conn
	for range 300 {
		c := stranger(t, b)
		_, _ = c.Write([]byte(magic[:5]))
		held = append(held, c)
	}
	eventually(t, "the places are taken", func() bool { return b.Stats().Refused >= 300-16 })
	require.LessOrEqual(t, b.Stats().Handshakes, 16)
	require.Less(t, heapInUse()-before, 2<<20)

	peer := newEndpoint(t, testConfig(3)) // while the places are taken
	peer.group.SetPeer(2, b.Addr().String())
	connected(t, peer, b)

	// A byte now and then does not prolong it: the time is that of the handshake.
	drip := make(chan struct{})
	go func() {
		defer close(drip)
		for _, c := range []byte(good(b).encode())[5:] {
			if _, err := held[299].Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond) // the stranger is slow
		}
	}()
	for _, c := range held {
		closedByPeer(t, c)
	}
	<-drip
	require.Zero(t, b.Stats().Handshakes)
	stillServes(t, b, healthy)
}

func good(to *endpoint) hello {
	return hello{version: protocolVersion, minVersion: minProtocolVersion, cluster: 1, from: 9, to: to.id}
}

// A peer that was let in and then breaks the protocol loses its connection, and
// costs no more memory than it sent: a length is not believed before its bytes
// come.
func TestMaliciousPeer(t *testing.T) {
	message := heartbeat(3, 2, 1)
	valid, err := appendMessage(nil, testGroup, &message, message.Size())
	require.NoError(t, err)
	damaged := bytes.Clone(valid)
	damaged[len(damaged)-1] ^= 1
	length := func(n uint32) []byte {
		b := bytes.Clone(valid)
		binary.BigEndian.PutUint32(b, n)
		return b
	}
	entries := bytes.Repeat([]byte{entriesField<<3 | 2, 0}, 100_000)
	for _, test := range []struct {
		name, log string
		lane      Lane
		say       []byte
		stays     bool // the frame may still be completed
	}{
		{"length of 2 GiB", "the limit is", LaneLog, length(1 << 31), false},
		{"length of the limit", "", LaneLog, length(64 << 20), true},
		{"length in the control lane", "the limit is", LaneControl, length(2 << 20), false},
		{"damaged", "wrong checksum", LaneLog, damaged, false},
		{"no message", "cannot be decoded", LaneLog, appendFrame(nil, kindMessage, 1, []byte("no message")), false},
		{"empty entries", "entries in a message", LaneLog, appendFrame(nil, kindMessage, 1, entries), false},
		{"unknown kind", "frame of kind 99", LaneLog, appendFrame(nil, 99, 1), false},
		{"chunk in a message lane", "frame of kind", LaneLog, appendFrame(nil, kindChunk, 1, make([]byte, 100)), false},
		{"chunk before the start", "before a snapshot", LaneSnapshot, appendFrame(nil, kindChunk, 1, make([]byte, 100)), false},
		{"malformed start", "malformed start", LaneSnapshot, appendFrame(nil, kindOpen, 1, []byte("short")), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, healthy, logs := attacked(t, nil)
			before := heapInUse()
			var conns []*conn
			for id := uint64(3); id < 23; id++ {
				c := rawPeer(t, b, id, test.lane)
				require.NoError(t, c.write(test.say))
				conns = append(conns, c)
			}
			if test.stays {
				eventually(t, "all are connected", func() bool { return b.Stats().Inbound == 21 })
				require.Less(t, heapInUse()-before, 20*(frameStep+2*readBuffer+8<<10)+1<<20)
				stillServes(t, b, healthy)
				return
			}
			for _, c := range conns {
				closedByPeer(t, c.raw)
			}
			eventually(t, "all have ended", func() bool { return b.Stats().Inbound == 1 })
			conns = nil
			require.Less(t, heapInUse()-before, 4<<20)
			lines := logs.FilterMessage("connection from peer ended").All()
			require.NotEmpty(t, lines)
			require.Contains(t, lines[0].ContextMap()["error"], test.log)
			stillServes(t, b, healthy)
		})
	}
}

// A sender that ignores the window, or goes on elsewhere than it was told, is cut
// off; what waits for the sink stays within the window.
func TestSnapshotWindowIsEnforced(t *testing.T) {
	b, healthy, _ := attacked(t, func(c *Config) { c.SnapshotWindow = 1 << 20 })
	g, err := b.Group(1)
	require.NoError(t, err)
	held := make(chan struct{})
	require.NoError(t, g.Start(func(*raftpb.Message) {}, nil, func(from uint64, meta []byte) (Sink, error) {
		s := newMemorySink(from, meta)
		s.write = func([]byte) error { <-held; return nil }
		return s, nil
	}))
	defer close(held)
	for id := uint64(3); id < 6; id++ {
		c := rawPeer(t, b, id, LaneSnapshot)
		require.NoError(t, c.write(appendFrame(nil, kindOpen, 1, encodeOpen(newStreamID(), false, nil))))
		offset := uint64(0)
		for {
			at := binary.BigEndian.AppendUint64(nil, offset)
			data := make([]byte, 64<<10)
			if id == 4 {
				data = data[:1] // a byte at a time does not cost a chunk each
			}
			if c.write(appendFrame(nil, kindChunk, 1, at, data)) != nil {
				break
			}
			if offset += uint64(len(data)); offset == 10_000 && id == 4 {
				break
			}
			if id == 5 {
				offset++
			}
		}
	}
	require.LessOrEqual(t, b.Stats().SnapshotsIn, 3)
	stillServes(t, b, healthy)
}

// The number of nodes, and of connections of one node, is bounded.
func TestConnectionsAreBounded(t *testing.T) {
	b, healthy, _ := attacked(t, func(c *Config) { c.MaxPeers, c.MaxSnapshotsIn = 3, 2 })
	refused := func(id uint64, lane Lane) {
		t.Helper()
		c := stranger(t, b)
		h := good(b)
		h.from, h.lane = id, lane
		_, err := c.Write(h.encode())
		require.NoError(t, err)
		w, err := readWelcome(c)
		require.NoError(t, err)
		require.Equal(t, answerBusy, w.answer)
		require.ErrorIs(t, w.check(2), ErrRefused)
	}
	for range 4 {
		rawPeer(t, b, 3, LaneSnapshot)
	}
	refused(3, LaneSnapshot)
	rawPeer(t, b, 4, LaneLog)
	refused(5, LaneLog)
	stillServes(t, b, healthy)
}

// Who makes up an ID for every connection leaves no line for each.
func TestMadeUpNodesAreLoggedAsOne(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	cfg := testConfig(2)
	cfg.Logger = zap.New(core)
	b := newEndpoint(t, cfg)
	start := time.Now()
	for id := range uint64(50) {
		c := rawPeer(t, b, 100+id, LaneLog)
		require.NoError(t, c.write(appendFrame(nil, kindMessage, testGroup, []byte{0x18, 1, 0x10, 1}))) // from 1 to 1
		require.NoError(t, c.write([]byte("garbage garbage garbage garbage")))
		<-readToEnd(c)
	}
	eventually(t, "all are gone", func() bool { return b.Stats().Inbound == 0 })
	seconds := int(time.Since(start)/time.Second) + 1
	for _, line := range []string{"connection from peer ended", "message with a foreign sender or receiver dropped"} {
		require.NotZero(t, logs.FilterMessage(line).Len())
		require.LessOrEqual(t, logs.FilterMessage(line).Len(), seconds)
	}
}

// readToEnd reads until the other end closes.
func readToEnd(c *conn) <-chan error {
	done := make(chan error, 1)
	go func() { done <- readPings(c) }()
	return done
}

// A node that says where it is changes nothing where a group was told better: its
// messages go to the address of the configuration.
func TestToldAddressIsSecond(t *testing.T) {
	b := newEndpoint(t, testConfig(2))
	address := func() string { return b.Stats().Peers[0].Address }
	tell := func(addr string) {
		t.Helper()
		raw := stranger(t, b)
		h := hello{version: protocolVersion, minVersion: minProtocolVersion, cluster: 1, from: 3, to: 2, advertise: addr}
		_, err := raw.Write(h.encode())
		require.NoError(t, err)
		w, err := readWelcome(raw)
		require.NoError(t, err)
		require.NoError(t, w.check(2))
	}
	b.group.SetPeer(3, "127.0.0.1:1")
	tell("127.0.0.1:2")
	require.Equal(t, "127.0.0.1:1", address())
	b.group.SetPeer(3, "")
	require.Equal(t, "127.0.0.1:2", address())
	for _, none := range []string{":3", "0.0.0.0:3", "[::]:3"} {
		tell(none)
		require.Equal(t, "127.0.0.1:3", address(), none)
	}
	tell("nonsense")
	require.Equal(t, "", address())
}
