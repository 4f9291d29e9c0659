package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Replica is one running member of a raft group. Its methods may be called
// concurrently.
type Replica struct {
	cfg          Config // defaults filled
	log          *zap.Logger
	transport    Transport
	electionTick int
	atMostOnce   bool // Transport is AtMostOnce

	in        *agenda
	pending   *pending
	snapshots *snapshots
	targets   *targets
	watchers
	applier applier      // belongs to who applies
	written []raft.Ready // belongs to who writes: an empty one, to be used again
	// storageMu orders the writes to Storage, which different goroutines make.
	storageMu sync.Mutex

	applied      atomic.Uint64
	appliedBytes atomic.Uint64
	lead         atomic.Uint64
	leads        atomic.Bool
	readsGone    atomic.Int64 // reads that are held though their callers gave up

	stopping chan struct{} // closed when the replica is to stop
	done     chan struct{} // closed when it has
	stopOnce sync.Once
	err      error // why it stopped by itself; set before stopping is closed

	// What follows belongs to the loop: to who has that role.
	node             *raft.RawNode
	taken            work
	began            time.Time
	clock            uint64 // ticks that were due
	ticks            uint64 // ticks that were delivered
	soft             raft.SoftState
	term             uint64
	unacked          int          // Readys that are being written
	handedOut        []handed     // those and what came after
	lazy             []raft.Ready // those that wait for another write, to be written with it
	commits          []pb.Message // that tell of commits, and may be replaced by appends
	held             int          // turns since there are commits
	waitingProposals []*proposal
	readBook         readBook
	transfers        []*transfer
	peers            map[uint64]string // as Transport knows them
	leaving          leaving
}

// Start starts a replica from what its Storage and StateMachine hold. The error
// matches ErrInvalidConfig, ErrSnapshotMissing, ErrSnapshotCorrupt, ErrDirInUse or
// raft.ErrStorage, or is that of the StateMachine or the Transport; nothing runs then, and the Transport is
// still the caller's to close.
func Start(c Config) (*Replica, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &Replica{
		cfg: c.withDefaults(), transport: c.Transport,
		stopping: make(chan struct{}), done: make(chan struct{}),
		readBook: readBook{asked: map[uint64]*readBatch{}}, peers: map[uint64]string{},
	}
	if t, ok := c.Transport.(AtMostOnce); ok {
		r.atMostOnce = t.AtMostOnce()
	}
	r.in = newAgenda(r.cfg.MaxInbox)
	r.log = r.cfg.Logger.With(zap.Uint64("id", c.ID))
	r.pending = newPending(&r.cfg, rand.Uint64())
	r.targets = newTargets(c.ID)
	var err error
	if r.snapshots, err = newSnapshots(r); err != nil {
		return nil, err
	}
	if err := r.begin(); err != nil {
		releaseDir(r.snapshots.dir)
		return nil, err
	}
	r.began = time.Now()
	r.applier = applier{r: r, applied: r.applied.Load()}
	ticker := time.NewTicker(r.cfg.TickInterval)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { r.run(ticker.C) })
	}
	go func() {
		running.Wait()
		ticker.Stop()
		r.end()
	}()
	r.in.put(func(w *work) { w.due = true }) // what the node has to do at once
	return r, nil
}

// begin brings everything to where its goroutines can go on.
func (r *Replica) begin() error {
	index, err := r.snapshots.prepare()
	if err != nil {
		return err
	}
	if err := r.newNode(index); err != nil {
		return err
	}
	if err := r.wasMember(index); err != nil {
		return err
	}
	r.applied.Store(index)
	if cs, err := r.node.ConfStateAt(index); err == nil { // else there is none yet
		r.targets.note(cs, index)
	}
	for id, address := range r.cfg.Peers {
		r.setPeer(id, address)
	}
	r.confChanged()
	if err := r.transport.Start(r.deliver, r.unreachable, r.snapshots.receive); err != nil {
		return fmt.Errorf("replica: transport: %w", err)
	}
	return nil
}

