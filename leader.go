package raft

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// leaderState lives while the node leads, and dies with its leadership.
type leaderState struct {
	// peers[i] is what is known of member i of the configuration; self is the
	// leader's own place, or -1 where it is no member.
	peers []progress.Progress
	self  int
	// scratch has room for one value of each peer, where they are more than fewPeers.
	scratch []uint64

	// ahead is how many voters hold more than what is committed, if aheadKnown.
	ahead      int
	aheadKnown bool

	// start is the index of the first entry of the leader's term.
	start uint64
	// uncommitted is the payload, in bytes, of own entries not handed out yet
	// as committed.
	uncommitted uint64

	ticks         uint64 // since the election
	sinceBeat     int    // ticks since the last heartbeat
	sinceQuorum   int    // ticks since the last quorum check
	sinceProgress int    // ticks since an own write was acknowledged, while some wait

	// sendDue says that some peer may have something to be sent, beatDue that
	// a round of heartbeats is. Both are acted on when Ready is asked for, so
	// that whatever came before shares the messages.
	sendDue bool
	beatDue bool

	// round numbers the rounds of heartbeats: the tick it was sent in, and a
	// count within that tick. It only grows.
	round uint64
	// sessions counts the sessions given to peers.
	sessions uint64
	reads    readQueue
	// busy is the tick in which something was last asked of the leader. sleepFrom is the first
	// round that asked the members to sleep as they now do, or may; 0 if none did. woke is the
	// last round of before the leader woke up: no answer to it, and no acknowledgement of what is
	// before news, says what is since.
	busy      uint64
	sleepFrom uint64
	woke      uint64
	news      uint64
	// leaseOver is set by a TimeoutNow: from then on voters may elect another
	// at any time.
	leaseOver bool

	// handedOver is set by it too, for a leader that waits to resign.
	handedOver bool

	transfer transfer
	leaving  *leaving
	drive    drive
}

func (l *leaderState) committedInTerm(log *raftLog) bool { return log.committed >= l.start }

// newPeer returns what l, this node's state as leader, begins with for a peer.
func (r *raft) newPeer(l *leaderState) progress.Progress {
	l.sessions++
	return progress.Progress{
		Next:     r.log.last.index + 1,
		ProbeDue: true,
		Session:  l.sessions,
		Since:    l.round,
		Window:   progress.NewWindow(r.cfg.MaxInflightMsgs, r.cfg.MaxInflightBytes),
	}
}

// scratch returns s with room for the members.
func (r *raft) scratch(s []uint64) []uint64 {
	if len(r.conf.ids) <= fewPeers {
		return s
	}
	return slices.Grow(s[:0], len(r.conf.ids))
}

// updateSelf brings the leader's own entry in peers up to date: it counts
// itself like any other voter, by what is durable (dissertation §10.2.1).
func (r *raft) updateSelf() {
	l := r.leader
	if l.self < 0 {
		return
	}
	p := &l.peers[l.self]
	l.aheadKnown = false
	p.Match = r.log.durable
	p.Next = r.log.last.index + 1
	p.State = progress.Replicate
	p.Active = true
	p.AckedRound = l.round
	p.LeaseTicks = r.promisedTicks()
}

// leaderProp handles proposals that were forwarded.
func (r *raft) leaderProp(m *pb.Message) error { return r.tellRefused(m, r.propose(m.Entries)) }

// propose handles proposals, local or forwarded (Raft §5.3).
func (r *raft) propose(ents []pb.Entry) error {
	if err := r.checkProposal(ents); err != nil {
		return err
	}
	r.wake()
	if len(ents) == 1 {
		return r.appendOne(ents[0])
	}
	return r.appendOwn(slices.Clone(ents)) // the caller's array is not ours to number
}

// checkProposal says why ents cannot be proposed now.
func (r *raft) checkProposal(ents []pb.Entry) error {
	l := r.leader
	switch {
	case len(ents) == 0:
		return ErrEmptyProposal
	case l.transfer.target != None:
		return ErrTransferring
	case l.leaving != nil:
		return ErrLeaving
	case r.log.last.index+uint64(len(ents)) > maxIndex-reservedIndexes:
		return ErrIndexExhausted
	}
	size, changes := uint64(0), false
	for i := range ents {
		if ents[i].Type > pb.EntryConfChangeV2 || ents[i].Type < 0 {
			return corrupt("proposal of unknown entry type %d", ents[i].Type)
		}
		changes = changes || isConfEntry(ents[i].Type)
		size += uint64(len(ents[i].Data))
	}
	if size > 0 && l.uncommitted > 0 && size > r.cfg.MaxUncommittedSize-min(l.uncommitted, r.cfg.MaxUncommittedSize) {
		return ErrUncommittedFull
	}
	if !changes {
		return nil
	}
	return r.checkConfProposal(ents)
}

// appendOne appends an entry of the leader's own.
func (r *raft) appendOne(e pb.Entry) error {
	r.one[0] = e
	err := r.appendOwn(r.one[:])
	r.one[0].Data = nil
	return err
}

