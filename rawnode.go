package raft

import (
	"fmt"

	"github.com/quorate-raft/raft/internal/hook"
	pb "github.com/quorate-raft/raft/raftpb"
)

// RawNode is one member of a raft group, as a state machine: inputs (Tick, Step,
// Propose, ...) change its state, and Ready says what the host has to persist,
// send and apply. It has no goroutine, clock or I/O, and behaves the same for
// the same inputs. It is not safe for concurrent use; Node is.
//
// Every method that returns an error returns one matching ErrStorage once the
// node's Storage has failed; the node then does nothing more.
type RawNode struct {
	raft *raft

	instance uint64
	seq      uint64 // of the last Ready
	ackedSeq uint64
	soft     SoftState    // as last handed out
	hard     pb.HardState // as last handed out
	// confUses and committedConf are, with OnAppend, what was last handed out of
	// configurations: how often the active one had changed, and the index of the
	// newest committed one.
	confUses      uint64
	committedConf uint64
}

// NewRawNode returns a node that goes on from what c.Storage holds. For a new
// group call Bootstrap next, or give all members the same initial snapshot; a
// node that joins an existing group starts with an empty Storage and is told
// everything by the leader. It does not keep or change c.
//
// An error matches ErrInvalidConfig, with every fault of c, or ErrStorage.
func NewRawNode(c *Config) (*RawNode, error) {
	rn, err := newRawNode(c)
	if c != nil && c.watch != nil {
		start := hook.Start[Storage]{Storage: c.Storage, Applied: c.Applied}
		if err == nil {
			start.Instance, start.Conf, start.OnAppend = rn.instance, *rn.raft.confState(), rn.raft.onAppend()
		}
		c.watch.Started(start, err)
	}
	return rn, err
}

func newRawNode(c *Config) (*RawNode, error) {
	r, err := newRaft(c)
	if err != nil {
		return nil, err
	}
	hs, _, err := r.cfg.Storage.InitialState()
	if err != nil {
		return nil, &StorageError{"initial state", err}
	}
	// What differs from the persisted state goes into the first Ready.
	return &RawNode{
		raft: r, instance: r.instance(), hard: hs, soft: r.softState(),
	}, nil
}

// Tick advances the node's clock by one tick (Config.ElectionTick and
// HeartbeatTick are counted in them).
func (rn *RawNode) Tick() {
	if rn.raft.err == nil {
		_ = rn.raft.fail(rn.raft.tick()) // Err tells
	}
}

// Campaign makes the node campaign at once, with a pre-vote unless that is
// disabled. A leader ignores it. The error is a CampaignError that says why the
// node may not.
func (rn *RawNode) Campaign() error {
	return rn.input(rn.raft.hup)
}

// Propose asks to append data to the log. A follower forwards it to its leader;
// then it may be lost without notice, and if the leader refuses it, Ready.Refusals
// says so. The node keeps data, which must not change any more. An error matches
// ErrProposalDropped and says why.
func (rn *RawNode) Propose(data []byte) error {
	return rn.propose(pb.EntryNormal, data)
}

// ProposeConfChange asks for a change of membership (dissertation §4). It is
// judged against the newest configuration in the leader's log; a refusal is a
// ConfChangeError, which comes in Ready.Refusals if the leader is another. When the
// entry is committed, the host calls ApplyConfChange.
func (rn *RawNode) ProposeConfChange(cc pb.ConfChangeI) error {
	if isNil(cc) {
		cc = nil // to leave a joint configuration
	}
	t, data, err := pb.MarshalConfChange(cc)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProposalDropped, err)
	}
	return rn.propose(t, data)
}

func (rn *RawNode) propose(t pb.EntryType, data []byte) error {
	r := rn.raft
	if r.err != nil {
		return r.err
	}
	if r.role == StateLeader {
		e := &r.one[0]
		e.Type, e.Data = t, data
		err := r.checkProposal(r.one[:])
		if err == nil {
			r.wake()
			err = r.appendOwn(r.one[:])
		}
		e.Data = nil
		return r.fail(err)
	}
	return r.fail(r.forwardProp(&pb.Message{Type: pb.MsgProp, From: r.id, Features: pb.FeatureRefusals, Entries: []pb.Entry{{Type: t, Data: data}}}))
}

