package rafttest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Cluster is a group of RawNodes in memory. Nothing happens by itself: the test
// ticks, lets nodes handle their Ready, and delivers messages. The same calls
// give the same run. It is not safe for concurrent use.
type Cluster struct {
	// Configure, if set, changes a node's Config before it is started or
	// restarted.
	Configure func(c *raft.Config)
	// Drop, if set, is asked for every message when it would be delivered; true
	// loses it.
	Drop func(m pb.Message) bool
	// Observe, if set, is shown every Ready before it is handled.
	Observe func(id uint64, rd raft.Ready)

	members []*Member
	network []pb.Message
	seed    uint64
	starts  uint64
}

// Member is one node of a Cluster with what its host holds.
type Member struct {
	ID uint64
	*raft.RawNode
	// Storage is what the member has persisted.
	Storage *raft.MemoryStorage
	// Applied are the committed entries that were applied since it started.
	Applied []pb.Entry
	// Reads are the answered reads.
	Reads []raft.ReadState
	// Conf is the configuration that the last applied change returned.
	Conf pb.ConfState
	// AppliedIndex is the last applied index.
	AppliedIndex uint64
}

// NewCluster starts nodes 1 to n as the voters of a new group. seed makes the
// election timeouts.
func NewCluster(n int, seed uint64) *Cluster {
	c := &Cluster{seed: seed}
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = uint64(i + 1)
	}
	for _, id := range ids {
		c.Add(id, ids...)
	}
	return c
}

// Add starts a node, with voters as the first configuration if there are any:
// all that a group begins with are named, and none for a node that joins.
func (c *Cluster) Add(id uint64, voters ...uint64) *Member {
	m := &Member{ID: id, Storage: raft.NewMemoryStorage()}
	if len(voters) > 0 {
		m.Conf = pb.ConfState{Voters: slices.Clone(voters)}
		must(m.Storage.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: m.Conf}}))
		m.AppliedIndex = 1
	}
	c.members = append(c.members, m)
	slices.SortFunc(c.members, func(a, b *Member) int { return int(a.ID) - int(b.ID) })
	c.start(m)
	return m
}

func (c *Cluster) start(m *Member) {
	c.starts++
	cfg := &raft.Config{
		ID: m.ID, Storage: m.Storage, Applied: m.AppliedIndex,
		Rand: rand.NewPCG(c.seed, m.ID<<32|c.starts),
	}
	if c.Configure != nil {
		c.Configure(cfg)
	}
	rn, err := raft.NewRawNode(cfg)
	must(err)
	m.RawNode = rn
}

// Restart starts a node anew from what it has persisted and applied, like after
// a crash. Messages on their way stay on their way.
func (c *Cluster) Restart(id uint64) *Member {
	m := c.Node(id)
	m.Reads = nil
	c.start(m)
	return m
}

// Node returns the member with the given ID, or panics.
func (c *Cluster) Node(id uint64) *Member {
	for _, m := range c.members {
		if m.ID == id {
			return m
		}
	}
	panic(fmt.Sprintf("rafttest: no node %d", id))
}

// Nodes returns all members, by ID.
func (c *Cluster) Nodes() []*Member { return c.members }

// Leader returns the member that leads the highest term, or nil.
func (c *Cluster) Leader() *Member {
	var leader *Member
	for _, m := range c.members {
		s := m.BasicStatus()
		if s.RaftState == raft.StateLeader && (leader == nil || s.Term > leader.BasicStatus().Term) {
			leader = m
		}
	}
	return leader
}

// Handle does all that the node's next Ready asks for, like a host that does one
// thing after the other, and reports whether there was anything. Messages go to
// the network.
func (c *Cluster) Handle(id uint64) bool {
	m := c.Node(id)
	if !m.HasReady() {
		return false
	}
	rd := m.Ready()
	if c.Observe != nil {
		c.Observe(id, rd)
	}
	c.Send(rd.Messages...)
	m.Persist(rd)
	c.Send(rd.MessagesAfterAppend...)
	m.Apply(rd)
	must(m.Advance(rd))
	return true
}

