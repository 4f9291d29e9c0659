package raft

import (
	"go.uber.org/zap"

	"github.com/quorate-raft/raft/progress"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// transfer is a hand-over of leadership under way (dissertation §3.10). It ends
// with leadership, after an election timeout, or when it is aborted.
type transfer struct {
	target uint64 // None if there is none
	ticks  int
}

// transferLeader moves leadership to target, or asks the leader to.
func (r *raft) transferLeader(target uint64) error {
	if r.role != StateLeader {
		if r.lead == None {
			return ErrNoLeader
		}
		r.rouse()
		m := r.message(pb.MsgTransferLeader, r.lead)
		m.Term = 0
		m.From = target
		return nil
	}
	return r.startTransfer(target)
}

// leaderTransferLeader handles a forwarded request; its sender is the target.
func (r *raft) leaderTransferLeader(m *pb.Message) error { return r.startTransfer(m.From) }

func (r *raft) startTransfer(target uint64) error {
	i := r.conf.pos(target)
	switch {
	case target == None || i < 0:
		return &TransferError{target, "it is not a member"}
	case target == r.id:
		return &TransferError{target, "it leads already"}
	case r.conf.roles[i]&roleVoter == 0:
		return &TransferError{target, "it is a learner"}
	}
	r.wake()
	t := &r.leader.transfer
	if t.target == target {
		return nil
	}
	*t = transfer{target: target}
	r.leader.work()
	r.logger.Info("transferring leadership", zap.Uint64("id", r.id), zap.Uint64("term", r.term), zap.Uint64("target", target))
	p := &r.leader.peers[i]
	if p.Match != r.log.last.index && p.State != progress.Snapshot {
		p.ProbeDue = true
		r.leader.sendDue = true
	}
	r.maybeTimeoutNow(target)
	return nil
}

// maybeTimeoutNow tells the transfer's target to campaign once its log is as
// long as the leader's.
func (r *raft) maybeTimeoutNow(id uint64) {
	l := r.leader
	if l.transfer.target != id || id == None {
		return
	}
	if l.peers[r.conf.pos(id)].Match == r.log.last.index {
		r.sendTimeoutNow(id)
	}
}

func (r *raft) sendTimeoutNow(id uint64) {
	// From here on voters may elect another without waiting.
	r.leader.leaseOver = true
	r.leader.handedOver = true
	r.message(pb.MsgTimeoutNow, id)
}

// tickTransfer ends a transfer that took an election timeout: the target may
// never answer, and proposals are refused meanwhile.
func (r *raft) tickTransfer() {
	t := &r.leader.transfer
	if t.target == None {
		return
	}
	t.ticks++
	if t.ticks >= r.cfg.ElectionTick {
		r.abortTransfer("it took an election timeout")
	}
}

func (r *raft) abortTransfer(why string) {
	r.logger.Info("leadership transfer aborted", zap.Uint64("id", r.id), zap.Uint64("target", r.leader.transfer.target), zap.String("why", why))
	r.leader.transfer = transfer{}
}

// leaving is the end of a leader that was removed or demoted: before it goes it
// makes sure that a majority of the remaining voters know that the change is
// committed, else they might have to elect with a member that considers itself
// removed (dissertation §4.2.2).
type leaving struct {
	index uint64 // the change's entry
	ticks int
	// toldIn[i] is the first round of heartbeats that told member i of a
	// commit at or past index, 0 before.
	toldIn []uint64
}

func (l *leaving) told(i int, commit, round uint64) {
	if l.toldIn[i] == 0 && commit >= l.index {
		l.toldIn[i] = round
	}
}

// knows reports whether member i, which answered round, was told.
func (l *leaving) knows(i int, round uint64) bool { return l.toldIn[i] != 0 && round >= l.toldIn[i] }

func (r *raft) startLeaving() {
	l := r.leader
	ticks := 0
	if l.leaving != nil {
		ticks = l.leaving.ticks
	}
	l.leaving = &leaving{index: r.conf.index, ticks: ticks, toldIn: make([]uint64, len(r.conf.ids))}
	l.beatDue = true
	if l.transfer.target != None {
		r.abortTransfer("the leader was removed")
	}
	r.logger.Info("leader was removed or demoted; handing over", zap.Uint64("id", r.id), zap.Uint64("index", r.conf.index))
}

// checkLeaving hands over and steps down once a majority of the remaining
// voters has answered a heartbeat that told it of the commit and one of them
// can take over. It reports whether the node stepped down.
func (r *raft) checkLeaving() bool {
	l := r.leader
	if l.leaving == nil || r.successor() == None {
		return false
	}
	votes := make([]ballot, len(r.conf.ids))
	for i := range votes {
		if l.leaving.knows(i, l.peers[i].AckedRound) {
			votes[i] = ballotGranted
		}
	}
	if r.conf.tally(votes) != quorum.VoteWon {
		return false
	}
	r.handOver()
	r.resign(StepDownRemoved)
	return true
}

// tickLeaving goes after an election timeout in any case. It reports whether
// the node stepped down.
func (r *raft) tickLeaving() bool {
	r.leader.leaving.ticks++
	if r.leader.leaving.ticks < r.cfg.ElectionTick {
		return false
	}
	r.handOver() // better than nothing
	r.resign(StepDownRemovedNoHandover)
	return true
}

// handOver tells a voter that can take over to campaign at once, if there is
// one. It reports whether there was.
func (r *raft) handOver() bool {
	id := r.successor()
	if id == None {
		return false
	}
	r.sendTimeoutNow(id)
	return true
}

// successor returns the voter that can take over: one that was lately heard
// from and holds the whole log, if possible one that knows of the commit that
// removes the leader.
func (r *raft) successor() uint64 {
	id, match := r.mostAdvanced()
	if match != r.log.last.index {
		return None
	}
	return id
}

// mostAdvanced returns the voter that was lately heard from and holds most of
// the log, and how much it holds; None if there is nobody.
func (r *raft) mostAdvanced() (best, match uint64) {
	l := r.leader
	bestKnows := false
	for i, id := range r.conf.ids {
		p := &l.peers[i]
		if id == r.id || r.conf.roles[i]&roleIncoming == 0 || !p.Active {
			continue
		}
		knows := l.leaving != nil && l.leaving.knows(i, p.AckedRound)
		if best == None || p.Match > match || (p.Match == match && knows && !bestKnows) {
			best, match, bestKnows = id, p.Match, knows
		}
	}
	return best, match
}
