package repair

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const electionTimeout = time.Second

// dead is the view of server 1, which leads five voters and the learner 6, when those
// have been silent for an hour.
func dead(ids ...uint64) View {
	v := View{
		ID: 1, Term: 3, Leads: true, ElectionTimeout: electionTimeout,
		Config: pb.ConfState{Index: 17, Voters: []uint64{1, 2, 3, 4, 5}, Learners: []uint64{6}},
		Silent: map[uint64]time.Duration{1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0},
	}
	for _, id := range ids {
		v.Silent[id] = time.Hour
	}
	return v
}

// A voter is replaced if it was silent for long enough, everything else is at rest, and
// enough voters are there; in each other case it is said why nothing is done.
func TestDecide(t *testing.T) {
	policy := Policy{Spares: []pb.Member{{ID: 7}, {ID: 8}}, Learners: true, After: time.Minute, MinVoters: 4}
	for _, c := range []struct {
		what  string
		view  View
		make  func(v *View, p *Policy)
		wants Decision
	}{
		{"all are there", dead(), nil, Decision{Kind: Healthy}},
		{"a learner is gone, which does not vote", dead(6), nil, Decision{Kind: Healthy}},
		{"a voter is gone", dead(4), nil, Decision{Kind: Replace, Voter: 4, Spare: 7}},
		{"it was silent for a little less", dead(4), func(v *View, p *Policy) { v.Silent[4] = p.After - 1 },
			Decision{Kind: Waiting, Voter: 4, Until: t0.Add(1)}},
		{"it was silent for exactly as long", dead(4), func(v *View, p *Policy) { v.Silent[4] = p.After },
			Decision{Kind: Replace, Voter: 4, Spare: 7}},
		{"two election timeouts are the least", dead(4), func(v *View, p *Policy) { p.After, v.Silent[4] = time.Millisecond, 2*electionTimeout-1 },
			Decision{Kind: Waiting, Voter: 4, Until: t0.Add(1)}},
		{"the leader is never replaced", dead(1), nil, Decision{Kind: Healthy}},
		{"another leads", dead(4), func(v *View, _ *Policy) { v.Leads = false }, Decision{Kind: NotLeading}},
		{"the leader is being removed", dead(4), func(v *View, _ *Policy) { v.ID = 9 }, Decision{Kind: NotLeading}},
		{"paused", dead(4), func(_ *View, p *Policy) { p.Paused = true }, Decision{Kind: Paused}},
		{"a target stands", dead(4), func(v *View, _ *Policy) { v.Config.Target = &pb.MembershipTarget{Version: 11} },
			Decision{Kind: TargetStands, Version: 11}},
		{"a change by hand", dead(4), func(v *View, _ *Policy) { v.Changing = true }, Decision{Kind: Changing}},
		{"joint", dead(4), func(v *View, _ *Policy) { v.Config.VotersOutgoing = []uint64{1, 2} }, Decision{Kind: Changing}},
		{"fewer than the policy wants", dead(4, 5), nil, Decision{Kind: TooFew, Voter: 4, Heard: 3, Need: 4}},
		{"as many as decide", dead(4, 5), func(_ *View, p *Policy) { p.MinVoters = 0 }, Decision{Kind: Replace, Voter: 4, Spare: 7}},
		{"never with less than a quorum", dead(3, 4, 5), func(_ *View, p *Policy) { p.MinVoters = 1 },
			Decision{Kind: TooFew, Voter: 3, Heard: 2, Need: 3}},
		{"one that nothing is known of is not there", dead(3, 4), func(v *View, p *Policy) { p.MinVoters = 0; delete(v.Silent, 5) },
			Decision{Kind: TooFew, Voter: 3, Heard: 2, Need: 3}},
		{"the one that is silent for longest", dead(4, 5), func(v *View, p *Policy) { p.MinVoters = 3; v.Silent[5]++ },
			Decision{Kind: Replace, Voter: 5, Spare: 7}},
		{"the last attempt was cancelled", dead(4), func(v *View, _ *Policy) { v.NotBefore = t0.Add(time.Second) },
			Decision{Kind: CoolingDown, Voter: 4, Until: t0.Add(time.Second)}},
		{"that is over", dead(4), func(v *View, _ *Policy) { v.NotBefore = t0 }, Decision{Kind: Replace, Voter: 4, Spare: 7}},
		{"a spare failed lately", dead(4), func(v *View, _ *Policy) { v.Rests = map[uint64]time.Time{7: t0.Add(1)} },
			Decision{Kind: Replace, Voter: 4, Spare: 8}},
		{"both did", dead(4), func(v *View, _ *Policy) { v.Rests = map[uint64]time.Time{7: t0.Add(1), 8: t0.Add(2)} },
			Decision{Kind: Replace, Voter: 4, Spare: 6}},
		{"all did", dead(4), func(v *View, _ *Policy) {
			v.Rests = map[uint64]time.Time{7: t0.Add(3), 8: t0.Add(2), 6: t0.Add(4)}
		}, Decision{Kind: NoSpare, Voter: 4, Until: t0.Add(2)}},
		{"the learner is gone too", dead(4, 6), func(_ *View, p *Policy) { p.Spares = nil }, Decision{Kind: NoSpare, Voter: 4}},
		{"a learner, as nobody is named", dead(4), func(_ *View, p *Policy) { p.Spares = nil }, Decision{Kind: Replace, Voter: 4, Spare: 6}},
		{"only members", dead(4), func(_ *View, p *Policy) { p.MembersOnly = true }, Decision{Kind: Replace, Voter: 4, Spare: 6}},
		{"a spare that votes is none", dead(4), func(_ *View, p *Policy) { p.Spares = []pb.Member{{ID: 4}, {ID: 1}, {ID: 5}}; p.Learners = false },
			Decision{Kind: NoSpare, Voter: 4}},
	} {
		v, p := c.view, policy
		if c.make != nil {
			c.make(&v, &p)
		}
		got := Decide(v, p, t0)
		require.NotEmpty(t, got.String(), c.what)
		if c.wants.Kind != TooFew {
			got.Heard, got.Need = 0, 0
		}
		got.Silent = 0
		require.Equal(t, c.wants, got, c.what)
	}
}

