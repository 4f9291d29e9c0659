package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// benchGroup is a group of three with a leader and some entries.
func benchGroup(tb testing.TB) (g *group, leader, follower *host) {
	t, ok := tb.(*testing.T)
	if !ok {
		t = &testing.T{}
	}
	g = newGroup(t, 3, 1)
	leader = g.elect(1)
	for range 10 {
		g.propose(leader, "some data of a client")
		g.settle()
	}
	return g, leader, g.host(2)
}

// BenchmarkChecker is what a checker costs for each input, and for a whole
// round: one proposal that is written, acknowledged, committed and applied on
// three nodes.
func BenchmarkChecker(b *testing.B) {
	b.Run("tick/follower", func(b *testing.B) {
		g, _, h := benchGroup(b)
		for b.Loop() {
			g.c.Before(h.id, nil)
			_ = g.c.After(h.id, nil, nil)
		}
	})
	b.Run("tick/leader", func(b *testing.B) {
		g, h, _ := benchGroup(b)
		for b.Loop() {
			g.c.Before(h.id, nil)
			_ = g.c.After(h.id, nil, nil)
		}
	})
	b.Run("leaves/append", func(b *testing.B) {
		g, h, _ := benchGroup(b)
		last := h.rn.BasicStatus().LastIndex
		ents, _ := h.disk.Entries(last, last+1, 1<<20)
		term, _ := h.disk.Term(last - 1)
		m := &pb.Message{Type: pb.MsgApp, From: 1, To: 2, Term: h.rn.BasicStatus().Term, Index: last - 1}
		m.LogTerm, m.Entries = term, ents
		require.Nil(b, g.c.Leaves(1, m, false))
		for b.Loop() {
			_ = g.c.Leaves(1, m, false)
		}
	})
	b.Run("leaves/promise", func(b *testing.B) {
		g, h, f := benchGroup(b)
		st := h.rn.BasicStatus()
		m := &pb.Message{Type: pb.MsgAppResp, From: 2, To: 1, Term: st.Term, Index: st.LastIndex}
		require.Nil(b, g.c.Leaves(f.id, m, true))
		for b.Loop() {
			_ = g.c.Leaves(f.id, m, true)
		}
	})
	b.Run("ready/entry", func(b *testing.B) {
		g, h, _ := benchGroup(b)
		n := g.c.node(1)
		st := h.rn.BasicStatus()
		n.st.LastIndex = n.log.last + 1
		e := pb.Entry{Term: st.Term, Index: n.log.last + 1, Data: []byte("some data of a client")}
		rd := raft.Ready{MustSync: true, Entries: []pb.Entry{e}}
		for b.Loop() {
			n.log.truncate(st.LastIndex)
			_ = g.c.Ready(1, &rd)
		}
	})
}

// A step of the simulator costs no memory but for what is new: heartbeats and
// their answers, ticks, and appends that are resent allocate nothing.
func TestNoAllocation(t *testing.T) {
	g, leader, follower := benchGroup(t)
	st := leader.rn.BasicStatus()
	beat := pb.Message{Type: pb.MsgHeartbeat, From: 1, To: 2, Term: st.Term, Commit: st.Commit, Round: 1 << 40}
	answer := pb.Message{Type: pb.MsgHeartbeatResp, From: 2, To: 1, Term: st.Term, Round: 1}
	allocs := testing.AllocsPerRun(100, func() {
		for _, h := range []*host{leader, follower} {
			g.c.Before(h.id, nil)
			g.note(g.c.After(h.id, nil, nil))
		}
		g.note(g.c.Leaves(1, &beat, false))
		g.c.Before(2, &beat)
		g.note(g.c.After(2, &beat, nil))
		g.note(g.c.Leaves(2, &answer, false))
		g.c.Before(1, &answer)
		g.note(g.c.After(1, &answer, nil))
		g.note(g.c.Synced(1))
	})
	require.Nil(t, g.v)
	require.Zero(t, allocs)
}
