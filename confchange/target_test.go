package confchange

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// parseTarget reads "1 2 | learners 3", then contexts as in "1=a".
func parseTarget(t testing.TB, s string, contexts ...raftpb.Member) raftpb.MembershipTarget {
	t.Helper()
	c := parse(t, s)
	return raftpb.MembershipTarget{Voters: c.Voters[0], Learners: c.Learners, Members: contexts}
}

func member(id uint64, context string) raftpb.Member {
	return raftpb.Member{ID: id, Context: []byte(context)}
}

// withTarget returns c with a target that entry version set.
func withTarget(t testing.TB, c Config, target string, version uint64) Config {
	t.Helper()
	c, err := ApplyAt(c, TargetChange(parseTarget(t, target)), version)
	require.NoError(t, err)
	return c
}

// One form for one target, so that all nodes hold the same and any two can be compared; and what no group can reach is
// refused where it is asked for (dissertation §4.1: there is always a voter; §4.2.1: a learner does not vote).
func TestValidateTarget(t *testing.T) {
	given := raftpb.MembershipTarget{
		Version: 3, Voters: []uint64{5, 1, 5}, Learners: []uint64{4, 2, 2}, Members: []raftpb.Member{member(4, "d"), member(1, "a")},
	}
	before := *cloneTarget(&given)
	before.Voters, before.Learners, before.Members = slices.Clone(given.Voters), slices.Clone(given.Learners), slices.Clone(given.Members)
	got, err := ValidateTarget(given)
	require.NoError(t, err)
	require.Equal(t, before, given, "the argument was sorted")
	want := raftpb.MembershipTarget{
		Version: 3, Voters: []uint64{1, 5}, Learners: []uint64{2, 4}, Members: []raftpb.Member{member(1, "a"), member(4, "d")},
	}
	require.Equal(t, want, got)
	again, err := ValidateTarget(got)
	require.NoError(t, err)
	require.Equal(t, got, again)

	for name, bad := range map[string]raftpb.MembershipTarget{
		"no voters":        {Learners: []uint64{1}},
		"voter 0":          {Voters: []uint64{1, 0}},
		"learner 0":        {Voters: []uint64{1}, Learners: []uint64{0}},
		"both":             {Voters: []uint64{1, 2}, Learners: []uint64{3, 2}},
		"context of none":  {Voters: []uint64{1}, Members: []raftpb.Member{member(2, "b")}},
		"two contexts":     {Voters: []uint64{1}, Members: []raftpb.Member{member(1, "b"), member(1, "a")}},
		"an empty context": {Voters: []uint64{1}, Members: []raftpb.Member{member(1, "")}},
	} {
		got, err := ValidateTarget(bad)
		require.ErrorIs(t, err, ErrInvalidTarget, name)
		require.ErrorIs(t, err, raftpb.ErrInvalidConfChange, name)
		require.Equal(t, raftpb.MembershipTarget{}, got)
		require.Equal(t, StepImpossible, Plan(parse(t, "1"), bad, nil, 1).Kind, name)
	}
}

