package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A snapshot arrives whole, with its meta, and SendSnapshot returns when the
// receiver has committed it; empty ones and those at the edges of chunks too.
func TestSnapshotArrives(t *testing.T) {
	a, b := pair(t)
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize, 10<<20 + 17} {
		want := make([]byte, size)
		fillPattern(want, 0)
		meta := fmt.Appendf(nil, "meta of %d", size)
		err := a.group.SendSnapshot(t.Context(), 2, meta, bytes.NewReader(want))
		require.NoError(t, err)
		s := receive(t, b.sinks, "a sink")
		require.Equal(t, uint64(1), s.from)
		require.Equal(t, string(meta), string(s.meta))
		require.True(t, isClosed(s.committed))
		require.False(t, isClosed(s.aborted))
		require.True(t, bytes.Equal(want, s.bytes()), "%d bytes", size)
	}
	require.Equal(t, uint64(7), a.Stats().SnapshotsSent)
	eventually(t, "all are counted", func() bool { return b.Stats().SnapshotsReceived == 7 && b.Stats().SnapshotsIn == 0 })
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// checkingSink compares what it gets with the pattern and keeps nothing.
type checkingSink struct {
	at      int
	scratch [4096]byte
	heap    *heapWatch
}

func (s *checkingSink) Write(b []byte) (int, error) {
	for n := 0; n < len(b); {
		want := s.scratch[:min(len(s.scratch), len(b)-n)]
		fillPattern(want, s.at)
		if !bytes.Equal(want, b[n:n+len(want)]) {
			return n, fmt.Errorf("wrong bytes at %d", s.at)
		}
		n += len(want)
		s.at += len(want)
	}
	s.heap.look(s.at)
	return len(b), nil
}
func (s *checkingSink) Commit() error { return nil }
func (s *checkingSink) Abort()        {}

// heapWatch keeps the largest live heap that it saw.
type heapWatch struct {
	start, peak uint64
	next        int
}

func newHeapWatch() *heapWatch {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return &heapWatch{start: m.HeapAlloc, peak: m.HeapAlloc}
}

// look measures about every 4 MiB.
func (w *heapWatch) look(at int) {
	if at < w.next {
		return
	}
	w.next = at + 4<<20
	if raceEnabled {
		runtime.GC() // pools leave a part of what they are given to it then
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.peak = max(w.peak, m.HeapAlloc)
}

func (w *heapWatch) growth() int { return int(w.peak) - int(w.start) }

// Whatever a snapshot's size, either end keeps a window and a chunk of it; and when
// its connection breaks it goes on where it was.
func TestSnapshotMemoryAndResume(t *testing.T) {
	size := 1 << 30
	if raceEnabled || testing.Short() {
		size = 64 << 20
	}
	a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(2))
	p := newProxy(t, b.Addr().String(), nil)
	p.cutAt, p.cuts = size/7, 5

	heap := newHeapWatch()
	sink := &checkingSink{heap: heap}
	sinks := 0
	g, err := b.Group(1)
	require.NoError(t, err)
	require.NoError(t, g.Start(func(m *message) {}, nil, func(uint64, []byte) (Sink, error) {
		sinks++
		return sink, nil
	}))
	g, err = a.Group(1)
	require.NoError(t, err)
	g.SetPeer(2, p.addr())
	start := time.Now()
	require.NoError(t, g.SendSnapshot(t.Context(), 2, nil, &patternReader{left: size}))
	t.Logf("%d MiB in %v, heap grew by %d KiB", size>>20, time.Since(start), heap.growth()>>10)
	require.Equal(t, size, sink.at)
	require.Equal(t, 1, sinks)
	require.GreaterOrEqual(t, a.Stats().SnapshotResumes, uint64(4))
	require.Less(t, a.Stats().SnapshotBytes, uint64(size+6*(4<<20)), "more than a window was sent again")
	require.Less(t, heap.growth(), 32<<20)
}

// The receiver's refusals reach the sender, with the receiver's words, and are told
// apart.
func TestSnapshotRefusals(t *testing.T) {
	a, b := pair(t)
	refuse := errors.New("disk full")
	for _, test := range []struct {
		name  string
		group uint64
		sink  func(s *memorySink) error
		want  error
		text  string
	}{
		{"callback", 20, func(*memorySink) error { return refuse }, ErrSnapshotRefused, "disk full"},
		{"write", 21, func(s *memorySink) error {
			s.write = func([]byte) error { return refuse }
			return nil
		}, ErrSnapshotRefused, "disk full"},
		{"commit", 22, func(s *memorySink) error {
			s.commit = func() error { return refuse }
			return nil
		}, ErrSnapshotRefused, "disk full"},
		{"group", 23, nil, ErrUnknownGroup, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sink *memorySink
			if test.sink != nil {
				theirs, err := b.Group(test.group)
				require.NoError(t, err)
				require.NoError(t, theirs.Start(func(*message) {}, nil, func(from uint64, meta []byte) (Sink, error) {
					s := newMemorySink(from, meta)
					if err := test.sink(s); err != nil {
						return nil, err
					}
					sink = s
					return s, nil
				}))
			}
			g, err := a.Group(test.group)
			require.NoError(t, err)
			g.SetPeer(2, b.Addr().String())
			err = g.SendSnapshot(t.Context(), 2, nil, &patternReader{left: 20 << 20})
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.text)
			if sink != nil {
				require.NotEqual(t, isClosed(sink.committed), isClosed(sink.aborted), "exactly one of Commit and Abort")
			}
		})
	}
	require.ErrorIs(t, a.group.SendSnapshot(t.Context(), 9, nil, nil), ErrUnknownPeer)
	require.ErrorIs(t, a.group.SendSnapshot(t.Context(), 2, make([]byte, maxSmallFrame), nil), ErrTooLarge)
}

