package transport

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/raftpb"
)

const (
	// flushSize is when a batch is written, though more waits.
	flushSize = 64 << 10
	// keepItems bounds what an idle queue keeps for its next messages.
	keepItems   = 1024
	keepEntries = 64
)

// item is a message that waits. The arrays are its own and used again.
type item struct {
	group   uint64
	size    int
	class   Class
	message raftpb.Message
	entries []raftpb.Entry
	context []byte
	lost    bool // too large for the peer
}

// take copies m but for what is immutable: the data of entries, and the snapshot.
func (it *item) take(m *raftpb.Message) {
	it.message = *m
	it.entries = append(it.entries[:0], m.Entries...)
	it.message.Entries = it.entries
	it.context = append(it.context[:0], m.Context...)
	it.message.Context = it.context
}

func (it *item) release() {
	clear(it.entries)
	it.message, it.lost = raftpb.Message{}, false
	if cap(it.entries) > keepEntries {
		it.entries = nil
	}
	if cap(it.context) > 1<<10 {
		it.context = nil
	}
}

// lane sends the messages of one lane to one peer: a queue, and a goroutine that
// connects, encodes and writes.
type lane struct {
	peer *peer
	lane Lane

	mu       sync.Mutex
	queue    []item
	conn     *conn  // nil while there is none
	abort    func() // ends the dial that is under way
	down     bool   // the last try to connect failed: nothing waits, everything is dropped
	stopped  bool
	messages [classes]int // that wait or are being written
	bytes    [classes]int
	stats    LaneStats
	dropped  [classes]uint64

	wake chan struct{} // capacity 1: the queue is not empty any more
	kick chan struct{} // capacity 1: the address changed

	// byTold says whether it is the turn of the address that the peer told. The
	// goroutine's own.
	byTold bool

	batch []item // what the goroutine took from the queue, from pos on unwritten
	pos   int
}

func newLane(p *peer, kind Lane) *lane {
	return &lane{peer: p, lane: kind, wake: make(chan struct{}, 1), kick: make(chan struct{}, 1)}
}

