package replica

import (
	"context"
	"io"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Storage keeps the log. It is a raft.Storage with the writes that the replica
// makes, one at a time, while the node may read. rafttest.TestStorage checks an
// implementation. What is passed in does not change afterwards.
//
// Except for raft.ErrSnapOutOfDate, raft.ErrCompacted and raft.ErrUnavailable
// from CreateSnapshot and Compact, an error of a write stops the replica.
type Storage interface {
	raft.Storage

	// Save writes rd's Snapshot (its metadata; the replica leaves Data empty),
	// Entries and HardState, all or nothing. If rd.MustSync, this write and all
	// before it are durable when it returns, also if rd changes nothing. Of
	// Readys that are written together only the last one has it set.
	Save(rd raft.Ready) error
	// SetConfState keeps the configuration for InitialState, unless the one in
	// place has a higher index.
	SetConfState(cs pb.ConfState) error
	// CreateSnapshot records that a snapshot of the state machine at index i can be
	// had, with the configuration of that index.
	CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error
	// Compact drops the entries up to and including i.
	Compact(i uint64) error
}

// Transport carries messages and snapshots between the members of one group.
// Group of package transport is one. Its functions may be called concurrently.
type Transport interface {
	// Start begins to receive. deliver takes a message and does not block;
	// unreachable says that messages to a peer get lost. snapshot begins to take
	// a snapshot: the body is written to the sink it returns, in order, then
	// either Commit, whose error goes to the sender, or Abort is called.
	Start(deliver func(m *pb.Message), unreachable func(peer uint64),
		snapshot func(from uint64, meta []byte) (interface {
			io.Writer
			Commit() error
			Abort()
		}, error)) error
	// Send puts messages on their way. It never blocks, and keeps nothing of ms
	// but entries and their data.
	Send(ms []pb.Message)
	// SendSnapshot carries a snapshot to a peer. It returns when the peer's sink
	// has committed it, or with an error.
	SendSnapshot(ctx context.Context, to uint64, meta []byte, body io.Reader) error
	// SetPeer says where a peer is, "" if that is not known, RemovePeer that it is no
	// member any more. It may not know that yet and ask for votes: a MsgRemoved to it
	// should find its way for a while.
	SetPeer(id uint64, address string)
	RemovePeer(id uint64)
	// Close ends receiving and sending. The replica calls it when it stops.
	Close() error
}

// AtMostOnce is implemented by a Transport that can say whether it never delivers a
// message more often than it was sent, also after it connected again. Where it
// returns true, on all members, a proposal that was passed on to the leader and
// refused there is ErrNotApplied, else ErrAmbiguous: another copy may be taken.
type AtMostOnce interface {
	Transport
	AtMostOnce() bool
}

// Command is a command to be applied.
type Command struct {
	// Index and Term are those of its entry.
	Index, Term uint64
	// Data is what was proposed. It must not be changed. It may lie in one piece of memory with
	// all commands of a message: who keeps a part of it for long keeps a copy.
	Data []byte
	// Result is set by Apply: what Propose returns on the member that proposed
	// the command.
	Result any
}

// StateMachine is what is replicated. Its methods, but for Durable.Sync and those of a
// View, are called one at a time, though not always by the same goroutine. They must not
// wait for the replica (Propose, Read, Stop), which waits for them.
type StateMachine interface {
	// Apply applies commands, in order, and sets the Result of each. Every replica
	// gets the same commands and must come to the same state. An error stops
	// the replica: it is for a state machine that cannot go on, not for a
	// command that is refused, which is a Result.
	Apply(commands []Command) error
	// View returns the state as of the last command, which stays as it is while
	// the state machine goes on. It must be quick: commands wait for it.
	View() (View, error)
	// Restore replaces the state by what a View wrote on some member. index is
	// that of the last entry that is in it. It reads r to its end. An error stops the
	// replica; the next one restores again.
	Restore(index uint64, r io.Reader) error
}

// View is a state of a StateMachine at one index.
type View interface {
	// WriteTo writes the whole state, a piece at a time. It may be called more
	// than once, also concurrently, and writes the same bytes each time.
	WriteTo(w io.Writer) (int64, error)
	// Close releases the view.
	Close() error
}

// Durable is implemented by a StateMachine that persists what it applies, with
// the index of the last command, as one. Others begin empty, and the replica
// restores their latest snapshot and applies what came after it.
type Durable interface {
	StateMachine
	// Applied returns the index of the last command that the state holds, or the
	// one that Restore was last told if that is later. 0 if there is none. After a
	// crash in the middle of Restore it must not be that of Restore, but any earlier
	// one: then the snapshot is restored again.
	Applied() (uint64, error)
	// Sync makes everything that was applied and restored durable. It is called
	// before entries are dropped from the log, perhaps while commands are applied.
	Sync() error
}
