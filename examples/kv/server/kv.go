package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/store"
)

func (s *Server) get(r *http.Request) (any, error) {
	key := []byte(r.PathValue("key"))
	query, err := queryOf(r, "consistency", "raw")
	if err != nil {
		return nil, err
	}
	if err := s.settleRead(r.Context(), query); err != nil {
		return nil, err
	}
	value, revision, found, err := s.store.Get(key)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, api.Errorf(api.CodeNotFound, "there is no key %q", key)
	}
	if value == nil {
		value = []byte{}
	}
	entry := api.Entry{Key: key, Value: value, Revision: revision}
	if query.Get("raw") == "true" {
		return rawEntry(entry), nil
	}
	return entry, nil
}

// settleRead waits until the state here is as fresh as the request wants.
func (s *Server) settleRead(ctx context.Context, query url.Values) error {
	switch c := api.Consistency(query.Get("consistency")); c {
	case api.Linearizable, "":
		return noQuorum(s.replica.Read(ctx))
	case api.Lease:
		return noQuorum(s.replica.ReadLease(ctx))
	case api.Stale:
		return nil
	default:
		return api.Errorf(api.CodeBadRequest, "consistency (%q) must be %s, %s or %s", c, api.Linearizable, api.Lease, api.Stale)
	}
}

// noQuorum says what it means that a read took too long.
func noQuorum(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return api.Errorf(api.CodeUnavailable, "no leader could confirm in time that it leads: %v", err)
	}
	return err
}

func (s *Server) put(r *http.Request) (any, error) {
	id, err := requestID(r)
	if err != nil {
		return nil, err
	}
	value, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, store.MaxValueSize))
	if err != nil {
		return nil, badBody(err)
	}
	command, err := store.EncodePut(id, []byte(r.PathValue("key")), value)
	if err != nil {
		return nil, err
	}
	return s.write(r.Context(), command)
}

func (s *Server) delete(r *http.Request) (any, error) {
	id, err := requestID(r)
	if err != nil {
		return nil, err
	}
	command, err := store.EncodeDelete(id, []byte(r.PathValue("key")))
	if err != nil {
		return nil, err
	}
	result, err := s.propose(r.Context(), command)
	return api.DeleteResult{Existed: result.Status == store.Done, Revision: result.Revision}, err
}

func (s *Server) compareAndSet(r *http.Request) (any, error) {
	id, err := requestID(r)
	if err != nil {
		return nil, err
	}
	var request api.CompareAndSet
	if err := readJSON(r, &request); err != nil {
		return nil, err
	}
	if request.Value == nil {
		return nil, api.Errorf(api.CodeBadRequest, "value must be given")
	}
	condition, err := conditionOf(&request.Expect)
	if err != nil {
		return nil, err
	}
	command, err := store.EncodeCompareAndSet(id, request.Key, condition, request.Value)
	if err != nil {
		return nil, err
	}
	return s.write(r.Context(), command)
}

func conditionOf(e *api.Expect) (c store.Condition, err error) {
	n := 0
	if e.Absent {
		n, c = n+1, store.IfAbsent()
	}
	if e.Value != nil {
		n, c = n+1, store.IfValue(e.Value)
	}
	if e.Revision != 0 {
		n, c = n+1, store.IfRevision(e.Revision)
	}
	if n != 1 {
		return c, api.Errorf(api.CodeBadRequest, `expect must have exactly one of "absent": true, "value" and "revision"`)
	}
	return c, nil
}

func (s *Server) register(r *http.Request) (any, error) {
	result, err := s.propose(r.Context(), store.EncodeRegister())
	return api.Client{Client: result.Revision}, err
}

// write proposes a command and returns the revision that it made.
func (s *Server) write(ctx context.Context, command []byte) (any, error) {
	result, err := s.propose(ctx, command)
	return api.WriteResult{Revision: result.Revision}, err
}

// propose proposes a command and returns how it ended.
func (s *Server) propose(ctx context.Context, command []byte) (store.Result, error) {
	result, err := s.replica.Propose(ctx, command)
	if err != nil {
		return store.Result{}, err
	}
	done := result.(store.Result)
	switch err := done.Err(); {
	case errors.Is(err, store.ErrMismatch):
		return done, &api.Error{Code: api.CodeMismatch, Message: err.Error(), Revision: done.Revision}
	case errors.Is(err, store.ErrUnknownClient):
		return done, api.Errorf(api.CodeUnknownClient, "%v", err)
	case errors.Is(err, store.ErrSuperseded):
		return done, api.Errorf(api.CodeSuperseded, "%v", err)
	default:
		return done, err
	}
}

// requestID returns the ID that makes a request one that may be tried again.
func requestID(r *http.Request) (id store.RequestID, err error) {
	if id.Client, err = number(api.ClientHeader, r.Header.Get(api.ClientHeader)); err != nil {
		return id, err
	}
	id.Number, err = number(api.RequestHeader, r.Header.Get(api.RequestHeader))
	return id, err
}

// maxPage bounds the entries of one answer.
const maxPage = 1000

func (s *Server) scan(r *http.Request) (any, error) {
	query, err := queryOf(r, "prefix", "from", "to", "limit", "consistency")
	if err != nil {
		return nil, err
	}
	from, to, err := rangeOf(query)
	if err != nil {
		return nil, err
	}
	limit, err := number("limit", query.Get("limit"))
	if err != nil {
		return nil, err
	}
	if limit == 0 || limit > maxPage {
		limit = maxPage
	}
	if err := s.settleRead(r.Context(), query); err != nil {
		return nil, err
	}
	page, err := s.store.Range(from, to, int(limit))
	if err != nil {
		return nil, err
	}
	answer := api.Page{Entries: make([]api.Entry, len(page.Entries)), Next: page.Next, Revision: page.Revision}
	for i, e := range page.Entries {
		answer.Entries[i] = api.Entry{Key: e.Key, Value: text(e.Value), Revision: e.Revision}
	}
	return answer, nil
}

// text returns bytes of which there are some, if perhaps none.
func text(b []byte) api.Text {
	if b == nil {
		return api.Text{}
	}
	return b
}

// rangeOf returns the range that a query names. No to is no end.
func rangeOf(query url.Values) (from, to []byte, err error) {
	if !query.Has("prefix") {
		return []byte(query.Get("from")), []byte(query.Get("to")), nil
	}
	if query.Has("from") && query.Get("from") < query.Get("prefix") || query.Has("to") {
		return nil, nil, api.Errorf(api.CodeBadRequest, "prefix is in place of to, and of a from before it")
	}
	from = []byte(query.Get("prefix"))
	to = prefixEnd(from)
	if query.Has("from") { // the next page of a prefix
		from = []byte(query.Get("from"))
	}
	return from, to, nil
}

// prefixEnd returns the first key after all that begin with prefix, nil if there is
// none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
