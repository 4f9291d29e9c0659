package raft_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// nodeHost runs Nodes over channels, each by a host loop of its own.
type nodeHost struct {
	nodes map[uint64]*raft.Node
	hosts sync.WaitGroup
	// applied counts the proposals that each node applied.
	applied map[uint64]*atomic.Int64
	reads   chan raft.ReadState
}

func startNodes(t *testing.T, n int, host func(h *nodeHost, id uint64, s *raft.MemoryStorage)) *nodeHost {
	h := &nodeHost{nodes: map[uint64]*raft.Node{}, applied: map[uint64]*atomic.Int64{}, reads: make(chan raft.ReadState, 1024)}
	var peers []raft.Peer
	for id := uint64(1); id <= uint64(n); id++ {
		peers = append(peers, raft.Peer{ID: id})
	}
	storages := map[uint64]*raft.MemoryStorage{}
	for _, p := range peers {
		storages[p.ID] = raft.NewMemoryStorage()
		node, err := raft.StartNode(&raft.Config{ID: p.ID, Storage: storages[p.ID], Rand: rand.NewPCG(7, p.ID)}, peers)
		require.NoError(t, err)
		h.nodes[p.ID] = node
		h.applied[p.ID] = &atomic.Int64{}
	}
	for id, s := range storages {
		h.hosts.Go(func() { host(h, id, s) })
	}
	t.Cleanup(h.stop)
	return h
}

func (h *nodeHost) stop() {
	for _, n := range h.nodes {
		n.Stop()
	}
	h.hosts.Wait()
}

func (h *nodeHost) send(msgs []pb.Message) {
	for _, m := range msgs {
		if n := h.nodes[m.To]; n != nil {
			_ = n.Step(context.Background(), m) // a refused message is a lost one
		}
	}
}

func (h *nodeHost) apply(id uint64, rd raft.Ready) {
	for _, e := range rd.CommittedEntries {
		if e.Type != pb.EntryNormal {
			cc, err := pb.UnmarshalConfChange(e)
			if err != nil {
				panic(err)
			}
			h.nodes[id].ApplyConfChange(cc)
		} else if len(e.Data) > 0 {
			h.applied[id].Add(1)
		}
	}
	for _, rs := range rd.ReadStates {
		h.reads <- rs
	}
}

func persist(s *raft.MemoryStorage, rd raft.Ready) {
	if err := s.Append(rd.Entries); err != nil {
		panic(err)
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		_ = s.SetHardState(rd.HardState) // never fails
	}
}

// syncHost does one thing after the other.
func syncHost(h *nodeHost, id uint64, s *raft.MemoryStorage) {
	n := h.nodes[id]
	for {
		select {
		case rd := <-n.Ready():
			h.send(rd.Messages)
			persist(s, rd)
			h.send(rd.MessagesAfterAppend)
			h.apply(id, rd)
			_ = n.Advance(rd) // ErrStopped ends the loop below
		case <-n.Done():
			return
		}
	}
}

// pipelinedHost persists and applies in goroutines of their own.
func pipelinedHost(h *nodeHost, id uint64, s *raft.MemoryStorage) {
	n := h.nodes[id]
	writes, applies := make(chan raft.Ready, 16), make(chan raft.Ready, 16)
	var wg sync.WaitGroup
	wg.Go(func() {
		for rd := range writes {
			persist(s, rd)
			h.send(rd.MessagesAfterAppend)
			_ = n.AckAppend(rd.AppendToken())
		}
	})
	wg.Go(func() {
		for rd := range applies {
			h.apply(id, rd)
			if index := rd.AppliedIndex(); index != 0 {
				_ = n.AckApply(index)
			}
		}
	})
	defer wg.Wait()
	defer close(writes)
	defer close(applies)
	for {
		select {
		case rd := <-n.Ready():
			h.send(rd.Messages)
			reads := rd
			// ReadStates are reused once the write is acknowledged.
			reads.ReadStates = append([]raft.ReadState(nil), rd.ReadStates...)
			applies <- reads
			writes <- rd
		case <-n.Done():
			return
		}
	}
}

func (h *nodeHost) waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
			for _, n := range h.nodes {
				n.Tick()
			}
		case <-deadline:
			t.Fatalf("no %s in time", what)
		}
	}
}

func (h *nodeHost) leader() *raft.Node {
	for _, n := range h.nodes {
		if n.BasicStatus().RaftState == raft.StateLeader {
			return n
		}
	}
	return nil
}

