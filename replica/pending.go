package replica

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/quorate-raft/raft"
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

// proposal waits for its outcome. All but id, conf, bytes and onlyIn is guarded by the
// pending that holds it.
type proposal struct {
	id    proposalID
	data  []byte           // of the entry, with its header
	conf  *pb.ConfChangeV2 // instead of data
	bytes uint64           // of the entry
	// onlyIn, unless 0, is the only term in which it is proposed, by its leader.
	onlyIn uint64

	stage stage
	index uint64    // in the log, if this node appended it
	next  *proposal // of those with that index
	term  uint64    // in which it was handed to the node
	tick  uint64    // at which it was handed to the node

	result any
	err    error
	done   chan struct{} // holds a token once it is decided
}

// proposals are such that came to a good end, after which nothing refers to them any more.
var proposals = sync.Pool{New: func() any { return &proposal{done: make(chan struct{}, 1)} }}

func newProposal() *proposal { return proposals.Get().(*proposal) }

// recycle lets go of a proposal whose outcome was received and is no error.
func (p *proposal) recycle() {
	*p = proposal{done: p.done}
	proposals.Put(p)
}

// pending holds the proposals of this replica that have no outcome yet.
type pending struct {
	maxCount int
	maxBytes uint64
	maxSize  uint64 // of one

	mu      sync.Mutex
	origin  uint64
	next    uint64
	bytes   uint64
	reads   int
	stopped bool
	why     error // stopped
	bySeq   map[uint64]*proposal
	// byIndex has those that this node appended, by their place; several where it
	// led more than once and lost what it had appended before, which others may
	// still have and commit.
	byIndex map[uint64]*proposal

	told []chan struct{} // belongs to who applies: an empty one, to be used again
}

func newPending(c *Config, origin uint64) *pending {
	return &pending{
		maxCount: c.MaxPending, maxBytes: c.MaxPendingBytes, maxSize: c.MaxProposalBytes, origin: origin,
		bySeq: map[uint64]*proposal{}, byIndex: map[uint64]*proposal{},
	}
}

// add takes a new proposal and numbers it.
func (ps *pending) add(p *proposal) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	switch {
	case ps.stopped:
		return notApplied(ps.why)
	case p.bytes > ps.maxSize:
		return notApplied(fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, p.bytes, ps.maxSize))
	case len(ps.bySeq)+ps.reads >= ps.maxCount || (ps.bytes > 0 && ps.bytes+p.bytes > ps.maxBytes):
		return notApplied(ErrOverloaded)
	}
	ps.next++
	p.id = proposalID{ps.origin, ps.next}
	ps.bytes += p.bytes
	ps.bySeq[p.id.seq] = p
	return nil
}

// hand lets the node take p, unless its caller gave up, and reports whether that is
// settled: else the node knows no leader. The lock is held meanwhile, so that who
// gives up knows whether the node has it.
func (ps *pending) hand(p *proposal, tick uint64, propose func(p *proposal) (index, term uint64, err error)) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.stage != waiting {
		return true
	}
	index, term, err := propose(p)
	switch {
	case err == nil:
		ps.handed(p, index, term, tick)
	case errors.Is(err, raft.ErrNoLeader):
		return false
	default:
		ps.decide(p, nil, notApplied(err))
	}
	return true
}

// handed records that the node has taken p at a tick: at index of its log, or 0 if
// it passed it on. The lock is held.
func (ps *pending) handed(p *proposal, index, term, tick uint64) {
	p.term, p.tick = term, tick
	if index == 0 {
		p.stage = forwarded
		return
	}
	p.stage, p.index = inLog, index
	p.next, ps.byIndex[index] = ps.byIndex[index], p
}

// prune returns those of queue that still wait, if many do not: there may be no
// leader for long, while callers come and give up.
func (ps *pending) prune(queue []*proposal) []*proposal {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(queue) < 2*len(ps.bySeq)+64 {
		return queue
	}
	return slices.DeleteFunc(queue, func(p *proposal) bool { return p.stage == decided })
}

// decide ends p and tells its caller. The lock is held.
func (ps *pending) decide(p *proposal, result any, err error) {
	if ps.end(p, result, err) {
		p.done <- struct{}{}
	}
}

// end ends p, and reports whether it was not decided before: then its caller has to be told. The
// lock is held.
func (ps *pending) end(p *proposal, result any, err error) bool {
	if p.stage == decided {
		return false
	}
	if p.stage == inLog {
		ps.removeIndexed(p)
	}
	delete(ps.bySeq, p.id.seq)
	ps.bytes -= p.bytes
	if p.stage == waiting {
		p.data = nil // the queue may hold p for a while
	}
	p.stage, p.result, p.err = decided, result, err
	return true
}

// removeIndexed takes p out of byIndex. The lock is held.
func (ps *pending) removeIndexed(p *proposal) {
	if ps.byIndex[p.index] == p {
		if p.next == nil {
			delete(ps.byIndex, p.index)
		} else {
			ps.byIndex[p.index] = p.next
		}
		return
	}
	for q := ps.byIndex[p.index]; q != nil; q = q.next {
		if q.next == p {
			q.next = p.next
			return
		}
	}
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
// whose places in the log they took. Their callers are told once the lock is free, which they
// will want for their next.
func (ps *pending) settle(done []applied) {
	told := ps.settled(done)
	for i, c := range told {
		c <- struct{}{}
		told[i] = nil
	}
}

func (ps *pending) settled(done []applied) (told []chan struct{}) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(ps.bySeq) == 0 {
		return nil
	}
	told = ps.told[:0]
	for i := range done {
		a := &done[i]
		if a.id.origin == ps.origin {
			if p := ps.bySeq[a.id.seq]; p != nil && ps.end(p, a.result, nil) {
				told = append(told, p.done)
			}
		}
		for p := ps.byIndex[a.index]; p != nil; p = ps.byIndex[a.index] {
			// This node appended it as a leader, once, and here: it is nowhere else.
			if ps.end(p, nil, notApplied(errReplaced)) {
				told = append(told, p.done)
			}
		}
	}
	ps.told = told
	return told
}

// skipped ends the proposals whose places a snapshot up to index covers, or may
// cover.
func (ps *pending) skipped(index uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.bySeq {
		if p.stage == forwarded || (p.stage == inLog && p.index <= index) {
			ps.decide(p, nil, ambiguous(errSkipped))
		}
	}
}

// refused ends the proposals that were passed on and refused elsewhere. Each was handed
// to the node once, so if the transport does not repeat messages, what was refused is
// all there was of it; else another copy may have been taken, or may be later.
func (ps *pending) refused(told []raft.Refusal, atMostOnce bool) {
	outcome := ambiguous
	if atMostOnce {
		outcome = notApplied
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for i := range told {
		for j := range told[i].Entries {
			id, _ := idOf(&told[i].Entries[j])
			if id.origin != ps.origin {
				continue
			}
			if p := ps.bySeq[id.seq]; p != nil && p.stage == forwarded {
				ps.decide(p, nil, outcome(told[i].Err))
			}
		}
	}
}

// expire ends the proposals that were passed on before a tick: the message was
// lost, or the word that the leader refused them, which etcd's do not say at all.
func (ps *pending) expire(before uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.bySeq {
		if p.stage == forwarded && p.tick < before {
			ps.decide(p, nil, ambiguous(errUnheard))
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
	ps.stopped, ps.why = true, why
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

// readsEnded counts reads out that nothing refers to any more.
func (ps *pending) readsEnded(n int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.reads -= n
}
