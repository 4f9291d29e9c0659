package confchange

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quorate-raft/raft/quorum"
	"github.com/quorate-raft/raft/raftpb"
)

// Restore returns the configuration that cs describes, sharing no memory with
// it but the bytes of contexts; the inverse of [Config.ConfState]. The IDs of cs
// and of its target may come in any order.
// An empty cs gives the zero Config. What fails [Config.Check], such as an ID
// that is repeated or in two sets that exclude each other, is an error that
// wraps [ErrInvalidConfig], and so is a target that was set or ended by an entry
// after that of cs, if cs names its own: no later change of a target could count.
func Restore(cs raftpb.ConfState) (Config, error) {
	c := Config{
		Voters:       quorum.JointConfig{sorted(cs.Voters), sorted(cs.VotersOutgoing)},
		Learners:     sorted(cs.Learners),
		LearnersNext: sorted(cs.LearnersNext),
		AutoLeave:    cs.AutoLeave,
		Contexts:     sortedMembers(cs.Members),
		Effect:       cs.ConfChangeEffect,
		Target:       cloneTarget(cs.Target),
		Outcome:      cloneOutcome(cs.LastOutcome),
	}
	if err := c.Check(); err != nil {
		return Config{}, err
	}
	if newest := c.newestIndex(); cs.Index != 0 && newest > cs.Index {
		return Config{}, fmt.Errorf("%w: configuration of entry %d with a target that entry %d set or ended", ErrInvalidConfig, cs.Index, newest)
	}
	return c, nil
}

// sorted returns a copy of ids in ascending order, nil if there are none.
// Repeated IDs stay, for Check to find.
func sorted(ids []uint64) []uint64 {
	if len(ids) == 0 {
		return nil
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

func sortedMembers(members []raftpb.Member) []raftpb.Member {
	if len(members) == 0 {
		return nil
	}
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b raftpb.Member) int { return cmp.Compare(a.ID, b.ID) })
	return members
}
