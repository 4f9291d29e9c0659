package sim

import (
	"fmt"
	"reflect"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// Messages that no correct peer sends (profile Hostile). Each is made so that the
// node it is for must refuse or ignore it, whatever the rest of the group does: a
// plausible lie cannot be told from the truth, and Raft does not try (it is not
// Byzantine). S20 wants that nothing moves at the node, and nothing comes out of
// it.
//
// They come between the steps of a run and not as steps of their own, and draw
// from a stream of their own, so that a run without them is otherwise the same.

// streamHostile is beside the streams that count up from 0.
const streamHostile = 0xff

// hostility is when the next hostile message comes.
type hostility struct {
	random random
	every  int64 // they are this far apart at most; 0 for none
	next   int64
}

func (s *simulation) beginHostility() {
	h := &s.hostility
	h.random.seed(s.o.Seed, streamHostile)
	drawn := h.random.chance(650) // as for other profiles
	if !s.o.Faults.has(Hostile) || (!drawn && s.o.Faults != Hostile) {
		return
	}
	s.set.faults |= Hostile
	h.every = h.random.spread(10*tickLength, 100*tickLength)
	h.next = h.random.between(1, h.every)
}

// forger makes one hostile message.
type forger struct {
	*random
	s  *simulation
	n  *node // the victim
	st raft.Status
	m  pb.Message
	// quiet says that the node may ignore it without an error.
	quiet bool
	// asIs says that the message speaks of the sender's effect as it is to.
	asIs bool
}

// harass makes a hostile message and hands it to a node.
func (s *simulation) harass() {
	h := &s.hostility
	h.next = s.now + h.random.between(1, h.every)
	n := s.anyNode(&h.random, func(n *node) bool { return n.up && n.paused == 0 })
	if n == nil {
		return
	}
	f := forger{random: &h.random, s: s, n: n, st: n.Status()}
	for range 8 {
		kind := h.random.below(numForgeries)
		f.m, f.quiet, f.asIs = pb.Message{To: n.id}, false, false
		if !forgeries[kind].forge(&f) {
			continue // there is nothing of this kind to be said now
		}
		s.mark(markForgeries + Mark(kind))
		s.mix(uint64(kind)<<32 ^ n.id)
		if !f.asIs {
			f.m.Features |= f.ownEffect() // else that alone would be why it is refused
		}
		if f.m.To != nobody {
			f.step(forgeries[kind].name)
		}
		return
	}
}

// nobody is whom a forgery is for that is not a message at all, and was refused.
const nobody = 1<<64 - 1

// step hands the message to the victim, which must stay as it is.
func (f *forger) step(kind string) {
	s, n := f.s, f.n
	was, why, busy := f.st, n.explain(), n.HasReady()
	err := n.Step(f.m)
	if s.observe != nil {
		text := fmt.Sprintf("%v: %s", f.m.Type, kind)
		if err != nil {
			text += ": " + err.Error()
		}
		s.emit(trace.Event{Kind: trace.Hostile, Node: n.id, Peer: f.m.From, Term: f.m.Term, Index: f.m.Index, Text: text})
	}
	wrong := ""
	switch now := n.Status(); {
	case n.Err() != nil:
		wrong = fmt.Sprintf("the node fails: %v", n.Err())
	case !reflect.DeepEqual(was, now):
		wrong = fmt.Sprintf("the node moves from %+v to %+v", was, now)
	case !reflect.DeepEqual(why, n.explain()):
		wrong = fmt.Sprintf("the node moves from %v to %v", why, n.explain())
	case !busy && n.HasReady():
		wrong = "something comes out of it"
	case err == nil && !f.quiet:
		wrong = "it is not refused"
	default:
		return
	}
	s.fail("S20", n.id, fmt.Sprintf("hostile message (%s): %v of %d, term %d, index %d, log term %d, commit %d: %s",
		kind, f.m.Type, f.m.From, f.m.Term, f.m.Index, f.m.LogTerm, f.m.Commit, wrong))
}
