package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Session makes writes that are applied once however often they are sent. Its methods may
// be called concurrently, but it makes one request at a time, since the servers remember
// the last request of a session only. Who wants several at a time takes several
// sessions, or the methods of Client.
//
// Once a write of the session has succeeded, those before it that were ambiguous are
// settled: what has not taken effect by then never will.
//
// A session needs no end. The servers forget the one that has been idle the longest when
// there are too many (10,000).
type Session struct {
	c *Client
	// turn holds a token while nobody makes a request.
	turn chan struct{}

	// id is the session's at the servers, 0 if it has none yet, or not any more. number is
	// that of its last request.
	id, number uint64
}

// Session returns a new session. It contacts a server with the first write.
func (c *Client) Session() *Session {
	s := &Session{c: c, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// write makes a request of the session. Its ID is set here.
func (s *Session) write(ctx context.Context, r *request) *failure {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return ended(ctx, nil)
	}
	for pauses := (backoff{}); ; {
		if f := s.register(ctx); f != nil {
			return f
		}
		// Each request has a number of its own, also after one without an outcome:
		// should that one come late it is superseded and not taken for this one.
		s.number++
		r.client, r.number = s.id, s.number
		f := s.c.do(ctx, r)
		if f == nil {
			return nil
		}
		switch f.code {
		case api.CodeSuperseded: // somebody else uses the ID, so this session must not
			s.id = 0
		case api.CodeUnknownClient:
			s.id = 0
			// The servers forgot the session. No try before this one can have been
			// applied unless one was ambiguous: only then is the outcome unknown, and
			// under a new ID the request might be applied a second time.
			if !f.ambiguous {
				if !pauses.wait(ctx) {
					return ended(ctx, f)
				}
				continue
			}
		}
		return f
	}
}

// register gets the session an ID if it has none. A try whose answer is lost leaves an ID
// that nobody uses, so it may be repeated; and nothing of the write was sent, so it is not
// ambiguous.
func (s *Session) register(ctx context.Context) *failure {
	if s.id != 0 {
		return nil
	}
	var registered api.Client
	f := s.c.do(ctx, &request{
		method: http.MethodPost, path: "/v1/clients", limit: smallAnswer,
		decode: into(&registered, func(c *api.Client) bool { return c.Client != 0 }),
	})
	if f != nil {
		f.ambiguous = false
		f.err = fmt.Errorf("register: %w", f.err)
		return f
	}
	s.id, s.number = registered.Client, 0
	return nil
}

// pooled makes a write with a session that no other call uses. There are as many
// sessions as there ever were writes at a time.
func (c *Client) pooled(write func(*Session) error) error {
	c.mu.Lock()
	var s *Session
	if n := len(c.idle); n > 0 {
		s, c.idle = c.idle[n-1], c.idle[:n-1]
	}
	c.mu.Unlock()
	if s == nil {
		s = c.Session()
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.idle = append(c.idle, s)
	}()
	return write(s)
}
