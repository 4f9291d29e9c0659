package explore

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// The parts of a state are kept once and named by numbers. Which number a part gets depends on who comes
// first, so nothing that outlives a process may depend on it; the fingerprints of parts do not.

const tableShards = 64

// table keeps parts by their fingerprints. They are looked up by number all the time, and without a lock: what was
// added stays where it is.
type table[T any] struct {
	shards [tableShards]tableShard[T]
}

type tableShard[T any] struct {
	mu     sync.RWMutex
	ids    map[search.Fingerprint]uint32
	chunks atomic.Pointer[[]*[chunkSize]T] // a longer list replaces it
	count  uint32
}

const chunkSize = 256

// find returns the number of the part with fingerprint fp, and whether it is known.
func (t *table[T]) find(fp search.Fingerprint) (uint32, bool) {
	s := &t.shards[fp.Hi%tableShards]
	s.mu.RLock()
	id, ok := s.ids[fp]
	s.mu.RUnlock()
	return id, ok
}

// add returns the number of a part, which is kept unless it is known meanwhile.
func (t *table[T]) add(fp search.Fingerprint, item T) uint32 {
	shard := fp.Hi % tableShards
	s := &t.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.ids[fp]; ok {
		return id
	}
	if s.ids == nil {
		s.ids = map[search.Fingerprint]uint32{}
	}
	var chunks []*[chunkSize]T
	if p := s.chunks.Load(); p != nil {
		chunks = *p
	}
	if s.count == uint32(len(chunks))*chunkSize {
		chunks = append(slices.Clip(chunks), new([chunkSize]T))
	}
	chunks[s.count/chunkSize][s.count%chunkSize] = item
	s.chunks.Store(&chunks)
	id := s.count*tableShards + uint32(shard)
	s.count++
	s.ids[fp] = id
	return id
}

// get returns the part with a number, which the caller got from add or find, or from one that did.
func (t *table[T]) get(id uint32) T {
	local := id / tableShards
	return (*t.shards[id%tableShards].chunks.Load())[local/chunkSize][local%chunkSize]
}

// all returns the parts of a shard, in the order of their numbers.
func (t *table[T]) all(shard int) []T {
	var items []T
	for local := range t.shards[shard].count {
		items = append(items, t.get(local*tableShards+uint32(shard)))
	}
	return items
}

func (t *table[T]) len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		n += int(s.count)
		s.mu.RUnlock()
	}
	return n
}

// memo remembers what an input did to a member.
type memo struct {
	shards [tableShards]memoShard
}

type memoShard struct {
	mu  sync.RWMutex
	all map[memoKey]*move
}

// memoKey is a member, an input, and its message or change.
type memoKey struct {
	member uint32
	arg    uint32
	kind   inputKind
}

// move is what an input did to a member.
type move struct {
	next    uint32
	out     []uint32 // messages
	refused bool
	err     error
}

func (k memoKey) shard() uint32 {
	return (k.member*0x9e3779b1 ^ k.arg*0x85ebca6b ^ uint32(k.kind)) % tableShards
}

func (m *memo) get(k memoKey) *move {
	s := &m.shards[k.shard()]
	s.mu.RLock()
	mv := s.all[k]
	s.mu.RUnlock()
	return mv
}

func (m *memo) put(k memoKey, mv *move) {
	s := &m.shards[k.shard()]
	s.mu.Lock()
	if s.all == nil {
		s.all = map[memoKey]*move{}
	}
	s.all[k] = mv
	s.mu.Unlock()
}

func (m *memo) len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		n += len(s.all)
		s.mu.RUnlock()
	}
	return n
}
