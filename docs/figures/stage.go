package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/spacetime"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// stage is a group of real nodes whose every step a script gives, and what is seen of it. A message takes one step,
// unless the script holds it back or loses it. A script that goes wrong panics.
type stage struct {
	*rafttest.Cluster
	// lose and hold are asked for each message that is sent: the first loses it, the second keeps it until release.
	lose, hold func(pb.Message) bool
	// hide is asked which messages are not drawn.
	hide func(pb.Message) bool
	// hideCommits says that commit indexes are not drawn.
	hideCommits bool

	events []trace.Event
	notes  []spacetime.Note
	begun  bool
	step   uint64
	msgs   uint64
	way    []flying
	held   []flying
	seen   map[uint64]seen
	down   []uint64
	// leaders and committed are what the checks remember: of terms and of indexes.
	leaders   map[uint64]uint64
	committed map[uint64]pb.Entry
	broken    map[string]bool
}

type flying struct {
	pb.Message
	number       uint64
	lost, hidden bool
}

// seen is what the trace has of a node so far.
type seen struct {
	role      raft.StateType
	term      uint64
	commit    uint64
	conf      string
	confIndex uint64
}

// newStage starts voters as the voters of a group, and learners that have its log. All of them know that the first
// leads.
func newStage(voters, learners int, configure func(*raft.Config)) *stage {
	s := bareStage(configure)
	var cs pb.ConfState
	for id := range uint64(voters + learners) {
		if int(id) < voters {
			cs.Voters = append(cs.Voters, id+1)
		} else {
			cs.Learners = append(cs.Learners, id+1)
		}
	}
	for id := range uint64(voters + learners) {
		s.addWith(id+1, cs)
	}
	s.Elect(1)
	return s
}

func bareStage(configure func(*raft.Config)) *stage {
	return &stage{
		Cluster: &rafttest.Cluster{Configure: configure}, seen: map[uint64]seen{},
		leaders: map[uint64]uint64{}, committed: map[uint64]pb.Entry{}, broken: map[string]bool{},
		hide: func(m pb.Message) bool { return m.Type == pb.MsgHeartbeat || m.Type == pb.MsgHeartbeatResp },
	}
}

// addWith adds a node that begins with a configuration.
func (s *stage) addWith(id uint64, cs pb.ConfState) {
	m := s.Add(id)
	must(m.Storage.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: cs}}))
	m.Conf, m.AppliedIndex = cs, 1
	s.Restart(id)
}

// begin ends what was before the figure.
func (s *stage) begin(text string) {
	s.Settle()
	s.begun = true
	s.step++
	for _, m := range s.Nodes() {
		s.emit(trace.Event{Kind: trace.Start, Node: m.ID, Index: 1, Term: m.BasicStatus().Term})
	}
	s.look()
	s.note(0, text)
}

// note explains the step that was made last.
func (s *stage) note(id uint64, text string) {
	if text != "" {
		s.notes = append(s.notes, spacetime.Note{Step: s.step, Node: id, Text: text})
	}
}

// do is one step: an input to a node, and what the group makes of it.
func (s *stage) do(id uint64, text string, input func(m *rafttest.Member) error) {
	s.step++
	s.note(id, text)
	must(input(s.Node(id)))
	s.handle()
}

// and is another input in the step of the last one.
func (s *stage) and(id uint64, text string, input func(m *rafttest.Member) error) {
	s.step--
	s.do(id, text, input)
}

func (s *stage) propose(id uint64, text, data string) {
	s.do(id, text, func(m *rafttest.Member) error { return m.Propose([]byte(data)) })
}

// change proposes a change of membership in the short notation.
func (s *stage) change(id uint64, text, what string) { s.do(id, text, changing(what)) }

func changing(what string) func(m *rafttest.Member) error {
	return func(m *rafttest.Member) error {
		changes, err := pb.ConfChangesFromString(what)
		if err != nil {
			return err
		}
		return m.ProposeConfChange(pb.ConfChangeV2{Changes: changes})
	}
}

func (s *stage) campaign(id uint64, text string) { s.do(id, text, (*rafttest.Member).Campaign) }

// ticks lets time pass for one node, in a step.
func (s *stage) ticks(id uint64, n int, text string) { s.do(id, text, ticking(n)) }

func ticking(n int) func(m *rafttest.Member) error {
	return func(m *rafttest.Member) error {
		for range n {
			m.RawNode.Tick()
		}
		return nil
	}
}

func (s *stage) crash(id uint64, text string) {
	s.step++
	s.note(id, text)
	s.down = append(s.down, id)
	s.emit(trace.Event{Kind: trace.Crash, Node: id})
	delete(s.seen, id)
}

func (s *stage) restart(id uint64, text string) {
	s.step++
	s.note(id, text)
	s.down = slices.DeleteFunc(s.down, func(down uint64) bool { return down == id })
	s.Restart(id)
	s.emit(trace.Event{Kind: trace.Start, Node: id, Index: 2, Term: s.Node(id).BasicStatus().Term})
	s.handle()
}

