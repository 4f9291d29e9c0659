// Package trace describes what happens in a simulated run, one event for each
// fact that an observer may want to see.
package trace

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Kind says what an Event is about, and so which of its fields mean something.
type Kind uint8

const (
	// Send: Node sent message Msg to Peer. The message's fields are set.
	Send Kind = iota
	// Deliver: message Msg of Peer was stepped into Node. Text is the error, if
	// the node refused it.
	Deliver
	// Drop: message Msg from Node to Peer got lost. Text says why.
	Drop
	// Role: Node is now in Role at Term, and knows Lead as the leader.
	Role
	// Commit: Node's commit index is now Index.
	Commit
	// Apply: Node has applied up to Index.
	Apply
	// Conf: Node's configuration, since entry Index, is Text.
	Conf
	// Write: Node handed a write to its disk: Entries entries that end at Index,
	// and Term, Commit of the hard state if that is written too.
	Write
	// Sync: Node's disk holds, durably, all that was written; the log ends at
	// Index.
	Sync
	// Snapshot: Node took (or restored, says Text) a snapshot at Index.
	Snapshot
	// Crash: Node crashed. Text says where.
	Crash
	// Start: Node started, for the Index-th time, at Term.
	Start
	// Stop: Node stopped with an error, Text.
	Stop
	// Fault: the run's Index-th planned fault or intervention begins, or ends; Text
	// describes it. Node is whom it concerns, or 0.
	Fault
	// Cut: the links named in Text are cut, and no others: 1-2 in both
	// directions, 1>2 for messages from 1 to 2. Empty if all are whole.
	Cut
	// Client: a client's operation, Text; Node is whom it asked.
	Client
	// Violation: an invariant does not hold. Text names it.
	Violation
	// Hostile: Node got a message that no correct peer sends, in Peer's name. Text
	// says what it is, and the error with which it was refused.
	Hostile
	numKinds
)

var kindNames = [numKinds]string{
	"send", "deliver", "drop", "role", "commit", "apply", "conf", "write", "sync", "snapshot",
	"crash", "start", "stop", "fault", "cut", "client", "violation", "hostile",
}

// String returns the kind's name, as in a trace's lines.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Event is one fact of a run. Fields that its Kind does not name are zero.
type Event struct {
	// Step numbers the inputs of the run, from 1.
	Step uint64
	// At is the virtual time in microseconds.
	At int64
	// Kind says what happened.
	Kind Kind
	// Node is where it happened; Peer is the other end of a message.
	Node, Peer uint64

	// Msg numbers the messages of the run from 1; duplicates of a message share
	// it.
	Msg uint64
	// Type, Term, Index, LogTerm, Commit, Entries (how many) and Reject are the
	// message's. Term, Index and Commit are also used by other kinds.
	Type                         pb.MessageType
	Term, Index, LogTerm, Commit uint64
	Entries                      int
	Reject                       bool

	// Role and Lead are the node's, for kind Role.
	Role raft.StateType
	Lead uint64

	// Text is for people.
	Text string
}

// String returns the event as one line of a trace, without a line break.
func (e *Event) String() string {
	b := make([]byte, 0, 128)
	b = fmt.Appendf(b, "%d %d.%06d %d %s", e.Step, e.At/1e6, e.At%1e6, e.Node, e.Kind)
	num := func(name string, v uint64) {
		if v != 0 {
			b = append(append(append(b, ' '), name...), '=')
			b = strconv.AppendUint(b, v, 10)
		}
	}
	if e.Kind <= Drop {
		b = append(append(b, ' '), e.Type.String()...)
		num("msg", e.Msg)
	}
	num("peer", e.Peer)
	if e.Kind == Role {
		b = append(append(b, ' '), strings.TrimPrefix(e.Role.String(), "State")...)
		num("lead", e.Lead)
	}
	num("term", e.Term)
	num("index", e.Index)
	num("logterm", e.LogTerm)
	num("commit", e.Commit)
	num("entries", uint64(e.Entries))
	if e.Reject {
		b = append(b, " reject"...)
	}
	if e.Text != "" {
		b = append(append(b, ' '), strconv.Quote(e.Text)...)
	}
	return string(b)
}
