package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// The first members of a cluster come to the same cluster without a word between them.
func TestFirstMembers(t *testing.T) {
	c := newCluster(t)
	members := map[uint64]string{}
	for id := uint64(1); id <= 3; id++ {
		members[id] = freeAddress(t)
	}
	c.found("first", members)
	_, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	c.await(func(m *api.Membership) bool {
		for id, s := range c.servers {
			if me := m.Find(id); me == nil || me.Addresses != s.Addresses() {
				return false
			}
		}
		return len(m.Members) == 3
	})
	// They may be told again who they are, but not that they are somebody else.
	c.stop(3)
	config := c.config("first3")
	config.ID, config.Members, config.PeerListen = 3, members, members[3]
	again := c.start(config)
	require.Equal(t, uint64(3), again.ID())
	c.stop(3)
	for what, change := range map[string]func(*Config){
		"another server":  func(c *Config) { c.ID = 2 },
		"another cluster": func(c *Config) { c.Cluster = "other" },
	} {
		other := config
		change(&other)
		_, err := Start(within(t), other)
		require.ErrorIs(t, err, ErrIdentity, what)
		require.ErrorContains(t, err, "is of server 3 of cluster "+again.Cluster())
	}
}

// A first member that lost its directory does not begin again as if it were new: it has voted
// and acknowledged, and what it had would be lost in silence (dissertation §3.8).
func TestAFirstMemberWithoutItsDirectoryIsRefused(t *testing.T) {
	c := newCluster(t)
	members := map[uint64]string{}
	for id := uint64(1); id <= 3; id++ {
		members[id] = freeAddress(t)
	}
	c.found("first", members)
	c.await(func(m *api.Membership) bool {
		for id, s := range c.servers {
			if me := m.Find(id); me == nil || me.Client != s.Addresses().Client {
				return false
			}
		}
		return true
	})
	c.stop(2)
	config := c.config("empty")
	config.ID, config.Members, config.PeerListen = 2, members, members[2]
	_, err := Start(within(t), config)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "you have been running")
	require.NoFileExists(t, filepath.Join(config.Dir, identityFile), "nothing has begun")
	_, err = c.client().RemoveMember(within(t), 2, false)
	require.NoError(t, err)
	c.await(func(m *api.Membership) bool { return m.Find(2) == nil })
	_, err = Start(within(t), config)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "you were removed")

	// Alone it does not begin at all, since nobody can say.
	alone := map[uint64]string{1: freeAddress(t), 2: freeAddress(t), 3: freeAddress(t)}
	config = c.config("alone")
	config.ID, config.Members, config.PeerListen = 1, alone, alone[1]
	config.ClientListen = freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := Start(ctx, config); done <- err }()
	require.Eventually(t, func() bool { // meanwhile it says what it is at
		response, err := http.Get("http://" + config.ClientListen + "/v1/kv/k")
		return err == nil && response.StatusCode == 503 && response.Body.Close() == nil
	}, patience, 10*time.Millisecond)
	response, err := http.Get("http://" + config.ClientListen + "/healthz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 200, response.StatusCode)
	cancel()
	require.ErrorContains(t, <-done, "majority of the first members")
}

// A server whose log is gone does not start as if it had never answered for what was in it.
func TestALostLogIsRefused(t *testing.T) {
	c := three(t)
	_, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	dir := filepath.Join(c.dir, "server2")
	config := c.config("server2")
	c.stop(2)
	require.NoError(t, os.Rename(filepath.Join(dir, logDir), filepath.Join(dir, "elsewhere")))
	_, err = Start(within(t), config)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "ends at entry 0")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, stateDir)))
	_, err = Start(within(t), config)
	require.ErrorIs(t, err, ErrDamaged, "also without the state")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, logDir)))
	require.NoError(t, os.Rename(filepath.Join(dir, "elsewhere"), filepath.Join(dir, logDir)))
	c.start(config) // the state comes again from the log
	e, err := c.client().Get(within(t), []byte("k"), api.Linearizable)
	require.NoError(t, err)
	require.Equal(t, "v", string(e.Value))
}

// A server does nothing to a cluster that is not its own, whatever address it was given.
func TestAnotherCluster(t *testing.T) {
	a, b := newClusters(t)
	a.grow(2)
	b.grow(2)
	before := b.servers[2].Addresses()
	config := a.config("server2")
	config.Join = []string{b.servers[1].Addresses().Client}
	a.stop(2)
	_, err := Start(within(t), config)
	require.ErrorIs(t, err, ErrIdentity)
	require.ErrorContains(t, err, "not of cluster "+b.servers[1].Cluster())
	for _, path := range []string{"/v1/members", "/v1/kv/k"} {
		request, err := http.NewRequestWithContext(within(t), http.MethodGet, b.servers[1].Addresses().Client+path, nil)
		require.NoError(t, err)
		request.Header.Set(api.ClusterHeader, a.servers[1].Cluster())
		status, failure := b.do(request, nil)
		require.Equal(t, http.StatusMisdirectedRequest, status)
		require.Equal(t, api.CodeWrongCluster, failure.Code)
	}
	require.Equal(t, before, b.servers[2].Addresses())
}

// A server tells the cluster when it starts at other addresses, so that nobody has to.
func TestAddressesChange(t *testing.T) {
	c := three(t)
	for range 2 {
		s := c.follower()
		before := s.Addresses()
		c.stop(s.ID())
		s = c.start(c.config("server" + strconv.FormatUint(s.ID(), 10)))
		require.NotEqual(t, before, s.Addresses())
		c.await(func(m *api.Membership) bool { return m.Find(s.ID()).Addresses == s.Addresses() })
	}
	_, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
}

