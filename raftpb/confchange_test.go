package raftpb

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The two forms of a change must mean the same, and an old peer must get the form that it can read.
func TestMarshalConfChange(t *testing.T) {
	v1 := ConfChange{ID: 9, Type: ConfChangeRemoveNode, NodeID: 3, Context: []byte("c")}
	v2 := ConfChangeV2{
		Changes: []ConfChangeSingle{{Type: ConfChangeRemoveNode, NodeID: 3}},
		Context: []byte("c"),
	}
	for name, test := range map[string]struct {
		change    ConfChangeI
		entryType EntryType
		data      []byte
		decoded   ConfChangeI
	}{
		"v1":               {v1, EntryConfChange, []byte{8, 9, 0x10, 1, 0x18, 3, 0x22, 1, 'c'}, v1},
		"v2 of one change": {v2, EntryConfChangeV2, []byte{0x12, 4, 8, 1, 0x10, 3, 0x1a, 1, 'c'}, v2},
		"empty v1":         {ConfChange{}, EntryConfChange, []byte{}, ConfChange{}},
		"empty v2":         {ConfChangeV2{}, EntryConfChangeV2, []byte{}, ConfChangeV2{}},
		"nil leaves":       {nil, EntryConfChangeV2, nil, ConfChangeV2{}},
	} {
		t.Run(name, func(t *testing.T) {
			entryType, data, err := MarshalConfChange(test.change)
			require.NoError(t, err)
			require.Equal(t, test.entryType, entryType)
			require.Equal(t, test.data, data)
			decoded, err := UnmarshalConfChange(Entry{Type: entryType, Data: data})
			require.NoError(t, err)
			require.Equal(t, test.decoded, decoded)
		})
	}
	asV2 := v2
	asV2.Changes = []ConfChangeSingle{{Type: v1.Type, NodeID: v1.NodeID, Context: v1.Context}}
	require.Equal(t, asV2, v1.AsV2(), "the context becomes the member's, whatever the form")
	got, ok := v1.AsV1()
	require.True(t, ok)
	require.Equal(t, v1, got)
	_, ok = v2.AsV1()
	require.False(t, ok)
	require.Equal(t, v2, v2.AsV2())
}

// An entry comes from a peer or from disk, so a change that cannot be applied must be an error that says why.
func TestUnmarshalConfChangeErrors(t *testing.T) {
	for name, test := range map[string]struct {
		entry Entry
		text  string
	}{
		"not a change": {
			Entry{Type: EntryNormal, Index: 4, Term: 2},
			"entry at index 4, term 2: invalid configuration change: EntryNormal carries none",
		},
		"unknown type of entry": {Entry{Type: 77}, "77 carries none"},
		"undecodable v1":        {Entry{Type: EntryConfChange, Data: []byte{8}}, "EntryConfChange does not decode: unexpected EOF"},
		"undecodable v2":        {Entry{Type: EntryConfChangeV2, Data: []byte{8}}, "EntryConfChangeV2 does not decode: unexpected EOF"},
		"unknown type in v1":    {Entry{Type: EntryConfChange, Data: []byte{0x10, 4, 0x18, 6}}, "unknown type 4 for node 6"},
		"unknown type in v2":    {Entry{Type: EntryConfChangeV2, Data: []byte{0x12, 4, 8, 5, 0x10, 6}}, "unknown type 5 for node 6"},
		"unknown transition":    {Entry{Type: EntryConfChangeV2, Data: []byte{8, 3}}, "unknown transition 3"},
	} {
		t.Run(name, func(t *testing.T) {
			change, err := UnmarshalConfChange(test.entry)
			require.Nil(t, change)
			require.ErrorIs(t, err, ErrInvalidConfChange)
			require.ErrorContains(t, err, test.text)
		})
	}
}

