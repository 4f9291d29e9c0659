package quorum

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"
)

// ackMap knows the acknowledgements that it has, and of no others.
type ackMap map[uint64]uint64

func (m ackMap) AckedIndex(id uint64) (uint64, bool) {
	index, found := m[id]
	return index, found
}

// naiveHas reports whether the members of set that pass are a majority of it.
func naiveHas(set []uint64, pass func(id uint64) bool) bool {
	n := 0
	for _, id := range set {
		if pass(id) {
			n++
		}
	}
	return len(set) == 0 || 2*n > len(set)
}

func (c JointConfig) naiveHas(pass func(id uint64) bool) bool {
	return naiveHas(c[0], pass) && naiveHas(c[1], pass)
}

// naiveVote tries every way in which the missing answers may come in.
func (c JointConfig) naiveVote(votes map[uint64]bool) VoteResult {
	var missing []uint64
	for _, id := range c.IDs() {
		if _, voted := votes[id]; !voted {
			missing = append(missing, id)
		}
	}
	won, lost := false, false
	for set := range uint(1) << len(missing) {
		if c.naiveHas(func(id uint64) bool {
			at := slices.Index(missing, id)
			return votes[id] || at >= 0 && set>>at&1 == 1
		}) {
			won = true
		} else {
			lost = true
		}
	}
	switch {
	case won && lost:
		return VotePending
	case won:
		return VoteWon
	default:
		return VoteLost
	}
}

// naiveCommitted tries every index up to limit.
func (c JointConfig) naiveCommitted(acked ackMap, limit uint64) uint64 {
	if len(c[0])+len(c[1]) == 0 {
		return math.MaxUint64
	}
	best := uint64(0)
	for index := range limit + 1 {
		if c.naiveHas(func(id uint64) bool { return acked[id] >= index }) {
			best = index
		}
	}
	return best
}

func subset(bits int) MajorityConfig {
	var ids []uint64
	for i := range 8 {
		if bits>>i&1 == 1 {
			ids = append(ids, uint64(i+1))
		}
	}
	return NewMajorityConfig(ids...)
}

// A configuration is a set of servers (dissertation §4.1): order and repetition
// of the IDs given do not matter, and they are not kept.
func TestNewMajorityConfig(t *testing.T) {
	ids := []uint64{3, 1, 3, 2, 1}
	c := NewMajorityConfig(ids...)
	if want := (MajorityConfig{1, 2, 3}); !slices.Equal(c, want) {
		t.Errorf("got %v, want %v", c, want)
	}
	if want := []uint64{3, 1, 3, 2, 1}; !slices.Equal(ids, want) {
		t.Errorf("argument became %v", ids)
	}
	if NewMajorityConfig() != nil {
		t.Error("no IDs: want nil")
	}
	for id, want := range []bool{false, true, true, true, false} {
		if got := c.Contains(uint64(id)); got != want {
			t.Errorf("Contains(%d) = %t, want %t", id, got, want)
		}
	}
}

// A joint configuration has the servers of both halves (§4.3), each once.
func TestJointConfigMembers(t *testing.T) {
	for _, test := range []struct {
		c     JointConfig
		ids   []uint64
		joint bool
		text  string
	}{
		{JointConfig{}, nil, false, "()"},
		{JointConfig{{1, 2, 3}}, []uint64{1, 2, 3}, false, "(1 2 3)"},
		{JointConfig{{2, 3, 4}, {1, 2, 3}}, []uint64{1, 2, 3, 4}, true, "(2 3 4)&&(1 2 3)"},
		{JointConfig{{7}, {5}}, []uint64{5, 7}, true, "(7)&&(5)"},
		{JointConfig{nil, {5}}, []uint64{5}, true, "()&&(5)"},
	} {
		if got := test.c.IDs(); !slices.Equal(got, test.ids) {
			t.Errorf("%v: IDs() = %v, want %v", test.c, got, test.ids)
		}
		if got := test.c.Joint(); got != test.joint {
			t.Errorf("%v: Joint() = %t", test.c, got)
		}
		if got := test.c[0].String(); len(test.c[1]) == 0 && got != test.text {
			t.Errorf("incoming: String() = %q, want %q", got, test.text)
		}
		if got := test.c.String(); got != test.text {
			t.Errorf("String() = %q, want %q", got, test.text)
		}
		for id := range uint64(9) {
			if got, want := test.c.Contains(id), slices.Contains(test.ids, id); got != want {
				t.Errorf("%v: Contains(%d) = %t", test.c, id, got)
			}
		}
	}
}

// From ABC to BCD, agreement takes two of A, B, C and two of B, C, D (§4.3):
// every set of acknowledgements, listed for the ones that just suffice.
func TestJointABCToBCD(t *testing.T) {
	const A, B, C, D = 1, 2, 4, 8
	c := JointConfig{{2, 3, 4}, {1, 2, 3}}
	sufficient := []int{B | C, A | B | D, A | C | D}
	for set := range 16 {
		want := slices.ContainsFunc(sufficient, func(s int) bool { return set&s == s })
		acked, votes := ackMap{}, map[uint64]bool{}
		for i := range 4 {
			if set>>i&1 == 1 {
				acked[uint64(i+1)] = 10
				votes[uint64(i+1)] = true
			} else {
				votes[uint64(i+1)] = false
			}
		}
		if got := c.CommittedIndex(acked) == 10; got != want {
			t.Errorf("acknowledged by %v: committed %t, want %t", subset(set), got, want)
		}
		if got := c.VoteResult(votes) == VoteWon; got != want {
			t.Errorf("granted by %v: won %t, want %t", subset(set), got, want)
		}
	}
}

