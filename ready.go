package raft

import (
	pb "github.com/quorate-raft/raft/raftpb"
)

// SoftState is the volatile state that a host wants to know of. It need not be
// stored.
type SoftState struct {
	// Lead is the ID of the term's leader, None if it is not known.
	Lead uint64
	// RaftState is the node's role.
	RaftState StateType
	// Asleep says that the node waits to be woken (Config.SleepAfter): it needs no ticks, and
	// notices by itself neither that its leader is gone nor that its followers are.
	Asleep bool
}

// Ready is what the host has to do: persist, send, apply. A simple host does it
// in this order and then calls Advance:
//
//  1. send Messages;
//  2. persist Snapshot, Entries and HardState in one atomic write, and sync it
//     if MustSync;
//  3. send MessagesAfterAppend;
//  4. restore Snapshot, apply CommittedEntries (ApplyConfChange for changes of
//     configuration), answer ReadStates once applied that far.
//
// A pipelined host may take the next Ready before it is done with this one, and
// says what is done with AckAppend and AckApply. Writes are done in the order
// of the Readys.
//
// The arrays of Entries and CommittedEntries, and the data of entries, never
// change. The slices Messages, MessagesAfterAppend, ReadStates and Refusals are
// reused after the Ready was acknowledged with AckAppend or Advance: who keeps
// messages longer copies the Message values.
type Ready struct {
	// SoftState is nil if it did not change.
	*SoftState
	// HardState is to be persisted before MessagesAfterAppend are sent. It is
	// empty if it did not change.
	pb.HardState
	// ReadStates are reads that may be served once the host has applied up to
	// their Index.
	ReadStates []ReadState
	// Entries are to be persisted; they replace what Storage holds from the
	// first one's index on.
	Entries []pb.Entry
	// Snapshot, unless IsEmptySnap, is to be persisted and restored. It
	// replaces the whole log. Its Ready has no CommittedEntries; the next ones
	// come after AckApply of its index.
	Snapshot pb.Snapshot
	// CommittedEntries are to be applied, in order. They are durable here.
	CommittedEntries []pb.Entry
	// Messages may be sent at once.
	Messages []pb.Message
	// MessagesAfterAppend rest on what this node wrote (votes, requests for
	// them, acknowledgements of appends and of a committed change of
	// configuration): they may be sent once the writes of this and of every
	// earlier Ready are durable, also when this one has nothing to write. A
	// host that never sends them does not elect a leader.
	MessagesAfterAppend []pb.Message
	// ActiveConf is, with Config.ConfChangeEffect OnAppend, the configuration that is
	// in effect on this node, which may yet be replaced: what messages are routed
	// by. CommittedConf is the newest that is committed. Each is nil if it did not
	// change since the last Ready of this node, and both are with OnApply, where ApplyConfChange returns it. They carry
	// the index of their entry and need not be persisted. ActiveConf must not be saved as the
	// configuration of Storage, which a restart takes for committed.
	ActiveConf, CommittedConf *pb.ConfState
	// Removed are the words of members, one of each, that answered a request for votes
	// of this node by saying that it was removed (dissertation §4.2.3); each comes again
	// as often as the node asks. The node goes on as before; the host should make sure
	// and shut it down.
	Removed []Removal
	// Refusals are proposals of this node that were forwarded and refused. They ask
	// for nothing.
	Refusals []Refusal
	// MustSync says that the write has to reach the disk before it counts:
	// term, vote or entries changed, or the commit index passed a change of
	// configuration. Without it a lost write is harmless.
	MustSync bool

	token AppendToken
}

// AppendToken names the writes of a Ready and of all before it. It is
// comparable, and only of use for the RawNode or Node that made it.
type AppendToken struct {
	instance uint64 // the node, in this life
	seq      uint64 // of the Ready, from 1
}

// AppendToken returns what AckAppend takes once the writes of this and of every
// earlier Ready are durable.
func (rd *Ready) AppendToken() AppendToken { return rd.token }

// AppliedIndex returns what AckApply takes once the snapshot is restored and
// the committed entries are applied: the index of the last of them, or 0 if
// there is nothing to apply.
func (rd *Ready) AppliedIndex() uint64 {
	if n := len(rd.CommittedEntries); n > 0 {
		return rd.CommittedEntries[n-1].Index
	}
	return rd.Snapshot.Metadata.Index
}

// IsEmpty reports whether there is nothing to do.
func (rd *Ready) IsEmpty() bool {
	return len(rd.Removed)+len(rd.Refusals)+len(rd.ReadStates)+len(rd.Entries)+len(rd.CommittedEntries)+
		len(rd.Messages)+len(rd.MessagesAfterAppend) == 0 &&
		rd.SoftState == nil && IsEmptyHardState(rd.HardState) && rd.Snapshot.Metadata.Index == 0
}

// IsEmptyHardState reports whether st holds nothing.
func IsEmptyHardState(st pb.HardState) bool { return st == pb.HardState{} }

// IsEmptySnap reports whether s is no snapshot.
func IsEmptySnap(s pb.Snapshot) bool { return s.Metadata.Index == 0 }
