package quorum

import "fmt"

// VoteResult is how a vote stands. Its zero value is none of the results, so
// that a forgotten assignment shows.
type VoteResult uint8

const (
	// VotePending: neither side has a majority yet; the missing votes decide.
	VotePending VoteResult = 1 + iota
	// VoteLost: so many voters refused that the rest no longer are a majority.
	VoteLost
	// VoteWon: a majority said yes.
	VoteWon
)

// String returns the name of the constant.
func (r VoteResult) String() string {
	switch r {
	case VotePending:
		return "VotePending"
	case VoteLost:
		return "VoteLost"
	case VoteWon:
		return "VoteWon"
	default:
		return fmt.Sprintf("VoteResult(%d)", uint8(r))
	}
}

// And returns how a decision stands that needs both r and other, as joint
// consensus does (dissertation §4.3): lost once either half is lost, won once
// both are won. Both must be one of the constants.
func (r VoteResult) And(other VoteResult) VoteResult {
	switch {
	case r == VoteLost || other == VoteLost:
		return VoteLost
	case r == VoteWon && other == VoteWon:
		return VoteWon
	default:
		return VotePending
	}
}

// Size returns how many of n voters are a majority (dissertation §3.4): the
// smallest number of which any two sets share a voter. Of no voters that is 0,
// so that an empty majority agrees with everything.
func Size(n int) int {
	if n <= 0 {
		return 0
	}
	return n/2 + 1
}

// Tally returns how a vote stands when granted of the voters said yes and
// rejected said no; the others have not answered. granted+rejected must not
// exceed voters. Without voters the vote is won.
func Tally(voters, granted, rejected int) VoteResult {
	need := Size(voters)
	switch {
	case granted >= need:
		return VoteWon
	case voters-rejected < need:
		return VoteLost
	default:
		return VotePending
	}
}