// A target stands from the entry that sets it to the first one that ends it, and ends in one way: by its outcome, or
// because another is set. All of it follows from the log alone, so every node finds the same.
func TestTargetsLife(t *testing.T) {
	c := parse(t, "1 2")
	c.Effect = raftpb.ConfChangeOnAppend
	at := func(c Config, cc raftpb.ConfChangeV2, index uint64) Config {
		t.Helper()
		require.NoError(t, Validate(c, cc))
		argument := spacious(c)
		next, err := ApplyAt(argument, cc, index)
		require.NoError(t, err)
		require.True(t, untouched(argument, c))
		require.NoError(t, next.Check())
		require.Equal(t, raftpb.ConfChangeOnAppend, next.Effect)
		restored, err := Restore(next.ConfState())
		require.NoError(t, err)
		require.True(t, restored.Equal(next), "%v restored as %v", next, restored)
		require.False(t, next.Equal(c))
		require.NoError(t, restored.ConfState().Equivalent(next.ConfState()))
		require.Error(t, restored.ConfState().Equivalent(c.ConfState()))
		return next
	}
	unordered := raftpb.MembershipTarget{Voters: []uint64{3, 2, 3}, Learners: []uint64{5, 1}, Version: 9}
	c = at(c, TargetChange(unordered), 10)
	require.Equal(t, "voters=(1 2) on_append target@10=(2 3) target_learners=(1 5)", c.String())
	require.Equal(t, []uint64{3, 2, 3}, unordered.Voters)

	// Of a change by hand there are only to be left: while a target stands one may
	// leave a joint configuration, and no more.
	require.ErrorIs(t, Validate(c, raftpb.ConfChangeV2{Changes: changes(t, "v3")}), ErrTargetStands)
	require.ErrorIs(t, Validate(c, raftpb.ConfChangeV2{Changes: changes(t, "u1")}), ErrTargetStands)
	joint := parse(t, "1 2 & 1 3")
	require.NoError(t, Validate(withTarget(t, joint, "1", 4), raftpb.ConfChangeV2{}))
	require.ErrorIs(t, Validate(c, raftpb.ConfChangeV2{}), ErrNotJoint)
	// One that is committed all the same is carried out: other nodes do it too.
	byHand, err := ApplyAt(c, raftpb.ConfChangeV2{Changes: changes(t, "l4")}, 11)
	require.NoError(t, err)
	require.Equal(t, "voters=(1 2) learners=(4) on_append target@10=(2 3) target_learners=(1 5)", byHand.String())

	step := raftpb.ConfChangeV2{Changes: changes(t, "l3"), Membership: &raftpb.MembershipChange{Version: 10}}
	c = at(c, step, 11)
	require.ErrorIs(t, Validate(c, step), ErrNoChange)

	for version, kind := range map[uint64]string{9: "earlier", 11: "later"} {
		stale := step
		stale.Membership = &raftpb.MembershipChange{Version: version}
		require.ErrorIs(t, Validate(c, stale), ErrStaleStep, kind)
		got, err := ApplyAt(c, stale, 12)
		require.ErrorIs(t, err, ErrStaleStep, kind)
		require.Equal(t, Config{}, got)
		require.ErrorIs(t, Validate(c, CancelChange(version)), ErrStaleStep, kind)
	}

	reached := OutcomeChange(raftpb.MembershipOutcome{Version: 10, Result: raftpb.MembershipReached, Index: 77})
	require.Zero(t, reached.Membership.Outcome.Index)
	require.ErrorIs(t, Validate(c, reached), ErrNotReached)

	c = at(c, TargetChange(parseTarget(t, "1 2 | learners 3")), 12)
	require.Equal(t, "voters=(1 2) learners=(3) on_append target@12=(1 2) target_learners=(3) outcome@10=MembershipSuperseded", c.String())
	require.Equal(t, uint64(12), c.Outcome.Index)
	require.ErrorIs(t, Validate(c, step), ErrStaleStep)
	require.ErrorIs(t, Validate(c, reached), ErrStaleStep)

	reached = OutcomeChange(raftpb.MembershipOutcome{Version: 12, Result: raftpb.MembershipReached})
	ended := at(c, reached, 15)
	require.Equal(t, "voters=(1 2) learners=(3) on_append outcome@12=MembershipReached", ended.String())
	require.Equal(t, uint64(15), ended.Outcome.Index)
	require.Nil(t, ended.Target)
	_, err = ApplyAt(ended, CancelChange(12), 16)
	require.ErrorIs(t, err, ErrStaleStep, "the first outcome counts")

	ended = at(c, CancelChange(12), 15)
	require.Equal(t, "voters=(1 2) learners=(3) on_append outcome@12=MembershipAborted(MembershipCancelled,0)", ended.String())
	ended = at(c, OutcomeChange(raftpb.MembershipOutcome{
		Version: 12, Result: raftpb.MembershipAborted, Reason: raftpb.MembershipTooSlow, Node: 3,
	}), 15)
	require.Equal(t, "voters=(1 2) learners=(3) on_append outcome@12=MembershipAborted(MembershipTooSlow,3)", ended.String())
	require.NoError(t, Validate(ended, raftpb.ConfChangeV2{Changes: changes(t, "v3")}))

	// The last outcome stays while the next target stands.
	next := at(ended, TargetChange(parseTarget(t, "1")), 20)
	require.Equal(t, uint64(12), next.Outcome.Version)
	require.Equal(t, uint64(20), next.Target.Version)
}

