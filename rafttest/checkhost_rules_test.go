package rafttest_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// follower is node 1 of 1, 2 and 3, which begins with a snapshot at 1 and is told
// what to do by a test.
type follower struct {
	t      *testing.T
	faults *recorder
	check  *rafttest.HostCheck
	cfg    raft.Config
	disk   *raft.MemoryStorage
	rn     *raft.RawNode
	end    uint64 // of what the leader, 2 in term 2, has sent
}

func newFollower(t *testing.T) *follower {
	f := &follower{t: t, faults: &recorder{TB: t}, disk: seeded(t), end: 1}
	f.cfg = raft.Config{ID: 1, Storage: f.disk}
	f.check = rafttest.CheckHost(f.faults, &f.cfg)
	f.start(1)
	return f
}

func seeded(t *testing.T) *raft.MemoryStorage {
	disk := raft.NewMemoryStorage()
	require.NoError(t, disk.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Index: 1},
	}}))
	return disk
}

func (f *follower) start(seed uint64) {
	f.cfg.Rand = rand.NewPCG(seed, 0)
	rn, err := raft.NewRawNode(&f.cfg)
	require.NoError(f.t, err)
	f.rn = rn
}

// step steps a message of the leader and returns the Ready.
func (f *follower) step(m pb.Message) raft.Ready {
	m.From, m.To, m.Term = 2, 1, 2
	require.NoError(f.t, f.rn.Step(m))
	rd := f.rn.Ready()
	require.False(f.t, rd.IsEmpty())
	return rd
}

// appends returns the Ready of an append of one entry of that type and data.
func (f *follower) appends(typ pb.EntryType, data string) raft.Ready {
	term := uint64(2)
	if f.end == 1 {
		term = 1
	}
	f.end++
	return f.step(pb.Message{Type: pb.MsgApp, Index: f.end - 1, LogTerm: term,
		Entries: []pb.Entry{{Type: typ, Term: 2, Index: f.end, Data: []byte(data)}}})
}

// probed returns a Ready with a promise, a rejection, and nothing to write.
func (f *follower) probed() raft.Ready {
	rd := f.step(pb.Message{Type: pb.MsgApp, Index: 90, LogTerm: 2})
	require.Empty(f.t, rd.Entries)
	require.True(f.t, raft.IsEmptyHardState(rd.HardState))
	require.NotEmpty(f.t, rd.MessagesAfterAppend)
	return rd
}

// commits returns the Ready in which everything is committed.
func (f *follower) commits() raft.Ready {
	rd := f.step(pb.Message{Type: pb.MsgHeartbeat, Commit: f.end})
	require.NotEmpty(f.t, rd.CommittedEntries)
	return rd
}

// snapshot returns the Ready of a received snapshot at 9, in which 4 is a learner.
func (f *follower) snapshot() raft.Ready {
	return f.step(pb.Message{Type: pb.MsgSnap, Snapshot: &pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: 9, Term: 2, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}, Index: 8}}}})
}

func (f *follower) write(rd raft.Ready) {
	require.NoError(f.t, rafttest.Memory(f.disk).Save(rd))
}

func (f *follower) send(rd raft.Ready) {
	for _, m := range append(rd.Messages, rd.MessagesAfterAppend...) {
		f.check.Sent(m)
	}
}

// done does all of rd but for applying.
func (f *follower) done(rd raft.Ready) {
	f.write(rd)
	f.check.Persisted(rd)
	f.send(rd)
	require.NoError(f.t, f.rn.AckAppend(rd.AppendToken()))
}

// apply appends, commits and applies an entry.
func (f *follower) apply(t *testing.T, data string) {
	f.done(f.appends(pb.EntryNormal, data))
	commit := f.commits()
	f.done(commit)
	f.check.Applied(commit.CommittedEntries[0])
	require.NoError(t, f.rn.AckApply(f.end))
}

func confChange(t *testing.T, typ pb.ConfChangeType, id uint64) (pb.ConfChange, string) {
	cc := pb.ConfChange{Type: typ, NodeID: id}
	data, err := cc.Marshal()
	require.NoError(t, err)
	return cc, string(data)
}

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

// making is a storage in which a snapshot is being made.
type making struct{ *raft.MemoryStorage }

func (making) Snapshot() (pb.Snapshot, error) {
	return pb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
}

// The first configuration of a new group holds from its first entry on, whatever
// entry brings which member.
func TestSnapshotOfABootstrappedHost(t *testing.T) {
	f := &follower{t: t, faults: &recorder{TB: t}, disk: raft.NewMemoryStorage()}
	f.cfg = raft.Config{ID: 1, Storage: f.disk}
	f.check = rafttest.CheckHost(f.faults, &f.cfg)
	f.start(1)
	require.NoError(t, f.rn.Bootstrap([]raft.Peer{{ID: 1}, {ID: 2}, {ID: 3}}))
	f.done(f.rn.Ready())
	for _, e := range f.rn.Ready().CommittedEntries {
		cc, err := pb.UnmarshalConfChange(e)
		require.NoError(t, err)
		f.rn.ApplyConfChange(cc)
		f.check.Applied(e)
	}
	cs, err := f.rn.ConfStateAt(2)
	require.NoError(t, err)
	f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 2, ConfState: *cs}})
	require.Empty(t, f.check.Violations())
}

// Each step that the contract forbids is named, and no step that it allows is
// (docs/host-contract.md).
func TestHostScripts(t *testing.T) {
	for _, script := range hostScripts {
		t.Run(script.name, func(t *testing.T) {
			f := newFollower(t)
			script.run(t, f)
			f.check.Finish()
			if script.rule == "" {
				require.Empty(t, f.check.Violations())
				return
			}
			require.Equal(t, []rafttest.HostRule{script.rule}, rulesOf(f.check.Violations()), "%v", f.faults.faults)
			require.Len(t, f.faults.faults, 1)
			require.Contains(t, f.faults.faults[0], "host rule "+string(script.rule)+": ")
		})
	}
}

// Every rule can be broken: there is a host or a script that does.
func TestEveryHostRuleIsBroken(t *testing.T) {
	broken := map[string]bool{}
	for _, b := range brokenHosts {
		broken[string(b.rule)] = true
	}
	require.GreaterOrEqual(t, len(broken), 15)
	for _, script := range hostScripts {
		broken[string(script.rule)] = true
	}
	source, err := os.ReadFile("checkhost_rules.go")
	require.NoError(t, err)
	rules := regexp.MustCompile(`\tRule\w+ HostRule = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(rules), 30)
	for _, rule := range rules {
		require.True(t, broken[rule[1]], "nothing breaks %s", rule[1])
	}
}

// A rule is reported once, however often it is broken.
func TestHostRuleIsReportedOnce(t *testing.T) {
	f := newFollower(t)
	for i := range uint64(3) {
		f.check.Restored(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 7 + i}})
	}
	require.Len(t, f.faults.faults, 1)
	require.Len(t, f.check.Violations(), 1)
	require.Contains(t, f.check.Violations()[0].Detail, "snapshot of 7")
}
