package wal

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Save writes what rd asks to persist in one atomic write: Snapshot in place of
// the whole log, then Entries in place of the log from the first one's index on,
// then HardState. If rd.MustSync it waits until this and all writes before it are
// durable; otherwise they are not before the next such Save, and a crash of the
// process loses them.
//
// It returns raft.ErrSnapOutOfDate, ErrGap or ErrTooLarge without having changed
// anything. Any other error is for good: see FailedError.
func (s *Storage) Save(rd raft.Ready) error {
	if err := s.e.acquire(); err != nil {
		return err
	}
	defer s.e.release()
	s.write.Lock()
	ticket, err := s.save(&rd)
	s.write.Unlock()
	if err != nil || !rd.MustSync {
		return err
	}
	s.e.mu.Lock()
	return s.e.commitLocked(ticket)
}

// save makes the write visible, and returns what to commit.
func (s *Storage) save(rd *raft.Ready) (ticket uint64, err error) {
	if s.gone {
		return 0, ErrDestroyed
	}
	st := s.state
	var snap []byte
	if installs := !raft.IsEmptySnap(rd.Snapshot); installs {
		if rd.Snapshot.Metadata.Index <= st.snap {
			return 0, raft.ErrSnapOutOfDate
		}
		if snap, err = rd.Snapshot.Marshal(); err != nil {
			return 0, fmt.Errorf("wal: %w", err)
		}
		st.install(&rd.Snapshot.Metadata, location{})
	}
	ents, err := s.fresh(&st, rd.Entries)
	if err != nil {
		return 0, err
	}
	hard := !raft.IsEmptyHardState(rd.HardState) && rd.HardState != st.hard
	if snap == nil && len(ents) == 0 && !hard {
		s.e.mu.Lock()
		defer s.e.mu.Unlock()
		return s.e.ticket(), nil
	}
	size := recordHeaderLen + len(snap) + recordHeaderLen + hardBodyLen
	for i := range ents {
		if size += entryOverhead + len(ents[i].Data); size > maxRecord {
			break
		}
	}
	b, err := s.begin(size)
	if err != nil {
		return 0, err
	}
	if snap != nil {
		at := b.location(len(snap))
		b.buf = putBytes(b.buf, s.group, kindInstall, snap)
		st.snapAt, st.live = at, int64(at.size)
	}
	if len(ents) > 0 {
		st.truncate(ents[0].Index)
	}
	for i := range ents {
		one := &ents[i]
		at := b.location(entryBodyLen + len(one.Data))
		b.buf = putEntry(b.buf, s.group, one)
		st.push(one.Index, one.Term, one.Type != pb.EntryNormal, at)
	}
	if hard {
		b.buf = putHard(b.buf, s.group, rd.HardState)
		st.hard = rd.HardState
	}
	ticket = s.e.ticket()
	s.e.mu.Unlock()
	s.publish(&st, ents, snap != nil, 0)
	return ticket, nil
}

// location is where the next record of the batch will be, whose body has so many bytes.
func (b *batch) location(body int) location {
	return location{b.start + uint64(len(b.buf)), uint32(recordHeaderLen + body)}
}

// begin returns the batch for a write of the group of so many bytes, with the
// engine's mu held. The first write of a group comes after its empty state.
func (s *Storage) begin(size int) (*batch, error) {
	if size > maxRecord {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxRecord)
	}
	var empty []byte
	if s.checkpoint == 0 {
		var err error
		if empty, err = new(logState).body(); err != nil {
			return nil, fmt.Errorf("wal: %w", err)
		}
		size += recordHeaderLen + len(empty)
	}
	b, err := s.e.begin(size)
	if err == nil && empty != nil {
		at := b.location(len(empty)).position
		b.buf = putBytes(b.buf, s.group, kindState, empty)
		s.mu.Lock()
		s.checkpoint = at
		s.mu.Unlock()
	}
	return b, err
}

// fresh returns the entries that the log does not begin after, or says that they
// do not continue it.
func (s *Storage) fresh(st *logState, ents []pb.Entry) ([]pb.Entry, error) {
	for len(ents) > 0 && ents[0].Index <= st.base.index {
		ents = ents[1:]
	}
	if len(ents) == 0 {
		return nil, nil
	}
	first := ents[0].Index
	for i := range ents {
		if want := min(first, st.last+1) + uint64(i); ents[i].Index != want {
			return nil, fmt.Errorf("%w: entry %d of group %d comes where %d should", ErrGap, ents[i].Index, s.group, want)
		}
	}
	return ents, nil
}

