package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// snapshot is one at index and term with the given voters.
func snapshot(index, term uint64, voters ...uint64) *pb.Snapshot {
	return &pb.Snapshot{
		Data:     []byte("state"),
		Metadata: pb.SnapshotMetadata{Index: index, Term: term, ConfState: pb.ConfState{Voters: voters}},
	}
}

func snapMsg(from, term uint64, snap *pb.Snapshot) pb.Message {
	return pb.Message{Type: pb.MsgSnap, From: from, Term: term, Snapshot: snap}
}

// compacted is a leader of term 2 that holds entries up to 7 and has compacted
// those up to 6 into a snapshot; peer 3 is known to hold no more than 2 and is
// probed, after a rejection that says so.
func compacted(t *testing.T, conf configure) *solo {
	t.Helper()
	s := newLeader(t, conf)
	for range 5 {
		require.NoError(t, s.Propose([]byte("x")))
	}
	s.serve(2)
	s.compact(6)
	s.Tick()
	s.sent()
	s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 2})
	s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: 7, Reject: true, RejectHint: 2, LogTerm: 2})
	return s
}

func (s *solo) compact(index uint64) {
	s.t.Helper()
	_, err := s.Storage.CreateSnapshot(index, &s.Conf, []byte("state"))
	require.NoError(s.t, err)
	require.NoError(s.t, s.Storage.Compact(index))
}

// A peer that needs entries which are compacted gets the snapshot, nothing else
// until it arrived, and then the entries after it (Raft §7).
func TestPeerTooFarBehindGetsASnapshot(t *testing.T) {
	s := compacted(t, nil)
	msgs := to(s.sent(), 3)
	require.Len(t, msgs, 1)
	require.Equal(t, pb.MsgSnap, msgs[0].Type)
	require.Equal(t, uint64(6), msgs[0].Snapshot.Metadata.Index)
	require.Equal(t, progress.Snapshot, progressOf(s, 3).State)
	require.NoError(t, s.Propose([]byte("y")))
	require.Empty(t, ofType(to(s.serve(2), 3), pb.MsgApp, pb.MsgSnap))

	s.recv(ack(3, 2, 6)) // it restored it
	m := theOne(t, to(s.sent(), 3), pb.MsgApp)
	require.Equal(t, uint64(6), m.Index)
	require.Len(t, m.Entries, 2)
	require.Equal(t, progress.Replicate, progressOf(s, 3).State)
}

// A peer whose acknowledgement of the snapshot got lost, at a host that does not
// report, is asked once in an election timeout whether it has it, and goes on.
// The question carries no entries, and its refusal moves nothing (Raft §7).
func TestLostAcknowledgementOfASnapshot(t *testing.T) {
	s := compacted(t, nil)
	require.Equal(t, pb.MsgSnap, to(s.sent(), 3)[0].Type)
	asked := 0
	for range 25 {
		s.Tick()
		s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 2})
		s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 2})
		for _, m := range ofType(to(s.sent(), 3), pb.MsgApp, pb.MsgSnap) {
			require.Equal(t, pb.MsgApp, m.Type)
			require.Equal(t, uint64(6), m.Index)
			require.Empty(t, m.Entries)
			require.False(t, m.NoAnswer)
			asked++
			s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: 6, Reject: true, RejectHint: 2, LogTerm: 2})
			require.Equal(t, progress.Snapshot, progressOf(s, 3).State)
		}
	}
	require.Equal(t, 2, asked)
	s.recv(ack(3, 2, 6))
	require.Equal(t, progress.Replicate, progressOf(s, 3).State)
}

// A snapshot whose entry's term the leader no longer knows cannot be asked
// about; it waits for a report or the end of SnapshotTicks.
func TestCompactedSnapshotIsNotAskedFor(t *testing.T) {
	s := newSolo(t, nil)
	s.withLog(pb.HardState{Term: 2, Commit: 7}, 2, 2, 2, 2, 2, 2)
	s.sent()
	s.compact(4)
	s.win()
	s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 3})
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 3, Index: 7, Reject: true, RejectHint: 1, LogTerm: 1})
	require.Len(t, ofType(s.sent(), pb.MsgSnap), 1)
	s.compact(6)
	for range 25 {
		s.Tick()
		s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 3})
		s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 3})
		require.Empty(t, ofType(to(s.sent(), 3), pb.MsgApp, pb.MsgSnap))
	}
	require.NoError(t, s.Err())
}

// lateSnapshots is a storage whose snapshot is not always there.
type lateSnapshots struct {
	raft.Storage
	missing *bool
}

func (l lateSnapshots) Snapshot() (pb.Snapshot, error) {
	if *l.missing {
		return pb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
	}
	return l.Storage.Snapshot()
}