// Send puts messages on the network.
func (c *Cluster) Send(msgs ...pb.Message) { c.network = append(c.network, msgs...) }

// Persist writes what rd asks to persist.
func (m *Member) Persist(rd raft.Ready) {
	if !raft.IsEmptySnap(rd.Snapshot) {
		must(m.Storage.ApplySnapshot(rd.Snapshot))
	}
	must(m.Storage.Append(rd.Entries))
	if !raft.IsEmptyHardState(rd.HardState) {
		must(m.Storage.SetHardState(rd.HardState))
	}
}

// Apply restores rd's snapshot and applies its committed entries.
func (m *Member) Apply(rd raft.Ready) {
	if !raft.IsEmptySnap(rd.Snapshot) {
		m.Conf = rd.Snapshot.Metadata.ConfState
	}
	for _, e := range rd.CommittedEntries {
		m.Applied = append(m.Applied, e)
		if e.Type == pb.EntryNormal {
			continue
		}
		cc, err := pb.UnmarshalConfChange(e)
		must(err)
		m.Conf = *m.ApplyConfChange(cc)
		m.Storage.SetConfState(m.Conf)
	}
	m.Reads = append(m.Reads, rd.ReadStates...)
	m.AppliedIndex = max(m.AppliedIndex, rd.AppliedIndex())
}

// Network returns the messages on their way, oldest first.
func (c *Cluster) Network() []pb.Message { return c.network }

// Take removes and returns the messages on their way for which pick is true;
// nil takes all.
func (c *Cluster) Take(pick func(m pb.Message) bool) []pb.Message {
	var taken, rest []pb.Message
	for _, m := range c.network {
		if pick == nil || pick(m) {
			taken = append(taken, m)
		} else {
			rest = append(rest, m)
		}
	}
	c.network = rest
	return taken
}

// Deliver steps all messages that are on their way now into their receivers, in
// order, and returns the first error by the receiver if there is one. Messages
// to nodes that are not there are lost.
func (c *Cluster) Deliver() error {
	var first error
	for _, msg := range c.Take(nil) {
		if c.Drop != nil && c.Drop(msg) {
			continue
		}
		for _, m := range c.members {
			if m.ID != msg.To {
				continue
			}
			if err := m.Step(msg); err != nil && first == nil {
				first = fmt.Errorf("node %d, %v from %d: %w", m.ID, msg.Type, msg.From, err)
			}
		}
	}
	return first
}

// Settle handles and delivers until nothing is left to do. It panics if that
// does not end.
func (c *Cluster) Settle() {
	for range 100_000 {
		busy := len(c.network) > 0
		for _, m := range c.members {
			for c.Handle(m.ID) {
				busy = true
			}
		}
		_ = c.Deliver()
		if !busy {
			return
		}
	}
	panic("rafttest: the cluster does not come to rest")
}

// Tick ticks every node n times and lets the cluster settle after each.
func (c *Cluster) Tick(n int) {
	for range n {
		for _, m := range c.members {
			m.RawNode.Tick()
		}
		c.Settle()
	}
}

// Elect lets id campaign and win, or panics.
func (c *Cluster) Elect(id uint64) *Member {
	m := c.Node(id)
	must(m.Campaign())
	c.Settle()
	if m.BasicStatus().RaftState != raft.StateLeader {
		panic(fmt.Sprintf("rafttest: node %d was not elected: %v", id, m.Explain()))
	}
	return m
}

// Cut returns a Drop that loses all messages between any of the given nodes and
// any other.
func Cut(ids ...uint64) func(pb.Message) bool {
	return func(m pb.Message) bool { return slices.Contains(ids, m.From) != slices.Contains(ids, m.To) }
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("rafttest: %v", err))
	}
}
