package quorum

// JointConfig is the voters of a cluster: the incoming half at 0 and the
// outgoing half at 1. While a joint change is under way both halves must agree
// to every decision (dissertation §4.3). At other times the outgoing half is
// empty and agrees with everything, so the incoming one decides alone.
type JointConfig [2]MajorityConfig

// Joint reports whether c has an outgoing half, and so needs two majorities.
func (c JointConfig) Joint() bool {
	return len(c[1]) > 0
}

// IDs returns the voters of either half in ascending order without repetition,
// in a slice of its own; nil if there are none.
func (c JointConfig) IDs() []uint64 {
	ids := make([]uint64, 0, len(c[0])+len(c[1]))
	return NewMajorityConfig(append(append(ids, c[0]...), c[1]...)...)
}

// Contains reports whether id is a voter of either half.
func (c JointConfig) Contains(id uint64) bool {
	return c[0].Contains(id) || c[1].Contains(id)
}

// CommittedIndex returns the highest index that a majority of each half has
// acknowledged (dissertation §4.3), and math.MaxUint64 if both are empty. It
// allocates only for more than 128 voters in one half.
func (c JointConfig) CommittedIndex(acked AckedIndexer) uint64 {
	return min(c[0].CommittedIndex(acked), c[1].CommittedIndex(acked))
}

// VoteResult returns how a vote stands that must be won in each half
// (dissertation §4.3); votes is as in [MajorityConfig.VoteResult].
func (c JointConfig) VoteResult(votes map[uint64]bool) VoteResult {
	return c[0].VoteResult(votes).And(c[1].VoteResult(votes))
}

// String returns the halves, as in "(1 2 3)&&(2 3 4)", and the incoming one
// alone if c is not joint.
func (c JointConfig) String() string {
	b := c[0].appendTo(nil)
	if c.Joint() {
		b = c[1].appendTo(append(b, "&&"...))
	}
	return string(b)
}
