package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/progress"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// changed has a change committed, which node 2 has handed out but not applied,
// and returns its entry.
func (f *fixture) changed(cc pb.ConfChangeI) *pb.Entry {
	f.proposeConf(f.h1, cc)
	for range 50 {
		for _, h := range f.hosts {
			f.ready(h)
			f.sync(h)
			if h != f.h2 {
				f.apply(h)
			}
		}
		msgs := f.net
		f.net = nil
		for _, m := range msgs {
			f.deliver(m)
		}
		for _, rd := range f.h2.applies {
			for i := range rd.CommittedEntries {
				if e := &rd.CommittedEntries[i]; isConf(e) {
					f.h2.writes = nil
					return e
				}
			}
		}
	}
	f.t.Fatal("not committed")
	return nil
}

// S11a: the configuration is the fold of the applied changes, nobody campaigns
// over a committed change that is not applied, a change is taken up only when
// the one before is applied and the leader has committed in its term, and
// consecutive quorums meet (dissertation §4.1, §4.3; Ongaro's correction of 2015).
func TestCatchS11a(t *testing.T) {
	learner := pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 4}
	applied := func(edit func(f *fixture, e *pb.Entry, cs *pb.ConfState)) func(f *fixture) *Violation {
		return func(f *fixture) *Violation {
			e := f.changed(learner)
			cc, err := pb.UnmarshalConfChange(*e)
			require.NoError(f.t, err)
			cs := f.h2.rn.ApplyConfChange(cc)
			edit(f, e, cs)
			return f.c.ConfApplied(2, e.Index, cs)
		}
	}
	campaign := func(role raft.StateType) func(f *fixture) *Violation {
		return func(f *fixture) *Violation {
			f.changed(learner)
			return f.status(f.h2, func(st *raft.BasicStatus) {
				st.RaftState, st.Lead = role, 0
				if role == raft.StateCandidate {
					st.Term, st.Vote = st.Term+1, 2
				}
			})
		}
	}
	change := func(f *fixture) raft.Ready {
		f.proposeConf(f.h1, learner)
		return f.take(f.h1)
	}
	runCatches(t, map[string]catch{
		"a configuration that nobody agreed on": {"S11a", "the committed changes give voters=(1 2 3) learners=(4)",
			applied(func(_ *fixture, _ *pb.Entry, cs *pb.ConfState) { cs.Learners = nil })},
		"a change as it was before": {"S11a", "gives the configuration of entry",
			applied(func(f *fixture, _ *pb.Entry, cs *pb.ConfState) { cs.Index = f.last })},
		"a change of the future": {"S11a", "ahead of what was in effect",
			applied(func(_ *fixture, e *pb.Entry, cs *pb.ConfState) { cs.Index = e.Index + 1 })},
		"a configuration past what the disk holds": {"S11a", "and the disk holds entries up to",
			applied(func(f *fixture, e *pb.Entry, cs *pb.ConfState) {
				f.c.node(2).ahead = e.Index + 1
				cs.Index = e.Index + 1
			})},
		"an entry that changes nothing": {"S11a", "and is none of C",
			applied(func(f *fixture, e *pb.Entry, _ *pb.ConfState) { e.Index-- })},
		"an entry that is not committed": {"S11a", "and is none of C",
			applied(func(f *fixture, e *pb.Entry, _ *pb.ConfState) { e.Index++ })},
		"no configuration": {"S11a", "gives no configuration",
			func(f *fixture) *Violation { return f.c.ConfApplied(2, f.changed(learner).Index, nil) }},
		"pre-candidate over a change": {"S11a", "changes the configuration", campaign(raft.StatePreCandidate)},
		"candidate over a change":     {"S11a", "changes the configuration", campaign(raft.StateCandidate)},
		"the change before is not applied": {"S11a", "when it had applied", func(f *fixture) *Violation {
			rd := change(f)
			f.c.node(1).log.confs = []uint64{f.last}
			f.c.node(1).growth[0].applied--
			return f.c.Ready(1, &rd)
		}},
		"nothing is committed in the term": {"S11a", "when it had committed", func(f *fixture) *Violation {
			rd := change(f)
			f.c.node(1).growth[0].commit = f.c.node(1).lead.start - 1
			return f.c.Ready(1, &rd)
		}},
		"a change beside one that is not known to be committed": {"S11a", "and knows of a commit of",
			func(f *fixture) *Violation {
				rd := change(f)
				n := f.c.node(1)
				n.log.confs = []uint64{f.last}
				n.st.Commit--
				rd.HardState, n.hard = pb.HardState{}, n.st.HardState
				return f.c.Ready(1, &rd)
			}},
		"a removed leader goes before the others know": {"S11a", "of voters=(1 2 3) remember the commit",
			func(f *fixture) *Violation {
				n := f.c.node(1)
				n.conf = newConfAt(f.last+9, n.conf.cfg)
				return f.status(f.h1, func(st *raft.BasicStatus) {
					st.RaftState, st.Lead, st.LastStepDown = raft.StateFollower, 0, raft.StepDownRemoved
				})
			}},
		"told that it was removed, and is a member": {"S11a", "and is a member at",
			func(f *fixture) *Violation { return f.c.Told(2, f.changed(learner).Index) }},
		"told that it was removed before it was": {"S11a", "and is a member at",
			func(f *fixture) *Violation {
				index := f.changed(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 3}).Index
				return f.c.Told(3, index-1)
			}},
		"told that it was removed, and never was a member": {"S11a", "and never was a member",
			func(f *fixture) *Violation {
				index := f.changed(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 3}).Index
				delete(f.c.joined, 3)
				return f.c.Told(3, index)
			}},
		"told that it will be removed": {"S11a", "is told that it was removed at",
			func(f *fixture) *Violation {
				return f.c.Told(3, f.changed(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 3}).Index+9)
			}},
		"quorums that can miss each other": {"S11a", "whose quorums need not meet", func(f *fixture) *Violation {
			f.c.apply = func(confchange.Config, pb.ConfChangeV2, uint64) (confchange.Config, error) {
				return confchange.Config{Voters: quorum.JointConfig{{4, 5}}}, nil
			}
			f.proposeConf(f.h1, learner)
			f.settle()
			v := f.v
			f.v = nil
			return v
		}},
		"starts with another configuration": {"S11a", "starts with configuration voters=(1 2)",
			func(f *fixture) *Violation {
				f.h2.disk.SetConfState(pb.ConfState{Voters: []uint64{1, 2}, Index: testBase})
				f.crash(f.h2, true)
				v := f.v
				f.v = nil
				return v
			}},
		"starts with a configuration of the future": {"S11a", "C is known from", func(f *fixture) *Violation {
			f.c.committed--
			n := f.c.node(2)
			return f.c.startConf(n, &raft.Status{BasicStatus: raft.BasicStatus{ConfigIndex: f.last, HardState: pb.HardState{Commit: f.last}}, Config: f.c.history[0].cfg})
		}},
		"a peer that is no member": {"S11a", "with progress of 3", func(f *fixture) *Violation {
			f.c.node(1).setConf(f.joint([]uint64{1, 2, 4}, nil))
			return f.c.After(1, nil, nil)
		}},
		"a member without progress": {"S11a", "with progress of 3 members", func(f *fixture) *Violation {
			f.c.node(1).setConf(f.joint([]uint64{1, 2, 3, 4}, nil))
			return f.c.After(1, nil, nil)
		}},
	})
}

