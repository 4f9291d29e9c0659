package rafttest_test

import (
	"math/rand/v2"
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