// A Node may be used from many goroutines at once, by a host that does one thing
// after the other and by one that overlaps them: every accepted proposal is
// applied on every node, reads are answered, and nothing is left running.
func TestNodeConcurrentUse(t *testing.T) {
	for name, host := range map[string]func(*nodeHost, uint64, *raft.MemoryStorage){
		"synchronous": syncHost, "pipelined": pipelinedHost,
	} {
		for _, size := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				h := startNodes(t, size, host)
				h.waitFor(t, "leader", func() bool { return h.leader() != nil })
				const writers, each = 4, 100
				var wg sync.WaitGroup
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				for w := range writers {
					wg.Go(func() {
						node := h.nodes[uint64(w%size+1)]
						for i := range each {
							if err := node.Propose(ctx, []byte{byte(w), byte(i)}); err != nil {
								t.Errorf("propose: %v", err)
							}
							_ = node.Status()
							_ = node.Explain()
						}
					})
				}
				wg.Wait()
				h.waitFor(t, "application everywhere", func() bool {
					for _, n := range h.applied {
						if n.Load() < writers*each {
							return false
						}
					}
					return true
				})
				require.NoError(t, h.leader().ReadIndex(ctx, []byte("now")))
				var rs raft.ReadState
				h.waitFor(t, "read", func() bool {
					select {
					case rs = <-h.reads:
						return true
					default:
						return false
					}
				})
				require.Equal(t, "now", string(rs.RequestCtx))
				require.GreaterOrEqual(t, rs.Index, uint64(writers*each))
			})
		}
	}
}

// Propose waits while there is no leader, until one is known, the context is
// done or the node is stopped.
func TestNodeProposeWaitsForLeader(t *testing.T) {
	h := startNodes(t, 3, syncHost)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, h.nodes[1].Propose(ctx, []byte("x")), context.Canceled)

	done := make(chan error, 1)
	go func() { done <- h.nodes[1].Propose(context.Background(), []byte("x")) }()
	h.waitFor(t, "proposal", func() bool { return len(done) == 1 })
	require.NoError(t, <-done)

	lone, err := raft.StartNode(&raft.Config{ID: 1, Storage: raft.NewMemoryStorage()}, []raft.Peer{{ID: 1}, {ID: 2}})
	require.NoError(t, err)
	go func() { done <- lone.Propose(context.Background(), []byte("x")) }()
	lone.Stop()
	require.ErrorIs(t, <-done, raft.ErrStopped)
}

// After Stop every method returns ErrStopped, Stop may be repeated, and the
// node's goroutine is gone, whatever it was doing.
func TestNodeStop(t *testing.T) {
	before := runtime.NumGoroutine()
	n, err := raft.StartNode(&raft.Config{ID: 1, Storage: raft.NewMemoryStorage()}, []raft.Peer{{ID: 1}})
	require.NoError(t, err)
	rd := <-n.Ready() // the next one waits to be taken
	n.Stop()
	n.Stop()
	<-n.Done()
	ctx := context.Background()
	n.Tick()
	_, leaseErr := n.LeaseRead(ctx)
	for what, err := range map[string]error{
		"Err": n.Err(), "Propose": n.Propose(ctx, nil), "Step": n.Step(ctx, pb.Message{}), "Campaign": n.Campaign(ctx),
		"Advance": n.Advance(rd), "AckAppend": n.AckAppend(rd.AppendToken()), "AckApply": n.AckApply(1),
		"ReadIndex": n.ReadIndex(ctx, nil), "LeaseRead": leaseErr, "TransferLeader": n.TransferLeader(ctx, 2),
		"AbortTransfer": n.AbortTransfer(ctx), "ForgetLeader": n.ForgetLeader(ctx),
		"ReportUnreachable": n.ReportUnreachable(2), "ReportSnapshot": n.ReportSnapshot(2, raft.SnapshotFinish),
		"ProposeConfChange": n.ProposeConfChange(ctx, pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 2}),
	} {
		require.ErrorIs(t, err, raft.ErrStopped, what)
	}
	require.Equal(t, []uint64{1}, n.ApplyConfChange(pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: 2}).Voters)
	require.Equal(t, uint64(1), n.Status().ID)
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), "a goroutine is left")
	}
}

func (s *failingStorage) FirstIndex() (uint64, error) {
	if s.fail.Load() {
		return 0, errDisk
	}
	return s.MemoryStorage.FirstIndex()
}

// A Node whose Storage fails ends: Done is closed, and every method returns the
// cause, also one that waits.
func TestNodeStorageFailure(t *testing.T) {
	s := &failingStorage{MemoryStorage: raft.NewMemoryStorage()}
	s.SetConfState(pb.ConfState{Voters: []uint64{1}})
	require.NoError(t, s.Append([]pb.Entry{{Term: 1, Index: 1}}))
	require.NoError(t, s.SetHardState(pb.HardState{Term: 1, Commit: 1}))
	s.failEntries.Store(true) // to be applied the committed entry is read
	n, err := raft.RestartNode(&raft.Config{ID: 1, Storage: s})
	require.NoError(t, err)
	defer n.Stop()
	<-n.Done()
	require.ErrorIs(t, n.Err(), errDisk)
	require.ErrorIs(t, n.Propose(context.Background(), []byte("x")), raft.ErrStorage)
}

var errDisk = errors.New("disk on fire")

type failingStorage struct {
	*raft.MemoryStorage
	fail, failEntries atomic.Bool
}

func (s *failingStorage) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	if s.fail.Load() || s.failEntries.Load() {
		return nil, errDisk
	}
	return s.MemoryStorage.Entries(lo, hi, maxSize)
}

