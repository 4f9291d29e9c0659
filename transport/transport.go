package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Transport carries the messages and the snapshots of a node's raft groups to and
// from other nodes. Its methods may be called concurrently.
type Transport struct {
	cfg       Config
	advertise string
	log       *limitedLog
	creds     *credentials // nil without TLS
	ln        net.Listener

	ctx    context.Context // done once the transport is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine

	waiting  *waiting
	notices  notices
	incoming *incoming
	outgoing chan struct{} // holds one for each snapshot being sent
	pace     pacer
	stats    counters

	mu     sync.RWMutex
	closed bool
	groups map[uint64]*Group
	peers  map[uint64]*peer
	seq    uint64           // of claims
	nodes  map[uint64]*node // by ID, those that are connected to this one
	former []formerPeer     // the latest that were removed, the oldest first

	connMu sync.Mutex
	conns  map[*conn]struct{} // all, either end
}

// New listens and returns a transport without groups. It fails on a Config that
// Validate refuses, on TLS files that cannot be used, and if it cannot listen.
func New(cfg Config) (*Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	creds, err := loadCredentials(cfg.TLS)
	if err != nil {
		return nil, err
	}
	ln := cfg.Listener
	if ln == nil {
		if ln, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("transport: %w", err)
		}
	}
	t := &Transport{
		cfg: cfg, advertise: cfg.Advertise, creds: creds, ln: ln,
		log:      newLimitedLog(cfg.Logger),
		waiting:  newWaiting(cfg.MaxHandshakes),
		notices:  notices{wake: make(chan struct{}, 1)},
		incoming: newIncoming(),
		outgoing: make(chan struct{}, cfg.MaxSnapshotsOut),
		pace:     pacer{rate: cfg.SnapshotRate},
		groups:   make(map[uint64]*Group),
		peers:    make(map[uint64]*peer),
		nodes:    make(map[uint64]*node),
		conns:    make(map[*conn]struct{}),
	}
	if t.advertise == "" {
		t.advertise = advertised(ln.Addr())
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.wg.Go(t.accept)
	t.wg.Go(func() { t.notices.run(t.ctx.Done()) })
	if creds != nil {
		t.wg.Go(t.watchCredentials)
	}
	return t, nil
}

// advertised is what is told of an address to listen on: without a host, if it is
// none that others could dial.
func advertised(addr net.Addr) string {
	a, ok := addr.(*net.TCPAddr)
	if ok && a.IP.IsUnspecified() {
		return fmt.Sprintf(":%d", a.Port)
	}
	return addr.String()
}

// Addr returns the address that the transport listens on.
func (t *Transport) Addr() net.Addr { return t.ln.Addr() }

// Advertise returns the address that this node tells others: Config.Advertise, or
// that of Addr, without its host if that is not one that others could dial.
func (t *Transport) Advertise() string { return t.advertise }

// Close closes all groups and connections, and waits until no goroutine of the
// transport runs any more. It may be called again.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	t.cancel()
	groups := make([]*Group, 0, len(t.groups))
	for _, g := range t.groups {
		groups = append(groups, g)
	}
	t.mu.Unlock()

	err := t.ln.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	t.waiting.close()
	t.closeConns(func(*conn) error { return ErrClosed })
	for _, g := range groups {
		_ = g.Close()
	}
	t.incoming.close()
	t.wg.Wait()
	return err
}

// dial connects to a node and introduces this one.
func (t *Transport) dial(ctx context.Context, addr string, node uint64, lane Lane) (*conn, error) {
	if addr == "" {
		return nil, fmt.Errorf("%w: no address for node %d", ErrUnknownPeer, node)
	}
	// The keep-alive of TCP would add nothing to our own.
	dialer := net.Dialer{Timeout: t.cfg.DialTimeout, KeepAlive: -1}
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	c, err := t.introduce(ctx, raw, node, lane)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

func (t *Transport) introduce(ctx context.Context, raw net.Conn, node uint64, lane Lane) (*conn, error) {
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	if err := raw.SetDeadline(time.Now().Add(t.cfg.HandshakeTimeout)); err != nil {
		return nil, err
	}
	c := raw
	if t.creds != nil {
		secure := t.creds.dial(raw, node)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, &HandshakeError{Reason: err.Error()}
		}
		c = secure
	}
	h := hello{
		version: protocolVersion, minVersion: minProtocolVersion, lane: lane,
		cluster: t.cfg.ClusterID, from: t.cfg.NodeID, to: node, advertise: t.advertise,
	}
	if _, err := c.Write(h.encode()); err != nil {
		return nil, err
	}
	w, err := readWelcome(c)
	if err != nil {
		return nil, err
	}
	if err := w.check(node); err != nil {
		return nil, err
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	out := newConn(c, raw, &t.cfg, maxSmallFrame)
	out.maxFrame = int(min(uint64(w.maxFrame), uint64(t.cfg.MaxFrameSize)))
	if !t.track(out) {
		return nil, ErrClosed
	}
	return out, nil
}

// track remembers a connection until it is closed. It reports false if the
// transport is closed.
func (t *Transport) track(c *conn) bool {
	t.connMu.Lock()
	defer t.connMu.Unlock()
	if t.ctx.Err() != nil {
		return false
	}
	t.conns[c] = struct{}{}
	c.closed = func() {
		t.connMu.Lock()
		delete(t.conns, c)
		t.connMu.Unlock()
	}
	return true
}

// closeConns closes the connections for which fault has an error.
func (t *Transport) closeConns(fault func(c *conn) error) {
	t.connMu.Lock()
	all := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		all = append(all, c)
	}
	t.connMu.Unlock()
	for _, c := range all {
		if fault(c) != nil {
			c.close()
		}
	}
}

// watchCredentials reads the TLS files again from time to time, and closes
// connections to peers that would not be let in any more.
func (t *Transport) watchCredentials() {
	ticker := time.NewTicker(t.creds.cfg.ReloadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-ticker.C:
		}
		if err := t.creds.reload(); err != nil {
			t.log.log(zap.ErrorLevel, "TLS files cannot be used, keeping the old ones", 0, zap.Error(err))
		}
		pool, now := t.creds.authorities(), time.Now()
		t.closeConns(func(c *conn) error {
			secure, ok := c.Conn.(*tls.Conn)
			if !ok {
				return nil
			}
			chain := secure.ConnectionState().PeerCertificates
			// Also a new connection is looked at once: its handshake may have begun
			// with the CAs of before.
			if c.verifiedBy == pool && !anyExpired(chain, now) {
				return nil
			}
			err := verify(chain, pool)
			c.verifiedBy = pool
			if err != nil {
				t.log.log(zap.WarnLevel, "closing a connection whose certificate is not valid any more", 0,
					zap.Stringer("remote", c.RemoteAddr()), zap.Error(err))
			}
			return err
		})
	}
}
