package transport

import (
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"go.uber.org/zap"
)

// Config describes one node's transport. Zero fields mean the default that is
// named with each.
type Config struct {
	// ClusterID must be the same on all nodes that talk to each other. It keeps
	// apart clusters that share addresses by mistake; it is no secret. It cannot
	// be 0.
	ClusterID uint64
	// NodeID is this node's ID, in all its groups: the To of the messages that it
	// gets. It cannot be 0.
	NodeID uint64
	// Listen is the TCP address to listen on, "host:port"; port 0 takes a free one.
	// Required, unless there is a Listener.
	Listen string
	// Listener takes the place of Listen: a listener that is open already, for a host
	// that has to have its address before it knows NodeID. It is the transport's from
	// New on, if that succeeds.
	Listener net.Listener
	// Advertise is the address at which others reach this node, "host:port". It
	// is told to the nodes that this one connects to, so that they can answer it
	// before they know it from the configuration. Default: the address that New
	// listens on, and if that has no host, the host that connections come from.
	Advertise string
	// TLS makes every connection mutual TLS 1.3. Nil means plain TCP: then whoever
	// reaches the address can act as any node.
	TLS *TLSConfig
	// Logger takes a line when a connection is made, lost or refused; lines of one
	// kind come once in a second at most. Default: nothing is logged.
	Logger *zap.Logger

	// MaxFrameSize bounds the bytes of one encoded message, in both directions.
	// It must exceed raft's MaxSizePerMsg and its largest proposal. At most 1 GiB.
	// Default 64 MiB.
	MaxFrameSize int
	// QueueMessages bounds the messages of one Class that wait for one peer.
	// Default 16384.
	QueueMessages int
	// QueueBytes bounds the bytes of messages of one Class that wait for one
	// peer; one message always fits. Default 64 MiB.
	QueueBytes int
	// MaxPeers bounds the nodes that may be connected to this one. Default 256.
	MaxPeers int
	// MaxHandshakes bounds the accepted connections that have not said who they
	// are. One more closes the oldest. Default 64.
	MaxHandshakes int

	// DialTimeout bounds making a TCP connection. Default 3 s.
	DialTimeout time.Duration
	// HandshakeTimeout bounds what follows, at either end: TLS and the exchange
	// of IDs. Default 5 s.
	HandshakeTimeout time.Duration
	// WriteTimeout bounds a write of at most 256 KiB. Default 10 s.
	WriteTimeout time.Duration
	// PingInterval is for how long either end lets a connection be silent before
	// it sends a ping. Default 500 ms.
	PingInterval time.Duration
	// PeerTimeout is after how long without a byte a connection is dead. At least
	// twice PingInterval, that of the other nodes too. Default 3 s.
	PeerTimeout time.Duration
	// MinBackoff and MaxBackoff bound the wait before a connection is tried again;
	// it doubles, with jitter. Default 50 ms and 2 s.
	MinBackoff, MaxBackoff time.Duration

	// SnapshotWindow bounds the bytes of one snapshot that were sent and not yet
	// taken by the receiver's sink; the smaller one of both ends counts. At least
	// 64 KiB. Default 4 MiB.
	SnapshotWindow int
	// SnapshotRate bounds the bytes per second of all snapshots that this node
	// sends, evenly paced. Default: no bound.
	SnapshotRate int
	// SnapshotResume is for how long a receiver keeps a snapshot whose connection
	// broke, and for how long a sender tries to go on. Default 30 s.
	SnapshotResume time.Duration
	// MaxSnapshotsIn bounds the snapshots that this node receives at a time, and
	// MaxSnapshotsOut those that it sends; more of these wait. Default 4 each.
	MaxSnapshotsIn, MaxSnapshotsOut int
}

