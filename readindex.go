package raft

import (
	"encoding/binary"

	pb "github.com/quorate-raft/raft/raftpb"
)

// ReadState answers one ReadIndex: the read may be served once the host has
// applied up to Index (dissertation §6.4).
type ReadState struct {
	Index uint64
	// RequestCtx is what was given to ReadIndex.
	RequestCtx []byte
}

// pendingRead waits at the leader.
type pendingRead struct {
	// from is the member that forwarded it, None for a read of this node.
	from uint64
	// round must be answered by a quorum; 0 until heartbeats were sent after
	// the read was asked.
	round uint64
	index uint64
	ctx   []byte
}

// readQueue holds a leader's pending reads in the order they were asked: those
// of earlier rounds first, at the end those that no round was sent for yet.
type readQueue struct {
	pending []pendingRead
	started int // how many of them have a round
}

// readIndex asks for an index to read at. Any number of reads until the next
// Ready share a round of heartbeats.
func (r *raft) readIndex(ctx []byte) error {
	switch {
	case r.role == StateLeader:
		return r.leaderRead(None, ctx)
	case r.lead == None:
		return ErrNoLeader
	case r.asked.count() >= r.cfg.MaxPendingReads:
		return ErrTooManyReads
	}
	r.rouse()
	r.asked.queued = append(r.asked.queued, ctx)
	return nil
}

// leaderReadIndex handles a read that another member forwarded.
func (r *raft) leaderReadIndex(m *pb.Message) error {
	if len(m.Entries) != 1 {
		return corrupt("read request with %d entries", len(m.Entries))
	}
	if m.From == r.id || r.cfg.SleepAfter > 0 && r.conf.pos(m.From) < 0 {
		// Asked when another led, and forgotten since; or by a stranger, who may call for ever
		// and must not keep a group awake: lost, as on its way.
		return nil
	}
	return r.leaderRead(m.From, m.Entries[0].Data)
}

func (r *raft) leaderRead(from uint64, ctx []byte) error {
	r.wake() // it is not refused: of those who sleep no read is pending
	l := r.leader
	l.work()
	if l.committedInTerm(r.log) && (r.conf.soleVoter(r.id) || (r.cfg.ReadOnlyOption == ReadOnlyLeaseBased && r.leaseReason() == reasonNone)) {
		r.answerRead(pendingRead{from: from, index: r.log.committed, ctx: ctx})
		return nil
	}
	if len(l.reads.pending) >= r.cfg.MaxPendingReads {
		return ErrTooManyReads
	}
	l.reads.pending = append(l.reads.pending, pendingRead{from: from, ctx: ctx})
	// Before an entry of its own term is committed a leader does not know
	// what is (dissertation §6.4, step 1).
	if l.committedInTerm(r.log) {
		l.beatDue = true
	}
	return nil
}

// readsMayStart is called when the leader has committed in its own term.
func (r *raft) readsMayStart() {
	if r.conf.soleVoter(r.id) {
		r.startReads()
		r.leader.peers[r.leader.self].AckedRound = r.leader.round
		r.releaseReads()
		return
	}
	r.leader.beatDue = true
}

// readsToStart reports whether reads wait for a round to be sent.
func (r *raft) readsToStart() bool {
	l := r.leader
	return l.reads.started < len(l.reads.pending) && l.committedInTerm(r.log)
}

// startReads binds the waiting reads to the round that is being sent.
func (r *raft) startReads() {
	if !r.readsToStart() {
		return
	}
	l := r.leader
	for i := l.reads.started; i < len(l.reads.pending); i++ {
		l.reads.pending[i].round = l.round
		l.reads.pending[i].index = r.log.committed
	}
	l.reads.started = len(l.reads.pending)
}

// releaseReads answers the reads whose round a majority of each half has
// answered: the leader still led after they were asked.
func (r *raft) releaseReads() {
	l := r.leader
	if l.reads.started == 0 {
		return
	}
	confirmed := r.confirmedRound()
	n := 0
	for n < l.reads.started && l.reads.pending[n].round <= confirmed {
		r.answerRead(l.reads.pending[n])
		n++
	}
	if n == 0 {
		return
	}
	rest := copy(l.reads.pending, l.reads.pending[n:])
	clear(l.reads.pending[rest:])
	l.reads.pending = l.reads.pending[:rest]
	l.reads.started -= n
}

func (r *raft) confirmedRound() uint64 {
	l := r.leader
	return r.conf.held(l.peers, l.scratch, heldRound)
}

func (r *raft) answerRead(read pendingRead) {
	if read.from == None {
		b := r.collecting()
		b.reads = append(b.reads, ReadState{Index: read.index, RequestCtx: read.ctx})
		return
	}
	m := r.message(pb.MsgReadIndexResp, read.from)
	m.Index = read.index
	m.Entries = []pb.Entry{{Data: read.ctx}}
}

// leaseRead returns the index to read at under a lease.
func (r *raft) leaseRead() (uint64, error) {
	if r.role != StateLeader {
		return 0, ErrNotLeader
	}
	r.wake()
	r.leader.work()
	if r.leaseReason() != reasonNone {
		return 0, ErrNoLease
	}
	return r.log.committed, nil
}

