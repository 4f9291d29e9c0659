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
	swap := []pb.ConfChangeV2{change(add(3), remove(1))}
	oneByOne := []pb.ConfChangeV2{change(add(4)), change(remove(1))}
	return []Tier{
		{"change", "two and three members, and changes of them, on every change of the code", []Part{
			{"two", Bounds{Members: 2, Terms: 3, Entries: 2, Messages: 4, Proposals: 2, Crashes: 1,
				NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 2830621},
			{"three", Bounds{Members: 3, Terms: 2, Entries: 2, Messages: 2, Proposals: 1, Timeouts: 2,
				NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 686560},
			{"two-defaults", Bounds{Members: 2, Terms: 2, Entries: 2, Messages: 3, Proposals: 1, Crashes: 1, Timeouts: 3,
				ApplyAtOnce: true, Renamed: true}, 524391},
			{"two-swap", Bounds{Members: 3, Spares: 1, Terms: 2, Entries: 4, Messages: 2, Timeouts: 2, Changes: swap,
				NoPreVote: true, NoCheckQuorum: true}, 505677},
			{"two-swap-append", Bounds{Members: 3, Spares: 1, Terms: 1, Entries: 4, Messages: 3, Timeouts: 2, Changes: swap,
				NoPreVote: true, NoCheckQuorum: true, Effect: raft.OnAppend}, 337539},
		}},
		{"nightly", "three members, with a crash and a duplicate", []Part{
			{"three-faults", Bounds{Members: 3, Terms: 2, Entries: 2, Messages: 3, Proposals: 1, Timeouts: 2, Crashes: 1, Duplicates: 1,
				NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 0},
			{"three-defaults", Bounds{Members: 3, Terms: 1, Entries: 2, Messages: 2, Proposals: 1, Timeouts: 2, Crashes: 1, Duplicates: 1,
				ApplyAtOnce: true, Renamed: true}, 0},
			{"two-beats", Bounds{Members: 2, Terms: 2, Entries: 3, Messages: 3, Proposals: 1, Timeouts: 3, Beats: 2, Duplicates: 1,
				ApplyAtOnce: true, Renamed: true}, 0},
			{"two-compact", Bounds{Members: 2, Terms: 2, Entries: 3, Messages: 3, Proposals: 1, Timeouts: 3, Beats: 2, Compactions: 1,
				Crashes: 1, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 0},
		}},
		{"weekly", "three members become four and three again, by two changes", []Part{
			{"grow", Bounds{Members: 4, Spares: 1, Terms: 2, Entries: 5, Messages: 3, Timeouts: 2, Crashes: 1, Changes: oneByOne,
				NoPreVote: true, NoCheckQuorum: true}, 0},
			{"grow-append", Bounds{Members: 4, Spares: 1, Terms: 2, Entries: 5, Messages: 3, Timeouts: 2, Crashes: 1, Changes: oneByOne,
				NoPreVote: true, NoCheckQuorum: true, Effect: raft.OnAppend}, 0},
			{"joint", Bounds{Members: 4, Spares: 1, Terms: 2, Entries: 5, Messages: 3, Timeouts: 2, Crashes: 1,
				Changes: []pb.ConfChangeV2{change(add(4), remove(1)), change(add(1), remove(2))}, NoPreVote: true, NoCheckQuorum: true}, 0},
			{"joint-append", Bounds{Members: 4, Spares: 1, Terms: 2, Entries: 5, Messages: 3, Timeouts: 2, Crashes: 1,
				Changes: []pb.ConfChangeV2{change(add(4), remove(1)), change(add(1), remove(2))}, NoPreVote: true, NoCheckQuorum: true,
				Effect: raft.OnAppend}, 0},
		}},
	}
}

// change is the change of membership that makes single ones, in one step or by a joint configuration.
func change(singles ...pb.ConfChangeSingle) pb.ConfChangeV2 {
	return pb.ConfChangeV2{Changes: singles}
}

func add(id uint64) pb.ConfChangeSingle {
	return pb.ConfChangeSingle{Type: pb.ConfChangeAddNode, NodeID: id}
}

func remove(id uint64) pb.ConfChangeSingle {
	return pb.ConfChangeSingle{Type: pb.ConfChangeRemoveNode, NodeID: id}
}
