package replica

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// work is what waits for the loop.
type work struct {
	messages  []pb.Message
	proposals []*proposal
	reads     []*read
	calls     []func()

	acked   raft.AppendToken // the last write that is done
	hasAck  bool
	applied uint64 // applied up to here, 0 if nothing new
	due     bool   // look, though nothing of the above came
}

func (w *work) empty() bool {
	return len(w.messages)+len(w.proposals)+len(w.reads)+len(w.calls) == 0 && !w.hasAck && w.applied == 0 && !w.due
}

func (w *work) reset() {
	clear(w.messages)
	clear(w.proposals)
	clear(w.reads)
	clear(w.calls)
	*w = work{messages: w.messages[:0], proposals: w.proposals[:0], reads: w.reads[:0], calls: w.calls[:0]}
}

// put adds to what waits for the loop.
func (ag *agenda) put(f func(w *work)) {
	ag.mu.Lock()
	f(&ag.work)
	idle := !ag.taken[looping]
	ag.mu.Unlock()
	if idle {
		ag.wakeOne()
	}
}

// note adds to what waits for the loop, and wakes nobody: whoever calls it is a worker, and
// looks itself.
func (ag *agenda) note(f func(w *work)) {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	f(&ag.work)
}

// message takes a message, or drops it where too many wait.
func (ag *agenda) message(m *pb.Message) {
	ag.put(func(w *work) {
		if len(w.messages) >= ag.maxMessages {
			ag.dropped++
			return
		}
		w.messages = append(w.messages, *m)
	})
}

// takeWork exchanges what there is for the loop for w, which is empty. late says that the loop
// is called since nothing else is to be done, as it wanted.
func (ag *agenda) takeWork(w *work) (late bool) {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	late = ag.late && ag.work.empty()
	ag.late = false
	ag.work, *w = *w, ag.work
	return late
}

// later lets the loop be called once nothing else is to be done.
func (ag *agenda) later() {
	ag.mu.Lock()
	defer ag.mu.Unlock()
	ag.late = true
}
