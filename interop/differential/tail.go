package differential

import (
	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// What our log holds, on disk or on its way there.

// findTail finds the end of our log that is not on disk.
func (m *twin) findTail() {
	m.tail, m.tailSnap = m.tail[:0], nil
	for i := range m.ow {
		m.addTail(&m.ow[i].rd)
	}
}

func (m *twin) addTail(rd *ours.Ready) {
	if !ours.IsEmptySnap(rd.Snapshot) {
		m.tail, m.tailSnap = m.tail[:0], &rd.Snapshot.Metadata
	}
	if len(rd.Entries) > 0 {
		m.tail = overwrite(m.tail, rd.Entries, rd.Entries[0].Index, m.first(m.tail))
	}
}

// term returns the term of an entry of our log, on disk or on its way there, or 0.
func (m *twin) term(i uint64) uint64 {
	if len(m.tail) > 0 && i >= m.tail[0].Index {
		if n := i - m.tail[0].Index; n < uint64(len(m.tail)) {
			return m.tail[n].Term
		}
		return 0
	}
	if m.tailSnap != nil {
		if i == m.tailSnap.Index {
			return m.tailSnap.Term
		}
		return 0
	}
	t, _ := m.od.Term(i)
	return t
}

// entry returns an entry of our log, or nil.
func (m *twin) entry(i uint64) *opb.Entry {
	if len(m.tail) > 0 && i >= m.tail[0].Index {
		if n := i - m.tail[0].Index; n < uint64(len(m.tail)) {
			return &m.tail[n]
		}
		return nil
	}
	ents, err := m.od.Entries(i, i+1, 1<<40)
	if err != nil || m.tailSnap != nil {
		return nil
	}
	return &ents[0]
}

// changeIn reports whether our log has a change of configuration in (lo, hi].
func (m *twin) changeIn(lo, hi uint64) bool {
	for i := range m.tail {
		if e := &m.tail[i]; e.Index > lo && e.Index <= hi && e.Type != opb.EntryNormal {
			return true
		}
	}
	if len(m.tail) > 0 {
		hi = min(hi, m.tail[0].Index-1)
	}
	first, err := m.od.FirstIndex()
	lo = max(lo+1, first)
	if err != nil || m.tailSnap != nil || lo > hi {
		return false
	}
	ents, err := m.od.Entries(lo, hi+1, 1<<40)
	if err != nil {
		return false
	}
	for i := range ents {
		if ents[i].Type != opb.EntryNormal {
			return true
		}
	}
	return false
}

// durable returns up to where our log is on disk and no write under way replaces it.
func (m *twin) durable() uint64 {
	end, _ := m.od.LastIndex()
	if len(m.tail) > 0 {
		end = min(end, m.tail[0].Index-1)
	}
	return end
}
