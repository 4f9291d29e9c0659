package raft

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft/progress"
	"github.com/quorate-raft/raft/quorum"
)

// Reason says why something does not happen. See Explain.
type Reason uint8

const (
	reasonNone Reason = iota

	// Why the node does nothing at all.

	// ReasonStorageFailed: Storage returned an error, see RawNode.Err.
	ReasonStorageFailed
	// ReasonAsleep: the group sleeps, until something is asked of it (Config.SleepAfter). There is
	// no lease asleep.
	ReasonAsleep

	// Why there is no leader.

	// ReasonEmptyConfiguration: the node knows no members yet.
	ReasonEmptyConfiguration
	// ReasonNotVoter: the node is a learner or no member, and waits for others
	// to elect.
	ReasonNotVoter
	// ReasonSnapshotPending: a received snapshot is not persisted and restored.
	ReasonSnapshotPending
	// ReasonDiskStalled: the node stepped down because its disk did not
	// answer, and it has not since.
	ReasonDiskStalled
	// ReasonTermExhausted: terms are used up.
	ReasonTermExhausted
	// ReasonChangeUnapplied: a committed change of membership is not applied
	// on this node.
	ReasonChangeUnapplied
	// ReasonLeaseInForce: this node promised its leader to refuse votes.
	ReasonLeaseInForce
	// ReasonElectionTimeout: the election timeout is not over.
	ReasonElectionTimeout
	// ReasonPreVotePending: answers to the pre-vote are missing.
	ReasonPreVotePending
	// ReasonVotePending: votes are missing.
	ReasonVotePending
	// ReasonOwnVoteNotDurable: the election is won but the node's own vote is
	// not on disk.
	ReasonOwnVoteNotDurable
	// ReasonIsLeader: the node leads. It is only a reason not to campaign.
	ReasonIsLeader

	// Why a peer gets no entries.

	// ReasonPeerProbing: one append is under way to find where the logs agree.
	ReasonPeerProbing
	// ReasonPeerWindowFull: as many messages or bytes as allowed are in flight.
	ReasonPeerWindowFull
	// ReasonPeerSnapshot: a snapshot is under way.
	ReasonPeerSnapshot
	// ReasonPeerSnapshotUnavailable: the peer needs a snapshot, and the storage
	// has none to give right now.
	ReasonPeerSnapshotUnavailable
	// ReasonPeerSilent: the peer was not heard from since the last quorum
	// check.
	ReasonPeerSilent

	// Why proposals or changes of membership wait or are refused.

	// ReasonNoCommitInTerm: the leader has not committed an entry of its term.
	ReasonNoCommitInTerm
	// ReasonChangeUncommitted: a change is in the log but not committed.
	ReasonChangeUncommitted
	// ReasonJointExplicit: the configuration is joint and waits to be left by
	// the application.
	ReasonJointExplicit
	// ReasonCatchingUp: a server that the membership target makes a voter does not
	// have the log yet: Count entries are missing to the end of the round, at Index
	// (dissertation §4.2.1).
	ReasonCatchingUp
	// ReasonVotersSilent: the membership target waits, since of the voters that it makes
	// so many do not answer that the rest could not decide. It is given up after Ticks,
	// as far as the leader is in touch with the group.
	ReasonVotersSilent
	// ReasonLeaving: the leader was removed or demoted and is handing over.
	ReasonLeaving
	// ReasonTransferring: leadership is being transferred.
	ReasonTransferring
	// ReasonUncommittedFull: Config.MaxUncommittedSize is reached.
	ReasonUncommittedFull

	// Why reads wait.

	// ReasonReadsNoCommitInTerm: reads wait for a commit in the leader's term.
	ReasonReadsNoCommitInTerm
	// ReasonReadsQuorum: reads wait for a quorum to answer heartbeats.
	ReasonReadsQuorum
	// ReasonReadsForwarded: reads wait for the leader's answer.
	ReasonReadsForwarded

	// Why there is no lease.

	// ReasonLeasesOff: Config.ReadOnlyOption is ReadOnlySafe.
	ReasonLeasesOff
	// ReasonLeaseOver: the leader told a peer to campaign in this term.
	ReasonLeaseOver
	// ReasonLeaseNotPromised: not every voter has promised to refuse votes.
	ReasonLeaseNotPromised
	// ReasonLeaseExpired: no quorum answered heartbeats lately.
	ReasonLeaseExpired
)

