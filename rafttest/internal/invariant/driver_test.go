package invariant

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// testDisk holds what was synced, and nothing else: RawNode keeps the rest.
type testDisk struct{ *raft.MemoryStorage }

func (d *testDisk) Durable() (pb.HardState, uint64, uint64) {
	hs, _, _ := d.InitialState()
	first, _ := d.FirstIndex()
	last, _ := d.LastIndex()
	return hs, first - 1, last
}

func (d *testDisk) DurableTerm(i uint64) (uint64, bool) {
	t, err := d.Term(i)
	return t, err == nil
}

// host is a node with its disk and what is under way between them.
type host struct {
	id, life uint64
	rn       *raft.RawNode
	disk     *testDisk
	writes   []raft.Ready // to be synced
	applies  []raft.Ready // to be applied
	promises []pb.Message // may leave

	applied, state uint64 // of the state machine, which survives
}

// group is some hosts, a network and the checker that sees it all.
type group struct {
	t     *testing.T
	rnd   *rand.Rand
	c     *Checker
	hosts []*host
	net   []pb.Message
	key   uint64
	lease bool
	calm  int        // faults come up to so many times more seldom
	alone uint64     // is cut off, 0 if nobody is
	v     *Violation // the first
}

const (
	testBase     = 5
	testBaseTerm = 2
)

// newGroup starts voters 1 to n.
func newGroup(t *testing.T, n int, seed uint64) *group {
	g := &group{t: t, rnd: rand.New(rand.NewPCG(seed, 1))}
	var cs pb.ConfState
	for id := range uint64(n) {
		cs.Voters = append(cs.Voters, id+1)
	}
	// Nobody keeps clocks together here.
	g.c = New(Options{Base: testBase, BaseTerm: testBaseTerm, Conf: cs, Drifting: true})
	for id := range uint64(n) {
		g.add(id+1, &cs)
	}
	return g
}

// add makes a host; without a configuration it joins.
func (g *group) add(id uint64, cs *pb.ConfState) *host {
	h := &host{id: id, disk: &testDisk{raft.NewMemoryStorage()}}
	if cs != nil {
		require.NoError(g.t, h.disk.ApplySnapshot(pb.Snapshot{
			Data: make([]byte, 8), Metadata: pb.SnapshotMetadata{Index: testBase, Term: testBaseTerm, ConfState: *cs},
		}))
		h.applied = testBase
	}
	g.hosts = append(g.hosts, h)
	g.start(h)
	return h
}

func (g *group) start(h *host) {
	h.life++
	h.writes, h.applies, h.promises = nil, nil, nil
	cfg := &raft.Config{
		ID: h.id, Storage: h.disk, Applied: h.applied, MaxSizePerMsg: 64, MaxInflightMsgs: 4,
		ElectionTick: 10, HeartbeatTick: 2, SnapshotTicks: 20,
		Rand: rand.NewPCG(g.rnd.Uint64(), h.life),
	}
	if g.lease {
		cfg.ReadOnlyOption = raft.ReadOnlyLeaseBased
	}
	rn, err := raft.NewRawNode(cfg)
	require.NoError(g.t, err)
	h.rn = rn
	g.note(g.c.Start(h.id, h.life, rn, h.disk, h.applied))
}

// note keeps the first violation.
func (g *group) note(v *Violation) {
	if g.v == nil {
		g.v = v
	}
}

func (g *group) host(id uint64) *host {
	for _, h := range g.hosts {
		if h.id == id {
			return h
		}
	}
	return nil
}

// input is one input to a node, with the checker around it.
func (g *group) input(h *host, in *pb.Message, f func() error) error {
	g.c.Before(h.id, in)
	err := f()
	g.note(g.c.After(h.id, in, err))
	return err
}

func (g *group) deliver(m pb.Message) {
	h := g.host(m.To)
	if h == nil || h.rn == nil {
		return
	}
	err := g.input(h, &m, func() error { return h.rn.Step(m) })
	if m.Type == pb.MsgProp {
		g.note(g.c.Proposed(h.id, err))
	}
}

func (g *group) send(h *host, msgs []pb.Message, promise bool) {
	for i := range msgs {
		m := msgs[i]
		g.note(g.c.Leaves(h.id, &m, promise))
		g.net = append(g.net, m)
	}
}

// ready takes a Ready and sends what may be sent at once.
func (g *group) ready(h *host) bool {
	if !h.rn.HasReady() {
		return false
	}
	rd := h.rn.Ready()
	g.note(g.c.Ready(h.id, &rd))
	if rd.IsEmpty() {
		return false // a snapshot that cannot be had
	}
	g.send(h, rd.Messages, false)
	for _, rs := range rd.ReadStates {
		g.note(g.c.ReadReady(h.id, binary.BigEndian.Uint64(rs.RequestCtx), rs.Index))
	}
	h.writes = append(h.writes, rd)
	h.applies = append(h.applies, rd)
	return true
}

