package rafttest

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// hostPoint is a place of the host's work at which ExerciseHost may end it.
type hostPoint string

const (
	beforeSave     hostPoint = "before a write"
	afterSave      hostPoint = "after a write"
	beforeSend     hostPoint = "before a message is sent"
	beforeApply    hostPoint = "before an entry is applied"
	afterApply     hostPoint = "after an entry was applied"
	beforeRestore  hostPoint = "before a snapshot is restored"
	afterRestore   hostPoint = "after a snapshot was restored"
	beforeSnapshot hostPoint = "before a snapshot is taken"
	beforeCompact  hostPoint = "before the log is compacted"
)

// at asks whether the host goes on at point.
func (c *HostCheck) at(point hostPoint) error {
	if c.gate == nil {
		return nil
	}
	return c.gate(point)
}

// Storage returns s such that its writes report themselves. Give it to Config and
// write to it.
func (c *HostCheck) Storage(s Storage) Storage {
	w := watchedStorage{s, c}
	if indexer, ok := s.(raft.ConfEntryIndexer); ok {
		return struct {
			watchedStorage
			raft.ConfEntryIndexer
		}{w, indexer}
	}
	return w
}

type watchedStorage struct {
	Storage
	check *HostCheck
}

// write does one write between two points.
func (w watchedStorage) write(before hostPoint, do func() error) error {
	err := w.check.at(before)
	if err == nil {
		err = do()
	}
	if err != nil {
		w.check.Failed(err)
	}
	return err
}

// Save implements Storage.
func (w watchedStorage) Save(rd raft.Ready) error {
	if err := w.write(beforeSave, func() error { return w.Storage.Save(rd) }); err != nil {
		return err
	}
	w.check.Persisted(rd)
	return w.check.at(afterSave)
}

// SetConfState implements Storage.
func (w watchedStorage) SetConfState(cs pb.ConfState) error {
	err := w.write(beforeSave, func() error { return w.Storage.SetConfState(cs) })
	if err == nil {
		w.check.ConfStateSaved(cs)
	}
	return err
}

// CreateSnapshot implements Storage.
func (w watchedStorage) CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	if err := w.check.at(beforeSnapshot); err != nil {
		return err
	}
	err := w.Storage.CreateSnapshot(i, cs, data)
	if err == nil {
		w.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: i, ConfState: cs}})
	}
	return err // that there is a newer one is an answer
}

// Compact implements Storage.
func (w watchedStorage) Compact(i uint64) error {
	if err := w.check.at(beforeCompact); err != nil {
		return err
	}
	err := w.Storage.Compact(i)
	if err == nil {
		w.check.Compacted(i)
	}
	return err
}

// Send returns send such that every message is reported as it is handed over.
func (c *HostCheck) Send(send func(m pb.Message)) func(m pb.Message) {
	return func(m pb.Message) {
		if c.at(beforeSend) == nil {
			c.Sent(m)
			send(m)
		}
	}
}

// Apply returns apply such that every entry is reported when it is applied. Call
// it for every entry, also empty ones and changes of configuration.
func (c *HostCheck) Apply(apply func(e pb.Entry)) func(e pb.Entry) {
	return func(e pb.Entry) {
		if c.at(beforeApply) == nil {
			apply(e)
			c.Applied(e)
			_ = c.at(afterApply) // what follows finds out
		}
	}
}

// Restore returns restore such that every snapshot is reported when it is
// restored. It is for snapshots from a Ready; see Recovered for those that a
// start finds.
func (c *HostCheck) Restore(restore func(s pb.Snapshot)) func(s pb.Snapshot) {
	return func(s pb.Snapshot) {
		if c.at(beforeRestore) == nil {
			restore(s)
			c.Restored(s)
			_ = c.at(afterRestore)
		}
	}
}
