package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// S1: at most one leader, and one incarnation of it, in a term (Raft §5.2).
func TestCatchS1(t *testing.T) {
	runCatches(t, map[string]catch{
		"second leader": {"S1", "which node 1 led", func(f *fixture) *Violation {
			return f.status(f.h2, func(st *raft.BasicStatus) { st.RaftState, st.Lead = raft.StateLeader, 2 })
		}},
		"another life of the leader": {"S1", "in life 2, which node 1 led in life 1", func(f *fixture) *Violation {
			f.crash(f.h1, true)
			return f.status(f.h1, func(st *raft.BasicStatus) { st.RaftState, st.Lead = raft.StateLeader, 1 })
		}},
		"again in the same life": {"S1", "in life 1, which node 1 led in life 1", func(f *fixture) *Violation {
			require.Nil(f.t, f.status(f.h1, func(st *raft.BasicStatus) { st.RaftState, st.Lead = raft.StateFollower, 0 }))
			return f.status(f.h1, func(*raft.BasicStatus) {})
		}},
		"two leaders in the eyes of a follower": {"S1", "takes 3 for the leader", func(f *fixture) *Violation {
			return f.status(f.h2, func(st *raft.BasicStatus) { st.Lead = 3 })
		}},
		"a leader that nobody elected": {"S1", "which has none", func(f *fixture) *Violation {
			return f.status(f.h2, func(st *raft.BasicStatus) { st.Term, st.Vote, st.Lead = st.Term+1, 0, 3 })
		}},
		"append of a follower": {"S1", "which 1 leads", func(f *fixture) *Violation {
			return f.c.Leaves(2, &pb.Message{Type: pb.MsgApp, From: 2, To: 3, Term: f.term}, false)
		}},
		"heartbeat of a term without a leader": {"S1", "which has no leader", func(f *fixture) *Violation {
			return f.c.Leaves(1, &pb.Message{Type: pb.MsgHeartbeat, From: 1, To: 3, Term: f.term - 1}, false)
		}},
		"snapshot of a later term": {"S1", "in term", func(f *fixture) *Violation {
			return f.c.Leaves(1, &pb.Message{Type: pb.MsgSnap, From: 1, To: 3, Term: f.term + 1, Snapshot: &pb.Snapshot{}}, false)
		}},
		"starts as more than a follower": {"S1", "starts as StatePreCandidate", func(f *fixture) *Violation {
			f.c.Down(2)
			rn, err := raft.NewRawNode(&raft.Config{ID: 2, Storage: f.h2.disk, Applied: f.h2.applied})
			require.NoError(f.t, err)
			require.NoError(f.t, rn.Campaign())
			return f.c.Start(2, 2, rn, f.h2.disk, f.h2.applied)
		}},
	})
}

// S2: a leader only appends to its log (Raft figure 3).
func TestCatchS2(t *testing.T) {
	runCatches(t, map[string]catch{
		"log shrinks": {"S2", "went back", func(f *fixture) *Violation {
			f.propose(f.h1, "three")
			return f.status(f.h1, func(st *raft.BasicStatus) { st.LastIndex-- })
		}},
		"rewrites": {"S2", "again", func(f *fixture) *Violation {
			f.c.node(1).hard.Commit = 0
			e := f.entry(f.last)
			e.Data = []byte("other")
			return f.c.Ready(1, &raft.Ready{Entries: []pb.Entry{e}, MustSync: true})
		}},
		"appends for another term": {"S2", "appends entry", func(f *fixture) *Violation {
			// A term that it had already, so that the log stays in order.
			f.c.node(1).st.Term++
			return f.c.Ready(1, &raft.Ready{Entries: []pb.Entry{{Index: f.last + 1, Term: f.term}}, MustSync: true})
		}},
	})
}

