package client

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Keys are those from From on and before To, byte by byte. An empty To is no end: the
// zero value is all keys.
type Keys struct{ From, To []byte }

// Prefix returns the keys that begin with prefix.
func Prefix(prefix []byte) Keys {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			to := bytes.Clone(prefix[:i+1])
			to[i]++
			return Keys{From: prefix, To: to}
		}
	}
	return Keys{From: prefix} // nothing but 0xff: there is no key after
}

func (k Keys) contain(key []byte) bool {
	return bytes.Compare(key, k.From) >= 0 && (len(k.To) == 0 || bytes.Compare(key, k.To) < 0)
}

func (k Keys) String() string { return fmt.Sprintf("[%.64q, %.64q)", k.From, k.To) }

func (k Keys) query() url.Values {
	q := url.Values{}
	if len(k.From) > 0 {
		q.Set("from", string(k.From))
	}
	if len(k.To) > 0 {
		q.Set("to", string(k.To))
	}
	return q
}

func consistent(q url.Values, consistency api.Consistency) url.Values {
	if consistency != "" {
		q.Set("consistency", string(consistency))
	}
	return q
}

// Get returns a key's value and the revision that wrote it. "" for consistency means
// api.Linearizable. The error matches ErrNotFound if there is no such key; otherwise it
// is that of ctx, or has an *api.Error.
func (c *Client) Get(ctx context.Context, key []byte, consistency api.Consistency) (api.Entry, error) {
	what := fmt.Sprintf("get %.64q", key)
	if err := checkKey(key); err != nil {
		return api.Entry{}, err.readError(what)
	}
	var entry api.Entry
	f := c.do(ctx, &request{
		method: http.MethodGet, path: keyPath(key), query: consistent(url.Values{}, consistency), limit: largeAnswer,
		decode: into(&entry, func(e *api.Entry) bool { return bytes.Equal(e.Key, key) && e.Revision > 0 }),
	})
	return entry, f.readError(what)
}

// checkKey refuses what would be another path.
func checkKey(key []byte) *failure {
	if len(key) > 0 {
		return nil
	}
	return &failure{err: api.Errorf(api.CodeBadRequest, "a key must not be empty"), code: api.CodeBadRequest}
}

// Range returns the first of the keys, at most limit of them, or as many as the server
// puts into one page, which is also what a limit of 0 means. The rest is from the
// page's Next on. "" for consistency means api.Linearizable. The error is that of ctx,
// or has an *api.Error.
func (c *Client) Range(ctx context.Context, keys Keys, limit int, consistency api.Consistency) (api.Page, error) {
	q := consistent(keys.query(), consistency)
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var page api.Page
	f := c.do(ctx, &request{
		method: http.MethodGet, path: "/v1/kv", query: q, limit: largeAnswer,
		decode: into(&page, keys.fit),
	})
	return page, f.readError(fmt.Sprintf("range %v", keys))
}

// fit says whether a page is one of the keys: in order, and followed by what is after.
// One that led back would be read for ever.
func (k Keys) fit(page *api.Page) bool {
	last := []byte(nil)
	for i, e := range page.Entries {
		if !k.contain(e.Key) || i > 0 && bytes.Compare(e.Key, last) <= 0 {
			return false
		}
		last = e.Key
	}
	if page.Next == nil {
		return true
	}
	return bytes.Compare(page.Next, k.From) > 0 && bytes.Compare(page.Next, last) > 0
}

// RangeAll returns the pages of the keys, one after the other, each of its own moment. A
// Watch from the Revision of the first page tells of all that later pages may or may not
// hold. An error is the last there is, and one of Range.
func (c *Client) RangeAll(ctx context.Context, keys Keys, consistency api.Consistency) iter.Seq2[api.Page, error] {
	return func(yield func(api.Page, error) bool) {
		for rest := keys; ; {
			page, err := c.Range(ctx, rest, 0, consistency)
			if !yield(page, err) || err != nil || page.Next == nil {
				return
			}
			rest.From = page.Next
		}
	}
}
