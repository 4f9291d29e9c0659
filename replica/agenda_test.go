package replica

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// gatedStorage notes what is saved, and stands still while hold is locked.
type gatedStorage struct {
	rafttest.Storage
	hold    sync.Mutex
	entered atomic.Int64 // calls of Save

	mu    sync.Mutex
	saved []raft.Ready
}

func newGatedStorage() *gatedStorage {
	return &gatedStorage{Storage: rafttest.Memory(raft.NewMemoryStorage())}
}

func (s *gatedStorage) Save(rd raft.Ready) error {
	s.entered.Add(1)
	s.hold.Lock()
	defer s.hold.Unlock()
	s.mu.Lock()
	s.saved = append(s.saved, rd)
	s.mu.Unlock()
	return s.Storage.Save(rd)
}

// take returns what was saved since it was called last.
func (s *gatedStorage) take() []raft.Ready {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved := s.saved
	s.saved = nil
	return saved
}

// leads starts the only member of a group, which leads.
func leads(t *testing.T, change func(c *Config)) *Replica {
	r := startOne(t, 1, change)
	until(t, "it leads", func() bool {
		r.call(func() { _ = r.node.Campaign() }) // it may not before it has applied who it is
		return r.leads.Load()
	})
	_, err := r.Propose(t.Context(), []byte("first"))
	require.NoError(t, err)
	return r
}

// The ticks come, and messages are answered, while the disk and the state machine both stand
// still: a leader whose disk is stalled has to hand over.
func TestLoopGoesOnWhileAllElseIsStuck(t *testing.T) {
	disk := newGatedStorage()
	m := &stuckMachine{entered: make(chan struct{}, 10), free: make(chan struct{})}
	r := startOne(t, 1, func(c *Config) { c.Storage, c.StateMachine = disk, m })
	until(t, "it leads", r.leads.Load)
	var done sync.WaitGroup
	propose := func() {
		done.Go(func() {
			_, err := r.Propose(context.Background(), []byte("x"))
			require.NoError(t, err)
		})
	}
	propose()
	<-m.entered
	disk.hold.Lock()
	propose()
	until(t, "a write is under way", func() bool {
		writing := false
		require.True(t, r.onLoop(func() { writing = r.unacked > 0 }))
		return writing
	})
	var before, after uint64
	require.True(t, r.onLoop(func() { before = r.ticks }))
	until(t, "ticks come", func() bool {
		require.True(t, r.onLoop(func() { after = r.ticks }))
		return after > before+10
	})
	disk.hold.Unlock()
	close(m.free)
	done.Wait()
}

// What a leader is asked to append while it writes is written together, with one sync.
func TestProposalsGatherWhileWriting(t *testing.T) {
	disk := newGatedStorage()
	r := leads(t, func(c *Config) { c.Storage, c.TickInterval = disk, time.Hour })
	disk.hold.Lock()
	var done sync.WaitGroup
	propose := func() {
		done.Go(func() {
			_, err := r.Propose(context.Background(), []byte("x"))
			require.NoError(t, err)
		})
	}
	propose()
	until(t, "it is being written", func() bool {
		count := 0
		require.True(t, r.onLoop(func() { count = r.unacked }))
		return count > 0
	})
	disk.take()
	for range 100 {
		propose()
	}
	until(t, "all wait", func() bool {
		n := 0
		require.True(t, r.onLoop(func() { n = len(r.waitingProposals) }))
		return n == 100
	})
	disk.hold.Unlock()
	done.Wait()
	var sizes []int
	for _, rd := range disk.take() {
		if len(rd.Entries) > 0 {
			sizes = append(sizes, len(rd.Entries))
			require.True(t, rd.MustSync)
		}
	}
	require.Equal(t, []int{1, 100}, sizes)
}

