package differential

import (
	"encoding/binary"
	"errors"
	"fmt"

	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// opKind is a kind of input.
type opKind uint8

const (
	opTick opKind = iota
	opDeliver
	opDeliverLate
	opDuplicate
	opDrop
	opCampaign
	opPropose
	opProposeMany
	opConf
	opRead
	opTransfer
	opForget
	opUnreachable
	opSnapshotReport
	opRestart
	opCompact
	opHostile
	opKinds
)

var opNames = [...]string{
	"tick", "deliver", "deliver late", "duplicate", "drop", "campaign", "propose", "propose many", "change", "read",
	"transfer", "forget leader", "unreachable", "snapshot report", "restart", "snapshot and compact", "hostile",
}

// op is one step of a run. What a and b mean depends on the state, and any
// value means something, so that steps can be left out when a run is shortened.
type op struct {
	kind opKind
	a, b uint32
}

// item is a message on its way. Both halves of the receiver get the same one,
// but for what each implementation may write as it likes: contexts of
// heartbeats and the tokens of forwarded reads.
type item struct {
	o opb.Message
	t tpb.Message
	// beat is the step in which the heartbeat left, also in its answer.
	beat uint64
}

type world struct {
	seed     uint64
	settings settings
	twins    []*twin
	net      []item
	step     uint64
	reads    uint64
	// tokens tells what a forwarded read of ours is called by theirs.
	tokens map[string]string
	fired  *[len(ruleTable)]uint64
	cur    current
	log    *transcript
}

// current is what the step under way started from.
type current struct {
	op      op
	m       *twin
	in      *item
	input   string
	before  ours.BasicStatus
	elapsed int
	oErr    error
	// hasRefusal says that the driver agrees with a refusal of ours.
	hasRefusal bool
	tErr       error
	// realign names the rule by which both halves restart after the step.
	realign rule
	hasRule bool
	matches [maxMembers + 1]peerBefore
}

type peerBefore struct {
	match, next uint64
	pending     uint64
	state       uint8
	active      bool
	waiting     bool
	ticks       int
}

const (
	maxMembers = 6
	maxNet     = 120
)

func newWorld(seed uint64, p *plan, fired *[len(ruleTable)]uint64) (*world, error) {
	w := &world{
		seed: seed, settings: p.settings, tokens: map[string]string{}, fired: fired, log: &transcript{},
	}
	var voters, learners []uint64
	for i := range p.voters + p.learners {
		if i < p.voters {
			voters = append(voters, uint64(i+1))
		} else {
			learners = append(learners, uint64(i+1))
		}
	}
	for i := range p.members {
		m := &twin{
			w: w, id: uint64(i + 1), speaksTheirs: p.theirVoices>>i&1 == 1,
			od: ourDisk{ours.NewMemoryStorage()}, td: &theirDisk{MemoryStorage: theirs.NewMemoryStorage()},
		}
		if i < p.voters+p.learners {
			if err := m.seedDisks(voters, learners); err != nil {
				return nil, err
			}
		}
		w.twins = append(w.twins, m)
		if err := m.start(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// seedDisks writes the state that a member of a new group starts from.
func (m *twin) seedDisks(voters, learners []uint64) error {
	snap := opb.Snapshot{Metadata: opb.SnapshotMetadata{
		Index: 1, Term: 1, ConfState: opb.ConfState{Voters: voters, Learners: learners},
	}}
	if err := m.od.ApplySnapshot(snap); err != nil {
		return err
	}
	if err := m.od.SetHardState(opb.HardState{Term: 1, Commit: 1}); err != nil {
		return err
	}
	tsnap := snapshotToTheirs(&snap)
	m.td.conf, m.applied = tsnap.Metadata.ConfState, 1
	if err := m.td.ApplySnapshot(*tsnap); err != nil {
		return err
	}
	return m.td.SetHardState(tpb.HardState{Term: 1, Commit: 1})
}

// do makes one step and compares.
func (w *world) do(o op) error {
	w.step++
	w.cur = current{op: o}
	switch o.kind {
	case opDeliver, opDeliverLate, opDuplicate, opDrop:
		if len(w.net) == 0 {
			return nil
		}
		i := int(o.a) % min(len(w.net), 3)
		if o.kind != opDeliver {
			i = int(o.a) % len(w.net)
		}
		it := w.net[i]
		if o.kind != opDuplicate {
			w.net = append(w.net[:i], w.net[i+1:]...)
		}
		if o.kind == opDrop {
			return nil
		}
		if it.o.To == 0 || it.o.To > uint64(len(w.twins)) {
			return nil
		}
		return w.input(w.twins[it.o.To-1], &it, nil)
	case opHostile:
		return w.hostile(o)
	}
	m := w.twins[int(o.a)%len(w.twins)]
	return w.input(m, nil, func() { w.local(m, o) })
}

// input gives m one input, lets both halves come to rest, and compares.
func (w *world) input(m *twin, it *item, local func()) error {
	c := &w.cur
	c.m, c.in = m, it
	m.out.reset()
	m.tout.reset()
	m.confChanged = false
	c.before, c.elapsed = m.o.BasicStatus(), m.op.elapsed()
	if c.before.RaftState == ours.StateLeader {
		w.rememberPeers(m)
	}
	if it != nil {
		c.input = describe(&it.o)
		w.deliver(m, it)
	} else {
		local()
	}
	if c.tErr != nil {
		if p, ok := c.tErr.(*panicked); ok {
			return w.fail("theirs panics: %v", p.value)
		}
	}
	if err := m.drainOurs(); err != nil {
		return w.fail("ours: %v", err)
	}
	if err := m.drainTheirs(); err != nil {
		return w.fail("theirs: %v", err)
	}
	m.applied = m.o.BasicStatus().Applied
	w.log.add(w)
	return w.compare()
}

func (w *world) fail(format string, args ...any) error {
	return &Difference{Seed: w.seed, Step: w.step, What: fmt.Sprintf(format, args...)}
}

// deliver gives both halves a message.
func (w *world) deliver(m *twin, it *item) {
	c := &w.cur
	switch it.o.Type {
	case opb.MsgProp:
		w.feedProposal(m, it)
		return
	case opb.MsgVoteResp:
		if !it.o.Reject && it.o.Term >= m.grantTerm {
			if it.o.Term > m.grantTerm {
				clear(m.granted)
				m.grantTerm = it.o.Term
			}
			m.granted[it.o.From] = true
		}
	case opb.MsgHeartbeatResp:
		if it.o.Term == c.before.Term {
			m.answered[it.o.From] = max(m.answered[it.o.From], it.beat)
		}
	case opb.MsgApp:
		w.trim(m, it)
	case opb.MsgReadIndex:
		ctx := string(it.t.Entries[0].Data)
		m.copies[ctx]++
		if m.asked[ctx] == 0 {
			m.asked[ctx] = w.step // a copy asks for the same read
		}
	}
	c.oErr = m.o.Step(it.o)
	if it.o.Type == opb.MsgPreVoteResp && !it.o.Reject && c.before.RaftState == ours.StatePreCandidate &&
		it.o.Term != c.before.Term+1 && it.o.Term >= c.before.Term && c.oErr == nil {
		w.apply(oldGrant)
		return
	}
	c.tErr = caught(func() error { return m.t.Step(it.t) })
}

// local gives both halves an input of their host.
func (w *world) local(m *twin, o op) {
	c := &w.cur
	peer := w.peerOf(o)
	switch o.kind {
	case opTick:
		m.o.Tick()
		c.tErr = caught(func() error { m.t.Tick(); return nil })
	case opCampaign:
		c.oErr = m.o.Campaign()
		c.tErr = caught(m.t.Campaign)
	case opPropose:
		c.oErr = m.o.Propose(payload(o.b))
		c.tErr = caught(func() error { return m.t.Propose(payload(o.b)) })
	case opProposeMany:
		msg := opb.Message{Type: opb.MsgProp, From: m.id}
		for i := range o.b%3 + 2 {
			msg.Entries = append(msg.Entries, opb.Entry{Data: payload(o.b + i)})
		}
		w.feedProposal(m, &item{o: msg, t: messageToTheirs(&msg)})
	case opConf:
		t, data, err := opb.MarshalConfChange(w.change(o.b))
		if err != nil {
			c.oErr = err
			return
		}
		msg := opb.Message{Type: opb.MsgProp, From: m.id, Entries: []opb.Entry{{Type: t, Data: data}}}
		w.feedProposal(m, &item{o: msg, t: messageToTheirs(&msg)})
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
		if o.b%3 == 0 {
			m.forgetApplied(o.b / 3)
		}
		if err := m.start(); err != nil {
			c.tErr = &panicked{err}
			return
		}
		if o.b%5 < 2 {
			// Before the host has come to what is committed: not over a change.
			c.oErr = m.o.Campaign()
			c.tErr = caught(m.t.Campaign)
		}
	case opCompact:
		if err := m.compact(o.b); err != nil {
			c.tErr = &panicked{err}
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
	if err != nil || low >= m.applied {
		return
	}
	m.applied -= uint64(n) % (m.applied - low)
	m.td.conf = m.theirConfAt(m.applied)
}

// compact makes a snapshot at what is applied and drops some of the log.
func (m *twin) compact(n uint32) error {
	first, err := m.od.FirstIndex()
	if err != nil || m.applied < first {
		return err
	}
	if snap, err := m.od.Snapshot(); err != nil || snap.Metadata.Index >= m.applied {
		return err
	}
	// Mostly at what is applied, as hosts do; ours knows earlier configurations too.
	at := m.applied
	if snap, _ := m.od.Snapshot(); n>>16%4 == 0 {
		at -= uint64(n>>18) % (m.applied - max(snap.Metadata.Index, first-1))
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
	if err := cs.Equivalent(withMembers(confToOurs(&conf), cs.Members)); err != nil {
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
