package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Put sets a key to a value and returns the revision. The error matches exactly one of
// ErrNotApplied and ErrAmbiguous.
func (s *Session) Put(ctx context.Context, key, value []byte) (revision uint64, err error) {
	what := fmt.Sprintf("put %.64q", key)
	if f := checkKey(key); f != nil {
		return 0, f.writeError(what)
	}
	var result api.WriteResult
	f := s.write(ctx, &request{
		// A try that was given up may still be read from when this has returned, so the
		// value is copied.
		method: http.MethodPut, path: keyPath(key), body: bytes.Clone(value), raw: true,
		limit: smallAnswer, decode: into(&result, written),
	})
	return result.Revision, f.writeError(what)
}

func written(r *api.WriteResult) bool { return r.Revision > 0 }

// Delete removes a key. That there was none is no error: the result says so. The error
// matches exactly one of ErrNotApplied and ErrAmbiguous.
func (s *Session) Delete(ctx context.Context, key []byte) (api.DeleteResult, error) {
	what := fmt.Sprintf("delete %.64q", key)
	if f := checkKey(key); f != nil {
		return api.DeleteResult{}, f.writeError(what)
	}
	var result api.DeleteResult
	f := s.write(ctx, &request{
		method: http.MethodDelete, path: keyPath(key), limit: smallAnswer,
		decode: into(&result, func(r *api.DeleteResult) bool { return r.Existed == (r.Revision > 0) }),
	})
	return result, f.writeError(what)
}

// CompareAndSet sets a key to a value if expect holds, and returns the revision. If it
// does not hold, the error matches ErrMismatch. Every error matches exactly one of
// ErrNotApplied and ErrAmbiguous.
func (s *Session) CompareAndSet(ctx context.Context, key []byte, expect api.Expect, value []byte) (revision uint64, err error) {
	what := fmt.Sprintf("compare and set %.64q", key)
	if f := checkKey(key); f != nil {
		return 0, f.writeError(what)
	}
	if value == nil {
		value = []byte{} // nil would be null, which is no value
	}
	var result api.WriteResult
	f := s.write(ctx, &request{
		method: http.MethodPost, path: "/v1/cas", body: encode(api.CompareAndSet{Key: key, Expect: expect, Value: value}),
		limit: smallAnswer, decode: into(&result, written),
	})
	return result.Revision, f.writeError(what)
}

// encode returns v, one of package api's types, which never fail, as JSON.
func encode(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("client: %T cannot be encoded: %v", v, err))
	}
	return encoded
}

// Put is Session.Put with a session from the pool.
func (c *Client) Put(ctx context.Context, key, value []byte) (revision uint64, err error) {
	err = c.pooled(func(s *Session) error {
		revision, err = s.Put(ctx, key, value)
		return err
	})
	return revision, err
}

// Delete is Session.Delete with a session from the pool.
func (c *Client) Delete(ctx context.Context, key []byte) (result api.DeleteResult, err error) {
	err = c.pooled(func(s *Session) error {
		result, err = s.Delete(ctx, key)
		return err
	})
	return result, err
}

// CompareAndSet is Session.CompareAndSet with a session from the pool.
func (c *Client) CompareAndSet(ctx context.Context, key []byte, expect api.Expect, value []byte) (revision uint64, err error) {
	err = c.pooled(func(s *Session) error {
		revision, err = s.CompareAndSet(ctx, key, expect, value)
		return err
	})
	return revision, err
}
