package transport

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// openStream begins or resumes a snapshot over a connection of its own.
func openStream(t testing.TB, to *endpoint, from uint64, id streamID, resume bool) *conn {
	t.Helper()
	c := rawPeer(t, to, from, LaneSnapshot)
	require.NoError(t, c.write(appendFrame(nil, kindOpen, testGroup, encodeOpen(id, resume, nil))))
	return c
}

// outcomeOf waits for how a snapshot ended.
func outcomeOf(t testing.TB, c *conn) outcome {
	t.Helper()
	for {
		f, err := c.next()
		require.NoError(t, err)
		if f.kind == kindResult {
			r, err := decodeResult(f.payload)
			require.NoError(t, err)
			return r.outcome
		}
	}
}

// A snapshot that was superseded and comes back does not end the newer one: both
// would be lost.
func TestSupersededSnapshotComesBack(t *testing.T) {
	b := newEndpoint(t, testConfig(2))
	older, newer := newStreamID(), newStreamID()
	openStream(t, b, 1, older, false).close()
	receive(t, b.sinks, "the older sink")
	openStream(t, b, 1, newer, false)
	sink := receive(t, b.sinks, "the newer sink")
	require.Equal(t, outcomeLost, outcomeOf(t, openStream(t, b, 1, older, true)))
	require.False(t, isClosed(sink.aborted))
	require.Equal(t, 1, b.Stats().SnapshotsIn)
}

// Close of a group waits for a sink also if the snapshot was given up meanwhile,
// because its sender did not come back: nothing of the group is called afterwards.
func TestCloseWaitsForExpiredSnapshot(t *testing.T) {
	cfg := testConfig(2)
	cfg.SnapshotResume = time.Millisecond
	b := newEndpoint(t, cfg)
	g, err := b.Group(1)
	require.NoError(t, err)
	entered, held := make(chan struct{}), make(chan struct{})
	sink := newMemorySink(1, nil)
	sink.write = func([]byte) error {
		close(entered)
		<-held
		return nil
	}
	require.NoError(t, g.Start(func(*message) {}, nil, func(uint64, []byte) (Sink, error) { return sink, nil }))
	c := rawPeer(t, b, 1, LaneSnapshot)
	require.NoError(t, c.write(appendFrame(nil, kindOpen, 1, encodeOpen(newStreamID(), false, nil))))
	require.NoError(t, c.write(appendFrame(nil, kindChunk, 1, make([]byte, 8), []byte("data"))))
	receive(t, entered, "the write")
	c.close()
	eventually(t, "the snapshot is given up", func() bool {
		b.incoming.mu.Lock()
		defer b.incoming.mu.Unlock()
		for _, s := range b.incoming.streams {
			s.mu.Lock()
			waits := s.aborted == nil
			s.mu.Unlock()
			if waits {
				return false
			}
		}
		return true
	})
	time.AfterFunc(20*time.Millisecond, func() { close(held) })
	require.NoError(t, g.Close())
	require.True(t, isClosed(sink.aborted), "Close did not wait")
	eventually(t, "nothing of it is left", func() bool {
		b.incoming.mu.Lock()
		defer b.incoming.mu.Unlock()
		return len(b.incoming.streams) == 0
	})
}

// What is under way when a snapshot is aborted is no fault of its sender: neither
// its chunks nor its end cost the connection, which has to tell the outcome.
func TestEndAfterAbort(t *testing.T) {
	s := newStream(streamKey{}, nil, nil, minWindow)
	c := new(conn)
	s.attach(c)
	s.abort(result{outcome: outcomeLost})
	require.NoError(t, s.push(c, 0, []byte("data")))
	require.NoError(t, s.end(c, 4, make([]byte, 32)))
}

// Snapshots pass whatever bounds messages.
func TestSnapshotWithSmallFrames(t *testing.T) {
	ca, cb := testConfig(1), testConfig(2)
	ca.MaxFrameSize, cb.MaxFrameSize = 1<<10, 1<<10
	a, b := newEndpoint(t, ca), newEndpoint(t, cb)
	a.group.SetPeer(2, b.Addr().String())
	meta := make([]byte, maxMeta)
	done := make(chan error, 1)
	go func() {
		done <- a.group.SendSnapshot(t.Context(), 2, meta, bytes.NewReader(make([]byte, 2<<20)))
	}()
	require.NoError(t, receive(t, done, "the end"))
}

// A sender does not go on for ever with a receiver that takes the connections and
// breaks each as soon as it has heard where to go on.
func TestSnapshotWithoutProgressEnds(t *testing.T) {
	cfg := testConfig(1)
	cfg.SnapshotResume = 50 * time.Millisecond
	a, b := newEndpoint(t, cfg), newEndpoint(t, testConfig(2))
	g, err := b.Group(1)
	require.NoError(t, err)
	held := make(chan struct{})
	require.NoError(t, g.Start(func(*message) {}, nil, func(uint64, []byte) (Sink, error) {
		s := newMemorySink(1, nil)
		s.write = func([]byte) error { <-held; return nil }
		return s, nil
	}))
	defer close(held)
	mine, err := a.Group(1)
	require.NoError(t, err)
	p := newProxy(t, b.Addr().String(), nil)
	p.cutAt, p.cuts = 256, 1<<30 // just after the start of the stream
	mine.SetPeer(2, p.addr())
	ended := make(chan error, 1)
	go func() { ended <- mine.SendSnapshot(t.Context(), 2, nil, &patternReader{left: 1 << 20}) }()
	require.ErrorIs(t, receive(t, ended, "the end"), ErrUnreachable)
	require.NotZero(t, a.Stats().SnapshotResumes, "it was tried again")
}

// Nothing written is no sign of life: a ping is still due.
func TestEmptyWriteIsNoPing(t *testing.T) {
	c := new(conn)
	require.NoError(t, c.write(nil))
	require.False(t, c.wrote)
}
