package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/store"
	"github.com/quorate-raft/raft/repair"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/storage/pebblestore"
	"github.com/quorate-raft/raft/transport"
)

// group is the only Raft group of a server. Engine and transport could carry more.
const group = 1

// What is in a server's directory, beside identityFile and lockFile.
const (
	logDir       = "log"
	stateDir     = "state"
	snapshotsDir = "snapshots"
)

// Server is a running server. Its methods may be called concurrently.
type Server struct {
	cfg     Config
	log     *zap.Logger
	started time.Time
	metrics *metrics

	lock      io.Closer
	addresses api.Addresses // that others are told
	identity  *identity
	engine    *pebblestore.Engine
	storage   replica.Storage
	store     *store.Store
	network   *transport.Transport
	replica   *replica.Replica
	repair    *repair.Supervisor // nil unless it is wanted
	listeners listeners
	http      []*http.Server
	founding  *founding
	ready     atomic.Pointer[http.Handler] // set once requests can be answered

	changing chan struct{}       // held by the one request that changes the membership
	bodies   *semaphore.Weighted // of the bytes that are being received
	watches  atomic.Int64        // that are open
	gone     atomic.Bool         // it was removed, and is about to stop

	alone time.Time // upkeep's: since when there is no leader, or when others were asked why

	background context.Context // of what runs beside requests
	cancel     context.CancelFunc
	running    sync.WaitGroup
	stopping   chan struct{} // closed when the server is to stop
	stopOnce   sync.Once
	done       chan struct{} // closed when it has
	err        error         // why it stopped, once done is closed
}

type listeners struct{ client, debug, peer net.Listener }

// Start starts a server and returns when it takes requests. A server that joins first
// waits for an answer of the cluster, as long as ctx allows. Nothing runs after an
// error, which matches ErrInvalidConfig, ErrIdentity, ErrInUse, ErrDamaged or
// ErrRemoved, or is one of a package below.
func Start(ctx context.Context, c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: c.withDefaults(), started: time.Now(), alone: time.Now(), stopping: make(chan struct{}), done: make(chan struct{})}
	s.changing, s.bodies = make(chan struct{}, 1), semaphore.NewWeighted(maxBodies)
	s.log = s.cfg.Logger
	s.background, s.cancel = context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		s.cancel()
		s.closeHTTP()
		s.running.Wait()
		return nil, errors.Join(err, s.release())
	}
	handler := s.handler()
	s.ready.Store(&handler)
	s.running.Go(s.upkeep)
	go s.end()
	s.log.Info("serving", zap.Stringer("cluster", s.identity.Cluster),
		zap.String("clients", s.addresses.Client), zap.String("peers", s.addresses.Peer))
	return s, nil
}

// open opens everything, from the sockets to the replica. What may be wrong with the
// call comes before what writes to the directory.
func (s *Server) open(ctx context.Context) (err error) {
	if err := s.listen(); err != nil {
		return err
	}
	s.serve()
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	fresh := false
	if s.identity, fresh, err = s.settle(ctx); err != nil {
		return err
	}
	s.log = s.log.With(zap.Uint64("id", s.identity.ID))
	if err := s.checkCertificate(); err != nil {
		if fresh { // nobody knows of this server yet, so the next start may ask for another ID
			err = errors.Join(err, forgetClaim(s.cfg.Dir))
		}
		return err
	}
	if err := s.connect(); err != nil {
		return err
	}
	if fresh {
		if err := s.founding.mayBegin(ctx); err != nil {
			return err
		}
		// From here on a start with this directory is the same server's, also after a
		// crash: an ID is never given out twice, and a vote never forgotten.
		if err := s.identity.save(s.cfg.Dir); err != nil {
			return err
		}
	}
	if err := s.openDisk(); err != nil {
		return err
	}
	s.metrics = newMetrics(s)
	if err := s.startReplica(); err != nil {
		return err
	}
	return s.startRepair()
}

// connect takes up connections with other servers.
func (s *Server) connect() (err error) {
	s.network, err = transport.New(transport.Config{
		ClusterID: uint64(s.identity.Cluster), NodeID: s.identity.ID,
		Listener: s.listeners.peer, Advertise: s.addresses.Peer, TLS: s.cfg.PeerTLS, Logger: s.log.Named("transport"),
	})
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return s.startFounding()
}