// Commitment and elections take a majority of each half, counted separately
// (§4.3; §3.4 and §3.5 for the empty outgoing half): all pairs of sets among
// four servers, all acknowledgements up to 2 or absent, all votes.
func TestJointExhaustive(t *testing.T) {
	const servers = 4
	states := []struct{ vote, ack int }{{-1, -1}, {0, 0}, {1, 1}, {-1, 2}}
	for in := range 1 << servers {
		for out := range 1 << servers {
			c := JointConfig{subset(in), subset(out)}
			for code := range 1 << (2 * servers) {
				acked, votes := ackMap{}, map[uint64]bool{}
				for i := range servers {
					state := states[code>>(2*i)&3]
					if state.ack >= 0 {
						acked[uint64(i+1)] = uint64(state.ack)
					}
					if state.vote >= 0 {
						votes[uint64(i+1)] = state.vote == 1
					}
				}
				if got, want := c.CommittedIndex(acked), c.naiveCommitted(acked, 2); got != want {
					t.Fatalf("%v with %v: committed %d, want %d", c, acked, got, want)
				}
				if got, want := c.VoteResult(votes), c.naiveVote(votes); got != want {
					t.Fatalf("%v with %v: %v, want %v", c, votes, got, want)
				}
			}
		}
	}
}

// A configuration that is not joint decides as its voters do (§4.3 reduces to
// §3.4 and §3.5), also beyond the sizes with a buffer on the stack, and servers
// outside it do not count.
func TestMajorityOfAnySize(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	for n := range 140 {
		c := make(MajorityConfig, n)
		acked, votes := ackMap{1: 1000}, map[uint64]bool{1: true}
		values := make([]uint64, n)
		granted, rejected := 0, 0
		for i := range c {
			c[i] = uint64(10 + 3*i)
			if rnd.Intn(4) > 0 {
				values[i] = uint64(rnd.Intn(50))
				acked[c[i]] = values[i]
			}
			switch rnd.Intn(5) {
			case 0, 1:
				votes[c[i]] = true
				granted++
			case 2, 3:
				votes[c[i]] = false
				rejected++
			}
		}
		joint := JointConfig{c}
		want := naiveCommitted(values)
		if got := c.CommittedIndex(acked); got != want {
			t.Fatalf("%d voters: committed %d, want %d", n, got, want)
		}
		if got := joint.CommittedIndex(acked); got != want {
			t.Fatalf("%d voters, as joint: committed %d, want %d", n, got, want)
		}
		wantVote := Tally(n, granted, rejected)
		if got := c.VoteResult(votes); got != wantVote {
			t.Fatalf("%d voters: %v, want %v", n, got, wantVote)
		}
		if got := joint.VoteResult(votes); got != wantVote {
			t.Fatalf("%d voters, as joint: %v, want %v", n, got, wantVote)
		}
	}
}

// What is agreed stays agreed (§3.4, §3.5, §4.3): a further acknowledgement
// does not lower the committed index, a further vote does not undo a result.
func TestJointMonotone(t *testing.T) {
	rnd := rand.New(rand.NewSource(4))
	for range 20000 {
		c := JointConfig{subset(rnd.Intn(256)), subset(rnd.Intn(256))}
		acked, votes := ackMap{}, map[uint64]bool{}
		committed, result := c.CommittedIndex(acked), c.VoteResult(votes)
		for _, i := range rnd.Perm(8) {
			id := uint64(i + 1)
			acked[id] = uint64(rnd.Intn(5))
			votes[id] = rnd.Intn(2) == 0
			if got := c.CommittedIndex(acked); got < committed {
				t.Fatalf("%v with %v: committed %d after %d", c, acked, got, committed)
			} else {
				committed = got
			}
			if got := c.VoteResult(votes); result != VotePending && got != result {
				t.Fatalf("%v with %v: %v after %v", c, votes, got, result)
			} else {
				result = got
			}
		}
		if result == VotePending {
			t.Fatalf("%v with %v: pending although all voted", c, votes)
		}
	}
}

// Questions on IDs are asked with every message (§3.5), so they do not allocate
// for clusters of ordinary size.
func TestJointAllocatesNothing(t *testing.T) {
	var acked AckedIndexer = ackMap{1: 5, 2: 6, 3: 7, 4: 8}
	votes := map[uint64]bool{1: true, 2: true, 3: false}
	c := JointConfig{{2, 3, 4}, {1, 2, 3}}
	if allocs := testing.AllocsPerRun(100, func() {
		sinkIndex = c.CommittedIndex(acked)
		sinkVote = c.VoteResult(votes)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func ExampleJointConfig() {
	// From servers 1, 2, 3 to 2, 3, 4: servers 1 and 2 are a majority of the
	// outgoing half alone.
	c := JointConfig{NewMajorityConfig(2, 3, 4), NewMajorityConfig(1, 2, 3)}
	fmt.Println(c, c.VoteResult(map[uint64]bool{1: true, 2: true}))
	fmt.Println(c, c.VoteResult(map[uint64]bool{1: true, 2: true, 4: true}))
	// Output:
	// (2 3 4)&&(1 2 3) VotePending
	// (2 3 4)&&(1 2 3) VoteWon
}
