package sim

import (
	"errors"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Node is what a host calls of a node; the methods are those of raft.RawNode. All
// but Err and the statuses may panic where the implementation would; that is S20.
type Node interface {
	Tick()
	Step(m pb.Message) error
	Propose(data []byte) error
	ProposeConfChange(cc pb.ConfChangeI) error
	ApplyConfChange(cc pb.ConfChangeI) *pb.ConfState
	Campaign() error
	ForgetLeader() error
	TransferLeader(transferee uint64) error
	AbortTransfer() error
	ReadIndex(rctx []byte) error
	ReportUnreachable(id uint64) error
	ReportSnapshot(id uint64, status raft.SnapshotStatus) error
	HasReady() bool
	Ready() raft.Ready
	AckApply(index uint64) error
	ConfStateAt(i uint64) (*pb.ConfState, error)
	BasicStatus() raft.BasicStatus
	Status() raft.Status
	WithProgress(f func(id uint64, p progress.Progress))
	Err() error
}

// Foreign is a node of another implementation of Raft, behind an adapter that has
// it speak this library's types. The configurations in it have the index of the
// entry that made them. A Ready of it has no AppendToken.
type Foreign interface {
	Node
	// AckAppend says that the writes of the first so many Readys of this life
	// are durable.
	AckAppend(readys uint64) error
}

var errNoLeases = errors.New("sim: a node of another implementation gives no leases")

// LeaseRead is that of the library's own node.
func (n *node) LeaseRead() (uint64, error) {
	if n.raw == nil {
		return 0, errNoLeases
	}
	return n.raw.LeaseRead()
}

// explain is what the library's own node says of itself.
func (n *node) explain() []raft.Explanation {
	if n.raw == nil {
		return nil
	}
	return n.raw.Explain()
}

// ackAppend acknowledges the writes of a Ready and of all before it.
func (n *node) ackAppend(h *handed) error {
	if n.raw == nil {
		return n.foreign.AckAppend(h.number)
	}
	return n.raw.AckAppend(h.token)
}

// open makes the node of a life that begins. It reports whether that worked.
func (s *simulation) open(n *node, cfg *raft.Config) error {
	n.raw, n.foreign, n.readys = nil, nil, 0
	if s.o.NewForeign != nil {
		n.disk.noSnapshot = false // nobody is making one any more
		foreign, err := s.o.NewForeign(cfg)
		if err != nil {
			return err
		}
		if foreign != nil {
			n.Node, n.foreign = foreign, foreign
			return nil
		}
	}
	rn, err := raft.NewRawNode(cfg)
	n.Node, n.raw = rn, rn
	return err
}

// readOfForeign reports whether a message may be the answer to a read that a foreign
// node asked for in an earlier life, which is none to a node of this library.
func (s *simulation) readOfForeign(m *pb.Message) bool {
	return s.o.NewForeign != nil && m.Type == pb.MsgReadIndexResp
}

// once reports whether a message must arrive once at most, if a foreign node may get
// it: one takes a read that is forwarded twice for one, and answers others of it
// wrongly (docs/differences.md).
func (s *simulation) once(m *pb.Message) bool {
	if s.o.NewForeign == nil || m.Type != pb.MsgReadIndex {
		return false
	}
	to := s.byID(m.To)
	return to == nil || !to.up || to.foreign != nil
}
