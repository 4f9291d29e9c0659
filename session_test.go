package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// A member that was removed and added again is another one to the leader: answers
// of its former life, delayed until then, move nothing, whatever they acknowledge
// or confirm.
func TestAnswersOfAFormerLifeMoveNothing(t *testing.T) {
	s := newLeader(t, lonely, 1, 2, 3)
	require.NoError(t, s.ProposeConfChange(change(t, "v4")))
	s.serve(1, 2, 3)
	s.Tick()
	var old []pb.Message // what 4 answers to its first append and heartbeat
	for _, m := range to(s.sent(), 4) {
		answer := s.answer(m)
		answer.Session = m.Session
		require.NotZero(t, m.Session, "%v", m.Type)
		old = append(old, answer)
	}
	require.NotEmpty(t, ofType(old, pb.MsgHeartbeatResp))
	old = append(old, pb.Message{Type: pb.MsgAppResp, From: 4, Term: 2, Index: 3, Session: old[0].Session})
	s.recv(old...)
	s.serve()
	require.EqualValues(t, 3, s.Status().Progress[4].Match)
	require.NoError(t, s.ProposeConfChange(change(t, "r4")))
	s.serve()
	require.NoError(t, s.ProposeConfChange(change(t, "l4")))
	s.serve(1, 2, 3)
	before := s.Status().Progress[4]
	require.Zero(t, before.Match)
	require.NotEqual(t, old[0].Session, before.Session)
	for _, m := range old {
		s.refuses(m, raft.ErrStaleSession)
	}
	now := pb.Message{Type: pb.MsgAppResp, From: 4, Term: 2, Index: 3, Session: before.Session}
	s.recv(now)
	require.EqualValues(t, 3, s.Status().Progress[4].Match)
	// A peer that knows no sessions, etcd's for one, is believed.
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 4, Term: 2, Index: 4})
	require.EqualValues(t, 4, s.Status().Progress[4].Match)
}

// A follower echoes the session in every answer.
func TestFollowersEchoTheSession(t *testing.T) {
	s := newSolo(t, nil)
	ask := func(m pb.Message) pb.Message {
		m.Session = 77
		s.recv(m)
		msgs := s.sent()
		require.Len(t, msgs, 1)
		require.EqualValues(t, 77, msgs[0].Session, "%v", msgs[0].Type)
		return msgs[0]
	}
	ask(appendMsg(2, 2, 1, 1, 1, 2))
	require.True(t, ask(appendMsg(2, 2, 2, 9, 1, 2)).Reject)
	ask(beat(2, 2, 1))
	ask(pb.Message{Type: pb.MsgSnap, From: 2, Term: 2, Snapshot: &pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: 20, Term: 2, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}},
	}}})
}

// removedVoter is node 3 of a group that has removed it, and that never heard of it.
func removedVoter(t *testing.T, conf configure) (*solo, pb.Message) {
	t.Helper()
	three := newSolo(t, conf)
	require.NoError(t, three.Campaign())
	return three, ofType(three.sent(), pb.MsgPreVote, pb.MsgVote)[0]
}

// Whoever asks for votes and was removed is told, since the log tells it no more
// (dissertation §4.2.3). Its host hears of it once; it goes on as it was.
func TestRemovedNodeIsTold(t *testing.T) {
	for _, conf := range []configure{nil, func(c *raft.Config) { c.DisablePreVote, c.DisableCheckQuorum = true, true }} {
		asker, request := removedVoter(t, conf) // it is number 1 to itself
		member := newSolo(t, conf)
		member.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2, Entries: []pb.Entry{confEntry(t, 2, 2, "r3")}})
		member.sent()
		request.From = 3
		member.recv(request)
		told := theOne(t, member.sent(), pb.MsgRemoved)
		require.EqualValues(t, 3, told.To)
		require.EqualValues(t, 2, told.Index)
		require.Zero(t, told.Term)
		require.Equal(t, request.Session, told.Session)

		told.From = 2
		before := asker.Status()
		asker.recv(told)
		require.Equal(t, before, asker.Status())
		rd := asker.ready()
		require.Equal(t, []raft.Removal{{By: 2, Index: 2}}, rd.Removed)
		require.NoError(t, asker.Advance(rd))
		require.False(t, asker.HasReady(), "once")
	}
}

