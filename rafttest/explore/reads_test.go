package explore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// S14: a read returns at least what was committed when it was asked for, once, to the life that asked.
func TestReadsAreJudged(t *testing.T) {
	v, other := &view{id: 1}, &view{id: 2}
	asked := (&ghost{Chain: make([]link, 2)}).ask(firstIndex, v, 7)
	require.Equal(t, []read{{7, 1, firstIndex + 2}}, asked.Reads)
	for name, c := range map[string]struct {
		v       *view
		answers []answer
		wrong   string
	}{
		"as it should":     {v, []answer{{7, firstIndex + 2}}, ""},
		"later is as good": {v, []answer{{7, firstIndex + 3}}, ""},
		"stale":            {v, []answer{{7, firstIndex + 1}}, "was committed when it was asked for"},
		"twice":            {v, []answer{{7, firstIndex + 2}, {7, firstIndex + 2}}, "waits for none"},
		"of another node":  {other, []answer{{7, firstIndex + 2}}, "waits for none"},
		"another read's":   {v, []answer{{6, firstIndex + 2}}, "waits for none"},
	} {
		next, err := asked.answered(c.v, c.answers)
		if c.wrong != "" {
			require.ErrorContains(t, err, c.wrong, name)
			require.ErrorContains(t, err, "S14", name)
			continue
		}
		require.NoError(t, err, name)
		require.Empty(t, next.Reads, name)
		require.Len(t, asked.Reads, 1, "the past is not changed")
	}
	// A crash takes the reads of who crashes along, and no others.
	both := asked.ask(firstIndex, other, 8)
	both.Leaders = make([]leader, 3)
	both.Chain = nil
	next, err := judge(both, firstIndex, []*view{v, other}, 0, v, true)
	require.NoError(t, err)
	require.Len(t, both.Reads, 2, "the past is not changed")
	require.Equal(t, []read{{8, 2, firstIndex + 2}}, next.Reads)
}

// S15: who has a lease takes for committed what is.
func TestLeasesAreJudged(t *testing.T) {
	g := &ghost{Chain: make([]link, 1)}
	require.NoError(t, leases(g, firstIndex, &view{leased: true, commit: firstIndex + 1}))
	require.NoError(t, leases(g, firstIndex, &view{commit: firstIndex}))
	require.ErrorContains(t, leases(g, firstIndex, &view{leased: true, commit: firstIndex}), "S15")
}

// seen counts the states of a model of which something is true.
func seen(t *testing.T, b Bounds, is ...func(w *worker) bool) []int {
	counts := make([]int, len(is))
	states(t, model(t, b), func(w *worker, s *state) search.Fingerprint {
		w.load(s)
		w.state.left = s.left
		for i := range is {
			if is[i](w) {
				counts[i]++
			}
		}
		return search.Fingerprint{}
	})
	return counts
}

func some(w *worker, is func(v *view) bool) bool {
	for _, p := range w.parts {
		if is(p.view) {
			return true
		}
	}
	return false
}

// What leases promise is put to the test: there are leases, leaders of later terms, and these commit while the former
// leader still leads, without a lease.
func TestLeasesAreTried(t *testing.T) {
	leased := func(w *worker) bool { return some(w, func(v *view) bool { return v.leased }) }
	overtaken := func(w *worker) bool {
		return some(w, func(v *view) bool {
			return v.role == raft.StateLeader && !v.leased && v.commit < firstIndex+uint64(len(w.ghost.ghost.Chain))
		})
	}
	both := func(w *worker) bool {
		return leased(w) && some(w, func(v *view) bool { return v.role == raft.StateLeader && v.term > firstTerm+1 })
	}
	counts := seen(t, Bounds{Members: 3, Terms: 2, Messages: 2, Ticks: 8, Led: true, WriteAtOnce: true, ApplyAtOnce: true, NoPreVote: true},
		leased, overtaken, both)
	for i, n := range counts {
		require.Positive(t, n, i)
	}
}

// Reads wait for their answer at leaders and followers, and those that are answered do not wait.
func TestReadsAreTried(t *testing.T) {
	waiting := func(id uint64) func(w *worker) bool {
		return func(w *worker) bool { return len(w.ghost.ghost.Reads) > 0 && w.ghost.ghost.Reads[0].Node == id }
	}
	answered := func(w *worker) bool { return w.state.left[leftReads] == 0 && len(w.ghost.ghost.Reads) == 0 }
	counts := seen(t, Bounds{Members: 2, Terms: 1, Messages: 3, Reads: 1, Proposals: 1, Led: true, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true},
		waiting(1), waiting(2), answered)
	for i, n := range counts {
		require.Positive(t, n, i)
	}
}

// S16: a leader tells a voter that holds its log to stand, in its own term; meanwhile it takes no proposal, and it does not
// wait for one that is no voter any more.
func TestTransfersAreJudged(t *testing.T) {
	m := model(t, Bounds{Members: 3, Learners: 1, Terms: 2, Messages: 9, Led: true, ApplyAtOnce: true, WriteAtOnce: true})
	members, benches := ledBy(t, m)
	leader := members[0]
	now := pb.Message{Type: pb.MsgTimeoutNow, From: 1, To: 2, Term: firstTerm + 1}
	require.NoError(t, leader.leaves(&now))
	for name, change := range map[string]func(msg *pb.Message){
		"of another term": func(msg *pb.Message) { msg.Term-- },
		"to a learner":    func(msg *pb.Message) { msg.To = 3 },
		"to a stranger":   func(msg *pb.Message) { msg.To = 4 },
	} {
		wrong := now
		change(&wrong)
		require.ErrorContains(t, leader.leaves(&wrong), "S16", name)
	}
	was := leader.Node.BasicStatus()
	require.NoError(t, leader.moved(inPropose, &was))
	was.LeadTransferee = 2
	require.ErrorContains(t, leader.moved(inPropose, &was), "S16")
	require.ErrorContains(t, leader.moved(inChange, &was), "S16")
	require.NoError(t, leader.moved(inTick, &was))
	// Who does not hold all is not told.
	e, err := benches[0].step(leader, input{kind: inPropose})
	require.NoError(t, err)
	require.NotEmpty(t, e.out)
	require.ErrorContains(t, leader.leaves(&now), "it lacks entries: true")
}

// Leadership goes over to whom it is to go to.
func TestTransfersAreTried(t *testing.T) {
	counts := seen(t, Bounds{Members: 2, Terms: 2, Messages: 3, Transfers: 1, Proposals: 1, Led: true, NoPreVote: true, NoCheckQuorum: true,
		ApplyAtOnce: true, WriteAtOnce: true}, func(w *worker) bool {
		v := w.parts[1].view
		return v.role == raft.StateLeader && v.term == firstTerm+2
	})
	require.Positive(t, counts[0])
}
