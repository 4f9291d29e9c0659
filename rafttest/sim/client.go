package sim

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/lincheck"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// client runs one operation after the other, asks again when it gets no answer,
// and gives up at some point without knowing what came of it.
type client struct {
	number uint8
	random random
	turn   uint64 // events of earlier turns mean nothing any more
	busy   bool
	op     lincheck.Op
	cmd    command
	data   []byte
	node   uint64 // whom it asks
	leader uint64 // whom it takes for the leader
	asked  int    // how often
	taken  bool   // somebody took it, so it may take effect
	failed uint64 // the last operation that nobody took
	read   uint64 // key of the read under way, or 0
	seen   [numRegisters]register
}

// opsPerKey bounds the history of a key.
const opsPerKey = 40

// key is a register in one generation, with the operations that are not over.
type openKey struct {
	key     uint64
	open    int
	retired bool
}

func keyOf(reg uint8, gen uint64) uint64 { return uint64(reg)<<56 | gen }

// act is a client's turn: it begins an operation, or has waited long enough.
func (s *simulation) act(c *client) {
	c.turn++
	if !c.busy {
		if s.now < s.sleep.quietUntil {
			s.waitClient(c, s.sleep.quietUntil-s.now+c.random.spread(1, s.set.think))
			return
		}
		if s.clientsPaused {
			s.waitClient(c, tickLength)
			return
		}
		if s.proposeOwn(c); s.stopped() {
			return
		}
		s.beginOp(c)
	}
	switch {
	case c.read != 0:
		s.finishOp(c, lincheck.Failed, 0) // a read that nobody answers has no effect
	case c.asked < 4 || c.random.below(3) > 0:
		s.ask(c)
	case c.taken:
		s.finishOp(c, lincheck.Unknown, c.op.Pos)
	default:
		if c.op.Kind != lincheck.Read {
			c.failed = c.cmd.seq
		}
		s.finishOp(c, lincheck.Failed, 0)
	}
}

func (s *simulation) waitClient(c *client, delay int64) {
	s.queue.push(event{at: s.now + delay, kind: evClient, node: int16(c.number), arg: c.turn})
}

func (s *simulation) beginOp(c *client) {
	reg := uint8(c.random.below(numRegisters))
	at := &s.regs[reg]
	if at.value >= opsPerKey {
		s.retire(keyOf(reg, at.gen))
		*at = register{gen: at.gen + 1}
	}
	at.value++
	c.busy, c.asked, c.taken, c.read = true, 0, false, 0
	c.cmd = command{client: c.number, reg: reg, gen: at.gen, seq: c.cmd.seq}
	c.op = lincheck.Op{Client: uint64(c.number), Key: keyOf(reg, at.gen), Call: s.clock()}
	s.opened(c.op.Key)
	if c.random.chance(s.set.readShare) {
		c.op.Kind = lincheck.Read
		return
	}
	s.values++
	c.cmd.seq++
	c.cmd.value = s.values
	c.cmd.kind, c.op.Kind = opWrite, lincheck.Write
	if c.random.oneIn(3) {
		c.cmd.kind, c.op.Kind = opCompareAndSet, lincheck.CompareAndSwap
		if c.seen[reg].gen == at.gen {
			c.cmd.expect = c.seen[reg].value
		}
	}
	c.op.Value, c.op.Expect = c.cmd.value, c.cmd.expect
	c.data = c.cmd.encode()
}

// clock orders what clients do by the steps of the run.
func (s *simulation) clock() int64 {
	s.instants++
	return s.instants
}

// ask tries the operation at some node.
func (s *simulation) ask(c *client) {
	n := s.byID(c.leader)
	if n == nil || !n.up || c.random.oneIn(8) || c.asked > 1 {
		n = s.anyUp(&c.random)
	}
	if n == nil || n.paused > 0 {
		s.waitClient(c, c.random.spread(tickLength, 10*tickLength))
		return
	}
	c.node = n.id
	if n.lead != 0 {
		c.leader = n.lead
	}
	err := s.request(c, n)
	if s.stopped() || !c.busy {
		return
	}
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Client, Node: n.id, Text: c.describe(err)})
	}
	c.asked++
	if err != nil {
		c.read = 0
		s.waitClient(c, c.random.spread(millisecond, 10*tickLength))
		return
	}
	c.taken = true
	s.waitClient(c, c.random.spread(5*tickLength, 60*tickLength))
}

