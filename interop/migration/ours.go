package migration

import (
	"errors"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/raftpb"
)

// ourHost runs a node of this library. It is etcdHost with other imports, but for what a
// comment marks.
type ourHost struct {
	node    *raft.RawNode
	storage *raft.MemoryStorage
	disk    disk
	machine machine
	conf    raftpb.ConfState
	send    func(to uint64, encoded []byte)
}

// startOurs starts a node from a directory. peers are the first members of a new group.
func startOurs(id uint64, dir string, peers []uint64, send func(to uint64, encoded []byte)) (host, error) {
	h := &ourHost{storage: raft.NewMemoryStorage(), disk: disk{dir}, send: send}
	if err := h.load(); err != nil {
		return nil, err
	}
	var err error
	// PreVote, CheckQuorum and stepping down on removal are on by default.
	h.node, err = raft.NewRawNode(&raft.Config{ID: id, Storage: h.storage, Applied: h.machine.index})
	if err != nil || len(peers) == 0 {
		return h, err
	}
	var first []raft.Peer
	for _, peer := range peers {
		first = append(first, raft.Peer{ID: peer})
	}
	return h, h.node.Bootstrap(first)
}

func (h *ourHost) load() error {
	var snapshot raftpb.Snapshot
	var state raftpb.HardState
	err := errors.Join(h.disk.load(snapshotFile, &snapshot), h.disk.load(hardStateFile, &state))
	if err != nil {
		return err
	}
	if !raft.IsEmptySnap(snapshot) {
		if err := h.storage.ApplySnapshot(snapshot); err != nil {
			return err
		}
		h.machine.restore(snapshot.Metadata.Index, snapshot.Data)
		h.conf = snapshot.Metadata.ConfState
	}
	if err := h.storage.SetHardState(state); err != nil {
		return err
	}
	return h.disk.loadEntries(func(encoded []byte) error {
		var e raftpb.Entry
		if err := e.Unmarshal(encoded); err != nil {
			return err
		}
		return h.storage.Append([]raftpb.Entry{e})
	})
}

// work handles all that is ready.
func (h *ourHost) work() error {
	for h.node.HasReady() {
		rd := h.node.Ready()
		h.sendAll(rd.Messages) // may leave at any time
		if err := h.save(rd); err != nil {
			return err
		}
		h.sendAll(rd.MessagesAfterAppend) // votes and acknowledgements: new, and not to be forgotten
		if !raft.IsEmptySnap(rd.Snapshot) {
			h.machine.restore(rd.Snapshot.Metadata.Index, rd.Snapshot.Data)
			h.conf = rd.Snapshot.Metadata.ConfState
		}
		for _, e := range rd.CommittedEntries {
			if err := h.apply(e); err != nil {
				return err
			}
		}
		if err := h.node.Advance(rd); err != nil { // says what is wrong, instead of a panic
			return err
		}
	}
	return h.compact()
}

func (h *ourHost) apply(e raftpb.Entry) error {
	if e.Type == raftpb.EntryNormal {
		h.machine.apply(e.Index, e.Data)
		return nil
	}
	cc, err := raftpb.UnmarshalConfChange(e) // either kind
	if err != nil {
		return err
	}
	h.conf = *h.node.ApplyConfChange(cc)
	h.machine.apply(e.Index, nil)
	return nil
}

func (h *ourHost) save(rd raft.Ready) error {
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := errors.Join(h.storage.ApplySnapshot(rd.Snapshot), h.disk.save(snapshotFile, &rd.Snapshot)); err != nil {
			return err
		}
	}
	if len(rd.Entries) > 0 || !raft.IsEmptySnap(rd.Snapshot) {
		if err := errors.Join(h.storage.Append(rd.Entries), h.saveLog()); err != nil {
			return err
		}
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if err := errors.Join(h.storage.SetHardState(rd.HardState), h.disk.save(hardStateFile, &rd.HardState)); err != nil {
			return err
		}
	}
	return nil
}

// compact takes a snapshot now and then, and drops the log that it covers.
func (h *ourHost) compact() error {
	first, err := h.storage.FirstIndex()
	if err != nil || h.machine.index < first+snapshotEvery {
		return err
	}
	snapshot, err := h.storage.CreateSnapshot(h.machine.index, &h.conf, h.machine.snapshot())
	if err != nil {
		return err
	}
	if err := h.disk.save(snapshotFile, &snapshot); err != nil {
		return err
	}
	return errors.Join(h.storage.Compact(h.machine.index-trailing), h.saveLog())
}

func (h *ourHost) saveLog() error {
	first, _ := h.storage.FirstIndex()
	last, _ := h.storage.LastIndex()
	var encoded [][]byte
	if last >= first {
		entries, err := h.storage.Entries(first, last+1, 1<<40)
		if err != nil {
			return err
		}
		for i := range entries {
			e, err := entries[i].Marshal()
			if err != nil {
				return err
			}
			encoded = append(encoded, e)
		}
	}
	return h.disk.saveEntries(encoded)
}

func (h *ourHost) sendAll(ms []raftpb.Message) {
	for i := range ms {
		encoded, err := ms[i].Marshal()
		if err == nil {
			h.send(ms[i].To, encoded)
		}
		if ms[i].Type == raftpb.MsgSnap {
			_ = h.node.ReportSnapshot(ms[i].To, raft.SnapshotFinish)
		}
	}
}

func (h *ourHost) step(encoded []byte) error {
	var m raftpb.Message
	if err := m.Unmarshal(encoded); err != nil {
		return err
	}
	return h.node.Step(m)
}

func (h *ourHost) tick()                        { h.node.Tick() }
func (h *ourHost) propose(command []byte) error { return h.node.Propose(command) }
func (h *ourHost) leads() bool                  { return h.node.BasicStatus().RaftState == raft.StateLeader }
func (h *ourHost) applied() []string            { return h.machine.commands }