// Once its Storage has failed a Node hands out nothing, not even what was on
// offer, and nobody waits for it any more.
func TestNodeStorageFailureWithAReadyOnOffer(t *testing.T) {
	s := &failingStorage{MemoryStorage: raft.NewMemoryStorage()}
	n, err := raft.StartNode(&raft.Config{ID: 1, Storage: s}, []raft.Peer{{ID: 1}, {ID: 2}})
	require.NoError(t, err)
	defer n.Stop()
	waiting := make(chan error, 1)
	go func() { waiting <- n.Propose(context.Background(), []byte("x")) }()
	s.fail.Store(true)
	// To say where the logs agree it has to look at the storage.
	beyond := pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: 5, Index: 3}
	require.ErrorIs(t, n.Step(context.Background(), beyond), raft.ErrStorage)
	<-n.Done()
	require.ErrorIs(t, <-waiting, errDisk)
	select {
	case rd := <-n.Ready():
		t.Errorf("handed out %v", rd)
	default:
	}
}

// A Ready that is not acknowledged does not keep the next one back from a host
// that asks for it, and what is proposed in the meantime shares few of them.
func TestNodePipelinesAndBatches(t *testing.T) {
	s := raft.NewMemoryStorage()
	n, err := raft.StartNode(&raft.Config{ID: 1, Storage: s}, []raft.Peer{{ID: 1}})
	require.NoError(t, err)
	defer n.Stop()
	ctx := context.Background()
	for n.BasicStatus().RaftState != raft.StateLeader {
		select {
		case rd := <-n.Ready():
			persist(s, rd)
			require.NoError(t, n.Advance(rd))
		case <-n.Done():
			t.Fatal(n.Err())
		default:
			if n.BasicStatus().RaftState == raft.StateFollower {
				_ = n.Campaign(ctx) // refused until the bootstrap entries are applied
			}
		}
	}
	for range 64 {
		require.NoError(t, n.Propose(ctx, []byte("x")))
	}
	// One Ready may have been asked for before, and hold the first few.
	readys, entries := 0, 0
	for entries < 64 {
		rd := <-n.Ready()
		for _, e := range rd.Entries {
			entries += len(e.Data)
		}
		readys++
	}
	require.LessOrEqual(t, readys, 4)
}

// Every method of a Node does what the RawNode's does.
func TestNodeMethods(t *testing.T) {
	h := startNodes(t, 3, syncHost)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	h.waitFor(t, "leader", func() bool { return h.leader() != nil })
	leader := h.leader()
	id := leader.BasicStatus().ID
	other := id%3 + 1

	_, err := leader.LeaseRead(ctx)
	require.ErrorIs(t, err, raft.ErrNoLease)
	require.ErrorIs(t, leader.ReportUnreachable(9), raft.ErrUnknownPeer)
	require.ErrorIs(t, leader.ReportSnapshot(9, raft.SnapshotFinish), raft.ErrUnknownPeer)
	require.NoError(t, leader.ReportUnreachable(other))
	require.NoError(t, leader.ReportSnapshot(other, raft.SnapshotFailure))
	require.ErrorIs(t, leader.TransferLeader(ctx, id), raft.ErrTransferTarget)
	require.NoError(t, leader.AbortTransfer(ctx))
	require.NoError(t, leader.ForgetLeader(ctx))
	require.NoError(t, leader.Campaign(ctx), "a leader ignores it")

	learner := pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 9}
	h.waitFor(t, "change of membership", func() bool { return leader.ProposeConfChange(ctx, learner) == nil })
	h.waitFor(t, "learner", func() bool { return len(leader.Status().Config.Learners) == 1 })
	cs, err := leader.ConfStateAt(leader.Status().ConfigIndex)
	require.NoError(t, err)
	require.Equal(t, []uint64{9}, cs.Learners)

	require.NoError(t, leader.TransferLeader(ctx, other))
	h.waitFor(t, "new leader", func() bool { return h.nodes[other].BasicStatus().RaftState == raft.StateLeader })
	require.ErrorIs(t, leader.AbortTransfer(ctx), raft.ErrNotLeader)
}

// A Node restarts from what its Storage holds, and refuses a bad Config or
// bootstrap with an error.
func TestNodeRestart(t *testing.T) {
	s := raft.NewMemoryStorage()
	c := &raft.Config{ID: 1, Storage: s}
	n, err := raft.StartNode(c, []raft.Peer{{ID: 1}})
	require.NoError(t, err)
	rd := <-n.Ready()
	persist(s, rd)
	n.Stop()
	n, err = raft.RestartNode(c)
	require.NoError(t, err)
	defer n.Stop()
	require.Equal(t, uint64(1), n.BasicStatus().Commit)
	require.NoError(t, n.Err())
	_, err = raft.StartNode(c, []raft.Peer{{ID: 1}})
	require.ErrorIs(t, err, raft.ErrInvalidConfig)
	_, err = raft.RestartNode(&raft.Config{})
	require.ErrorIs(t, err, raft.ErrInvalidConfig)
}
