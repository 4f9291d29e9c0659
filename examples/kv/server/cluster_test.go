package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

// patience bounds what is waited for; it is reached only by what does not work.
const patience = 30 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// cluster is servers in this process, over loopback.
type cluster struct {
	t       *testing.T
	dir     string
	tick    time.Duration
	servers map[uint64]*Server
	auto    func(*Config) // changes the configuration of all
}

// config is that of the server whose directory has a name.
func (c *cluster) config(name string) Config {
	config := Config{
		Dir: filepath.Join(c.dir, name), PeerListen: "127.0.0.1:0", ClientListen: "127.0.0.1:0",
		Tick: c.tick, RequestTimeout: 2 * time.Second,
		Logger: zaptest.NewLogger(c.t, zaptest.Level(logLevel)),
	}
	if c.auto != nil {
		c.auto(&config)
	}
	return config
}

func newCluster(t *testing.T) *cluster {
	t.Parallel()
	return makeCluster(t)
}

// newClusters returns two clusters of one test.
func newClusters(t *testing.T) (a, b *cluster) {
	t.Parallel()
	return makeCluster(t), makeCluster(t)
}

func makeCluster(t *testing.T) *cluster {
	c := &cluster{t: t, dir: t.TempDir(), tick: 50 * time.Millisecond, servers: map[uint64]*Server{}}
	t.Cleanup(func() {
		for _, s := range c.servers {
			_ = s.Stop()
		}
	})
	return c
}

// start starts a server that must start.
func (c *cluster) start(config Config) *Server {
	c.t.Helper()
	s, err := Start(within(c.t), config)
	require.NoError(c.t, err)
	c.servers[s.ID()] = s
	return s
}

// found starts the first members of a cluster, which wait for each other.
func (c *cluster) found(dir string, members map[uint64]string) {
	c.t.Helper()
	type started struct {
		s   *Server
		err error
	}
	all := make(chan started, len(members))
	for id, address := range members {
		config := c.config(dir + strconv.FormatUint(id, 10))
		config.ID, config.Members, config.PeerListen = id, members, address
		ctx := within(c.t)
		go func() {
			s, err := Start(ctx, config)
			all <- started{s, err}
		}()
	}
	for range members {
		a := <-all
		require.NoError(c.t, a.err)
		c.servers[a.s.ID()] = a.s
	}
}

// grow starts servers that join until there are so many voters. All have told their
// addresses then.
func (c *cluster) grow(voters int) {
	c.t.Helper()
	for len(c.servers) < voters {
		config := c.config("server" + strconv.Itoa(len(c.servers)+1))
		for _, s := range c.servers {
			config.Join = append(config.Join, s.Addresses().Client)
		}
		s := c.start(config)
		c.await(func(m *api.Membership) bool {
			me := m.Find(s.ID())
			return me != nil && me.Role == api.RoleVoter && me.Addresses == s.Addresses()
		})
	}
}

// three returns a cluster of three voters with the IDs 1 to 3.
func three(t *testing.T) *cluster {
	c := newCluster(t)
	c.grow(3)
	return c
}

func (c *cluster) stop(id uint64) {
	c.t.Helper()
	require.NoError(c.t, c.servers[id].Stop())
	delete(c.servers, id)
}

// client returns a client for all servers of now.
func (c *cluster) client() *client.Client {
	c.t.Helper()
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.Addresses().Client)
	}
	cl, err := client.New(client.Config{Endpoints: urls})
	require.NoError(c.t, err)
	c.t.Cleanup(cl.Close)
	return cl
}

// await waits until all servers have a configuration that is as it should be.
func (c *cluster) await(ok func(m *api.Membership) bool) {
	c.t.Helper()
	var last api.Membership
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		all := true
		for _, s := range c.servers {
			last = api.Membership{}
			// An error is no answer: an empty membership lacks everybody.
			if code, _ := c.ask(s, http.MethodGet, "/v1/members", nil, &last); code != http.StatusOK || !ok(&last) {
				all = false
			}
		}
		if all {
			return
		}
	}
	require.Failf(c.t, "the configuration does not become what it should", "it is %+v", last)
}

// awaitRemoved waits until a server has stopped because it was removed.
func (c *cluster) awaitRemoved(s *Server) {
	c.t.Helper()
	select {
	case <-s.Done():
		require.ErrorIs(c.t, s.Err(), ErrRemoved)
		delete(c.servers, s.ID())
	case <-time.After(patience):
		st, err := s.replica.Status(within(c.t))
		require.Fail(c.t, "a removed server does not stop", "%+v %v", st, err)
	}
}

// leader returns the server that leads.
func (c *cluster) leader() *Server {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, s := range c.servers {
			if _, leads := s.replica.Leader(); leads {
				return s
			}
		}
	}
	require.Fail(c.t, "nobody leads")
	return nil
}

func (c *cluster) follower() *Server {
	c.t.Helper()
	leader := c.leader()
	for _, s := range c.servers {
		if s != leader {
			return s
		}
	}
	require.Fail(c.t, "there is one server alone")
	return nil
}

// ask makes a request as curl would, and returns the status and the error.
func (c *cluster) ask(s *Server, method, path string, body, answer any) (int, api.Error) {
	c.t.Helper()
	var send io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		send = bytes.NewBufferString(b)
	default:
		encoded, err := json.Marshal(b)
		require.NoError(c.t, err)
		send = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(within(c.t), method, s.Addresses().Client+path, send)
	require.NoError(c.t, err)
	return c.do(request, answer)
}

func (c *cluster) do(request *http.Request, answer any) (int, api.Error) {
	c.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(c.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	var failure api.Error
	if response.StatusCode >= 400 {
		require.NoError(c.t, json.Unmarshal(data, &failure), string(data))
	} else if answer != nil {
		require.NoError(c.t, json.Unmarshal(data, answer), string(data))
	}
	return response.StatusCode, failure
}

// freeAddress returns an address that nobody listens on, and that nobody who asks for any
// gets: those are from 32768 on where this is tested.
func freeAddress(t *testing.T) string {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
	require.Fail(t, "there is no free address")
	return ""
}
