package quorum

import (
	"fmt"
	"math/rand"
	"testing"
)

var (
	sinkIndex uint64
	sinkVote  VoteResult
)

// patterns returns 256 slices of n random acknowledgements, more than a branch
// predictor remembers.
func patterns(n int, spread uint64) [256][]uint64 {
	rnd := rand.New(rand.NewSource(1))
	var all [256][]uint64
	for i := range all {
		all[i] = make([]uint64, n)
		for j := range all[i] {
			all[i][j] = 1_000_000 + rnd.Uint64()%spread
		}
	}
	return all
}

// BenchmarkCommittedIndex includes copying the acknowledgements to the scratch
// space, as a leader must.
func BenchmarkCommittedIndex(b *testing.B) {
	for _, spread := range []uint64{2, 1 << 20} {
		for _, n := range []int{1, 3, 4, 5, 6, 7, 9, 16, 32, 101} {
			b.Run(fmt.Sprintf("spread=%d/voters=%d", spread, n), func(b *testing.B) {
				all := patterns(n, spread)
				scratch := make([]uint64, n)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					copy(scratch, all[i&255])
					sinkIndex = CommittedIndex(scratch)
				}
			})
		}
	}
}

func BenchmarkJointCommittedIndex(b *testing.B) {
	for _, n := range []int{3, 101} {
		b.Run(fmt.Sprintf("voters=%d", n), func(b *testing.B) {
			all := patterns(n, 1<<20)
			in, out := make([]uint64, n), make([]uint64, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				copy(in, all[i&255])
				copy(out, all[(i+1)&255])
				sinkIndex = min(CommittedIndex(in), CommittedIndex(out))
			}
		})
	}
}

func BenchmarkTally(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		sinkVote = Tally(101, i&63, i&31)
	}
}

func BenchmarkVoteResult(b *testing.B) {
	for _, n := range []uint64{3, 101} {
		b.Run(fmt.Sprintf("voters=%d", n), func(b *testing.B) {
			var ids []uint64
			votes := map[uint64]bool{}
			for id := uint64(1); id <= n; id++ {
				ids = append(ids, id)
				votes[id] = id%2 == 0
			}
			c := NewMajorityConfig(ids...)
			b.ReportAllocs()
			for b.Loop() {
				sinkVote = c.VoteResult(votes)
			}
		})
	}
}
