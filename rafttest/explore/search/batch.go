package search

import "sync/atomic"

// set is the states in memory, divided among shards by the first bits of their
// fingerprints.
type set struct {
	pool   pool
	bits   uint
	shards []shard
}

func newSet(t tuning, limit int64, sleeps bool) *set {
	s := &set{bits: t.shardBits, shards: make([]shard, 1<<t.shardBits)}
	s.pool.size = recordSize << t.chunkBits
	for i := range s.shards {
		sh := &s.shards[i]
		sh.pool, sh.chunkBits, sh.skip, sh.limit, sh.sleeps = &s.pool, t.chunkBits, t.shardBits, limit, sleeps
		sh.setSlots(minSlots)
	}
	return s
}

func (s *set) shardOf(hi uint64) int { return int(hi >> (64 - s.bits)) }

// pending is how many entries of the layer that is being built are in memory.
func (s *set) pending() int {
	n := 0
	for i := range s.shards {
		n += s.shards[i].n - s.shards[i].start
	}
	return n
}

// parentOf returns the record of the state whose fingerprint begins with hi.
func (s *set) parentOf(hi uint64) ([]byte, bool) {
	return s.shards[s.shardOf(hi)].withHi(hi)
}

// batch collects what one worker emits and inserts it by shards, so that a lock is
// taken once for many states and the memory that is touched lies closer.
type batch struct {
	set    *set
	first  int // shard to begin with: workers begin at different ones
	max    int // items
	items  []item
	bodies []byte
	counts []int32
	sorted []int32

	full  *atomic.Bool   // set when memory is used up
	added *atomic.Uint64 // states that were new in memory
	emits *atomic.Uint64

	failed *failure // the first by failure.less
}

type item struct {
	fp     Fingerprint
	parent uint64
	body   int
}

// maxBatchBytes bounds the bodies that wait in a batch.
const maxBatchBytes = 256 << 10

func (b *batch) emit(o *Out, _ uint64, next []byte, fp Fingerprint) {
	b.items = append(b.items, item{fp: fp, parent: o.fp.Hi, body: len(b.bodies)})
	b.bodies = appendBody(b.bodies, next, o.next)
	if len(b.items) >= b.max || len(b.bodies) >= maxBatchBytes {
		b.flush()
	}
}

func (b *batch) fail(_ *Out, f failure) {
	// The path is followed again later, and finds the error and the state then.
	f.next, f.err = nil, nil
	if b.failed == nil || f.less(*b.failed) {
		b.failed = &f
	}
}

// flush inserts what was collected.
func (b *batch) flush() {
	if len(b.items) == 0 {
		return
	}
	b.sort()
	n := len(b.set.shards)
	added := 0
	for k := range n {
		i := (b.first + k) & (n - 1)
		group := b.sorted[b.counts[i]:b.counts[i+1]]
		if len(group) == 0 {
			continue
		}
		s := &b.set.shards[i]
		s.mu.Lock()
		s.warm(b.items, group)
		for _, at := range group {
			it := &b.items[at]
			if s.insert(it.fp, it.parent, b.bodies[it.body:]) {
				added++
			}
		}
		crowded := s.n > len(s.slots)/4*3
		s.mu.Unlock()
		if crowded || b.set.pool.used.Load() > s.limit {
			b.full.Store(true)
		}
	}
	b.added.Add(uint64(added))
	b.emits.Add(uint64(len(b.items)))
	b.items, b.bodies = b.items[:0], b.bodies[:0]
}

// sort orders the items by shard: those of shard i are
// sorted[counts[i]:counts[i+1]].
func (b *batch) sort() {
	clear(b.counts)
	for i := range b.items {
		b.counts[b.set.shardOf(b.items[i].fp.Hi)+2]++
	}
	for i := 2; i < len(b.counts); i++ {
		b.counts[i] += b.counts[i-1]
	}
	b.sorted = append(b.sorted[:0], make([]int32, len(b.items))...)
	for i := range b.items {
		at := &b.counts[b.set.shardOf(b.items[i].fp.Hi)+1]
		b.sorted[*at] = int32(i)
		*at++
	}
}
