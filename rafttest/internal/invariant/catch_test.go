package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// catch is a wrong observation and how it has to be reported.
type catch struct {
	rule, says string
	// see shows it to the checker of a group of three, led by node 1, in which
	// everything is committed and applied everywhere.
	see func(f *fixture) *Violation
}

// fixture is that group.
type fixture struct {
	*group
	h1, h2, h3 *host
	term, last uint64
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{group: newGroup(t, 3, 1)}
	f.h1, f.h2, f.h3 = f.host(1), f.host(2), f.host(3)
	f.c.opt.Drifting = false
	f.elect(1)
	f.propose(f.h1, "one")
	f.propose(f.h1, "two")
	f.settle()
	// A heartbeat tells the followers of the commit.
	for range 2 {
		f.tick(f.h1)
	}
	f.settle()
	f.refresh()
	require.Equal(t, f.last, f.c.Committed())
	for _, h := range f.hosts {
		require.Equal(t, f.last, h.applied)
	}
	return f
}

func (f *fixture) refresh() {
	st := f.h1.rn.BasicStatus()
	f.term, f.last = st.Term, st.LastIndex
}

func runCatches(t *testing.T, catches map[string]catch) {
	for name, tc := range catches {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			v := tc.see(f)
			require.Nil(t, f.v, "before the wrong observation")
			require.NotNil(t, v, "not caught")
			require.Equal(t, tc.rule, v.Rule, v.Error())
			require.Contains(t, v.Error(), tc.says)
		})
	}
}

// doctored is a node whose status is not what it says.
type doctored struct {
	*raft.RawNode
	status func(*raft.BasicStatus)
	peer   func(id uint64, p *progress.Progress)
}

func (d *doctored) BasicStatus() raft.BasicStatus {
	st := d.RawNode.BasicStatus()
	if d.status != nil {
		d.status(&st)
	}
	return st
}

func (d *doctored) WithProgress(f func(id uint64, p progress.Progress)) {
	d.RawNode.WithProgress(func(id uint64, p progress.Progress) {
		if d.peer != nil {
			d.peer(id, &p)
		}
		f(id, p)
	})
}

// status shows the checker another status of a node.
func (f *fixture) status(h *host, edit func(*raft.BasicStatus)) *Violation {
	f.c.node(h.id).rn = &doctored{RawNode: h.rn, status: edit}
	return f.c.After(h.id, nil, nil)
}

// progress shows it other progress of the leader's peers.
func (f *fixture) progress(edit func(id uint64, p *progress.Progress)) *Violation {
	f.c.node(1).rn = &doctored{RawNode: f.h1.rn, peer: edit}
	return f.c.After(1, nil, nil)
}

// candidate makes the checker and a disk believe that a node stands for election
// in a new term, and that others voted for it.
func (f *fixture) candidate(h *host, voters ...uint64) (term uint64) {
	term = f.term + 1
	for _, id := range append(voters, h.id) {
		n := f.c.node(id)
		n.votes = append(n.votes, vote{term: term, to: h.id, left: id != h.id})
	}
	hs, _, _ := h.disk.Durable()
	require.NoError(f.t, h.disk.SetHardState(pb.HardState{Term: term, Vote: h.id, Commit: hs.Commit}))
	n := f.c.node(h.id)
	n.st.Term, n.st.Vote, n.st.RaftState = term, h.id, raft.StateCandidate
	return term
}

// leads shows a node as a leader, right after its election.
func (f *fixture) leads(h *host, term uint64) *Violation {
	return f.status(h, func(st *raft.BasicStatus) {
		st.Term, st.Vote, st.Lead, st.RaftState = term, h.id, h.id, raft.StateLeader
	})
}

// take returns a node's next Ready without showing it to the checker.
func (f *fixture) take(h *host) raft.Ready {
	require.True(f.t, h.rn.HasReady())
	return h.rn.Ready()
}

func (f *fixture) entry(i uint64) pb.Entry {
	ents, err := f.h1.disk.Entries(i, i+1, 1)
	require.NoError(f.t, err)
	return ents[0]
}

func (f *fixture) snap(index uint64, cs pb.ConfState) pb.Snapshot {
	return pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: index, Term: f.term, ConfState: cs}}
}

// cut keeps a node from all messages while the others go on with a proposal.
func (f *fixture) cut(h *host) {
	for i, o := range f.hosts {
		if o == h {
			f.hosts = append(f.hosts[:i:i], f.hosts[i+1:]...)
			break
		}
	}
	f.propose(f.h1, "three")
	f.settle()
	f.hosts = append(f.hosts, h)
	f.net = nil
	f.refresh()
}

// proposeTo has the leader write an entry that no message carries, and puts it
// on other disks.
func (f *fixture) proposeTo(hosts ...*host) {
	f.propose(f.h1, "three")
	f.ready(f.h1)
	f.sync(f.h1)
	f.net = nil
	for _, h := range hosts {
		require.NoError(f.t, h.disk.Append([]pb.Entry{f.entry(f.last + 1)}))
	}
}

// joint, voters and learner are configurations for nodes to be in.
func (f *fixture) joint(in, out []uint64) *confAt {
	cfg, err := confchange.Restore(pb.ConfState{Voters: in, VotersOutgoing: out})
	require.NoError(f.t, err)
	return newConfAt(f.last, cfg)
}

func (f *fixture) learner(id uint64) *confAt {
	cs := pb.ConfState{Learners: []uint64{id}}
	for _, h := range f.hosts {
		if h.id != id {
			cs.Voters = append(cs.Voters, h.id)
		}
	}
	cfg, err := confchange.Restore(cs)
	require.NoError(f.t, err)
	return newConfAt(f.last, cfg)
}
