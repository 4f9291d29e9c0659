package sim

import (
	"errors"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
)

// Mark is a situation that runs should reach sometimes: if many runs never reach
// it, they do not test what they seem to.
type Mark uint8

// Marks counts how often each was reached.
type Marks [numMarks]uint64

const (
	markQuorumLost Mark = iota
	markRemoved
	markRemovedNoHandover
	markDiskStalled
	markTruncated
	markRestored
	markRestoredOverLog
	markSnapshotLost
	markJoint
	markLeftJoint
	markBecameVoter
	markBecameLearner
	markNodeDestroyed
	markDiskLost
	markStopped
	markStartUnapplied
	markRefusedPending
	markRefusedEarly
	markRefusedTransferring
	markRefusedLeaving
	markRefusedFull
	markRefusedForwarding
	markLeaseRead
	markLeaseRefused
	markUnknownOutcome
	markAskedAgain
	markTwoLeaders
	markRecovered
	markTransferred
	markReturned
	markSteppedDownAlone
	markPoints                                // one for each point at which a host crashes
	markFaults = markPoints + Mark(numPoints) // one for each planned fault
	// One for each kind of hostile messages, and what became of mutated bytes.
	markForgeries   = markFaults + Mark(numFaults)
	markUndecodable = markForgeries + Mark(numForgeries)
	markMutant      = markUndecodable + 1
	markLies        = markMutant + 1 // one for each that a restart has to refuse
	markMisread     = markLies + Mark(numLies)
	// The last ones are beside them.
	markSnapshotAckLost = markMisread + 1
	markReadInTheEnd    = markSnapshotAckLost + 1
	markTold            = markReadInTheEnd + 1
	markHeard           = markTold + 1
	markConfAhead       = markHeard + 1
	// Of targets.
	markTargetReached        = markConfAhead + 1
	markTargetNoAnswer       = markTargetReached + 1
	markTargetTooSlow        = markTargetNoAnswer + 1
	markTargetCancelled      = markTargetTooSlow + 1
	markTargetNoQuorum       = markTargetCancelled + 1
	markTargetSuperseded     = markTargetNoQuorum + 1
	markTargetHandedOver     = markTargetSuperseded + 1
	markTargetAlone          = markTargetHandedOver + 1
	markTargetOfFormerLeader = markTargetAlone + 1
	markCatchUpBySnapshot    = markTargetOfFormerLeader + 1
	markTargetAllDown        = markCatchUpBySnapshot + 1
	markTargetRestored       = markTargetAllDown + 1
	markOutcomeRolledBack    = markTargetRestored + 1
	markRefusedTargetStands  = markOutcomeRolledBack + 1
	markRefusedVersion       = markRefusedTargetStands + 1
	markRefusedQuorum        = markRefusedVersion + 1
	markRefusedNoTarget      = markRefusedQuorum + 1
	markRefusedByHand        = markRefusedNoTarget + 1
	// Of sleep.
	markSlept         = markRefusedByHand + 1
	markWokeByMessage = markSlept + 1
	markWokeByRequest = markWokeByMessage + 1
	markWokeBySignal  = markWokeByRequest + 1
	markSleeperLost   = markWokeBySignal + 1
	markSignalMissed  = markSleeperLost + 1
	markLazyClock     = markSignalMissed + 1
	numMarks          = markLazyClock + 1
)