// Readys that wait for the disk share a sync, which the last of them asks for; nothing that rests
// on the first is sent before it.
func TestReadysShareASync(t *testing.T) {
	disk := newGatedStorage()
	sent := make(chan pb.Message, 100)
	tr := &exerciseTransport{send: func(m pb.Message) { sent <- m }}
	r := startOne(t, 3, func(c *Config) { c.Storage, c.Transport, c.TickInterval = disk, tr, time.Hour })
	until(t, "it has begun", func() bool { return r.applied.Load() == 3 })
	app := func(index, logTerm uint64) *pb.Message {
		return &pb.Message{
			Type: pb.MsgApp, From: 2, To: 1, Term: 5, Index: index, LogTerm: logTerm, Commit: 3,
			Entries: []pb.Entry{{Term: 5, Index: index + 1, Data: []byte("x")}},
		}
	}
	beat := &pb.Message{Type: pb.MsgHeartbeat, From: 2, To: 1, Term: 5, Commit: 3}
	unacked := func() (n int) {
		require.True(t, r.onLoop(func() { n = r.unacked }))
		return n
	}
	disk.hold.Lock()
	before := disk.entered.Load()
	tr.deliver(app(3, 1))
	until(t, "one is being written", func() bool { return disk.entered.Load() > before })
	for i := uint64(4); i < 7; i++ {
		tr.deliver(app(i, 5))
		tr.deliver(beat) // is answered at once, with what came before
		until(t, "another waits", func() bool { return unacked() == int(i)-2 })
		require.Equal(t, pb.MsgHeartbeatResp, (<-sent).Type)
	}
	require.Empty(t, sent)
	disk.take()
	disk.hold.Unlock()
	for i := uint64(4); i <= 7; i++ {
		m := <-sent
		require.Equal(t, []any{pb.MsgAppResp, i}, []any{m.Type, m.Index})
	}
	var syncs []bool
	for _, rd := range disk.take() {
		syncs = append(syncs, rd.MustSync)
	}
	require.Equal(t, []bool{true, false, false, true}, syncs)
}

// What waits for a disk that stands still is bounded, whatever comes in.
func TestWhatWaitsForTheDiskIsBounded(t *testing.T) {
	disk := newGatedStorage()
	tr := &exerciseTransport{send: func(pb.Message) {}}
	r := startOne(t, 3, func(c *Config) { c.Storage, c.Transport, c.TickInterval = disk, tr, time.Hour })
	until(t, "it has begun", func() bool { return r.applied.Load() == 3 })
	disk.hold.Lock()
	logTerm, most := uint64(1), 0
	for i := uint64(3); i < 3+4*uint64(r.cfg.hooks.overlaps); i++ {
		tr.deliver(&pb.Message{
			Type: pb.MsgApp, From: 2, To: 1, Term: 5, Index: i, LogTerm: logTerm, Commit: 3, Entries: []pb.Entry{{Term: 5, Index: i + 1}},
		})
		tr.deliver(&pb.Message{Type: pb.MsgHeartbeat, From: 2, To: 1, Term: 5, Commit: 3})
		require.True(t, r.onLoop(func() {}))
		require.True(t, r.onLoop(func() { most = r.unacked }))
		logTerm = 5
	}
	require.Equal(t, r.cfg.hooks.overlaps, most)
	disk.hold.Unlock()
	until(t, "all is written", func() bool {
		left := 1
		require.True(t, r.onLoop(func() { left = r.unacked + len(r.handedOut) }))
		return left == 0
	})
}

