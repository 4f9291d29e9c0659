package transport

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy stands between two endpoints and can do to connections what networks do.
type proxy struct {
	ln   net.Listener
	wg   sync.WaitGroup
	link *link // shared by all connections, in the dialer's direction; may be nil

	mu     sync.Mutex
	target string
	conns  map[net.Conn]struct{}
	cutAt  int // bytes from the dialer after which a connection is cut; 0 for never
	cuts   int // how often that may still happen
	frozen bool
	thaw   chan struct{}
}

func newProxy(t testing.TB, target string, l *link) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{ln: ln, target: target, link: l, conns: make(map[net.Conn]struct{}), thaw: make(chan struct{})}
	p.wg.Go(p.run)
	t.Cleanup(func() {
		_ = ln.Close()
		p.unfreeze()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) run() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		d, err := net.Dial("tcp", target)
		if err != nil {
			_ = c.Close()
			continue
		}
		if p.link != nil { // so that what waits, waits at the sender
			_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		p.mu.Lock()
		p.conns[c], p.conns[d] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { p.copy(d, c, true) })
		p.wg.Go(func() { p.copy(c, d, false) })
	}
}

func (p *proxy) copy(to, from net.Conn, forward bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	b := make([]byte, 64<<10)
	if p.link != nil {
		b = b[:4<<10]
	}
	total := 0
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.hold()
		total += n
		if forward && p.cutsAt(total) {
			return
		}
		if forward && p.link != nil {
			p.link.send(n)
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) cutsAt(total int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cutAt == 0 || total < p.cutAt || p.cuts == 0 {
		return false
	}
	p.cuts--
	return true
}

// retarget sends connections elsewhere from now on.
func (p *proxy) retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// freeze lets nothing pass any more, and tells nobody.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

func (p *proxy) unfreeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = false
	close(p.thaw)
	p.thaw = make(chan struct{})
}

func (p *proxy) hold() {
	for {
		p.mu.Lock()
		frozen, thaw := p.frozen, p.thaw
		p.mu.Unlock()
		if !frozen {
			return
		}
		<-thaw
	}
}

// link is a wire of a certain rate: what several connections send takes its turn, in
// the order in which it comes.
type link struct {
	rate int // bytes per second

	mu   sync.Mutex
	free time.Time // when it has sent what it was given
}

// send waits until n more bytes have passed.
func (l *link) send(n int) {
	l.mu.Lock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	until := l.free
	l.mu.Unlock()
	time.Sleep(time.Until(until)) // the link is the clock, not the test
}

// patternReader generates bytes that differ from place to place, without keeping them.
type patternReader struct{ left, at int }

func (r *patternReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), r.left)
	fillPattern(b[:n], r.at)
	r.left -= n
	r.at += n
	return n, nil
}

// fillPattern writes a block that repeats after a prime number of bytes, so that no
// two chunks are alike.
func fillPattern(b []byte, at int) {
	for n := 0; n < len(b); {
		n += copy(b[n:], pattern[(at+n)%len(pattern):])
	}
}

var pattern = func() []byte {
	b := make([]byte, 65521)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}()
