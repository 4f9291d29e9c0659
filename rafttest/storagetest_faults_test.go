package rafttest

import (
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// storageFault is one way to break the contract, and the subtest that has to catch it.
type storageFault struct {
	name, rule string
	// fault replaces methods of s in o, which is opened in its place.
	fault func(s Storage, o *overlaid)
}

func (f storageFault) factory() StorageMedium {
	j := journal{wrap: func(s Storage) Storage {
		o := &overlaid{Storage: s}
		f.fault(s, o)
		return o
	}}
	return j.medium()
}

// durableFault is one way to break what a storage leaves behind.
type durableFault struct {
	name, rule string
	journal    journal
}

func (f durableFault) factory() StorageMedium {
	j := f.journal
	return j.medium()
}

func bounds(s Storage) (first, last uint64) {
	first, _ = s.FirstIndex()
	last, _ = s.LastIndex()
	return first, last
}

func wholeLog(s Storage) []pb.Entry {
	first, last := bounds(s)
	ents, _ := s.Entries(first, last+1, noLimit)
	return ents
}

var readFaults = []storageFault{
	{"begins at index 0", "a new storage is empty", func(s Storage, o *overlaid) {
		o.firstIndex = func() (uint64, error) {
			first, last := bounds(s)
			if last == 0 {
				return 0, nil
			}
			return first, nil
		}
	}},
	{"term of the entry before", "terms are known from the entry before the first to the last",
		func(s Storage, o *overlaid) {
			o.term = func(i uint64) (uint64, error) {
				if first, _ := bounds(s); i > first {
					i--
				}
				return s.Term(i)
			}
		}},
	{"forgets the term before the first", "terms are known from the entry before the first to the last",
		func(s Storage, o *overlaid) {
			o.term = func(i uint64) (uint64, error) {
				if first, _ := bounds(s); i < first && i > 0 {
					return 0, raft.ErrCompacted
				}
				return s.Term(i)
			}
		}},
	{"term 0 past the end", "terms are known from the entry before the first to the last",
		func(s Storage, o *overlaid) {
			o.term = func(i uint64) (uint64, error) {
				if _, last := bounds(s); i > last {
					return 0, nil
				}
				return s.Term(i)
			}
		}},
	{"term 0 of what is compacted", "terms are known from the entry before the first to the last",
		func(s Storage, o *overlaid) {
			o.term = func(i uint64) (uint64, error) {
				term, err := s.Term(i)
				if errors.Is(err, raft.ErrCompacted) {
					return 0, nil
				}
				return term, err
			}
		}},
	{"the end of a range is inclusive", "entries are those of the range", func(s Storage, o *overlaid) {
		o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
			if _, last := bounds(s); hi <= last {
				hi++
			}
			return s.Entries(lo, hi, maxSize)
		}
	}},
	{"a range is cut at the end of the log", "entries are those of the range", func(s Storage, o *overlaid) {
		o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
			if _, last := bounds(s); lo <= last {
				hi = min(hi, last+1)
			}
			return s.Entries(lo, hi, maxSize)
		}
	}},
	{"a range is cut at the start of the log", "entries are those of the range", func(s Storage, o *overlaid) {
		o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
			if first, _ := bounds(s); hi > first {
				lo = max(lo, first)
			}
			return s.Entries(lo, hi, maxSize)
		}
	}},
	{"the one error for the other", "entries are those of the range", func(s Storage, o *overlaid) {
		o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
			ents, err := s.Entries(lo, hi, maxSize)
			if err != nil {
				return nil, raft.ErrUnavailable
			}
			return ents, nil
		}
	}},
	{"no limit of size", "entries fit into the size asked for, but for the first", func(s Storage, o *overlaid) {
		o.entries = func(lo, hi, _ uint64) ([]pb.Entry, error) { return s.Entries(lo, hi, noLimit) }
	}},
	{"nothing if the first does not fit", "entries fit into the size asked for, but for the first",
		func(s Storage, o *overlaid) {
			o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
				ents, err := s.Entries(lo, hi, maxSize)
				if err == nil && uint64(ents[0].Size()) > maxSize {
					return nil, nil
				}
				return ents, err
			}
		}},
	{"counts data alone", "entries fit into the size asked for, but for the first", func(s Storage, o *overlaid) {
		o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
			ents, err := s.Entries(lo, hi, noLimit)
			for i, size := 0, uint64(0); i < len(ents); i++ {
				if size += uint64(len(ents[i].Data)); size > maxSize && i > 0 {
					return ents[:i], err
				}
			}
			return ents, err
		}
	}},
	{"reads share a buffer", "entries that were handed out never change", func(s Storage, o *overlaid) {
		var buffer []pb.Entry
		o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
			ents, err := s.Entries(lo, hi, maxSize)
			buffer = append(buffer[:0], ents...)
			return buffer, err
		}
	}},
	{"a write overwrites in place", "entries that were handed out never change", func(s Storage, o *overlaid) {
		inPlace(s, o, true, false)
	}},
	{"compaction moves in place", "entries that were handed out never change", func(s Storage, o *overlaid) {
		inPlace(s, o, false, true)
	}},
	{"data is freed with a compaction", "entries that were handed out never change", func(s Storage, o *overlaid) {
		o.compact = func(i uint64) error {
			ents := wholeLog(s)
			err := s.Compact(i)
			for n := range ents {
				if err == nil && ents[n].Index <= i {
					clear(ents[n].Data)
				}
			}
			return err
		}
	}},
	{"replaced configuration entries stay listed", "the list of configuration entries agrees with the log",
		func(s Storage, o *overlaid) {
			var listed []uint64
			o.save = func(rd raft.Ready) error {
				for _, e := range rd.Entries {
					if e.Type != pb.EntryNormal {
						listed = append(listed, e.Index)
					}
				}
				return s.Save(rd)
			}
			o.confIndexes = func(lo, hi uint64) ([]uint64, error) {
				var found []uint64
				for _, i := range listed {
					if i >= lo && i < hi {
						found = append(found, i)
					}
				}
				return found, nil
			}
		}},
	{"changes of version 2 are not listed", "the list of configuration entries agrees with the log",
		func(s Storage, o *overlaid) {
			o.confIndexes = func(lo, hi uint64) ([]uint64, error) {
				var found []uint64
				ents, err := s.Entries(lo, hi, noLimit)
				for _, e := range ents {
					if e.Type == pb.EntryConfChange {
						found = append(found, e.Index)
					}
				}
				return found, err
			}
		}},
	{"the log is cut while it is written", "readers see whole writes", func(s Storage, o *overlaid) {
		var writing atomic.Bool
		o.save = func(rd raft.Ready) error {
			writing.Store(true)
			for range 2000 { // long enough for somebody to look
				runtime.Gosched()
			}
			writing.Store(false)
			return s.Save(rd)
		}
		o.lastIndex = func() (uint64, error) {
			first, last := bounds(s)
			if writing.Load() {
				last = first - 1
			}
			return last, nil
		}
	}},
}

