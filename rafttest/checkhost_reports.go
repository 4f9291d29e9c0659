package rafttest

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What the host reports.

// Persisted reports that all of rd's write is durable, or, without MustSync, at
// least written. It is Saved and Synced.
func (c *HostCheck) Persisted(rd raft.Ready) {
	c.Saved(rd)
	c.Synced(rd.AppendToken())
}

// Saved reports that rd is written, or on its way to a disk that keeps the order
// of writes, with all of Snapshot, Entries and HardState. A host that writes
// several Readys at once reports each. An empty Ready needs no report.
func (c *HostCheck) Saved(rd raft.Ready) {
	n := c.enter()
	defer c.mu.Unlock()
	if n == nil || rd.AppendToken() == (raft.AppendToken{}) {
		return
	}
	r := n.tokens[rd.AppendToken()]
	switch {
	case r == nil:
		c.broke(RuleWriteAlone, "a Ready is persisted that this node did not hand out")
		return
	case n.failed != nil:
		c.broke(RuleStopAfterFailure, "Ready %d is persisted after a write failed: %v", r.seq, n.failed)
	}
	for _, before := range n.between(n.durable, r.seq-1) {
		if before.writes && !before.saved {
			c.broke(RuleWriteOrder, "Ready %d is persisted before Ready %d", r.seq, before.seq)
		}
	}
	if part := missingPart(r, rd); part != "" {
		c.broke(RuleWriteWhole, "Ready %d is persisted without its %s", r.seq, part)
	}
	r.saved = true
	n.settle()
}

// missingPart says what of r is not in rd as it was handed out, or "".
func missingPart(r *handedReady, rd raft.Ready) string {
	switch {
	case rd.HardState != r.rd.HardState:
		return "hard state"
	case rd.Snapshot.Metadata.Index != r.rd.Snapshot.Metadata.Index:
		return "snapshot"
	case len(rd.Entries) != len(r.entries):
		return "entries"
	}
	for i := range rd.Entries {
		if digestOf(&rd.Entries[i]) != r.entries[i] {
			return fmt.Sprintf("entry %d", r.rd.Entries[i].Index)
		}
	}
	return ""
}

// Synced reports that the writes of the token's Ready and of all before it that
// are saved are on the disk. What the host says is compared with Storage.
func (c *HostCheck) Synced(token raft.AppendToken) {
	c.synced(token)
	c.compareStorage()
}

func (c *HostCheck) synced(token raft.AppendToken) {
	n := c.enter()
	defer c.mu.Unlock()
	if n == nil || n.tokens[token] == nil {
		return
	}
	for _, r := range n.between(n.durable, n.tokens[token].seq) {
		r.synced = r.synced || r.saved
	}
	n.settle()
}

// Failed reports that a write of the host failed. The host must neither repeat
// nor acknowledge it.
func (c *HostCheck) Failed(err error) {
	n := c.enter()
	defer c.mu.Unlock()
	if n != nil && n.failed == nil && err != nil {
		n.failed = err
	}
}

// Sent reports that m goes to the transport. Report it when it is handed over,
// even if the transport sends a copy later. To send a message twice is
// harmless. The data of a snapshot may be another one.
func (c *HostCheck) Sent(m pb.Message) {
	n := c.enter()
	defer c.mu.Unlock()
	if n == nil {
		return
	}
	d := digestMessage(m)
	if c.former != nil && len(n.messages[d]) == 0 {
		n = c.former // it left late
	}
	hm, again := n.message(d)
	switch {
	case again:
		return
	case hm == nil:
		c.broke(RuleSendUnchanged, "a %v message to %d is sent that no Ready holds: %v", m.Type, m.To, m)
		return
	}
	hm.sent = true
	n.lastSent[hm.route] = max(n.lastSent[hm.route], hm.of.seq)
	c.sent[hm.route.promise] = true
	if hm.allowed(n) {
		return
	}
	switch own := hm.of.settled(); {
	case n.failed != nil:
		c.broke(RuleStopAfterFailure, "%v of Ready %d is sent, a write failed: %v", m.Type, hm.of.seq, n.failed)
	case own:
		c.broke(RulePromiseAfterEarlierWrites, "%v of Ready %d is sent, the write of an earlier Ready is not durable", m.Type, hm.of.seq)
	default:
		c.broke(RulePromiseAfterWrite, "%v of Ready %d is sent, its write is not durable", m.Type, hm.of.seq)
	}
}

// Dropped reports that the host loses m on purpose, as a queue is full or nobody
// knows the peer's address.
func (c *HostCheck) Dropped(m pb.Message) {
	n := c.enter()
	defer c.mu.Unlock()
	if n == nil {
		return
	}
	if hm, _ := n.message(digestMessage(m)); hm != nil {
		hm.sent = true
	}
}

// remember notes the messages of r.
func (n *watchedNode) remember(r *handedReady, msgs []pb.Message, promise bool) {
	for i := range msgs {
		m := &handedMessage{of: r, digest: digestMessage(msgs[i]), typ: msgs[i].Type, route: route{msgs[i].To, promise}}
		r.messages = append(r.messages, m)
		n.messages[m.digest] = append(n.messages[m.digest], m)
	}
}