// A snapshot that is still being made is asked for again at every answered
// heartbeat.
func TestSnapshotThatIsNotReadyYet(t *testing.T) {
	missing := true
	s := compacted(t, func(c *raft.Config) { c.Storage = lateSnapshots{c.Storage, &missing} })
	require.Empty(t, ofType(s.sent(), pb.MsgSnap))
	require.NoError(t, s.Err())
	for range 3 {
		s.Tick()
		require.Empty(t, ofType(s.serve(), pb.MsgSnap, pb.MsgApp))
	}
	missing = false
	s.Tick()
	require.Len(t, ofType(s.serve(), pb.MsgSnap), 1)
}

// After the report of a sent snapshot the leader goes on when the peer or the
// next heartbeat's answer says so: from the snapshot on if it arrived, and else
// it sends it again.
func TestSnapshotReports(t *testing.T) {
	t.Run("finish", func(t *testing.T) {
		s := compacted(t, nil)
		s.sent()
		require.NoError(t, s.ReportSnapshot(3, raft.SnapshotFinish))
		require.Empty(t, to(s.sent(), 3), "it waits for a sign of life")
		s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 2})
		require.Equal(t, uint64(6), theOne(t, to(s.sent(), 3), pb.MsgApp).Index)
	})
	t.Run("failure", func(t *testing.T) {
		s := compacted(t, nil)
		s.sent()
		require.NoError(t, s.ReportSnapshot(3, raft.SnapshotFailure))
		require.Empty(t, to(s.sent(), 3))
		s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 2})
		theOne(t, to(s.sent(), 3), pb.MsgSnap)
	})
	t.Run("false finish", func(t *testing.T) {
		s := compacted(t, nil)
		s.sent()
		require.NoError(t, s.ReportSnapshot(3, raft.SnapshotFinish))
		s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 2})
		m := theOne(t, to(s.sent(), 3), pb.MsgApp)
		s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: m.Index, Reject: true, RejectHint: 2, LogTerm: 2})
		theOne(t, to(s.sent(), 3), pb.MsgSnap)
	})
	t.Run("never", func(t *testing.T) {
		s := compacted(t, func(c *raft.Config) { c.SnapshotTicks = 25 })
		s.sent()
		for range 24 {
			s.Tick()
			s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 2})
			require.Empty(t, ofType(s.serve(2), pb.MsgSnap))
		}
		s.Tick()
		require.Len(t, ofType(s.serve(2), pb.MsgSnap), 1, "taken for lost")
	})
	t.Run("without a snapshot under way", func(t *testing.T) {
		s := newLeader(t, nil)
		before := s.Status()
		require.NoError(t, s.ReportSnapshot(3, raft.SnapshotFailure))
		require.Equal(t, before, s.Status())
		require.ErrorIs(t, s.ReportSnapshot(9, raft.SnapshotFinish), raft.ErrUnknownPeer)
	})
}

// A peer that is not heard from gets no snapshot: it would be lost.
func TestNoSnapshotToASilentPeer(t *testing.T) {
	s := newSolo(t, func(c *raft.Config) { c.DisableCheckQuorum = true })
	s.withLog(pb.HardState{Term: 2, Commit: 4}, 2, 2, 2)
	s.sent()
	s.compact(4)
	s.win()
	for range 20 {
		s.Tick()
		require.Empty(t, ofType(s.sent(), pb.MsgSnap))
	}
	s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 3})
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 3, Index: 4, Reject: true, RejectHint: 1, LogTerm: 1})
	require.Len(t, ofType(s.sent(), pb.MsgSnap), 1)
}

// A storage that compacted entries without a snapshot of them is faulty: no
// snapshot goes out that does not bring the peer forward.
func TestCompactionWithoutSnapshotIsAStorageFault(t *testing.T) {
	s := newLeader(t, nil)
	for range 5 {
		require.NoError(t, s.Propose([]byte("x")))
	}
	s.serve(2)
	_, err := s.Storage.CreateSnapshot(2, &s.Conf, nil)
	require.NoError(t, err)
	require.NoError(t, s.Storage.Compact(6))
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 3, Term: 2, Index: 7, Reject: true, RejectHint: 1, LogTerm: 1})
	rd := s.Ready()
	require.True(t, rd.IsEmpty())
	require.ErrorIs(t, s.Err(), raft.ErrStorage)
}

