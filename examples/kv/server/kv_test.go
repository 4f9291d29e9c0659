package server

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
	"github.com/quorate-raft/raft/examples/kv/store"
)

// Any server takes any request for keys, and a read of any consistency but stale sees
// what was acknowledged by another before.
func TestAnyServerTakesAnyRequest(t *testing.T) {
	c := three(t)
	n := 0
	for _, writer := range c.servers {
		for _, reader := range c.servers {
			for _, consistency := range []api.Consistency{"", api.Linearizable, api.Lease} {
				n++
				value := strconv.Itoa(n)
				var wrote api.WriteResult
				status, failure := c.ask(writer, http.MethodPut, "/v1/kv/k", value, &wrote)
				require.Equal(t, 200, status, failure)
				var read api.Entry
				path := "/v1/kv/k?consistency=" + string(consistency)
				if consistency == "" {
					path = "/v1/kv/k"
				}
				status, failure = c.ask(reader, http.MethodGet, path, nil, &read)
				require.Equal(t, 200, status, failure)
				require.Equal(t, api.Entry{Key: api.Text("k"), Value: api.Text(value), Revision: wrote.Revision}, read)
			}
		}
	}
	// A stale read is one of what the server has, whatever that is.
	var read api.Entry
	status, _ := c.ask(c.follower(), http.MethodGet, "/v1/kv/k?consistency=stale", nil, &read)
	require.Equal(t, 200, status)
}

