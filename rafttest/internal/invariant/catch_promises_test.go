package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

const promisedTicks = 10

// promise makes node 2 promise its leader to refuse votes, and some ticks pass.
func (f *fixture) promise(ticks int) {
	in := pb.Message{Type: pb.MsgHeartbeat, From: 1, To: 2, Term: f.term, Round: 1 << 40}
	f.c.Before(2, &in)
	require.Nil(f.t, f.c.After(2, &in, nil))
	answer := pb.Message{Type: pb.MsgHeartbeatResp, From: 2, To: 1, Term: f.term, Round: in.Round, LeaseTicks: promisedTicks}
	require.Nil(f.t, f.c.Leaves(2, &answer, false))
	f.pass(2, ticks)
}

func (f *fixture) pass(id uint64, ticks int) {
	for range ticks {
		f.c.Tick(id, promisedTicks)
	}
}

// votes shows node 2 as it grants a vote to node 3.
func (f *fixture) votes(context string) *Violation {
	st := f.h2.rn.BasicStatus()
	in := pb.Message{
		Type: pb.MsgVote, From: 3, To: 2, Term: st.Term + 1, Index: f.last, LogTerm: f.term, Context: []byte(context),
	}
	f.c.Before(2, &in)
	f.c.node(2).rn = &doctored{RawNode: f.h2.rn, status: func(st *raft.BasicStatus) {
		st.Term, st.Vote, st.Lead = in.Term, 3, raft.None
	}}
	return f.c.After(2, &in, nil)
}

func (f *fixture) campaigns(role raft.StateType) *Violation {
	return f.status(f.h2, func(st *raft.BasicStatus) {
		st.Lead, st.RaftState = raft.None, role
		if role == raft.StateCandidate {
			st.Term, st.Vote = st.Term+1, 2
		}
	})
}

// S15: who told a leader that it refuses votes for so many ticks grants none and
// does not campaign so long, after a restart too (dissertation §6.4.1).
func TestCatchBrokenPromise(t *testing.T) {
	runCatches(t, map[string]catch{
		"votes": {"S15", "votes for 3 in term", func(f *fixture) *Violation {
			f.promise(promisedTicks - 1)
			return f.votes("")
		}},
		"votes after a restart": {"S15", "votes for 3 in term", func(f *fixture) *Violation {
			f.promise(3)
			f.crash(f.h2, true)
			f.pass(2, promisedTicks-4)
			return f.votes("")
		}},
		"campaigns": {"S15", "becomes StateCandidate", func(f *fixture) *Violation {
			f.promise(0)
			return f.campaigns(raft.StateCandidate)
		}},
		"asks whether it may campaign": {"S15", "becomes StatePreCandidate", func(f *fixture) *Violation {
			f.promise(1)
			return f.campaigns(raft.StatePreCandidate)
		}},
		"was told to campaign in another term": {"S15", "becomes StateCandidate", func(f *fixture) *Violation {
			f.promise(1)
			f.c.Before(2, &pb.Message{Type: pb.MsgTimeoutNow, From: 1, To: 2, Term: f.term - 1})
			return f.campaigns(raft.StateCandidate)
		}},
	})
}

