package browsertest

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// sample is a run of a rafttest.Cluster over virtual time, with delays, losses, duplicates,
// cut links, crashes, changes of leader and of configuration, and, as the core has
// none to offer, a made-up violation near the end. The same arguments give the same run.
type sample struct {
	cluster *rafttest.Cluster
	rand    *rand.Rand
	nodes   uint64
	events  []trace.Event
	confs   map[uint64]string // as last recorded
	was     map[uint64]raft.BasicStatus

	step   uint64
	now    int64
	queue  agenda
	queued uint64

	down   map[uint64]bool
	starts map[uint64]uint64
	cutOff uint64 // the node that is alone, or 0

	messages, faults, proposals uint64
}

const (
	tickTime = 10_000 // µs
	meanLag  = 2_000  // µs
)

// sampleRun returns at least the given number of events.
func sampleRun(nodes int, seed uint64, events int) []trace.Event {
	s := &sample{
		cluster: rafttest.NewCluster(nodes, seed), rand: rand.New(rand.NewPCG(seed, 1)), nodes: uint64(nodes),
		down: map[uint64]bool{}, starts: map[uint64]uint64{}, was: map[uint64]raft.BasicStatus{}, confs: map[uint64]string{},
	}
	s.cluster.Observe = s.observe
	for id := uint64(1); id <= s.nodes; id++ {
		s.step++
		s.starts[id] = 1
		s.add(trace.Event{Kind: trace.Start, Node: id, Index: 1})
		s.later(tickTime+int64(id)*700, func() { s.tick(id) })
	}
	s.later(150_000, s.propose)
	s.later(400_000, s.fault)
	for len(s.events) < events {
		in := heap.Pop(&s.queue).(occurrence)
		s.step++
		s.now = in.at
		in.do()
	}
	s.step++
	s.add(trace.Event{Kind: trace.Violation, Node: 2,
		Text: "S3 log matching: entries 2/118 of nodes 2 and 3 have the same term but differ <script>alert(1)</script>"})
	for range 30 {
		in := heap.Pop(&s.queue).(occurrence)
		s.step++
		s.now = in.at
		in.do()
	}
	return s.events
}

func (s *sample) add(e trace.Event) {
	e.Step, e.At = s.step, s.now
	s.events = append(s.events, e)
}

func (s *sample) later(after int64, do func()) {
	s.queued++
	heap.Push(&s.queue, occurrence{at: s.now + after, seq: s.queued, do: do})
}

func (s *sample) tick(id uint64) {
	s.later(tickTime, func() { s.tick(id) })
	if !s.down[id] {
		s.cluster.Node(id).Tick()
		s.handle(id)
	}
}

func (s *sample) propose() {
	s.later(s.rand.Int64N(40_000), s.propose)
	l := s.cluster.Leader()
	if l == nil || s.down[l.ID] {
		return
	}
	s.proposals++
	s.add(trace.Event{Kind: trace.Client, Node: l.ID, Text: fmt.Sprintf("put k%d=%d", s.proposals%5, s.proposals)})
	if l.Propose(fmt.Appendf(nil, "k=%d", s.proposals)) == nil {
		s.handle(l.ID)
	}
}

// handle does all the Readys of a node, and puts what it sends on its way.
func (s *sample) handle(id uint64) {
	for s.cluster.Handle(id) {
	}
	m := s.cluster.Node(id)
	after := m.BasicStatus()
	if before, known := s.was[id]; !known || before.SoftState != after.SoftState || before.Term != after.Term {
		s.add(trace.Event{Kind: trace.Role, Node: id, Term: after.Term, Role: after.RaftState, Lead: after.Lead})
	}
	s.was[id] = after
	if text := confText(m.Conf); text != s.confs[id] {
		s.confs[id] = text
		s.add(trace.Event{Kind: trace.Conf, Node: id, Index: m.AppliedIndex, Text: text})
	}
	for _, msg := range s.cluster.Take(nil) {
		s.send(msg)
	}
}

// observe records what a Ready has a host do.
func (s *sample) observe(id uint64, rd raft.Ready) {
	if len(rd.Entries) > 0 || !raft.IsEmptyHardState(rd.HardState) {
		e := trace.Event{Kind: trace.Write, Node: id, Term: rd.Term, Commit: rd.Commit, Entries: len(rd.Entries)}
		if n := len(rd.Entries); n > 0 {
			e.Index = rd.Entries[n-1].Index
		}
		s.add(e)
		if rd.MustSync {
			e.Kind, e.Term, e.Commit, e.Entries = trace.Sync, 0, 0, 0
			s.add(e)
		}
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		s.add(trace.Event{Kind: trace.Snapshot, Node: id, Index: rd.Snapshot.Metadata.Index, Text: "restored"})
	}
	if n := len(rd.CommittedEntries); n > 0 {
		index := rd.CommittedEntries[n-1].Index
		s.add(trace.Event{Kind: trace.Commit, Node: id, Index: index})
		s.add(trace.Event{Kind: trace.Apply, Node: id, Index: index})
		if index%60 < uint64(n) {
			m := s.cluster.Node(id)
			if _, err := m.Storage.CreateSnapshot(m.AppliedIndex, &m.Conf, nil); err == nil && m.AppliedIndex > 20 {
				_ = m.Storage.Compact(m.AppliedIndex - 10)
				s.add(trace.Event{Kind: trace.Snapshot, Node: id, Index: m.AppliedIndex, Text: "taken"})
			}
		}
	}
}

