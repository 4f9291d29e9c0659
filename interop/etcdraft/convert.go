// Package etcdraft is what the tests of this module need of etcd's raft beyond its
// interface: its records as ours and back, and a few of its fields.
package etcdraft

import (
	"fmt"

	tpb "go.etcd.io/raft/v3/raftpb"

	opb "github.com/quorate-raft/raft/raftpb"
)

// Field for field: that the bytes mean the same is another test's affair.

// FromEntries returns our entries as theirs. Data is shared.
func FromEntries(ents []opb.Entry) []tpb.Entry {
	if ents == nil {
		return nil
	}
	out := make([]tpb.Entry, len(ents))
	for i := range ents {
		e := &ents[i]
		out[i] = tpb.Entry{Type: tpb.EntryType(e.Type), Term: e.Term, Index: e.Index, Data: e.Data}
	}
	return out
}

// ToEntries returns their entries as ours. Data is shared.
func ToEntries(ents []tpb.Entry) []opb.Entry {
	if ents == nil {
		return nil
	}
	out := make([]opb.Entry, len(ents))
	for i := range ents {
		e := &ents[i]
		out[i] = opb.Entry{Type: opb.EntryType(e.Type), Term: e.Term, Index: e.Index, Data: e.Data}
	}
	return out
}

// FromConf returns a configuration without what only we know of it.
func FromConf(cs *opb.ConfState) tpb.ConfState {
	return tpb.ConfState{
		Voters: cs.Voters, Learners: cs.Learners, VotersOutgoing: cs.VotersOutgoing,
		LearnersNext: cs.LearnersNext, AutoLeave: cs.AutoLeave,
	}
}

// ToConf returns their configuration as ours.
func ToConf(cs *tpb.ConfState) opb.ConfState {
	return opb.ConfState{
		Voters: cs.Voters, Learners: cs.Learners, VotersOutgoing: cs.VotersOutgoing,
		LearnersNext: cs.LearnersNext, AutoLeave: cs.AutoLeave,
	}
}

// FromChange returns a change of configuration as theirs.
func FromChange(cc opb.ConfChangeV2) tpb.ConfChangeV2 {
	out := tpb.ConfChangeV2{Transition: tpb.ConfChangeTransition(cc.Transition), Context: cc.Context}
	for _, c := range cc.Changes {
		out.Changes = append(out.Changes, tpb.ConfChangeSingle{Type: tpb.ConfChangeType(c.Type), NodeID: c.NodeID})
	}
	return out
}

// FromSnapshot returns a snapshot as theirs.
func FromSnapshot(s *opb.Snapshot) *tpb.Snapshot {
	return &tpb.Snapshot{Data: s.Data, Metadata: tpb.SnapshotMetadata{
		ConfState: FromConf(&s.Metadata.ConfState), Index: s.Metadata.Index, Term: s.Metadata.Term,
	}}
}

// ToSnapshot returns their snapshot as ours.
func ToSnapshot(s *tpb.Snapshot) *opb.Snapshot {
	return &opb.Snapshot{Data: s.Data, Metadata: opb.SnapshotMetadata{
		ConfState: ToConf(&s.Metadata.ConfState), Index: s.Metadata.Index, Term: s.Metadata.Term,
	}}
}

// FromMessage returns a message as their decoder would, without our own fields.
func FromMessage(m *opb.Message) tpb.Message {
	out := tpb.Message{
		Type: tpb.MessageType(m.Type), To: m.To, From: m.From, Term: m.Term, LogTerm: m.LogTerm, Index: m.Index,
		Entries: FromEntries(m.Entries), Commit: m.Commit, Reject: m.Reject, RejectHint: m.RejectHint,
		Context: m.Context,
	}
	if m.Snapshot != nil {
		out.Snapshot = FromSnapshot(m.Snapshot)
	}
	return out
}

// ToMessage returns a message of theirs as ours.
func ToMessage(m *tpb.Message) opb.Message {
	out := opb.Message{
		Type: opb.MessageType(m.Type), To: m.To, From: m.From, Term: m.Term, LogTerm: m.LogTerm, Index: m.Index,
		Entries: ToEntries(m.Entries), Commit: m.Commit, Reject: m.Reject, RejectHint: m.RejectHint,
		Context: m.Context,
	}
	if m.Snapshot != nil {
		out.Snapshot = ToSnapshot(m.Snapshot)
	}
	return out
}

// Quiet is a Logger for runs in which only panics count.
type Quiet struct{}

// The methods of etcd's Logger.
func (Quiet) Debug(...any)                   {}
func (Quiet) Debugf(string, ...any)          {}
func (Quiet) Error(...any)                   {}
func (Quiet) Errorf(string, ...any)          {}
func (Quiet) Info(...any)                    {}
func (Quiet) Infof(string, ...any)           {}
func (Quiet) Warning(...any)                 {}
func (Quiet) Warningf(string, ...any)        {}
func (Quiet) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (Quiet) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (Quiet) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (Quiet) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
