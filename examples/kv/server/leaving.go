package server

import (
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/replica"
)

// A removed server ends by itself. It knows of its removal in one of three ways: from its
// own log; as so many members told its replica as could have removed it; or as one that it
// asked (askIfRemoved) has a later configuration without it. It remembers that, so that it
// does not start again, whoever starts it.

// leave begins the end of the server, which has applied a configuration without itself:
// it takes no more requests, and does not start again. The replica stops a little later,
// as the others may need it yet. A leader does not go before it has handed over.
func (s *Server) leave(st *replica.Status) error {
	if st.RaftState == raft.StateLeader {
		return nil
	}
	if st.Removal.Index == 0 { // the replica does not know that it was a member
		s.removed(st.ConfigIndex, "")
		return nil
	}
	if s.gone.Load() {
		return nil
	}
	if err := s.noteRemoved(st.ConfigIndex); err != nil {
		return err
	}
	s.gone.Store(true)
	s.log.Warn("this server was removed from the cluster; it takes no more requests, and stops soon", zap.Uint64("index", st.ConfigIndex))
	return nil
}

// noteRemoved remembers the removal.
func (s *Server) noteRemoved(index uint64) error {
	before := s.identity.Removed
	s.identity.Removed = max(before, index)
	err := s.identity.save(s.cfg.Dir)
	if err != nil {
		s.identity.Removed = before
	}
	return err
}

// removed ends the server for good.
func (s *Server) removed(index uint64, how string) {
	s.fail(errors.Join(s.removedError(index, how), s.noteRemoved(index)))
}

func (s *Server) removedError(index uint64, how string) error {
	return fmt.Errorf("%w: server %d by log entry %d%s", ErrRemoved, s.identity.ID, index, how)
}

// endOf returns the error that the server ended with, which remembers a removal of which
// the replica was sure. Nothing else uses the identity any more.
func (s *Server) endOf(err error) error {
	var removed *replica.RemovedError
	if !errors.As(err, &removed) {
		return err
	}
	r := &removed.Removal
	how := ""
	if len(r.By) > 0 {
		how = fmt.Sprintf(" or before, as servers %d say", r.By)
	}
	return errors.Join(s.removedError(r.Index, how), s.noteRemoved(r.Index))
}

// isGone answers a request for a server that was removed, unless it is one that asks what
// is the matter. It reports whether it did.
func (s *Server) isGone(w http.ResponseWriter, r *http.Request) bool {
	if !s.gone.Load() {
		return false
	}
	switch r.URL.Path {
	case "/v1/status", "/v1/members", "/healthz", "/metrics":
		return false
	}
	writeError(w, api.Errorf(api.CodeUnavailable, "server %d was removed from the cluster", s.ID()))
	return true
}
