package server

import (
	"crypto/tls"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// A leader that is removed hands over, and takes no more requests, but says why until it
// stops: the others may need its vote for a while (dissertation §4.2.2).
func TestRemovedServerSaysSo(t *testing.T) {
	c := newCluster(t)
	c.tick = 200 * time.Millisecond // so that it lasts long enough to be asked
	c.grow(3)
	cl := c.client()
	leader := c.leader()
	_, err := cl.RemoveMember(within(t), leader.ID(), false)
	require.NoError(t, err)
	var st api.Status
	for deadline := time.Now().Add(patience); !leader.gone.Load() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	status, failure := c.ask(leader, http.MethodGet, "/v1/status", nil, &st)
	require.Equal(t, 200, status, failure)
	require.NotNil(t, st.Removed)
	require.True(t, st.Removed.Sure)
	require.Empty(t, st.Removed.By)
	require.Contains(t, st.Explain, "this member was removed by entry")
	status, failure = c.ask(leader, http.MethodPut, "/v1/kv/k", "v", nil)
	require.Equal(t, 503, status)
	require.Equal(t, api.CodeUnavailable, failure.Code)
	require.Contains(t, failure.Message, "was removed from the cluster")
	c.awaitRemoved(leader)
	_, err = c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
}

// A server that was removed while it was down, and that cannot ask the others at their
// addresses for clients, is told by them when it asks for votes, at the address that it had
// (dissertation §4.2.3). Whoever starts it again and again does no harm.
func TestRemovedWhileDownIsToldByTheOthers(t *testing.T) {
	c := newCluster(t)
	c.grow(4)
	config := c.config("server4")
	c.stop(4)
	_, err := c.client().RemoveMember(within(t), 4, false)
	require.NoError(t, err)
	before := c.term(c.leader())
	config.JoinTLS = &tls.Config{MinVersion: tls.VersionTLS12} // nobody is to be asked without it
	s := c.start(config)
	c.awaitRemoved(s)
	require.ErrorContains(t, s.Err(), "as servers")
	for range 3 {
		_, err = Start(within(t), config)
		require.ErrorIs(t, err, ErrRemoved)
	}
	require.Equal(t, before, c.term(c.leader()))
}

func (c *cluster) term(s *Server) uint64 {
	st, err := s.replica.Status(within(c.t))
	require.NoError(c.t, err)
	require.False(c.t, slices.Contains(st.Config.IDs(), 4))
	return st.Term
}
