package raft_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// solo is one real node, number 1, whose peers are played by the test. Its log
// begins after a snapshot at index 1 of term 1.
type solo struct {
	*rafttest.Member
	t *testing.T
	c *rafttest.Cluster
	// lease is the promise in the answers that the test gives for peers.
	lease uint64
	// effect is the node's ConfChangeEffect, and that of its peers.
	effect raft.ConfChangeEffect
}

type configure = func(*raft.Config)

// newSolo starts node 1 among voters; the default is 1, 2 and 3.
func newSolo(t *testing.T, conf configure, voters ...uint64) *solo {
	t.Helper()
	if len(voters) == 0 {
		voters = []uint64{1, 2, 3}
	}
	return newSoloIn(t, conf, pb.ConfState{Voters: voters})
}

// newSoloIn starts node 1 in the configuration cs.
func newSoloIn(t *testing.T, conf configure, cs pb.ConfState) *solo {
	t.Helper()
	c := &rafttest.Cluster{Configure: conf}
	s := &solo{Member: c.Add(1), t: t, c: c}
	if conf != nil {
		var set raft.Config
		conf(&set)
		s.effect = set.ConfChangeEffect
	}
	require.NoError(t, s.Storage.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: cs}}))
	s.Conf, s.AppliedIndex = cs, 1
	c.Restart(1)
	return s
}

// withLog restarts the node with the given state and entries of these terms
// from index 2 on.
func (s *solo) withLog(hs pb.HardState, terms ...uint64) *solo {
	s.t.Helper()
	require.NoError(s.t, s.Storage.Append(entries(2, terms...)))
	require.NoError(s.t, s.Storage.SetHardState(hs))
	s.c.Restart(1)
	return s
}

// newLeader returns a leader of term 2 whose first entry, 2, is committed and
// known to all.
func newLeader(t *testing.T, conf configure, voters ...uint64) *solo {
	t.Helper()
	s := newSolo(t, conf, voters...)
	s.elect()
	return s
}

// elect makes the node leader with the help of all its peers.
func (s *solo) elect() {
	s.t.Helper()
	require.NoError(s.t, s.Campaign())
	s.serve()
	require.Equal(s.t, raft.StateLeader, s.role())
	st := s.BasicStatus()
	require.Equal(s.t, st.LastIndex, st.Commit)
}

// win makes the node leader, and loses all that it sends as one.
func (s *solo) win() []pb.Message {
	s.t.Helper()
	require.NoError(s.t, s.Campaign())
	for range 3 {
		msgs := s.sent()
		if s.role() == raft.StateLeader {
			return msgs
		}
		for _, m := range msgs {
			if m.Type == pb.MsgPreVote || m.Type == pb.MsgVote {
				s.recv(s.answer(m))
			}
		}
	}
	require.Equal(s.t, raft.StateLeader, s.role())
	return s.sent()
}

func (s *solo) role() raft.StateType { return s.BasicStatus().RaftState }

// sent lets the host do all there is to do and returns what left, in order.
func (s *solo) sent() []pb.Message {
	for s.c.Handle(1) {
	}
	return s.c.Take(nil)
}

// Step steps a message of a peer with the node's own ConfChangeEffect.
func (s *solo) Step(m pb.Message) error {
	m.Features |= featuresOf(s.effect, m.Type)
	return s.Member.Step(m)
}

// featuresOf is what a node with that effect says of it in messages of type t.
func featuresOf(effect raft.ConfChangeEffect, t pb.MessageType) uint64 {
	says := []pb.MessageType{pb.MsgVote, pb.MsgPreVote, pb.MsgApp, pb.MsgSnap, pb.MsgHeartbeat, pb.MsgHeartbeatResp}
	if effect == raft.OnAppend && slices.Contains(says, t) {
		return pb.FeatureOnAppend
	}
	return 0
}

// recv steps a message that must be taken.
func (s *solo) recv(msgs ...pb.Message) {
	s.t.Helper()
	for _, m := range msgs {
		if m.Type == answered {
			continue
		}
		m.To = 1
		require.NoError(s.t, s.Step(m), "%v from %d", m.Type, m.From)
	}
}

