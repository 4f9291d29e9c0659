package replica

import (
	"runtime"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// maxLazy bounds the Readys that wait for a write.
const maxLazy = 64

// turn is one turn of the loop, which alone touches the node.
func (r *Replica) turn() {
	r.gather()
	w := &r.taken
	late := r.in.takeWork(w)
	before := r.ticks
	r.tickDue()
	r.handle(w)
	ticked := r.ticks > before // also by a read under the lease
	urgent := ticked || len(w.reads) > 0 || w.hasAck || slices.ContainsFunc(w.messages, urgent) ||
		(len(w.proposals) > 0 && !r.isLeader()) // to be passed on
	w.reset()
	r.drain(urgent)
	if ticked || len(r.lazy) >= maxLazy {
		r.writeLazy()
	}
	r.tellCommits(ticked || late)
	if err := r.node.Err(); err != nil {
		r.stop(err)
	}
	r.stopIfRemoved()
}

// gather lets those run who are about to propose, before the leader begins to write: many were
// told at the same time that their last proposal is applied, and a write that begins with the
// first of them keeps the others waiting.
func (r *Replica) gather() {
	if r.unacked > 0 {
		return
	}
	n := r.in.proposals()
	for i := 0; i < maxGather && (n > 0 || len(r.commits) > 0); i++ {
		runtime.Gosched()
		was := n
		if n = r.in.proposals(); n == was {
			return
		}
	}
}

// maxGather bounds how often the loop lets others go first.
const maxGather = 8

// urgent reports whether what comes of a message cannot wait until the disk is free. Entries
// would wait for it anyway.
func urgent(m pb.Message) bool {
	return m.Type != pb.MsgProp && (m.Type != pb.MsgApp || len(m.Entries) == 0)
}

// ended is the end of the loop.
func (r *Replica) ended() {
	// The node takes nothing more, so it is known what never happened. Nobody
	// waits for a state machine that is at something long.
	r.pending.stop(r.stopError())
	r.lead.Store(raft.None)
	r.leads.Store(false)
}

// tickDue delivers the ticks that are due by the monotonic clock. One that does
// not lead and was asleep for long gets only some: what its leader said meanwhile
// may still be in the inbox. A leader gets all, since its lease depends on it.
func (r *Replica) tickDue() {
	if r.cfg.hooks.manualTicks {
		return
	}
	due := uint64(time.Since(r.began) / r.cfg.TickInterval)
	if due <= r.clock {
		return
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
		r.saved(w.acked)
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

// propose hands the proposals that wait to the node, until there is no leader. While a leader
// writes they gather instead: each write has its price, and so has each message.
func (r *Replica) propose() {
	if r.unacked > 0 && r.isLeader() {
		r.waitingProposals = r.pending.prune(r.waitingProposals)
		return
	}
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
	r.in.toApply(applyWork{readIndex: index, reads: []*read{rd}})
	return true
}

// drain takes Readys and starts what they ask for. While something is being written and
// nothing is urgent, more work gathers for the next one instead.
func (r *Replica) drain(urgent bool) {
	for r.node.HasReady() && r.unacked < r.cfg.hooks.overlaps && (urgent || r.unacked == 0) {
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
		r.in.toApply(applyWork{entries: rd.CommittedEntries})
	}
	r.keep(rd)
}

// handed is a Ready that was handed out and is not acknowledged yet.
type handed struct {
	token raft.AppendToken
	// writes says that it is being written. Else it has nothing to write, and its promises wait
	// for the write before it.
	writes   bool
	promises []pb.Message
}

// keep has a Ready written, if it asks for that. One that may be lost, as it holds no more than a
// commit index, waits for the next write, and for a tick at most: then it costs nothing.
func (r *Replica) keep(rd raft.Ready) {
	writes := len(rd.Entries) > 0 || !raft.IsEmptyHardState(rd.HardState) || !raft.IsEmptySnap(rd.Snapshot)
	h := handed{token: rd.AppendToken(), writes: writes}
	if !writes {
		h.promises = rd.MessagesAfterAppend
	}
	r.handedOut = append(r.handedOut, h)
	lazy := len(rd.MessagesAfterAppend) == 0 && (!writes || !rd.MustSync)
	if writes {
		r.lazy = append(r.lazy, rd)
	}
	if !lazy {
		r.writeLazy()
	}
	if !writes {
		r.acknowledge()
	}
}

// writeLazy has written what waits for a write.
func (r *Replica) writeLazy() {
	if len(r.lazy) == 0 {
		return
	}
	r.unacked += len(r.lazy)
	r.in.write(r.lazy)
	r.lazy = emptied(r.lazy)
}

// saved records that the Readys up to that of a token are written.
func (r *Replica) saved(token raft.AppendToken) {
	for i := range r.handedOut {
		h := &r.handedOut[i]
		if h.writes {
			h.writes = false
			r.unacked--
		}
		if h.token == token {
			break
		}
	}
	r.acknowledge()
}

// acknowledge tells the node what is done, up to the first Ready that is being written. What
// rests on those that had nothing to write is sent now: it may rest on what was written before.
func (r *Replica) acknowledge() {
	n := 0
	for n < len(r.handedOut) && !r.handedOut[n].writes {
		if ms := r.handedOut[n].promises; len(ms) > 0 {
			r.transport.Send(ms)
		}
		n++
	}
	if n == 0 {
		return
	}
	last := r.handedOut[n-1].token
	r.handedOut = slices.Delete(r.handedOut, 0, n)
	r.note(r.node.AckAppend(last))
}

// send puts messages on their way; snapshots go a way of their own, and what tells of a commit
// alone waits a moment.
func (r *Replica) send(ms []pb.Message) {
	from := 0
	for i := range ms {
		m := &ms[i]
		switch {
		case m.Type == pb.MsgSnap:
			r.transport.Send(ms[from:i])
			from = i + 1
			r.snapshots.send(*m)
		case m.Type != pb.MsgApp:
		case r.holdCommit(m):
			r.transport.Send(ms[from:i])
			from = i + 1
		}
	}
	if from < len(ms) {
		r.transport.Send(ms[from:])
	}
}

// holdCommit reports whether an append tells of nothing but a commit and asks for no answer.
// Then it is held until those who were told of the commit had the time to propose: mostly there is
// another append to the peer soon, which tells of the commit too.
func (r *Replica) holdCommit(m *pb.Message) bool {
	at := slices.IndexFunc(r.commits, func(c pb.Message) bool { return c.To == m.To })
	hold := len(m.Entries) == 0 && m.NoAnswer
	switch {
	case hold && at >= 0:
		r.commits[at] = *m
	case hold:
		r.commits = append(r.commits, *m)
	case at >= 0 && m.Commit >= r.commits[at].Commit:
		r.commits = slices.Delete(r.commits, at, at+1)
	}
	return hold
}

// maxHeld is for how many turns of the loop a commit is held: there may always be something to do.
const maxHeld = 4

// tellCommits sends what is held of commits, now or when the loop has nothing else to do.
func (r *Replica) tellCommits(now bool) {
	if len(r.commits) == 0 {
		r.held = 0
		return
	}
	if r.held++; now || r.held >= maxHeld {
		r.transport.Send(r.commits)
		r.commits, r.held = emptied(r.commits), 0
		return
	}
	r.in.later()
}

// emptied drops what s refers to and keeps its memory.
func emptied[T any](s []T) []T {
	clear(s)
	return s[:0]
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
