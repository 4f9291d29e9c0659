package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/store"
	"github.com/quorate-raft/raft/replica"
)

// maxJSON bounds the bodies of requests that are JSON: base64 makes bytes a third
// longer, escapes at worst six times.
const maxJSON = 6*(store.MaxKeySize+2*store.MaxValueSize) + 4096

// maxBodies bounds the bytes of all bodies that are being received.
const maxBodies = 128 << 20

// endpoint answers a request with a value that goes out as JSON, or with an error.
type endpoint func(r *http.Request) (any, error)

// handler returns all of the interface.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, op string, e endpoint) { mux.Handle(pattern, s.answer(op, e)) }
	handle("GET /v1/kv/{key...}", "get", s.get)
	handle("PUT /v1/kv/{key...}", "put", s.put)
	handle("DELETE /v1/kv/{key...}", "delete", s.delete)
	handle("POST /v1/cas", "cas", s.compareAndSet)
	handle("GET /v1/kv", "range", s.scan)
	handle("POST /v1/clients", "register", s.register)
	mux.HandleFunc("GET /v1/watch", s.watch)

	handle("GET /v1/status", "status", s.status)
	handle("GET /v1/members", "members", s.members)
	handle("POST /v1/join", "join", s.join)
	leader := func(pattern, op string, e endpoint) { mux.Handle(pattern, s.onLeader(op, s.confirmed(e))) }
	leader("POST /v1/members", "member_add", s.addMember)
	leader("PUT /v1/members/{id}", "member_update", s.updateMember)
	leader("DELETE /v1/members/{id}", "member_remove", s.removeMember)
	leader("POST /v1/members/{id}/promote", "member_promote", s.promoteMember)
	leader("POST /v1/members/{id}/replace", "member_replace", s.replaceMember)
	mux.Handle("GET /v1/membership", s.onLeader("membership", s.leaderMembership))
	leader("PUT /v1/membership", "membership_set", s.setMembership)
	leader("POST /v1/membership/plan", "membership_plan", s.planMembership)
	leader("DELETE /v1/membership", "membership_cancel", s.cancelMembership)
	handle("GET /v1/membership/outcome", "membership_outcome", s.membershipOutcome)
	handle("GET /v1/repair", "repair", s.repairStatus)
	handle("POST /v1/repair", "repair_pause", s.pauseRepair)
	leader("POST /v1/transfer", "transfer", s.transfer)

	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, api.Errorf(api.CodeNotFound, "there is no %s %s", r.Method, r.URL.Path))
	})
	return s.guard(mux)
}

// guard is in front of everything: a client that is too slow must not hold on to a
// goroutine and its memory, and what is meant for another cluster is not for this one.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		now := time.Now()
		_ = c.SetReadDeadline(now.Add(s.cfg.RequestTimeout + s.cfg.bodyTimeout))
		_ = c.SetWriteDeadline(now.Add(s.cfg.RequestTimeout + s.cfg.bodyTimeout + s.cfg.answerTimeout))
		if meant := r.Header.Get(api.ClusterHeader); meant != "" && meant != s.Cluster() {
			writeError(w, api.Errorf(api.CodeWrongCluster, "this is server %d of cluster %s, not of %s", s.ID(), s.Cluster(), meant))
			return
		}
		if s.isGone(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// confirmed makes sure that this server still leads before it judges the membership: a
// deposed leader would answer by what it last knew.
func (s *Server) confirmed(e endpoint) endpoint {
	return func(r *http.Request) (any, error) {
		select { // one at a time: what one finds out must hold until it has made its change
		case s.changing <- struct{}{}:
			defer func() { <-s.changing }()
		case <-r.Context().Done():
			return nil, api.Errorf(api.CodeUnavailable, "another change of the membership takes long")
		}
		if err := s.replica.Read(r.Context()); err != nil {
			return nil, err
		}
		return e(r)
	}
}

// answer makes an endpoint a handler: it bounds its time, counts it, and writes what it
// returns.
func (s *Server) answer(op string, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		weight := min(uint64(r.ContentLength), maxJSON) // all of it if that is not told: -1
		if !s.bodies.TryAcquire(int64(weight)) {
			w.Header().Set("Connection", "close") // what comes of the body is not read
			s.metrics.observe(op, api.Errorf(api.CodeUnavailable, ""), 0)
			writeError(w, api.Errorf(api.CodeUnavailable, "too much is being received already"))
			return
		}
		defer s.bodies.Release(int64(weight))
		r.Body = http.MaxBytesReader(w, r.Body, maxJSON)
		result, err := e(r)
		failure := s.explain(err)
		s.metrics.observe(op, failure, time.Since(began))
		if failure != nil {
			writeError(w, failure)
			return
		}
		if raw, ok := result.(rawEntry); ok {
			w.Header().Set(api.RevisionHeader, strconv.FormatUint(raw.Revision, 10))
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(raw.Value)
			return
		}
		writeJSON(w, http.StatusOK, result)
	})
}

