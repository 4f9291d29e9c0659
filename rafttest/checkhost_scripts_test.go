package rafttest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// hostScripts are what a host may do and may not do, step by step.
var hostScripts = []struct {
	name string
	rule rafttest.HostRule // "" if it is allowed
	run  func(t *testing.T, f *follower)
}{
	{"a promise before an earlier write", rafttest.RulePromiseAfterEarlierWrites, func(_ *testing.T, f *follower) {
		first, second := f.appends(pb.EntryNormal, "a"), f.probed()
		f.send(second)
		f.done(first)
	}},
	{"a promise before an earlier write is synced", rafttest.RulePromiseAfterEarlierWrites, func(_ *testing.T, f *follower) {
		first, second := f.appends(pb.EntryNormal, "a"), f.probed()
		f.write(first)
		f.check.Saved(first)
		f.send(second)
	}},
	{"a promise after an earlier write that need not be synced", "", func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		commit := f.commits()
		require.False(f.t, commit.MustSync)
		second := f.probed()
		f.write(commit)
		f.check.Saved(commit)
		f.send(second)
	}},
	{"syncing a later write covers the earlier ones", "", func(_ *testing.T, f *follower) {
		first, second := f.appends(pb.EntryNormal, "a"), f.appends(pb.EntryNormal, "b")
		for _, rd := range []raft.Ready{first, second} {
			f.write(rd)
			f.check.Saved(rd)
		}
		f.check.Synced(second.AppendToken())
		f.send(first)
		f.send(second)
	}},
	{"syncing covers only what was written", rafttest.RulePromiseAfterWrite, func(_ *testing.T, f *follower) {
		first, second := f.appends(pb.EntryNormal, "a"), f.appends(pb.EntryNormal, "b")
		f.write(first)
		f.check.Saved(first)
		f.check.Synced(second.AppendToken())
		f.send(second)
	}},
	{"a write in between is left out", rafttest.RuleWriteOrder, func(_ *testing.T, f *follower) {
		first, second := f.appends(pb.EntryNormal, "a"), f.appends(pb.EntryNormal, "b")
		f.write(first)
		f.check.Persisted(second)
	}},
	{"another entry is written", rafttest.RuleWriteWhole, func(_ *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.check.Saved(rd)
		rd.Entries = []pb.Entry{{Term: 2, Index: 2, Data: []byte("b")}}
		f.write(rd)
		f.check.Synced(rd.AppendToken())
	}},
	{"another term is written", rafttest.RuleWriteWhole, func(_ *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.check.Saved(rd)
		rd.HardState.Term++
		f.write(rd)
		f.check.Synced(rd.AppendToken())
	}},
	{"a snapshot is not written", rafttest.RuleWriteWhole, func(_ *testing.T, f *follower) {
		rd := f.snapshot()
		all := rd
		rd.Snapshot = pb.Snapshot{}
		f.write(rd)
		f.check.Persisted(all)
	}},
	{"a later snapshot replaces a longer log", "", func(t *testing.T, f *follower) {
		for range 9 {
			f.done(f.appends(pb.EntryNormal, "a"))
		}
		last := f.appends(pb.EntryNormal, "b")
		require.NoError(t, f.rn.Step(pb.Message{Type: pb.MsgSnap, From: 3, To: 1, Term: 3, Snapshot: &pb.Snapshot{
			Metadata: pb.SnapshotMetadata{Index: 9, Term: 3, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Index: 1}}}}))
		snap := f.rn.Ready()
		f.write(last)
		f.write(snap) // before the last one is reported
		f.check.Persisted(last)
		f.check.Persisted(snap)
	}},
	{"a later snapshot replaces what an earlier Ready wrote", "", func(_ *testing.T, f *follower) {
		first, snap := f.appends(pb.EntryNormal, "a"), f.snapshot()
		f.write(first)
		f.write(snap) // before the first is reported
		f.check.Persisted(first)
		f.check.Persisted(snap)
	}},
	{"a later Ready replaces what an earlier one wrote", "", func(_ *testing.T, f *follower) {
		first := f.appends(pb.EntryNormal, "a")
		require.NoError(f.t, f.rn.Step(pb.Message{Type: pb.MsgApp, From: 3, To: 1, Term: 3, Index: 1, LogTerm: 1,
			Entries: []pb.Entry{{Term: 3, Index: 2, Data: []byte("b")}}}))
		second := f.rn.Ready()
		f.write(first)
		f.write(second) // before the first is reported
		f.check.Persisted(first)
		f.check.Persisted(second)
		f.send(first)
		f.send(second)
	}},
	{"a write of an earlier node", rafttest.RuleWriteAlone, func(_ *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.start(2)
		f.check.Persisted(rd)
	}},
	{"a restart without what was not durable", "", func(_ *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.check.Saved(rd)
		f.start(2)
	}},
	{"a restart with what was not known to be durable", "", func(_ *testing.T, f *follower) {
		f.write(f.appends(pb.EntryNormal, "a"))
		f.start(2)
	}},
	{"a restart without what was durable", rafttest.RuleRestartKeepsWrites, func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		f.cfg.Storage = seeded(f.t)
		f.start(2)
	}},
	{"a restart with what Recovered said of another one", rafttest.RuleRestartAppliedTooHigh, func(t *testing.T, f *follower) {
		f.apply(t, "a")
		f.check.Recovered(2)
		f.cfg.Applied = 2
		f.start(2)
		require.Empty(t, f.check.Violations())
		f.start(3)
	}},
	{"a restart with what a dying host applied", "", func(t *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		commit := f.commits()
		f.check.Crashed()
		f.check.Applied(commit.CommittedEntries[0])
		f.check.Recovered(2)
		f.cfg.Applied = 2
		f.start(2)
	}},
	{"a restart with the random numbers of before", rafttest.RuleRestartRandom, func(_ *testing.T, f *follower) {
		f.start(1)
	}},
	{"a message is sent twice", "", func(_ *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.write(rd)
		f.check.Persisted(rd)
		f.send(rd)
		f.send(rd)
	}},
	{"a message is sent again while one like it may not leave", "", func(_ *testing.T, f *follower) {
		again := pb.Message{Type: pb.MsgApp, Index: 1, LogTerm: 1, Entries: []pb.Entry{{Term: 2, Index: 2, Data: []byte("a")}}}
		rd := f.appends(pb.EntryNormal, "a")
		answer := rd.MessagesAfterAppend[0]
		f.done(rd)
		f.appends(pb.EntryNormal, "b") // is not written
		require.Equal(f.t, answer, f.step(again).MessagesAfterAppend[0])
		f.check.Sent(answer)
	}},
	{"a message is dropped", "", func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		first, second := f.probed(), f.appends(pb.EntryNormal, "b")
		f.check.Dropped(first.MessagesAfterAppend[0])
		f.done(second)
	}},
	{"a message of a former life", "", func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		late := f.step(pb.Message{Type: pb.MsgHeartbeat}).Messages[0]
		f.start(2)
		f.check.Sent(late)
	}},
	{"Advance before a promise is sent", rafttest.RuleSendPromises, func(_ *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		late := rd.MessagesAfterAppend[0]
		f.write(rd)
		f.check.Persisted(rd)
		require.NoError(f.t, f.rn.Advance(rd))
		f.check.Sent(late)
	}},
	{"a promise of a former life that was not durable", rafttest.RulePromiseAfterWrite, func(_ *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.start(2)
		f.send(rd)
	}},
	{"an earlier message is passed over", rafttest.RuleSendPromises, func(_ *testing.T, f *follower) {
		first, second := f.appends(pb.EntryNormal, "a"), f.appends(pb.EntryNormal, "b")
		f.write(first)
		f.check.Persisted(first)
		f.write(second)
		f.check.Persisted(second)
		f.send(second)
		require.NoError(f.t, f.rn.AckAppend(second.AppendToken()))
	}},
	{"the last message waits in a queue", "", func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		last := f.appends(pb.EntryNormal, "b")
		f.write(last)
		f.check.Persisted(last)
		require.NoError(f.t, f.rn.AckAppend(last.AppendToken()))
	}},
	{"an entry is left out at the end", rafttest.RuleApplyEach, func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		f.done(f.appends(pb.EntryNormal, "b"))
		f.check.Applied(f.commits().CommittedEntries[1])
	}},
	{"an entry changes before it is applied", rafttest.RuleEntriesUnchanged, func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		e := f.commits().CommittedEntries[0]
		e.Data = []byte("b")
		f.check.Applied(e)
	}},
	{"another entry is applied", rafttest.RuleApplyHandedOut, func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		e := f.commits().CommittedEntries[0]
		e.Term++
		f.check.Applied(e)
	}},
	{"a snapshot is restored that did not come", rafttest.RuleApplyHandedOut, func(_ *testing.T, f *follower) {
		f.check.Restored(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 9}})
	}},
	{"an entry that a restored snapshot covers", rafttest.RuleApplyOnce, func(_ *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		commit := f.commits()
		snap := f.snapshot()
		f.done(commit)
		f.done(snap)
		f.check.Restored(snap.Snapshot)
		f.check.Applied(commit.CommittedEntries[0])
	}},
	{"a restored snapshot covers entries that were not applied", "", func(t *testing.T, f *follower) {
		_, data := confChange(t, pb.ConfChangeAddLearnerNode, 4)
		f.done(f.appends(pb.EntryConfChange, data))
		commit := f.commits()
		snap := f.snapshot()
		f.done(commit)
		f.done(snap)
		f.check.Restored(snap.Snapshot)
		require.NoError(t, f.rn.AckApply(9))
	}},
	{"a snapshot comes between a change of configuration and its application", "", func(t *testing.T, f *follower) {
		cc, data := confChange(t, pb.ConfChangeAddLearnerNode, 5)
		f.done(f.appends(pb.EntryConfChange, data))
		commit, snap := f.commits(), f.snapshot()
		f.rn.ApplyConfChange(cc)
		f.check.Applied(commit.CommittedEntries[0])
		f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{
			Index: 2, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{5}}}})
		f.done(commit)
		f.done(snap)
		f.check.Restored(snap.Snapshot)
		require.NoError(t, f.rn.AckApply(9))
		f.check.SnapshotTaken(snap.Snapshot)
	}},
	{"another configuration than that of a restored snapshot", rafttest.RuleConfOfIndex, func(t *testing.T, f *follower) {
		snap := f.snapshot()
		f.done(snap)
		f.check.Restored(snap.Snapshot)
		require.NoError(t, f.rn.AckApply(9))
		f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 9, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}}}})
	}},
	{"an entry changes after it was applied", rafttest.RuleEntriesUnchanged, func(t *testing.T, f *follower) {
		f.done(f.appends(pb.EntryNormal, "a"))
		commit := f.commits()
		f.done(commit)
		f.check.Applied(commit.CommittedEntries[0])
		commit.CommittedEntries[0].Data[0]++
		require.NoError(t, f.rn.AckApply(2))
		f.check.Crashed()
	}},
	{"a change of configuration is taken for a leave", rafttest.RuleConfChangeOrder, func(t *testing.T, f *follower) {
		_, data := confChange(t, pb.ConfChangeAddLearnerNode, 4)
		f.done(f.appends(pb.EntryConfChange, data))
		f.commits()
		f.rn.ApplyConfChange(pb.ConfChangeV2{})
	}},
	{"a change of configuration is refused with node 0", "", func(t *testing.T, f *follower) {
		_, data := confChange(t, pb.ConfChangeAddLearnerNode, 4)
		f.done(f.appends(pb.EntryConfChange, data))
		commit := f.commits()
		f.done(commit)
		f.rn.ApplyConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode})
		f.check.Applied(commit.CommittedEntries[0])
		require.NoError(t, f.rn.AckApply(2))
		f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 2, ConfState: pb.ConfState{Voters: []uint64{3, 2, 1}}}})
	}},
	{"a later configuration than that of the snapshot's index", rafttest.RuleConfOfIndex, func(t *testing.T, f *follower) {
		cc, data := confChange(t, pb.ConfChangeAddLearnerNode, 4)
		f.done(f.appends(pb.EntryNormal, "a"))
		f.done(f.appends(pb.EntryConfChange, data))
		commit := f.commits()
		f.done(commit)
		cs := f.rn.ApplyConfChange(cc)
		for _, e := range commit.CommittedEntries {
			f.check.Applied(e)
		}
		f.check.ConfStateSaved(*cs)
		f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 3, ConfState: *cs}})
		require.Empty(t, f.check.Violations())
		f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 2, ConfState: *cs}})
	}},
	{"a configuration that is alike but of a later index", rafttest.RuleConfOfIndex, func(_ *testing.T, f *follower) {
		f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Index: 2}}})
	}},
	{"the configuration was persisted ahead of what is applied", "", func(t *testing.T, f *follower) {
		for _, id := range []uint64{4, 5} {
			_, data := confChange(t, pb.ConfChangeAddLearnerNode, id)
			f.done(f.appends(pb.EntryConfChange, data))
		}
		f.done(f.commits())
		f.disk.SetConfState(pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4, 5}, Index: 3})
		f.start(2)
		rd := f.rn.Ready()
		cc, _ := confChange(t, pb.ConfChangeAddLearnerNode, 4)
		f.rn.ApplyConfChange(cc)
		f.check.Applied(rd.CommittedEntries[0])
		f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 2, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}}})
	}},
	{"the log ends at a received snapshot while another one is made", "", func(t *testing.T, f *follower) {
		f.cfg.Storage = making{f.disk}
		f.start(2)
		snap := f.snapshot()
		f.done(snap)
		f.check.Restored(snap.Snapshot)
		require.NoError(t, f.rn.AckApply(9))
		f.check.Compacted(9)
	}},
	{"a configuration with the index of another", rafttest.RuleConfOfIndex, func(_ *testing.T, f *follower) {
		f.check.ConfStateSaved(pb.ConfState{Voters: []uint64{1, 2}, Index: 1})
	}},
	{"a snapshot of what is not applied", rafttest.RuleSnapshotApplied, func(_ *testing.T, f *follower) {
		f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 2, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}}}})
	}},
	{"an acknowledgement of what was durable before a write failed", "", func(t *testing.T, f *follower) {
		first, second := f.appends(pb.EntryNormal, "a"), f.appends(pb.EntryNormal, "b")
		f.write(first)
		f.check.Persisted(first)
		f.check.Failed(errors.New("no space"))
		f.send(first)
		require.NoError(t, f.rn.AckAppend(first.AppendToken()))
		_ = second
	}},
	{"an acknowledgement of a write that failed", rafttest.RuleStopAfterFailure, func(t *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.check.Failed(errors.New("no space"))
		require.NoError(t, f.rn.AckAppend(rd.AppendToken()))
	}},
	{"what a crashed host does", "", func(t *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.check.Crashed()
		f.send(rd)
		f.check.Applied(pb.Entry{Index: 7})
		require.NoError(t, f.rn.AckAppend(rd.AppendToken()))
	}},
	{"what comes after the end", "", func(_ *testing.T, f *follower) {
		rd := f.appends(pb.EntryNormal, "a")
		f.check.Finish()
		f.send(rd)
	}},
}
