package differential

import (
	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"
)

func (m *twin) drainTheirs() error {
	return caught(func() error {
		for range 1000 {
			if !m.t.HasReady() {
				return nil
			}
			rd := m.t.Ready()
			m.noteTheirs(&rd)
			if m.w.settings.async {
				if err := m.takeTheirs(&rd); err != nil {
					return err
				}
				continue
			}
			m.tout.messages = append(m.tout.messages, rd.Messages...)
			if err := m.writeTheirs(&tpb.Message{
				Term: rd.Term, Vote: rd.Vote, Commit: rd.Commit, Entries: rd.Entries, Snapshot: &rd.Snapshot,
			}); err != nil {
				return err
			}
			for i := range rd.CommittedEntries {
				if err := m.applyTheirs(&rd.CommittedEntries[i]); err != nil {
					return err
				}
			}
			m.t.Advance(rd)
		}
		return errNeverReady
	})
}

// noteTheirs notes what a Ready hands out, but for messages.
func (m *twin) noteTheirs(rd *theirs.Ready) {
	for _, rs := range rd.ReadStates {
		m.tout.reads = append(m.tout.reads, read{rs.Index, string(rs.RequestCtx)})
	}
	m.tout.committed = append(m.tout.committed, rd.CommittedEntries...)
	m.tout.mustSync = m.tout.mustSync || rd.MustSync
	if !theirs.IsEmptySnap(rd.Snapshot) {
		m.tout.snapshot = rd.Snapshot.Metadata.Index
		m.tConf, m.confChanged = rd.Snapshot.Metadata.ConfState, true
		m.tLast = rd.Snapshot.Metadata.Index
	}
	if n := len(rd.Entries); n > 0 {
		first := uint64(0)
		if len(m.tout.persisted) > 0 {
			first = m.tout.persisted[0].Index
		}
		m.tout.persisted = overwrite(m.tout.persisted, rd.Entries, rd.Entries[0].Index, first)
		m.tLast = rd.Entries[n-1].Index
	}
	if !theirs.IsEmptyHardState(rd.HardState) {
		m.ths = rd.HardState
	}
}

// writeTheirs writes what a MsgStorageAppend says.
func (m *twin) writeTheirs(w *tpb.Message) error {
	if w.Snapshot != nil && !theirs.IsEmptySnap(*w.Snapshot) {
		if err := m.td.ApplySnapshot(*w.Snapshot); err != nil {
			return err
		}
		meta := &w.Snapshot.Metadata
		m.td.conf = meta.ConfState
		m.tConfs = append(m.tConfs[:0], confFrom{meta.Index, m.td.conf})
	}
	if len(w.Entries) > 0 {
		if err := m.td.Append(w.Entries); err != nil {
			return err
		}
	}
	if hs := (tpb.HardState{Term: w.Term, Vote: w.Vote, Commit: w.Commit}); !theirs.IsEmptyHardState(hs) {
		return m.td.SetHardState(hs)
	}
	return nil
}

func (m *twin) applyTheirs(e *tpb.Entry) error {
	var cc tpb.ConfChangeI
	switch e.Type {
	case tpb.EntryConfChange:
		var v1 tpb.ConfChange
		if err := v1.Unmarshal(e.Data); err != nil {
			return err
		}
		cc = v1
	case tpb.EntryConfChangeV2:
		var v2 tpb.ConfChangeV2
		if err := v2.Unmarshal(e.Data); err != nil {
			return err
		}
		cc = v2
	default:
		return nil
	}
	m.confChanged = true
	if m.tailSnap != nil {
		cs, err := m.applyUnderSnapshot(cc.AsV2())
		if err != nil {
			return err
		}
		m.w.apply(changeUnderSnapshot)
		m.td.conf = cs
	} else {
		m.tConf = *m.t.ApplyConfChange(cc)
		m.td.conf = m.tConf
	}
	m.tConfs = append(m.tConfs, confFrom{e.Index, m.td.conf})
	return nil
}