// Sentences are for operators: what is wrong, what is missing, and until when.
func TestDecisionInWords(t *testing.T) {
	for want, d := range map[string]Decision{
		"voter 4 was not heard from for 1h0m0s, but only 2 voters are heard from, where 3 have to be":                     {Kind: TooFew, Voter: 4, Silent: time.Hour, Heard: 2, Need: 3},
		"voter 4 was not heard from for 1m0s, and there is no spare that could take its place until 2026-01-01T00:00:00Z": {Kind: NoSpare, Voter: 4, Silent: time.Minute, Until: t0},
		"the state of the group is not known: gone":                                                                       {Kind: Unknown, Err: errors.New("gone")},
		"voter 4 was not heard from for 1m0s: spare 7 takes its place":                                                    {Kind: Replace, Voter: 4, Spare: 7, Silent: time.Minute},
	} {
		require.Equal(t, want, d.String())
	}
	for k := NotLeading; k <= Unconfirmed; k++ {
		require.NotContains(t, k.String(), "Kind(")
	}
}

// The membership that is proposed is that of the view but for the two, with the context that
// the spare has or is given, and only for the configuration that was judged.
func TestProposedMembership(t *testing.T) {
	v := dead(4)
	v.Config.Members = []pb.Member{{ID: 6, Context: []byte("six")}, {ID: 2, Context: []byte("two")}, {ID: 4, Context: []byte("four")}}
	m := v.membership(Policy{}, Decision{Voter: 4, Spare: 6})
	require.Equal(t, []pb.Member{{ID: 1}, {ID: 2, Context: []byte("two")}, {ID: 3}, {ID: 5}, {ID: 6, Context: []byte("six")}}, m.Voters)
	require.Empty(t, m.Learners)
	require.Equal(t, uint64(17), *m.Expected)
	require.False(t, m.Force)
	m = v.membership(Policy{Spares: []pb.Member{{ID: 7, Context: []byte("seven")}}}, Decision{Voter: 4, Spare: 7})
	require.Equal(t, pb.Member{ID: 7, Context: []byte("seven")}, m.Voters[4])
	require.Equal(t, []pb.Member{{ID: 6, Context: []byte("six")}}, m.Learners)
}

// Every fault of a policy is told.
func TestPolicyValidate(t *testing.T) {
	bad := Policy{Spares: []pb.Member{{}, {ID: 2}, {ID: 2}}, After: -1, MinVoters: -1, Cooldown: time.Hour, MaxCooldown: time.Minute}
	err := bad.Validate()
	require.ErrorIs(t, err, ErrInvalidConfig)
	for _, text := range []string{"ID 0", "2 is named twice", "After (-1ns)", "MinVoters (-1)", "MaxCooldown (1m0s)"} {
		require.ErrorContains(t, err, text)
	}
	none := Policy{}
	require.ErrorContains(t, none.Validate(), "Spares must name")
	_, err = New(Config{Policy: Policy{Learners: true}})
	require.ErrorContains(t, err, "Group must be set")
}