func (s *simulation) request(c *client, n *node) error {
	if c.op.Kind != lincheck.Read {
		return s.propose(n, c.data)
	}
	s.reads++
	key := s.reads
	if n.role == raft.StateLeader && s.set.lease && c.random.oneIn(2) {
		index, err := s.leaseRead(n)
		if s.stopped() || !n.up {
			return err
		}
		if err == nil {
			c.read = key
			n.reads = append(n.reads, raft.ReadState{Index: index, RequestCtx: readContext(key)})
			s.serveReads(n)
			return nil
		}
		s.mark(markLeaseRefused)
	}
	c.read = key
	s.check.ReadAsked(n.id, key)
	s.before(n, nil)
	slept := n.asleep
	err := n.ReadIndex(readContext(key))
	s.after(n, nil, err)
	s.markWokeByRequest(n, slept)
	return err
}

// leaseRead asks a node for a lease read.
func (s *simulation) leaseRead(n *node) (uint64, error) {
	s.before(n, nil)
	slept := n.asleep
	index, err := n.LeaseRead()
	s.after(n, nil, nil)
	s.markWokeByRequest(n, slept)
	if err == nil && !s.stopped() {
		s.stats.LeaseReads++
		s.mark(markLeaseRead)
		s.ok(s.check.LeaseRead(n.id, index))
	}
	return index, err
}

// propose hands a command to a node.
func (s *simulation) propose(n *node, data []byte) error {
	return s.proposeEntry(n, pb.EntryNormal, data, func() error { return n.Propose(data) })
}

// proposeEntry hands a proposal to a node, by f.
func (s *simulation) proposeEntry(n *node, typ pb.EntryType, data []byte, f func() error) error {
	s.proposals.proposed(n.id, typ, data)
	s.before(n, nil)
	slept := n.asleep
	err := f()
	s.markRefusal(err)
	if !s.ok(s.check.Proposed(n.id, err)) {
		return err
	}
	s.after(n, nil, err)
	s.markWokeByRequest(n, slept)
	return err
}

func readContext(key uint64) []byte { return binary.LittleEndian.AppendUint64(make([]byte, 0, 8), key) }

func readKey(ctx []byte) uint64 { return binary.LittleEndian.Uint64(ctx) }

// serveReads answers the reads whose index the node has applied.
func (s *simulation) serveReads(n *node) {
	kept := 0
	for i := range n.reads {
		rs := n.reads[i]
		if rs.Index > n.sm.applied {
			n.reads[kept] = rs
			kept++
			continue
		}
		key := readKey(rs.RequestCtx)
		for j := range s.clients {
			if c := &s.clients[j]; c.busy && c.read == key {
				s.readDone(c, n)
				break
			}
		}
	}
	n.reads = n.reads[:kept]
}

func (s *simulation) readDone(c *client, n *node) {
	value, ok := n.sm.read(c.cmd.reg, c.cmd.gen)
	if !ok {
		s.finishOp(c, lincheck.Failed, 0)
		return
	}
	c.op.Result = value
	c.seen[c.cmd.reg] = register{c.cmd.gen, value}
	s.finishOp(c, lincheck.OK, n.sm.applied)
}

// answered is called when a node applies a client's command; the client hears of
// it if it is that node that it asked.
func (s *simulation) answered(n *node, cmd *command, a answer, first bool) {
	c := &s.clients[cmd.client]
	if cmd.seq == c.failed && !(c.busy && c.cmd.seq == cmd.seq) {
		s.fail("S19", n.id, fmt.Sprintf("operation %d of client %d was applied at %d, but every node had refused it",
			cmd.seq, cmd.client, n.sm.applied))
		return
	}
	if !c.busy || c.op.Kind == lincheck.Read || c.cmd.seq != cmd.seq {
		if first && a.done {
			s.tookEffect(cmd, n.sm.applied)
		}
		return
	}
	if first && c.op.Pos == 0 {
		c.op.Pos = n.sm.applied
	}
	if c.node != n.id {
		return
	}
	c.op.Swapped = a.ok
	if !a.done {
		s.finishOp(c, lincheck.Failed, 0)
		return
	}
	if c.asked > 1 {
		s.mark(markAskedAgain)
	}
	if a.ok {
		c.seen[cmd.reg] = register{cmd.gen, cmd.value}
	}
	s.finishOp(c, lincheck.OK, c.op.Pos)
}

