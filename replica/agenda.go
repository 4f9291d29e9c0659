package replica

import (
	"sync"
	"time"

	"github.com/quorate-raft/raft"
)

// role is something that one worker at a time does.
type role uint8

const (
	nothing  role = iota
	looping       // step the node with what came in, and start what its Readys ask for
	writing       // persist Readys, then send what rests on them
	applying      // hand committed commands to the state machine, and serve reads
	ending        // the replica has stopped: tell those who wait. Nobody loops any more
	over          // no role: there will be none
	roles
)

// workers is how many goroutines a replica has. Two may be stuck, in the Storage and in
// the StateMachine, and the loop still goes on (and with it the ticks).
const workers = 3

// agenda is what there is to do, and who is at what.
//
// A worker that is done with one thing goes on with what came of it, if nobody is at that
// already: what a Ready asks to write is written by who took it, and commands are applied
// by who learned that they are committed. To wake another goroutine takes longer than most
// of these things do.
type agenda struct {
	maxMessages int
	wake        chan struct{} // holds a token if a worker that waits is needed

	mu      sync.Mutex
	taken   [roles]bool
	closed  bool
	dropped uint64 // messages

	work   work         // for the loop
	late   bool         // the loop wants to be called, though not before all else
	writes []raft.Ready // to be written, in order
	apply  []applyWork  // to be applied. Bounded by raft.Config.MaxApplyingSize and Config.MaxPending
	poked  bool         // the applier is to look at the reads that it holds
}

func newAgenda(maxMessages int) *agenda {
	return &agenda{maxMessages: maxMessages, wake: make(chan struct{}, 1)}
}

func (ag *agenda) wakeOne() {
	select {
	case ag.wake <- struct{}{}:
	default:
	}
}

// write adds Readys to be written. The loop calls it.
func (ag *agenda) write(rds []raft.Ready) {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	ag.writes = append(ag.writes, rds...)
}

// proposals returns how many wait for the loop.
func (ag *agenda) proposals() int {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	return len(ag.work.proposals)
}

// toApply adds to what is to be applied.
func (ag *agenda) toApply(w applyWork) {
	ag.mu.Lock()
	ag.apply = append(ag.apply, w)
	ag.applierNeeded()
}

// poke lets the applier look at the reads that it holds.
func (ag *agenda) poke() {
	ag.mu.Lock()
	ag.poked = true
	ag.applierNeeded()
}

// applierNeeded wakes a worker to apply, unless one who will look is busy: the applier, or
// the loop when it is done. It unlocks.
func (ag *agenda) applierNeeded() {
	idle := !ag.taken[applying] && !ag.taken[looping]
	ag.mu.Unlock()
	if idle {
		ag.wakeOne()
	}
}

// takeWrites exchanges what is to be written for into, which is empty.
func (ag *agenda) takeWrites(into []raft.Ready) []raft.Ready {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	into, ag.writes = ag.writes, into
	return into
}

// takeApply exchanges what is to be applied for into, which is empty.
func (ag *agenda) takeApply(into []applyWork) []applyWork {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	into, ag.apply, ag.poked = ag.apply, into, false
	return into
}

// next ends a worker's role and gives it another, or nothing. What it cannot do as well is
// left to another worker, who is woken.
func (ag *agenda) next(done role) role {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	ag.taken[done] = false
	r := ag.free()
	if r != nothing && r != over {
		ag.taken[r] = true
		if ag.free() != nothing {
			ag.wakeOne()
		}
	}
	return r
}

// free returns the most urgent role that has something to do and nobody at it: others wait for
// the disk, and the callers for their results. It is over once somebody loops for the last time,
// and will end it, or has.
func (ag *agenda) free() role {
	switch {
	case ag.closed:
		if ag.taken[looping] || ag.taken[ending] {
			return over
		}
		return ending
	case len(ag.writes) > 0 && !ag.taken[writing]:
		return writing
	case (len(ag.apply) > 0 || ag.poked) && !ag.taken[applying]:
		return applying
	case (ag.late || !ag.work.empty()) && !ag.taken[looping]:
		return looping
	}
	return nothing
}

// close ends it, no role but ending is given out any more, and closes stopping: who ends the
// replica finds the reason there.
func (ag *agenda) close(stopping chan struct{}) {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	ag.closed = true
	close(stopping)
}

// run is what a worker does until the replica stops.
func (r *Replica) run(ticks <-chan time.Time) {
	for {
		select {
		case <-r.in.wake:
		case <-ticks:
			r.in.mu.Lock()
			r.in.work.due = true
			r.in.mu.Unlock()
		case <-r.stopping:
		}
		for role := r.in.next(nothing); role != nothing; role = r.in.next(role) {
			switch role {
			case looping:
				r.turn()
			case writing:
				r.write()
			case applying:
				r.applier.run()
			case ending:
				r.ended()
				return
			case over:
				return
			}
		}
	}
}
