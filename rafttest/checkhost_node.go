package rafttest

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/internal/hook"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What the node hands out and is told, as hook.Host brings it.

// hostWatch keeps the methods of the hook out of HostCheck's.
type hostWatch struct{ *HostCheck }

var _ hook.Host[raft.Ready, raft.AppendToken, raft.Storage] = hostWatch{}

// digest stands for an entry or a message.
type digest [sha256.Size]byte

func digestOf(m interface{ Marshal() ([]byte, error) }) digest {
	b, err := m.Marshal()
	if err != nil {
		panic(fmt.Sprintf("rafttest: %v", err)) // what a node made can be marshalled
	}
	return sha256.Sum256(b)
}

func digestsOf(ents []pb.Entry) []digest {
	ds := make([]digest, len(ents))
	for i := range ents {
		ds[i] = digestOf(&ents[i])
	}
	return ds
}

// digestMessage leaves out the data of a snapshot, which a transport may bring
// in its own way.
func digestMessage(m pb.Message) digest {
	if m.Snapshot != nil {
		m.Snapshot = &pb.Snapshot{Metadata: m.Snapshot.Metadata}
	}
	return digestOf(&m)
}

// Started is of hook.Host.
func (w hostWatch) Started(s hook.Start[raft.Storage], err error) {
	c := w.HostCheck
	view := readStorage(s.Storage, 0)
	view.first = max(view.first, 1) // also where it could not be read
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events++
	if c.finished {
		return
	}
	if c.node != nil && view.ok {
		c.judgeRestart(s.Applied, view)
	}
	c.recovered = nil
	if err != nil {
		return
	}
	if c.used[s.Instance] {
		c.broke(RuleRestartRandom, "instance %d was there before: give Config.Rand another seed at each start", s.Instance)
	}
	c.used[s.Instance] = true
	if n := c.node; n != nil && !n.dead {
		c.judgeLeftOut(n)
	}
	c.former = c.node
	applied, from := max(s.Applied, view.first-1), s.Conf.Index
	if from == 0 {
		from = applied
	}
	c.node = &watchedNode{
		instance: s.Instance, storage: s.Storage,
		tokens: map[raft.AppendToken]*handedReady{}, messages: map[digest][]*handedMessage{},
		lastSent: map[route]uint64{}, reads: map[string]bool{}, served: map[string]bool{},
		hard: view.hard, disk: view.model(), snapshot: view.snapshot,
		apply: applyState{high: applied, snapshot: view.first - 1, entries: map[uint64]*toApply{}},
		confs: []confFrom{{from, s.Conf}},
		fresh: len(s.Conf.Voters) == 0 && view.last == 0, onAppend: s.OnAppend,
	}
}

// judgeRestart compares what a new node begins with with what there was.
func (c *HostCheck) judgeRestart(applied uint64, view storageView) {
	n := c.node
	if fault := n.disk.missing(view, 0, n.handedAfter(n.durable)); fault != "" {
		c.broke(RuleRestartKeepsWrites, "%s", fault)
	}
	machine, why := max(view.snapshot, view.first-1), "the snapshot in Storage, all that survives unless Recovered says more"
	if c.recovered != nil {
		machine, why = *c.recovered, "what Recovered reported"
		if held := max(n.apply.high, view.snapshot); machine > held {
			c.broke(RuleRestartAppliedTooHigh, "Recovered(%d), but only %d was applied", machine, held)
		}
	} else if applied == 0 && view.first == 1 {
		return // the whole log is applied anew
	}
	if applied = max(applied, view.first-1); applied > machine {
		c.broke(RuleRestartAppliedTooHigh, "Config.Applied is %d, the state machine holds %d: %s", applied, machine, why)
	} else if applied < machine {
		c.broke(RuleRestartAppliedTooLow, "Config.Applied is %d, the state machine holds %d: %s", applied, machine, why)
	}
}

// event begins an event of the node with that number; what a former one does
// after a new one was made is a fault of its own.
func (w hostWatch) event(instance uint64, what string) *watchedNode {
	n := w.enter()
	if n == nil || n.instance == instance {
		return n
	}
	w.broke(RuleWriteAlone, "%s of an earlier node after a new one was made", what)
	return nil
}

