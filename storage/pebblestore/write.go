package pebblestore

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// update is a write in the making: the batch, and what will be known in memory
// once it is applied.
type update struct {
	s     *Storage
	batch *pebble.Batch
	state grouplog.State
	// written is what the cache has to know, dirty says that there is something to write.
	written grouplog.Written
	dirty   bool
	// deleted are entries that a range deletion covers.
	deleted *keySpan
}

// run makes a write: fill fills it, or refuses, and then nothing is changed.
func (s *Storage) run(size int64, sync bool, fill func(u *update) error) error {
	if err := s.e.shared.Acquire(); err != nil {
		return err
	}
	defer s.e.shared.Release()
	if size > s.e.maxWrite {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	s.log.Write.Lock()
	// Only writes change the state, so it can be read here without mu.
	u := &update{s: s, batch: s.e.newBatch(int(size)), state: s.log.State}
	err := error(ErrDestroyed)
	if !s.log.Gone {
		err = fill(u)
	}
	if err != nil || (!u.dirty && !sync) {
		s.log.Write.Unlock()
		_ = u.batch.Close() // nothing to undo
		return err
	}
	if err = s.e.apply(u.batch, sync); err == nil {
		u.publish()
	}
	s.log.Write.Unlock()
	if err == nil && u.deleted != nil {
		s.e.reclaimer.deleted(s.log.ID, u.deleted.start, u.deleted.end)
	}
	if err == nil && sync {
		err = s.e.wait(u.batch)
	}
	if err == nil {
		_ = u.batch.Close() // only puts it back
	}
	return err
}

// publish makes the write what is known.
func (u *update) publish() { u.s.log.Publish(&u.state, u.written) }

// destroy makes s refuse everything.
func (s *Storage) destroy() {
	s.log.Write.Lock()
	defer s.log.Write.Unlock()
	s.log.Destroy()
}

// Save writes what rd asks to persist in one atomic write: Snapshot in place of
// the whole log, then Entries in place of the log from the first one's index on,
// then HardState. If rd.MustSync it waits until this and all writes before it are
// durable; otherwise they are not before the next such Save, and a crash of the
// process loses them.
//
// It returns raft.ErrSnapOutOfDate, ErrGap or ErrTooLarge without having changed
// anything. Any other error is for good: see FailedError.
func (s *Storage) Save(rd raft.Ready) error {
	size := int64(128)
	for i := range rd.Entries { // which may share their data, and be more than an int holds
		size += int64(rd.Entries[i].Size()) + 48
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		size += int64(rd.Snapshot.Size()) + 256
	}
	return s.run(size, rd.MustSync, func(u *update) error {
		if !raft.IsEmptySnap(rd.Snapshot) {
			if err := u.install(&rd.Snapshot); err != nil {
				return err
			}
		}
		if err := u.append(rd.Entries); err != nil {
			return err
		}
		if raft.IsEmptyHardState(rd.HardState) || rd.HardState == u.state.Hard {
			return nil
		}
		u.state.Hard = rd.HardState
		return u.set(key{kind: kindHard}, nil, &rd.HardState)
	})
}

// SetConfState keeps the configuration that ApplyConfChange returned. It changes
// nothing if the one in place has a higher index. It is durable with the next
// Save that is synced.
func (s *Storage) SetConfState(cs pb.ConfState) error {
	return s.run(int64(cs.Size())+64, false, func(u *update) error {
		if !u.state.SetConf(cs, cs.Index) {
			return nil
		}
		return u.setConf()
	})
}

// CreateSnapshot keeps a snapshot of this node's own state machine at index i,
// which is applied, with the configuration cs of that index. It drops no entries.
// data may be nil or say where the state machine keeps the snapshot, if that is
// large: it is written to the log and read whole. The snapshot is durable with
// the next Save that is synced, and before any later Compact.
//
// raft.ErrSnapOutOfDate if the snapshot in place is as new, raft.ErrCompacted if
// the log begins after i, raft.ErrUnavailable if it ends before.
func (s *Storage) CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	return s.run(int64(len(data))+2*int64(cs.Size())+128, false, func(u *update) error {
		snap, err := u.state.NewSnapshot(i, cs, data)
		if err != nil {
			return err
		}
		u.state.Snap = i
		if err := u.set(key{kind: kindSnapshot}, nil, &snap); err != nil {
			return err
		}
		if !u.state.SetConf(cs, grouplog.ConfIndex(&cs, i)) {
			return nil
		}
		return u.setConf()
	})
}

