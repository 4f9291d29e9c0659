package transport

import "sync"

// notices tells groups of unreachable peers, from a goroutine of its own: whoever
// sends may hold a lock that the callback takes. What is due twice is told once.
type notices struct {
	mu      sync.Mutex
	pending map[notice]struct{}
	wake    chan struct{}
}

type notice struct {
	group interface{ reportUnreachable(peer uint64) }
	peer  uint64
}

func (n *notices) add(g interface{ reportUnreachable(peer uint64) }, peer uint64) {
	n.mu.Lock()
	if n.pending == nil {
		n.pending = make(map[notice]struct{})
	}
	n.pending[notice{g, peer}] = struct{}{}
	n.mu.Unlock()
	signal(n.wake)
}

func (n *notices) run(stop <-chan struct{}) {
	for {
		select {
		case <-n.wake:
		case <-stop:
			return
		}
		n.mu.Lock()
		pending := n.pending
		n.pending = nil
		n.mu.Unlock()
		for p := range pending {
			p.group.reportUnreachable(p.peer)
		}
	}
}
