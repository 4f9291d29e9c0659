package search

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Two arrivals at a state in its layer leave the same, whether they meet in memory
// or in files, and in either order: the least parent, and what both sleep on.
func TestArrivalsCombine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		fp := Fingerprint{rng.Uint64(), rng.Uint64()}
		entry := func() []byte {
			var sleep []uint64
			for range rng.IntN(6) {
				sleep = append(sleep, uint64(rng.IntN(6)))
			}
			return appendBody(appendRecord(nil, fp, rng.Uint64()), []byte("state"), sortedSet(sleep))
		}
		a, b := entry(), entry()
		want := combine(combine(nil, a), b)
		want = want[:recordSize+bodySize(want[recordSize:])]
		_, parent := recordOf(want)
		_, pa := recordOf(a)
		_, pb := recordOf(b)
		if parent != min(pa, pb) {
			t.Fatalf("parent %x of %x and %x", parent, pa, pb)
		}
		got := combine(combine(nil, b), a)
		if got = got[:recordSize+bodySize(got[recordSize:])]; !bytes.Equal(got, want) {
			t.Fatalf("%x and %x make %x, but the other way round %x", a, b, want, got)
		}
		for _, arrivals := range [][2][]byte{{a, b}, {b, a}} {
			set := newSet(*small(), 1<<20, true)
			sh := &set.shards[set.shardOf(fp.Hi)]
			for _, e := range arrivals {
				_, p := recordOf(e)
				sh.insert(fp, p, e[recordSize:])
			}
			body := sh.body(0)
			if got := append(bytes.Clone(sh.record(0)), body[:bodySize(body)]...); !bytes.Equal(got, want) {
				t.Fatalf("%x and %x make %x in memory and %x in files", a, b, got, want)
			}
		}
	}
}
