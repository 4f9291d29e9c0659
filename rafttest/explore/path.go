package explore

import (
	"fmt"

	"github.com/quorate-raft/raft/rafttest/explore/search"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// player goes along a path and tells what happens, as a simulated run does.
type player struct {
	*worker
	events []trace.Event
	at     state
	net    []flight
	sent   uint64 // how many messages so far
	lives  []uint64
}

// flight is a message on its way, with its number.
type flight struct {
	id, number uint64
}

// Events tells what happens along the path of a violation, as the events of a simulated run: a line each, or a picture
// by package spacetime. A step is an action; time is not known.
func (m *Model) Events(v *search.Violation) ([]trace.Event, error) {
	p := &player{worker: m.worker()}
	p.at.read(v.States[0], m.Members)
	for id := range uint64(m.Members) {
		p.lives = append(p.lives, 1)
		is := p.m.members.get(p.at.members[id]).view
		p.event(0, trace.Event{Kind: trace.Start, Node: id + 1, Index: 1, Term: is.term})
		if m.Led {
			p.changed(0, &view{commit: firstIndex, confAt: is.confAt}, is)
		}
	}
	for i, a := range v.Actions {
		if err := p.play(uint64(i+1), action(a)); err != nil {
			return nil, err
		}
	}
	last := trace.Event{Kind: trace.Violation, Text: v.Err.Error()}
	if bad, ok := v.Err.(*Violation); ok {
		last.Node, last.Text = bad.Node, bad.Rule+": "+bad.Detail
	}
	p.event(uint64(len(v.Actions)), last)
	return p.events, nil
}

func (p *player) event(step uint64, e trace.Event) {
	e.Step, e.At = step, int64(step)*1000
	p.events = append(p.events, e)
}

// play does one action.
func (p *player) play(step uint64, a action) error {
	node := uint64(a.at() + 1)
	kind, arg := inputKind(a.kind()), uint32(0)
	e := trace.Event{Node: node}
	switch a.kind() {
	case uint8(inDeliver), actDuplicate, actDrop:
		i := p.find(a)
		if i < 0 {
			return fmt.Errorf("explore: action %d of the path is about a message that is not there", step)
		}
		f := p.net[i]
		e = p.message(f)
		if a.kind() != actDuplicate {
			p.net = append(p.net[:i:i], p.net[i+1:]...)
		}
		kind, arg = inDeliver, uint32(f.id)
		if a.kind() == actDrop {
			e.Kind, e.Text = trace.Drop, "lost"
			p.event(step, e)
			return nil
		}
		e.Kind, e.Node, e.Peer = trace.Deliver, e.Peer, e.Node
		if a.kind() == actDuplicate {
			e.Text = "and stays on its way"
		}
	case uint8(inChange):
		arg = uint32(a.what())
		e.Kind, e.Text = trace.Client, fmt.Sprintf("proposes %v", &p.m.Changes[arg])
	case uint8(inPropose):
		e.Kind, e.Text = trace.Client, "proposes"
	case uint8(inRead):
		arg = uint32(a.what())
		e.Kind, e.Text = trace.Client, fmt.Sprintf("asks for read %d", arg)
	case uint8(inCampaign):
		e.Kind, e.Text = trace.Client, "tells it to stand"
	case uint8(inTransfer):
		arg = uint32(a.what())
		e.Kind, e.Text = trace.Client, fmt.Sprintf("asks %d to take over", arg)
	case uint8(inClock):
		e.Kind, e.Text = trace.Fault, fmt.Sprintf("the clock of %d ticks", node)
	case uint8(inTick):
		e.Kind, e.Text = trace.Fault, fmt.Sprintf("the time of %d comes", node)
	case uint8(inCrash), uint8(inForget):
		e.Kind, e.Text = trace.Crash, "what is not durable is lost"
		if kind == inForget {
			e.Text = "what is not synced is lost"
		}
	case uint8(inPersist):
		e.Kind = trace.Sync
	case uint8(inApply):
		e.Kind = trace.Apply
	case uint8(inCompact):
		e.Kind, e.Text = trace.Snapshot, "taken"
	}
	was := p.m.members.get(p.at.members[a.at()])
	mv := p.move(was, kind, arg)
	if mv.err != nil {
		p.event(step, e)
		return nil // the last one
	}
	is := mv.next
	switch e.Kind {
	case trace.Sync:
		e.Index = is.view.disk.last()
	case trace.Apply:
		e.Index = is.view.applied
	case trace.Snapshot:
		e.Index = is.view.log.base
	}
	p.event(step, e)
	if e.Kind == trace.Crash {
		p.lives[a.at()]++
		p.event(step, trace.Event{Kind: trace.Start, Node: node, Index: p.lives[a.at()], Term: is.view.term})
	}
	p.moved(step, a.at(), mv)
	return nil
}

// moved tells what an input has changed, and what leaves.
func (p *player) moved(step uint64, at int, mv *move) {
	was := p.m.members.get(p.at.members[at])
	p.at.members[at] = mv.next.number
	p.changed(step, was.view, mv.next.view)
	for _, a := range mv.reads {
		p.event(step, trace.Event{Kind: trace.Client, Node: uint64(at + 1), Text: fmt.Sprintf("read %d is answered with %d", a.number, a.index)})
	}
	for _, sent := range mv.out {
		p.sent++
		f := flight{uint64(sent.number), p.sent}
		p.net = append(p.net, f)
		s := p.message(f)
		s.Kind = trace.Send
		p.event(step, s)
	}
}

// find returns which message on its way an action is about.
func (p *player) find(a action) int {
	for i, f := range p.net {
		part := p.m.messages.get(uint32(f.id))
		if part.at == a.at() && part.fp().Lo&(1<<48-1) == a.what() {
			return i
		}
	}
	return -1
}

// message describes a message as its sender sees it.
func (p *player) message(f flight) trace.Event {
	msg := &p.m.messages.get(uint32(f.id)).msg
	return trace.Event{
		Node: msg.From, Peer: msg.To, Msg: f.number, Type: msg.Type, Term: msg.Term, Index: msg.Index, LogTerm: msg.LogTerm,
		Commit: msg.Commit, Entries: len(msg.Entries), Reject: msg.Reject,
	}
}

// changed tells what is new about a member.
func (p *player) changed(step uint64, was, is *view) {
	if was.role != is.role || was.term != is.term || was.lead != is.lead {
		p.event(step, trace.Event{Kind: trace.Role, Node: is.id, Role: is.role, Term: is.term, Lead: is.lead})
	}
	if is.commit > was.commit {
		p.event(step, trace.Event{Kind: trace.Commit, Node: is.id, Index: is.commit})
	}
	if is.confAt != was.confAt {
		p.event(step, trace.Event{Kind: trace.Conf, Node: is.id, Index: is.confAt, Text: is.conf.String()})
	}
	if is.pending > 0 && (is.pending != was.pending || is.log.last() != was.log.last()) {
		w := &is.newest
		e := trace.Event{Kind: trace.Write, Node: is.id, Term: w.Hard.Term, Commit: w.Hard.Commit, Entries: len(w.Entries)}
		if e.Entries > 0 {
			e.Index = is.log.last()
		}
		p.event(step, e)
	}
}
