package quorum

import "testing"

// A candidate needs the votes of a majority (dissertation §3.4): 2 of 3, 3 of
// 5, 4 of 7, 5 of 9; any two majorities share a server.
func TestSize(t *testing.T) {
	for n, want := range []int{0, 1, 2, 2, 3, 3, 4, 4, 5, 5} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %d, want %d", n, got, want)
		}
	}
	for n := 1; n <= 200; n++ {
		if 2*Size(n) <= n {
			t.Errorf("two sets of %d among %d need not meet", Size(n), n)
		}
		if 2*(Size(n)-1) > n {
			t.Errorf("%d of %d are more than needed to meet", Size(n), n)
		}
	}
}

// A vote is won or lost exactly when the answers that are missing cannot change
// that (§3.4): tried against all ways in which they may come in.
func TestTally(t *testing.T) {
	for voters := 0; voters <= 12; voters++ {
		for granted := 0; granted <= voters; granted++ {
			for rejected := 0; granted+rejected <= voters; rejected++ {
				wins, losses := 0, 0
				for more := 0; granted+rejected+more <= voters; more++ {
					if granted+more > voters/2 || voters == 0 {
						wins++
					} else {
						losses++
					}
				}
				want := VotePending
				if losses == 0 {
					want = VoteWon
				} else if wins == 0 {
					want = VoteLost
				}
				if got := Tally(voters, granted, rejected); got != want {
					t.Errorf("Tally(%d, %d, %d) = %v, want %v", voters, granted, rejected, got, want)
				}
			}
		}
	}
}

// Separate majorities of both configurations must agree (§4.3): the worse half
// decides, and an empty one, which has won, changes nothing.
func TestVoteResultAnd(t *testing.T) {
	for _, test := range []struct{ a, b, want VoteResult }{
		{VotePending, VotePending, VotePending},
		{VotePending, VoteWon, VotePending},
		{VotePending, VoteLost, VoteLost},
		{VoteWon, VoteWon, VoteWon},
		{VoteWon, VoteLost, VoteLost},
		{VoteLost, VoteLost, VoteLost},
	} {
		if got := test.a.And(test.b); got != test.want {
			t.Errorf("%v.And(%v) = %v, want %v", test.a, test.b, got, test.want)
		}
		if got := test.b.And(test.a); got != test.want {
			t.Errorf("%v.And(%v) = %v, want %v", test.b, test.a, got, test.want)
		}
	}
}

// The zero value of a result is none of the three, so that it cannot pass for
// one in a log or a comparison.
func TestVoteResultString(t *testing.T) {
	for r, want := range map[VoteResult]string{
		0: "VoteResult(0)", VotePending: "VotePending", VoteLost: "VoteLost", VoteWon: "VoteWon", 9: "VoteResult(9)",
	} {
		if got := r.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
