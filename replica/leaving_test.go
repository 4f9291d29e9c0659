package replica_test

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

func stopWhenRemoved(c *replica.Config) { c.StopWhenRemoved = true }

func (g *group) remove(by *member, id uint64) {
	g.t.Helper()
	_, err := by.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: id})
	require.NoError(g.t, err)
}

// awaitRemoved waits until a member has stopped as one that was removed.
func (g *group) awaitRemoved(m *member) {
	g.t.Helper()
	select {
	case <-m.replica.Done():
	case <-time.After(20 * time.Second):
		require.Fail(g.t, "it does not stop")
	}
	require.ErrorIs(g.t, m.replica.Err(), replica.ErrRemoved)
	var removed *replica.RemovedError
	require.ErrorAs(g.t, m.replica.Err(), &removed)
	require.True(g.t, removed.Removal.Sure)
	require.NotZero(g.t, removed.Removal.Index)
	_, err := m.replica.Propose(g.context(), number(1))
	require.ErrorIs(g.t, err, replica.ErrRemoved)
	require.ErrorIs(g.t, err, replica.ErrNotApplied)
	g.stop(m.id)
}

// awaitRemoval waits until the member knows so much of its removal.
func (g *group) awaitRemoval(m *member, enough func(r replica.Removal) bool) (last replica.Status) {
	g.t.Helper()
	g.until("it knows that it was removed", func() bool {
		var err error
		last, err = m.replica.Status(g.context())
		return err == nil && enough(last.Removal)
	})
	return last
}

// passes lets so many election timeouts pass on a member.
func (g *group) passes(timeouts int) { time.Sleep(time.Duration(timeouts) * 10 * tick) }

// undisturbed waits until so many election timeouts have passed in which nobody was elected,
// as m sees it. On a machine that is busy members do not hear from their leader in time now
// and then; one who disturbs them does so in each timeout.
func (g *group) undisturbed(m *member, timeouts int) {
	g.t.Helper()
	term := func() uint64 {
		st, err := m.replica.Status(g.context())
		require.NoError(g.t, err)
		return st.Term
	}
	for began := time.Now(); ; {
		before := term()
		g.passes(timeouts)
		if term() == before {
			return
		}
		require.Less(g.t, time.Since(began), 20*time.Second, "one election follows another")
	}
}

// eachNetwork runs a test in memory and over TCP.
func eachNetwork(t *testing.T, test func(t *testing.T, start func(n int, change func(c *replica.Config)) *group)) {
	t.Run("memory", func(t *testing.T) {
		test(t, func(n int, change func(c *replica.Config)) *group { return newGroup(t, n, change) })
	})
	t.Run("TCP", func(t *testing.T) {
		test(t, func(n int, change func(c *replica.Config)) *group { return newTCPGroup(t, n, change) })
	})
}

// A leader that is removed hands over, and stops, though not at once: the others may need
// the vote of one who knows. They go on (dissertation §4.2.2).
func TestRemovedLeaderStops(t *testing.T) {
	eachNetwork(t, func(t *testing.T, start func(n int, change func(c *replica.Config)) *group) {
		g := start(3, stopWhenRemoved)
		leader := g.leader()
		g.must(leader, 1)
		events := leader.replica.Watch(64)
		began := time.Now()
		g.remove(leader, leader.id)
		for e := range events.C {
			require.NotEqual(t, replica.Stopped, e.Kind, "it says that it was removed before it stops")
			if e.Kind == replica.Removed {
				require.Equal(t, raft.None, e.By)
				require.True(t, e.Sure)
				break
			}
		}
		events.Close()
		g.awaitRemoved(leader)
		require.Greater(t, time.Since(began), 15*tick, "it lingers for two election timeouts of ten ticks, the last of which is under way")
		require.EqualValues(t, 3, g.must(g.leader(), 2))
	})
}

// A follower that is removed, and runs on, stops, whether the log or the others tell it.
func TestRemovedFollowerStops(t *testing.T) {
	eachNetwork(t, func(t *testing.T, start func(n int, change func(c *replica.Config)) *group) {
		g := start(3, stopWhenRemoved)
		g.must(g.leader(), 1)
		gone := g.follower()
		g.remove(g.leader(), gone.id)
		g.awaitRemoved(gone)
		require.EqualValues(t, 3, g.must(g.leader(), 2))
	})
}

// A follower that was away while it was removed hears of it from those that it asks for
// votes, though their configuration does not have it any more, nor its address: a
// majority of the voters that it knows makes it sure (dissertation §4.2.3).
func TestRemovedWhileAway(t *testing.T) {
	eachNetwork(t, func(t *testing.T, start func(n int, change func(c *replica.Config)) *group) {
		g := start(4, stopWhenRemoved)
		g.must(g.leader(), 1)
		gone := g.follower()
		g.stop(gone.id)
		g.remove(g.leader(), gone.id)
		g.start(gone.id)
		g.awaitRemoved(gone)
		require.EqualValues(t, 3, g.must(g.leader(), 2))
	})
}

