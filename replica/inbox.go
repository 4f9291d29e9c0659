package replica

import (
	"sync"

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
}

func (w *work) reset() {
	clear(w.messages)
	clear(w.proposals)
	clear(w.reads)
	clear(w.calls)
	*w = work{messages: w.messages[:0], proposals: w.proposals[:0], reads: w.reads[:0], calls: w.calls[:0]}
}

// inbox gathers what the other goroutines have for the loop, which takes all of it
// at once.
type inbox struct {
	maxMessages int
	wake        chan struct{} // holds a token while there is something

	mu      sync.Mutex
	work    work
	dropped uint64 // messages
}

func newInbox(maxMessages int) *inbox {
	return &inbox{maxMessages: maxMessages, wake: make(chan struct{}, 1)}
}

func (in *inbox) put(f func(w *work)) {
	in.mu.Lock()
	f(&in.work)
	in.mu.Unlock()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// message takes a message, or drops it where too many wait.
func (in *inbox) message(m *pb.Message) {
	in.put(func(w *work) {
		if len(w.messages) >= in.maxMessages {
			in.dropped++
			return
		}
		w.messages = append(w.messages, *m)
	})
}

// take exchanges what there is for w, which is empty.
func (in *inbox) take(w *work) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.work, *w = *w, in.work
}
