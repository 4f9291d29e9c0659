package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

func ack(from, term, index uint64) pb.Message {
	return pb.Message{Type: pb.MsgAppResp, From: from, Term: term, Index: index}
}

// A new leader begins its term with an empty entry of its own, without which it
// could commit nothing (Raft §5.4.2, §8).
func TestLeaderBeginsWithAnEmptyEntry(t *testing.T) {
	s := newSolo(t, nil).withLog(pb.HardState{Term: 5, Commit: 1}, 2, 3)
	for _, m := range ofType(s.win(), pb.MsgApp) {
		require.Equal(t, []pb.Entry{{Term: 6, Index: 4}}, m.Entries)
		require.Equal(t, uint64(3), m.LogTerm)
	}
	require.Equal(t, uint64(1), s.BasicStatus().Commit)
	s.recv(ack(2, 6, 4))
	require.Equal(t, uint64(4), s.BasicStatus().Commit)
}

// An entry is committed once a majority of the voters of each half holds it;
// learners never count (Raft §5.3; dissertation §4.2.1, §4.3).
func TestCommitNeedsAMajorityOfEachHalf(t *testing.T) {
	tests := []struct {
		name      string
		conf      pb.ConfState
		acks      []uint64
		committed bool
	}{
		{"alone", pb.ConfState{Voters: []uint64{1}}, nil, true},
		{"one of two", pb.ConfState{Voters: []uint64{1, 2}}, nil, false},
		{"two of two", pb.ConfState{Voters: []uint64{1, 2}}, []uint64{2}, true},
		{"two of three", pb.ConfState{Voters: []uint64{1, 2, 3}}, []uint64{3}, true},
		{"the same peer twice", pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}, []uint64{3, 3}, false},
		{"three of five", pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}, []uint64{3, 5}, true},
		{"two of four", pb.ConfState{Voters: []uint64{1, 2, 3, 4}}, []uint64{2}, false},
		{"learners", pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4, 5}}, []uint64{4, 5}, false},
		{"incoming half", pb.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}, []uint64{4, 5}, false},
		{"outgoing half", pb.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}, []uint64{2, 3}, false},
		{"both halves", pb.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}, []uint64{2, 5}, true},
		{"disjoint halves", pb.ConfState{Voters: []uint64{3, 4}, VotersOutgoing: []uint64{1, 2}}, []uint64{2, 3}, false},
		{"both disjoint halves", pb.ConfState{Voters: []uint64{3, 4}, VotersOutgoing: []uint64{1, 2}}, []uint64{2, 3, 4}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSoloIn(t, nil, tt.conf)
			s.elect()
			require.NoError(t, s.Propose([]byte("x")))
			s.sent()
			for _, id := range tt.acks {
				s.recv(ack(id, 2, 3))
			}
			s.sent()
			want := uint64(2)
			if tt.committed {
				want = 3
			}
			require.Equal(t, want, s.BasicStatus().Commit)
		})
	}
}

// The leader counts itself only for what is durable in its own log: the others
// may commit an entry before it has written it (dissertation §10.2.1).
func TestLeaderCountsItsOwnLogOnceDurable(t *testing.T) {
	s := newLeader(t, nil)
	require.NoError(t, s.Propose([]byte("a")))
	first := s.ready()
	require.NoError(t, s.Propose([]byte("b")))
	second := s.ready()
	s.recv(ack(2, 2, 4))
	require.Equal(t, uint64(2), s.BasicStatus().Commit, "one of three")
	s.persist(first)
	require.Equal(t, uint64(3), s.BasicStatus().Commit)
	s.recv(ack(3, 2, 4))
	require.Equal(t, uint64(4), s.BasicStatus().Commit, "a majority without the leader")
	rd := s.ready()
	require.Len(t, rd.CommittedEntries, 1, "and yet it applies only what it holds itself")
	require.Equal(t, uint64(3), rd.CommittedEntries[0].Index)
	s.persist(second)
	s.persist(rd)
	require.Equal(t, uint64(4), s.ready().CommittedEntries[0].Index)

	sole := newLeader(t, nil, 1)
	require.NoError(t, sole.Propose([]byte("x")))
	rd = sole.ready()
	require.Equal(t, uint64(2), sole.BasicStatus().Commit)
	sole.persist(rd)
	require.Equal(t, uint64(3), sole.BasicStatus().Commit)
}

// An entry of an earlier term is committed only by one of the leader's own term
// after it, however many hold it: a later leader may still replace it (Raft
// §5.4.2, figure 8; dissertation §3.6.2, figure 3.7).
func TestOlderEntriesAreNotCommittedByCounting(t *testing.T) {
	s := newSolo(t, nil, 1, 2, 3, 4, 5).withLog(pb.HardState{Term: 3, Commit: 1}, 2, 3)
	s.win()
	for id := uint64(2); id <= 5; id++ {
		s.recv(ack(id, 4, 3)) // all hold the old entries, none the leader's own
		require.Equal(t, uint64(1), s.BasicStatus().Commit)
	}
	s.recv(ack(2, 4, 4))
	require.Equal(t, uint64(1), s.BasicStatus().Commit)
	s.recv(ack(3, 4, 4))
	require.Equal(t, uint64(4), s.BasicStatus().Commit)
}

