package transport

import (
	"time"

	"github.com/quorate-raft/raft/raftpb"
)

// maxWire bounds the messages on one wire.
const maxWire = 16384

// wire is a lane from one node to another. Guarded by Network.mu.
type wire struct {
	key   wireKey
	queue []parcel
	wake  chan struct{} // capacity 1
}

type parcel struct {
	group uint64
	due   time.Time // zero for at once
	bytes []byte
}

// send puts a message on its wire. It reports false if the sender may know that it
// is lost.
func (n *Network) send(g *MemoryGroup, m *raftpb.Message) bool {
	encoded, err := m.Marshal()
	if err != nil {
		return false
	}
	_, lane := classify(m, len(encoded))
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.reaches(g, m.To) {
		return false
	}
	if n.drop > 0 && n.rand.Float64() < n.drop {
		return true
	}
	var due time.Time
	if n.filter != nil || n.delay != nil {
		shown := new(raftpb.Message)
		if err := shown.Unmarshal(encoded); err != nil {
			return false
		}
		if n.filter != nil && !n.filter(shown) {
			return true
		}
		if n.delay != nil {
			if d := n.delay(shown); d > 0 {
				due = time.Now().Add(d)
			}
		}
	}
	w := n.wire(wireKey{g.node.id, m.To, lane})
	if len(w.queue) >= maxWire {
		return false
	}
	w.queue = append(w.queue, parcel{g.id, due, encoded})
	signal(w.wake)
	return true
}

// wire returns the wire, which it makes at the first call. The caller holds n.mu.
func (n *Network) wire(key wireKey) *wire {
	w := n.wires[key]
	if w == nil {
		w = &wire{key: key, wake: make(chan struct{}, 1)}
		n.wires[key] = w
		n.wg.Go(func() { n.carry(w) })
	}
	return w
}

// carry delivers what is on a wire, until the network is closed.
func (n *Network) carry(w *wire) {
	for {
		n.mu.Lock()
		batch := w.queue
		w.queue = nil
		n.mu.Unlock()
		for _, p := range batch {
			if !n.until(p.due) {
				return
			}
			n.deliver(w.key, p)
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-w.wake:
		case <-n.ctx.Done():
			return
		}
	}
}

// until waits for a time. It reports false if the network was closed before.
func (n *Network) until(due time.Time) bool {
	if due.IsZero() {
		return n.ctx.Err() == nil
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-n.ctx.Done():
		return false
	}
}

func (n *Network) deliver(key wireKey, p parcel) {
	n.mu.Lock()
	cut := n.cut[[2]uint64{min(key.from, key.to), max(key.from, key.to)}]
	var g *MemoryGroup
	if node := n.nodes[key.to]; node != nil {
		g = node.groups[p.group]
	}
	n.mu.Unlock()
	if cut || g == nil {
		return
	}
	m, err := decodeMessage(p.bytes)
	if err != nil || (m.From != key.from && !mayForward(m.Type)) {
		return // as over TCP
	}
	g.receive(m)
}