// leaseReason says why the leader has no lease, or reasonNone.
//
// The lease runs from the tick in which the heartbeats that a quorum answered
// were sent: every voter in it refuses votes for its promised ticks after they
// arrived, and any election needs one of them. Whole ticks and drifting clocks
// are taken off (dissertation §6.4.1).
func (r *raft) leaseReason() Reason {
	l := r.leader
	switch {
	case !r.leasesOn():
		return ReasonLeasesOff
	case r.asleep:
		return ReasonAsleep
	case !l.committedInTerm(r.log):
		return ReasonNoCommitInTerm
	case r.conf.soleVoter(r.id):
		return reasonNone
	case l.leaseOver:
		return ReasonLeaseOver
	}
	left := r.leaseTicks()
	switch {
	case left == leaseUnpromised:
		return ReasonLeaseNotPromised
	case left <= 0:
		return ReasonLeaseExpired
	}
	return reasonNone
}

const leaseUnpromised = -1 << 62

// leaseTicks returns for how many ticks, the current one included, the promises
// of a quorum last, 0 or less once they are over; leaseUnpromised where a voter
// gave none.
func (r *raft) leaseTicks() int64 {
	l := r.leader
	promised := uint64(r.cfg.ElectionTick)
	for i, role := range r.conf.roles {
		if role&roleVoter != 0 {
			promised = min(promised, l.peers[i].LeaseTicks)
		}
	}
	if promised == 0 {
		return leaseUnpromised
	}
	confirmed := r.confirmedRound()
	if confirmed == 0 {
		return 0 // no heartbeat was answered yet
	}
	since := l.ticks - confirmed>>roundBits
	return int64(promised) - leaseSlack - int64(r.cfg.MaxClockDrift) - int64(since) + 1
}

// leaseLeft returns for how many ticks the leader may serve lease reads.
func (r *raft) leaseLeft() int {
	switch {
	case r.leaseReason() != reasonNone:
		return 0
	case r.conf.soleVoter(r.id):
		return r.cfg.ElectionTick
	}
	return int(r.leaseTicks())
}

// forwardedReads are reads of a member that does not lead. All reads until the
// next Ready travel under one number; the leader's answer is taken only for a
// number that still waits, so that neither a delayed answer nor one to an
// earlier life of this node can be taken for a later read's.
type forwardedReads struct {
	queued  [][]byte
	waiting []forwardedRead
	seq     uint64
	nonce   uint64 // of this instance
}

type forwardedRead struct {
	seq   uint64
	ticks int
	ctxs  [][]byte
}

func (f *forwardedReads) count() int {
	n := len(f.queued)
	for i := range f.waiting {
		n += len(f.waiting[i].ctxs)
	}
	return n
}

func (f *forwardedReads) due(lead uint64) bool { return len(f.queued) > 0 && lead != None }

// drop forgets all reads: the leader they were asked of is gone.
func (f *forwardedReads) drop() { f.queued, f.waiting = nil, nil }

// tick forgets reads that were not answered within timeout ticks, of which n have passed.
func (f *forwardedReads) tick(n, timeout int) {
	over := 0
	for i := range f.waiting {
		f.waiting[i].ticks += min(n, timeout)
		if f.waiting[i].ticks >= timeout {
			over = i + 1
		}
	}
	f.waiting = append(f.waiting[:0], f.waiting[over:]...)
}

// flushForwardedReads sends the queued reads to the leader.
func (r *raft) flushForwardedReads() {
	f := &r.asked
	if !f.due(r.lead) {
		return
	}
	f.seq++
	f.waiting = append(f.waiting, forwardedRead{seq: f.seq, ctxs: f.queued})
	f.queued = nil
	m := r.message(pb.MsgReadIndex, r.lead)
	m.Term = 0
	m.Entries = []pb.Entry{{Data: f.token(f.seq)}}
}

// token names reads to the leader; those of number 0 wait for no answer.
func (f *forwardedReads) token(seq uint64) []byte {
	b := make([]byte, 0, 16)
	b = binary.BigEndian.AppendUint64(b, f.nonce)
	return binary.BigEndian.AppendUint64(b, seq)
}

// followerReadIndex passes on a read that another member took this one for the
// leader of.
func (r *raft) followerReadIndex(m *pb.Message) error {
	if r.lead == None || r.lead == m.From {
		return ErrNoLeader
	}
	if r.strangersRead(m) {
		return nil
	}
	r.rouse()
	r.forward(m)
	return nil
}

// followerReadIndexResp handles the leader's answer to forwarded reads.
func (r *raft) followerReadIndexResp(m *pb.Message) error {
	token := m.Entries[0].Data
	f := &r.asked
	if binary.BigEndian.Uint64(token) != f.nonce {
		return nil // to an earlier life of this node
	}
	seq := binary.BigEndian.Uint64(token[8:])
	for i := range f.waiting {
		if f.waiting[i].seq != seq {
			continue
		}
		b := r.collecting()
		for _, ctx := range f.waiting[i].ctxs {
			b.reads = append(b.reads, ReadState{Index: m.Index, RequestCtx: ctx})
		}
		f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
		break
	}
	return nil
}
