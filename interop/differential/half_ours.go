package differential

import (
	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

func (m *twin) drainOurs() error {
	for range 1000 {
		if !m.o.HasReady() {
			return m.o.Err()
		}
		rd := m.o.Ready()
		if rd.IsEmpty() {
			continue
		}
		m.noteOurs(&rd)
		if m.w.settings.async {
			if err := m.takeOurs(rd); err != nil {
				return err
			}
			continue
		}
		if err := m.writeOurs(&rd); err != nil {
			return err
		}
		if err := m.checkPromises(rd.MessagesAfterAppend); err != nil {
			return err
		}
		m.out.messages = append(m.out.messages, rd.MessagesAfterAppend...)
		for i := range rd.CommittedEntries {
			if err := m.applyOurs(&rd.CommittedEntries[i]); err != nil {
				return err
			}
		}
		if err := m.o.Advance(rd); err != nil {
			return err
		}
	}
	return errNeverReady
}

// noteOurs notes what a Ready hands out.
func (m *twin) noteOurs(rd *ours.Ready) {
	m.out.messages = append(m.out.messages, rd.Messages...)
	for _, rs := range rd.ReadStates {
		m.out.reads = append(m.out.reads, read{rs.Index, string(rs.RequestCtx)})
	}
	m.out.committed = append(m.out.committed, rd.CommittedEntries...)
	m.out.mustSync = m.out.mustSync || rd.MustSync
	m.out.removed = append(m.out.removed, rd.Removed...)
	m.out.refusals = append(m.out.refusals, rd.Refusals...)
	if !ours.IsEmptySnap(rd.Snapshot) {
		m.out.snapshot = rd.Snapshot.Metadata.Index
		cs := rd.Snapshot.Metadata.ConfState
		m.oConf, m.confChanged = &cs, true
	}
	if len(rd.Entries) > 0 {
		m.out.persisted = overwrite(m.out.persisted, rd.Entries, rd.Entries[0].Index, m.first(m.out.persisted))
	}
	if !ours.IsEmptyHardState(rd.HardState) {
		m.ohs = rd.HardState
	}
	if m.w.settings.async {
		m.addTail(rd)
	}
}

// writeOurs writes what a Ready hands out.
func (m *twin) writeOurs(rd *ours.Ready) error {
	if !ours.IsEmptySnap(rd.Snapshot) {
		if err := m.od.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
		m.od.SetConfState(rd.Snapshot.Metadata.ConfState)
	}
	if len(rd.Entries) > 0 {
		if err := m.od.Append(rd.Entries); err != nil {
			return err
		}
	}
	if !ours.IsEmptyHardState(rd.HardState) {
		if err := m.od.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	if rd.MustSync {
		m.sync()
	}
	return nil
}

// sync makes what is on disk last.
func (m *twin) sync() {
	hs, _, _ := m.od.InitialState()
	m.synced = hs.Commit
}

func (m *twin) first(ents []opb.Entry) uint64 {
	if len(ents) == 0 {
		return 0
	}
	return ents[0].Index
}

// overwrite returns what is written once more follows old, which begins at first.
func overwrite[E any](old, more []E, index, first uint64) []E {
	if len(old) > 0 {
		if index < first {
			old = old[:0]
		} else if keep := index - first; keep < uint64(len(old)) {
			old = old[:keep]
		}
	}
	return append(old, more...)
}

func (m *twin) applyOurs(e *opb.Entry) error {
	if e.Type == opb.EntryNormal {
		return nil
	}
	cc, err := opb.UnmarshalConfChange(*e)
	if err != nil {
		return err
	}
	cs := m.o.ApplyConfChange(cc)
	m.od.SetConfState(*cs)
	if m.tailSnap == nil {
		m.oConf = cs
	}
	m.confChanged = true
	return nil
}