// Step takes a message of another node. Nothing that a peer sends can panic; a
// message that no correct peer sends is refused with an error and changes
// nothing (ErrCorruptMessage, ErrMisrouted, ErrUnknownMessage, ErrStepLocalMsg,
// ErrStepPeerNotFound). The error of a forwarded proposal or read says why it
// was refused; who proposed it is told too, if it asked for that. The node keeps the message's entries and snapshot, which must not
// change any more.
func (rn *RawNode) Step(m pb.Message) error {
	return rn.raft.step(&m)
}

// TransferLeader asks to move leadership to transferee (dissertation §3.10).
// The leader brings its log up to date and tells it to campaign; proposals are
// refused meanwhile. It is given up after an election timeout. A follower
// forwards the request. The error is ErrNoLeader, or a TransferError if the
// target is not a voter or leads already.
func (rn *RawNode) TransferLeader(transferee uint64) error {
	return rn.input(func() error { return rn.raft.transferLeader(transferee) })
}

// AbortTransfer gives up a transfer of leadership that is under way, if there
// is one, and accepts proposals again. A target that was already told to
// campaign may still win. ErrNotLeader on other nodes.
func (rn *RawNode) AbortTransfer() error {
	return rn.input(func() error {
		if rn.raft.role != StateLeader {
			return ErrNotLeader
		}
		if rn.raft.leader.transfer.target != None {
			rn.raft.abortTransfer("the host asked to")
		}
		return nil
	})
}

// ForgetLeader makes a follower forget that it hears from a leader, so that it
// votes at once when asked, for a host that knows that the leader is gone. It
// does nothing on other nodes. ErrLeaseInForce where there are leases.
func (rn *RawNode) ForgetLeader() error {
	return rn.input(rn.raft.forgetLeader)
}

// ReadIndex asks for an index at which a linearizable read can be served; it
// comes in ReadStates of a later Ready with rctx. Reads share rounds of
// heartbeats. A read is lost without notice when leadership changes, or when a
// message of a forwarded read gets lost: ask again, rctx may be the same.
// ErrNoLeader, or ErrTooManyReads past Config.MaxPendingReads.
func (rn *RawNode) ReadIndex(rctx []byte) error {
	r := rn.raft
	if r.err != nil {
		return r.err
	}
	return r.fail(r.readIndex(rctx))
}

// LeaseRead returns at once an index at which a linearizable read can be served,
// if this node leads and holds a lease (dissertation §6.4.1). The host must have
// delivered all ticks that are due. ErrNotLeader, or ErrNoLease: use ReadIndex. It wakes a
// leader that sleeps, who has no lease then, unless it is the sole voter; a follower sleeps on.
func (rn *RawNode) LeaseRead() (uint64, error) {
	if rn.raft.err != nil {
		return 0, rn.raft.err
	}
	return rn.raft.leaseRead()
}

// Wake wakes the node if it sleeps (SoftState.Asleep): a follower calls its leader, waits
// for it from now on, and campaigns if it stays silent; a leader calls the others. It is for the
// host's sign of life: a host calls it for the groups whose leader is on a host that does not
// answer, or has started anew. On a node that is awake it
// only keeps a follower from agreeing to sleep before it hears from its leader, for an election timeout
// at most.
func (rn *RawNode) Wake() {
	if rn.raft.err == nil {
		rn.raft.rouse()
	}
}

// ReportUnreachable tells the leader that messages to id got lost, so that it
// probes before it sends more. It wakes a leader that sleeps. ErrUnknownPeer if id is not
// another member.
func (rn *RawNode) ReportUnreachable(id uint64) error {
	return rn.input(func() error { return rn.raft.unreachable(id) })
}

// SnapshotStatus is the outcome of sending a snapshot.
type SnapshotStatus int