// refuses steps a message that must be refused and change nothing.
func (s *solo) refuses(m pb.Message, want error) {
	s.t.Helper()
	m.To = 1
	before, ready := s.Status(), s.HasReady()
	require.ErrorIs(s.t, s.Step(m), want)
	require.Equal(s.t, before, s.Status())
	require.Equal(s.t, ready, s.HasReady())
}

// answered stands for no answer.
const answered = pb.MessageType(-1)

// answer is what a peer whose log agrees says to m.
func (s *solo) answer(m pb.Message) pb.Message {
	resp := pb.Message{From: m.To, To: m.From, Term: m.Term, LeaseTicks: s.lease}
	switch m.Type {
	case pb.MsgPreVote:
		resp.Type = pb.MsgPreVoteResp
	case pb.MsgVote:
		resp.Type = pb.MsgVoteResp
	case pb.MsgApp:
		if m.NoAnswer {
			return pb.Message{Type: answered}
		}
		resp.Type, resp.Index = pb.MsgAppResp, m.Index+uint64(len(m.Entries))
	case pb.MsgSnap:
		resp.Type, resp.Index = pb.MsgAppResp, m.Snapshot.Metadata.Index
	case pb.MsgHeartbeat:
		resp.Type, resp.Round, resp.Context, resp.Features = pb.MsgHeartbeatResp, m.Round, m.Context, m.Features
	default:
		return pb.Message{Type: answered}
	}
	return resp
}

// serve answers what the node sends to ids, or to all, until it is silent, and
// returns all that it sent.
func (s *solo) serve(ids ...uint64) []pb.Message {
	s.t.Helper()
	var all []pb.Message
	for range 1000 {
		msgs := s.sent()
		if len(msgs) == 0 {
			return all
		}
		all = append(all, msgs...)
		for _, m := range msgs {
			resp := s.answer(m)
			if resp.Type == answered || (len(ids) > 0 && !slices.Contains(ids, m.To)) {
				continue
			}
			// The change that removed the peer may be applied meanwhile.
			if err := s.Step(resp); !errors.Is(err, raft.ErrStepPeerNotFound) {
				require.NoError(s.t, err, "%v from %d", resp.Type, resp.From)
			}
		}
	}
	require.Fail(s.t, "the node does not fall silent")
	return nil
}

func (s *solo) ticks(n int) {
	for range n {
		s.Tick()
	}
}

// untilCampaign ticks until the node campaigns and returns how many it took.
func (s *solo) untilCampaign(limit int) int {
	s.t.Helper()
	for n := 1; n <= limit; n++ {
		s.Tick()
		if s.role() != raft.StateFollower {
			return n
		}
	}
	require.Fail(s.t, "no campaign")
	return 0
}

// ready takes a Ready and does nothing with it.
func (s *solo) ready() raft.Ready {
	s.t.Helper()
	require.True(s.t, s.HasReady())
	return s.Ready()
}

// persist writes a Ready and says so.
func (s *solo) persist(rd raft.Ready) {
	s.t.Helper()
	s.Persist(rd)
	require.NoError(s.t, s.AckAppend(rd.AppendToken()))
}

// logTerms returns the terms of the log from index 2 on, as persisted.
func (s *solo) logTerms() []uint64 {
	s.t.Helper()
	s.sent()
	last, err := s.Storage.LastIndex()
	require.NoError(s.t, err)
	var terms []uint64
	for i := uint64(2); i <= last; i++ {
		term, err := s.Storage.Term(i)
		require.NoError(s.t, err)
		terms = append(terms, term)
	}
	return terms
}

// entries are entries of these terms from index on.
func entries(index uint64, terms ...uint64) []pb.Entry {
	var ents []pb.Entry
	for i, term := range terms {
		ents = append(ents, pb.Entry{Index: index + uint64(i), Term: term, Data: []byte{byte(term)}})
	}
	return ents
}

// appendMsg is an append of leader from after the entry (prevTerm, prev).
func appendMsg(from, term, prevTerm, prev, commit uint64, terms ...uint64) pb.Message {
	return pb.Message{
		Type: pb.MsgApp, From: from, Term: term, LogTerm: prevTerm, Index: prev, Commit: commit,
		Entries: entries(prev+1, terms...),
	}
}

