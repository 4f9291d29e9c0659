package replica

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// startOne starts one member of a group of n whose others never come.
func startOne(t *testing.T, n int, change func(c *Config)) *Replica {
	c := Config{
		ID: 1, Storage: rafttest.Memory(raft.NewMemoryStorage()), StateMachine: &sumMachine{},
		Transport:   &exerciseTransport{send: func(pb.Message) {}},
		SnapshotDir: filepath.Join(t.TempDir(), "snapshots"), TickInterval: time.Millisecond,
	}
	for id := uint64(1); id <= uint64(n); id++ {
		c.Bootstrap = append(c.Bootstrap, raft.Peer{ID: id})
	}
	change(&c)
	r, err := Start(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Stop(context.Background()) })
	return r
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	require.Eventually(t, done, 20*time.Second, time.Millisecond, what)
}

// Callers that come and give up while there is no leader leave nothing behind.
func TestNothingIsLeftOfThoseWhoGaveUp(t *testing.T) {
	r := startOne(t, 3, func(c *Config) { c.MaxPending = 1000 })
	for range 300 {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Millisecond, cancel)
		require.Error(t, r.Read(ctx))
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := r.Propose(ctx, []byte("x"))
		require.ErrorIs(t, err, ErrNotApplied)
	}
	until(t, "all are forgotten", func() bool {
		held, queued := 0, 0
		require.True(t, r.onLoop(func() { held, queued = len(r.readBook.waiting), len(r.waitingProposals) }))
		r.pending.mu.Lock()
		defer r.pending.mu.Unlock()
		return held == 0 && queued < 100 && r.pending.reads == 0 && len(r.pending.bySeq) == 0
	})
}

// Reads of which the answer lies past all that comes, as on a member that was removed,
// are held by the applier only as long as somebody waits for them.
func TestReadsThatNeverCanBeServed(t *testing.T) {
	r := startOne(t, 3, func(c *Config) { c.MaxPending = 10 })
	for range 20 {
		rd := &read{done: make(chan struct{})}
		until(t, "there is room for another", r.pending.admitRead)
		r.in.toApply(applyWork{readIndex: 1 << 40, reads: []*read{rd}})
		require.True(t, rd.end(readGivenUp))
		r.readsGone.Add(1)
	}
}

// A leader gets all ticks that are due, since its lease depends on it, also when the
// Ready that says so waits behind a slow disk (dissertation §6.4.1); others get some,
// as what their leader said may wait in the inbox.
func TestTicksAfterAPause(t *testing.T) {
	for _, leads := range []bool{true, false} {
		n := 3
		if leads {
			n = 1
		}
		r := startOne(t, n, func(c *Config) { c.TickInterval = time.Hour; c.Raft.ElectionTick = 10 })
		if leads {
			until(t, "it leads", func() bool {
				r.call(func() { _ = r.node.Campaign() }) // it may not before it has applied who it is
				return r.leads.Load()
			})
		}
		ticks := uint64(0)
		require.True(t, r.onLoop(func() {
			r.soft.RaftState = raft.StateFollower // as if the Ready had to wait
			r.began = r.began.Add(-50 * time.Hour)
			r.tickDue()
			ticks = r.ticks
		}))
		if leads {
			require.EqualValues(t, 50, ticks)
		} else {
			require.EqualValues(t, 5, ticks)
		}
	}
}

// The caller may do what it likes with a change that it proposed; nil, also behind a
// pointer, leaves a joint configuration.
func TestOwnChange(t *testing.T) {
	given := pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{NodeID: 2, Context: []byte("address")}}}
	own := ownChange(&given)
	given.Changes[0].Context[0] = 'x'
	given.Changes[0].NodeID = 3
	require.Equal(t, pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{NodeID: 2, Context: []byte("address")}}}, own)
	for _, none := range []pb.ConfChangeI{nil, (*pb.ConfChange)(nil), (*pb.ConfChangeV2)(nil)} {
		require.Equal(t, pb.ConfChangeV2{}, ownChange(none))
	}
}

