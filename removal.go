package raft

import pb "github.com/quorate-raft/raft/raftpb"

// Removal is the word of a member that a node is no member any more.
type Removal struct {
	// By is the member that said so, Index the index of a committed configuration
	// without the node, later than any that the node knows.
	By, Index uint64
}

// tellRemoved answers a request for votes of a node that was removed, beside what
// else is said to it: it may never hear from the log that it was (dissertation
// §4.2.3). One that this node does not know yet, as it was added later, finds the
// index too old.
func (r *raft) tellRemoved(m *pb.Message) {
	if m.Session == 0 || r.conf.index == 0 || r.conf.index > r.log.committed || r.conf.pos(m.From) >= 0 || r.conf.pos(r.id) < 0 {
		return
	}
	told := r.message(pb.MsgRemoved, m.From)
	told.Term, told.Index, told.Session = 0, r.conf.index, m.Session
}

// noticeRemoved notes for the host that a member says that this node was removed. It
// changes nothing else: the word may be wrong. Of each member the latest word counts,
// and of strangers, who were not asked, none.
//
// With OnAppend a node asks for votes by a configuration that need not be committed.
// If that which added it comes to nothing, one that lacks it is committed later, and
// the sender of the word cannot tell: but the node was never a member, and may be
// added yet. So it must know of a committed configuration that had it. One that was
// added, and does not know that this was committed, is not told.
func (r *raft) noticeRemoved(m *pb.Message) {
	if m.Session != r.session || m.Index <= r.conf.index || r.conf.pos(m.From) < 0 {
		return
	}
	if r.onAppend() && !r.conf.atOrOldest(r.log.committed).cfg.Contains(r.id) {
		return
	}
	for i := range r.removed {
		if w := &r.removed[i]; w.By == m.From {
			w.Index = max(w.Index, m.Index)
			return
		}
	}
	r.removed = append(r.removed, Removal{By: m.From, Index: m.Index})
}
