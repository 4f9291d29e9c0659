package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// waiting has the accepted connections that have not said who they are. When there
// are too many, the oldest gives way: peers are done in milliseconds, those that
// only hold the door are not.
type waiting struct {
	mu     sync.Mutex
	limit  int
	conns  []net.Conn // the oldest first
	closed bool
}

func newWaiting(limit int) *waiting { return &waiting{limit: limit} }

func (w *waiting) add(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = c.Close()
		return
	}
	w.conns = append(w.conns, c)
	if len(w.conns) > w.limit {
		_ = w.conns[0].Close()
		w.conns = slices.Delete(w.conns, 0, 1)
	}
}

func (w *waiting) remove(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.conns, c); i >= 0 {
		w.conns = slices.Delete(w.conns, i, i+1)
	}
}

func (w *waiting) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}

func (w *waiting) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

// node is another node that is connected to this one.
type node struct {
	address   string // at which it says it can be reached
	lanes     [messageLanes]*inbound
	snapshots int // connections of the snapshot lane
}

// inbound is an accepted connection of a message lane.
type inbound struct {
	conn *conn
	done chan struct{} // closed when nothing is read from it any more
}

// accept takes connections until the listener is closed.
func (t *Transport) accept() {
	const maxPause = time.Second
	pause := time.Duration(0)
	for {
		raw, err := t.ln.Accept()
		if t.ctx.Err() != nil {
			if err == nil {
				_ = raw.Close()
			}
			return
		}
		if err != nil {
			// Out of file descriptors, most likely: others need a moment to close some.
			pause = min(max(2*pause, 5*time.Millisecond), maxPause)
			t.log.log(zap.ErrorLevel, "cannot accept connections", 0, zap.Error(err))
			select {
			case <-time.After(pause):
			case <-t.ctx.Done():
			}
			continue
		}
		pause = 0
		t.wg.Go(func() { t.receive(raw) })
	}
}

// receive serves one accepted connection until it ends.
func (t *Transport) receive(raw net.Conn) {
	t.waiting.add(raw)
	c, h, err := t.greet(raw)
	t.waiting.remove(raw)
	if err == nil {
		err = t.admit(c, raw, h)
	}
	if err != nil {
		_ = raw.Close()
		if t.ctx.Err() == nil {
			t.stats.refused.Add(1)
			t.log.log(zap.WarnLevel, "connection refused", 0, zap.Stringer("remote", raw.RemoteAddr()), zap.Error(err))
		}
	}
}

// greet learns who has connected.
func (t *Transport) greet(raw net.Conn) (net.Conn, hello, error) {
	if err := raw.SetDeadline(time.Now().Add(t.cfg.HandshakeTimeout)); err != nil {
		return nil, hello{}, err
	}
	c := raw
	if t.creds != nil {
		secure := t.creds.accept(raw)
		if err := secure.HandshakeContext(t.ctx); err != nil {
			return nil, hello{}, &HandshakeError{Reason: err.Error()}
		}
		c = secure
	}
	h, err := readHello(c)
	if err != nil {
		return nil, hello{}, err
	}
	verdict := h.judge(t.cfg.ClusterID, t.cfg.NodeID)
	if secure, ok := c.(*tls.Conn); ok && verdict == answerWelcome {
		if err := t.creds.isNode(secure, h.from); err != nil {
			t.answer(c, answerName)
			return nil, hello{}, &HandshakeError{Reason: fmt.Sprintf("claims to be node %d: %v", h.from, err)}
		}
	}
	if verdict != answerWelcome {
		t.answer(c, verdict)
		return nil, hello{}, &HandshakeError{Reason: verdict.String()}
	}
	return c, h, nil
}

// answer says how the handshake ended. One who is refused learns the reason only.
func (t *Transport) answer(c net.Conn, a answer) error {
	w := welcome{answer: a}
	if a == answerWelcome {
		w = welcome{version: protocolVersion, maxFrame: uint32(t.cfg.MaxFrameSize), node: t.cfg.NodeID}
	}
	_, err := c.Write(w.encode())
	return err
}

