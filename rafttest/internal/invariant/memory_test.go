package invariant

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What a run leaves behind is forgotten once all disks have compacted it and all
// nodes have left its terms, so that a run of any length takes the same memory.
func TestPruneKeepsMemoryFlat(t *testing.T) {
	g := newGroup(t, 3, 1)
	g.add(4, nil)
	g.c.opt.Drifting = false
	h := g.elect(1)
	for round := range 300 {
		old := h
		h = g.host(uint64(1 + (round+1)%3))
		_ = g.input(old, nil, func() error { return old.rn.TransferLeader(h.id) })
		g.settle()
		for range 10 {
			g.propose(h, "data")
			g.settle()
		}
		kind := []pb.ConfChangeType{pb.ConfChangeAddLearnerNode, pb.ConfChangeRemoveNode}[round%2]
		g.proposeConf(h, pb.ConfChange{Type: kind, NodeID: 4})
		g.settle()
		g.read(h)
		g.settle()
		g.c.ReadAsked(h.id, 1<<32+uint64(round)) // never answered
		for _, o := range g.hosts {
			g.snapshot(o)
		}
		g.c.Prune()
		require.Nil(t, g.v, "round %d", round)
	}
	require.Greater(t, g.c.Committed(), uint64(3000))
	require.Less(t, g.c.Held(), 500)
	require.Len(t, g.c.log.slots, minSlots)
	require.Less(t, len(g.c.history), 100)
	require.Less(t, len(g.c.confEntries), 100)
	require.Less(t, len(g.c.segments), 100)
	require.Less(t, len(g.c.leaders), 100)
	require.LessOrEqual(t, len(g.c.reads), keepReads+2)
	for _, n := range g.c.nodes {
		require.Less(t, len(n.votes), 100)
		require.Less(t, len(n.log.runs), 100)
		require.Less(t, len(n.log.confs), 100)
		require.Less(t, len(n.growth), 100)
	}
	_, known := g.c.CommittedTerm(testBase + 1)
	require.False(t, known)
	_, known = g.c.ConfAt(0)
	require.False(t, known)
}

// A snapshot that is written to an empty disk, and not synced, may be there after a
// crash: what its node then starts with is not forgotten meanwhile.
func TestPruneKeepsWhatIsOnItsWay(t *testing.T) {
	f := newFixture(t)
	h := f.add(4, nil)
	for _, o := range f.hosts[:3] {
		f.snapshot(o)
	}
	low, _ := f.c.bounds()
	require.Greater(t, low, uint64(testBase))
	f.c.node(h.id).log.reset(entryID{testBaseTerm, testBase})
	low, _ = f.c.bounds()
	require.EqualValues(t, testBase, low)
}

// A node that is destroyed is forgotten when no known configuration has it; what
// it held counts until then, since its answers may still be on their way.
func TestForget(t *testing.T) {
	f := newFixture(t)
	f.proposeTo(f.h3)
	f.c.Forget(3)
	f.hosts = f.hosts[:2]
	require.Nil(t, f.status(f.h1, func(st *raft.BasicStatus) { st.Commit++ }), "node 3 had acknowledged")
	votes, disk := f.c.member(3)
	require.NotEmpty(t, votes)
	require.NotNil(t, disk)
	f.c.Prune()
	require.Len(t, f.c.gone, 1)
	f.c.history[0] = f.joint([]uint64{1, 2}, nil)
	f.c.Prune()
	require.Empty(t, f.c.gone)
	require.Panics(t, func() { f.c.Down(3) })
}

// A node whose disk is lost never comes back with an old log, so nothing is kept
// for its sake, while its votes and what its disk held go on to count (S6, S10).
func TestForgetLostDisk(t *testing.T) {
	f := newFixture(t)
	f.c.Forget(3)
	f.hosts = f.hosts[:2]
	for range 3000 {
		f.propose(f.h1, "data")
		f.settle()
		f.snapshot(f.h1)
		f.snapshot(f.h2)
		f.c.Prune()
	}
	require.Nil(t, f.v)
	require.Greater(t, f.c.Committed(), uint64(3000))
	require.Less(t, f.c.Held(), 200)
	require.Len(t, f.c.log.slots, minSlots)
	_, disk := f.c.member(3)
	require.NotNil(t, disk)
	_, _, last := disk.Durable()
	f.refresh()
	v := f.progress(func(id uint64, p *progress.Progress) {
		if id == 3 {
			p.Match, p.Next = last+1, last+2
		}
	})
	require.NotNil(t, v)
	require.Equal(t, "S10", v.Rule)
}

// The registry finds what it was given, whatever it grew to and forgot, and
// nothing else; a map is the model.
func TestRegistry(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	r := newRegistry(7, 3)
	model := map[entryID]record{{3, 7}: {term: 3}}
	for step := range 20_000 {
		i := r.high + 1
		if rnd.IntN(3) == 0 {
			i = r.low + 1 + rnd.Uint64N(r.high-r.low+1)
		}
		rec := record{term: 1 + rnd.Uint64N(4), prev: rnd.Uint64(), digest: rnd.Uint64(), conf: i%2 == 0}
		if _, known := model[entryID{rec.term, i}]; !known {
			r.put(i, rec)
			model[entryID{rec.term, i}] = rec
		}
		if step%2500 == 2499 {
			low := r.low + rnd.Uint64N(r.high-r.low)
			r.prune(low)
			for id := range model {
				if id.index < low {
					delete(model, id)
				}
			}
		}
		id := entryID{rnd.Uint64N(6), r.low + rnd.Uint64N(r.high-r.low+2)}
		want, known := model[id]
		got := r.find(id.index, id.term)
		require.Equal(t, known, got != nil && got.term != 0, "%v", id)
		if known {
			require.Equal(t, want, *got)
		}
	}
	require.Greater(t, len(r.slots), minSlots)
}

