package raft

import (
	"fmt"

	pb "github.com/quorate-raft/raft/raftpb"
)

// What was handed out to be persisted and applied, and what came back.

// write is what one Ready asked to persist.
type write struct {
	token    AppendToken
	end      uint64 // the log was submitted up to here; lowered when truncated
	commit   uint64 // the commit index in it, or in an earlier one
	snapshot uint64 // index of the snapshot in it, or 0
	writes   bool   // whether there was anything to persist
	buf      *readyBuffers
}

// submit records that everything up to the log's end was handed out in the write w,
// the newest of l.writes.
func (l *raftLog) submit(w *write) {
	w.end, w.commit = l.last.index, l.committed
	if l.snapshot != nil && !l.snapshotHandedOut {
		l.snapshotHandedOut = true
		w.snapshot = l.snapshot.Metadata.Index
	}
	l.submitted = l.last.index
	l.check()
}

// acknowledge records that the host finished the oldest write, and returns it, valid
// until the next is submitted.
func (l *raftLog) acknowledge() *write {
	w := l.writes.pop()
	l.finished(w)
	l.savedCommit = max(l.savedCommit, w.commit)
	return w
}

func (l *raftLog) finished(w *write) {
	if w.snapshot != 0 {
		l.applying = max(l.applying, w.snapshot)
		l.restoring = w.snapshot
		if l.snapshot != nil && l.snapshot.Metadata.Index == w.snapshot {
			l.snapshot = nil
		}
	}
	if w.end > l.durable {
		l.durable = w.end
		if l.snapshot == nil {
			l.trim(w.end)
		}
	}
	l.check()
}

// appliedPart is a part of what was handed out to be applied.
type appliedPart struct{ end, bytes uint64 }

// handOut records that ents were handed out to be applied.
func (l *raftLog) handOut(ents []pb.Entry) {
	l.applying = ents[len(ents)-1].Index
	if l.maxApplying != noLimit {
		bytes := entriesSize(ents)
		l.applyingBytes += bytes
		l.beingApplied = append(l.beingApplied, appliedPart{l.applying, bytes})
	}
	l.check()
}

// appliedTo records that the host applied up to index.
func (l *raftLog) appliedTo(index uint64) {
	l.applied = index
	done := 0
	for done < len(l.beingApplied) && l.beingApplied[done].end <= index {
		l.applyingBytes -= l.beingApplied[done].bytes
		done++
	}
	if done > 0 {
		l.beingApplied = append(l.beingApplied[:0], l.beingApplied[done:]...)
	}
	if l.restoring != 0 && index >= l.restoring {
		l.restoring = 0
	}
	n := 0
	for n < len(l.confs) && l.confs[n] <= index {
		n++
	}
	if n > 0 {
		l.confs = append(l.confs[:0], l.confs[n:]...)
	}
	l.check()
}

// lowerDurable takes back what is written of the entries after index, also what
// writes that are not acknowledged yet will report.
func (l *raftLog) lowerDurable(index uint64) {
	l.durable = min(l.durable, index)
	l.submitted = min(l.submitted, index)
	for i := range l.writes.len() {
		w := l.writes.at(i)
		w.end = min(w.end, index)
	}
}

// check is small enough to be inlined.
func (l *raftLog) check() {
	if l.applied > l.applying || l.applying > l.committed || l.committed > l.last.index ||
		l.durable > l.submitted || l.submitted > l.last.index || l.applying > l.durable {
		l.outOfOrder()
	}
}

func (l *raftLog) outOfOrder() {
	panic(fmt.Sprintf("raft: cursors out of order: applied %d, applying %d, committed %d, durable %d, submitted %d, last %d",
		l.applied, l.applying, l.committed, l.durable, l.submitted, l.last.index))
}

// writeQueue holds the writes that are not acknowledged yet, oldest first. What was
// acknowledged stays in its array until that is needed: nothing is moved or cleared
// while the host does one Ready after the other.
type writeQueue struct {
	all  []write
	done int // how many of all are acknowledged
}

func (q *writeQueue) len() int { return len(q.all) - q.done }

// at returns the write at i; 0 is the oldest.
func (q *writeQueue) at(i int) *write { return &q.all[q.done+i] }

// push adds an empty write, which the caller fills.
func (q *writeQueue) push() *write {
	switch {
	case q.done == len(q.all):
		q.all, q.done = q.all[:0], 0
	case len(q.all) == cap(q.all) && q.done > 0:
		q.all, q.done = q.all[:copy(q.all, q.all[q.done:])], 0
	}
	q.all = append(q.all, write{})
	return &q.all[len(q.all)-1]
}

// pop returns the oldest write, valid until the next push.
func (q *writeQueue) pop() *write {
	q.done++
	return &q.all[q.done-1]
}
