package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// S5: what is applied is the chain of committed entries (Raft figure 3, state
// machine safety).
func TestCatchS5(t *testing.T) {
	// committed leaves an entry that node 2 has yet to apply.
	committed := func(f *fixture) *pb.Entry {
		f.propose(f.h1, "three")
		f.settle()
		f.c.node(2).applied--
		e := f.entry(f.last + 1)
		f.c.node(2).applied = f.last
		return &e
	}
	runCatches(t, map[string]catch{
		"skips one": {"S5", "applies entry", func(f *fixture) *Violation {
			e := committed(f)
			f.c.node(2).applied--
			return f.c.Apply(2, e)
		}},
		"applies one twice": {"S5", "applies entry", func(f *fixture) *Violation {
			e := committed(f)
			require.Nil(f.t, f.c.Apply(2, e))
			return f.c.Apply(2, e)
		}},
		"not committed": {"S5", "is committed", func(f *fixture) *Violation {
			f.proposeTo()
			e := f.entry(f.last + 1)
			return f.c.Apply(1, &e)
		}},
		"of another term": {"S5", "the committed one has term", func(f *fixture) *Violation {
			e := committed(f)
			e.Term++
			return f.c.Apply(2, e)
		}},
		"changed before it is applied": {"S5", "with digest", func(f *fixture) *Violation {
			e := committed(f)
			e.Data = []byte("threE")
			return f.c.Apply(2, e)
		}},
		"of another type": {"S5", "with digest", func(f *fixture) *Violation {
			e := committed(f)
			e.Type = pb.EntryConfChangeV2
			return f.c.Apply(2, e)
		}},
		"restores the past": {"S5", "after it applied", func(f *fixture) *Violation {
			return f.c.Restore(2, &pb.SnapshotMetadata{Index: f.last, Term: f.term})
		}},
		"restores the future": {"S5", "is committed", func(f *fixture) *Violation {
			return f.c.Restore(2, &pb.SnapshotMetadata{Index: f.last + 1, Term: f.term})
		}},
		"restores another term": {"S5", "the committed entry has term", func(f *fixture) *Violation {
			f.c.node(2).applied--
			return f.c.Restore(2, &pb.SnapshotMetadata{Index: f.last, Term: f.term + 1})
		}},
		"another state": {"S5", "the state at", func(f *fixture) *Violation {
			require.Nil(f.t, f.c.State(2, f.h2.state))
			return f.c.State(2, f.h2.state+1)
		}},
	})
}