// Figure 8 of the Raft paper step by step: the entry of term 2 that a majority
// holds at (c) is replaced at (d), and nobody may have applied it.
func TestFigure8(t *testing.T) {
	c := newGroup(t, 5, func(c *raft.Config) { c.DisablePreVote, c.MaxSizePerMsg = true, 1 })
	elect := func(id uint64, with ...uint64) *rafttest.Member {
		c.Drop = func(m pb.Message) bool {
			in := func(x uint64) bool {
				for _, w := range append(with, id) {
					if w == x {
						return true
					}
				}
				return false
			}
			return !in(m.From) || !in(m.To) || m.Type == pb.MsgApp
		}
		for range 10 {
			for _, w := range with { // forget former leaders
				c.Restart(w)
			}
			require.NoError(t, c.Node(id).Campaign())
			c.Settle()
			if c.Node(id).BasicStatus().RaftState == raft.StateLeader {
				return c.Node(id)
			}
		}
		require.Fail(t, "not elected")
		return nil
	}
	only := func(ids ...uint64) {
		c.Drop = func(m pb.Message) bool {
			for _, id := range ids {
				if m.To == id || m.From == id {
					return false
				}
			}
			return true
		}
	}
	s1 := elect(1, 2, 3) // (a) S1 leads and replicates to S2 only
	a := s1.BasicStatus().LastIndex
	only(2)
	s1.Tick()
	c.Settle()
	require.Equal(t, a, c.Node(2).BasicStatus().LastIndex)
	require.Less(t, s1.BasicStatus().Commit, a)

	c.Restart(1)
	s5 := elect(5, 3, 4) // (b) S5 is elected by S3 and S4 and writes another entry there
	require.Equal(t, a, s5.BasicStatus().LastIndex)

	c.Restart(5)
	s1 = elect(1, 2, 3) // (c) S1 leads again and brings its old entry to S3
	c.Drop = func(m pb.Message) bool {
		own := m.Type == pb.MsgApp && m.Index == a && c.Node(3).BasicStatus().LastIndex >= a
		return own || (m.To != 3 && m.From != 3)
	}
	s1.Tick()
	c.Settle()
	s1.Tick()
	c.Settle()
	require.NoError(t, c.Node(2).Step(pb.Message{
		Type: pb.MsgApp, From: 1, To: 2, Term: s1.BasicStatus().Term, Index: a, LogTerm: 2,
	}))
	c.Drop = func(m pb.Message) bool { return m.From != 2 || m.To != 1 }
	c.Settle()
	require.Equal(t, a, s1.Status().Progress[2].Match)
	require.Equal(t, a, s1.Status().Progress[3].Match)
	for _, id := range []uint64{2, 3} {
		term, err := c.Node(id).Storage.Term(a)
		require.NoError(t, err)
		require.Equal(t, uint64(2), term)
		require.Equal(t, a, c.Node(id).BasicStatus().LastIndex)
	}
	require.Less(t, s1.BasicStatus().Commit, a, "a majority holds it, but it is of an older term")

	c.Restart(1)
	s5 = elect(5, 2, 3, 4) // (d) S5 is elected and overwrites it
	c.Drop = nil
	c.Tick(3)
	sameLogs(t, c, 1, 2, 3, 4, 5)
	for _, m := range c.Nodes() {
		require.Equal(t, s5.Applied[len(s5.Applied)-1], m.Applied[len(m.Applied)-1])
	}
}

// A follower commits as far as it is told and holds (Raft figure 2), and hands
// out each entry once, in order, in portions of MaxCommittedSizePerReady.
func TestCommittedEntriesComeInPortions(t *testing.T) {
	s := newSolo(t, func(c *raft.Config) { c.MaxCommittedSizePerReady = 100 })
	m := appendMsg(2, 5, 1, 1, 11, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5)
	for i := range m.Entries {
		m.Entries[i].Data = make([]byte, 20+i)
	}
	m.Entries[4].Data = make([]byte, 500)
	s.recv(m)
	next, portions := uint64(2), 0
	for s.HasReady() {
		rd := s.ready()
		size := 0
		for i, e := range rd.CommittedEntries {
			require.Equal(t, next, e.Index)
			next++
			size += rd.CommittedEntries[i].Size()
		}
		if len(rd.CommittedEntries) > 0 {
			portions++
			require.True(t, size <= 100 || len(rd.CommittedEntries) == 1)
		}
		require.Equal(t, uint64(11), s.BasicStatus().Commit, "the commit index itself is not paged")
		s.Persist(rd)
		require.NoError(t, s.Advance(rd))
	}
	require.Equal(t, uint64(12), next)
	require.Greater(t, portions, 4)
}

