package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// S8: what a vote or an acknowledgement rests on is durable when it leaves (Raft
// figure 2; docs/host-contract.md, MessagesAfterAppend).
func TestCatchS8(t *testing.T) {
	leaves := func(m pb.Message, hs func(*pb.HardState)) func(f *fixture) *Violation {
		return func(f *fixture) *Violation {
			m := m
			m.From, m.Term = 2, f.term
			if m.Index == 1 {
				m.Index = f.last + 1
			}
			if hs != nil {
				disk, _, _ := f.h2.disk.Durable()
				hs(&disk)
				require.NoError(f.t, f.h2.disk.SetHardState(disk))
			}
			return f.c.Leaves(2, &m, true)
		}
	}
	grant := pb.Message{Type: pb.MsgVoteResp, To: 1}
	forget := func(hs *pb.HardState) { hs.Term-- }
	runCatches(t, map[string]catch{
		"vote before its term is durable": {"S8", "the durable term is", leaves(grant, forget)},
		"vote before it is durable": {"S8", "the durable vote is",
			leaves(grant, func(hs *pb.HardState) { hs.Vote = 0 })},
		"refused vote in a term not durable": {"S8", "the durable term is",
			leaves(pb.Message{Type: pb.MsgVoteResp, To: 1, Reject: true}, forget)},
		"acknowledgement in a term not durable": {"S8", "the durable term is",
			leaves(pb.Message{Type: pb.MsgAppResp, To: 1}, forget)},
		"acknowledgement of what is not there": {"S8", "is acknowledged",
			leaves(pb.Message{Type: pb.MsgAppResp, To: 1, Index: 1}, nil)},
		"acknowledgement of another leader's entry": {"S8", "to the leader of term", func(f *fixture) *Violation {
			m := pb.Message{Type: pb.MsgAppResp, From: 2, To: 1, Term: f.term, Index: f.last}
			require.Nil(f.t, f.c.Leaves(2, &m, true))
			require.NoError(f.t, f.h2.disk.Append([]pb.Entry{{Index: f.last, Term: f.term - 1}}))
			return f.c.Leaves(2, &m, true)
		}},
		"acknowledgement past the leader's log": {"S8", "and entries up to", func(f *fixture) *Violation {
			require.NoError(f.t, f.h2.disk.Append([]pb.Entry{{Index: f.last + 1, Term: f.term - 1}}))
			return f.c.Leaves(2, &pb.Message{Type: pb.MsgAppResp, From: 2, To: 1, Term: f.term, Index: f.last + 1}, true)
		}},
		"request without the own vote": {"S8", "the durable vote is 1", leaves(pb.Message{Type: pb.MsgVote, To: 1}, nil)},
		"request for a log not there": {"S8", "for a log up to entry", func(f *fixture) *Violation {
			term := f.candidate(f.h2)
			m := pb.Message{Type: pb.MsgVote, From: 2, To: 1, Term: term, Index: f.last + 1, LogTerm: f.term}
			return f.c.Leaves(2, &m, true)
		}},
		"acknowledgement among the other messages": {"S8", "before what it rests on", func(f *fixture) *Violation {
			return f.c.Leaves(2, &pb.Message{Type: pb.MsgAppResp, From: 2, To: 1, Term: f.term}, false)
		}},
		"vote among the other messages": {"S8", "before what it rests on", func(f *fixture) *Violation {
			return f.c.Leaves(2, &pb.Message{Type: pb.MsgVote, From: 2, To: 1, Term: f.term}, false)
		}},
		"promise to refuse votes, not remembered": {"S8", "no term is durable", func(f *fixture) *Violation {
			require.NoError(f.t, f.h2.disk.SetHardState(pb.HardState{}))
			return f.c.Leaves(2, &pb.Message{Type: pb.MsgHeartbeatResp, From: 2, To: 1, Term: f.term, LeaseTicks: 10}, false)
		}},
	})
}

