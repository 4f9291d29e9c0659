package grouplog

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

func entries(lo, hi, term uint64, size int) []pb.Entry {
	var ents []pb.Entry
	for i := lo; i < hi; i++ {
		ents = append(ents, pb.Entry{Index: i, Term: term, Data: make([]byte, size)})
	}
	return ents
}

// Whatever is written, truncated, compacted and dropped: what is cached are the newest
// entries as they were written, the accounts are right, and what a reader was given stays.
func TestRecent(t *testing.T) {
	type given struct{ got, want []pb.Entry }
	rnd := rand.New(rand.NewPCG(1, 1))
	var r recent
	var log []pb.Entry // what was written, from an index on
	var held []given
	kept := int64(0)
	for round := range uint64(5000) {
		last := uint64(0)
		if len(log) > 0 {
			last = log[len(log)-1].Index
		}
		switch n := rnd.IntN(10); {
		case n == 0 && len(log) > 0:
			index := log[rnd.IntN(len(log))].Index
			kept += r.compact(index)
			log = log[index-log[0].Index+1:]
		case n == 1:
			kept += r.shrink(rnd.Int64N(2000))
		case n == 2 && rnd.IntN(5) == 0: // after a snapshot
			log = entries(last+10, last+12, round, 10)
			kept += r.replace(log)
		default:
			from := last + 1
			if len(log) > 0 && rnd.IntN(3) == 0 {
				from = log[rnd.IntN(len(log))].Index
			}
			ents := entries(from, from+1+rnd.Uint64N(5), round, rnd.IntN(200))
			for len(log) > 0 && log[len(log)-1].Index >= from {
				log = log[:len(log)-1]
			}
			log = append(log[:len(log):len(log)], ents...)
			kept += r.replace(ents)
		}
		require.Equal(t, kept, r.bytes)
		require.LessOrEqual(t, r.dropped, r.bytes/4)
		require.LessOrEqual(t, len(r.ents), len(log))
		require.Equal(t, log[len(log)-len(r.ents):], append([]pb.Entry{}, r.ents...), "round %d", round)
		if len(log) > 0 {
			lo := log[0].Index + rnd.Uint64N(uint64(len(log)))
			hi := lo + 1 + rnd.Uint64N(log[len(log)-1].Index+1-lo)
			got := r.from(lo, hi)
			require.LessOrEqual(t, len(got), int(hi-lo))
			if n := len(got); n > 0 {
				require.Equal(t, hi-1, got[n-1].Index)
				held = append(held, given{got, append([]pb.Entry{}, got...)})
			}
		}
	}
	require.NotEmpty(t, held)
	for _, one := range held {
		require.Equal(t, one.want, one.got)
	}
}

// The check of the accounts finds each fault in them.
func TestCacheCheck(t *testing.T) {
	for name, spoil := range map[string]func(c *cache, p *Part){
		"":                        func(*cache, *Part) {},
		"a group has 328 bytes":   func(_ *cache, p *Part) { p.recent.bytes++ },
		"are kept alive":          func(_ *cache, p *Part) { p.recent.dropped = 1000 },
		"is in the list: false":   func(c *cache, p *Part) { c.remove(p) },
		"the cache says 329":      func(c *cache, _ *Part) { c.total++ },
		"bytes are cached, of 10": func(c *cache, _ *Part) { c.limit = 10 },
		"2 groups are in the list": func(c *cache, _ *Part) {
			c.groups.PushBack(&Part{})
		},
	} {
		c, p := &cache{limit: 1000}, &Part{}
		c.wrote(p, p.recent.replace(entries(1, 3, 1, 100)))
		spoil(c, p)
		if err := c.check([]*Part{p, {}}); name == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, name)
		}
	}
}

// Room is made by the groups that were written to longest ago, from their oldest entries on.
func TestCacheGivesUpTheOldest(t *testing.T) {
	c := &cache{limit: 5 * 164}
	parts := []*Part{{}, {}, {}}
	write := func(i int, lo, hi uint64) {
		c.wrote(parts[i], parts[i].recent.replace(entries(lo, hi, 1, 100)))
		require.NoError(t, c.check(parts))
	}
	write(0, 1, 3)
	write(1, 1, 3)
	write(0, 3, 4)
	write(2, 1, 3)
	require.Len(t, parts[0].recent.ents, 3)
	require.Empty(t, parts[1].recent.ents)
	write(2, 3, 5)
	require.Equal(t, uint64(3), parts[0].recent.ents[0].Index)
	write(1, 3, 9)
	require.Empty(t, parts[0].recent.ents)
	require.Len(t, parts[1].recent.ents, 5)
}
