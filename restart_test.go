package raft_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// persisted is what a node finds when it starts: a log after a snapshot at 1 of
// voters 1 to 3, with changes of configuration.
func persisted(t *testing.T, hs pb.HardState, ents ...pb.Entry) *raft.MemoryStorage {
	ms := raft.NewMemoryStorage()
	require.NoError(t, ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Index: 1},
	}}))
	require.NoError(t, ms.Append(ents))
	require.NoError(t, ms.SetHardState(hs))
	return ms
}

func changeEntry(t *testing.T, index uint64, cc pb.ConfChangeI) pb.Entry {
	typ, data, err := pb.MarshalConfChange(cc)
	require.NoError(t, err)
	return pb.Entry{Type: typ, Term: 2, Index: index, Data: data}
}

func startNode(t *testing.T, ms raft.Storage, applied uint64) *raft.RawNode {
	rn, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: ms, Applied: applied, Rand: rand.NewPCG(1, 1)})
	require.NoError(t, err)
	return rn
}

// threeChanges is a log with an entry, a joint configuration, an entry, and the
// way out of it.
func threeChanges(t *testing.T) []pb.Entry {
	return []pb.Entry{
		{Term: 2, Index: 2},
		changeEntry(t, 3, pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 7}),
		{Term: 2, Index: 4},
		changeEntry(t, 5, pb.ConfChangeV2{Transition: pb.ConfChangeTransitionJointExplicit, Changes: []pb.ConfChangeSingle{
			{Type: pb.ConfChangeRemoveNode, NodeID: 3}, {Type: pb.ConfChangeAddNode, NodeID: 7}, {Type: pb.ConfChangeAddLearnerNode, NodeID: 2},
		}}),
		{Term: 2, Index: 6},
		changeEntry(t, 7, pb.ConfChangeV2{}),
		{Term: 2, Index: 8},
	}
}

// After a restart nothing is asked for but what was not applied, and term and
// vote are those on disk (Raft figure 2, persistent state).
func TestRestartEmitsNothingNew(t *testing.T) {
	hs := pb.HardState{Term: 5, Vote: 3, Commit: 8}
	rn := startNode(t, persisted(t, hs, threeChanges(t)...), 8)
	require.False(t, rn.HasReady())
	rd := rn.Ready()
	require.True(t, rd.IsEmpty())
	s := rn.BasicStatus()
	require.Equal(t, hs, s.HardState)
	require.Equal(t, raft.SoftState{}, s.SoftState)
	require.Equal(t, []uint64{8, 8, 8}, []uint64{s.Applied, s.Durable, s.LastIndex})

	// The vote stands: it is not given to another of the term, and repeated to
	// the same one (Raft §5.2).
	for from, reject := range map[uint64]bool{2: true, 3: false} {
		require.NoError(t, rn.Step(pb.Message{Type: pb.MsgVote, From: from, To: 1, Term: 5, Index: 20, LogTerm: 5}))
		rd := rn.Ready()
		require.Len(t, rd.MessagesAfterAppend, 1)
		require.Equal(t, reject, rd.MessagesAfterAppend[0].Reject)
		require.False(t, rd.MustSync)
		require.NoError(t, rn.Advance(rd))
	}
	// An earlier term is answered with this one.
	require.NoError(t, rn.Step(pb.Message{Type: pb.MsgVote, From: 2, To: 1, Term: 4, Index: 20, LogTerm: 4}))
	rd = rn.Ready()
	require.Equal(t, uint64(5), rd.MessagesAfterAppend[0].Term)
	require.True(t, rd.MessagesAfterAppend[0].Reject)
}

// What was committed and not applied is handed out again, in order and once.
func TestRestartHandsOutWhatWasNotApplied(t *testing.T) {
	ents := threeChanges(t)
	for applied := uint64(1); applied <= 8; applied++ {
		rn := startNode(t, persisted(t, pb.HardState{Term: 2, Commit: 7}, ents...), applied)
		var got []pb.Entry
		for rn.HasReady() {
			rd := rn.Ready()
			require.Empty(t, rd.Entries)
			require.Empty(t, rd.Messages)
			got = append(got, rd.CommittedEntries...)
			require.NoError(t, rn.Advance(rd))
		}
		want := ents[min(applied, 7)-1 : 6]
		require.Equal(t, append([]pb.Entry{}, want...), append([]pb.Entry{}, got...), "applied %d", applied)
	}
}

// The commit index after a restart is the highest of what was persisted, what
// was applied and the snapshot: all three are known to be committed.
func TestRestartCommitIndex(t *testing.T) {
	for _, c := range []struct{ commit, applied, snapshot, want uint64 }{
		{0, 0, 1, 1}, {6, 0, 1, 6}, {6, 8, 1, 8}, {8, 6, 1, 8}, {0, 4, 4, 4}, {0, 0, 5, 5}, {6, 0, 5, 6},
	} {
		ms := persisted(t, pb.HardState{Term: 2, Commit: c.commit}, threeChanges(t)...)
		if c.snapshot > 1 {
			_, err := ms.CreateSnapshot(c.snapshot, &pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{7}, Index: 3}, nil)
			require.NoError(t, err)
			require.NoError(t, ms.Compact(c.snapshot))
		}
		rn := startNode(t, ms, c.applied)
		require.Equal(t, c.want, rn.BasicStatus().Commit, "%+v", c)
		require.Equal(t, max(c.applied, c.snapshot), rn.BasicStatus().Applied)
	}
}

