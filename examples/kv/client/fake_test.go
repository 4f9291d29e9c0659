package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// cluster is some servers over one map, which apply a request with an ID once.
type cluster struct {
	t       *testing.T
	servers []*httptest.Server
	stop    chan struct{} // ends what hangs

	mu       sync.Mutex
	revision uint64
	keys     map[string]api.Entry
	clients  map[uint64]*remembered
	log      []api.Event
	more     chan struct{} // closed when there are more events
	// applied counts how often each value was put.
	applied map[string]int
	// members are what every server tells of.
	members []api.Member
	// history is from where on each server can tell a watch.
	history map[int]uint64

	// tries are the requests that came, but those for the members.
	tries []seen
	// script are faults of the next tries; chance makes those after.
	script []fault
	chance func(r *http.Request) fault
}

// remembered is the last request of a client.
type remembered struct {
	number uint64
	answer any
	err    *api.Error
}

// seen is a request that came to a server.
type seen struct {
	server          int
	method, target  string
	client, request string
	body            string
}

func newCluster(t *testing.T, n int) *cluster {
	c := &cluster{t: t, stop: make(chan struct{}), keys: map[string]api.Entry{}, clients: map[uint64]*remembered{},
		applied: map[string]int{}, more: make(chan struct{}), history: map[int]uint64{}}
	for i := range n {
		s := httptest.NewUnstartedServer(c.handler(i))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Start()
		c.servers = append(c.servers, s)
		c.members = append(c.members, api.Member{ID: uint64(i + 1), Role: api.RoleVoter, Addresses: api.Addresses{Client: s.URL}})
	}
	t.Cleanup(func() {
		close(c.stop)
		for _, s := range c.servers {
			s.CloseClientConnections()
			s.Close()
		}
	})
	return c
}

// client returns a client of the servers; change may be nil.
func (c *cluster) client(change func(*Config)) *Client {
	var config Config
	for _, s := range c.servers {
		config.Endpoints = append(config.Endpoints, s.URL)
	}
	if change != nil {
		change(&config)
	}
	client, err := New(config)
	require.NoError(c.t, err)
	c.t.Cleanup(client.Close)
	return client
}

// play makes faults of the next tries; nil is none.
func (c *cluster) play(faults ...fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.script, c.tries = faults, nil
}

// came returns the tries since play.
func (c *cluster) came() []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.tries)
}

// times returns how often a value was put.
func (c *cluster) times(value string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.applied[value]
}

// forget makes the servers forget all clients.
func (c *cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.clients)
}

func (c *cluster) handler(server int) http.Handler {
	serve := c.mux(server)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/v1/members" {
			serve.ServeHTTP(w, r) // the client asks when it likes
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if f := c.next(server, r, string(body)); f != nil {
			f(w, r, serve)
			return
		}
		serve.ServeHTTP(w, r)
	})
}

// next takes note of a try, and returns its fault.
func (c *cluster) next(server int, r *http.Request, body string) fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries = append(c.tries, seen{server: server, method: r.Method, target: r.RequestURI, body: body,
		client: r.Header.Get(api.ClientHeader), request: r.Header.Get(api.RequestHeader)})
	if len(c.script) > 0 {
		f := c.script[0]
		c.script = c.script[1:]
		return f
	}
	if c.chance != nil {
		return c.chance(r)
	}
	return nil
}

func fail(w http.ResponseWriter, e *api.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.Status())
	_ = json.NewEncoder(w).Encode(e)
}

