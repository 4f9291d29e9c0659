package raftpb

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Equivalent returns nil if both are the same configuration, and otherwise an error that names the first field that
// differs with both its values. The order of members does not count, nor does Index: it says where a configuration
// comes from, not what it is. The target and the last outcome are part of a configuration, since who leads acts by them.
func (c ConfState) Equivalent(other ConfState) error {
	sets := []struct {
		name     string
		one, two []uint64
	}{
		{"voters", c.Voters, other.Voters},
		{"learners", c.Learners, other.Learners},
		{"outgoing voters", c.VotersOutgoing, other.VotersOutgoing},
		{"next learners", c.LearnersNext, other.LearnersNext},
	}
	for _, set := range sets {
		if one, two := sorted(set.one), sorted(set.two); !slices.Equal(one, two) {
			return fmt.Errorf("configurations differ: %s %v and %v", set.name, one, two)
		}
	}
	if c.AutoLeave != other.AutoLeave {
		return fmt.Errorf("configurations differ: auto leave %t and %t", c.AutoLeave, other.AutoLeave)
	}
	if one, two := byID(c.Members), byID(other.Members); !slices.EqualFunc(one, two, Member.Equal) {
		return fmt.Errorf("configurations differ: contexts %v and %v", one, two)
	}
	if c.ConfChangeEffect != other.ConfChangeEffect {
		return fmt.Errorf("configurations differ: effect %v and %v", c.ConfChangeEffect, other.ConfChangeEffect)
	}
	if !c.Target.Equal(other.Target) {
		return fmt.Errorf("configurations differ: target %s and %s", text(c.Target), text(other.Target))
	}
	if !c.LastOutcome.Equal(other.LastOutcome) {
		return fmt.Errorf("configurations differ: last outcome %s and %s", text(c.LastOutcome), text(other.LastOutcome))
	}
	return nil
}

// Equal reports whether both are the same member with the same context.
func (m Member) Equal(other Member) bool {
	return m.ID == other.ID && bytes.Equal(m.Context, other.Context)
}

// text returns a record, which may be nil, without the space at its end.
func text(record fmt.Stringer) string { return strings.TrimSpace(record.String()) }

func byID(members []Member) []Member {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return members
}

func sorted(ids []uint64) []uint64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}
