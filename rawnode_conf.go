package raft

import (
	"github.com/quorate-raft/raft/internal/hook"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What a host says and is told of configurations.

// ApplyConfChange makes a committed change of membership effective and returns
// the configuration. The host calls it for every entry of type EntryConfChange
// or EntryConfChangeV2 in CommittedEntries, in order, when it applies the entry
// and before AckApply. To refuse a change, as all replicas must alike, it passes
// a change of the same type whose NodeIDs are 0.
//
// With OnAppend the change is in effect already and cannot be refused; a host may do
// without this method.
//
// The returned state carries the index of its entry; it is what a snapshot at
// that index or later, before the next change, has to hold.
func (rn *RawNode) ApplyConfChange(cc pb.ConfChangeI) *pb.ConfState {
	r := rn.raft
	if r.err != nil || isNil(cc) {
		return r.confState()
	}
	change, index := cc.AsV2(), r.confBeingApplied()
	_ = r.fail(r.applyConfChange(change)) // Err tells
	cs := r.confState()
	if w := r.cfg.watch; w != nil {
		w.ApplyConfChange(rn.instance, hook.ConfChange{Index: index, Change: change, Conf: *cs})
	}
	return cs
}

// confState returns the configuration as of what the host applies, which it may save;
// while a received snapshot is not durable the one before it, which the log still
// leads to after a crash.
func (r *raft) confState() *pb.ConfState {
	if r.log.snapshot != nil {
		return r.conf.beforeSnapshot.state()
	}
	at := r.appliedConf()
	return at.state()
}

func (at *confAt) state() *pb.ConfState {
	cs := at.cfg.ConfState()
	cs.Index = at.index
	return &cs
}

// appliedConf returns the configuration as of what the host applies; with OnApply it
// may be ahead of that (see membership.applied).
func (r *raft) appliedConf() confAt {
	if r.onAppend() {
		return r.conf.atOrOldest(max(r.conf.applied, r.log.applied))
	}
	return r.conf.history[len(r.conf.history)-1]
}

// isNil reports whether there is no change, also behind a pointer.
func isNil(cc pb.ConfChangeI) bool {
	switch c := cc.(type) {
	case nil:
		return true
	case *pb.ConfChange:
		return c == nil
	case *pb.ConfChangeV2:
		return c == nil
	}
	return false
}

// ConfStateAt returns the configuration at log index i: what a snapshot of the
// state machine at i has to hold, also when the node has gone on since. i lies
// between the start of the log and what the host applied. ErrCompacted if i is
// before what the node knows of, ErrUnavailable if a change at or before i is
// not applied yet.
func (rn *RawNode) ConfStateAt(i uint64) (*pb.ConfState, error) {
	r := rn.raft
	if r.err != nil {
		return nil, r.err
	}
	for _, c := range r.log.confs {
		if c <= i && c > r.conf.index {
			return nil, ErrUnavailable
		}
	}
	if i > r.log.committed {
		return nil, ErrUnavailable
	}
	at, ok := r.conf.at(i)
	if !ok || len(at.cfg.Voters[0]) == 0 {
		return nil, ErrCompacted
	}
	cs := at.cfg.ConfState()
	cs.Index = min(at.index, i) // that of a bootstrap holds from the start
	return &cs, nil
}

// fillConf tells, with OnAppend, of configurations that are new since the last Ready.
// They come with entries or a snapshot, or with the commit index; the first Ready
// tells what the node began with.
func (rn *RawNode) fillConf(rd *Ready) {
	r := rn.raft
	if r.conf.uses != rn.confUses {
		rn.confUses = r.conf.uses
		rd.ActiveConf = r.conf.history[len(r.conf.history)-1].state()
	}
	if at := r.conf.atOrOldest(r.log.committed); at.index != rn.committedConf {
		rn.committedConf = at.index
		rd.CommittedConf = at.state()
	}
}
