package raft

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// The entries in memory are held like in a plain slice, and the arrays that were handed
// out, or are a message's, are never written again where something stands.
func TestUnstableIsASlice(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		u := unstable{offset: 1}
		var naive, aside []pb.Entry // aside are put aside when many came
		type held struct{ got, was []pb.Entry }
		var out []held
		term := uint64(1)
		for range 300 {
			end := u.offset + uint64(len(naive))
			switch rnd.IntN(8) {
			case 0, 1, 2, 3:
				n := 1 + rnd.IntN(4)
				if rnd.IntN(5) == 0 {
					n = minAdopted + rnd.IntN(3)
				}
				ents := make([]pb.Entry, n, n+2)
				for i := range ents {
					ents[i] = pb.Entry{Term: term, Index: end + uint64(i), Data: make([]byte, rnd.IntN(30))}
				}
				u.push(ents)
				if n >= minAdopted && end <= u.durable+1 {
					aside, naive = naive, nil
				}
				naive = append(naive, ents...)
				if n < minAdopted {
					clear(ents) // the caller's array is the caller's
				} else {
					out = append(out, held{ents[:n+2], slices.Clone(ents[:n+2])}) // so is what is behind it
				}
			case 4:
				index := u.offset + uint64(rnd.IntN(len(naive)+1))
				require.LessOrEqual(t, len(u.older), len(aside))
				term++
				u.truncate(index)
				naive = slices.Clone(naive[:index-u.offset])
				u.durable = min(u.durable, index-1)
			case 5:
				// Written up to one place, handed out to be applied up to another.
				if index := u.offset + uint64(rnd.IntN(len(naive)+1)) - 1; index > u.durable {
					u.written(index)
					require.Equal(t, index, u.durable)
				}
				applying := uint64(rnd.IntN(int(u.durable) + 1))
				if applying+1 >= u.offset {
					aside = nil
				}
				naive = slices.Clone(naive[max(u.offset, applying+1)-u.offset:])
				u.trim(applying)
			case 6:
				if rnd.IntN(20) == 0 {
					u.restart(end + 5)
					u.durable = end + 5
					naive, aside = nil, nil
					require.Equal(t, end+6, u.offset)
				}
			default:
				if len(naive) > 0 {
					lo := rnd.IntN(len(naive))
					hi := lo + 1 + rnd.IntN(len(naive)-lo)
					limit := uint64(rnd.IntN(100))
					got := u.slice(u.offset+uint64(lo), u.offset+uint64(hi), limit)
					require.NotEmpty(t, got)
					require.Equal(t, naive[lo:lo+len(got)], got)
					if len(got) > 1 {
						require.LessOrEqual(t, entriesSize(got), limit)
					}
					if lo+len(got) < hi {
						require.Greater(t, entriesSize(naive[lo:lo+len(got)+1]), limit, "more would have fitted")
					}
					require.Equal(t, len(got), cap(got), "an append by the holder would write into the log")
					out = append(out, held{got, slices.Clone(got)})
				}
			}
			require.Equal(t, len(naive), len(u.entries))
			require.Equal(t, inMemory(u.entries[:max(u.durable+1, u.offset)-u.offset]), u.keptBytes)
			require.GreaterOrEqual(t, u.durableBytes, u.keptBytes)
			require.Equal(t, len(aside), len(u.older))
			if n := uint64(len(aside)); n > 0 {
				lo := u.first() + uint64(rnd.IntN(int(n)))
				got := u.slice(lo, lo+1+uint64(rnd.IntN(int(end-lo))), noLimit)
				require.Equal(t, aside[lo-u.first():][:len(got)], got)
				require.Equal(t, len(got), cap(got))
				require.Equal(t, got[0].Term, u.term(lo))
				out = append(out, held{got, slices.Clone(got)})
			}
		}
		require.Equal(t, append([]pb.Entry{}, naive...), append([]pb.Entry{}, u.entries...))
		for _, h := range out {
			require.Equal(t, h.was, h.got)
		}
	}
}

