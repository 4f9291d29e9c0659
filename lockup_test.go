package raft

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// remains is what a leader that died may leave behind with OnApply: entries, some of them changes of
// configuration, of which the first are committed, and who holds and knows how much of it.
type remains struct {
	t         *testing.T
	rnd       *rand.Rand
	members   uint64
	ents      []pb.Entry          // ents[i] has index i
	confs     []confchange.Config // confs[i] is the configuration as of entry i
	committed uint64
	newest    uint64 // the last committed change

	ms      machines // who is alive
	holders []uint64 // who holds what is committed, or may have
	knows   bool     // a voter of the newest configuration that is alive knows of it
	story   strings.Builder
}

// history draws the entries. A change is proposed where the one before is committed (dissertation §4.1).
func (r *remains) history() {
	rnd := r.rnd
	cs := pb.ConfState{Index: 1, Voters: []uint64{1 + rnd.Uint64N(r.members)}}
	for id := uint64(1); id <= r.members; id++ {
		if role := rnd.IntN(5); id != cs.Voters[0] && role < 3 {
			cs.Voters = append(cs.Voters, id)
		} else if id != cs.Voters[0] && role == 3 {
			cs.Learners = append(cs.Learners, id)
		}
	}
	first, err := confchange.Restore(cs)
	require.NoError(r.t, err)
	r.ents, r.confs = []pb.Entry{{}, {Index: 1, Term: 1}}, []confchange.Config{{}, first}
	length, last, term := uint64(2+rnd.IntN(3)), uint64(1), uint64(1)
	r.committed, r.newest = 2+rnd.Uint64N(length-1), 1
	for i := uint64(2); i <= length; i++ {
		term += uint64(rnd.IntN(3) / 2)
		e, cfg := pb.Entry{Index: i, Term: term}, r.confs[i-1]
		cc := r.change()
		if last <= r.committed && rnd.IntN(3) > 0 && confchange.Validate(cfg, cc.AsV2()) == nil {
			cfg, err = confchange.ApplyAt(cfg, cc.AsV2(), i)
			require.NoError(r.t, err)
			e.Type, e.Data, err = pb.MarshalConfChange(cc)
			require.NoError(r.t, err)
			if last = i; i <= r.committed {
				r.newest = i
			}
		}
		r.ents, r.confs = append(r.ents, e), append(r.confs, cfg)
		fmt.Fprintf(&r.story, "entry %d of term %d: %v\n", i, term, cfg)
	}
}

func (r *remains) change() pb.ConfChangeI {
	one := func() pb.ConfChangeSingle {
		return pb.ConfChangeSingle{Type: pb.ConfChangeType(r.rnd.IntN(4)), NodeID: 1 + r.rnd.Uint64N(r.members)}
	}
	switch r.rnd.IntN(6) {
	case 0:
		return pb.ConfChangeV2{Transition: pb.ConfChangeTransition(r.rnd.IntN(3)), Changes: []pb.ConfChangeSingle{one(), one()}}
	case 1:
		return pb.ConfChangeV2{} // leaves a joint one
	}
	s := one()
	return pb.ConfChange{Type: s.Type, NodeID: s.NodeID}
}

// isChange reports whether entry i is a change of configuration.
func (r *remains) isChange(i uint64) bool { return i > 1 && isConfEntry(r.ents[i].Type) }

