package transport

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"go.uber.org/zap"
)

// farewell is for how long a cancelled SendSnapshot tries to tell the receiver.
const farewell = 250 * time.Millisecond

// SendSnapshot streams a snapshot to a peer: meta, at most 1 MiB less 17 bytes, goes
// to the callback that makes the receiver's sink, body into the sink. Nil says that
// the receiver has committed it. A broken connection is made again and the stream
// goes on where it was; the error matches ErrUnreachable if no connection can be made
// at the start, or for Config.SnapshotResume later. Other errors are those of body,
// of ctx, ErrClosed, ErrTooLarge, ErrUnknownPeer, and what the receiver says:
// ErrSnapshotRefused, ErrSnapshotBusy, ErrSnapshotLost, ErrSnapshotCorrupt,
// ErrUnknownGroup.
//
// A second snapshot for the same peer and group makes the receiver give up the first.
// body is read from the calling goroutine, so a Read that blocks delays the end of
// ctx; all of the stream that is in memory is a window and a chunk.
func (g *Group) SendSnapshot(ctx context.Context, to uint64, meta []byte, body io.Reader) error {
	if len(meta) > maxMeta {
		return fmt.Errorf("%w: meta of %d bytes, the limit is %d", ErrTooLarge, len(meta), maxMeta)
	}
	if err := g.enter(); err != nil {
		return err
	}
	defer g.users.Done()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.ctx, func() { cancel(ErrClosed) })()
	select {
	case g.t.outgoing <- struct{}{}:
		defer func() { <-g.t.outgoing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s := &sending{
		t: g.t, group: g, to: to, id: newStreamID(), meta: meta,
		body: body, sum: sha256.New(), window: uint64(g.t.cfg.SnapshotWindow),
	}
	defer s.release()
	err := s.run(ctx)
	if err == nil {
		g.t.stats.snapshotsSent.Add(1)
	}
	return err
}

// sending is a snapshot on its way out.
type sending struct {
	t     *Transport
	group *Group
	to    uint64
	id    streamID
	meta  []byte
	body  io.Reader
	sum   hash.Hash

	opened   bool   // the receiver has the stream
	resumed  bool   // on this connection it said where to go on
	ended    bool   // on this connection it was told of the end
	answered bool   // the receiver said how it ended
	window   uint64 // how far what is sent may be ahead of taken
	chunks   []sent // what the receiver's sink has not taken, in order
	taken    uint64
	next     uint64 // the first byte that was not sent on this connection
	read     uint64 // the end of what was read from body
	eof      bool
	heard    time.Time // the end of the last connection that was of use, or of the first
}

type sent struct {
	offset uint64
	data   *buffer
}

// feedback is what the receiver says: an ack or the result.
type feedback struct {
	ack    ack
	result *result
}

// finalError is one that another connection would not mend.
type finalError struct{ error }

func (s *sending) run(ctx context.Context) error {
	backoff := s.t.cfg.MinBackoff
	for {
		before := s.taken
		err := s.attempt(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var final finalError
		if err == nil || errors.As(err, &final) {
			return unwrapFinal(err)
		}
		// Before the receiver has the stream there is nothing to go on with, and
		// a peer that is down must not keep others waiting for a turn.
		if !s.opened || time.Since(s.heard) > s.t.cfg.SnapshotResume {
			return fmt.Errorf("%w: snapshot stopped at %d bytes: %w", ErrUnreachable, s.taken, err)
		}
		s.t.log.log(zap.WarnLevel, "snapshot interrupted", s.to, zap.Uint64("group", s.group.id),
			zap.Uint64("taken", s.taken), zap.Error(err))
		if s.taken > before {
			backoff = s.t.cfg.MinBackoff
		}
		timer := time.NewTimer(jitter(backoff))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		backoff = min(2*backoff, s.t.cfg.MaxBackoff)
	}
}

func unwrapFinal(err error) error {
	if final, ok := err.(finalError); ok {
		return final.error
	}
	return err
}

// attempt sends over one connection what is left to send.
func (s *sending) attempt(ctx context.Context) error {
	addr := s.group.addressOf(s.to)
	if addr == "" {
		return finalError{fmt.Errorf("%w: %d", ErrUnknownPeer, s.to)}
	}
	c, err := s.t.dial(ctx, addr, s.to, LaneSnapshot)
	if err != nil {
		return err
	}
	if s.opened {
		s.t.stats.snapshotResumes.Add(1)
	}
	heard := make(chan feedback, 16)
	reader, pinger := make(chan error, 1), make(chan struct{})
	go func() { reader <- readFeedback(c, heard) }()
	go func() { defer close(pinger); c.keepAlive(s.t.cfg.PingInterval) }()
	finished := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		// The sender itself says goodbye, if nothing holds it up.
		select {
		case <-finished:
		case <-time.After(farewell):
			c.close()
		}
	})
	started, before := time.Now(), s.taken
	err = s.exchange(ctx, c, heard)
	// A peer that takes connections only to break them is none to wait for.
	if s.taken > before || time.Since(started) > s.t.cfg.PeerTimeout || s.heard.IsZero() {
		s.heard = time.Now()
	}
	close(finished)
	stop()
	c.close()
	if readErr := <-reader; errors.Is(err, errEnded) {
		err = readErr
	}
	<-pinger
	return err
}