func beat(from, term, commit uint64) pb.Message {
	return pb.Message{Type: pb.MsgHeartbeat, From: from, Term: term, Commit: commit, Round: 1}
}

// ofType returns the messages of the given types.
func ofType(msgs []pb.Message, types ...pb.MessageType) []pb.Message {
	var found []pb.Message
	for _, m := range msgs {
		if slices.Contains(types, m.Type) {
			found = append(found, m)
		}
	}
	return found
}

// to returns the messages to id.
func to(msgs []pb.Message, id uint64) []pb.Message {
	var found []pb.Message
	for _, m := range msgs {
		if m.To == id {
			found = append(found, m)
		}
	}
	return found
}

// theOne returns the only message of type mt.
func theOne(t *testing.T, msgs []pb.Message, mt pb.MessageType) pb.Message {
	t.Helper()
	found := ofType(msgs, mt)
	require.Len(t, found, 1, "%v among %v", mt, msgs)
	return found[0]
}

// newGroup starts a cluster of n voters whose every Ready is checked: votes,
// requests for votes and append acknowledgements may only be among
// MessagesAfterAppend, beside answers to heartbeats that told of a change.
func newGroup(t *testing.T, n int, conf configure) *rafttest.Cluster {
	t.Helper()
	c := rafttest.NewCluster(n, uint64(n)*7919)
	if conf != nil {
		c.Configure = conf
		for id := range n {
			c.Restart(uint64(id + 1))
		}
	}
	c.Observe = func(id uint64, rd raft.Ready) { checkPromises(t, rd) }
	return c
}

func checkPromises(t *testing.T, rd raft.Ready) {
	t.Helper()
	promises := []pb.MessageType{pb.MsgVoteResp, pb.MsgAppResp, pb.MsgVote}
	require.Empty(t, ofType(rd.Messages, promises...))
	promises = append(promises, pb.MsgHeartbeatResp)
	require.Len(t, ofType(rd.MessagesAfterAppend, promises...), len(rd.MessagesAfterAppend))
}

// change is a change of membership in the short notation: v a voter, l a
// learner, r removes.
func change(t *testing.T, s string) pb.ConfChangeV2 {
	t.Helper()
	changes, err := pb.ConfChangesFromString(s)
	require.NoError(t, err)
	return pb.ConfChangeV2{Changes: changes}
}

// ticksUntil ticks the cluster until done, at most limit times, and returns how
// many it took.
func ticksUntil(t *testing.T, c *rafttest.Cluster, limit int, done func() bool) int {
	t.Helper()
	for n := range limit {
		if done() {
			return n
		}
		c.Tick(1)
	}
	require.True(t, done(), "not after %d ticks", limit)
	return limit
}

// leaderBeside reports whether a node other than id leads the latest term.
func leaderBeside(c *rafttest.Cluster, id uint64) bool {
	l := c.Leader()
	return l != nil && l.ID != id
}

// sameLogs requires that all given nodes hold and have committed the same log.
func sameLogs(t *testing.T, c *rafttest.Cluster, ids ...uint64) {
	t.Helper()
	first := c.Node(ids[0])
	for _, id := range ids[1:] {
		n := c.Node(id)
		a, b := first.BasicStatus(), n.BasicStatus()
		require.Equal(t, a.LastIndex, b.LastIndex, "last index of %d", id)
		require.Equal(t, a.Commit, b.Commit, "commit of %d", id)
		first1, err := first.Storage.FirstIndex()
		require.NoError(t, err)
		first2, err := n.Storage.FirstIndex()
		require.NoError(t, err)
		from := max(first1, first2)
		if from > a.LastIndex {
			continue
		}
		ents1, err := first.Storage.Entries(from, a.LastIndex+1, 1<<30)
		require.NoError(t, err)
		ents2, err := n.Storage.Entries(from, a.LastIndex+1, 1<<30)
		require.NoError(t, err)
		require.Equal(t, ents1, ents2, "log of %d", id)
	}
}
