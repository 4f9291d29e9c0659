package rafttest_test

import (
	"math"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// brokenHost is a host with one fault, and the rule that it breaks.
type brokenHost struct {
	name string
	rule rafttest.HostRule
	// also are rules that the fault breaks besides.
	also    []rafttest.HostRule
	durable bool // the state machine survives crashes
	spoil   func(h *syncHost)
}

var brokenHosts = slices.Concat(brokenWriters, brokenSenders, brokenAppliers, brokenStarters)

type also = []rafttest.HostRule

// withCopies runs steps on a copy of rd that outlives its acknowledgement.
func (h *syncHost) withCopies(steps ...func(rd raft.Ready)) []func(rd raft.Ready) {
	return []func(raft.Ready){func(rd raft.Ready) {
		rd.Messages, rd.MessagesAfterAppend = slices.Clone(rd.Messages), slices.Clone(rd.MessagesAfterAppend)
		rd.ReadStates = slices.Clone(rd.ReadStates)
		for _, step := range steps {
			if !h.down {
				step(rd)
			}
		}
	}}
}

// hasConfChange reports whether a change of configuration is to be applied.
func hasConfChange(ents []pb.Entry) bool {
	return slices.ContainsFunc(ents, func(e pb.Entry) bool { return e.Type != pb.EntryNormal })
}

var brokenWriters = []brokenHost{
	{name: "acknowledges before it writes", rule: rafttest.RuleAckAfterWrite, spoil: func(h *syncHost) {
		h.steps = h.withCopies(h.sendMessages, h.ackAppend, h.persist, h.sendPromises, h.restoreAndApply, h.ackApply, h.keepReads, h.serveKept)
	}},
	{name: "acknowledges before the disk is synced", rule: rafttest.RuleMustSync, spoil: func(h *syncHost) {
		h.steps = h.withCopies(h.sendMessages, func(rd raft.Ready) {
			h.down = h.disk.Save(rd) != nil
			h.check.Saved(rd)
			h.ackAppend(rd)
			h.check.Synced(rd.AppendToken())
		}, h.sendPromises, h.restoreAndApply, h.ackApply, h.keepReads, h.serveKept)
	}},
	{name: "never syncs", rule: rafttest.RuleMustSync, also: also{rafttest.RulePromiseAfterWrite}, spoil: func(h *syncHost) {
		h.save = func(rd raft.Ready) error {
			h.check.Saved(rd)
			return h.disk.Save(rd)
		}
	}},
	{name: "leaves out the hard state", rule: rafttest.RuleWriteWhole, also: also{rafttest.RuleRestartKeepsWrites}, spoil: func(h *syncHost) {
		h.save = func(rd raft.Ready) error {
			rd.HardState = pb.HardState{}
			return h.storage.Save(rd)
		}
	}},
	{name: "leaves out the last entry", rule: rafttest.RuleWriteWhole, spoil: func(h *syncHost) {
		h.save = func(rd raft.Ready) error {
			rd.Entries = rd.Entries[:max(1, len(rd.Entries))-1]
			return h.storage.Save(rd)
		}
	}},
	{name: "says that it wrote the hard state", rule: rafttest.RuleWriteWhole, also: also{rafttest.RuleRestartKeepsWrites}, spoil: func(h *syncHost) {
		h.save = func(rd raft.Ready) error {
			all := rd
			rd.HardState = pb.HardState{}
			err := h.disk.Save(rd)
			h.check.Persisted(all)
			return err
		}
	}},
	{name: "leaves out a received snapshot", rule: rafttest.RuleWriteWhole, spoil: func(h *syncHost) {
		h.save = func(rd raft.Ready) error {
			all := rd
			rd.Snapshot = pb.Snapshot{}
			err := h.disk.Save(rd)
			h.check.Persisted(all)
			return err
		}
	}},
	{name: "writes a later Ready first", rule: rafttest.RuleWriteOrder, spoil: (*syncHost).reverseWrites},
	{name: "writes on after a failure", rule: rafttest.RuleStopAfterFailure, also: also{rafttest.RuleWriteOrder}, spoil: func(h *syncHost) {
		h.steps[1] = func(rd raft.Ready) { _ = h.save(rd) }
	}},
	{name: "tries a failed write again", rule: rafttest.RuleStopAfterFailure, spoil: func(h *syncHost) {
		h.save = func(rd raft.Ready) error {
			if h.storage.Save(rd) == nil {
				return nil
			}
			return h.storage.Save(rd)
		}
	}},
	{name: "compacts what is not applied", rule: rafttest.RuleCompactApplied, also: also{rafttest.RuleSnapshotApplied}, spoil: func(h *syncHost) {
		h.snapshot = func() {
			last, _ := h.storage.LastIndex()
			h.compactTo(last)
		}
	}},
	{name: "compacts without a snapshot", rule: rafttest.RuleCompactCovered, spoil: func(h *syncHost) {
		h.snapshot = func() { _ = h.storage.Compact(h.machine.applied) }
	}},
	{name: "compacts unseen without a snapshot", rule: rafttest.RuleCompactCovered, spoil: func(h *syncHost) {
		h.snapshot = func() { _ = h.disk.Compact(h.machine.applied) }
	}},
	{name: "puts the first configuration into every snapshot", rule: rafttest.RuleConfOfIndex, spoil: func(h *syncHost) {
		h.snapshot = func() {
			h.machine.conf = pb.ConfState{Voters: []uint64{1, 2, 3}}
			if h.storage.CreateSnapshot(h.machine.applied, h.machine.conf, nil) == nil {
				_ = h.storage.Compact(h.machine.applied)
			}
		}
	}},
}

// reverseWrites keeps a write of entries until the next Ready, and, if that has
// none, does it after that one's.
func (h *syncHost) reverseWrites() {
	var kept *raft.Ready
	steps := h.steps
	run := func(rd raft.Ready, steps []func(raft.Ready)) {
		for _, step := range steps {
			if !h.down {
				step(rd)
			}
		}
	}
	h.steps = []func(raft.Ready){func(rd raft.Ready) {
		switch {
		case kept == nil && len(rd.Entries) > 0 && len(rd.CommittedEntries) == 0:
			kept = &rd
			h.sendMessages(rd)
		case kept == nil:
			run(rd, steps)
		default:
			first := *kept
			kept = nil
			if len(rd.Entries) > 0 || !raft.IsEmptySnap(rd.Snapshot) {
				run(first, []func(raft.Ready){h.persist})
				run(rd, []func(raft.Ready){h.persist})
			} else {
				run(rd, []func(raft.Ready){h.persist})
				run(first, []func(raft.Ready){h.persist})
			}
			run(first, []func(raft.Ready){h.sendPromises})
			run(rd, []func(raft.Ready){h.sendMessages, h.sendPromises, h.keepReads, h.restoreAndApply, h.serveKept, h.advance})
		}
	}}
	tick := h.tick
	h.tick = func() {
		if kept != nil { // nothing else came
			first := *kept
			kept = nil
			run(first, steps[1:])
		}
		tick()
	}
}

var brokenSenders = []brokenHost{
	{name: "sends promises before it writes", rule: rafttest.RulePromiseAfterWrite, spoil: func(h *syncHost) {
		h.steps[1], h.steps[2] = h.steps[2], h.steps[1]
	}},
	{name: "forgets messages", rule: rafttest.RuleSendMessages, spoil: func(h *syncHost) {
		h.steps[0] = func(raft.Ready) {}
	}},
	{name: "forgets promises", rule: rafttest.RuleSendPromises, spoil: func(h *syncHost) {
		h.steps[2] = func(raft.Ready) {}
	}},
	{name: "forgets promises and acknowledges parts", rule: rafttest.RuleSendPromises, spoil: func(h *syncHost) {
		h.steps = []func(raft.Ready){h.sendMessages, h.persist, h.keepReads, h.ackAppend, h.restoreAndApply, h.serveKept, h.ackApply}
	}},
	{name: "changes messages", rule: rafttest.RuleSendUnchanged, also: also{rafttest.RuleSendMessages, rafttest.RuleSendPromises}, spoil: func(h *syncHost) {
		h.send = func(m pb.Message) {
			m.Commit++
			h.env.Send(m)
		}
	}},
	{name: "keeps messages without copying them", rule: rafttest.RuleSendUnchanged, spoil: func(h *syncHost) {
		h.steps = []func(raft.Ready){h.persist, h.keepReads, h.ackAppend, h.sendMessages, h.restoreAndApply, h.serveKept, h.ackApply}
	}, also: also{rafttest.RuleSendMessages, rafttest.RuleSendPromises}},
}

var brokenAppliers = []brokenHost{
	{name: "applies an entry twice", rule: rafttest.RuleApplyOnce, spoil: func(h *syncHost) {
		h.apply = twice(h.apply)
	}},
	{name: "applies backwards", rule: rafttest.RuleApplyOrder, spoil: func(h *syncHost) {
		h.applyAll = func(ents []pb.Entry) {
			if !hasConfChange(ents) {
				ents = slices.Clone(ents)
				slices.Reverse(ents)
			}
			for _, e := range ents {
				h.applyOne(e)
			}
			if len(ents) > 0 {
				h.machine.applied = max(ents[0].Index, ents[len(ents)-1].Index)
			}
		}
	}},
	{name: "leaves out an entry", rule: rafttest.RuleApplyEach, spoil: func(h *syncHost) {
		h.applyAll = func(ents []pb.Entry) {
			for i, e := range ents {
				if i != 1 || len(ents) == 2 || e.Type != pb.EntryNormal {
					h.applyOne(e)
				}
			}
		}
	}},
	{name: "leaves out empty entries", rule: rafttest.RuleAckAfterApply, also: also{rafttest.RuleApplyEach}, spoil: func(h *syncHost) {
		apply := h.apply
		h.apply = func(e pb.Entry) {
			if len(e.Data) > 0 {
				apply(e)
			}
		}
	}},
	{name: "applies what is not committed", rule: rafttest.RuleApplyHandedOut,
		also: also{rafttest.RuleSnapshotApplied, rafttest.RuleCompactApplied, rafttest.RuleReadAfterApply}, spoil: func(h *syncHost) {
			h.steps[4] = func(rd raft.Ready) {
				h.restoreAndApply(rd)
				for _, e := range rd.Entries {
					if e.Type == pb.EntryNormal {
						h.apply(e)
					}
				}
			}
		}},
	{name: "acknowledges before it applies", rule: rafttest.RuleAckAfterApply, spoil: func(h *syncHost) {
		h.steps = h.withCopies(h.sendMessages, h.persist, h.sendPromises, h.ackAppend, func(rd raft.Ready) {
			if hasConfChange(rd.CommittedEntries) || !raft.IsEmptySnap(rd.Snapshot) {
				h.restoreAndApply(rd)
				h.ackApply(rd)
				return
			}
			h.ackApply(rd)
			h.restoreAndApply(rd)
		}, h.keepReads, h.serveKept)
	}},
	{name: "changes entries", rule: rafttest.RuleEntriesUnchanged, spoil: func(h *syncHost) {
		h.apply = spoiling(h.apply)
	}, also: also{rafttest.RuleRestartKeepsWrites, rafttest.RuleWriteWhole}},
	{name: "forgets ApplyConfChange", rule: rafttest.RuleConfChangeApplied, spoil: func(h *syncHost) {
		h.changeConf = func(pb.Entry, pb.ConfChangeI) {}
	}},
	{name: "calls ApplyConfChange too late", rule: rafttest.RuleConfChangeApplied, also: also{rafttest.RuleConfChangeOrder}, spoil: func(h *syncHost) {
		var late []pb.ConfChangeI
		h.changeConf = func(_ pb.Entry, cc pb.ConfChangeI) { late = append(late, cc) }
		h.steps = append(h.steps, func(raft.Ready) {
			for _, cc := range late {
				h.machine.conf = *h.rn.ApplyConfChange(cc)
			}
			late = nil
		})
	}},
	{name: "calls ApplyConfChange twice", rule: rafttest.RuleConfChangeOrder, spoil: func(h *syncHost) {
		h.changeConf = func(_ pb.Entry, cc pb.ConfChangeI) {
			h.rn.ApplyConfChange(cc)
			h.keepConf(h.rn.ApplyConfChange(cc))
		}
	}},
	{name: "makes another change effective", rule: rafttest.RuleConfChangeOrder, spoil: func(h *syncHost) {
		h.changeConf = func(pb.Entry, pb.ConfChangeI) {
			h.keepConf(h.rn.ApplyConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 9}))
		}
	}},
	{name: "does not restore a snapshot", rule: rafttest.RuleRestoreSnapshot, spoil: func(h *syncHost) {
		h.restore = func(pb.Snapshot) {}
	}},
	{name: "restores a snapshot before it is written", rule: rafttest.RuleRestoreAfterWrite, spoil: func(h *syncHost) {
		h.steps = []func(raft.Ready){h.sendMessages, h.restoreAndApply, h.persist, h.sendPromises, h.keepReads, h.serveKept, h.advance}
	}},
	{name: "serves a read before its index is applied", rule: rafttest.RuleReadAfterApply, spoil: func(h *syncHost) {
		h.serve = func() {
			for _, rs := range h.waiting {
				h.check.Served(rs)
			}
			h.waiting = nil
		}
	}},
	{name: "serves a read without asking", rule: rafttest.RuleReadConfirmed, spoil: func(h *syncHost) {
		h.readIndex = func(rctx []byte) {
			h.check.Served(raft.ReadState{Index: h.machine.applied, RequestCtx: rctx})
		}
	}},
}