// Majorities of the two sets meet if they are together larger than the union;
// of joint configurations one pair of halves is enough (dissertation §4.3). The
// rule is compared with a search for two quorums that miss each other.
func TestIntersect(t *testing.T) {
	var sets []quorum.MajorityConfig
	for bits := range 1 << 5 {
		var ids []uint64
		for i := range uint64(5) {
			if bits>>i&1 == 1 {
				ids = append(ids, i+1)
			}
		}
		sets = append(sets, quorum.NewMajorityConfig(ids...))
	}
	isQuorum := func(c quorum.MajorityConfig, bits int) bool {
		n := 0
		for _, id := range c {
			n += bits >> (id - 1) & 1
		}
		return len(c) == 0 || 2*n > len(c)
	}
	meet := func(a, b quorum.MajorityConfig) bool {
		for bits := range 1 << 5 {
			if isQuorum(a, bits) && isQuorum(b, ^bits) {
				return false
			}
		}
		return true
	}
	for _, a := range sets[1:] {
		for _, b := range sets[1:] {
			require.Equal(t, meet(a, b), intersect(quorum.JointConfig{a}, quorum.JointConfig{b}), "%v and %v", a, b)
		}
	}
	joint := quorum.JointConfig{{3, 4, 5}, {1, 2}}
	require.True(t, intersect(quorum.JointConfig{{1, 2}}, joint))
	require.True(t, intersect(joint, quorum.JointConfig{{3, 4, 5}}))
	require.False(t, intersect(quorum.JointConfig{{1, 2}}, quorum.JointConfig{{3, 4, 5}}))
}