// checkCertificate refuses to be a server that the others would not let in.
func (s *Server) checkCertificate() error {
	if s.cfg.PeerTLS == nil || s.cfg.PeerTLS.PeerName == nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.cfg.PeerTLS.CertFile, s.cfg.PeerTLS.KeyFile)
	if err != nil {
		return fmt.Errorf("%w: the certificate for the other servers: %w", ErrInvalidConfig, err)
	}
	name := s.cfg.PeerTLS.PeerName(s.identity.ID)
	if err := pair.Leaf.VerifyHostname(name); err != nil {
		return fmt.Errorf("%w: this is server %d, whose certificate must have the name %s, and not %v: %w",
			ErrInvalidConfig, s.identity.ID, name, pair.Leaf.DNSNames, err)
	}
	return nil
}

// listen takes all addresses.
func (s *Server) listen() (err error) {
	if s.listeners.client, err = net.Listen("tcp", s.cfg.ClientListen); err != nil {
		return listenError("client", s.cfg.ClientListen, err)
	}
	if s.cfg.DebugListen != "" {
		if s.listeners.debug, err = net.Listen("tcp", s.cfg.DebugListen); err != nil {
			return listenError("debug", s.cfg.DebugListen, err)
		}
	}
	if s.listeners.peer, err = net.Listen("tcp", s.cfg.PeerListen); err != nil {
		return listenError("peer", s.cfg.PeerListen, err)
	}
	s.addresses = api.Addresses{Peer: s.cfg.PeerAdvertise, Client: s.clientURL()}
	s.addresses.Peer = cmp.Or(s.addresses.Peer, s.listeners.peer.Addr().String())
	return nil
}

func listenError(what, address string, err error) error {
	return fmt.Errorf("server: listening on the %s address %s: %w", what, address, err)
}

// clientURL is the URL that clients are told.
func (s *Server) clientURL() string {
	scheme := "http"
	if s.cfg.ClientTLS != nil {
		scheme = "https"
	}
	address := withoutScheme(s.cfg.ClientAdvertise)
	address = cmp.Or(address, s.listeners.client.Addr().String())
	return scheme + "://" + address
}

func (s *Server) openDisk() (err error) {
	cluster, id := uint64(s.identity.Cluster), s.identity.ID
	s.engine, err = pebblestore.Open(filepath.Join(s.cfg.Dir, s.identity.Log), &pebblestore.Options{
		ClusterID: cluster, NodeID: id, Logger: s.log.Named("log"),
	})
	if err == nil {
		s.store, err = openState(s.cfg.Dir, s.identity, s.log.Named("state"))
	}
	if errors.Is(err, pebblestore.ErrIdentity) || errors.Is(err, store.ErrIdentity) {
		err = fmt.Errorf("%w: it was put together from several: %w", ErrIdentity, err)
	}
	return err
}

func (s *Server) startReplica() error {
	storage, err := s.engine.Group(group)
	if err != nil {
		return err
	}
	s.storage = &timedStorage{Storage: storage, synced: s.metrics.syncSeconds}
	if err := errors.Join(s.checkLog(), s.checkMember()); err != nil {
		return err
	}
	wire, err := s.network.Group(group)
	if err != nil {
		return err
	}
	s.replica, err = replica.Start(replica.Config{
		ID: s.identity.ID, Bootstrap: s.firstMembers(), Peers: s.identity.Peers,
		Storage: s.storage, Transport: routes{Group: wire, override: s.cfg.PeerOverride}, StateMachine: s.store,
		SnapshotDir: filepath.Join(s.cfg.Dir, snapshotsDir),
		Raft: raft.Config{
			ElectionTick:   s.cfg.ElectionTicks,
			ReadOnlyOption: raft.ReadOnlyLeaseOnDemand,
		},
		TickInterval:    s.cfg.Tick,
		SnapshotEntries: s.cfg.SnapshotEntries, TrailingEntries: s.cfg.TrailingEntries,
		HandOverOnStop: true, StopWhenRemoved: true,
		Logger: s.cfg.Logger.Named("raft"), // which says whose line it is itself
	})
	return err
}

