package progress

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// view is what an event can change, in one comparable value.
type view struct {
	State                            State
	Match, Next, SentCommit, Pending uint64
	Waiting, ProbeDue                bool
	Count                            int
	Bytes                            uint64
}

func look(p *Progress) view {
	return view{
		State: p.State, Match: p.Match, Next: p.Next, SentCommit: p.SentCommit, Pending: p.PendingSnapshot,
		Waiting: p.Waiting, ProbeDue: p.ProbeDue, Count: p.Window.Count(), Bytes: p.Window.Bytes(),
	}
}

func probe() *Progress {
	return &Progress{State: Probe, Match: 3, Next: 6, ProbeDue: true, Window: NewWindow(2, 100)}
}

func replicate() *Progress {
	p := &Progress{State: Replicate, Match: 3, Next: 4, SentCommit: 2, Window: NewWindow(2, 100)}
	p.SentEntries(5, 10, 2) // 4 and 5
	p.SentEntries(7, 20, 3) // 6 and 7: full
	return p
}

func snapshot() *Progress {
	p := &Progress{State: Probe, Match: 3, Next: 6, Window: NewWindow(2, 100)}
	p.SentSnapshot(9)
	return p
}

// Every event has one outcome in every state: the peer is probed until the logs
// are known to agree, then entries are streamed within the window, and nothing
// is sent while a snapshot is under way (Raft figure 2, §5.3, §7; dissertation
// §10.2.1).
func TestEveryEventInEveryState(t *testing.T) {
	probing := view{State: Probe, Match: 3, Next: 6, ProbeDue: true}
	streaming := view{State: Replicate, Match: 3, Next: 8, SentCommit: 3, Count: 2, Bytes: 30}
	snapping := view{State: Snapshot, Match: 3, Next: 6, Pending: 9}
	from := map[string]func() *Progress{"probe": probe, "replicate": replicate, "snapshot": snapshot}
	require.Equal(t, probing, look(probe()))
	require.Equal(t, streaming, look(replicate()))
	require.Equal(t, snapping, look(snapshot()))

	for _, c := range []struct {
		state, event string
		do           func(p *Progress) any
		returns      any
		want         view
	}{
		{"probe", "entries sent", func(p *Progress) any { p.SentEntries(7, 30, 5); return nil }, nil,
			view{State: Probe, Match: 3, Next: 6, Waiting: true}},
		{"probe", "nothing but the question sent", func(p *Progress) any { p.SentEntries(5, 0, 5); return nil }, nil,
			view{State: Probe, Match: 3, Next: 6, Waiting: true}},
		{"probe", "acked further", func(p *Progress) any { return p.Acked(5, 1) }, true,
			view{State: Replicate, Match: 5, Next: 6}},
		{"probe", "acked past next", func(p *Progress) any { return p.Acked(9, 1) }, true,
			view{State: Replicate, Match: 9, Next: 10}},
		{"probe", "acked the match, which is not what was asked", func(p *Progress) any { return p.Acked(3, 1) }, false, probing},
		{"probe", "old ack", func(p *Progress) any { return p.Acked(2, 1) }, false, probing},
		{"probe", "rejected", func(p *Progress) any { return p.Rejected(5, 4) }, true,
			view{State: Probe, Match: 3, Next: 5, ProbeDue: true}},
		{"probe", "rejected with a hint below the match", func(p *Progress) any { return p.Rejected(5, 0) }, true,
			view{State: Probe, Match: 3, Next: 4, ProbeDue: true}},
		{"probe", "rejected with a hint past what was refused", func(p *Progress) any { return p.Rejected(5, 100) }, true,
			view{State: Probe, Match: 3, Next: 5, ProbeDue: true}},
		{"probe", "another append rejected", func(p *Progress) any { return p.Rejected(4, 3) }, false, probing},
		{"probe", "heartbeat answered", func(p *Progress) any { p.Answered(5); return nil }, nil, probing},
		{"probe", "unreachable", func(p *Progress) any { p.Unreachable(); return nil }, nil, probing},
		{"probe", "snapshot sent", func(p *Progress) any { p.SentSnapshot(9); return nil }, nil, snapping},
		{"probe", "snapshot reported", func(p *Progress) any { p.SnapshotDone(true); return nil }, nil, probing},
		{"probe", "to probe", func(p *Progress) any { p.ToProbe(); return nil }, nil,
			view{State: Probe, Match: 3, Next: 4, ProbeDue: true}},

		{"replicate", "question sent", func(p *Progress) any { p.SentEntries(7, 0, 9); return nil }, nil,
			view{State: Replicate, Match: 3, Next: 8, SentCommit: 7, Count: 2, Bytes: 30}},
		{"replicate", "acked the first", func(p *Progress) any { return p.Acked(5, 1) }, true,
			view{State: Replicate, Match: 5, Next: 8, SentCommit: 3, Count: 1, Bytes: 20}},
		{"replicate", "acked within the second", func(p *Progress) any { return p.Acked(6, 1) }, true,
			view{State: Replicate, Match: 6, Next: 8, SentCommit: 3, Count: 1, Bytes: 20}},
		{"replicate", "acked both", func(p *Progress) any { return p.Acked(7, 1) }, true,
			view{State: Replicate, Match: 7, Next: 8, SentCommit: 3}},
		{"replicate", "acked past what was sent", func(p *Progress) any { return p.Acked(20, 1) }, true,
			view{State: Replicate, Match: 20, Next: 21, SentCommit: 3}},
		{"replicate", "old ack", func(p *Progress) any { return p.Acked(3, 1) }, false, streaming},
		{"replicate", "rejected", func(p *Progress) any { return p.Rejected(5, 4) }, true,
			view{State: Probe, Match: 3, Next: 4, ProbeDue: true}},
		{"replicate", "late rejection", func(p *Progress) any { return p.Rejected(3, 1) }, false, streaming},
		{"replicate", "heartbeat answered, behind", func(p *Progress) any { p.Answered(7); return nil }, nil,
			view{State: Replicate, Match: 3, Next: 8, SentCommit: 3, Count: 2, Bytes: 30, ProbeDue: true}},
		{"replicate", "heartbeat answered, up to date", func(p *Progress) any { p.Answered(3); return nil }, nil, streaming},
		{"replicate", "unreachable", func(p *Progress) any { p.Unreachable(); return nil }, nil,
			view{State: Probe, Match: 3, Next: 4, ProbeDue: true}},
		{"replicate", "snapshot sent", func(p *Progress) any { p.SentSnapshot(9); return nil }, nil,
			view{State: Snapshot, Match: 3, Next: 8, Pending: 9}},
		{"replicate", "snapshot reported", func(p *Progress) any { p.SnapshotDone(false); return nil }, nil, streaming},

		{"snapshot", "question due", func(p *Progress) any { p.AskForSnapshot(); return p.ProbeIndex() }, uint64(9),
			view{State: Snapshot, Match: 3, Next: 6, Pending: 9, ProbeDue: true}},
		{"snapshot", "question sent", func(p *Progress) any { p.AskForSnapshot(); p.SentEntries(9, 0, 9); return nil }, nil, snapping},
		{"probe", "no snapshot to ask about", func(p *Progress) any { p.ProbeDue = false; p.AskForSnapshot(); return p.ProbeIndex() }, uint64(5),
			view{State: Probe, Match: 3, Next: 6}},
		{"snapshot", "acked the snapshot", func(p *Progress) any { return p.Acked(9, 20) }, true,
			view{State: Replicate, Match: 9, Next: 10}},
		{"snapshot", "acked enough to go on", func(p *Progress) any { return p.Acked(5, 6) }, true,
			view{State: Replicate, Match: 5, Next: 6}},
		{"snapshot", "acked too little", func(p *Progress) any { return p.Acked(5, 7) }, true,
			view{State: Snapshot, Match: 5, Next: 6, Pending: 9}},
		{"snapshot", "old ack", func(p *Progress) any { return p.Acked(2, 7) }, false, snapping},
		{"snapshot", "rejected", func(p *Progress) any { return p.Rejected(5, 4) }, false, snapping},
		{"snapshot", "heartbeat answered", func(p *Progress) any { p.Answered(9); return nil }, nil, snapping},
		{"snapshot", "unreachable", func(p *Progress) any { p.Unreachable(); return nil }, nil, snapping},
		{"snapshot", "reported finished", func(p *Progress) any { p.SnapshotDone(true); return nil }, nil,
			view{State: Probe, Match: 3, Next: 10, Waiting: true, ProbeDue: true}},
		{"snapshot", "reported failed", func(p *Progress) any { p.SnapshotDone(false); return nil }, nil,
			view{State: Probe, Match: 3, Next: 4, Waiting: true, ProbeDue: true}},
		{"snapshot", "a newer one sent", func(p *Progress) any { p.SentSnapshot(12); return nil }, nil,
			view{State: Snapshot, Match: 3, Next: 6, Pending: 12}},
	} {
		t.Run(c.state+", "+c.event, func(t *testing.T) {
			p := from[c.state]()
			require.Equal(t, c.returns, c.do(p))
			require.Equal(t, c.want, look(p))
			require.Less(t, p.Match, p.Next)
		})
	}
}

