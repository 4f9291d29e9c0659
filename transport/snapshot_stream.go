package transport

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"
)

// stream is a snapshot on its way in. It outlives its connections: the goroutine
// that feeds the sink belongs to the stream, and what was received stays.
type stream struct {
	key    streamKey
	group  *Group
	meta   []byte
	window int

	// Guarded by incoming.mu.
	finished bool // run has ended
	expired  bool // the sender did not come back

	mu   sync.Mutex
	cond sync.Cond // all that is below changed

	chunks   []*buffer // received, not taken; all but the last are full
	opened   bool      // there is a sink
	taken    uint64
	received uint64
	ended    bool // all was received; sum is what it should be
	sum      [sha256.Size]byte
	aborted  *result // the reason to stop
	result   *result // how it ended
	conn     *conn   // that feeds it now; nil while there is none
	expiry   *time.Timer
	done     chan struct{} // closed when it has ended and gave up its place
}

// streamKey names a stream: one sender cannot reach another's.
type streamKey struct {
	from, group uint64
	id          streamID
}

func newStream(key streamKey, g *Group, meta []byte, window int) *stream {
	s := &stream{key: key, group: g, meta: meta, window: window, done: make(chan struct{})}
	s.cond.L = &s.mu
	return s
}

// run asks for a sink and feeds it until the end.
func (s *stream) run() {
	r := s.feed()
	s.mu.Lock()
	s.result = &r
	for _, c := range s.chunks {
		chunks.put(c)
	}
	s.chunks = nil
	s.cond.Broadcast()
	s.mu.Unlock()
}

func (s *stream) feed() result {
	sink, err := s.group.openSink(s.key.from, s.meta)
	if err != nil {
		return refusal(err)
	}
	s.mu.Lock()
	s.meta, s.opened = nil, true
	s.cond.Broadcast()
	s.mu.Unlock()
	sum := sha256.New()
	for {
		c, stop := s.next()
		if stop != nil {
			sink.Abort()
			return *stop
		}
		if c == nil {
			if !bytes.Equal(sum.Sum(nil), s.sum[:]) {
				sink.Abort()
				return result{outcome: outcomeCorrupt}
			}
			if err := sink.Commit(); err != nil {
				return refusal(err)
			}
			return result{outcome: outcomeCommitted}
		}
		sum.Write(c.b)
		n, err := sink.Write(c.b)
		if err == nil && n < len(c.b) {
			err = io.ErrShortWrite
		}
		size := len(c.b)
		chunks.put(c)
		if err != nil {
			sink.Abort()
			return refusal(err)
		}
		s.mu.Lock()
		s.taken += uint64(size)
		s.cond.Broadcast()
		s.mu.Unlock()
	}
}

func refusal(err error) result { return result{outcomeRefused, err.Error()} }

// next waits for bytes. It returns nil at the end of the stream, or the reason to
// stop.
func (s *stream) next() (*buffer, *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.aborted != nil:
			return nil, s.aborted
		case len(s.chunks) > 0:
			c := s.chunks[0]
			s.chunks = append(s.chunks[:0], s.chunks[1:]...)
			return c, nil
		case s.ended:
			return nil, nil
		}
		s.cond.Wait()
	}
}

// push takes bytes that c received.
func (s *stream) push(c *conn, offset uint64, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conn != c:
		return fmt.Errorf("%w: the snapshot goes on over another connection", ErrClosed)
	case s.result != nil || s.aborted != nil:
		return nil // the sender will hear of it
	case s.ended || offset != s.received:
		return violation("snapshot goes on at %d, not %d", offset, s.received)
	case len(data) == 0 || s.received+uint64(len(data))-s.taken > uint64(s.window):
		return violation("snapshot chunk of %d bytes with %d of %d waiting", len(data), s.received-s.taken, s.window)
	}
	s.received += uint64(len(data))
	for len(data) > 0 {
		if n := len(s.chunks); n == 0 || len(s.chunks[n-1].b) == chunkSize {
			s.chunks = append(s.chunks, newChunk())
		}
		last := s.chunks[len(s.chunks)-1]
		n := min(len(data), chunkSize-len(last.b))
		last.b = append(last.b, data[:n]...)
		data = data[n:]
	}
	s.cond.Broadcast()
	return nil
}

// end takes the size and the checksum of the whole.
func (s *stream) end(c *conn, total uint64, sum []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conn != c:
		return fmt.Errorf("%w: the snapshot goes on over another connection", ErrClosed)
	case s.result != nil || s.aborted != nil:
		return nil // as in push, which may have dropped what came before
	case total != s.received:
		return violation("snapshot of %d bytes ends at %d", total, s.received)
	}
	s.ended = true
	copy(s.sum[:], sum)
	s.cond.Broadcast()
	return nil
}

// abort stops the stream for a reason, unless it has ended.
func (s *stream) abort(r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted == nil {
		s.aborted = &r
		s.cond.Broadcast()
	}
}

// attach makes c the connection that feeds the stream, in place of another.
func (s *stream) attach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.close()
	}
	s.conn = c
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.cond.Broadcast()
}

// detach is the end of c. Unless another took its place, the stream is given up
// after a time.
func (s *stream) detach(c *conn, keep time.Duration, expire func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return
	}
	s.conn = nil
	s.expiry = time.AfterFunc(keep, expire)
	s.cond.Broadcast()
}

// acknowledge tells the sender over c of progress, and of the end.
func (s *stream) acknowledge(c *conn) error {
	var last *ack
	for {
		s.mu.Lock()
		a := ack{taken: s.taken, received: s.received, window: uint32(s.window)}
		for s.conn == c && s.result == nil && (!s.opened || (last != nil && last.taken == a.taken)) {
			s.cond.Wait()
			a.taken, a.received = s.taken, s.received
		}
		attached, r := s.conn == c, s.result
		s.mu.Unlock()
		if !attached {
			return nil
		}
		if r != nil {
			return c.write(appendFrame(nil, kindResult, s.key.group, r.encode()))
		}
		if err := c.write(appendFrame(nil, kindAck, s.key.group, a.encode())); err != nil {
			return err
		}
		last = &a
	}
}

// expire gives the stream up, unless its sender came back. It reports whether.
func (s *stream) expire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return false
	}
	if s.aborted == nil {
		s.aborted = &result{outcome: outcomeLost}
		s.cond.Broadcast()
	}
	return true
}
