package sim

import (
	"errors"
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What hosts do about configurations. Where changes take effect on append they have a
// choice, and each life of a node makes one.

type confHabit uint8

const (
	// confInOrder: what ApplyConfChange returns is written among the other records. The
	// only one where changes take effect when they are applied.
	confInOrder confHabit = iota
	// confApart: what is committed is kept in a file of its own, which is synced at once.
	// After a crash it may be ahead of the commit index.
	confApart
	// confNever: ApplyConfChange is not called and nothing is kept; the node has the
	// snapshot and the log.
	confNever
	numHabits
)

// drawHabit is not drawn from a stream, so that all else stays as it was.
func (s *simulation) drawHabit(n *node) confHabit {
	if s.o.ConfChangeEffect != raft.OnAppend {
		return confInOrder
	}
	return confHabit(mix(s.o.Seed<<16^n.id<<8^uint64(n.life)) % uint64(numHabits))
}

// confCommitted is told what a Ready says is committed.
func (s *simulation) confCommitted(n *node, rd *raft.Ready) {
	if rd.CommittedConf != nil && n.habit == confApart && n.own == nil && raft.IsEmptySnap(rd.Snapshot) {
		n.disk.keepApart(rd.CommittedConf)
	}
}

// keepConf stores what ApplyConfChange returned.
func (s *simulation) keepConf(n *node, cs *pb.ConfState) bool {
	if n.habit == confApart && n.own == nil && n.disk.keepApart(cs) {
		return true
	}
	n.record(record{conf: cs})
	if n.own == nil {
		return true
	}
	err := n.own.SetConfState(*cs)
	if err == nil {
		err = n.sameConf()
	}
	if err != nil {
		s.fail("storage", n.id, fmt.Sprintf("SetConfState: %v", err))
	}
	return err == nil
}

// keepApart makes a committed configuration durable at once, unless its entry is not.
func (d *disk) keepApart(cs *pb.ConfState) bool {
	written, ok := d.written.term(cs.Index)
	durable, also := d.durable.term(cs.Index)
	if !ok || !also || written != durable {
		return false
	}
	r := record{conf: cs}
	d.written.apply(&r)
	d.durable.apply(&r)
	return true
}

// passOver is ApplyConfChange of a host that does without. It reports whether the node
// goes on.
func (s *simulation) passOver(n *node, e *pb.Entry) bool {
	cs, err := n.ConfStateAt(e.Index)
	switch {
	case err == nil:
		s.markConf(n, cs)
	case !errors.Is(err, raft.ErrCompacted): // a received snapshot is about to replace everything
		s.fail("S17", n.id, fmt.Sprintf("no configuration at %d, which is being applied: %v", e.Index, err))
		return false
	}
	s.stats.ConfChanges++
	return !s.passes(n, atConf)
}