// confText is a configuration for people.
func confText(cs pb.ConfState) string {
	text := "voters" + ids(cs.Voters)
	if len(cs.VotersOutgoing) > 0 {
		text += " and" + ids(cs.VotersOutgoing)
	}
	if len(cs.Learners) > 0 {
		text += ", learners" + ids(cs.Learners)
	}
	return text
}

func ids(of []uint64) string {
	var b strings.Builder
	for _, id := range of {
		fmt.Fprintf(&b, " %d", id)
	}
	return b.String()
}

func (s *sample) send(m pb.Message) {
	s.messages++
	number := s.messages
	e := trace.Event{
		Kind: trace.Send, Node: m.From, Peer: m.To, Msg: number, Type: m.Type, Term: m.Term, Index: m.Index,
		LogTerm: m.LogTerm, Commit: m.Commit, Entries: len(m.Entries), Reject: m.Reject,
	}
	s.add(e)
	if s.isCut(m.From, m.To) || s.rand.IntN(40) == 0 {
		e.Kind, e.Text = trace.Drop, "lost"
		if s.isCut(m.From, m.To) {
			e.Text = "the link is cut"
			s.add(e)
			return
		}
		s.later(s.lag(), func() { s.add(e) })
		return
	}
	for range 1 + 1/(1+s.rand.IntN(60)) {
		s.later(s.lag(), func() { s.deliver(m, e) })
	}
}

func (s *sample) lag() int64 { return 300 + int64(s.rand.ExpFloat64()*meanLag) }

func (s *sample) deliver(m pb.Message, e trace.Event) {
	if s.down[m.To] {
		e.Kind, e.Text = trace.Drop, "the node is down"
		s.add(e)
		return
	}
	e.Kind, e.Node, e.Peer = trace.Deliver, m.To, m.From
	err := s.cluster.Node(m.To).Step(m)
	if err == nil && s.rand.IntN(400) == 0 {
		e.Text = "refused: made up for the picture"
	}
	s.add(e)
	s.handle(m.To)
}

func (s *sample) isCut(a, b uint64) bool { return (a == s.cutOff) != (b == s.cutOff) && s.cutOff != 0 }

// fault begins one of the faults, and sees to its end.
func (s *sample) fault() {
	s.faults++
	number, node := s.faults, 1+s.rand.Uint64N(s.nodes)
	begin := func(text string) {
		s.add(trace.Event{Kind: trace.Fault, Index: number, Node: node, Text: text})
	}
	end := func(after int64, text string, do func()) {
		s.later(after, func() {
			do()
			s.add(trace.Event{Kind: trace.Fault, Index: number, Node: node, Text: text})
		})
	}
	leader := s.cluster.Leader()
	switch s.rand.IntN(4) {
	case 0:
		begin(fmt.Sprintf("partition: node %d alone", node))
		s.cutOff = node
		s.add(trace.Event{Kind: trace.Cut, Text: s.cutText()})
		end(300_000+s.rand.Int64N(400_000), "heal", func() {
			s.cutOff = 0
			s.add(trace.Event{Kind: trace.Cut})
		})
	case 1:
		if s.down[node] {
			break
		}
		begin(fmt.Sprintf("crash node %d after persisting", node))
		s.down[node] = true
		s.add(trace.Event{Kind: trace.Crash, Node: node, Text: "after persisting, before sending"})
		end(100_000+s.rand.Int64N(300_000), "restart", func() {
			s.down[node] = false
			s.starts[node]++
			s.cluster.Restart(node)
			delete(s.was, node)
			term := s.cluster.Node(node).BasicStatus().Term
			s.add(trace.Event{Kind: trace.Start, Node: node, Index: s.starts[node], Term: term})
		})
	case 2:
		if leader != nil && !s.down[leader.ID] {
			begin(fmt.Sprintf("transfer leadership from %d to %d", leader.ID, node))
			_ = leader.TransferLeader(node)
			s.handle(leader.ID)
		}
	case 3:
		if leader != nil && !s.down[leader.ID] && s.nodes > 3 {
			kind := pb.ConfChangeAddNode
			if slices.Contains(leader.Conf.Voters, s.nodes) {
				kind = pb.ConfChangeAddLearnerNode
			}
			begin(fmt.Sprintf("%v %d", kind, s.nodes))
			_ = leader.ProposeConfChange(pb.ConfChange{Type: kind, NodeID: s.nodes})
			s.handle(leader.ID)
		}
	}
	s.later(500_000+s.rand.Int64N(700_000), s.fault)
}

func (s *sample) cutText() string {
	var rest []string
	for id := uint64(1); id <= s.nodes; id++ {
		if id != s.cutOff {
			rest = append(rest, fmt.Sprint(id))
		}
	}
	return fmt.Sprintf("%d | %s", s.cutOff, strings.Join(rest, " "))
}

// occurrence is what happens at a time.
type occurrence struct {
	at  int64
	seq uint64
	do  func()
}

type agenda []occurrence

func (q agenda) Len() int { return len(q) }
func (q agenda) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].at, q[j].at), cmp.Compare(q[i].seq, q[j].seq)) < 0
}
func (q agenda) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *agenda) Push(x any)   { *q = append(*q, x.(occurrence)) }
func (q *agenda) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
