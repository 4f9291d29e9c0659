package replica

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"github.com/quorate-raft/raft"
)

// read waits until what it has to see is applied.
type read struct {
	lease bool
	done  chan struct{} // closed when it may be served
	state atomic.Uint32 // one of the following
}

const (
	readWaits uint32 = iota
	readServed
	readGivenUp // its caller does not wait any more
)

// end gives the read its end, and reports whether it had none yet.
func (rd *read) end(state uint32) bool { return rd.state.CompareAndSwap(readWaits, state) }

// readBatch is reads that share a request to the node.
type readBatch struct {
	reads []*read
	tick  uint64 // when it was asked
}

// readBook is the loop's account of reads.
type readBook struct {
	waiting []*read // to be asked: there was no leader
	asked   map[uint64]*readBatch
	next    uint64
}

func readContext(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// askReads asks the node for all reads that wait, in one request.
func (r *Replica) askReads() {
	b := &r.readBook
	if len(b.waiting) == 0 {
		return
	}
	b.next++
	if err := r.node.ReadIndex(readContext(b.next)); err != nil {
		return // no leader, or too many wait in the node: when something changes, or at the next tick
	}
	b.asked[b.next] = &readBatch{reads: b.waiting, tick: r.ticks}
	b.waiting = nil
}

// readStates takes the node's answers: what they let be read waits for the
// applier.
func (r *Replica) readStates(states []raft.ReadState) {
	for i := range states {
		w := applyWork{readIndex: states[i].Index, context: states[i].RequestCtx}
		if len(w.context) == 8 {
			n := binary.LittleEndian.Uint64(w.context)
			if batch := r.readBook.asked[n]; batch != nil { // else it was asked again meanwhile
				delete(r.readBook.asked, n)
				w.reads = batch.reads
			}
		}
		if len(w.reads) > 0 || r.cfg.hooks.served != nil {
			r.in.toApply(w)
		}
	}
}

// reaskReads asks again what was asked before the given tick: the node loses reads
// when leadership changes, and the network loses messages.
func (r *Replica) reaskReads(before uint64) {
	b := &r.readBook
	for n, batch := range b.asked {
		if batch.tick < before {
			b.waiting = append(b.waiting, batch.reads...)
			delete(b.asked, n)
		}
	}
	r.askReads()
}

// dropReads lets go of the reads whose callers gave up: there may be no leader, or
// no answer, for long. Until then they count as pending, so that what is held is
// bounded.
func (r *Replica) dropReads() {
	if r.readsGone.Load() <= 0 {
		return
	}
	b := &r.readBook
	b.waiting = r.withoutGone(b.waiting)
	for n, batch := range b.asked {
		if batch.reads = r.withoutGone(batch.reads); len(batch.reads) == 0 {
			delete(b.asked, n)
		}
	}
	if r.readsGone.Load() > 0 {
		r.in.poke() // the applier has the others
	}
}

// withoutGone returns the reads that somebody waits for, in place, and counts the
// others out.
func (r *Replica) withoutGone(reads []*read) []*read {
	n := len(reads)
	reads = slices.DeleteFunc(reads, func(rd *read) bool { return rd.state.Load() == readGivenUp })
	r.countOut(n-len(reads), n-len(reads))
	return reads
}

// countOut counts reads out, of which so many were given up.
func (r *Replica) countOut(n, gone int) {
	if n > 0 {
		r.pending.readsEnded(n)
		r.readsGone.Add(int64(-gone))
	}
}
