package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// A client that sends no more, or takes no more, does not hold on to the server: its
// connection ends, and a watch with it.
func TestSlowClients(t *testing.T) {
	c := newCluster(t)
	config := c.config("server1")
	config.RequestTimeout, config.bodyTimeout, config.answerTimeout = 300*time.Millisecond, 200*time.Millisecond, 300*time.Millisecond
	s := c.start(config)
	address := withoutScheme(s.Addresses().Client)
	dial := func(request string) net.Conn {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		return conn
	}
	half := dial("PUT /v1/kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	_, err := io.ReadAll(half) // to its end
	require.NoError(t, err)
	_, failure := c.ask(s, http.MethodGet, "/v1/kv/k", nil, nil)
	require.NotEmpty(t, failure, "half a value is none")

	// A watch whose lines nobody takes fills what the system keeps, and ends.
	_ = dial("GET /v1/watch?since=1 HTTP/1.1\r\nHost: x\r\n\r\n")
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.watches) == 1 }, patience, time.Millisecond)
	value := bytes.Repeat([]byte("v"), 1<<20)
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(within(t), http.MethodPut, s.Addresses().Client+"/v1/kv/k", bytes.NewReader(value))
		require.NoError(t, err)
		c.do(request, nil)
		return testutil.ToFloat64(s.metrics.watches) == 0
	}, patience, time.Millisecond)

	// One that is merely quiet goes on: there is nothing that it should have sent.
	quiet := dial("GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n")
	began := time.Now()
	seen := ""
	for time.Since(began) < 2*watchInterval {
		buffer := make([]byte, 4096)
		n, err := quiet.Read(buffer)
		require.NoError(t, err)
		seen += string(buffer[:n])
	}
	require.GreaterOrEqual(t, strings.Count(seen, `"through"`), 2)
}

// What a member is called is bounded and in order: it is in the configuration for ever, and
// every server and client has to make something of it.
func TestAddressesOfMembersAreChecked(t *testing.T) {
	c := newCluster(t)
	c.grow(1)
	s := c.leader()
	for _, body := range []string{
		fmt.Sprintf(`{"peer":"%s:1"}`, strings.Repeat("h", 300)),
		`{"peer":"h:1","client":"javascript://x:1"}`, `{"peer":"h:1","client":"http://h"}`, `{"peer":"h:1","client":"http://h:1/path"}`,
		`{"peer":"h 1:1"}`, `{"peer":"h:1","client":"http://a b:1"}`,
	} {
		status, failure := c.ask(s, http.MethodPost, "/v1/members", body, nil)
		require.Equal(t, 400, status, "%.60s: %v", body, failure)
	}
	status, failure := c.ask(s, http.MethodPost, "/v1/members", `{"peer":"h:1","client":"h:2"}`, nil)
	require.Equal(t, 200, status, failure)
	st, err := s.replica.Status(within(t))
	require.NoError(t, err)
	require.Equal(t, "http://h:2", s.membership(&st).Find(2).Client)
}

// What clients make the server hold at a time is bounded: past it they are told to come
// again, and it goes on when there is room.
func TestBoundsOnClients(t *testing.T) {
	c := newCluster(t)
	c.grow(1)
	s := c.leader()
	s.watches.Store(maxWatches)
	status, failure := c.ask(s, http.MethodGet, "/v1/watch", nil, nil)
	require.Equal(t, 503, status, failure)
	s.watches.Store(0)

	require.True(t, s.bodies.TryAcquire(maxBodies-1))
	status, failure = c.ask(s, http.MethodPut, "/v1/kv/k", "two", nil)
	require.Equal(t, 503, status, failure)
	status, failure = c.ask(s, http.MethodGet, "/v1/kv/none", nil, nil)
	require.Equal(t, 404, status, failure) // without a body
	s.bodies.Release(maxBodies - 1)
	status, failure = c.ask(s, http.MethodPut, "/v1/kv/k", "two", nil)
	require.Equal(t, 200, status, failure)
	require.True(t, s.bodies.TryAcquire(maxBodies), "all was given back")
	s.bodies.Release(maxBodies)
}