// rawEntry is answered with the bytes of its value.
type rawEntry api.Entry

// onLeader makes an endpoint one of the leader's: the others redirect to it.
func (s *Server) onLeader(op string, e endpoint) http.Handler {
	here := s.answer(op, e)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leader, self := s.replica.Leader()
		if self {
			here.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
		defer cancel()
		url, err := s.leaderURL(ctx, leader)
		if err != nil {
			writeError(w, s.explain(err))
			return
		}
		http.Redirect(w, r, url+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
}

func (s *Server) leaderURL(ctx context.Context, leader uint64) (string, error) {
	if leader == raft.None {
		return "", api.Errorf(api.CodeUnavailable, "no leader is known")
	}
	st, err := s.replica.Status(ctx)
	if err != nil {
		return "", err
	}
	m := s.membership(&st).Find(leader)
	if m == nil || m.Client == "" {
		return "", api.Errorf(api.CodeUnavailable, "the leader, server %d, has not told its address for clients", leader)
	}
	return m.Client, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // else the client has gone, and nobody is there to tell
}

func writeError(w http.ResponseWriter, e *api.Error) {
	if e.Code == api.CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, e.Code.Status(), e)
}

// explain says what an error means to a client. Nil for nil.
func (s *Server) explain(err error) *api.Error {
	var known *api.Error
	var tooLarge *http.MaxBytesError
	var compacted *store.CompactedError
	code := api.CodeInternal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &tooLarge), errors.Is(err, store.ErrKeySize), errors.Is(err, store.ErrValueSize),
		errors.Is(err, replica.ErrTooLarge):
		code = api.CodeTooLarge
	case errors.Is(err, store.ErrExhausted):
		code = api.CodeRefused
	case errors.Is(err, store.ErrTaken):
		code = api.CodeTaken
	case errors.Is(err, store.ErrRequestID), errors.Is(err, store.ErrMalformed):
		code = api.CodeBadRequest
	case errors.As(err, &compacted):
		return &api.Error{Code: api.CodeCompacted, Message: err.Error(), Revision: compacted.From}
	case errors.Is(err, replica.ErrAmbiguous): // whatever the reason is
		code = api.CodeAmbiguous
	case errors.Is(err, raft.ErrNoLeader), errors.Is(err, raft.ErrNotLeader):
		code = api.CodeUnavailable
	case isRefusal(err):
		code = api.CodeRefused
	case errors.Is(err, replica.ErrNotApplied), errors.Is(err, replica.ErrStopped), errors.Is(err, replica.ErrOverloaded),
		errors.Is(err, store.ErrClosed), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		code = api.CodeUnavailable
	default:
		s.log.Error("a request failed", zap.Error(err))
	}
	return &api.Error{Code: code, Message: err.Error()}
}

// isRefusal says whether the leader has a reason why a change of membership, or a
// hand-over, cannot be.
func isRefusal(err error) bool {
	var change *raft.ConfChangeError
	return errors.As(err, &change) || errors.Is(err, raft.ErrTransferTarget)
}

// queryOf returns a request's query, and refuses one that is not well-formed: what could
// not be read would be taken for not given, and everything answered.
func queryOf(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, api.Errorf(api.CodeBadRequest, "the query: %v", err)
	}
	for name := range query {
		if !slices.Contains(known, name) {
			return nil, api.Errorf(api.CodeBadRequest, "there is no parameter %q here", name)
		}
	}
	return query, nil
}

// readJSON reads a request's body. Bytes that are not UTF-8 are refused: a decoder would
// put others in their place.
func readJSON(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return badBody(err)
	}
	if !utf8.Valid(body) {
		return api.Errorf(api.CodeBadRequest, `the body is not UTF-8; other bytes go as {"base64": "..."}`)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badBody(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return api.Errorf(api.CodeBadRequest, "there is more than one value in the body")
	}
	return nil
}

// badBody is why a body could not be read.
func badBody(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return api.Errorf(api.CodeBadRequest, "the body is not what it should be: %v", err)
}

// number reads a decimal number; text that is empty is 0.
func number(what, text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, api.Errorf(api.CodeBadRequest, "%s (%q) must be a number", what, text)
	}
	return n, nil
}

// healthz says whether the process is worth keeping: it is until the replica fails.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.replica.Done():
		http.Error(w, fmt.Sprintf("stopped: %v", s.replica.Err()), http.StatusServiceUnavailable)
	default:
		_, _ = io.WriteString(w, "ok\n")
	}
}

// readyTimeout bounds how long a server that is ready needs for a read.
const readyTimeout = time.Second

// readyz says whether the server can do what clients want: a linearizable read needs a
// leader with a quorum, and that this server has caught up.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.replica.Read(ctx); err != nil {
		http.Error(w, fmt.Sprintf("not ready: %v", err), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
