package search

import (
	"encoding/binary"
	"slices"
)

// A record is what stays of a visited state: its fingerprint, and the Hi of its
// parent's, from which a path is found. Hi alone is enough there: a wrong parent
// could not lead to the state, and would be noticed.
const recordSize = 24

// An entry is a state that is still to be expanded: its record and its body,
//
//	length of the state (4 bytes) | size of the sleep set (4) | state | sleep set
//
// The sleep set is sorted, of eight bytes each. Entries look the same in memory
// and in files.
const bodyHeader = 8

var order = binary.LittleEndian

func recordOf(b []byte) (fp Fingerprint, parent uint64) {
	_ = b[recordSize-1]
	return Fingerprint{Hi: order.Uint64(b), Lo: order.Uint64(b[8:])}, order.Uint64(b[16:])
}

func putRecord(b []byte, fp Fingerprint, parent uint64) {
	_ = b[recordSize-1]
	order.PutUint64(b, fp.Hi)
	order.PutUint64(b[8:], fp.Lo)
	order.PutUint64(b[16:], parent)
}

func appendRecord(b []byte, fp Fingerprint, parent uint64) []byte {
	b = order.AppendUint64(b, fp.Hi)
	b = order.AppendUint64(b, fp.Lo)
	return order.AppendUint64(b, parent)
}

func appendBody(b, state []byte, sleep []uint64) []byte {
	b = order.AppendUint32(b, uint32(len(state)))
	b = order.AppendUint32(b, uint32(len(sleep)))
	b = append(b, state...)
	for _, a := range sleep {
		b = order.AppendUint64(b, a)
	}
	return b
}

// bodySize is the length of the body that b begins with.
func bodySize(b []byte) int {
	return bodyHeader + int(order.Uint32(b)) + 8*int(order.Uint32(b[4:]))
}

// bodyParts returns the state of a body and appends its sleep set to sleep.
func bodyParts(b []byte, sleep []uint64) ([]byte, []uint64) {
	n := int(order.Uint32(b))
	for i := range int(order.Uint32(b[4:])) {
		sleep = append(sleep, order.Uint64(b[bodyHeader+n+8*i:]))
	}
	return b[bodyHeader : bodyHeader+n : bodyHeader+n], sleep
}

// intersectSleep leaves in kept's sleep set, in place, what is in other's as well.
// A state that is reached twice in its layer sleeps only where both ways allow it.
func intersectSleep(kept, other []byte) {
	n := int(order.Uint32(kept[4:]))
	if n == 0 {
		return
	}
	ks := kept[bodyHeader+int(order.Uint32(kept)):]
	os := other[bodyHeader+int(order.Uint32(other)):]
	m := int(order.Uint32(other[4:]))
	left := 0
	for i, j := 0, 0; i < n && j < m; {
		a, b := order.Uint64(ks[8*i:]), order.Uint64(os[8*j:])
		if a == b {
			order.PutUint64(ks[8*left:], a)
			left++
		}
		if a <= b {
			i++
		}
		if b <= a {
			j++
		}
	}
	order.PutUint32(kept[4:], uint32(left))
}

// sortedSet sorts s and drops what it holds twice.
func sortedSet(s []uint64) []uint64 {
	slices.Sort(s)
	return slices.Compact(s)
}