var reasons = [...]struct{ name, sentence string }{
	reasonNone:                    {"None", "nothing stands against it"},
	ReasonStorageFailed:           {"StorageFailed", "the storage failed, so the node has stopped"},
	ReasonAsleep:                  {"Asleep", "the group sleeps until something is asked of it"},
	ReasonEmptyConfiguration:      {"EmptyConfiguration", "the node knows no members yet and waits for a leader to contact it"},
	ReasonNotVoter:                {"NotVoter", "the node is not a voter and waits for the voters to elect a leader"},
	ReasonSnapshotPending:         {"SnapshotPending", "a received snapshot is not yet persisted and restored"},
	ReasonDiskStalled:             {"DiskStalled", "the disk did not acknowledge writes for an election timeout and has not since"},
	ReasonTermExhausted:           {"TermExhausted", "the term numbers are used up"},
	ReasonChangeUnapplied:         {"ChangeUnapplied", "a committed change of membership is not yet applied on this node"},
	ReasonLeaseInForce:            {"LeaseInForce", "the node promised a leader to refuse votes for an election timeout"},
	ReasonElectionTimeout:         {"ElectionTimeout", "the election timeout is not over yet"},
	ReasonPreVotePending:          {"PreVotePending", "a majority has not yet answered whether an election could be won"},
	ReasonVotePending:             {"VotePending", "a majority has not yet voted"},
	ReasonOwnVoteNotDurable:       {"OwnVoteNotDurable", "the others voted for this node, but its own vote is not yet durable"},
	ReasonIsLeader:                {"IsLeader", "the node leads already"},
	ReasonPeerProbing:             {"PeerProbing", "one append is under way to find where the logs agree"},
	ReasonPeerWindowFull:          {"PeerWindowFull", "as much as allowed is in flight to the peer"},
	ReasonPeerSnapshot:            {"PeerSnapshot", "a snapshot is under way to the peer and not yet reported or acknowledged"},
	ReasonPeerSnapshotUnavailable: {"PeerSnapshotUnavailable", "the peer needs a snapshot and the storage has none to give right now"},
	ReasonPeerSilent:              {"PeerSilent", "the peer was not heard from since the last quorum check"},
	ReasonNoCommitInTerm:          {"NoCommitInTerm", "the leader has not yet committed an entry of its own term"},
	ReasonChangeUncommitted:       {"ChangeUncommitted", "a change of membership is in the log and not yet committed"},
	ReasonJointExplicit:           {"JointExplicit", "the configuration is joint and waits for the application to propose to leave it"},
	ReasonCatchingUp:              {"CatchingUp", "the membership target waits until the server, which is to vote, has the log"},
	ReasonVotersSilent:            {"VotersSilent", "the membership target waits until enough of those who are to vote answer"},
	ReasonLeaving:                 {"Leaving", "the leader was removed or demoted and hands over before it steps down"},
	ReasonTransferring:            {"Transferring", "leadership is being transferred to the peer, so proposals are refused"},
	ReasonUncommittedFull:         {"UncommittedFull", "as many uncommitted bytes as allowed are waiting"},
	ReasonReadsNoCommitInTerm:     {"ReadsNoCommitInTerm", "reads wait until the leader has committed an entry of its own term"},
	ReasonReadsQuorum:             {"ReadsQuorum", "reads wait for a majority to answer heartbeats"},
	ReasonReadsForwarded:          {"ReadsForwarded", "reads wait for the leader's answer"},
	ReasonLeasesOff:               {"LeasesOff", "lease reads are not configured"},
	ReasonLeaseOver:               {"LeaseOver", "a peer was told to campaign, so there is no lease for the rest of the term"},
	ReasonLeaseNotPromised:        {"LeaseNotPromised", "not every voter has promised to refuse votes"},
	ReasonLeaseExpired:            {"LeaseExpired", "a majority has not answered recent heartbeats"},
}

// String returns the reason's name.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r].name
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

func (r Reason) sentence() string {
	if int(r) < len(reasons) {
		return reasons[r].sentence
	}
	return r.String()
}

// Explanation is one answer of Explain. Fields that do not apply are 0.
type Explanation struct {
	// Reason says why.
	Reason Reason
	// Peer is the member that it is about.
	Peer uint64
	// Index is the log index that it is about.
	Index uint64
	// Count is how many things wait: votes that are missing, messages in
	// flight, reads.
	Count int
	// Ticks is for how many ticks it lasts at most, where that is known.
	Ticks int
}

// String returns a sentence.
func (e Explanation) String() string {
	s := e.Reason.sentence()
	if e.Peer != None {
		s = fmt.Sprintf("peer %d: %s", e.Peer, s)
	}
	sep := " ("
	add := func(format string, v any) {
		s += sep + fmt.Sprintf(format, v)
		sep = ", "
	}
	if e.Index != 0 {
		add("index %d", e.Index)
	}
	if e.Count != 0 {
		add("%d", e.Count)
	}
	if e.Ticks != 0 {
		add("at most %d ticks", e.Ticks)
	}
	if sep != " (" {
		s += ")"
	}
	return s
}

// Explain says, in a fixed order, why this node has no leader, why a peer gets
// no entries, and why proposals, changes of membership and reads wait. It is
// empty when nothing does. It changes nothing.
func (rn *RawNode) Explain() []Explanation {
	r := rn.raft
	var out []Explanation
	add := func(e Explanation) { out = append(out, e) }
	if r.err != nil {
		add(Explanation{Reason: ReasonStorageFailed})
		return out
	}
	if r.asleep {
		add(Explanation{Reason: ReasonAsleep})
		return out
	}
	if r.role == StateLeader {
		r.explainPeers(add)
		r.explainProposals(add)
		r.explainReads(add)
		return out
	}
	if r.lead == None {
		r.explainElection(add)
	}
	if n := r.asked.count(); n > 0 {
		add(Explanation{Reason: ReasonReadsForwarded, Count: n})
	}
	return out
}

