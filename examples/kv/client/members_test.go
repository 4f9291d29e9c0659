package client

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// changes are the calls that are not to be made twice.
var changes = map[string]struct {
	call   func(context.Context, *Client) error
	method string
	target string
	body   string
}{
	"AddMember": {func(ctx context.Context, c *Client) error {
		_, err := c.AddMember(ctx, api.NewMember{ID: 9, Claim: 5, Addresses: api.Addresses{Peer: "p:1", Client: "http://c:1"}})
		return err
	}, "POST", "/v1/members", `{"id":9,"claim":5,"peer":"p:1","client":"http://c:1"}`},
	"UpdateMember": {func(ctx context.Context, c *Client) error {
		_, err := c.UpdateMember(ctx, 7, api.Addresses{Peer: "p:1"})
		return err
	}, "PUT", "/v1/members/7", `{"peer":"p:1","client":""}`},
	"RemoveMember": {func(ctx context.Context, c *Client) error {
		_, err := c.RemoveMember(ctx, 7, false)
		return err
	}, "DELETE", "/v1/members/7", ""},
	"RemoveMember by force": {func(ctx context.Context, c *Client) error {
		_, err := c.RemoveMember(ctx, 7, true)
		return err
	}, "DELETE", "/v1/members/7?force=true", ""},
	"Promote": {func(ctx context.Context, c *Client) error {
		_, err := c.Promote(ctx, 7)
		return err
	}, "POST", "/v1/members/7/promote", ""},
	"Replace": {func(ctx context.Context, c *Client) error {
		_, err := c.Replace(ctx, 7, 8)
		return err
	}, "POST", "/v1/members/7/replace", `{"with":8}`},
	"SetMembership": {func(ctx context.Context, c *Client) error {
		version := uint64(0)
		_, err := c.SetMembership(ctx, api.SetMembership{Voters: []api.MemberSpec{{ID: 7}}, ExpectVersion: &version})
		return err
	}, "PUT", "/v1/membership", `{"voters":[{"id":7,"peer":"","client":""}],"expect_version":0}`},
	"CancelMembership": {func(ctx context.Context, c *Client) error {
		_, err := c.CancelMembership(ctx, 17)
		return err
	}, "DELETE", "/v1/membership?version=17", ""},
	"Transfer": {func(ctx context.Context, c *Client) error {
		_, err := c.Transfer(ctx, 3)
		return err
	}, "POST", "/v1/transfer", `{"to":3}`},
}

// A change of the membership is tried again while it is certain that nothing happened,
// and not once it is not: it has no ID, so the second would be another.
func TestChangesOfTheMembership(t *testing.T) {
	t.Parallel()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			client := c.client(nil)
			c.play(say(api.CodeUnavailable), say(api.CodeUnavailable))
			require.NoError(t, change.call(within(t), client))
			tries := c.came()
			require.Len(t, tries, 3)
			require.Equal(t, change.method, tries[2].method)
			require.Equal(t, change.target, tries[2].target)
			require.Equal(t, change.body, tries[2].body)
			require.Empty(t, tries[2].client)

			for _, f := range []fault{serveThenDrop, drop, say(api.CodeAmbiguous), garbage(200, "{}"), garbage(500, "panic")} {
				c.play(say(api.CodeUnavailable), f)
				require.Equal(t, ErrAmbiguous, outcome(t, change.call(within(t), client)))
				require.Len(t, c.came(), 2, "an ambiguous try is the last")
			}
			ctx, cancel := context.WithCancel(t.Context())
			c.play(endThenHang(cancel))
			err := change.call(ctx, client)
			require.Equal(t, ErrAmbiguous, outcome(t, err))
			require.ErrorIs(t, err, context.Canceled)
			for _, code := range []api.Code{api.CodeRefused, api.CodeTaken, api.CodeNotFound, api.CodeInternal} {
				c.play(say(code))
				err := change.call(within(t), client)
				require.Equal(t, ErrNotApplied, outcome(t, err))
				said := new(api.Error)
				require.ErrorAs(t, err, &said)
				require.Equal(t, code, said.Code)
				require.Len(t, c.came(), 1)
				if code == api.CodeNotFound {
					require.ErrorIs(t, err, ErrNotFound)
				}
			}
		})
	}
}

