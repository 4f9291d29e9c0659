package mixed

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/interop/etcdraft"
	"github.com/quorate-raft/raft/progress"
	"github.com/quorate-raft/raft/rafttest/sim"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// node is a node of etcd's with what a careful host of it does: it refuses changes
// of configuration that would panic when they are applied, and starts from the
// configuration of what is applied.
type node struct {
	*raft.RawNode
	peek  etcdraft.Peek
	disk  *storage
	id    uint64
	async bool

	electionTick int
	seed         uint64

	cfg      confchange.Config
	confs    []opb.ConfState // by index, those that ConfStateAt may be asked for
	received uint64          // index of the last snapshot that came
	// changes are the indexes of changes of configuration that were handed out
	// and not applied.
	changes []uint64

	// unsaid is the hard state as it began, where the disk's is behind; the
	// first Ready hands it out.
	unsaid opb.HardState

	handed   []handed // not acknowledged
	acked    uint64   // how many Readys are written
	applying []applying
	durable  uint64

	// With synchronous writes: what is to be advanced, and its committed entries
	// until they are handed out.
	ready     *raft.Ready
	committed []opb.Entry
}

// handed is what the acknowledgement of a Ready's write sets free.
type handed struct {
	steps []tpb.Message // to the node itself
	last  uint64        // the end of the log then, 0 if nothing was appended
}

// applying is what the acknowledgement of applied entries sets free.
type applying struct {
	last uint64
	step tpb.Message // with asynchronous writes
}

// newNode makes a node of etcd's for what would be one of ours. async says that
// it writes asynchronously.
func newNode(c *ours.Config, async bool) (sim.Foreign, error) {
	disk, err := openStorage(c)
	if err != nil {
		return nil, err
	}
	n := &node{id: c.ID, async: async, disk: disk, electionTick: c.ElectionTick, seed: c.Rand.Uint64(), unsaid: disk.unsaid}
	if n.durable, err = c.Storage.LastIndex(); err != nil {
		return nil, err
	}
	n.RawNode, err = raft.NewRawNode(&raft.Config{
		ID: c.ID, ElectionTick: c.ElectionTick, HeartbeatTick: c.HeartbeatTick, Storage: disk, Applied: disk.applied,
		AsyncStorageWrites: async,
		MaxSizePerMsg:      c.MaxSizePerMsg, MaxCommittedSizePerReady: c.MaxCommittedSizePerReady,
		MaxUncommittedEntriesSize: c.MaxUncommittedSize, MaxInflightMsgs: c.MaxInflightMsgs,
		MaxInflightBytes: c.MaxInflightBytes,
		CheckQuorum:      !c.DisableCheckQuorum, PreVote: !c.DisablePreVote,
		DisableProposalForwarding: c.DisableProposalForwarding,
		StepDownOnRemoval:         true, Logger: etcdraft.Quiet{},
	})
	if err != nil {
		return nil, err
	}
	n.peek = etcdraft.Into(n.RawNode)
	if n.cfg, err = confchange.Restore(disk.conf); err != nil {
		return nil, err
	}
	n.confs = append(n.confs, disk.conf)
	n.draw()
	return n, nil
}

// draw gives the node an election timeout of the run's seed after it may have drawn
// one of its own, which it does where role or term change or a candidate hears of a
// leader.
func (n *node) draw() {
	st := n.RawNode.BasicStatus()
	*n.peek.Timeout() = n.timeout(st.Term, st.RaftState)
}

// timeout is a function of what a new one is drawn for, so that it does not matter
// how often.
func (n *node) timeout(term uint64, role raft.StateType) int {
	z := n.seed ^ term*0x9e3779b97f4a7c15 ^ uint64(role)<<56
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return n.electionTick + int((z^z>>31)%uint64(n.electionTick))
}

func (n *node) Tick() {
	n.RawNode.Tick()
	n.draw()
}

