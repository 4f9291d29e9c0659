package confchange

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// The next step, from every kind of situation (dissertation §4.1 one voter, §4.2.1 learners that catch up, §4.2.2 the
// leader, §4.3 several voters).
func TestPlan(t *testing.T) {
	for _, test := range []struct {
		name, config, target string
		behind               []uint64
		leader               uint64
		want                 string
	}{
		{"reached", "1 2 3 | learners 4", "1 2 3 | learners 4", nil, 1, "done"},
		{"a learner first", "1 2 3", "1 2 3 4", nil, 1, `add learner (4): "l4"`},
		{"voters to be before learners", "1 2 3", "1 2 3 5 | learners 4", nil, 1, `add learner (5): "l5"`},
		{"all learners before the voters", "1 2 3 | learners 5", "1 2 3 5 | learners 4", nil, 1, `add learner (4): "l4"`},
		{"catch up", "1 2 3 | learners 4 5", "1 4 5", []uint64{4, 5}, 1, "catch up (4 5)"},
		{"those who have are not waited for", "1 2 3 | learners 4 5", "1 4 5", []uint64{5}, 1, "catch up (5)"},
		{"learners that stay are not waited for", "1 2 3 | learners 4 5", "1 2 3 4 | learners 5", []uint64{5}, 1, `change voters (4): "v4"`},
		{"who leaves is not waited for", "1 2 3", "1 2", []uint64{3}, 1, `change voters (3): "r3"`},
		{"one is promoted", "1 2 3 | learners 4", "1 2 3 4", nil, 1, `change voters (4): "v4"`},
		{"one is demoted", "1 2 3", "1 2 | learners 3", nil, 1, `change voters (3): "l3"`},
		{"swap", "1 2 3 | learners 4", "1 2 4", nil, 1, `change voters (3 4): "r3 v4" jointly`},
		{"swap by a demotion", "1 2 3 | learners 4", "1 2 4 | learners 3", nil, 1, `change voters (3 4): "l3 v4" jointly`},
		{"three", "1 2 3 | learners 4 5", "3 4 5", nil, 3, `change voters (1 2 4 5): "r1 r2 v4 v5" jointly`},
		{"the leader goes", "1 2 3 | learners 4", "2 3 4", nil, 1, "hand over (2 3)"},
		{"the leader is demoted", "1 2 3", "2 3 | learners 1", nil, 1, "hand over (2 3)"},
		{"to those who stay", "1 2 3 | learners 4 5", "3 4 5", nil, 1, "hand over (3)"},
		{"only once they have caught up", "1 2 3 | learners 4", "2 3 4", []uint64{4}, 1, "catch up (4)"},
		{"another leads", "1 2 3 | learners 4", "2 3 4", nil, 2, `change voters (1 4): "r1 v4" jointly`},
		{"whoever leads", "1 2 3 | learners 4", "2 3 4", nil, 0, `change voters (1 4): "r1 v4" jointly`},
		{"all are replaced", "1 2 | learners 4 5", "4 5", nil, 1, `change voters (4): "v4"`},
		{"all were, but one bridges", "1 2 4 | learners 5", "4 5", nil, 1, "hand over (4)"},
		{"and leads", "1 2 4 | learners 5", "4 5", nil, 4, `change voters (1 2 5): "r1 r2 v5" jointly`},
		{"leftover learners last", "1 2 | learners 4 5", "1 2", nil, 1, `remove learner (4): "r4"`},
		{"not before the voters", "1 2 | learners 4", "1", nil, 1, `change voters (2): "r2"`},
		{"joint, left automatically", "1 2 4 & 1 2 3 | auto", "1 2 5", nil, 1, "await leave"},
		{"joint, left by hand", "1 2 4 & 1 2 3", "1 2 5", nil, 1, "leave joint"},
		{"joint, the leader goes", "2 3 4 & 1 2 3", "2 5", nil, 1, "hand over (2)"},
		{"joint, to anybody", "2 3 4 & 1 2 3", "5 6", nil, 1, "hand over (2 3 4)"},
		{"joint, the leader is demoted", "2 3 & 1 2 3 | next 1", "1 2 3", nil, 1, "hand over (2 3)"},
		{"no group", "", "1", nil, 1, "impossible"},
		{"inconsistent", "1 1", "1", nil, 1, "impossible"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ready := func(id uint64) bool { return !slices.Contains(test.behind, id) }
			c, target := parse(t, test.config), parseTarget(t, test.target)
			step := Plan(c, target, ready, test.leader)
			got := step.String()
			if step.Change.Transition == raftpb.ConfChangeTransitionJointImplicit {
				got += " jointly"
			}
			if step.Kind == StepImpossible {
				require.Error(t, step.Err)
				got = step.Kind.String()
			}
			require.Equal(t, test.want, got)
			require.Nil(t, step.Change.Membership, "the target is not set yet")
			require.Equal(t, c.Check() == nil && c.Reached(target), step.Kind == StepDone)

			target.Version = 7
			versioned := Plan(c, target, ready, test.leader)
			require.Equal(t, step.IDs, versioned.IDs)
			if step.Proposes() && step.Kind != StepLeaveJoint {
				require.Equal(t, &raftpb.MembershipChange{Version: 7}, versioned.Change.Membership)
			} else {
				require.Nil(t, versioned.Change.Membership)
			}
		})
	}
	require.Equal(t, "StepKind(10)", StepKind(10).String())
	for kind := range StepKind(10) {
		require.NotContains(t, kind.String(), "StepKind")
	}
}

