package quorum

import (
	"math"
	"slices"
	"strconv"
)

// MajorityConfig is the IDs of a set of voters that decides by majority, in
// ascending order without repetition. [NewMajorityConfig] makes one of any
// IDs; the methods of one that is not sorted and distinct answer wrongly.
//
// A MajorityConfig is read only once it is shared.
type MajorityConfig []uint64

// AckedIndexer tells which log index a voter has acknowledged. found is false
// for a voter of which nothing is known, which counts as index 0.
type AckedIndexer interface {
	AckedIndex(id uint64) (index uint64, found bool)
}

// NewMajorityConfig returns the configuration of the given voters, in any
// order, repeated or not. It does not keep ids. Without IDs it returns nil.
func NewMajorityConfig(ids ...uint64) MajorityConfig {
	if len(ids) == 0 {
		return nil
	}
	c := slices.Clone(ids)
	slices.Sort(c)
	return slices.Clip(slices.Compact(c))
}

// Contains reports whether id is a voter of c.
func (c MajorityConfig) Contains(id uint64) bool {
	_, found := slices.BinarySearch(c, id)
	return found
}

// CommittedIndex returns the highest index that a majority of c has
// acknowledged according to acked (dissertation §3.5), and math.MaxUint64 if c
// is empty; see the function [CommittedIndex]. It allocates only for more than
// 128 voters.
func (c MajorityConfig) CommittedIndex(acked AckedIndexer) uint64 {
	switch n := len(c); {
	case n == 0:
		return math.MaxUint64
	case n <= 7:
		var buf [7]uint64
		return c.committedIndex(acked, buf[:n])
	case n <= 128:
		var buf [128]uint64
		return c.committedIndex(acked, buf[:n])
	default:
		return c.committedIndex(acked, make([]uint64, n))
	}
}

func (c MajorityConfig) committedIndex(acked AckedIndexer, buf []uint64) uint64 {
	for i, id := range c {
		buf[i] = 0
		if index, found := acked.AckedIndex(id); found {
			buf[i] = index
		}
	}
	return CommittedIndex(buf)
}

// VoteResult returns how a vote among c stands (dissertation §3.4), where votes
// holds the answers so far: true for yes, false for no, absent for no answer.
// Answers of others than the voters of c do not count. If c is empty, the vote
// is won.
func (c MajorityConfig) VoteResult(votes map[uint64]bool) VoteResult {
	var granted, rejected int
	for _, id := range c {
		if yes, voted := votes[id]; yes {
			granted++
		} else if voted {
			rejected++
		}
	}
	return Tally(len(c), granted, rejected)
}

// String returns the IDs in parentheses, as in "(1 2 3)".
func (c MajorityConfig) String() string {
	return string(c.appendTo(nil))
}

func (c MajorityConfig) appendTo(b []byte) []byte {
	b = append(b, '(')
	for i, id := range c {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendUint(b, id, 10)
	}
	return append(b, ')')
}