func (r *Replica) newNode(applied uint64) error {
	cfg := r.cfg.Raft
	cfg.Storage, cfg.Applied = r.snapshots.storage(), applied
	node, err := raft.NewRawNode(&cfg)
	if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	r.node = node
	st := node.BasicStatus()
	r.term = st.Term
	r.electionTick = cfg.ElectionTick
	setDefault(&r.electionTick, 10)
	if len(r.cfg.Bootstrap) > 0 && st.LastIndex == 0 && st.Term == 0 {
		if err := node.Bootstrap(r.cfg.Bootstrap); err != nil {
			return fmt.Errorf("replica: %w", err)
		}
	}
	return nil
}

// deliver takes a message from the transport.
func (r *Replica) deliver(m *pb.Message) {
	if m.Type == pb.MsgSnap {
		r.log.Warn("a snapshot came as a message; dropped", zap.Uint64("from", m.From))
		return
	}
	r.in.message(m)
}

func (r *Replica) unreachable(peer uint64) {
	r.call(func() { _ = r.node.ReportUnreachable(peer) })
}

// call lets the loop call f, some time.
func (r *Replica) call(f func()) {
	r.in.put(func(w *work) { w.calls = append(w.calls, f) })
}

// onLoop lets the loop call f and waits for it. It reports false if the replica
// stops instead.
func (r *Replica) onLoop(f func()) bool {
	called := make(chan struct{})
	r.call(func() {
		f()
		close(called)
	})
	select {
	case <-called:
		return true
	case <-r.stopping:
		return false
	}
}

// Propose appends a command to the log and returns what the state machine said of
// it. While no leader is known it waits for one. A follower passes the command on
// to its leader. The caller must not change data afterwards.
//
// The error matches ErrNotApplied or ErrAmbiguous, and why: ErrOverloaded,
// ErrTooLarge, ErrStopped, that of ctx, or one of package raft, which the leader may
// have told: see AtMostOnce. A command that was passed on and is not heard of for ten
// election timeouts is ambiguous.
func (r *Replica) Propose(ctx context.Context, data []byte) (any, error) {
	size := headerSize + len(data)
	if uint64(size) > r.cfg.MaxProposalBytes {
		return nil, notApplied(fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, r.cfg.MaxProposalBytes))
	}
	p := newProposal()
	p.data, p.bytes = make([]byte, size), uint64(size)
	copy(p.data[headerSize:], data)
	return r.await(ctx, p)
}

// ProposeConfChange changes the membership and returns the configuration that took
// effect here; nil leaves a joint configuration. The Context of a ConfChangeV2 is
// used by the replica; those of its members are their addresses. Errors are those
// of Propose; a refusal by the leader, whoever that is, is a raft.ConfChangeError.
func (r *Replica) ProposeConfChange(ctx context.Context, cc pb.ConfChangeI) (pb.ConfState, error) {
	done, err := r.proposeConf(ctx, cc, 0)
	return done.conf, err
}

// proposeConf proposes a change of configuration; unless term is 0, only as the leader
// of that term.
func (r *Replica) proposeConf(ctx context.Context, cc pb.ConfChangeI, term uint64) (confDone, error) {
	change := ownChange(cc)
	change.Context = make([]byte, headerSize)
	p := newProposal()
	p.conf, p.onlyIn, p.bytes = &change, term, uint64(change.Size())
	result, err := r.await(ctx, p)
	done, _ := result.(confDone)
	return done, err
}

// ownChange returns a copy of cc, which the caller may change later.
func ownChange(cc pb.ConfChangeI) pb.ConfChangeV2 {
	switch c := cc.(type) {
	case nil:
		return pb.ConfChangeV2{}
	case *pb.ConfChange:
		if c == nil {
			return pb.ConfChangeV2{}
		}
	case *pb.ConfChangeV2:
		if c == nil {
			return pb.ConfChangeV2{}
		}
	}
	change := cc.AsV2()
	change.Changes = slices.Clone(change.Changes)
	for i := range change.Changes {
		change.Changes[i].Context = bytes.Clone(change.Changes[i].Context)
	}
	return change
}

