package wal

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
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
	if err := s.e.shared.Acquire(); err != nil {
		return err
	}
	defer s.e.shared.Release()
	s.log.Write.Lock()
	ticket, err := s.save(&rd)
	s.log.Write.Unlock()
	if err != nil || !rd.MustSync {
		return err
	}
	s.e.mu.Lock()
	return s.e.commitLocked(ticket)
}

// save makes the write visible, and returns what to commit.
func (s *Storage) save(rd *raft.Ready) (ticket uint64, err error) {
	if s.log.Gone {
		return 0, ErrDestroyed
	}
	st := s.log.State
	var snap []byte
	if installs := !raft.IsEmptySnap(rd.Snapshot); installs {
		if rd.Snapshot.Metadata.Index <= st.Snap {
			return 0, raft.ErrSnapOutOfDate
		}
		if snap, err = rd.Snapshot.Marshal(); err != nil {
			return 0, fmt.Errorf("wal: %w", err)
		}
		st.install(&rd.Snapshot.Metadata, location{})
	}
	ents, err := s.log.Fresh(&st.State, rd.Entries)
	if err != nil {
		return 0, err
	}
	hard := !raft.IsEmptyHardState(rd.HardState) && rd.HardState != st.Hard
	if snap == nil && len(ents) == 0 && !hard {
		s.e.mu.Lock()
		defer s.e.mu.Unlock()
		return s.e.ticket(), nil
	}
	size := int64(recordHeaderLen) + int64(len(snap)) + recordHeaderLen + hardBodyLen
	for i := range ents { // which may share their data, and be more than an int holds
		size += entryOverhead + int64(len(ents[i].Data))
	}
	b, err := s.begin(size)
	if err != nil {
		return 0, err
	}
	if snap != nil {
		at := b.location(len(snap))
		b.buf = putBytes(b.buf, s.log.ID, kindInstall, snap)
		st.snapAt, st.live = at, int64(at.size)
	}
	if len(ents) > 0 {
		st.truncate(ents[0].Index)
	}
	for i := range ents {
		one := &ents[i]
		at := b.location(entryBodyLen + len(one.Data))
		b.buf = putEntry(b.buf, s.log.ID, one)
		st.push(one.Index, one.Term, one.Type != pb.EntryNormal, at)
	}
	if hard {
		b.buf = putHard(b.buf, s.log.ID, rd.HardState)
		st.Hard = rd.HardState
	}
	ticket = s.e.ticket()
	s.e.mu.Unlock()
	s.log.Publish(&st, grouplog.Written{Entries: ents, Installed: snap != nil})
	return ticket, nil
}

// location is where the next record of the batch will be, whose body has so many bytes.
func (b *batch) location(body int) location {
	return location{b.start + uint64(len(b.buf)), uint32(recordHeaderLen + body)}
}

// begin returns the batch for a write of the group of so many bytes, with the
// engine's mu held. The first write of a group comes after its empty state.
func (s *Storage) begin(bytes int64) (*batch, error) {
	if bytes > s.e.maxWrite {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, s.e.maxWrite)
	}
	size := int(bytes)
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
		b.buf = putBytes(b.buf, s.log.ID, kindState, empty)
		s.log.Mu.Lock()
		s.checkpoint = at
		s.log.Mu.Unlock()
	}
	return b, err
}

// SetConfState keeps the configuration that ApplyConfChange returned. It changes
// nothing if the one in place has a higher index. It is durable with the next
// Save that is synced.
func (s *Storage) SetConfState(cs pb.ConfState) error {
	return s.change(func(st *logState) ([]change, error) {
		if !st.SetConf(cs, cs.Index) {
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
		snap, err := st.NewSnapshot(i, cs, data)
		if err != nil {
			return nil, err
		}
		body, err := snap.Marshal()
		if err != nil {
			return nil, fmt.Errorf("wal: %w", err)
		}
		st.setSnapshot(i, location{})
		changes := []change{{kindSnapshot, body}}
		if at := grouplog.ConfIndex(&cs, i); st.SetConf(cs, at) {
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
		if err := st.CheckCompact(i); err != nil {
			return nil, err
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
	if err := s.e.shared.Acquire(); err != nil {
		return err
	}
	defer s.e.shared.Release()
	s.log.Write.Lock()
	defer s.log.Write.Unlock()
	if s.log.Gone {
		return ErrDestroyed
	}
	st := s.log.State
	changes, err := fill(&st)
	if err != nil || len(changes) == 0 {
		return err
	}
	size := int64(0)
	for _, one := range changes {
		size += int64(recordHeaderLen) + int64(len(one.body))
	}
	b, err := s.begin(size)
	if err != nil {
		return err
	}
	compacted := uint64(0)
	for _, one := range changes {
		at := b.location(len(one.body))
		b.buf = putBytes(b.buf, s.log.ID, one.kind, one.body)
		switch one.kind {
		case kindSnapshot:
			st.setSnapshot(st.Snap, at)
		case kindCompact:
			compacted = st.Base.Index
		}
	}
	s.e.mu.Unlock()
	s.log.Publish(&st, grouplog.Written{Compacted: compacted})
	return nil
}