// A commit index alone is not worth a write of its own, but is written with the next one, in
// order; and at a tick, so that an idle member does not forget it.
func TestCommitIndexIsWrittenWithTheNextEntries(t *testing.T) {
	disk := newGatedStorage()
	r := leads(t, func(c *Config) { c.Storage, c.TickInterval = disk, time.Hour })
	disk.take()
	for range 3 {
		_, err := r.Propose(t.Context(), []byte("x"))
		require.NoError(t, err)
	}
	saved := disk.take()
	require.Len(t, saved, 6)
	for i, rd := range saved {
		require.Len(t, rd.Entries, i%2, "%d", i)
		require.Equal(t, i%2 == 1, rd.MustSync)
		if i%2 == 0 {
			require.Equal(t, saved[i+1].Entries[0].Index-1, rd.HardState.Commit)
		}
	}
	require.True(t, r.onLoop(func() { r.began = r.began.Add(-time.Hour) }))
	require.True(t, r.onLoop(func() {}))
	until(t, "the last one is written", func() bool { return len(disk.take()) == 1 })
}

// A commit index that waits for a write is written when something is promised, which would else
// wait for a tick as well, whether or not that comes with another; and when many wait.
func TestPromisesDoNotWaitForATick(t *testing.T) {
	disk := newGatedStorage()
	sent := make(chan pb.Message, 100)
	tr := &exerciseTransport{send: func(m pb.Message) { sent <- m }}
	r := startOne(t, 3, func(c *Config) { c.Storage, c.Transport, c.TickInterval = disk, tr, time.Hour })
	until(t, "it has begun", func() bool { return r.applied.Load() == 3 })
	answered := func(m pb.Message, index uint64) {
		tr.deliver(&m)
		m = <-sent
		require.Equal(t, []any{pb.MsgAppResp, index}, []any{m.Type, m.Index})
	}
	app := pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 5, Index: 3, LogTerm: 1, Commit: 3}
	for i := uint64(4); i < 4+2*maxLazy; i++ {
		app.Entries = append(app.Entries, pb.Entry{Term: 5, Index: i})
	}
	last := app.Index + uint64(len(app.Entries))
	answered(app, last)
	app.Index, app.LogTerm, app.Entries = last, 5, nil
	commit := func(index uint64) {
		told := app
		told.Commit, told.NoAnswer = index, true
		tr.deliver(&told)
		until(t, "it is applied", func() bool { return r.applied.Load() == index })
		require.True(t, r.onLoop(func() {}))
	}
	app.Commit = 4
	answered(app, last) // with a commit index of its own
	require.NotEmpty(t, disk.take())
	commit(5)
	require.Empty(t, disk.take())
	app.Commit = 5
	answered(app, last) // with nothing to write
	require.Len(t, disk.take(), 1)

	for i := range uint64(maxLazy - 1) {
		commit(6 + i)
	}
	require.Empty(t, disk.take())
	commit(5 + maxLazy)
	until(t, "they are written", func() bool { return len(disk.take()) == maxLazy })
}

// A tick that a read under the lease delivers is as good as another.
func TestTicksOfLeaseReads(t *testing.T) {
	disk := newGatedStorage()
	r := leads(t, func(c *Config) {
		c.Storage, c.TickInterval, c.Raft.ReadOnlyOption = disk, time.Hour, raft.ReadOnlyLeaseOnDemand
	})
	require.True(t, r.onLoop(func() {}))
	disk.take() // but for the last commit index
	rd := &read{lease: true, done: make(chan struct{})}
	require.True(t, r.pending.admitRead())
	r.in.put(func(w *work) {
		w.calls = append(w.calls, func() { r.began = r.began.Add(-time.Hour) }) // due between the messages and the reads
		w.reads = append(w.reads, rd)
	})
	<-rd.done
	until(t, "the commit index is written", func() bool { return len(disk.take()) > 0 })
}