const (
	// SnapshotFinish: the peer has the snapshot.
	SnapshotFinish SnapshotStatus = 1
	// SnapshotFailure: it did not get there.
	SnapshotFailure SnapshotStatus = 2
)

// ReportSnapshot tells the leader how sending a snapshot to id ended. Until
// then, or until the peer says so itself, no entries are sent to id, for
// Config.SnapshotTicks at most.
// ErrUnknownPeer if id is not another member.
func (rn *RawNode) ReportSnapshot(id uint64, status SnapshotStatus) error {
	return rn.input(func() error { return rn.raft.snapshotReport(id, status == SnapshotFinish) })
}

func (rn *RawNode) input(f func() error) error {
	if rn.raft.err != nil {
		return rn.raft.err
	}
	return rn.raft.fail(f())
}

// Err returns the fault of Storage that stopped the node, or nil.
func (rn *RawNode) Err() error { return rn.raft.err }

// HasReady reports whether Ready would return anything. A message that turns
// out not to be sendable, as the snapshot is not available, counts too.
func (rn *RawNode) HasReady() bool {
	r := rn.raft
	if r.err != nil {
		return false
	}
	l := r.log
	return !r.out.empty() || len(r.removed) > 0 || (r.noticed() && r.flushDue()) ||
		l.submitted < l.last.index || (l.snapshot != nil && !l.snapshotHandedOut) ||
		l.mayApply() ||
		r.hardState() != rn.hard || r.softState() != rn.soft
}

// Ready returns what there is to do, and starts it: whatever is in it is not
// returned again. It may be called before earlier ones are acknowledged.
// HasReady says whether there is anything; else, and once Storage has failed,
// the Ready is empty and needs no acknowledgement.
func (rn *RawNode) Ready() (rd Ready) {
	r, l := rn.raft, rn.raft.log
	if r.err != nil {
		return rd
	}
	if r.noticed() {
		if err := r.flush(); err != nil {
			_ = r.fail(err) // Err tells
			return rd
		}
	}
	if l.mayApply() {
		committed, err := r.handOut()
		if err != nil {
			_ = r.fail(err)
			return rd
		}
		rd.CommittedEntries = committed
	}
	if hs := r.hardState(); hs != rn.hard {
		rd.HardState = hs
		rd.MustSync = hs.Term != rn.hard.Term || hs.Vote != rn.hard.Vote || l.confIn(rn.hard.Commit, hs.Commit)
		rn.hard = hs
	}
	if l.submitted < l.last.index && l.last.index >= l.offset {
		rd.Entries = l.unstable.from(max(l.submitted+1, l.offset))
		rd.MustSync = true
	}
	if l.snapshot != nil && !l.snapshotHandedOut {
		rd.Snapshot = *l.snapshot
		rd.MustSync = true
	}
	if r.softState() != rn.soft {
		rn.soft = r.softState()
		soft := rn.soft // a copy that escapes, made only here
		rd.SoftState = &soft
	}
	if len(r.removed) > 0 {
		rd.Removed, r.removed = r.removed, nil
	}
	b := r.collecting()
	// Capped: what a host appends must not end up in the node's arrays.
	rd.Messages = b.msgs[:len(b.msgs):len(b.msgs)]
	rd.MessagesAfterAppend = b.promises[:len(b.promises):len(b.promises)]
	rd.ReadStates = b.reads[:len(b.reads):len(b.reads)]
	rd.Refusals = b.refusals[:len(b.refusals):len(b.refusals)]
	if rd.IsEmpty() {
		return rd // nothing is due, or it could not be sent, such as a snapshot that is being made
	}
	if r.onAppend() {
		rn.fillConf(&rd)
	}
	rn.seq++
	rd.token = AppendToken{instance: rn.instance, seq: rn.seq}
	b.term, b.vote = r.term, r.vote
	b.writes = len(rd.Entries) > 0 || !IsEmptyHardState(rd.HardState) || rd.Snapshot.Metadata.Index != 0
	l.submit(b)
	r.out = nil
	if w := r.cfg.watch; w != nil {
		w.Ready(rn.instance, rd)
	}
	return rd
}

