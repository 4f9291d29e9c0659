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

// submit records that everything up to the log's end was handed out.
func (l *raftLog) submit(w write) {
	w.end, w.commit = l.last.index, l.committed
	if l.snapshot != nil && !l.snapshotHandedOut {
		l.snapshotHandedOut = true
		w.snapshot = l.snapshot.Metadata.Index
	}
	l.submitted = l.last.index
	l.writes = append(l.writes, w)
	l.check()
}

// acknowledge records that the host finished the oldest n writes, and returns
// them, valid until the next call.
func (l *raftLog) acknowledge(n int) []write {
	for i := range l.writes[:n] {
		l.finished(&l.writes[i])
	}
	if n > 0 {
		l.savedCommit = max(l.savedCommit, l.writes[n-1].commit)
	}
	l.finishing = append(l.finishing[:0], l.writes[:n]...)
	left := copy(l.writes, l.writes[n:])
	clear(l.writes[left:])
	l.writes = l.writes[:left]
	return l.finishing
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
	for i := range l.writes {
		l.writes[i].end = min(l.writes[i].end, index)
	}
}

func (l *raftLog) check() {
	if l.applied > l.applying || l.applying > l.committed || l.committed > l.last.index {
		panic(fmt.Sprintf("raft: cursors out of order: applied %d, applying %d, committed %d, last %d",
			l.applied, l.applying, l.committed, l.last.index))
	}
	if l.durable > l.submitted || l.submitted > l.last.index || l.applying > l.durable {
		panic(fmt.Sprintf("raft: cursors out of order: applying %d, durable %d, submitted %d, last %d",
			l.applying, l.durable, l.submitted, l.last.index))
	}
}
