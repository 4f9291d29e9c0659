package rafttest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// storageModel is the contract of Storage in its plainest form. Its slices are
// never written again, so a copy of the struct is a copy of the state.
type storageModel struct {
	hard pb.HardState
	conf pb.ConfState
	// confAt is the index that conf counts as being of.
	confAt uint64
	snap   pb.Snapshot

	// log follows the entry {base, baseTerm}, where the log began or was
	// replaced by a snapshot. Compaction only moves first.
	base, baseTerm uint64
	log            []pb.Entry
	first          uint64
	// installs counts the received snapshots.
	installs int
}

// errGap stands for any error: the contract names none for a gap.
var errGap = errors.New("an error, as there is a gap")

func newStorageModel() storageModel { return storageModel{first: 1} }

func (m *storageModel) last() uint64 { return m.base + uint64(len(m.log)) }

func (m *storageModel) term(i uint64) (uint64, error) {
	switch {
	case i+1 < m.first:
		return 0, raft.ErrCompacted
	case i > m.last():
		return 0, raft.ErrUnavailable
	case i == m.base:
		return m.baseTerm, nil
	}
	return m.log[i-m.base-1].Term, nil
}

func (m *storageModel) entries(lo, hi uint64) ([]pb.Entry, error) {
	switch {
	case lo < m.first:
		return nil, raft.ErrCompacted
	case hi > m.last()+1:
		return nil, raft.ErrUnavailable
	}
	return m.log[lo-m.base-1 : hi-m.base-1], nil
}

func (m *storageModel) save(rd raft.Ready) error {
	next := *m
	if !raft.IsEmptySnap(rd.Snapshot) {
		meta := &rd.Snapshot.Metadata
		if meta.Index <= m.snap.Metadata.Index {
			return raft.ErrSnapOutOfDate
		}
		next.base, next.baseTerm, next.log, next.first = meta.Index, meta.Term, nil, meta.Index+1
		next.snap = rd.Snapshot
		next.conf, next.confAt = meta.ConfState, indexOf(meta.ConfState, meta.Index)
		next.installs++
	}
	ents := rd.Entries
	for len(ents) > 0 && ents[0].Index < next.first {
		ents = ents[1:]
	}
	if len(ents) > 0 {
		if ents[0].Index > next.last()+1 {
			return errGap
		}
		n := ents[0].Index - next.base - 1
		next.log = append(next.log[:n:n], ents...)
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		next.hard = rd.HardState
	}
	*m = next
	return nil
}

// indexOf is the index that a configuration counts as being of if it came in a
// snapshot at index i.
func indexOf(cs pb.ConfState, i uint64) uint64 {
	if cs.Index == 0 {
		return i
	}
	return cs.Index
}

func (m *storageModel) setConf(cs pb.ConfState, at uint64) {
	if at >= m.confAt {
		m.conf, m.confAt = cs, at
	}
}

func (m *storageModel) createSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	if i <= m.snap.Metadata.Index {
		return raft.ErrSnapOutOfDate
	}
	term, err := m.term(i)
	if err != nil {
		return err
	}
	m.snap = pb.Snapshot{Data: data, Metadata: pb.SnapshotMetadata{Index: i, Term: term, ConfState: cs}}
	m.setConf(cs, indexOf(cs, i))
	return nil
}

func (m *storageModel) compact(i uint64) error {
	switch {
	case i < m.first:
		return raft.ErrCompacted
	case i > m.last():
		return raft.ErrUnavailable
	}
	m.first = i + 1
	return nil
}

// confIndexes returns the indexes in [lo, hi) of configuration entries.
func (m *storageModel) confIndexes(lo, hi uint64) []uint64 {
	var found []uint64
	for i := range m.log {
		e := &m.log[i]
		if e.Index >= lo && e.Index < hi && e.Type != pb.EntryNormal {
			found = append(found, e.Index)
		}
	}
	return found
}

// Nil and empty data mean the same, also in the order of members.

func sameEntry(a, b pb.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
}

func sameEntries(a, b []pb.Entry) bool { return slices.EqualFunc(a, b, sameEntry) }

func sameConf(a, b pb.ConfState) bool { return a.Index == b.Index && a.Equivalent(b) == nil }

func sameSnapshot(a, b pb.Snapshot) bool {
	return a.Metadata.Index == b.Metadata.Index && a.Metadata.Term == b.Metadata.Term &&
		sameConf(a.Metadata.ConfState, b.Metadata.ConfState) && bytes.Equal(a.Data, b.Data)
}

// isConf reports whether got is what InitialState may return: one from a
// snapshot without an index may stay without.
func (m *storageModel) isConf(got pb.ConfState) bool {
	return (got.Index == m.conf.Index || got.Index == m.confAt) && got.Equivalent(m.conf) == nil
}
