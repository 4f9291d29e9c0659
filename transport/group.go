package transport

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/quorate-raft/raft/raftpb"
)

// Group is one raft group's part of a Transport. Its methods may be called
// concurrently.
type Group struct {
	t     *Transport
	id    uint64
	peers atomic.Pointer[map[uint64]*peer] // replaced under Transport.mu
	calls

	ctx    context.Context // done once the group is closed
	cancel context.CancelFunc
}

// Group makes the part of one raft group. IDs are the caller's; a group has the
// same one on all nodes. ErrGroupExists if there is one, ErrClosed after Close.
func (t *Transport) Group(id uint64) (*Group, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if t.groups[id] != nil {
		return nil, ErrGroupExists
	}
	g := &Group{t: t, id: id}
	g.ctx, g.cancel = context.WithCancel(t.ctx)
	g.peers.Store(&map[uint64]*peer{})
	t.groups[id] = g
	return g, nil
}

// Start begins to hand over what arrives; before, it is dropped.
//
// deliver gets each message for this group and may keep it. It is called
// concurrently by the readers of different connections, in order by each, and must
// not block: a slow one delays all groups of that peer.
//
// unreachable is told that messages to a peer were or may have been lost; many
// losses may be told once. It must not block either. It may be nil.
//
// snapshot is asked for a Sink when a peer wants to send a snapshot, with what the
// peer passed to SendSnapshot; it may take its time. meta is the peer's word, and
// the callback's own. Nil means that none is taken.
//
// Callbacks may call Send, SetPeer and RemovePeer, but not Close.
func (g *Group) Start(
	deliver func(m *raftpb.Message),
	unreachable func(peer uint64),
	snapshot func(from uint64, meta []byte) (interface {
		io.Writer
		Commit() error
		Abort()
	}, error),
) error {
	return g.start(deliver, unreachable, snapshot)
}

// SetPeer gives the address, "host:port", of a node that the group sends to, and
// connects to it. A changed address replaces the connections. Where groups differ
// over a node's address, the one set last counts. It does nothing for this node's
// own ID, for 0, and after Close.
func (g *Group) SetPeer(id uint64, addr string) {
	if id == 0 || id == g.t.cfg.NodeID {
		return
	}
	g.t.mu.Lock()
	defer g.t.mu.Unlock()
	if g.ctx.Err() == nil {
		g.t.setClaim(g, id, addr)
	}
}

// RemovePeer ends the group's use of a node. The connections go with the last
// group that uses it. If the node connects to this one, which it does if it does not
// know that it was removed, it is answered all the same: at its last address, which is
// remembered of the latest 64 removed, or at the one that it tells.
func (g *Group) RemovePeer(id uint64) {
	g.t.mu.Lock()
	defer g.t.mu.Unlock()
	if p := (*g.peers.Load())[id]; p != nil {
		g.t.remember(id, p.claims[g].addr)
		g.t.dropClaim(g, p)
	}
}

// Send sends messages to the nodes that their To names. It never blocks, and does
// not look at them afterwards, except at the data of entries and at snapshots,
// which must not change. What cannot be sent is dropped, and the peer reported
// unreachable: there is no connection, too much waits, it is larger than
// MaxFrameSize. A peer that was not set, or is not found where it should be, is
// answered at the address that it told when it connected to this node.
//
// A MsgSnap is sent like an append, so its snapshot should be small; use SendSnapshot
// for others.
func (g *Group) Send(msgs []raftpb.Message) {
	peers := *g.peers.Load()
	for i := range msgs {
		m := &msgs[i]
		p := peers[m.To]
		if p == nil {
			if p = g.adopt(m.To); p == nil {
				g.t.stats.unaddressed.Add(1)
				g.t.notices.add(g, m.To)
				continue
			}
			peers = *g.peers.Load()
		}
		size := m.Size()
		class, kind := classify(m, size)
		if !p.lanes[kind].push(g.id, m, class, size) {
			g.t.notices.add(g, m.To)
		}
	}
}

// adopt makes a peer of a node that is connected and whose address is known: it told
// it, or was a peer before.
func (g *Group) adopt(id uint64) *peer {
	known := func() bool {
		n := g.t.nodes[id]
		return n != nil && (n.address != "" || g.t.formerAddress(id) != "")
	}
	g.t.mu.RLock()
	ok := known()
	g.t.mu.RUnlock()
	if !ok {
		return nil
	}
	g.t.mu.Lock()
	defer g.t.mu.Unlock()
	if !known() || g.ctx.Err() != nil {
		return nil
	}
	if p := (*g.peers.Load())[id]; p != nil {
		return p
	}
	return g.t.setClaim(g, id, "")
}

// AtMostOnce is true: a message that may have left is not sent again.
func (g *Group) AtMostOnce() bool { return true }

// Close ends the group: what waits to be sent may still leave, what arrives is
// dropped, snapshots under way are aborted. It waits for callbacks and for
// SendSnapshot to return; no callback runs afterwards. It may be called again.
func (g *Group) Close() error {
	g.t.mu.Lock()
	if g.t.groups[g.id] == g {
		delete(g.t.groups, g.id)
	}
	g.cancel()
	for _, p := range *g.peers.Load() {
		g.t.dropClaim(g, p)
	}
	g.t.mu.Unlock()

	g.end()
	g.t.incoming.closeGroup(g)
	g.users.Wait()
	return nil
}