// errEnded says that the connection has ended; its reader knows why.
var errEnded = errors.New("transport: connection ended")

// errCommitted says that the receiver has committed.
var errCommitted = errors.New("transport: committed")

// exchange sends and listens until the receiver says how it ended.
func (s *sending) exchange(ctx context.Context, c *conn, heard <-chan feedback) error {
	s.resumed, s.ended = false, false
	meta := s.meta
	if s.opened {
		meta = nil
	}
	err := c.write(appendFrame(nil, kindOpen, s.group.id, encodeOpen(s.id, s.opened, meta)))
	for err == nil {
		// Until the first acknowledgement it is not known where to go on.
		switch {
		case ctx.Err() != nil:
			err = ctx.Err()
		case s.resumed && (s.next < s.read || s.hasRoom()):
			err = s.sendChunk(ctx, c)
		case s.resumed && s.eof && !s.ended:
			s.ended = true
			size := binary.BigEndian.AppendUint64(nil, s.read)
			err = c.write(appendFrame(nil, kindEnd, s.group.id, size, s.sum.Sum(nil)))
		default:
			err = s.wait(ctx, c, heard)
		}
		for err == nil && len(heard) > 0 {
			err = s.hear(<-heard)
		}
	}
	switch {
	case errors.Is(err, errCommitted):
		return nil
	case s.answered:
		return err
	}
	return s.sayGoodbye(ctx, c, heard, err)
}