// publish makes a write what is known.
func (s *Storage) publish(st *logState, ents []pb.Entry, installed bool, compacted uint64) {
	cache := &s.e.cache
	grown := int64(0)
	s.mu.Lock()
	s.state = *st
	if installed {
		grown -= s.recent.bytes
		s.recent = recent{}
	}
	if compacted > 0 {
		grown += s.recent.compact(compacted)
	}
	if len(ents) > 0 && cache.limit > 0 {
		grown += s.recent.replace(ents)
	}
	empty := len(s.recent.ents) == 0
	s.mu.Unlock()
	switch {
	case len(ents) > 0 && cache.limit > 0:
		cache.wrote(s, grown)
	case grown != 0:
		cache.dropped(s, grown, empty)
	}
}

// SetConfState keeps the configuration that ApplyConfChange returned. It changes
// nothing if the one in place has a higher index. It is durable with the next
// Save that is synced.
func (s *Storage) SetConfState(cs pb.ConfState) error {
	return s.change(func(st *logState) ([]change, error) {
		if !st.setConf(cs, cs.Index) {
			return nil, nil
		}
		body, err := confBody(&cs, cs.Index)
		return []change{{kindConf, body}}, err
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
	return s.change(func(st *logState) ([]change, error) {
		if i <= st.snap {
			return nil, raft.ErrSnapOutOfDate
		}
		if err := st.checkTerm(i); err != nil {
			return nil, err
		}
		snap := pb.Snapshot{Data: data, Metadata: pb.SnapshotMetadata{Index: i, Term: st.term(i), ConfState: cs}}
		body, err := snap.Marshal()
		if err != nil {
			return nil, fmt.Errorf("wal: %w", err)
		}
		st.setSnapshot(i, location{})
		changes := []change{{kindSnapshot, body}}
		if at := confIndex(&cs, i); st.setConf(cs, at) {
			body, err := confBody(&cs, at)
			if err != nil {
				return nil, fmt.Errorf("wal: %w", err)
			}
			changes = append(changes, change{kindConf, body})
		}
		return changes, nil
	})
}

// Compact drops the entries up to and including i, which a snapshot covers; the
// term of i stays known. It reads nothing. The space is free for others once no
// group needs anything else of the same file.
//
// raft.ErrCompacted if i is before FirstIndex, raft.ErrUnavailable if the log
// ends before i.
func (s *Storage) Compact(i uint64) error {
	err := s.change(func(st *logState) ([]change, error) {
		switch {
		case i <= st.base.index:
			return nil, raft.ErrCompacted
		case i > st.last:
			return nil, raft.ErrUnavailable
		}
		st.compact(i)
		return []change{{kindCompact, appendNumber(nil, i)}}, nil
	})
	if err == nil {
		s.e.keeper.wake()
	}
	return err
}

// change is a record to be written.
type change struct {
	kind kind
	body []byte
}

// change makes a write that is not synced: fill changes the state, and says how in
// records, or refuses, and then nothing is changed.
func (s *Storage) change(fill func(st *logState) ([]change, error)) error {
	if err := s.e.acquire(); err != nil {
		return err
	}
	defer s.e.release()
	s.write.Lock()
	defer s.write.Unlock()
	if s.gone {
		return ErrDestroyed
	}
	st := s.state
	changes, err := fill(&st)
	if err != nil || len(changes) == 0 {
		return err
	}
	size := 0
	for _, one := range changes {
		size += recordHeaderLen + len(one.body)
	}
	b, err := s.begin(size)
	if err != nil {
		return err
	}
	compacted := uint64(0)
	for _, one := range changes {
		at := b.location(len(one.body))
		b.buf = putBytes(b.buf, s.group, one.kind, one.body)
		switch one.kind {
		case kindSnapshot:
			st.setSnapshot(st.snap, at)
		case kindCompact:
			compacted = st.base.index
		}
	}
	s.e.mu.Unlock()
	s.publish(&st, nil, false, compacted)
	return nil
}
