package replica

import (
	"sync"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// EventKind says what an Event tells of.
type EventKind uint8

const (
	// LeaderChanged: the leader that this replica knows, or its own role, is
	// another.
	LeaderChanged EventKind = iota + 1
	// ConfigChanged: a configuration took effect here.
	ConfigChanged
	// TargetSet: a membership target stands, as of the entry at Index.
	TargetSet
	// TargetEnded: a membership target has ended, by the entry at Index. Of several that a
	// snapshot skips only the last is told.
	TargetEnded
	// SnapshotTaken: a snapshot at Index was taken and the log compacted.
	SnapshotTaken
	// SnapshotRestored: the state machine was replaced by a snapshot at Index.
	SnapshotRestored
	// Stopped: the replica stopped; Err says why if it was not told to.
	Stopped
	// Removed: this replica was removed from the group by the configuration at Index,
	// which it has applied, or so says the member By. The host should shut it down once
	// it is sure (Config.StopWhenRemoved does that).
	Removed
)

// Event is something that happened to a replica.
type Event struct {
	Kind EventKind
	// Leader is the leader, raft.None if none is known; Role the replica's own
	// and Term its term. LeaderChanged.
	Leader uint64
	Role   raft.StateType
	Term   uint64
	// Config is what took effect. ConfigChanged. Where changes take effect on append it may not be committed: it is for routing, and not to be
	// stored.
	Config pb.ConfState
	// Target is what the group works towards. TargetSet.
	Target pb.MembershipTarget
	// Outcome is how a target has ended. TargetEnded.
	Outcome pb.MembershipOutcome
	// Index is that of the configuration, of the snapshot, or of the entry that set or
	// ended a target.
	Index uint64
	// By is the member that says so, raft.None for what the replica has applied
	// itself; Sure says that it is certain, as in Removal. Removed.
	By   uint64
	Sure bool
	// Err is why the replica stopped by itself.
	Err error
	// Missed is how many events before this one were not delivered, as the
	// watcher was slow.
	Missed int
}

// Watcher receives events.
type Watcher struct {
	// C delivers the events, and is closed after Stopped or by Close.
	C <-chan Event

	c       chan Event
	book    *watchers
	missed  int
	stopped bool
}

// Close ends the watch and closes C.
func (w *Watcher) Close() {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	w.end()
	delete(w.book.all, w)
}

func (w *Watcher) end() {
	if !w.stopped {
		w.stopped = true
		close(w.c)
	}
}

type watchers struct {
	mu    sync.Mutex
	all   map[*Watcher]struct{}
	ended bool
}

// newWatcher returns a watcher with room for so many events.
func (ws *watchers) newWatcher(room int) *Watcher {
	c := make(chan Event, max(room, 1))
	return &Watcher{C: c, c: c, book: ws}
}

// add begins a watch, unless it began already, with some first events.
func (ws *watchers) add(w *Watcher, first ...Event) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.ended {
		w.end()
		return
	}
	if ws.all == nil {
		ws.all = map[*Watcher]struct{}{}
	}
	if _, began := ws.all[w]; began || w.stopped {
		return
	}
	ws.all[w] = struct{}{}
	for _, e := range first {
		w.deliver(e)
	}
}

// publish hands an event to all who watch. It does not wait: one who has no room
// loses the oldest.
func (ws *watchers) publish(e Event) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.deliver(e)
		if e.Kind == Stopped {
			w.end()
		}
	}
	if e.Kind == Stopped {
		ws.ended = true
		clear(ws.all)
	}
}

func (w *Watcher) deliver(e Event) {
	for {
		e.Missed = w.missed
		select {
		case w.c <- e:
			w.missed = 0
			return
		default:
		}
		select {
		case old := <-w.c:
			w.missed += 1 + old.Missed
		default:
		}
	}
}