// inPlace keeps a log of its own, in one array that is written again by writes or by compactions.
func inPlace(s Storage, o *overlaid, write, compact bool) {
	var log []pb.Entry
	update := func(again bool) {
		if !again {
			log = nil
		}
		log = append(log[:0], wholeLog(s)...)
	}
	o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
		ents, err := s.Entries(lo, hi, maxSize)
		if err != nil {
			return nil, err
		}
		first, _ := bounds(s)
		return log[lo-first:][:len(ents)], nil
	}
	o.save = func(rd raft.Ready) error {
		err := s.Save(rd)
		update(write)
		return err
	}
	o.compact = func(i uint64) error {
		err := s.Compact(i)
		update(compact)
		return err
	}
	update(false)
}

var writeFaults = []storageFault{
	{"a shorter write keeps the tail", "a write replaces the log from its first entry on",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				_, last := bounds(s)
				if n := len(rd.Entries); n > 0 && rd.Entries[n-1].Index < last && raft.IsEmptySnap(rd.Snapshot) {
					tail, _ := s.Entries(rd.Entries[n-1].Index+1, last+1, noLimit)
					rd.Entries = append(rd.Entries[:n:n], tail...)
				}
				return s.Save(rd)
			}
		}},
	{"what is there is not replaced", "a write replaces the log from its first entry on",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				_, last := bounds(s)
				for len(rd.Entries) > 0 && rd.Entries[0].Index <= last && raft.IsEmptySnap(rd.Snapshot) {
					rd.Entries = rd.Entries[1:]
				}
				return s.Save(rd)
			}
		}},
	{"covered entries are an error", "entries before the start of the log are skipped", func(s Storage, o *overlaid) {
		o.save = func(rd raft.Ready) error {
			if first, _ := bounds(s); len(rd.Entries) > 0 && rd.Entries[0].Index < first && raft.IsEmptySnap(rd.Snapshot) {
				return raft.ErrCompacted
			}
			return s.Save(rd)
		}
	}},
	{"a write that begins with covered entries is skipped", "entries before the start of the log are skipped",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				if first, _ := bounds(s); len(rd.Entries) > 0 && rd.Entries[0].Index < first {
					rd.Entries = nil
				}
				return s.Save(rd)
			}
		}},
	{"a gap is closed", "a gap is refused and nothing of its Ready is written", func(s Storage, o *overlaid) {
		o.save = func(rd raft.Ready) error {
			_, last := bounds(s)
			if len(rd.Entries) > 0 && rd.Entries[0].Index > last+1 {
				rd.Entries = append(span(last+1, rd.Entries[0].Index, 1), rd.Entries...)
			}
			return s.Save(rd)
		}
	}},
	{"a gap is dropped in silence", "a gap is refused and nothing of its Ready is written",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				_, last := bounds(s)
				if len(rd.Entries) > 0 && rd.Entries[0].Index > last+1 && raft.IsEmptySnap(rd.Snapshot) {
					return nil
				}
				return s.Save(rd)
			}
		}},
	{"the hard state is written beside a gap", "a gap is refused and nothing of its Ready is written",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				err := s.Save(rd)
				if err != nil && raft.IsEmptySnap(rd.Snapshot) {
					_ = s.Save(raft.Ready{HardState: rd.HardState})
				}
				return err
			}
		}},
	{"an empty hard state is written", "an empty hard state leaves the one in place", func(s Storage, o *overlaid) {
		lost := false
		o.save = func(rd raft.Ready) error {
			err := s.Save(rd)
			if err == nil {
				lost = raft.IsEmptyHardState(rd.HardState)
			}
			return err
		}
		o.initialState = func() (pb.HardState, pb.ConfState, error) {
			hs, cs, err := s.InitialState()
			if lost {
				hs = pb.HardState{}
			}
			return hs, cs, err
		}
	}},
	{"the vote is kept over terms", "an empty hard state leaves the one in place", func(s Storage, o *overlaid) {
		o.save = func(rd raft.Ready) error {
			if hs, _, _ := s.InitialState(); rd.Vote == 0 && rd.Term > 0 {
				rd.Vote = hs.Vote
			}
			return s.Save(rd)
		}
	}},
	{"a panic", "three nodes elect, commit, restart and go on", func(_ Storage, o *overlaid) {
		o.save = func(rd raft.Ready) error {
			if len(rd.CommittedEntries) > 0 {
				panic("not expected")
			}
			return o.Storage.Save(rd)
		}
	}},
	{"snapshots are never there", "three nodes elect, commit, restart and go on", func(s Storage, o *overlaid) {
		calls := 0
		o.snapshot = func() (pb.Snapshot, error) {
			if calls++; calls > 1 {
				return pb.Snapshot{}, errors.New("no snapshot")
			}
			return s.Snapshot()
		}
	}},
	{"the first write after a crash loses the hard state", "any sequence of writes leaves what a plain model holds",
		func(s Storage, o *overlaid) {
			if _, last := bounds(s); last > 30 {
				o.save = func(rd raft.Ready) error {
					o.save = nil
					rd.HardState = pb.HardState{}
					return s.Save(rd)
				}
			}
		}},
}