// When all servers have moved at once none of them knows where another is. They are told,
// until they have told each other.
func TestAllAddressesChange(t *testing.T) {
	c := three(t)
	_, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	override := map[uint64]string{}
	for id := uint64(1); id <= 3; id++ {
		c.stop(id)
		override[id] = freeAddress(t)
	}
	for id, address := range override {
		config := c.config("server" + strconv.FormatUint(id, 10))
		config.PeerListen, config.PeerOverride = address, override
		c.start(config)
	}
	c.await(func(m *api.Membership) bool {
		for id, s := range c.servers {
			if m.Find(id).Addresses != s.Addresses() {
				return false
			}
		}
		return true
	})
	e, err := c.client().Get(within(t), []byte("k"), api.Linearizable)
	require.NoError(t, err)
	require.Equal(t, "v", string(e.Value))
}

// A directory is used by one server at a time, and by the one whose it is.
func TestDirectories(t *testing.T) {
	c := newCluster(t)
	config := c.config("server1")
	s := c.start(config)
	_, err := Start(within(t), config)
	require.ErrorIs(t, err, ErrInUse)
	c.stop(s.ID())

	name := filepath.Join(config.Dir, identityFile)
	good, err := os.ReadFile(name)
	require.NoError(t, err)
	for what, content := range map[string]string{
		"no JSON": "{", "another format": `{"format":2,"cluster":"01","id":1,"log":"log"}`,
		"no ID": `{"format":1,"cluster":"01","log":"log"}`, "a path": `{"format":1,"cluster":"01","id":1,"log":"../log"}`,
	} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		_, err := Start(within(t), config)
		require.ErrorIs(t, err, ErrDamaged, what)
	}
	// A log without an identity is not taken over: its server has voted.
	require.NoError(t, os.Remove(name))
	_, err = Start(within(t), config)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "has log but no server.json")

	// An identity with a log that is another's: somebody has mixed up directories.
	require.NoError(t, os.WriteFile(name, []byte(`{"format":1,"cluster":"01","id":1,"log":"log"}`), 0o600))
	_, err = Start(within(t), config)
	require.ErrorIs(t, err, ErrIdentity)
	require.NoError(t, os.WriteFile(name, good, 0o600))
	c.start(config)
}

// What is wrong with a call is told before anything is written, all at once.
func TestInvalidConfigs(t *testing.T) {
	base := Config{Dir: filepath.Join(t.TempDir(), "d"), PeerListen: "127.0.0.1:0", ClientListen: "127.0.0.1:0"}
	for _, c := range []struct {
		change func(*Config)
		texts  []string
	}{
		{func(c *Config) { c.Dir = "" }, []string{"Dir must be set"}},
		{func(c *Config) { c.Members = map[uint64]string{1: "a:1"} }, []string{"ID must be set with Members"}},
		{func(c *Config) { c.ID, c.Members = 2, map[uint64]string{1: "a:1"} }, []string{"ID (2) must be among Members"}},
		{func(c *Config) { c.ID, c.Members = 1, map[uint64]string{1: "a:1", 0: "b:1", 2: "c"} }, []string{"between 1 and", `Members[2] ("c") must be host:port`}},
		{func(c *Config) { c.ID, c.Members, c.Join = 1, map[uint64]string{1: "a:1"}, []string{"b:1"} }, []string{"leave one of them out"}},
		{func(c *Config) { c.AsLearner = true }, []string{"AsLearner is for a server that joins"}},
		{func(c *Config) { c.PeerListen = ":7001" }, []string{"PeerAdvertise must be set"}},
		{func(c *Config) { c.ClientListen = "0.0.0.0:1" }, []string{"ClientAdvertise must be set"}},
		{func(c *Config) { c.PeerListen, c.PeerAdvertise = ":7001", "[::]:7001" }, []string{"others can reach"}},
		{func(c *Config) { c.ClientListen = "x" }, []string{`ClientListen ("x") must be host:port`}},
		{func(c *Config) { c.PeerOverride = map[uint64]string{3: "h:0"} }, []string{"PeerOverride[3]"}},
		{func(c *Config) { c.DebugListen = "h" }, []string{"DebugListen"}},
		{func(c *Config) { c.Tick, c.ElectionTicks = 1, 1 }, []string{"Tick (1ns)", "ElectionTicks (1)"}},
	} {
		config := base
		c.change(&config)
		_, err := Start(within(t), config)
		require.ErrorIs(t, err, ErrInvalidConfig)
		for _, text := range c.texts {
			require.ErrorContains(t, err, text)
		}
	}
	require.NoDirExists(t, base.Dir)
}

// An address that somebody has is told as that, and which one it is.
func TestAddressesInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	c := newCluster(t)
	for what, change := range map[string]func(*Config){
		"peer":   func(c *Config) { c.PeerListen = taken.Addr().String() },
		"client": func(c *Config) { c.ClientListen = taken.Addr().String() },
		"debug":  func(c *Config) { c.DebugListen = taken.Addr().String() },
	} {
		config := c.config(what)
		change(&config)
		_, err := Start(within(t), config)
		require.ErrorIs(t, err, syscall.EADDRINUSE, what)
		require.ErrorContains(t, err, fmt.Sprintf("the %s address %s", what, taken.Addr()))
		require.NoDirExists(t, config.Dir, "nothing was written")
	}
}
