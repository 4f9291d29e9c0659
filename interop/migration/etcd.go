package migration

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// etcdHost runs a node of etcd's raft.
type etcdHost struct {
	node    *raft.RawNode
	storage *raft.MemoryStorage
	disk    disk
	machine machine
	conf    raftpb.ConfState
	send    func(to uint64, encoded []byte)
}

// startEtcd starts a node from a directory. peers are the first members of a new group.
func startEtcd(id uint64, dir string, peers []uint64, send func(to uint64, encoded []byte)) (host, error) {
	h := &etcdHost{storage: raft.NewMemoryStorage(), disk: disk{dir}, send: send}
	if err := h.load(); err != nil {
		return nil, err
	}
	var err error
	h.node, err = raft.NewRawNode(&raft.Config{
		ID: id, ElectionTick: 10, HeartbeatTick: 1, Storage: h.storage, Applied: h.machine.index,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, PreVote: true, CheckQuorum: true, StepDownOnRemoval: true,
		Logger: &raft.DefaultLogger{Logger: discard},
	})
	if err != nil || len(peers) == 0 {
		return h, err
	}
	var first []raft.Peer
	for _, peer := range peers {
		first = append(first, raft.Peer{ID: peer})
	}
	return h, h.node.Bootstrap(first)
}

func (h *etcdHost) load() error {
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
func (h *etcdHost) work() error {
	for h.node.HasReady() {
		rd := h.node.Ready()
		if err := h.save(rd); err != nil {
			return err
		}
		h.sendAll(rd.Messages)
		if !raft.IsEmptySnap(rd.Snapshot) {
			h.machine.restore(rd.Snapshot.Metadata.Index, rd.Snapshot.Data)
			h.conf = rd.Snapshot.Metadata.ConfState
		}
		for _, e := range rd.CommittedEntries {
			if err := h.apply(e); err != nil {
				return err
			}
		}
		h.node.Advance(rd)
	}
	return h.compact()
}

func (h *etcdHost) apply(e raftpb.Entry) error {
	switch e.Type {
	case raftpb.EntryNormal:
		h.machine.apply(e.Index, e.Data)
	case raftpb.EntryConfChange:
		var cc raftpb.ConfChange
		if err := cc.Unmarshal(e.Data); err != nil {
			return err
		}
		h.conf = *h.node.ApplyConfChange(cc)
		h.machine.apply(e.Index, nil)
	case raftpb.EntryConfChangeV2:
		var cc raftpb.ConfChangeV2
		if err := cc.Unmarshal(e.Data); err != nil {
			return err
		}
		h.conf = *h.node.ApplyConfChange(cc)
		h.machine.apply(e.Index, nil)
	}
	return nil
}

func (h *etcdHost) save(rd raft.Ready) error {
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
func (h *etcdHost) compact() error {
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

func (h *etcdHost) saveLog() error {
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

func (h *etcdHost) sendAll(ms []raftpb.Message) {
	for i := range ms {
		encoded, err := ms[i].Marshal()
		if err == nil {
			h.send(ms[i].To, encoded)
		}
		if ms[i].Type == raftpb.MsgSnap {
			h.node.ReportSnapshot(ms[i].To, raft.SnapshotFinish)
		}
	}
}

func (h *etcdHost) step(encoded []byte) error {
	var m raftpb.Message
	if err := m.Unmarshal(encoded); err != nil {
		return err
	}
	return h.node.Step(m)
}

func (h *etcdHost) tick()                        { h.node.Tick() }
func (h *etcdHost) propose(command []byte) error { return h.node.Propose(command) }
func (h *etcdHost) leads() bool                  { return h.node.BasicStatus().RaftState == raft.StateLeader }
func (h *etcdHost) applied() []string            { return h.machine.commands }
