package differential

import (
	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/interop/etcdraft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// realign starts both halves anew from the disk of the one that the others hear.
func (w *world) realign() error {
	m := w.cur.m
	if err := m.survive(w.step); err != nil {
		return w.fail("realign: %v", err)
	}
	m.dropPending()
	if m.speaksTheirs {
		if err := m.copyToOurs(); err != nil {
			return w.fail("realign: %v", err)
		}
	} else if err := m.copyToTheirs(); err != nil {
		return w.fail("realign: %v", err)
	}
	m.sync()
	snap, err := m.od.Snapshot()
	if err != nil {
		return w.fail("realign: %v", err)
	}
	m.applied = max(m.applied, snap.Metadata.Index) // it may have been on its way
	if err := m.start(); err != nil {
		return w.fail("realign: %v", err)
	}
	if err := m.drain(); err != nil {
		return w.fail("realign: %v", err)
	}
	m.applied = m.o.BasicStatus().Applied
	*m.tp.timeout() = m.op.timeout()
	o, t := m.o.BasicStatus(), m.t.BasicStatus()
	if what := coreDifference(&o, &t, m.tLast); what != "" {
		return w.fail("realign: %s", what)
	}
	return w.compareConf()
}

func (m *twin) copyToTheirs() error {
	m.tConfs = nil
	d := &theirDisk{MemoryStorage: theirs.NewMemoryStorage(), conf: etcdraft.FromConf(m.oConf)}
	m.applied = m.o.BasicStatus().Applied
	snap, err := m.od.Snapshot()
	if err != nil {
		return err
	}
	first, _ := m.od.FirstIndex()
	last, _ := m.od.LastIndex()
	if first > 1 {
		// etcd's storage compacts up to its snapshot or before; this one begins
		// where ours does.
		term, err := m.od.Term(first - 1)
		if err != nil {
			return err
		}
		begin := *etcdraft.FromSnapshot(&snap)
		begin.Metadata.Index, begin.Metadata.Term = first-1, term
		if err := d.ApplySnapshot(begin); err != nil {
			return err
		}
	}
	if first <= last {
		ents, err := m.od.Entries(first, last+1, 1<<40)
		if err != nil {
			return err
		}
		if err := d.Append(etcdraft.FromEntries(ents)); err != nil {
			return err
		}
	}
	if snap.Metadata.Index >= first {
		conf := etcdraft.FromConf(&snap.Metadata.ConfState)
		if _, err := d.CreateSnapshot(snap.Metadata.Index, &conf, nil); err != nil {
			return err
		}
	}
	hs, _, _ := m.od.InitialState()
	m.td = d
	return d.SetHardState(tpb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: hs.Commit})
}

func (m *twin) copyToOurs() error {
	d := ourDisk{ours.NewMemoryStorage()}
	m.applied = m.t.BasicStatus().Applied
	of := m.theirConfFrom(max(m.applied, m.tConfs[0].index)).index // the entry that the configuration is of
	m.tConfs = nil
	snap, err := m.td.Snapshot()
	if err != nil {
		return err
	}
	first, _ := m.td.FirstIndex()
	last, _ := m.td.LastIndex()
	if first > 1 {
		term, err := m.td.Term(first - 1)
		if err != nil {
			return err
		}
		begin := *etcdraft.ToSnapshot(&snap)
		begin.Metadata.Index, begin.Metadata.Term = first-1, term
		if err := d.ApplySnapshot(begin); err != nil {
			return err
		}
	}
	if first <= last {
		ents, err := m.td.Entries(first, last+1, 1<<40)
		if err != nil {
			return err
		}
		if err := d.Append(etcdraft.ToEntries(ents)); err != nil {
			return err
		}
	}
	if snap.Metadata.Index >= first {
		conf := etcdraft.ToConf(&snap.Metadata.ConfState)
		if _, err := d.CreateSnapshot(snap.Metadata.Index, &conf, nil); err != nil {
			return err
		}
	}
	hs, cs, _ := m.td.InitialState()
	m.od = d
	if m.applied > 0 {
		conf := etcdraft.ToConf(&cs)
		conf.Index = of
		d.SetConfState(conf)
	}
	return d.SetHardState(opb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: hs.Commit})
}