// answer writes what is no error, or the error.
func answer(w http.ResponseWriter, v any, e *api.Error) {
	if e != nil {
		fail(w, e)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (c *cluster) mux(server int) *http.ServeMux {
	m := http.NewServeMux()
	// {key} would not match a key that is nothing but a slash.
	m.HandleFunc("GET /v1/kv/{key...}", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		e, found := c.keys[r.PathValue("key")]
		if !found {
			fail(w, api.Errorf(api.CodeNotFound, "no such key"))
			return
		}
		answer(w, e, nil)
	})
	m.HandleFunc("PUT /v1/kv/{key...}", func(w http.ResponseWriter, r *http.Request) {
		value, _ := io.ReadAll(r.Body)
		c.once(w, r, func() (any, *api.Error) { return c.put(r.PathValue("key"), value), nil })
	})
	m.HandleFunc("DELETE /v1/kv/{key...}", func(w http.ResponseWriter, r *http.Request) {
		c.once(w, r, func() (any, *api.Error) {
			key := r.PathValue("key")
			if _, found := c.keys[key]; !found {
				return api.DeleteResult{}, nil
			}
			delete(c.keys, key)
			c.event(api.Event{Key: api.Text(key), Revision: c.revision, Deleted: true})
			return api.DeleteResult{Existed: true, Revision: c.revision}, nil
		})
	})
	m.HandleFunc("POST /v1/cas", func(w http.ResponseWriter, r *http.Request) {
		var cas api.CompareAndSet
		if json.NewDecoder(r.Body).Decode(&cas) != nil || cas.Value == nil {
			fail(w, api.Errorf(api.CodeBadRequest, "not a compare-and-set"))
			return
		}
		c.once(w, r, func() (any, *api.Error) {
			e, found := c.keys[string(cas.Key)]
			holds := cas.Expect.Absent && !found || cas.Expect.Revision > 0 && e.Revision == cas.Expect.Revision ||
				cas.Expect.Value != nil && found && bytes.Equal(e.Value, cas.Expect.Value)
			if !holds {
				return nil, &api.Error{Code: api.CodeMismatch, Message: "no", Revision: e.Revision}
			}
			return c.put(string(cas.Key), cas.Value), nil
		})
	})
	m.HandleFunc("POST /v1/clients", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.revision++
		c.clients[c.revision] = &remembered{}
		answer(w, api.Client{Client: c.revision}, nil)
	})
	m.HandleFunc("GET /v1/kv", c.page)
	m.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) { c.watch(server, w, r) })
	membership := func(w http.ResponseWriter, _ *http.Request) { answer(w, c.membership(), nil) }
	m.HandleFunc("GET /v1/members", membership)
	m.HandleFunc("PUT /v1/members/{id}", membership)
	m.HandleFunc("DELETE /v1/members/{id}", membership)
	m.HandleFunc("POST /v1/members/{id}/promote", membership)
	m.HandleFunc("POST /v1/members/{id}/replace", membership)
	joined := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.Joined{ID: 9, Membership: c.membership()}, nil)
	}
	m.HandleFunc("POST /v1/members", joined)
	m.HandleFunc("POST /v1/join", joined)
	status := func(w http.ResponseWriter, _ *http.Request) { answer(w, api.Status{ID: uint64(server + 1)}, nil) }
	m.HandleFunc("GET /v1/status", status)
	m.HandleFunc("POST /v1/transfer", status)
	m.HandleFunc("GET /v1/membership", membership)
	m.HandleFunc("PUT /v1/membership", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.TargetSet{Version: 17, Membership: c.membership()}, nil)
	})
	m.HandleFunc("POST /v1/membership/plan", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.MembershipPlan{Version: 16, Before: api.Resilience{Quorums: []int{2}, Failures: 1}}, nil)
	})
	m.HandleFunc("DELETE /v1/membership", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.Outcome{Version: 17, Result: api.ResultAborted, Reason: "cancelled"}, nil)
	})
	pending := 2
	m.HandleFunc("GET /v1/membership/outcome", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		o := api.Outcome{Version: 17, Result: api.ResultReached}
		if pending--; pending >= 0 {
			o.Result = api.ResultPending
		}
		answer(w, o, nil)
	})
	m.HandleFunc("/v1/repair", func(w http.ResponseWriter, r *http.Request) {
		answer(w, api.Repair{Enabled: true, Paused: r.Method == http.MethodPost}, nil)
	})
	return m
}

func (c *cluster) membership() api.Membership {
	c.mu.Lock()
	defer c.mu.Unlock()
	return api.Membership{Members: slices.Clone(c.members)}
}