var markNames = func() (names [numMarks]string) {
	copy(names[:], []string{
		"a leader lost its quorum and stepped down",
		"a leader was removed and handed over",
		"a leader was removed and could not hand over",
		"a leader's disk stalled and it stepped down",
		"a node replaced the end of its log",
		"a snapshot was restored",
		"a snapshot replaced entries that were not committed",
		"a snapshot was lost on its way",
		"a joint configuration took effect",
		"a joint configuration was left",
		"a learner became a voter",
		"a voter became a learner",
		"a node was destroyed after its removal",
		"a disk was lost for good",
		"a host stopped with an error",
		"a node started with a committed change of configuration to apply",
		"a change was refused: another was pending",
		"a change was refused: the leader had not committed in its term",
		"a proposal was refused: leadership was being transferred",
		"a proposal was refused: the leader was leaving",
		"a proposal was refused: too many uncommitted bytes",
		"a proposal was refused: the follower does not forward",
		"a read was served under a lease",
		"a lease read was refused",
		"the outcome of an operation stayed unknown",
		"an operation took effect although it was asked again",
		"two nodes led, in different terms",
		"a group recovered",
		"leadership was transferred after recovery",
		"a node returned without moving the term",
		"a leader that was cut off stepped down",
	})
	for p := range pointNames {
		names[markPoints+Mark(p)] = "crash " + pointNames[p]
	}
	for i := range faults {
		names[markFaults+Mark(i)] = "planned: " + faults[i].name
	}
	for i := range forgeries {
		names[markForgeries+Mark(i)] = "hostile: " + forgeries[i].name
	}
	for i := range lies {
		names[markLies+Mark(i)] = "no start: " + lies[i].name
	}
	names[markSnapshotAckLost] = "the acknowledgement of a snapshot was lost, and no report came"
	names[markReadInTheEnd] = "a read was answered after recovery"
	copy(names[markTargetReached:], []string{
		"a target was reached",
		"a target was given up: a server did not answer",
		"a target was given up: a server was too slow",
		"a target was cancelled",
		"a target was given up: its voters were silent",
		"a target was superseded",
		"a leader that a target is without handed over first",
		"a leader that a target is without found nobody to hand over to",
		"a new leader went on with a target",
		"a server that is to vote caught up by a snapshot",
		"all crashed while a target stood",
		"a received snapshot had a target",
		"an outcome was rolled back with the log",
		"a change was refused: a target stands",
		"a target was refused: another configuration was expected",
		"a target was refused: its voters were silent",
		"an outcome was refused: no such target stands",
		"a step or outcome was refused: it is the leader's own",
	})
	copy(names[markSlept:], []string{
		"a group fell asleep",
		"a message woke a node",
		"a request woke a node",
		"the sign of life woke a node",
		"the leader of a sleeping group was lost",
		"a host that did not give the sign of life",
		"a clock was brought up to date by several ticks at once",
	})
	names[markTold] = "a node was told that it was removed"
	names[markHeard] = "a node heard that its proposal was refused elsewhere"
	names[markConfAhead] = "a node started from a configuration ahead of its commit index"
	names[markMisread] = "a node stopped at a read of another place"
	names[markUndecodable] = "mutated bytes could not be decoded"
	names[markMutant] = "mutated bytes were decoded and refused"
	return names
}()

// String says what the mark stands for.
func (m Mark) String() string { return markNames[m] }

// Expected reports whether many runs like o have to reach the mark.
func (m Mark) Expected(o Options) bool {
	f := o.Faults
	switch m {
	case markPoints:
		return false // no point at all
	case markSnapshotAckLost:
		return f.has(Snapshot) && o.NewForeign == nil // whose hosts report
	case markTold:
		return f.has(Membership) && o.NewForeign == nil
	case markHeard:
		return f&All == All && o.NewForeign == nil
	case markConfAhead:
		return f.hasAll(Crash|Membership|Host) && o.ConfChangeEffect == raft.OnAppend
	case markStartUnapplied:
		return f&All == All && o.ConfChangeEffect == raft.OnApply
	case markOutcomeRolledBack:
		return f&All == All && o.ConfChangeEffect == raft.OnAppend
	case markReadInTheEnd:
		return f&All == All
	}
	if m >= markSlept {
		return f.has(Sleep) && o.NewForeign == nil
	}
	if m >= markTargetReached {
		return f&All == All
	}
	if m >= markLies {
		return f.has(Disk)
	}
	if m >= markForgeries {
		return f.has(Hostile)
	}
	if m >= markFaults {
		return f.hasAll(faults[m-markFaults].of)
	}
	return f&All == All
}

func (s *simulation) mark(m Mark) { s.stats.Marks[m]++ }

// markRefusal takes notice of why a proposal was refused.
func (s *simulation) markRefusal(err error) {
	if err == nil {
		return
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			s.mark(r.mark)
			return
		}
	}
}

var refusals = []struct {
	err  error
	mark Mark
}{
	{raft.ErrConfChangePending, markRefusedPending},
	{raft.ErrConfChangeTooEarly, markRefusedEarly},
	{raft.ErrTransferring, markRefusedTransferring},
	{raft.ErrLeaving, markRefusedLeaving},
	{raft.ErrUncommittedFull, markRefusedFull},
	{raft.ErrForwardingDisabled, markRefusedForwarding},
	{confchange.ErrTargetStands, markRefusedTargetStands},
	{confchange.ErrUnexpectedVersion, markRefusedVersion},
	{confchange.ErrWouldLoseQuorum, markRefusedQuorum},
	{confchange.ErrStaleStep, markRefusedNoTarget},
	{confchange.ErrLeadersOwn, markRefusedByHand},
}
