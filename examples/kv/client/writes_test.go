package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// registered returns a session that has its ID already, so that a script is of its writes.
func (c *cluster) registered(client *Client) *Session {
	s := client.Session()
	require.Nil(c.t, s.register(within(c.t)))
	return s
}

// outcome says which of the two kinds an error of a write is, and that it is not both.
func outcome(t *testing.T, err error) error {
	t.Helper()
	require.Error(t, err)
	require.NotEqual(t, errors.Is(err, ErrNotApplied), errors.Is(err, ErrAmbiguous), "%v", err)
	if errors.Is(err, ErrAmbiguous) {
		return ErrAmbiguous
	}
	return ErrNotApplied
}

// A request keeps its ID and its number over all its tries, whatever came of them and whichever
// server gets them: with a new number the second would be another write, and applied again.
func TestRetryIsTheSameRequest(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	s := c.registered(c.client(nil))
	c.play(serveThenDrop, say(api.CodeUnavailable), serveThenSay(api.CodeAmbiguous), drop,
		garbage(http.StatusOK, "{"), garbage(http.StatusOK, "{}"), garbage(http.StatusBadGateway, "<html>"))
	revision, err := s.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.Equal(t, uint64(2), revision, "the answer is that of the try that was applied")
	require.Equal(t, 1, c.times("v"))
	tries := c.came()
	require.Len(t, tries, 8)
	servers := map[int]bool{}
	for _, try := range tries {
		servers[try.server] = true
		try.server = tries[0].server
		require.Equal(t, tries[0], try)
	}
	require.Len(t, servers, 3)
	require.Equal(t, "1", tries[0].client)
	require.Equal(t, "1", tries[0].request)
	require.Equal(t, "v", tries[0].body)

	// The next request is another.
	c.play(serveThenDrop)
	result, err := s.Delete(within(t), []byte("k"))
	require.NoError(t, err)
	require.Equal(t, api.DeleteResult{Existed: true, Revision: 3}, result)
	require.Equal(t, "2", c.came()[1].request)
	result, err = s.Delete(within(t), []byte("k"))
	require.NoError(t, err)
	require.Zero(t, result)
}

// An answer is definite or it is not, and an earlier try whose outcome is unknown leaves
// the whole unknown, unless what answers is what the servers remember of the request.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	notFound := say(api.CodeNotFound)
	for name, test := range map[string]struct {
		script  []fault
		outcome error
	}{
		"bad request":                  {[]fault{say(api.CodeBadRequest)}, ErrNotApplied},
		"too large":                    {[]fault{say(api.CodeTooLarge)}, ErrNotApplied},
		"not found":                    {[]fault{notFound}, ErrNotApplied},
		"refused":                      {[]fault{say(api.CodeRefused)}, ErrNotApplied},
		"mismatch":                     {[]fault{say(api.CodeMismatch)}, ErrNotApplied},
		"superseded":                   {[]fault{say(api.CodeSuperseded)}, ErrAmbiguous},
		"of a later version":           {[]fault{say("out_of_cheese")}, ErrAmbiguous},
		"unavailable, bad request":     {[]fault{say(api.CodeUnavailable), say(api.CodeBadRequest)}, ErrNotApplied},
		"internal, bad request":        {[]fault{say(api.CodeInternal), say(api.CodeBadRequest)}, ErrNotApplied},
		"ambiguous, bad request":       {[]fault{say(api.CodeAmbiguous), say(api.CodeBadRequest)}, ErrAmbiguous},
		"dropped, bad request":         {[]fault{drop, say(api.CodeBadRequest)}, ErrAmbiguous},
		"dropped, unavailable, found":  {[]fault{drop, say(api.CodeUnavailable), notFound}, ErrAmbiguous},
		"dropped, mismatch":            {[]fault{drop, say(api.CodeMismatch)}, ErrNotApplied},
		"dropped, forgotten":           {[]fault{drop, say(api.CodeUnknownClient)}, ErrAmbiguous},
		"ambiguous, forgotten":         {[]fault{say(api.CodeAmbiguous), say(api.CodeUnknownClient)}, ErrAmbiguous},
		"unavailable then superseded":  {[]fault{say(api.CodeUnavailable), say(api.CodeSuperseded)}, ErrAmbiguous},
		"garbage, then a bad request":  {[]fault{garbage(200, "[]"), say(api.CodeBadRequest)}, ErrAmbiguous},
		"no server, then bad request":  {[]fault{garbage(404, "404 page not found"), say(api.CodeBadRequest)}, ErrAmbiguous},
		"an error without a code":      {[]fault{garbage(400, "{}"), say(api.CodeBadRequest)}, ErrAmbiguous},
		"a redirect that nobody knows": {[]fault{garbage(302, ""), say(api.CodeBadRequest)}, ErrAmbiguous},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			s := c.registered(c.client(nil))
			c.play(test.script...)
			_, err := s.CompareAndSet(within(t), []byte("k"), api.Expect{Absent: true}, []byte("v"))
			require.Equal(t, test.outcome, outcome(t, err), "%v", err)
			said := new(api.Error)
			require.ErrorAs(t, err, &said)
			require.Equal(t, said.Code == api.CodeMismatch, errors.Is(err, ErrMismatch))
			require.Len(t, writes(c.came()), len(test.script))

			_, err = s.Put(within(t), []byte("k"), []byte("next"))
			require.NoError(t, err, "the session goes on")
		})
	}
}