// push queues a copy of m. It reports false if it was dropped instead.
func (l *lane) push(group uint64, m *raftpb.Message, class Class, size int) bool {
	cfg := &l.peer.t.cfg
	l.mu.Lock()
	if l.stopped || l.down || size > cfg.MaxFrameSize || l.messages[class] >= cfg.QueueMessages ||
		(l.messages[class] > 0 && l.bytes[class]+size > cfg.QueueBytes) {
		l.dropped[class]++
		l.mu.Unlock()
		return false
	}
	n := len(l.queue)
	if n < cap(l.queue) {
		l.queue = l.queue[:n+1]
	} else {
		l.queue = append(l.queue, item{})
	}
	it := &l.queue[n]
	it.group, it.size, it.class = group, size, class
	it.take(m)
	l.messages[class]++
	l.bytes[class] += size
	l.mu.Unlock()
	if n == 0 {
		signal(l.wake)
	}
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run keeps the lane connected until ctx is done.
func (l *lane) run(ctx context.Context) {
	cfg := &l.peer.t.cfg
	backoff := cfg.MinBackoff
	for ctx.Err() == nil {
		addr := l.target()
		c, err := l.connect(ctx, addr)
		if err != nil {
			l.byTold = !l.byTold
			l.fail(ctx, err)
		} else {
			started := time.Now()
			err = l.serve(ctx, c, addr)
			l.lost(ctx, err)
			if time.Since(started) > cfg.MaxBackoff {
				backoff = cfg.MinBackoff
				continue
			}
		}
		if l.pause(ctx, backoff) {
			backoff = min(2*backoff, cfg.MaxBackoff)
		} else {
			backoff = cfg.MinBackoff
			l.byTold = false
		}
	}
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.discard()
}

// target returns the address whose turn it is.
func (l *lane) target() string {
	if told := l.peer.toldAddress(); l.byTold && told != "" {
		return told
	}
	return l.peer.address()
}

func (l *lane) connect(ctx context.Context, addr string) (*conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	l.abort = cancel
	l.mu.Unlock()
	return l.peer.t.dial(ctx, addr, l.peer.id, l.lane)
}

// pause waits for between half and all of d. It reports false if it was cut short,
// because there is a new address.
func (l *lane) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(jitter(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-l.kick:
		return false
	}
	return true
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// serve writes on a connection until it breaks or ctx is done.
func (l *lane) serve(ctx context.Context, c *conn, addr string) error {
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	l.mu.Lock()
	l.conn, l.down = c, false
	l.stats.Connects++
	l.mu.Unlock()
	t := l.peer.t
	t.log.log(zap.InfoLevel, "peer connected", l.peer.id, zap.Stringer("lane", l.lane), zap.String("address", addr))
	if l.target() != addr {
		return nil // it changed while this one was being dialed
	}
	l.peer.reached.Store(&addr)
	read := make(chan error, 1)
	t.wg.Go(func() { c.keepAlive(t.cfg.PingInterval) })
	t.wg.Go(func() {
		read <- readPings(c)
		c.close()
	})
	for {
		select {
		case <-l.wake:
			if err := l.drain(c); err != nil {
				return err
			}
		case <-c.done:
			return <-read
		}
	}
}

// readPings reads from an end that has nothing to say but that it lives.
func readPings(c *conn) error {
	for {
		f, err := c.frames.next()
		if err != nil {
			return err
		}
		if f.kind != kindPing {
			return violation("frame of kind %d from the accepting end", f.kind)
		}
	}
}

// drain writes what waits, as much at a time as is there.
func (l *lane) drain(c *conn) error {
	buf := buffers.get()
	defer buffers.put(buf)
	for {
		if l.pos == len(l.batch) && !l.refill() {
			return nil
		}
		start := l.pos
		buf.b = buf.b[:0]
		for l.pos < len(l.batch) && len(buf.b) < flushSize {
			it := &l.batch[l.pos]
			l.pos++
			if it.size > c.maxFrame {
				l.peer.t.log.log(zap.WarnLevel, "message exceeds the peer's limit", l.peer.id, zap.Int("bytes", it.size))
				l.peer.report(it.group)
				it.lost = true
				continue
			}
			b, err := appendMessage(buf.b, it.group, &it.message, it.size)
			if err != nil { // not for a message of raft's
				l.peer.t.log.log(zap.ErrorLevel, "message cannot be encoded", l.peer.id, zap.Error(err))
				it.lost = true
			}
			buf.b = b
		}
		err := c.write(buf.b)
		l.settle(l.batch[start:l.pos], len(buf.b), err == nil)
		if err != nil {
			return err
		}
	}
}

// refill takes all that waits. It reports false if nothing does.
func (l *lane) refill() bool {
	if cap(l.batch) > keepItems && len(l.batch) < cap(l.batch)/4 {
		l.batch = nil // of a burst that is over
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batch, l.queue = l.queue, l.batch[:0]
	l.pos = 0
	return len(l.batch) > 0
}

// settle takes messages off the account.
func (l *lane) settle(items []item, bytes int, sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range items {
		it := &items[i]
		l.messages[it.class]--
		l.bytes[it.class] -= it.size
		if sent && !it.lost {
			l.stats.SentMessages++
		} else {
			l.dropped[it.class]++
		}
		it.release()
	}
	if sent {
		l.stats.SentBytes += uint64(bytes)
	}
}

// discard drops all that waits.
func (l *lane) discard() {
	for l.pos < len(l.batch) || l.refill() {
		l.settle(l.batch[l.pos:], 0, false)
		l.pos = len(l.batch)
	}
}

// fail is what follows when there is no connection to be had.
func (l *lane) fail(ctx context.Context, err error) {
	l.mu.Lock()
	l.down = true
	l.stats.FailedDials++
	l.mu.Unlock()
	l.discard()
	if ctx.Err() != nil {
		return
	}
	l.peer.reportAll()
	l.peer.t.log.log(zap.WarnLevel, "peer cannot be reached", l.peer.id, zap.Stringer("lane", l.lane), zap.Error(err))
}

// lost is what follows when a connection ends. What waits is kept for the next.
func (l *lane) lost(ctx context.Context, err error) {
	l.mu.Lock()
	l.conn = nil
	l.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	signal(l.wake) // for the next connection, if anything waits
	l.peer.reportAll()
	l.peer.t.log.log(zap.WarnLevel, "peer lost", l.peer.id, zap.Stringer("lane", l.lane), zap.Error(err))
}

// redial makes the lane connect to the peer's new address.
func (l *lane) redial() {
	l.mu.Lock()
	c, abort := l.conn, l.abort
	l.mu.Unlock()
	signal(l.kick)
	if abort != nil {
		abort()
	}
	if c != nil {
		c.close()
	}
}