// What is passed on to the leader does not wait for the disk of who passes it on.
func TestForwardingWhileWriting(t *testing.T) {
	disk := newGatedStorage()
	sent := make(chan pb.Message, 100)
	tr := &exerciseTransport{send: func(m pb.Message) { sent <- m }}
	r := startOne(t, 3, func(c *Config) { c.Storage, c.Transport, c.TickInterval = disk, tr, time.Hour })
	until(t, "it has begun", func() bool { return r.applied.Load() == 3 })
	disk.hold.Lock()
	tr.deliver(&pb.Message{
		Type: pb.MsgApp, From: 2, To: 1, Term: 5, Index: 3, LogTerm: 1, Commit: 3, Entries: []pb.Entry{{Term: 5, Index: 4}},
	})
	until(t, "it is being written", func() bool {
		writing := false
		require.True(t, r.onLoop(func() { writing = r.unacked > 0 }))
		return writing
	})
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		_, err := r.Propose(ctx, []byte("x"))
		require.ErrorIs(t, err, ErrAmbiguous)
	})
	require.Equal(t, pb.MsgProp, (<-sent).Type)
	cancel()
	done.Wait()
	disk.hold.Unlock()
}

// Who takes a role wakes another worker for what it leaves: the role may hold it for long, and
// who added to the agenda may have relied on it.
func TestWhatIsLeftWakesAnotherWorker(t *testing.T) {
	woken := func(ag *agenda) bool {
		select {
		case <-ag.wake:
			return true
		default:
			return false
		}
	}
	ag := newAgenda(1)
	ag.poke()
	require.True(t, woken(ag), "nobody will look")
	ag.toApply(applyWork{})
	require.True(t, woken(ag))
	require.Equal(t, applying, ag.next(nothing))
	ag.takeApply(nil)
	ag.poke()
	require.False(t, woken(ag), "who applies will look")
	require.Equal(t, applying, ag.next(applying))
	ag.takeApply(nil)
	require.Equal(t, nothing, ag.next(applying))

	ag.put(func(w *work) { w.due = true })
	require.True(t, woken(ag))
	require.Equal(t, looping, ag.next(nothing))
	require.False(t, woken(ag), "nothing is left")
	ag.takeWork(&work{})
	ag.write(make([]raft.Ready, 1))
	ag.toApply(applyWork{})
	ag.put(func(w *work) { w.due = true })
	require.False(t, woken(ag), "who loops will look")
	require.Equal(t, writing, ag.next(looping))
	require.True(t, woken(ag))
	require.Equal(t, applying, ag.next(nothing))
	require.True(t, woken(ag))
	require.Equal(t, looping, ag.next(nothing))
	require.False(t, woken(ag))
}

// Who is told to stop ends with the reason, whatever moment that is.
func TestStopTellsTheReason(t *testing.T) {
	fault := errors.New("a fault")
	for i := range 20_000 {
		r := &Replica{
			log: zap.NewNop(), in: newAgenda(1), pending: newPending(&Config{}, 1), stopping: make(chan struct{}),
		}
		var done sync.WaitGroup
		done.Go(func() { r.run(nil) })
		for range i % 100 {
			r.in.wakeOne()
		}
		r.stop(fault)
		done.Wait()
		require.True(t, r.pending.stopped)
		require.ErrorIs(t, r.pending.why, fault)
	}
}

// Of the workers, who may be stuck, one ends the replica, once nobody loops; no other goes before
// that is sure, also if it found nothing to do right before the replica was told to stop.
func TestOneWorkerEndsTheReplica(t *testing.T) {
	ag := newAgenda(1)
	ag.put(func(w *work) { w.due = true })
	require.Equal(t, looping, ag.next(nothing))
	ag.write(make([]raft.Ready, 1))
	require.Equal(t, writing, ag.next(nothing))
	require.Equal(t, nothing, ag.next(nothing))
	ag.close(make(chan struct{}))
	require.Equal(t, over, ag.next(nothing), "who loops will end it")
	require.Equal(t, ending, ag.next(looping))
	require.Equal(t, over, ag.next(writing))

	ag = newAgenda(1)
	ag.write(make([]raft.Ready, 1))
	require.Equal(t, writing, ag.next(nothing))
	require.Equal(t, nothing, ag.next(nothing))
	ag.close(make(chan struct{}))
	require.Equal(t, ending, ag.next(nothing), "the writer may be stuck")
	require.Equal(t, over, ag.next(writing))
}
