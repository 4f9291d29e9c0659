package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

func quorums[M any]() map[string]maker[M] {
	return map[string]maker[M]{
		"committed/3":         committed[M](3, false),
		"committed/7":         committed[M](7, false),
		"committed/101":       committed[M](101, false),
		"committed-joint/3":   committed[M](3, true),
		"committed-joint/101": committed[M](101, true),
		"vote/3":              vote[M](3),
		"vote/101":            vote[M](101),
	}
}

// patterns are more states than a branch predictor remembers.
const patterns = 256

// committed computes the committed index of a majority; in a joint configuration the outgoing half has one voter that
// the incoming one has not, and the other way round.
func committed[M any](voters int, joint bool) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		rnd := rand.New(rand.NewPCG(1, 2))
		acked := make([][]uint64, patterns)
		for i := range acked {
			acked[i] = make([]uint64, voters+1)
			for j := range acked[i] {
				acked[i][j] = 1000 + rnd.Uint64N(100)
			}
		}
		halves := [2][]uint64{ids(1, voters)}
		if joint {
			halves[1] = ids(2, voters)
		}
		f := lib.Committed(halves, acked)
		var sum uint64
		return &Work{
			Max: 1 << 20,
			Run: func(n int) error {
				for i := range n {
					sum += f(i % patterns)
				}
				return nil
			},
			End: func(int) error {
				for i := range acked {
					want := majority(halves[0], acked[i])
					if joint {
						want = min(want, majority(halves[1], acked[i]))
					}
					if got := f(i); got != want {
						return fmt.Errorf("committed index %d of %v, want %d", got, acked[i], want)
					}
				}
				return nil
			},
		}, nil
	}
}

// majority is the committed index, said in another way.
func majority(voters, acked []uint64) uint64 {
	var all []uint64
	for _, id := range voters {
		all = append(all, acked[id-1])
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// vote tells how a vote stands in which all have answered.
func vote[M any](voters int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		rnd := rand.New(rand.NewPCG(1, 2))
		granted := make([][]bool, patterns)
		for i := range granted {
			granted[i] = make([]bool, voters)
			for j := range granted[i] {
				granted[i][j] = rnd.Uint64N(2) == 0
			}
		}
		f := lib.Vote(ids(1, voters), granted)
		won := 0
		return &Work{
			Max: 1 << 20,
			Run: func(n int) error {
				for i := range n {
					if f(i % patterns) {
						won++
					}
				}
				return nil
			},
			End: func(int) error {
				for i := range granted {
					yes := 0
					for _, g := range granted[i] {
						if g {
							yes++
						}
					}
					if got := f(i); got != (yes > voters/2) {
						return fmt.Errorf("vote %v was won: %v", granted[i], got)
					}
				}
				return nil
			},
		}, nil
	}
}
