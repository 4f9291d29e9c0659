package raft

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Peer is a first member of a new group.
type Peer struct {
	ID uint64
	// Context becomes the member's in the configuration, such as its address.
	Context []byte
}

// Bootstrap makes the first members of a new group: the log begins with changes
// of configuration, already committed, that add peers as voters. All of them
// call it with the same peers, in any order. It fails, and changes nothing,
// if Storage is not empty or peers is empty or names a peer twice.
func (rn *RawNode) Bootstrap(peers []Peer) error {
	r := rn.raft
	if r.err != nil {
		return r.err
	}
	if r.log.last.index != 0 || r.term != 0 {
		return fmt.Errorf("%w: bootstrap of a node that has a log or a term", ErrInvalidConfig)
	}
	// The entries are committed without anybody having compared them, so they must not
	// depend on an order that may be that of a map.
	peers = slices.SortedFunc(slices.Values(peers), func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	var ids []uint64
	ents := make([]pb.Entry, len(peers))
	for i, peer := range peers {
		cc := pb.ConfChange{Type: pb.ConfChangeAddNode, NodeID: peer.ID, Context: peer.Context}
		data, err := cc.Marshal()
		if err != nil {
			return fmt.Errorf("raft: bootstrap: %w", err)
		}
		ids = append(ids, peer.ID)
		ents[i] = pb.Entry{Type: pb.EntryConfChange, Term: 1, Index: uint64(i + 1), Data: data}
	}
	voters := quorum.NewMajorityConfig(ids...)
	cfg := confchange.Config{Voters: quorum.JointConfig{voters}, Contexts: contextsOf(peers), Effect: r.cfg.ConfChangeEffect}
	if len(voters) != len(peers) || len(peers) == 0 {
		return fmt.Errorf("%w: bootstrap with peers %v: at least one, each once", ErrInvalidConfig, ids)
	}
	if err := cfg.Check(); err != nil {
		return fmt.Errorf("%w: bootstrap: %w", ErrInvalidConfig, err)
	}
	r.becomeFollower(1, None)
	r.log.append(ents)
	r.log.commitTo(uint64(len(ents)))
	if err := r.switchConf(cfg, uint64(len(ents))); err != nil {
		return err
	}
	// All of it is in effect from the start.
	last := &r.conf.history[len(r.conf.history)-1]
	last.from = 1
	return nil
}

// contextsOf returns the contexts of peers, which are in the order of their IDs.
func contextsOf(peers []Peer) []pb.Member {
	var members []pb.Member
	for _, peer := range peers {
		if len(peer.Context) > 0 {
			members = append(members, pb.Member{ID: peer.ID, Context: peer.Context})
		}
	}
	return members
}