func twice(apply func(pb.Entry)) func(pb.Entry) {
	return func(e pb.Entry) {
		apply(e)
		apply(e)
	}
}

// spoiling writes into the data of entries.
func spoiling(apply func(pb.Entry)) func(pb.Entry) {
	return func(e pb.Entry) {
		apply(e)
		if e.Type == pb.EntryNormal && len(e.Data) > 0 {
			e.Data[0] ^= 1
		}
	}
}

var brokenStarters = []brokenHost{
	{name: "acknowledges a write of its former life", rule: rafttest.RuleAckOwn, spoil: func(h *syncHost) {
		h.started = func() {
			if h.before != nil {
				_ = h.rn.AckAppend(h.before.last)
			}
		}
	}},
	{name: "acknowledges what was not handed out", rule: rafttest.RuleAckOwn, spoil: func(h *syncHost) {
		h.started = func() { _ = h.rn.AckApply(math.MaxInt64) }
	}},
	{name: "says that all that is committed is applied", rule: rafttest.RuleRestartAppliedTooHigh, spoil: func(h *syncHost) {
		h.configure = func(cfg *raft.Config) {
			hs, _, _ := h.storage.InitialState()
			cfg.Applied = hs.Commit
		}
	}},
	{name: "forgets what is applied", rule: rafttest.RuleRestartAppliedTooLow, durable: true, spoil: func(h *syncHost) {
		h.configure = func(cfg *raft.Config) { cfg.Applied = 0 }
	}},
	{name: "loses its disk", rule: rafttest.RuleRestartKeepsWrites, spoil: func(h *syncHost) {
		if h.before != nil {
			h.disk = rafttest.Memory(raft.NewMemoryStorage())
			h.storage = h.check.Storage(h.disk)
		}
	}},
	{name: "goes on with its former node", rule: rafttest.RuleWriteAlone, spoil: func(h *syncHost) {
		h.started = func() {
			if h.before != nil {
				for range 30 {
					h.before.rn.Tick()
				}
				h.before.rn.Ready()
			}
		}
	}},
}
