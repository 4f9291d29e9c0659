package mixed

import (
	"errors"
	"slices"

	"go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/interop/etcdraft"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// A Ready of etcd's in our terms, and what its acknowledgements set free.

func (n *node) HasReady() bool {
	if !n.async && (len(n.handed) > 0 || len(n.applying) > 0) {
		return len(n.committed) > 0 && len(n.handed) == 0
	}
	return n.RawNode.HasReady()
}

// Ready returns what etcd's Ready says, in our terms.
func (n *node) Ready() ours.Ready {
	if !n.HasReady() {
		panic("mixed: Ready was asked for and there is none")
	}
	if len(n.committed) > 0 {
		return n.writtenReady()
	}
	rd := n.RawNode.Ready()
	out := ours.Ready{
		HardState: opb.HardState{Term: rd.Term, Vote: rd.Vote, Commit: rd.Commit},
		Entries:   etcdraft.ToEntries(rd.Entries),
		MustSync:  rd.MustSync,
	}
	committed := etcdraft.ToEntries(rd.CommittedEntries)
	if n.async {
		out.CommittedEntries = committed
	} else {
		n.committed = committed
	}
	if n.unsaid != (opb.HardState{}) && out.HardState == (opb.HardState{}) {
		out.HardState, out.MustSync = n.unsaid, true
	}
	n.unsaid = opb.HardState{}
	for _, rs := range rd.ReadStates {
		out.ReadStates = append(out.ReadStates, ours.ReadState{Index: rs.Index, RequestCtx: rs.RequestCtx})
	}
	var h handed
	if k := len(rd.Entries); k > 0 {
		h.last = rd.Entries[k-1].Index
		n.durable = min(n.durable, rd.Entries[0].Index-1)
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		out.Snapshot, out.MustSync = *etcdraft.ToSnapshot(&rd.Snapshot), true
		cs := out.Snapshot.Metadata.ConfState
		cs.Index = out.Snapshot.Metadata.Index
		h.last = cs.Index
		n.received = cs.Index
		n.hasConf(cs)
	}
	for i := range rd.CommittedEntries {
		if e := &rd.CommittedEntries[i]; e.Type != tpb.EntryNormal {
			n.changes = append(n.changes, e.Index)
		}
	}
	n.route(&rd, &out, &h)
	n.handed = append(n.handed, h)
	return out
}

// route sorts the messages of a Ready: who gets them, and when.
func (n *node) route(rd *raft.Ready, out *ours.Ready, h *handed) {
	leads := n.RawNode.BasicStatus().RaftState == raft.StateLeader
	for i := range rd.Messages {
		m := &rd.Messages[i]
		switch {
		case m.To == raft.LocalAppendThread:
			// Durable before its answers are delivered; without any it need not be.
			out.MustSync = out.MustSync || len(m.Responses) > 0
			for j := range m.Responses {
				if r := &m.Responses[j]; r.To == n.id {
					h.steps = append(h.steps, *r)
				} else {
					out.MessagesAfterAppend = append(out.MessagesAfterAppend, etcdraft.ToMessage(r))
				}
			}
		case m.To == raft.LocalApplyThread:
			n.applying = append(n.applying, applying{m.Entries[len(m.Entries)-1].Index, m.Responses[0]})
		case n.async || leads && !afterWrite(m.Type):
			// A leader may send while it writes, says the documentation of Ready.
			out.Messages = append(out.Messages, etcdraft.ToMessage(m))
		default:
			out.MessagesAfterAppend = append(out.MessagesAfterAppend, etcdraft.ToMessage(m))
		}
	}
	if n.async {
		return
	}
	n.ready = rd
	if k := len(rd.CommittedEntries); k > 0 {
		n.applying = append(n.applying, applying{last: rd.CommittedEntries[k-1].Index})
	} else if !raft.IsEmptySnap(rd.Snapshot) {
		n.applying = append(n.applying, applying{last: rd.Snapshot.Metadata.Index})
	}
}

// writtenReady hands out the committed entries of a Ready that is written: some may
// be its own, and a host that writes synchronously applies them afterwards.
func (n *node) writtenReady() ours.Ready {
	out := ours.Ready{CommittedEntries: n.committed}
	n.committed = nil
	n.handed = append(n.handed, handed{})
	return out
}

// afterWrite reports whether a message rests on what was written, whoever sends it.
func afterWrite(t tpb.MessageType) bool {
	return t == tpb.MsgAppResp || t == tpb.MsgVote || t == tpb.MsgVoteResp || t == tpb.MsgPreVoteResp
}

func (n *node) AckAppend(readys uint64) error {
	defer n.draw()
	for ; n.acked < readys; n.acked++ {
		h := &n.handed[0]
		if h.last > 0 {
			n.durable = h.last
		}
		for _, m := range h.steps {
			// It may be no member any more.
			if err := n.RawNode.Step(m); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) {
				return err
			}
		}
		n.handed = slices.Delete(n.handed, 0, 1)
	}
	n.advance()
	return nil
}

func (n *node) AckApply(index uint64) error {
	defer n.draw()
	for len(n.applying) > 0 && n.applying[0].last <= index {
		a := n.applying[0]
		n.applying = slices.Delete(n.applying, 0, 1)
		if !n.async {
			continue
		}
		if err := n.RawNode.Step(a.step); err != nil {
			return err
		}
	}
	n.advance()
	return nil
}

// advance acknowledges the Ready of a host that writes synchronously, once it is
// written and applied.
func (n *node) advance() {
	if n.ready != nil && len(n.handed) == 0 && len(n.applying) == 0 {
		n.RawNode.Advance(*n.ready)
		n.ready = nil
	}
}
