package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// maxWatches bounds the watches of one server: each change wakes all of them, and those of a
// leader take their time from what keeps it the leader.
const maxWatches = 1000

// watchInterval is after how long without a change a watch gets a line that says so.
const watchInterval = 2 * time.Second

// watch writes changes, a line each time, until the client goes or the server stops.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	from, to, since, err := s.watched(r)
	if err == nil && s.watches.Add(1) > maxWatches {
		err = api.Errorf(api.CodeUnavailable, "there are %d watches here already", maxWatches)
		s.watches.Add(-1)
	}
	if err != nil {
		writeError(w, s.explain(err))
		return
	}
	defer s.watches.Add(-1)
	s.metrics.watches.Inc()
	defer s.metrics.watches.Dec()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := http.NewResponseController(w)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	// There is no more to read; that the client has gone is seen by writing.
	_ = out.SetReadDeadline(time.Time{})
	for wait := time.Duration(0); ; wait = watchInterval { // the first line at once: the watch has begun
		changes, err := s.nextChanges(r.Context(), from, to, since, wait)
		since = changes.Through
		_ = out.SetWriteDeadline(time.Now().Add(s.cfg.answerTimeout))
		if lines.Encode(changes) != nil || out.Flush() != nil || err != nil {
			return
		}
	}
}

// watched returns what a request is to watch.
func (s *Server) watched(r *http.Request) (from, to []byte, since uint64, err error) {
	query, err := queryOf(r, "prefix", "from", "to", "since")
	if err != nil {
		return nil, nil, 0, err
	}
	if from, to, err = rangeOf(query); err != nil {
		return nil, nil, 0, err
	}
	if query.Has("since") {
		since, err = number("since", query.Get("since"))
	} else {
		since, err = s.store.Applied()
	}
	return from, to, since, err
}

// nextChanges waits for changes after since. An error goes to the client as well.
func (s *Server) nextChanges(ctx context.Context, from, to []byte, since uint64, wait time.Duration) (api.Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	changes, err := s.store.Watch(ctx, from, to, since)
	if errors.Is(err, context.DeadlineExceeded) && s.background.Err() == nil {
		err = nil
	}
	answer := api.Changes{Events: make([]api.Event, len(changes.Events)), Through: max(since, changes.Through), Error: s.explain(err)}
	for i, e := range changes.Events {
		answer.Events[i] = api.Event{Key: e.Key, Revision: e.Revision, Deleted: e.Deleted}
		if !e.Deleted {
			answer.Events[i].Value = text(e.Value)
		}
	}
	return answer, err
}
