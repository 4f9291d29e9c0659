package grouplog

import (
	"container/list"
	"fmt"
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

// Part is what the cache holds of one group. Its lock protects that together with
// what the engine knows of the group, so that a reader sees both as of one write.
type Part struct {
	// Mu is held for moments; nothing waits for the disk under it.
	Mu     sync.RWMutex
	recent recent
	// place is the one among the groups with cached entries, protected by the cache's lock.
	place *list.Element
}

// cache bounds the entries that all groups of an engine keep in memory.
type cache struct {
	limit int64 // 0 for no cache

	mu    sync.Mutex
	total int64
	// groups are those with cached entries, the one that was written to last at
	// the back.
	groups list.List
}

// wrote notes that p grew by a number of bytes in a write, and makes room: groups
// that were not written to for longest lose their oldest entries first.
func (c *cache) wrote(p *Part, grown int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.place == nil {
		p.place = c.groups.PushBack(p)
	} else {
		c.groups.MoveToBack(p.place)
	}
	c.total += grown
	for c.total > c.limit && c.groups.Len() > 0 {
		victim := c.groups.Front().Value.(*Part)
		victim.Mu.Lock()
		c.total += victim.recent.shrink(c.total - c.limit)
		empty := len(victim.recent.ents) == 0
		victim.Mu.Unlock()
		if empty {
			c.remove(victim)
		}
	}
}

// dropped notes that p shrank, and perhaps became empty.
func (c *cache) dropped(p *Part, grown int64, empty bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += grown
	if empty {
		c.remove(p)
	}
}

func (c *cache) remove(p *Part) {
	if p.place != nil {
		c.groups.Remove(p.place)
		p.place = nil
	}
}

// check reports what does not add up, while nothing is written: parts are those of
// all groups.
func (c *cache) check(parts []*Part) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	total, filled := int64(0), 0
	for _, p := range parts {
		size := int64(0)
		for i := range p.recent.ents {
			size += cachedSize(&p.recent.ents[i])
		}
		switch {
		case size != p.recent.bytes:
			return fmt.Errorf("a group has %d bytes, and says %d", size, p.recent.bytes)
		case p.recent.dropped > size/4:
			return fmt.Errorf("%d bytes are kept alive by %d", p.recent.dropped, size)
		case (p.place != nil) != (len(p.recent.ents) > 0):
			return fmt.Errorf("a group with %d entries is in the list: %v", len(p.recent.ents), p.place != nil)
		}
		if total += size; size > 0 {
			filled++
		}
	}
	switch {
	case total != c.total:
		return fmt.Errorf("the groups have %d bytes, the cache says %d", total, c.total)
	case total > c.limit:
		return fmt.Errorf("%d bytes are cached, of %d at most", total, c.limit)
	case filled != c.groups.Len():
		return fmt.Errorf("%d groups are in the list, %d have entries", c.groups.Len(), filled)
	}
	return nil
}