// appendOwn numbers entries and appends them, as the leader's own. The log may keep the
// array of ents, unless it is of one.
func (r *raft) appendOwn(ents []pb.Entry) error {
	next := r.log.last.index + 1
	for i := range ents {
		ents[i].Term, ents[i].Index = r.term, next+uint64(i)
		r.leader.uncommitted += uint64(len(ents[i].Data))
	}
	r.leader.sendDue = true
	r.leader.work()
	return r.appendLog(ents)
}

// handedOut takes entries that are handed out as committed off the leader's
// account of uncommitted bytes.
func (l *leaderState) handedOut(ents []pb.Entry) {
	for i := range ents {
		if ents[i].Index >= l.start {
			l.uncommitted -= uint64(len(ents[i].Data))
		}
	}
}

// maybeCommit advances the commit index to what a majority of each half holds
// durably, if that is of the leader's term: an entry of an earlier term may
// still be replaced however many hold it (Raft §5.4.2).
func (r *raft) maybeCommit() error {
	l := r.leader
	n := r.conf.held(l.peers, l.scratch, heldMatch)
	if n < l.start || n <= r.log.committed {
		return nil
	}
	first, before := !l.committedInTerm(r.log), r.log.committed
	r.log.commitTo(n)
	l.sendDue, l.aheadKnown = true, false
	if first && len(l.reads.pending) > 0 {
		r.readsMayStart()
	}
	if r.onAppend() && r.log.confIn(before, n) && r.conf.index <= n {
		return r.confCommitted()
	}
	if first {
		return r.maybeLeaveJoint()
	}
	return nil
}

// majorityAhead reports whether so many voters hold more than what is committed that it may be
// a majority of each half: only then is it worth while to find out what they hold. passed says
// that a peer just came to. Without it a leader of many would go through all of them at each answer.
func (r *raft) majorityAhead(passed bool) bool {
	l := r.leader
	if !l.aheadKnown {
		l.ahead, l.aheadKnown = 0, true
		for i := range l.peers {
			if r.conf.roles[i]&roleVoter != 0 && l.peers[i].Match > r.log.committed {
				l.ahead++
			}
		}
	} else if passed {
		l.ahead++
	}
	return l.ahead > len(r.conf.cfg.Voters[0])/2
}

// leaderAppendResp handles an answer to an append or a snapshot (Raft figure 2).
func (r *raft) leaderAppendResp(m *pb.Message, from int) error {
	l := r.leader
	p := &l.peers[from]
	p.Active = p.Active || m.Index >= l.news
	if p.AckedRound == 0 {
		p.LeaseTicks = m.LeaseTicks // later, only with the heartbeat it is for
	}
	if m.Reject {
		return r.leaderAppendRejected(m, p)
	}
	before, first := p.Match, uint64(0)
	if p.State == progress.Snapshot {
		var err error
		if first, err = r.log.firstIndex(); err != nil {
			return err
		}
	} else if m.Index < p.Match {
		return nil // an old answer
	}
	advanced := p.Acked(m.Index, first)
	l.sendDue = true
	if !advanced {
		return nil
	}
	r.maybeTimeoutNow(m.From)
	if l.leaving != nil {
		if r.checkLeaving() {
			return nil
		}
		l.beatDue = true // tell it of the commit at once
	}
	// Only a peer that crosses the commit index can move it.
	if m.Index > r.log.committed && r.majorityAhead(before <= r.log.committed) {
		return r.maybeCommit()
	}
	return nil
}

func (r *raft) leaderAppendRejected(m *pb.Message, p *progress.Progress) error {
	hint := min(m.RejectHint, m.Index)
	if m.LogTerm > 0 {
		// Skip all own terms that the peer cannot have (Raft §5.3).
		var err error
		if hint, _, err = r.log.agreement(hint, m.LogTerm); err != nil {
			return err
		}
	}
	if p.Rejected(m.Index, hint) {
		r.leader.sendDue = true
	}
	return nil
}

// leaderHeartbeatResp handles the answer to a heartbeat: the peer lives, still
// takes this node for its leader, and may need what got lost.
func (r *raft) leaderHeartbeatResp(m *pb.Message, from int) error {
	l := r.leader
	round := m.Round
	if round == 0 {
		round = roundOfContext(m.Context, r.term)
	}
	if round > l.round {
		return corrupt("answer of %d to heartbeat round %d, latest is %d", m.From, round, l.round)
	}
	r.conf.features[from] = m.Features
	p := &l.peers[from]
	p.EchoesRound = m.Round != 0 // it may restart as one that does not
	p.Active = p.Active || round > l.woke || l.woke == 0
	p.Answered(r.log.last.index)
	l.sendDue = true
	if round > p.AckedRound {
		p.AckedRound = round
		// The promise belongs to the heartbeat: an older answer, of before a
		// restart perhaps, does not renew it.
		p.LeaseTicks = m.LeaseTicks
		r.releaseReads()
		if !r.checkLeaving() {
			r.sleepAnswered(p, m, round)
		}
	}
	return nil
}

