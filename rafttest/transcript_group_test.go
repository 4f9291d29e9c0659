package rafttest_test

import (
	"errors"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

func addNodes(t *transcript, a *args) error {
	join := a.flag("join")
	learners := a.numbers("learners")
	voters := a.numbers("voters")
	index := a.number("index", 10)
	terms, term := a.numbers("log"), a.number("term", 0)
	commit := a.number("commit", 0)
	cfg := config(a)
	ids := a.parse(a.words())
	if len(voters) == 0 {
		voters = slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return slices.Contains(learners, id) })
	}
	for _, id := range ids {
		h := &host{id: id, cfg: cfg, disk: &disk{MemoryStorage: raft.NewMemoryStorage()}}
		if !join {
			h.conf = pb.ConfState{Voters: voters, Learners: learners, Index: index}
			seedDisk(a, h, index, terms, pb.HardState{Term: term, Commit: commit})
		}
		if err := t.start(h); err != nil {
			return err
		}
		t.nodes = append(t.nodes, h)
	}
	slices.SortFunc(t.nodes, func(a, b *host) int { return int(a.id) - int(b.id) })
	return nil
}

// seedDisk makes a disk that holds a snapshot at index, of term 1, and after it entries with the given terms. With
// index 0 there is no snapshot.
func seedDisk(a *args, h *host, index uint64, terms []uint64, hs pb.HardState) {
	if index > 0 {
		meta := pb.SnapshotMetadata{Index: index, Term: 1, ConfState: h.conf}
		if err := h.disk.ApplySnapshot(pb.Snapshot{Metadata: meta}); err != nil {
			a.fail("%v", err)
		}
		h.applied = index
	}
	h.disk.SetConfState(h.conf)
	for i, term := range terms {
		e := pb.Entry{Term: term, Index: index + 1 + uint64(i)}
		if err := h.disk.Append([]pb.Entry{e}); err != nil {
			a.fail("%v", err)
		}
		hs.Term = max(hs.Term, term)
	}
	hs.Term, hs.Commit = max(hs.Term, 1), max(hs.Commit, index)
	if err := h.disk.SetHardState(hs); err != nil {
		a.fail("%v", err)
	}
}

func config(a *args) raft.Config {
	off := func(name string) bool { return a.value(name) == "off" }
	c := raft.Config{
		ElectionTick: a.int("election", 0), HeartbeatTick: a.int("heartbeat", 0),
		MaxSizePerMsg:            a.number("max-size", 0),
		MaxCommittedSizePerReady: a.number("max-committed-size", 0),
		MaxUncommittedSize:       a.number("max-uncommitted", 0),
		MaxInflightMsgs:          a.int("inflight", 0), MaxInflightBytes: a.number("inflight-bytes", 0),
		MaxPendingReads: a.int("max-reads", 0), SnapshotTicks: a.int("snapshot-ticks", 0),
		MaxClockDrift: a.int("drift", 0), SleepAfter: a.int("sleep", 0),
		DisablePreVote: off("pre-vote"), DisableCheckQuorum: off("check-quorum"),
		DisableStallCheck: off("stall-check"), DisableProposalForwarding: off("forwarding"),
		StayAfterRemoval: a.value("step-down") == "off",
	}
	if a.value("leases") == "on" {
		c.ReadOnlyOption = raft.ReadOnlyLeaseBased
	}
	return c
}

func crash(t *transcript, a *args) error {
	a.node(t).crash = true
	return nil
}

// restart starts a node from what it persisted. The state machine is as it was, or as of 'applied'.
func restart(t *transcript, a *args) error {
	h := t.host(a.id())
	h.applied = a.number("applied", h.applied)
	if a.value("leases") == "on" {
		h.cfg.ReadOnlyOption = raft.ReadOnlyLeaseBased
	}
	if err := t.start(h); err != nil {
		h.crash = true
		return err
	}
	return nil
}

func setDisk(t *transcript, a *args) error {
	h := a.node(t)
	switch how := a.word(); how {
	case "stalled":
		h.disk.stalled = true
	case "works":
		h.disk.stalled = false
	case "fails":
		h.disk.fault = errors.New("input/output error")
	case "no-snapshot":
		h.disk.unavailable = true
	case "has-snapshot":
		h.disk.unavailable = false
	default:
		a.fail("disk %q", how)
	}
	return nil
}

// takeSnapshot makes a snapshot of the state machine, and drops the log up to there.
func takeSnapshot(t *transcript, a *args) error {
	h := a.node(t)
	index := a.number("index", h.applied)
	_, cs, err := h.disk.InitialState()
	if err != nil {
		return err
	}
	for _, made := range h.confs {
		if made.Index <= index && made.Index >= cs.Index {
			cs = made
		}
	}
	snap, err := h.disk.CreateSnapshot(index, &cs, nil)
	if err != nil {
		return err
	}
	t.print("snapshot %s", describeSnapshot(snap))
	return h.disk.Compact(index)
}
