package differential

import (
	"bytes"
	"fmt"

	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/interop/etcdraft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// leavesSooner reports whether ours left an automatic joint configuration by itself
// in this step, with nothing unapplied before, and theirs waited: for an entry to
// apply after the first commit in the term, or for all that it found in its log.
func (w *world) leavesSooner(o *ours.BasicStatus, t *theirs.BasicStatus) bool {
	c, m := &w.cur, w.cur.m
	if !w.settings.async || o.RaftState != ours.StateLeader || o.LastIndex == c.before.LastIndex || o.LastIndex > m.tLast+1 ||
		!m.oConf.AutoLeave || !w.isLeave(o.LastIndex) || w.changeIn(o.Applied, o.LastIndex-1) || m.term(o.Commit) != o.Term {
		return false
	}
	first := m.term(c.before.Commit) != o.Term
	return first || o.LastIndex == m.tLast+1 && o.Applied > c.before.Applied && *m.tp.pendingConf() > t.Applied
}

// theirsLeaves reports whether the last entry that theirs handed out in this step
// leaves a joint configuration.
func (w *world) theirsLeaves() bool {
	ents := w.cur.m.tout.persisted
	if len(ents) == 0 {
		return false
	}
	e := &ents[len(ents)-1]
	return e.Type == tpb.EntryConfChangeV2 && len(e.Data) == 0
}

// isLeave reports whether our log has an entry there that leaves a joint
// configuration, as a leader makes it by itself.
func (w *world) isLeave(index uint64) bool {
	m := w.cur.m
	for i := range m.tail {
		if e := &m.tail[i]; e.Index == index {
			return e.Type == opb.EntryConfChangeV2 && len(e.Data) == 0
		}
	}
	ents, err := m.od.Entries(index, index+1, 1<<40)
	return err == nil && ents[0].Type == opb.EntryConfChangeV2 && len(ents[0].Data) == 0
}

// compareSavedConf compares the configurations on disk. While a snapshot is being
// written ours may keep that of an earlier index: a restart finds the changes from
// there to what is applied in the log.
func (w *world) compareSavedConf(oc opb.ConfState, tc tpb.ConfState) error {
	m := w.cur.m
	if m.tailSnap != nil {
		if applied := m.o.BasicStatus().Applied; oc.Index > applied {
			return w.fail("configuration of %d on disk, applied is %d", oc.Index, applied)
		}
		if oc.Index < m.tConfs[0].index {
			return nil // of before both began anew
		}
		tc = m.theirConfAt(oc.Index)
	}
	if err := oc.Equivalent(withMembers(etcdraft.ToConf(&tc), oc.Members)); err != nil {
		return w.fail("configuration on disk: %v", err)
	}
	return nil
}

// compareWrites compares what was persisted and what was applied.
func (w *world) compareWrites() error {
	m := w.cur.m
	if what := entriesDiffer(m.out.persisted, m.tout.persisted); what != "" {
		return w.fail("persisted: %s", what)
	}
	if what := entriesDiffer(m.out.committed, m.tout.committed); what != "" {
		return w.fail("committed: %s", what)
	}
	if m.out.snapshot != m.tout.snapshot {
		return w.fail("restores snapshot %d, theirs %d", m.out.snapshot, m.tout.snapshot)
	}
	oh, oc, _ := m.od.InitialState()
	th, tc, _ := m.td.InitialState()
	if oh.Term != th.Term || oh.Vote != th.Vote || oh.Commit != th.Commit {
		return w.fail("hard state on disk %v, theirs %v", oh, th)
	}
	if oh, th := &m.ohs, &m.ths; oh.Term != th.Term || oh.Vote != th.Vote || oh.Commit != th.Commit {
		return w.fail("hands out hard state %v, theirs %v", oh, th)
	}
	if w.settings.async && m.confChanged {
		if err := w.compareSavedConf(oc, tc); err != nil {
			return err
		}
	}
	change := w.changeIn(w.cur.handed, m.ohs.Commit) && w.cur.op.kind != opRestart
	if change && !m.out.mustSync {
		return w.fail("ours need not sync, though a change of configuration was committed")
	}
	if m.out.mustSync != m.tout.mustSync {
		if !m.out.mustSync || !(change || m.out.snapshot != 0) {
			return w.fail("must sync %t, theirs %t", m.out.mustSync, m.tout.mustSync)
		}
		w.apply(syncForCommittedChange)
	}
	return nil
}

func entriesDiffer(o []opb.Entry, t []tpb.Entry) string {
	if len(o) != len(t) {
		return fmt.Sprintf("%d entries, theirs %d: %v, theirs %v", len(o), len(t), o, t)
	}
	for i := range o {
		if o[i].Index != t[i].Index || o[i].Term != t[i].Term || int32(o[i].Type) != int32(t[i].Type) || !bytes.Equal(o[i].Data, t[i].Data) {
			return fmt.Sprintf("entry %v, theirs %v", o[i], t[i])
		}
	}
	return ""
}

// compareConf compares the active configuration after each change.
func (w *world) compareConf() error {
	m := w.cur.m
	if !m.confChanged {
		return nil
	}
	cfg := m.o.Status().Config
	cs := cfg.ConfState()
	cs.Members = nil // etcd has no contexts
	trk := m.tp.trk().ConfState()
	theirs := etcdraft.ToConf(&trk)
	if err := cs.Equivalent(theirs); err != nil {
		return w.fail("active configuration, ours and theirs: %v", err)
	}
	told := *m.oConf
	told.Members = nil
	if err := told.Equivalent(etcdraft.ToConf(&m.tConf)); err != nil {
		return w.fail("configuration as told, ours and theirs: %v", err)
	}
	return nil
}
