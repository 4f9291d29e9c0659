package rafttest

import (
	"math/rand/v2"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// journal is the disk of a correct storage: the list of all writes, the first of which are synced. A storage is
// made anew by doing them again. Its fields make it a faulty one.
type journal struct {
	rnd    *rand.Rand
	writes []write
	synced int

	// lose replaces what a crash loses.
	lose func(j *journal)
	// replay, if set, is asked for what of a write a new storage finds.
	replay func(w write) []write
	// wrap, if set, is put around every storage that is opened.
	wrap func(s Storage) Storage
}

// write is one write that a storage did.
type write struct {
	kind writeKind
	rd   raft.Ready
	cs   pb.ConfState
	i    uint64
	data []byte
}

type writeKind uint8

const (
	writeSave writeKind = iota
	writeConf
	writeSnapshot
	writeCompact
)

func (w write) to(s Storage) error {
	switch w.kind {
	case writeConf:
		return s.SetConfState(w.cs)
	case writeSnapshot:
		return s.CreateSnapshot(w.i, w.cs, w.data)
	case writeCompact:
		return s.Compact(w.i)
	}
	return s.Save(w.rd)
}

func (j *journal) medium() StorageMedium {
	if j.rnd == nil {
		j.rnd = rand.New(rand.NewPCG(1, 2))
	}
	return StorageMedium{
		Open: func() (Storage, error) {
			ms := Memory(raft.NewMemoryStorage())
			for _, w := range j.writes {
				found := []write{w}
				if j.replay != nil {
					found = j.replay(w)
				}
				for _, w := range found {
					_ = w.to(ms) // it did not fail; a faulty journal may
				}
			}
			s := Storage(&journaled{memory: ms.(memory), j: j})
			if j.wrap != nil {
				s = j.wrap(s)
			}
			return s, nil
		},
		Close: func(Storage) error {
			j.synced = len(j.writes)
			return nil
		},
		Crash: func(Storage) {
			if j.lose != nil {
				j.lose(j)
			} else {
				j.writes = j.writes[:j.synced+j.rnd.IntN(len(j.writes)-j.synced+1)]
			}
			j.synced = len(j.writes)
		},
	}
}

// journaled is a storage in memory whose writes go to a journal too.
type journaled struct {
	memory
	j *journal
}

func (s *journaled) do(w write, sync bool) error {
	err := w.to(s.memory)
	if err != nil {
		return err
	}
	s.j.writes = append(s.j.writes, w)
	if sync {
		s.j.synced = len(s.j.writes)
	}
	return nil
}

func (s *journaled) Save(rd raft.Ready) error {
	return s.do(write{kind: writeSave, rd: rd}, rd.MustSync)
}

func (s *journaled) SetConfState(cs pb.ConfState) error {
	return s.do(write{kind: writeConf, cs: cs}, false)
}

func (s *journaled) CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	return s.do(write{kind: writeSnapshot, i: i, cs: cs, data: data}, false)
}

func (s *journaled) Compact(i uint64) error {
	return s.do(write{kind: writeCompact, i: i}, false)
}

// overlaid is a storage some of whose methods are replaced. Those that are nil are the storage's own.
type overlaid struct {
	Storage
	initialState   func() (pb.HardState, pb.ConfState, error)
	entries        func(lo, hi, maxSize uint64) ([]pb.Entry, error)
	term           func(i uint64) (uint64, error)
	lastIndex      func() (uint64, error)
	firstIndex     func() (uint64, error)
	snapshot       func() (pb.Snapshot, error)
	confIndexes    func(lo, hi uint64) ([]uint64, error)
	save           func(rd raft.Ready) error
	setConfState   func(cs pb.ConfState) error
	createSnapshot func(i uint64, cs pb.ConfState, data []byte) error
	compact        func(i uint64) error
}

func (o *overlaid) InitialState() (pb.HardState, pb.ConfState, error) {
	if o.initialState != nil {
		return o.initialState()
	}
	return o.Storage.InitialState()
}

func (o *overlaid) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	if o.entries != nil {
		return o.entries(lo, hi, maxSize)
	}
	return o.Storage.Entries(lo, hi, maxSize)
}

func (o *overlaid) Term(i uint64) (uint64, error) {
	if o.term != nil {
		return o.term(i)
	}
	return o.Storage.Term(i)
}

func (o *overlaid) LastIndex() (uint64, error) {
	if o.lastIndex != nil {
		return o.lastIndex()
	}
	return o.Storage.LastIndex()
}

func (o *overlaid) FirstIndex() (uint64, error) {
	if o.firstIndex != nil {
		return o.firstIndex()
	}
	return o.Storage.FirstIndex()
}

func (o *overlaid) Snapshot() (pb.Snapshot, error) {
	if o.snapshot != nil {
		return o.snapshot()
	}
	return o.Storage.Snapshot()
}

func (o *overlaid) ConfEntryIndexes(lo, hi uint64) ([]uint64, error) {
	if o.confIndexes != nil {
		return o.confIndexes(lo, hi)
	}
	return o.Storage.(raft.ConfEntryIndexer).ConfEntryIndexes(lo, hi)
}

func (o *overlaid) Save(rd raft.Ready) error {
	if o.save != nil {
		return o.save(rd)
	}
	return o.Storage.Save(rd)
}

func (o *overlaid) SetConfState(cs pb.ConfState) error {
	if o.setConfState != nil {
		return o.setConfState(cs)
	}
	return o.Storage.SetConfState(cs)
}

func (o *overlaid) CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	if o.createSnapshot != nil {
		return o.createSnapshot(i, cs, data)
	}
	return o.Storage.CreateSnapshot(i, cs, data)
}

func (o *overlaid) Compact(i uint64) error {
	if o.compact != nil {
		return o.compact(i)
	}
	return o.Storage.Compact(i)
}
