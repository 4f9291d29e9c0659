package rafttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Host is what ExerciseHost drives: an embedder's host of one node, behind a few
// methods. They are called one after another. Those that pass something on to
// the node's method of that name may do the work that follows at once or leave it
// to a goroutine, and may ignore the error; none may wait for other nodes.
type Host interface {
	Tick()
	Step(m pb.Message)
	Campaign()
	Propose(data []byte)
	ProposeConfChange(cc pb.ConfChangeI)
	ReadIndex(rctx []byte)
	// TakeSnapshot stores a snapshot of what is applied, and drops the log up
	// to there, now or soon.
	TakeSnapshot()
	// Stop ends the host wherever it is. When it returns, nothing of it runs.
	Stop()
}

// HostEnv is what ExerciseHost gives a host when it starts.
type HostEnv struct {
	// Config has ID, Rand and the check. The host copies it, sets Storage and
	// Applied, and what else it likes.
	Config raft.Config
	// Peers are the members of a new group, for Bootstrap or StartNode, at the
	// first start; nil at a restart.
	Peers []raft.Peer
	// Storage is one in memory, wrapped by Check, that survives crashes. A host
	// with its own wraps it with Check.Storage, or reports what it writes.
	Storage Storage
	// Send takes a message to another member, and reports it.
	Send func(m pb.Message)
	// Check takes the reports.
	Check *HostCheck
	// Synchronous is set by a host, when it starts, that has done all that it
	// does whenever a method returns. Nobody waits for it, the run is fast, and
	// the same every time.
	Synchronous bool
}

var (
	errCrashed     = errors.New("rafttest: the host has crashed")
	errWriteFailed = errors.New("rafttest: this write fails")
)

// exercised is the ID of the host under test; 2 and 3 are the others.
const exercised uint64 = 1

// ExerciseHost drives a host, as one member of three whose others are in memory,
// through elections, proposals, reads, the truncation of its log, snapshots in
// both directions, changes of configuration, crashes at several points and a
// failing write, with CheckHost watching. start is called for every life of the
// host.
//
// Crashes and failures need the wrappers of HostCheck; a host that only reports
// is stopped instead. A host that does not say that it is synchronous is waited
// for: a few seconds in all, longer where it does not do what it should. The
// check is returned finished.
//
// settings change the Config of every member, that in HostEnv too: what all of a
// group have to have alike, such as ConfChangeEffect.
func ExerciseHost(t testing.TB, start func(env *HostEnv) (Host, error), settings ...func(*raft.Config)) *HostCheck {
	t.Helper()
	check := CheckHost(t, &raft.Config{})
	x := &exercise{t: t, check: check, begin: start, settings: settings, cluster: &Cluster{seed: 1}, disk: Memory(raft.NewMemoryStorage())}
	check.gate = x.at
	// A leader gives up early on a snapshot that a crash lost.
	x.cluster.Configure = func(c *raft.Config) {
		c.SnapshotTicks = 20
		x.configure(c)
	}
	for id := exercised; id <= 3; id++ {
		x.peers = append(x.peers, raft.Peer{ID: id})
	}
	for _, p := range x.peers[1:] {
		must(x.cluster.Add(p.ID).Bootstrap(x.peers))
	}
	x.start()
	for _, phase := range hostPhases {
		if x.stuck {
			break
		}
		x.phase = phase.name
		phase.run(x)
	}
	if x.host != nil {
		x.host.Stop()
	}
	check.Finish()
	return check
}

// exercise is a run of ExerciseHost.
type exercise struct {
	t     testing.TB
	check *HostCheck
	begin func(env *HostEnv) (Host, error)
	// settings are those of every member.
	settings []func(*raft.Config)
	cluster  *Cluster // the other members
	peers    []raft.Peer
	disk     Storage

	host   Host
	env    *HostEnv // of its present life
	starts uint64
	phase  string
	stuck  bool // the run cannot go on
	cut    bool // messages from and to the host get lost
	asked  int  // numbers proposals and reads

	mu     sync.Mutex
	outbox []pb.Message // from the host
	trap   hostPoint    // where the host ends, or fails, next
	after  int          // how often it may pass there before
	fails  bool
	sprung bool // the trap was met
	dead   bool
}

// at is the gate of the host's wrappers.
func (x *exercise) at(point hostPoint) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return errCrashed
	}
	if point != x.trap {
		return nil
	}
	if x.after--; x.after >= 0 {
		return nil
	}
	x.trap, x.sprung = "", true
	if x.fails {
		return errWriteFailed
	}
	x.dead = true
	x.check.Crashed()
	return errCrashed
}

