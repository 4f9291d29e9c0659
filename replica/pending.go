package replica

import (
	"sync"

	pb "github.com/quorate-raft/raft/raftpb"
)

// stage says how far a proposal has come.
type stage uint8

const (
	waiting   stage = iota // the node has not taken it
	inLog                  // this node appended it as leader
	forwarded              // it was sent to another leader
	decided
)

// proposal waits for its outcome. All but id, data and conf is guarded by the
// pending that holds it.
type proposal struct {
	id   proposalID
	data []byte           // of the entry, with its header
	conf *pb.ConfChangeV2 // instead of data

	stage stage
	index uint64 // in the log, if this node appended it
	term  uint64 // in which it was handed to the node

	result any
	err    error
	done   chan struct{} // closed when decided
}

func (p *proposal) size() uint64 { return uint64(len(p.data)) }

// pending holds the proposals of this replica that have no outcome yet.
type pending struct {
	maxCount int
	maxBytes uint64

	mu      sync.Mutex
	origin  uint64
	next    uint64
	bytes   uint64
	reads   int
	stopped bool
	bySeq   map[uint64]*proposal
	// byIndex has those in this node's log, by their place.
	byIndex map[uint64]*proposal
}

func newPending(c *Config, origin uint64) *pending {
	return &pending{
		maxCount: c.MaxPending, maxBytes: c.MaxPendingBytes, origin: origin,
		bySeq: map[uint64]*proposal{}, byIndex: map[uint64]*proposal{},
	}
}

// add takes a new proposal and numbers it.
func (ps *pending) add(p *proposal) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	switch {
	case ps.stopped:
		return notApplied(ErrStopped)
	case len(ps.bySeq)+ps.reads >= ps.maxCount || (ps.bytes > 0 && ps.bytes+p.size() > ps.maxBytes):
		return notApplied(ErrOverloaded)
	}
	ps.next++
	p.id = proposalID{ps.origin, ps.next}
	ps.bytes += p.size()
	ps.bySeq[p.id.seq] = p
	return nil
}

// handed records that the node has taken p: at index of its log, or 0 if it
// passed it on.
func (ps *pending) handed(p *proposal, index, term uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.stage != waiting {
		return // given up meanwhile
	}
	p.term = term
	if index == 0 {
		p.stage = forwarded
		return
	}
	p.stage, p.index = inLog, index
	ps.byIndex[index] = p
}

// isWaiting reports whether p is still to be handed to the node.
func (ps *pending) isWaiting(p *proposal) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return p.stage == waiting
}

// decide ends p. The lock is held.
func (ps *pending) decide(p *proposal, result any, err error) {
	if p.stage == decided {
		return
	}
	if p.stage == inLog && ps.byIndex[p.index] == p {
		delete(ps.byIndex, p.index)
	}
	delete(ps.bySeq, p.id.seq)
	ps.bytes -= p.size()
	p.stage, p.result, p.err = decided, result, err
	close(p.done)
}

// refused ends p, which the node did not take.
func (ps *pending) refused(p *proposal, why error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.decide(p, nil, notApplied(why))
}

// giveUp ends p because its caller does not wait any longer, and returns its
// outcome.
func (ps *pending) giveUp(p *proposal, why error) (any, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.stage == waiting {
		ps.decide(p, nil, notApplied(why))
	} else {
		ps.decide(p, nil, ambiguous(why))
	}
	return p.result, p.err
}

// applied is one entry that was applied, and what came of it.
type applied struct {
	id     proposalID
	index  uint64
	result any
}

// settle ends the proposals that the applied entries decide: their own, and those
// whose places in the log they took.
func (ps *pending) settle(done []applied) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(ps.bySeq) == 0 {
		return
	}
	for i := range done {
		a := &done[i]
		if a.id.origin == ps.origin {
			if p := ps.bySeq[a.id.seq]; p != nil {
				ps.decide(p, a.result, nil)
			}
		}
		if p := ps.byIndex[a.index]; p != nil {
			// This node appended it as a leader, once, and here: it is nowhere else.
			ps.decide(p, nil, notApplied(errReplaced))
		}
	}
}

// skipped ends the proposals whose places a snapshot up to index covers.
func (ps *pending) skipped(index uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for i, p := range ps.byIndex {
		if i <= index {
			ps.decide(p, nil, ambiguous(errSkipped))
		}
	}
}

// newTerm ends the proposals that were passed on in an earlier term: whether that
// leader got them is not known.
func (ps *pending) newTerm(term uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.bySeq {
		if p.stage == forwarded && p.term < term {
			ps.decide(p, nil, ambiguous(errForwarded))
		}
	}
}

// stop ends all proposals.
func (ps *pending) stop(why error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.stopped = true
	for _, p := range ps.bySeq {
		if p.stage == waiting {
			ps.decide(p, nil, notApplied(why))
		} else {
			ps.decide(p, nil, ambiguous(why))
		}
	}
}

func (ps *pending) counts() (count int, bytes uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.bySeq), ps.bytes
}

// admitRead counts a read in, if there is room.
func (ps *pending) admitRead() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.stopped || len(ps.bySeq)+ps.reads >= ps.maxCount {
		return false
	}
	ps.reads++
	return true
}

func (ps *pending) readEnded() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.reads--
}