func (n *node) Step(m opb.Message) error {
	defer n.draw()
	if m.Type == opb.MsgReadIndex && n.readsTooEarly() {
		return errTooEarly
	}
	if m.Type == opb.MsgProp {
		for i := range m.Entries {
			if err := n.refuses(&m.Entries[i]); err != nil {
				return err
			}
		}
	}
	return n.RawNode.Step(etcdraft.FromMessage(&m))
}

// refuses says why a proposed change would panic when it is applied. etcd itself
// looks only whether it enters or leaves a joint configuration where it can.
func (n *node) refuses(e *opb.Entry) error {
	if e.Type == opb.EntryNormal {
		return nil
	}
	cc, err := opb.UnmarshalConfChange(*e)
	if err != nil {
		return err
	}
	_, err = confchange.Apply(n.cfg, cc.AsV2())
	return err
}

func (n *node) Propose(data []byte) error { return n.RawNode.Propose(data) }

func (n *node) ProposeConfChange(cc opb.ConfChangeI) error {
	if _, err := confchange.Apply(n.cfg, cc.AsV2()); err != nil {
		return err
	}
	return n.RawNode.ProposeConfChange(etcdraft.FromChange(cc.AsV2()))
}

func (n *node) ApplyConfChange(cc opb.ConfChangeI) *opb.ConfState {
	defer n.draw()
	index := n.changes[0]
	n.changes = n.changes[1:]
	k := len(n.confs) - 1
	if n.peek.Snapshot() != nil || n.confs[k].Index > index {
		// A snapshot came since the entry was handed out, and etcd's raft would
		// change its configuration (TestChangeAppliedAfterSnapshot). What is
		// returned is saved, so it must not be ahead of the disk.
		for n.confs[k].Index > max(index, n.durable) {
			k--
		}
		now := n.confs[k]
		return &now
	}
	cs := etcdraft.ToConf(n.RawNode.ApplyConfChange(etcdraft.FromChange(cc.AsV2())))
	cs.Index = index
	n.hasConf(cs)
	return &cs
}

// hasConf notes the configuration that is active now.
func (n *node) hasConf(cs opb.ConfState) {
	cfg, err := confchange.Restore(cs)
	if err != nil {
		panic(fmt.Sprintf("mixed: etcd's configuration %v: %v", cs, err))
	}
	n.cfg = cfg
	n.confs = append(n.confs, cs)
	if base, err := n.disk.ours.FirstIndex(); err == nil {
		for len(n.confs) > 1 && n.confs[1].Index < base {
			n.confs = n.confs[1:]
		}
	}
}

// ConfStateAt is asked when a snapshot is taken, upon which the log is compacted.
// etcd's raft panics if what it has not applied yet is gone then.
func (n *node) ConfStateAt(i uint64) (*opb.ConfState, error) {
	if i > n.RawNode.BasicStatus().Applied || i < n.received || n.peek.Snapshot() != nil {
		return nil, ours.ErrCompacted
	}
	for k := len(n.confs) - 1; k >= 0; k-- {
		if n.confs[k].Index <= i {
			return &n.confs[k], nil
		}
	}
	return nil, ours.ErrCompacted
}

func (n *node) Campaign() error {
	defer n.draw()
	return n.RawNode.Campaign()
}

func (n *node) ForgetLeader() error {
	defer n.draw()
	return n.RawNode.ForgetLeader()
}

func (n *node) TransferLeader(transferee uint64) error {
	n.RawNode.TransferLeader(transferee)
	return nil
}

// errNoAbort is returned for what etcd's raft does not have.
var errNoAbort = errors.New("mixed: etcd's raft does not end a transfer on demand")

func (n *node) AbortTransfer() error { return errNoAbort }

func (n *node) ReadIndex(rctx []byte) error {
	if n.readsTooEarly() {
		return errTooEarly
	}
	n.RawNode.ReadIndex(rctx)
	return nil
}