// Without the setting a removed member goes on and does no harm; its host is told once by
// each that says so.
func TestRemovedWhileCutOffAndKeptRunning(t *testing.T) {
	g := newGroup(t, 3, nil)
	g.must(g.leader(), 1)
	gone := g.follower()
	g.cut(gone.id)
	leader := g.leader()
	g.remove(leader, gone.id)
	cutOff, _, err := gone.storage.InitialState()
	require.NoError(t, err)
	events := gone.replica.Watch(64)
	defer events.Close()
	g.network.Heal()
	st := g.awaitRemoval(gone, func(r replica.Removal) bool { return len(r.By) == 2 })
	require.True(t, st.Removal.Sure)
	require.Contains(t, st.Explain, "this member was removed by entry")
	status, err := leader.replica.Status(g.context())
	require.NoError(t, err)
	require.Equal(t, status.ConfigIndex, st.Removal.Index)

	g.undisturbed(leader, 10)
	now, _, err := gone.storage.InitialState()
	require.NoError(t, err)
	require.False(t, now.Term > cutOff.Term && now.Vote == gone.id, "it stood for election: %v, %v before", now, cutOff)
	told := map[uint64]bool{}
	for len(events.C) > 0 {
		if e := <-events.C; e.Kind == replica.Removed {
			require.False(t, told[e.By])
			require.Equal(t, len(told) == 1, e.Sure)
			told[e.By] = true
		}
	}
	require.Len(t, told, 2)
	require.NoError(t, gone.replica.Err())
}

// liar is the transport of a member to which one other answers each request for a vote
// with a lie. All else gets lost.
type liar struct {
	replica.Transport
	by      uint64
	mu      sync.Mutex
	deliver func(m *pb.Message)
}

func (l *liar) Start(deliver func(m *pb.Message), unreachable func(peer uint64), snapshot func(from uint64, meta []byte) (interface {
	io.Writer
	Commit() error
	Abort()
}, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deliver = deliver
	return l.Transport.Start(func(*pb.Message) {}, unreachable, snapshot)
}

func (l *liar) Send(ms []pb.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range ms {
		if m.To == l.by && (m.Type == pb.MsgPreVote || m.Type == pb.MsgVote) && l.deliver != nil {
			l.deliver(&pb.Message{Type: pb.MsgRemoved, From: m.To, To: m.From, Index: 1000, Session: m.Session})
		}
	}
}

// The word of one member, which may be wrong or a lie, does not stop another, however
// often it is said, unless the host wants it to be enough.
func TestOneMemberThatLies(t *testing.T) {
	for words, stops := range map[int]bool{0: false, 2: false, 1: true} {
		g := newGroup(t, 3, func(c *replica.Config) {
			stopWhenRemoved(c)
			c.RemovalWords = words
			if c.ID == 3 {
				c.Transport = &liar{Transport: c.Transport, by: 2}
			}
		})
		victim := g.members[3]
		if stops {
			g.awaitRemoved(victim)
			continue
		}
		st := g.awaitRemoval(victim, func(r replica.Removal) bool { return len(r.By) > 0 })
		g.passes(10)
		st, err := victim.replica.Status(g.context())
		require.NoError(t, err)
		require.Equal(t, replica.Removal{Index: 1000, By: []uint64{2}}, st.Removal)
		require.Contains(t, st.Explain, "not certain yet")
	}
}

// One that joins meets configurations from before it was a member, and one that is started
// anew those from before it was removed and is: neither was removed.
func TestNotRemovedBeforeItWasAdded(t *testing.T) {
	g := newGroup(t, 3, stopWhenRemoved)
	leader := g.leader()
	g.must(leader, 1)
	for _, kind := range []pb.ConfChangeType{pb.ConfChangeAddLearnerNode, pb.ConfChangeRemoveNode} {
		_, err := leader.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: kind, NodeID: 9})
		require.NoError(t, err)
	}
	m := g.add(4)
	g.start(4)
	events := m.replica.Watch(1024)
	_, err := leader.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 4, Context: []byte(m.listen)})
	require.NoError(t, err)
	g.must(m, 2)
	for len(events.C) > 0 {
		require.NotEqual(t, replica.Removed, (<-events.C).Kind)
	}
	events.Close()
	for range 2 {
		g.passes(5)
		st, err := m.replica.Status(g.context())
		require.NoError(t, err)
		require.Zero(t, st.Removal)
		g.stop(4)
		g.start(4)
		require.NoError(t, m.replica.Read(g.context()))
	}
}