// A leader takes at most MaxUncommittedSize bytes of proposals before they are
// committed and handed out. The first always fits, and so do entries without
// payload; the account returns to zero.
func TestMaxUncommittedSize(t *testing.T) {
	s := newLeader(t, func(c *raft.Config) { c.MaxUncommittedSize = 100 })
	bytes := func() uint64 { return s.Status().UncommittedBytes }
	require.NoError(t, s.Propose(make([]byte, 60)))
	require.ErrorIs(t, s.Propose(make([]byte, 60)), raft.ErrUncommittedFull)
	require.ErrorIs(t, s.Propose(make([]byte, 60)), raft.ErrProposalDropped)
	require.NoError(t, s.Propose(make([]byte, 40)))
	require.NoError(t, s.Propose(nil))
	require.Equal(t, uint64(100), bytes())
	require.ErrorIs(t, s.Propose([]byte("x")), raft.ErrUncommittedFull)
	s.serve()
	require.Zero(t, bytes())
	require.NoError(t, s.Propose(make([]byte, 5000)), "a first one of any size")
	require.ErrorIs(t, s.Propose([]byte("x")), raft.ErrUncommittedFull)
	s.serve()
	require.Zero(t, bytes())
}

// Entries of earlier terms were never on the new leader's account, and do not
// take anything off it when they are committed.
func TestUncommittedSizeOfEarlierTerms(t *testing.T) {
	s := newSolo(t, func(c *raft.Config) { c.MaxUncommittedSize = 100 })
	s.withLog(pb.HardState{Term: 3, Commit: 1}, 2, 2, 3, 3)
	s.win()
	require.NoError(t, s.Propose(make([]byte, 70)))
	require.Equal(t, uint64(70), s.Status().UncommittedBytes)
	s.recv(ack(2, 4, 6)) // commits the old ones and the empty entry
	s.sent()
	require.Equal(t, uint64(6), s.BasicStatus().Commit)
	require.Equal(t, uint64(70), s.Status().UncommittedBytes)
	require.ErrorIs(t, s.Propose(make([]byte, 70)), raft.ErrUncommittedFull)
	s.recv(ack(2, 4, 7))
	s.sent()
	require.Zero(t, s.Status().UncommittedBytes)

	// A leader that lost its office and came back begins at zero.
	require.NoError(t, s.Propose(make([]byte, 70)))
	s.sent()
	s.recv(pb.Message{Type: pb.MsgAppResp, From: 2, Term: 9, Reject: true})
	require.NoError(t, s.Campaign())
	s.serve()
	require.Equal(t, raft.StateLeader, s.role())
	require.Zero(t, s.Status().UncommittedBytes)
}

// Log indexes do not wrap: close to the last one proposals are refused, with
// room left for what leaders append on their own.
func TestIndexesDoNotOverflow(t *testing.T) {
	const last = 1<<62 - 1<<20
	c := &rafttest.Cluster{}
	m := c.Add(1)
	cs := pb.ConfState{Voters: []uint64{1}}
	require.NoError(t, m.Storage.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: last - 2, Term: 1, ConfState: cs}}))
	m.AppliedIndex = last - 2
	c.Restart(1)
	c.Elect(1)
	require.NoError(t, m.Propose([]byte("x")))
	c.Settle()
	require.Equal(t, uint64(last), m.BasicStatus().Commit)
	require.ErrorIs(t, m.Propose([]byte("x")), raft.ErrIndexExhausted)
	require.ErrorIs(t, m.Propose([]byte("x")), raft.ErrProposalDropped)
}

// Misuse of a proposal is an error and leaves the log as it is.
func TestBadProposals(t *testing.T) {
	s := newLeader(t, nil)
	prop := func(ents ...pb.Entry) pb.Message { return pb.Message{Type: pb.MsgProp, From: 2, Entries: ents} }
	s.refuses(prop(), raft.ErrEmptyProposal)
	s.refuses(prop(pb.Entry{Type: 7}), raft.ErrCorruptMessage)
	s.refuses(prop(pb.Entry{Type: pb.EntryConfChange, Data: []byte{0xff}}), pb.ErrInvalidConfChange)
	// Whatever index and term a proposal claims, the leader gives its own.
	data := []byte("x")
	ents := []pb.Entry{{Term: 77, Index: 99, Data: data}, {Term: 1, Index: 1, Data: data}}
	s.recv(prop(ents...))
	rd := s.ready()
	require.Equal(t, []pb.Entry{{Term: 2, Index: 3, Data: data}, {Term: 2, Index: 4, Data: data}}, rd.Entries)
	require.Equal(t, uint64(99), ents[0].Index, "the caller's array is not written to")
}
