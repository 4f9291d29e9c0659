// Package floor moves the messages and entries that a group moves, and is no Raft: it has no terms, no elections and
// no checks. What it takes is what nobody can get under. Replica 1 leads.
package floor

import (
	"errors"

	"github.com/quorate-raft/raft/bench/core"
)

// Rows are what it can do.
var Rows = []string{
	"propose/1", "propose/3", "propose/5", "propose/7", "propose/101", "propose64/3",
	"tick-leader/1", "tick-leader/10000", "idle/3",
}

// ErrNot is for what it cannot do.
var ErrNot = errors.New("floor: this is not a Raft")

// Entry is an entry of the log.
type Entry struct {
	Term, Index, Type uint64
	Data              []byte
}

// kind says what a message means.
type kind uint8

const (
	appendEntries kind = iota
	answer
	heartbeat
	heartbeatAnswer
)

// Message carries entries, or the index that was acknowledged, or the committed one.
type Message struct {
	from, to      uint64
	kind          kind
	index, commit uint64
	entries       []Entry
}

// Library is the floor.
type Library struct{}

var _ core.Library[Message] = Library{}

// Name returns "floor".
func (Library) Name() string { return "floor" }

// log is what a replica has persisted, ents[0] being the entry before the first.
type log struct {
	ents   []Entry
	voters []uint64
}

// NewLog makes a log without entries.
func (Library) NewLog(c core.LogConfig) core.Log {
	return &log{ents: make([]Entry, 1, c.Capacity+1), voters: c.Voters}
}

// Compact drops all entries.
func (l *log) Compact() {
	l.ents[0] = l.ents[len(l.ents)-1]
	l.ents = l.ents[:1]
}

// Reset drops all.
func (l *log) Reset() { l.ents = append(l.ents[:0], Entry{}) }

func (l *log) last() uint64 { return l.ents[0].Index + uint64(len(l.ents)) - 1 }

// NewNode starts a replica.
func (Library) NewNode(c core.Config, l core.Log) (core.Node[Message], error) {
	n := &node{id: c.ID, log: l.(*log)}
	n.match = make([]uint64, len(n.log.voters))
	return n, nil
}

// Append is not done.
func (Library) Append(uint64, int, []byte) Message { return Message{} }

// Marshal is not done.
func (Library) Marshal([]byte, *Message) ([]byte, error) { return nil, ErrNot }

// Unmarshal is not done.
func (Library) Unmarshal([]byte, *Message) error { return ErrNot }

// Committed is not done.
func (Library) Committed([2][]uint64, [][]uint64) func(int) uint64 { return nil }

// Vote is not done.
func (Library) Vote([]uint64, [][]bool) func(int) bool { return nil }