// The log of a host is the list of terms that it was asked to write, whatever was
// truncated; a slice is the model.
func TestHostLog(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var l hostLog
	l.reset(entryID{1, 10})
	model, confs, low := []uint64{1}, []uint64(nil), uint64(10)
	for range 20_000 {
		switch n := rnd.IntN(100); {
		case n < 70:
			term, conf := model[len(model)-1]+rnd.Uint64N(2), rnd.IntN(5) == 0
			l.push(term, conf)
			model = append(model, term)
			if conf {
				confs = append(confs, l.last)
			}
		case n < 90:
			keep := rnd.IntN(min(len(model), 9))
			l.truncate(l.last - uint64(keep))
			model = model[:len(model)-keep]
			for len(confs) > 0 && confs[len(confs)-1] > l.last {
				confs = confs[:len(confs)-1]
			}
		case n < 92:
			to := low + rnd.Uint64N(l.last-low+1)
			l.prune(to)
			model, low = model[to-low:], to
		}
		require.Equal(t, low+uint64(len(model))-1, l.last)
		require.Equal(t, entryID{model[len(model)-1], l.last}, l.end())
		i := low - 1 + rnd.Uint64N(uint64(len(model))+2)
		got, known := l.term(i)
		require.Equal(t, i >= low && i <= l.last, known)
		if known {
			require.Equal(t, model[i-low], got)
		}
		if len(confs) > 0 && confs[len(confs)-1] >= low {
			require.Equal(t, confs[len(confs)-1], l.lastConf())
		}
	}
}

// Digests tell entries apart by type, length and every byte, and do not change
// from run to run.
func TestDigest(t *testing.T) {
	seen := map[uint64]bool{}
	for n := range 40 {
		e := pb.Entry{Data: make([]byte, n)}
		seen[Digest(&e)] = true
		for i := range n {
			e.Data[i] = 1
			seen[Digest(&e)] = true
			e.Data[i] = 0
		}
	}
	require.Len(t, seen, 40+39*40/2)
	require.NotEqual(t, Digest(&pb.Entry{}), Digest(&pb.Entry{Type: pb.EntryConfChangeV2}))
	require.Equal(t, uint64(0x609bb16959b490b1), Digest(&pb.Entry{Data: []byte("data of a client")}))
	a, b := pb.Entry{Index: 1, Term: 1}, pb.Entry{Index: 2, Term: 1}
	require.NotEqual(t, Fold(Fold(0, &a), &b), Fold(Fold(0, &b), &a))
}

// Elections may be seen out of the order of their terms: who won the earlier one
// is told apart from who won the later one, and needs only what was committed
// before it (Raft §5.2, §5.4.3).
func TestElectionsOutOfOrder(t *testing.T) {
	f := newFixture(t)
	_ = f.leads(f.h3, f.candidate(f.h3, 2)) // it has no progress to show
	first := f.term
	f.term--
	f.c.leaders = f.c.leaders[1:] // as if nobody had led that term
	f.c.node(2).votes, f.c.node(2).st.Term = nil, f.term
	for id, to := range map[uint64]uint64{1: 2, 3: 2} {
		f.c.node(id).votes = []vote{{term: first, to: to, left: true}}
	}
	_ = f.leads(f.h2, f.candidate(f.h2))
	require.EqualValues(t, 3, f.c.leaderOf(first+1).node)
	require.EqualValues(t, 2, f.c.leaderOf(first).node)
	require.Nil(t, f.c.leaderOf(first+2))
}

// Whether a log that ends with one entry holds another is found by the terms of
// the entries between (Raft §5.3).
func TestReaches(t *testing.T) {
	c := New(Options{Base: 1, BaseTerm: 1, Conf: pb.ConfState{Voters: []uint64{1}}})
	// 2/2 3/2 4/4 on one log, 3/3 4/3 on another.
	for _, e := range []struct {
		i   uint64
		rec record
	}{
		{2, record{term: 2, prev: 1}}, {3, record{term: 2, prev: 2}}, {3, record{term: 3, prev: 2}},
		{4, record{term: 4, prev: 2}}, {4, record{term: 3, prev: 3}},
	} {
		c.log.put(e.i, e.rec)
	}
	require.True(t, c.reaches(entryID{4, 4}, entryID{2, 3}))
	require.True(t, c.reaches(entryID{3, 4}, entryID{2, 2}))
	require.True(t, c.reaches(entryID{3, 4}, entryID{3, 4}))
	require.False(t, c.reaches(entryID{3, 4}, entryID{2, 3}))
	require.False(t, c.reaches(entryID{4, 4}, entryID{3, 3}))
	require.False(t, c.reaches(entryID{4, 4}, entryID{4, 5}))
}
