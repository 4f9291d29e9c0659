package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Watch calls f with what changes of the keys after the revision since, in order, until
// ctx ends or f returns an error, which is then Watch's. Whichever servers fail meanwhile,
// it goes on where it was: no change is missed, none is told twice. f is also called
// without events, to be told how far there were none. A program that kept the Through of
// the last call goes on from there. Begin with the Revision of a Page.
//
// The servers remember a bounded number of changes. If since, or where a watch was that had
// been cut off for long, is before that on all that can be reached, the error matches
// ErrCompacted: read the keys anew. Otherwise it is that of ctx or f, or has an *api.Error.
//
// A server tells of what it has applied. One that is cut off from the others but not from
// the client tells of nothing for as long as that takes.
func (c *Client) Watch(ctx context.Context, keys Keys, since uint64, f func(api.Changes) error) error {
	w := &watch{c: c, keys: keys, since: since, f: f}
	what := fmt.Sprintf("watch %v from %d", keys, since)
	// compacted are the servers that cannot tell what comes next. Others may remember
	// more, so one that says it twice has seen all others asked.
	compacted := map[endpoint]bool{}
	for pauses := (backoff{}); ; {
		if ctx.Err() != nil {
			return ended(ctx, nil).readError(what)
		}
		at, before := c.endpoints.current(), w.lines
		failed := w.stream(ctx, at)
		if w.err != nil {
			return w.err
		}
		if ctx.Err() != nil {
			return ended(ctx, failed).readError(what)
		}
		if w.lines > before {
			pauses = backoff{}
			clear(compacted)
		}
		switch {
		case failed.code == api.CodeCompacted && !compacted[at]:
			compacted[at] = true
		case !failed.again:
			return failed.readError(what)
		}
		c.endpoints.fail(at)
		if !pauses.wait(ctx) {
			return ended(ctx, failed).readError(what)
		}
	}
}

// watch is a watch under way.
type watch struct {
	c    *Client
	keys Keys
	f    func(api.Changes) error
	// since is up to where f was told, lines how many lines it was.
	since uint64
	lines int
	// err is f's.
	err error
}

// stream watches one server until that fails, ctx ends or f returns an error.
func (w *watch) stream(ctx context.Context, at endpoint) *failure {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Lines come even if nothing changes: a server that sends none hangs. The time that f
	// takes is not the server's.
	patience := 4 * w.c.timeout
	idle := time.AfterFunc(patience, cancel)
	defer idle.Stop()

	q := w.keys.query()
	q.Set("since", strconv.FormatUint(w.since, 10))
	resp, _, err := w.c.send(ctx, at, &request{method: http.MethodGet, path: "/v1/watch", query: q})
	if err != nil {
		return lost(err, false)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, largeAnswer)
	if resp.StatusCode/100 != 2 {
		lines.Scan() // an error is one line
		return refusal(at, resp.StatusCode, lines.Bytes())
	}
	for lines.Scan() {
		idle.Stop()
		if failed := w.line(at, lines.Bytes()); failed != nil || w.err != nil {
			return failed
		}
		w.c.worked(at)
		idle.Reset(patience)
	}
	if err := lines.Err(); err != nil {
		return lost(inTime(ctx, at.base, err), false)
	}
	return lost(fmt.Errorf("%s: the watch ended", at.base), false)
}

// line hands a line to f, if it goes on where the last one ended.
func (w *watch) line(at endpoint, line []byte) *failure {
	var changes api.Changes
	if err := json.Unmarshal(line, &changes); err != nil {
		return lost(fmt.Errorf("%s: %w", at.base, err), false)
	}
	if changes.Error != nil {
		return answered(at.base, changes.Error)
	}
	last := w.since + 1 // one command makes changes of one revision
	for _, e := range changes.Events {
		if e.Revision < last || e.Revision > changes.Through || !w.keys.contain(e.Key) {
			return lost(fmt.Errorf("%s: an event of revision %d in a line from %d through %d", at.base, e.Revision, w.since, changes.Through), false)
		}
		last = e.Revision
	}
	if changes.Through < w.since {
		return lost(fmt.Errorf("%s: a line through %d after %d", at.base, changes.Through, w.since), false)
	}
	if w.err = w.f(changes); w.err == nil {
		w.since = changes.Through
		w.lines++
	}
	return nil
}
