package differential

// rule is an intended difference: what may differ, and when. All else fails.
type rule int

// Rule describes a rule. docs/differences.md has a row for each.
type Rule struct {
	Name string
	// Bound is what the driver lets differ, and under which condition.
	Bound string
}

const (
	saysWhy rule = iota
	changeRefused
	pendingExact
	appendBeyondCommit
	staleAnswered
	voteNamesCommit
	transferNoTerm
	commitNotice
	allAtOnce
	transferProbes
	refusedAtMatch
	probeWaits
	grantIsHeard
	newPeerNext
	timerRunsOn
	silentLeaderForgotten
	transferClock
	readEarly
	readLate
	beatsMerged
	removedHandsOver
	notBounced
	commitLearned
	oldGrant
	snapshotWithoutSelf
	syncForCommittedChange
	oldAnswerProbe
	snapshotAsked
	ownUncommitted
	leaveDuringTransfer
	wordOfAnother
	preVoteTimer
	selfTransfer
	readSurvives
	snapshotOvertaken
	probeBeforeSnapshot
	readOfUnknownLeader
	soleVoterReads
	timeoutNowAgain
	unreachableProbed
	readCopied
	impossibleRefused
	snapshotExpired
	preVoteAtOnce
	voteAfterWrite
	changeHeardAfterWrite
	oldTermDurable
	changeUnderSnapshot
	splitAtDurable
	uncommittedUntilApplied
	soleVoterCommitsFirst
	takeOverOnceApplied
	leaveByCommit
	windowBytes
	leaseByPromise
	promiseKept
	formerLife
	removedTold
	refusalTold
	otherEffect
)