func (r *raft) explainElection(add func(Explanation)) {
	if why := r.campaignObstacle(); why != reasonNone {
		e := Explanation{Reason: why}
		if why == ReasonChangeUnapplied {
			e.Index, _ = r.log.unappliedConf(r.log.committed)
		}
		add(e)
	}
	if r.promised > 0 {
		add(Explanation{Reason: ReasonLeaseInForce, Ticks: r.promised})
	}
	if r.role == StateFollower {
		if len(r.conf.ids) > 0 && r.mayLead() {
			add(Explanation{Reason: ReasonElectionTimeout, Ticks: r.timeout - r.elapsed})
		}
		return
	}
	missing := 0
	for i, v := range r.candidate.votes {
		if v == ballotNone && r.conf.ids[i] != r.id && r.conf.roles[i]&roleVoter != 0 {
			missing++
		}
	}
	switch {
	case r.role == StatePreCandidate:
		add(Explanation{Reason: ReasonPreVotePending, Count: missing})
	case !r.candidate.ownVoteDurable && r.wonWithOwnVote():
		add(Explanation{Reason: ReasonOwnVoteNotDurable})
	default:
		add(Explanation{Reason: ReasonVotePending, Count: missing})
	}
}

// wonWithOwnVote reports whether only the candidate's own vote is missing.
func (r *raft) wonWithOwnVote() bool {
	votes := slices.Clone(r.candidate.votes)
	if i := r.conf.pos(r.id); i >= 0 {
		votes[i] = ballotGranted
	}
	return r.conf.tally(votes) == quorum.VoteWon
}

func (r *raft) explainPeers(add func(Explanation)) {
	l := r.leader
	for i, id := range r.conf.ids {
		if i == l.self {
			continue
		}
		p := &l.peers[i]
		if !p.Active {
			add(Explanation{Reason: ReasonPeerSilent, Peer: id})
		}
		if !p.Paused() {
			continue
		}
		switch p.State {
		case progress.Probe:
			if p.NeedsSnapshot {
				add(Explanation{Reason: ReasonPeerSnapshotUnavailable, Peer: id})
				continue
			}
			add(Explanation{Reason: ReasonPeerProbing, Peer: id, Index: p.Next - 1})
		case progress.Replicate:
			add(Explanation{Reason: ReasonPeerWindowFull, Peer: id, Count: p.Window.Count()})
		case progress.Snapshot:
			add(Explanation{Reason: ReasonPeerSnapshot, Peer: id, Index: p.PendingSnapshot, Ticks: r.cfg.SnapshotTicks - p.SnapshotTicks})
		}
	}
}

func (r *raft) explainProposals(add func(Explanation)) {
	l := r.leader
	if !l.committedInTerm(r.log) {
		add(Explanation{Reason: ReasonNoCommitInTerm, Index: l.start})
	}
	if index, ok := r.pendingConf(); ok {
		why := ReasonChangeUncommitted
		if index <= r.log.committed {
			why = ReasonChangeUnapplied
		}
		add(Explanation{Reason: why, Index: index})
	} else if r.conf.cfg.Joint() && !r.conf.cfg.AutoLeave {
		add(Explanation{Reason: ReasonJointExplicit, Index: r.conf.index})
	}
	for i, id := range r.conf.ids {
		if p := &l.peers[i]; p.CatchUp != nil && !p.CatchUp.CaughtUp {
			missing := p.CatchUp.Target - min(p.CatchUp.Target, p.Match)
			add(Explanation{Reason: ReasonCatchingUp, Peer: id, Index: p.CatchUp.Target, Count: int(missing)})
		}
	}
	if t := r.conf.cfg.Target; t != nil && l.drive.version == t.Version && l.drive.asked && r.awaitsVoters(t) {
		add(Explanation{Reason: ReasonVotersSilent, Ticks: int(r.votersAwaited() - min(r.votersAwaited(), l.drive.waited))})
	}
	if l.leaving != nil {
		add(Explanation{Reason: ReasonLeaving, Index: l.leaving.index, Ticks: r.cfg.ElectionTick - l.leaving.ticks})
	}
	if l.transfer.target != None {
		add(Explanation{Reason: ReasonTransferring, Peer: l.transfer.target, Ticks: r.cfg.ElectionTick - l.transfer.ticks})
	}
	if l.uncommitted >= r.cfg.MaxUncommittedSize {
		add(Explanation{Reason: ReasonUncommittedFull})
	}
}

func (r *raft) explainReads(add func(Explanation)) {
	l := r.leader
	if n := len(l.reads.pending); n > 0 {
		why := ReasonReadsQuorum
		if !l.committedInTerm(r.log) {
			why = ReasonReadsNoCommitInTerm
		}
		add(Explanation{Reason: why, Count: n})
	}
	if r.leasesOn() {
		// The missing commit in the term is told above.
		if why := r.leaseReason(); why != reasonNone && why != ReasonNoCommitInTerm {
			add(Explanation{Reason: why})
		}
	}
}
