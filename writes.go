package raft

import (
	"fmt"
	"slices"

	pb "github.com/quorate-raft/raft/raftpb"
)

// What was handed out to be persisted and applied, and what came back.

// batch is one Ready: what is collected for it, in arrays that the node owns and lends
// to the host, and from when it is handed out what the host was asked to write.
type batch struct {
	msgs     []pb.Message
	promises []pb.Message
	reads    []ReadState
	refusals []Refusal
	refused  refusedSize

	term, vote uint64 // of the node
	end        uint64 // the log was submitted up to here; lowered when truncated
	commit     uint64 // the commit index in it, or in an earlier one
	snapshot   uint64 // index of the snapshot in it, or 0
	writes     bool   // whether there was anything to persist
}

// empty reports whether nothing is collected.
func (b *batch) empty() bool {
	return b == nil || len(b.msgs)+len(b.promises)+len(b.reads)+len(b.refusals) == 0
}

// reset drops what was collected, and keeps the memory within bounds.
func (b *batch) reset() {
	if len(b.msgs) > 0 {
		b.msgs = emptiedMessages(b.msgs)
	}
	if len(b.promises) > 0 {
		b.promises = emptiedMessages(b.promises)
	}
	if len(b.reads)+len(b.refusals) > 0 {
		b.reads, b.refusals = emptied(b.reads), emptied(b.refusals)
	}
	b.refused = refusedSize{}
	b.snapshot = 0
}

// maxReusedMessages bounds the memory that a burst leaves behind.
const maxReusedMessages = 1024

// emptied drops what s refers to and keeps its memory, within bounds: all of the array
// is zero then.
func emptied[T any](s []T) []T {
	if cap(s) > maxReusedMessages {
		return nil
	}
	clear(s)
	return s[:0]
}

// emptiedMessages is emptied for the few messages that most Readys have: to clear an
// array takes longer than to clear them.
func emptiedMessages(msgs []pb.Message) []pb.Message {
	if len(msgs) > 8 {
		return emptied(msgs)
	}
	for i := range msgs {
		m := &msgs[i]
		*m = pb.Message{}
	}
	return msgs[:0]
}

// added makes msgs longer by an empty message. Behind its end the array is zero.
func added(msgs []pb.Message) []pb.Message {
	if n := len(msgs); n < cap(msgs) {
		return msgs[:n+1]
	}
	return append(msgs, pb.Message{})
}

// batchQueue holds batches, the oldest first.
type batchQueue struct {
	all  []*batch
	done int // how many of all are taken out
}

func (q *batchQueue) len() int { return len(q.all) - q.done }

func (q *batchQueue) push(b *batch) {
	switch {
	case q.done == len(q.all):
		q.all, q.done = q.all[:0], 0
	case len(q.all) == cap(q.all) && q.done > 0:
		q.all, q.done = slices.Delete(q.all, 0, q.done), 0
	}
	q.all = append(q.all, b)
}

// pop takes out the oldest batch; there is one.
func (q *batchQueue) pop() *batch {
	b := q.all[q.done]
	q.done++
	return b
}

// submit records that everything up to the log's end was handed out in b.
func (l *raftLog) submit(b *batch) {
	b.end, b.commit = l.last.index, l.committed
	if l.snapshot != nil && !l.snapshotHandedOut {
		l.snapshotHandedOut = true
		b.snapshot = l.snapshot.Metadata.Index
	}
	l.submitted = l.last.index
	l.writes.push(b)
	l.check()
}

// acknowledge records that the host finished the oldest write, and returns it.
func (l *raftLog) acknowledge() *batch {
	w := l.writes.pop()
	if w.snapshot != 0 {
		l.applying = max(l.applying, w.snapshot)
		l.restoring = w.snapshot
		if l.snapshot != nil && l.snapshot.Metadata.Index == w.snapshot {
			l.snapshot = nil
		}
	}
	if w.end > l.durable {
		if w.end >= l.offset {
			l.written(w.end)
		} else {
			l.durable = w.end
		}
	}
	l.savedCommit = max(l.savedCommit, w.commit)
	l.check()
	return w
}

// appliedPart is a part of what was handed out to be applied.
type appliedPart struct{ end, bytes uint64 }

// handOut records that ents are handed out to be applied, in what is submitted next.
func (l *raftLog) handOut(ents []pb.Entry) {
	l.applying = ents[len(ents)-1].Index
	l.trim(l.applying)
	if l.maxApplying != noLimit {
		bytes := entriesSize(ents)
		l.applyingBytes += bytes
		l.beingApplied = append(l.beingApplied, appliedPart{l.applying, bytes})
	}
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
	for _, w := range l.writes.all[l.writes.done:] {
		w.end = min(w.end, index)
	}
}

// check asserts the order of the cursors wherever they have moved.
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
