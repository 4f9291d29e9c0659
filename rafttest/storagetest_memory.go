package rafttest

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Memory returns ms with the writes of a Storage. Nothing in it is durable: it
// lives as long as ms.
func Memory(ms *raft.MemoryStorage) Storage { return memory{ms} }

type memory struct{ *raft.MemoryStorage }

// Save implements Storage.
func (m memory) Save(rd raft.Ready) error {
	snapshot := !raft.IsEmptySnap(rd.Snapshot)
	// The snapshot is the first write, so its error leaves all as it was. A gap is
	// found before that.
	end, err := m.LastIndex()
	if err != nil {
		return err
	}
	if snapshot {
		end = rd.Snapshot.Metadata.Index
	}
	if len(rd.Entries) > 0 && rd.Entries[0].Index > end+1 {
		return fmt.Errorf("rafttest: entries from %d on would leave a gap after %d", rd.Entries[0].Index, end)
	}
	if snapshot {
		if err := m.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
	}
	if err := m.Append(rd.Entries); err != nil {
		return err
	}
	if raft.IsEmptyHardState(rd.HardState) {
		return nil
	}
	return m.SetHardState(rd.HardState)
}

// SetConfState implements Storage.
func (m memory) SetConfState(cs pb.ConfState) error {
	m.MemoryStorage.SetConfState(cs)
	return nil
}

// CreateSnapshot implements Storage.
func (m memory) CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	_, err := m.MemoryStorage.CreateSnapshot(i, &cs, data)
	return err
}