// A follower takes a snapshot that is ahead of its log in place of all of it:
// persisted, restored, then acknowledged (Raft §7, figure 13).
func TestFollowerRestoresSnapshot(t *testing.T) {
	s := newSolo(t, nil).withLog(pb.HardState{Term: 3, Commit: 2}, 2, 2, 3)
	s.recv(snapMsg(2, 5, snapshot(9, 4, 1, 2, 3, 4)))
	rd := s.ready()
	checkPromises(t, rd)
	require.Equal(t, uint64(9), rd.Snapshot.Metadata.Index)
	require.Empty(t, rd.CommittedEntries)
	require.True(t, rd.MustSync)
	require.Equal(t, uint64(9), theOne(t, rd.MessagesAfterAppend, pb.MsgAppResp).Index)
	require.Equal(t, uint64(9), rd.Commit)

	// Entries that follow are persisted, and applied only after the snapshot.
	s.recv(appendMsg(2, 5, 4, 9, 10, 5))
	more := s.ready()
	require.Len(t, more.Entries, 1)
	require.Empty(t, more.CommittedEntries)
	var ce *raft.CampaignError
	require.ErrorAs(t, s.Campaign(), &ce)
	require.Equal(t, raft.ReasonSnapshotPending, ce.Reason)
	s.persist(rd)
	s.persist(more)
	require.False(t, s.HasReady())
	require.ErrorAs(t, s.Campaign(), &ce)
	require.NoError(t, s.AckApply(9))
	require.Len(t, s.ready().CommittedEntries, 1)
	require.Equal(t, []uint64{1, 2, 3, 4}, s.Status().Config.IDs())
}

// A snapshot that the log covers, entry and term, only moves the commit index
// (Raft §7: the entries after it are retained).
func TestCoveredSnapshotFastForwardsCommit(t *testing.T) {
	s := newSolo(t, nil).withLog(pb.HardState{Term: 3, Commit: 2}, 2, 2, 3, 3)
	s.recv(snapMsg(2, 5, snapshot(4, 3, 1, 2)))
	rd := s.ready()
	require.True(t, raft.IsEmptySnap(rd.Snapshot))
	require.Equal(t, uint64(4), theOne(t, rd.MessagesAfterAppend, pb.MsgAppResp).Index)
	st := s.Status()
	require.Equal(t, uint64(4), st.Commit)
	require.Equal(t, uint64(5), st.LastIndex, "the suffix stays")
	require.Equal(t, []uint64{1, 2, 3}, st.Config.IDs(), "and so does the configuration")
}

// A log that holds an entry of another term at the snapshot's index is wrong
// from some place before it on: all of it goes (Raft §7).
func TestSnapshotOfAnotherTermDiscardsTheLog(t *testing.T) {
	s := newSolo(t, nil).withLog(pb.HardState{Term: 3, Commit: 2}, 2, 2, 3, 3, 3, 3)
	s.recv(snapMsg(2, 5, snapshot(4, 4, 1, 2, 3)))
	rd := s.ready()
	require.Equal(t, uint64(4), rd.Snapshot.Metadata.Index)
	require.Equal(t, uint64(4), s.BasicStatus().LastIndex)
	s.Persist(rd)
	s.Apply(rd)
	require.NoError(t, s.Advance(rd))
	s.recv(appendMsg(2, 5, 4, 4, 5, 5))
	s.sent()
	require.Equal(t, uint64(5), s.BasicStatus().Commit)
	term, err := s.Storage.Term(5)
	require.NoError(t, err)
	require.Equal(t, uint64(5), term)
}

// A snapshot at or behind the commit index says nothing new; the answer tells
// the leader how far this node is.
func TestOldSnapshotIsOnlyAnswered(t *testing.T) {
	s := newSolo(t, nil).withLog(pb.HardState{Term: 3, Commit: 4}, 2, 2, 3, 3)
	s.sent()
	for _, snap := range []*pb.Snapshot{snapshot(3, 2, 1, 2), snapshot(4, 3, 1, 2)} {
		s.recv(snapMsg(2, 5, snap))
		require.Equal(t, uint64(4), theOne(t, s.sent(), pb.MsgAppResp).Index)
		require.Equal(t, []uint64{1, 2, 3}, s.Status().Config.IDs())
		require.Equal(t, uint64(5), s.BasicStatus().LastIndex)
	}
}

// A node that the snapshot's configuration does not name takes it all the same:
// it may be on its way in by a later entry, or to learn that it was removed.
func TestSnapshotWithoutThisNode(t *testing.T) {
	s := newSolo(t, nil)
	s.recv(snapMsg(2, 5, snapshot(9, 4, 2, 3)))
	require.Equal(t, uint64(9), theOne(t, s.sent(), pb.MsgAppResp).Index)
	require.Equal(t, uint64(9), s.BasicStatus().Applied)
	s.ticks(50)
	require.Equal(t, raft.StateFollower, s.role(), "and it does not campaign")

	c := &rafttest.Cluster{}
	joiner := c.Add(7) // knows nobody
	m := snapMsg(2, 5, snapshot(9, 4, 2, 3))
	m.To = 7
	require.NoError(t, joiner.Step(m))
	c.Settle()
	require.Equal(t, uint64(9), joiner.AppliedIndex)
}