// In a joint configuration a target can be set and ended, since it may stand for as long as its voters are down; the
// configuration stays joint, as only leaving it may change it (§4.3).
func TestTargetWhileJoint(t *testing.T) {
	c := withTarget(t, parse(t, "1 4 & 1 2 | learners 5 | next 2 | auto"), "1 4", 8)
	require.Equal(t, "voters=(1 4)&&(1 2) learners=(5) learners_next=(2) autoleave target@8=(1 4)", c.String())
	require.NoError(t, Validate(c, CancelChange(8)))
	left, err := Apply(c, raftpb.ConfChangeV2{})
	require.NoError(t, err)
	require.Equal(t, "voters=(1 4) learners=(2 5) target@8=(1 4)", left.String())
	c, err = ApplyAt(c, CancelChange(8), 9)
	require.NoError(t, err)
	require.True(t, c.Joint() && c.AutoLeave && c.Target == nil)
}

// A change of a target that cannot be carried out is an error, with the zero Config: who sets one needs the index of its
// entry, which names it.
func TestApplyAtRefuses(t *testing.T) {
	plain := parse(t, "1 2")
	set := TargetChange(parseTarget(t, "1"))
	standing := withTarget(t, plain, "1 2", 8)
	ended, err := ApplyAt(standing, CancelChange(8), 9)
	require.NoError(t, err)
	noVoid := set
	noVoid.Changes = nil
	invalid := TargetChange(raftpb.MembershipTarget{})
	for name, test := range map[string]struct {
		c      Config
		change raftpb.ConfChangeV2
		index  uint64
		is     error
	}{
		"no index":              {plain, set, 0, ErrNoIndex},
		"the same index":        {standing, set, 8, ErrNoIndex},
		"an earlier index":      {ended, set, 9, ErrNoIndex},
		"no group":              {Config{}, set, 4, ErrNoVoters},
		"no target":             {plain, CancelChange(8), 9, ErrStaleStep},
		"ended already":         {ended, CancelChange(8), 10, ErrStaleStep},
		"no void change":        {plain, noVoid, 9, raftpb.ErrInvalidConfChange},
		"invalid target":        {plain, invalid, 9, raftpb.ErrInvalidConfChange},
		"inconsistent":          {parse(t, "1 1"), set, 9, ErrInvalidConfig},
		"step without a target": {plain, raftpb.ConfChangeV2{Changes: changes(t, "v3"), Membership: &raftpb.MembershipChange{Version: 8}}, 9, ErrStaleStep},
		"step of two voters":    {standing, raftpb.ConfChangeV2{Changes: changes(t, "r1"), Membership: &raftpb.MembershipChange{Version: 8}}, 9, nil},
	} {
		got, err := ApplyAt(test.c, test.change, test.index)
		if test.is == nil {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, test.is, name)
		require.Equal(t, Config{}, got, name)
		if m := test.change.Membership; m.Version == 0 {
			_, err = Apply(test.c, test.change)
			require.Error(t, err, name)
		}
	}
	_, err = Apply(plain, set)
	require.ErrorIs(t, err, ErrNoIndex)
	_, err = Apply(standing, CancelChange(8))
	require.ErrorIs(t, err, ErrNoIndex)
}

// A configuration with a target or an outcome that no entry could have made is refused, from a snapshot as from a disk;
// so is an effect that is unknown: such a node would count other majorities than the rest.
func TestCheckTarget(t *testing.T) {
	good := func() Config {
		c := parse(t, "1 2")
		c.Target = &raftpb.MembershipTarget{Version: 9, Voters: []uint64{2, 3}, Learners: []uint64{1, 4}, Members: []raftpb.Member{member(1, "a"), member(2, "b")}}
		c.Outcome = &raftpb.MembershipOutcome{Version: 4, Result: raftpb.MembershipSuperseded, Index: 9}
		return c
	}
	require.NoError(t, good().Check())
	for name, spoil := range map[string]func(*Config){
		"effect":           func(c *Config) { c.Effect = 2 },
		"no version":       func(c *Config) { c.Target.Version = 0 },
		"no voters":        func(c *Config) { c.Voters[0] = nil },
		"order":            func(c *Config) { c.Target.Voters = []uint64{3, 2} },
		"repeated":         func(c *Config) { c.Target.Voters = []uint64{2, 2} },
		"learners' order":  func(c *Config) { c.Target.Learners = []uint64{4, 1} },
		"contexts' order":  func(c *Config) { slices.Reverse(c.Target.Members) },
		"impossible":       func(c *Config) { c.Target.Voters = nil },
		"result":           func(c *Config) { c.Outcome.Result = 0 },
		"reason":           func(c *Config) { c.Outcome.Reason = 1 },
		"outcome's index":  func(c *Config) { c.Outcome.Index = 4 },
		"earlier target":   func(c *Config) { c.Target.Version = 8 },
		"no outcome index": func(c *Config) { c.Outcome.Index = 0 },
	} {
		c := good()
		spoil(&c)
		require.ErrorIs(t, c.Check(), ErrInvalidConfig, name)
		require.NotEmpty(t, c.String())
	}
	cs := good().ConfState()
	slices.Reverse(cs.Target.Voters)
	slices.Reverse(cs.Target.Members)
	restored, err := Restore(cs)
	require.NoError(t, err)
	require.True(t, restored.Equal(good()), "in whatever order")
	clear(cs.Target.Voters)
	cs.LastOutcome.Node = 9
	require.True(t, restored.Equal(good()), "memory is shared")
}

