package ours

import (
	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/bench/core"
	pb "github.com/quorate-raft/raft/raftpb"
)

var _ core.Clock = (*node)(nil)

// node is a RawNode with a host that does one thing after the other.
type node struct {
	rn        *raft.RawNode
	id        uint64
	log       *hostLog
	count     core.Count
	leads     bool
	pipelined bool
	held      []raft.Ready // taken and not acknowledged
}

func (n *node) Tick()                     { n.rn.Tick() }
func (n *node) TickBy(ticks int)          { n.rn.TickBy(ticks) }
func (n *node) NextDeadline() (int, bool) { return n.rn.NextDeadline() }
func (n *node) Campaign() error           { return n.rn.Campaign() }
func (n *node) Propose(data []byte) error { return n.rn.Propose(data) }
func (n *node) ReadIndex(c []byte) error  { return n.rn.ReadIndex(c) }
func (n *node) Step(m *pb.Message) error  { return n.rn.Step(*m) }
func (n *node) Leads() bool               { return n.leads }
func (n *node) Count() *core.Count        { return &n.count }
func (n *node) Release()                  { n.rn, n.held = nil, nil }

func (n *node) LeaseRead() error {
	if _, err := n.rn.LeaseRead(); err != nil {
		return err
	}
	n.count.Reads++
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
	n.send(net, rd.Messages)
	if rd.SoftState != nil {
		n.leads = rd.RaftState == raft.StateLeader
	}
	n.count.Reads += len(rd.ReadStates)
	if n.pipelined {
		n.held = append(n.held, rd)
		return true
	}
	n.log.save(&rd)
	n.send(net, rd.MessagesAfterAppend)
	n.apply(rd.CommittedEntries)
	if err := n.rn.Advance(rd); err != nil {
		panic(err)
	}
	return true
}

// finish persists and acknowledges the Readys that were taken.
func (n *node) finish(net *core.Net[pb.Message]) bool {
	for i := range n.held {
		rd := &n.held[i]
		n.log.save(rd)
		n.send(net, rd.MessagesAfterAppend)
		n.apply(rd.CommittedEntries)
		if err := n.rn.AckAppend(rd.AppendToken()); err != nil {
			panic(err)
		}
		if index := rd.AppliedIndex(); index != 0 {
			if err := n.rn.AckApply(index); err != nil {
				panic(err)
			}
		}
	}
	n.held = n.held[:0]
	return true
}

func (n *node) send(net *core.Net[pb.Message], msgs []pb.Message) {
	for i := range msgs {
		net.Send(n.id, msgs[i].To, &msgs[i])
	}
}

func (n *node) apply(ents []pb.Entry) {
	for i := range ents {
		e := &ents[i]
		switch {
		case e.Type != pb.EntryNormal:
			cc, err := pb.UnmarshalConfChange(*e)
			if err != nil {
				panic(err)
			}
			n.rn.ApplyConfChange(cc)
			n.count.Changes++
		case len(e.Data) == 0:
			n.count.Empty++
		default:
			n.count.Entries++
		}
		n.log.applied = e.Index
	}
}
