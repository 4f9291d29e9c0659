package sim

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// Hostile messages change nothing, so a run without them is the same run, event by
// event (S20).
func TestHostileChangesNothingElse(t *testing.T) {
	t.Parallel()
	hostile := 0
	for seed := uint64(1); seed <= 3+seeds(5); seed++ {
		with, events := recorded(Options{Seed: seed, Steps: 6000, Faults: All})
		without, same := recorded(Options{Seed: seed, Steps: 6000, Faults: All &^ Hostile})
		require.Nil(t, with.Violation)
		var rest []trace.Event
		for _, e := range events {
			if e.Kind != trace.Hostile {
				rest = append(rest, e)
			}
		}
		hostile += len(events) - len(rest)
		require.Equal(t, len(same), len(rest))
		for i := range same {
			require.Equal(t, same[i], rest[i])
		}
		for m := markForgeries; m < markLies; m++ {
			with.Stats.Marks[m] = 0
		}
		require.Equal(t, without.Stats, with.Stats)
	}
	require.NotZero(t, hostile)
}

// Every kind of hostile messages is sent, and mutated bytes fare either way.
func TestHostileKinds(t *testing.T) {
	t.Parallel()
	total := clean(t, 24, func(seed uint64) Options { return Options{Seed: seed, Steps: 6000, Faults: Hostile | Transfer} })
	for m := markForgeries; m < markLies; m++ {
		require.NotZero(t, total.Marks[m], m.String())
	}
}

// running returns a simulation after some steps, with one leader, and a follower
// of it that has nothing to do.
func running(t *testing.T, o Options) (s *simulation, leader, follower *node) {
	s = newSimulation(o)
	for range 20_000 {
		e := s.queue.pop()
		s.now = e.at
		s.handle(e)
		require.False(t, s.stopped())
		if leader = s.leader(); leader == nil || leader.commit < 5 {
			continue
		}
		for _, n := range s.nodes {
			if n != nil && n != leader && n.lead == leader.id && !n.HasReady() {
				return s, leader, n
			}
		}
	}
	t.Fatal("no leader")
	return nil, nil, nil
}

// What a node believes is seen: the check of hostile messages is not vacuous (S20).
func TestHostileBelievedIsAViolation(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		forge func(leader, follower *node) pb.Message
		says  string
	}{
		"moves the term": {func(leader, follower *node) pb.Message {
			return pb.Message{Type: pb.MsgHeartbeat, From: leader.id, Term: leader.term + 1}
		}, "the node moves from"},
		"makes it campaign": {func(leader, follower *node) pb.Message {
			return pb.Message{Type: pb.MsgTimeoutNow, From: leader.id, Term: leader.term}
		}, "the node moves from"},
		"is answered": {func(leader, follower *node) pb.Message {
			return pb.Message{Type: pb.MsgHeartbeat, From: leader.id, Term: leader.term}
		}, "something comes out of it"},
		"is passed over": {func(leader, follower *node) pb.Message {
			return pb.Message{Type: pb.MsgVoteResp, From: leader.id, Term: leader.term}
		}, "it is not refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s, leader, follower := running(t, Options{Seed: 1, Faults: None})
			f := forger{random: &s.hostility.random, s: s, n: follower, st: follower.Status(), m: tc.forge(leader, follower)}
			f.m.To = follower.id
			f.step(name)
			require.NotNil(t, s.result.Violation)
			require.Equal(t, "S20", s.result.Violation.Rule)
			require.Contains(t, s.result.Violation.Detail, tc.says)
		})
	}
}

