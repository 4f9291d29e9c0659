package rafttest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// transcript is what one script drives: nodes, each with a host whose steps can be taken one by one, and a
// network between them. Nothing happens by itself.
type transcript struct {
	nodes   []*host
	network []pb.Message // on their way, oldest first
	holds   []filter     // messages that are held back when they are sent
	held    []pb.Message
	cut     []uint64 // the nodes on one side of a cut
	out     strings.Builder
	quiet   bool
	// reasons are those that explain has shown.
	reasons map[raft.Reason]bool
}

// host is a node and what its host holds.
type host struct {
	id uint64
	*raft.RawNode
	cfg   raft.Config
	disk  *disk
	life  uint64
	crash bool // it is down

	handed  []*handed // every Ready of all its lives
	applied uint64
	conf    pb.ConfState
	confs   []pb.ConfState // those that changes made, by index
}

// handed is a Ready that the node handed out, and how far the host is with it.
type handed struct {
	number                            int
	life                              uint64
	rd                                raft.Ready
	persisted, ackedAppend, isApplied bool
}

// disk is the node's storage.
type disk struct {
	*raft.MemoryStorage
	stalled     bool // writes take for ever
	fault       error
	unavailable bool // there is no snapshot to be had now
}

func (d *disk) Entries(lo, hi, size uint64) ([]pb.Entry, error) {
	if d.fault != nil {
		return nil, d.fault
	}
	return d.MemoryStorage.Entries(lo, hi, size)
}

func (d *disk) Snapshot() (pb.Snapshot, error) {
	if d.unavailable {
		return pb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
	}
	return d.MemoryStorage.Snapshot()
}

// filter picks messages; fields that are zero pick all.
type filter struct {
	from, to []uint64
	types    []string
}

func (f filter) picks(m pb.Message) bool {
	return (len(f.from) == 0 || slices.Contains(f.from, m.From)) &&
		(len(f.to) == 0 || slices.Contains(f.to, m.To)) &&
		(len(f.types) == 0 || slices.Contains(f.types, m.Type.String()))
}

func (t *transcript) print(format string, args ...any) { fmt.Fprintf(&t.out, format+"\n", args...) }

func (t *transcript) host(id uint64) *host {
	for _, h := range t.nodes {
		if h.id == id {
			return h
		}
	}
	return nil
}

// start begins a life of the node.
func (t *transcript) start(h *host) error {
	h.life++
	cfg := h.cfg
	cfg.ID, cfg.Storage, cfg.Applied = h.id, h.disk, h.applied
	cfg.Rand = rand.NewPCG(1, h.id<<32|h.life)
	rn, err := raft.NewRawNode(&cfg)
	if err != nil {
		return err
	}
	h.RawNode, h.crash = rn, false
	return nil
}

// ready takes the node's next Ready and sends what may leave at once.
func (t *transcript) ready(h *host) {
	rd := h.Ready()
	if err := h.Err(); err != nil {
		t.print("%d: stopped: %s", h.id, describeError(err))
		return
	}
	if rd.AppendToken() == (raft.AppendToken{}) {
		return // it came to nothing, and there is nothing to acknowledge
	}
	// The node reuses these slices, and a held-back message outlives that.
	rd.Messages = slices.Clone(rd.Messages)
	rd.MessagesAfterAppend = slices.Clone(rd.MessagesAfterAppend)
	rd.ReadStates = slices.Clone(rd.ReadStates)
	one := &handed{number: len(h.handed) + 1, life: h.life, rd: rd}
	h.handed = append(h.handed, one)
	t.printReady(h, one)
	t.send(rd.Messages)
}

func (t *transcript) printReady(h *host, one *handed) {
	rd := &one.rd
	if t.quiet {
		if rd.SoftState != nil {
			t.print("%d: %s term=%d", h.id, describeSoftState(*rd.SoftState), h.BasicStatus().Term)
		}
		for _, read := range rd.ReadStates {
			t.print("%d: ReadState %q at %d", h.id, read.RequestCtx, read.Index)
		}
		for _, r := range rd.Refusals {
			t.print("%d: Refusal by %d of %s: %s", h.id, r.By, describeProposal(r.Entries), describeError(r.Err))
		}
		return
	}
	sync := ""
	if rd.MustSync {
		sync = " MustSync"
	}
	t.print("%d: Ready %d%s", h.id, one.number, sync)
	if rd.SoftState != nil {
		t.print("  SoftState %s", describeSoftState(*rd.SoftState))
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		t.print("  HardState term=%d vote=%d commit=%d", rd.Term, rd.Vote, rd.Commit)
	}
	if len(rd.Entries) > 0 {
		t.print("  Entries %s", describeEntries(rd.Entries))
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		t.print("  Snapshot %s", describeSnapshot(rd.Snapshot))
	}
	if len(rd.CommittedEntries) > 0 {
		t.print("  CommittedEntries %s", describeEntries(rd.CommittedEntries))
	}
	for _, read := range rd.ReadStates {
		t.print("  ReadState %q at %d", read.RequestCtx, read.Index)
	}
	for _, r := range rd.Refusals {
		t.print("  Refusal by %d of %s: %s", r.By, describeProposal(r.Entries), describeError(r.Err))
	}
	for _, m := range rd.Messages {
		t.print("  Message %s", describeMessage(m))
	}
	for _, m := range rd.MessagesAfterAppend {
		t.print("  AfterAppend %s", describeMessage(m))
	}
}