// S3: the same index and term mean the same log up to there (Raft §5.3).
func TestCatchS3(t *testing.T) {
	ready := func(f *fixture, edit func(e *pb.Entry)) *Violation {
		f.propose(f.h1, "three")
		f.ready(f.h1)
		for _, m := range f.net {
			if m.To == 2 {
				f.deliver(m)
			}
		}
		rd := f.take(f.h2)
		e := rd.Entries[0]
		edit(&e)
		rd.Entries = []pb.Entry{e}
		return f.c.Ready(2, &rd)
	}
	leaves := func(f *fixture, edit func(m *pb.Message)) *Violation {
		m := pb.Message{Type: pb.MsgApp, From: 1, To: 2, Term: f.term, Index: f.last - 1, LogTerm: f.term}
		m.Entries = []pb.Entry{f.entry(f.last)}
		require.Nil(f.t, f.c.Leaves(1, &m, false))
		edit(&m)
		return f.c.Leaves(1, &m, false)
	}
	runCatches(t, map[string]catch{
		"other data": {"S3", "digest",
			func(f *fixture) *Violation { return ready(f, func(e *pb.Entry) { e.Data = []byte("four!") }) }},
		"other type": {"S3", "digest",
			func(f *fixture) *Violation { return ready(f, func(e *pb.Entry) { e.Type = pb.EntryConfChange }) }},
		"unordered terms": {"S3", "follows one of term",
			func(f *fixture) *Violation { return ready(f, func(e *pb.Entry) { e.Term = 1 }) }},
		"term of nobody": {"S3", "in term",
			func(f *fixture) *Violation { return ready(f, func(e *pb.Entry) { e.Term++ }) }},
		"sent other data": {"S3", "digest",
			func(f *fixture) *Violation { return leaves(f, func(m *pb.Message) { m.Entries[0].Data = []byte("x") }) }},
		"sent unknown": {"S3", "nobody was asked",
			func(f *fixture) *Violation { return leaves(f, func(m *pb.Message) { m.Entries[0].Term++ }) }},
		"sent after other": {"S3", "sends an append after",
			func(f *fixture) *Violation { return leaves(f, func(m *pb.Message) { m.LogTerm-- }) }},
		"sent with a gap": {"S3", "sends an append with entry",
			func(f *fixture) *Violation { return leaves(f, func(m *pb.Message) { m.Entries[0].Index++ }) }},
		"other entry before": {"S3", "elsewhere one of term", func(f *fixture) *Violation {
			// As if the follower held an entry of another term at the end.
			n := f.c.node(2)
			n.log.truncate(f.last - 1)
			n.log.push(f.term-1, false)
			n.log.runs = []run{{testBase, testBaseTerm}, {f.last, f.term - 1}}
			f.term--
			return ready(f, func(*pb.Entry) {})
		}},
		"written after what nobody has": {"S3", "which nobody was asked to write", func(f *fixture) *Violation {
			n := f.c.node(2)
			n.log.runs = []run{{testBase, testBaseTerm}, {f.last, f.term + 1}}
			n.st.Term = f.term + 2
			return f.c.Ready(2, &raft.Ready{Entries: []pb.Entry{{Index: f.last + 1, Term: f.term + 2}}, MustSync: true})
		}},
		"disk holds what nobody wrote": {"S3", "the disk holds", func(f *fixture) *Violation {
			require.NoError(f.t, f.h2.disk.Append([]pb.Entry{{Index: f.last + 1, Term: f.term}}))
			f.crash(f.h2, true)
			v := f.v
			f.v = nil
			return v
		}},
		"commits what nobody wrote": {"S3", "commits entry", func(f *fixture) *Violation {
			n := f.c.node(1)
			n.log.push(f.term, false)
			e := pb.Entry{Index: f.last + 1, Term: f.term}
			for _, h := range f.hosts {
				require.NoError(f.t, h.disk.Append([]pb.Entry{e}))
			}
			return f.status(f.h1, func(st *raft.BasicStatus) { st.LastIndex++; st.Commit++ })
		}},
	})
}