// A session that the servers forgot registers anew. The request goes again under the new ID
// if nothing can have been applied of it, and else is ambiguous: it would be another write.
func TestForgottenSession(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	s := c.registered(c.client(nil))
	_, err := s.Put(within(t), []byte("k"), []byte("before"))
	require.NoError(t, err)

	c.forget()
	c.play(say(api.CodeUnavailable)) // which is certain
	_, err = s.Put(within(t), []byte("k"), []byte("first try"))
	require.NoError(t, err)
	require.Equal(t, 1, c.times("first try"))
	require.Len(t, c.came(), 4, "unavailable, unknown, registered, done")

	c.play(func(w http.ResponseWriter, r *http.Request, serve http.Handler) {
		c.forgetAfter(serve, r)
		panic(http.ErrAbortHandler)
	})
	_, err = s.Put(within(t), []byte("k"), []byte("second try"))
	require.Equal(t, ErrAmbiguous, outcome(t, err))
	require.Equal(t, 1, c.times("second try"))
	_, err = s.Put(within(t), []byte("k"), []byte("after"))
	require.NoError(t, err)
	require.Equal(t, 1, c.times("after"))
}

func (c *cluster) forgetAfter(serve http.Handler, r *http.Request) {
	serve.ServeHTTP(httptest.NewRecorder(), r)
	c.forget()
}

// A session that finds a higher number than its own at the servers shares its ID with
// somebody, and takes another: all its requests would be superseded.
func TestSupersededSession(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	s := c.registered(c.client(nil))
	c.clients[s.id].number = 1000
	_, err := s.Put(within(t), []byte("k"), []byte("v"))
	require.Equal(t, ErrAmbiguous, outcome(t, err))
	_, err = s.Put(within(t), []byte("k"), []byte("w"))
	require.NoError(t, err)
}

// When the context ends, a write is ambiguous if any try may have been applied, and certain
// not to have been otherwise; the error is that of the context, too.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault   fault
		outcome error
	}{
		"unavailable": {say(api.CodeUnavailable), ErrNotApplied},
		"ambiguous":   {say(api.CodeAmbiguous), ErrAmbiguous},
		"dropped":     {drop, ErrAmbiguous},
		"applied":     {serveThenDrop, ErrAmbiguous},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			client := c.client(nil)
			client.Close() // which asks for nothing meanwhile
			s := c.registered(client)
			c.play(test.fault, test.fault, test.fault)
			_, err := s.Put(cutShort(t, client, 3), []byte("k"), []byte("v"))
			require.Equal(t, test.outcome, outcome(t, err))
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.Len(t, c.came(), 3)
		})
	}
	t.Run("before the first try", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, 1)
		s := c.registered(c.client(nil))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		c.play()
		_, err := s.Put(ended, []byte("k"), []byte("v"))
		require.Equal(t, ErrNotApplied, outcome(t, err))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, c.came())
	})
	t.Run("while another request is made", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, 1)
		s := c.registered(c.client(nil))
		<-s.turn
		_, err := s.Put(briefly(t), []byte("k"), []byte("v"))
		require.Equal(t, ErrNotApplied, outcome(t, err))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("during a try", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, 2)
		s := c.registered(c.client(nil))
		ctx, cancel := context.WithCancel(t.Context())
		c.play(endThenHang(cancel))
		_, err := s.Put(ctx, []byte("k"), []byte("v"))
		require.Equal(t, ErrAmbiguous, outcome(t, err))
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("no server", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, 2)
		client := c.client(nil)
		s := client.Session()
		s.id = 1 // no connection was ever made
		for _, server := range c.servers {
			server.Close()
		}
		_, err := s.Put(briefly(t), []byte("k"), []byte("v"))
		require.Equal(t, ErrNotApplied, outcome(t, err), "a connection that was refused carried nothing")
	})
	t.Run("while it registers", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, 2)
		s := c.client(nil).Session()
		c.mu.Lock()
		c.chance = func(*http.Request) fault { return serveThenDrop }
		c.mu.Unlock()
		_, err := s.Put(briefly(t), []byte("k"), []byte("v"))
		require.Equal(t, ErrNotApplied, outcome(t, err))
		require.Zero(t, c.times("v"))
	})
}

