package invariant

import (
	"fmt"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Checker judges one group. After the first violation it is of no more use.
// It is not safe for concurrent use.
type Checker struct {
	opt   Options
	ids   []uint64
	nodes []*node // of ids
	gone  []*gone

	log       registry
	committed uint64 // C's end
	segments  []segment
	leaders   []leader  // by term
	history   []*confAt // of C
	// confEntries are the changes of configuration in log.
	confEntries []confEntry
	minTerm     uint64 // below it leaders and votes are forgotten
	reads       map[uint64]readAsked
	prunes      uint64
	leases      bool // some node promised to refuse votes
	stats       Stats

	// added are the learners that the standing target's steps added, and those of the
	// targets that it superseded; joined is from which entry on a server was a member first.
	added  []uint64
	joined map[uint64]uint64

	// apply is confchange.ApplyAt.
	apply func(confchange.Config, pb.ConfChangeV2, uint64) (confchange.Config, error)

	// What seePeer, called back by WithProgress, works on.
	cur     *node
	peerAt  int
	bad     *Violation
	seePeer func(id uint64, p progress.Progress)
}

// node is what is kept of one node.
type node struct {
	id, life uint64
	rn       Node // nil while it is down
	foreign  bool // see StartForeign
	disk     Disk
	st       raft.BasicStatus // as last seen
	// transferring says that before the input it led and was handing over.
	transferring bool

	log   hostLog
	inner innerEnd
	// hard is the hard state as last handed out; durable as last synced.
	hard, durable pb.HardState
	// heldC is an index up to which the disk holds C, in the term of its commit
	// or later: no leader can be heard any more that does not hold it too.
	heldC uint64

	startApplied uint64 // Config.Applied
	handed       uint64 // committed entries were handed out up to here
	applied      uint64 // by the host
	snapshot     uint64 // the last one that was received
	restoring    uint64 // the last one that was handed out
	seenCommit   uint64 // this commit index was compared with C

	// claimed says that conf is what the node says, and is to be judged.
	claimed bool
	conf    *confAt // active
	before  *confAt // the one before
	// switches counts changes of conf since the last Ready; switched is what it
	// was at that Ready.
	switches, switched int
	// ahead is an index up to which configurations were in effect without
	// ApplyConfChange: that of a snapshot, or of what storage held.
	ahead uint64

	votes  []vote // by term
	lead   leading
	slept  slept
	clock  clock
	growth []growth
}

// New returns a Checker of a group that begins as o says.
func New(o Options) *Checker {
	cfg, err := confchange.Restore(o.Conf)
	if err != nil {
		panic(fmt.Sprintf("invariant: the first configuration: %v", err))
	}
	c := &Checker{
		opt: o, committed: o.Base, log: newRegistry(o.Base, o.BaseTerm),
		segments: []segment{{o.Base, o.BaseTerm}},
		history:  []*confAt{newConfAt(o.Base, cfg)},
		reads:    map[uint64]readAsked{}, joined: map[uint64]uint64{},
		apply: confchange.ApplyAt,
	}
	c.join(c.history[0])
	c.seePeer = c.peer
	return c
}

// find returns a node that was started and not forgotten, or nil.
func (c *Checker) find(id uint64) *node {
	for i, known := range c.ids {
		if known == id {
			return c.nodes[i]
		}
	}
	return nil
}

func (c *Checker) node(id uint64) *node {
	n := c.find(id)
	if n == nil {
		panic(fmt.Sprintf("invariant: node %d was never started, or is forgotten", id))
	}
	return n
}

// Before is called before every input to node id: Tick, Step, Propose, Campaign,
// AckAppend, AckApply, ReadIndex and all the others but ApplyConfChange. in is
// the message, or nil.
func (c *Checker) Before(id uint64, in *pb.Message) {
	n := c.node(id)
	n.transferring = n.st.RaftState == raft.StateLeader && n.st.LeadTransferee != raft.None
	if in != nil && in.Type == pb.MsgTimeoutNow {
		n.clock.told = in.Term
	}
}

// After is called after that input, which returned err.
func (c *Checker) After(id uint64, in *pb.Message, err error) *Violation {
	return c.observe(c.node(id), in, err)
}

// observe looks at a node after an input.
func (c *Checker) observe(n *node, in *pb.Message, err error) *Violation {
	now := n.rn.BasicStatus()
	was := n.st
	if now != was {
		n.st = now
		if v := c.moved(n, &was, in); v != nil {
			return v
		}
	}
	if now.LeadTransferee != raft.None {
		if v := n.checkTransfer(&was); v != nil {
			return v
		}
	}
	if in != nil && err == nil {
		switch in.Type {
		case pb.MsgHeartbeat:
			if in.Term == now.Term {
				n.hears(in)
				n.toldToSleep(in)
			}
		case pb.MsgApp, pb.MsgSnap:
			n.followInner(&was, in)
		case pb.MsgHeartbeatResp:
			n.heartbeatAnswered(&was, in)
		}
	}
	if now.RaftState == raft.StateLeader {
		return c.seeProgress(n)
	}
	return nil
}

// moved compares two consecutive states of a node.
func (c *Checker) moved(n *node, was *raft.BasicStatus, in *pb.Message) *Violation {
	now := &n.st
	if c.opt.OnAppend && (now.ConfigIndex != was.ConfigIndex || now.LastIndex != was.LastIndex) {
		n.claim()
	}
	if v := n.checkCursors(was); v != nil {
		return v
	}
	if now.Term != was.Term || now.Vote != was.Vote {
		if v := c.voted(n, was, in); v != nil {
			return v
		}
	}
	if now.RaftState != was.RaftState || now.Term != was.Term || now.Vote != was.Vote {
		if v := n.keepsPromise(was, in); v != nil {
			return v
		}
	}
	if now.RaftState != was.RaftState || now.Term != was.Term {
		if v := c.roleChanged(n, was); v != nil {
			return v
		}
	}
	if now.Lead != was.Lead && now.Lead != raft.None {
		if v := c.follows(n); v != nil {
			return v
		}
	}
	if now.LastIndex != was.LastIndex {
		if v := n.logMoved(was); v != nil {
			return v
		}
	}
	if now.Commit != was.Commit {
		if v := c.commitMoved(n, was, in); v != nil {
			return v
		}
	}
	if now.Asleep || was.Asleep {
		if v := c.sleepMoved(n, was); v != nil {
			return v
		}
	}
	if now.LeadTransferee != raft.None && !n.conf.isVoter(now.LeadTransferee) {
		return n.violates("S16", "leads term %d and hands over to %d, which is no voter of %v",
			now.Term, now.LeadTransferee, n.conf.cfg)
	}
	return nil
}

// checkCursors is S9 within a life (Raft figure 2: all of these only grow).
func (n *node) checkCursors(was *raft.BasicStatus) *Violation {
	now := &n.st
	switch {
	case now.Term < was.Term:
		return n.violates("S9", "term went back from %d to %d", was.Term, now.Term)
	case now.Commit < was.Commit:
		return n.violates("S9", "commit went back from %d to %d", was.Commit, now.Commit)
	case now.Applied < was.Applied:
		return n.violates("S9", "applied went back from %d to %d", was.Applied, now.Applied)
	case now.Applied > now.Commit || now.Commit > now.LastIndex: // a log that is truncated too far, too
		return n.violates("S9", "applied %d, commit %d, last %d are out of order", now.Applied, now.Commit, now.LastIndex)
	}
	return nil
}

// logMoved notes that the log's end moved.
func (n *node) logMoved(was *raft.BasicStatus) *Violation {
	now := &n.st
	if now.RaftState != raft.StateLeader {
		n.inner.known = false // until followInner knows better
		return nil
	}
	if now.LastIndex < was.LastIndex {
		return n.violates("S2", "leads term %d, and its log went back from %d to %d",
			now.Term, was.LastIndex, now.LastIndex)
	}
	n.inner = innerEnd{entryID{now.Term, now.LastIndex}, true}
	n.growth = append(n.growth, growth{now.Term, now.LastIndex, now.Applied, now.Commit})
	return nil
}

// innerEnd is the last entry of the log as the node itself sees it: it may be
// ahead of what was handed out.
type innerEnd struct {
	entryID
	known bool
}

// followInner follows the log's end through an append or a snapshot. Only the
// last index can be seen from outside, so that an append that replaces the end
// by as many entries, before the next Ready, cannot be told from a rejected one:
// then the end is unknown until that Ready.
func (n *node) followInner(was *raft.BasicStatus, in *pb.Message) {
	end := entryID{}
	switch {
	case in.Type == pb.MsgSnap:
		if n.st.Commit == was.Commit || in.Snapshot == nil {
			return
		}
		end = entryID{in.Snapshot.Metadata.Term, in.Snapshot.Metadata.Index}
		if n.st.Commit == end.index && n.st.LastIndex == end.index {
			n.snapshot = end.index
		}
	case len(in.Entries) > 0:
		e := &in.Entries[len(in.Entries)-1]
		end = entryID{e.Term, e.Index}
	}
	switch {
	case n.st.LastIndex != was.LastIndex:
		n.inner = innerEnd{end, end.index == n.st.LastIndex}
	case end.index == n.st.LastIndex && end != n.inner.entryID && in.Term == n.st.Term:
		n.inner.known = false
	}
}
