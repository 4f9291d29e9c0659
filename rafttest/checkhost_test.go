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