// The configuration after a restart is the persisted one with the changes up to
// Applied folded in, and none after: a change takes effect when it is applied. A
// joint configuration survives with both halves (dissertation §4.3).
func TestRestartFoldsTheConfiguration(t *testing.T) {
	want := map[uint64]string{
		1: "voters=(1 2 3)", 2: "voters=(1 2 3)", 3: "voters=(1 2 3) learners=(7)", 4: "voters=(1 2 3) learners=(7)",
		5: "voters=(1 7)&&(1 2 3) learners_next=(2)", 6: "voters=(1 7)&&(1 2 3) learners_next=(2)",
		7: "voters=(1 7) learners=(2)", 8: "voters=(1 7) learners=(2)",
	}
	index := map[uint64]uint64{1: 1, 2: 1, 3: 3, 4: 3, 5: 5, 6: 5, 7: 7, 8: 7}
	states := map[uint64]pb.ConfState{1: {Voters: []uint64{1, 2, 3}, Index: 1}}
	// From the snapshot's configuration, with the index of configuration entries
	// and by a scan; and from every later one that was saved.
	for applied := uint64(1); applied <= 8; applied++ {
		for saved := range states {
			for _, scan := range []bool{false, true} {
				ms := persisted(t, pb.HardState{Term: 2, Commit: 8}, threeChanges(t)...)
				ms.SetConfState(states[saved])
				var storage raft.Storage = ms
				if scan {
					storage = scannedStorage{ms}
				}
				rn := startNode(t, storage, applied)
				s := rn.Status()
				require.Equal(t, want[applied], s.Config.String(), "saved %d, applied %d", saved, applied)
				require.Equal(t, index[applied], s.ConfigIndex)
				pending := map[bool]uint64{true: 0, false: 7}[applied >= 7]
				if applied < 5 {
					pending = 5
				}
				if applied < 3 {
					pending = 3
				}
				require.Equal(t, pending, s.PendingConfIndex)
				cs := s.Config.ConfState()
				cs.Index = s.ConfigIndex
				states[cs.Index] = cs
			}
		}
	}
}

// scannedStorage hides that MemoryStorage knows where configuration entries are.
type scannedStorage struct{ raft.Storage }

// A configuration that was saved after a change, while Applied was not, is not
// changed a second time when that entry comes again.
func TestRestartWithAConfigurationAheadOfApplied(t *testing.T) {
	ms := persisted(t, pb.HardState{Term: 2, Commit: 8}, threeChanges(t)...)
	ms.SetConfState(pb.ConfState{Voters: []uint64{1, 7}, VotersOutgoing: []uint64{1, 2, 3}, LearnersNext: []uint64{2}, Index: 5})
	rn := startNode(t, ms, 2)
	seen := map[uint64]string{}
	for rn.HasReady() {
		rd := rn.Ready()
		for _, e := range rd.CommittedEntries {
			if e.Type == pb.EntryNormal {
				continue
			}
			cc, err := pb.UnmarshalConfChange(e)
			require.NoError(t, err)
			cs := rn.ApplyConfChange(cc)
			require.NotNil(t, cs)
			seen[e.Index] = rn.Status().Config.String()
		}
		require.NoError(t, rn.Advance(rd))
	}
	require.Equal(t, map[uint64]string{
		3: "voters=(1 7)&&(1 2 3) learners_next=(2)",
		5: "voters=(1 7)&&(1 2 3) learners_next=(2)",
		7: "voters=(1 7) learners=(2)",
	}, seen)
}

// The members that Bootstrap made are in effect before their entries are
// applied. When these are handed out together with a later change, each call of
// ApplyConfChange is for its own entry and the change is not lost.
func TestChangeHandedOutTogetherWithTheBootstrap(t *testing.T) {
	ms := raft.NewMemoryStorage()
	rn := startNode(t, ms, 0)
	require.NoError(t, rn.Bootstrap([]raft.Peer{{ID: 1}, {ID: 2}, {ID: 3}}))
	add := changeEntry(t, 4, pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 4})
	require.NoError(t, rn.Step(pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 2, Index: 3, LogTerm: 1, Entries: []pb.Entry{add}, Commit: 4}))
	rd := rn.Ready()
	require.NoError(t, ms.Append(rd.Entries))
	require.NoError(t, rn.AckAppend(rd.AppendToken()))
	rd = rn.Ready()
	require.Len(t, rd.CommittedEntries, 4)
	for _, e := range rd.CommittedEntries {
		cc, err := pb.UnmarshalConfChange(e)
		require.NoError(t, err)
		rn.ApplyConfChange(cc)
	}
	require.NoError(t, rn.Advance(rd))
	require.Equal(t, "voters=(1 2 3 4)", rn.Status().Config.String())
	require.Equal(t, uint64(4), rn.Status().ConfigIndex)
}