// withDefaults returns a copy with every zero field that has a default filled.
func (c Config) withDefaults() Config {
	setDefault(&c.MaxFrameSize, 64<<20)
	setDefault(&c.QueueMessages, 16384)
	setDefault(&c.QueueBytes, 64<<20)
	setDefault(&c.MaxPeers, 256)
	setDefault(&c.MaxHandshakes, 64)
	setDefault(&c.DialTimeout, 3*time.Second)
	setDefault(&c.HandshakeTimeout, 5*time.Second)
	setDefault(&c.WriteTimeout, 10*time.Second)
	setDefault(&c.PingInterval, 500*time.Millisecond)
	setDefault(&c.PeerTimeout, 3*time.Second)
	setDefault(&c.MinBackoff, 50*time.Millisecond)
	setDefault(&c.MaxBackoff, max(2*time.Second, c.MinBackoff))
	setDefault(&c.SnapshotWindow, 4<<20)
	setDefault(&c.SnapshotResume, 30*time.Second)
	setDefault(&c.MaxSnapshotsIn, 4)
	setDefault(&c.MaxSnapshotsOut, 4)
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.TLS != nil {
		tls := c.TLS.withDefaults()
		c.TLS = &tls
	}
	return c
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Validate reports every fault of c at once, joined; each names the value and
// its bound. It matches ErrInvalidConfig. It changes nothing.
func (c *Config) Validate() error {
	if c == nil {
		return fmt.Errorf("%w: nil Config", ErrInvalidConfig)
	}
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	d := c.withDefaults()
	fault(d.ClusterID == 0, "ClusterID must not be 0")
	fault(d.NodeID == 0, "NodeID must not be 0")
	if _, _, err := net.SplitHostPort(d.Listen); err != nil && d.Listener == nil {
		fault(true, "Listen (%q) must be host:port: %w", d.Listen, err)
	}
	if d.Advertise != "" {
		_, _, err := net.SplitHostPort(d.Advertise)
		fault(err != nil || len(d.Advertise) > maxAddress, "Advertise (%q) must be host:port of at most %d bytes", d.Advertise, maxAddress)
	}
	for _, f := range []struct {
		name          string
		value, lo, hi int
	}{
		{"MaxFrameSize", d.MaxFrameSize, 1 << 10, 1 << 30},
		{"QueueMessages", d.QueueMessages, 1, math.MaxInt32},
		{"QueueBytes", d.QueueBytes, 1, math.MaxInt32},
		{"MaxPeers", d.MaxPeers, 1, math.MaxInt32},
		{"MaxHandshakes", d.MaxHandshakes, 1, math.MaxInt32},
		{"SnapshotWindow", d.SnapshotWindow, minWindow, 1 << 30},
		{"SnapshotRate", d.SnapshotRate, 0, math.MaxInt},
		{"MaxSnapshotsIn", d.MaxSnapshotsIn, 1, math.MaxInt32},
		{"MaxSnapshotsOut", d.MaxSnapshotsOut, 1, math.MaxInt32},
	} {
		fault(f.value < f.lo || f.value > f.hi, "%s (%d) must be between %d and %d", f.name, f.value, f.lo, f.hi)
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"DialTimeout", d.DialTimeout},
		{"HandshakeTimeout", d.HandshakeTimeout},
		{"WriteTimeout", d.WriteTimeout},
		{"PingInterval", d.PingInterval},
		{"MinBackoff", d.MinBackoff},
		{"SnapshotResume", d.SnapshotResume},
	} {
		fault(f.value <= 0, "%s (%v) must be positive", f.name, f.value)
	}
	fault(d.PeerTimeout < 2*d.PingInterval, "PeerTimeout (%v) must be at least twice PingInterval (%v)", d.PeerTimeout, d.PingInterval)
	fault(d.MaxBackoff < d.MinBackoff, "MaxBackoff (%v) must be at least MinBackoff (%v)", d.MaxBackoff, d.MinBackoff)
	if d.TLS != nil {
		d.TLS.faults(fault)
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalidConfig, errors.Join(faults...))
}
