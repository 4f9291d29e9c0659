package raft

import (
	"context"
	"errors"
	"sync"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Node is a RawNode that is safe for concurrent use. It adds no protocol: every
// method is the RawNode's under a lock, and Ready is a channel.
//
// The host reads Ready and calls Advance for each, or, to overlap sending,
// persisting and applying, AckAppend and AckApply (see Ready). It calls Tick at
// a regular interval and Step for every message that arrives. Methods take a
// context; they fail at once when it is done, but only Propose and
// ProposeConfChange wait. Once the node is stopped they return ErrStopped; once
// its Storage has failed, an error matching ErrStorage.
type Node struct {
	mu sync.Mutex
	rn *RawNode
	// wanted says that the host asked for a Ready since the last one was made.
	wanted  bool
	stopped bool
	lead    uint64
	// led is closed, and made anew, when the known leader changes.
	led chan struct{}

	readyc chan Ready
	wake   chan struct{} // capacity 1: there may be something to do for run
	stopc  chan struct{}
	failed chan struct{} // closed when Storage failed
	done   chan struct{} // closed when run has ended
}

// StartNode starts the first node of a new group, or one of its first nodes: all
// of them are given the same peers. With no peers it starts a node that joins an
// existing group, like RestartNode. The host calls Stop when it is done.
func StartNode(c *Config, peers []Peer) (*Node, error) {
	rn, err := NewRawNode(c)
	if err != nil {
		return nil, err
	}
	if len(peers) > 0 {
		if err := rn.Bootstrap(peers); err != nil {
			return nil, err
		}
	}
	return newNode(rn), nil
}

// RestartNode starts a node from what c.Storage holds, its members included; or,
// with an empty Storage, one that joins an existing group.
func RestartNode(c *Config) (*Node, error) { return StartNode(c, nil) }

func newNode(rn *RawNode) *Node {
	n := &Node{
		rn: rn, lead: rn.raft.lead, led: make(chan struct{}),
		readyc: make(chan Ready), wake: make(chan struct{}, 1),
		stopc: make(chan struct{}), failed: make(chan struct{}), done: make(chan struct{}),
	}
	go n.run()
	return n
}

// run hands out Readys until the node stops or fails.
func (n *Node) run() {
	defer close(n.done)
	for {
		rd, ok, err := n.next()
		if err != nil {
			return
		}
		if ok {
			select {
			case n.readyc <- rd:
			case <-n.stopc:
				return
			case <-n.failed:
				return
			}
			continue
		}
		select {
		case <-n.wake:
		case <-n.stopc:
			return
		case <-n.failed:
			return
		}
	}
}

// next makes a Ready when the host can use one. While an earlier one is not
// acknowledged that is when the host asks for it; to make it sooner would only
// split what comes in the meantime over two.
func (n *Node) next() (Ready, bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped || !n.due() {
		return Ready{}, false, n.rn.Err()
	}
	n.wanted = false
	rd := n.rn.Ready()
	n.noticeFailure()
	return rd, !rd.IsEmpty(), n.rn.Err()
}

func (n *Node) due() bool {
	return (n.wanted || n.rn.raft.log.writes.len() == 0) && n.rn.HasReady()
}

// do runs f on the RawNode unless the node is stopped.
func (n *Node) do(f func(rn *RawNode) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return ErrStopped
	}
	err := f(n.rn)
	if lead := n.rn.raft.lead; lead != n.lead {
		n.lead = lead
		close(n.led)
		n.led = make(chan struct{})
	}
	n.noticeFailure()
	if n.due() {
		n.signal()
	}
	return err
}

// noticeFailure ends run once Storage has failed: nothing leaves any more.
func (n *Node) noticeFailure() {
	if n.rn.Err() == nil {
		return
	}
	select {
	case <-n.failed:
	default:
		close(n.failed)
	}
}

func (n *Node) doCtx(ctx context.Context, f func(rn *RawNode) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return n.do(f)
}

func (n *Node) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Ready returns the channel on which the node says what to do. Call it each time
// a Ready is wanted, as a select statement does: with a Ready unacknowledged,
// the next one is made when Ready is called. The channel is never closed; see
// Done.
func (n *Node) Ready() <-chan Ready {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wanted = true
	if !n.stopped && n.due() {
		n.signal()
	}
	return n.readyc
}

// Advance is RawNode.Advance.
func (n *Node) Advance(rd Ready) error {
	return n.do(func(rn *RawNode) error { return rn.Advance(rd) })
}

// AckAppend is RawNode.AckAppend.
func (n *Node) AckAppend(token AppendToken) error {
	return n.do(func(rn *RawNode) error { return rn.AckAppend(token) })
}

// AckApply is RawNode.AckApply.
func (n *Node) AckApply(index uint64) error {
	return n.do(func(rn *RawNode) error { return rn.AckApply(index) })
}

// Tick is RawNode.Tick.
func (n *Node) Tick() {
	_ = n.do(func(rn *RawNode) error { rn.Tick(); return nil }) // a stopped node has no time
}

// TickBy is RawNode.TickBy.
func (n *Node) TickBy(ticks int) {
	_ = n.do(func(rn *RawNode) error { rn.TickBy(ticks); return nil })
}

// NextDeadline is RawNode.NextDeadline; false on a stopped node.
func (n *Node) NextDeadline() (ticks int, ok bool) {
	_ = n.do(func(rn *RawNode) error { ticks, ok = rn.NextDeadline(); return nil })
	return ticks, ok
}

// Wake is RawNode.Wake.
func (n *Node) Wake() {
	_ = n.do(func(rn *RawNode) error { rn.Wake(); return nil })
}

