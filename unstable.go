package raft

import (
	"slices"

	pb "github.com/quorate-raft/raft/raftpb"
)

// unstable holds the end of the log that is not known to be durable yet: a
// received snapshot, and the entries from offset on. Arrays of entries are
// handed to the host and to messages, so they are never written again where
// something stands: truncation goes on in a new array.
type unstable struct {
	// snapshot was received and is not durable yet, or nil.
	snapshot *pb.Snapshot
	// entries[i] has index offset+i.
	entries []pb.Entry
	offset  uint64
	// chunk is the size of the next array, and durableBytes the payload of durable
	// entries that the current one keeps from being freed.
	chunk        int
	durableBytes int
}

const (
	minChunk = 4
	maxChunk = 64
	// busyFactor is how many times what is not durable yet has to fit into an array, up
	// to maxBusyChunk entries: who takes many at once allocates no more often.
	busyFactor   = 16
	maxBusyChunk = 512
	// maxDurableBytes is how many of durableBytes there may be.
	maxDurableBytes = 256 << 10
)

// push appends ents, which continue the log.
func (u *unstable) push(ents []pb.Entry) {
	if len(ents) > cap(u.entries)-len(u.entries) || u.durableBytes > maxDurableBytes {
		u.regrow(len(ents))
	}
	if len(ents) == 1 { // as mostly; to copy a stretch takes more
		u.entries = append(u.entries, ents[0])
	} else {
		u.entries = append(u.entries, ents...)
	}
}

// regrow moves to a new array with room for n more. Arrays double in size up to a
// bound, so that an idle group stays small, and are larger where many entries come at
// once, so that a busy one allocates seldom.
func (u *unstable) regrow(n int) {
	u.chunk = min(max(2*u.chunk, minChunk), maxChunk)
	live := len(u.entries)
	size := max(u.chunk, 2*live, live+n)
	if live+n > minChunk {
		size = max(size, min(busyFactor*(live+n), maxBusyChunk))
	}
	ents := make([]pb.Entry, live, size)
	copy(ents, u.entries)
	u.entries = ents
	u.durableBytes = 0
}

// truncate drops the entries from index on, index ≥ offset.
func (u *unstable) truncate(index uint64) {
	n := index - u.offset
	// Capped: what follows is in somebody's hands and is not overwritten.
	u.entries = u.entries[:n:n]
}

// trim drops the entries up to index, which are durable.
func (u *unstable) trim(index uint64) {
	if index < u.offset {
		return
	}
	n := index - u.offset + 1
	for i := range u.entries[:n] {
		u.durableBytes += len(u.entries[i].Data)
	}
	u.entries = u.entries[n:]
	u.offset = index + 1
}

// restart begins anew after index.
func (u *unstable) restart(index uint64) {
	u.entries = nil
	u.offset = index + 1
	u.durableBytes = 0
}

// from returns the entries from lo on.
func (u *unstable) from(lo uint64) []pb.Entry {
	return slices.Clip(u.entries[lo-u.offset:])
}

// slice returns the entries [lo, hi) within maxSize bytes, at least one.
func (u *unstable) slice(lo, hi, maxSize uint64) []pb.Entry {
	ents := u.entries[lo-u.offset : hi-u.offset]
	n := fitting(ents, maxSize)
	return ents[:n:n]
}

// maxEntryOverhead is the most that an entry takes beside its data: the tags and values
// of three numbers and a length.
const maxEntryOverhead = 4 * 11

// fitting returns how many of ents fit into maxSize bytes, at least one.
func fitting(ents []pb.Entry, maxSize uint64) int {
	if maxSize == noLimit || len(ents) <= 1 {
		return len(ents)
	}
	most := uint64(0)
	for i := range ents {
		most += uint64(len(ents[i].Data)) + maxEntryOverhead
	}
	if most <= maxSize {
		return len(ents) // as mostly; the sizes themselves take longer
	}
	size := uint64(ents[0].Size())
	for i := 1; i < len(ents); i++ {
		size += uint64(ents[i].Size())
		if size > maxSize {
			return i
		}
	}
	return len(ents)
}

func entriesSize(ents []pb.Entry) uint64 {
	var size uint64
	for i := range ents {
		size += uint64(ents[i].Size())
	}
	return size
}

func isConfEntry(t pb.EntryType) bool {
	return t == pb.EntryConfChange || t == pb.EntryConfChangeV2
}
