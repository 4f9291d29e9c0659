package transport

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// benchPair returns two connected transports; what arrives at b goes to deliver.
func benchPair(b *testing.B, cfg Config, deliver func(m *raftpb.Message)) *Group {
	b.Helper()
	from, to := newEndpoint(b, cfg), newEndpoint(b, testConfig(2))
	g, err := to.Group(1)
	require.NoError(b, err)
	require.NoError(b, g.Start(deliver, nil, nil))
	g, err = from.Group(1)
	require.NoError(b, err)
	g.SetPeer(2, to.Addr().String())
	connected(b, from, to)
	return g
}

// benchSend sends b.N messages, no more than window on their way, and waits until
// they have arrived. Allocations are those of both ends.
func benchSend(b *testing.B, window int64, message func(i uint64) raftpb.Message) {
	var arrived atomic.Int64
	progress := newSignal()
	g := benchPair(b, testConfig(1), func(*raftpb.Message) {
		arrived.Add(1)
		signal(progress)
	})
	msgs := []raftpb.Message{{}}
	b.ReportAllocs()
	b.ResetTimer()
	for i := int64(0); i < int64(b.N); i++ {
		for i-arrived.Load() >= window {
			<-progress
		}
		msgs[0] = message(uint64(i) + 1)
		g.Send(msgs)
	}
	for arrived.Load() < int64(b.N) {
		<-progress
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func newSignal() chan struct{} { return make(chan struct{}, 1) }

func BenchmarkSend(b *testing.B) {
	b.Run("heartbeat", func(b *testing.B) {
		benchSend(b, 4096, func(i uint64) raftpb.Message { return heartbeat(1, 2, i) })
	})
	for _, size := range []struct {
		name  string
		bytes int
	}{{"append100B", 100}, {"append64KiB", 64 << 10}, {"append1MiB", 1 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			entries := []raftpb.Entry{{Term: 1, Data: bytes.Repeat([]byte("x"), size.bytes)}}
			b.SetBytes(int64(size.bytes))
			benchSend(b, min(4096, max(4, 32<<20/int64(size.bytes))), func(i uint64) raftpb.Message {
				return raftpb.Message{Type: raftpb.MsgApp, From: 1, To: 2, Term: 1, Index: i, Entries: entries}
			})
		})
	}
}

// BenchmarkRoundTrip is a heartbeat and its answer on loopback.
func BenchmarkRoundTrip(b *testing.B) {
	one, two := pair(b)
	back := make(chan struct{}, 1)
	answer, err := two.Group(1)
	require.NoError(b, err)
	answer.SetPeer(1, one.Addr().String())
	require.NoError(b, answer.Start(func(m *raftpb.Message) {
		answer.Send([]raftpb.Message{{Type: raftpb.MsgHeartbeatResp, From: 2, To: 1, Term: 1, Round: m.Round}})
	}, nil, nil))
	ask, err := one.Group(1)
	require.NoError(b, err)
	ask.SetPeer(2, two.Addr().String())
	require.NoError(b, ask.Start(func(*raftpb.Message) { back <- struct{}{} }, nil, nil))
	msgs := []raftpb.Message{heartbeat(1, 2, 1)}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		ask.Send(msgs)
		<-back
	}
}

// BenchmarkSnapshot is a snapshot on loopback, its generation left out.
func BenchmarkSnapshot(b *testing.B) {
	const size = 64 << 20
	from, to := newEndpoint(b, testConfig(1)), newEndpoint(b, testConfig(2))
	g, err := to.Group(1)
	require.NoError(b, err)
	require.NoError(b, g.Start(func(*raftpb.Message) {}, nil, func(uint64, []byte) (Sink, error) { return nullSink{}, nil }))
	g, err = from.Group(1)
	require.NoError(b, err)
	g.SetPeer(2, to.Addr().String())
	data := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, g.SendSnapshot(b.Context(), 2, nil, bytes.NewReader(data)))
	}
}

type nullSink struct{}

func (nullSink) Write(b []byte) (int, error) { return len(b), nil }
func (nullSink) Commit() error               { return nil }
func (nullSink) Abort()                      {}

// Sending costs no allocation for a message, nor does receiving but for what is
// handed over: the message, its entries, and their data.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := pair(t)
	for _, test := range []struct {
		name string
		m    raftpb.Message
		want float64
	}{
		{"heartbeat", heartbeat(1, 2, 1), 1},
		{"append", appendOf(1, 2, 1, make([]byte, 100)), 3},
	} {
		msgs := []raftpb.Message{test.m}
		allocs := testing.AllocsPerRun(5000, func() {
			a.group.Send(msgs)
			<-b.messages
		})
		require.LessOrEqual(t, allocs, test.want, test.name)
	}
}
