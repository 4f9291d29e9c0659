package transport

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// group is what package replica asks of a transport; both of ours have it.
type group interface {
	Start(
		deliver func(m *raftpb.Message),
		unreachable func(peer uint64),
		snapshot func(from uint64, meta []byte) (interface {
			io.Writer
			Commit() error
			Abort()
		}, error),
	) error
	Send(msgs []raftpb.Message)
	SetPeer(id uint64, addr string)
	RemovePeer(id uint64)
	SendSnapshot(ctx context.Context, to uint64, meta []byte, body io.Reader) error
	Close() error
}

var (
	_ group = (*Group)(nil)
	_ group = (*MemoryGroup)(nil)
)

// memoryEndpoint is endpoint's twin.
type memoryEndpoint struct {
	group       *MemoryGroup
	messages    chan *raftpb.Message
	unreachable chan uint64
	sinks       chan *memorySink
}

func newMemoryEndpoint(t testing.TB, n *Network, id uint64) *memoryEndpoint {
	t.Helper()
	e := &memoryEndpoint{
		messages: make(chan *raftpb.Message, 1000), unreachable: make(chan uint64, 1000), sinks: make(chan *memorySink, 10),
	}
	var err error
	e.group, err = n.Node(id).Group(testGroup)
	require.NoError(t, err)
	require.NoError(t, e.group.Start(
		func(m *raftpb.Message) { e.messages <- m },
		func(peer uint64) { e.unreachable <- peer },
		func(from uint64, meta []byte) (Sink, error) {
			s := newMemorySink(from, meta)
			e.sinks <- s
			return s, nil
		}))
	return e
}

func memoryPair(t testing.TB) (n *Network, a, b *memoryEndpoint) {
	t.Helper()
	n = NewNetwork()
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	a, b = newMemoryEndpoint(t, n, 1), newMemoryEndpoint(t, n, 2)
	a.group.SetPeer(2, "")
	b.group.SetPeer(1, "")
	return n, a, b
}

// Messages arrive in order by lane and share no memory with what was sent.
func TestMemoryMessages(t *testing.T) {
	_, a, b := memoryPair(t)
	data := []byte("data")
	for i := range uint64(100) {
		a.group.Send([]raftpb.Message{appendOf(1, 2, i+1, data)})
	}
	for i := range uint64(100) {
		m := receive(t, b.messages, "a message")
		require.Equal(t, i+1, m.Entries[0].Index)
		m.Entries[0].Data[0] = 'X'
	}
	require.Equal(t, "data", string(data))
	a.group.Send([]raftpb.Message{heartbeat(5, 2, 1), heartbeat(1, 3, 1), heartbeat(1, 2, 9)})
	require.Equal(t, uint64(9), receive(t, b.messages, "the one with the right sender").Round)
	require.Equal(t, uint64(3), receive(t, a.unreachable, "a report"))
	a.group.RemovePeer(2)
	b.group.RemovePeer(1)
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
	require.Equal(t, uint64(2), receive(t, a.unreachable, "a report"))
}

// What is cut off is lost and reported, a share is lost in silence, a filter sees
// every message; all of it ends.
func TestMemoryFaults(t *testing.T) {
	n, a, b := memoryPair(t)
	n.Cut(2, 1)
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
	require.Equal(t, uint64(2), receive(t, a.unreachable, "a report"))
	require.ErrorIs(t, a.group.SendSnapshot(t.Context(), 2, nil, &patternReader{left: 1}), ErrUnreachable)
	n.Heal()
	n.SetDropRate(0.5, 1)
	for i := range uint64(200) {
		a.group.Send([]raftpb.Message{heartbeat(1, 2, i)})
	}
	n.SetDropRate(0, 1)
	n.SetFilter(func(m *raftpb.Message) bool { return m.Round != 1000 })
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 1000), heartbeat(1, 2, 1001)})
	arrived := 0
	for receive(t, b.messages, "a message").Round != 1001 {
		arrived++
	}
	require.InDelta(t, 100, arrived, 40)
	require.Empty(t, a.unreachable)
}

// A delay holds messages back, in order; the other lane is not held up.
func TestMemoryDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := memoryPair(t)
		n.SetDelay(func(m *raftpb.Message) time.Duration {
			if m.Type == raftpb.MsgApp {
				return time.Minute / time.Duration(m.Entries[0].Index)
			}
			return 0
		})
		start := time.Now()
		a.group.Send([]raftpb.Message{appendOf(1, 2, 1, nil), appendOf(1, 2, 2, nil), heartbeat(1, 2, 1)})
		require.Equal(t, raftpb.MsgHeartbeat, (<-b.messages).Type)
		require.Zero(t, time.Since(start))
		require.Equal(t, uint64(1), (<-b.messages).Entries[0].Index)
		require.Equal(t, time.Minute, time.Since(start))
		require.Equal(t, uint64(2), (<-b.messages).Entries[0].Index)
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, n.Close())
	})
}

// Snapshots arrive, are refused, and end with the context or either group, as over
// TCP.
func TestMemorySnapshots(t *testing.T) {
	_, a, b := memoryPair(t)
	want := make([]byte, 3*chunkSize+1)
	fillPattern(want, 0)
	require.NoError(t, a.group.SendSnapshot(t.Context(), 2, []byte("meta"), bytes.NewReader(want)))
	sink := receive(t, b.sinks, "a sink")
	require.True(t, isClosed(sink.committed))
	require.Equal(t, "meta", string(sink.meta))
	require.True(t, bytes.Equal(want, sink.bytes()))
	require.ErrorIs(t, a.group.SendSnapshot(t.Context(), 9, nil, nil), ErrUnknownPeer)

	for _, end := range []func(cancel func()) error{
		func(cancel func()) error { cancel(); return context.Canceled },
		func(func()) error { require.NoError(t, b.group.Close()); return ErrUnknownGroup },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		r := &blockedReader{patternReader{left: 1 << 20}, make(chan struct{}), make(chan error, 1)}
		ended := make(chan error, 1)
		go func() { ended <- a.group.SendSnapshot(ctx, 2, nil, r) }()
		receive(t, r.blocked, "the body's end")
		sink := receive(t, b.sinks, "a sink")
		want := end(cancel)
		r.release <- io.EOF
		require.ErrorIs(t, receive(t, ended, "the end"), want)
		receive(t, sink.aborted, "the abort")
		cancel()
	}
	require.ErrorIs(t, a.group.SendSnapshot(t.Context(), 2, nil, &patternReader{left: 1}), ErrUnknownGroup)
}

// A node that crashed comes back with new groups; a closed network has none.
func TestMemoryRestart(t *testing.T) {
	n, a, b := memoryPair(t)
	_, err := n.Node(2).Group(testGroup)
	require.ErrorIs(t, err, ErrGroupExists)
	require.NoError(t, n.Node(2).Close())
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
	again := newMemoryEndpoint(t, n, 2)
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 2)})
	for receive(t, again.messages, "a message").Round != 2 {
	}
	again.group.Send([]raftpb.Message{heartbeat(2, 1, 3)}) // an answer, to a node that it was not told of
	require.Equal(t, uint64(3), receive(t, a.messages, "the answer").Round)
	require.Empty(t, b.messages)
	require.NoError(t, n.Close())
	require.NoError(t, n.Close())
	_, err = n.Node(1).Group(testGroup)
	require.ErrorIs(t, err, ErrClosed)
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
}