// sync writes the oldest Ready, sends its promises and acknowledges it.
func (g *group) sync(h *host) bool {
	if len(h.writes) == 0 {
		return false
	}
	rd := h.writes[0]
	h.writes = h.writes[1:]
	g.write(h, &rd)
	g.send(h, rd.MessagesAfterAppend, true)
	require.NoError(g.t, g.input(h, nil, func() error { return h.rn.AckAppend(rd.AppendToken()) }))
	return true
}

func (g *group) write(h *host, rd *raft.Ready) {
	if !raft.IsEmptySnap(rd.Snapshot) {
		require.NoError(g.t, h.disk.ApplySnapshot(rd.Snapshot))
	}
	require.NoError(g.t, h.disk.Append(rd.Entries))
	if !raft.IsEmptyHardState(rd.HardState) {
		require.NoError(g.t, h.disk.SetHardState(rd.HardState))
	}
	g.note(g.c.Synced(h.id))
}

// apply applies the oldest Ready; a snapshot has to be durable first.
func (g *group) apply(h *host) bool {
	if len(h.applies) == 0 {
		return false
	}
	rd := h.applies[0]
	if meta := &rd.Snapshot.Metadata; meta.Index != 0 {
		if len(h.writes) >= len(h.applies) {
			return false
		}
		if meta.Index > h.applied {
			g.note(g.c.Restore(h.id, meta))
			h.applied, h.state = meta.Index, binary.BigEndian.Uint64(rd.Snapshot.Data)
			g.note(g.c.State(h.id, h.state))
		}
	}
	h.applies = h.applies[1:]
	for i := range rd.CommittedEntries {
		g.applyEntry(h, &rd.CommittedEntries[i])
	}
	if i := rd.AppliedIndex(); i != 0 {
		require.NoError(g.t, g.input(h, nil, func() error { return h.rn.AckApply(i) }))
	}
	return true
}

func (g *group) applyEntry(h *host, e *pb.Entry) {
	g.note(g.c.Apply(h.id, e))
	h.applied, h.state = e.Index, Fold(h.state, e)
	if !isConf(e) {
		return
	}
	cc, err := pb.UnmarshalConfChange(*e)
	require.NoError(g.t, err)
	cs := h.rn.ApplyConfChange(cc)
	g.note(g.c.ConfApplied(h.id, e.Index, cs))
	h.disk.SetConfState(*cs)
}

// crash loses what was not synced, and starts the node again.
func (g *group) crash(h *host, keepApplied bool) {
	g.c.Down(h.id)
	h.rn = nil
	if snap, _ := h.disk.Snapshot(); !keepApplied || h.applied < snap.Metadata.Index {
		// The state machine is that of the snapshot.
		h.applied, h.state = snap.Metadata.Index, 0
		if h.applied > 0 {
			h.state = binary.BigEndian.Uint64(snap.Data)
		}
	}
	g.start(h)
}

// snapshot takes a snapshot of what is applied and compacts behind it.
func (g *group) snapshot(h *host) {
	_, base, last := h.disk.Durable()
	if h.applied <= base || h.applied > last || h.rn.BasicStatus().Applied < h.applied {
		return
	}
	cs, err := h.rn.ConfStateAt(h.applied)
	if err != nil {
		return
	}
	snap, err := h.disk.CreateSnapshot(h.applied, cs, binary.BigEndian.AppendUint64(nil, h.state))
	if err != nil {
		return
	}
	g.note(g.c.SnapshotTaken(h.id, &snap.Metadata))
	require.NoError(g.t, h.disk.Compact(h.applied-g.rnd.Uint64N(h.applied-base)))
}

// settle handles everything that is under way until nothing moves.
func (g *group) settle() {
	for range 1000 {
		moved := false
		for _, h := range g.hosts {
			for h.rn != nil && (g.ready(h) || g.sync(h) || g.apply(h)) {
				moved = true
			}
		}
		msgs := g.net
		g.net = nil
		for _, m := range msgs {
			g.deliver(m)
			moved = true
		}
		if !moved {
			return
		}
	}
	g.t.Fatal("the group does not come to rest")
}

func (g *group) tick(h *host) {
	_ = g.input(h, nil, func() error { g.c.Tick(h.id, 10); h.rn.Tick(); return nil })
}