// An append while a snapshot is under way is the caller's error, not something
// to be sent.
func TestNoAppendWhileASnapshotIsUnderWay(t *testing.T) {
	require.Panics(t, func() { snapshot().SentEntries(6, 1, 1) })
}

// What is sent next depends on nothing but the progress, the end of the log and
// the commit index, and asking changes nothing.
func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name         string
		p            Progress
		last, commit uint64
		want         Send
	}{
		{"probe with entries", Progress{Match: 3, Next: 6}, 8, 8, SendEntries},
		{"probe without entries, question due", Progress{Match: 3, Next: 6, ProbeDue: true}, 5, 5, SendEntries},
		{"probe with nothing to ask", Progress{Match: 3, Next: 6}, 5, 5, SendNothing},
		{"probe under way", Progress{Match: 3, Next: 6, Waiting: true, ProbeDue: true}, 8, 8, SendNothing},
		{"probe is never told the commit alone", Progress{Match: 3, Next: 6}, 5, 3, SendNothing},
		{"stream", Progress{State: Replicate, Match: 3, Next: 4, Window: NewWindow(1, 0)}, 4, 0, SendEntries},
		{"stream, question due too", Progress{State: Replicate, Match: 3, Next: 4, ProbeDue: true, Window: NewWindow(1, 0)}, 4, 0, SendEntries},
		{"window full", Progress{State: Replicate, Match: 3, Next: 4}, 4, 0, SendNothing},
		{"window full, question due", Progress{State: Replicate, Match: 3, Next: 4, ProbeDue: true}, 4, 0, SendProbe},
		{"window full, commit is news", Progress{State: Replicate, Match: 3, Next: 4}, 4, 2, SendCommit},
		{"nothing new", Progress{State: Replicate, Match: 4, Next: 5, SentCommit: 4}, 4, 4, SendNothing},
		{"commit is news", Progress{State: Replicate, Match: 4, Next: 5, SentCommit: 2}, 4, 3, SendCommit},
		{"commit only up to the match", Progress{State: Replicate, Match: 2, Next: 5, SentCommit: 2}, 4, 4, SendNothing},
		{"snapshot under way", Progress{State: Snapshot, Match: 3, Next: 4, PendingSnapshot: 6}, 9, 9, SendNothing},
		{"snapshot under way, question due", Progress{State: Snapshot, Match: 3, Next: 4, PendingSnapshot: 6, ProbeDue: true}, 9, 9, SendProbe},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.p
			require.Equal(t, c.want, c.p.Plan(c.last, c.commit))
			require.Equal(t, before, c.p)
		})
	}
}

// Whether entries wait is the probe under way, the full window or the snapshot.
func TestPaused(t *testing.T) {
	p := probe()
	require.False(t, p.Paused())
	p.SentEntries(6, 1, 1)
	require.True(t, p.Paused())
	require.True(t, replicate().Paused())
	p = replicate()
	p.Acked(5, 1)
	require.False(t, p.Paused())
	require.True(t, snapshot().Paused())
}

// A reader of a log sees the state, the indexes and what stands in the way.
func TestString(t *testing.T) {
	require.Equal(t, "Probe match=3 next=6 inactive", probe().String())
	require.Equal(t, "Replicate match=3 next=8 paused inactive inflight=2", replicate().String())
	p := snapshot()
	p.Active = true
	require.Equal(t, "Snapshot match=3 next=6 paused snapshot=9", p.String())
	require.Equal(t, "State(9)", fmt.Sprint(State(9)))
}
