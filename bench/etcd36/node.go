package etcd36

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/bench/core"
)

// node is a RawNode with a host that does one thing after the other; with async, as AsyncStorageWrites has it.
type node struct {
	rn    *raft.RawNode
	id    uint64
	log   *hostLog
	count core.Count
	leads bool
	async bool
	held  []pb.Message // for the node's own storage
}

func (n *node) Tick()                     { n.rn.Tick() }
func (n *node) Campaign() error           { return n.rn.Campaign() }
func (n *node) Propose(data []byte) error { return n.rn.Propose(data) }
func (n *node) Step(m *pb.Message) error  { return n.rn.Step(*m) }
func (n *node) Leads() bool               { return n.leads }
func (n *node) Count() *core.Count        { return &n.count }
func (n *node) Release()                  { n.rn, n.held = nil, nil }

func (n *node) ReadIndex(c []byte) error {
	n.rn.ReadIndex(c)
	return nil
}

var readContext = []byte("read")

// LeaseRead takes the answer from the next Ready, where it is.
func (n *node) LeaseRead() error {
	n.rn.ReadIndex(readContext)
	for n.Handle(nil) {
	}
	return nil
}

func (n *node) ProposeJoint(id uint64, voter bool) error {
	change := pb.ConfChangeSingle{Type: pb.ConfChangeAddLearnerNode, NodeID: id}
	if voter {
		change.Type = pb.ConfChangeAddNode
	}
	return n.rn.ProposeConfChange(pb.ConfChangeV2{
		Transition: pb.ConfChangeTransitionJointImplicit, Changes: []pb.ConfChangeSingle{change},
	})
}

func (n *node) Handle(net *core.Net[pb.Message]) bool {
	if !n.rn.HasReady() {
		return len(n.held) > 0 && n.finish(net)
	}
	rd := n.rn.Ready()
	if rd.SoftState != nil {
		n.leads = rd.RaftState == raft.StateLeader
	}
	n.count.Reads += len(rd.ReadStates)
	if n.async {
		for i := range rd.Messages {
			if m := &rd.Messages[i]; raft.IsLocalMsgTarget(m.To) {
				n.held = append(n.held, *m)
			} else {
				net.Send(n.id, m.To, m)
			}
		}
		return true
	}
	n.log.save(rd.HardState, rd.Entries)
	for i := range rd.Messages {
		net.Send(n.id, rd.Messages[i].To, &rd.Messages[i])
	}
	n.apply(rd.CommittedEntries)
	n.rn.Advance(rd)
	return true
}

// finish does what the node asked its storage to do, and delivers the answers.
func (n *node) finish(net *core.Net[pb.Message]) bool {
	for i := range n.held {
		m := &n.held[i]
		if m.To == raft.LocalAppendThread {
			n.log.save(pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}, m.Entries)
		} else {
			n.apply(m.Entries)
		}
		for j := range m.Responses {
			r := &m.Responses[j]
			if r.To != n.id {
				net.Send(n.id, r.To, r)
			} else if err := n.rn.Step(*r); err != nil {
				panic(err)
			}
		}
	}
	n.held = n.held[:0]
	return true
}

func (n *node) apply(ents []pb.Entry) {
	for i := range ents {
		e := &ents[i]
		switch e.Type {
		case pb.EntryConfChange:
			var cc pb.ConfChange
			if err := cc.Unmarshal(e.Data); err != nil {
				panic(err)
			}
			n.rn.ApplyConfChange(cc)
			n.count.Changes++
		case pb.EntryConfChangeV2:
			var cc pb.ConfChangeV2
			if err := cc.Unmarshal(e.Data); err != nil {
				panic(err)
			}
			n.rn.ApplyConfChange(cc)
			n.count.Changes++
		default:
			if len(e.Data) == 0 {
				n.count.Empty++
			} else {
				n.count.Entries++
			}
		}
		n.log.applied = e.Index
	}
}