// A configuration without an index is as of Applied: nothing is folded into it, and what
// held before is not known, so that no snapshot of before is made with it.
func TestRestartWithAConfigurationWithoutIndex(t *testing.T) {
	rn := startNode(t, indexless{persisted(t, pb.HardState{Term: 2, Commit: 8}, threeChanges(t)...)}, 6)
	s := rn.Status()
	require.Equal(t, "voters=(4 5)", s.Config.String())
	require.Zero(t, s.ConfigIndex)
	require.Equal(t, uint64(7), s.PendingConfIndex)
	for i := range uint64(6) {
		_, err := rn.ConfStateAt(i)
		require.ErrorIs(t, err, raft.ErrCompacted, "%d", i)
	}
	cs, err := rn.ConfStateAt(6)
	require.NoError(t, err)
	require.Equal(t, []uint64{4, 5}, cs.Voters)
}

type indexless struct{ raft.Storage }

func (s indexless) InitialState() (pb.HardState, pb.ConfState, error) {
	hs, _, err := s.Storage.InitialState()
	return hs, pb.ConfState{Voters: []uint64{4, 5}}, err
}

// Bootstrap makes the same entries in whatever order the members are named: each member makes
// them by itself, all as committed, and a host may keep them in a map (Raft §5.3: entries of
// one index and term are the same).
func TestBootstrapInAnyOrder(t *testing.T) {
	peers := []raft.Peer{{ID: 3, Context: []byte("c")}, {ID: 1, Context: []byte("a")}, {ID: 2, Context: []byte("b")}}
	var first []pb.Entry
	for range peers {
		peers = append(peers[1:], peers[0])
		given := slices.Clone(peers)
		storage := raft.NewMemoryStorage()
		rn, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: storage})
		require.NoError(t, err)
		require.NoError(t, rn.Bootstrap(given))
		require.Equal(t, peers, given, "what the caller gave is as it was")
		rd := rn.Ready()
		require.Len(t, rd.Entries, 3)
		if first == nil {
			first = slices.Clone(rd.Entries)
		}
		require.Equal(t, first, rd.Entries)
		for i, e := range rd.Entries {
			cc, err := pb.UnmarshalConfChange(e)
			require.NoError(t, err)
			require.Equal(t, uint64(i+1), cc.AsV2().Changes[0].NodeID)
		}
	}
}

// The first members of a group are in its log. A node that restarts finds them
// there, whether or not its host saved the configuration (dissertation §4.4).
func TestRestartAfterBootstrap(t *testing.T) {
	for _, save := range []bool{false, true} {
		ms := raft.NewMemoryStorage()
		rn := startNode(t, ms, 0)
		require.NoError(t, rn.Bootstrap([]raft.Peer{{ID: 1}, {ID: 2}, {ID: 3}}))
		for rn.HasReady() {
			rd := rn.Ready()
			require.NoError(t, ms.Append(rd.Entries))
			require.NoError(t, ms.SetHardState(rn.BasicStatus().HardState))
			for _, e := range rd.CommittedEntries {
				cc, err := pb.UnmarshalConfChange(e)
				require.NoError(t, err)
				cs := rn.ApplyConfChange(cc)
				if save {
					ms.SetConfState(*cs)
				}
			}
			require.NoError(t, rn.Advance(rd))
		}
		require.Equal(t, uint64(3), rn.BasicStatus().Applied)
		rn = startNode(t, ms, 3)
		require.Equal(t, "voters=(1 2 3)", rn.Status().Config.String(), "saved %t", save)
		require.False(t, rn.HasReady())
		require.NoError(t, rn.Campaign())
		rn = startNode(t, ms, 1)
		require.ErrorIs(t, rn.Campaign(), raft.ErrCannotCampaign, "members are missing still")
	}
}

// A node must not campaign while a committed change is not applied: others may
// elect under it already, by quorums that need not meet those before it.
func TestRestartDoesNotCampaignOverAnUnappliedChange(t *testing.T) {
	rn := startNode(t, persisted(t, pb.HardState{Term: 2, Commit: 3}, threeChanges(t)...), 2)
	require.ErrorIs(t, rn.Campaign(), raft.ErrCannotCampaign)
	for range 50 {
		rn.Tick()
	}
	require.Equal(t, raft.StateFollower, rn.BasicStatus().RaftState)
	rd := rn.Ready()
	cc, err := pb.UnmarshalConfChange(rd.CommittedEntries[0])
	require.NoError(t, err)
	rn.ApplyConfChange(cc)
	require.NoError(t, rn.Advance(rd))
	require.NoError(t, rn.Campaign())
}
