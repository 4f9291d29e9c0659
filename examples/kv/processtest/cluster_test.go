//go:build unix

package processtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

// cluster is servers, each a process behind a proxy of its own.
type cluster struct {
	t   testing.TB
	dir string
	// flags are for all servers.
	flags []string

	mu      sync.Mutex
	servers map[uint64]*server // that are members or become ones
	all     []*server          // also those that are gone
}

// server is a directory, and the process that runs on it if one does.
type server struct {
	c       *cluster
	id      uint64
	dir     string
	logFile string
	// peer and client are the addresses that it listens on; others reach the former
	// through the proxy alone.
	peer, client string
	proxy        *proxy
	// first are flags that say who it is, own are further flags.
	first, own []string
	// wrap, if set, makes another command of the one that runs the server.
	wrap func(*exec.Cmd) *exec.Cmd

	mu sync.Mutex
	p  *process // nil if it does not run
}

// tick is how long the servers' ticks are: an election timeout, which is of ten or more, must
// be longer than what a busy machine makes a server wait.
var tick = func() time.Duration {
	if raceEnabled {
		return 50 * time.Millisecond
	}
	return 25 * time.Millisecond
}()

const electionTicks = 10

// newCluster returns a cluster without servers. If the test fails, the ends of their logs are
// printed.
func newCluster(t testing.TB, flags ...string) *cluster {
	c := &cluster{t: t, dir: t.TempDir(), servers: map[uint64]*server{}}
	c.flags = append([]string{
		"--tick", tick.String(), "--election-ticks", fmt.Sprint(electionTicks),
		"--request-timeout", "1500ms", "--snapshot-entries", "200", "--trailing-entries", "50",
	}, flags...)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, s := range c.all {
			t.Logf("the end of %s:\n%s", s.logFile, tail(s.logFile, 25))
		}
	})
	return c
}

// startCluster starts a new cluster of n servers and waits until they serve.
func startCluster(t testing.TB, n int, flags ...string) *cluster {
	c := newCluster(t, flags...)
	c.found(n)
	for _, s := range c.members() {
		s.start()
	}
	for _, s := range c.members() {
		s.awaitServing()
	}
	return c
}

// found makes up the first servers of a new cluster.
func (c *cluster) found(n int) {
	var members []string
	for id := uint64(1); id <= uint64(n); id++ {
		s := c.newServer()
		s.id, c.servers[id] = id, s
		members = append(members, fmt.Sprintf("%d=%s", id, s.proxy.address()))
	}
	for id, s := range c.servers {
		s.first = []string{"--id", fmt.Sprint(id), "--members", strings.Join(members, ",")}
	}
}

// newServer returns a server that is not started, of a new directory.
func (c *cluster) newServer() *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := fmt.Sprintf("server%d", len(c.all)+1)
	s := &server{c: c, dir: filepath.Join(c.dir, name), logFile: filepath.Join(c.dir, name+".log")}
	s.move()
	c.all = append(c.all, s)
	return s
}

// members returns the servers that belong to the cluster, by ID.
func (c *cluster) members() (list []*server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(c.servers)) {
		list = append(list, c.servers[id])
	}
	return list
}

func (c *cluster) get(id uint64) *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[id]
}

// urls returns where clients reach the servers.
func (c *cluster) urls() (urls []string) {
	for _, s := range c.members() {
		urls = append(urls, "http://"+s.clientAddress())
	}
	return urls
}

// newClient returns a client of all servers, with a timeout that fits the ticks.
func (c *cluster) newClient(endpoints ...string) *client.Client {
	if len(endpoints) == 0 {
		endpoints = c.urls()
	}
	cl, err := client.New(client.Config{Endpoints: endpoints, Timeout: 2 * electionTicks * tick})
	if err != nil {
		panic(err)
	}
	return cl
}

// join starts a new server that joins, and waits until it serves.
func (c *cluster) join(own ...string) *server {
	s := c.newServer()
	s.first, s.own = []string{"--join", strings.Join(c.urls(), ",")}, own
	s.start()
	s.awaitServing()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers[s.id] = s
	return s
}

// drop takes a server that was removed, or will never come back, out of the cluster.
func (c *cluster) drop(s *server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.servers, s.id)
}

// move gives a server that does not run new addresses, and a new proxy.
func (s *server) move() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer, s.client = freeAddress(s.c.t), freeAddress(s.c.t)
	s.proxy = newProxy(s.c.t, s.peer)
}

func (s *server) clientAddress() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

func (s *server) currentProxy() *proxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proxy
}

// command returns the command that runs the server.
func (s *server) command() *exec.Cmd {
	args := []string{"serve", "--data", s.dir, "--peer-listen", s.peer, "--peer-advertise", s.proxy.address(), "--client-listen", s.client}
	cmd := raftkv(s.c.t, slices.Concat(args, s.c.flags, s.first, s.own)...)
	if s.wrap != nil {
		cmd = s.wrap(cmd)
	}
	return cmd
}

func (s *server) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p != nil {
		s.c.t.Fatalf("%s runs already", s.logFile)
	}
	s.p = startProcess(s.c.t, filepath.Base(s.dir), s.logFile, s.command())
}