// blockedReader blocks after some bytes until it is released.
type blockedReader struct {
	patternReader
	blocked chan struct{} // closed when it blocks
	release chan error
}

func (r *blockedReader) Read(b []byte) (int, error) {
	if r.left > 0 {
		return r.patternReader.Read(b)
	}
	if !isClosed(r.blocked) {
		close(r.blocked)
	}
	return 0, <-r.release
}

// A body that fails, a context that ends and a group that closes all end the
// snapshot at both ends at once: the receiver does not wait for the sender to return.
func TestSnapshotEnds(t *testing.T) {
	a, b := pair(t)
	broken := errors.New("broken body")
	for _, test := range []struct {
		name string
		end  func(r *blockedReader, cancel func())
		want error
	}{
		{"body", func(r *blockedReader, _ func()) { r.release <- broken }, broken},
		{"context", func(r *blockedReader, cancel func()) { cancel(); r.release <- io.EOF }, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := &blockedReader{patternReader{left: 1 << 20}, make(chan struct{}), make(chan error, 1)}
			ended := make(chan error, 1)
			go func() { ended <- a.group.SendSnapshot(ctx, 2, nil, r) }()
			receive(t, r.blocked, "the body's end")
			sink := receive(t, b.sinks, "a sink")
			test.end(r, cancel)
			require.ErrorIs(t, receive(t, ended, "the end"), test.want)
			receive(t, sink.aborted, "the abort")
		})
	}
}

// Close of a group ends what it sends and what it receives, and waits for both.
func TestCloseEndsSnapshots(t *testing.T) {
	for _, sender := range []bool{true, false} {
		t.Run(fmt.Sprintf("sender=%v", sender), func(t *testing.T) {
			a, b := pair(t)
			held := make(chan struct{})
			g, err := b.Group(1)
			require.NoError(t, err)
			var sink *memorySink
			entered := make(chan struct{}, 100)
			require.NoError(t, g.Start(func(*message) {}, nil, func(from uint64, meta []byte) (Sink, error) {
				sink = newMemorySink(from, meta)
				sink.write = func([]byte) error {
					entered <- struct{}{}
					<-held
					return nil
				}
				return sink, nil
			}))
			mine, err := a.Group(1)
			require.NoError(t, err)
			mine.SetPeer(2, b.Addr().String())
			ended := make(chan error, 1)
			go func() { ended <- mine.SendSnapshot(context.Background(), 2, nil, &patternReader{left: 64 << 20}) }()
			receive(t, entered, "the first write")
			if sender {
				require.NoError(t, mine.Close())
				require.ErrorIs(t, receive(t, ended, "the end"), ErrClosed)
				close(held)
			} else {
				time.AfterFunc(10*time.Millisecond, func() { close(held) })
				require.NoError(t, g.Close())
				require.True(t, isClosed(sink.aborted), "Close did not wait")
				require.ErrorIs(t, receive(t, ended, "the end"), ErrUnknownGroup)
			}
			receive(t, sink.aborted, "the abort")
		})
	}
}

// A receiver takes a bounded number of snapshots, and one at a time from a sender
// for a group: a newer one ends the older.
func TestSnapshotsAreBounded(t *testing.T) {
	cfg := testConfig(2)
	cfg.MaxSnapshotsIn = 2
	a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, cfg)
	var readers []*blockedReader
	ended := make(chan error, 3)
	start := func(g *Group) {
		r := &blockedReader{patternReader{left: 1 << 20}, make(chan struct{}), make(chan error, 1)}
		readers = append(readers, r)
		go func() { ended <- g.SendSnapshot(context.Background(), 2, nil, r) }()
		receive(t, r.blocked, "the body's end")
	}
	group := func(id uint64) *Group {
		g, err := b.Group(id)
		require.NoError(t, err)
		require.NoError(t, g.Start(func(*message) {}, nil, func(from uint64, meta []byte) (Sink, error) {
			return newMemorySink(from, meta), nil
		}))
		g, err = a.Group(id)
		require.NoError(t, err)
		g.SetPeer(2, b.Addr().String())
		return g
	}
	first, second, third := group(1), group(2), group(3)
	start(first)
	start(second)
	require.ErrorIs(t, third.SendSnapshot(t.Context(), 2, nil, bytes.NewReader(nil)), ErrSnapshotBusy)
	require.NoError(t, first.SendSnapshot(t.Context(), 2, nil, bytes.NewReader([]byte("newer"))))
	readers[0].release <- io.EOF
	require.ErrorIs(t, receive(t, ended, "the end of the older"), ErrSnapshotLost)
	readers[1].release <- io.EOF
	require.NoError(t, receive(t, ended, "the end of the second"))
	require.NoError(t, third.SendSnapshot(t.Context(), 2, nil, bytes.NewReader(nil)))
}