// S6: a leader commits entries of its own term that a majority of each half
// holds durably (Raft §5.4.2, dissertation §4.3), and nobody else commits.
func TestCatchS6(t *testing.T) {
	commit := func(f *fixture) *Violation {
		return f.status(f.h1, func(st *raft.BasicStatus) { st.Commit = f.last + 1 })
	}
	runCatches(t, map[string]catch{
		"without a majority": {"S6", "which 1 disks hold of half 0 of voters=(1 2 3)", func(f *fixture) *Violation {
			f.proposeTo()
			return commit(f)
		}},
		"on a disk that lied": {"S6", "which 1 disks hold", func(f *fixture) *Violation {
			f.proposeTo(f.h2)
			require.NoError(f.t, f.h1.disk.Append([]pb.Entry{{Index: f.last + 1, Term: f.term - 1}}))
			return commit(f)
		}},
		"one half of a joint configuration": {"S6", "half 1 of voters=(1 2)&&(1 3 4)", func(f *fixture) *Violation {
			f.proposeTo(f.h2)
			f.c.node(1).conf = f.joint([]uint64{1, 2}, []uint64{1, 3, 4})
			return commit(f)
		}},
		"a learner counts": {"S6", "which 1 disks hold", func(f *fixture) *Violation {
			f.proposeTo(f.h2)
			f.c.node(1).conf = f.learner(2)
			return commit(f)
		}},
		"an earlier term by counting": {"S6", "by counting", func(f *fixture) *Violation {
			f.proposeTo(f.h2, f.h3)
			f.c.node(1).st.Term++ // as if it led the next one already
			return f.status(f.h1, func(st *raft.BasicStatus) { st.Term, st.Commit = f.term+1, f.last+1 })
		}},
		"not handed out": {"S6", "not handed out", func(f *fixture) *Violation {
			f.propose(f.h1, "three")
			return commit(f)
		}},
		"a follower commits": {"S6", "but leaders committed up to", func(f *fixture) *Violation {
			f.proposeTo(f.h2)
			return f.status(f.h2, func(st *raft.BasicStatus) { st.Commit++; st.LastIndex++ })
		}},
		"a follower past what it compared": {"S6", "upon an append of entries up to", func(f *fixture) *Violation {
			f.proposeTo(f.h2)
			require.Nil(f.t, f.status(f.h1, func(st *raft.BasicStatus) { st.Commit++ }))
			f.c.node(2).rn = &doctored{RawNode: f.h2.rn, status: func(st *raft.BasicStatus) { st.Commit++; st.LastIndex++ }}
			m := pb.Message{Type: pb.MsgApp, From: 1, To: 2, Term: f.term, Index: f.last, LogTerm: f.term, Commit: f.last + 1}
			return f.c.After(2, &m, nil)
		}},
		"a follower's own entry": {"S6", "the committed one has term", func(f *fixture) *Violation {
			n := f.c.node(2)
			n.log.truncate(f.last - 1)
			n.log.push(f.term-1, false)
			n.log.runs = []run{{testBase, testBaseTerm}, {f.last, f.term - 1}}
			n.seenCommit = 0
			return f.c.Ready(2, &raft.Ready{SoftState: &raft.SoftState{}})
		}},
		"a start with the commit of nobody": {"S6", "leaders committed up to", func(f *fixture) *Violation {
			e := pb.Entry{Index: f.last + 1, Term: f.term}
			f.c.log.put(f.last+1, record{e.Term, f.term, Digest(&e), false})
			require.NoError(f.t, f.h2.disk.Append([]pb.Entry{e}))
			hs, _, _ := f.h2.disk.Durable()
			hs.Commit++
			require.NoError(f.t, f.h2.disk.SetHardState(hs))
			f.crash(f.h2, true)
			v := f.v
			f.v = nil
			return v
		}},
	})
}

// S7: one vote for each node and term, across crashes, for a candidate that is
// up to date (Raft §5.2, §5.4.1).
func TestCatchS7(t *testing.T) {
	asks := func(f *fixture, logTerm, index uint64) (*pb.Message, func(st *raft.BasicStatus)) {
		m := &pb.Message{Type: pb.MsgVote, From: 3, To: 2, Term: f.term + 1, LogTerm: logTerm, Index: index}
		return m, func(st *raft.BasicStatus) { st.Term, st.Vote, st.Lead = f.term+1, 3, 0 }
	}
	grants := func(f *fixture, logTerm, index uint64) *Violation {
		m, edit := asks(f, logTerm, index)
		f.c.node(2).rn = &doctored{RawNode: f.h2.rn, status: edit}
		return f.c.After(2, m, nil)
	}
	runCatches(t, map[string]catch{
		"changes its mind": {"S7", "changed from 1 to 3", func(f *fixture) *Violation {
			return f.status(f.h2, func(st *raft.BasicStatus) { st.Vote = 3 })
		}},
		"nobody asked": {"S7", "which did not ask", func(f *fixture) *Violation {
			_, edit := asks(f, f.term, f.last)
			return f.status(f.h2, edit)
		}},
		"shorter log": {"S7", "while its own ends with",
			func(f *fixture) *Violation { return grants(f, f.term, f.last-1) }},
		"older log": {"S7", "while its own ends with",
			func(f *fixture) *Violation { return grants(f, f.term-1, f.last+1) }},
		"a second vote in another life": {"S7", "and voted for 1 before", func(f *fixture) *Violation {
			// A vote of this term that left, and that the disk forgot.
			f.c.node(2).votes = append(f.c.node(2).votes, vote{f.term + 1, 1, true})
			return grants(f, f.term, f.last)
		}},
		"a grant for another": {"S7", "leaves, recorded is", func(f *fixture) *Violation {
			return f.c.Leaves(2, &pb.Message{Type: pb.MsgVoteResp, From: 2, To: 3, Term: f.term}, true)
		}},
		"a disk that forgot a vote": {"S7", "granted a vote to 1", func(f *fixture) *Violation {
			hs, _, _ := f.h2.disk.Durable()
			hs.Vote = 0
			n := f.c.node(2)
			n.durable = hs
			require.NoError(f.t, f.h2.disk.SetHardState(hs))
			f.crash(f.h2, true)
			v := f.v
			f.v = nil
			return v
		}},
		"a vote replaced on disk": {"S7", "the durable vote in term", func(f *fixture) *Violation {
			hs, _, _ := f.h2.disk.Durable()
			hs.Vote = 3
			require.NoError(f.t, f.h2.disk.SetHardState(hs))
			return f.c.Synced(2)
		}},
	})
	t.Run("a candidate with as good a log is no violation", func(t *testing.T) {
		f := newFixture(t)
		require.Nil(t, grants(f, f.term, f.last))
	})
}

