package explore

import (
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// An action is what leads from one state to the next: what happens, to whom, and with which message or change.
// It does not depend on the numbers of parts.
type action uint64

// Kinds of actions beyond the inputs of members.
const (
	actDrop      = uint8(numInputs)     // a message is lost
	actDuplicate = uint8(numInputs) + 1 // a message arrives and stays on its way
)

func newAction(kind uint8, at int, what uint64) action {
	return action(uint64(kind)<<56 | uint64(at)<<48 | what&(1<<48-1))
}

func (a action) kind() uint8  { return uint8(a >> 56) }
func (a action) at() int      { return int(a >> 48 & 0xff) }
func (a action) what() uint64 { return uint64(a) & (1<<48 - 1) }

// Expand implements search.Worker.
func (w *worker) Expand(b []byte, out *search.Out) error {
	m, s := w.m, &w.state
	s.read(b, m.Members)
	// In an order that does not depend on numbers.
	slices.SortFunc(s.net, func(a, b uint32) int {
		x, y := m.messages.get(a).fps[0], m.messages.get(b).fps[0]
		switch {
		case x.Lo < y.Lo:
			return -1
		case x.Lo > y.Lo:
			return 1
		}
		return 0
	})
	full := false
	for i, id := range s.net {
		if i > 0 && id == s.net[i-1] {
			continue
		}
		msg := m.messages.get(id)
		at, what := int(msg.msg.To)-1, msg.fps[0].Lo
		if at < 0 || at >= m.Members {
			continue
		}
		full = w.act(out, newAction(uint8(inDeliver), at, what), at, inDeliver, id, i) || full
		if s.left[leftDuplicates] > 0 {
			s.left[leftDuplicates]--
			full = w.act(out, newAction(actDuplicate, at, what), at, inDeliver, id, -1) || full
			s.left[leftDuplicates]++
		}
	}
	for at, id := range s.members {
		full = w.ofMember(out, at, m.members.get(id).view) || full
	}
	if !full {
		return nil
	}
	for i, id := range s.net {
		if i > 0 && id == s.net[i-1] {
			continue
		}
		msg := m.messages.get(id)
		a := newAction(actDrop, int(msg.msg.To)-1, msg.fps[0].Lo)
		if out.Want(uint64(a)) {
			w.next.set(s)
			w.next.net = slices.Delete(w.next.net, i, i+1)
			w.emit(out, uint64(a))
		}
	}
	return nil
}

// ofMember does what a member and its host can do by themselves.
func (w *worker) ofMember(out *search.Out, at int, v *view) (full bool) {
	s := &w.state
	do := func(kind inputKind, budget int) {
		if budget >= 0 {
			if s.left[budget] == 0 {
				return
			}
			s.left[budget]--
			defer func() { s.left[budget]++ }()
		}
		arg := uint32(0)
		if kind == inPropose {
			arg = uint32(s.left[leftProposals])
		}
		full = w.act(out, newAction(uint8(kind), at, 0), at, kind, arg, -1) || full
	}
	leads := v.role == raft.StateLeader
	switch {
	case !v.ticks:
	case leads:
		do(inTick, leftBeats)
	case w.m.Timeouts > 0:
		do(inTick, leftTimeouts)
	default:
		do(inTick, -1)
	}
	if v.pending > 0 {
		do(inPersist, -1)
	}
	if v.applies {
		do(inApply, -1)
	}
	if leads {
		do(inPropose, leftProposals)
		for i := range w.m.Changes {
			if s.changes&(1<<i) != 0 {
				s.changes &^= 1 << i
				full = w.act(out, newAction(uint8(inChange), at, uint64(i)), at, inChange, uint32(i), -1) || full
				s.changes |= 1 << i
			}
		}
	}
	do(inCrash, leftCrashes)
	if v.forgets {
		do(inForget, leftCrashes)
	}
	if v.compacts {
		do(inCompact, leftCompactions)
	}
	return full
}

// act emits the successor by an input to the member at a place; taken is which message of the net it takes away, or -1.
// It reports whether there was no room for what it sends.
func (w *worker) act(out *search.Out, a action, at int, kind inputKind, arg uint32, taken int) (full bool) {
	m, s, n := w.m, &w.state, &w.next
	mv := w.move(s.members[at], kind, arg)
	if mv.refused {
		return false
	}
	left := len(s.net)
	if taken >= 0 {
		left--
	}
	if mv.err == nil && left+len(mv.out) > m.Messages {
		return true
	}
	if !out.Want(uint64(a)) {
		return false
	}
	if mv.err != nil {
		out.Fail(uint64(a), nil, mv.err)
		return false
	}
	after := m.members.get(mv.next).view
	if after.term > firstTerm+m.Terms {
		return false
	}
	n.set(s)
	if taken >= 0 {
		n.net = slices.Delete(n.net, taken, taken+1)
	}
	n.net = append(n.net, mv.out...)
	if mv.next != s.members[at] {
		n.members[at] = mv.next
		for i, id := range n.members {
			w.views[i] = m.members.get(id).view
		}
		before := m.ghosts.get(s.ghost)
		g, err := judge(&before.ghost, firstIndex, w.views, at, m.members.get(s.members[at]).view, kind == inCrash || kind == inForget)
		if err != nil {
			w.buf = n.append(w.buf[:0])
			out.Fail(uint64(a), w.buf, err)
			return false
		}
		if g != &before.ghost {
			n.ghost = w.internGhost(g)
		}
	} else if taken < 0 && len(mv.out) == 0 {
		return false // nothing happened
	}
	if !m.within(after) {
		return false // what is beyond the bounds is judged and not explored
	}
	w.emit(out, uint64(a))
	return false
}

// move returns what an input does to a member.
func (w *worker) move(id uint32, kind inputKind, arg uint32) *move {
	m := w.m
	key := memoKey{id, arg, kind}
	if mv := m.moves.get(key); mv != nil {
		return mv
	}
	mv := w.run(m.members.get(id), kind, arg)
	m.moves.put(key, mv)
	return mv
}

// run runs the real code.
func (w *worker) run(p *memberPart, kind inputKind, arg uint32) *move {
	mb, err := w.bench.open(p.bytes)
	if err != nil {
		return &move{err: err}
	}
	in := input{kind: kind}
	switch kind {
	case inDeliver:
		in.msg = w.copyOf(&w.m.messages.get(arg).msg)
	case inChange:
		in.cc = &w.m.Changes[arg]
	case inPropose:
		if w.m.payloads {
			in.data = []byte{byte(arg)}
		}
	}
	e, err := w.bench.step(mb, in)
	if err != nil || e.refused {
		return &move{err: err, refused: e.refused}
	}
	mv := &move{}
	for i := range e.out {
		mv.out = append(mv.out, w.internMessage(&e.out[i]))
	}
	mv.next = w.internMember(mb)
	return mv
}

// copyOf returns a copy of a message whose arrays are the receiver's own: nodes keep what they are given.
func (w *worker) copyOf(msg *pb.Message) *pb.Message {
	c := *msg
	c.Entries = slices.Clone(msg.Entries)
	return &c
}

// within reports whether a member is within the bounds; what it leads to beyond them is not explored.
func (m *Model) within(v *view) bool {
	return v.term <= firstTerm+m.Terms && (m.Entries == 0 || v.log.last() <= firstIndex+m.Entries)
}