// S9: nothing at or below the commit is truncated, the cursors are in order, and
// term and commit never go back (Raft figure 2).
func TestCatchS9(t *testing.T) {
	status := func(edit func(*raft.BasicStatus)) func(f *fixture) *Violation {
		return func(f *fixture) *Violation { return f.status(f.h2, edit) }
	}
	synced := func(edit func(f *fixture, hs *pb.HardState)) func(f *fixture) *Violation {
		return func(f *fixture) *Violation {
			require.Nil(f.t, f.c.Synced(2))
			hs, _, _ := f.h2.disk.Durable()
			edit(f, &hs)
			require.NoError(f.t, f.h2.disk.SetHardState(hs))
			return f.c.Synced(2)
		}
	}
	restart := func(edit func(st *raft.BasicStatus, f *fixture)) func(f *fixture) *Violation {
		return func(f *fixture) *Violation {
			n := f.c.node(2)
			edit(&n.st, f)
			return f.c.checkStart(n)
		}
	}
	runCatches(t, map[string]catch{
		"term": {"S9", "term went back", status(func(st *raft.BasicStatus) { st.Term-- })},
		"commit": {"S9", "commit went back",
			status(func(st *raft.BasicStatus) { st.Commit--; st.Applied = 0 })},
		"applied":       {"S9", "applied went back", status(func(st *raft.BasicStatus) { st.Applied-- })},
		"applied first": {"S9", "out of order", status(func(st *raft.BasicStatus) { st.Applied++ })},
		"beyond the log": {"S9", "out of order",
			status(func(st *raft.BasicStatus) { st.Commit = st.LastIndex + 1 })},
		"truncated below the commit": {"S9", "out of order", status(func(st *raft.BasicStatus) { st.LastIndex-- })},
		"rewrites what is committed": {"S9", "which was committed", func(f *fixture) *Violation {
			return f.c.Ready(2, &raft.Ready{Entries: []pb.Entry{f.entry(f.last)}, MustSync: true})
		}},
		"durable term": {"S9", "durable term went back",
			synced(func(_ *fixture, hs *pb.HardState) { hs.Term-- })},
		"durable commit": {"S9", "durable commit went back",
			synced(func(_ *fixture, hs *pb.HardState) { hs.Commit-- })},
		"durable commit of nothing": {"S9", "the disk holds entries",
			synced(func(_ *fixture, hs *pb.HardState) { hs.Commit += 9 })},
		"committed entry is gone from a disk": {"S9", "any more", synced(func(f *fixture, _ *pb.HardState) {
			require.NoError(f.t, f.h2.disk.Append([]pb.Entry{{Index: f.last, Term: f.term + 1}}))
		})},
		"a disk with a hole": {"S9", "does not hold entry", func(f *fixture) *Violation {
			f.c.node(2).disk = holed{f.h2.disk, f.last - 1}
			return f.c.load(f.c.node(2))
		}},
		"a disk without a beginning": {"S9", "the disk begins after", func(f *fixture) *Violation {
			f.c.node(2).disk = holed{f.h2.disk, testBase}
			return f.c.load(f.c.node(2))
		}},
		"starts in the past": {"S9", "starts with term",
			restart(func(st *raft.BasicStatus, _ *fixture) { st.Term-- })},
		"starts without its vote": {"S9", "starts with term",
			restart(func(st *raft.BasicStatus, _ *fixture) { st.Vote = 0 })},
		"starts with too long a log": {"S9", "starts with a log",
			restart(func(st *raft.BasicStatus, _ *fixture) { st.LastIndex++ })},
		"starts without its commit": {"S9", "starts with commit",
			restart(func(st *raft.BasicStatus, _ *fixture) { st.Commit-- })},
		"starts applying what it wants": {"S9", "starts with commit",
			restart(func(st *raft.BasicStatus, _ *fixture) { st.Applied-- })},
		"starts with a commit that nobody told it": {"S9", "starts with commit", func(f *fixture) *Violation {
			f.propose(f.h1, "three")
			n := f.c.node(2)
			n.st.Commit++
			return f.c.checkStart(n)
		}},
		"starts with less than its host applied": {"S9", "which its host applied", func(f *fixture) *Violation {
			st := raft.Status{BasicStatus: f.c.node(2).st, Config: f.c.history[0].cfg}
			st.ConfigIndex = st.Commit + 1
			return f.c.startConf(f.c.node(2), &st)
		}},
	})
}