func (r *Replica) await(ctx context.Context, p *proposal) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, notApplied(err)
	}
	header := p.data
	if p.conf != nil {
		header = p.conf.Context
	}
	if err := r.pending.add(p); err != nil {
		return nil, err
	}
	putHeader(header, p.id)
	r.in.put(func(w *work) { w.proposals = append(w.proposals, p) })
	select {
	case <-p.done:
		result, err := p.result, p.err
		if err == nil {
			p.recycle()
		}
		return result, err
	case <-ctx.Done():
		return r.pending.giveUp(p, ctx.Err())
	}
}

// Read returns when everything that was acknowledged before the call is applied
// here: what the state machine is asked then is linearizable (dissertation §6.4).
// Reads share rounds of messages. While no leader is known it waits for one. A
// lost read is asked again. The error is that of ctx, ErrOverloaded or ErrStopped.
func (r *Replica) Read(ctx context.Context) error { return r.read(ctx, &read{}) }

// ReadLease is Read without messages while this replica leads and holds a lease
// (raft.ReadOnlyLeaseOnDemand, dissertation §6.4.1): it is as safe as
// raft.Config.MaxClockDrift is true. Else it is Read. A machine that is put to sleep, or
// a virtual one that is paused, is such a drift wherever the monotonic clock stands
// still with it.
func (r *Replica) ReadLease(ctx context.Context) error { return r.read(ctx, &read{lease: true}) }

func (r *Replica) read(ctx context.Context, rd *read) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rd.done = make(chan struct{})
	if !r.pending.admitRead() {
		return r.refused()
	}
	r.in.put(func(w *work) { w.reads = append(w.reads, rd) })
	select {
	case <-rd.done:
		return nil
	case <-ctx.Done():
		if !rd.end(readGivenUp) {
			return nil
		}
		r.readsGone.Add(1)
		return ctx.Err()
	case <-r.stopping:
		return r.stopError()
	}
}

func (r *Replica) refused() error {
	if r.stopped() {
		return r.stopError()
	}
	return ErrOverloaded
}

// Status is the state of a replica.
type Status struct {
	raft.Status
	// Explain says in words what stands in the way, "" if nothing does.
	Explain string
	// Silent is for how long a leader has not heard from each member, by ID, in whole ticks,
	// and for how long it has led if it never has; nil on others. ElectionTimeout is after how
	// long that begins to matter.
	Silent          map[uint64]time.Duration
	ElectionTimeout time.Duration
	// Pending is how many proposals wait for their outcome, and PendingBytes
	// their size.
	Pending      int
	PendingBytes uint64
	// DroppedMessages counts messages that found the inbox full.
	DroppedMessages uint64
	// Removal is what is known of the replica's own removal from the group. Its Index
	// is 0 if nothing is.
	Removal Removal
}

// Status returns the replica's state. The error is that of ctx or ErrStopped.
func (r *Replica) Status(ctx context.Context) (Status, error) {
	answer := make(chan Status, 1)
	r.call(func() {
		removal := r.removal()
		answer <- Status{Status: r.node.Status(), Explain: sentences(r.node.Explain(), removal.String()), Removal: removal}
	})
	select {
	case s := <-answer:
		s.ElectionTimeout = r.timeouts(1)
		for id, ticks := range s.SilentTicks {
			if s.Silent == nil {
				s.Silent = make(map[uint64]time.Duration, len(s.SilentTicks))
			}
			s.Silent[id] = time.Duration(ticks) * r.cfg.TickInterval
		}
		s.Pending, s.PendingBytes = r.pending.counts()
		r.in.mu.Lock()
		s.DroppedMessages = r.in.dropped
		r.in.mu.Unlock()
		return s, nil
	case <-ctx.Done():
		return Status{}, ctx.Err()
	case <-r.stopping:
		return Status{}, r.stopError()
	}
}

