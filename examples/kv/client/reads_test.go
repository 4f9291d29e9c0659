package client

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Any bytes are a key of their own: a mux that cleans paths must not take one for another.
func TestKeys(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	client := c.client(nil)
	keys := []string{"a", "a//b", "a/b", "/", "//", ".", "..", "...", "./.", "../x", "ü", "%2F", "%", "\xff", " ", "+", "?", "#",
		"a?b=c&d", "\x00", "\n", ";", ":", "promote", "%2E%2E"}
	for _, key := range keys {
		_, err := client.Put(within(t), []byte(key), []byte("value of "+key))
		require.NoError(t, err, "%q", key)
	}
	require.Len(t, c.keys, len(keys))
	for _, key := range keys {
		e, err := client.Get(within(t), []byte(key), api.Linearizable)
		require.NoError(t, err, "%q", key)
		require.Equal(t, key, e.Key.String())
		require.Equal(t, "value of "+key, e.Value.String())
		_, err = client.CompareAndSet(within(t), []byte(key), api.Expect{Revision: e.Revision}, []byte("\xff\x00"))
		require.NoError(t, err, "%q", key)
		page, err := client.Range(within(t), Keys{From: []byte(key)}, 1, "")
		require.NoError(t, err, "%q", key)
		require.Equal(t, key, page.Entries[0].Key.String())
		require.Equal(t, "\xff\x00", page.Entries[0].Value.String())
	}
	for _, key := range keys {
		result, err := client.Delete(within(t), []byte(key))
		require.NoError(t, err, "%q", key)
		require.True(t, result.Existed, "%q", key)
	}
	require.Empty(t, c.keys)
}

// An empty key is refused here: its path would be that of something else.
func TestEmptyKey(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	client := c.client(nil)
	_, err := client.Get(within(t), nil, "")
	require.ErrorContains(t, err, "must not be empty")
	_, err = client.Put(within(t), nil, nil)
	require.Equal(t, ErrNotApplied, outcome(t, err))
	_, err = client.Delete(within(t), nil)
	require.Equal(t, ErrNotApplied, outcome(t, err))
	_, err = client.CompareAndSet(within(t), []byte{}, api.Expect{Absent: true}, nil)
	require.Equal(t, ErrNotApplied, outcome(t, err))
	said := new(api.Error)
	require.ErrorAs(t, err, &said)
	require.Empty(t, c.came())
}

// A read is tried again after whatever may be better elsewhere, and not after what is certain.
func TestReadsRetry(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	client := c.client(nil)
	_, err := client.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	c.play(drop, say(api.CodeUnavailable), say(api.CodeAmbiguous), say(api.CodeInternal),
		garbage(http.StatusOK, `{"key":"other","value":"v","revision":7}`), garbage(http.StatusNotFound, "404 page not found"))
	e, err := client.Get(within(t), []byte("k"), api.Lease)
	require.NoError(t, err)
	require.Equal(t, "v", e.Value.String())
	tries := c.came()
	require.GreaterOrEqual(t, len(tries), 7) // net/http repeats a read by itself, too
	require.Equal(t, "/v1/kv/k?consistency=lease", tries[0].target)

	c.play()
	_, err = client.Get(within(t), []byte("absent"), "")
	require.ErrorIs(t, err, ErrNotFound)
	require.Len(t, c.came(), 1)
	c.play(say(api.CodeBadRequest))
	_, err = client.Range(within(t), Keys{}, -1, "")
	said := new(api.Error)
	require.ErrorAs(t, err, &said)
	require.Equal(t, api.CodeBadRequest, said.Code)
	require.Equal(t, "/v1/kv?limit=-1", c.came()[0].target)

	ctx, cancel := context.WithCancel(t.Context())
	c.play(say(api.CodeUnavailable), endThenHang(cancel))
	_, err = client.Get(ctx, []byte("k"), "")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorAs(t, err, &said)
	require.Equal(t, api.CodeUnavailable, said.Code, "the error says what stood in the way")
}

// All pages together are all keys, once each, in order, and it can be stopped in between.
func TestRangeAll(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	client := c.client(nil)
	for i := range 7 {
		_, err := client.Put(within(t), fmt.Appendf(nil, "a%d", i), []byte("v"))
		require.NoError(t, err)
	}
	for _, key := range []string{"Z", "b"} {
		_, err := client.Put(within(t), []byte(key), []byte("v"))
		require.NoError(t, err)
	}
	var keys []string
	for page, err := range client.RangeAll(within(t), Prefix([]byte("a")), api.Stale) {
		require.NoError(t, err)
		for _, e := range page.Entries {
			keys = append(keys, e.Key.String())
		}
	}
	require.Equal(t, []string{"a0", "a1", "a2", "a3", "a4", "a5", "a6"}, keys)
	c.play()
	for _, err := range client.RangeAll(within(t), Keys{}, "") {
		require.NoError(t, err)
		break
	}
	require.Len(t, c.came(), 1)
	c.play(nil, say(api.CodeBadRequest))
	var errs []error
	for _, err := range client.RangeAll(within(t), Keys{}, "") {
		errs = append(errs, err)
	}
	require.Len(t, errs, 2)
	require.NoError(t, errs[0])
	require.Error(t, errs[1])
}

// A page that leads back, or is of other keys, is none: it would be read for ever.
func TestPagesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, page := range []string{
		`{"entries":[{"key":"b"},{"key":"a"}]}`, `{"entries":[{"key":"a"},{"key":"a"}]}`,
		`{"entries":[{"key":"z"}]}`, `{"entries":[{"key":"0"}]}`,
		`{"entries":[{"key":"b"}],"next":"b"}`, `{"entries":[],"next":"a"}`, `{"entries":[],"next":""}`,
	} {
		c := newCluster(t, 1)
		c.play(garbage(http.StatusOK, page))
		got, err := c.client(nil).Range(within(t), Keys{From: []byte("a"), To: []byte("y")}, 0, "")
		require.NoError(t, err)
		require.Empty(t, got.Entries)
		require.Len(t, c.came(), 2, "%s", page)
	}
}

// A prefix ends where the next one begins, if there is one.
func TestPrefix(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ prefix, to string }{
		{"", ""}, {"a", "b"}, {"a\xff", "b"}, {"a\x00", "a\x01"}, {"\xff\xff", ""}, {"\xfe\xff", "\xff"},
	} {
		keys := Prefix([]byte(test.prefix))
		require.Equal(t, test.prefix, string(keys.From))
		require.Equal(t, test.to, string(keys.To))
	}
}
