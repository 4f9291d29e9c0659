package differential

import (
	"fmt"
	"reflect"
	"unsafe"

	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
)

// Timers, and what a leader has in flight, are not to be seen from outside on
// either side, and etcd's random timeouts cannot be given to it. This file
// finds the fields by name and type, once, and panics where a version has
// others: a field that moved must not be mistaken for another.

// field returns the offset of a field with that path of names, and its type.
// The path goes through structs, and through the first pointer if via is set.
func field(t reflect.Type, name string, kind reflect.Kind) uintptr {
	f, ok := t.FieldByName(name)
	if !ok || f.Type.Kind() != kind {
		panic(fmt.Sprintf("differential: %v has no field %s of kind %v", t, name, kind))
	}
	return f.Offset
}

func pointee(t reflect.Type, name string) reflect.Type {
	f, ok := t.FieldByName(name)
	if !ok || f.Type.Kind() != reflect.Pointer {
		panic(fmt.Sprintf("differential: %v has no pointer %s", t, name))
	}
	return f.Type.Elem()
}

func inner(t reflect.Type, name string) reflect.Type {
	f, ok := t.FieldByName(name)
	if !ok || f.Type.Kind() != reflect.Struct {
		panic(fmt.Sprintf("differential: %v has no struct %s", t, name))
	}
	return f.Type
}

var (
	ourNode   = reflect.TypeFor[ours.RawNode]()
	ourRaft   = pointee(ourNode, "raft")
	ourLeader = pointee(ourRaft, "leader")

	atOurRaft    = field(ourNode, "raft", reflect.Pointer)
	atElapsed    = field(ourRaft, "elapsed", reflect.Int)
	atTimeout    = field(ourRaft, "timeout", reflect.Int)
	atLeader     = field(ourRaft, "leader", reflect.Pointer)
	atBeat       = field(ourLeader, "sinceBeat", reflect.Int)
	atQuorum     = field(ourLeader, "sinceQuorum", reflect.Int)
	theirNode    = reflect.TypeFor[theirs.RawNode]()
	theirRaft    = pointee(theirNode, "raft")
	theirLog     = pointee(theirRaft, "raftLog")
	atTheirRaft  = field(theirNode, "raft", reflect.Pointer)
	atElection   = field(theirRaft, "electionElapsed", reflect.Int)
	atHeartbeat  = field(theirRaft, "heartbeatElapsed", reflect.Int)
	atRandomized = field(theirRaft, "randomizedElectionTimeout", reflect.Int)
	atPending    = field(theirRaft, "pendingConfIndex", reflect.Uint64)
	atSize       = field(theirRaft, "uncommittedSize", reflect.Uint64)
	atTransferee = field(theirRaft, "leadTransferee", reflect.Uint64)
	atLead       = field(theirRaft, "lead", reflect.Uint64)
	atWaiting    = field(theirRaft, "pendingReadIndexMessages", reflect.Slice)
	atTracker    = field(theirRaft, "trk", reflect.Struct)
	atTheirLog   = field(theirRaft, "raftLog", reflect.Pointer)
	atCommitted  = field(theirLog, "committed", reflect.Uint64)
	atUnstable   = field(theirLog, "unstable", reflect.Struct) + field(inner(theirLog, "unstable"), "offset", reflect.Uint64)
)

func init() {
	if inner(theirRaft, "trk") != reflect.TypeFor[tracker.ProgressTracker]() {
		panic("differential: etcd's tracker is of another type")
	}
	window, mirror := reflect.TypeFor[progress.Window](), reflect.TypeFor[windowMirror]()
	for i := range mirror.NumField() {
		a, b := window.Field(i), mirror.Field(i)
		if a.Name != b.Name || a.Offset != b.Offset || a.Type.Kind() != b.Type.Kind() {
			panic("differential: progress.Window has other fields")
		}
	}
}

type ourPeek struct{ raft unsafe.Pointer }

func peekOurs(n *ours.RawNode) ourPeek {
	return ourPeek{*(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(n), atOurRaft))}
}

func (p ourPeek) int(at uintptr) int { return *(*int)(unsafe.Add(p.raft, at)) }
func (p ourPeek) elapsed() int       { return p.int(atElapsed) }
func (p ourPeek) timeout() int       { return p.int(atTimeout) }

// leaderTimers returns ticks since the last heartbeat and quorum check.
func (p ourPeek) leaderTimers() (beat, quorum int) {
	l := *(*unsafe.Pointer)(unsafe.Add(p.raft, atLeader))
	if l == nil {
		return 0, 0
	}
	return *(*int)(unsafe.Add(l, atBeat)), *(*int)(unsafe.Add(l, atQuorum))
}

type theirPeek struct{ raft unsafe.Pointer }

func peekTheirs(n *theirs.RawNode) theirPeek {
	return theirPeek{*(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(n), atTheirRaft))}
}

func (p theirPeek) int(at uintptr) *int    { return (*int)(unsafe.Add(p.raft, at)) }
func (p theirPeek) num(at uintptr) *uint64 { return (*uint64)(unsafe.Add(p.raft, at)) }

func (p theirPeek) elapsed() *int        { return p.int(atElection) }
func (p theirPeek) beat() *int           { return p.int(atHeartbeat) }
func (p theirPeek) timeout() *int        { return p.int(atRandomized) }
func (p theirPeek) pendingConf() *uint64 { return p.num(atPending) }
func (p theirPeek) uncommitted() *uint64 { return p.num(atSize) }
func (p theirPeek) transferee() *uint64  { return p.num(atTransferee) }
func (p theirPeek) lead() *uint64        { return p.num(atLead) }
func (p theirPeek) trk() *tracker.ProgressTracker {
	return (*tracker.ProgressTracker)(unsafe.Add(p.raft, atTracker))
}

// waitingReads are those that wait for a commit in the term.
func (p theirPeek) waitingReads() *[]tpb.Message {
	return (*[]tpb.Message)(unsafe.Add(p.raft, atWaiting))
}

func (p theirPeek) log(at uintptr) *uint64 {
	log := *(*unsafe.Pointer)(unsafe.Add(p.raft, atTheirLog))
	return (*uint64)(unsafe.Add(log, at))
}

func (p theirPeek) committed() *uint64 { return p.log(atCommitted) }

// unstableFrom is the first index that theirs does not take for durable.
func (p theirPeek) unstableFrom() *uint64 { return p.log(atUnstable) }

// windowMirror has the first fields of progress.Window.
type windowMirror struct {
	ring  []struct{ index, bytes uint64 }
	start int
	count int
}

// inFlight calls f for each append on its way to a peer of ours, oldest first.
func inFlight(w *progress.Window, f func(index, bytes uint64)) {
	m := (*windowMirror)(unsafe.Pointer(w))
	for i := range m.count {
		e := m.ring[(m.start+i)%len(m.ring)]
		f(e.index, e.bytes)
	}
}
