package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// disguised is the library's own node as one of another implementation.
type disguised struct {
	*raft.RawNode
	tokens []raft.AppendToken
}

func (d *disguised) Ready() raft.Ready {
	rd := d.RawNode.Ready()
	d.tokens = append(d.tokens, rd.AppendToken())
	return rd
}

// AckAppend passes over Readys that turned out to be empty, which have no token.
func (d *disguised) AckAppend(readys uint64) error {
	for ; readys > 0; readys-- {
		if token := d.tokens[readys-1]; token != (raft.AppendToken{}) {
			return d.RawNode.AckAppend(token)
		}
	}
	return nil
}

func disguise(c *raft.Config) (Foreign, error) {
	rn, err := raft.NewRawNode(c)
	return &disguised{RawNode: rn}, err
}

// A group with nodes of another implementation is run as any other, and has to
// recover too; the library's own passes for one.
func TestForeign(t *testing.T) {
	var all Stats
	for seed := range uint64(60) {
		o := Options{Seed: seed, Faults: bearableByForeign, NewForeign: func(c *raft.Config) (Foreign, error) {
			if c.ID%2 == 0 {
				return nil, nil
			}
			return disguise(c)
		}}
		r := Run(o)
		if r.Violation != nil {
			t.Errorf("seed %d: %v", seed, r.Violation)
		}
		require.Equal(t, r, Run(o))
		all.Add(&r.Stats)
	}
	for _, n := range []uint64{all.Commits, all.ConfChanges, all.Snapshots, all.Transfers, all.Crashes} {
		require.NotZero(t, n)
	}
}

// broken breaks a Ready of a foreign node.
type broken struct {
	Foreign
	ready func(rd *raft.Ready)
}

func (b broken) Ready() raft.Ready {
	rd := b.Foreign.Ready()
	b.ready(&rd)
	return rd
}

// lostConf applies changes of configuration and says that it did not.
type lostConf struct{ Foreign }

func (l lostConf) ApplyConfChange(cc pb.ConfChangeI) *pb.ConfState {
	cs := l.Foreign.ApplyConfChange(cc)
	cs.Voters = cs.Voters[:len(cs.Voters)-1]
	return cs
}

// What is safe is the same for foreign nodes, so what breaks it is found.
func TestForeignIsJudged(t *testing.T) {
	ready := func(f func(rd *raft.Ready)) func(Foreign) Foreign {
		return func(n Foreign) Foreign { return broken{n, f} }
	}
	for name, test := range map[string]struct {
		wrap  func(Foreign) Foreign
		rules []string
	}{
		"promises before the write": {ready(func(rd *raft.Ready) {
			rd.Messages = append(rd.Messages, rd.MessagesAfterAppend...)
			rd.MessagesAfterAppend = nil
		}), []string{"S8"}},
		"forgets entries": {ready(func(rd *raft.Ready) {
			if k := len(rd.Entries); k > 1 {
				rd.Entries = rd.Entries[:k-1]
			}
		}), []string{"S8", "S18", "S20"}},
		"forgets its vote":     {ready(func(rd *raft.Ready) { rd.HardState.Vote = 0 }), []string{"S7", "S8"}},
		"applies twice":        {ready(func(rd *raft.Ready) { rd.CommittedEntries = append(rd.CommittedEntries, rd.CommittedEntries...) }), []string{"S18", "S5"}},
		"other configurations": {func(n Foreign) Foreign { return lostConf{n} }, []string{"S11a"}},
		"an old read": {ready(func(rd *raft.Ready) {
			for i := range rd.ReadStates {
				rd.ReadStates[i].Index = 1
			}
		}), []string{"S14"}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				r := Run(Options{Seed: seed, Steps: 3000, Faults: bearableByForeign, NewForeign: func(c *raft.Config) (Foreign, error) {
					f, err := disguise(c)
					return test.wrap(f), err
				}})
				if r.Violation != nil {
					require.Contains(t, test.rules, r.Violation.Rule, "%v", r.Violation)
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}

// Faults that others do not claim to bear are refused.
func TestForeignFaults(t *testing.T) {
	o := Options{Faults: All, NewForeign: disguise}
	require.ErrorContains(t, o.Validate(), "NewForeign")
	o.Faults = bearableByForeign
	require.NoError(t, o.Validate())
}
