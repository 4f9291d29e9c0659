package differential

import (
	tpb "go.etcd.io/raft/v3/raftpb"

	opb "github.com/quorate-raft/raft/raftpb"
)

// Field for field: that the bytes mean the same is another test's affair.

func entriesToTheirs(ents []opb.Entry) []tpb.Entry {
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

func entriesToOurs(ents []tpb.Entry) []opb.Entry {
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

func confToTheirs(cs *opb.ConfState) tpb.ConfState {
	return tpb.ConfState{
		Voters: cs.Voters, Learners: cs.Learners, VotersOutgoing: cs.VotersOutgoing,
		LearnersNext: cs.LearnersNext, AutoLeave: cs.AutoLeave,
	}
}

func confToOurs(cs *tpb.ConfState) opb.ConfState {
	return opb.ConfState{
		Voters: cs.Voters, Learners: cs.Learners, VotersOutgoing: cs.VotersOutgoing,
		LearnersNext: cs.LearnersNext, AutoLeave: cs.AutoLeave,
	}
}

func snapshotToTheirs(s *opb.Snapshot) *tpb.Snapshot {
	return &tpb.Snapshot{Data: s.Data, Metadata: tpb.SnapshotMetadata{
		ConfState: confToTheirs(&s.Metadata.ConfState), Index: s.Metadata.Index, Term: s.Metadata.Term,
	}}
}

func snapshotToOurs(s *tpb.Snapshot) *opb.Snapshot {
	return &opb.Snapshot{Data: s.Data, Metadata: opb.SnapshotMetadata{
		ConfState: confToOurs(&s.Metadata.ConfState), Index: s.Metadata.Index, Term: s.Metadata.Term,
	}}
}

func messageToTheirs(m *opb.Message) tpb.Message {
	out := tpb.Message{
		Type: tpb.MessageType(m.Type), To: m.To, From: m.From, Term: m.Term, LogTerm: m.LogTerm, Index: m.Index,
		Entries: entriesToTheirs(m.Entries), Commit: m.Commit, Reject: m.Reject, RejectHint: m.RejectHint,
		Context: m.Context,
	}
	if m.Snapshot != nil {
		out.Snapshot = snapshotToTheirs(m.Snapshot)
	}
	return out
}

func messageToOurs(m *tpb.Message) opb.Message {
	out := opb.Message{
		Type: opb.MessageType(m.Type), To: m.To, From: m.From, Term: m.Term, LogTerm: m.LogTerm, Index: m.Index,
		Entries: entriesToOurs(m.Entries), Commit: m.Commit, Reject: m.Reject, RejectHint: m.RejectHint,
		Context: m.Context,
	}
	if m.Snapshot != nil {
		out.Snapshot = snapshotToOurs(m.Snapshot)
	}
	return out
}