// Compare and set: an operator who looked at one configuration does not change another.
func TestCheckExpected(t *testing.T) {
	cc := TargetChange(parseTarget(t, "1"))
	require.NoError(t, CheckExpected(cc, 5))
	require.NoError(t, CheckExpected(raftpb.ConfChangeV2{}, 5))
	cc.Membership.HasExpected = true
	require.ErrorIs(t, CheckExpected(cc, 5), ErrUnexpectedVersion)
	require.NoError(t, CheckExpected(cc, 0))
	cc.Membership.Expected = 5
	require.NoError(t, CheckExpected(cc, 5))
	require.ErrorContains(t, CheckExpected(cc, 6), "version 6, and 5 was expected")
	require.NoError(t, cc.Validate())
}

// FuzzApplyAt: whatever sequence of changes of members and targets a log holds, each is carried out or refused, the
// configuration stays consistent, quorums of consecutive ones meet (§4.1, §4.3), and each target ends once.
func FuzzApplyAt(f *testing.F) {
	f.Add([]byte{0x04, 0x08, 0xff, 0x03, 0x07, 0x04, 0x10, 0xfe, 1, 0xfd, 1})
	f.Add([]byte{0x04, 0x08, 0xff, 0x02, 0x00, 0xfd, 2, 0xfe, 2})
	f.Fuzz(func(t *testing.T, data []byte) { applyLog(t, data) })
}

// The same for logs that are likely to set and end targets; each way to end is taken.
func TestApplyAtRandom(t *testing.T) {
	rnd := rand.New(rand.NewSource(5))
	results := make(map[raftpb.MembershipResult]int)
	for range 2500 {
		data := []byte{0x04, 0x08} // makes 1 a voter
		for index := 2; index < 40; index++ {
			change := []byte{byte(1+rnd.Intn(2)) << 2, byte(rnd.Intn(256)), byte(rnd.Intn(256))}
			switch version := byte(index - 1 - rnd.Intn(3)); rnd.Intn(4) {
			case 0:
				data = append(data, 0xff, []byte{2, 2, 6, 14}[rnd.Intn(4)], []byte{0, 0, 8, 16}[rnd.Intn(4)])
			case 1:
				data = append(append(data, 0xfc, version), change[:1+change[0]>>2]...)
			case 2:
				data = append(data, byte(0xfd+rnd.Intn(2)), version)
			case 3:
				data = append(data, change[:1+change[0]>>2]...)
			}
		}
		for _, result := range applyLog(t, data) {
			results[result]++
		}
	}
	for _, result := range []raftpb.MembershipResult{
		raftpb.MembershipReached, raftpb.MembershipAborted, raftpb.MembershipSuperseded,
	} {
		require.Greater(t, results[result], 40, result)
	}
}

// readAnyChange takes a change from data: 0xff sets a target, 0xfe and 0xfd end one, 0xfc is a step; else a change by
// hand.
func readAnyChange(data []byte) (raftpb.ConfChangeV2, []byte) {
	switch kind := data[0]; {
	case kind < 0xfc || len(data) < 3:
		return readChange(data)
	case kind == 0xff:
		var target raftpb.MembershipTarget
		for id := range uint64(fuzzNodes + 1) {
			if data[1]>>id&1 != 0 {
				target.Voters = append(target.Voters, id)
			}
			if data[2]>>id&1 != 0 {
				target.Learners = append(target.Learners, id)
			}
		}
		return TargetChange(target), data[3:]
	case kind == 0xfc:
		cc, rest := readChange(data[2:])
		cc.Membership = &raftpb.MembershipChange{Version: uint64(data[1])}
		return cc, rest
	default:
		o := raftpb.MembershipOutcome{Version: uint64(data[1]), Result: raftpb.MembershipReached}
		if kind == 0xfd {
			o.Result, o.Reason = raftpb.MembershipAborted, raftpb.MembershipNoAnswer
		}
		return OutcomeChange(o), data[2:]
	}
}

