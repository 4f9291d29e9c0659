package raft

import (
	"slices"
	"unsafe"

	pb "github.com/quorate-raft/raft/raftpb"
)

// unstable holds the end of the log that is in memory: a received snapshot that is not
// durable yet, and the entries from offset on, which are all that are not durable,
// and of those that are the newest, until they are handed out to be applied: so they need
// not be read back from Storage a moment after they were written. Arrays of entries are
// handed to the host and to messages, so they are never written again where
// something stands: truncation goes on in a new array.
type unstable struct {
	// snapshot was received and is not durable yet, or nil.
	snapshot *pb.Snapshot
	// entries[i] has index offset+i. Those up to durable are durable.
	entries []pb.Entry
	offset  uint64
	durable uint64
	// older are entries right before offset in an array of their own, or none.
	older []pb.Entry
	// chunk is the size of the next array, durableBytes what durable entries take that
	// the current one keeps from being freed, and movedBytes how much of that it began with.
	chunk        int
	durableBytes int
	movedBytes   int
}

const (
	minChunk = 4
	maxChunk = 64
	// busyFactor is how many times what is not durable yet has to fit into an array, up
	// to maxBusyChunk entries: who takes many at once allocates no more often.
	busyFactor   = 16
	maxBusyChunk = 512
	// maxDurableBytes is by how much durableBytes may grow in an array, and how many there may
	// be when nothing else is in it; maxKeptBytes is how many for what is not applied.
	maxDurableBytes = 256 << 10
	maxKeptBytes    = 1 << 20
	// minAdopted is from how many entries on a message's array is taken as it is.
	minAdopted = 16
)

// push appends ents, which continue the log. An array of minAdopted or more belongs to the
// log from then on, the others are the caller's.
func (u *unstable) push(ents []pb.Entry) {
	if len(ents) >= minAdopted && (len(u.entries) == 0 || u.offset+uint64(len(u.entries)) <= u.durable+1) {
		// Rather than copy these it puts the others aside. They are durable.
		u.older = u.entries
		if u.durableBytes > maxKeptBytes/2 {
			u.older = nil
		}
		u.entries, u.offset, u.durableBytes, u.movedBytes = slices.Clip(ents), ents[0].Index, 0, 0
		return
	}
	// What it began with would be moved again with each push, for as long as it is not applied.
	if u.durableBytes-u.movedBytes > maxDurableBytes {
		u.chunk = 0 // few of so large ones go together
		u.regrow(len(ents))
	} else if len(ents) > cap(u.entries)-len(u.entries) {
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
	if u.offset <= u.durable {
		u.durableBytes = inMemory(ents[:u.durable-u.offset+1])
	}
	u.movedBytes = u.durableBytes
}

// truncate drops the entries from index on, index ≥ offset.
func (u *unstable) truncate(index uint64) {
	n := index - u.offset
	// Capped: what follows is in somebody's hands and is not overwritten.
	u.entries = u.entries[:n:n]
}

// written records that the entries up to index are durable, offset ≤ index. Those that
// were there before, and handed out to be applied, are trimmed already.
func (u *unstable) written(index uint64) {
	u.durableBytes += inMemory(u.entries[max(u.durable+1, u.offset)-u.offset : index+1-u.offset])
	u.durable = index
	if u.durableBytes > maxKeptBytes {
		u.trim(index)
	}
}

// trim drops the entries up to index, which are durable.
func (u *unstable) trim(index uint64) {
	if index+1 < u.offset {
		return
	}
	u.older = nil
	if index < u.offset {
		return
	}
	u.entries = u.entries[index-u.offset+1:]
	u.offset = index + 1
	if len(u.entries) == 0 && u.durableBytes > maxDurableBytes {
		u.entries, u.durableBytes, u.movedBytes, u.chunk = nil, 0, 0, 0
	}
}

// inMemory is what ents take, in bytes.
func inMemory(ents []pb.Entry) int {
	size := len(ents) * int(unsafe.Sizeof(pb.Entry{}))
	for i := range ents {
		size += len(ents[i].Data)
	}
	return size
}

// restart begins anew after index.
func (u *unstable) restart(index uint64) {
	u.entries, u.older = nil, nil
	u.offset = index + 1
	u.durableBytes, u.movedBytes = 0, 0
}

// from returns the entries from lo on.
func (u *unstable) from(lo uint64) []pb.Entry {
	return slices.Clip(u.entries[lo-u.offset:])
}

// first is the index of the first entry in memory, or of the next.
func (u *unstable) first() uint64 { return u.offset - uint64(len(u.older)) }

// term returns the term of the entry at index, which is in memory.
func (u *unstable) term(index uint64) uint64 {
	if index >= u.offset {
		return u.entries[index-u.offset].Term
	}
	return u.older[index-u.first()].Term
}

// slice returns entries in memory from lo on, at most to hi (exclusive), that lie in one array
// and within maxSize bytes, at least one.
func (u *unstable) slice(lo, hi, maxSize uint64) []pb.Entry {
	var ents []pb.Entry
	if lo >= u.offset {
		ents = u.entries[lo-u.offset : hi-u.offset]
	} else {
		ents = u.older[lo-u.first() : min(hi, u.offset)-u.first()]
	}
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
