package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/examples/kv/api"
)

func (s *Server) status(r *http.Request) (any, error) {
	st, err := s.replica.Status(r.Context())
	if err != nil {
		return nil, err
	}
	first, err := s.storage.FirstIndex()
	if err != nil {
		return nil, err
	}
	role := st.RaftState.String()
	if st.RaftState == raft.StateFollower && st.Config.IsLearner(st.ID) {
		role = api.RoleLearner
	}
	return api.Status{
		ID: st.ID, Role: strings.ToLower(role), Leader: st.Lead, Term: st.Term,
		Commit: st.Commit, Applied: s.replica.Applied(), Durable: st.Durable, Last: st.LastIndex, First: first,
		Explain: st.Explain, Pending: st.Pending,
		Writes: s.metrics.writes.Load(), Reads: s.metrics.reads.Load(), Failures: s.metrics.failures.Load(),
		UptimeSeconds: time.Since(s.started).Seconds(),
		Membership:    *s.membership(&st),
	}, nil
}