// A receiver that restarted has lost the stream, and says so.
func TestSnapshotReceiverRestarts(t *testing.T) {
	a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(2))
	p := newProxy(t, b.Addr().String(), nil)
	a.group.SetPeer(2, p.addr())
	r := &blockedReader{patternReader{left: 1 << 20}, make(chan struct{}), make(chan error, 1)}
	ended := make(chan error, 1)
	go func() { ended <- a.group.SendSnapshot(context.Background(), 2, nil, r) }()
	receive(t, r.blocked, "the body's end")
	old := receive(t, b.sinks, "a sink")

	again := newEndpoint(t, testConfig(2))
	p.retarget(again.Addr().String())
	require.NoError(t, b.Close())
	receive(t, old.aborted, "the abort")
	p.cut()
	r.release <- io.EOF
	require.ErrorIs(t, receive(t, ended, "the end"), ErrSnapshotLost)
	require.Empty(t, again.sinks)
}

// A receiver gives up a snapshot whose sender does not come back, and a sender one
// whose receiver is gone.
func TestSnapshotIsGivenUp(t *testing.T) {
	ca, cb := testConfig(1), testConfig(2)
	ca.SnapshotResume, cb.SnapshotResume = 100*time.Millisecond, 100*time.Millisecond
	a, b := newEndpoint(t, ca), newEndpoint(t, cb)
	p := newProxy(t, b.Addr().String(), nil)
	a.group.SetPeer(2, p.addr())
	r := &blockedReader{patternReader{left: 1 << 20}, make(chan struct{}), make(chan error, 1)}
	ended := make(chan error, 1)
	go func() { ended <- a.group.SendSnapshot(context.Background(), 2, nil, r) }()
	receive(t, r.blocked, "the body's end")
	sink := receive(t, b.sinks, "a sink")
	require.NoError(t, p.ln.Close())
	p.cut()
	receive(t, sink.aborted, "the abort")
	r.release <- io.EOF
	require.ErrorIs(t, receive(t, ended, "the end"), ErrUnreachable)
	require.ErrorIs(t, a.group.SendSnapshot(t.Context(), 2, nil, r), ErrUnreachable)
}

// A rate is kept, evenly.
func TestSnapshotRate(t *testing.T) {
	cfg := testConfig(1)
	cfg.SnapshotRate = 4 << 20
	a, b := newEndpoint(t, cfg), newEndpoint(t, testConfig(2))
	a.group.SetPeer(2, b.Addr().String())
	start := time.Now()
	require.NoError(t, a.group.SendSnapshot(t.Context(), 2, nil, &patternReader{left: 2 << 20}))
	require.Greater(t, time.Since(start), 400*time.Millisecond)

	p := pacer{rate: 1000}
	require.Zero(t, p.wait(100))
	require.InDelta(t, 100*time.Millisecond, p.wait(50), float64(20*time.Millisecond))
	require.InDelta(t, 150*time.Millisecond, p.wait(1), float64(20*time.Millisecond))
	require.Equal(t, 1<<10, p.chunk())
	require.Equal(t, chunkSize, (&pacer{}).chunk())
}

// What the sink gets is what was sent, or it is not committed: the checksum of the
// whole is checked too, not only that of each frame.
func TestSnapshotChecksum(t *testing.T) {
	_, b := pair(t)
	c := rawPeer(t, b, 3, LaneSnapshot)
	id := newStreamID()
	require.NoError(t, c.write(appendFrame(nil, kindOpen, testGroup, encodeOpen(id, false, nil))))
	sink := receive(t, b.sinks, "a sink")
	require.NoError(t, c.write(appendFrame(nil, kindChunk, testGroup, make([]byte, 8), []byte("data"))))
	end := make([]byte, endSize)
	end[7] = 4
	require.NoError(t, c.write(appendFrame(nil, kindEnd, testGroup, end)))
	for {
		f, err := c.next()
		require.NoError(t, err)
		if f.kind == kindResult {
			r, err := decodeResult(f.payload)
			require.NoError(t, err)
			require.ErrorIs(t, r.err(), ErrSnapshotCorrupt)
			break
		}
	}
	receive(t, sink.aborted, "the abort")
}
