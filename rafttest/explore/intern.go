package explore

import (
	"sync"

	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// The parts of a state are kept once and named by numbers. Which number a part gets depends on who comes
// first, so nothing that outlives a process may depend on it; the fingerprints of parts do not.

const tableShards = 64

// table keeps parts by their fingerprints.
type table[T any] struct {
	shards [tableShards]tableShard[T]
}

type tableShard[T any] struct {
	mu    sync.RWMutex
	ids   map[search.Fingerprint]uint32
	items []T
}

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
	id := uint32(len(s.items))*tableShards + uint32(shard)
	s.ids[fp] = id
	s.items = append(s.items, item)
	return id
}

// get returns the part with a number.
func (t *table[T]) get(id uint32) T {
	s := &t.shards[id%tableShards]
	s.mu.RLock()
	item := s.items[id/tableShards]
	s.mu.RUnlock()
	return item
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
