package search

import (
	"slices"
	"sync"
)

// shard holds the states whose fingerprints begin alike. Records lie in the order
// in which they came, so that they take no room for a table's empty slots; the
// table holds their numbers.
type shard struct {
	pool *pool
	// chunkBits: a chunk holds 1<<chunkBits records, or twice as many refs.
	chunkBits uint
	// skip is how many leading bits of Hi all states of the shard have in common.
	skip uint
	// limit is what pool.used should not exceed.
	limit int64
	// sleeps: there are sleep sets. Without them, bodies are not looked at again.
	sleeps bool

	mu sync.Mutex
	// slots is an open addressing table: 32 bits of the fingerprint, which also
	// give the index, and 32 of the record's number plus one.
	slots []uint64
	shift uint // 32 - log2(len(slots))
	recs  [][]byte
	n     int
	// start is the first record of the layer that is being built. Only those have a
	// body.
	start  int
	refs   [][]byte // where the bodies are, by number since start
	bodies [][]byte
	fill   int // of the last chunk of bodies
	warmed uint64

	_ [64]byte // shards of different workers do not share a cache line
}

const minSlots = 64

func (s *shard) record(i int) []byte {
	return recordAt(s.recs, s.chunkBits, i)
}

func recordAt(recs [][]byte, bits uint, i int) []byte {
	at := i & (1<<bits - 1) * recordSize
	return recs[i>>bits][at : at+recordSize]
}

func bodyAt(refs, bodies [][]byte, bits uint, i int) []byte {
	ref := order.Uint64(refs[i>>(bits+1)][i&(2<<bits-1)*8:])
	return bodies[ref>>32][uint32(ref):]
}

// body returns the body of the i-th record, and what follows it.
func (s *shard) body(i int) []byte {
	return bodyAt(s.refs, s.bodies, s.chunkBits, i-s.start)
}

// insert adds an entry and reports whether it was new in this memory. If the same
// state came in the same layer before, the two are combined in a way that does not
// depend on who came first.
func (s *shard) insert(fp Fingerprint, parent uint64, body []byte) bool {
	at, found := s.find(fp)
	if found {
		if i := int(uint32(s.slots[at])) - 1; i >= s.start {
			rec := s.record(i)
			if parent < order.Uint64(rec[16:]) {
				order.PutUint64(rec[16:], parent)
			}
			if s.sleeps {
				intersectSleep(s.body(i), body)
			}
		}
		return false
	}
	s.addRecord(at, fp, parent)
	s.addBody(s.n-1-s.start, body)
	return true
}

// warm reads what find will read for a group of items. One after the other, find
// would wait for memory each time; here the processor sees that no read depends on
// another and waits for many at once.
func (s *shard) warm(items []item, group []int32) {
	sum := uint64(0)
	for _, at := range group {
		sum += s.slots[s.tag(items[at].fp.Hi)>>s.shift]
	}
	for _, at := range group {
		tag := s.tag(items[at].fp.Hi)
		if slot := s.slots[tag>>s.shift]; slot != 0 && uint32(slot>>32) == tag {
			sum += uint64(s.record(int(uint32(slot)) - 1)[0])
		}
	}
	s.warmed = sum // so that the reads are not optimized away
}

// find returns the slot that holds fp, or the empty one where it belongs.
func (s *shard) find(fp Fingerprint) (at int, found bool) {
	tag := s.tag(fp.Hi)
	mask := len(s.slots) - 1
	for at = int(tag >> s.shift); ; at = (at + 1) & mask {
		slot := s.slots[at]
		if slot == 0 {
			return at, false
		}
		if uint32(slot>>32) != tag {
			continue
		}
		if got, _ := recordOf(s.record(int(uint32(slot)) - 1)); got == fp {
			return at, true
		}
	}
}

func (s *shard) tag(hi uint64) uint32 { return uint32(hi << s.skip >> 32) }

// withHi returns the record of the state whose fingerprint begins with hi.
func (s *shard) withHi(hi uint64) ([]byte, bool) {
	tag := s.tag(hi)
	mask := len(s.slots) - 1
	for at := int(tag >> s.shift); s.slots[at] != 0; at = (at + 1) & mask {
		if rec := s.record(int(uint32(s.slots[at])) - 1); order.Uint64(rec) == hi {
			return rec, true
		}
	}
	return nil, false
}

// addRecord adds a record, in the empty slot that find returned.
func (s *shard) addRecord(at int, fp Fingerprint, parent uint64) {
	if s.n>>s.chunkBits == len(s.recs) {
		s.recs = append(s.recs, s.pool.get(recordSize<<s.chunkBits))
	}
	putRecord(s.record(s.n), fp, parent)
	s.n++
	s.slots[at] = uint64(s.tag(fp.Hi))<<32 | uint64(uint32(s.n))
	// Beyond three quarters the table grows, unless that takes too much memory:
	// then it is about to be emptied, and holds out a little longer.
	if s.n > len(s.slots)/4*3 {
		need := int64(16 * len(s.slots))
		if s.pool.used.Load()+need <= s.limit || s.n > len(s.slots)/16*15 {
			s.grow()
		}
	}
}

func (s *shard) addBody(i int, body []byte) {
	size := bodySize(body)
	if last := len(s.bodies) - 1; last < 0 || s.fill+size > len(s.bodies[last]) {
		s.bodies = append(s.bodies, s.pool.get(size))
		s.fill = 0
	}
	if i>>(s.chunkBits+1) == len(s.refs) {
		s.refs = append(s.refs, s.pool.get(recordSize<<s.chunkBits))
	}
	last := len(s.bodies) - 1
	order.PutUint64(s.refs[i>>(s.chunkBits+1)][i&(2<<s.chunkBits-1)*8:], uint64(last)<<32|uint64(s.fill))
	copy(s.bodies[last][s.fill:], body[:size])
	s.fill += size
}

// setSlots makes an empty table.
func (s *shard) setSlots(n int) {
	s.pool.add(8 * n)
	s.slots = make([]uint64, n)
	s.shift = 32
	for ; n > 1; n /= 2 {
		s.shift--
	}
}

func (s *shard) grow() {
	old := s.slots
	s.setSlots(2 * len(old))
	mask := len(s.slots) - 1
	for _, slot := range old {
		if slot == 0 {
			continue
		}
		at := int(uint32(slot>>32) >> s.shift)
		for s.slots[at] != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = slot
	}
	s.pool.add(-8 * len(old))
}

// clear forgets all states.
func (s *shard) clear() {
	clear(s.slots)
	s.pool.put(s.recs)
	s.recs, s.n = s.recs[:0], 0
	s.dropBodies()
	s.start = 0
}

// dropBodies ends a layer whose entries are elsewhere.
func (s *shard) dropBodies() {
	s.pool.put(s.refs)
	s.pool.put(s.bodies)
	s.refs, s.bodies, s.fill = s.refs[:0], s.bodies[:0], 0
	s.start = s.n
}

// sortKey is a record's fingerprint and number.
type sortKey struct {
	fp Fingerprint
	i  int
}

// sorted returns the layer's records by fingerprint, in buf.
func (s *shard) sorted(buf []sortKey) []sortKey {
	buf = buf[:0]
	for i := s.start; i < s.n; i++ {
		fp, _ := recordOf(s.record(i))
		buf = append(buf, sortKey{fp, i})
	}
	slices.SortFunc(buf, func(a, b sortKey) int {
		if a.fp.less(b.fp) {
			return -1
		}
		return 1
	})
	return buf
}
