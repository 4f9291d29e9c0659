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
		{"change", "two and three members, and changes of them, on every change of the code", onEveryChange()},
		{"nightly", "three members, with crashes, duplicates, reads, leases and transfers; two with snapshots", nightly()},
		{"weekly", "three members become four and three again, by two changes, one by one and joint", weekly()},
	}
}

func onEveryChange() []Part {
	swap := []pb.ConfChangeV2{change(add(3), remove(1))}
	return []Part{
		{"two", Bounds{Members: 2, Terms: 3, Entries: 2, Messages: 4, Proposals: 2, Crashes: 1,
			NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 2830621},
		{"three", Bounds{Members: 3, Terms: 2, Entries: 2, Messages: 2, Proposals: 1, Timeouts: 2,
			NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 686560},
		{"two-defaults", Bounds{Members: 2, Terms: 2, Entries: 2, Messages: 3, Proposals: 1, Crashes: 1, Timeouts: 3,
			ApplyAtOnce: true, Renamed: true}, 524391},
		{"two-reads", Bounds{Members: 2, Terms: 2, Entries: 3, Messages: 3, Proposals: 1, Timeouts: 2, Reads: 1,
			NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 626485},
		{"two-transfers", Bounds{Members: 2, Terms: 2, Messages: 3, Proposals: 1, Timeouts: 2, Transfers: 1,
			NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 167620},
		{"three-leases", Bounds{Members: 3, Terms: 2, Messages: 2, Ticks: 8, Led: true,
			NoPreVote: true, ApplyAtOnce: true}, 790217},
		{"two-swap", Bounds{Members: 3, Spares: 1, Terms: 2, Entries: 4, Messages: 2, Timeouts: 2, Changes: swap,
			NoPreVote: true, NoCheckQuorum: true}, 505677},
		{"two-swap-append", Bounds{Members: 3, Spares: 1, Terms: 1, Entries: 4, Messages: 3, Timeouts: 2, Changes: swap,
			NoPreVote: true, NoCheckQuorum: true, Effect: raft.OnAppend}, 337539},
	}
}

func nightly() []Part {
	three := Bounds{Members: 3, Terms: 2, Entries: 2, Proposals: 1, Timeouts: 2,
		NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}
	faults, crash, twice, defaults := three, three, three, three
	faults.Messages, faults.Crashes, faults.Duplicates = 2, 1, 1
	crash.Messages, crash.Crashes = 3, 1
	twice.Messages, twice.Duplicates = 3, 1
	defaults.Messages, defaults.Terms, defaults.Crashes, defaults.Duplicates = 2, 1, 1, 1
	defaults.NoPreVote, defaults.NoCheckQuorum = false, false
	return []Part{
		{"three-faults", faults, 26007403},
		{"three-crash", crash, 40711752},
		{"three-twice", twice, 40035235},
		{"three-defaults", defaults, 17750761},
		{"three-reads", Bounds{Members: 3, Terms: 2, Messages: 2, Proposals: 1, Timeouts: 1, Reads: 1, Led: true,
			NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 10665536},
		{"three-transfers", Bounds{Members: 3, Terms: 2, Entries: 3, Messages: 2, Proposals: 1, Timeouts: 1, Transfers: 1, Crashes: 1, Led: true,
			NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 10421027},
		{"three-leases-crash", Bounds{Members: 3, Terms: 2, Messages: 2, Ticks: 8, Crashes: 1, Led: true, ApplyAtOnce: true}, 14462361},
		{"three-leases-long", Bounds{Members: 3, Terms: 2, Messages: 2, Ticks: 9, Crashes: 1, Led: true,
			ApplyAtOnce: true, WriteAtOnce: true}, 4255190},
		{"two-beats", Bounds{Members: 2, Terms: 2, Entries: 3, Messages: 2, Proposals: 1, Timeouts: 3, Beats: 2, Duplicates: 1,
			ApplyAtOnce: true, Renamed: true}, 13641605},
		{"two-compact", Bounds{Members: 2, Terms: 2, Entries: 3, Messages: 2, Proposals: 1, Timeouts: 2, Beats: 2, Compactions: 1, Crashes: 1,
			NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true, Renamed: true}, 24940943},
	}
}

func weekly() []Part {
	four := Bounds{Members: 4, Spares: 1, Terms: 2, Messages: 3, Led: true, NoPreVote: true, NoCheckQuorum: true, WriteAtOnce: true}
	grow, swap, joint := four, four, four
	grow.Entries, grow.Changes = 4, []pb.ConfChangeV2{change(add(4)), change(remove(1))}
	swap.Entries, swap.Changes = 4, []pb.ConfChangeV2{change(add(4), remove(1))}
	joint.Entries, joint.Changes = 6, []pb.ConfChangeV2{change(add(4), remove(1)), change(add(1), remove(2))}
	part := func(name string, b Bounds, effect raft.ConfChangeEffect, timeouts, crashes int, states uint64) Part {
		b.Effect, b.Timeouts, b.Crashes = effect, timeouts, crashes
		// Where changes take effect when they are applied, the models without a crash have hosts apply them late.
		b.ApplyAtOnce = effect == raft.OnAppend || crashes > 0
		return Part{name, b, states}
	}
	return []Part{
		part("grow", grow, raft.OnApply, 1, 0, 30388127),
		part("joint", swap, raft.OnApply, 1, 0, 22002126),
		part("grow-crash", grow, raft.OnApply, 1, 1, 9190659),
		part("joint-crash", joint, raft.OnApply, 2, 1, 9265646),
		part("grow-append", grow, raft.OnAppend, 2, 1, 52645052),
		part("joint-append", joint, raft.OnAppend, 1, 1, 22074655),
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
