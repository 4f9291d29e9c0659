package rafttest

import (
	"errors"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

var snapshotFaults = []storageFault{
	{"a received snapshot keeps the log behind it", "a received snapshot replaces the whole log",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				first, last := bounds(s)
				if at := rd.Snapshot.Metadata.Index; at+1 >= first && at < last && len(rd.Entries) == 0 {
					rd.Entries, _ = s.Entries(max(first, at+1), last+1, noLimit)
				}
				return s.Save(rd)
			}
		}},
	{"entries beside a received snapshot are lost", "a received snapshot replaces the whole log",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				if !raft.IsEmptySnap(rd.Snapshot) {
					rd.Entries = nil
				}
				return s.Save(rd)
			}
		}},
	{"a received snapshot has no configuration", "a received snapshot replaces the whole log",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				_, cs, _ := s.InitialState()
				err := s.Save(rd)
				if !raft.IsEmptySnap(rd.Snapshot) && cs.Index > 0 && err == nil {
					cs.Index = rd.Snapshot.Metadata.Index
					_ = s.SetConfState(cs)
				}
				return err
			}
		}},
	{"a stale snapshot is taken", "a stale snapshot is refused and nothing of its Ready is written",
		staleSnapshot(true, false)},
	{"a stale snapshot is dropped in silence", "a stale snapshot is refused and nothing of its Ready is written",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				err := s.Save(rd)
				if errors.Is(err, raft.ErrSnapOutOfDate) {
					return nil
				}
				return err
			}
		}},
	{"the rest of a stale snapshot's Ready is written", "a stale snapshot is refused and nothing of its Ready is written",
		func(s Storage, o *overlaid) {
			o.save = func(rd raft.Ready) error {
				err := s.Save(rd)
				if errors.Is(err, raft.ErrSnapOutOfDate) {
					_ = s.Save(raft.Ready{HardState: rd.HardState})
				}
				return err
			}
		}},
	{"the snapshot in place is taken again", "a stale snapshot is refused and nothing of its Ready is written",
		staleSnapshot(false, true)},
	{"the last configuration wins", "the configuration with the highest index is kept", func(s Storage, o *overlaid) {
		var last pb.ConfState
		o.setConfState = func(cs pb.ConfState) error {
			last = cs
			return s.SetConfState(cs)
		}
		o.initialState = func() (pb.HardState, pb.ConfState, error) {
			hs, cs, err := s.InitialState()
			if last.Index > 0 {
				cs = last
			}
			return hs, cs, err
		}
	}},
	{"the configuration is the snapshot's", "the configuration with the highest index is kept",
		func(s Storage, o *overlaid) {
			o.setConfState = func(pb.ConfState) error { return nil }
		}},
	{"half of a joint configuration is lost", "the configuration with the highest index is kept",
		func(s Storage, o *overlaid) {
			o.setConfState = func(cs pb.ConfState) error {
				cs.VotersOutgoing = nil
				return s.SetConfState(cs)
			}
		}},
	{"the index of the configuration is lost", "the configuration with the highest index is kept",
		func(s Storage, o *overlaid) {
			o.initialState = func() (pb.HardState, pb.ConfState, error) {
				hs, cs, err := s.InitialState()
				cs.Index = 0
				return hs, cs, err
			}
		}},
	{"an undated configuration of a snapshot is taken back", "the configuration with the highest index is kept",
		func(s Storage, o *overlaid) {
			o.setConfState = func(cs pb.ConfState) error {
				if snap, _ := s.Snapshot(); snap.Metadata.ConfState.Index == 0 && cs.Index > 0 {
					cs.Index = max(cs.Index, snap.Metadata.Index)
				}
				return s.SetConfState(cs)
			}
		}},
	{"making a snapshot compacts", "a snapshot is made of an applied index and drops nothing",
		func(s Storage, o *overlaid) {
			o.createSnapshot = func(i uint64, cs pb.ConfState, data []byte) error {
				err := s.CreateSnapshot(i, cs, data)
				if err == nil {
					_ = s.Compact(i)
				}
				return err
			}
		}},
	{"a snapshot has the term of the log's end", "a snapshot is made of an applied index and drops nothing",
		func(s Storage, o *overlaid) {
			o.snapshot = func() (pb.Snapshot, error) {
				snap, err := s.Snapshot()
				if first, last := bounds(s); snap.Metadata.Index >= first {
					snap.Metadata.Term, _ = s.Term(last)
				}
				return snap, err
			}
		}},
	{"a snapshot past the log's end is cut", "a snapshot is made of an applied index and drops nothing",
		func(s Storage, o *overlaid) {
			o.createSnapshot = func(i uint64, cs pb.ConfState, data []byte) error {
				_, last := bounds(s)
				return s.CreateSnapshot(min(i, last), cs, data)
			}
		}},
	{"an older snapshot is accepted in silence", "a snapshot is made of an applied index and drops nothing",
		func(s Storage, o *overlaid) {
			o.createSnapshot = func(i uint64, cs pb.ConfState, data []byte) error {
				err := s.CreateSnapshot(i, cs, data)
				if errors.Is(err, raft.ErrSnapOutOfDate) {
					return nil
				}
				return err
			}
		}},
	{"compaction keeps its last entry", "compaction drops entries and keeps the term before the first",
		func(s Storage, o *overlaid) {
			o.compact = func(i uint64) error {
				if err := s.Compact(i); err != nil {
					return err
				}
				first, _ := bounds(s)
				o.firstIndex = func() (uint64, error) { return first - 1, nil }
				return nil
			}
		}},
	{"compaction to where it is is accepted", "compaction drops entries and keeps the term before the first",
		func(s Storage, o *overlaid) {
			o.compact = func(i uint64) error {
				err := s.Compact(i)
				if errors.Is(err, raft.ErrCompacted) {
					return nil
				}
				return err
			}
		}},
	{"compaction past the end is cut", "compaction drops entries and keeps the term before the first",
		func(s Storage, o *overlaid) {
			o.compact = func(i uint64) error {
				_, last := bounds(s)
				return s.Compact(min(i, last))
			}
		}},
	{"the first snapshot is returned for ever", "the snapshot reaches the start of the log",
		func(s Storage, o *overlaid) {
			var first pb.Snapshot
			o.snapshot = func() (pb.Snapshot, error) {
				if raft.IsEmptySnap(first) {
					first, _ = s.Snapshot()
				}
				return first, nil
			}
		}},
}