// applyLog applies the changes of a log from the first index on, and returns how targets ended.
func applyLog(t *testing.T, data []byte) map[uint64]raftpb.MembershipResult {
	var c Config
	ended := make(map[uint64]raftpb.MembershipResult)
	for index := uint64(1); len(data) > 0; index++ {
		var cc raftpb.ConfChangeV2
		cc, data = readAnyChange(data)
		argument := spacious(c)
		next, err := ApplyAt(argument, cc, index)
		if Validate(argument, cc) == nil && err != nil {
			t.Fatalf("%v by %v: valid, but %v", c, cc, err)
		}
		if !untouched(argument, c) {
			t.Fatalf("%v by %v: argument became %v", c, cc, argument)
		}
		if err != nil {
			if !next.Equal(Config{}) {
				t.Fatalf("%v by %v: %v together with %v", c, cc, next, err)
			}
			continue
		}
		if err := next.Check(); err != nil {
			t.Fatalf("%v by %v: %v", c, cc, err)
		}
		if restored, err := Restore(next.ConfState()); err != nil || !restored.Equal(next) {
			t.Fatalf("%v restored as %v, %v", next, restored, err)
		}
		if len(c.Voters[0]) > 0 && disjointQuorums(c, next, fuzzNodes) {
			t.Fatalf("%v by %v: %v has a quorum without one of before", c, cc, next)
		}
		switch {
		case c.Target != nil && (next.Target == nil || next.Target.Version != c.Target.Version):
			o := next.Outcome
			if _, twice := ended[c.Target.Version]; twice || o == nil || o.Version != c.Target.Version || o.Index != index {
				t.Fatalf("%v by %v: %v does not say how the target ended", c, cc, next)
			}
			if o.Result == raftpb.MembershipReached && !c.Reached(*c.Target) {
				t.Fatalf("%v by %v: %v is not the target", c, cc, next)
			}
			ended[o.Version] = o.Result
		case !next.Outcome.Equal(c.Outcome):
			t.Fatalf("%v by %v: %v has another outcome", c, cc, next)
		}
		c = next
	}
	return ended
}

// A target that is given up takes with it whom it added to vote and who does not vote yet (dissertation §4.2.1: the change is
// aborted, and a server that never caught up is of no use), and nobody else: not a learner of before, not one that was to stay a
// learner, not one that votes already.
func TestAbortedTargetTakesItsLearnersAlong(t *testing.T) {
	at := func(c Config, cc raftpb.ConfChangeV2, index uint64) Config {
		t.Helper()
		next, err := ApplyAt(c, cc, index)
		require.NoError(t, err)
		require.NoError(t, next.Check())
		return next
	}
	step := func(version uint64, text string) raftpb.ConfChangeV2 {
		return raftpb.ConfChangeV2{Changes: changes(t, text), Membership: &raftpb.MembershipChange{Version: version}}
	}
	start := parse(t, "1 2 | learners 3")
	c := at(start, TargetChange(parseTarget(t, "1 3 4 5 | learners 6")), 10)
	for i, text := range []string{"l4", "l5", "l6", "v4"} {
		c = at(c, step(10, text), uint64(11+i))
	}
	require.Equal(t, []uint64{4, 5, 6}, c.Target.Added)
	require.Equal(t, "voters=(1 2 4) learners=(3 6) outcome@10=MembershipAborted(MembershipCancelled,0)",
		at(c, CancelChange(10), 20).String())

	// One that follows has them too, and so has one that is restored.
	restored, err := Restore(c.ConfState())
	require.NoError(t, err)
	c = at(restored, TargetChange(parseTarget(t, "1 5 6")), 30)
	require.Equal(t, []uint64{5, 6}, c.Target.Added)
	c = at(c, step(30, "r5"), 31)
	require.Equal(t, []uint64{6}, c.Target.Added)
	require.Equal(t, "voters=(1 2 4) learners=(3) outcome@30=MembershipAborted(MembershipCancelled,0)",
		at(c, CancelChange(30), 40).String())

	cc := TargetChange(raftpb.MembershipTarget{Voters: []uint64{1}, Added: []uint64{7}})
	require.Empty(t, cc.Membership.Target.Added)
	cc.Membership.Target.Added = []uint64{7}
	_, err = ApplyAt(start, cc, 10)
	require.ErrorIs(t, err, raftpb.ErrInvalidConfChange)
}