// message returns the message that leaves now, of all that are alike: the
// oldest one that has not left. again says that it is one that left before.
func (n *watchedNode) message(d digest) (m *handedMessage, again bool) {
	for _, m = range n.messages[d] {
		if !m.sent && (m.allowed(n) || !again) {
			return m, false
		}
		again = again || m.sent
	}
	return nil, again
}

// allowed reports whether it may leave.
func (m *handedMessage) allowed(n *watchedNode) bool {
	return !m.route.promise || m.of.seq <= n.durable
}

func (n *watchedNode) dropMessage(m *handedMessage) {
	// Lists are in the order of the Readys, and those are dropped in order.
	if n.messages[m.digest] = n.messages[m.digest][1:]; len(n.messages[m.digest]) == 0 {
		delete(n.messages, m.digest)
	}
}

// judgeSent judges that all messages of r that may leave have, or were dropped.
func (c *HostCheck) judgeSent(n *watchedNode, r *handedReady) {
	for _, m := range r.messages {
		if !m.sent && m.allowed(n) {
			c.unsent(m)
		}
	}
}

// judgeSkipped judges, of a host that stopped, only what it cannot have had
// waiting: messages after which others to the same peer left, or of which none
// ever left.
func (c *HostCheck) judgeSkipped(n *watchedNode, r *handedReady) {
	for _, m := range r.messages {
		if !m.sent && m.allowed(n) && (n.lastSent[m.route] > r.seq || !c.sent[m.route.promise]) {
			c.unsent(m)
		}
	}
}

func (c *HostCheck) unsent(m *handedMessage) {
	rule, what := RuleSendMessages, "Messages"
	if m.route.promise {
		rule, what = RuleSendPromises, "MessagesAfterAppend"
	}
	c.broke(rule, "%v to %d, in %s of Ready %d, was not sent", m.typ, m.route.to, what, m.of.seq)
}

// Applied reports that the state machine holds e: every entry, also an empty one
// or a change of configuration.
func (c *HostCheck) Applied(e pb.Entry) {
	n := c.enter()
	defer c.mu.Unlock()
	if n != nil {
		c.judgeApplied(n, e)
	} else if c.node != nil {
		c.node.apply.high = max(c.node.apply.high, e.Index)
	}
}

// Restored reports that the state machine holds the snapshot of a Ready.
func (c *HostCheck) Restored(s pb.Snapshot) {
	n := c.enter()
	defer c.mu.Unlock()
	index := s.Metadata.Index
	if n == nil {
		if c.node != nil {
			c.node.apply.high = max(c.node.apply.high, index)
		}
		return
	}
	found := false
	for _, it := range n.apply.waiting {
		if !it.snapshot || it.index != index {
			continue
		}
		found = true
		if it.of.seq > n.durable {
			c.broke(RuleRestoreAfterWrite, "the snapshot of %d is restored before it is durable", index)
		}
	}
	if !found {
		c.broke(RuleApplyHandedOut, "a snapshot of %d is restored, it was not handed out", index)
	}
	n.apply.restored(index)
}

// Recovered reports, before the new node is made, that the state machine came
// back from a crash with everything up to index i. Without it the state machine
// counts as lost: it holds the snapshot in Storage, or nothing.
func (c *HostCheck) Recovered(i uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recovered = &i
}

// Served reports that a read from ReadStates is answered.
func (c *HostCheck) Served(rs raft.ReadState) {
	n := c.enter()
	defer c.mu.Unlock()
	if n == nil {
		return
	}
	key := readKey(rs)
	if !n.reads[key] && (c.former == nil || !c.former.reads[key]) {
		c.broke(RuleReadConfirmed, "read %q is served at %d, no Ready says so", rs.RequestCtx, rs.Index)
	}
	if applied := n.apply.reached(); applied < rs.Index {
		c.broke(RuleReadAfterApply, "read %q of index %d is served, applied is %d", rs.RequestCtx, rs.Index, applied)
	}
	n.served[string(rs.RequestCtx)] = true
}

func readKey(rs raft.ReadState) string { return fmt.Sprintf("%d %s", rs.Index, rs.RequestCtx) }

// SnapshotTaken reports that the host stored a snapshot of its state machine.
// Only the metadata counts.
func (c *HostCheck) SnapshotTaken(s pb.Snapshot) {
	n := c.enter()
	defer c.mu.Unlock()
	if n == nil {
		return
	}
	meta := &s.Metadata
	if applied := n.apply.reached(); meta.Index > applied {
		c.broke(RuleSnapshotApplied, "a snapshot of %d is taken, applied is %d", meta.Index, applied)
	}
	c.judgeConf(n, meta.Index, meta.ConfState, "a snapshot")
	n.snapshot = max(n.snapshot, meta.Index)
}

// ConfStateSaved reports that the host stored what ApplyConfChange returned, or
// Ready.CommittedConf.
func (c *HostCheck) ConfStateSaved(cs pb.ConfState) {
	n := c.enter()
	defer c.mu.Unlock()
	if n != nil && cs.Index != 0 {
		c.judgeStored(n, cs)
	}
}

// Compacted reports that the log was dropped up to and including entry i.
func (c *HostCheck) Compacted(i uint64) {
	n := c.enter()
	c.mu.Unlock()
	if n == nil {
		return
	}
	snap, err := n.storage.Snapshot()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.node == n && !n.dead && !c.finished {
		c.judgeCompaction(n, i, storageView{snapshot: snap.Metadata.Index, hasSnapshot: err == nil})
	}
}
