package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

// What has become of a server's process.
const (
	stateRunning = "running"
	stateKilled  = "killed"
	stateRemoved = "removed" // it ended by itself, as it is no member any more
	stateStopped = "stopped"
)

const (
	// electionTicks are how many ticks without a leader an election timeout is at least;
	// it is less than twice that at most.
	electionTicks = 10
	// startTries is how often ports are chosen anew that somebody else took meanwhile.
	startTries = 5
	// stepTimeout bounds what a step waits for.
	stepTimeout = 30 * time.Second
	// pollPause is between two looks at what is waited for.
	pollPause = 10 * time.Millisecond
	// stopTimeout is how long servers have to stop when they are asked to.
	stopTimeout = 5 * time.Second
)

// errPortTaken is of a server whose address somebody else has.
var errPortTaken = errors.New("somebody else has its address")

// cluster are the servers, as processes.
type cluster struct {
	program string
	dir     string
	tick    time.Duration
	certs   *certificates

	mu      sync.Mutex
	servers []*server
	client  *client.Client
}

// server is one of the cluster's. The cluster's mutex guards it.
type server struct {
	id           uint64
	peer, client string // addresses to listen on
	state        string
	leaving      bool // it is to end by itself
	process      *process
}

// view is what is known of a server without asking it.
type view struct {
	ID     uint64
	State  string
	PID    int
	Client string // URL
}

// freePorts returns addresses on loopback that nobody had a moment ago. They are below
// those that systems take for connections out, which come and go.
func freePorts(n int) (addresses []string, err error) {
	for tries := 0; len(addresses) < n; tries++ {
		l, listenErr := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000)))
		if listenErr == nil {
			defer l.Close() // when all are found, so that they differ
			addresses = append(addresses, l.Addr().String())
		} else if tries > 100 {
			return nil, fmt.Errorf("finding a free port: %w", listenErr)
		}
	}
	return addresses, nil
}

// found starts the servers 1 to n of a new cluster, and returns when all know of a
// leader.
func (c *cluster) found(ctx context.Context, n int) error {
	for try := 1; ; try++ {
		err := c.tryToFound(ctx, n)
		if !errors.Is(err, errPortTaken) || try == startTries {
			return err
		}
		// All of them have all the addresses, so it is begun anew.
		if err := c.discard(); err != nil {
			return err
		}
	}
}

// discard ends all servers and removes what they have.
func (c *cluster) discard() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		s.process.kill()
		if err := os.RemoveAll(c.dataDir(s.id)); err != nil {
			return err
		}
	}
	c.servers = nil
	return nil
}

func (c *cluster) tryToFound(ctx context.Context, n int) error {
	ports, err := freePorts(2 * n)
	if err != nil {
		return err
	}
	var members, endpoints []string
	for i := range n {
		members = append(members, fmt.Sprintf("%d=%s", i+1, ports[2*i]))
		endpoints = append(endpoints, ports[2*i+1])
	}
	asking, err := client.New(client.Config{Endpoints: endpoints, Timeout: tryTimeout})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.client = asking
	c.mu.Unlock()
	for i := range n {
		s := &server{id: uint64(i + 1), peer: ports[2*i], client: ports[2*i+1]}
		if err := c.start(s, "--members", strings.Join(members, ",")); err != nil {
			return err
		}
	}
	return c.await(ctx, "a leader that all servers follow", func(ctx context.Context) error {
		leader, err := c.leading(ctx)
		if err != nil {
			return err
		}
		for _, member := range leader.Membership.Members {
			if member.Client == "" {
				return fmt.Errorf("server %d has not told its address for clients", member.ID)
			}
			if st, err := c.status(ctx, member.ID); err != nil {
				return err
			} else if st.Leader != leader.ID {
				return fmt.Errorf("server %d follows %d, not %d", st.ID, st.Leader, leader.ID)
			}
		}
		return nil
	})
}

// join starts a server that joins as a learner, and returns when it has what the others
// have.
func (c *cluster) join(ctx context.Context, id uint64) error {
	var urls []string
	for _, v := range c.views() {
		if v.State == stateRunning {
			urls = append(urls, v.Client)
		}
	}
	for try := 1; ; try++ {
		ports, err := freePorts(2)
		if err != nil {
			return err
		}
		s := &server{id: id, peer: ports[0], client: ports[1]}
		if err := c.start(s, "--join", strings.Join(urls, ","), "--as-learner"); err != nil {
			return err
		}
		err = c.await(ctx, fmt.Sprintf("server %d to be a learner that has caught up", id), func(ctx context.Context) error {
			leader, err := c.leading(ctx)
			if err != nil {
				return err
			}
			return caughtUp(leader.Membership.Find(id))
		})
		if !errors.Is(err, errPortTaken) || try == startTries {
			return err
		}
	}
}

// caughtUpLag is by how many entries a member may be behind that has caught up: while
// clients write, there is always something under way.
const caughtUpLag = 100

func caughtUp(m *api.Member) error {
	switch {
	case m == nil:
		return errors.New("it is no member")
	case m.Progress == nil:
		return errors.New("there is no leader")
	case !m.Progress.Active, m.Progress.State != "replicate", m.Progress.Behind > caughtUpLag:
		return fmt.Errorf("it is %d entries behind (%s)", m.Progress.Behind, m.Progress.State)
	}
	return nil
}