// cut parts these nodes from the others, or with none ends that.
func (s *stage) cut(text string, ids ...uint64) {
	s.step++
	if len(ids) > 0 {
		s.note(ids[0], text)
	} else {
		s.note(0, text)
	}
	var links []string
	for _, a := range s.Nodes() {
		for _, b := range s.Nodes() {
			if a.ID < b.ID && slices.Contains(ids, a.ID) != slices.Contains(ids, b.ID) {
				links = append(links, fmt.Sprintf("%d-%d", a.ID, b.ID))
			}
		}
	}
	s.lose = rafttest.Cut(ids...)
	s.emit(trace.Event{Kind: trace.Cut, Text: strings.Join(links, " ")})
}

// release sends on what was held back.
func (s *stage) release() {
	s.hold = nil
	s.way = append(s.way, s.held...)
	s.held = nil
}

// run lets messages arrive until there are none.
func (s *stage) run() {
	for n := 0; len(s.way) > 0; n++ {
		if n == 50 {
			panic("messages without end")
		}
		s.round()
	}
}

// round is a step in which all that is on its way arrives.
func (s *stage) round() {
	s.step++
	arriving := s.way
	s.way = nil
	for _, m := range arriving {
		if m.lost || slices.Contains(s.down, m.To) {
			s.emitMessage(trace.Drop, m, "lost")
			continue
		}
		text := ""
		if err := s.Node(m.To).Step(m.Message); err != nil {
			text = err.Error()
		}
		s.emitMessage(trace.Deliver, m, text)
	}
	s.handle()
}

// handle lets the hosts do all that there is to do.
func (s *stage) handle() {
	for _, m := range s.Nodes() {
		if slices.Contains(s.down, m.ID) {
			continue
		}
		for s.Cluster.Handle(m.ID) {
		}
		s.look()
		for _, msg := range s.Take(nil) {
			s.send(msg)
		}
	}
}

func (s *stage) send(msg pb.Message) {
	s.msgs++
	m := flying{Message: msg, number: s.msgs, hidden: s.hide(msg)}
	s.emitMessage(trace.Send, m, "")
	m.lost = s.lose != nil && s.lose(msg)
	if !m.lost && s.hold != nil && s.hold(msg) {
		s.held = append(s.held, m)
		return
	}
	s.way = append(s.way, m)
}

func (s *stage) emit(e trace.Event) {
	if s.begun {
		e.Step, e.At = s.step, int64(s.step)*1000
		s.events = append(s.events, e)
	}
}

func (s *stage) emitMessage(kind trace.Kind, m flying, text string) {
	if m.hidden {
		return
	}
	e := trace.Event{
		Kind: kind, Node: m.From, Peer: m.To, Msg: m.number, Type: m.Type, Term: m.Term, Index: m.Index, LogTerm: m.LogTerm,
		Commit: m.Commit, Entries: len(m.Entries), Reject: m.Reject, Text: text,
	}
	if kind == trace.Deliver {
		e.Node, e.Peer = m.To, m.From
	}
	if m.Snapshot != nil {
		e.Index = m.Snapshot.Metadata.Index
	}
	s.emit(e)
}

// look notes what has changed at the nodes, and whether it breaks a promise of Raft.
func (s *stage) look() {
	for _, m := range s.Nodes() {
		if slices.Contains(s.down, m.ID) {
			continue
		}
		st := m.Status()
		was, known := s.seen[m.ID]
		now := seen{role: st.RaftState, term: st.Term, commit: st.Commit, conf: st.Config.String(), confIndex: st.ConfigIndex}
		if s.seen[m.ID] = now; !s.begun {
			continue
		}
		if !known || was.role != now.role {
			s.emit(trace.Event{Kind: trace.Role, Node: m.ID, Term: st.Term, Role: st.RaftState, Lead: st.Lead})
		}
		if !known || was.commit != now.commit {
			s.emit(trace.Event{Kind: trace.Commit, Node: m.ID, Index: st.Commit})
		}
		if (!known || was.conf != now.conf) && len(st.Config.IDs()) > 0 {
			s.emit(trace.Event{Kind: trace.Conf, Node: m.ID, Index: st.ConfigIndex, Text: now.conf})
		}
		s.check(m, st)
	}
}

// check looks for two leaders in a term, and for two entries that are committed at an index.
func (s *stage) check(m *rafttest.Member, st raft.Status) {
	if st.RaftState == raft.StateLeader {
		if other, led := s.leaders[st.Term]; led && other != m.ID {
			s.violation(fmt.Sprintf("Two leaders in term %d.", st.Term))
		}
		s.leaders[st.Term] = m.ID
	}
	for _, e := range m.Applied {
		other, found := s.committed[e.Index]
		if found && (other.Term != e.Term || other.Type != e.Type || !bytes.Equal(other.Data, e.Data)) {
			s.violation(fmt.Sprintf("Two different entries are committed at index %d.", e.Index))
			return
		}
		s.committed[e.Index] = e
	}
}

func (s *stage) violation(text string) {
	if !s.broken[text] {
		s.broken[text] = true
		s.emit(trace.Event{Kind: trace.Violation, Text: text})
	}
}

// expect panics unless the script has come to what it is to show.
func (s *stage) expect(ok bool, what string) {
	if !ok {
		panic("the script has not come to: " + what)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
