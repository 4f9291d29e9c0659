package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// What is read of an answer at most. Pages and lines of a watch have 4 MiB of keys and values
// and one value more, and JSON may take six bytes for one.
const (
	smallAnswer = 1 << 20
	largeAnswer = 64 << 20
)

// request is what is asked of a server.
type request struct {
	method string
	// path is escaped. query may be empty.
	path  string
	query url.Values
	// body must not change any more: what was sent of an earlier try may still be read.
	body []byte
	raw  bool // body is a value, not JSON
	// client and number make it a request that is applied once; 0 if it has no ID.
	client, number uint64
	// once says that it is not tried again after an ambiguous try.
	once bool
	// limit is what is read of the answer at most. decode takes it, and refuses what
	// is none.
	limit  int64
	decode func(answer []byte) error
}

// into returns a decode that sets out to an answer that is valid, and nothing else to
// anything: what one try left behind must not shine through the answer to the next.
func into[T any](out *T, valid func(*T) bool) func([]byte) error {
	return func(answer []byte) error {
		var v T
		if err := json.Unmarshal(answer, &v); err != nil {
			return err
		}
		if !valid(&v) {
			return fmt.Errorf("%.100q makes no sense", answer)
		}
		*out = v
		return nil
	}
}

// keyPath returns the path of a key. A mux cleans paths, and would take a key of dots for a
// step in the path if they were not escaped too.
func keyPath(key []byte) string {
	escaped := url.PathEscape(string(key))
	if escaped == "." || escaped == ".." {
		escaped = strings.ReplaceAll(escaped, ".", "%2E")
	}
	return "/v1/kv/" + escaped
}

// try sends r to one server. It returns nil if there is a result.
func (c *Client) try(ctx context.Context, to endpoint, r *request) *failure {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, sent, err := c.send(ctx, to, r)
	if err != nil {
		return lost(err, sent)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, r.limit+1))
	switch {
	case err != nil:
		return lost(inTime(ctx, to.base, err), true)
	case int64(len(answer)) > r.limit:
		return lost(fmt.Errorf("%s: an answer of more than %d bytes", to.base, r.limit), true)
	case resp.StatusCode/100 != 2:
		return refusal(to, resp.StatusCode, answer)
	}
	if err := r.decode(answer); err != nil {
		return lost(fmt.Errorf("%s: %w", to.base, err), true)
	}
	return nil
}

// refusal reads an answer with a status other than 2xx. What is not an api.Error comes
// from something that is not a server, or from a proxy that may have passed the request on.
func refusal(from endpoint, status int, answer []byte) *failure {
	var e api.Error
	if status < 400 || json.Unmarshal(answer, &e) != nil || e.Code == "" {
		return lost(fmt.Errorf("%s: status %d, %.100q", from.base, status, answer), true)
	}
	return answered(from.base, &e)
}

// send sends r and returns the head of the answer. With an error, sent says whether
// some server may have got the request.
func (c *Client) send(ctx context.Context, to endpoint, r *request) (resp *http.Response, sent bool, err error) {
	// net/http sends a request again by itself, if none of it was written, and after a
	// redirect. Both make the tries before certain to have done nothing, and both
	// begin by getting a connection.
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { written.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { written.Store(true) },
	})
	address := to.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, false, err
	}
	if r.raw {
		req.Header.Set("Content-Type", "application/octet-stream")
	} else if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cluster != "" {
		req.Header.Set(api.ClusterHeader, c.cluster)
	}
	if r.client != 0 {
		req.Header.Set(api.ClientHeader, fmt.Sprint(r.client))
		req.Header.Set(api.RequestHeader, fmt.Sprint(r.number))
	}
	resp, err = c.http.Do(req)
	if err != nil && resp != nil {
		_ = resp.Body.Close() // of a redirect, and closed already
	}
	if err == nil {
		return resp, true, nil
	}
	where := to.base
	if failed := (*url.Error)(nil); errors.As(err, &failed) { // it says where, but with all of the key
		if u, parsed := url.Parse(failed.URL); parsed == nil {
			where = u.Scheme + "://" + u.Host
		}
		err = failed.Err
	}
	return nil, written.Load() && !errors.Is(err, errRedirect), inTime(ctx, where, err)
}

// inTime says where something failed. That it took too long is said in words: a caller that
// looks for an error of a context is to find its own.
func inTime(ctx context.Context, where string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: no answer in time", where)
	}
	return fmt.Errorf("%s: %w", where, err)
}
