package replica

import (
	"time"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// run is the loop: it alone touches the node. It ends when the replica stops.
func (r *Replica) run() {
	defer func() {
		close(r.writes)
		// The node takes nothing more, so it is known what never happened. Nobody
		// waits for a state machine that is at something long.
		r.pending.stop(r.stopError())
		r.lead.Store(raft.None)
		r.leads.Store(false)
	}()
	ticker := time.NewTicker(r.cfg.TickInterval)
	defer ticker.Stop()
	var w work
	for {
		select {
		case <-r.in.wake:
		case <-ticker.C:
		case <-r.stopping:
			return
		}
		r.in.take(&w)
		ticked := r.tickDue()
		r.handle(&w)
		urgent := ticked || len(w.messages) > 0 || len(w.reads) > 0
		w.reset()
		r.drain(urgent)
		if err := r.node.Err(); err != nil {
			r.stop(err)
		}
		r.stopIfRemoved()
	}
}

// tickDue delivers the ticks that are due by the monotonic clock. One that does
// not lead and was asleep for long gets only some: what its leader said meanwhile
// may still be in the inbox. A leader gets all, since its lease depends on it.
func (r *Replica) tickDue() bool {
	if r.cfg.hooks.manualTicks {
		return false
	}
	due := uint64(time.Since(r.began) / r.cfg.TickInterval)
	if due <= r.clock {
		return false
	}
	n := due - r.clock
	r.clock = due
	some := max(1, uint64(r.electionTick)/2)
	for i := range n {
		if i >= some && !r.isLeader() {
			break
		}
		r.tick()
	}
	return true
}

// isLeader asks the node: r.soft is what it was at the last Ready.
func (r *Replica) isLeader() bool { return r.node.BasicStatus().RaftState == raft.StateLeader }

// forwardTimeouts is for how many election timeouts a proposal that was passed on to
// the leader is waited for.
const forwardTimeouts = 10

func (r *Replica) tick() {
	r.ticks++
	r.node.Tick()
	if r.ticks > uint64(r.electionTick) {
		r.reaskReads(r.ticks - uint64(r.electionTick))
	}
	r.dropReads()
	if r.ticks%uint64(r.electionTick) == 0 {
		r.snapshots.expireViews()
		if wait := forwardTimeouts * uint64(r.electionTick); r.ticks > wait {
			r.pending.expire(r.ticks - wait)
		}
	}
	r.checkTransfers()
}

// handle gives the node what came in.
func (r *Replica) handle(w *work) {
	if w.hasAck {
		r.unacked -= int(r.takeAcked(w.acked))
		r.note(r.node.AckAppend(w.acked))
	}
	if w.applied > 0 {
		r.note(r.node.AckApply(w.applied))
	}
	for i := range w.messages {
		m := &w.messages[i]
		if err := r.node.Step(*m); err != nil {
			r.refusedMessage(m, err)
		}
	}
	for _, call := range w.calls {
		call()
	}
	if len(w.proposals) > 0 {
		r.waitingProposals = append(r.waitingProposals, w.proposals...)
	}
	r.propose()
	for _, rd := range w.reads {
		if !rd.lease || !r.serveByLease(rd) {
			r.readBook.waiting = append(r.readBook.waiting, rd)
		}
	}
	r.askReads()
}

// note logs an error of the node that only a fault of this package, or of the
// storage, can bring about.
func (r *Replica) note(err error) {
	if err != nil && r.node.Err() == nil {
		r.log.Error("the node refuses an acknowledgement", zap.Error(err))
	}
}

func (r *Replica) refusedMessage(m *pb.Message, err error) {
	if ce := r.log.Check(zap.DebugLevel, "message refused"); ce != nil {
		ce.Write(zap.Uint64("from", m.From), zap.Stringer("type", m.Type), zap.Error(err))
	}
}

// propose hands the proposals that wait to the node, until there is no leader.
func (r *Replica) propose() {
	for len(r.waitingProposals) > 0 {
		p := r.waitingProposals[0]
		if !r.pending.hand(p, r.ticks, r.proposeOne) {
			r.waitingProposals = r.pending.prune(r.waitingProposals)
			return
		}
		r.waitingProposals[0] = nil
		r.waitingProposals = r.waitingProposals[1:]
	}
	r.waitingProposals = nil
}

// proposeOne lets the node take p. The index is that of its entry, 0 if it was passed
// on.
func (r *Replica) proposeOne(p *proposal) (index, term uint64, err error) {
	if now := r.node.BasicStatus(); p.onlyIn != 0 && (now.RaftState != raft.StateLeader || now.Term != p.onlyIn) {
		return 0, 0, raft.ErrNotLeader
	}
	if p.conf != nil {
		err = r.node.ProposeConfChange(*p.conf)
	} else {
		err = r.node.Propose(p.data)
	}
	st := r.node.BasicStatus()
	if st.RaftState == raft.StateLeader {
		index = st.LastIndex
	}
	return index, st.Term, err
}

// serveByLease serves a read under the leader's lease, if there is one. All ticks
// that are due were delivered; if that was long ago by now the lease may be over.
func (r *Replica) serveByLease(rd *read) bool {
	before := time.Now()
	r.tickDue()
	index, err := r.node.LeaseRead()
	if err != nil || time.Since(before) > r.cfg.TickInterval/2 {
		return false
	}
	r.apply.put(applyWork{readIndex: index, reads: []*read{rd}})
	return true
}

// drain takes Readys and starts what they ask for. While two are being written and
// nothing is urgent, more work gathers for the next one instead.
func (r *Replica) drain(urgent bool) {
	for r.node.HasReady() && r.unacked < r.cfg.hooks.overlaps && (urgent || r.unacked < 2) {
		rd := r.node.Ready()
		if r.node.Err() != nil {
			return
		}
		if rd.AppendToken() == (raft.AppendToken{}) {
			return // nothing came of it
		}
		r.start(rd)
	}
}

// start starts what a Ready asks for.
func (r *Replica) start(rd raft.Ready) {
	if rd.ActiveConf != nil {
		r.confChanged() // before a new member is written to
	}
	r.send(rd.Messages)
	if len(rd.Refusals) > 0 {
		r.pending.refused(rd.Refusals, r.atMostOnce) // before a new term makes them ambiguous
	}
	if rd.SoftState != nil {
		r.softChanged(*rd.SoftState)
	}
	if len(rd.Removed) > 0 {
		r.told(rd.Removed)
	}
	if rd.HardState.Term > r.term {
		r.term = rd.HardState.Term
		r.pending.newTerm(r.term)
	}
	if len(rd.ReadStates) > 0 {
		r.readStates(rd.ReadStates)
	}
	if len(rd.CommittedEntries) > 0 {
		r.apply.put(applyWork{entries: rd.CommittedEntries})
	}
	if r.unacked == 0 && !writes(&rd) {
		// Nothing is being written that it could overtake.
		r.transport.Send(rd.MessagesAfterAppend)
		r.note(r.node.AckAppend(rd.AppendToken()))
		return
	}
	r.unacked++
	r.handedOut = append(r.handedOut, rd.AppendToken())
	r.writes <- rd
}

// writes reports whether a Ready asks to persist anything.
func writes(rd *raft.Ready) bool {
	return len(rd.Entries) > 0 || !raft.IsEmptyHardState(rd.HardState) || !raft.IsEmptySnap(rd.Snapshot)
}

// takeAcked returns how many Readys the token covers.
func (r *Replica) takeAcked(token raft.AppendToken) int {
	for i, t := range r.handedOut {
		if t == token {
			r.handedOut = append(r.handedOut[:0], r.handedOut[i+1:]...)
			return i + 1
		}
	}
	return 0
}

// send puts messages on their way; snapshots go a way of their own.
func (r *Replica) send(ms []pb.Message) {
	from := 0
	for i := range ms {
		if ms[i].Type != pb.MsgSnap {
			continue
		}
		r.transport.Send(ms[from:i])
		from = i + 1
		r.snapshots.send(ms[i])
	}
	if from < len(ms) {
		r.transport.Send(ms[from:])
	}
}

// softChanged is called when the leader or this node's role changes.
func (r *Replica) softChanged(soft raft.SoftState) {
	was := r.soft
	r.soft = soft
	if was.RaftState == raft.StateLeader && soft.RaftState != raft.StateLeader {
		r.snapshots.cancelSends()
	}
	r.lead.Store(soft.Lead)
	r.leads.Store(soft.RaftState == raft.StateLeader)
	if soft.Lead != was.Lead {
		r.reaskReads(r.ticks + 1)
		r.propose()
	}
	r.publish(Event{Kind: LeaderChanged, Leader: soft.Lead, Role: soft.RaftState, Term: r.node.BasicStatus().Term})
	r.checkTransfers()
}
