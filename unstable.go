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
	// durableBytes is what durable entries take that the current array keeps from being freed,
	// movedBytes how much of that it began with, and keptBytes how much is still in entries.
	// The entries from fresh on were not durable when it began.
	durableBytes int
	movedBytes   int
	keptBytes    int
	fresh        uint64
	// chunk is the size of the current array. seen is the last index at the last call of rest,
	// as far as it fits: at worst an array is given up too soon.
	chunk int32
	seen  uint32
}

const (
	minChunk = 4
	maxChunk = 64
	// busyFactor is how many times what is not durable yet has to fit into an array, up
	// to maxBusyChunk entries: who takes many at once allocates no more often.
	busyFactor   = 16
	maxBusyChunk = 512
	// maxDurableBytes is by how much durableBytes may grow in an array, and how many there may
	// be when nothing else is in it; maxKeptBytes is how many for what is not applied. At work
	// both may be what minShared entries take, so that arrays of large ones are no rarity; at
	// rest they may not.
	maxDurableBytes = 256 << 10
	maxKeptBytes    = 1 << 20
	minShared       = 16
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
		u.entries, u.offset, u.fresh = slices.Clip(ents), ents[0].Index, ents[0].Index
		u.durableBytes, u.movedBytes, u.keptBytes = 0, 0, 0
		return
	}
	// What it began with would be moved again with each push, for as long as it is not applied.
	if u.durableBytes-u.movedBytes > maxDurableBytes && u.shared() {
		u.giveUp()
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
	size := max(int(u.chunk), 2*live, live+n)
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
	u.movedBytes, u.keptBytes = u.durableBytes, u.durableBytes
	u.fresh = max(u.durable+1, u.offset)
}

// shared reports whether so many entries became durable in the current array that another
// is cheap for each of them.
func (u *unstable) shared() bool { return u.durable+1 >= u.fresh+minShared }

// giveUp makes the next array about as large as this one came to be within its bounds.
func (u *unstable) giveUp() { u.chunk = int32(min(u.durable+1-u.fresh, maxChunk) / 2) }

// truncate drops the entries from index on, index ≥ offset. The caller lowers durable.
func (u *unstable) truncate(index uint64) {
	n := index - u.offset
	if index <= u.durable {
		u.keptBytes = inMemory(u.entries[:n])
	}
	// Capped: what follows is in somebody's hands and is not overwritten.
	u.entries = u.entries[:n:n]
}

// written records that the entries up to index are durable, offset ≤ index. Those that
// were there before, and handed out to be applied, are trimmed already.
func (u *unstable) written(index uint64) {
	size := inMemory(u.entries[max(u.durable+1, u.offset)-u.offset : index+1-u.offset])
	u.durableBytes += size
	u.keptBytes += size
	u.durable = index
	// Of few the array would be kept all the same.
	if u.keptBytes > maxKeptBytes && index-u.offset >= minShared {
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
	n := index - u.offset + 1
	if index >= u.durable {
		u.keptBytes = 0 // mostly
	} else {
		u.keptBytes -= inMemory(u.entries[:n])
	}
	u.entries = u.entries[n:]
	u.offset = index + 1
	if len(u.entries) == 0 && u.durableBytes > maxDurableBytes && u.shared() {
		u.giveUp()
		u.drop()
	}
}

// drop lets go of the array, in which nothing is left.
func (u *unstable) drop() {
	u.entries = nil
	u.durableBytes, u.movedBytes, u.keptBytes = 0, 0, 0
}

// overfull reports whether more is kept than may be at rest.
func (u *unstable) overfull() bool {
	return u.durableBytes-u.keptBytes > maxDurableBytes || u.keptBytes > maxKeptBytes
}

// rest is called once in a heartbeat interval while overfull, with the last index of the log. A
// group rests if nothing was appended between two calls.
func (u *unstable) rest(last uint64) {
	if u.seen == uint32(last) {
		u.shed()
	}
	u.seen = uint32(last)
}

// shed lets go of what only a group at work may keep: of those at rest there are many.
func (u *unstable) shed() {
	if !u.overfull() {
		return
	}
	if u.keptBytes > maxKeptBytes {
		u.trim(u.durable)
	}
	u.chunk = 0
	if len(u.entries) == 0 {
		u.drop()
	} else {
		u.regrow(0)
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
	u.older = nil
	u.offset = index + 1
	u.drop()
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