// A member is reached by its context, so it comes with the learner; one that is another than the target's is given first,
// and one that the target does not name stays.
func TestPlanContexts(t *testing.T) {
	c := parse(t, "1 2 3")
	c.Contexts = []raftpb.Member{member(1, "a"), member(2, "b"), member(3, "c")}
	c, err := ApplyAt(c, TargetChange(parseTarget(t, "1 2 | learners 4 5", member(1, "A"), member(2, "b"), member(4, "d"))), 5)
	require.NoError(t, err)
	var steps []string
	for index := uint64(6); ; index++ {
		step := Plan(c, *c.Target, nil, 1)
		if step.Kind == StepDone {
			break
		}
		require.NoError(t, Validate(c, step.Change))
		c, err = ApplyAt(c, step.Change, index)
		require.NoError(t, err)
		steps = append(steps, step.String()+"="+string(step.Change.Changes[0].Context))
	}
	require.Equal(t, []string{
		`update context (1): "u1"=A`, `add learner (4): "l4"=d`, `add learner (5): "l5"=`, `change voters (3): "r3"=`,
	}, steps)
	require.Equal(t, "1=A 2=b 4=d", describeContexts(c))
	require.True(t, c.Reached(*c.Target))
	c.Contexts = c.Contexts[:2]
	require.False(t, c.Reached(*c.Target))
}

// eachPair visits every configuration of n nodes together with every target, up to the names of nodes; states is 3 for
// plain configurations and 6 for joint ones.
func eachPair(n, states int, visit func(codes []int)) {
	codes := make([]int, n)
	var choose func(i, least int)
	choose = func(i, least int) {
		if i == n {
			visit(codes)
			return
		}
		for code := least; code < states*3; code++ {
			codes[i] = code
			choose(i+1, code)
		}
	}
	choose(0, 0)
}

