package raft

import (
	"fmt"

	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// BasicStatus is the state of a node that costs no allocation to ask for.
type BasicStatus struct {
	// ID is the node's own.
	ID uint64
	pb.HardState
	SoftState
	// Applied is the last index that the host applied, Durable the last one of
	// the log that it persisted, LastIndex the end of the log.
	Applied, Durable, LastIndex uint64
	// ConfigIndex is the index of the entry that made the active configuration (0
	// if unknown); with OnAppend it may not be committed yet.
	ConfigIndex uint64
	// LeadTransferee is the target of a transfer of leadership under way on
	// this leader, or None.
	LeadTransferee uint64
	// LastStepDown says why the node last gave up leadership by itself. It
	// stays when the node leads again, or is removed later as a follower.
	LastStepDown StepDownReason
}

// StepDownReason says why a leader gave up leadership within its term.
type StepDownReason uint8

const (
	// StepDownNone: it never did.
	StepDownNone StepDownReason = iota
	// StepDownQuorumLost: it did not hear from a quorum for an election
	// timeout (dissertation §6.2).
	StepDownQuorumLost
	// StepDownRemoved: it was removed or demoted, a majority of the remaining
	// voters knows, and one of them was told to campaign.
	StepDownRemoved
	// StepDownRemovedNoHandover: it was removed or demoted, and an election
	// timeout passed before it knew that a majority of the remaining voters
	// knows and that one of them can take over.
	StepDownRemovedNoHandover
	// StepDownDiskStalled: its own writes were not acknowledged for an
	// election timeout, or two while its successor was brought up to date.
	StepDownDiskStalled
)

var stepDownNames = [...]string{"none", "quorum lost", "removed", "removed, not handed over", "disk stalled"}

// String returns the reason in words.
func (s StepDownReason) String() string {
	if int(s) < len(stepDownNames) {
		return stepDownNames[s]
	}
	return fmt.Sprintf("StepDownReason(%d)", uint8(s))
}

// Status is the whole state of a node, a copy.
type Status struct {
	BasicStatus
	// Config is the active configuration.
	Config confchange.Config
	// PendingConfIndex is the index of the first change of configuration in
	// the log that is not applied, with OnAppend not committed, or 0.
	PendingConfIndex uint64
	// MembershipStep is what a leader does next, or waits for, on the way to the
	// target in Config; nil if there is none, or it has not begun.
	MembershipStep *confchange.Step
	// Progress is what a leader knows of each member, by ID; nil on others.
	Progress map[uint64]progress.Progress
	// SilentTicks is for how many ticks a leader has not heard from each member, by ID,
	// and for how long it has led if it never has; nil on others.
	SilentTicks map[uint64]uint64
	// LeaseTicks is for how many ticks more the leader may serve lease reads.
	LeaseTicks int
	// UncommittedBytes is the payload of the leader's proposals that are not
	// yet handed out as committed.
	UncommittedBytes uint64
	// PendingReads is the number of reads that wait for an answer.
	PendingReads int
	// UnackedReadys is the number of Readys that are not acknowledged with
	// AckAppend.
	UnackedReadys int
}

// BasicStatus returns the node's basic status.
func (rn *RawNode) BasicStatus() BasicStatus {
	r := rn.raft
	s := BasicStatus{
		ID: r.id, HardState: r.hardState(), SoftState: r.softState(),
		Applied: r.log.applied, Durable: r.log.durable, LastIndex: r.log.last.index,
		ConfigIndex: r.conf.index, LastStepDown: r.stepDown,
	}
	if r.leader != nil {
		s.LeadTransferee = r.leader.transfer.target
	}
	return s
}

// Status returns the node's status. It copies; ask BasicStatus on hot paths.
func (rn *RawNode) Status() Status {
	r := rn.raft
	s := Status{
		BasicStatus:   rn.BasicStatus(),
		Config:        r.conf.cfg,
		PendingReads:  r.asked.count(),
		UnackedReadys: r.log.writes.len(),
	}
	if i, ok := r.pendingConf(); ok {
		s.PendingConfIndex = i
	}
	if r.role != StateLeader {
		return s
	}
	l := r.leader
	s.Progress = make(map[uint64]progress.Progress, len(l.peers))
	rn.WithProgress(func(id uint64, p progress.Progress) {
		p.Window = p.Window.Clone()
		if p.CatchUp != nil {
			c := *p.CatchUp
			p.CatchUp = &c
		}
		s.Progress[id] = p
	})
	s.SilentTicks = make(map[uint64]uint64, len(l.peers))
	for i, id := range r.conf.ids {
		s.SilentTicks[id] = r.silent(i)
	}
	if l.drive.step.Kind != confchange.StepImpossible {
		step := l.drive.step
		s.MembershipStep = &step
	}
	s.UncommittedBytes = l.uncommitted
	s.PendingReads = len(l.reads.pending)
	s.LeaseTicks = r.leaseLeft()
	return s
}

// WithProgress calls f for every member that the leader knows, in the order of
// their IDs; on other nodes it does nothing. It does not allocate: p's Window
// and CatchUp are the leader's own, to be read during the call and not to be changed.
func (rn *RawNode) WithProgress(f func(id uint64, p progress.Progress)) {
	r := rn.raft
	if r.role != StateLeader {
		return
	}
	for i := range r.leader.peers {
		f(r.conf.ids[i], r.leader.peers[i])
	}
}
