package etcd36

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/load"
)

const (
	tick          = 100 * time.Millisecond
	electionTicks = 10
	// kept entries stay in memory and in the log, for members that are behind; it is compacted when there are twice
	// as many.
	kept = 50_000
)

// node is a replica with its loop.
type node struct {
	id      uint64
	raft    *raft.RawNode
	memory  *raft.MemoryStorage
	log     *wal
	wire    *wire
	machine load.Machine
	inbox   inbox
	leads   atomic.Bool

	// These are the loop's.
	waiting  []*proposal // that are in the log, in its order
	conf     pb.ConfState
	applied  uint64
	snapshot uint64 // the log is compacted up to here, less what is kept

	quit, done chan struct{}
	err        error // why it ended, once done is closed
}

// newNode starts a node.
func newNode(id uint64, dir string, w *wire, syncs *load.Syncs) (*node, error) {
	n := &node{
		id: id, wire: w, memory: raft.NewMemoryStorage(), conf: pb.ConfState{Voters: []uint64{1, 2, 3}},
		applied: 1, snapshot: 1, quit: make(chan struct{}), done: make(chan struct{}),
	}
	n.inbox.wake = make(chan struct{}, 1)
	snap := pb.Snapshot{Data: n.machine.Snapshot(), Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: n.conf}}
	if err := n.memory.ApplySnapshot(snap); err != nil {
		return nil, err
	}
	var err error
	if n.log, err = newWAL(dir, snap, syncs); err != nil {
		return nil, err
	}
	n.raft, err = raft.NewRawNode(&raft.Config{
		ID: id, Storage: n.memory, Applied: 1, ElectionTick: electionTicks, HeartbeatTick: 1,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, PreVote: true, CheckQuorum: true, Logger: core.Quiet{},
	})
	if err != nil {
		return nil, errors.Join(err, n.log.close())
	}
	go n.run()
	return n, nil
}

// run is the loop.
func (n *node) run() {
	n.wire.receive(&n.inbox)
	n.err = n.loop()
	close(n.done)
	finish(n.waiting, errStopped)
	finish(n.inbox.close(), errStopped)
}

var (
	errStopped   = errors.New("the node stopped")
	errNotLeader = errors.New("the node does not lead any more")
)

func (n *node) loop() error {
	if n.id == 1 {
		if err := n.raft.Campaign(); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-n.quit:
			return nil
		case <-ticker.C:
			n.raft.Tick()
		case <-n.inbox.wake:
		}
		// What came while a Ready was written is in the next one.
		for n.step(); n.raft.HasReady(); n.step() {
			if err := n.handle(n.raft.Ready()); err != nil {
				return err
			}
		}
	}
}

// step hands over all that came: messages one by one, proposals as one with many entries.
func (n *node) step() {
	proposals, messages := n.inbox.take()
	for i := range messages {
		// An error says that the message is of no use now, as a network's often are.
		_ = n.raft.Step(messages[i])
	}
	if len(proposals) == 0 {
		return
	}
	ents := make([]pb.Entry, len(proposals))
	for i, p := range proposals {
		ents[i].Data = p.data
	}
	err := errNotLeader
	if n.leads.Load() {
		err = n.raft.Step(pb.Message{Type: pb.MsgProp, From: n.id, Entries: ents})
	}
	if err != nil {
		finish(proposals, err)
		return
	}
	n.waiting = append(n.waiting, proposals...)
}

// handle does what a Ready asks for.
func (n *node) handle(rd raft.Ready) error {
	if rd.SoftState != nil {
		n.leads.Store(rd.RaftState == raft.StateLeader)
		if !n.leads.Load() {
			finish(n.waiting, errNotLeader)
			n.waiting = nil
		}
	}
	// A leader's messages promise nothing about its own disk (§10.2.1), and what is committed and durable here can be
	// acknowledged: neither waits for the sync.
	if err := n.wire.send(rd.Messages, isLeaders); err != nil {
		return err
	}
	durable := 0
	for durable < len(rd.CommittedEntries) && rd.CommittedEntries[durable].Index <= n.log.last {
		durable++
	}
	n.apply(rd.CommittedEntries[:durable])
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := n.restore(rd.Snapshot); err != nil {
			return err
		}
	}
	if err := n.log.save(rd); err != nil {
		return err
	}
	if err := n.memory.Append(rd.Entries); err != nil {
		return err
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if err := n.memory.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	if err := n.wire.send(rd.Messages, func(t pb.MessageType) bool { return !isLeaders(t) }); err != nil {
		return err
	}
	n.apply(rd.CommittedEntries[durable:])
	n.raft.Advance(rd)
	for i := range rd.Messages {
		if rd.Messages[i].Type == pb.MsgSnap {
			n.raft.ReportSnapshot(rd.Messages[i].To, raft.SnapshotFinish)
		}
	}
	return n.compact()
}

func isLeaders(t pb.MessageType) bool {
	return t == pb.MsgApp || t == pb.MsgHeartbeat || t == pb.MsgSnap
}

// apply applies committed entries. The writers of a leader wait in the order of its entries.
func (n *node) apply(ents []pb.Entry) {
	done := 0
	for i := range ents {
		n.applied = ents[i].Index
		if len(ents[i].Data) == 0 {
			continue
		}
		n.machine.Apply(ents[i].Data)
		if done < len(n.waiting) {
			done++
		}
	}
	finish(n.waiting[:done], nil)
	n.waiting = n.waiting[done:]
}

func (n *node) restore(snap pb.Snapshot) error {
	if err := n.machine.Restore(bytes.NewReader(snap.Data)); err != nil {
		return err
	}
	n.applied, n.snapshot = snap.Metadata.Index, snap.Metadata.Index
	n.log.compact(snap)
	return n.memory.ApplySnapshot(snap)
}

// compact drops entries from memory and from the log if there are many.
func (n *node) compact() error {
	if n.applied < n.snapshot+2*kept {
		return nil
	}
	n.snapshot = n.applied - kept
	snap, err := n.memory.CreateSnapshot(n.applied, &n.conf, n.machine.Snapshot())
	if err != nil {
		return err
	}
	n.log.compact(snap)
	return n.memory.Compact(n.snapshot)
}

// stop ends the loop.
func (n *node) stop() {
	select {
	case <-n.quit:
	default:
		close(n.quit)
	}
	<-n.done
}

// propose returns once data is applied here.
func (n *node) propose(ctx context.Context, data []byte) error {
	p := proposals.Get().(*proposal)
	p.data = data
	if !n.inbox.propose(p) {
		return errStopped
	}
	select {
	case err := <-p.outcome:
		p.data = nil
		proposals.Put(p)
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
