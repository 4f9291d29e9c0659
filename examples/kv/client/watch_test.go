package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// cutter ends an answer after so many bytes, in the middle of a line perhaps.
type cutter struct {
	http.ResponseWriter
	left int
}

func (w *cutter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		_, _ = w.ResponseWriter.Write(b[:len(b)+w.left])
		w.Flush()
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(b)
}

func (w *cutter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

func cutAfter(bytes int) fault {
	return func(w http.ResponseWriter, r *http.Request, serve http.Handler) {
		serve.ServeHTTP(&cutter{w, bytes}, r)
	}
}

var errEnough = errors.New("enough")

// collect watches all keys until there were n events, and returns their revisions.
func collect(ctx context.Context, c *Client, since uint64, n int) (revisions []uint64, err error) {
	err = c.Watch(ctx, Keys{}, since, func(changes api.Changes) error {
		for _, e := range changes.Events {
			revisions = append(revisions, e.Revision)
		}
		if len(revisions) >= n {
			return errEnough
		}
		return nil
	})
	return revisions, err
}

// A watch misses nothing and tells nothing twice, however often the connection ends, wherever
// in a line that is, and whichever servers it goes on at.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	client := c.client(nil)
	c.mu.Lock()
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	c.chance = func(r *http.Request) fault {
		if r.URL.Path != "/v1/watch" {
			return nil
		}
		switch n := random.IntN(10); n {
		case 0:
			return say(api.CodeUnavailable)
		case 1:
			return garbage(http.StatusOK, `{"through":1,"error":{"code":"unavailable","message":"stopping"}}`+"\n")
		default:
			return cutAfter(random.IntN(2000))
		}
	}
	c.mu.Unlock()
	const n = 150
	var writer sync.WaitGroup
	writer.Go(func() {
		s := client.Session()
		for i := range n {
			if _, err := s.Put(within(t), fmt.Appendf(nil, "%d", i%7), []byte("v")); err != nil {
				t.Error(err)
			}
		}
	})
	revisions, err := collect(within(t), client, 0, n)
	writer.Wait()
	require.ErrorIs(t, err, errEnough)
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(t, revisions, n)
	for i, e := range c.log {
		require.Equal(t, e.Revision, revisions[i])
	}
}

// Only the keys that were asked for are told of, and lines that make no sense are not told:
// the watch goes on elsewhere, from where it was.
func TestWatchLines(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	client := c.client(nil)
	for _, key := range []string{"a", "b", "c"} {
		_, err := client.Put(within(t), []byte(key), []byte("v"))
		require.NoError(t, err)
	}
	for name, lines := range map[string]string{
		"garbage":            "{\n",
		"empty":              "",
		"goes back":          `{"events":[],"through":1}` + "\n",
		"old event":          `{"events":[{"key":"b","revision":2}],"through":3}` + "\n",
		"event beyond":       `{"events":[{"key":"b","revision":9}],"through":8}` + "\n",
		"events out of turn": `{"events":[{"key":"b","revision":5},{"key":"b","revision":4}],"through":8}` + "\n",
		"another key":        `{"events":[{"key":"c","revision":4}],"through":8}` + "\n",
	} {
		c.play(garbage(http.StatusOK, lines))
		var got []api.Changes
		err := client.Watch(within(t), Prefix([]byte("b")), 2, func(changes api.Changes) error {
			got = append(got, changes)
			return errEnough
		})
		require.Equal(t, errEnough, err, "%s: the error of the function is returned as it is", name)
		require.Len(t, got, 1, name)
		require.Len(t, got[0].Events, 1, name)
		require.Equal(t, uint64(3), got[0].Events[0].Revision, name)
		require.Equal(t, "/v1/watch?from=b&since=2&to=c", c.came()[0].target)
	}

	ctx, cancel := context.WithCancel(t.Context())
	c.play(garbage(http.StatusOK, `{"events":[],"through":7}`+"\n"), endThenHang(cancel))
	var through uint64
	err := client.Watch(ctx, Keys{}, 5, func(changes api.Changes) error {
		through = changes.Through
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, uint64(7), through, "lines without events are told of, too")
	require.Equal(t, "/v1/watch?since=7", c.came()[1].target)
}

// A watch whose history is gone on one server asks the others, which may have it; when none
// has, the caller is told to read anew. An error that is certain ends a watch, too.
func TestWatchCompacted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	client := c.client(nil)
	_, err := client.Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	c.history = map[int]uint64{0: 5, 1: 6}
	revisions, err := collect(within(t), client, 0, 1)
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, []uint64{2}, revisions)

	c.mu.Lock()
	c.history[2] = 7
	c.mu.Unlock()
	_, err = collect(within(t), client, 0, 1)
	require.ErrorIs(t, err, ErrCompacted)
	said := new(api.Error)
	require.ErrorAs(t, err, &said)
	require.NotZero(t, said.Revision)

	// A server that had it once may have it again, after a line of another.
	c.mu.Lock()
	c.history = nil
	c.mu.Unlock()
	line := garbage(http.StatusOK, `{"events":[],"through":1}`+"\n")
	c.play(say(api.CodeCompacted), line, line, say(api.CodeCompacted))
	revisions, err = collect(within(t), client, 0, 1)
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, []uint64{2}, revisions)
	require.Len(t, c.came(), 5)

	c.play(garbage(http.StatusOK, `{"error":{"code":"bad_request","message":"no"}}`+"\n"))
	_, err = collect(within(t), client, 9, 1)
	require.ErrorAs(t, err, &said)
	require.Equal(t, api.CodeBadRequest, said.Code)
}

// A server that sends nothing is left for another, and the end of the context is the end.
func TestWatchHangs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	client := c.client(func(config *Config) { config.Timeout = 25 * time.Millisecond })
	c.mu.Lock()
	c.put("k", []byte("v"))
	c.log[0].Revision, c.revision = 1, 1
	c.mu.Unlock()
	c.play(hang, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	revisions, err := collect(within(t), client, 0, 1)
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, []uint64{1}, revisions)
	require.GreaterOrEqual(t, len(c.came()), 3)

	_, err = collect(briefly(t), client, 1, 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = collect(ended, client, 1, 1)
	require.ErrorIs(t, err, context.Canceled)
}