// Ready is of hook.Host.
func (w hostWatch) Ready(instance uint64, rd raft.Ready) {
	n := w.event(instance, "a Ready")
	defer w.mu.Unlock()
	if n == nil {
		return
	}
	if rd.SoftState != nil {
		n.soft = *rd.SoftState
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		n.hard = rd.HardState
	}
	r := &handedReady{
		seq: n.lastSeq() + 1, token: rd.AppendToken(), rd: rd, hard: n.hard,
		entries: digestsOf(rd.Entries), applies: digestsOf(rd.CommittedEntries),
		writes: len(rd.Entries) > 0 || !raft.IsEmptyHardState(rd.HardState) || !raft.IsEmptySnap(rd.Snapshot),
	}
	n.handed = append(n.handed, r)
	n.tokens[r.token] = r
	n.remember(r, rd.Messages, false)
	n.remember(r, rd.MessagesAfterAppend, true)
	for _, rs := range rd.ReadStates {
		n.reads[readKey(rs)] = true
	}
	n.apply.handOut(r)
	if n.onAppend {
		n.learnConfs(&rd)
	}
	if snap := rd.Snapshot.Metadata; snap.Index != 0 {
		n.confs = append(n.confs, confFrom{snap.Index, snap.ConfState})
		n.snapshot = snap.Index
	}
	// These are used again by the node.
	r.rd.Messages, r.rd.MessagesAfterAppend, r.rd.ReadStates = nil, nil, nil
	n.settle()
	w.forget(n)
}

// Advance is of hook.Host.
func (w hostWatch) Advance(instance uint64, token raft.AppendToken) {
	n := w.event(instance, "Advance")
	defer w.mu.Unlock()
	if n == nil {
		return
	}
	r := n.tokens[token]
	if r == nil {
		return // AckAppend tells
	}
	for _, r := range n.between(n.advanced, r.seq) {
		w.judgeSent(n, r)
	}
	n.advanced = max(n.advanced, r.seq)
}

// AckAppend is of hook.Host.
func (w hostWatch) AckAppend(instance uint64, token raft.AppendToken, err error) {
	c, n := w.HostCheck, w.event(instance, "AckAppend")
	defer c.mu.Unlock()
	if n == nil {
		return
	}
	if errors.Is(err, raft.ErrForeignAck) {
		c.broke(RuleAckOwn, "AckAppend: %v", err)
	}
	r := n.tokens[token]
	if err != nil || r == nil {
		return
	}
	for _, r := range n.between(n.acked, r.seq) {
		switch {
		case r.settled():
		case n.failed != nil:
			c.broke(RuleStopAfterFailure, "Ready %d is acknowledged after a write failed: %v", r.seq, n.failed)
		case !r.saved:
			c.broke(RuleAckAfterWrite, "Ready %d is acknowledged before it is persisted", r.seq)
		default:
			c.broke(RuleMustSync, "Ready %d has MustSync and is acknowledged before it is on the disk", r.seq)
		}
		r.acked = true
		c.judgeUnchanged(r)
	}
	n.acked = max(n.acked, r.seq)
}

// AckApply is of hook.Host.
func (w hostWatch) AckApply(instance uint64, index uint64, err error) {
	n := w.event(instance, "AckApply")
	defer w.mu.Unlock()
	switch {
	case n == nil:
	case errors.Is(err, raft.ErrForeignAck):
		w.broke(RuleAckOwn, "AckApply: %v", err)
	case err == nil:
		w.judgeAckApply(n, index)
	}
}

// ApplyConfChange is of hook.Host.
func (w hostWatch) ApplyConfChange(instance uint64, cc hook.ConfChange) {
	n := w.event(instance, "ApplyConfChange")
	defer w.mu.Unlock()
	if n != nil {
		w.judgeConfChange(n, cc)
	}
}

// lastSeq returns the number of the last Ready.
func (n *watchedNode) lastSeq() uint64 { return n.forgot + uint64(len(n.handed)) }

// between returns the Readys with numbers in (after, last].
func (n *watchedNode) between(after, last uint64) []*handedReady {
	lo := max(after, n.forgot)
	if last <= lo {
		return nil
	}
	return n.handed[lo-n.forgot : last-n.forgot]
}

func (n *watchedNode) handedAfter(seq uint64) []*handedReady { return n.between(seq, n.lastSeq()) }

// settle moves durable past all Readys whose writes are.
func (n *watchedNode) settle() {
	for _, r := range n.handedAfter(n.durable) {
		if !r.settled() {
			return
		}
		n.durable = r.seq
		n.disk.fold(r)
	}
}

// judgeUnchanged compares the entries of a Ready with what they were.
func (c *HostCheck) judgeUnchanged(r *handedReady) {
	for _, list := range []struct {
		ents []pb.Entry
		was  []digest
	}{{r.rd.Entries, r.entries}, {r.rd.CommittedEntries, r.applies}} {
		for i := range list.ents {
			if digestOf(&list.ents[i]) != list.was[i] {
				c.broke(RuleEntriesUnchanged, "an entry of Ready %d changed after it was handed out; now it is %v", r.seq, list.ents[i])
			}
		}
	}
}
