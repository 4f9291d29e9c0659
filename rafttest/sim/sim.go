// Package sim runs raft groups in a simulated world: virtual time, a network,
// disks, clocks, hosts and clients, all of which fail. One seed is one run, byte
// for byte. After every step it checks the safety of Raft, of each node and of
// all together, and at the end that the group recovers.
package sim

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest/internal/invariant"
	"github.com/quorate-raft/raft/rafttest/lincheck"
	"github.com/quorate-raft/raft/rafttest/trace"

	pb "github.com/quorate-raft/raft/raftpb"
)

// simulation is one run.
type simulation struct {
	o       Options
	set     settings
	now     int64
	queue   queue
	net     network
	input   pb.Message // the message being delivered
	hash    uint64
	stats   Stats
	result  Result
	observe func(*trace.Event)
	event   trace.Event // reused

	nodes  [maxNodes]*node
	ids    []*node // by ID
	check  *invariant.Checker
	states [4096]stateAt

	disks, hosts, crashes, operators, lies random

	clients       []client
	clientsPaused bool
	regs          [numRegisters]register // generation in use, and operations in it
	keys          []openKey
	values, reads uint64
	instants      int64
	history       *lincheck.Checker
	late          []lincheck.Op // given up, and not known to have taken effect

	planned     uint64 // faults planned so far
	undos       []func()
	undoFree    []uint64
	steered     []steering // directed faults under way
	goneWell    []uint64   // nodes that were destroyed as their leadership ended in good order
	leaderSince int64
	healing     healing
	hostility   hostility
	sleep       sleepPlan
	proposals   proposals
}

// Run makes one run. It does not fail: what goes wrong is in the result. It may
// be called from several goroutines at once.
func Run(o Options) Result {
	if err := o.Validate(); err != nil {
		return Result{Violation: &Violation{Rule: "options", Detail: err.Error()}}
	}
	s := newSimulation(o)
	s.run()
	s.result.Hash = s.hash
	s.result.Stats = s.stats
	return s.result
}

func newSimulation(o Options) *simulation {
	if o.Steps == 0 {
		o.Steps = defaultSteps
	}
	s := &simulation{o: o, set: drawSettings(&o), observe: o.Observer, hash: mix(o.Seed), ids: make([]*node, 1)}
	s.net.random = newRandom(o.Seed, streamNetwork)
	s.disks.seed(o.Seed, streamDisk)
	s.hosts.seed(o.Seed, streamHost)
	s.crashes.seed(o.Seed, streamStart)
	s.operators.seed(o.Seed, streamOperator)
	s.lies.seed(o.Seed, streamLies)
	s.history = lincheck.NewChecker(0)
	conf := pb.ConfState{ConfChangeEffect: o.ConfChangeEffect}
	for i := range s.set.nodes {
		conf.Voters = append(conf.Voters, uint64(i+1))
	}
	first := pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: conf}}
	s.check = invariant.New(invariant.Options{
		Base: 1, BaseTerm: 1, Conf: conf, Drifting: s.set.faults.has(Drift),
		OnAppend: o.ConfChangeEffect == raft.OnAppend,
	})
	for range s.set.nodes {
		s.create(&first)
	}
	s.clients = make([]client, s.set.clients)
	for i := range s.clients {
		c := &s.clients[i]
		c.number = uint8(i)
		c.random.seed(o.Seed, streamClient<<8|uint64(i))
		s.waitClient(c, c.random.between(0, 40*tickLength))
	}
	s.planNext()
	s.beginHostility()
	s.beginSleep()
	return s
}

// create adds a machine, with the snapshot on its disk that a group begins with
// or with nothing, and starts it. It returns nil if there is no room.
func (s *simulation) create(first *pb.Snapshot) *node {
	for slot := range s.nodes {
		if old := s.nodes[slot]; old != nil && old.exists {
			continue
		}
		n := &node{id: uint64(len(s.ids)), slot: int16(slot), exists: true, disk: newDisk(), created: true}
		if first != nil {
			n.disk.format(*first)
		}
		n.period = tickLength * (1000 + s.operators.between(-s.set.skew, s.set.skew)) / 1000
		s.nodes[slot] = n
		s.ids = append(s.ids, n)
		s.start(n)
		return n
	}
	return nil
}

// destroy ends a machine for good.
func (s *simulation) destroy(n *node) {
	s.mark(markNodeDestroyed)
	if s.leftWell(n) {
		s.goneWell = append(s.goneWell, n.id)
	}
	if n.up {
		s.end(n, 0)
	}
	n.exists = false
	if !n.dead {
		s.check.Forget(n.id)
	}
	s.ids[n.id] = nil
}

func (s *simulation) byID(id uint64) *node {
	if id < uint64(len(s.ids)) {
		return s.ids[id]
	}
	return nil
}

