package sim

import (
	"fmt"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// node is a member's machine: its process with the RawNode and the host around
// it, and its disk.
type node struct {
	id      uint64
	slot    int16 // its place among the nodes
	life    uint32
	created bool // its storage was never opened
	// exists is false once it was destroyed; dead says that its disk is lost, so
	// that it never starts again; up says that the process runs.
	exists, dead, up bool
	// frozen keeps it down while the others recover.
	frozen bool
	// stayDown holds it down until a fault ends.
	stayDown int

	// Node is the process's, raw or foreign.
	Node
	raw     *raft.RawNode
	foreign Foreign
	readys  uint64 // taken in this life

	conf      knownConf
	habit     confHabit // in this life
	disk      *disk
	own       rafttest.Storage // the embedder's, or nil
	sm        machine
	user      StateMachine // the embedder's, or nil
	transport Transport    // the embedder's, or nil
	captured  capture
	// snapshotDue is the index of a new configuration that wants a snapshot: other
	// implementations do not restore one that lacks them.
	snapshotDue uint64

	random       random // of this node's hosts
	electionTick int    // of its Config in this life
	period       int64  // of its clock's ticks
	overlap      int    // Readys under way at once
	noTicks      int    // faults that hold the clock
	slowApply    int64
	holdApply    uint64 // the entry that the host takes long to apply, or 0
	paused       int
	missed       int // ticks that were due while paused
	clock        lazyClock
	deaf         int     // ticks for which it sleeps, and its leader's host did not answer
	misses       bool    // its host does not give the sign of life
	deferred     []event // what happened while paused
	pumpDue      bool
	ackDue       bool
	applyDue     bool

	// handed are the Readys that are not acknowledged yet, oldest first; of the
	// first written the writes are done and all messages sent.
	handed  []handed
	written int
	// applying is what was handed out to be applied, in order.
	applying []toApply
	reads    []raft.ReadState // waiting for what they have to see
	reports  []report

	losesAck bool // of the snapshot that it got last

	stale   raft.AppendToken // of an earlier life, whose write may end late
	crashAt point            // where it crashes next, after crashIn more passes
	crashIn int
	soon    bool // it starts again at once

	drive driveNotes

	handedOver bool // it led until it was removed, and handed over in good order

	wasJoint, wasVoter, wasLearner bool // by the last change applied

	asleep bool           // as last seen, like the rest
	role   raft.StateType // as last seen
	lead   uint64
	term   uint64
	commit uint64
}

// handed is a Ready on its way to be acknowledged.
type handed struct {
	token    raft.AppendToken
	number   uint64 // which Ready of this life it is, from 1 on
	promises []pb.Message
	pending  bool   // its write is not done
	end      uint64 // of the records up to its own
	sync     bool
	snapshot bool
	own      *ownWrite // for the embedder's storage, or nil
}

// ownWrite is a write that goes to the embedder's storage, and beside it to the
// simulated disk.
type ownWrite struct {
	rd     raft.Ready
	record record
}

type toApply struct {
	ents  []pb.Entry
	snap  *pb.Snapshot
	ready bool // the snapshot's write is durable
}

type reportKind uint8

const (
	reportUnreachable reportKind = iota
	reportSnapshotFailed
	reportSnapshotDone
)

// report is what the transport tells a node about a peer.
type report struct {
	peer uint64
	kind reportKind
}

// knownConf is what Status said last of a node's configuration. Status copies all
// that a leader knows, while configurations change rarely: when a node starts,
// applies a change or takes a snapshot.
type knownConf struct {
	known bool
	cfg   confchange.Config
	index uint64
	ids   []uint64

	pending uint64 // PendingConfIndex
	at      raft.BasicStatus
}

// active returns the node's active configuration and its members.
func (n *node) active() (confchange.Config, []uint64) {
	if !n.conf.known {
		n.askConf()
	}
	return n.conf.cfg, n.conf.ids
}

// pendingConf is PendingConfIndex. A leader's log only grows, so that it has not
// changed as long as nothing else has.
func (n *node) pendingConf() uint64 {
	if st := n.BasicStatus(); !n.conf.known || st.RaftState != raft.StateLeader || st != n.conf.at {
		n.askConf()
	}
	return n.conf.pending
}

func (n *node) askConf() {
	st := n.Status()
	c := &n.conf
	if !c.known {
		c.ids = st.Config.IDs()
	}
	c.known, c.cfg, c.index = true, st.Config, st.ConfigIndex
	c.pending, c.at = st.PendingConfIndex, st.BasicStatus
}

// gone reports whether the node does not come back.
func (n *node) gone() bool { return n.dead || n.frozen }

func (n *node) report(peer uint64, kind reportKind) {
	if len(n.reports) < 16 {
		n.reports = append(n.reports, report{peer, kind})
	}
}

// point is a place in the host's loop at which it can crash.
type point uint8

const (
	nowhere       point = iota
	atReady             // a Ready was taken, nothing of it done
	atSend              // one more message of it was sent
	beforeWrite         // all messages sent
	afterWrite          // written, not synced
	afterSync           // durable, no promise sent
	atPromise           // one more promise was sent
	beforeAck           // all promises sent, not acknowledged
	afterAck            // acknowledged
	atApply             // one more entry was applied
	atConf              // a change of configuration was applied
	beforeApplied       // all applied, not acknowledged
	numPoints
)

var pointNames = [numPoints]string{
	"", "after taking a Ready", "between sends", "before the write", "after the write, before the sync",
	"after the sync", "between promises", "before the acknowledgement", "after the acknowledgement",
	"between applied entries", "after a change of configuration", "before acknowledging what was applied",
}

// passes reports whether the node crashes at this point.
func (s *simulation) passes(n *node, p point) bool {
	if n.crashAt != p {
		return false
	}
	if n.crashIn > 0 {
		n.crashIn--
		return false
	}
	s.mark(markPoints + Mark(p))
	s.crash(n, s.crashes.chance(500), pointNames[p])
	return true
}

// crash ends the process. If the power fails too, writes that were not synced
// may be lost; else the system has them.
func (s *simulation) crash(n *node, power bool, why string) {
	if !n.up {
		return
	}
	s.stats.Crashes++
	keep := len(n.disk.unsynced)
	if power {
		keep = s.crashes.below(keep + 1)
	}
	s.end(n, keep)
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Crash, Node: n.id, Text: why})
	}
}