// restart starts a server again that was killed, and returns when it has caught up. It is
// given other ports if its own are taken.
func (c *cluster) restart(ctx context.Context, id uint64) error {
	before := c.find(id)
	ports := []string{before.peer, before.client}
	for try := 1; ; try++ {
		if err := c.start(&server{id: id, peer: ports[0], client: ports[1]}); err != nil {
			return err
		}
		err := c.await(ctx, fmt.Sprintf("server %d to catch up", id), func(ctx context.Context) error {
			leader, err := c.leading(ctx)
			if err != nil {
				return err
			}
			if err := caughtUp(leader.Membership.Find(id)); err != nil {
				return err
			}
			_, err = c.status(ctx, id)
			return err
		})
		if !errors.Is(err, errPortTaken) || try == startTries {
			return err
		}
		if ports, err = freePorts(2); err != nil {
			return err
		}
	}
}

func (c *cluster) dataDir(id uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("server-%d", id))
}

// start starts the process of a server, which takes the place of one with its ID.
func (c *cluster) start(s *server, more ...string) error {
	args := append([]string{"serve",
		"--data", c.dataDir(s.id), "--id", strconv.FormatUint(s.id, 10),
		"--peer-listen", s.peer, "--client-listen", s.client,
		"--peer-cert", c.certs.certificate(s.id), "--peer-key", c.certs.key(s.id), "--peer-ca", c.certs.authority(),
		"--tick", c.tick.String(), "--election-ticks", strconv.Itoa(electionTicks),
	}, more...)
	p, err := startProcess(c.program, args, c.dataDir(s.id)+".log")
	if err != nil {
		return err
	}
	s.process, s.state = p, stateRunning
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.servers, func(o *server) bool { return o.id == s.id }); i >= 0 {
		c.servers[i] = s
	} else {
		c.servers = append(c.servers, s)
	}
	return nil
}

func (c *cluster) find(id uint64) *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (c *cluster) views() (views []view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		views = append(views, view{ID: s.id, State: s.state, PID: s.process.pid(), Client: "http://" + s.client})
	}
	return views
}

// kill kills a server as a failing machine would: without a word.
func (c *cluster) kill(id uint64) {
	s := c.find(id)
	c.setState(s, stateKilled)
	s.process.kill()
}

func (c *cluster) setState(s *server, state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.state = state
}

// letGo expects a server to end by itself from now on.
func (c *cluster) letGo(id uint64) {
	s := c.find(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.leaving = true
}

// gone waits until a server has ended that was let go.
func (c *cluster) gone(ctx context.Context, id uint64) error {
	s := c.find(id)
	if !s.process.wait(ctx, stepTimeout) {
		return fmt.Errorf("server %d was removed, and still runs", id)
	}
	c.setState(s, stateRemoved)
	return nil
}

// unexpected returns an error if a server has ended that should run.
func (c *cluster) unexpected() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		if s.state != stateRunning || s.leaving || !s.process.ended() {
			continue
		}
		if s.process.portTaken() {
			return fmt.Errorf("server %d: %w", s.id, errPortTaken)
		}
		return fmt.Errorf("server %d ended (%v); its last lines:\n%s", s.id, s.process.err, s.process.tail())
	}
	return nil
}

// await looks again and again until there is no error, and no longer than stepTimeout.
func (c *cluster) await(ctx context.Context, what string, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		if err := c.unexpected(); err != nil {
			return err
		}
		pause(ctx, pollPause)
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for %s: %w; %w", what, ctx.Err(), err)
		}
	}
}

// tryTimeout bounds one question to one server.
const tryTimeout = 2 * time.Second

// status asks a server for its state.
func (c *cluster) status(ctx context.Context, id uint64) (api.Status, error) {
	s := c.find(id)
	if s == nil {
		return api.Status{}, fmt.Errorf("there is no server %d", id)
	}
	return c.asking().Status(ctx, "http://"+s.client)
}

// asking returns the client for questions and for changes of the membership, nil before
// there are servers.
func (c *cluster) asking() *client.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client
}

// leading returns the state of the leader, which knows how far the members are. If two
// servers take themselves for the leader, the one of the later term is.
func (c *cluster) leading(ctx context.Context) (*api.Status, error) {
	var latest *api.Status
	var failed error
	for _, v := range c.views() {
		if v.State != stateRunning {
			continue
		}
		st, err := c.status(ctx, v.ID)
		if err != nil {
			failed = err
		} else if st.Role == "leader" && (latest == nil || st.Term > latest.Term) {
			latest = &st
		}
	}
	if latest == nil {
		return nil, errors.Join(errors.New("no server leads"), failed)
	}
	return latest, nil
}

// change makes a change of the membership until it is seen to have been made: an answer
// may be lost, and a leader may refuse for now.
func (c *cluster) change(ctx context.Context, what string, made func(*api.Membership) bool, change func(context.Context) error) error {
	return c.await(ctx, what, func(ctx context.Context) error {
		err := change(ctx)
		leader, lookErr := c.leading(ctx)
		if lookErr == nil && !leader.Membership.Joint && made(&leader.Membership) {
			return nil
		}
		return errors.Join(errors.New("it is not in force"), err, lookErr)
	})
}

// stop asks all servers to end, and kills those that do not.
func (c *cluster) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	c.mu.Lock()
	servers := slices.Clone(c.servers)
	for _, s := range servers {
		if s.state == stateRunning {
			s.state = stateStopped
		}
	}
	c.mu.Unlock()
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() { s.process.terminate(ctx) })
	}
	all.Wait()
	if asking := c.asking(); asking != nil {
		asking.Close()
	}
}
