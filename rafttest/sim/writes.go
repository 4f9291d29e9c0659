package sim

import (
	"fmt"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// write hands the Ready's write to the disk. It reports whether the node goes on.
func (s *simulation) write(n *node, rd *raft.Ready, h *handed) bool {
	snapshot := !raft.IsEmptySnap(rd.Snapshot)
	if len(rd.Entries) == 0 && !snapshot && raft.IsEmptyHardState(rd.HardState) {
		return true
	}
	switch {
	case n.disk.full:
		s.stop(n, errFull)
		return false
	case n.disk.writeFails:
		s.stop(n, errNoWrite)
		return false
	}
	r := record{hs: rd.HardState, ents: rd.Entries}
	if len(rd.Entries) > 0 && rd.Entries[0].Index <= n.disk.written.last() {
		s.mark(markTruncated)
	}
	if snapshot {
		snap := rd.Snapshot
		if n.disk.written.last() > n.commit {
			s.mark(markRestoredOverLog)
		}
		r.snap, r.received, h.snapshot = &snap, true, true
	}
	h.pending = true
	if n.own == nil {
		n.disk.write(r)
		h.end = n.disk.count
	} else {
		// It is all there when Save returns; the simulated disk keeps step.
		ready := raft.Ready{HardState: rd.HardState, Entries: rd.Entries, Snapshot: rd.Snapshot, MustSync: rd.MustSync}
		h.own = &ownWrite{ready, r}
	}
	if s.observe != nil {
		e := trace.Event{Kind: trace.Write, Node: n.id, Entries: len(rd.Entries), Term: rd.Term, Commit: rd.Commit}
		if k := len(rd.Entries); k > 0 {
			e.Index = rd.Entries[k-1].Index
		}
		s.emit(e)
	}
	if s.passes(n, afterWrite) {
		return false
	}
	delay := s.disks.between(s.set.writeMin, s.set.writeMax)
	if s.disks.chance(s.set.slowWrites) {
		delay += s.disks.spread(millisecond, 30*tickLength)
	}
	d := n.disk
	d.busyUntil = max(d.busyUntil, d.stalledUntil, s.now) + delay
	s.queue.push(event{at: d.busyUntil, kind: evWritten, node: n.slot, life: n.life})
	return true
}

// wrote is called when the oldest write under way is done.
func (s *simulation) wrote(n *node) {
	if n.disk.stalledUntil > s.now {
		s.queue.push(event{at: n.disk.stalledUntil, kind: evWritten, node: n.slot, life: n.life})
		return
	}
	for i := range n.handed {
		if h := &n.handed[i]; h.pending {
			h.pending = false
			if s.finishWrite(n, h) {
				s.proceed(n)
			}
			return
		}
	}
}

// finishWrite syncs what is written up to h, if h needs it. It reports whether
// the node goes on.
func (s *simulation) finishWrite(n *node, h *handed) bool {
	if n.own != nil {
		if err := n.own.Save(h.own.rd); err != nil {
			s.fail("storage", n.id, fmt.Sprintf("Save: %v", err))
			return false
		}
		n.record(h.own.record)
		h.own = nil
		h.end = n.disk.count
		if err := n.sameEnd(); err != nil {
			s.fail("storage", n.id, err.Error())
			return false
		}
	}
	if h.sync {
		if n.disk.syncFails {
			s.stop(n, errSync)
			return false
		}
		n.disk.syncTo(h.end)
		if !s.ok(s.check.Synced(n.id)) {
			return false
		}
		if s.observe != nil {
			s.emit(trace.Event{Kind: trace.Sync, Node: n.id, Index: n.disk.durable.last()})
		}
	}
	return !s.passes(n, afterSync)
}

// record writes to the disk beside what a Ready asks for. With a storage of the
// embedder's, which has it durably, the disk has it so too.
func (n *node) record(r record) {
	n.disk.write(r)
	if n.own != nil {
		n.disk.syncTo(n.disk.count)
	}
}

// proceed sends what may leave now that writes are done, and acknowledges them.
func (s *simulation) proceed(n *node) {
	for n.written < len(n.handed) && !n.handed[n.written].pending {
		h := &n.handed[n.written]
		for i := range h.promises {
			if !s.leave(n, &h.promises[i], true, atPromise) {
				return
			}
		}
		n.written++
	}
	switch {
	case n.written == 0 || n.ackDue:
	case s.set.ackDelay == 0 || s.hosts.oneIn(4):
		s.acknowledge(n)
	default:
		n.ackDue = true
		s.queue.push(event{at: s.now + s.hosts.between(0, s.set.ackDelay), kind: evAck, node: n.slot, life: n.life})
	}
	if n.up && n.overlap > 1 {
		s.applySoon(n)
	}
}

// acknowledgeStale is a late callback of a write of the node's earlier life. The
// node has to refuse it.
func (s *simulation) acknowledgeStale(n *node) {
	if n.stale == (raft.AppendToken{}) || n.raw == nil {
		return
	}
	s.before(n, nil)
	err := n.raw.AckAppend(n.stale)
	if err == nil {
		s.fail("S8", n.id, "an acknowledgement of a write of its earlier life was taken")
		return
	}
	n.stale = raft.AppendToken{}
	s.after(n, nil, err)
}

// acknowledge tells the node of the writes that are done.
func (s *simulation) acknowledge(n *node) {
	n.ackDue = false
	if n.written == 0 || s.passes(n, beforeAck) {
		return
	}
	last := n.handed[n.written-1]
	for i := range n.handed[:n.written] {
		if !n.handed[i].snapshot {
			continue
		}
		for j := range n.applying {
			if a := &n.applying[j]; a.snap != nil && !a.ready {
				a.ready = true
				break
			}
		}
	}
	s.acknowledgeStale(n)
	left := copy(n.handed, n.handed[n.written:])
	clear(n.handed[left:])
	n.handed, n.written = n.handed[:left], 0

	s.before(n, nil)
	err := n.ackAppend(&last)
	if err != nil && n.Err() == nil {
		s.fail("S20", n.id, fmt.Sprintf("AckAppend: %v", err))
		return
	}
	s.after(n, nil, nil)
	if !n.up || s.passes(n, afterAck) {
		return
	}
	if n.overlap > 1 {
		s.applySoon(n)
		return
	}
	for n.up && len(n.applying) > 0 && !s.stopped() {
		s.applyNext(n)
	}
}
