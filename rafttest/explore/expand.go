package explore

import (
	"cmp"
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
	w.load(s)
	// In an order that does not depend on numbers.
	slices.SortFunc(w.net, func(a, b *messagePart) int { return cmp.Compare(a.fp().Lo, b.fp().Lo) })
	for i, p := range w.parts {
		w.views[i] = p.view
	}
	full := false
	for i, p := range w.net {
		if i > 0 && p == w.net[i-1] || p.at < 0 || p.at >= m.Members {
			continue
		}
		what := p.fp().Lo
		full = w.act(out, newAction(uint8(inDeliver), p.at, what), p.at, inDeliver, p.number, i) || full
		if s.left[leftDuplicates] > 0 {
			s.left[leftDuplicates]--
			full = w.act(out, newAction(actDuplicate, p.at, what), p.at, inDeliver, p.number, -1) || full
			s.left[leftDuplicates]++
		}
	}
	for at, p := range w.parts {
		full = w.ofMember(out, at, p.view) || full
	}
	if !full {
		return nil
	}
	for i, p := range w.net {
		if i > 0 && p == w.net[i-1] {
			continue
		}
		a := newAction(actDrop, p.at, p.fp().Lo)
		if out.Want(uint64(a)) {
			w.begin()
			w.nextNet = append(append(w.nextNet[:0], w.net[:i]...), w.net[i+1:]...)
			minus(w.changing, p.fps)
			w.emit(out, a)
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
		if kind == inPropose && w.m.payloads {
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

// begin makes the next state that at hand, to be changed, but for what is on its way.
func (w *worker) begin() {
	s, n := &w.state, &w.next
	n.members = append(n.members[:0], s.members...)
	n.ghost, n.left, n.changes = s.ghost, s.left, s.changes
	w.changing = append(w.changing[:0], w.sums[:w.m.renamings()]...)
}

// emit hands over the next state.
func (w *worker) emit(out *search.Out, a action) {
	w.buf = w.encode(w.buf[:0])
	out.Emit(uint64(a), w.buf, w.m.tell(w.changing, &w.next))
}

// encode appends the next state.
func (w *worker) encode(b []byte) []byte {
	n := &w.next
	n.net = n.net[:0]
	for _, p := range w.nextNet {
		n.net = append(n.net, p.number)
	}
	return n.append(b)
}

// act emits the successor by an input to the member at a place; taken is which message of the net it takes away, or -1.
// It reports whether there was no room for what it sends.
func (w *worker) act(out *search.Out, a action, at int, kind inputKind, arg uint32, taken int) (full bool) {
	m, was := w.m, w.parts[at]
	mv := w.move(was, kind, arg)
	if mv.refused {
		return false
	}
	if mv.err != nil {
		if out.Want(uint64(a)) {
			out.Fail(uint64(a), nil, mv.err)
		}
		return false
	}
	w.nextNet = w.arrive(w.nextNet[:0], at, taken, mv)
	if len(w.nextNet) > m.Messages {
		return true
	}
	if !out.Want(uint64(a)) {
		return false
	}
	after := mv.next.view
	if after.term > firstTerm+m.Terms || mv.next == was && taken < 0 && len(mv.out) == 0 {
		return false // beyond the bounds, or nothing happened
	}
	w.begin()
	w.next.members[at] = mv.next.number
	minus(w.changing, was.fps)
	plus(w.changing, mv.next.fps)
	if crashed := kind == inCrash || kind == inForget; mv.seen || crashed {
		w.views[at] = after
		g, err := judge(&w.ghost.ghost, firstIndex, w.views, at, was.view, crashed)
		w.views[at] = was.view
		if err != nil {
			w.buf = w.encode(w.buf[:0])
			out.Fail(uint64(a), w.buf, err)
			return false
		}
		if g != &w.ghost.ghost {
			p := w.internGhost(g)
			w.next.ghost = p.number
			minus(w.changing, w.ghost.fps)
			plus(w.changing, p.fps)
		}
	}
	if !m.within(after) {
		return false // what is beyond the bounds is judged and not explored
	}
	for _, p := range w.net {
		minus(w.changing, p.fps)
	}
	for _, p := range w.nextNet {
		plus(w.changing, p.fps)
	}
	w.emit(out, a)
	return false
}

// arrive appends what is on its way after a move of the member at a place.
func (w *worker) arrive(net []*messagePart, at, taken int, mv *move) []*messagePart {
	for i, p := range w.net {
		if i == taken || p.at == at && mv.next != w.parts[at] && w.dead(mv.next, p) {
			continue
		}
		net = append(net, p)
	}
	for _, p := range mv.out {
		if p.at >= 0 && p.at < len(w.parts) && w.dead(w.parts[p.at], p) {
			continue
		}
		net = append(net, p)
	}
	return net
}

// dead reports whether a message means nothing to a member, now and ever, so that it is as good as lost: an answer of a
// term that is over for it for good, since its disk holds a later one, or one for which it does not stand or
// lead any more. What the answer says of the commit index it knows for good too.
func (w *worker) dead(to *memberPart, p *messagePart) bool {
	msg, v := &p.msg, to.view
	switch msg.Type {
	case pb.MsgVoteResp:
		if v.term == msg.Term && v.role == raft.StateCandidate {
			return false
		}
	case pb.MsgAppResp, pb.MsgHeartbeatResp:
		if v.term == msg.Term && v.role != raft.StateFollower {
			return false
		}
	default:
		return false
	}
	if v.hard.Term < msg.Term || v.synced < msg.Commit || w.m.keepDead {
		return false
	}
	mv := w.move(to, inDeliver, p.number)
	return mv.err == nil && !mv.refused && mv.next == to && len(mv.out) == 0
}

// move returns what an input does to a member.
func (w *worker) move(p *memberPart, kind inputKind, arg uint32) *move {
	key := newMoveKey(kind, arg)
	if mv := p.moves.get(key); mv != nil {
		return mv
	}
	mv := w.run(p, kind, arg)
	p.moves.put(key, mv)
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
	mv.seen = !mv.next.view.looksAs(p.view)
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
