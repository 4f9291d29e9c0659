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
