package transport

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
)

// peer is another node that some group sends to. It is shared by all groups that
// do, and goes with the last.
type peer struct {
	t    *Transport
	id   uint64
	addr atomic.Pointer[string]
	// told is where the peer itself said that it is, which may be nothing. It may know
	// better than addr: a node that was down while others moved has a configuration of
	// before. Both are tried by turns while they fail.
	told atomic.Pointer[string]
	// reached is the one of both at which a lane last connected; nil if none has.
	reached atomic.Pointer[string]
	lanes   [messageLanes]*lane
	cancel  context.CancelFunc

	// claims says which groups have the peer. Guarded by Transport.mu.
	claims map[*Group]claim
}

// claim is one group's hold on a peer.
type claim struct {
	// addr is the address by the group's configuration; "" if the group has none
	// and answers at the address that the peer itself has told.
	addr string
	// seq orders the claims: among addresses that differ, as they do while a change
	// of address spreads, the last one that was set counts.
	seq uint64
}

func (p *peer) address() string { return *p.addr.Load() }

// toldAddress returns told, "" if there is none.
func (p *peer) toldAddress() string {
	if told := p.told.Load(); told != nil {
		return *told
	}
	return ""
}

// reachedAddress returns where the peer was found, or else should be.
func (p *peer) reachedAddress() string {
	if reached := p.reached.Load(); reached != nil {
		return *reached
	}
	return p.address()
}

// maxFormerPeers bounds the removed peers whose addresses are remembered.
const maxFormerPeers = 64

// formerPeer is a node that a group removed, and where it was. It may not know that it
// was removed, and ask; then it is answered, for as long as it is connected.
type formerPeer struct {
	id   uint64
	addr string
}

// remember keeps the address of a peer that is removed. The caller holds t.mu.
func (t *Transport) remember(id uint64, addr string) {
	if addr == "" {
		return
	}
	t.former = slices.DeleteFunc(t.former, func(f formerPeer) bool { return f.id == id })
	t.former = append(t.former, formerPeer{id, addr})
	if n := len(t.former) - maxFormerPeers; n > 0 {
		t.former = slices.Delete(t.former, 0, n)
	}
}

// formerAddress returns where a removed peer was, "" if that is not known. The caller
// holds t.mu.
func (t *Transport) formerAddress(id uint64) string {
	for _, f := range t.former {
		if f.id == id {
			return f.addr
		}
	}
	return ""
}

// setClaim gives a group a hold on a peer, or a new address. The caller holds
// t.mu.
func (t *Transport) setClaim(g *Group, id uint64, addr string) *peer {
	p, known := t.peers[id]
	if !known {
		p = &peer{t: t, id: id, claims: make(map[*Group]claim)}
		for kind := range p.lanes {
			p.lanes[kind] = newLane(p, Lane(kind))
		}
		t.peers[id] = p
	}
	if old, had := p.claims[g]; had && old.addr == addr {
		return p
	}
	t.seq++
	p.claims[g] = claim{addr, t.seq}
	t.updateAddress(p)
	if !known {
		ctx, cancel := context.WithCancel(t.ctx)
		p.cancel = cancel
		for _, l := range p.lanes {
			t.wg.Go(func() { l.run(ctx) })
		}
	}
	g.setPeer(id, p)
	return p
}

// dropClaim ends a group's hold on a peer. The caller holds t.mu.
func (t *Transport) dropClaim(g *Group, p *peer) {
	delete(p.claims, g)
	g.setPeer(p.id, nil)
	if len(p.claims) > 0 {
		t.updateAddress(p)
		return
	}
	p.cancel()
	delete(t.peers, p.id)
}

// updateAddress settles on the address that was configured last, also if the peer was
// removed since, or else on the one that the peer told. The caller holds t.mu.
func (t *Transport) updateAddress(p *peer) {
	addr, seq := "", uint64(0)
	for _, c := range p.claims {
		if c.addr != "" && c.seq > seq {
			addr, seq = c.addr, c.seq
		}
	}
	if addr == "" {
		addr = t.formerAddress(p.id)
	}
	if n := t.nodes[p.id]; n != nil {
		if addr == "" {
			addr = n.address
		}
		told := n.address // a copy: lanes read it without the lock
		p.told.Store(&told)
	}
	if old := p.addr.Swap(&addr); old != nil && *old != addr {
		p.reached.Store(nil)
		for _, l := range p.lanes {
			l.redial()
		}
	}
}

// report tells one group that the peer may have missed a message.
func (p *peer) report(group uint64) {
	p.t.mu.RLock()
	g := p.t.groups[group]
	p.t.mu.RUnlock()
	if g != nil {
		p.t.notices.add(g, p.id)
	}
}

// reportAll tells all groups that have the peer.
func (p *peer) reportAll() {
	p.t.mu.RLock()
	defer p.t.mu.RUnlock()
	for g := range p.claims {
		p.t.notices.add(g, p.id)
	}
}

// setPeer adds a peer to what Send looks up, or removes it if p is nil. The
// caller holds t.mu.
func (g *Group) setPeer(id uint64, p *peer) {
	next := maps.Clone(*g.peers.Load())
	if p == nil {
		delete(next, id)
	} else {
		next[id] = p
	}
	g.peers.Store(&next)
}