func describeSoftState(s raft.SoftState) string {
	if s.Lead == raft.None {
		return s.RaftState.String()
	}
	text := fmt.Sprintf("%v lead=%d", s.RaftState, s.Lead)
	if s.Asleep {
		text += " asleep"
	}
	return text
}

// next returns the oldest Ready of this life for which pending is true.
func (h *host) next(pending func(*handed) bool) *handed {
	for _, one := range h.handed {
		if one.life == h.life && pending(one) {
			return one
		}
	}
	return nil
}

// persist writes a Ready, all before it being written, and sends what had to wait for that.
func (t *transcript) persist(h *host, one *handed) error {
	rd := &one.rd
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := h.disk.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
	}
	if err := h.disk.Append(rd.Entries); err != nil {
		return err
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if err := h.disk.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	one.persisted = true
	t.send(rd.MessagesAfterAppend)
	return nil
}

// apply restores the snapshot and applies the committed entries of a Ready.
func (t *transcript) apply(h *host, one *handed) error {
	rd := &one.rd
	if !raft.IsEmptySnap(rd.Snapshot) {
		if !one.persisted {
			return errors.New("the snapshot is not persisted")
		}
		h.conf = rd.Snapshot.Metadata.ConfState
		t.printConf(h)
	}
	for _, e := range rd.CommittedEntries {
		if e.Index != h.applied+1 && h.applied != 0 {
			return fmt.Errorf("entry %d handed out after %d was applied", e.Index, h.applied)
		}
		h.applied = e.Index
		if e.Type == pb.EntryNormal {
			continue
		}
		cc, err := pb.UnmarshalConfChange(e)
		if err != nil {
			return err
		}
		h.conf = *h.ApplyConfChange(cc)
		h.confs = append(h.confs, h.conf)
		t.printConf(h)
	}
	h.applied = max(h.applied, rd.AppliedIndex())
	one.isApplied = true
	return nil
}

func (t *transcript) printConf(h *host) {
	if t.quiet {
		t.print("%d: config %s", h.id, describeConf(h.conf))
		return
	}
	t.print("  config %s", describeConf(h.conf))
}

// finish does all that is left to do of the Readys that the node handed out, as far as the disk allows.
func (t *transcript) finish(h *host) error {
	for _, one := range h.handed {
		if one.life != h.life {
			continue
		}
		if !one.persisted && !h.disk.stalled {
			if err := t.persist(h, one); err != nil {
				return err
			}
		}
		if one.persisted && !one.ackedAppend {
			if err := h.AckAppend(one.rd.AppendToken()); err != nil {
				return err
			}
			one.ackedAppend = true
		}
		if one.isApplied || (!one.persisted && !raft.IsEmptySnap(one.rd.Snapshot)) {
			continue
		}
		if err := t.apply(h, one); err != nil {
			return err
		}
		if index := one.rd.AppliedIndex(); index != 0 {
			if err := h.AckApply(index); err != nil {
				return err
			}
		}
	}
	return nil
}

// send puts messages on the network.
func (t *transcript) send(msgs []pb.Message) {
	for _, m := range msgs {
		if slices.ContainsFunc(t.holds, func(f filter) bool { return f.picks(m) }) {
			t.held = append(t.held, m)
			continue
		}
		t.network = append(t.network, m)
	}
}

// take removes and returns the messages on their way that f picks.
func (t *transcript) take(pick func(pb.Message) bool) []pb.Message {
	var taken, rest []pb.Message
	for _, m := range t.network {
		if pick(m) {
			taken = append(taken, m)
		} else {
			rest = append(rest, m)
		}
	}
	t.network = rest
	return taken
}

// deliver steps a message into its receiver, unless it gets lost on the way.
func (t *transcript) deliver(m pb.Message, show bool) {
	note := ""
	h := t.host(m.To)
	switch {
	case len(t.cut) > 0 && slices.Contains(t.cut, m.From) != slices.Contains(t.cut, m.To):
		note = " (lost: cut off)"
	case h == nil || h.crash:
		note = " (lost: the receiver is down)"
	default:
		if err := h.Step(m); err != nil {
			note = "\n  " + describeError(err)
			show = true
		}
	}
	if show || (note != "" && !t.quiet) {
		t.print("%s%s", describeMessage(m), note)
	}
}

// stabilize lets the given nodes work and deliver to each other until nothing is left to do.
func (t *transcript) stabilize(ids []uint64) error {
	among := func(id uint64) bool { return len(ids) == 0 || slices.Contains(ids, id) }
	for range 10_000 {
		msgs := t.take(func(m pb.Message) bool { return among(m.To) && among(m.From) || len(ids) == 0 })
		busy := len(msgs) > 0
		for _, m := range msgs {
			t.deliver(m, false)
		}
		for _, h := range t.nodes {
			if h.crash || h.Err() != nil || !among(h.id) {
				continue
			}
			if err := t.finish(h); err != nil {
				return fmt.Errorf("node %d: %w", h.id, err)
			}
			for h.HasReady() {
				busy = true
				if t.ready(h); h.Err() != nil {
					break
				}
				if err := t.finish(h); err != nil {
					return fmt.Errorf("node %d: %w", h.id, err)
				}
			}
		}
		if !busy {
			return nil
		}
	}
	return errors.New("the nodes do not come to rest")
}