// Compact drops the entries up to and including i, which a snapshot covers; the
// term of i stays known. It reads nothing. The space is free on the disk once
// Pebble has rewritten its files, soon after Options.FreeSpaceDelay.
//
// raft.ErrCompacted if i is before FirstIndex, raft.ErrUnavailable if the log
// ends before i.
func (s *Storage) Compact(i uint64) error {
	return s.run(256, false, func(u *update) error {
		if err := u.state.CheckCompact(i); err != nil {
			return err
		}
		first := u.state.Base.Index + 1
		runs, changes, begins := u.state.Compact(i)
		if err := u.forget(runs, changes); err != nil {
			return err
		}
		if begins != nil {
			if err := u.setRun(*begins); err != nil {
				return err
			}
		}
		u.written.Compacted = i
		if err := u.deleteEntries(first, i+1); err != nil {
			return err
		}
		return u.setBase()
	})
}

// install replaces the log by a received snapshot.
func (u *update) install(snap *pb.Snapshot) error {
	meta := &snap.Metadata
	if meta.Index <= u.state.Snap {
		return raft.ErrSnapOutOfDate
	}
	if err := u.forget(u.state.Runs, u.state.Changes); err != nil {
		return err
	}
	if err := u.deleteEntries(u.state.Base.Index+1, u.state.Last+1); err != nil {
		return err
	}
	u.state.Install(meta)
	u.written.Installed = true
	if err := u.setBase(); err != nil {
		return err
	}
	if err := u.setConf(); err != nil {
		return err
	}
	return u.set(key{kind: kindSnapshot}, nil, snap)
}

// append writes entries in place of the log from the first one's index on.
func (u *update) append(ents []pb.Entry) error {
	ents, err := u.s.log.Fresh(&u.state, ents)
	if err != nil || len(ents) == 0 {
		return err
	}
	first := ents[0].Index
	last := u.state.Last
	runs, changes := u.state.Truncate(first)
	if err := u.forget(runs, changes); err != nil {
		return err
	}
	if err := u.deleteEntries(first+uint64(len(ents)), last+1); err != nil {
		return err
	}
	for i := range ents {
		e := &ents[i]
		if u.state.Push(e.Index, e.Term, e.Type != pb.EntryNormal) {
			if err := u.setRun(grouplog.TermRun{Start: e.Index, Term: e.Term}); err != nil {
				return err
			}
		}
		if e.Type != pb.EntryNormal {
			if err := u.set(key{kind: kindChange, index: e.Index}, nil, nil); err != nil {
				return err
			}
		}
		if err := u.set(key{kind: kindEntry, index: e.Index}, nil, e); err != nil {
			return err
		}
	}
	u.written.Entries = ents
	return nil
}

// set writes a record of the group.
func (u *update) set(k key, prefix []byte, m marshaler) error {
	k.group = u.s.log.ID
	u.dirty = true
	return setRecord(u.batch, k, prefix, m)
}

func (u *update) setBase() error {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], u.state.Base.Index)
	binary.BigEndian.PutUint64(b[8:], u.state.Base.Term)
	return u.set(key{kind: kindBase}, b[:], nil)
}

func (u *update) setConf() error {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], u.state.ConfAt)
	return u.set(key{kind: kindConf}, b[:], &u.state.Conf)
}

func (u *update) setRun(run grouplog.TermRun) error {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], run.Term)
	return u.set(key{kind: kindTerm, index: run.Start}, b[:], nil)
}

// forget deletes the records of terms and changes that went.
func (u *update) forget(runs []grouplog.TermRun, changes []uint64) error {
	for _, run := range runs {
		if err := u.delete(key{kind: kindTerm, index: run.Start}); err != nil {
			return err
		}
	}
	for _, index := range changes {
		if err := u.delete(key{kind: kindChange, index: index}); err != nil {
			return err
		}
	}
	return nil
}

func (u *update) delete(k key) error {
	k.group = u.s.log.ID
	u.dirty = true
	op := u.batch.DeleteDeferred(k.len())
	k.put(op.Key[:0])
	return op.Finish()
}

// fewEntries are deleted one by one, which reads bear better than many range
// deletions.
const fewEntries = 16

// deleteEntries deletes the entries [lo, hi), if there are any.
func (u *update) deleteEntries(lo, hi uint64) error {
	if lo >= hi {
		return nil
	}
	u.dirty = true
	if hi-lo <= fewEntries {
		for ; lo < hi; lo++ {
			if err := u.delete(key{kind: kindEntry, index: lo}); err != nil {
				return err
			}
		}
		return nil
	}
	u.deleted = &keySpan{key{u.s.log.ID, kindEntry, lo}.bytes(), key{u.s.log.ID, kindEntry, hi}.bytes()}
	return u.batch.DeleteRange(u.deleted.start, u.deleted.end, nil)
}
