package etcdraft

import (
	"fmt"
	"reflect"
	"unsafe"

	"go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"
)

// Their random timeouts come from a global source and cannot be given to them, and
// where their log ends is not to be seen from outside. Peek finds the fields by
// name and type, once, and panics where a version has others: a field that moved
// must not be mistaken for another.

// Peek is a look into a node of theirs.
type Peek struct{ raft unsafe.Pointer }

// field returns the offset of a field, and its type.
func field(t reflect.Type, name string, kind reflect.Kind) (uintptr, reflect.Type) {
	f, ok := t.FieldByName(name)
	if !ok || f.Type.Kind() != kind {
		panic(fmt.Sprintf("etcdraft: %v has no field %s of kind %v", t, name, kind))
	}
	return f.Offset, f.Type
}

var (
	node             = reflect.TypeFor[raft.RawNode]()
	atRaft, core     = field(node, "raft", reflect.Pointer)
	atTimeout, _     = field(core.Elem(), "randomizedElectionTimeout", reflect.Int)
	atLog, log       = field(core.Elem(), "raftLog", reflect.Pointer)
	atUnstable, tail = field(log.Elem(), "unstable", reflect.Struct)
	atSnapshot, snap = field(tail, "snapshot", reflect.Pointer)
	atEntries, ents  = field(tail, "entries", reflect.Slice)
	_                = mustBe(snap, reflect.TypeFor[*tpb.Snapshot]())
	_                = mustBe(ents, reflect.TypeFor[[]tpb.Entry]())
)

func mustBe(got, want reflect.Type) bool {
	if got != want {
		panic(fmt.Sprintf("etcdraft: a field is %v, not %v", got, want))
	}
	return true
}

// Into returns a look into a node.
func Into(n *raft.RawNode) Peek {
	return Peek{*(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(n), atRaft))}
}

// Timeout is the randomized election timeout, in ticks.
func (p Peek) Timeout() *int { return (*int)(unsafe.Add(p.raft, atTimeout)) }

// Entries returns those that are not in storage yet, not to be changed.
func (p Peek) Entries() []tpb.Entry { return *(*[]tpb.Entry)(unsafe.Add(p.unstable(), atEntries)) }

// Unstable returns the last index of what is not in storage yet, if anything is.
func (p Peek) Unstable() (last uint64, ok bool) {
	if ents := p.Entries(); len(ents) > 0 {
		return ents[len(ents)-1].Index, true
	}
	if snap := p.Snapshot(); snap != nil {
		return snap.Metadata.Index, true
	}
	return 0, false
}

// Snapshot returns the one that is not in storage yet, or nil.
func (p Peek) Snapshot() *tpb.Snapshot {
	return *(**tpb.Snapshot)(unsafe.Add(p.unstable(), atSnapshot))
}

func (p Peek) unstable() unsafe.Pointer {
	return unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(p.raft, atLog)), atUnstable)
}
