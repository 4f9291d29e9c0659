package invariant

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// targets is a checker of a group of voters 1 2 3 in which a target stands, set by
// entry 10, whose steps have added learners 4 and 5.
func targets(t *testing.T) (*Checker, *node) {
	c := New(Options{Base: 5, BaseTerm: 2, Conf: pb.ConfState{Voters: []uint64{1, 2, 3}}})
	n := &node{id: 1}
	for i, cc := range []pb.ConfChangeV2{
		pb.Membership{Voters: []pb.Member{{ID: 1}, {ID: 2}, {ID: 4}}, Learners: []pb.Member{{ID: 5, Context: []byte("a")}}}.Change(),
		step(10, pb.ConfChangeAddLearnerNode, 4), step(10, pb.ConfChangeAddLearnerNode, 5),
	} {
		index, was := uint64(10+i), c.history[len(c.history)-1].cfg
		now, err := confchange.ApplyAt(was, cc, index)
		require.NoError(t, err)
		require.Nil(t, c.targetMoved(n, index, was, now, &cc))
		c.history = append(c.history, newConfAt(index, now))
	}
	require.Equal(t, []uint64{4, 5}, c.added)
	return c, n
}

func step(version uint64, kind pb.ConfChangeType, ids ...uint64) pb.ConfChangeV2 {
	cc := pb.ConfChangeV2{Membership: &pb.MembershipChange{Version: version}}
	for _, id := range ids {
		cc.Changes = append(cc.Changes, pb.ConfChangeSingle{Type: kind, NodeID: id})
	}
	return cc
}

// S11c: what an entry of C may do to a target, and to the members while one stands
// (dissertation §4, §4.2.1; confchange.ApplyAt).
func TestCatchS11c(t *testing.T) {
	outcome := func(o pb.MembershipOutcome) pb.ConfChangeV2 { return confchange.OutcomeChange(o) }
	reached := pb.MembershipOutcome{Version: 10, Result: pb.MembershipReached}
	late := pb.MembershipOutcome{Version: 10, Result: pb.MembershipAborted, Reason: pb.MembershipNoAnswer, Node: 4}
	other := pb.Membership{Voters: []pb.Member{{ID: 1}}}
	expecting := other
	expecting.Expected = new(uint64)
	for name, test := range map[string]struct {
		text string
		cc   pb.ConfChangeV2
		edit func(c *confchange.Config) // of the configuration before
	}{
		"a target of another version": {"sets target", other.Change(), func(c *confchange.Config) {
			c.Target = &pb.MembershipTarget{Version: 19, Voters: []uint64{1}}
			c.Outcome = &pb.MembershipOutcome{Version: 10, Result: pb.MembershipSuperseded, Index: 20}
		}},
		"another target than was proposed": {"proposed was", other.Change(), func(c *confchange.Config) {
			c.Target = &pb.MembershipTarget{Version: 20, Voters: []uint64{2}}
		}},
		"a target in another configuration than was expected": {"that expects configuration 0", expecting.Change(), func(c *confchange.Config) {
			c.Target = &pb.MembershipTarget{Version: 20, Voters: []uint64{1}}
		}},
		"the target before has no outcome": {"sets a target, and the last outcome is", other.Change(), func(c *confchange.Config) {
			c.Target = &pb.MembershipTarget{Version: 20, Voters: []uint64{1}}
		}},
		"a target that changes the members": {"at once", other.Change(), func(c *confchange.Config) {
			c.Target = &pb.MembershipTarget{Version: 20, Voters: []uint64{1}}
			c.Outcome = &pb.MembershipOutcome{Version: 10, Result: pb.MembershipSuperseded, Index: 20}
			c.Learners = nil
		}},
		"a target ends without an outcome": {"is no outcome of it", step(10, pb.ConfChangeAddNode, 4), func(c *confchange.Config) { c.Target = nil }},
		"an outcome of another target": {"is no outcome of it", outcome(pb.MembershipOutcome{Version: 9, Result: pb.MembershipReached}),
			func(c *confchange.Config) { c.Target = nil }},
		"another outcome than was proposed": {"in the configuration it is", outcome(late), func(c *confchange.Config) {
			c.Target, c.Outcome = nil, &pb.MembershipOutcome{Version: 10, Result: pb.MembershipReached, Index: 20}
		}},
		"reached before it was": {"as reached, the configuration is", outcome(reached), func(c *confchange.Config) {
			c.Target, c.Outcome = nil, &pb.MembershipOutcome{Version: 10, Result: pb.MembershipReached, Index: 20}
		}},
		"a learner stays behind": {"which added [4 5]", outcome(late), func(c *confchange.Config) {
			c.Target, c.Outcome = nil, &late
			c.Outcome = &pb.MembershipOutcome{Version: 10, Result: late.Result, Reason: late.Reason, Node: 4, Index: 20}
		}},
		"a learner goes that was to be one": {"which added [4 5]", outcome(late), func(c *confchange.Config) {
			c.Target, c.Learners = nil, nil
			c.Outcome = &pb.MembershipOutcome{Version: 10, Result: late.Result, Reason: late.Reason, Node: 4, Index: 20}
		}},
		"a second outcome": {"and no target ends", outcome(late), func(c *confchange.Config) { c.Outcome = &late }},
		"a step changes the target": {"changes target", step(10, pb.ConfChangeAddNode, 4), func(c *confchange.Config) {
			c.Target = &pb.MembershipTarget{Version: 10, Voters: []uint64{1}}
		}},
		"a change by hand":           {"and is a step of version 0", step(0, pb.ConfChangeRemoveNode, 3), func(c *confchange.Config) { c.Voters[0] = c.Voters[0][:2] }},
		"a step of another":          {"and is a step of version 9", step(9, pb.ConfChangeRemoveNode, 3), func(c *confchange.Config) { c.Voters[0] = c.Voters[0][:2] }},
		"a step adds a stranger":     {"adds 6", step(10, pb.ConfChangeAddLearnerNode, 6), func(c *confchange.Config) { c.Learners = []uint64{4, 5, 6} }},
		"a step removes who stays":   {"removes 2", step(10, pb.ConfChangeRemoveNode, 2), func(c *confchange.Config) { c.Voters[0] = []uint64{1, 3} }},
		"a step demotes who stays":   {"removes 2", step(10, pb.ConfChangeAddLearnerNode, 2), func(c *confchange.Config) { c.Voters[0], c.Learners = []uint64{1, 3}, []uint64{2, 4, 5} }},
		"a step removes its learner": {"removes 5", step(10, pb.ConfChangeRemoveNode, 5), func(c *confchange.Config) { c.Learners = []uint64{4} }},
	} {
		t.Run(name, func(t *testing.T) {
			c, n := targets(t)
			was := c.history[len(c.history)-1].cfg
			now := was
			test.edit(&now)
			v := c.targetMoved(n, 20, was, now, &test.cc)
			require.NotNil(t, v)
			require.Equal(t, "S11c", v.Rule)
			require.Contains(t, v.Detail, test.text)
		})
	}
}

