package server

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/examples/kv/store"
	"github.com/quorate-raft/raft/transport"
)

// ErrInvalidConfig matches every error of a Config that Start refuses.
var ErrInvalidConfig = errors.New("server: invalid config")

// Config describes a server. Zero fields mean the default that is named with each.
type Config struct {
	// Dir is the directory for everything that the server keeps. It is made if it does
	// not exist. Required.
	Dir string

	// What follows, up to AsLearner, counts at the first start in Dir. Later starts find
	// in Dir who they are, and may say it again, but nothing else.

	// Cluster is a name that tells clusters apart: members that are told different ones
	// do not make up one cluster.
	Cluster string
	// ID is the server's. Default: 1, or if it joins, one that the cluster gives it.
	ID uint64
	// Members are the first members of a new cluster with the addresses at which the
	// others reach them, the same on all of them. Default: this server alone.
	Members map[uint64]string
	// Join are URLs of servers of a cluster that this one is to join; one is enough.
	Join []string
	// AsLearner makes a server that joins stay a learner, that has the data and no
	// vote. Default: it becomes a voter once it has caught up.
	AsLearner bool

	// PeerListen is the address for the other servers, "host:port". Default
	// 127.0.0.1:7001. PeerAdvertise is where they reach it, if that is another. A
	// server that starts with another one than before tells the cluster.
	PeerListen, PeerAdvertise string
	// ClientListen is the address for clients. Default 127.0.0.1:8001. ClientAdvertise
	// is where they reach it, a URL or "host:port", if that is another.
	ClientListen, ClientAdvertise string
	// DebugListen is the address for profiles (net/http/pprof). They tell of the
	// server's memory, so it has an address of its own. Default: none.
	DebugListen string
	// PeerOverride are addresses that count before those in the configuration, for a
	// cluster whose servers have all moved at once, until each has told its new one.
	PeerOverride map[uint64]string

	// PeerTLS makes connections between servers mutual TLS. Default: plain TCP.
	PeerTLS *transport.TLSConfig
	// ClientTLS is for clients; with ClientAuth and ClientCAs they have to show a
	// certificate. Default: plain HTTP.
	ClientTLS *tls.Config
	// JoinTLS is for asking the servers of Join. Default: the system's.
	JoinTLS *tls.Config

	// Tick is how long a tick is, and ElectionTicks how many make up an election
	// timeout. Default 100 ms and 10. They must be the same on all servers of a cluster:
	// leases are promised in ticks, and lease reads of a leader whose ticks are longer
	// than the others' can be stale. To change them stop all servers.
	Tick          time.Duration
	ElectionTicks int
	// RequestTimeout bounds how long a request may wait for its outcome. Default 5 s.
	RequestTimeout time.Duration
	// MaxLearnerLag is by how many entries a learner may be behind when it is made a
	// voter. Default 1000.
	MaxLearnerLag uint64

	// AutoRepair lets this server, while it leads, put a spare in the place of a voter that
	// has not been heard from for RepairAfter: see package repair. It should be the same
	// on all servers, since any may come to lead.
	AutoRepair bool
	// Spares are the learners that may take a voter's place, in this order. Default: all.
	Spares []uint64
	// RepairAfter, RepairMinVoters, RepairCooldown and RepairPaused are After, MinVoters,
	// Cooldown and Paused of repair.Policy.
	RepairAfter     time.Duration
	RepairMinVoters int
	RepairCooldown  time.Duration
	RepairPaused    bool

	// SnapshotEntries and TrailingEntries are those of replica.Config.
	SnapshotEntries, TrailingEntries uint64

	// Logger takes what is worth a line. Default: nothing is logged.
	Logger *zap.Logger

	// How long a client may take to send a body, and to take an answer or a line of a
	// watch; for tests.
	bodyTimeout, answerTimeout time.Duration
}

func (c Config) withDefaults() Config {
	c.PeerListen = cmp.Or(c.PeerListen, "127.0.0.1:7001")
	c.ClientListen = cmp.Or(c.ClientListen, "127.0.0.1:8001")
	c.Tick = cmp.Or(c.Tick, 100*time.Millisecond)
	c.ElectionTicks = cmp.Or(c.ElectionTicks, 10)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 5*time.Second)
	c.MaxLearnerLag = cmp.Or(c.MaxLearnerLag, 1000)
	c.bodyTimeout = cmp.Or(c.bodyTimeout, 10*time.Second)
	c.answerTimeout = cmp.Or(c.answerTimeout, 20*time.Second)
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

