package pebblestore

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// update is a write in the making: the batch, and what will be known in memory
// once it is applied.
type update struct {
	s     *Storage
	batch *pebble.Batch
	state logState
	// ents are entries for the cache; installed says that the whole log was
	// replaced, compacted up to where its start went.
	ents      []pb.Entry
	installed bool
	compacted uint64
	dirty     bool
	// deleted are entries that a range deletion covers.
	deleted *keySpan
}

// run makes a write: fill fills it, or refuses, and then nothing is changed.
func (s *Storage) run(size int, sync bool, fill func(u *update) error) error {
	if err := s.e.acquire(); err != nil {
		return err
	}
	defer s.e.release()
	if size > maxBatch {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	s.write.Lock()
	// Only writes change the state, so it can be read here without mu.
	u := &update{s: s, batch: s.e.newBatch(size), state: s.state}
	err := error(ErrDestroyed)
	if !s.gone {
		err = fill(u)
	}
	if err != nil || (!u.dirty && !sync) {
		s.write.Unlock()
		_ = u.batch.Close() // nothing to undo
		return err
	}
	if err = s.e.apply(u.batch, sync); err == nil {
		u.publish()
	}
	s.write.Unlock()
	if err == nil && u.deleted != nil {
		s.e.reclaimer.deleted(s.group, u.deleted.start, u.deleted.end)
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
func (u *update) publish() {
	s := u.s
	cache := &s.e.cache
	grown := int64(0)
	s.mu.Lock()
	s.state = u.state
	if u.installed {
		grown -= s.recent.bytes
		s.recent = recent{}
	}
	if u.compacted > 0 {
		grown += s.recent.compact(u.compacted)
	}
	if len(u.ents) > 0 && cache.limit > 0 {
		grown += s.recent.replace(u.ents)
	}
	empty := len(s.recent.ents) == 0
	s.mu.Unlock()
	switch {
	case len(u.ents) > 0 && cache.limit > 0:
		cache.wrote(s, grown)
	case grown != 0:
		cache.dropped(s, grown, empty)
	}
}

// destroy makes s refuse everything.
func (s *Storage) destroy() {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	s.gone = true
	grown := -s.recent.bytes
	s.recent, s.state = recent{}, logState{}
	s.mu.Unlock()
	s.e.cache.dropped(s, grown, true)
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
	size := 0
	for i := range rd.Entries {
		size += rd.Entries[i].Size() + 48
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		size += rd.Snapshot.Size() + 256
	}
	return s.run(size+128, rd.MustSync, func(u *update) error {
		if !raft.IsEmptySnap(rd.Snapshot) {
			if err := u.install(&rd.Snapshot); err != nil {
				return err
			}
		}
		if err := u.append(rd.Entries); err != nil {
			return err
		}
		if raft.IsEmptyHardState(rd.HardState) || rd.HardState == u.state.hard {
			return nil
		}
		u.state.hard = rd.HardState
		return u.set(key{kind: kindHard}, nil, &rd.HardState)
	})
}

// SetConfState keeps the configuration that ApplyConfChange returned. It changes
// nothing if the one in place has a higher index. It is durable with the next
// Save that is synced.
func (s *Storage) SetConfState(cs pb.ConfState) error {
	return s.run(cs.Size()+64, false, func(u *update) error {
		if !u.state.setConf(cs, cs.Index) {
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
	return s.run(len(data)+2*cs.Size()+128, false, func(u *update) error {
		if i <= u.state.snap {
			return raft.ErrSnapOutOfDate
		}
		if err := u.state.checkTerm(i); err != nil {
			return err
		}
		snap := pb.Snapshot{Data: data, Metadata: pb.SnapshotMetadata{Index: i, Term: u.state.term(i), ConfState: cs}}
		u.state.snap = i
		if err := u.set(key{kind: kindSnapshot}, nil, &snap); err != nil {
			return err
		}
		if !u.state.setConf(cs, confIndex(&cs, i)) {
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
		switch {
		case i <= u.state.base.index:
			return raft.ErrCompacted
		case i > u.state.last:
			return raft.ErrUnavailable
		}
		first := u.state.base.index + 1
		runs, changes, begins := u.state.compact(i)
		if err := u.forget(runs, changes); err != nil {
			return err
		}
		if begins != nil {
			if err := u.setRun(*begins); err != nil {
				return err
			}
		}
		u.compacted = i
		if err := u.deleteEntries(first, i+1); err != nil {
			return err
		}
		return u.setBase()
	})
}

// install replaces the log by a received snapshot.
func (u *update) install(snap *pb.Snapshot) error {
	meta := &snap.Metadata
	if meta.Index <= u.state.snap {
		return raft.ErrSnapOutOfDate
	}
	if err := u.forget(u.state.runs, u.state.changes); err != nil {
		return err
	}
	if err := u.deleteEntries(u.state.base.index+1, u.state.last+1); err != nil {
		return err
	}
	u.state = logState{
		base: entryID{meta.Index, meta.Term}, last: meta.Index, snap: meta.Index, hard: u.state.hard,
		conf: meta.ConfState, confAt: confIndex(&meta.ConfState, meta.Index),
	}
	u.installed = true
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
	for len(ents) > 0 && ents[0].Index <= u.state.base.index {
		ents = ents[1:]
	}
	if len(ents) == 0 {
		return nil
	}
	first := ents[0].Index
	for i := range ents {
		if want := min(first, u.state.last+1) + uint64(i); ents[i].Index != want {
			return fmt.Errorf("%w: entry %d of group %d comes where %d should", ErrGap, ents[i].Index, u.s.group, want)
		}
	}
	last := u.state.last
	runs, changes := u.state.truncate(first)
	if err := u.forget(runs, changes); err != nil {
		return err
	}
	if err := u.deleteEntries(first+uint64(len(ents)), last+1); err != nil {
		return err
	}
	for i := range ents {
		e := &ents[i]
		if u.state.push(e) {
			if err := u.setRun(termRun{e.Index, e.Term}); err != nil {
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
	u.ents = ents
	return nil
}

// set writes a record of the group.
func (u *update) set(k key, prefix []byte, m marshaler) error {
	k.group = u.s.group
	u.dirty = true
	return setRecord(u.batch, k, prefix, m)
}

func (u *update) setBase() error {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], u.state.base.index)
	binary.BigEndian.PutUint64(b[8:], u.state.base.term)
	return u.set(key{kind: kindBase}, b[:], nil)
}

func (u *update) setConf() error {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], u.state.confAt)
	return u.set(key{kind: kindConf}, b[:], &u.state.conf)
}

func (u *update) setRun(run termRun) error {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], run.term)
	return u.set(key{kind: kindTerm, index: run.start}, b[:], nil)
}

// forget deletes the records of terms and changes that went.
func (u *update) forget(runs []termRun, changes []uint64) error {
	for _, run := range runs {
		if err := u.delete(key{kind: kindTerm, index: run.start}); err != nil {
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
	k.group = u.s.group
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
	u.deleted = &keySpan{key{u.s.group, kindEntry, lo}.bytes(), key{u.s.group, kindEntry, hi}.bytes()}
	return u.batch.DeleteRange(u.deleted.start, u.deleted.end, nil)
}
