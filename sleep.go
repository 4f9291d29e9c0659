package raft

import (
	"go.uber.org/zap"

	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// A group in which nothing happens can sleep: no ticks, no messages, no timers, until a
// message or a request wakes a member, and that one the others. A sleeping leader still
// leads its term, and nobody else can without waking a majority, by Raft's own rules. What
// sleep takes away is time: neither a lease nor a quorum check means anything asleep, and
// nothing that was answered before counts for them after.
//
// The leader's heartbeats ask for it, in rounds as always. It sleeps itself once every
// member, by its answer to a round of this attempt, holds the leader's whole log, knows that
// it is committed, and sleeps. One that wakes after it answered is not led: it calls, and
// wakes the leader.

// work notes that the leader has something to do, which ends an attempt to sleep.
func (l *leaderState) work() { l.busy, l.sleepFrom = l.ticks, 0 }

// maySleep reports whether nothing was asked of the leader for so long that the group
// may sleep, and nothing is under way.
func (r *raft) maySleep() bool {
	return r.cfg.SleepAfter > 0 && r.leader.ticks-r.leader.busy >= uint64(r.cfg.SleepAfter) && r.atRest()
}

// atRest reports whether the leader and all members have done all that there is to do.
func (r *raft) atRest() bool {
	l, log, last := r.leader, r.log, r.log.last.index
	switch {
	case !r.conf.isVoter(r.id): // requests for votes would not find it
		return false
	case log.applied != last: // and so committed in the term, and durable
		return false
	case r.conf.cfg.Joint(), r.conf.cfg.Target != nil, l.transfer.target != None, l.leaving != nil, len(l.reads.pending) > 0:
		return false
	}
	for i := range l.peers {
		p := &l.peers[i]
		if i == l.self {
			continue
		}
		if p.State != progress.Replicate || p.Match != last || r.plan(p) != progress.SendNothing || r.conf.features[i]&pb.FeatureSleep == 0 {
			return false
		}
	}
	return true
}

// asksToSleep reports whether the round of heartbeats that is being sent asks the
// members to sleep. The first such round begins an attempt.
func (r *raft) asksToSleep() bool {
	l := r.leader
	if !r.maySleep() {
		l.sleepFrom = 0
		return false
	}
	if l.sleepFrom == 0 {
		l.sleepFrom = l.round
		for i := range l.peers {
			l.peers[i].Asleep = false
		}
	}
	return true
}

// sleepAnswered notes whether the peer, by its answer to a round newer than all that it
// answered before, sleeps as this attempt asks it to.
func (r *raft) sleepAnswered(p *progress.Progress, m *pb.Message, round uint64) {
	from := r.leader.sleepFrom
	p.Asleep = m.Sleep && from != 0 && round >= from
	if p.Asleep {
		r.sleepIfAll()
	}
}

// sleepIfAll lets the leader sleep once all other members do.
func (r *raft) sleepIfAll() {
	l := r.leader
	if r.asleep || !r.maySleep() {
		return
	}
	for i := range l.peers {
		if i != l.self && !l.peers[i].Asleep {
			return
		}
	}
	l.beatDue, l.sendDue = false, false
	r.fallAsleep()
}

// sleepIfAsked does as a round of heartbeats says that is newer than all others: one that
// was held up on its way must not put to sleep who was woken since. A node whose log goes
// on, whose reads wait, that does not know its members yet, or that was roused, stays awake.
func (r *raft) sleepIfAsked(m *pb.Message) {
	_, unapplied := r.unappliedChange()
	if !m.Sleep {
		r.roused = 0 // the leader is awake
	}
	switch {
	case !m.Sleep, r.roused > 0, r.cfg.SleepAfter == 0, r.log.last != entryID{m.LogTerm, m.Index}, r.asked.count() > 0, unapplied:
		r.wake()
	case !r.asleep:
		r.fallAsleep()
	}
}

func (r *raft) fallAsleep() {
	r.asleep = true
	if ce := r.logger.Check(zap.DebugLevel, "sleeps"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("term", r.term), zap.Uint64("last", r.log.last.index))
	}
}

// release lets go of the memory that a node keeps so as not to allocate at work: of those that
// sleep there may be many.
func (rn *RawNode) release() {
	r, l := rn.raft, rn.raft.log
	r.spare = nil
	if r.out.empty() {
		r.out = nil
	}
	if l.writes.len() == 0 {
		l.writes = batchQueue{}
	}
	if len(l.entries) == 0 {
		l.restart(l.last.index)
		l.chunk = 0
	}
	if r.role == StateLeader {
		for i := range r.leader.peers {
			r.leader.peers[i].Window = progress.NewWindow(r.cfg.MaxInflightMsgs, r.cfg.MaxInflightBytes)
		}
	}
}