// stuckMachine waits in Apply until it is let go.
type stuckMachine struct {
	sumMachine
	entered, free chan struct{}
}

func (m *stuckMachine) Apply(commands []Command) error {
	m.entered <- struct{}{}
	<-m.free
	return m.sumMachine.Apply(commands)
}

// A state machine that does not come back keeps nobody waiting but Stop.
func TestStopWhileApplying(t *testing.T) {
	m := &stuckMachine{entered: make(chan struct{}, 10), free: make(chan struct{})}
	r := startOne(t, 1, func(c *Config) { c.StateMachine = m })
	errs := make(chan error, 3)
	go func() {
		_, err := r.Propose(context.Background(), []byte("x"))
		errs <- err
	}()
	<-m.entered
	go func() { errs <- r.Read(context.Background()) }()
	go func() { errs <- r.TakeSnapshot(context.Background()) }()
	stopped := make(chan error, 2)
	for range 2 {
		go func() { stopped <- r.Stop(context.Background()) }()
	}
	for range 3 {
		require.ErrorIs(t, <-errs, ErrStopped)
	}
	_, err := r.Propose(context.Background(), []byte("x"))
	require.ErrorIs(t, err, ErrNotApplied)
	select {
	case <-stopped:
		t.Fatal("something of the replica still runs")
	default:
	}
	close(m.free)
	require.NoError(t, <-stopped)
	require.NoError(t, <-stopped)
}

// wrongMachine fails with an error of some other replica.
type wrongMachine struct{ sumMachine }

func (m *wrongMachine) Apply([]Command) error { return fmt.Errorf("another group: %w", ErrStopped) }

// Any error of the state machine stops the replica.
func TestStateMachineFailsWithStopped(t *testing.T) {
	r := startOne(t, 1, func(c *Config) { c.StateMachine = &wrongMachine{} })
	_, err := r.Propose(context.Background(), []byte("x"))
	require.ErrorIs(t, err, ErrAmbiguous)
	<-r.Done()
	require.ErrorContains(t, r.Err(), "another group")
}

// A watcher's first event is the present state, whatever happens meanwhile.
func TestWatchBegins(t *testing.T) {
	r := startOne(t, 1, func(*Config) {})
	until(t, "it leads", r.leads.Load)
	const events = 1000 // at a time: no more than a watcher has room for
	for range 100 {
		var busy sync.WaitGroup
		busy.Go(func() {
			for range events {
				r.publish(Event{Kind: SnapshotTaken})
			}
		})
		w := r.Watch(2 * events)
		require.Equal(t, Event{Kind: LeaderChanged, Leader: 1, Role: raft.StateLeader, Term: r.term}, <-w.C)
		w.Close()
		busy.Wait()
	}
}

// Two replicas on one directory would remove each other's snapshots; most likely
// they are two lives of one member, on one Storage.
func TestTwoReplicasInOneDirectory(t *testing.T) {
	var c Config
	r := startOne(t, 1, func(own *Config) { c = *own })
	_, err := Start(c)
	require.ErrorIs(t, err, ErrDirInUse)
	require.NoError(t, r.Stop(context.Background()))
	again, err := Start(c)
	require.NoError(t, err)
	require.NoError(t, again.Stop(context.Background()))
}

// A command that no message could carry would hold up the group for ever.
func TestTooLarge(t *testing.T) {
	r := startOne(t, 1, func(c *Config) { c.MaxProposalBytes = 100 })
	_, err := r.Propose(context.Background(), make([]byte, 80))
	require.NoError(t, err)
	_, err = r.Propose(context.Background(), make([]byte, 81))
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorIs(t, err, ErrNotApplied)
	change := pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 2, Context: make([]byte, 100)}
	_, err = r.ProposeConfChange(context.Background(), change)
	require.ErrorIs(t, err, ErrTooLarge)
}
