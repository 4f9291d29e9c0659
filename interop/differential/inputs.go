package differential

import (
	"encoding/binary"
	"errors"
	"fmt"

	theirs "go.etcd.io/raft/v3"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/interop/etcdraft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// memberFor returns the member that an op is for: some member, or one that has
// something under way which the op finishes, if there is one.
func (w *world) memberFor(o op) *twin {
	if o.kind != opWritten && o.kind != opApplied {
		return w.twins[int(o.a)%len(w.twins)]
	}
	for i := range w.twins {
		m := w.twins[(int(o.a)+i)%len(w.twins)]
		if o.kind == opWritten && len(m.ow)+len(m.tw) > 0 || o.kind == opApplied && len(m.oa)+len(m.ta) > 0 {
			return m
		}
	}
	return nil
}

func (w *world) campaign(m *twin) {
	c := &w.cur
	refuses := m.mustNotCampaign()
	c.oErr = m.o.Campaign()
	if refuses {
		w.apply(promiseKept)
		return
	}
	c.tErr = caught(m.t.Campaign)
}

// leadsOn notes a word of the leader after that to take over.
func (m *twin) leadsOn(it *item) {
	if it.o.Term >= m.takeOver {
		m.takeOver = 0
	}
}

// local gives both halves an input of their host.
func (w *world) local(m *twin, o op) {
	c := &w.cur
	peer := w.peerOf(o)
	switch o.kind {
	case opTick:
		m.ticks++
		m.promised = max(0, m.promised-1)
		m.o.Tick()
		c.tErr = caught(func() error { m.t.Tick(); return nil })
	case opCampaign:
		w.campaign(m)
	case opPropose:
		c.oErr = m.o.Propose(payload(o.b))
		c.tErr = caught(func() error { return m.t.Propose(payload(o.b)) })
	case opProposeMany:
		msg := opb.Message{Type: opb.MsgProp, From: m.id}
		for i := range o.b%3 + 2 {
			msg.Entries = append(msg.Entries, opb.Entry{Data: payload(o.b + i)})
		}
		w.feedProposal(m, &item{o: msg, t: etcdraft.FromMessage(&msg)})
	case opConf:
		t, data, err := opb.MarshalConfChange(w.change(o.b))
		if err != nil {
			c.oErr = err
			return
		}
		msg := opb.Message{Type: opb.MsgProp, From: m.id, Entries: []opb.Entry{{Type: t, Data: data}}}
		w.feedProposal(m, &item{o: msg, t: etcdraft.FromMessage(&msg)})
	case opRead:
		w.reads++
		ctx := binary.BigEndian.AppendUint64(nil, w.reads)
		m.asked[string(ctx)] = w.step
		if c.oErr = m.o.ReadIndex(ctx); c.oErr == nil && c.before.RaftState != ours.StateLeader {
			m.forwards[string(ctx)] = new(int)
		}
		c.tErr = caught(func() error { m.t.ReadIndex(ctx); return nil })
	case opTransfer:
		c.oErr = m.o.TransferLeader(peer)
		c.tErr = caught(func() error { m.t.TransferLeader(peer); return nil })
	case opForget:
		c.oErr = m.o.ForgetLeader()
		c.tErr = caught(m.t.ForgetLeader)
	case opUnreachable:
		c.oErr = m.o.ReportUnreachable(peer)
		c.tErr = caught(func() error { m.t.ReportUnreachable(peer); return nil })
	case opSnapshotReport:
		ok, status := ours.SnapshotFinish, theirs.SnapshotFinish
		if o.b>>8&1 == 1 {
			ok, status = ours.SnapshotFailure, theirs.SnapshotFailure
		}
		c.oErr = m.o.ReportSnapshot(peer, ok)
		c.tErr = caught(func() error { m.t.ReportSnapshot(peer, status); return nil })
	case opRestart:
		var err error
		if w.settings.async || w.settings.loseCommit {
			err = m.crash(o.b >> 8)
		}
		if o.b%3 == 0 {
			m.forgetApplied(o.b / 3)
		}
		if err == nil {
			err = m.start()
		}
		if err != nil {
			c.fault = err
			return
		}
		if o.b%5 < 2 {
			// Before the host has come to what is committed: not over a change.
			w.campaign(m)
		}
	case opCompact:
		if err := m.compact(o.b); err != nil {
			c.fault = err
		}
	case opWritten:
		err := m.foreign(o.b)
		if err == nil {
			err = m.written(o.b)
		}
		if err != nil {
			c.fault = err
		}
	case opApplied:
		if m.id == w.settings.laggard && o.b%16 != 0 {
			return
		}
		if err := m.appliedSome(o.b); err != nil {
			c.fault = err
		}
	}
}

// peerOf returns the member that an op is about.
func (w *world) peerOf(o op) uint64 { return uint64(o.b)%uint64(len(w.twins)) + 1 }

func payload(n uint32) []byte {
	data := make([]byte, n%24)
	for i := range data {
		data[i] = byte(n >> (8 * (i % 4)))
	}
	return data
}

// forgetApplied is a state machine that lost some of what it had applied. Ours
// keeps the newest configuration all the same, as its contract says; theirs
// wants that of the applied index.
func (m *twin) forgetApplied(n uint32) {
	first, err := m.od.FirstIndex()
	low := max(first-1, m.tConfs[0].index)
	if m.w.settings.async {
		snap, _ := m.od.Snapshot()
		low = max(low, snap.Metadata.Index) // our storage has no configuration of before
	}
	if err != nil || low >= m.applied {
		return
	}
	m.applied -= uint64(n) % (m.applied - low)
	if m.w.settings.async {
		m.confOfApplied()
		return
	}
	m.td.conf = m.theirConfAt(m.applied)
}

// compact makes a snapshot at what is applied and drops some of the log.
func (m *twin) compact(n uint32) error {
	first, err := m.od.FirstIndex()
	if err != nil {
		return err
	}
	hs, _, err := m.od.InitialState()
	if err != nil {
		return err
	}
	// Mostly at what is applied, as hosts do; ours knows earlier configurations too.
	at := min(m.applied, hs.Commit)
	if at < first || m.tailSnap != nil {
		return nil
	}
	if snap, err := m.od.Snapshot(); err != nil || snap.Metadata.Index >= at {
		return err
	}
	m.sync()
	if snap, _ := m.od.Snapshot(); n>>16%4 == 0 {
		at -= uint64(n>>18) % (at - max(snap.Metadata.Index, first-1))
	}
	cs, err := m.o.ConfStateAt(at)
	if errors.Is(err, ours.ErrCompacted) && at < m.applied {
		return nil // from before a restart
	}
	if err != nil {
		return fmt.Errorf("configuration at %d: %w", at, err)
	}
	if at < m.tConfs[0].index {
		return nil // both began anew since, and theirs has forgotten
	}
	conf := m.theirConfAt(at)
	if err := cs.Equivalent(withMembers(etcdraft.ToConf(&conf), cs.Members)); err != nil {
		return fmt.Errorf("configuration at %d: %w", at, err)
	}
	if _, err := m.od.CreateSnapshot(at, cs, nil); err != nil {
		return err
	}
	if _, err := m.td.CreateSnapshot(at, &conf, nil); err != nil {
		return err
	}
	if at < first {
		return nil
	}
	to := first + uint64(n)%(at-first+1)
	if err := m.od.Compact(to); err != nil {
		return err
	}
	return m.td.Compact(to)
}

// change is some change of configuration.
func (w *world) change(n uint32) opb.ConfChangeI {
	single := func(n uint32) opb.ConfChangeSingle {
		kinds := [...]opb.ConfChangeType{
			opb.ConfChangeAddNode, opb.ConfChangeAddNode, opb.ConfChangeAddLearnerNode, opb.ConfChangeRemoveNode,
			opb.ConfChangeRemoveNode, opb.ConfChangeUpdateNode,
		}
		return opb.ConfChangeSingle{Type: kinds[n%6], NodeID: uint64(n/6)%uint64(len(w.twins)) + 1}
	}
	switch n % 8 {
	case 0, 1, 2:
		s := single(n / 8)
		return opb.ConfChange{Type: s.Type, NodeID: s.NodeID}
	case 3, 4:
		return opb.ConfChangeV2{} // leaves a joint configuration
	}
	cc := opb.ConfChangeV2{Transition: opb.ConfChangeTransition(n / 8 % 3)}
	for i := range n/24%3 + 1 {
		cc.Changes = append(cc.Changes, single(n/72>>(6*i)))
	}
	return cc
}