// wait waits for what the receiver says.
func (s *sending) wait(ctx context.Context, c *conn, heard <-chan feedback) error {
	select {
	case f := <-heard:
		return s.hear(f)
	case <-c.done:
		if len(heard) > 0 { // said before the end
			return nil
		}
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sayGoodbye tells the receiver not to wait, where the sender will not come back. It
// waits a moment for the answer: to close with something unread would reset the
// connection, and take back what was said.
func (s *sending) sayGoodbye(ctx context.Context, c *conn, heard <-chan feedback, err error) error {
	var final finalError
	if ctx.Err() == nil && !errors.As(err, &final) {
		return err
	}
	if c.write(appendFrame(nil, kindCancel, s.group.id)) != nil {
		return err
	}
	timer := time.NewTimer(farewell)
	defer timer.Stop()
	for {
		select {
		case f := <-heard:
			if f.result != nil {
				return err
			}
		case <-c.done:
			return err
		case <-timer.C:
			return err
		}
	}
}

// hear takes what the receiver says.
func (s *sending) hear(f feedback) error {
	if f.result != nil {
		s.answered = true
		if err := f.result.err(); err != nil {
			return finalError{err}
		}
		return errCommitted
	}
	a := f.ack
	if a.taken < s.taken || a.received > s.read {
		return violation("acknowledgement of %d taken, %d received; %d were acknowledged, %d read", a.taken, a.received, s.taken, s.read)
	}
	if !s.resumed {
		s.resumed, s.opened = true, true
		s.window = min(uint64(s.t.cfg.SnapshotWindow), uint64(a.window))
		s.next = a.received
	}
	s.taken = a.taken
	for len(s.chunks) > 0 && s.chunks[0].offset+uint64(len(s.chunks[0].data.b)) <= s.taken {
		chunks.put(s.chunks[0].data)
		s.chunks = append(s.chunks[:0], s.chunks[1:]...)
	}
	return nil
}

// hasRoom reports whether another chunk of body fits in the window.
func (s *sending) hasRoom() bool { return !s.eof && s.read-s.taken+s.chunk() <= s.window }

// chunk is how much of body is read at a time.
func (s *sending) chunk() uint64 { return min(chunkSize, s.window/4) }

// sendChunk sends what is next: sent before over another connection, or new.
func (s *sending) sendChunk(ctx context.Context, c *conn) error {
	if s.next == s.read {
		if err := s.readChunk(); err != nil || s.next == s.read {
			return err
		}
	}
	for _, sent := range s.chunks {
		end := sent.offset + uint64(len(sent.data.b))
		if end <= s.next {
			continue
		}
		data := sent.data.b[s.next-sent.offset:]
		data = data[:min(len(data), s.t.pace.chunk())]
		if err := s.slow(ctx, len(data)); err != nil {
			return err
		}
		buf := buffers.get()
		defer buffers.put(buf)
		offset := binary.BigEndian.AppendUint64(nil, s.next)
		buf.b = appendFrame(buf.b[:0], kindChunk, s.group.id, offset, data)
		s.next += uint64(len(data))
		s.t.stats.snapshotBytes.Add(uint64(len(data)))
		return c.write(buf.b)
	}
	return nil
}

// readChunk reads the next chunk from body.
func (s *sending) readChunk() error {
	b := newChunk()
	n, err := readUpTo(s.body, b.b[:s.chunk()])
	b.b = b.b[:n]
	if n > 0 {
		s.sum.Write(b.b)
		s.chunks = append(s.chunks, sent{s.read, b})
		s.read += uint64(n)
	} else {
		chunks.put(b)
	}
	switch err {
	case nil:
	case io.EOF:
		s.eof = true
	default:
		return finalError{fmt.Errorf("transport: reading the snapshot: %w", err)}
	}
	return nil
}

// readUpTo fills b, unless r ends before with io.EOF. Unlike io.ReadFull it does not
// mix up that end with an io.ErrUnexpectedEOF of r itself, which says that what r
// reads from is cut off: that must not pass for a whole snapshot.
func readUpTo(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// slow waits until n more bytes may leave.
func (s *sending) slow(ctx context.Context, n int) error {
	d := s.t.pace.wait(n)
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sending) release() {
	for _, c := range s.chunks {
		chunks.put(c.data)
	}
	s.chunks = nil
}

// readFeedback passes on what the receiver says until the connection ends.
func readFeedback(c *conn, heard chan<- feedback) error {
	defer c.close()
	for {
		f, err := c.next()
		if err != nil {
			return err
		}
		var said feedback
		switch f.kind {
		case kindAck:
			said.ack, err = decodeAck(f.payload)
		case kindResult:
			var r result
			r, err = decodeResult(f.payload)
			said.result = &r
		default:
			err = violation("frame of kind %d from the receiver of a snapshot", f.kind)
		}
		if err != nil {
			return err
		}
		select {
		case heard <- said:
		case <-c.done:
			return errEnded
		}
	}
}

// addressOf returns where a node can be reached; "" if that is not known.
func (g *Group) addressOf(id uint64) string {
	if p := (*g.peers.Load())[id]; p != nil {
		return p.reachedAddress()
	}
	if p := g.adopt(id); p != nil {
		return p.reachedAddress()
	}
	return ""
}
