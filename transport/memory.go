package transport

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quorate-raft/raft/raftpb"
)

// Network is a network within a process, for tests: its nodes have groups with the
// methods of Group. Messages are encoded and decoded on the way, so that receivers
// share no memory with senders. They arrive in order by lane, and can be made to get
// lost or late. All methods may be called concurrently.
type Network struct {
	notices notices
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu     sync.Mutex
	nodes  map[uint64]*MemoryNode
	wires  map[wireKey]*wire
	cut    map[[2]uint64]bool
	drop   float64
	rand   *rand.Rand
	filter func(m *raftpb.Message) bool
	delay  func(m *raftpb.Message) time.Duration
}

type wireKey struct {
	from, to uint64
	lane     Lane
}

// NewNetwork makes a network in which everything arrives.
func NewNetwork() *Network {
	n := &Network{
		notices: notices{wake: make(chan struct{}, 1)},
		nodes:   make(map[uint64]*MemoryNode),
		wires:   make(map[wireKey]*wire),
		cut:     make(map[[2]uint64]bool),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.wg.Go(func() { n.notices.run(n.ctx.Done()) })
	return n
}

// Close closes all groups and waits until no goroutine of the network runs any
// more. It may be called again.
func (n *Network) Close() error {
	n.cancel()
	n.mu.Lock()
	var nodes []*MemoryNode
	for _, node := range n.nodes {
		nodes = append(nodes, node)
	}
	n.mu.Unlock()
	for _, node := range nodes {
		_ = node.Close()
	}
	n.wg.Wait()
	return nil
}

// Cut lets nothing pass between two nodes, in either direction, until Heal. What is
// under way is lost too.
func (n *Network) Cut(a, b uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]uint64{min(a, b), max(a, b)}] = true
}

// Heal undoes every Cut.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

// SetDropRate makes a share of the messages, from 0 to 1, get lost without a
// report. The seed decides which.
func (n *Network) SetDropRate(rate float64, seed uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop, n.rand = rate, rand.New(rand.NewPCG(seed, seed))
}

// SetFilter gives a function that says whether a message passes. It is called with a
// copy of the message, before it is queued, and must not call the network. Nil lets
// everything pass.
func (n *Network) SetFilter(filter func(m *raftpb.Message) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.filter = filter
}

// SetDelay gives a function that says for how long a message is on its way. Order
// within a lane stays, so a delay holds up what comes after it. Like the filter it
// must not call the network. Nil means no delay.
func (n *Network) SetDelay(delay func(m *raftpb.Message) time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = delay
}

// Node returns the node of that ID, which it makes at the first call.
func (n *Network) Node(id uint64) *MemoryNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	node := n.nodes[id]
	if node == nil {
		node = &MemoryNode{net: n, id: id, groups: make(map[uint64]*MemoryGroup)}
		n.nodes[id] = node
	}
	return node
}

// MemoryNode is one node of a Network.
type MemoryNode struct {
	net    *Network
	id     uint64
	groups map[uint64]*MemoryGroup // guarded by Network.mu
	down   bool                    // closed, and no group made since; guarded by Network.mu
}

// Group makes the node's part of a raft group. ErrGroupExists if there is one,
// ErrClosed after Close of the network.
func (node *MemoryNode) Group(id uint64) (*MemoryGroup, error) {
	node.net.mu.Lock()
	defer node.net.mu.Unlock()
	if node.net.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if node.groups[id] != nil {
		return nil, ErrGroupExists
	}
	g := &MemoryGroup{node: node, id: id, peers: make(map[uint64]bool), incoming: make(map[uint64]*memoryStream)}
	g.ctx, g.cancel = context.WithCancel(node.net.ctx)
	node.groups[id] = g
	node.down = false
	return g, nil
}

// Close closes the node's groups, as a crash does: until a new one is made, the node
// is unreachable.
func (node *MemoryNode) Close() error {
	node.net.mu.Lock()
	node.down = true
	var groups []*MemoryGroup
	for _, g := range node.groups {
		groups = append(groups, g)
	}
	node.net.mu.Unlock()
	for _, g := range groups {
		_ = g.Close()
	}
	return nil
}

// MemoryGroup is a Group of a Network.
type MemoryGroup struct {
	node *MemoryNode
	id   uint64
	calls

	ctx    context.Context
	cancel context.CancelFunc
	// Guarded by Network.mu.
	peers    map[uint64]bool
	incoming map[uint64]*memoryStream // by sender, the newest
}

// Start is Group.Start.
func (g *MemoryGroup) Start(
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

// SetPeer is Group.SetPeer; the address does not matter.
func (g *MemoryGroup) SetPeer(id uint64, _ string) {
	g.node.net.mu.Lock()
	defer g.node.net.mu.Unlock()
	if id != 0 && id != g.node.id {
		g.peers[id] = true
	}
}

// RemovePeer is Group.RemovePeer.
func (g *MemoryGroup) RemovePeer(id uint64) {
	g.node.net.mu.Lock()
	defer g.node.net.mu.Unlock()
	delete(g.peers, id)
}

// AtMostOnce is Group.AtMostOnce.
func (g *MemoryGroup) AtMostOnce() bool { return true }

// Send is Group.Send.
func (g *MemoryGroup) Send(msgs []raftpb.Message) {
	for i := range msgs {
		m := &msgs[i]
		if !g.node.net.send(g, m) {
			g.node.net.notices.add(g, m.To)
		}
	}
}

// Close is Group.Close.
func (g *MemoryGroup) Close() error {
	n := g.node.net
	n.mu.Lock()
	if g.node.groups[g.id] == g {
		delete(g.node.groups, g.id)
	}
	n.mu.Unlock()
	g.cancel()
	g.end()
	g.users.Wait()
	return nil
}

// reaches reports whether a group can send to a node: it has it as a peer, or is a
// peer of it and only answers. The caller holds n.mu.
func (n *Network) reaches(g *MemoryGroup, to uint64) bool {
	from := g.node.id
	if n.nodes[to] == nil || n.nodes[to].down || g.ctx.Err() != nil || n.cut[[2]uint64{min(from, to), max(from, to)}] {
		return false
	}
	if g.peers[to] {
		return true
	}
	for _, theirs := range n.nodes[to].groups {
		if theirs.peers[from] {
			return true
		}
	}
	return false
}
