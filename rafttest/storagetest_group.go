package rafttest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// group is three nodes, each with a storage of its own, that handle one Ready at
// a time. Its state machine is the list of what was proposed.
type group struct {
	p       *probe
	members [3]*storageMember
	network []pb.Message
	cut     uint64 // a node that nothing reaches, or 0
	starts  uint64
	count   int // of proposals
}

type storageMember struct {
	id     uint64
	medium StorageMedium
	s      Storage
	node   *raft.RawNode
	// The state machine, which outlives the node.
	values  []string
	applied uint64
}

// What the parts of a storage are for: nodes elect, replicate, compact, bring
// each other up to date with a snapshot, and go on after restarts.
func checkGroup(p *probe) {
	g := &group{p: p}
	for i := range g.members {
		m := &storageMember{id: uint64(i + 1), applied: 1, medium: p.factory()}
		var err error
		m.s, err = m.medium.Open()
		p.must("open", err)
		g.members[i] = m
		// A group begins as if with a snapshot that all its members have.
		p.must("save", m.s.Save(raft.Ready{Snapshot: snapshotAt(1, 1, voters(1, 1, 2, 3)), MustSync: true}))
		g.start(m)
	}
	defer g.close()
	g.elect(1)
	g.propose(1, 10)
	g.must("change", g.members[0].node.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 4}))
	g.settle()
	g.agree("after the first proposals")

	g.cut = 3
	g.propose(1, 10)
	for _, m := range g.members[:2] {
		cs, err := m.node.ConfStateAt(m.applied)
		g.must("ConfStateAt", err)
		g.must("CreateSnapshot", m.s.CreateSnapshot(m.applied, *cs, []byte(strings.Join(m.values, ","))))
		(&probe{s: m.s}).snapshot() // it may take its time
		g.must("Compact", m.s.Compact(m.applied))
	}
	g.cut = 0
	g.propose(1, 1)
	g.agree("after a snapshot was sent")
	if first, err := g.members[2].s.FirstIndex(); err != nil || first < 10 {
		p.failf("node 3 was brought up to date without a snapshot: its log begins at %d, %v", first, err)
	}

	for _, leader := range []uint64{2, 3, 1} {
		for _, m := range g.members {
			g.restart(m)
		}
		g.elect(leader)
		g.propose(leader, 5)
		g.agree(fmt.Sprint("after a restart, led by ", leader))
	}
}

// agree fails unless all nodes applied all proposals.
func (g *group) agree(when string) {
	for _, m := range g.members {
		if len(m.values) != g.count || !slices.Equal(m.values, g.members[0].values) {
			g.p.failf("%s: node %d applied %v, node 1 %v, want %d", when, m.id, m.values, g.members[0].values, g.count)
		}
		_, cs, err := m.s.InitialState()
		g.must("InitialState", err)
		if want := (pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}); cs.Equivalent(want) != nil {
			g.p.failf("%s: node %d stores the configuration {%v}, want {%v}", when, m.id, &cs, &want)
		}
	}
}

func (g *group) must(what string, err error) { g.p.must(what, err) }

func (g *group) start(m *storageMember) {
	g.starts++
	node, err := raft.NewRawNode(&raft.Config{ID: m.id, Storage: m.s, Applied: m.applied, Rand: rand.NewPCG(g.starts, m.id)})
	g.must(fmt.Sprintf("start of node %d", m.id), err)
	m.node = node
}

// restart ends a node, as hard as its medium can, and starts it on what is left.
func (g *group) restart(m *storageMember) {
	switch {
	case m.medium.Crash != nil:
		m.medium.Crash(m.s)
	case m.medium.Close != nil:
		g.must("close", m.medium.Close(m.s))
	}
	if m.medium.Crash != nil || m.medium.Close != nil {
		s, err := m.medium.Open()
		g.must("open", err)
		m.s = s
	}
	g.start(m)
}

func (g *group) close() {
	for _, m := range g.members {
		if m.medium.Close != nil {
			_ = m.medium.Close(m.s) // a failed check closes what it can
		}
	}
}

func (g *group) elect(id uint64) {
	m := g.members[id-1]
	g.must("campaign", m.node.Campaign())
	g.settle()
	if m.node.BasicStatus().RaftState != raft.StateLeader {
		g.p.failf("node %d was not elected: %v", id, m.node.Explain())
	}
}

func (g *group) propose(leader uint64, n int) {
	for range n {
		g.count++
		g.must("propose", g.members[leader-1].node.Propose(fmt.Append(nil, g.count)))
		g.settle()
	}
	// Heartbeats probe who was away, and ask again for a snapshot.
	for range 3 {
		for _, m := range g.members {
			m.node.Tick()
		}
		g.settle()
	}
}

// settle handles and delivers until nothing is left to do.
func (g *group) settle() {
	for range 1000 {
		busy := len(g.network) > 0
		for _, m := range g.members {
			for m.node.HasReady() {
				busy = true
				g.handle(m)
			}
			g.must(fmt.Sprintf("node %d", m.id), m.node.Err())
		}
		if !busy {
			return
		}
		sent := g.network
		g.network = nil
		for _, msg := range sent {
			if msg.To <= 3 && msg.To != g.cut && msg.From != g.cut {
				_ = g.members[msg.To-1].node.Step(msg) // a refused message is like one that got lost
			}
		}
	}
	g.p.failf("the group does not come to rest")
}

func (g *group) handle(m *storageMember) {
	rd := m.node.Ready()
	g.network = append(g.network, rd.Messages...)
	g.must(fmt.Sprintf("node %d: Save(%s)", m.id, describeReady(rd)), m.s.Save(rd))
	g.network = append(g.network, rd.MessagesAfterAppend...)
	if !raft.IsEmptySnap(rd.Snapshot) {
		m.values = strings.Split(string(rd.Snapshot.Data), ",")
	}
	for _, e := range rd.CommittedEntries {
		if e.Type == pb.EntryNormal {
			if len(e.Data) > 0 {
				m.values = append(m.values, string(e.Data))
			}
			continue
		}
		cc, err := pb.UnmarshalConfChange(e)
		g.must("configuration entry", err)
		g.must("SetConfState", m.s.SetConfState(*m.node.ApplyConfChange(cc)))
	}
	m.applied = max(m.applied, rd.AppliedIndex())
	g.must("Advance", m.node.Advance(rd))
}
