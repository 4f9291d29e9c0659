package raft

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// This file is the only writer of the role (Raft figure 4). Each transition
// asserts the edge, builds the new role's own state, resets the timers and
// logs once (by Check, which costs nothing where nobody reads it).

// becomeFollower ends any other role. lead is the term's leader if known. A
// new term forgets the vote of the old one.
func (r *raft) becomeFollower(term, lead uint64) {
	if term < r.term {
		panic(fmt.Sprintf("raft: follower of term %d in term %d", term, r.term))
	}
	changed := r.role != StateFollower || term != r.term
	if r.role != StateFollower || lead != None {
		// A follower's timer runs on when it only sees a higher term: not the
		// leader's word, and a vote resets it if granted (Raft figure 2).
		r.startTimer()
	}
	r.enterTerm(term)
	r.asleep = false
	r.leader, r.candidate = nil, nil
	r.role = StateFollower
	r.setLead(lead)
	if changed {
		if ce := r.logger.Check(zap.InfoLevel, "became follower"); ce != nil {
			ce.Write(zap.Uint64("id", r.id), zap.Uint64("term", r.term), zap.Uint64("leader", lead))
		}
	}
}

// becomePreCandidate asks whether an election could be won, without a new term
// and without a vote (dissertation §9.6).
func (r *raft) becomePreCandidate() {
	if r.role == StateLeader {
		panic("raft: leader becomes pre-candidate")
	}
	r.asleep = false
	r.role = StatePreCandidate
	r.openBallot()
	r.setLead(None)
	r.startTimer()
	if ce := r.logger.Check(zap.InfoLevel, "became pre-candidate"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("term", r.term))
	}
}

// becomeCandidate enters a new term and votes for itself (Raft §5.2).
func (r *raft) becomeCandidate() {
	if r.role == StateLeader {
		panic("raft: leader becomes candidate")
	}
	r.enterTerm(r.term + 1)
	r.vote = r.id
	r.asleep = false
	r.role = StateCandidate
	r.openBallot()
	r.setLead(None)
	r.startTimer()
	if ce := r.logger.Check(zap.InfoLevel, "became candidate"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("term", r.term))
	}
}

// becomeLeader begins to lead the term that the candidate won, with an entry
// of its own, without which it may commit nothing (Raft §5.4.2).
func (r *raft) becomeLeader() error {
	if r.role != StateCandidate || !r.candidate.ownVoteDurable {
		panic(fmt.Sprintf("raft: %v becomes leader before its own vote is durable", r.role))
	}
	l := &leaderState{
		peers:   make([]progress.Progress, len(r.conf.ids)),
		scratch: r.scratch(nil),
		start:   r.log.last.index + 1,
		self:    r.conf.pos(r.id),
	}
	for i := range l.peers {
		l.peers[i] = r.newPeer(l)
		l.peers[i].Active = r.candidate.votes[i] == ballotGranted
	}
	r.candidate = nil
	r.leader = l
	r.role = StateLeader
	r.setLead(r.id)
	r.startTimer()
	if ce := r.logger.Check(zap.InfoLevel, "became leader"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("term", r.term), zap.Uint64("last", r.log.last.index))
	}
	r.updateSelf()
	return r.appendOne(pb.Entry{})
}

// enterTerm moves to term, if it is new: no vote yet, and what was promised in
// the old one and has not left is withdrawn.
func (r *raft) enterTerm(term uint64) {
	if term == r.term {
		return
	}
	r.term = term
	r.vote = None
	r.heardRound, r.roused = 0, 0
	r.withdrawPromises()
}

// setLead records the term's leader. Reads that another one was asked are lost.
func (r *raft) setLead(lead uint64) {
	if lead == r.lead {
		return
	}
	r.lead = lead
	r.asked.drop()
}
