package explore

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// The parts of a state are kept once and named by numbers. Which number a part gets depends on who comes
// first, so nothing that outlives a process may depend on it; the fingerprints of parts do not.

const (
	tableShards = 64
	chunkSize   = 64
)

// part is what parts have in common.
type part struct {
	number uint32
	// fps are the fingerprints under each renaming.
	fps []search.Fingerprint
}

func (p *part) common() *part { return p }

// size is about how many bytes a part takes, besides its own value: fingerprints, and its place in a table.
func (p *part) size() int64 { return int64(len(p.fps))*16 + 150 }

// fp is the fingerprint under the renaming that renames nobody.
func (p *part) fp() search.Fingerprint { return p.fps[0] }

// table keeps parts by their fingerprints. They are looked up by number all the time, and without a lock: what was
// added stays where it is.
type table[T interface{ common() *part }] struct {
	shards [tableShards]tableShard[T]
}

type tableShard[T any] struct {
	mu     sync.RWMutex
	byFP   map[search.Fingerprint]T
	chunks atomic.Pointer[[]*[chunkSize]T] // a longer list replaces it
	count  uint32
}

// find returns the part with fingerprint fp, if it is known.
func (t *table[T]) find(fp search.Fingerprint) (T, bool) {
	s := &t.shards[fp.Hi%tableShards]
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.byFP[fp]
	return p, ok
}

// add keeps a part, gives it a number and returns it; if one with its fingerprint is known meanwhile, that.
func (t *table[T]) add(p T) T {
	fp := p.common().fp()
	shard := fp.Hi % tableShards
	s := &t.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.byFP[fp]; ok {
		return known
	}
	if s.byFP == nil {
		s.byFP = map[search.Fingerprint]T{}
	}
	var chunks []*[chunkSize]T
	if list := s.chunks.Load(); list != nil {
		chunks = *list
	}
	if s.count == uint32(len(chunks))*chunkSize {
		chunks = append(slices.Clip(chunks), new([chunkSize]T))
	}
	chunks[s.count/chunkSize][s.count%chunkSize] = p
	s.chunks.Store(&chunks)
	p.common().number = s.count*tableShards + uint32(shard)
	s.count++
	s.byFP[fp] = p
	return p
}

// get returns the part with a number, which the caller has from a part, or from a state.
func (t *table[T]) get(number uint32) T {
	local := number / tableShards
	return (*t.shards[number%tableShards].chunks.Load())[local/chunkSize][local%chunkSize]
}

// inShard returns the parts of a shard in the order of their numbers.
func (t *table[T]) inShard(shard int) []T {
	all := make([]T, t.shards[shard].count)
	for local := range all {
		all[local] = t.get(uint32(local*tableShards + shard))
	}
	return all
}

// moves remembers what inputs did to a member.
type moves struct {
	known atomic.Pointer[[]knownMove] // by key; a longer list replaces it
}

type knownMove struct {
	key moveKey
	*move
}

// moveKey is an input: its kind, and the number of its message or change.
type moveKey uint64

func newMoveKey(kind inputKind, arg uint32) moveKey { return moveKey(kind)<<32 | moveKey(arg) }

// move is what an input did to a member.
type move struct {
	next    *memberPart
	out     []*messagePart
	reads   []answer
	refused bool
	// seen says that something changed that invariants of the whole group look at.
	seen bool
	err  error
}

func (m *moves) get(key moveKey) *move {
	list := m.known.Load()
	if list == nil {
		return nil
	}
	all := *list
	lo, hi := 0, len(all)
	for lo < hi {
		mid := (lo + hi) / 2
		if all[mid].key < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(all) && all[lo].key == key {
		return all[lo].move
	}
	return nil
}

// put remembers a move, unless another worker did meanwhile, and returns about how many bytes that takes.
func (m *moves) put(key moveKey, mv *move) int64 {
	for {
		old := m.known.Load()
		var all []knownMove
		if old != nil {
			all = *old
		}
		at, ok := slices.BinarySearchFunc(all, key, func(k knownMove, key moveKey) int {
			switch {
			case k.key < key:
				return -1
			case k.key > key:
				return 1
			}
			return 0
		})
		if ok {
			return 0
		}
		longer := make([]knownMove, 0, len(all)+1)
		longer = append(append(append(longer, all[:at]...), knownMove{key, mv}), all[at:]...)
		if m.known.CompareAndSwap(old, &longer) {
			return int64(unsafe.Sizeof(*mv)+unsafe.Sizeof(knownMove{})) + int64(8*len(mv.out))
		}
	}
}
