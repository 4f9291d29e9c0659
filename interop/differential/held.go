package differential

import (
	tpb "go.etcd.io/raft/v3/raftpb"

	opb "github.com/quorate-raft/raft/raftpb"
)

// Messages that wait for a write.

// heldMessage waits for a write: what ours and theirs send then, compared when it
// was handed out; either may be missing by a rule.
type heldMessage struct {
	step uint64
	beat beat
	o    *opb.Message
	t    *tpb.Message
}

// mayForgetChange reports whether a crash could make the node forget that a change
// is committed of which the heartbeat tells that the step brought.
func (m *twin) mayForgetChange() bool {
	hs, _, _ := m.od.InitialState()
	commit := m.w.cur.in.o.Commit
	return commit > hs.Commit && (m.tailSnap != nil || m.changeIn(hs.Commit, commit))
}

// splits reports whether an append of ours is a part of one of theirs, cut where
// what is durable ends.
func (w *world) splits(o *opb.Message, t *tpb.Message) bool {
	if t.Type != tpb.MsgApp || o.Type != opb.MsgApp || o.To != t.To || o.Term != t.Term || o.Commit != t.Commit || o.Index < t.Index {
		return false
	}
	cut := w.cur.m.durable()
	skip, n := o.Index-t.Index, uint64(len(o.Entries))
	if n == 0 || skip+n > uint64(len(t.Entries)) || n == uint64(len(t.Entries)) {
		return false
	}
	isHead := skip == 0 && o.LogTerm == t.LogTerm && o.Index+n == cut
	isRest := skip > 0 && o.Index == cut && skip+n == uint64(len(t.Entries))
	return (isHead || isRest) && entriesDiffer(o.Entries, t.Entries[skip:skip+n]) == ""
}

// compareHeld compares what waits for the writes that the step handed out.
func (w *world) compareHeld() error {
	c, m := &w.cur, w.cur.m
	os, ts := m.out.held, m.tout.held
	pair, taken := w.pairs(os, ts)
	for i := range os {
		o := os[i]
		h := heldMessage{step: w.step, o: &o}
		if pair[i] >= 0 {
			t := ts[pair[i]]
			h.t = &t
		}
		if o.Type == opb.MsgHeartbeatResp {
			if h.beat = c.in.beat; !m.mayForgetChange() {
				return w.fail("ours holds back %s, though it forgets no change", describe(&o))
			}
		}
		if err := w.explainOurs(&o, h.t); err != nil {
			return err
		}
		m.held = append(m.held, h)
	}
	for j := range ts {
		if taken[j] {
			continue
		}
		if err := w.explainTheirs(&ts[j], os); err != nil {
			return err
		}
		t := ts[j]
		m.held = append(m.held, heldMessage{step: w.step, t: &t})
	}
	return nil
}