// Leader returns the leader that this replica knows, raft.None if none, and whether
// it is itself the leader, which it is not any more once it stopped. It costs next to
// nothing.
func (r *Replica) Leader() (id uint64, self bool) { return r.lead.Load(), r.leads.Load() }

// Applied returns the index of the last entry that is applied here.
func (r *Replica) Applied() uint64 { return r.applied.Load() }

// Watch returns a Watcher with room for so many events that nobody has received
// yet; of more, the oldest are dropped and counted. The first event is a
// LeaderChanged with the present state.
func (r *Replica) Watch(room int) *Watcher {
	w := r.newWatcher(room)
	if !r.onLoop(func() {
		r.add(w, Event{Kind: LeaderChanged, Leader: r.soft.Lead, Role: r.soft.RaftState, Term: r.term})
	}) {
		r.add(w)
	}
	return w
}

// TakeSnapshot compacts the log up to what is applied now, but for TrailingEntries,
// as the policy of SnapshotEntries and SnapshotBytes does by itself, and returns when
// that is done. The error is that of the state machine, the storage or the disk,
// that of ctx, or ErrStopped; the replica goes on all the same.
func (r *Replica) TakeSnapshot(ctx context.Context) error {
	done := make(chan error, 1)
	r.in.toApply(applyWork{call: func() { r.snapshots.take([]chan<- error{done}) }})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stopping:
		return r.stopError()
	}
}

// Done is closed when the replica has stopped.
func (r *Replica) Done() <-chan struct{} { return r.done }

// Err returns why the replica stopped by itself: a fault of the storage or the state
// machine, or a RemovedError. It is nil while it runs and if it was told to stop.
func (r *Replica) Err() error {
	select {
	case <-r.stopping:
		return r.err
	default:
		return nil
	}
}

// Stop stops the replica and returns when nothing of it runs any more, whatever ctx
// says: Storage may be closed then. So it waits for a call of the StateMachine or the
// Storage that is under way. With Config.HandOverOnStop a leader hands over first,
// for as long as ctx and two election timeouts allow. What is pending gets ErrStopped
// at once. It returns Err.
func (r *Replica) Stop(ctx context.Context) error {
	if r.cfg.HandOverOnStop && !r.stopped() && r.leads.Load() {
		limit := time.Duration(2*r.electionTick) * r.cfg.TickInterval
		within, cancel := context.WithTimeout(ctx, limit)
		if err := r.TransferLeadership(within, raft.None); err != nil {
			r.log.Info("leadership was not handed over", zap.Error(err))
		}
		cancel()
	}
	r.stop(nil)
	<-r.done
	return r.Err()
}

// stop stops the replica, because of a fault unless err is nil. The first one
// counts.
func (r *Replica) stop(err error) {
	r.stopOnce.Do(func() {
		switch r.err = err; {
		case errors.Is(err, ErrRemoved):
			r.log.Warn("the replica stops for good", zap.Error(err))
		case err != nil:
			r.log.Error("the replica stops", zap.Error(err))
		}
		r.in.close(r.stopping)
	})
}

func (r *Replica) stopped() bool {
	select {
	case <-r.stopping:
		return true
	default:
		return false
	}
}

// stopError is what those get who wait for something.
func (r *Replica) stopError() error {
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return ErrStopped
}

// end cleans up behind the workers.
func (r *Replica) end() {
	r.snapshots.close()
	if err := r.transport.Close(); err != nil {
		r.log.Warn("closing the transport", zap.Error(err))
	}
	releaseDir(r.snapshots.dir)
	r.publish(Event{Kind: Stopped, Err: r.err})
	close(r.done)
}

// sentences joins explanations, and one more unless it is empty; "" if there are none.
func sentences(explanations []raft.Explanation, more string) string {
	texts := make([]string, len(explanations))
	for i, e := range explanations {
		texts[i] = e.String()
	}
	if more != "" {
		texts = append(texts, more)
	}
	return strings.Join(texts, "; ")
}