// A limit without bound takes all, a small one still takes one.
func TestFitting(t *testing.T) {
	ents := []pb.Entry{{Index: 1, Data: make([]byte, 10)}, {Index: 2, Data: make([]byte, 10)}, {Index: 3}}
	one, two := uint64(ents[0].Size()), uint64(ents[0].Size()+ents[1].Size())
	require.Equal(t, 3, fitting(ents, noLimit))
	require.Equal(t, 1, fitting(ents, 0))
	require.Equal(t, 1, fitting(ents, one))
	require.Equal(t, 1, fitting(ents, two-1))
	require.Equal(t, 2, fitting(ents, two))
	require.Equal(t, 3, fitting(ents, entriesSize(ents)))
	require.Equal(t, 0, fitting(nil, 5))
}

// What is not durable yet is not copied for the sake of its size: a follower that is
// sent more than it can write at once would copy all of it with each message.
func TestUnstableTailIsNotCopiedForItsSize(t *testing.T) {
	u := unstable{offset: 1}
	var first *pb.Entry
	arrays := 0
	for i := uint64(1); i <= 1000; i++ {
		u.push([]pb.Entry{{Index: i, Data: make([]byte, maxDurableBytes)}})
		if &u.entries[0] != first {
			first = &u.entries[0]
			arrays++
		}
	}
	require.LessOrEqual(t, arrays, 10, "arrays double in size")
}

// Nor is what is durable and not applied: who applies slowly, or has no quorum, would copy all
// of it with each entry.
func TestUnstableKeptEntriesAreNotCopiedWithEachPush(t *testing.T) {
	u := unstable{offset: 1}
	var first *pb.Entry
	arrays, trimmed := 0, false
	for i := uint64(1); !trimmed; i++ {
		u.push([]pb.Entry{{Index: i, Data: make([]byte, 100)}})
		if &u.entries[0] != first {
			first = &u.entries[0]
			arrays++
		}
		u.written(i)
		trimmed = u.offset > 1
	}
	require.Less(t, arrays, 30, "arrays double in size, up to one for each maxDurableBytes")
}

// A shared array of entries does not keep more payload alive than its bound, and
// an idle group's stays small. Of large entries minShared share one all the same, so that
// what an entry allocates is small whatever its size.
func TestUnstableArraysAreBounded(t *testing.T) {
	for _, size := range []int{0, 1 << 10, 8 << 10, 64 << 10, 1 << 20} {
		for _, late := range []int{0, 1, 3} { // how many are not applied yet
			data := make([]byte, size)
			one := inMemory([]pb.Entry{{Data: data}})
			bound := max(maxDurableBytes, (minShared-1)*one)
			if late > 0 {
				bound += (1 + late) * one // what was just written, and what the array began with
			}
			u := unstable{offset: 1}
			u.push([]pb.Entry{{Index: 1, Data: data}})
			require.Equal(t, minChunk, cap(u.entries))
			u.written(1)
			arrays := 0
			for i := uint64(2); i < 1000; i++ {
				u.trim(i - 1 - min(uint64(late), i-1))
				require.LessOrEqual(t, cap(u.entries), maxChunk)
				require.LessOrEqual(t, u.durableBytes, bound, "%d bytes, %d late", size, late)
				room := cap(u.entries)
				u.push([]pb.Entry{{Index: i, Data: data}})
				if cap(u.entries) > room {
					arrays++
				}
				u.written(i)
			}
			require.LessOrEqual(t, arrays, 1000/(minShared-late)+2, "%d bytes, %d late", size, late)
		}
	}
}

