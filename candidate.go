package raft

import (
	"go.uber.org/zap"

	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// candidateState lives while the node is candidate or pre-candidate.
type candidateState struct {
	// votes[i] is the vote of member i of the configuration.
	votes []ballot
	// ownVoteDurable says that {term, vote for itself} is on disk. Until then
	// a candidate does not win, whatever the others say: it could crash, forget
	// the term and lead it a second time.
	ownVoteDurable bool
}

type ballot uint8

const (
	ballotNone ballot = iota
	ballotGranted
	ballotRejected
)

// election is the kind of ballot.
type election uint8

const (
	preElection      election = iota // dissertation §9.6
	realElection                     // Raft §5.2
	transferElection                 // on the leader's word, dissertation §3.10
)

// firstBallot is what a campaign begins with.
func (r *raft) firstBallot() election {
	if r.cfg.DisablePreVote {
		return realElection
	}
	return preElection
}

// campaignObstacle says why this node may not campaign, or reasonNone.
func (r *raft) campaignObstacle() Reason {
	switch {
	case r.role == StateLeader:
		return ReasonIsLeader
	case len(r.conf.ids) == 0:
		return ReasonEmptyConfiguration
	case !r.conf.isVoter(r.id):
		return ReasonNotVoter
	case r.log.snapshot != nil || r.log.restoring != 0:
		return ReasonSnapshotPending
	case r.stalled:
		return ReasonDiskStalled
	case r.term >= maxTerm:
		return ReasonTermExhausted
	}
	// A committed change may give others the right to elect under it already,
	// by quorums that need not meet those of the configuration before.
	if _, ok := r.log.unappliedConf(r.log.committed); ok {
		return ReasonChangeUnapplied
	}
	return reasonNone
}

// campaign holds an election of the given kind. The caller made sure that
// nothing stands against it.
func (r *raft) campaign(kind election) error {
	request, term := pb.MsgVote, r.term+1
	if kind == preElection {
		r.becomePreCandidate()
		request = pb.MsgPreVote
	} else {
		r.becomeCandidate()
	}
	for i, id := range r.conf.ids {
		if id == r.id || r.conf.roles[i]&roleVoter == 0 {
			continue
		}
		m := r.message(request, id)
		m.Term = term
		m.Index, m.LogTerm = r.log.last.index, r.log.last.term
		if kind == transferElection {
			m.Context = []byte(transferContext)
		}
	}
	if kind == preElection {
		// A pre-vote promises nothing, so one's own needs no disk.
		return r.countVote(r.id, true)
	}
	return nil // its own vote counts once it is durable: voteDurable
}

// voteDurable is called when the host has persisted {term, vote}.
func (r *raft) voteDurable(term, vote uint64) error {
	if r.role != StateCandidate || term != r.term || vote != r.id || r.candidate.ownVoteDurable {
		return nil
	}
	r.candidate.ownVoteDurable = true
	return r.countVote(r.id, true)
}

// candidateVoteResp handles an answer to MsgVote.
func (r *raft) candidateVoteResp(m *pb.Message) error { return r.countVote(m.From, !m.Reject) }

// preCandidateVoteResp handles an answer to MsgPreVote. A grant is for the
// term that was asked for; one for another is from an earlier ballot.
func (r *raft) preCandidateVoteResp(m *pb.Message) error {
	if !m.Reject && m.Term != r.term+1 {
		return nil
	}
	return r.countVote(m.From, !m.Reject)
}

// countVote counts the first answer of each voter and acts on the result.
func (r *raft) countVote(from uint64, granted bool) error {
	votes := r.candidate.votes
	i := r.conf.pos(from)
	if votes[i] == ballotNone {
		votes[i] = ballotRejected
		if granted {
			votes[i] = ballotGranted
		}
	}
	switch r.conf.tally(votes) {
	case quorum.VoteLost:
		r.becomeFollower(r.term, None)
	case quorum.VoteWon:
		if r.role == StatePreCandidate {
			return r.campaign(realElection)
		}
		if r.candidate.ownVoteDurable {
			r.becomeLeader()
			return r.maybeCommit()
		}
	}
	return nil
}

// answerVote handles MsgVote and MsgPreVote in every role, learners included:
// by term and log alone (Raft §5.2, §5.4.1; dissertation §4.2.1), since the
// candidate may know a configuration that this node does not.
func (r *raft) answerVote(m *pb.Message) error {
	pre := m.Type == pb.MsgPreVote
	free := r.vote == m.From || (r.vote == None && r.lead == None) || (pre && m.Term > r.term)
	grant := free && m.Term >= r.term && r.log.isUpToDate(entryID{m.LogTerm, m.Index})
	var resp *pb.Message
	if pre {
		// It promises nothing and may leave at once. A grant carries the term
		// asked for, a refusal ours.
		resp = r.message(pb.MsgPreVoteResp, m.From)
		resp.LeaseTicks = r.promisedTicks()
		if grant {
			resp.Term = m.Term
		}
	} else {
		resp = r.promise(pb.MsgVoteResp, m.From)
		if grant {
			r.vote = m.From
			r.elapsed = 0
		}
	}
	resp.Reject = !grant
	if ce := r.logger.Check(zap.DebugLevel, "answered vote request"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("from", m.From), zap.Uint64("term", m.Term), zap.Bool("pre", pre), zap.Bool("granted", grant))
	}
	return nil
}

// hup is a request of the host to campaign now.
func (r *raft) hup() error {
	switch why := r.campaignObstacle(); {
	case why == ReasonIsLeader:
		return nil
	case why != reasonNone:
		return &CampaignError{Reason: why}
	}
	// Its own vote would break the promise that backs the leader's lease
	// (dissertation §6.4.1).
	if r.leasesOn() && r.refusesVotes() && !r.conf.soleVoter(r.id) {
		return &CampaignError{Reason: ReasonLeaseInForce, err: ErrLeaseInForce}
	}
	return r.campaign(r.firstBallot())
}

// followerTimeoutNow handles the leader's word to take over (dissertation §3.10):
// a real election at once, which voters do not refuse for the leader's sake.
func (r *raft) followerTimeoutNow(*pb.Message) error {
	if why := r.campaignObstacle(); why != reasonNone {
		r.logger.Warn("told to take over leadership but cannot campaign", zap.Uint64("id", r.id), zap.String("why", why.sentence()))
		return nil
	}
	return r.campaign(transferElection)
}