// holed is a disk that does not hold one entry.
type holed struct {
	Disk
	at uint64
}

func (h holed) DurableTerm(i uint64) (uint64, bool) {
	if i == h.at {
		return 0, false
	}
	return h.Disk.DurableTerm(i)
}

// S17: a snapshot is at a committed entry past the commit, with C's
// configuration there, and the log begins after it (Raft §7).
func TestCatchS17(t *testing.T) {
	// Node 3 lacks the last entry, of which there is a snapshot.
	ready := func(edit func(f *fixture, rd *raft.Ready)) func(f *fixture) *Violation {
		return func(f *fixture) *Violation {
			f.cut(f.h3)
			cs, _ := f.c.ConfAt(f.last)
			rd := raft.Ready{MustSync: true, Snapshot: f.snap(f.last, cs)}
			n := f.c.node(3)
			n.st.Commit, n.st.LastIndex = f.last, f.last
			rd.HardState = n.st.HardState
			edit(f, &rd)
			return f.c.Ready(3, &rd)
		}
	}
	runCatches(t, map[string]catch{
		"not past the commit": {"S17", "that is committed up to", func(f *fixture) *Violation {
			return f.c.Ready(2, &raft.Ready{MustSync: true, Snapshot: f.snap(f.last, pb.ConfState{})})
		}},
		"of a leader": {"S17", "leads term", func(f *fixture) *Violation {
			return f.c.Ready(1, &raft.Ready{MustSync: true, Snapshot: f.snap(f.last+1, pb.ConfState{})})
		}},
		"not committed": {"S17", "is committed",
			ready(func(f *fixture, rd *raft.Ready) { rd.Snapshot.Metadata.Index++ })},
		"of another term": {"S17", "the committed entry has term",
			ready(func(f *fixture, rd *raft.Ready) { rd.Snapshot.Metadata.Term++ })},
		"another configuration": {"S17", "the committed changes give voters=(1 2 3)",
			ready(func(f *fixture, rd *raft.Ready) { rd.Snapshot.Metadata.ConfState.Voters = []uint64{1, 2} })},
		"a later configuration": {"S17", "has the configuration of entry",
			ready(func(f *fixture, rd *raft.Ready) { rd.Snapshot.Metadata.ConfState.Index = f.last + 1 })},
		"the old suffix stays": {"S18", "the log ends at",
			ready(func(f *fixture, rd *raft.Ready) { f.c.node(3).st.LastIndex++ })},
		"beside committed entries": {"S18", "come beside a snapshot",
			ready(func(f *fixture, rd *raft.Ready) { rd.CommittedEntries = []pb.Entry{f.entry(f.last)} })},
		"taken of what is not applied": {"S17", "and applied", func(f *fixture) *Violation {
			return f.c.SnapshotTaken(2, &pb.SnapshotMetadata{Index: f.last + 1, Term: f.term})
		}},
		"taken with another configuration": {"S17", "the committed changes give", func(f *fixture) *Violation {
			snap := f.snap(f.last, pb.ConfState{Voters: []uint64{1, 2, 3, 4}})
			return f.c.SnapshotTaken(2, &snap.Metadata)
		}},
		"sent with another configuration": {"S17", "the committed changes give", func(f *fixture) *Violation {
			snap := f.snap(f.last, pb.ConfState{Voters: []uint64{1}})
			return f.c.Leaves(1, &pb.Message{Type: pb.MsgSnap, From: 1, To: 2, Term: f.term, Snapshot: &snap}, false)
		}},
	})
}

