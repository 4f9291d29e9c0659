package explore

import (
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// Initial implements search.Worker.
func (w *worker) Initial(out *search.Out) error {
	if err := w.fresh(); err != nil {
		return err
	}
	if w.m.Led {
		if err := w.lead(); err != nil {
			out.Fail(0, w.next.append(nil), err)
			return nil
		}
	}
	w.buf = w.next.append(w.buf[:0])
	out.Emit(0, w.buf, w.fingerprint(&w.next))
	return nil
}

// fresh makes the next state that of a group whose members have just started for the first time.
func (w *worker) fresh() error {
	m, s := w.m, &w.next
	var cs pb.ConfState
	for id := uint64(1); id <= uint64(m.Members-m.Spares); id++ {
		if id <= uint64(m.Members-m.Spares-m.Learners) {
			cs.Voters = append(cs.Voters, id)
		} else {
			cs.Learners = append(cs.Learners, id)
		}
	}
	cs.Index, cs.ConfChangeEffect = firstIndex, m.Effect
	hard := pb.HardState{Term: firstTerm, Commit: firstIndex}
	if m.settings.clock {
		hard = pb.HardState{} // who had one promised something, perhaps, and lets nobody lead for a while
	}
	s.members, s.net = s.members[:0], s.net[:0]
	for id := uint64(1); id <= uint64(m.Members); id++ {
		mb := &member{ID: id}
		if id <= uint64(m.Members-m.Spares) {
			mb.Disk = disk{
				Hard: hard, Synced: hard.Commit, Conf: cs,
				Snap: pb.SnapshotMetadata{Index: firstIndex, Term: firstTerm, ConfState: cs},
			}
		}
		if err := w.bench.start(mb); err != nil {
			return err
		}
		var e effect
		if err := w.bench.serve(mb, &e); err != nil {
			return err
		}
		s.members = append(s.members, w.internMember(mb).number)
	}
	s.ghost = w.internGhost(&ghost{Leaders: make([]leader, firstTerm+m.Terms+1)}).number
	s.changes, s.ticked = 1<<len(m.Changes)-1, 0
	for i, budget := range m.budgets() {
		s.left[i] = uint8(budget.n)
	}
	return nil
}

// lead makes member 1 lead in the next state: its time comes, and all that follows happens in one order.
func (w *worker) lead() error {
	s := &w.next
	do := func(at int, kind inputKind, arg uint32) error {
		w.load(s)
		w.fill()
		mv := w.move(w.parts[at], kind, arg)
		if mv.err != nil {
			return mv.err
		}
		g, err := w.change(&w.ghost.ghost, at, kind, arg, mv)
		if err != nil {
			return err
		}
		s.members[at], s.ghost = mv.next.number, w.internGhost(g).number
		for _, p := range mv.out {
			s.net = append(s.net, p.number)
		}
		return nil
	}
	if err := do(0, inTick, 0); err != nil {
		return err
	}
	for {
		at, kind, arg := w.due(s)
		if at < 0 {
			return nil
		}
		if kind == inDeliver {
			s.net = s.net[1:]
		}
		if err := do(at, kind, arg); err != nil {
			return err
		}
	}
}

// due returns what is to happen next where everything happens in one order, or nobody: writes, what is to be
// applied, the oldest message.
func (w *worker) due(s *state) (at int, kind inputKind, arg uint32) {
	for at, number := range s.members {
		switch v := w.m.members.get(number).view; {
		case v.pending > 0:
			return at, inPersist, 0
		case v.applies:
			return at, inApply, 0
		}
	}
	if len(s.net) == 0 {
		return -1, 0, 0
	}
	p := w.m.messages.get(s.net[0])
	return p.at, inDeliver, p.number
}
