package client

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// members returns members with these URLs.
func members(urls ...string) (m []api.Member) {
	for i, u := range urls {
		m = append(m, api.Member{ID: uint64(i + 1), Addresses: api.Addresses{Client: u}})
	}
	return m
}

func parsed(t *testing.T, texts ...string) (all []endpoint) {
	for _, text := range texts {
		e, err := parseEndpoint(text)
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}

// The client stays with an endpoint until it fails, and calls that fail at the same one
// move on once, not once each.
func TestEndpointsAreSticky(t *testing.T) {
	t.Parallel()
	three := parsed(t, "a", "b", "c")
	e := newEndpoints(three)
	require.Equal(t, three[0], e.current())
	require.Equal(t, three[0], e.current())
	e.fail(three[0])
	e.fail(three[0])
	require.Equal(t, three[1], e.current())
	e.fail(three[1])
	e.fail(three[2])
	require.Equal(t, three[0], e.current())
}

// What is learned comes in addition to what is configured, and in the place of what was
// learned before; it is bounded, and no scheme comes in that is not configured.
func TestEndpointsLearn(t *testing.T) {
	t.Parallel()
	e := newEndpoints(parsed(t, "https://a", "https://b"))
	e.learn(members("https://b/", "https://c", "http://plain", "", "nonsense://", "https://c"))
	require.Equal(t, parsed(t, "https://a", "https://b", "https://c"), e.all)
	e.fail(e.all[0])
	e.fail(e.all[1])
	e.learn(members("https://d", "https://c"))
	require.Equal(t, parsed(t, "https://a", "https://b", "https://d", "https://c"), e.all)
	require.Equal(t, "https://c", e.current().base, "the client stays where it was")
	e.learn(members("https://e"))
	require.Equal(t, "https://a", e.current().base, "unless that is no member any more")

	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("https://m%d", i))
	}
	e.learn(members(many...))
	require.Len(t, e.all, 2+maxLearned)
	require.True(t, e.allows("https"))
	require.False(t, e.allows("http"))
}

// The members are asked for at the first contact, after failures and now and then, and
// never twice within a second.
func TestEndpointsDue(t *testing.T) {
	t.Parallel()
	e := newEndpoints(parsed(t, "a", "b"))
	now := time.Now()
	require.True(t, e.due(now))
	require.False(t, e.due(now.Add(time.Second-1)))
	require.True(t, e.due(now.Add(time.Second)), "nothing was learned yet")
	e.learn(members("c"))
	now = now.Add(time.Second)
	require.False(t, e.due(now.Add(30*time.Second)))
	e.fail(endpoint{})
	require.False(t, e.due(now.Add(time.Second-1)))
	require.True(t, e.due(now.Add(time.Second)))
	e.learn(members("c"))
	require.True(t, e.due(now.Add(2*time.Minute)))
}

// The cluster is found when all endpoints that were configured are gone: the first contact
// told of the others.
func TestLearnedEndpointsServe(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	client := c.client(func(config *Config) { config.Endpoints = config.Endpoints[:1] })
	_, err := client.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		client.endpoints.mu.Lock()
		defer client.endpoints.mu.Unlock()
		return len(client.endpoints.all) == 3
	}, 10*time.Second, time.Millisecond)
	c.servers[0].CloseClientConnections()
	c.servers[0].Close()
	_, err = client.Get(within(t), []byte("k"), "")
	require.NoError(t, err)

	// A client that was closed does not learn.
	client = c.client(func(config *Config) { config.Endpoints = config.Endpoints[1:2] })
	client.Close()
	_, err = client.Get(within(t), []byte("k"), "")
	require.NoError(t, err)
	require.True(t, client.endpoints.due(time.Now()), "nobody asked")
}

// A server that hangs is left after the timeout of a try, also by a caller whose own time is
// shorter: the next call goes elsewhere.
func TestHangingServerIsLeft(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	client := c.client(func(config *Config) { config.Timeout = 50 * time.Millisecond })
	s := c.registered(client)
	c.play(hang)
	_, err := s.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.Equal(t, 1, c.times("v"))

	patient := c.client(nil)
	c.play(hang)
	_, err = patient.Status(briefly(t), "")
	require.Error(t, err)
	require.Equal(t, c.servers[1].URL, patient.endpoints.current().base)
}

// The pause between tries doubles, within bounds, and is never the same for all.
func TestBackoff(t *testing.T) {
	t.Parallel()
	var b backoff
	for _, most := range []time.Duration{5, 10, 20, 40, 80, 160, 250, 250} {
		pause := b.next()
		require.LessOrEqual(t, pause, most*time.Millisecond)
		require.GreaterOrEqual(t, pause, most*time.Millisecond/2)
	}
	distinct := map[time.Duration]bool{}
	for range 20 {
		distinct[b.next()] = true
	}
	require.Greater(t, len(distinct), 1)
}

// One connection serves one call after the other, whatever the answers are.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	client := c.client(nil)
	client.Close() // so that nothing is asked for meanwhile
	from := map[string]bool{}
	c.mu.Lock()
	n := 0
	c.chance = func(r *http.Request) fault {
		from[r.RemoteAddr] = true
		if n++; n%3 == 0 {
			return say(api.CodeUnavailable)
		}
		return nil
	}
	c.mu.Unlock()
	for range 20 {
		_, err := client.Put(within(t), []byte("k"), []byte("v"))
		require.NoError(t, err)
		_, err = client.Get(within(t), []byte("absent"), "")
		require.ErrorIs(t, err, ErrNotFound)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(t, from, 1)
}

// An answer that does not end is not read for ever, nor kept.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	s := c.registered(c.client(nil))
	c.play(endless)
	_, err := s.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.Len(t, c.came(), 2)
}