// Not told is who asks a member that has not applied the removal, one whose removal is
// not committed, who is a member, who does not know sessions; and nobody is told by one
// that is no member itself.
func TestWhoIsNotToldOfARemoval(t *testing.T) {
	_, request := removedVoter(t, nil)
	request.From, request.To = 3, 1
	silent := func(s *solo, m pb.Message) {
		t.Helper()
		s.sent()
		require.NoError(t, s.Step(m))
		require.Empty(t, ofType(s.sent(), pb.MsgRemoved))
	}
	removal := pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 2, Entries: []pb.Entry{confEntry(t, 2, 2, "r3")}}
	uncommitted := removal
	uncommitted.Commit = 1

	s := newSolo(t, nil)
	silent(s, request)
	s = newSolo(t, nil)
	s.recv(uncommitted)
	silent(s, request)
	s = newSolo(t, onAppend)
	s.recv(uncommitted)
	silent(s, request)
	s = newSolo(t, nil)
	s.recv(removal)
	s.sent()
	unknown := request
	unknown.Session = 0
	silent(s, unknown)
	own := removal
	own.Entries = []pb.Entry{confEntry(t, 2, 2, "r1")}
	s = newSolo(t, nil)
	s.recv(own)
	s.sent()
	stranger := request
	stranger.From = 9
	silent(s, stranger)
}

// With OnAppend a node goes by a configuration that added it and may come to nothing.
// Then it was never removed, although a later one that lacks it is committed: it is
// added once more, perhaps. Once it knows that its addition is committed, it is told
// (dissertation §4.1, §4.2.3).
func TestUncommittedMemberIsNotToldOfARemoval(t *testing.T) {
	for _, commit := range []uint64{1, 2} {
		s := newSolo(t, onAppend, 2, 3)
		s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: commit, Entries: []pb.Entry{confEntry(t, 2, 2, "v1")}})
		s.sent()
		require.NoError(t, s.Campaign())
		session := ofType(s.sent(), pb.MsgPreVote)[0].Session
		s.recv(pb.Message{Type: pb.MsgRemoved, From: 3, Index: 4, Session: session})
		rd := s.Ready()
		require.Equal(t, commit == 2, rd.Removed != nil)
	}
}

// The word that a node was removed is ignored if it is no newer than what the node
// knows, if it answers a request of another life, and if it makes no sense.
func TestOldWordOfARemovalIsIgnored(t *testing.T) {
	s, request := removedVoter(t, nil)
	told := pb.Message{Type: pb.MsgRemoved, From: 2, Index: 5, Session: request.Session}
	s.recv(pb.Message{Type: pb.MsgApp, From: 2, Term: 2, Index: 1, LogTerm: 1, Commit: 1, Entries: []pb.Entry{
		{Index: 2, Term: 2}, {Index: 3, Term: 2}, {Index: 4, Term: 2}, confEntry(t, 5, 2, "v4"),
	}})
	s.sent()
	s.recv(pb.Message{Type: pb.MsgHeartbeat, From: 2, Term: 2, Commit: 5})
	s.sent()
	ignored := func(m pb.Message) {
		t.Helper()
		s.recv(m)
		require.False(t, s.HasReady())
	}
	ignored(told)
	told.Index = 6
	told.Session++
	ignored(told)
	for _, bad := range []pb.Message{
		{Type: pb.MsgRemoved, From: 2, Index: 6}, {Type: pb.MsgRemoved, From: 2, Session: request.Session},
		{Type: pb.MsgRemoved, From: 2, Index: 6, Session: request.Session, Term: 3},
	} {
		s.refuses(bad, raft.ErrCorruptMessage)
	}
	told.Session = request.Session
	s.recv(told)
	told.From = 3
	s.recv(told)
	told.Index = 7
	s.recv(told)
	told.From = 9 // it was not asked
	s.recv(told)
	require.Equal(t, []raft.Removal{{By: 2, Index: 6}, {By: 3, Index: 7}}, s.ready().Removed)
}
