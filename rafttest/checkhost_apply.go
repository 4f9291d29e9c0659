package rafttest

import (
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/internal/hook"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What was handed out to be applied, and the configurations that came of it.

// applyState is how far a host is with applying.
type applyState struct {
	high     uint64 // highest index that the state machine holds
	snapshot uint64 // index of the last snapshot that was handed out
	// waiting is what AckApply does not cover yet, in order.
	waiting []*toApply
	// entries are those handed out and not applied, and those waiting.
	entries map[uint64]*toApply
}

// toApply is an entry, or a snapshot, that was handed out.
type toApply struct {
	index    uint64
	of       *handedReady
	snapshot bool
	entry    digest
	term     uint64
	// change is what the entry holds, if it is a change of configuration.
	change   *pb.ConfChangeV2
	changed  bool // ApplyConfChange was called
	finished bool // applied or restored
}

// handOut adds what r asks to apply.
func (a *applyState) handOut(r *handedReady) {
	if snap := r.rd.Snapshot; !raft.IsEmptySnap(snap) {
		a.snapshot = snap.Metadata.Index
		a.waiting = append(a.waiting, &toApply{index: a.snapshot, of: r, snapshot: true})
	}
	for i, e := range r.rd.CommittedEntries {
		it := &toApply{index: e.Index, term: e.Term, of: r, entry: r.applies[i]}
		if cc, err := pb.UnmarshalConfChange(e); err == nil {
			change := cc.AsV2()
			it.change = &change
		}
		a.waiting = append(a.waiting, it)
		a.entries[e.Index] = it
	}
}

// reached returns the index up to which everything is applied.
func (a *applyState) reached() uint64 {
	for _, it := range a.waiting {
		if !it.finished {
			return min(a.high, it.index-1)
		}
	}
	return a.high
}

// restored notes that the state machine holds a snapshot of index, and with it
// all that it covers.
func (a *applyState) restored(index uint64) {
	a.high = max(a.high, index)
	for _, it := range a.waiting {
		if it.index <= index {
			it.finished, it.changed = true, true
		}
	}
}

// judgeApplied judges that the host applied e.
func (c *HostCheck) judgeApplied(n *watchedNode, e pb.Entry) {
	a := &n.apply
	it := a.entries[e.Index]
	switch {
	case (it == nil || it.finished) && e.Index <= a.high:
		c.broke(RuleApplyOnce, "entry %d is applied, the state machine holds it already", e.Index)
		return
	case it == nil || it.term != e.Term:
		c.broke(RuleApplyHandedOut, "entry %d of term %d is applied, it was not handed out", e.Index, e.Term)
		return
	case digestOf(&e) != it.entry:
		c.broke(RuleEntriesUnchanged, "entry %d is not applied as it was handed out", e.Index)
	}
	if e.Index < a.high {
		c.broke(RuleApplyOrder, "entry %d is applied after %d", e.Index, a.high)
	}
	it.finished = true
	a.high = max(a.high, e.Index)
}

// judgeAckApply judges an AckApply that the node accepted.
func (c *HostCheck) judgeAckApply(n *watchedNode, index uint64) {
	a := &n.apply
	for len(a.waiting) > 0 && a.waiting[0].index <= index {
		it := a.waiting[0]
		a.waiting = a.waiting[1:]
		switch {
		case it.finished && !it.snapshot:
			delete(a.entries, it.index)
		case it.finished:
		case it.snapshot:
			// Until then nothing later is handed out.
			c.broke(RuleRestoreSnapshot, "AckApply(%d), the snapshot of %d is not restored", index, it.index)
		case it.index < a.high:
			c.broke(RuleApplyEach, "entry %d is left out, %d is applied", it.index, a.high)
		default:
			c.broke(RuleAckAfterApply, "AckApply(%d), entry %d is not applied", index, it.index)
		}
		if it.change != nil && !it.changed && !n.onAppend {
			c.broke(RuleConfChangeApplied, "AckApply(%d) before ApplyConfChange of entry %d", index, it.index)
			n.confs = nil // what holds now is not known
		}
		if it.index == it.of.rd.AppliedIndex() {
			c.judgeUnchanged(it.of)
		}
	}
}

// judgeLeftOut judges, when a node has come to its end, whether an entry was
// left out.
func (c *HostCheck) judgeLeftOut(n *watchedNode) {
	for _, it := range n.apply.waiting {
		if !it.finished && !it.snapshot && it.index < n.apply.high {
			c.broke(RuleApplyEach, "entry %d is left out, %d is applied", it.index, n.apply.high)
		}
	}
}

// confFrom is a configuration and the first index that it holds at.
type confFrom struct {
	from uint64
	conf pb.ConfState
}

// confAt returns the configuration at index i, if it is known.
func (n *watchedNode) confAt(i uint64) (pb.ConfState, bool) {
	for _, c := range slices.Backward(n.confs) {
		if c.from <= i {
			return c.conf, true
		}
	}
	return pb.ConfState{}, false
}

// judgeConfChange judges an ApplyConfChange.
func (c *HostCheck) judgeConfChange(n *watchedNode, cc hook.ConfChange) {
	it := n.apply.entries[cc.Index]
	for _, w := range n.apply.waiting {
		// A node that received a snapshot meanwhile knows no entry before it.
		if cc.Index == 0 && it == nil && w.change != nil && !w.changed {
			it = w
		}
	}
	if it == nil || it.change == nil {
		c.broke(RuleConfChangeOrder, "ApplyConfChange(%v) with no change of configuration to be applied", cc.Change)
		return
	}
	it.changed = true
	if !sameChange(*it.change, cc.Change, !n.onAppend) {
		c.broke(RuleConfChangeOrder, "ApplyConfChange(%v) for entry %d, which holds %v", cc.Change, it.index, *it.change)
	}
	switch {
	case n.onAppend: // it changes nothing
	case cc.Index == 0:
		n.confs = slices.DeleteFunc(n.confs, func(c confFrom) bool { return c.from <= it.index })
	case n.fresh:
		n.confs = append(n.confs, confFrom{cc.Index, cc.Conf})
	default: // a later one may be persisted already
		n.confs = append(n.confs, confFrom{max(cc.Index, cc.Conf.Index), cc.Conf})
	}
}

// learnConfs notes, with OnAppend, which configurations the committed entries make,
// whether the host calls ApplyConfChange for them or not.
func (n *watchedNode) learnConfs(rd *raft.Ready) {
	if c := rd.CommittedConf; c != nil {
		n.told = append(n.told, *c)
		if n.fresh {
			// The first one of a group holds from its first entry on.
			n.fresh, n.confs = false, []confFrom{{c.Index, *c}}
		}
	}
	for _, e := range rd.CommittedEntries {
		last := n.confs[len(n.confs)-1]
		cc, err := pb.UnmarshalConfChange(e)
		if err != nil || e.Index <= last.from {
			continue
		}
		conf := last.conf // one that is impossible changes nothing
		if cfg, err := confchange.Restore(last.conf); err == nil {
			if next, err := confchange.ApplyAt(cfg, cc.AsV2(), e.Index); err == nil {
				conf = next.ConfState()
			}
		}
		conf.Index = e.Index
		n.confs = append(n.confs, confFrom{e.Index, conf})
	}
}

// judgeStored judges that the host stores cs by itself.
func (c *HostCheck) judgeStored(n *watchedNode, cs pb.ConfState) {
	for _, told := range n.told {
		if told.Index == cs.Index && told.Equivalent(cs) == nil {
			return
		}
	}
	c.judgeConf(n, cs.Index, cs, "a configuration")
}

// sameChange reports whether the host made effective what the entry holds, or
// refused it with node 0, if it may.
func sameChange(entry, host pb.ConfChangeV2, mayRefuse bool) bool {
	refused := mayRefuse && len(host.Changes) > 0
	for _, single := range host.Changes {
		refused = refused && single.NodeID == 0
	}
	return refused || (entry.Transition == host.Transition && slices.EqualFunc(entry.Changes, host.Changes, pb.ConfChangeSingle.Equal))
}

// judgeConf judges that the host stores cs as the configuration at index i.
func (c *HostCheck) judgeConf(n *watchedNode, i uint64, cs pb.ConfState, where string) {
	want, known := n.confAt(i)
	if !known {
		return
	}
	if cs.Index > i {
		c.broke(RuleConfOfIndex, "%s of index %d has the configuration of %d", where, i, cs.Index)
	} else if err := want.Equivalent(cs); err != nil {
		c.broke(RuleConfOfIndex, "%s of index %d: %v", where, i, err)
	}
}
