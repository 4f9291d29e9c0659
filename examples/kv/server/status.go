package server

import (
	"net/http"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/replica"
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
	return api.Status{
		ID: st.ID, Role: stateOf(&st), Leader: st.Lead, Term: st.Term,
		Commit: st.Commit, Applied: s.replica.Applied(), Durable: st.Durable, Last: st.LastIndex, First: first,
		Explain: st.Explain, Pending: st.Pending,
		Writes: s.metrics.writes.Load(), Reads: s.metrics.reads.Load(), Failures: s.metrics.failures.Load(),
		UptimeSeconds: time.Since(s.started).Seconds(),
		Membership:    *s.membership(&st),
		Removed:       removalOf(&st.Removal),
	}, nil
}

func removalOf(r *replica.Removal) *api.Removal {
	if r.Index == 0 {
		return nil
	}
	return &api.Removal{Index: r.Index, By: r.By, Sure: r.Sure}
}

// stateOf names what a server does in its term.
func stateOf(st *replica.Status) string {
	switch st.RaftState {
	case raft.StateLeader:
		return "leader"
	case raft.StateCandidate:
		return "candidate"
	case raft.StatePreCandidate:
		return "pre-candidate"
	}
	if st.Config.IsLearner(st.ID) {
		return api.RoleLearner
	}
	return "follower"
}