// elect makes a host campaign and everything that follows.
func (g *group) elect(id uint64) *host {
	h := g.host(id)
	_ = g.input(h, nil, h.rn.Campaign)
	g.settle()
	require.Equal(g.t, raft.StateLeader, h.rn.BasicStatus().RaftState)
	return h
}

func (g *group) propose(h *host, data string) {
	err := g.input(h, nil, func() error { return h.rn.Propose([]byte(data)) })
	g.note(g.c.Proposed(h.id, err))
}

func (g *group) proposeConf(h *host, cc pb.ConfChangeI) {
	err := g.input(h, nil, func() error { return h.rn.ProposeConfChange(cc) })
	g.note(g.c.Proposed(h.id, err))
}

func (g *group) read(h *host) {
	g.key++
	g.c.ReadAsked(h.id, g.key)
	_ = g.input(h, nil, func() error { return h.rn.ReadIndex(binary.BigEndian.AppendUint64(nil, g.key)) })
}

func (g *group) leaseRead(h *host) {
	if i, err := h.rn.LeaseRead(); err == nil {
		g.note(g.c.LeaseRead(h.id, i))
	}
}

// step does one thing at random.
func (g *group) step() {
	h := g.hosts[g.rnd.IntN(len(g.hosts))]
	switch n := g.rnd.IntN(1000); {
	case n < 350 && len(g.net) > 0:
		g.network()
	case n < 480:
		g.tick(h)
	case n < 700:
		g.ready(h)
	case n < 830:
		g.sync(h)
	case n < 930:
		g.apply(h)
	case n < 960:
		for range 1 + g.rnd.IntN(3) {
			g.propose(h, string(make([]byte, g.rnd.IntN(20))))
		}
	case n < 970:
		g.proposeConf(h, g.change())
	case n < 985:
		g.read(h)
		g.leaseRead(h)
	case n < 997 && g.calm > 0 && g.rnd.IntN(g.calm+1) > 0:
		if len(g.net) > 0 {
			g.network()
		}
	case n < 988:
		to := g.hosts[g.rnd.IntN(len(g.hosts))].id
		_ = g.input(h, nil, func() error { return h.rn.TransferLeader(to) })
	case n < 993:
		g.snapshot(h)
	case n < 997:
		g.crash(h, g.rnd.IntN(2) == 0)
	case n < 998:
		_ = g.input(h, nil, h.rn.Campaign)
		if g.alone = 0; g.rnd.IntN(2) == 0 {
			g.alone = h.id
		}
	case n < 999:
		g.replace(h)
	default:
		g.c.Prune()
	}
}

// network delivers, loses, repeats or delays a message.
func (g *group) network() {
	i := g.rnd.IntN(min(len(g.net), 8))
	m := g.net[i]
	n := g.rnd.IntN(100 * (g.calm + 1))
	if n >= 5 {
		g.net = slices.Delete(g.net, i, i+1)
	}
	if m.From == g.alone || m.To == g.alone {
		return
	}
	if n >= 8 || n < 5 {
		g.deliver(m)
	}
	if len(g.net) > 2000 {
		g.net = g.net[1000:]
	}
}

// change makes up a change of membership.
func (g *group) change() pb.ConfChangeI {
	id := func() uint64 { return g.hosts[g.rnd.IntN(len(g.hosts))].id }
	kind := func() pb.ConfChangeType { return pb.ConfChangeType(g.rnd.IntN(4)) }
	switch g.rnd.IntN(4) {
	case 0:
		return nil
	case 1:
		return pb.ConfChange{Type: kind(), NodeID: id()}
	case 2:
		return pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: id()}
	}
	return pb.ConfChangeV2{
		Transition: pb.ConfChangeTransition(g.rnd.IntN(3)),
		Changes:    []pb.ConfChangeSingle{{Type: kind(), NodeID: id()}, {Type: pb.ConfChangeAddNode, NodeID: id()}},
	}
}

// replace destroys a host that is no member, and has a new one join.
func (g *group) replace(h *host) {
	cs, _ := g.c.ConfAt(g.c.Committed())
	for _, ids := range [][]uint64{cs.Voters, cs.VotersOutgoing, cs.Learners} {
		if slices.Contains(ids, h.id) {
			return
		}
	}
	if h.disk.empty() {
		return // it has yet to join
	}
	g.c.Forget(h.id)
	g.hosts = slices.DeleteFunc(g.hosts, func(o *host) bool { return o == h })
	g.net = slices.DeleteFunc(g.net, func(m pb.Message) bool { return m.To == h.id })
	next := uint64(0)
	for _, o := range g.hosts {
		next = max(next, o.id)
	}
	g.add(max(next, h.id)+1, nil)
}

func (d *testDisk) empty() bool {
	_, _, last := d.Durable()
	return last == 0
}
