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
	w.fill()
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
		switch {
		case kind == inPropose && w.m.payloads:
			arg = uint32(s.left[leftProposals])
		case kind == inRead:
			arg = uint32(s.left[leftReads])
		}
		full = w.act(out, newAction(uint8(kind), at, uint64(arg)), at, kind, arg, -1) || full
	}
	leads := v.role == raft.StateLeader
	switch {
	case !v.ticks || w.m.settings.clock:
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
	do(inRead, leftReads)
	if !leads {
		do(inCampaign, leftCampaigns)
	}
	if leads && s.left[leftTransfers] > 0 {
		s.left[leftTransfers]--
		for to := range w.parts {
			if to != at {
				full = w.act(out, newAction(uint8(inTransfer), at, uint64(to+1)), at, inTransfer, uint32(to+1), -1) || full
			}
		}
		s.left[leftTransfers]++
	}
	full = w.clock(out, at) || full
	do(inCrash, leftCrashes)
	if v.forgets {
		do(inForget, leftCrashes)
	}
	if v.compacts {
		do(inCompact, leftCompactions)
	}
	return full
}

// clock ticks that of a member, unless it is ahead of another's. A period is over when all have ticked.
func (w *worker) clock(out *search.Out, at int) (full bool) {
	s := &w.state
	if s.left[leftTicks] == 0 || s.ticked>>at&1 != 0 {
		return false
	}
	left, ticked := s.left[leftTicks], s.ticked
	if s.ticked |= 1 << at; s.ticked == 1<<len(w.parts)-1 {
		s.ticked = 0
		s.left[leftTicks]--
	}
	full = w.act(out, newAction(uint8(inClock), at, 0), at, inClock, 0, -1)
	s.left[leftTicks], s.ticked = left, ticked
	return full
}

// fill notes how the members look.
func (w *worker) fill() {
	for i, p := range w.parts {
		w.views[i] = p.view
	}
}

// begin makes the next state that at hand, to be changed, but for what is on its way.
func (w *worker) begin() {
	s, n := &w.state, &w.next
	n.members = append(n.members[:0], s.members...)
	n.ghost, n.left, n.changes, n.ticked = s.ghost, s.left, s.changes, s.ticked
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
	switch {
	case mv.refused:
		return false
	case mv.err != nil:
		if out.Want(uint64(a)) {
			out.Fail(uint64(a), nil, mv.err)
		}
		return false
	case kind == inClock && mv.next.view.term > firstTerm+m.Terms:
		mv = &move{next: was} // it would stand for a term beyond the bounds: its clock stops
	}
	w.parts[at] = mv.next
	w.nextNet = w.arrive(w.nextNet[:0], at, taken, mv.next != was)
	w.nextNet = w.leave(w.nextNet, mv.out)
	w.parts[at] = was
	if len(w.nextNet) > m.Messages {
		return true
	}
	after := mv.next.view
	switch {
	case !out.Want(uint64(a)):
		return false
	case after.term > firstTerm+m.Terms:
		return false
	case mv.next == was && taken < 0 && len(mv.out)+len(mv.reads) == 0 && kind != inClock:
		return false // nothing happened
	}
	w.begin()
	g, err := w.change(&w.ghost.ghost, at, kind, arg, mv)
	w.views[at] = was.view
	if err != nil {
		w.buf = w.encode(w.buf[:0])
		out.Fail(uint64(a), w.buf, err)
		return false
	}
	if m.within(after) { // what is beyond the bounds is judged and not explored
		w.finish(out, a, g)
	}
	return false
}

// change puts a member into the next state, and what happened into the past, of which it returns what is to be known
// from then on.
func (w *worker) change(g *ghost, at int, kind inputKind, arg uint32, mv *move) (*ghost, error) {
	n, was := &w.next, w.views[at]
	minus(w.changing, w.m.members.get(n.members[at]).fps)
	plus(w.changing, mv.next.fps)
	n.members[at], w.views[at] = mv.next.number, mv.next.view
	v := mv.next.view
	if kind == inRead {
		g = g.ask(firstIndex, v, uint64(arg))
	}
	crashed := kind == inCrash || kind == inForget
	if mv.seen || crashed {
		var err error
		if g, err = judge(g, firstIndex, w.views, at, was, crashed); err != nil {
			return nil, err
		}
	}
	if len(mv.reads) > 0 {
		return g.answered(v, mv.reads)
	}
	return g, nil
}

// finish hands over the next state, with a past.
func (w *worker) finish(out *search.Out, a action, g *ghost) {
	if g != &w.ghost.ghost {
		p := w.internGhost(g)
		w.next.ghost = p.number
		minus(w.changing, w.ghost.fps)
		plus(w.changing, p.fps)
	}
	for _, p := range w.net {
		minus(w.changing, p.fps)
	}
	for _, p := range w.nextNet {
		plus(w.changing, p.fps)
	}
	w.emit(out, a)
}

// arrive appends what is still on its way when the message at a place of the net is taken and the member at another
// place may have changed.
func (w *worker) arrive(net []*messagePart, at, taken int, changed bool) []*messagePart {
	for i, p := range w.net {
		if i == taken || changed && p.at == at && w.dead(w.parts[at], p) {
			continue
		}
		net = append(net, p)
	}
	return net
}

// leave appends what is sent.
func (w *worker) leave(net, sent []*messagePart) []*messagePart {
	for _, p := range sent {
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
	w.m.held.Add(p.moves.put(key, mv))
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
	case inRead:
		in.data = []byte{byte(arg)}
	case inTransfer:
		in.to = uint64(arg)
	}
	e, err := w.bench.step(mb, in)
	if err != nil || e.refused {
		return &move{err: err, refused: e.refused}
	}
	mv := &move{}
	for i := range e.out {
		mv.out = append(mv.out, w.internMessage(&e.out[i]))
	}
	for i := range e.reads {
		mv.reads = append(mv.reads, answer{uint64(e.reads[i].RequestCtx[0]), e.reads[i].Index})
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
