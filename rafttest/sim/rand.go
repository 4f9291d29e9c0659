package sim

import (
	"math/bits"
	"math/rand/v2"
)

// random draws from one stream of a run. Each part of the simulation has its
// own, so that what one part does or leaves out does not change what happens to
// another. Everything is integer arithmetic over a fixed generator: the same on
// every machine and with every version of Go.
type random struct{ pcg rand.PCG }

func newRandom(seed, stream uint64) *random {
	r := &random{}
	r.seed(seed, stream)
	return r
}

// seed starts the stream anew; neighbouring seeds give unrelated streams.
func (r *random) seed(seed, stream uint64) {
	r.pcg.Seed(mix(seed), mix(stream^0x5851f42d4c957f2d))
}

// mix spreads a number over all bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Uint64 makes a random a raft.Rand.
func (r *random) Uint64() uint64 { return r.pcg.Uint64() }

// below returns a number in [0, n).
func (r *random) below(n int) int {
	hi, _ := bits.Mul64(r.pcg.Uint64(), uint64(n))
	return int(hi)
}

// between returns a number in [lo, hi].
func (r *random) between(lo, hi int64) int64 {
	if hi <= lo {
		return lo
	}
	n, _ := bits.Mul64(r.pcg.Uint64(), uint64(hi-lo+1))
	return lo + int64(n)
}

// spread returns a number in [lo, hi], small ones as likely as large ones by
// their order of magnitude.
func (r *random) spread(lo, hi int64) int64 {
	lo = max(lo, 1)
	steps := bits.Len64(uint64(hi / lo))
	top := min(hi, lo<<r.below(steps+1))
	return r.between(max(lo, top/2), top)
}

// chance is true in n of 1000 cases.
func (r *random) chance(n int) bool { return n > 0 && r.below(1000) < n }

// oneIn is true in one of n cases.
func (r *random) oneIn(n int) bool { return r.below(n) == 0 }

// pick returns one of those given.
func pick[T any](r *random, those ...T) T { return those[r.below(len(those))] }