// S18: a Ready is complete, its committed entries go on from the last and are
// durable, and MustSync says exactly when it matters (docs/host-contract.md).
func TestCatchS18(t *testing.T) {
	// One entry is committed and durable on node 2, which is about to be told.
	ready := func(edit func(f *fixture, rd *raft.Ready)) func(f *fixture) *Violation {
		return func(f *fixture) *Violation {
			f.propose(f.h1, "three")
			f.ready(f.h1)
			f.sync(f.h1)
			for range 4 {
				msgs := f.net
				f.net = nil
				for _, m := range msgs {
					f.deliver(m)
				}
				f.sync(f.h2)
				if f.h2.rn.BasicStatus().Commit > f.last {
					break
				}
				f.ready(f.h1)
				f.ready(f.h2)
			}
			f.sync(f.h2)
			rd := f.take(f.h2)
			require.NotEmpty(f.t, rd.CommittedEntries)
			edit(f, &rd)
			return f.c.Ready(2, &rd)
		}
	}
	runCatches(t, map[string]catch{
		"a gap in what is committed": {"S18", "is handed out after",
			ready(func(f *fixture, rd *raft.Ready) { f.c.node(2).handed-- })},
		"handed out twice": {"S18", "is handed out after",
			ready(func(f *fixture, rd *raft.Ready) { f.c.node(2).handed++ })},
		"past the commit": {"S18", "the commit is",
			ready(func(f *fixture, rd *raft.Ready) { f.c.node(2).st.Commit--; rd.HardState.Commit-- })},
		"not durable": {"S18", "is not on the disk", ready(func(f *fixture, rd *raft.Ready) {
			require.NoError(f.t, f.h2.disk.Append([]pb.Entry{{Index: f.last, Term: f.term}}))
		})},
		"before the snapshot is applied": {"S18", "come before the snapshot",
			ready(func(f *fixture, rd *raft.Ready) { f.c.node(2).restoring = f.last + 1 })},
		"MustSync for nothing": {"S18", "MustSync is true",
			ready(func(f *fixture, rd *raft.Ready) { rd.MustSync = true })},
		"no MustSync for a vote": {"S18", "MustSync is false",
			ready(func(f *fixture, rd *raft.Ready) { f.c.node(2).hard.Vote = 0 })},
		"no MustSync for a term": {"S18", "MustSync is false",
			ready(func(f *fixture, rd *raft.Ready) { f.c.node(2).hard.Term-- })},
		"no MustSync for a change": {"S18", "MustSync is false", ready(func(f *fixture, rd *raft.Ready) {
			f.c.history = append(f.c.history, newConfAt(f.last+1, f.c.history[0].cfg))
		})},
		"hard state kept back": {"S18", "the hard state is",
			ready(func(f *fixture, rd *raft.Ready) { rd.HardState = pb.HardState{} })},
		"entries kept back": {"S18", "the log ends at", func(f *fixture) *Violation {
			f.propose(f.h1, "three")
			rd := f.take(f.h1)
			rd.Entries, rd.MustSync = nil, false
			return f.c.Ready(1, &rd)
		}},
		"no MustSync for entries": {"S18", "MustSync is false", func(f *fixture) *Violation {
			f.propose(f.h1, "three")
			rd := f.take(f.h1)
			rd.MustSync = false
			return f.c.Ready(1, &rd)
		}},
		"entries after a gap": {"S18", "do not continue", func(f *fixture) *Violation {
			f.propose(f.h1, "three")
			rd := f.take(f.h1)
			f.c.node(1).log.truncate(f.last - 1)
			return f.c.Ready(1, &rd)
		}},
		"entries with a gap": {"S18", "is handed out after", func(f *fixture) *Violation {
			f.propose(f.h1, "three")
			f.propose(f.h1, "four")
			rd := f.take(f.h1)
			rd.Entries = append([]pb.Entry{rd.Entries[0]}, rd.Entries[0])
			return f.c.Ready(1, &rd)
		}},
	})
}