// run takes one step after the other.
func (s *simulation) run() {
	defer func() {
		if p := recover(); p != nil {
			s.fail("S20", 0, fmt.Sprintf("panic: %v, in %s", p, panickedIn()))
		}
	}()
	for !s.stopped() {
		if s.stats.Steps >= s.o.Steps && !s.heal() {
			break
		}
		s.next()
	}
	s.finishHistory()
	counts := s.check.Stats()
	s.stats.Commits, s.stats.StaleLeases = counts.Committed, counts.StaleLeases
}

// next lets happen what is due next.
func (s *simulation) next() {
	e := s.queue.pop()
	s.now = e.at
	s.stats.Steps++
	s.mix(uint64(e.at)<<8 ^ uint64(e.kind)<<4 ^ uint64(uint32(e.node)))
	if s.hostility.every > 0 && s.now >= s.hostility.next {
		s.harass()
	}
	s.handle(e)
	if s.sleep.every > 0 && s.now >= s.sleep.next {
		s.disturbSleep()
	}
	if len(s.steered) > 0 {
		s.steerOn()
	}
	if s.stats.Steps&1023 == 0 {
		s.check.Prune()
	}
}

func (s *simulation) handle(e event) {
	switch e.kind {
	case evDeliver:
		if n := s.nodes[e.node]; n != nil && n.up && n.paused > 0 {
			n.deferred = append(n.deferred, e)
			return
		}
		s.deliver(e.arg)
	case evClient:
		if c := &s.clients[e.node]; c.turn == e.arg {
			s.act(c)
		}
	case evPlan:
		s.carryOut()
	case evUndo:
		s.undo(e.arg)
	default:
		n := s.nodes[e.node]
		if n == nil || n.life != e.life {
			return
		}
		s.handleNode(n, e)
	}
}

func (s *simulation) handleNode(n *node, e event) {
	switch {
	case e.kind == evRestart:
		s.start(n)
		return
	case !n.up:
		return
	case n.paused > 0:
		if e.kind == evTick {
			n.missed++
			s.queue.push(event{at: s.now + n.period, kind: evTick, node: n.slot, life: n.life})
		} else {
			n.deferred = append(n.deferred, e)
		}
		return
	}
	switch e.kind {
	case evTick:
		s.tick(n)
	case evPump:
		s.pump(n)
	case evWritten:
		s.wrote(n)
	case evAck:
		s.acknowledge(n)
	case evApply:
		s.applyNext(n)
	default:
		panic(fmt.Sprintf("sim: event of kind %d at a node", e.kind))
	}
}

// resume lets a paused process go on: first the ticks that are due, then what
// else waited.
func (s *simulation) resume(n *node) {
	if n.paused--; n.paused > 0 || !n.up {
		return
	}
	for ; n.missed > 0 && n.up && !s.stopped(); n.missed-- {
		if n.noTicks == 0 {
			s.tickOnce(n)
		}
	}
	n.missed = 0
	for _, e := range n.deferred {
		e.at = s.now
		s.queue.push(e)
	}
	n.deferred = n.deferred[:0]
}

// mix takes a fact into the run's hash.
func (s *simulation) mix(x uint64) {
	h := (s.hash ^ x) * 0x9fb21c651e98df25
	s.hash = h ^ h>>32
}

func (s *simulation) stopped() bool { return s.result.Violation != nil }

// ok reports whether the invariants hold, and ends the run if not.
func (s *simulation) ok(v *invariant.Violation) bool {
	if v != nil {
		s.fail(v.Rule, v.Node, v.Detail)
	}
	return v == nil
}

func (s *simulation) fail(rule string, node uint64, detail string) {
	if s.stopped() {
		return
	}
	s.result.Violation = &Violation{Rule: rule, Step: s.stats.Steps, Planned: s.planned, Node: node, Detail: detail}
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Violation, Node: node, Text: rule + ": " + detail})
	}
}

// panickedIn returns the innermost functions of the library on the stack.
func panickedIn() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var names []string
	for len(names) < 4 {
		f, more := frames.Next()
		if name, ours := strings.CutPrefix(f.Function, "github.com/quorate-raft/raft"); ours {
			names = append(names, strings.TrimPrefix(strings.TrimPrefix(name, "/"), "."))
		}
		if !more {
			break
		}
	}
	return strings.Join(names, " < ")
}

func (s *simulation) emit(e trace.Event) {
	e.Step, e.At = s.stats.Steps, s.now
	s.event = e
	s.observe(&s.event)
}

func (s *simulation) emitMessage(kind trace.Kind, node, peer, id uint64, m *pb.Message, text string) {
	e := trace.Event{
		Kind: kind, Node: node, Peer: peer, Msg: id, Type: m.Type, Term: m.Term, Index: m.Index,
		LogTerm: m.LogTerm, Commit: m.Commit, Entries: len(m.Entries), Reject: m.Reject, Text: text,
	}
	if m.Snapshot != nil {
		e.Index, e.LogTerm = m.Snapshot.Metadata.Index, m.Snapshot.Metadata.Term
	}
	s.emit(e)
}