// A change that the hosts refuse, by applying it with node 0, has no effect on
// the configuration (docs/host-contract.md).
func TestRefusedChange(t *testing.T) {
	f := newFixture(t)
	f.c.opt.Refused = func(e *pb.Entry) bool { return true }
	f.proposeConf(f.h1, pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 4})
	f.ready(f.h1)
	f.sync(f.h1)
	require.NoError(t, f.h2.disk.Append([]pb.Entry{f.entry(f.last + 1)}))
	require.Nil(t, f.status(f.h1, func(st *raft.BasicStatus) { st.Commit++ }))
	cs, ok := f.c.ConfAt(f.last + 1)
	require.True(t, ok)
	require.NoError(t, cs.Equivalent(pb.ConfState{Voters: []uint64{1, 2, 3}}))
	require.Equal(t, f.last+1, cs.Index)
}

// S14: a read returns an index at or past what was committed when it was asked,
// and a leader answers only after a quorum answered a later heartbeat
// (dissertation §6.4).
func TestCatchS14(t *testing.T) {
	asked := func(f *fixture) { f.c.ReadAsked(1, 7) }
	runCatches(t, map[string]catch{
		"stale": {"S14", "was committed when it was asked", func(f *fixture) *Violation {
			asked(f)
			return f.c.ReadReady(1, 7, f.last-1)
		}},
		"stale at a follower": {"S14", "was committed when it was asked", func(f *fixture) *Violation {
			f.c.ReadAsked(2, 7)
			return f.c.ReadReady(2, 7, f.last-1)
		}},
		"nobody confirmed": {"S14", "while no quorum of", func(f *fixture) *Violation {
			asked(f)
			return f.c.ReadReady(1, 7, f.last)
		}},
		"an older round was answered": {"S14", "while no quorum of", func(f *fixture) *Violation {
			// The heartbeats leave before the read is asked, the answers come after.
			f.tick(f.h1)
			f.tick(f.h1)
			f.ready(f.h1)
			asked(f)
			f.settle()
			return f.c.ReadReady(1, 7, f.last)
		}},
		"one half of a joint configuration": {"S14", "while no quorum of", func(f *fixture) *Violation {
			f.c.node(1).conf = f.joint([]uint64{1, 2, 3}, []uint64{1, 4, 5})
			asked(f)
			n := f.c.node(1)
			n.lead.acked = []peer{{2, 1 << 60}, {3, 1 << 60}}
			return f.c.ReadReady(1, 7, f.last)
		}},
		"of another life": {"S14", "in life 2", func(f *fixture) *Violation {
			asked(f)
			f.c.node(1).life++
			return f.c.ReadReady(1, 7, f.last)
		}},
		"of another node": {"S14", "a read that node 1 was asked for", func(f *fixture) *Violation {
			asked(f)
			return f.c.ReadReady(2, 7, f.last)
		}},
	})
	t.Run("an answer of the same term and a later round confirms", func(t *testing.T) {
		f := newFixture(t)
		f.read(f.h1)
		f.settle()
		require.Nil(t, f.v)
		require.EqualValues(t, 1, f.c.Stats().Reads)
	})
}