// Campaign is RawNode.Campaign.
func (n *Node) Campaign(ctx context.Context) error {
	return n.doCtx(ctx, (*RawNode).Campaign)
}

// Step is RawNode.Step.
func (n *Node) Step(ctx context.Context, m pb.Message) error {
	return n.doCtx(ctx, func(rn *RawNode) error { return rn.Step(m) })
}

// Propose is RawNode.Propose, but waits while no leader is known, until ctx is
// done. A nil error says that the entry was appended here or sent to the leader,
// not that it is committed.
func (n *Node) Propose(ctx context.Context, data []byte) error {
	return n.whenLed(ctx, func(rn *RawNode) error { return rn.Propose(data) })
}

// ProposeConfChange is RawNode.ProposeConfChange, but waits like Propose.
func (n *Node) ProposeConfChange(ctx context.Context, cc pb.ConfChangeI) error {
	return n.whenLed(ctx, func(rn *RawNode) error { return rn.ProposeConfChange(cc) })
}

// ProposeMembership is RawNode.ProposeMembership, but waits like Propose.
func (n *Node) ProposeMembership(ctx context.Context, m pb.Membership) error {
	return n.whenLed(ctx, func(rn *RawNode) error { return rn.ProposeMembership(m) })
}

// CancelMembership is RawNode.CancelMembership, but waits like Propose.
func (n *Node) CancelMembership(ctx context.Context, version uint64) error {
	return n.whenLed(ctx, func(rn *RawNode) error { return rn.CancelMembership(version) })
}

// CheckMembership is RawNode.CheckMembership.
func (n *Node) CheckMembership(ctx context.Context, m pb.Membership) (MembershipCheck, error) {
	var check MembershipCheck
	err := n.doCtx(ctx, func(rn *RawNode) (err error) { check, err = rn.CheckMembership(m); return err })
	return check, err
}

// whenLed repeats f, while no leader is known, each time that changes.
func (n *Node) whenLed(ctx context.Context, f func(rn *RawNode) error) error {
	for {
		var led chan struct{}
		err := n.doCtx(ctx, func(rn *RawNode) error {
			led = n.led
			return f(rn)
		})
		if !errors.Is(err, ErrNoLeader) {
			return err
		}
		select {
		case <-led:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.done:
			return n.over()
		}
	}
}

// ApplyConfChange is RawNode.ApplyConfChange. On a stopped node it changes
// nothing.
func (n *Node) ApplyConfChange(cc pb.ConfChangeI) *pb.ConfState {
	var cs *pb.ConfState
	if err := n.do(func(rn *RawNode) error { cs = rn.ApplyConfChange(cc); return nil }); err != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.rn.raft.confState()
	}
	return cs
}

// ConfStateAt is RawNode.ConfStateAt.
func (n *Node) ConfStateAt(i uint64) (*pb.ConfState, error) {
	var cs *pb.ConfState
	err := n.do(func(rn *RawNode) (err error) { cs, err = rn.ConfStateAt(i); return err })
	return cs, err
}

// TransferLeader is RawNode.TransferLeader.
func (n *Node) TransferLeader(ctx context.Context, transferee uint64) error {
	return n.doCtx(ctx, func(rn *RawNode) error { return rn.TransferLeader(transferee) })
}

// AbortTransfer is RawNode.AbortTransfer.
func (n *Node) AbortTransfer(ctx context.Context) error {
	return n.doCtx(ctx, (*RawNode).AbortTransfer)
}

// ForgetLeader is RawNode.ForgetLeader.
func (n *Node) ForgetLeader(ctx context.Context) error {
	return n.doCtx(ctx, (*RawNode).ForgetLeader)
}

// ReadIndex is RawNode.ReadIndex.
func (n *Node) ReadIndex(ctx context.Context, rctx []byte) error {
	return n.doCtx(ctx, func(rn *RawNode) error { return rn.ReadIndex(rctx) })
}

// LeaseRead is RawNode.LeaseRead.
func (n *Node) LeaseRead(ctx context.Context) (uint64, error) {
	var index uint64
	err := n.doCtx(ctx, func(rn *RawNode) (err error) { index, err = rn.LeaseRead(); return err })
	return index, err
}

// ReportUnreachable is RawNode.ReportUnreachable.
func (n *Node) ReportUnreachable(id uint64) error {
	return n.do(func(rn *RawNode) error { return rn.ReportUnreachable(id) })
}

// ReportSnapshot is RawNode.ReportSnapshot.
func (n *Node) ReportSnapshot(id uint64, status SnapshotStatus) error {
	return n.do(func(rn *RawNode) error { return rn.ReportSnapshot(id, status) })
}

// Status is RawNode.Status. It also answers on a stopped node.
func (n *Node) Status() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rn.Status()
}

// BasicStatus is RawNode.BasicStatus. It also answers on a stopped node.
func (n *Node) BasicStatus() BasicStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rn.BasicStatus()
}

// Explain is RawNode.Explain. It also answers on a stopped node.
func (n *Node) Explain() []Explanation {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rn.Explain()
}

// Stop stops the node and waits until no Ready comes any more. It may be called
// again. What was in an unfinished Ready stays with the host.
func (n *Node) Stop() {
	n.mu.Lock()
	if !n.stopped {
		n.stopped = true
		close(n.stopc)
	}
	n.mu.Unlock()
	<-n.done
}

// Done is closed when no Ready comes any more: the node was stopped, or its
// Storage failed. Err tells which.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err returns the fault of Storage that ended the node, else ErrStopped once it
// was stopped, else nil.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.rn.Err(); err != nil {
		return err
	}
	if n.stopped {
		return ErrStopped
	}
	return nil
}

// over is what a method that waited returns when the node has ended.
func (n *Node) over() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return ErrStopped
	}
	return n.rn.Err()
}