var ruleTable = [...]Rule{
	saysWhy:                 {"says-why", "ours returns an error of refused input where theirs returns nothing; neither half moves"},
	changeRefused:           {"change-refused", "a leader of ours refuses a change of configuration with a reason that the driver confirms; theirs, which would append an empty entry in its place or take it, is not asked"},
	pendingExact:            {"pending-exact", "a leader of ours takes a change where theirs still suspects an unapplied one in its log, and the driver finds none and a commit in the term"},
	appendBeyondCommit:      {"append-beyond-commit", "an append that begins before the commit index and goes past it is given to theirs from the commit index on"},
	staleAnswered:           {"stale-answered", "the answer to a request of an earlier term: ours always sends one, a refusal with its term; the term is equal"},
	voteNamesCommit:         {"vote-names-commit", "commit and logTerm of ours in an answer to a request for a vote, and commit and rejectHint in a request, name its commit index; theirs has none there"},
	transferNoTerm:          {"transfer-no-term", "a transfer passed on has a term in theirs and none in ours"},
	commitNotice:            {"commit-notice", "empty appends to a peer in replicate: ours at match, unanswered; theirs at next-1, only if ours has told the peer, and not to answer a heartbeat's answer"},
	allAtOnce:               {"all-at-once", "MaxSizePerMsg cuts proposals into several appends to a peer in replicate: ours sends all that the window takes, theirs one; next and what is in flight follow ours"},
	transferProbes:          {"transfer-probes", "a transfer begins while the target's window is full: ours sends it an empty append"},
	refusedAtMatch:          {"refused-at-match", "a peer refuses an append at or before match: ours waits for a heartbeat's answer, theirs sends again at once"},
	probeWaits:              {"probe-waits", "while probing, ours waits after each append, theirs only after one with entries"},
	grantIsHeard:            {"grant-is-heard", "a new leader of ours counts a voter as active whose grant in this term was delivered"},
	newPeerNext:             {"new-peer-next", "a member added by this step: ours probes at the log's end, theirs one before it"},
	timerRunsOn:             {"timer-runs-on", "a follower that only sees a higher term: ours keeps its election timer, theirs starts it anew"},
	silentLeaderForgotten:   {"silent-leader-forgotten", "a node that may not campaign and whose timeout passed: ours knows no leader and starts the timer anew"},
	transferClock:           {"transfer-clock", "a transfer that begins: theirs starts the clock of its quorum check anew, ours has one apart"},
	readEarly:               {"read-early", "ours answers a read earlier, at the same index, when a quorum answered heartbeats that left no earlier than the read came"},
	readLate:                {"read-late", "theirs takes an answer to a forwarded read that ours has given up or that does not come from its leader"},
	beatsMerged:             {"beats-merged", "several heartbeats of theirs to one peer in one step against one of ours"},
	removedHandsOver:        {"removed-hands-over", "a leader that applied its removal or demotion in this step: ours leads on and may commit what the voters that are left hold, theirs is a follower of the same term; both restart"},
	notBounced:              {"not-bounced", "a proposal or read of the one taken for the leader: ours refuses it, theirs sends it back"},
	commitLearned:           {"commit-learned", "ours takes the commit that an answer to a request for a vote names, or a request where a change of configuration is in between, for an entry that it holds"},
	oldGrant:                {"old-grant", "a granted pre-vote for another term than the next: ours stays as it was; theirs, which would count it, is not asked"},
	snapshotWithoutSelf:     {"snapshot-without-self", "a snapshot whose configuration lacks the receiver: ours restores it, theirs ignores it; both restart"},
	syncForCommittedChange:  {"sync-for-committed-change", "MustSync of ours alone, where commit passed a change of configuration or a snapshot came"},
	oldAnswerProbe:          {"old-answer-probe", "an acknowledgement that does not reach next-1 while probing: theirs starts to replicate from match on, perhaps with a snapshot, ours probes on"},
	snapshotAsked:           {"snapshot-asked", "ours asks, once in an election timeout, a peer whose snapshot is under way whether it has it"},
	ownUncommitted:          {"own-uncommitted", "uncommitted bytes: theirs takes entries of earlier terms off the account, so it is below ours"},
	leaveDuringTransfer:     {"leave-during-transfer", "ours leaves a joint configuration by itself also during a transfer; both restart"},
	wordOfAnother:           {"word-of-another", "TimeoutNow or an answer to a read from another than the term's leader: ours refuses it and stays as it was; theirs is not asked"},
	preVoteTimer:            {"pre-vote-timer", "a host that asks for a campaign with a pre-vote: ours starts the election timer anew, theirs lets it run"},
	selfTransfer:            {"self-transfer", "a transfer to the leader itself: ours refuses it and goes on with the one under way, theirs gives that up"},
	readSurvives:            {"read-survives", "reads that wait for a commit in the term: a node of theirs that leads no more keeps them for the next time; they are dropped there"},
	snapshotOvertaken:       {"snapshot-overtaken", "a peer acknowledges the snapshot under way, and the log was compacted past it since: ours goes on, theirs waits for a report"},
	probeBeforeSnapshot:     {"probe-before-snapshot", "theirs sends a snapshot where ours, which remembers terms of compacted entries, first probes at one, or waits as its window is full"},
	readOfUnknownLeader:     {"read-of-unknown-leader", "an answer to a read from the leader, which the receiver's configuration lacks: ours takes it, with its term, theirs refuses it; both restart if the term is new"},
	soleVoterReads:          {"sole-voter-reads", "a joint configuration whose two halves are the leader alone: ours answers reads at once, theirs sends heartbeats first"},
	timeoutNowAgain:         {"timeout-now-again", "theirs tells the target of a transfer to campaign again, which ours told before"},
	unreachableProbed:       {"unreachable-probed", "a peer reported unreachable: ours probes at once, theirs with the next append that is due"},
	readCopied:              {"read-copied", "a forwarded read that came twice: theirs answers the copy, and what was asked before the copy, by heartbeats that left for the first; ours does not"},
	impossibleRefused:       {"impossible-refused", "a message that no correct peer sends: ours refuses it with an error and stays as it was; theirs is not asked"},
	snapshotExpired:         {"snapshot-expired", "a snapshot that was not reported for SnapshotTicks: ours probes the peer again, theirs waits for ever"},
	preVoteAtOnce:           {"pre-vote-at-once", "asynchronous writes: an answer to a request for a pre-vote, its own among them, does not wait for a write as that of theirs does"},
	voteAfterWrite:          {"vote-after-write", "asynchronous writes: a request for a vote waits until term, vote and log are durable; theirs leaves at once and is held back"},
	changeHeardAfterWrite:   {"change-heard-after-write", "asynchronous writes: the answer to a heartbeat waits while a crash could make the node forget that a change of configuration is committed; that of theirs, which leaves at once, is held back"},
	oldTermDurable:          {"old-term-durable", "asynchronous writes: of a write that is acknowledged after its term ours counts what no write under way replaces; theirs nothing, until it is told of that with the new term"},
	changeUnderSnapshot:     {"change-under-snapshot", "asynchronous writes: a change that is applied while a snapshot past it is being written: ours keeps the snapshot's configuration and returns one of the log, at or before the change, by whose index a restart finds it; theirs would change the snapshot's, and is not told"},
	splitAtDurable:          {"split-at-durable", "asynchronous writes: an append ends where the durable part of the log does, and another has the rest, if the window takes it; that of theirs has both"},
	uncommittedUntilApplied: {"uncommitted-until-applied", "asynchronous applications: uncommitted bytes are those not handed out yet; theirs counts what is not applied, no more"},
	soleVoterCommitsFirst:   {"sole-voter-commits-first", "a leader that is the only voter and has not committed in its term: theirs answers a read at the commit index that it knows, ours waits for that commit"},
	takeOverOnceApplied:     {"take-over-once-applied", "asynchronous applications: the leader's word to take over came while a committed change was not applied: ours campaigns once it is, unless the leader was heard since; theirs never, and is told again"},
	leaveByCommit:           {"leave-by-commit", "asynchronous writes: a leader leaves an automatic joint configuration of before its term once it has committed in the term and applied the change; theirs with any entry that it applies, but for those that it found in its log; both restart"},
	windowBytes:             {"window-bytes", "MaxInflightBytes: ours counts encoded entries, and may stop in the middle of a step where theirs, which counts payloads, goes on; theirs is given the counts of ours, which the driver has checked"},
	leaseByPromise:          {"lease-by-promise", "with leases theirs answers a leader's reads at once; ours does while a quorum's promises last, of which the driver keeps an account, and else when a quorum has confirmed it, for which it sends heartbeats"},
	promiseKept:             {"promise-kept", "with leases a member ignores requests for votes, and does not campaign, for an election timeout after a leader's word or a restart, in whatever term; theirs is not asked"},
	formerLife:              {"former-life", "an answer that echoes a session of before the peer was removed and added again, in the leader's term: ours refuses it with ErrStaleSession and stays as it was; theirs is not asked"},
	removedTold:             {"removed-told", "a request for votes that names a session, of a node that the applied configuration lacks: ours, if it is a member, also tells it so; ours takes that word without moving, theirs is not asked"},
	refusalTold:             {"refusal-told", "a forwarded proposal that ours refuses, and whose sender knows of refusals: ours tells it why; ours hands that word on without moving, theirs is not asked"},
	otherEffect:             {"other-effect", "a message whose sender says that its changes of configuration take effect on append: ours refuses it with ErrConfChangeEffect and stays as it was; theirs is not asked"},
}

// Rules returns the rules.
func Rules() []Rule { return ruleTable[:] }

func (w *world) apply(r rule) { w.fired[r]++ }

// restartBoth notes that the halves part here on purpose, by rule r: after the
// step both begin anew from the disk of the one that the others hear.
func (w *world) restartBoth(r rule) {
	w.apply(r)
	w.cur.realign, w.cur.hasRule = r, true
}