// Once a later write of a session succeeded, an ambiguous one before it can take effect no
// more: its number is not used again, so a try that comes late is superseded.
func TestLateTryIsSuperseded(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	s := c.registered(c.client(nil))
	var late *http.Request
	var server http.Handler
	ctx, cancel := context.WithCancel(t.Context())
	c.play(func(_ http.ResponseWriter, r *http.Request, serve http.Handler) {
		late, server = r.Clone(context.Background()), serve
		cancel()
		panic(http.ErrAbortHandler)
	})
	_, err := s.Put(ctx, []byte("k"), []byte("early"))
	require.Equal(t, ErrAmbiguous, outcome(t, err))
	require.ErrorIs(t, err, context.Canceled)

	_, err = s.Put(within(t), []byte("k"), []byte("later"))
	require.NoError(t, err)
	w := httptest.NewRecorder()
	server.ServeHTTP(w, late)
	require.Contains(t, w.Body.String(), api.CodeSuperseded)
	require.Zero(t, c.times("early"))
	require.Equal(t, 1, c.times("later"))
}

// The condition of a compare-and-set that does not hold is told with the key's revision, and a
// value that is nil is an empty one.
func TestCompareAndSet(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	client := c.client(nil)
	first, err := client.CompareAndSet(within(t), []byte("k"), api.Expect{Absent: true}, nil)
	require.NoError(t, err)
	_, err = client.CompareAndSet(within(t), []byte("k"), api.Expect{Absent: true}, []byte("2"))
	require.ErrorIs(t, err, ErrMismatch)
	require.Equal(t, ErrNotApplied, outcome(t, err))
	said := new(api.Error)
	require.ErrorAs(t, err, &said)
	require.Equal(t, first, said.Revision)
	_, err = client.CompareAndSet(within(t), []byte("k"), api.Expect{Value: api.Text{}}, []byte("3"))
	require.NoError(t, err)
	e, err := client.Get(within(t), []byte("k"), "")
	require.NoError(t, err)
	require.Equal(t, "3", e.Value.String())
}

// Writes of the client at the same time each have a session, and one after the other share one:
// the servers remember a bounded number.
func TestPool(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	client := c.client(nil)
	for range 5 {
		_, err := client.Put(within(t), []byte("k"), []byte("v"))
		require.NoError(t, err)
	}
	require.Len(t, client.idle, 1)

	arrived, release := make(chan struct{}), make(chan struct{})
	c.mu.Lock()
	c.chance = func(r *http.Request) fault {
		if r.Method != http.MethodDelete {
			return nil
		}
		return func(w http.ResponseWriter, r *http.Request, serve http.Handler) {
			arrived <- struct{}{}
			<-release
			serve.ServeHTTP(w, r)
		}
	}
	c.mu.Unlock()
	done := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := client.Delete(within(t), []byte("k"))
			done <- err
		}()
	}
	for range 3 {
		select {
		case <-arrived:
		case <-time.After(10 * time.Second):
			t.Fatal("writes wait for each other")
		}
	}
	close(release)
	for range 3 {
		require.NoError(t, <-done)
	}
	require.Len(t, client.idle, 3)
}
