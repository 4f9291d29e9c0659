package transport

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// Whatever the tests of this package start must end with them.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := goroutines(10 * time.Second); code == 0 && left != "" {
		os.Stderr.WriteString("goroutines are left:\n" + left)
		code = 1
	}
	os.Exit(code)
}

// goroutines waits until no goroutine of this package runs but the caller's, and
// returns the stacks of those that still do.
func goroutines(patience time.Duration) string {
	deadline := time.Now().Add(patience)
	for {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		var left []string
		for _, g := range strings.Split(string(stacks), "\n\n")[1:] {
			if strings.Contains(g, "raft/transport.") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return ""
		}
		if time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
		time.Sleep(time.Millisecond)
	}
}

const wait = 20 * time.Second // for what should happen at once, on a busy machine

// eventually polls, for what tells nobody that it happened.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(wait); !ok(); time.Sleep(time.Millisecond) {
		require.False(t, time.Now().After(deadline), "never: %s", what)
	}
}

// receive returns what comes next, and fails if nothing does.
func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(wait):
		require.Fail(t, "nothing came", what)
		panic("unreachable")
	}
}

// endpoint is a transport with one group whose callbacks feed channels.
type endpoint struct {
	*Transport
	id          uint64
	group       *Group
	messages    chan *raftpb.Message
	unreachable chan uint64
	sinks       chan *memorySink
}

const testGroup = 7

// testConfig has short times, so that faults are noticed within a test.
func testConfig(id uint64) Config {
	return Config{
		ClusterID: 1, NodeID: id, Listen: "127.0.0.1:0",
		PingInterval: 100 * time.Millisecond, PeerTimeout: 3 * time.Second,
		MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
	}
}

func newEndpoint(t testing.TB, cfg Config) *endpoint {
	t.Helper()
	tr, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	e := &endpoint{
		Transport: tr, id: cfg.NodeID,
		messages:    make(chan *raftpb.Message, 1<<16),
		unreachable: make(chan uint64, 1<<16),
		sinks:       make(chan *memorySink, 16),
	}
	e.group, err = tr.Group(testGroup)
	require.NoError(t, err)
	require.NoError(t, e.group.Start(
		func(m *raftpb.Message) { e.messages <- m },
		func(peer uint64) { e.unreachable <- peer },
		func(from uint64, meta []byte) (interface {
			io.Writer
			Commit() error
			Abort()
		}, error) {
			s := newMemorySink(from, meta)
			e.sinks <- s
			return s, nil
		},
	))
	return e
}

// pair returns two endpoints that know each other and are connected.
func pair(t testing.TB) (a, b *endpoint) {
	t.Helper()
	a, b = newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(2))
	a.group.SetPeer(2, b.Addr().String())
	b.group.SetPeer(1, a.Addr().String())
	connected(t, a, b)
	connected(t, b, a)
	return a, b
}

// connected waits until a can send to b.
func connected(t testing.TB, a, b *endpoint) {
	t.Helper()
	eventually(t, "connected", func() bool {
		for _, p := range a.Stats().Peers {
			if p.ID == b.id {
				return p.Lanes[LaneControl].Connected && p.Lanes[LaneLog].Connected
			}
		}
		return false
	})
}

// memorySink keeps what it is given.
type memorySink struct {
	from uint64
	meta []byte

	mu        sync.Mutex
	data      bytes.Buffer
	committed chan struct{}
	aborted   chan struct{}

	write  func(p []byte) error // if not nil, may refuse
	commit func() error
}

func newMemorySink(from uint64, meta []byte) *memorySink {
	return &memorySink{from: from, meta: meta, committed: make(chan struct{}), aborted: make(chan struct{})}
}

func (s *memorySink) Write(p []byte) (int, error) {
	if s.write != nil {
		if err := s.write(p); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.Write(p)
}

func (s *memorySink) Commit() error {
	close(s.committed)
	if s.commit != nil {
		return s.commit()
	}
	return nil
}

func (s *memorySink) Abort() { close(s.aborted) }

func (s *memorySink) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.Len()
}

func (s *memorySink) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.data.Bytes())
}

func heartbeat(from, to, round uint64) raftpb.Message {
	return raftpb.Message{Type: raftpb.MsgHeartbeat, From: from, To: to, Term: 1, Round: round}
}

// appendOf is an append of one entry.
func appendOf(from, to, index uint64, data []byte) raftpb.Message {
	return raftpb.Message{
		Type: raftpb.MsgApp, From: from, To: to, Term: 1, LogTerm: 1, Index: index - 1,
		Entries: []raftpb.Entry{{Term: 1, Index: index, Data: data}},
	}
}

// stranger connects to a transport without a handshake.
func stranger(t testing.TB, to *endpoint) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

type message = raftpb.Message

// rawPeer shakes hands as a node and returns the connection, to do with it what no
// transport would.
func rawPeer(t testing.TB, to *endpoint, id uint64, lane Lane) *conn {
	t.Helper()
	raw := stranger(t, to)
	h := hello{version: protocolVersion, minVersion: minProtocolVersion, lane: lane, cluster: 1, from: id, to: to.id}
	_, err := raw.Write(h.encode())
	require.NoError(t, err)
	w, err := readWelcome(raw)
	require.NoError(t, err)
	require.NoError(t, w.check(to.id))
	cfg := testConfig(id).withDefaults()
	c := newConn(raw, raw, &cfg, maxSmallFrame)
	t.Cleanup(c.close)
	return c
}