// A stale read needs nobody: a server that lost the others still answers it, and no other.
func TestStaleReadsWithoutAQuorum(t *testing.T) {
	c := three(t)
	_, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	last := c.leader()
	for id := range c.servers {
		if id != last.ID() {
			c.stop(id)
		}
	}
	var read api.Entry
	status, _ := c.ask(last, http.MethodGet, "/v1/kv/k?consistency=stale", nil, &read)
	require.Equal(t, 200, status)
	require.Equal(t, "v", string(read.Value))
	status, failure := c.ask(last, http.MethodGet, "/v1/kv/k", nil, nil)
	require.Equal(t, 503, status)
	require.Equal(t, api.CodeUnavailable, failure.Code)
	status, failure = c.ask(last, http.MethodPut, "/v1/kv/k", "w", nil)
	require.Contains(t, []int{503, 504}, status, failure)
	require.Equal(t, status == 504, failure.Code.Ambiguous())

	response, err := http.Get(last.Addresses().Client + "/readyz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 503, response.StatusCode, "ready means that clients get what they want")
	response, err = http.Get(last.Addresses().Client + "/healthz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 200, response.StatusCode, "there is nothing wrong with the process")
}

// A request that is sent again, to whatever server, has the outcome of the first time
// (dissertation §6.3).
func TestRequestsThatAreSentAgain(t *testing.T) {
	c := three(t)
	var registered api.Client
	status, failure := c.ask(c.leader(), http.MethodPost, "/v1/clients", nil, &registered)
	require.Equal(t, 200, status, failure)
	send := func(s *Server, method, path, body string, number uint64, answer any) (int, api.Error) {
		request, err := http.NewRequestWithContext(within(t), method, s.Addresses().Client+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set(api.ClientHeader, strconv.FormatUint(registered.Client, 10))
		request.Header.Set(api.RequestHeader, strconv.FormatUint(number, 10))
		return c.do(request, answer)
	}
	revisions := map[uint64]bool{}
	for _, s := range c.servers {
		var r api.WriteResult
		status, failure := send(s, http.MethodPost, "/v1/cas", `{"key":"n","expect":{"absent":true},"value":"1"}`, 1, &r)
		require.Equal(t, 200, status, failure)
		revisions[r.Revision] = true
	}
	require.Len(t, revisions, 1, "applied once")

	var r api.DeleteResult
	status, failure = send(c.leader(), http.MethodDelete, "/v1/kv/n", "", 2, &r)
	require.Equal(t, 200, status, failure)
	require.True(t, r.Existed)
	status, failure = send(c.leader(), http.MethodDelete, "/v1/kv/n", "", 2, &r)
	require.Equal(t, 200, status, failure)
	require.True(t, r.Existed, "as the first time, though it does not exist any more")
	status, failure = send(c.leader(), http.MethodPut, "/v1/kv/n", "1", 1, nil)
	require.Equal(t, 409, status)
	require.Equal(t, api.CodeSuperseded, failure.Code)
	registered.Client = 1
	status, failure = send(c.leader(), http.MethodPut, "/v1/kv/n", "1", 3, nil)
	require.Equal(t, 409, status)
	require.Equal(t, api.CodeUnknownClient, failure.Code)
}

// Keys and values are bytes: whatever they are, they come back as they were.
func TestKeysAndValuesAreBytes(t *testing.T) {
	c := newCluster(t)
	c.grow(1)
	cl := c.client()
	for i, key := range []string{"a", "a/b", "/", "//", ".", "..", "a/../b", "%2F", "%", "ü", "\xff\x00", " ", "?x=1", "#", "a+b", "{key}"} {
		value := []byte{byte(i), 0xff, 0}
		revision, err := cl.Put(within(t), []byte(key), value)
		require.NoError(t, err, "%q", key)
		e, err := cl.Get(within(t), []byte(key), api.Linearizable)
		require.NoError(t, err, "%q", key)
		require.Equal(t, api.Entry{Key: api.Text(key), Value: value, Revision: revision}, e)
	}
	_, err := cl.Put(within(t), []byte("empty"), nil)
	require.NoError(t, err)
	e, err := cl.Get(within(t), []byte("empty"), api.Linearizable)
	require.NoError(t, err)
	require.Equal(t, api.Text{}, e.Value)

	response, err := http.Get(c.leader().Addresses().Client + "/v1/kv/a%2Fb?raw=true")
	require.NoError(t, err)
	defer response.Body.Close()
	raw := new(bytes.Buffer)
	_, err = raw.ReadFrom(response.Body)
	require.NoError(t, err)
	require.Equal(t, []byte{1, 0xff, 0}, raw.Bytes())
	require.NotEmpty(t, response.Header.Get(api.RevisionHeader))
}

// What is wrong with a request is told with a code, a status, and what to do better;
// nothing is changed.
func TestRefusedRequests(t *testing.T) {
	c := newCluster(t)
	c.grow(1)
	s := c.leader()
	_, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	long := strings.Repeat("k", store.MaxKeySize+1)
	for _, refused := range []struct {
		method, path, body string
		status             int
		code               api.Code
		text               string
	}{
		{"GET", "/v1/kv/nothing", "", 404, api.CodeNotFound, `"nothing"`},
		{"GET", "/v1/kv/k?consistency=eventual", "", 400, api.CodeBadRequest, "linearizable"},
		{"GET", "/v1/kv/" + long, "", 404, api.CodeNotFound, "no key"},
		{"PUT", "/v1/kv/" + long, "v", 413, api.CodeTooLarge, "4096"},
		{"PUT", "/v1/kv/k", strings.Repeat("v", store.MaxValueSize+1), 413, api.CodeTooLarge, "too large"},
		{"POST", "/v1/kv/k", "v", 404, api.CodeNotFound, "POST"},
		{"GET", "/v2/kv/k", "", 404, api.CodeNotFound, "/v2/kv/k"},
		{"POST", "/v1/cas", `{"key":"k","expect":{},"value":"w"}`, 400, api.CodeBadRequest, "exactly one"},
		{"POST", "/v1/cas", `{"key":"k","expect":{"absent":true,"revision":1},"value":"w"}`, 400, api.CodeBadRequest, "exactly one"},
		{"POST", "/v1/cas", `{"key":"k","expect":{"absent":true},"value":"w"}`, 412, api.CodeMismatch, "condition"},
		{"POST", "/v1/cas", `{"key":"","expect":{"absent":true},"value":"w"}`, 413, api.CodeTooLarge, "1 to 4096"},
		{"POST", "/v1/cas", `{"key":"k","expect":{"absent":true},"value":"w","ttl":1}`, 400, api.CodeBadRequest, "ttl"},
		{"POST", "/v1/cas", `{"key":"k"`, 400, api.CodeBadRequest, "EOF"},
		{"POST", "/v1/cas", `{"key":"k","expect":{"absent":true},"value":"w"} {}`, 400, api.CodeBadRequest, "more than one"},
		{"GET", "/v1/kv?prefix=a&to=b", "", 400, api.CodeBadRequest, "prefix"},
		{"GET", "/v1/kv?limit=-1", "", 400, api.CodeBadRequest, "limit"},
		{"GET", "/v1/watch?since=x", "", 400, api.CodeBadRequest, "since"},
		{"GET", "/v1/watch?prefix=x;y", "", 400, api.CodeBadRequest, "query"},
		{"GET", "/v1/kv?prefix=%zz", "", 400, api.CodeBadRequest, "query"},
		{"GET", "/v1/kv?prefx=a", "", 400, api.CodeBadRequest, "prefx"},
		{"GET", "/v1/kv/k?consistency=stale;", "", 400, api.CodeBadRequest, "query"},
		{"POST", "/v1/cas", "{\"key\":\"caf\xe9\",\"expect\":{\"absent\":true},\"value\":\"w\"}", 400, api.CodeBadRequest, "UTF-8"},
		{"POST", "/v1/cas", `{"key":"k2","expect":{"absent":true}}`, 400, api.CodeBadRequest, "value"},
		{"DELETE", "/v1/members/9", "", 404, api.CodeNotFound, "9"},
		{"DELETE", "/v1/members/x", "", 400, api.CodeBadRequest, "number"},
		{"POST", "/v1/members", `{"peer":"nowhere"}`, 400, api.CodeBadRequest, "host:port"},
		{"POST", "/v1/members", `{"peer":"0.0.0.0:1"}`, 400, api.CodeBadRequest, "reach"},
		{"POST", "/v1/transfer", `{"to":9}`, 409, api.CodeRefused, "9"},
		{"DELETE", "/v1/members/1", "", 409, api.CodeRefused, ""},
	} {
		status, failure := c.ask(s, refused.method, refused.path, refused.body, nil)
		require.Equal(t, refused.status, status, "%s %.40s: %v", refused.method, refused.path, failure)
		require.Equal(t, refused.code, failure.Code, "%s %.40s: %v", refused.method, refused.path, failure)
		require.Contains(t, failure.Message, refused.text)
	}
	for _, headers := range []map[string]string{
		{api.ClientHeader: "x", api.RequestHeader: "1"}, {api.ClientHeader: "1"}, {api.RequestHeader: "1"},
	} {
		request, err := http.NewRequestWithContext(within(t), http.MethodPut, s.Addresses().Client+"/v1/kv/k", strings.NewReader("w"))
		require.NoError(t, err)
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		status, failure := c.do(request, nil)
		require.Equal(t, 400, status, failure)
	}
	e, err := c.client().Get(within(t), []byte("k"), api.Linearizable)
	require.NoError(t, err)
	require.Equal(t, "v", string(e.Value))
	require.Equal(t, []uint64{1}, s.voters(t))
}

// Ranges are in the order of keys, a page at a time, and a watch from the revision of the
// first page tells of all that comes after.
func TestRangesAndWatches(t *testing.T) {
	c := newCluster(t)
	c.grow(1)
	cl := c.client()
	for i := range 25 {
		_, err := cl.Put(within(t), []byte("a/"+strconv.Itoa(10+i)), []byte(strconv.Itoa(i)))
		require.NoError(t, err)
	}
	_, err := cl.Put(within(t), []byte("a0"), nil) // just after the prefix
	require.NoError(t, err)
	keys := client.Prefix([]byte("a/"))
	var got []string
	from := ""
	first := uint64(0)
	for {
		var page api.Page
		path := "/v1/kv?prefix=a/&limit=10"
		if from != "" {
			path += "&from=" + from
		}
		status, failure := c.ask(c.leader(), http.MethodGet, path, nil, &page)
		require.Equal(t, 200, status, failure)
		if first == 0 {
			first = page.Revision
		}
		for _, e := range page.Entries {
			got = append(got, string(e.Key))
		}
		if page.Next == nil {
			break
		}
		require.Len(t, page.Entries, 10)
		from = string(page.Next)
	}
	require.Len(t, got, 25)
	require.IsIncreasing(t, got)

	_, err = cl.Put(within(t), []byte("a/99"), []byte("new"))
	require.NoError(t, err)
	_, err = cl.Put(within(t), []byte("b"), []byte("elsewhere"))
	require.NoError(t, err)
	_, err = cl.Delete(within(t), []byte("a/10"))
	require.NoError(t, err)
	var events []api.Event
	stop := http.ErrAbortHandler // any error of one's own
	err = cl.Watch(within(t), keys, first, func(changes api.Changes) error {
		events = append(events, changes.Events...)
		if len(events) == 2 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.Equal(t, "a/99", string(events[0].Key))
	require.Equal(t, "new", string(events[0].Value))
	require.Equal(t, "a/10", string(events[1].Key))
	require.True(t, events[1].Deleted)
	require.Nil(t, events[1].Value)
}

// A watch from before what the server remembers says so, with the revision that it can go
// on from: it must not skip changes in silence.
func TestWatchFromBeforeTheHistory(t *testing.T) {
	c := newCluster(t)
	config := c.config("server1")
	s := c.start(config)
	cl := c.client()
	_, err := cl.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	c.stop(s.ID()) // the history is in memory
	s = c.start(config)
	_, err = c.client().Get(within(t), []byte("k"), api.Linearizable)
	require.NoError(t, err)
	err = c.client().Watch(within(t), client.Keys{}, 1, func(api.Changes) error { return nil })
	require.ErrorIs(t, err, client.ErrCompacted)
	var failure *api.Error
	require.ErrorAs(t, err, &failure)
	require.Greater(t, failure.Revision, uint64(1))
	_ = s
}