// set sets a trap: when the host has passed point n times, it crashes there, or
// its write fails.
func (x *exercise) set(point hostPoint, n int, fails bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.trap, x.after, x.fails, x.sprung = point, n, fails, false
}

func (x *exercise) hasSprung() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sprung
}

func (x *exercise) configure(c *raft.Config) {
	for _, set := range x.settings {
		set(c)
	}
}

// start begins a life of the host.
func (x *exercise) start() {
	x.mu.Lock()
	x.trap, x.dead, x.outbox = "", false, nil
	x.mu.Unlock()
	x.starts++
	env := &HostEnv{
		Config:  raft.Config{ID: exercised, Rand: rand.NewPCG(7, x.starts)},
		Storage: x.check.Storage(x.disk), Check: x.check,
		Send: x.check.Send(func(m pb.Message) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.outbox = append(x.outbox, m)
		}),
	}
	x.configure(&env.Config)
	x.check.Watch(&env.Config)
	if x.starts == 1 {
		env.Peers = x.peers
	}
	x.env = env
	host, err := x.begin(env)
	if err != nil {
		x.fail("start %d of the host: %v", x.starts, err)
		return
	}
	x.host = host
}

// stop ends the host; a crash is not judged any more.
func (x *exercise) stop(crash bool) {
	if crash {
		x.check.Crashed()
	}
	x.host.Stop()
	x.host = nil
}

func (x *exercise) fail(format string, args ...any) {
	x.t.Helper()
	x.stuck = true
	x.t.Errorf("host exercise: %s: %s", x.phase, fmt.Sprintf(format, args...))
}

// pump carries messages until none is left, within bounds, and reports whether
// there were any.
func (x *exercise) pump() bool {
	busy, moved := false, true
	for n := 0; moved && n < maxRounds; n++ {
		moved = x.carry()
		for _, m := range x.cluster.Nodes() {
			for x.cluster.Handle(m.ID) {
				moved = true
			}
		}
		busy = busy || moved
	}
	return busy
}

// carry delivers what is on its way now.
func (x *exercise) carry() bool {
	x.mu.Lock()
	out := x.outbox
	x.outbox = nil
	x.mu.Unlock()
	in := x.cluster.Take(func(m pb.Message) bool { return m.To == exercised })
	moved := len(in)+len(out)+len(x.cluster.Network()) > 0
	_ = x.cluster.Deliver() // what is refused is lost
	if x.cut || x.host == nil {
		return moved
	}
	for _, m := range in {
		x.host.Step(overTheWire(m))
	}
	for _, m := range out {
		x.cluster.Send(overTheWire(m))
	}
	_ = x.cluster.Deliver()
	return moved
}

// overTheWire returns a copy that shares no memory with m.
func overTheWire(m pb.Message) pb.Message {
	b, err := m.Marshal()
	must(err)
	var c pb.Message
	must(c.Unmarshal(b))
	return c
}

const (
	// maxRounds bounds for how long messages may go to and fro between ticks.
	maxRounds = 1000
	// pause is the time between two looks at a host.
	pause = 100 * time.Microsecond
	// A tick comes when the host was idle for looks in a row, or quiet for
	// workTime with something left to do, or busy for busyTime.
	looks    = 4
	workTime = 20 * time.Millisecond
	busyTime = 200 * time.Millisecond
	// A wait ends after 20 election timeouts, or patience.
	maxWaitTicks = 200
	patience     = 10 * time.Second
)

// until carries messages, and ticks when all is quiet, until done is true.
func (x *exercise) until(what string, done func() bool) bool {
	x.t.Helper()
	if x.stuck || x.within(maxWaitTicks, done) {
		return !x.stuck
	}
	x.fail("%s: it does not happen within %d ticks or %v", what, maxWaitTicks, patience)
	return false
}

// within is until with a bound, after which it goes on.
func (x *exercise) within(maxTicks int, done func() bool) bool {
	quiet, seen, began := 0, uint64(0), time.Now()
	ticked, moved := began, began
	for ticks := 0; ticks < maxTicks && !x.stuck && (x.env.Synchronous || time.Since(began) < patience); {
		busy := x.pump()
		if done() {
			return true
		}
		events, working := x.check.progress()
		if quiet++; busy || events != seen {
			quiet, seen, moved = 0, events, time.Now()
		}
		switch {
		case x.env.Synchronous, time.Since(ticked) > busyTime:
		case working && time.Since(moved) < workTime, quiet < looks:
			time.Sleep(pause)
			continue
		}
		quiet, ticked = 0, time.Now()
		ticks++
		x.tick()
	}
	return false
}

func (x *exercise) tick() {
	for _, m := range x.cluster.Nodes() {
		m.RawNode.Tick()
	}
	if x.host != nil {
		x.host.Tick()
	}
}
