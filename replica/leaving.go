package replica

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// ErrRemoved: the replica was removed from its group, is sure of it, and stopped
// (Config.StopWhenRemoved). It is not to be started again, and its ID not to be used.
// The error is a RemovedError.
var ErrRemoved = errors.New("replica: removed from the group")

// RemovedError is what a replica stops with that was removed. It matches ErrRemoved.
type RemovedError struct{ Removal Removal }

func (e *RemovedError) Error() string { return fmt.Sprintf("%v: %v", ErrRemoved, e.Removal) }

// Is reports whether target is ErrRemoved.
func (e *RemovedError) Is(target error) bool { return target == ErrRemoved }

// Removal is what a replica knows of its own removal from the group.
type Removal struct {
	// Index is that of the newest configuration without the replica that it knows of.
	Index uint64
	// By are the members that said so, in ascending order. There are none if it is
	// what this replica has applied itself.
	By []uint64
	// Sure says that it is certain: the replica has applied it, or so many members said
	// so as Config.RemovalWords asks for.
	Sure bool
}

// String says it in a sentence, "" if there is nothing to say.
func (r Removal) String() string {
	switch {
	case r.Index == 0:
		return ""
	case len(r.By) == 0:
		return fmt.Sprintf("this member was removed by entry %d", r.Index)
	case r.Sure:
		return fmt.Sprintf("this member was removed by entry %d or before, as members %d say", r.Index, r.By)
	}
	return fmt.Sprintf("members %d say that this one was removed by entry %d or before, which is not certain yet", r.By, r.Index)
}

// lingerTimeouts is for how many election timeouts a replica that has applied its own
// removal answers yet. If the leader dies before it has told the others that the
// removal is committed, they may need the vote, and the word, of one who knows.
const lingerTimeouts = 2

// leaving is what the loop knows of the replica's own removal.
type leaving struct {
	// member says that the replica is known to have been a member, by the applied
	// configuration at index since. Of one before that, or of one that joins, it
	// says nothing that the replica is not in it.
	member  bool
	since   uint64
	applied uint64            // the applied configuration without it, 0 if there is none
	words   map[uint64]uint64 // what members said, by member
	until   uint64            // the tick at which it stops, once it has applied its removal
}

// wasMember takes note of the configuration that the replica starts with, which is that
// of what is applied unless it has an index.
func (r *Replica) wasMember(applied uint64) error {
	_, cs, err := r.cfg.Storage.InitialState()
	if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	if cs.Index == 0 {
		cs.Index = applied
	}
	r.appliedConf(&cs)
	return nil
}

// appliedConf takes note of a configuration that is applied here, and thus committed.
// The loop calls it.
func (r *Replica) appliedConf(cs *pb.ConfState) {
	l := &r.leaving
	switch {
	case isMember(cs, r.cfg.ID):
		l.member, l.since, l.applied = true, max(l.since, cs.Index), 0
	case l.member && cs.Index > l.since && l.applied == 0:
		l.applied, l.until = cs.Index, r.ticks+lingerTimeouts*uint64(r.electionTick)
		r.log.Warn("this member was removed from the group", zap.Uint64("index", cs.Index))
		r.publish(Event{Kind: Removed, Index: cs.Index, Sure: true})
	}
}

func isMember(cs *pb.ConfState, id uint64) bool {
	for _, ids := range [][]uint64{cs.Voters, cs.VotersOutgoing, cs.Learners, cs.LearnersNext} {
		if slices.Contains(ids, id) {
			return true
		}
	}
	return false
}

// told takes note of the words of members that this one was removed.
func (r *Replica) told(words []raft.Removal) {
	l := &r.leaving
	r.forgetWords()
	for _, w := range words {
		if l.applied != 0 || w.Index <= l.words[w.By] {
			continue
		}
		if l.words == nil {
			l.words = map[uint64]uint64{}
		}
		l.words[w.By] = w.Index
		sure := r.removal().Sure
		if sure {
			r.targets.removed()
		}
		r.log.Warn("a member says that this one was removed from the group",
			zap.Uint64("by", w.By), zap.Uint64("index", w.Index), zap.Bool("sure", sure))
		r.publish(Event{Kind: Removed, Index: w.Index, By: w.By, Sure: sure})
	}
}

// forgetWords drops words about configurations that this replica has by now, and those
// of members that are none any more.
func (r *Replica) forgetWords() {
	st := r.node.Status()
	maps.DeleteFunc(r.leaving.words, func(by, index uint64) bool {
		return index <= st.ConfigIndex || !st.Config.Contains(by)
	})
}

// removal returns what is known of the replica's removal.
func (r *Replica) removal() Removal {
	l := &r.leaving
	if l.applied != 0 {
		return Removal{Index: l.applied, Sure: true}
	}
	if len(l.words) == 0 {
		return Removal{}
	}
	by := slices.Sorted(maps.Keys(l.words))
	cfg := r.node.Status().Config
	return Removal{Index: slices.Max(slices.Collect(maps.Values(l.words))), By: by, Sure: enough(&cfg, r.cfg.ID, by, r.cfg.RemovalWords)}
}

// enough reports whether so many members said that one was removed that it is certain:
// want of them, or with 0 a majority of the voters, who could as well have removed it, or
// all others where they are fewer. In a joint configuration that is so in both halves.
func enough(cfg *confchange.Config, self uint64, by []uint64, want int) bool {
	if want > 0 {
		return len(by) >= want
	}
	for i, half := range cfg.Voters {
		if i > 0 && len(half) == 0 {
			continue
		}
		said, others := 0, 0
		for _, id := range half {
			if id == self {
				continue
			}
			others++
			if slices.Contains(by, id) {
				said++
			}
		}
		if others == 0 || said < min(len(half)/2+1, others) {
			return false
		}
	}
	return true
}

// stopIfRemoved stops the replica if it is to stop when it was removed, and is sure. A
// leader goes on until it has handed over (dissertation §4.2.2).
func (r *Replica) stopIfRemoved() {
	l := &r.leaving
	if !r.cfg.StopWhenRemoved || l.applied == 0 && len(l.words) == 0 {
		return
	}
	if l.applied != 0 && (r.ticks < l.until || r.isLeader()) {
		return
	}
	if removal := r.removal(); removal.Sure {
		r.stop(&RemovedError{removal})
	}
}
