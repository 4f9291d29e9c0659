package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Metrics tell what happened: requests by outcome, what this server leads and how far the
// others are; and they are well-formed by the rules of Prometheus.
func TestMetrics(t *testing.T) {
	c := three(t)
	cl := c.client()
	_, err := cl.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	s := c.leader()
	_, failure := c.ask(s, http.MethodPut, "/v1/kv/k", "w", nil)
	require.Empty(t, failure)
	_, failure = c.ask(s, http.MethodGet, "/v1/kv/none", nil, nil)
	require.Equal(t, api.CodeNotFound, failure.Code)
	response, err := http.Get(s.Addresses().Client + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for _, line := range []string{
		`raftkv_requests_total{code="not_found",op="get"} 1`, "raftkv_is_leader 1", "raftkv_has_leader 1",
		`raftkv_members{role="voter"} 3`, `raftkv_peer_behind_entries{peer="1"} 0`, "go_goroutines ", "raftkv_log_sync_seconds_count ",
	} {
		require.Contains(t, string(text), line)
	}
	require.Contains(t, string(text), `raftkv_requests_total{code="ok",op="put"}`)
	problems, err := testutil.GatherAndLint(s.metrics.registry)
	require.NoError(t, err)
	for _, p := range problems {
		require.False(t, strings.HasPrefix(p.Metric, "raftkv_"), "%s: %s", p.Metric, p.Text)
	}
	var st api.Status
	c.ask(s, http.MethodGet, "/v1/status", nil, &st)
	require.Equal(t, "leader", st.Role)
	require.Positive(t, st.Writes)
	require.Equal(t, uint64(1), st.Reads)
	require.Empty(t, st.Explain)
}

// Profiles have an address of their own, which is off unless it is given: they tell of
// what is in memory.
func TestProfilesAreElsewhere(t *testing.T) {
	c := newCluster(t)
	config := c.config("server1")
	config.DebugListen = freeAddress(t)
	s := c.start(config)
	response, err := http.Get("http://" + config.DebugListen + "/debug/pprof/")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 200, response.StatusCode)
	status, _ := c.ask(s, http.MethodGet, "/debug/pprof/", nil, nil)
	require.Equal(t, 404, status)
}
