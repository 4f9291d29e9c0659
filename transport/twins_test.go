package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// twin is a connected pair of groups, over TCP or in memory.
type twin struct {
	a, b         group
	messages     chan *raftpb.Message // that reach b
	unreachable  chan uint64          // peers, as told to a
	sinks        chan *memorySink     // that b makes
	closeB       func()               // as a crash of b
	lateNewGroup func() error         // makes a group at a after its end
}

// twins runs a test over both.
func twins(t *testing.T, test func(t *testing.T, w twin)) {
	t.Run("tcp", func(t *testing.T) {
		a, b := pair(t)
		test(t, twin{
			a: a.group, b: b.group, messages: b.messages, unreachable: a.unreachable, sinks: b.sinks,
			closeB:       func() { require.NoError(t, b.Close()) },
			lateNewGroup: func() error { _ = a.Close(); _, err := a.Group(99); return err },
		})
	})
	t.Run("memory", func(t *testing.T) {
		n, a, b := memoryPair(t)
		test(t, twin{
			a: a.group, b: b.group, messages: b.messages, unreachable: a.unreachable, sinks: b.sinks,
			closeB:       func() { require.NoError(t, n.Node(2).Close()) },
			lateNewGroup: func() error { _ = n.Close(); _, err := n.Node(1).Group(99); return err },
		})
	})
}

// A body that ends with an error, whichever it is, is not a whole snapshot: io.EOF
// alone is its end. io.ErrUnexpectedEOF is what readers of a cut file return.
func TestTwinsCutBody(t *testing.T) {
	twins(t, func(t *testing.T, w twin) {
		for _, size := range []int{0, 100, chunkSize, chunkSize + 1} {
			body := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(io.ErrUnexpectedEOF))
			require.ErrorIs(t, w.a.SendSnapshot(t.Context(), 2, nil, body), io.ErrUnexpectedEOF)
			sink := receive(t, w.sinks, "a sink")
			receive(t, sink.aborted, "the abort")
			require.False(t, isClosed(sink.committed))
		}
	})
}

// What a snapshot's sink and the state of the groups say is told by the same errors.
func TestTwinsSnapshotErrors(t *testing.T) {
	twins(t, func(t *testing.T, w twin) {
		for _, body := range [][]byte{nil, []byte("a"), make([]byte, 3*chunkSize)} {
			require.NoError(t, w.a.SendSnapshot(t.Context(), 2, []byte("meta"), bytes.NewReader(body)))
			sink := receive(t, w.sinks, "a sink")
			require.True(t, isClosed(sink.committed))
			require.Equal(t, "meta", string(sink.meta))
			require.True(t, bytes.Equal(body, sink.bytes()))
		}
		require.ErrorIs(t, w.a.SendSnapshot(t.Context(), 9, nil, nil), ErrUnknownPeer)
		require.ErrorIs(t, w.a.SendSnapshot(t.Context(), 1, nil, nil), ErrUnknownPeer)
		require.ErrorIs(t, w.a.SendSnapshot(t.Context(), 2, make([]byte, maxSmallFrame), nil), ErrTooLarge)
		ended, cancel := context.WithCancelCause(t.Context())
		why := errors.New("why")
		cancel(why)
		require.ErrorIs(t, w.a.SendSnapshot(ended, 2, nil, bytes.NewReader(nil)), why)
		require.NoError(t, w.b.Close())
		require.ErrorIs(t, w.a.SendSnapshot(t.Context(), 2, nil, bytes.NewReader(nil)), ErrUnknownGroup)
		require.NoError(t, w.a.Close())
		require.NoError(t, w.a.Close(), "again")
		require.ErrorIs(t, w.a.SendSnapshot(t.Context(), 2, nil, bytes.NewReader(nil)), ErrClosed)
		require.ErrorIs(t, w.a.Start(func(*message) {}, nil, nil), ErrClosed)
		require.ErrorIs(t, w.lateNewGroup(), ErrClosed)
	})
}

// What cannot leave is reported, with the ID of the receiver: it is not known, not a
// peer, or down.
func TestTwinsUnreachable(t *testing.T) {
	twins(t, func(t *testing.T, w twin) {
		w.a.Send([]message{heartbeat(1, 2, 1), heartbeat(1, 9, 1)})
		require.Equal(t, uint64(1), receive(t, w.messages, "a heartbeat").Round)
		require.Equal(t, uint64(9), receive(t, w.unreachable, "the report"))
		w.closeB()
		eventually(t, "b is reported", func() bool {
			w.a.Send([]message{heartbeat(1, 2, 2)})
			select {
			case id := <-w.unreachable:
				return id == 2
			default:
				return false
			}
		})
	})
}

// A second snapshot to the same peer makes the receiver give up the first, whose sink
// has ended before the second's begins.
func TestTwinsNewerSnapshotWins(t *testing.T) {
	twins(t, func(t *testing.T, w twin) {
		r := &blockedReader{patternReader{left: chunkSize}, make(chan struct{}), make(chan error, 1)}
		ended := make(chan error, 1)
		go func() { ended <- w.a.SendSnapshot(context.Background(), 2, nil, r) }()
		defer func() { // Close waits for it
			select {
			case r.release <- io.EOF:
			default:
			}
		}()
		older := receive(t, w.sinks, "the older sink")
		receive(t, r.blocked, "the body's end")
		require.NoError(t, w.a.SendSnapshot(t.Context(), 2, nil, bytes.NewReader([]byte("newer"))))
		require.True(t, isClosed(older.aborted))
		require.Equal(t, "newer", string(receive(t, w.sinks, "the newer sink").bytes()))
		r.release <- io.EOF
		require.ErrorIs(t, receive(t, ended, "the end of the older"), ErrSnapshotLost)
	})
}
