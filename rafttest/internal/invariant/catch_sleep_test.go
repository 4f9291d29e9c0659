package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

const sleepRound = 1 << 40

// asks shows the leader as it asks the others to sleep.
func (f *fixture) asks(round uint64) {
	m := pb.Message{Type: pb.MsgHeartbeat, From: 1, To: 2, Term: f.term, Round: round, Sleep: true, Index: f.last}
	require.Nil(f.t, f.c.node(1).messagesReady([]pb.Message{m}))
}

// sleeps shows a follower as it falls asleep by that.
func (f *fixture) sleeps(h *host, round uint64) *Violation {
	in := pb.Message{Type: pb.MsgHeartbeat, From: 1, To: h.id, Term: f.term, Round: round, Sleep: true, Index: f.last}
	f.c.Before(h.id, &in)
	f.c.node(h.id).rn = &doctored{RawNode: h.rn, status: func(st *raft.BasicStatus) { st.Asleep = true }}
	return f.c.After(h.id, &in, nil)
}

func (f *fixture) leaderSleeps() *Violation {
	return f.status(f.h1, func(st *raft.BasicStatus) { st.Asleep = true })
}

// S21: a leader sleeps after all others did, in answer to one attempt and for its whole log, and
// who sleeps knows that all of its log is committed.
func TestCatchS21(t *testing.T) {
	runCatches(t, map[string]catch{
		"sleeps with an uncommitted end": {"S21", "committed is", func(f *fixture) *Violation {
			return f.status(f.h2, func(st *raft.BasicStatus) { st.Asleep = true; st.LastIndex++ })
		}},
		"sleeps and follows nobody": {"S21", "leader 0", func(f *fixture) *Violation {
			return f.status(f.h2, func(st *raft.BasicStatus) { st.Asleep, st.Lead = true, raft.None })
		}},
		"campaigns asleep": {"S21", "sleeps as StatePreCandidate", func(f *fixture) *Violation {
			f.c.node(2).st.RaftState = raft.StatePreCandidate
			return f.status(f.h2, func(st *raft.BasicStatus) { st.Asleep, st.RaftState = true, raft.StatePreCandidate })
		}},
		"nobody was asked": {"S21", "2 last slept in term 0", func(f *fixture) *Violation { return f.leaderSleeps() }},
		"one is awake": {"S21", "3 last slept in term 0", func(f *fixture) *Violation {
			f.asks(sleepRound)
			require.Nil(f.t, f.sleeps(f.h2, sleepRound))
			return f.leaderSleeps()
		}},
		"one slept in an attempt of before": {"S21", "3 last slept", func(f *fixture) *Violation {
			f.asks(sleepRound)
			require.Nil(f.t, f.sleeps(f.h3, sleepRound))
			m := pb.Message{Type: pb.MsgHeartbeat, From: 1, To: 2, Term: f.term, Round: sleepRound + 1}
			require.Nil(f.t, f.c.node(1).messagesReady([]pb.Message{m}))
			f.asks(sleepRound + 2)
			require.Nil(f.t, f.sleeps(f.h2, sleepRound+2))
			return f.leaderSleeps()
		}},
		"one lost the last entry": {"S21", "3 does not hold", func(f *fixture) *Violation {
			f.asks(sleepRound)
			require.Nil(f.t, f.sleeps(f.h2, sleepRound))
			require.Nil(f.t, f.sleeps(f.h3, sleepRound))
			lost := f.entry(f.last)
			lost.Term--
			require.NoError(f.t, f.h3.disk.Append([]pb.Entry{lost}))
			return f.leaderSleeps()
		}},
		"lease read asleep": {"S21", "asleep", func(f *fixture) *Violation {
			f.asks(sleepRound)
			require.Nil(f.t, f.sleeps(f.h2, sleepRound))
			require.Nil(f.t, f.sleeps(f.h3, sleepRound))
			require.Nil(f.t, f.leaderSleeps())
			return f.c.LeaseRead(1, f.last)
		}},
		"lease of before": {"S21", "the last before it woke up", func(f *fixture) *Violation {
			f.asks(sleepRound)
			require.Nil(f.t, f.sleeps(f.h2, sleepRound))
			require.Nil(f.t, f.sleeps(f.h3, sleepRound))
			require.Nil(f.t, f.leaderSleeps())
			require.Nil(f.t, f.status(f.h1, func(*raft.BasicStatus) {}))
			late := pb.Message{Type: pb.MsgHeartbeatResp, From: 2, To: 1, Term: f.term, Round: sleepRound}
			require.Nil(f.t, f.c.After(1, &late, nil))
			return f.c.LeaseRead(1, f.last)
		}},
	})
	t.Run("as it should be", func(t *testing.T) {
		f := newFixture(t)
		f.asks(sleepRound)
		require.Nil(t, f.sleeps(f.h2, sleepRound))
		f.asks(sleepRound + 1)
		require.Nil(t, f.sleeps(f.h3, sleepRound+1))
		require.Nil(t, f.leaderSleeps())
		require.Nil(t, f.status(f.h1, func(*raft.BasicStatus) {}))
		fresh := pb.Message{Type: pb.MsgHeartbeatResp, From: 2, To: 1, Term: f.term, Round: sleepRound + 2}
		require.Nil(t, f.c.After(1, &fresh, nil))
		require.Nil(t, f.c.LeaseRead(1, f.last))
	})
}