// S15 does not hold against who kept its promise: its time is over, or the
// leader itself tells somebody to campaign. An answer that never left promised
// nothing.
func TestKeptPromise(t *testing.T) {
	for name, see := range map[string]func(f *fixture) *Violation{
		"time is over": func(f *fixture) *Violation {
			f.promise(promisedTicks)
			return f.votes("")
		},
		"a candidate that was told": func(f *fixture) *Violation {
			f.promise(0)
			return f.votes(transferContext)
		},
		"told itself": func(f *fixture) *Violation {
			f.promise(0)
			f.c.Before(2, &pb.Message{Type: pb.MsgTimeoutNow, From: 1, To: 2, Term: f.term})
			return f.campaigns(raft.StateCandidate)
		},
		"an answer that did not leave": func(f *fixture) *Violation {
			in := pb.Message{Type: pb.MsgHeartbeat, From: 1, To: 2, Term: f.term, Round: 1 << 40}
			f.c.Before(2, &in)
			require.Nil(f.t, f.c.After(2, &in, nil))
			return f.votes("")
		},
		"a heartbeat of a former life": func(f *fixture) *Violation {
			in := pb.Message{Type: pb.MsgHeartbeat, From: 1, To: 2, Term: f.term, Round: 1 << 40}
			f.c.Before(2, &in)
			require.Nil(f.t, f.c.After(2, &in, nil))
			f.crash(f.h2, true)
			in = pb.Message{Type: pb.MsgHeartbeatResp, From: 2, To: 1, Term: f.term, Round: 1 << 40, LeaseTicks: promisedTicks}
			require.Nil(f.t, f.c.Leaves(2, &in, false))
			return f.votes("")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			require.Nil(t, see(f))
			require.Nil(t, f.v)
		})
	}
}

// S16: a transfer ends within an election timeout, unless the leader begins
// another because its disk stands still (dissertation §3.10).
func TestCatchEndlessTransfer(t *testing.T) {
	begin := func(f *fixture) *Violation {
		return f.status(f.h1, func(st *raft.BasicStatus) { st.LeadTransferee = 2 })
	}
	runCatches(t, map[string]catch{
		"goes on": {"S16", "hands over to 2 for 10 ticks", func(f *fixture) *Violation {
			require.Nil(f.t, begin(f))
			f.pass(1, promisedTicks-1)
			require.Nil(f.t, f.c.After(1, nil, nil))
			f.pass(1, 1)
			return f.c.After(1, nil, nil)
		}},
		"goes on after the disk stood still": {"S16", "hands over to 2 for 10 ticks", func(f *fixture) *Violation {
			stall := func(st *raft.BasicStatus) { st.Durable, st.LeadTransferee = st.LastIndex-1, 2 }
			f.c.node(1).clock.durable = f.last // as seen long ago
			require.Nil(f.t, f.status(f.h1, stall))
			f.pass(1, promisedTicks) // in the last of which another begins
			require.Nil(f.t, f.c.After(1, nil, nil))
			f.pass(1, promisedTicks)
			return f.c.After(1, nil, nil)
		}},
	})
	f := newFixture(t)
	require.Nil(t, begin(f))
	f.pass(1, promisedTicks-1)
	require.Nil(t, f.status(f.h1, func(st *raft.BasicStatus) { st.LeadTransferee = 3 }), "another begins")
	f.pass(1, promisedTicks-1)
	require.Nil(t, f.c.After(1, nil, nil))
}

// S8: what a Ready hands out to be sent after its write is of the state that it
// writes (docs/host-contract.md, MessagesAfterAppend).
func TestCatchPromiseOfAnotherState(t *testing.T) {
	ready := func(m pb.Message) func(f *fixture) *Violation {
		return func(f *fixture) *Violation {
			m := m
			m.From, m.Term = 2, f.term-m.Term
			if m.Index > 0 {
				m.Index += f.last
			}
			return f.c.Ready(2, &raft.Ready{MessagesAfterAppend: []pb.Message{m}})
		}
	}
	runCatches(t, map[string]catch{
		"of an earlier term":         {"S8", "is to leave once term", ready(pb.Message{Type: pb.MsgAppResp, To: 1, Term: 1})},
		"of more than was written":   {"S8", "is to be acknowledged", ready(pb.Message{Type: pb.MsgAppResp, To: 1, Index: 1})},
		"a vote for somebody else":   {"S8", "the vote is 1", ready(pb.Message{Type: pb.MsgVoteResp, To: 3})},
		"a request of a former term": {"S8", "is to leave once term", ready(pb.Message{Type: pb.MsgVote, To: 1, Term: 1})},
	})
}
