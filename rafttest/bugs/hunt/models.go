package main

import (
	"slices"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

// modelsFor returns the models in which exploration can find a bug, the small ones first.
func modelsFor(b bugs.Bug) []string {
	needs := func(some ...bugs.Need) bool {
		return slices.ContainsFunc(some, func(n bugs.Need) bool { return slices.Contains(b.Needs, n) })
	}
	switch {
	case needs(bugs.Leases):
		return modelsOfLeases
	case needs(bugs.Reads, bugs.ForwardedReads):
		return modelsOfReads
	case needs(bugs.Transfer):
		return modelsOfTransfers
	case needs(bugs.Append):
		return withEffect(modelsOfChanges)
	case needs(bugs.Membership, bugs.Joint) && needs(bugs.Compact):
		return append(slices.Clone(modelsOfChangesAndSnapshots), modelsOfChanges...)
	case needs(bugs.Membership, bugs.Joint):
		return modelsOfChanges
	case needs(bugs.Learners):
		return modelsOfLearners
	case needs(bugs.Compact):
		return modelsOfSnapshots
	}
	return models
}

func withEffect(models []string) (all []string) {
	for _, m := range models {
		all = append(all, m+" -effect append")
	}
	return all
}

// models are without changes of membership. Logs part from each other soonest where the only voter loses in a crash what
// its learner holds.
var models = []string{
	"-members 1 -terms 2 -proposals 1 -crashes 1",
	"-members 2 -learners 1 -terms 2 -messages 1 -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -terms 1 -proposals 1 -no-prevote -no-checkquorum -renamed",
	"-members 2 -terms 2 -messages 2 -duplicates 1 -no-prevote -no-checkquorum -renamed",
	"-members 2 -learners 1 -terms 3 -messages 1 -crashes 2 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 3 -messages 1 -changes add2 -crashes 1 -effect append -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 2 -duplicates 1 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 1 -proposals 1 -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 1 -proposals 2 -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 1 -proposals 2 -crashes 1 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -proposals 1 -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -beats 1 -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -terms 2 -proposals 1 -no-prevote -no-checkquorum -renamed",
	"-members 2 -learners 1 -terms 1 -messages 2 -proposals 1 -duplicates 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -proposals 2 -crashes 1 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -terms 2 -proposals 1 -crashes 1 -no-prevote -no-checkquorum -renamed",
	"-members 2 -terms 2 -messages 2 -proposals 1 -duplicates 1 -crashes 1 -no-prevote -no-checkquorum -renamed",
	"-members 3 -terms 2 -messages 2 -no-prevote -no-checkquorum -renamed",
	"-members 3 -terms 2 -messages 2 -duplicates 1 -no-prevote -no-checkquorum -renamed",
	"-members 3 -terms 2 -messages 2 -proposals 1 -no-prevote -no-checkquorum -renamed",
	"-members 3 -terms 3 -messages 2 -no-prevote -no-checkquorum -renamed",
}

// modelsOfLearners have learners.
var modelsOfLearners = []string{
	"-members 2 -learners 1 -terms 1 -messages 2 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -proposals 1 -crashes 1 -no-prevote -no-checkquorum",
	"-members 3 -learners 1 -terms 1 -messages 2 -no-prevote -no-checkquorum",
}

// modelsOfReads have reads. A read is soonest at fault where there is a leader from the start.
var modelsOfReads = []string{
	"-members 2 -terms 1 -messages 2 -led -reads 2 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -led -reads 2 -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -terms 2 -messages 2 -led -reads 2 -crashes 1 -proposals 1 -no-prevote -no-checkquorum",
	"-members 2 -terms 2 -messages 2 -led -reads 1 -timeouts 1 -proposals 1 -apply-at-once -no-prevote -no-checkquorum",
	"-members 3 -terms 1 -messages 2 -led -reads 1 -proposals 1 -apply-at-once -no-prevote -no-checkquorum",
	"-members 3 -terms 2 -messages 2 -led -reads 1 -timeouts 1 -apply-at-once -no-prevote -no-checkquorum",
	"-members 2 -terms 1 -messages 3 -led -reads 2 -duplicates 1 -proposals 1 -apply-at-once -no-prevote -no-checkquorum",
	"-members 3 -terms 2 -messages 2 -led -reads 1 -timeouts 1 -proposals 1 -apply-at-once -no-prevote -no-checkquorum",
	"-members 3 -terms 2 -messages 2 -led -reads 2 -timeouts 1 -apply-at-once -no-prevote -no-checkquorum",
	"-members 3 -terms 2 -messages 3 -led -reads 2 -timeouts 1 -apply-at-once -no-prevote -no-checkquorum",
	"-members 3 -terms 2 -messages 2 -led -reads 2 -beats 1 -timeouts 1 -apply-at-once -no-prevote -no-checkquorum",
}

// modelsOfLeases have clocks and leases.
var modelsOfLeases = []string{
	"-members 3 -terms 2 -messages 2 -led -ticks 6 -transfers 1 -apply-at-once -write-at-once -no-prevote",
	"-members 3 -terms 2 -messages 2 -led -ticks 6 -campaigns 1 -apply-at-once -write-at-once -no-prevote",
	"-members 3 -terms 2 -messages 2 -led -ticks 7 -crashes 1 -apply-at-once -write-at-once -no-prevote",
	"-members 3 -terms 2 -messages 2 -led -ticks 8 -apply-at-once -write-at-once -no-prevote",
	"-members 3 -terms 2 -messages 2 -led -ticks 8 -crashes 1 -apply-at-once -write-at-once -no-prevote",
	"-members 3 -terms 2 -messages 2 -led -ticks 7 -crashes 1 -apply-at-once -no-prevote",
	"-members 3 -spares 1 -terms 2 -messages 2 -led -ticks 7 -crashes 1 -changes add3 -apply-at-once -no-prevote",
	"-members 3 -terms 2 -messages 3 -led -ticks 8 -apply-at-once -write-at-once",
}

// modelsOfTransfers hand leadership over.
var modelsOfTransfers = []string{
	"-members 2 -terms 2 -messages 2 -led -transfers 1 -proposals 1 -no-prevote -no-checkquorum",
	"-members 2 -terms 2 -messages 2 -led -transfers 1 -changes remove2,remove1 -no-prevote -no-checkquorum",
	"-members 2 -terms 2 -messages 2 -led -transfers 1 -changes update1 -no-prevote -no-checkquorum",
	"-members 3 -terms 2 -messages 2 -led -transfers 1 -changes remove3 -no-prevote -no-checkquorum",
}

// modelsOfSnapshots have logs that are compacted.
var modelsOfSnapshots = []string{
	"-members 2 -spares 1 -terms 2 -messages 2 -changes learner2 -compactions 1 -beats 2 -crashes 1 -no-prevote -no-checkquorum -apply-at-once",
	"-members 2 -spares 1 -terms 1 -messages 2 -changes learner2 -compactions 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 1 -proposals 1 -compactions 2 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 1 -proposals 1 -duplicates 1 -compactions 2 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 2 -compactions 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -compactions 1 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 2 -proposals 1 -compactions 2 -beats 2 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 2 -proposals 1 -compactions 2 -beats 1 -duplicates 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -proposals 1 -compactions 1 -crashes 1 -no-prevote -no-checkquorum",
	"-members 3 -learners 2 -terms 1 -messages 2 -proposals 1 -compactions 2 -beats 1 -no-prevote -no-checkquorum",
}

// modelsOfChanges have changes of membership. A group that begins with one voter is soon where changes are.
var modelsOfChanges = []string{
	"-members 1 -terms 1 -messages 2 -changes learner2,learner3",
	"-members 1 -terms 1 -messages 2 -changes update1,learner2,learner3 -crashes 1",
	"-members 1 -terms 1 -messages 2 -proposals 1 -changes learner2:joint",
	"-members 2 -learners 1 -terms 2 -messages 1 -changes update1,update2 -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 1 -changes update1,update2 -crashes 1 -no-prevote -no-checkquorum -apply-at-once",
	"-members 2 -learners 1 -terms 1 -messages 2 -changes add2:stay -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 2 -changes add2,remove1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 2 -changes add2:joint,remove1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -changes add2+remove1 -crashes 1 -no-prevote -no-checkquorum -apply-at-once",
	"-members 2 -learners 1 -terms 1 -messages 2 -changes add2,learner2 -compactions 1 -no-prevote -no-checkquorum",
	"-members 2 -spares 1 -terms 1 -messages 2 -changes learner2,add2 -compactions 1 -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -terms 1 -messages 2 -changes remove2 -no-prevote -no-checkquorum",
	"-members 2 -terms 2 -messages 2 -changes remove2:joint -crashes 1 -no-prevote -no-checkquorum",
	"-members 2 -terms 2 -messages 2 -changes remove1 -crashes 1 -no-prevote -no-checkquorum",
	"-members 3 -learners 2 -terms 1 -messages 2 -changes add2+add3+remove1 -no-prevote -no-checkquorum -apply-at-once",
	"-members 3 -learners 2 -terms 1 -messages 2 -changes add2+add3 -no-prevote -no-checkquorum -apply-at-once",
	"-members 3 -terms 1 -messages 2 -entries 2 -changes remove1 -no-prevote -no-checkquorum",
	"-members 3 -learners 2 -terms 2 -messages 2 -entries 4 -changes add2+add3+remove1 -crashes 1 -no-prevote -no-checkquorum -apply-at-once",
	"-members 3 -terms 1 -messages 2 -changes remove1 -no-prevote -no-checkquorum",
	"-members 3 -learners 2 -terms 2 -messages 2 -changes add2+add3+remove1 -no-prevote -no-checkquorum -apply-at-once",
	"-members 3 -terms 2 -messages 1 -changes remove1,remove2 -no-prevote -no-checkquorum -apply-at-once",
	"-members 3 -terms 2 -messages 2 -changes remove1,remove2 -no-prevote -no-checkquorum -apply-at-once",
}

// modelsOfChangesAndSnapshots have both.
var modelsOfChangesAndSnapshots = []string{
	"-members 2 -learners 1 -terms 1 -messages 1 -changes update1,update2 -compactions 1 -no-prevote -no-checkquorum -effect append",
	"-members 2 -learners 1 -terms 1 -messages 1 -changes update1,update2 -compactions 1 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 2 -changes update1,update2 -compactions 1 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 1 -changes update1,update2 -compactions 1 -crashes 1 -no-prevote -no-checkquorum -apply-at-once",
	"-members 2 -learners 1 -terms 2 -messages 1 -changes update1,update2 -compactions 1 -beats 1 -crashes 1 -no-prevote -no-checkquorum -apply-at-once",
	"-members 2 -learners 1 -terms 1 -messages 2 -changes add2,learner2 -compactions 1 -no-prevote -no-checkquorum",
	"-members 2 -spares 1 -terms 1 -messages 2 -changes learner2,add2 -compactions 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 1 -messages 2 -changes add2,remove2 -compactions 1 -proposals 1 -beats 1 -no-prevote -no-checkquorum",
	"-members 2 -learners 1 -terms 2 -messages 2 -changes add2,remove2 -compactions 1 -crashes 1 -no-prevote -no-checkquorum",
}