// A change is sent on to the leader with its body, and what counts is what the leader
// answers. If the leader cannot be reached, nothing was applied, and it is tried again from the start.
func TestRedirects(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c := newCluster(t, 3)
	client := c.client(nil)
	add := changes["AddMember"]

	c.play(sendOn(c.servers[2].URL))
	require.NoError(t, add.call(within(t), client))
	tries := c.came()
	require.Len(t, tries, 2)
	require.Equal(t, 2, tries[1].server)
	require.Equal(t, add.body, tries[1].body)

	c.play(sendOn(gone.URL), sendOn(gone.URL))
	require.NoError(t, add.call(within(t), client), "refused connections are certain")
	require.Len(t, c.came(), 3)

	c.play(sendOn(c.servers[2].URL), drop)
	require.Equal(t, ErrAmbiguous, outcome(t, add.call(within(t), client)))
	c.play(sendOn(c.servers[2].URL), say(api.CodeUnavailable))
	require.NoError(t, add.call(within(t), client))

	// Servers that send it in circles do nothing, and are left after a few rounds.
	circle := sendOn(client.endpoints.current().base)
	c.play(circle, circle, circle, circle, circle)
	require.NoError(t, add.call(within(t), client))
	tries = c.came()
	require.Len(t, tries, maxRedirects+2)
	require.Equal(t, tries[0].server, tries[maxRedirects].server)
	require.NotEqual(t, tries[0].server, tries[maxRedirects+1].server)

	// A write keeps its ID.
	s := c.registered(client)
	c.play(sendOn(c.servers[1].URL), serveThenDrop)
	_, err := s.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.Equal(t, 1, c.times("v"))
	tries = c.came()
	require.Len(t, tries, 3)
	require.NotEmpty(t, tries[1].client)
	require.Equal(t, tries[0].request, tries[1].request)
	require.Equal(t, "v", tries[1].body)

	// A redirect that turns a write into a read is not followed.
	c.play(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, "/v1/kv/k", http.StatusMovedPermanently)
	})
	_, err = s.Put(within(t), []byte("k"), []byte("w"))
	require.NoError(t, err)
	require.Equal(t, 1, c.times("w"))
	require.Len(t, c.came(), 2)
}

// With TLS nothing goes in clear, wherever a server would like to have it.
func TestRedirectOutOfTLS(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	var sent atomic.Int32
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent.Add(1) == 1 {
			sendOn(c.servers[0].URL)(w, r, nil)
			return
		}
		answer(w, api.Joined{ID: 3, Membership: c.membership()}, nil)
	}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	trusted := secure.Client().Transport.(*http.Transport).TLSClientConfig
	client, err := New(Config{Endpoints: []string{secure.URL}, TLS: trusted})
	require.NoError(t, err)
	client.Close()
	joined, err := client.AddMember(within(t), api.NewMember{})
	require.NoError(t, err, "a redirect is certain to have done nothing")
	require.Equal(t, uint64(3), joined.ID)
	require.Empty(t, c.came())

	client, err = New(Config{Endpoints: []string{secure.URL}})
	require.NoError(t, err)
	_, err = client.AddMember(briefly(t), api.NewMember{})
	require.Equal(t, ErrNotApplied, outcome(t, err))
	require.Equal(t, int32(2), sent.Load(), "nor does it go to one that nobody vouches for")
}

// To join is to ask, so it is asked until there is an answer.
func TestJoin(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	c.play(serveThenDrop, say(api.CodeUnavailable))
	joined, err := c.client(nil).Join(within(t), api.Join{ID: 4, Claim: 1 << 63})
	require.NoError(t, err)
	require.Equal(t, uint64(9), joined.ID)
	require.Len(t, joined.Members, 2)
	require.Equal(t, `{"id":4,"claim":9223372036854775808}`, c.came()[2].body)
}

// The status of one server is that of no other: only it is asked, and once.
func TestStatus(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	client := c.client(nil)
	for i, server := range c.servers {
		status, err := client.Status(within(t), server.URL)
		require.NoError(t, err)
		require.Equal(t, uint64(i+1), status.ID)
	}
	c.play(say(api.CodeUnavailable), say(api.CodeUnavailable))
	_, err := client.Status(within(t), c.servers[1].URL)
	require.ErrorContains(t, err, "said so")
	status, err := client.Status(within(t), "")
	require.NoError(t, err)
	require.NotZero(t, status.ID)
	_, err = client.Status(within(t), "http://")
	require.ErrorContains(t, err, "must have a host")
	c.play(hang)
	_, err = client.Status(briefly(t), c.servers[1].URL)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	m, err := client.Members(within(t))
	require.NoError(t, err)
	require.Len(t, m.Members, 2)
}

// What only asks is asked until there is an answer; an outcome until it is one. Repair is
// the matter of the server that is asked.
func TestMembership(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	client := c.client(nil)
	c.play(serveThenDrop, say(api.CodeUnavailable))
	m, err := client.Membership(within(t))
	require.NoError(t, err)
	require.Len(t, m.Members, 2)
	c.came()
	c.play(serveThenDrop)
	plan, err := client.PlanMembership(within(t), api.SetMembership{})
	require.NoError(t, err)
	require.Equal(t, uint64(16), plan.Version)
	require.Len(t, c.came(), 2)
	outcome, err := client.AwaitMembership(within(t), 17)
	require.NoError(t, err)
	require.Equal(t, api.ResultReached, outcome.Result)
	require.GreaterOrEqual(t, len(c.came()), 3)
	c.play(say(api.CodeCompacted))
	_, err = client.AwaitMembership(within(t), 17)
	require.ErrorIs(t, err, ErrCompacted)

	r, err := client.Repair(within(t), c.servers[1].URL)
	require.NoError(t, err)
	require.False(t, r.Paused)
	r, err = client.PauseRepair(within(t), c.servers[1].URL, true)
	require.NoError(t, err)
	require.True(t, r.Paused)
	c.play(say(api.CodeUnavailable))
	_, err = client.Repair(within(t), c.servers[1].URL)
	require.ErrorContains(t, err, "said so")
	_, err = client.Repair(within(t), "http://")
	require.ErrorContains(t, err, "must have a host")
}