// firstMembers are in the same order on all servers, since the log begins with an entry for
// each: in another order it would be another log.
func (s *Server) firstMembers() (peers []raft.Peer) {
	for _, id := range slices.Sorted(maps.Keys(s.identity.First)) {
		peers = append(peers, raft.Peer{ID: id, Context: []byte(s.identity.First[id])})
	}
	return peers
}

// whenReady answers requests, also while the server waits for others to begin.
func (s *Server) whenReady(w http.ResponseWriter, r *http.Request) {
	if h := s.ready.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/healthz" {
		_, _ = io.WriteString(w, "starting\n")
		return
	}
	writeError(w, api.Errorf(api.CodeUnavailable, "the server is starting"))
}

// serve starts to answer requests.
func (s *Server) serve() {
	public := &http.Server{
		Handler: http.HandlerFunc(s.whenReady), TLSConfig: s.cfg.ClientTLS, ErrorLog: zap.NewStdLog(s.log.Named("http")),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return s.background },
	}
	s.http = append(s.http, public)
	s.running.Go(func() {
		if s.cfg.ClientTLS != nil {
			s.fail(public.ServeTLS(s.listeners.client, "", ""))
			return
		}
		s.fail(public.Serve(s.listeners.client))
	})
	if s.listeners.debug != nil {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		// Also for probes, which may have no certificate for the clients' address.
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			mux.HandleFunc("GET "+path, s.whenReady)
		}
		debug := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
		s.http = append(s.http, debug)
		s.running.Go(func() { s.fail(debug.Serve(s.listeners.debug)) })
	}
}

// fail makes the server stop because of an error. The first one counts.
func (s *Server) fail(err error) {
	if errors.Is(err, http.ErrServerClosed) {
		return
	}
	s.stopOnce.Do(func() {
		s.err = err
		close(s.stopping)
	})
}

// end waits for what ends the server, and ends it.
func (s *Server) end() {
	select {
	case <-s.stopping:
	case <-s.replica.Done(): // a fault of the disk, say, or its removal
		s.fail(s.replica.Err())
	}
	// While leadership is handed over requests are still answered: that they be tried
	// elsewhere.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Duration(s.cfg.ElectionTicks)*s.cfg.Tick)
	err := s.replica.Stop(ctx)
	cancel()
	s.cancel()
	s.closeHTTP()
	s.running.Wait()
	if s.err == nil {
		s.err = err
	}
	s.err = s.endOf(s.err)
	if err := s.release(); s.err == nil { // after a failure closing says the same once more
		s.err = err
	}
	if errors.Is(s.err, ErrRemoved) {
		s.log.Warn("stopped for good", zap.Error(s.err))
	} else {
		s.log.Info("stopped", zap.Error(s.err))
	}
	close(s.done)
}

// closeHTTP ends requests, which have had their answers, and watches.
func (s *Server) closeHTTP() {
	for _, h := range s.http {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if h.Shutdown(ctx) != nil {
			_ = h.Close()
		}
		cancel()
	}
}

// release closes what is open, the last first.
func (s *Server) release() error {
	var errs []error
	closeIf := func(open bool, c io.Closer) {
		if open {
			errs = append(errs, c.Close())
		}
	}
	s.cancel()
	if len(s.http) == 0 { // else their servers have closed them
		closeIf(s.listeners.client != nil, s.listeners.client)
		closeIf(s.listeners.debug != nil, s.listeners.debug)
	}
	closeIf(s.listeners.peer != nil && s.network == nil, s.listeners.peer)
	closeIf(s.network != nil, s.network)
	closeIf(s.store != nil, s.store)
	closeIf(s.engine != nil, s.engine)
	closeIf(s.lock != nil, s.lock)
	return errors.Join(errs...)
}

// Stop stops the server: it hands leadership over, ends what waits and closes
// everything. It waits for that and returns why the server had stopped by itself, if
// it had.
func (s *Server) Stop() error {
	s.fail(nil)
	<-s.done
	return s.err
}

// Done is closed when the server has stopped.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why the server stopped by itself, once it has: ErrRemoved, or a fault of
// the disk or of the network.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// ID returns the server's ID, Cluster that of its cluster.
func (s *Server) ID() uint64 { return s.identity.ID }

// Cluster returns the cluster's ID, in hexadecimal.
func (s *Server) Cluster() string { return s.identity.Cluster.String() }

// Addresses returns where others reach the server.
func (s *Server) Addresses() api.Addresses { return s.addresses }