// once applies a request, unless it has an ID that says that it must not be.
func (c *cluster) once(w http.ResponseWriter, r *http.Request, apply func() (any, *api.Error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, _ := strconv.ParseUint(r.Header.Get(api.ClientHeader), 10, 64)
	number, _ := strconv.ParseUint(r.Header.Get(api.RequestHeader), 10, 64)
	last, known := c.clients[id]
	switch {
	case number == 0:
		fail(w, api.Errorf(api.CodeBadRequest, "a write without an ID"))
		return
	case !known:
		fail(w, api.Errorf(api.CodeUnknownClient, "client %d", id))
		return
	case number < last.number:
		fail(w, api.Errorf(api.CodeSuperseded, "request %d, after %d", number, last.number))
		return
	case number > last.number:
		c.revision++
		last.number = number
		last.answer, last.err = apply()
	}
	answer(w, last.answer, last.err)
}

func (c *cluster) put(key string, value []byte) api.WriteResult {
	e := api.Entry{Key: api.Text(key), Value: api.Text(value), Revision: c.revision}
	c.keys[key] = e
	c.applied[string(value)]++
	c.event(api.Event{Key: e.Key, Value: e.Value, Revision: c.revision})
	return api.WriteResult{Revision: c.revision}
}

func (c *cluster) event(e api.Event) {
	c.log = append(c.log, e)
	close(c.more)
	c.more = make(chan struct{})
}

// page answers with two keys at most.
func (c *cluster) page(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := r.URL.Query()
	limit := 2
	if l, err := strconv.Atoi(q.Get("limit")); err == nil {
		limit = l
	}
	keys := Keys{From: []byte(q.Get("from")), To: []byte(q.Get("to"))}
	page := api.Page{Revision: c.revision, Entries: []api.Entry{}}
	for _, e := range c.keys {
		if keys.contain(e.Key) {
			page.Entries = append(page.Entries, e)
		}
	}
	slices.SortFunc(page.Entries, func(a, b api.Entry) int { return bytes.Compare(a.Key, b.Key) })
	if len(page.Entries) > limit {
		page.Next = page.Entries[limit].Key
		page.Entries = page.Entries[:limit]
	}
	answer(w, page, nil)
}

// watch answers with a line for each event.
func (c *cluster) watch(server int, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	since, _ := strconv.ParseUint(q.Get("since"), 10, 64)
	keys := Keys{From: []byte(q.Get("from")), To: []byte(q.Get("to"))}
	c.mu.Lock()
	from := c.history[server]
	c.mu.Unlock()
	if since < from {
		fail(w, &api.Error{Code: api.CodeCompacted, Message: "too old", Revision: from})
		return
	}
	lines := json.NewEncoder(w)
	w.(http.Flusher).Flush()
	for {
		c.mu.Lock()
		var events []api.Event
		for _, e := range c.log {
			if e.Revision > since && keys.contain(e.Key) {
				events = append(events, e)
			}
		}
		more := c.more
		c.mu.Unlock()
		for _, e := range events {
			if lines.Encode(api.Changes{Events: []api.Event{e}, Through: e.Revision}) != nil {
				return
			}
			w.(http.Flusher).Flush()
			since = e.Revision
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		case <-c.stop:
			return
		}
	}
}

// within returns a context of a call that must succeed.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// briefly returns a context of a call that cannot succeed.
func briefly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// cutShort returns a context that ends when the client has got the n-th answer, or none: after
// the try, and before the next.
func cutShort(t *testing.T, c *Client, n int) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c.http.Transport = &shortener{RoundTripper: c.http.Transport, left: n, cancel: cancel}
	return ctx
}

type shortener struct {
	http.RoundTripper
	left   int
	cancel func()
}

func (s *shortener) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		whole, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(whole))
	}
	if s.left--; s.left == 0 {
		s.cancel()
	}
	return resp, err
}

// writes returns those tries that are writes with an ID.
func writes(tries []seen) (w []seen) {
	for _, s := range tries {
		if s.method != http.MethodGet && !strings.HasPrefix(s.target, "/v1/clients") {
			w = append(w, s)
		}
	}
	return w
}