// What a node could believe of the bytes that arrive is not judged.
func TestAbsurd(t *testing.T) {
	t.Parallel()
	s, leader, follower := running(t, Options{Seed: 1, Nodes: 3, Faults: None})
	real := pb.Message{Type: pb.MsgAppResp, To: follower.id, From: leader.id, Term: leader.term, Index: 3, LogTerm: 1}
	for name, tc := range map[string]struct {
		edit   func(m *pb.Message)
		absurd bool
	}{
		"as it was":           {func(m *pb.Message) {}, false},
		"another index":       {func(m *pb.Message) { m.Index = 1 << 60 }, false},
		"another term":        {func(m *pb.Message) { m.Term++ }, false},
		"a request":           {func(m *pb.Message) { m.Type, m.From = pb.MsgVote, 99 }, false},
		"forwarded":           {func(m *pb.Message) { m.Type, m.Term, m.From = pb.MsgProp, 0, 0 }, false},
		"for nobody":          {func(m *pb.Message) { m.To = 0 }, false},
		"for another":         {func(m *pb.Message) { m.To = leader.id }, true},
		"of a stranger":       {func(m *pb.Message) { m.From = 99 }, true},
		"of itself":           {func(m *pb.Message) { m.From = follower.id }, true},
		"no term":             {func(m *pb.Message) { m.Term, m.LogTerm = 0, 0 }, true},
		"no type":             {func(m *pb.Message) { m.Type = 99 }, true},
		"a removal":           {func(m *pb.Message) { *m = pb.Message{Type: pb.MsgRemoved, From: leader.id, Index: 9, Session: 9} }, false},
		"removed in a term":   {func(m *pb.Message) { m.Type, m.Session = pb.MsgRemoved, 9 }, true},
		"removed at 0":        {func(m *pb.Message) { *m = pb.Message{Type: pb.MsgRemoved, From: leader.id, Session: 9} }, true},
		"removed in no life":  {func(m *pb.Message) { *m = pb.Message{Type: pb.MsgRemoved, From: leader.id, Index: 9} }, true},
		"a refusal":           {func(m *pb.Message) { *m = pb.Message{Type: pb.MsgPropRefused, From: leader.id} }, false},
		"refused in a term":   {func(m *pb.Message) { m.Type = pb.MsgPropRefused }, true},
		"local":               {func(m *pb.Message) { m.Type = pb.MsgHup }, true},
		"overflow":            {func(m *pb.Message) { m.Commit = 1<<62 + 1 }, true},
		"log term":            {func(m *pb.Message) { m.LogTerm = m.Term + 1 }, true},
		"forwarded in a term": {func(m *pb.Message) { m.Type = pb.MsgProp }, true},
	} {
		f := forger{s: s, n: follower, st: follower.Status(), m: real}
		tc.edit(&f.m)
		require.Equal(t, tc.absurd, f.absurd(), name)
		if tc.absurd {
			require.Error(t, follower.Step(f.m), name)
		}
	}
}

// Every lie of a disk or a host is told to nodes that start, and a read of another
// place stops some; no node starts or goes on.
func TestLies(t *testing.T) {
	t.Parallel()
	total := clean(t, 24, func(seed uint64) Options {
		return Options{Seed: seed, Steps: 10_000, Faults: Disk | Crash | Snapshot}
	})
	for m := markLies; m <= markMisread; m++ {
		require.NotZero(t, total.Marks[m], m.String())
	}
}

// A node that starts from a lie, or goes on after a misread, is a violation.
func TestLieBelievedIsAViolation(t *testing.T) {
	t.Parallel()
	s, _, follower := running(t, Options{Seed: 1, Faults: None})
	follower.disk.misled = true
	s.after(follower, nil, nil)
	require.NotNil(t, s.result.Violation)
	require.Contains(t, s.result.Violation.Detail, "and it goes on")

	// A term that is newer than the log is no lie, and believed.
	d := follower.disk
	l := &liar{disk: d, base: d.written.base, last: d.written.last()}
	l.hs, l.conf, _ = d.InitialState()
	l.hs.Term++
	_, err := raft.NewRawNode(&raft.Config{ID: follower.id, Storage: l})
	require.NoError(t, err)
	for i := range lies {
		l := &liar{disk: d, base: d.written.base, last: d.written.last(), applied: d.written.base}
		l.hs, l.conf, _ = d.InitialState()
		if lies[i].tell(l, newRandom(1, 1)) {
			_, err := raft.NewRawNode(&raft.Config{ID: follower.id, Storage: l, Applied: l.applied})
			require.Error(t, err, lies[i].name)
			require.True(t, errors.Is(err, raft.ErrStorage) || errors.Is(err, raft.ErrInvalidConfig), "%s: %v", lies[i].name, err)
		}
	}
}

// A leader that waits on for a snapshot which the peer holds is seen (L2).
func TestHeldSnapshot(t *testing.T) {
	t.Parallel()
	total := clean(t, 10+seeds(30), func(seed uint64) Options {
		return Options{Seed: seed, Nodes: 3, Faults: Snapshot | Network | Crash}
	})
	require.NotZero(t, total.Marks[markSnapshotAckLost])
}
