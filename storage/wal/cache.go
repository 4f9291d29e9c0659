package wal

import (
	"container/list"
	"slices"
	"sync"

	pb "github.com/quorate-raft/raft/raftpb"
)

// cachedOverhead is what a cached entry takes beside its data.
const cachedOverhead = 64

func cachedSize(e *pb.Entry) int64 { return int64(len(e.Data)) + cachedOverhead }

// recent is the newest entries of a group, which a leader sends and applies. It
// shares their data with whoever wrote them, and its array with whoever reads
// them, so it never overwrites an element.
type recent struct {
	ents  []pb.Entry // consecutive, up to the last index
	bytes int64
	// dropped is the size of the entries before ents that its array keeps alive.
	dropped int64
}

// replace makes ents the cached entries from their first index on, and returns
// by how much the cache grew.
func (r *recent) replace(ents []pb.Entry) int64 {
	before := r.bytes
	r.truncate(ents[0].Index)
	if n := len(r.ents); n == 0 || r.ents[n-1].Index+1 != ents[0].Index {
		*r = recent{}
	}
	if cap(r.ents)-len(r.ents) < len(ents) {
		r.dropped = 0 // append makes a new array
	}
	r.ents = append(r.ents, ents...)
	for i := range ents {
		r.bytes += cachedSize(&ents[i])
	}
	return r.bytes - before
}

// truncate drops the entries from index on.
func (r *recent) truncate(index uint64) {
	if len(r.ents) == 0 || index > r.ents[len(r.ents)-1].Index {
		return
	}
	keep := 0
	if first := r.ents[0].Index; index > first {
		keep = int(index - first)
	}
	for i := keep; i < len(r.ents); i++ {
		r.bytes -= cachedSize(&r.ents[i])
	}
	r.ents = r.ents[:keep:keep] // what is appended goes into a new array
}

// compact drops the entries up to and including index, and returns by how much
// the cache grew.
func (r *recent) compact(index uint64) int64 {
	if len(r.ents) == 0 || index < r.ents[0].Index {
		return 0
	}
	return r.drop(int(min(index-r.ents[0].Index+1, uint64(len(r.ents)))))
}

// shrink drops the oldest entries, at least so many bytes if there are.
func (r *recent) shrink(bytes int64) int64 {
	n := 0
	for n < len(r.ents) && bytes > 0 {
		bytes -= cachedSize(&r.ents[n])
		n++
	}
	return r.drop(n)
}

// drop drops the n oldest entries.
func (r *recent) drop(n int) int64 {
	before := r.bytes
	for i := range r.ents[:n] {
		r.bytes -= cachedSize(&r.ents[i])
	}
	r.ents = r.ents[n:]
	r.dropped += before - r.bytes
	switch {
	case len(r.ents) == 0:
		*r = recent{}
	case r.dropped > r.bytes/4:
		r.ents, r.dropped = slices.Clone(r.ents), 0
	}
	return r.bytes - before
}

// from returns the cached entries of [lo, hi), or as many at the end of that as
// are cached.
func (r *recent) from(lo, hi uint64) []pb.Entry {
	if len(r.ents) == 0 || hi <= r.ents[0].Index {
		return nil
	}
	first := r.ents[0].Index
	a, b := max(lo, first)-first, hi-first
	return r.ents[a:b:b]
}

// cacheBudget bounds the entries that all groups of an Engine keep in memory.
type cacheBudget struct {
	limit int64 // 0 for no cache

	mu    sync.Mutex
	total int64
	// groups are those with cached entries, the one that was written to last at
	// the back.
	groups list.List
}

// wrote notes that the cache of s grew by a number of bytes in a write, and makes
// room: groups that were not written to for longest lose their oldest entries
// first.
func (c *cacheBudget) wrote(s *Storage, grown int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.cached == nil {
		s.cached = c.groups.PushBack(s)
	} else {
		c.groups.MoveToBack(s.cached)
	}
	c.total += grown
	for c.total > c.limit && c.groups.Len() > 0 {
		victim := c.groups.Front().Value.(*Storage)
		victim.mu.Lock()
		c.total += victim.recent.shrink(c.total - c.limit)
		empty := len(victim.recent.ents) == 0
		victim.mu.Unlock()
		if empty {
			c.remove(victim)
		}
	}
}

// dropped notes that the cache of s shrank, and perhaps became empty.
func (c *cacheBudget) dropped(s *Storage, grown int64, empty bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += grown
	if empty {
		c.remove(s)
	}
}

func (c *cacheBudget) remove(s *Storage) {
	if s.cached != nil {
		c.groups.Remove(s.cached)
		s.cached = nil
	}
}
