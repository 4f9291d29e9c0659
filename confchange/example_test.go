package confchange_test

import (
	"errors"
	"fmt"

	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/raftpb"
)

func ExampleApply() {
	c, err := confchange.Restore(raftpb.ConfState{Voters: []uint64{1, 2, 3}})
	if err != nil {
		panic(err)
	}
	// Replace node 1 by node 4: two voters change, so this goes through a joint
	// configuration.
	replace := raftpb.ConfChangeV2{Changes: []raftpb.ConfChangeSingle{
		{Type: raftpb.ConfChangeAddNode, NodeID: 4},
		{Type: raftpb.ConfChangeRemoveNode, NodeID: 1},
	}}
	fmt.Println(confchange.Validate(c, replace))
	c, err = confchange.Apply(c, replace)
	fmt.Println(c, err)
	// An empty change leaves it.
	c, err = confchange.Apply(c, raftpb.ConfChangeV2{})
	fmt.Println(c, err)
	// Output:
	// <nil>
	// voters=(2 3 4)&&(1 2 3) autoleave <nil>
	// voters=(2 3 4) <nil>
}

func ExampleValidate() {
	c, err := confchange.Restore(raftpb.ConfState{Voters: []uint64{1, 2, 3}})
	if err != nil {
		panic(err)
	}
	remove := raftpb.ConfChangeV2{Changes: []raftpb.ConfChangeSingle{{Type: raftpb.ConfChangeRemoveNode, NodeID: 9}}}
	err = confchange.Validate(c, remove)
	fmt.Println(errors.Is(err, confchange.ErrUnknownNode))
	fmt.Println(err)
	// Output:
	// true
	// ConfChangeRemoveNode of node 9 in voters=(1 2 3): unknown node
}

func ExamplePlan() {
	c, err := confchange.Restore(raftpb.ConfState{Voters: []uint64{1, 2, 3}})
	if err != nil {
		panic(err)
	}
	// Entry 7 asks for server 4 in the place of server 1, which leads.
	c, err = confchange.ApplyAt(c, confchange.TargetChange(raftpb.MembershipTarget{Voters: []uint64{2, 3, 4}}), 7)
	if err != nil {
		panic(err)
	}
	leader := uint64(1)
	caughtUp := func(uint64) bool { return true }
	for index := uint64(8); c.Target != nil; index++ {
		step := confchange.Plan(c, *c.Target, caughtUp, leader)
		fmt.Println(step)
		change := step.Change // an automatic joint configuration is left by an empty one
		switch step.Kind {
		case confchange.StepHandOver:
			leader = step.IDs[0]
			continue
		case confchange.StepDone:
			change = confchange.OutcomeChange(raftpb.MembershipOutcome{Version: 7, Result: raftpb.MembershipReached})
		}
		if c, err = confchange.ApplyAt(c, change, index); err != nil {
			panic(err)
		}
	}
	fmt.Println(c)
	// Output:
	// add learner (4): "l4"
	// hand over (2 3)
	// change voters (1 4): "r1 v4"
	// await leave
	// done
	// voters=(2 3 4) outcome@7=MembershipReached
}

func ExamplePreflight() {
	c, err := confchange.Restore(raftpb.ConfState{Voters: []uint64{1, 2, 3}})
	if err != nil {
		panic(err)
	}
	report, err := confchange.Preflight(c, raftpb.MembershipTarget{Voters: []uint64{1, 2, 3, 4, 5}})
	if err != nil {
		panic(err)
	}
	for _, s := range report.Steps {
		fmt.Println(s.Step)
	}
	fmt.Println("failures to bear:", report.Before.Failures, report.During.Failures, report.After.Failures)
	// Output:
	// add learner (4): "l4"
	// add learner (5): "l5"
	// catch up (4 5)
	// change voters (4 5): "v4 v5"
	// await leave
	// failures to bear: 1 1 2
}