// S15: inside the bound on drift a lease read is never stale; outside it, stale
// ones are counted (dissertation §6.4.1).
func TestCatchS15(t *testing.T) {
	runCatches(t, map[string]catch{
		"stale": {"S15", "a lease read in term", func(f *fixture) *Violation {
			require.Nil(f.t, f.c.LeaseRead(1, f.last))
			return f.c.LeaseRead(1, f.last-1)
		}},
	})
	t.Run("drifting", func(t *testing.T) {
		f := newFixture(t)
		f.c.opt.Drifting = true
		require.Nil(t, f.c.LeaseRead(1, f.last-1))
		require.EqualValues(t, 1, f.c.Stats().StaleLeases)

		// ReadIndex of a follower may be answered by its leader's lease.
		f.c.ReadAsked(2, 7)
		require.NotNil(t, f.c.ReadReady(2, 7, f.last-1), "nobody has leases")
		f.c.leases = true
		f.c.ReadAsked(2, 8)
		require.Nil(t, f.c.ReadReady(2, 8, f.last-1))
		require.EqualValues(t, 2, f.c.Stats().StaleLeases)
	})
}

// S16: TimeoutNow is of the leader's own term, no proposal is accepted while
// leadership is handed over, and the target is a voter (dissertation §3.10).
func TestCatchS16(t *testing.T) {
	transferring := func(f *fixture) {
		_ = f.status(f.h1, func(st *raft.BasicStatus) { st.LeadTransferee = 2 })
		f.c.Before(1, nil)
	}
	runCatches(t, map[string]catch{
		"of a later term": {"S16", "in term", func(f *fixture) *Violation {
			return f.c.Leaves(1, &pb.Message{Type: pb.MsgTimeoutNow, From: 1, To: 2, Term: f.term + 1}, false)
		}},
		"of a follower": {"S16", "which 1 leads", func(f *fixture) *Violation {
			return f.c.Leaves(2, &pb.Message{Type: pb.MsgTimeoutNow, From: 2, To: 3, Term: f.term}, false)
		}},
		"accepts a proposal": {"S16", "accepts a proposal", func(f *fixture) *Violation {
			transferring(f)
			require.Nil(f.t, f.c.Proposed(1, raft.ErrTransferring))
			return f.c.Proposed(1, nil)
		}},
		"to no voter": {"S16", "which is no voter of", func(f *fixture) *Violation {
			return f.status(f.h1, func(st *raft.BasicStatus) { st.LeadTransferee = 4 })
		}},
	})
}

// A leader's peer that is removed and added again starts at nothing, one that
// stays goes on (Raft figure 2, matchIndex).
func TestProgressOverChanges(t *testing.T) {
	f := newFixture(t)
	n := f.c.node(1)
	two, three := f.joint([]uint64{1, 2}, nil), n.conf
	match := uint64(0) // that of 3, once it is back
	f.c.node(1).rn = &doctored{RawNode: f.h1.rn, peer: func(id uint64, p *progress.Progress) {
		if id == 3 {
			p.Match = match
		}
	}}
	n.setConf(two)
	n.lead.matched = append(n.lead.matched, peer{1, f.last}, peer{2, f.last})
	n.setConf(three)
	require.Nil(t, f.c.After(1, nil, nil))
	n.setConf(three)
	require.Nil(t, f.c.After(1, nil, nil))
	match = f.last
	require.Nil(t, f.c.After(1, nil, nil))
	match--
	require.Equal(t, "S10", f.c.After(1, nil, nil).Rule)
}