// pairOf returns the configuration and the target of codes, node names[i] for the one at i; false if they are none, or
// have more than five voters or two learners.
func pairOf(codes []int, names []int, auto bool) (Config, raftpb.MembershipTarget, bool) {
	var c Config
	var t raftpb.MembershipTarget
	for i, code := range codes {
		id := uint64(names[i] + 1)
		switch code / 3 {
		case 1:
			c.Voters[0] = append(c.Voters[0], id)
		case 2:
			c.Learners = append(c.Learners, id)
		case 3:
			c.Voters[0] = append(c.Voters[0], id)
			c.Voters[1] = append(c.Voters[1], id)
		case 4:
			c.Voters[1] = append(c.Voters[1], id)
		case 5:
			c.Voters[1] = append(c.Voters[1], id)
			c.LearnersNext = append(c.LearnersNext, id)
		}
		switch code % 3 {
		case 1:
			t.Voters = append(t.Voters, id)
		case 2:
			t.Learners = append(t.Learners, id)
		}
	}
	for _, ids := range [][]uint64{c.Voters[0], c.Voters[1], c.Learners, c.LearnersNext} {
		slices.Sort(ids)
	}
	c.AutoLeave = auto && c.Joint()
	fits := len(c.Voters[0]) <= 5 && len(c.Voters[1]) <= 5 && len(c.Learners)+len(c.LearnersNext) <= 2 &&
		len(t.Voters) >= 1 && len(t.Voters) <= 5 && len(t.Learners) <= 2 && auto == c.AutoLeave
	return c, t, fits && len(c.Voters[0]) > 0 && c.Check() == nil
}

// From every configuration of up to five voters and two learners to every other, whoever leads, the plan gets to the
// target in at most maxSteps steps. On the way quorums meet (§4.1 figure 4.3, §4.3), one voter alone changes
// without a joint configuration and at most one is entered, nobody votes who has not caught up as a learner (§4.2.1), and
// the leader is never removed but hands over before (§4.2.2). All pairs up to the names of nodes, each with four
// ways to name them.
func TestPlanReachesEveryTarget(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	runs := 0
	eachPair(7, 3, func(codes []int) {
		names := []int{0, 1, 2, 3, 4, 5, 6}
		for range 4 {
			c, target, ok := pairOf(codes, names, false)
			if !ok {
				return
			}
			for _, leader := range append([]uint64{0}, c.Voters[0]...) {
				drive(c, target, leader, nil).require(t, leader)
				runs++
			}
			rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		}
	})
	require.Greater(t, runs, 20_000)
}

// The same from joint configurations, which somebody made by hand or another target left behind (§4.3): all of four nodes
// with every leader, all of five with one of them, and some of seven.
func TestPlanFromJoint(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	runs := 0
	try := func(codes, names []int, everyLeader bool) {
		for _, auto := range []bool{false, true} {
			c, target, ok := pairOf(codes, names, auto)
			if !ok || !c.Joint() {
				continue
			}
			leaders := append([]uint64{0}, c.Voters.IDs()...)
			if !everyLeader {
				leaders = leaders[rnd.Intn(len(leaders)):][:1]
			}
			for _, leader := range leaders {
				drive(c, target, leader, nil).require(t, leader)
				runs++
			}
		}
	}
	eachPair(4, 6, func(codes []int) { try(codes, rnd.Perm(4), true) })
	eachPair(5, 6, func(codes []int) { try(codes, rnd.Perm(5), false) })
	codes := make([]int, 7)
	for range 20_000 {
		for i := range codes {
			codes[i] = rnd.Intn(18)
		}
		try(codes, rnd.Perm(7), true)
	}
	require.Greater(t, runs, 20_000)
}

// Whoever finds a group half way goes on from there: another leader with the same target, or with another one that took
// its place. The plan has no memory to lose.
func TestPlanResumes(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	codes := make([]int, 7)
	resumed := 0
	for range 20_000 {
		for i := range codes {
			codes[i] = rnd.Intn(9)
		}
		c, target, ok := pairOf(codes, rnd.Perm(7), false)
		if !ok {
			continue
		}
		for i := range codes {
			codes[i] = rnd.Intn(9)
		}
		_, another, ok := pairOf(codes, rnd.Perm(7), false)
		if !ok {
			another = target
		}
		leader := c.Voters[0][rnd.Intn(len(c.Voters[0]))]
		drive(c, target, leader, func(c Config, _ uint64) {
			c.Target, c.Outcome = nil, nil
			voters := c.Voters.IDs()
			leader := voters[rnd.Intn(len(voters))]
			drive(c, target, leader, nil).require(t, leader)
			drive(c, another, leader, nil).require(t, leader)
			resumed++
		}).require(t, leader)
	}
	require.Greater(t, resumed, 10_000)
}
