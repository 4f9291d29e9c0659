package explore

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Tier is a set of models that are explored together, to the end.
type Tier struct {
	Name, About string
	Parts       []Part
}

// Part is a model of a tier.
type Part struct {
	Name   string
	Bounds Bounds
	// States is how many distinct states there are, 0 if nobody has counted them yet. It says when a
	// change of the code, or of the model, makes the search see less than before.
	States uint64
}

// Tiers returns all tiers, the smallest first.
func Tiers() []Tier {
	return []Tier{
		{
			Name:  "change",
			About: "two members, on every change",
			Parts: []Part{
				{"crash", Bounds{Members: 2, Terms: 2, Messages: 3, Proposals: 1, Crashes: 1, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 0},
			},
		},
	}
}

// change makes a change of membership of single ones.
func change(how pb.ConfChangeTransition, singles ...pb.ConfChangeSingle) pb.ConfChangeV2 {
	return pb.ConfChangeV2{Transition: how, Changes: singles}
}

func add(id uint64) pb.ConfChangeSingle {
	return pb.ConfChangeSingle{Type: pb.ConfChangeAddNode, NodeID: id}
}

func remove(id uint64) pb.ConfChangeSingle {
	return pb.ConfChangeSingle{Type: pb.ConfChangeRemoveNode, NodeID: id}
}

var _ = raft.OnAppend