var errTooEarly = errors.New("mixed: the only voter has not committed in its term")

// readsTooEarly reports whether etcd's raft would answer a read at once by a commit
// index that may be behind (TestOnlyVoterReadsWhatWasCommitted).
func (n *node) readsTooEarly() bool {
	st := n.RawNode.BasicStatus()
	if st.RaftState != raft.StateLeader || len(n.cfg.Voters[0]) != 1 || n.cfg.Joint() {
		return false
	}
	term, err := n.disk.ours.Term(st.Commit)
	if ents := n.peek.Entries(); len(ents) > 0 && ents[0].Index <= st.Commit {
		term, err = ents[st.Commit-ents[0].Index].Term, nil
	}
	return err != nil || term != st.Term
}

func (n *node) ReportUnreachable(id uint64) error {
	n.RawNode.ReportUnreachable(id)
	return nil
}

func (n *node) ReportSnapshot(id uint64, status ours.SnapshotStatus) error {
	s := raft.SnapshotFinish
	if status == ours.SnapshotFailure {
		s = raft.SnapshotFailure
	}
	n.RawNode.ReportSnapshot(id, s)
	return nil
}

func (n *node) Err() error { return nil }

func (n *node) BasicStatus() ours.BasicStatus {
	st := n.RawNode.BasicStatus()
	last, ok := n.peek.Unstable()
	if !ok {
		last, _ = n.disk.LastIndex()
	}
	return ours.BasicStatus{
		ID: n.id, HardState: opb.HardState{Term: st.Term, Vote: st.Vote, Commit: st.Commit},
		SoftState: ours.SoftState{Lead: st.Lead, RaftState: role(st.RaftState)},
		Applied:   st.Applied, Durable: n.durable, LastIndex: last, LeadTransferee: st.LeadTransferee,
		ConfigIndex: n.confs[len(n.confs)-1].Index,
	}
}

func role(s raft.StateType) ours.StateType {
	switch s {
	case raft.StateLeader:
		return ours.StateLeader
	case raft.StateCandidate:
		return ours.StateCandidate
	case raft.StatePreCandidate:
		return ours.StatePreCandidate
	}
	return ours.StateFollower
}

func (n *node) Status() ours.Status {
	st := ours.Status{BasicStatus: n.BasicStatus(), Config: n.cfg}
	st.PendingConfIndex = n.pendingConf(st.Applied, st.LastIndex)
	n.WithProgress(func(id uint64, p progress.Progress) {
		if st.Progress == nil {
			st.Progress = map[uint64]progress.Progress{}
		}
		st.Progress[id] = p
	})
	return st
}

// pendingConf returns the index of the first change of configuration in the log
// that is not applied, or 0.
func (n *node) pendingConf(applied, last uint64) uint64 {
	ents := n.peek.Entries()
	end := last
	if len(ents) > 0 {
		end = ents[0].Index - 1
	}
	if applied < end {
		stored, err := n.disk.ours.Entries(applied+1, end+1, 1<<62)
		if err == nil {
			for i := range stored {
				if stored[i].Type != opb.EntryNormal {
					return stored[i].Index
				}
			}
		}
	}
	for i := range ents {
		if ents[i].Index > applied && ents[i].Type != tpb.EntryNormal {
			return ents[i].Index
		}
	}
	return 0
}

func (n *node) WithProgress(f func(id uint64, p progress.Progress)) {
	if n.RawNode.BasicStatus().RaftState != raft.StateLeader {
		return
	}
	n.RawNode.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		f(id, progress.Progress{
			Match: p.Match, Next: p.Next, State: states[p.State], PendingSnapshot: p.PendingSnapshot,
			Active: p.RecentActive, Waiting: p.MsgAppFlowPaused,
		})
	})
}

var states = [...]progress.State{
	tracker.StateProbe: progress.Probe, tracker.StateReplicate: progress.Replicate, tracker.StateSnapshot: progress.Snapshot,
}