// A change of more than one member may only be made through a joint configuration (§4.3).
func TestEnterAndLeaveJoint(t *testing.T) {
	const (
		auto     = ConfChangeTransitionAuto
		implicit = ConfChangeTransitionJointImplicit
		explicit = ConfChangeTransitionJointExplicit
	)
	for _, test := range []struct {
		transition              ConfChangeTransition
		changes                 int
		autoLeave, joint, leave bool
	}{
		{transition: auto, changes: 0, leave: true},
		{transition: auto, changes: 1},
		{transition: auto, changes: 2, joint: true, autoLeave: true},
		{transition: implicit, changes: 0, joint: true, autoLeave: true},
		{transition: implicit, changes: 1, joint: true, autoLeave: true},
		{transition: implicit, changes: 2, joint: true, autoLeave: true},
		{transition: explicit, changes: 0, joint: true},
		{transition: explicit, changes: 1, joint: true},
		{transition: explicit, changes: 2, joint: true},
		{transition: 9, changes: 0, joint: true, autoLeave: true},
	} {
		c := ConfChangeV2{
			Transition: test.transition,
			Changes:    make([]ConfChangeSingle, test.changes),
			Context:    []byte("does not count"),
		}
		autoLeave, joint := c.EnterJoint()
		require.Equal(t, test.joint, joint, "%+v", test)
		require.Equal(t, test.autoLeave, autoLeave, "%+v", test)
		require.Equal(t, test.leave, c.LeaveJoint(), "%+v", test)
	}
}

func TestConfChangesStrings(t *testing.T) {
	changes, err := ConfChangesFromString(" v1 l2\tr3 u18446744073709551615 ")
	require.NoError(t, err)
	require.Equal(t, []ConfChangeSingle{
		{Type: ConfChangeAddNode, NodeID: 1},
		{Type: ConfChangeAddLearnerNode, NodeID: 2},
		{Type: ConfChangeRemoveNode, NodeID: 3},
		{Type: ConfChangeUpdateNode, NodeID: 1<<64 - 1},
	}, changes)
	require.Equal(t, "v1 l2 r3 u18446744073709551615", ConfChangesToString(changes))

	changes, err = ConfChangesFromString("")
	require.NoError(t, err)
	require.Nil(t, changes)
	require.Empty(t, ConfChangesToString(nil))
	require.Equal(t, "[8]3", ConfChangesToString([]ConfChangeSingle{{Type: 8, NodeID: 3}}))

	for _, bad := range []string{"v", "x1", "1", "v-1", "v1,l2", "v18446744073709551616", "v1 é2", "[8]3"} {
		changes, err = ConfChangesFromString(bad)
		require.ErrorIs(t, err, ErrInvalidConfChange, "%q", bad)
		require.Nil(t, changes)
	}
}

func TestConfStateEquivalent(t *testing.T) {
	base := func() ConfState {
		return ConfState{
			Voters: []uint64{1, 2, 3}, Learners: []uint64{5, 6},
			VotersOutgoing: []uint64{1, 2, 4}, LearnersNext: []uint64{4, 7}, AutoLeave: true, Index: 8,
			Target: &MembershipTarget{Version: 6, Voters: []uint64{1, 2}, Learners: []uint64{3, 4}},
		}
	}
	for name, test := range map[string]struct {
		change func(*ConfState)
		text   string
	}{
		"same":       {func(*ConfState) {}, ""},
		"order":      {func(c *ConfState) { c.Voters = []uint64{3, 1, 2}; c.LearnersNext = []uint64{7, 4} }, ""},
		"index":      {func(c *ConfState) { c.Index = 0 }, ""},
		"voters":     {func(c *ConfState) { c.Voters = []uint64{3, 1} }, "voters [1 2 3] and [1 3]"},
		"repeated":   {func(c *ConfState) { c.Voters = []uint64{3, 1, 2, 2} }, "voters [1 2 3] and [1 2 2 3]"},
		"learners":   {func(c *ConfState) { c.Learners = nil }, "learners [5 6] and []"},
		"outgoing":   {func(c *ConfState) { c.VotersOutgoing = nil }, "outgoing voters [1 2 4] and []"},
		"next":       {func(c *ConfState) { c.LearnersNext[0] = 9 }, "next learners [4 7] and [7 9]"},
		"auto leave": {func(c *ConfState) { c.AutoLeave = false }, "auto leave true and false"},
		"effect": {
			func(c *ConfState) { c.ConfChangeEffect = ConfChangeOnAppend }, "effect ConfChangeOnApply and ConfChangeOnAppend",
		},
		"target order": {func(c *ConfState) { c.Target.Voters = []uint64{2, 1}; c.Target.Learners = []uint64{4, 3} }, ""},
		"no target": {
			func(c *ConfState) { c.Target = nil },
			"target version:6 voters:1 voters:2 learners:3 learners:4 and <nil>",
		},
		"target's version": {
			func(c *ConfState) { c.Target = &MembershipTarget{Version: 7} },
			"target version:6 voters:1 voters:2 learners:3 learners:4 and version:7",
		},
		"target's learners": {
			func(c *ConfState) { c.Target.Learners = nil },
			"target version:6 voters:1 voters:2 learners:3 learners:4 and version:6 voters:1 voters:2",
		},
		"target's contexts": {
			func(c *ConfState) { c.Target.Members = []Member{{ID: 1}} },
			"target version:6 voters:1 voters:2 learners:3 learners:4 and " +
				"version:6 voters:1 voters:2 learners:3 learners:4 members:<id:1 >",
		},
		"outcome": {
			func(c *ConfState) { c.LastOutcome = &MembershipOutcome{Version: 3, Result: MembershipReached} },
			"last outcome <nil> and version:3 result:MembershipReached",
		},
	} {
		t.Run(name, func(t *testing.T) {
			other := base()
			test.change(&other)
			before := other
			err := base().Equivalent(other)
			require.Equal(t, before, other, "Equivalent changes nothing")
			if test.text == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "configurations differ: "+test.text)
		})
	}
	require.NoError(t, ConfState{}.Equivalent(ConfState{Voters: []uint64{}, Index: 3}))
}

