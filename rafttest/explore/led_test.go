package explore

import (
	"context"
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

// What is wrong before the search begins is a violation with what led to it.
func TestViolationOnTheWayToTheLeader(t *testing.T) {
	m := model(t, Bounds{Members: 2, Terms: 1, Messages: 2, Led: true, NoPreVote: true})
	w := m.worker()
	require.NoError(t, w.fresh())
	bad := &Violation{"S12", 1, "made up"}
	m.members.get(w.next.members[0]).moves.put(newMoveKey(inTick, 0), &move{err: bad})
	r, err := search.Run(context.Background(), m, search.Options{})
	require.NoError(t, err)
	require.NotNil(t, r.Violation)
	require.ErrorIs(t, r.Violation, bad)
	require.Empty(t, r.Violation.Actions)
	events, err := m.Events(r.Violation)
	require.NoError(t, err)
	require.Equal(t, trace.Violation, events[len(events)-1].Kind)
}

// A clock stops where its member would stand for a term beyond the bounds, and others go on.
func TestClocksStopAtTheBounds(t *testing.T) {
	explored(t, model(t, Bounds{Members: 1, Terms: 1, Messages: 1, Ticks: 30, Crashes: 1, WriteAtOnce: true}), search.Options{})
	ticked := make([]int, 2)
	states(t, model(t, Bounds{Members: 2, Terms: 1, Messages: 2, Ticks: 12, Led: true, WriteAtOnce: true, ApplyAtOnce: true}),
		func(w *worker, s *state) search.Fingerprint {
			if s.left[leftTicks] == 0 {
				ticked[0]++
			}
			w.load(s)
			if some(w, func(v *view) bool { return v.role == raft.StatePreCandidate }) {
				ticked[1]++
			}
			return search.Fingerprint{}
		})
	require.Positive(t, ticked[0], "time stops")
	require.Positive(t, ticked[1], "nobody stands")
}
