package processtest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pipeFaults are those of one direction.
type pipeFaults struct {
	// delay and up to jitter more is how long bytes are under way. They stay in order.
	delay, jitter time.Duration
	// rate bounds the bytes per second; 0 is no bound.
	rate int
	// stall lets nothing pass, while connections stay open.
	stall bool
}

// proxyFaults are those of a proxy.
type proxyFaults struct {
	toServer, fromServer pipeFaults
	// refuse resets new connections.
	refuse bool
}

// proxy is a TCP proxy in front of a server, with faults that may be changed at any time.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	faults  proxyFaults
	changed chan struct{} // closed when faults change
	conns   map[net.Conn]struct{}
	closed  bool
	running sync.WaitGroup
}

// newProxy returns a proxy in front of a server at the address target. It runs until the
// test ends.
func newProxy(t testing.TB, target string) *proxy {
	l, err := net.Listen("tcp", freeAddress(t))
	require.NoError(t, err)
	p := &proxy{listener: l, target: target, changed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// address is where the server is reached through the proxy.
func (p *proxy) address() string { return p.listener.Addr().String() }

// set makes the faults those given. The zero value heals.
func (p *proxy) set(f proxyFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
	close(p.changed)
	p.changed = make(chan struct{})
}

// reset ends all connections there are, the hard way.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		abort(c)
	}
}

// abort closes a connection with a reset: what is under way is lost.
func abort(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	p.reset()
	p.running.Wait()
}

// now returns the faults of one direction, and a channel that is closed when they change.
func (p *proxy) now(toServer bool) (f pipeFaults, changed <-chan struct{}, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if toServer {
		return p.faults.toServer, p.changed, p.closed
	}
	return p.faults.fromServer, p.changed, p.closed
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.faults.refuse
		p.mu.Unlock()
		if refuse {
			abort(c)
			continue
		}
		p.running.Go(func() { p.connect(c) })
	}
}

// track remembers connections, so that they can be reset; untrack closes them.
func (p *proxy) track(cs ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cs {
		p.conns[c] = struct{}{}
	}
	return !p.closed
}

func (p *proxy) untrack(cs ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cs {
		delete(p.conns, c)
		_ = c.Close()
	}
}

func (p *proxy) connect(from net.Conn) {
	to, err := net.DialTimeout("tcp", p.target, 3*time.Second)
	if err != nil {
		abort(from) // the server is down
		return
	}
	defer p.untrack(from, to)
	if !p.track(from, to) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pipe(from, to, true) })
	both.Go(func() { p.pipe(to, from, false) })
	both.Wait()
}

// chunk is bytes under way; without any it is the end.
type chunk struct {
	bytes []byte
	due   time.Time
}

// pipe carries bytes in one direction until the end, which it passes on, or an error, which
// ends both directions.
func (p *proxy) pipe(from, to net.Conn, toServer bool) {
	// Bounded, so that who sends into a slow pipe feels it.
	queue := make(chan chunk, 64)
	gone := make(chan struct{}) // the writer is
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(queue)
		due := time.Time{}
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if errors.Is(err, io.EOF) {
				n = 0
			} else if err != nil {
				abort(to)
				return
			}
			f, _, _ := p.now(toServer)
			at := time.Now().Add(f.delay)
			if f.jitter > 0 {
				at = at.Add(rand.N(f.jitter))
			}
			if at.After(due) { // else it would overtake
				due = at
			}
			select {
			case queue <- chunk{b[:n], due}:
			case <-gone:
				return
			}
			if err != nil {
				return
			}
		}
	})
	for c := range queue {
		if !p.deliver(c, to, toServer) {
			abort(from)
			break
		}
	}
	close(gone)
	reader.Wait()
}

// deliver writes a chunk when it may pass, and reports whether the connection lives.
func (p *proxy) deliver(c chunk, to net.Conn, toServer bool) bool {
	rest := c.bytes
	for {
		f, changed, closed := p.now(toServer)
		switch {
		case closed:
			return false
		case f.stall:
			<-changed
			continue
		}
		if wait := time.Until(c.due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-changed:
			}
			continue
		}
		if len(c.bytes) == 0 {
			return to.(*net.TCPConn).CloseWrite() == nil
		}
		n := len(rest)
		if f.rate > 0 { // some at a time, and as many milliseconds for them as they take
			n = min(n, max(1, f.rate/100))
		}
		if _, err := to.Write(rest[:n]); err != nil {
			return false
		}
		if rest = rest[n:]; f.rate > 0 {
			select {
			case <-time.After(time.Duration(n) * time.Second / time.Duration(f.rate)):
			case <-changed:
			}
		}
		if len(rest) == 0 {
			return true
		}
	}
}
