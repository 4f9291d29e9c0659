package etcd37

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/bench/core"
)

// hostLog is a log in an array that was made before. ents[0] stands for the entry before the first.
type hostLog struct {
	ents    []*pb.Entry
	start   int // how many there were at first
	hs      *pb.HardState
	cs      *pb.ConfState
	applied uint64
}

var _ raft.Storage = (*hostLog)(nil)

func newHostLog(c core.LogConfig) *hostLog {
	l := &hostLog{
		ents: make([]*pb.Entry, 1, c.Capacity+1), start: c.Entries,
		cs: &pb.ConfState{Voters: c.Voters, Learners: c.Learners},
	}
	for i := range c.Entries {
		l.ents = append(l.ents, entry(uint64(i+1), c.Data))
	}
	l.Reset()
	return l
}

// Reset drops what was written since the start.
func (l *hostLog) Reset() {
	l.ents = l.ents[:1+l.start]
	l.ents[0] = &pb.Entry{}
	l.hs, l.applied = &pb.HardState{}, 0
	if l.start > 0 {
		l.hs = &pb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(uint64(l.start))}
	}
}

// Compact drops what was applied.
func (l *hostLog) Compact() {
	if l.applied <= l.ents[0].GetIndex() {
		return
	}
	at := l.applied - l.ents[0].GetIndex()
	first := &pb.Entry{Term: new(l.ents[at].GetTerm()), Index: new(l.applied)}
	n := copy(l.ents[1:], l.ents[at+1:])
	l.ents = l.ents[:n+1]
	l.ents[0] = first
}

// save writes what there is to persist.
func (l *hostLog) save(hs *pb.HardState, ents []*pb.Entry) {
	if len(ents) > 0 {
		l.ents = append(l.ents[:ents[0].GetIndex()-l.ents[0].GetIndex()], ents...)
	}
	if !raft.IsEmptyHardState(hs) {
		l.hs = hs
	}
}

// InitialState implements raft.Storage.
func (l *hostLog) InitialState() (*pb.HardState, *pb.ConfState, error) { return l.hs, l.cs, nil }

// FirstIndex implements raft.Storage.
func (l *hostLog) FirstIndex() (uint64, error) { return l.ents[0].GetIndex() + 1, nil }

// LastIndex implements raft.Storage.
func (l *hostLog) LastIndex() (uint64, error) {
	return l.ents[0].GetIndex() + uint64(len(l.ents)) - 1, nil
}

// Snapshot implements raft.Storage.
func (l *hostLog) Snapshot() (*pb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

// Term implements raft.Storage.
func (l *hostLog) Term(i uint64) (uint64, error) {
	first := l.ents[0].GetIndex()
	if i < first {
		return 0, raft.ErrCompacted
	}
	if i-first >= uint64(len(l.ents)) {
		return 0, raft.ErrUnavailable
	}
	return l.ents[i-first].GetTerm(), nil
}

// Entries implements raft.Storage.
func (l *hostLog) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	first := l.ents[0].GetIndex()
	if lo <= first {
		return nil, raft.ErrCompacted
	}
	if hi-first > uint64(len(l.ents)) {
		return nil, raft.ErrUnavailable
	}
	ents := l.ents[lo-first : hi-first]
	size := uint64(0)
	for i := range ents {
		if size += uint64(len(ents[i].Data)) + core.EntryOverhead; size > maxSize && i > 0 {
			return ents[:i:i], nil
		}
	}
	return ents[:len(ents):len(ents)], nil
}