// What a snapshot claims is checked before anything moves.
func TestImpossibleSnapshotsAreRefused(t *testing.T) {
	joint := snapshot(9, 4, 1, 2)
	joint.Metadata.ConfState.LearnersNext = []uint64{1}
	ahead := snapshot(9, 4, 1, 2)
	ahead.Metadata.ConfState.Index = 10
	bad := map[string]*pb.Snapshot{
		"none":                            nil,
		"index 0":                         snapshot(0, 4, 1),
		"term 0":                          snapshot(9, 0, 1),
		"later term than the message":     snapshot(9, 6, 1),
		"index overflow":                  snapshot(1<<62+1, 4, 1),
		"no voters":                       snapshot(9, 4),
		"impossible configuration":        joint,
		"configuration of a later index":  ahead,
		"contradicts what is committed":   snapshot(3, 1, 1, 2, 3),
		"contradicts the committed entry": snapshot(2, 4, 1, 2, 3),
	}
	for name, snap := range bad {
		t.Run(name, func(t *testing.T) {
			s := newSolo(t, nil).withLog(pb.HardState{Term: 3, Commit: 3}, 2, 2, 3)
			s.sent()
			s.refuses(snapMsg(2, 5, snap), raft.ErrCorruptMessage)
		})
	}
}

// A follower that was away for longer than the log reaches back, and a node that
// joins, catch up by snapshot and then by log (Raft §7).
func TestGroupCatchesUpBySnapshot(t *testing.T) {
	c := newGroup(t, 3, nil)
	l := c.Elect(1)
	c.Drop = rafttest.Cut(3)
	for range 50 {
		require.NoError(t, l.Propose([]byte("x")))
		c.Settle()
	}
	_, err := l.Storage.CreateSnapshot(40, &l.Conf, nil)
	require.NoError(t, err)
	require.NoError(t, l.Storage.Compact(40))
	c.Drop = nil
	c.Tick(30)
	sameLogs(t, c, 1, 2, 3)

	require.NoError(t, l.ProposeConfChange(change(t, "v4")))
	c.Add(4)
	c.Tick(30)
	sameLogs(t, c, 1, 2, 3, 4)
	require.Equal(t, []uint64{1, 2, 3, 4}, c.Node(4).Status().Config.IDs())
}

// A peer is asked for a snapshot also if its answers to heartbeats, one in an
// election timeout, always arrive between the check of the quorum, which forgets
// that it was heard from, and the question: then it never was in time.
func TestSlowPeerIsAskedForASnapshot(t *testing.T) {
	for at := range 10 {
		s := compacted(t, nil)
		require.Equal(t, pb.MsgSnap, to(s.sent(), 3)[0].Type)
		asked := 0
		for i := range 40 {
			s.Tick()
			s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 2, Term: 2})
			if i%10 == at {
				s.recv(pb.Message{Type: pb.MsgHeartbeatResp, From: 3, Term: 2})
			}
			asked += len(ofType(to(s.sent(), 3), pb.MsgApp))
		}
		require.Equal(t, 4, asked, "answers at %d", at)
	}
}

// The configuration of a snapshot is of the entry that it names, and of the snapshot's
// own where it names none, as those of etcd's do.
func TestSnapshotSaysWhoseConfigurationItHas(t *testing.T) {
	for named, want := range map[uint64]uint64{0: 9, 7: 7} {
		s := newSolo(t, nil)
		s.recv(pb.Message{Type: pb.MsgSnap, From: 2, Term: 2, Snapshot: &pb.Snapshot{Metadata: pb.SnapshotMetadata{
			Index: 9, Term: 2, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Index: named},
		}}})
		s.sent()
		require.Equal(t, want, s.Status().ConfigIndex)
		s.c.Restart(1)
		require.Equal(t, want, s.Status().ConfigIndex)
	}
}

// A snapshot whose configuration speaks of entries after it was made by nobody.
func TestSnapshotWithATargetOfTheFuture(t *testing.T) {
	for _, cs := range []pb.ConfState{
		{Voters: []uint64{1, 2}, Index: 7, Target: &pb.MembershipTarget{Version: 1 << 63, Voters: []uint64{1}}},
		{Voters: []uint64{1, 2}, Index: 7, LastOutcome: &pb.MembershipOutcome{Version: 3, Result: pb.MembershipReached, Index: 1 << 63}},
	} {
		s := newSolo(t, nil, 1, 2)
		s.refuses(pb.Message{
			Type: pb.MsgSnap, From: 2, To: 1, Term: 5,
			Snapshot: &pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 9, Term: 5, ConfState: cs}},
		}, raft.ErrCorruptMessage)
	}
}
