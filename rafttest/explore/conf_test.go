package explore

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// changes of two members; the first configuration after them is of voter 1 with learner 2.
var twoChanges = []pb.ConfChangeV2{
	change(remove(2)),
	change(pb.ConfChangeSingle{Type: pb.ConfChangeAddLearnerNode, NodeID: 2}),
}

func entryOfChange(t *testing.T, index uint64, cc pb.ConfChangeV2) pb.Entry {
	data, err := cc.Marshal()
	require.NoError(t, err)
	return pb.Entry{Type: pb.EntryConfChangeV2, Term: 2, Index: index, Data: data}
}

// changing returns a started member, one of two voters, that holds both changes and has applied and saved the first.
func changing(t *testing.T, effect raft.ConfChangeEffect) (*bench, *member) {
	m, err := NewModel(Bounds{Members: 2, Terms: 1, Messages: 1, Changes: twoChanges, Effect: effect})
	require.NoError(t, err)
	b := newBench(&m.settings)
	cs := pb.ConfState{Voters: []uint64{1, 2}, Index: 1, ConfChangeEffect: effect}
	saved := pb.ConfState{Voters: []uint64{1}, Index: 2, ConfChangeEffect: effect}
	mb := &member{ID: 1, Disk: disk{
		Hard: pb.HardState{Term: 2, Commit: 2}, Synced: 2, Conf: saved,
		Snap: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: cs},
		Ents: []pb.Entry{entryOfChange(t, 2, twoChanges[0]), entryOfChange(t, 3, twoChanges[1])},
	}}
	require.NoError(t, b.start(mb))
	return b, mb
}

func requireRule(t *testing.T, rule string, err error) {
	t.Helper()
	var v *Violation
	require.ErrorAs(t, err, &v)
	require.Equal(t, rule, v.Rule, v.Detail)
}

// S11: a member goes by what its log leads to, as far as changes are in effect, and saves nothing else.
func TestConfigurationIsThatOfTheLog(t *testing.T) {
	for effect, rule := range map[raft.ConfChangeEffect]string{raft.OnApply: "S11a", raft.OnAppend: "S11b"} {
		was := raft.BasicStatus{}
		_, m := changing(t, effect)
		require.NoError(t, m.configured(&was))
		c, of := (&confLog{m.Disk.Snap, m.Disk.Ents}).at(3)
		require.EqualValues(t, 3, of)
		require.Equal(t, "voters=(1) learners=(2)", c.String())

		// Another log than it started with.
		m.Disk.Ents = append([]pb.Entry{}, m.Disk.Ents...)
		m.Disk.Ents[0], m.Disk.Ents[1] = entryOfChange(t, 2, twoChanges[1]), pb.Entry{Term: 2, Index: 3}
		requireRule(t, rule, m.configured(&was))

		_, m = changing(t, effect)
		m.Disk.Conf.Voters = []uint64{1, 2}
		requireRule(t, rule, m.configured(&was))
		if effect == raft.OnAppend {
			m.Disk.Conf.Index = 4
			requireRule(t, rule, m.configured(&was))
		}
		require.NoError(t, m.saves(&pb.ConfState{Index: 2, ConfChangeEffect: effect}, 2))
		_, m = changing(t, effect)
		requireRule(t, rule, m.saves(&pb.ConfState{Index: 3, ConfChangeEffect: effect}, 2))
		requireRule(t, "S17", m.summarizes(&pb.ConfState{Voters: []uint64{1, 2}, Index: 1}, 2))
		require.NoError(t, m.summarizes(&pb.ConfState{Voters: []uint64{1}, Index: 2}, 2))
	}
}

// S11: of two changes in a log one is committed.
func TestOneChangeAtATime(t *testing.T) {
	b, m := changing(t, raft.OnApply)
	v := b.view(m)
	require.NoError(t, oneChange(v, 2))
	requireRule(t, "S11a", oneChange(v, 1))
	require.NoError(t, oneChange(v, 3))
}

// S7: who asks for a vote with a log that lacks something gets none, and an answer that says otherwise is found, whether
// it left or waits.
func TestVotesGoToWhoHoldsAll(t *testing.T) {
	_, m := changing(t, raft.OnApply)
	grant := pb.Message{Type: pb.MsgVoteResp, To: 2, Term: 3}
	asked := pb.Message{Type: pb.MsgVote, From: 2, To: 1, Term: 3, LogTerm: 2, Index: 2}
	requireRule(t, "S7", m.votes(&asked, nil, []pb.Message{grant}))
	requireRule(t, "S7", m.votes(&asked, []write{{Promises: []pb.Message{grant}}}, nil))
	refusal := grant
	refusal.Reject = true
	require.NoError(t, m.votes(&asked, nil, []pb.Message{refusal}))
	asked.Index = 3
	require.NoError(t, m.votes(&asked, nil, []pb.Message{grant}))
}

// Small groups whose members change are explored to the end, and break no rule, whenever changes take effect.
func TestChangesAreSafe(t *testing.T) {
	for _, b := range []Bounds{
		{Members: 2, Learners: 1, Terms: 2, Messages: 1, Crashes: 1, Changes: []pb.ConfChangeV2{change(add(2))}},
		{Members: 2, Spares: 1, Terms: 1, Messages: 1, Compactions: 1, Changes: []pb.ConfChangeV2{change(add(2), remove(1))}},
		{Members: 2, Terms: 1, Messages: 2, Changes: twoChanges},
	} {
		b.NoPreVote, b.NoCheckQuorum = true, true
		for _, b.Effect = range []raft.ConfChangeEffect{raft.OnApply, raft.OnAppend} {
			explored(t, model(t, b), search.Options{})
		}
	}
}

// Four members, of whom one joins, go through all configurations that two changes lead to, one after the other on append, or
// each by a joint configuration on apply and with an election.
func TestChangesAreTried(t *testing.T) {
	at := Bounds{
		Members: 4, Spares: 1, Messages: 3, Timeouts: 1, Led: true, NoPreVote: true, NoCheckQuorum: true,
		WriteAtOnce: true, ApplyAtOnce: true,
	}
	for name, c := range map[string]struct {
		terms, entries uint64
		effect         raft.ConfChangeEffect
		changes        []pb.ConfChangeV2
		confs          []string
	}{
		"one by one": {1, 3, raft.OnAppend, []pb.ConfChangeV2{change(add(4)), change(remove(1))},
			[]string{"()", "(1 2 3 4)", "(1 2 3)", "(2 3 4)", "(2 3)"}},
		"joint": {2, 6, raft.OnApply, []pb.ConfChangeV2{change(add(4), remove(1)), change(add(1), remove(2))},
			[]string{"()", "(1 2 3)", "(1 3 4)", "(1 3 4)&&(2 3 4)", "(1 3)", "(1 3)&&(1 2 3)", "(2 3 4)", "(2 3 4)&&(1 2 3)", "(3 4)", "(3 4)&&(1 3)"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := at
			b.Terms, b.Entries, b.Effect, b.Changes = c.terms, c.entries, c.effect, c.changes
			confs := map[string]bool{}
			states(t, model(t, b), func(w *worker, s *state) search.Fingerprint {
				for _, number := range s.members {
					confs[w.m.members.get(number).view.conf.Voters.String()] = true
				}
				return search.Fingerprint{}
			})
			require.Equal(t, c.confs, slices.Sorted(maps.Keys(confs)))
		})
	}
}
