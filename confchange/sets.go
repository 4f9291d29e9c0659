package confchange

import (
	"cmp"
	"slices"

	"github.com/quorate-raft/raft/raftpb"
)

// The sets here are ascending slices of distinct IDs. with and without leave
// theirs alone and return another slice when it must differ.

func contains(set []uint64, id uint64) bool {
	_, found := slices.BinarySearch(set, id)
	return found
}

func with(set []uint64, id uint64) []uint64 {
	at, found := slices.BinarySearch(set, id)
	if found {
		return set
	}
	larger := make([]uint64, 0, len(set)+1)
	larger = append(larger, set[:at]...)
	larger = append(larger, id)
	return append(larger, set[at:]...)
}

func without(set []uint64, id uint64) []uint64 {
	at, found := slices.BinarySearch(set, id)
	if !found {
		return set
	}
	if len(set) == 1 {
		return nil
	}
	smaller := make([]uint64, 0, len(set)-1)
	smaller = append(smaller, set[:at]...)
	return append(smaller, set[at+1:]...)
}

// symmetricDifference counts the IDs that are in exactly one of a and b.
func symmetricDifference(a, b []uint64) int {
	n := 0
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		case a[0] < b[0]:
			a, n = a[1:], n+1
		default:
			b, n = b[1:], n+1
		}
	}
	return n + len(a) + len(b)
}

// common returns an ID that is in both a and b, if there is one.
func common(a, b []uint64) (id uint64, found bool) {
	for _, id := range a {
		if contains(b, id) {
			return id, true
		}
	}
	return 0, false
}

func findMember(members []raftpb.Member, id uint64) (int, bool) {
	return slices.BinarySearchFunc(members, id, func(m raftpb.Member, id uint64) int { return cmp.Compare(m.ID, id) })
}

// withContext returns members with the context of id, which may be new.
func withContext(members []raftpb.Member, id uint64, context []byte) []raftpb.Member {
	at, found := findMember(members, id)
	members = slices.Clone(members)
	if found {
		members[at].Context = context
		return members
	}
	return slices.Insert(members, at, raftpb.Member{ID: id, Context: context})
}
