package invariant

import (
	"encoding/binary"
	"math/bits"

	pb "github.com/quorate-raft/raft/raftpb"
)

// entryID names an entry: two logs that hold the same one are equal up to it.
type entryID struct{ term, index uint64 }

// record is an entry that some node was asked to write. That each (index, term)
// has one record, which names the term of the entry before, is log matching
// (Raft §5.3) by induction: equal at the end, equal all the way down.
type record struct {
	term, prev uint64
	digest     uint64 // of type and data
	conf       bool   // it changes the configuration
}

// slot holds all that is known of one index.
type slot struct {
	record
	committed uint64    // the term of C's entry, 0 if there is none yet
	state     uint64    // digest of C up to here
	more      *[]record // entries of other terms
}

// registry holds what is known of the indexes [low, high], in a ring.
type registry struct {
	low, high uint64
	slots     []slot
}

const minSlots = 1024

func newRegistry(base, term uint64) registry {
	r := registry{low: base, high: base, slots: make([]slot, minSlots)}
	*r.at(base) = slot{record: record{term: term}, committed: term}
	return r
}

func (r *registry) at(i uint64) *slot { return &r.slots[i&uint64(len(r.slots)-1)] }

// known reports whether entries at index i can be judged.
func (r *registry) known(i uint64) bool { return i >= r.low && i <= r.high }

// find returns the record of an entry, or nil.
func (r *registry) find(i, term uint64) *record {
	if !r.known(i) {
		return nil
	}
	s := r.at(i)
	if s.term == term {
		return &s.record
	}
	if s.more != nil {
		for k := range *s.more {
			if rec := &(*s.more)[k]; rec.term == term {
				return rec
			}
		}
	}
	return nil
}

// put adds a record, whose predecessor is known.
func (r *registry) put(i uint64, rec record) {
	if i <= r.high {
		s := r.at(i)
		if s.more == nil {
			s.more = new([]record)
		}
		*s.more = append(*s.more, rec)
		return
	}
	r.high++
	if r.high-r.low == uint64(len(r.slots)) {
		r.grow()
	}
	*r.at(r.high) = slot{record: rec}
}

func (r *registry) grow() {
	old := *r
	r.slots = make([]slot, 2*len(old.slots))
	for i := r.low; i < r.high; i++ {
		*r.at(i) = *old.at(i)
	}
}

// prune forgets what is below low. Memory that a burst took is kept.
func (r *registry) prune(low uint64) {
	for ; r.low < low; r.low++ {
		r.at(r.low).more = nil
	}
}

// Digest returns a digest of an entry's type and data. It is the same in every
// run and on every machine.
func Digest(e *pb.Entry) uint64 {
	h := mix(uint64(e.Type)<<32 ^ uint64(len(e.Data)))
	data := e.Data
	for ; len(data) > 8; data = data[8:] {
		h = mix(h ^ binary.LittleEndian.Uint64(data))
	}
	// The rest is 8 bytes at most; the parts overlap.
	tail := uint64(0)
	switch n := len(data); {
	case n == 8:
		tail = binary.LittleEndian.Uint64(data)
	case n >= 4:
		tail = uint64(binary.LittleEndian.Uint32(data)) | uint64(binary.LittleEndian.Uint32(data[n-4:]))<<32
	case n > 0:
		tail = uint64(data[0]) | uint64(data[n/2])<<8 | uint64(data[n-1])<<16
	}
	return mix(h ^ tail)
}

// Fold returns the digest of a state machine of digest state that applied e. A
// state machine that folds what it applies, from 0 at Options.Base on, can be
// compared with C; see State.
func Fold(state uint64, e *pb.Entry) uint64 {
	return fold(state, e.Index, e.Term, Digest(e))
}

func fold(state, index, term, digest uint64) uint64 {
	return mix(mix(mix(state^index)^term) ^ digest)
}

// mix is a multiplication folded to 64 bits; the constants are odd and random.
func mix(h uint64) uint64 {
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo ^ 0xa0761d6478bd642f
}