// finishOp ends an operation and lets the client think.
func (s *simulation) finishOp(c *client, outcome lincheck.Outcome, pos uint64) {
	c.busy, c.read = false, 0
	c.op.Outcome, c.op.Pos, c.op.Return = outcome, pos, s.clock()
	if outcome == lincheck.Unknown {
		c.op.Return = math.MaxInt64
	}
	s.stats.Operations++
	if outcome == lincheck.Unknown {
		s.stats.Unknown++
		s.mark(markUnknownOutcome)
	}
	if outcome == lincheck.Unknown && pos == 0 {
		s.late = append(s.late, c.op) // it may take effect yet
	} else {
		s.judge(c.node, s.history.Add(c.op))
	}
	if s.stopped() {
		return
	}
	s.closed(c.op.Key)
	c.turn++
	s.waitClient(c, c.random.spread(1, s.set.think))
}

// finishHistory checks what is left of it at the end of the run.
func (s *simulation) finishHistory() {
	for i := range s.clients {
		if c := &s.clients[i]; c.busy && !s.stopped() {
			s.finishOp(c, lincheck.Unknown, c.op.Pos)
		}
	}
	s.addLate(func(*lincheck.Op) bool { return true })
	if s.stopped() {
		return
	}
	s.judge(0, s.history.Finish())
}

// tookEffect notes where in the log an operation took effect that its client had
// given up: the history is explained by it.
func (s *simulation) tookEffect(cmd *command, pos uint64) {
	s.addLate(func(o *lincheck.Op) bool {
		if o.Client != uint64(cmd.client) || o.Value != cmd.value {
			return false
		}
		o.Pos = pos
		return true
	})
}

// addLate adds those operations of unknown outcome to the history which are chosen.
func (s *simulation) addLate(chosen func(o *lincheck.Op) bool) {
	kept := s.late[:0]
	for _, o := range s.late {
		if !chosen(&o) {
			kept = append(kept, o)
		} else if !s.stopped() {
			s.judge(0, s.history.Add(o))
		}
	}
	s.late = kept
}

func (s *simulation) opened(key uint64) {
	for i := range s.keys {
		if s.keys[i].key == key {
			s.keys[i].open++
			return
		}
	}
	s.keys = append(s.keys, openKey{key: key, open: 1})
}

func (s *simulation) retire(key uint64) {
	for i := range s.keys {
		if s.keys[i].key == key {
			s.keys[i].retired = true
			s.dropKey(i)
			return
		}
	}
}

func (s *simulation) closed(key uint64) {
	for i := range s.keys {
		if s.keys[i].key == key {
			s.keys[i].open--
			s.dropKey(i)
			return
		}
	}
}

// dropKey has a key's history checked once nothing can be added to it.
func (s *simulation) dropKey(i int) {
	k := s.keys[i]
	if !k.retired || k.open > 0 {
		return
	}
	s.keys[i] = s.keys[len(s.keys)-1]
	s.keys = s.keys[:len(s.keys)-1]
	s.addLate(func(o *lincheck.Op) bool { return o.Key == k.key })
	if !s.stopped() {
		s.judge(0, s.history.Close(k.key))
	}
}

func (c *client) describe(err error) string {
	what := [...]string{"read", "write", "compare and set"}[c.cmd.kind]
	text := fmt.Sprintf("client %d: %s r%d.%d", c.number, what, c.cmd.reg, c.cmd.gen)
	if c.cmd.kind != opRead {
		text += fmt.Sprintf(" = %d", c.cmd.value)
	}
	if err != nil {
		text += ": " + err.Error()
	}
	return text
}

// judge takes what the checker of histories says. Where leases do not hold, a stale
// read is counted and no violation, so a history with one need not be linearizable.
func (s *simulation) judge(node uint64, err error) {
	if err != nil && !s.set.faults.has(Drift) {
		s.fail("S19", node, err.Error())
	}
}
