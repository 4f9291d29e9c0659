package rafttest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// HostCheck watches one host, the code that drives a RawNode or a Node, and
// fails the test when the host persists, sends, applies or acknowledges in the
// wrong order (docs/host-contract.md). Each broken rule is reported once, by
// name.
//
// What the node hands out, and what it is told, HostCheck sees by itself. The
// rest the host reports: Persisted (or Saved and Synced), Sent, Applied,
// Restored, Served and so on, each when it is done, but Sent just before the
// transport takes the message. Storage, Send, Apply and Restore wrap functions of
// the host so that they report by themselves.
//
// A host that restarts makes its new node with the same HostCheck. All methods
// are safe for concurrent use, and none calls the node. HostCheck keeps digests
// of what was handed out: it is made for tests.
type HostCheck struct {
	t testing.TB
	// gate, if set, is asked at every point of a wrapper: an error says that the
	// host is dead, or that its write fails.
	gate func(hostPoint) error

	mu         sync.Mutex
	violations []HostViolation
	finished   bool
	// events counts what was seen, so that somebody who waits sees progress.
	events uint64
	sent   map[bool]bool   // whether any promise, and any other message, ever left
	used   map[uint64]bool // numbers of instances
	node   *watchedNode    // the present one, nil before the first
	former *watchedNode    // the one before
	// recovered is what Recovered reported for the next start.
	recovered *uint64
}

// CheckHost watches the host of every node that is made from cfg, or from a copy
// of it, from now on. At the end of the test Finish is called.
func CheckHost(t testing.TB, cfg *raft.Config) *HostCheck {
	c := &HostCheck{t: t, sent: map[bool]bool{}, used: map[uint64]bool{}}
	c.Watch(cfg)
	t.Cleanup(c.Finish)
	return c
}

// Watch makes c watch the nodes that are made from cfg, another one than that of
// CheckHost, as a host builds it for a restart.
func (c *HostCheck) Watch(cfg *raft.Config) { raft.Watch(cfg, hostWatch{c}) }

// Violations returns the rules that were broken so far, each once, in the order
// in which they were found.
func (c *HostCheck) Violations() []HostViolation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.violations)
}

// Crashed says that the host is to be taken for dead, as after a loss of power.
// What it still does is not judged, until a new node is made.
func (c *HostCheck) Crashed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.node != nil {
		c.node.dead = true
	}
}

// Finish judges what can only be said at the end: whether all messages were sent
// and no entry left out. The host must have stopped. Nothing is looked at
// afterwards.
func (c *HostCheck) Finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return
	}
	if n := c.node; n != nil && !n.dead {
		c.judgeLeftOut(n)
		for _, r := range n.handed {
			c.judgeUnchanged(r)
			if r.acked {
				c.judgeSkipped(n, r)
			}
		}
	}
	c.finished = true
}

// broke records that a rule was broken. The lock is held.
func (c *HostCheck) broke(rule HostRule, format string, args ...any) {
	if slices.ContainsFunc(c.violations, func(v HostViolation) bool { return v.Rule == rule }) {
		return
	}
	v := HostViolation{rule, fmt.Sprintf(format, args...)}
	c.violations = append(c.violations, v)
	c.t.Errorf("%v", v)
}

// enter begins an event: it takes the lock and returns the node that the event
// is of, or nil if it is not to be judged.
func (c *HostCheck) enter() *watchedNode {
	c.mu.Lock()
	c.events++
	if c.finished || c.node == nil || c.node.dead {
		return nil
	}
	return c.node
}

// watchedNode is one life of the node.
type watchedNode struct {
	instance uint64
	storage  raft.Storage
	dead     bool
	// failed is why a write of the host failed.
	failed error
	soft   raft.SoftState

	// handed are the Readys that are still of interest, oldest first; forgot is
	// how many came before them.
	handed   []*handedReady
	forgot   uint64
	tokens   map[raft.AppendToken]*handedReady
	hard     pb.HardState // as last handed out
	acked    uint64       // number of the last Ready that AckAppend covers
	advanced uint64       // ... and that Advance does
	// durable is the last Ready such that its write and all before are durable;
	// disk is what they left there.
	durable  uint64
	disk     diskModel
	compared uint64 // number up to which Storage was compared with disk

	messages map[digest][]*handedMessage
	lastSent map[route]uint64 // number of the latest Ready of which a message left
	apply    applyState
	reads    map[string]bool
	served   map[string]bool // contexts
	confs    []confFrom
	snapshot uint64 // index of the latest one, as far as it is known
	// fresh says that the node began without a configuration.
	fresh bool
	// onAppend says that changes take effect when they are appended; told are the
	// configurations that Readys said are committed.
	onAppend bool
	told     []pb.ConfState
}

// handedReady is what is remembered of a Ready.
type handedReady struct {
	seq      uint64
	token    raft.AppendToken
	rd       raft.Ready // its slices of messages are not ours to look at
	entries  []digest
	applies  []digest
	messages []*handedMessage
	hard     pb.HardState // as of this Ready
	writes   bool

	saved  bool
	synced bool
	acked  bool
}

// settled reports whether its write counts as durable. Without MustSync a lost
// write is harmless.
func (r *handedReady) settled() bool {
	return !r.writes || r.synced || (r.saved && !r.rd.MustSync)
}

// handedMessage is one message of a Ready.
type handedMessage struct {
	of     *handedReady
	digest digest
	typ    pb.MessageType
	route  route
	sent   bool
}

// route is what messages take in their order, where a host keeps any: promises
// and others to one peer.
type route struct {
	to      uint64
	promise bool
}

// rememberedReadys bounds how many acknowledged Readys are kept, to recognise
// messages that leave late.
const rememberedReadys = 4096

// forget drops the oldest Readys beyond that bound.
func (c *HostCheck) forget(n *watchedNode) {
	for len(n.handed) > rememberedReadys && n.handed[0].acked && n.handed[0].seq <= n.durable {
		r := n.handed[0]
		c.judgeUnchanged(r)
		c.judgeSent(n, r)
		for _, m := range r.messages {
			n.dropMessage(m)
		}
		delete(n.tokens, r.token)
		n.handed = n.handed[1:]
		n.forgot++
	}
}

// What ExerciseHost waits for.

// progress returns how many events there were, and whether the host has something
// left to do.
func (c *HostCheck) progress() (events uint64, working bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.node
	return c.events, n != nil && !n.dead && n.failed == nil && (n.acked < n.lastSeq() || len(n.apply.waiting) > 0)
}

// look returns f of the present node, or zero if there is none.
func look[T any](c *HostCheck, f func(n *watchedNode) T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.node == nil || c.node.dead {
		var zero T
		return zero
	}
	return f(c.node)
}

func (c *HostCheck) role() raft.StateType {
	return look(c, func(n *watchedNode) raft.StateType { return n.soft.RaftState })
}

func (c *HostCheck) applied() uint64 {
	return look(c, func(n *watchedNode) uint64 { return n.apply.reached() })
}

func (c *HostCheck) written() uint64 {
	return look(c, func(n *watchedNode) uint64 { return n.disk.last })
}

func (c *HostCheck) hasServed(rctx []byte) bool {
	return look(c, func(n *watchedNode) bool { return n.served[string(rctx)] })
}

func (c *HostCheck) firstIndex() uint64 {
	storage := look(c, func(n *watchedNode) raft.Storage { return n.storage })
	if storage == nil {
		return 0
	}
	first, err := storage.FirstIndex()
	if err != nil {
		return 0
	}
	return first
}