// member draws what the disk of a member holds, and starts it unless it is gone.
func (r *remains) member(id uint64, configure func(*Config)) {
	rnd := r.rnd
	held := 1 + rnd.Uint64N(uint64(len(r.ents)-1)) // of the entries above
	log := append([]pb.Entry(nil), r.ents[2:held+1]...)
	if held >= r.committed && rnd.IntN(4) == 0 { // who led once more, for a short time
		held = r.committed + rnd.Uint64N(held-r.committed+1)
		log = append(log[:held-1:held-1], pb.Entry{Index: held + 1, Term: 100 + id}, pb.Entry{Index: held + 2, Term: 100 + id})
	}
	// Who holds a change knows for good that the one before it is committed (Ready.MustSync).
	commit, last := uint64(1), uint64(1)
	for i := uint64(2); i <= held; i++ {
		if r.isChange(i) {
			commit, last = last, i
		}
	}
	upTo := min(held, r.committed)
	commit += rnd.Uint64N(upTo - commit + 1)
	// The host saves the configuration when it applies, also before the commit index.
	saved := 1 + rnd.Uint64N(upTo)
	for saved > 1 && !r.isChange(saved) {
		saved--
	}
	gone := rnd.IntN(4) == 0
	if gone || held >= r.committed {
		r.holders = append(r.holders, id)
	}
	fmt.Fprintf(&r.story, "member %d, gone: %v, holds %v, commit %d, configuration of %d\n", id, gone, log, commit, saved)
	if gone {
		return
	}
	r.knows = r.knows || r.confs[r.committed].IsVoter(id) && max(commit, saved) >= r.newest
	m := &machine{t: r.t, id: id, storage: NewMemoryStorage()}
	meta := pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: r.confs[1].ConfState()}
	require.NoError(r.t, m.storage.ApplySnapshot(pb.Snapshot{Metadata: meta}))
	require.NoError(r.t, m.storage.Append(log))
	// Who led later had voters, so its term is known.
	require.NoError(r.t, m.storage.SetHardState(pb.HardState{Term: 200 + rnd.Uint64N(2), Commit: commit}))
	cs := r.confs[saved].ConfState()
	cs.Index = saved
	m.storage.SetConfState(cs)
	m.start(configure)
	r.ms[id] = m
}

// majority reports whether the given ones are one of cfg, of both halves if it is joint.
func majority(cfg confchange.Config, holds func(id uint64) bool) bool {
	for _, half := range cfg.Voters {
		n := 0
		for _, id := range half {
			if holds(id) {
				n++
			}
		}
		if len(half) > 0 && n <= len(half)/2 {
			return false
		}
	}
	return true
}

// As long as a majority of the newest committed configuration is alive, and one of its voters knows
// that it is committed, a leader is elected and commits, whoever has the longest log and whoever knows less:
// votes, asked for, given and refused, tell what is committed. (If nobody of them knows, the old configuration has to
// decide, which may need who is gone.)
func TestWhoKnowsOfAChangeIsEnough(t *testing.T) {
	judged := 0
	for seed := range uint64(6000) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		r := &remains{t: t, rnd: rnd, members: 3 + rnd.Uint64N(3), ms: machines{}}
		r.history()
		noPreVote, noCheckQuorum, leases := rnd.IntN(3) == 0, rnd.IntN(3) == 0, rnd.IntN(3) == 0
		for id := uint64(1); id <= r.members; id++ {
			r.member(id, func(c *Config) {
				c.Rand = rand.NewPCG(seed, id)
				if c.DisablePreVote = noPreVote; leases {
					c.ReadOnlyOption = ReadOnlyLeaseBased
				} else {
					c.DisableCheckQuorum = noCheckQuorum
				}
			})
		}
		committed := majority(r.confs[r.committed-1], func(id uint64) bool {
			for _, holder := range r.holders {
				if holder == id {
					return true
				}
			}
			return false
		})
		if committed && r.knows && majority(r.confs[r.committed], func(id uint64) bool { return r.ms[id] != nil }) {
			judged++
			require.True(t, r.ms.leads(400), "seed %d: no leader\n%v", seed, &r.story)
		}
	}
	require.Greater(t, judged, 1000)
}

// leads reports whether within so many ticks one leads and has committed in its term.
func (ms machines) leads(ticks int) bool {
	for range ticks {
		ms.settle(nil)
		for id := uint64(1); id < 10; id++ {
			m := ms[id]
			if m == nil {
				continue
			}
			if m.raft.role == StateLeader && m.raft.leader.committedInTerm(m.raft.log) {
				return true
			}
			m.Tick()
		}
	}
	return false
}