// admit lets a node in and serves its connection. It returns an error if the node
// is refused after all.
func (t *Transport) admit(nc, raw net.Conn, h hello) error {
	limit := t.cfg.MaxFrameSize
	switch h.lane {
	case LaneControl:
		limit = min(limit, maxSmallFrame)
	case LaneSnapshot: // whose frames have a size of their own
		limit = maxSmallFrame
	}
	c := newConn(nc, raw, &t.cfg, limit)
	if !t.track(c) {
		return ErrClosed
	}
	defer c.close()
	in := &inbound{conn: c, done: make(chan struct{})}
	verdict, old := t.enter(h, in, raw.RemoteAddr())
	if verdict != answerWelcome {
		_ = t.answer(nc, verdict)
		return &HandshakeError{Reason: verdict.String()}
	}
	defer t.leave(h, in)
	if old != nil {
		// The peer gave up the old one. What was read from it goes first.
		old.conn.close()
		<-old.done
	}
	defer close(in.done)
	if err := t.answer(nc, answerWelcome); err != nil {
		return err
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return err
	}
	t.wg.Go(func() { c.keepAlive(t.cfg.PingInterval) })
	var err error
	if h.lane == LaneSnapshot {
		err = t.incoming.serve(t, c, h.from)
	} else {
		err = t.readMessages(c, h.from)
	}
	t.ended(h, err)
	return nil
}

// ended logs the end of a connection that was let in.
func (t *Transport) ended(h hello, err error) {
	if t.ctx.Err() != nil {
		return
	}
	level := zap.InfoLevel
	if errors.Is(err, ErrProtocol) {
		level = zap.WarnLevel
	}
	t.log.log(level, "connection from peer ended", t.logged(h.from), zap.Uint64("from", h.from),
		zap.Stringer("lane", h.lane), zap.Error(err))
}

// logged returns the node by which lines about a connection are limited: 0 for all
// that no group sends to, whose IDs may be made up.
func (t *Transport) logged(from uint64) uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.peers[from] == nil {
		return 0
	}
	return from
}

// enter registers a connection, and returns the one that it replaces.
func (t *Transport) enter(h hello, in *inbound, remote net.Addr) (answer, *inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return answerClosing, nil
	}
	n := t.nodes[h.from]
	if n == nil {
		if len(t.nodes) >= t.cfg.MaxPeers {
			return answerBusy, nil
		}
		n = new(node)
	}
	var old *inbound
	if h.lane == LaneSnapshot {
		// Twice as many as streams: broken ones may not be noticed yet.
		if n.snapshots >= 2*t.cfg.MaxSnapshotsIn {
			return answerBusy, nil
		}
		n.snapshots++
	} else {
		old = n.lanes[h.lane]
		n.lanes[h.lane] = in
	}
	t.nodes[h.from] = n
	if addr := reachableAt(h.advertise, remote); addr != n.address {
		n.address = addr
		if p := t.peers[h.from]; p != nil {
			t.updateAddress(p)
		}
	}
	return answerWelcome, old
}

// reachableAt completes an address that a peer told with the host that it came
// from, if it told none, or one like 0.0.0.0, at which each node finds itself.
func reachableAt(advertise string, remote net.Addr) string {
	host, port, err := net.SplitHostPort(advertise)
	if err != nil || port == "" {
		return ""
	}
	if ip := net.ParseIP(host); host != "" && !ip.IsUnspecified() {
		return advertise
	}
	from, _, err := net.SplitHostPort(remote.String())
	if err != nil {
		return ""
	}
	return net.JoinHostPort(from, port)
}

// leave is the end of enter. Groups that only answered the node let go of it with
// its last connection.
func (t *Transport) leave(h hello, in *inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[h.from]
	if n == nil {
		return // replaced, by one that has left since
	}
	if h.lane == LaneSnapshot {
		n.snapshots--
	} else if n.lanes[h.lane] == in {
		n.lanes[h.lane] = nil
	}
	if n.snapshots > 0 || n.lanes != [messageLanes]*inbound{} {
		return
	}
	delete(t.nodes, h.from)
	p := t.peers[h.from]
	if p == nil {
		return
	}
	for g, c := range p.claims {
		if c.addr == "" {
			t.dropClaim(g, p)
		}
	}
}

// readMessages hands messages to their groups until the connection ends.
func (t *Transport) readMessages(c *conn, from uint64) error {
	for {
		f, err := c.frames.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case kindPing:
			continue
		case kindMessage:
		default:
			return violation("frame of kind %d in a message lane", f.kind)
		}
		m, err := decodeMessage(f.payload)
		if err != nil {
			return err
		}
		t.stats.received.Add(1)
		t.stats.receivedBytes.Add(uint64(frameHeader + len(f.payload)))
		if m.To != t.cfg.NodeID || (m.From != from && !mayForward(m.Type)) {
			t.stats.misaddressed.Add(1)
			t.log.log(zap.WarnLevel, "message with a foreign sender or receiver dropped", t.logged(from),
				zap.Uint64("from", m.From), zap.Uint64("to", m.To), zap.Stringer("type", m.Type))
			continue
		}
		t.mu.RLock()
		g := t.groups[f.group]
		t.mu.RUnlock()
		if g == nil || !g.receive(m) {
			t.stats.unknownGroup.Add(1)
		}
	}
}