// wakes reports whether the sleeping node wakes because m came. What a stranger sends must
// not keep a group awake, nor what says nothing new, as late answers, nor what belongs to
// falling asleep. What is forwarded wakes where it is taken.
func (r *raft) wakes(m *pb.Message) bool {
	if m.Term < r.term || r.conf.pos(m.From) < 0 && m.From != r.lead {
		return false
	}
	switch m.Type {
	case pb.MsgHeartbeat, pb.MsgReadIndexResp:
		return false // sleepIfAsked decides; no read waits
	case pb.MsgHeartbeatResp:
		return r.role == StateLeader && r.saysAwake(m)
	case pb.MsgAppResp:
		return r.role == StateLeader && m.Reject
	}
	kind := kindOf(m.Type)
	return kind == kindRequest || kind == kindLead || kind == kindWord
}

// saysAwake reports whether a member answers the sleeping leader, by a round no older than that by which
// it said that it sleeps, that it is awake.
func (r *raft) saysAwake(m *pb.Message) bool {
	i, l := r.conf.pos(m.From), r.leader
	return i >= 0 && !m.Sleep && m.Round >= max(l.sleepFrom, l.peers[i].AckedRound) && m.Round <= l.round
}

// arrives wakes a sleeping node if m does. At a leader that wants to sleep a request for
// votes says that its sender is awake.
func (r *raft) arrives(m *pb.Message) {
	if r.asleep {
		switch {
		case !r.wakes(m):
		case isFromLeader(m.Type):
			r.wake()
		default:
			r.rouse()
		}
	} else if r.role == StateLeader && kindOf(m.Type) == kindRequest && r.conf.pos(m.From) >= 0 {
		r.leader.work()
	}
}

// strangersRead reports whether a read comes to a sleeping follower from who is no member: it is
// dropped, as the leader would.
func (r *raft) strangersRead(m *pb.Message) bool { return r.asleep && r.conf.pos(m.From) < 0 }

// wake ends sleep. A follower waits for its leader from now on. A leader calls the others;
// what it knows of them is of before, so its clock goes past any lease that this could
// stand for, and everybody has a whole election timeout to answer.
func (r *raft) wake() {
	if !r.asleep {
		return
	}
	r.asleep = false
	if ce := r.logger.Check(zap.DebugLevel, "wakes"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("term", r.term), zap.Uint64("last", r.log.last.index))
	}
	if r.role != StateLeader {
		r.startTimer()
		return
	}
	l := r.leader
	l.ticks += uint64(r.cfg.ElectionTick)
	l.round = l.followingRound() // which is sent to nobody
	l.woke, l.news = l.round, r.log.last.index+1
	l.sinceBeat, l.sinceQuorum = 0, 0
	for i := range l.peers {
		l.peers[i].Active, l.peers[i].Asleep = false, false
	}
	r.updateSelf()
	l.work()
	l.beatDue = true
}

// rouse wakes a node for another reason than a word of its leader. A follower tells its leader, who
// may be asleep too: it answers in one round trip if it lives, so that nobody has to campaign. Until
// then a round that was under way already must not put the follower to sleep, nor one that is awake: the
// leader may be gone.
func (r *raft) rouse() {
	slept := r.asleep
	r.wake()
	if r.role == StateLeader || r.cfg.SleepAfter == 0 {
		return
	}
	r.roused = r.cfg.ElectionTick
	if slept && r.callsLeader() {
		r.call(r.lead)
	}
}

// callsLeader reports whether this node, when its election timer has run out and it may
// not campaign, calls for the leader: that may be asleep and not know that this one is not.
func (r *raft) callsLeader() bool { return r.cfg.SleepAfter > 0 && r.conf.pos(r.id) >= 0 }

// callLeader calls the voters, one of whom may lead, as a candidate wakes them by asking for votes.
func (r *raft) callLeader() {
	if !r.callsLeader() {
		return
	}
	for i, id := range r.conf.ids {
		if id == r.id || r.conf.roles[i]&roleVoter == 0 {
			continue
		}
		r.call(id)
	}
}

// call asks for a read, which any leader answers and which changes nothing; no read waits for the
// answer.
func (r *raft) call(id uint64) {
	m := r.message(pb.MsgReadIndex, id)
	m.Term = 0
	m.Entries = []pb.Entry{{Data: r.asked.token(0)}}
}
