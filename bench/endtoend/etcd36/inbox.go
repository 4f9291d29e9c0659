package etcd36

import (
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
)

// proposal is a write that waits.
type proposal struct {
	data    []byte
	outcome chan error
}

// proposals are those that nobody waits for any more.
var proposals = sync.Pool{New: func() any { return &proposal{outcome: make(chan error, 1)} }}

// finish tells all how they ended.
func finish(all []*proposal, err error) {
	for _, p := range all {
		p.outcome <- err
	}
}

// inbox is what came for a node since it looked last. It is a pair of lists, and not a channel, since all of it is
// taken at once.
type inbox struct {
	wake chan struct{} // has one element if there is something

	mu        sync.Mutex
	closed    bool
	proposals []*proposal
	messages  []pb.Message
	// What was taken last, to be filled again.
	oldProposals []*proposal
	oldMessages  []pb.Message
}

// propose returns false if nobody will look any more.
func (b *inbox) propose(p *proposal) bool {
	b.mu.Lock()
	ok := !b.closed
	if ok {
		b.proposals = append(b.proposals, p)
	}
	b.mu.Unlock()
	b.notify()
	return ok
}

func (b *inbox) receive(m pb.Message) {
	b.mu.Lock()
	b.messages = append(b.messages, m)
	b.mu.Unlock()
	b.notify()
}

func (b *inbox) notify() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns all that came, which is good until the next call.
func (b *inbox) take() ([]*proposal, []pb.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.oldMessages) // so that the entries are not kept
	p, m := b.proposals, b.messages
	b.proposals, b.messages = b.oldProposals[:0], b.oldMessages[:0]
	b.oldProposals, b.oldMessages = p, m
	return p, m
}

// close returns the proposals that nobody will look at.
func (b *inbox) close() []*proposal {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.proposals
}