// leaderTick advances the leader's clocks.
func (r *raft) leaderTick() error {
	l := r.leader
	l.ticks++
	l.sinceBeat++
	l.sinceQuorum++
	if l.sinceBeat >= r.cfg.HeartbeatTick {
		l.sinceBeat = 0
		l.beatDue = true
		if r.log.overfull() {
			r.log.rest(r.log.last.index)
		}
	}
	r.tickSnapshots()
	r.tickTransfer()
	if l.leaving != nil && r.tickLeaving() {
		return nil
	}
	if r.tickDisk() {
		return nil
	}
	if l.sinceQuorum >= r.cfg.ElectionTick {
		l.sinceQuorum = 0
		if !r.cfg.DisableCheckQuorum && !r.quorumActive() {
			r.resign(StepDownQuorumLost)
			return nil
		}
	}
	if r.alone() {
		r.sleepIfAll()
	}
	if r.drives() {
		return r.driveTarget(true)
	}
	return nil
}

// tickSnapshots gives up on snapshots that were not reported in time, and asks
// once in an election timeout whether they arrived: without a report, and with
// the acknowledgement lost, the peer would be left waiting. Whether it was heard
// from since the last quorum check does not matter: its answers may always come
// between that check and the question, which costs little.
func (r *raft) tickSnapshots() {
	l := r.leader
	for i := range l.peers {
		p := &l.peers[i]
		if p.State != progress.Snapshot {
			continue
		}
		p.SnapshotTicks++
		if p.SnapshotTicks >= r.cfg.SnapshotTicks {
			r.logger.Warn("snapshot not reported in time; probing the peer again",
				zap.Uint64("id", r.id), zap.Uint64("peer", r.conf.ids[i]), zap.Uint64("snapshot", p.PendingSnapshot))
			p.SnapshotDone(false)
			p.Waiting = false
			p.ProbeDue = true
			l.sendDue = true
		} else if p.SnapshotTicks%r.cfg.ElectionTick == 0 {
			p.AskForSnapshot()
			l.sendDue = true
		}
	}
}

// quorumActive reports whether a majority of each half was heard from since it
// was last asked (dissertation §6.2).
func (r *raft) quorumActive() bool {
	l := r.leader
	active := r.conf.held(l.peers, l.scratch, heldActive)
	for i := range l.peers {
		l.peers[i].Active = i == l.self
	}
	return active > 0
}

// tickDisk resigns when own writes stay unacknowledged for an election timeout:
// others could go on while this node's disk stands still. It reports whether
// the node resigned.
func (r *raft) tickDisk() bool {
	l := r.leader
	if r.log.durable == r.log.last.index {
		l.sinceProgress = 0
		return false
	}
	l.sinceProgress++
	if r.cfg.DisableStallCheck || l.sinceProgress < r.cfg.ElectionTick || r.conf.soleVoter(r.id) {
		return false
	}
	if l.sinceProgress == r.cfg.ElectionTick {
		// The best successor gets what it lacks, and no more is accepted
		// meanwhile; it has another election timeout.
		l.handedOver = false
		if id, _ := r.mostAdvanced(); id != None {
			l.transfer = transfer{}
			_ = r.startTransfer(id) // a voter, and not this node
		}
	}
	if l.transfer.target != None && !l.handedOver && l.sinceProgress < 2*r.cfg.ElectionTick {
		return false
	}
	r.stalled = true
	r.resign(StepDownDiskStalled)
	return true
}

// resign gives up leadership within the term.
func (r *raft) resign(why StepDownReason) {
	r.stepDown = why
	r.logger.Warn("leader steps down", zap.Uint64("id", r.id), zap.Uint64("term", r.term), zap.Stringer("why", why))
	r.becomeFollower(r.term, None)
}

// unreachable and snapshotReport are the host's reports on its transport.
func (r *raft) unreachable(id uint64) error {
	p, err := r.peerForReport(id)
	if p == nil {
		return err
	}
	r.wake() // if it sleeps, it did not ask for an answer since; one may be wanted now
	p.Unreachable()
	r.leader.sendDue = true
	return nil
}

func (r *raft) snapshotReport(id uint64, ok bool) error {
	p, err := r.peerForReport(id)
	if p == nil {
		return err
	}
	p.SnapshotDone(ok)
	r.leader.sendDue = true
	return nil
}

// peerForReport returns nil without an error where reports mean nothing.
func (r *raft) peerForReport(id uint64) (*progress.Progress, error) {
	i := r.conf.pos(id)
	if i < 0 || id == r.id {
		return nil, fmt.Errorf("%w: %d", ErrUnknownPeer, id)
	}
	if r.role != StateLeader {
		return nil, nil
	}
	return &r.leader.peers[i], nil
}