// Validate reports every fault of c, joined. It matches ErrInvalidConfig and changes
// nothing.
func (c *Config) Validate() error {
	d := c.withDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Dir == "", "Dir must be set")
	fault(len(c.Members) > 0 && len(c.Join) > 0, "Members are those of a new cluster, Join is for one that exists: leave one of them out")
	if len(c.Members) > 0 {
		_, member := c.Members[c.ID]
		fault(c.ID == 0, "ID must be set with Members")
		fault(c.ID != 0 && !member, "ID (%d) must be among Members", c.ID)
	}
	fault(c.Cluster != "" && len(c.Join) > 0, "Cluster names a new cluster, Join is for one that exists: leave one of them out")
	fault(c.ID > store.MaxMember, "ID (%d) must be at most %d", c.ID, uint64(store.MaxMember))
	fault(c.AsLearner && len(c.Join) == 0, "AsLearner is for a server that joins: Join must be set")
	for id, address := range c.Members {
		fault(id == 0 || id > store.MaxMember, "the ID of a member (%d) must be between 1 and %d", id, uint64(store.MaxMember))
		faults = appendIf(faults, checkAddress(fmt.Sprintf("Members[%d]", id), address, true))
	}
	for id, address := range c.PeerOverride {
		faults = appendIf(faults, checkAddress(fmt.Sprintf("PeerOverride[%d]", id), address, true))
	}
	faults = appendIf(faults, checkListen("Peer", d.PeerListen, d.PeerAdvertise))
	faults = appendIf(faults, checkListen("Client", d.ClientListen, withoutScheme(d.ClientAdvertise)))
	if c.DebugListen != "" {
		faults = appendIf(faults, checkAddress("DebugListen", c.DebugListen, false))
	}
	fault(d.Tick < time.Millisecond, "Tick (%v) must be at least 1ms", d.Tick)
	fault(d.ElectionTicks < 5, "ElectionTicks (%d) must be at least 5", d.ElectionTicks)
	faults = appendIf(faults, c.checkRepair())
	fault(d.RequestTimeout < 0, "RequestTimeout (%v) must be positive", d.RequestTimeout)
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalidConfig, errors.Join(faults...))
}

func appendIf(faults []error, err error) []error {
	if err != nil {
		faults = append(faults, err)
	}
	return faults
}

// checkListen checks an address to listen on, and that others can be told of one.
func checkListen(what, listen, advertise string) error {
	if err := checkAddress(what+"Listen", listen, false); err != nil {
		return err
	}
	if advertise != "" {
		return checkAddress(what+"Advertise", advertise, true)
	}
	if host, _, _ := net.SplitHostPort(listen); !isReachable(host) {
		return fmt.Errorf("%sAdvertise must be set: others cannot reach %q", what, listen)
	}
	return nil
}

// maxAddress leaves room for the longest name that DNS has.
const maxAddress = 260

// checkAddress checks "host:port"; reachable asks for one that can be dialed.
func checkAddress(what, address string, reachable bool) error {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil || port == "":
		return fmt.Errorf("%s (%q) must be host:port", what, address)
	case len(address) > maxAddress: // it is in the configuration, and so in every snapshot
		return fmt.Errorf("%s (%.40q...) must not have more than %d bytes", what, address, maxAddress)
	case strings.ContainsAny(address, " \t\n/"):
		return fmt.Errorf("%s (%q) must not have blanks or slashes", what, address)
	case reachable && (!isReachable(host) || port == "0"):
		return fmt.Errorf("%s (%q) must be an address that others can reach", what, address)
	}
	return nil
}

func isReachable(host string) bool {
	ip := net.ParseIP(host)
	return host != "" && (ip == nil || !ip.IsUnspecified())
}

func withoutScheme(url string) string {
	if _, rest, found := strings.Cut(url, "://"); found {
		return strings.TrimSuffix(rest, "/")
	}
	return url
}
