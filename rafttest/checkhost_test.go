package rafttest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// recorder is a test that does not fail but remembers why.
type recorder struct {
	testing.TB
	faults []string
}

func (r *recorder) Helper()        {}
func (r *recorder) Cleanup(func()) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func rulesOf(vs []rafttest.HostViolation) []rafttest.HostRule {
	var rules []rafttest.HostRule
	for _, v := range vs {
		rules = append(rules, v.Rule)
	}
	return rules
}

// A host that keeps the contract is never accused, whether it does one thing
// after the other or overlaps them, drives a RawNode or a Node, and whether its
// state machine survives crashes or not (docs/host-contract.md).
func TestCorrectHosts(t *testing.T) {
	for name, start := range map[string]func(env *rafttest.HostEnv) (rafttest.Host, error){
		"synchronous":                        syncHosts(false, nil),
		"synchronous, durable state machine": syncHosts(true, nil),
		"acknowledging parts": syncHosts(true, func(h *syncHost) {
			h.steps = []func(raft.Ready){h.sendMessages, h.persist, h.sendPromises, h.keepReads, h.ackAppend, h.restoreAndApply, h.ackApply, h.serveKept}
		}),
		"only reporting": syncHosts(true, (*syncHost).reportOnly),
		"bringing snapshots its own way": syncHosts(false, func(h *syncHost) {
			h.send = func(m pb.Message) {
				if m.Snapshot != nil {
					m.Snapshot = &pb.Snapshot{Metadata: m.Snapshot.Metadata}
				}
				h.env.Send(m)
			}
		}),
		"pipelined": pipelinedHosts(),
		"node":      nodeHosts(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rafttest.ExerciseHost(t, start)
		})
	}
}

// With OnAppend a host need not call ApplyConfChange, nor store a configuration: the
// node finds it in the snapshot and the log, and has it for each snapshot. It may
// also call as it would otherwise, or store what a Ready says is committed with what
// the Ready has to write (docs/host-contract.md).
func TestCorrectHostsOnAppend(t *testing.T) {
	for name, start := range map[string]func(env *rafttest.HostEnv) (rafttest.Host, error){
		"calls ApplyConfChange":              syncHosts(false, nil),
		"calls it, a durable state machine":  syncHosts(true, nil),
		"calls it, pipelined":                pipelinedHosts(),
		"calls it, a Node":                   nodeHosts(),
		"does not":                           syncHosts(false, (*syncHost).ignoreConfChanges),
		"does not, a durable state machine":  syncHosts(true, (*syncHost).ignoreConfChanges),
		"stores what is committed":           syncHosts(false, (*syncHost).storeCommitted),
		"stores it, a durable state machine": syncHosts(true, (*syncHost).storeCommitted),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rafttest.ExerciseHost(t, start, onAppend)
		})
	}
}

func onAppend(c *raft.Config) { c.ConfChangeEffect = raft.OnAppend }

func (h *syncHost) ignoreConfChanges() { h.changeConf = func(pb.Entry, pb.ConfChangeI) {} }

func (h *syncHost) storeCommitted() {
	h.ignoreConfChanges()
	save := h.save
	h.save = func(rd raft.Ready) error {
		err := save(rd)
		if err == nil && rd.CommittedConf != nil {
			h.keepConf(rd.CommittedConf)
		}
		return err
	}
}

// With OnAppend the configuration of a snapshot is judged all the same, and a change
// that took effect already cannot be refused.
func TestBrokenHostsOnAppend(t *testing.T) {
	for _, broken := range []brokenHost{
		{name: "a snapshot has the first configuration", rule: rafttest.RuleConfOfIndex, spoil: func(h *syncHost) {
			h.ignoreConfChanges()
			h.snapshot = func() {
				first := pb.ConfState{Voters: []uint64{1, 2, 3}, ConfChangeEffect: raft.OnAppend}
				if h.storage.CreateSnapshot(h.machine.applied, first, []byte("state")) == nil {
					_ = h.storage.Compact(h.machine.applied)
				}
			}
		}},
		{name: "a change is refused", rule: rafttest.RuleConfChangeOrder, spoil: func(h *syncHost) {
			h.changeConf = func(_ pb.Entry, cc pb.ConfChangeI) {
				refused := cc.AsV2()
				refused.Changes = slices.Clone(refused.Changes)
				for i := range refused.Changes {
					refused.Changes[i].NodeID = 0
				}
				h.rn.ApplyConfChange(refused)
			}
		}},
		{name: "calls ApplyConfChange twice", rule: rafttest.RuleConfChangeOrder, spoil: func(h *syncHost) {
			h.changeConf = func(_ pb.Entry, cc pb.ConfChangeI) {
				h.rn.ApplyConfChange(cc)
				h.keepConf(h.rn.ApplyConfChange(cc))
			}
		}},
		{name: "stores the active configuration for the committed one", rule: rafttest.RuleConfOfIndex, spoil: func(h *syncHost) {
			h.ignoreConfChanges()
			save := h.save
			h.save = func(rd raft.Ready) error {
				err := save(rd)
				if err == nil && rd.ActiveConf != nil {
					h.keepConf(rd.ActiveConf)
				}
				return err
			}
		}},
	} {
		t.Run(broken.name, func(t *testing.T) {
			r := &recorder{TB: t}
			check := rafttest.ExerciseHost(r, syncHosts(broken.durable, broken.spoil), onAppend)
			require.Equal(t, []rafttest.HostRule{broken.rule}, rulesOf(check.Violations()), "%v", r.faults)
		})
	}
}

// reportOnly has the host report all that it does by itself.
func (h *syncHost) reportOnly() {
	h.storage = h.disk
	h.save = func(rd raft.Ready) error {
		err := h.disk.Save(rd)
		h.check.Persisted(rd)
		return err
	}
	h.apply = func(e pb.Entry) {
		h.machine.applied = e.Index
		h.check.Applied(e)
	}
	h.restore = func(s pb.Snapshot) {
		h.hold(s)
		h.check.Restored(s)
	}
	compact := h.snapshot
	h.snapshot = func() {
		compact()
		if snap, err := h.disk.Snapshot(); err == nil && snap.Metadata.Index > 0 {
			h.check.SnapshotTaken(snap)
			h.check.Compacted(snap.Metadata.Index)
		}
	}
}

// A host that does one thing wrong is caught by the name of the rule that it
// breaks (docs/host-contract.md).
func TestBrokenHosts(t *testing.T) {
	for _, broken := range brokenHosts {
		t.Run(broken.name, func(t *testing.T) {
			r := &recorder{TB: t}
			check := rafttest.ExerciseHost(r, syncHosts(broken.durable, broken.spoil))
			found := rulesOf(check.Violations())
			require.Contains(t, found, broken.rule, "%v", r.faults)
			for _, rule := range found {
				require.True(t, rule == broken.rule || slices.Contains(broken.also, rule), "%v", r.faults)
			}
		})
	}
}
