package replica

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// follows answers what a leader or candidate sends as followers do, and tells of appends.
func follows(tr *exerciseTransport, appends chan<- pb.Message) {
	tr.send = func(m pb.Message) {
		answer := pb.Message{From: m.To, To: m.From, Term: m.Term, Session: m.Session, Features: m.Features}
		switch m.Type {
		case pb.MsgPreVote:
			answer.Type = pb.MsgPreVoteResp
		case pb.MsgVote:
			answer.Type = pb.MsgVoteResp
		case pb.MsgApp:
			if m.To == 2 {
				appends <- m
			}
			if m.NoAnswer && len(m.Entries) == 0 {
				return
			}
			answer.Type, answer.Index = pb.MsgAppResp, m.Index+uint64(len(m.Entries))
		default:
			return
		}
		tr.deliver(&answer)
	}
}

// A leader tells of a commit also if nobody proposes any more, and no tick comes.
func TestCommitIsToldWithoutMoreProposals(t *testing.T) {
	appends := make(chan pb.Message, 1000)
	tr := &exerciseTransport{}
	follows(tr, appends)
	r := startOne(t, 3, func(c *Config) { c.Transport, c.TickInterval = tr, time.Hour })
	until(t, "it leads", func() bool {
		r.call(func() { _ = r.node.Campaign() })
		return r.leads.Load()
	})
	for range 20 {
		_, err := r.Propose(context.Background(), []byte("x"))
		require.NoError(t, err)
		committed := r.applied.Load()
		until(t, "the commit is told", func() bool { return (<-appends).Commit >= committed })
	}
}

// What tells of a commit alone is sent before the loop rests, but not if an append to the same
// peer tells of it as well, or of a later one; nothing else is held.
func TestCommitGoesWithTheNextAppend(t *testing.T) {
	var sent []pb.Message
	r := &Replica{transport: &exerciseTransport{send: func(m pb.Message) { sent = append(sent, m) }}}
	commit := func(to, index uint64) pb.Message {
		return pb.Message{Type: pb.MsgApp, To: to, Commit: index, NoAnswer: true}
	}
	entries := func(to, index uint64) pb.Message {
		return pb.Message{Type: pb.MsgApp, To: to, Commit: index, Entries: []pb.Entry{{}}}
	}
	probe := pb.Message{Type: pb.MsgApp, To: 2}
	beat := pb.Message{Type: pb.MsgHeartbeat, To: 2}

	r.send([]pb.Message{probe, commit(2, 5), beat, commit(3, 5)})
	require.Equal(t, []pb.Message{probe, beat}, sent)
	require.Equal(t, []pb.Message{commit(2, 5), commit(3, 5)}, r.commits)

	r.send([]pb.Message{commit(3, 6), entries(2, 4)})
	require.Equal(t, []pb.Message{probe, beat, entries(2, 4)}, sent)
	require.Equal(t, []pb.Message{commit(2, 5), commit(3, 6)}, r.commits)

	r.send([]pb.Message{entries(2, 6)})
	require.Equal(t, []pb.Message{commit(3, 6)}, r.commits)
}

// A commit is told after a few turns also if the loop always has something else to do.
func TestCommitIsNotHeldForLong(t *testing.T) {
	sent := 0
	r := &Replica{in: newAgenda(1), transport: &exerciseTransport{send: func(pb.Message) { sent++ }}}
	r.send([]pb.Message{{Type: pb.MsgApp, To: 2, Commit: 5, NoAnswer: true}})
	for range maxHeld - 1 {
		r.tellCommits(false)
		require.Zero(t, sent)
		require.True(t, r.in.late)
	}
	r.tellCommits(false)
	require.Equal(t, 1, sent)
	require.Empty(t, r.commits)
}
