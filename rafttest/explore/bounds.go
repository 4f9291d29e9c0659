package explore

import (
	"errors"
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Bounds say how far a model goes.
type Bounds struct {
	// Members are there from the start, as voters, unless Learners or Spares says otherwise: the last so many
	// are learners, or have an empty disk and join when a change adds them.
	Members, Learners, Spares int
	// Terms, at least 1, is how many terms there are after that of the first snapshot. Nobody stands for a later one.
	Terms uint64
	// Entries is how long logs get after the first snapshot, those with which leaders begin their terms included;
	// 0 is no bound of its own.
	Entries uint64
	// Messages is how many can be on their way at a time. What would send more waits until one is lost.
	Messages int
	// Proposals, Crashes, Duplicates and Compactions are how often each may happen. Beats is how often leaders'
	// clocks may tick.
	Proposals, Crashes, Duplicates, Beats, Compactions int
	// Timeouts is how often members that do not lead may come to doubt their leader or to stand, 0 for as often as
	// Terms lets them. With pre-votes, which end in no new term, it is what bounds them.
	Timeouts int
	// Reads is how often hosts ask for an index to read at, Campaigns how often they tell members to stand. Transfers is
	// how often hosts of leaders ask for another member to take over.
	Reads, Campaigns, Transfers int
	// Ticks, if not 0, is how often the clock of each member ticks. Nobody's is more than one tick ahead of another's,
	// so that in any time they count the same but for two, which is what raft.Config.MaxClockDrift of 1 and whole ticks
	// allow. Then Timeouts and Beats are 0, and leaders hold leases, with an ElectionTick of 6 and a
	// HeartbeatTick of 2. Each member waits as long before it stands whenever it does, member 2 the shortest time and member
	// 1 the longest. One that would stand for a term beyond Terms stops its clock.
	Ticks int
	// Led has all begin where member 1 leads and all who are there from the start have applied its first entry. That term
	// and that entry count as any.
	Led bool
	// Changes are the changes of membership that leaders may propose, each once, in any order.
	Changes []pb.ConfChangeV2
	// Effect says when changes take effect.
	Effect raft.ConfChangeEffect
	// ApplyAtOnce has hosts apply what they are given at once, and not whenever they come to it. Where nothing but
	// changes of membership is at stake when they do, as without changes, that leaves out only orders.
	ApplyAtOnce bool
	// WriteAtOnce has hosts write and acknowledge at once. It leaves out all that happens between.
	WriteAtOnce bool
	// NoPreVote and NoCheckQuorum turn these off.
	NoPreVote, NoCheckQuorum bool
	// Renamed takes states that differ in the names of members for the same.
	Renamed bool
}

// String names what is not zero.
func (b Bounds) String() string {
	s := fmt.Sprintf("%d members", b.Members)
	count := func(n int, what string) {
		if n > 0 {
			s += fmt.Sprintf(", %d %s", n, what)
		}
	}
	count(b.Learners, "learners")
	count(b.Spares, "spares")
	count(int(b.Terms), "terms")
	count(int(b.Entries), "entries")
	count(b.Messages, "messages at a time")
	for _, budget := range b.budgets() {
		count(budget.n, budget.name)
	}
	count(len(b.Changes), "changes of membership")
	if len(b.Changes) > 0 {
		s += fmt.Sprintf(", %v", b.Effect)
	}
	say := func(yes bool, what string) {
		if yes {
			s += ", " + what
		}
	}
	say(b.Led, "led from the start")
	say(b.NoPreVote, "no pre-votes")
	say(b.NoCheckQuorum, "no quorum checks")
	say(b.WriteAtOnce, "written at once")
	say(b.ApplyAtOnce, "applied at once")
	say(b.Renamed, "members renamed")
	return s
}

// What happens only so often.
const (
	leftProposals = iota
	leftCrashes
	leftDuplicates
	leftBeats
	leftCompactions
	leftTimeouts
	leftReads
	leftCampaigns
	leftTransfers
	leftTicks
	numBudgets
)

// budget is the bound of what happens only so often.
type budget struct {
	name string
	n    int
}

func (b *Bounds) budgets() [numBudgets]budget {
	return [...]budget{
		leftProposals: {"proposals", b.Proposals}, leftCrashes: {"crashes", b.Crashes}, leftDuplicates: {"duplicates", b.Duplicates},
		leftBeats: {"beats", b.Beats}, leftCompactions: {"compactions", b.Compactions}, leftTimeouts: {"timeouts", b.Timeouts},
		leftReads: {"reads", b.Reads}, leftCampaigns: {"campaigns", b.Campaigns}, leftTransfers: {"transfers", b.Transfers},
		leftTicks: {"ticks", b.Ticks},
	}
}

// What fits into states.
const (
	maxMembers  = 5
	maxMessages = 32
	maxChanges  = 8
	maxTerms    = 100
	maxBudget   = 255
)

// check returns all that is wrong with b.
func (b *Bounds) check() error {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(b.Members < 1 || b.Members > maxMembers, "members (%d) must be between 1 and %d", b.Members, maxMembers)
	fault(b.Learners < 0 || b.Spares < 0, "learners (%d) and spares (%d) must not be negative", b.Learners, b.Spares)
	fault(b.Learners+b.Spares >= b.Members, "of %d members %d are learners and %d spares, which leaves no voters", b.Members, b.Learners, b.Spares)
	fault(b.Terms < 1 || b.Terms > maxTerms, "terms (%d) must be between 1 and %d", b.Terms, maxTerms)
	fault(b.Messages < 1 || b.Messages > maxMessages, "messages (%d) must be between 1 and %d", b.Messages, maxMessages)
	fault(len(b.Changes) > maxChanges, "there are %d changes, at most %d are possible", len(b.Changes), maxChanges)
	for _, budget := range b.budgets() {
		fault(budget.n < 0 || budget.n > maxBudget, "%s (%d) must be between 0 and %d", budget.name, budget.n, maxBudget)
	}
	fault(b.Renamed && (len(b.Changes) > 0 || b.Learners+b.Spares > 0), "members can be renamed only where all are voters for ever")
	if b.Ticks > 0 {
		fault(b.Timeouts > 0 || b.Beats > 0, "where clocks tick (%d) nobody's time comes by itself (%d timeouts, %d beats)", b.Ticks, b.Timeouts, b.Beats)
		fault(b.NoCheckQuorum, "leases, which there are where clocks tick (%d), need quorum checks", b.Ticks)
		fault(b.Renamed, "where clocks tick (%d) members differ by how long they wait, and cannot be renamed", b.Ticks)
	}
	return errors.Join(faults...)
}
