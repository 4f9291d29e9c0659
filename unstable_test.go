package raft

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Entries that are not durable are held like in a plain slice, and the arrays
// that were handed out are never written again where something stands.
func TestUnstableIsASlice(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		u := unstable{offset: 1}
		var naive []pb.Entry
		type held struct{ got, was []pb.Entry }
		var out []held
		term := uint64(1)
		for range 300 {
			end := u.offset + uint64(len(naive))
			switch rnd.IntN(8) {
			case 0, 1, 2, 3:
				ents := make([]pb.Entry, 1+rnd.IntN(4))
				for i := range ents {
					ents[i] = pb.Entry{Term: term, Index: end + uint64(i), Data: make([]byte, rnd.IntN(30))}
				}
				u.push(ents)
				naive = append(naive, ents...)
				clear(ents) // the caller's array is the caller's
			case 4:
				index := u.offset + uint64(rnd.IntN(len(naive)+1))
				term++
				u.truncate(index)
				naive = slices.Clone(naive[:index-u.offset])
			case 5:
				index := u.offset + uint64(rnd.IntN(len(naive)+1)) - 1
				naive = slices.Clone(naive[index+1-u.offset:])
				u.trim(index)
			case 6:
				if rnd.IntN(20) == 0 {
					u.restart(end + 5)
					naive = nil
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

// A shared array of entries does not keep more payload alive than its bound, and
// an idle group's stays small.
func TestUnstableArraysAreBounded(t *testing.T) {
	u := unstable{offset: 1}
	u.push([]pb.Entry{{Index: 1}})
	require.Equal(t, minChunk, cap(u.entries))
	for i := uint64(2); i < 1000; i++ {
		u.push([]pb.Entry{{Index: i, Data: make([]byte, 64<<10)}})
		u.trim(i)
		require.LessOrEqual(t, cap(u.entries), maxChunk)
		require.LessOrEqual(t, u.durableBytes, maxDurableBytes+64<<10)
	}
}