// What sets or ends a target is in the log of nodes that may not know what a target is: they skip the field and must find a
// void change, not an empty one, by which a joint configuration is left (§4.3). And what contradicts itself is
// refused, since it comes from a peer or a disk.
func TestMembershipChanges(t *testing.T) {
	void := []ConfChangeSingle{{}}
	target := func() *MembershipTarget { return &MembershipTarget{Voters: []uint64{1, 2}, Learners: []uint64{3}} }
	outcome := func() *MembershipOutcome {
		return &MembershipOutcome{Version: 4, Result: MembershipAborted, Reason: MembershipNoAnswer, Node: 3}
	}
	aborted := MembershipOutcome{Version: 4, Result: MembershipAborted, Reason: MembershipCancelled}
	require.NoError(t, aborted.Validate())
	const declared = "invalid configuration change: "
	for name, test := range map[string]struct {
		change ConfChangeV2
		text   string
	}{
		"target":            {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: target()}}, ""},
		"expected":          {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: target(), HasExpected: true}}, ""},
		"outcome":           {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: outcome()}}, ""},
		"cancelled":         {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &aborted}}, ""},
		"step":              {ConfChangeV2{Changes: []ConfChangeSingle{{NodeID: 4}}, Membership: &MembershipChange{Version: 4}}, ""},
		"step made void":    {ConfChangeV2{Changes: void, Membership: &MembershipChange{Version: 4}}, ""},
		"joint step":        {ConfChangeV2{Transition: 1, Changes: []ConfChangeSingle{{NodeID: 4}, {NodeID: 5}}, Membership: &MembershipChange{Version: 4}}, ""},
		"target alone":      {ConfChangeV2{Membership: &MembershipChange{Target: target()}}, "change of a target without a void change"},
		"outcome alone":     {ConfChangeV2{Membership: &MembershipChange{Outcome: outcome()}}, "without a void change"},
		"step alone":        {ConfChangeV2{Membership: &MembershipChange{Version: 4}}, "without a void change"},
		"nothing":           {ConfChangeV2{Membership: &MembershipChange{}}, "without a void change"},
		"both":              {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: target(), Outcome: outcome()}}, "sets a target and ends one"},
		"no version":        {ConfChangeV2{Changes: void, Membership: &MembershipChange{}}, "step towards a target of version 0"},
		"version too":       {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: target(), Version: 4}}, "a step towards version 4"},
		"not to compare":    {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: target(), Expected: 4}}, "version 4 expected and not to be compared"},
		"other changes":     {ConfChangeV2{Changes: []ConfChangeSingle{{NodeID: 4}}, Membership: &MembershipChange{Target: target()}}, `"v4" instead of one void change`},
		"two void ones":     {ConfChangeV2{Changes: []ConfChangeSingle{{}, {}}, Membership: &MembershipChange{Target: target()}}, `"v0 v0" instead of one`},
		"joint":             {ConfChangeV2{Transition: 2, Changes: void, Membership: &MembershipChange{Outcome: outcome()}}, `"v0" instead of one`},
		"transition":        {ConfChangeV2{Transition: 3, Changes: void, Membership: &MembershipChange{Target: target()}}, "unknown transition 3"},
		"target's version":  {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: &MembershipTarget{Version: 3, Voters: []uint64{1}}}}, "names its version 3"},
		"outcome's index":   {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 4, Result: MembershipReached, Index: 9}}}, "names its own index 9"},
		"superseded":        {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 4, Result: MembershipSuperseded}}}, "superseded sets none"},
		"pending":           {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 4}}}, "result MembershipPending"},
		"unknown result":    {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 4, Result: 4}}}, "result 4"},
		"unknown reason":    {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 4, Result: MembershipAborted, Reason: -1}}}, "unknown reason -1"},
		"outcome of none":   {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Result: MembershipReached}}}, "version 0"},
		"no reason":         {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 4, Result: MembershipAborted}}}, "with reason MembershipReasonNone"},
		"reached, reason":   {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 4, Result: MembershipReached, Reason: MembershipCancelled}}}, "with reason MembershipCancelled"},
		"reached, node":     {ConfChangeV2{Changes: void, Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 4, Result: MembershipReached, Node: 3}}}, "because of node 3"},
		"no voters":         {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: &MembershipTarget{Learners: []uint64{1}}}}, "target without voters"},
		"voter 0":           {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: &MembershipTarget{Voters: []uint64{0}}}}, "node of ID 0"},
		"learner 0":         {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: &MembershipTarget{Voters: []uint64{1}, Learners: []uint64{0}}}}, "node of ID 0"},
		"voter and learner": {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: &MembershipTarget{Voters: []uint64{1}, Learners: []uint64{2, 1}}}}, "node 1 as voter and learner"},
		"empty context":     {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: &MembershipTarget{Voters: []uint64{1}, Members: []Member{{ID: 1}}}}}, "empty context of node 1"},
		"stranger's":        {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: &MembershipTarget{Voters: []uint64{1}, Members: []Member{{ID: 2, Context: []byte("b")}}}}}, "context of node 2, which is no member"},
		"two contexts": {ConfChangeV2{Changes: void, Membership: &MembershipChange{Target: &MembershipTarget{Voters: []uint64{1},
			Members: []Member{{ID: 1, Context: []byte("b")}, {ID: 1, Context: []byte("b")}}}}}, "two contexts of node 1"},
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, test.change.LeaveJoint())
			entryType, data, err := MarshalConfChange(test.change)
			require.NoError(t, err)
			require.Equal(t, EntryConfChangeV2, entryType)
			change, err := UnmarshalConfChange(Entry{Type: entryType, Data: data})
			if test.text == "" {
				require.NoError(t, err)
				require.Equal(t, test.change, change)
				elsewhere := test.change
				elsewhere.Membership = nil
				require.False(t, elsewhere.LeaveJoint(), "to a node that does not know the field")
				if test.change.Membership.Version == 0 {
					_, joint := elsewhere.EnterJoint()
					require.False(t, joint, "to a node that does not know the field")
				}
				return
			}
			require.ErrorIs(t, err, ErrInvalidConfChange)
			require.ErrorContains(t, err, declared)
			require.ErrorContains(t, err, test.text)
			require.Nil(t, change)
		})
	}
	require.True(t, (*MembershipTarget)(nil).Equal(nil))
	require.False(t, target().Equal(nil))
	require.True(t, (*MembershipOutcome)(nil).Equal(nil))
	require.True(t, outcome().Equal(outcome()))
	require.False(t, outcome().Equal(&aborted))
}
