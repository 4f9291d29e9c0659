package explore

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest/explore/search"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// Where member 1 leads from the start, everybody has applied the entry with which it began.
func TestLed(t *testing.T) {
	for _, b := range []Bounds{
		{Members: 3, Terms: 1, Messages: 2, Led: true},
		{Members: 3, Learners: 1, Terms: 1, Messages: 2, Led: true, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true},
		{Members: 2, Terms: 1, Messages: 2, Led: true, Ticks: 3},
	} {
		m := model(t, b)
		w := m.worker()
		var s state
		explored(t, &counted{m, map[search.Fingerprint]bool{}, func(of *worker, at *state) search.Fingerprint {
			if s.members == nil {
				s.members, s.net, s.ghost = append(s.members, at.members...), append(s.net, at.net...), at.ghost
			}
			return of.least(at)
		}}, search.Options{Workers: 1, MaxDepth: 1})
		w.load(&s)
		require.Empty(t, w.net)
		for at, p := range w.parts {
			require.Equal(t, at == 0, p.view.role == raft.StateLeader)
			require.EqualValues(t, firstIndex+1, p.view.applied)
			require.EqualValues(t, firstTerm+1, p.view.term)
		}
		events, err := m.Events(&search.Violation{States: [][]byte{s.append(nil)}, Err: errors.New("nothing")})
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(events, func(e trace.Event) bool {
			return e.Kind == trace.Role && e.Node == 1 && e.Role == raft.StateLeader && e.Term == firstTerm+1
		}), "a path begins with who leads")
	}
}