// end stops the process; keep unsynced records survive.
func (s *simulation) end(n *node, keep int) {
	n.disk.fail(keep)
	n.disk.readFails, n.disk.writeFails, n.disk.syncFails = false, false, false
	n.disk.misread, n.disk.misled = false, false
	n.up, n.crashAt = false, nowhere
	for _, e := range n.deferred {
		if e.kind == evDeliver {
			e.at = s.now
			s.queue.push(e)
		}
	}
	if len(n.handed) > 0 {
		n.stale = n.handed[len(n.handed)-1].token
	}
	clear(n.handed)
	n.handed, n.written, n.captured = n.handed[:0], 0, capture{}
	n.applying, n.reads, n.reports, n.deferred = nil, nil, nil, nil
	n.pumpDue, n.ackDue, n.applyDue = false, false, false
	n.missed, n.holdApply = 0, 0
	n.clock, n.deaf, n.asleep = lazyClock{}, 0, false
	s.check.Down(n.id)
	s.mix(n.id<<8 | 0xdd)
	down := s.crashes.spread(millisecond, 40*tickLength)
	if n.soon || s.healing.phase != notHealing {
		n.soon, down = false, millisecond
	}
	s.queue.push(event{at: s.now + down, kind: evRestart, node: n.slot, life: n.life})
}

// stop is what a host does whose node or disk has failed.
func (s *simulation) stop(n *node, err error) {
	s.stats.Stops++
	s.mark(markStopped)
	if n.disk.misled {
		s.mark(markMisread)
	}
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Stop, Node: n.id, Text: err.Error()})
	}
	s.end(n, len(n.disk.unsynced))
}

// start begins the node's next life from what its disk holds.
func (s *simulation) start(n *node) {
	if n.up || n.gone() || !n.exists {
		return
	}
	if n.stayDown > 0 || n.disk.full {
		s.queue.push(event{at: s.now + tickLength, kind: evRestart, node: n.slot, life: n.life})
		return
	}
	if err := n.disk.openable(); err != nil {
		// It must not go on: what it promised may be lost. It is replaced.
		n.dead = true
		s.check.Forget(n.id)
		s.stats.Replaced++
		s.mark(markDiskLost)
		if s.observe != nil {
			s.emit(trace.Event{Kind: trace.Stop, Node: n.id, Text: err.Error()})
		}
		return
	}
	n.life++
	n.random.seed(s.o.Seed, streamHost<<32|n.id<<16|uint64(n.life))
	cfg := s.set.config(&n.random)
	cfg.ID, cfg.Storage, cfg.ConfChangeEffect = n.id, n.disk, s.o.ConfChangeEffect
	if s.o.Configure != nil {
		s.o.Configure(n.id, &cfg)
	}
	if n.electionTick = cfg.ElectionTick; n.electionTick == 0 {
		n.electionTick = 10 // the default
	}
	if err := s.openOwn(n, &cfg); err != nil {
		s.fail("storage", n.id, err.Error())
		return
	}
	snap := &n.disk.written.snap
	if !s.set.durableApp || n.user != nil || n.sm.applied < snap.Metadata.Index {
		n.sm = decodeMachine(snap.Data)
		n.sm.applied = snap.Metadata.Index
		if n.user != nil && len(snap.Data) > 0 {
			if err := n.user.Restore(userPart(snap.Data)); err != nil {
				s.fail("machine", n.id, fmt.Sprintf("Restore of the snapshot at %d: %v", snap.Metadata.Index, err))
				return
			}
		}
	}
	cfg.Applied = n.sm.applied
	if !s.lie(n, cfg) {
		return
	}
	if err := s.open(n, &cfg); err != nil {
		s.fail("start", n.id, fmt.Sprintf("a node does not start from what it persisted: %v", err))
		return
	}
	n.up, n.conf.known, n.snapshotDue = true, false, 0
	n.habit = s.drawHabit(n)
	if n.disk.written.conf.Index > n.BasicStatus().Commit {
		s.mark(markConfAhead)
	}
	if s.o.NewForeign != nil {
		n.snapshotDue = n.disk.written.conf.Index
	}
	n.overlap = s.set.overlap
	if n.overlap > 1 {
		n.overlap = pick(&n.random, 1, n.overlap, n.overlap)
	}
	n.handedOver = false
	n.role, n.lead, n.term, n.commit = raft.StateFollower, 0, 0, 0
	begin := s.check.Start
	if n.foreign != nil {
		begin = s.check.StartForeign
	}
	if !s.ok(begin(n.id, uint64(n.life), n, n.disk, n.sm.applied)) {
		return
	}
	s.drawClock(n)
	s.stats.Starts++
	if st := n.Status(); st.PendingConfIndex != 0 && st.PendingConfIndex <= st.Commit {
		s.mark(markStartUnapplied)
	}
	s.mix(n.id<<8 | 0x5a)
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Start, Node: n.id, Index: uint64(n.life), Term: n.BasicStatus().Term})
	}
	s.noted(n)
	s.queue.push(event{at: s.now + n.random.between(1, n.period), kind: evTick, node: n.slot, life: n.life})
	s.wake(n)
}
