package differential

import (
	"fmt"

	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/interop/etcdraft"
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
	opWritten
	opApplied
	opKinds
)

var opNames = [...]string{
	"tick", "deliver", "deliver late", "duplicate", "drop", "campaign", "propose", "propose many", "change", "read",
	"transfer", "forget leader", "unreachable", "snapshot report", "restart", "snapshot and compact", "hostile", "written", "applied",
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
	o    opb.Message
	t    tpb.Message
	beat beat // of a heartbeat, also in its answer
}

// beat is when a heartbeat left: the step, and the sender's ticks.
type beat struct {
	step uint64
	tick int
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
	op        op
	m         *twin
	in        *item
	input     string
	before    ours.BasicStatus
	elapsed   int
	readsWait bool
	handed    uint64 // the commit index as last handed out
	oErr      error
	// hasRefusal says that the driver agrees with a refusal of ours.
	hasRefusal bool
	tErr       error
	fault      error // of what the driver does with both
	// realign names the rule by which both halves restart after the step.
	realign rule
	hasRule bool
	matches [maxMembers + 1]peerBefore
	// split tells of peers that ours sent in parts what theirs sends at once.
	split [maxMembers + 1]bool
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
	tsnap := etcdraft.FromSnapshot(&snap)
	m.td.conf, m.applied, m.synced = tsnap.Metadata.ConfState, 1, 1
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
		if it.o.To == w.settings.laggard && it.o.Type == opb.MsgApp && len(it.o.Entries) > 0 && len(w.twins[it.o.To-1].oa) > 0 {
			return nil // lost
		}
		return w.input(w.twins[it.o.To-1], &it, nil)
	case opHostile:
		return w.hostile(o)
	}
	m := w.memberFor(o)
	if m == nil {
		return nil
	}
	return w.input(m, nil, func() { w.local(m, o) })
}

// input gives m one input, lets both halves come to rest, and compares.
func (w *world) input(m *twin, it *item, local func()) error {
	c := &w.cur
	c.m, c.in = m, it
	m.out.reset()
	m.tout.reset()
	m.confChanged, m.leaving = false, nil
	c.handed = m.ohs.Commit
	c.before, c.elapsed = m.o.BasicStatus(), m.op.elapsed()
	if c.before.RaftState == ours.StateLeader {
		w.rememberPeers(m)
		c.readsWait = w.settings.lease && m.o.Status().PendingReads > 0
	}
	if it != nil {
		c.input = describe(&it.o)
		w.deliver(m, it)
	} else {
		local()
	}
	if c.fault != nil {
		return w.fail("%v", c.fault)
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
	if w.feedSession(m, it) {
		return
	}
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
			m.noteAnswer(it)
		}
	case opb.MsgTimeoutNow:
		if it.o.Term == c.before.Term && m.changeIn(c.before.Applied, c.before.Commit) {
			m.takeOver = it.o.Term
		}
	case opb.MsgHeartbeat, opb.MsgSnap:
		m.leadsOn(it)
	case opb.MsgApp:
		m.leadsOn(it)
		w.trim(m, it)
	case opb.MsgReadIndex:
		ctx := string(it.t.Entries[0].Data)
		m.copies[ctx]++
		if m.asked[ctx] == 0 {
			m.asked[ctx] = w.step // a copy asks for the same read
		}
	}
	c.oErr = m.o.Step(it.o)
	m.notePromise(it)
	if m.mustRefuse(it) {
		w.apply(promiseKept)
		return
	}
	if it.o.Type == opb.MsgPreVoteResp && !it.o.Reject && c.before.RaftState == ours.StatePreCandidate &&
		it.o.Term != c.before.Term+1 && it.o.Term >= c.before.Term && c.oErr == nil {
		w.apply(oldGrant)
		return
	}
	c.tErr = caught(func() error { return m.t.Step(it.t) })
}