// staleSnapshot takes snapshots that are older, or as old, by telling of one that is older still.
func staleSnapshot(older, same bool) func(s Storage, o *overlaid) {
	return func(s Storage, o *overlaid) {
		o.save = func(rd raft.Ready) error {
			now, _ := o.Storage.Snapshot()
			at, have := rd.Snapshot.Metadata.Index, now.Metadata.Index
			if at == 0 || (at >= have || !older) && (at != have || !same) {
				return o.Storage.Save(rd)
			}
			hs, _, _ := o.Storage.InitialState()
			o.Storage = Memory(raft.NewMemoryStorage())
			_ = o.Storage.Save(raft.Ready{HardState: hs})
			return o.Storage.Save(rd)
		}
	}
}

var durableFaults = []durableFault{
	{"the hard state is lost", "everything is there after closing and opening", journal{replay: func(w write) []write {
		w.rd.HardState = pb.HardState{}
		return []write{w}
	}}},
	{"the commit index is lost", "everything is there after closing and opening",
		journal{replay: func(w write) []write {
			w.rd.Commit = 0
			return []write{w}
		}}},
	{"the configuration is lost", "everything is there after closing and opening",
		journal{replay: func(w write) []write {
			if w.kind == writeConf {
				return nil
			}
			return []write{w}
		}}},
	{"compacted entries come back", "everything is there after closing and opening",
		journal{replay: func(w write) []write {
			if w.kind == writeCompact {
				return nil
			}
			return []write{w}
		}}},
	{"the data of a snapshot is lost", "everything is there after closing and opening",
		journal{replay: func(w write) []write {
			w.data = nil
			return []write{w}
		}}},
	{"replaced entries come back", "everything is there after closing and opening",
		journal{replay: func(w write) []write {
			if n := len(w.rd.Entries); w.kind == writeSave && n == 1 && raft.IsEmptySnap(w.rd.Snapshot) {
				return nil
			}
			return []write{w}
		}}},
	{"unsynced writes are lost when it is closed", "any sequence of writes leaves what a plain model holds",
		journal{replay: func(w write) []write {
			if w.kind == writeSave && !w.rd.MustSync {
				return nil
			}
			return []write{w}
		}}},
	{"a synced write is lost", "a synced write survives a crash with all before it", journal{lose: func(j *journal) {
		j.writes = j.writes[:max(0, j.synced-1)]
	}}},
	{"a synced write survives alone", "a synced write survives a crash with all before it",
		journal{lose: func(j *journal) {
			if n := j.synced; n > 2 && n == len(j.writes) && !j.writes[n-2].rd.MustSync {
				j.writes = append(j.writes[:n-2:n-2], j.writes[n-1])
			}
		}}},
	{"a write survives without one before it", "a crash loses unsynced writes from the end only",
		journal{lose: func(j *journal) {
			if n := j.synced; n+2 < len(j.writes) {
				j.writes = append(j.writes[:n:n], j.writes[n+1:]...)
			}
		}}},
	{"a write is torn", "a crash loses unsynced writes from the end only", journal{lose: func(j *journal) {
		if j.synced == len(j.writes) {
			return
		}
		j.writes = slices.Clone(j.writes[:j.synced+1])
		torn := &j.writes[j.synced]
		torn.rd.Entries = torn.rd.Entries[:len(torn.rd.Entries)/2]
	}}},
	{"a compaction survives without its snapshot", "a crash loses unsynced writes from the end only",
		journal{lose: func(j *journal) {
			kept := j.writes[:j.synced:j.synced]
			for _, w := range j.writes[j.synced:] {
				if w.kind != writeSnapshot {
					kept = append(kept, w)
				}
			}
			j.writes = kept
		}}},
	{"a received snapshot survives without its log", "a crash loses unsynced writes from the end only",
		journal{lose: func(j *journal) {
			if j.synced == len(j.writes) {
				return
			}
			received := j.writes[len(j.writes)-1].rd.Snapshot
			j.writes = j.writes[:j.synced]
			if raft.IsEmptySnap(received) {
				return
			}
			j.wrap = func(s Storage) Storage {
				return &overlaid{Storage: s, snapshot: func() (pb.Snapshot, error) { return received, nil }}
			}
		}}},
	{"a crash loses everything", "three nodes elect, commit, restart and go on", journal{lose: func(j *journal) {
		j.writes = nil
	}}},
}