// S4: a leader holds all that leaders of earlier terms committed (Raft §5.4.3).
func TestCatchS4(t *testing.T) {
	runCatches(t, map[string]catch{
		"elected with too short a log": {"S4", "with a log that ends at", func(f *fixture) *Violation {
			f.cut(f.h3)
			return f.leads(f.h3, f.candidate(f.h3, 2))
		}},
		"elected with another log": {"S4", "which was committed with term", func(f *fixture) *Violation {
			n := f.c.node(3)
			n.log.runs = []run{{testBase, testBaseTerm}, {f.last, f.term + 1}}
			n.st.LastIndex = f.last
			return f.leads(f.h3, f.candidate(f.h3, 2))
		}},
		"commit of an earlier term comes late": {"S4", "which node 3 does not hold", func(f *fixture) *Violation {
			_ = f.leads(f.h3, f.candidate(f.h3, 2)) // it has no progress to show
			require.NotNil(f.t, f.c.leaderOf(f.term+1))
			f.proposeTo(f.h2)
			return f.status(f.h1, func(st *raft.BasicStatus) { st.Commit++ })
		}},
		"a chain that forks": {"S4", "where one of term", func(f *fixture) *Violation {
			f.proposeTo(f.h2)
			// The entry before is another than the committed one.
			f.c.log.at(f.last).committed = f.term - 1
			return f.status(f.h1, func(st *raft.BasicStatus) { st.Commit++ })
		}},
		"another entry is committed there": {"S4", "where one of term", func(f *fixture) *Violation {
			f.c.node(1).st.Commit--
			f.c.log.at(f.last).committed = f.term - 1
			return f.c.After(1, nil, nil)
		}},
	})
}

// S12: an election needs durable votes of a majority of each half of the
// leader's own configuration (Raft §5.2, dissertation §4.3).
func TestCatchS12(t *testing.T) {
	runCatches(t, map[string]catch{
		"own vote alone": {"S12", "with 1 durable votes",
			func(f *fixture) *Violation { return f.leads(f.h2, f.candidate(f.h2)) }},
		"own vote is not durable": {"S12", "with 1 durable votes", func(f *fixture) *Violation {
			term := f.candidate(f.h2, 3)
			require.NoError(f.t, f.h2.disk.SetHardState(pb.HardState{Term: term, Commit: f.last}))
			return f.leads(f.h2, term)
		}},
		"a vote that never left": {"S12", "with 1 durable votes", func(f *fixture) *Violation {
			term := f.candidate(f.h2, 3)
			findVote(f.c.node(3).votes, term).left = false
			return f.leads(f.h2, term)
		}},
		"a vote for another": {"S12", "with 1 durable votes", func(f *fixture) *Violation {
			term := f.candidate(f.h2, 3)
			findVote(f.c.node(3).votes, term).to = 1
			return f.leads(f.h2, term)
		}},
		"one half of a joint configuration": {"S12", "of half 1 of voters=(2 3)&&(1 2 4)", func(f *fixture) *Violation {
			f.c.node(2).conf = f.joint([]uint64{2, 3}, []uint64{1, 2, 4})
			return f.leads(f.h2, f.candidate(f.h2, 3))
		}},
	})
}

// S13: only voters campaign and lead (dissertation §4.2.1).
func TestCatchS13(t *testing.T) {
	learner := func(f *fixture) { f.c.node(2).conf = f.learner(2) }
	for _, role := range []raft.StateType{raft.StatePreCandidate, raft.StateCandidate, raft.StateLeader} {
		runCatches(t, map[string]catch{role.String(): {"S13", "is no voter", func(f *fixture) *Violation {
			learner(f)
			return f.status(f.h2, func(st *raft.BasicStatus) {
				st.RaftState, st.Lead = role, 0
				if role != raft.StatePreCandidate {
					st.Term, st.Vote = f.term+1, 2
				}
			})
		}}})
	}
}
