// Command memory runs a replicated counter on three nodes in one process: it
// elects a leader, counts, stops the leader, counts on, adds a fourth node, and
// reads the counter from it.
//
//	go run ./examples/memory
//
// Storage and network are in memory; everything else is what a real host does.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

const tick = 10 * time.Millisecond

// replica is one node with its host: the counter is its state machine.
type replica struct {
	id      uint64
	node    *raft.Node
	storage *raft.MemoryStorage
	net     *network

	mu      sync.Mutex
	counter uint64
	applied uint64
	changed chan struct{} // closed and replaced when counter, applied or reads change
	reads   map[string]uint64
}

// network carries messages between the replicas of this process.
type network struct {
	mu       sync.Mutex
	replicas map[uint64]*replica
}

func (n *network) send(msgs []pb.Message) {
	for _, m := range msgs {
		n.mu.Lock()
		to := n.replicas[m.To]
		n.mu.Unlock()
		if to != nil {
			// A message that is refused is like one that got lost.
			_ = to.node.Step(context.Background(), m)
		}
	}
}

func (n *network) start(id uint64, peers []raft.Peer) (*replica, error) {
	r := &replica{id: id, storage: raft.NewMemoryStorage(), net: n, changed: make(chan struct{}), reads: map[string]uint64{}}
	node, err := raft.StartNode(&raft.Config{ID: id, Storage: r.storage}, peers)
	if err != nil {
		return nil, err
	}
	r.node = node
	n.mu.Lock()
	n.replicas[id] = r
	n.mu.Unlock()
	go r.run()
	return r, nil
}

func (n *network) stop(r *replica) {
	n.mu.Lock()
	delete(n.replicas, r.id)
	n.mu.Unlock()
	r.node.Stop()
}

// run is the host loop: send, persist, send what promises, apply, advance.
func (r *replica) run() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.node.Tick()
		case rd := <-r.node.Ready():
			r.net.send(rd.Messages)
			if err := r.persist(rd); err != nil {
				fmt.Fprintf(os.Stderr, "node %d: %v\n", r.id, err)
				r.node.Stop()
				return
			}
			r.net.send(rd.MessagesAfterAppend)
			r.apply(rd)
			// The only error is that the node ended, which Done tells too.
			_ = r.node.Advance(rd)
		case <-r.node.Done():
			return
		}
	}
}

func (r *replica) persist(rd raft.Ready) error {
	if err := r.storage.Append(rd.Entries); err != nil {
		return err
	}
	if raft.IsEmptyHardState(rd.HardState) {
		return nil
	}
	return r.storage.SetHardState(rd.HardState)
}

func (r *replica) apply(rd raft.Ready) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range rd.CommittedEntries {
		if e.Type != pb.EntryNormal {
			if cc, err := pb.UnmarshalConfChange(e); err == nil {
				r.node.ApplyConfChange(cc)
			}
		} else if len(e.Data) == 8 {
			r.counter += binary.BigEndian.Uint64(e.Data)
		}
		r.applied = e.Index
	}
	for _, rs := range rd.ReadStates {
		r.reads[string(rs.RequestCtx)] = rs.Index
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait waits until cond, which is called with the lock held, is true.
func (r *replica) wait(ctx context.Context, cond func() bool) error {
	for {
		r.mu.Lock()
		ok, changed := cond(), r.changed
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add proposes to add 1 to the counter.
func (r *replica) add(ctx context.Context) error {
	return r.node.Propose(ctx, binary.BigEndian.AppendUint64(nil, 1))
}

// read returns the counter, with every addition that was acknowledged before.
func (r *replica) read(ctx context.Context) (uint64, error) {
	for attempt := 0; ; attempt++ {
		key := fmt.Sprint("read ", attempt)
		// A read may get lost with its messages or its leader: ask again.
		try, cancel := context.WithTimeout(ctx, 50*tick)
		_ = r.node.ReadIndex(try, []byte(key))
		err := r.wait(try, func() bool {
			index, ok := r.reads[key]
			return ok && r.applied >= index
		})
		cancel()
		if err == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.counter, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	net := &network{replicas: map[uint64]*replica{}}
	peers := []raft.Peer{{ID: 1}, {ID: 2}, {ID: 3}}
	for _, p := range peers {
		r, err := net.start(p.ID, peers)
		if err != nil {
			return err
		}
		defer r.node.Stop()
	}
	leader, err := net.leader(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("node %d leads term %d\n", leader.id, leader.node.BasicStatus().Term)

	start := time.Now()
	for range 1000 {
		if err := leader.add(ctx); err != nil {
			return err
		}
	}
	if err := net.show(ctx, 1000, "counted to 1000 on", start); err != nil {
		return err
	}

	start = time.Now()
	net.stop(leader)
	fmt.Printf("stopped node %d, the leader\n", leader.id)
	if leader, err = net.leader(ctx); err != nil {
		return err
	}
	fmt.Printf("node %d leads term %d, %v later\n", leader.id, leader.node.BasicStatus().Term, time.Since(start).Round(time.Millisecond))
	if err := leader.add(ctx); err != nil {
		return err
	}

	// A fourth node joins with nothing: as a learner, then as a voter.
	start = time.Now()
	joined, err := net.start(4, nil)
	if err != nil {
		return err
	}
	defer joined.node.Stop()
	for _, t := range []pb.ConfChangeType{pb.ConfChangeAddLearnerNode, pb.ConfChangeAddNode} {
		if err := leader.change(ctx, pb.ConfChange{Type: t, NodeID: 4}); err != nil {
			return err
		}
	}
	if err := net.show(ctx, 1001, "node 4 joined; counted to 1001 on", start); err != nil {
		return err
	}
	value, err := joined.read(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("node 4 reads %d (linearizable)\n", value)
	if value != 1001 {
		return fmt.Errorf("read %d, want 1001", value)
	}
	return nil
}

// change proposes a change of membership, and again while another one, or the
// leader's first entry, is in the way.
func (r *replica) change(ctx context.Context, cc pb.ConfChange) error {
	for {
		err := r.node.ProposeConfChange(ctx, cc)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(tick):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// leader waits for a leader among the replicas.
func (n *network) leader(ctx context.Context) (*replica, error) {
	for {
		n.mu.Lock()
		for _, r := range n.replicas {
			if r.node.BasicStatus().RaftState == raft.StateLeader {
				n.mu.Unlock()
				return r, nil
			}
		}
		n.mu.Unlock()
		select {
		case <-time.After(tick):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// show waits until all replicas have counted to want.
func (n *network) show(ctx context.Context, want uint64, what string, start time.Time) error {
	n.mu.Lock()
	var all []*replica
	for _, r := range n.replicas {
		all = append(all, r)
	}
	n.mu.Unlock()
	for _, r := range all {
		if err := r.wait(ctx, func() bool { return r.counter == want }); err != nil {
			return fmt.Errorf("node %d: %w", r.id, err)
		}
	}
	fmt.Printf("%s %d nodes in %v\n", what, len(all), time.Since(start).Round(time.Millisecond))
	return nil
}
