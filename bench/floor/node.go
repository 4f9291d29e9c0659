package floor

import "github.com/quorate-raft/raft/bench/core"

// node is a replica.
type node struct {
	id      uint64
	log     *log
	count   core.Count
	match   []uint64 // what each replica has, for the one that leads
	commit  uint64
	told    uint64 // the commit index that the others were told
	applied uint64
	fresh   []Entry   // not persisted yet
	out     []Message // to be sent when they are
}

func (n *node) Campaign() error                 { return nil }
func (n *node) ProposeJoint(uint64, bool) error { return ErrNot }
func (n *node) ReadIndex([]byte) error          { return ErrNot }
func (n *node) LeaseRead() error                { return ErrNot }
func (n *node) Leads() bool                     { return n.id == 1 }
func (n *node) Count() *core.Count              { return &n.count }
func (n *node) Release()                        {}

func (n *node) Propose(data []byte) error {
	index := n.log.last() + uint64(len(n.fresh)) + 1
	n.fresh = append(n.fresh, Entry{Term: 1, Index: index, Data: data})
	return nil
}

func (n *node) Tick() {
	if n.id == 1 {
		n.broadcast(heartbeat, nil)
	}
}

// broadcast sends a message to all others.
func (n *node) broadcast(k kind, entries []Entry) {
	for _, to := range n.log.voters {
		if to != n.id {
			n.out = append(n.out, Message{from: n.id, to: to, kind: k, commit: n.commit, entries: entries})
		}
	}
}

func (n *node) Step(m *Message) error {
	switch m.kind {
	case appendEntries:
		n.fresh = append(n.fresh, m.entries...)
		n.commit = m.commit
		if len(m.entries) > 0 {
			index := m.entries[len(m.entries)-1].Index
			n.out = append(n.out, Message{from: n.id, to: m.from, kind: answer, index: index})
		}
	case answer:
		n.acknowledged(m.from, m.index)
	case heartbeat:
		n.out = append(n.out, Message{from: n.id, to: m.from, kind: heartbeatAnswer})
	}
	return nil
}

// acknowledged counts who has index.
func (n *node) acknowledged(from, index uint64) {
	n.match[from-1] = index
	if index <= n.commit {
		return
	}
	have := 0
	for _, m := range n.match {
		if m >= index {
			have++
		}
	}
	if have > len(n.match)/2 {
		n.commit = index
	}
}

func (n *node) Handle(net *core.Net[Message]) bool {
	if len(n.fresh)+len(n.out) == 0 && n.applied == n.commit {
		return false
	}
	if len(n.fresh) > 0 {
		n.log.ents = append(n.log.ents, n.fresh...)
		if n.id == 1 {
			// The log's own array: what is in it stays until it is applied everywhere.
			n.broadcast(appendEntries, n.log.ents[len(n.log.ents)-len(n.fresh):])
			n.told = n.commit
			n.acknowledged(1, n.log.last())
		}
		n.fresh = n.fresh[:0]
	}
	for n.applied < n.commit {
		n.applied++
		if len(n.log.ents[n.applied-n.log.ents[0].Index].Data) > 0 {
			n.count.Entries++
		}
	}
	if n.id == 1 && n.told < n.commit {
		n.told = n.commit
		n.broadcast(appendEntries, nil)
	}
	for i := range n.out {
		net.Send(n.id, n.out[i].to, &n.out[i])
	}
	n.out = n.out[:0]
	return true
}
