package raft

import (
	"errors"

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
	few            [fewPeers]ballot // room for the votes, where they are no more
}

// openBallot begins to count votes. A pre-candidate that goes on as a candidate needs
// its state no more.
func (r *raft) openBallot() {
	if c := r.candidate; c != nil && len(c.votes) == len(r.conf.ids) {
		clear(c.votes)
		c.ownVoteDurable = false
		return
	}
	c := &candidateState{}
	if n := len(r.conf.ids); n <= fewPeers {
		c.votes = c.few[:n]
	} else {
		c.votes = make([]ballot, n)
	}
	r.candidate = c
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
	case !r.mayLead():
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
	if _, ok := r.unappliedChange(); ok {
		return ReasonChangeUnapplied
	}
	return reasonNone
}

// campaign holds an election of the given kind. The caller made sure that
// nothing stands against it.
func (r *raft) campaign(kind election) error {
	if kind == preElection {
		r.becomePreCandidate()
	} else {
		r.becomeCandidate()
	}
	committed, err := r.knownCommitted()
	if err != nil {
		return err
	}
	for i, id := range r.conf.ids {
		if id == r.id || r.conf.roles[i]&roleVoter == 0 {
			continue
		}
		var m *pb.Message
		if kind == preElection {
			m = r.message(pb.MsgPreVote, id)
			m.Term = r.term + 1
		} else {
			// A grant is for this log. If the request left before the log, the
			// term and the vote are durable, the node could crash, ask again in
			// the same term with a shorter log, and win by the old grant.
			m = r.promise(pb.MsgVote, id)
		}
		m.Index, m.LogTerm = r.log.last.index, r.log.last.term
		m.Commit, m.RejectHint = committed.index, committed.term
		m.Session, m.Features = r.session, r.features()
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

// countVote counts the first answer of each voter and acts on the result. With
// OnAppend the candidate itself may be none (see mayLead).
func (r *raft) countVote(from uint64, granted bool) error {
	votes := r.candidate.votes
	if i := r.conf.pos(from); i >= 0 && votes[i] == ballotNone {
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
			if err := r.becomeLeader(); err != nil {
				return err
			}
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
	if grant && !pre {
		r.vote = m.From
		r.elapsed = 0
	}
	resp, err := r.voteResp(m)
	if err != nil {
		return err
	}
	if grant {
		// A granted pre-vote carries the term asked for, a refusal ours.
		resp.Term, resp.Reject = m.Term, false
	}
	if ce := r.logger.Check(zap.DebugLevel, "answered vote request"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("from", m.From), zap.Uint64("term", m.Term), zap.Bool("pre", pre), zap.Bool("granted", grant))
	}
	return nil
}

// voteResp makes a refusal of a vote or pre-vote. It names the newest entry that
// this node knows to be committed, as a grant does: the candidate may hold it
// without knowing, and it may be the very change of membership by which it can
// do without those who do not answer (see learnCommit).
func (r *raft) voteResp(m *pb.Message) (*pb.Message, error) {
	committed, err := r.knownCommitted()
	if err != nil {
		return nil, err
	}
	var resp *pb.Message
	if m.Type == pb.MsgPreVote {
		// It promises nothing and may leave at once.
		resp = r.message(pb.MsgPreVoteResp, m.From)
	} else {
		resp = r.promise(pb.MsgVoteResp, m.From)
	}
	resp.Reject = true
	resp.Commit, resp.LogTerm = committed.index, committed.term
	return resp, nil
}

// knownCommitted returns the newest entry that this node knows to be committed, or none if
// its term is not known any more.
func (r *raft) knownCommitted() (entryID, error) {
	term, err := r.log.term(r.log.committed)
	if err != nil {
		if errors.Is(err, ErrCompacted) {
			err = nil
		}
		return entryID{}, err
	}
	return entryID{term, r.log.committed}, nil
}

// learnCommit takes the committed entry that a request for a vote, or an answer to one,
// names, if this log holds it: then it is committed here too (Raft §5.3, log
// matching). Without that, a group could lock up after a change. After a removal
// the one left needs the vote of the removed one, whose log is longer and who does not
// campaign, or who is gone; a grant tells it as well, where the longest log is
// that of a node which does not know of the removal. After an addition the others need
// the vote of the new one, whose log may be longer and who does not campaign, as it does not
// know that it is a voter: a request tells it. The term of the message does not matter.
func (r *raft) learnCommit(m *pb.Message) error {
	if r.role == StateLeader || m.Commit <= r.log.committed {
		return nil
	}
	id := entryID{m.LogTerm, m.Commit}
	switch m.Type {
	case pb.MsgVote, pb.MsgPreVote:
		id.term = m.RejectHint
	case pb.MsgVoteResp, pb.MsgPreVoteResp:
	default:
		return nil
	}
	if !m.Reject && !r.log.confIn(r.log.committed, m.Commit) {
		return nil // whoever wins commits by its own entry
	}
	if ok, err := r.log.matches(id); err != nil || !ok {
		return err
	}
	r.log.commitTo(m.Commit)
	if r.role == StateFollower {
		return nil
	}
	if _, ok := r.unappliedChange(); ok || !r.mayLead() {
		// It would be an election over an unapplied change, or by who is now known
		// to be removed.
		r.becomeFollower(r.term, None)
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
	if r.leasesOn() && r.refusesVotes() {
		r.rouse() // the lease ends by ticks, of which there are none asleep
		return &CampaignError{Reason: ReasonLeaseInForce, err: ErrLeaseInForce}
	}
	return r.campaign(r.firstBallot())
}

// followerTimeoutNow handles the leader's word to take over (dissertation §3.10):
// a real election at once, which voters do not refuse for the leader's sake.
func (r *raft) followerTimeoutNow(*pb.Message) error {
	if why := r.campaignObstacle(); why != reasonNone {
		if why == ReasonChangeUnapplied {
			r.takeOver = r.term // once it is applied
		}
		r.logger.Warn("told to take over leadership but cannot campaign", zap.Uint64("id", r.id), zap.String("why", why.sentence()))
		return nil
	}
	return r.campaign(transferElection)
}