// handOut returns what is to be applied next.
func (r *raft) handOut() ([]pb.Entry, error) {
	committed, err := r.log.nextCommitted(r.cfg.MaxCommittedSizePerReady)
	if err != nil || len(committed) == 0 {
		return nil, err
	}
	r.log.handOut(committed)
	if r.role == StateLeader {
		r.leader.handedOut(committed)
	}
	return committed, nil
}

// Advance says that all of rd, and of every Ready before it, is done: written
// durably, sent and applied. It is AckAppend and AckApply.
func (rn *RawNode) Advance(rd Ready) error {
	if rd.token.seq == 0 {
		return rn.raft.err // an empty Ready
	}
	index := rd.AppliedIndex()
	if w := rn.raft.cfg.watch; w != nil {
		w.Advance(rn.instance, rd.token)
		if err := rn.AckAppend(rd.token); err != nil || index == 0 {
			return err
		}
		return rn.AckApply(index)
	}
	if err := rn.ackAppend(rd.token); err != nil || index == 0 {
		return err
	}
	return rn.ackApply(index)
}

// AckAppend says that the writes of the Ready that token is from, and of every
// earlier one, are durable. Only then do the node's own vote and log count. Its
// messages must not be used any more. To repeat it is harmless; a token of
// another instance or of the future is ErrForeignAck and moves nothing.
func (rn *RawNode) AckAppend(token AppendToken) error {
	err := rn.ackAppend(token)
	if w := rn.raft.cfg.watch; w != nil {
		w.AckAppend(rn.instance, token, err)
	}
	return err
}

func (rn *RawNode) ackAppend(token AppendToken) error {
	r, l := rn.raft, rn.raft.log
	switch {
	case r.err != nil:
		return r.err
	case token.instance != rn.instance:
		return fmt.Errorf("%w: token of another instance", ErrForeignAck)
	case token.seq > rn.seq || token.seq == 0:
		return fmt.Errorf("%w: token %d, the last is %d", ErrForeignAck, token.seq, rn.seq)
	case token.seq <= rn.ackedSeq:
		return nil
	}
	durable := l.durable
	var term, vote uint64
	for rn.ackedSeq < token.seq {
		rn.ackedSeq++
		b := l.acknowledge()
		term, vote = b.term, b.vote
		if b.writes {
			r.stalled = false
		}
		r.reclaim(b)
	}
	if r.asleep {
		rn.release()
	}
	r.remembers = r.remembers || term > 0
	if r.role == StateCandidate {
		if err := r.voteDurable(term, vote); err != nil {
			return r.fail(err)
		}
	}
	if r.role == StateLeader && l.durable > durable {
		r.leader.sinceProgress = 0
		r.updateSelf()
		return r.fail(r.maybeCommit())
	}
	return nil
}

// AckApply says that the host has applied everything up to index: committed
// entries in order, or a restored snapshot. To repeat it is harmless; an index
// that was not handed out is ErrForeignAck and moves nothing.
func (rn *RawNode) AckApply(index uint64) error {
	err := rn.ackApply(index)
	if w := rn.raft.cfg.watch; w != nil {
		w.AckApply(rn.instance, index, err)
	}
	return err
}

func (rn *RawNode) ackApply(index uint64) error {
	r, l := rn.raft, rn.raft.log
	switch {
	case r.err != nil:
		return r.err
	case index > l.applying:
		return fmt.Errorf("%w: applied %d, handed out (and, for a snapshot, durable) up to %d", ErrForeignAck, index, l.applying)
	case index <= l.applied:
		return nil
	}
	l.appliedTo(index)
	if r.asleep {
		rn.release()
	}
	if r.takeOver != 0 && r.takeOver == r.term && r.role == StateFollower && r.campaignObstacle() == reasonNone {
		return r.fail(r.campaign(transferElection))
	}
	if r.role != StateLeader {
		return nil
	}
	if r.conf.cfg.Joint() {
		if err := r.maybeLeaveJoint(); err != nil {
			return r.fail(err)
		}
	}
	if r.drives() {
		return r.fail(r.driveTarget(false))
	}
	return nil
}