// What is kept so that large entries share an array is let go when nothing is appended for a while;
// what stands in it goes on in another, and what is not applied only within its bound.
func TestUnstableRestsWithLittle(t *testing.T) {
	const size = 1 << 20
	fill := func(n uint64) *unstable {
		u := &unstable{offset: 1}
		u.chunk = minShared / 2
		for i := uint64(1); i <= n; i++ {
			u.push([]pb.Entry{{Index: i, Data: make([]byte, size)}})
			u.written(i)
		}
		return u
	}
	t.Run("all applied", func(t *testing.T) {
		u := fill(minShared - 1)
		require.Len(t, u.entries, minShared-1, "few stay, to be applied")
		u.trim(minShared - 1)
		require.Greater(t, u.durableBytes, (minShared-1)*size)
		u.rest(minShared - 1)
		require.NotZero(t, cap(u.entries), "something was appended before")
		u.rest(minShared - 1)
		require.Nil(t, u.entries)
		require.Zero(t, u.durableBytes)
		u.push([]pb.Entry{{Index: minShared}})
		require.Equal(t, minChunk, cap(u.entries))
	})
	t.Run("at work", func(t *testing.T) {
		u := fill(2)
		u.trim(2)
		for i := uint64(3); i < minShared; i++ {
			u.rest(i - 1)
			require.Equal(t, minShared+1-int(i), cap(u.entries))
			u.push([]pb.Entry{{Index: i, Data: make([]byte, size)}})
			u.written(i)
			u.trim(i)
		}
	})
	t.Run("some not durable", func(t *testing.T) {
		u := fill(8)
		u.trim(8)
		u.push([]pb.Entry{{Index: 9, Term: 7}, {Index: 10, Term: 8}})
		u.shed()
		require.Equal(t, []pb.Entry{{Index: 9, Term: 7}, {Index: 10, Term: 8}}, u.entries)
		require.Zero(t, u.durableBytes)
		array := &u.entries[0]
		u.shed()
		require.Same(t, array, &u.entries[0], "once")
	})
	t.Run("not applied", func(t *testing.T) {
		u := fill(3)
		require.Len(t, u.entries, 3)
		u.shed()
		require.Empty(t, u.entries)
		require.Equal(t, uint64(4), u.first(), "they are read from Storage")
		require.False(t, u.overfull())
	})
	t.Run("little", func(t *testing.T) {
		u := &unstable{offset: 1}
		u.push([]pb.Entry{{Index: 1, Data: make([]byte, maxDurableBytes/2)}})
		u.written(1)
		u.trim(1)
		array := cap(u.entries)
		u.shed()
		require.Equal(t, array, cap(u.entries), "within its bounds an array is not given up")
	})
}

// What is durable stays in memory until it is handed out to be applied, within a bound,
// and is counted also where it moves to another array.
func TestDurableEntriesStayInMemory(t *testing.T) {
	const size = 1000
	for _, count := range []int{1, minAdopted} {
		u := unstable{offset: 1}
		last, most := uint64(0), 0
		for range 4000 {
			ents := make([]pb.Entry, count)
			for i := range ents {
				last++
				ents[i] = pb.Entry{Index: last, Data: make([]byte, size)}
			}
			u.push(ents)
			u.written(last)
			require.Equal(t, last, u.durable)
			most = max(most, len(u.entries))
			require.LessOrEqual(t, len(u.entries)*size, maxKeptBytes)
			require.LessOrEqual(t, len(u.older)*size, maxKeptBytes/2)
			require.GreaterOrEqual(t, u.durableBytes, len(u.entries)*size, "all that is kept is counted")
		}
		if count < minAdopted {
			require.Greater(t, most*size, maxKeptBytes/2)
		} else {
			require.Equal(t, count, most)
			require.Len(t, u.older, count)
		}
		kept := len(u.entries)
		u.trim(last - 1)
		require.Equal(t, min(kept, 1), len(u.entries), "what was handed out goes")
		require.Empty(t, u.older)
	}
}

// What is put aside for many entries is bounded by its size.
func TestLargeEntriesAreNotPutAside(t *testing.T) {
	u := unstable{offset: 1}
	for i, size := range []int{10, 600 << 10, 10} {
		u.push([]pb.Entry{{Index: uint64(i + 1), Data: make([]byte, size)}})
		u.written(uint64(i + 1))
	}
	ents := make([]pb.Entry, minAdopted)
	for i := range ents {
		ents[i].Index = uint64(4 + i)
	}
	u.push(ents)
	require.Empty(t, u.older)
	require.Equal(t, uint64(4), u.first())
}

// An array of many entries is not copied, and neither is what follows it written into it.
func TestManyEntriesAreNotCopied(t *testing.T) {
	u := unstable{offset: 1}
	many := make([]pb.Entry, minAdopted, 2*minAdopted)
	u.push(many)
	require.Same(t, &many[0], &u.entries[0])
	u.push([]pb.Entry{{Index: minAdopted + 1, Term: 5}})
	require.Len(t, u.entries, minAdopted+1)
	require.Zero(t, many[:minAdopted+1][minAdopted])
}