// S10: match < next; match never goes back, and is never past what the
// follower's disk holds of the leader's log (Raft figure 2, matchIndex).
func TestCatchS10(t *testing.T) {
	runCatches(t, map[string]catch{
		"match reaches next": {"S10", "and next", func(f *fixture) *Violation {
			return f.progress(func(id uint64, p *progress.Progress) { p.Next = p.Match })
		}},
		"match goes back": {"S10", "went back from", func(f *fixture) *Violation {
			return f.progress(func(id uint64, p *progress.Progress) { p.Match-- })
		}},
		"past the disk": {"S10", "whose disk ends at", func(f *fixture) *Violation {
			f.proposeTo()
			return f.progress(func(id uint64, p *progress.Progress) { p.Match, p.Next = f.last+1, f.last+2 })
		}},
		"over another entry": {"S10", "disk term", func(f *fixture) *Violation {
			f.proposeTo()
			require.NoError(f.t, f.h2.disk.Append([]pb.Entry{{Index: f.last + 1, Term: f.term - 1}}))
			require.NoError(f.t, f.h3.disk.Append([]pb.Entry{{Index: f.last + 1, Term: f.term - 1}}))
			return f.progress(func(id uint64, p *progress.Progress) { p.Match, p.Next = f.last+1, f.last+2 })
		}},
		"past the leader's own log": {"S10", "handed out entries up to", func(f *fixture) *Violation {
			require.NoError(f.t, f.h2.disk.Append([]pb.Entry{{Index: f.last + 1, Term: f.term}}))
			return f.progress(func(id uint64, p *progress.Progress) {
				if id == 2 {
					p.Match, p.Next = f.last+1, f.last+2
				}
			})
		}},
		"of a node that was never started": {"S10", "never started", func(f *fixture) *Violation {
			f.c.ids[2] = 9
			f.c.node(1).lead.matched[2].value = 0
			return f.c.After(1, nil, nil)
		}},
		"a heartbeat's commit past the match": {"S10", "of the commit", func(f *fixture) *Violation {
			rd := raft.Ready{Messages: []pb.Message{{Type: pb.MsgHeartbeat, From: 1, To: 2, Term: f.term, Commit: f.last + 1}}}
			return f.c.Ready(1, &rd)
		}},
		"an append past the match that wants no answer": {"S10", "wants no answer", func(f *fixture) *Violation {
			rd := raft.Ready{Messages: []pb.Message{{Type: pb.MsgApp, From: 1, To: 2, Term: f.term, Index: f.last + 1, NoAnswer: true}}}
			return f.c.Ready(1, &rd)
		}},
	})
}
