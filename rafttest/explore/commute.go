package explore

import (
	"github.com/quorate-raft/raft"
)

// Commute implements search.Commuter: what happens to different members commutes as long as neither changes what is
// kept of the past, takes from the same budget, or leaves no room for what the other sends.
func (w *worker) Commute(_ []byte, a uint64, _ []byte, b uint64) (uint64, bool) {
	x, y := action(a), action(b)
	if x.at() == y.at() || w.m.Renamed {
		return 0, false
	}
	sendsX, ok := w.quiet(x)
	if !ok {
		return 0, false
	}
	sendsY, ok := w.quiet(y)
	if !ok || len(w.state.net)+sendsX+sendsY > w.m.Messages {
		return 0, false
	}
	return b, true
}

// quiet reports whether an action in the state at hand has no budget and changes nothing that is kept of the past,
// and by how many messages the net grows with it.
func (w *worker) quiet(a action) (grows int, ok bool) {
	kind, arg := inputKind(a.kind()), uint32(0)
	switch kind {
	case inDeliver:
		grows = -1
		for _, p := range w.net {
			if p.at == a.at() && p.fp().Lo&(1<<48-1) == a.what() {
				arg = p.number
				break
			}
		}
	case inPersist, inApply:
	default:
		return 0, false
	}
	from := w.parts[a.at()]
	mv := from.moves.get(newMoveKey(kind, arg))
	if mv == nil || mv.err != nil || mv.refused || len(mv.reads) > 0 {
		return 0, false
	}
	was, is := from.view, mv.next.view
	if is.commit != was.commit || is.role == raft.StateLeader && was.role != is.role || !w.m.within(is) {
		return 0, false
	}
	return grows + len(mv.out), true
}