// running returns the process, nil if there is none.
func (s *server) running() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p
}

// take returns the process, which the server does not count as its own any more.
func (s *server) take() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.p
	s.p = nil
	return p
}

func (s *server) kill()      { s.take().kill() }
func (s *server) terminate() { s.take().terminate(s.c.t) }

// awaitServing waits until the server answers, and learns its ID.
func (s *server) awaitServing() {
	s.c.t.Helper()
	eventually(s.c.t, patience, filepath.Base(s.dir)+" serves", func() error {
		st, err := s.status()
		if err == nil {
			s.id = st.ID
		}
		return err
	})
}

// awaitEnd waits until the process has ended by itself, and returns its exit status and what
// it wrote last.
func (s *server) awaitEnd() output {
	status := s.take().ended(s.c.t)
	return output{status, string(tail(s.logFile, 15))}
}

var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}

// ask gets an answer of this server and no other.
func (s *server) ask(path string, into any) error {
	resp, err := direct.Get("http://" + s.clientAddress() + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e api.Error
		return errors.Join(fmt.Errorf("%s: %s", path, resp.Status), json.NewDecoder(resp.Body).Decode(&e), &e)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// metric returns the value of a metric without labels, 0 if the server does not answer.
func (s *server) metric(name string) (value float64) {
	resp, err := direct.Get("http://" + s.clientAddress() + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			value, err = strconv.ParseFloat(text, 64)
			require.NoError(s.c.t, err)
		}
	}
	return value
}

func (s *server) status() (st api.Status, err error) {
	err = s.ask("/v1/status", &st)
	return st, err
}

// entries returns all keys as this server has them, without asking others.
func (s *server) entries() (all []api.Entry, err error) {
	for from := api.Text(nil); ; {
		var page api.Page
		if err := s.ask("/v1/kv?consistency=stale&from="+url.QueryEscape(string(from)), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Entries...)
		if from = page.Next; from == nil {
			return all, nil
		}
	}
}

// membership returns the latest configuration that any server knows, nil if none answers.
func (c *cluster) membership() (latest *api.Membership) {
	for _, s := range c.members() {
		if st, err := s.status(); err == nil && (latest == nil || st.Membership.Index >= latest.Index && st.Membership.Leader != 0) {
			latest = &st.Membership
		}
	}
	return latest
}

// leader returns the server that leads, which there is within a moment.
func (c *cluster) leader() *server {
	var leader *server
	c.t.Helper()
	eventually(c.t, patience, "there is a leader", func() error {
		term := uint64(0)
		leader = nil
		for _, s := range c.members() {
			if st, err := s.status(); err == nil && st.Role == "leader" && st.Term > term {
				leader, term = s, st.Term
			}
		}
		if leader == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	return leader
}

// awaitAgreement waits until all servers agree that they are the members, with the roles that
// they are to have, and that all have the same entries; it returns these. Nobody may write.
func (c *cluster) awaitAgreement() (entries []api.Entry) {
	c.t.Helper()
	eventually(c.t, patience, "the servers agree", func() error {
		var first api.Status
		for i, s := range c.members() {
			st, err := s.status()
			if err != nil {
				return fmt.Errorf("server %d: %w", s.id, err)
			}
			if i == 0 {
				if first = st; len(st.Membership.Members) != len(c.members()) || st.Membership.Joint {
					return fmt.Errorf("server %d knows of the members %+v", s.id, st.Membership)
				}
			}
			if st.Leader == 0 || st.Leader != first.Leader || st.Applied != first.Applied || st.Applied != st.Commit || st.Membership.Index != first.Membership.Index {
				return fmt.Errorf("server %d: %+v, where server %d has %+v", s.id, st, first.ID, first)
			}
			m := st.Membership.Find(s.id)
			if m == nil || m.Peer != s.proxy.address() || m.Client != "http://"+s.client {
				return fmt.Errorf("server %d is %+v", s.id, m)
			}
			if voter := !slices.Contains(s.own, "--as-learner"); voter != (m.Role == api.RoleVoter) {
				return fmt.Errorf("server %d is a %s", s.id, m.Role)
			}
		}
		return nil
	})
	for i, s := range c.members() {
		has, err := s.entries()
		require.NoError(c.t, err)
		if i == 0 {
			entries = has
		}
		require.Equal(c.t, entries, has, "server %d", s.id)
	}
	return entries
}

// within returns a context for one call of a client.
func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// put writes a key, which has to succeed.
func (c *cluster) put(cl *client.Client, key, value string) uint64 {
	c.t.Helper()
	ctx, cancel := within(patience)
	defer cancel()
	revision, err := cl.Put(ctx, []byte(key), []byte(value))
	require.NoError(c.t, err)
	return revision
}

// logged reports whether some server, at any time, wrote a text into its log, and how often.
func (c *cluster) logged(text string) (times int) {
	for _, s := range c.all {
		if log, err := os.ReadFile(s.logFile); err == nil {
			times += bytes.Count(log, []byte(text))
		}
	}
	return times
}