// S11c: the voters change towards a target only while a majority of the new ones, and
// each that is made one, have answered heartbeats of the last election timeout.
func TestCatchVotersThatAreSilent(t *testing.T) {
	const timeout = 3
	for name, test := range map[string]struct {
		cc    pb.ConfChangeV2
		acked []peer
		force bool
		text  string
	}{
		"all answer":                   {cc: step(10, pb.ConfChangeAddNode, 4), acked: []peer{{2, 6}, {4, 6}}},
		"enough answer":                {cc: step(10, pb.ConfChangeAddNode, 4), acked: []peer{{2, 3}, {4, 4}}},
		"too few answer":               {cc: step(10, pb.ConfChangeRemoveNode, 3), acked: []peer{{2, 3}, {4, 2}}, text: "makes [1 2 4] the voters"},
		"nobody ever did":              {cc: step(10, pb.ConfChangeRemoveNode, 3), text: "makes [1 2 4] the voters"},
		"too few, and it is forced":    {cc: step(10, pb.ConfChangeRemoveNode, 3), force: true},
		"no voter changes":             {cc: step(10, pb.ConfChangeRemoveNode, 5)},
		"who is made one does not":     {cc: step(10, pb.ConfChangeAddNode, 4), acked: []peer{{2, 6}, {4, 3}}, text: "makes 4 a voter"},
		"who is made one, also forced": {cc: step(10, pb.ConfChangeAddNode, 4), force: true, text: "makes 4 a voter"},
	} {
		t.Run(name, func(t *testing.T) {
			c, n := targets(t)
			n.conf = c.history[len(c.history)-1]
			target := *n.conf.cfg.Target
			target.Force = test.force
			n.conf.cfg.Target = &target
			n.st.RaftState, n.st.Term, n.clock.timeout = raft.StateLeader, 4, timeout
			for round := uint64(1); round <= 6; round++ { // one in each tick; 4 to 6 are of the last timeout
				n.lead.silence.tick(round, round, timeout)
			}
			n.lead.acked = test.acked
			n.lead.catchUp.held = []uint64{4}
			kind, data, err := pb.MarshalConfChange(test.cc)
			require.NoError(t, err)
			v := c.promoted(n, &pb.Entry{Index: 37, Term: 4, Type: kind, Data: data})
			if test.text == "" {
				require.Nil(t, v)
				return
			}
			require.NotNil(t, v)
			require.Equal(t, "S11c", v.Rule)
			require.Contains(t, v.Detail, test.text)
		})
	}
}

// S11c: a learner becomes a voter by a target when it held, at one of the leader's
// ticks, what the log held less than an election timeout before, and answered since
// (dissertation §4.2.1).
func TestCatchPromotionWithoutTheLog(t *testing.T) {
	const timeout = 3
	kind, data, err := pb.MarshalConfChange(step(10, pb.ConfChangeAddNode, 4, 3))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		match, round uint64
		fine         bool
	}{
		"without an answer":  {match: 36, round: 7},
		"far behind":         {match: 33, round: 8},
		"nearly up to date":  {match: 34, round: 8, fine: true},
		"with the whole log": {match: 36, round: 9, fine: true},
	} {
		t.Run(name, func(t *testing.T) {
			c, n := targets(t)
			n.lead.round = 7
			n.conf = c.history[0]
			c.watchCatchUp(n, timeout)
			n.conf = c.history[len(c.history)-1]
			n.st.RaftState, n.st.Term = raft.StateLeader, 4
			n.lead.start = 30
			for last := uint64(31); last <= 36; last++ {
				n.st.LastIndex = last
				if last == 33 {
					n.lead.round = 9
				}
				if last == 36 {
					n.lead.acked = []peer{{4, test.round}, {3, 9}}
					n.lead.matched = []peer{{4, test.match}, {3, 36}}
				}
				c.watchCatchUp(n, timeout)
			}
			n.lead.catchUp.held = append(n.lead.catchUp.held, 3) // is no learner here
			v := c.promoted(n, &pb.Entry{Index: 37, Term: 4, Type: kind, Data: data})
			if test.fine {
				require.Nil(t, v)
				return
			}
			require.Equal(t, "S11c", v.Rule)
			require.Contains(t, v.Detail, "makes 4 a voter")
		})
	}
}
