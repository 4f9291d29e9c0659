package explore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore/internal/mirror"
	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// first is the snapshot that all members begin with.
const (
	firstIndex = 1
	firstTerm  = 1
)

// Model is a group of members with their hosts, and a network, for package search.
type Model struct {
	Bounds
	settings settings
	perms    [][]uint64 // renamings, the first renames nobody
	plain    bool       // tells states apart in spite of renamings, in a test
	payloads bool       // proposals differ, in a test
	keepDead bool       // keeps messages that mean nothing any more, in a test

	members  table[*memberPart]
	messages table[*messagePart]
	ghosts   table[*ghostPart]
	held     atomic.Int64 // bytes
}

type memberPart struct {
	part
	bytes []byte
	view  *view
	moves moves
}

// size is about how many bytes p takes.
func (p *memberPart) size() int64 {
	v := p.view
	entries := len(v.log.entries) + len(v.disk.entries)
	ids := len(v.conf.Voters[0]) + len(v.conf.Voters[1]) + len(v.conf.Learners) + len(v.conf.LearnersNext)
	return p.part.size() + int64(unsafe.Sizeof(*p)+unsafe.Sizeof(*v)) + int64(len(p.bytes)+16*entries+8*ids+16*len(v.peers))
}

type messagePart struct {
	part
	msg pb.Message
	at  int // the place of the member that it is for
}

type ghostPart struct {
	part
	ghost ghost
}

var ghostCodec = mirror.New(ghost{}, mirror.Rules{Names: map[string]mirror.Naming{"explore.leader.ID": mirror.ID, "explore.read.Node": mirror.ID}})

// NewModel returns a model with these bounds.
func NewModel(bounds Bounds) (*Model, error) {
	if err := bounds.check(); err != nil {
		return nil, fmt.Errorf("explore: %w", err)
	}
	n := bounds.Members
	m := &Model{Bounds: bounds}
	m.settings.config = raft.Config{
		ConfChangeEffect: bounds.Effect, DisablePreVote: bounds.NoPreVote, DisableCheckQuorum: bounds.NoCheckQuorum,
	}
	m.settings.writeAtOnce, m.settings.applyAtOnce = bounds.WriteAtOnce, bounds.ApplyAtOnce
	m.settings.changes = len(bounds.Changes) > 0
	m.settings.reads = bounds.Reads > 0
	m.settings.config.ElectionTick, m.settings.config.HeartbeatTick = electionTick, heartbeatTick
	if bounds.Ticks > 0 {
		m.settings.clock = true
		m.settings.config.ReadOnlyOption = raft.ReadOnlyLeaseBased
		m.settings.config.ElectionTick, m.settings.config.HeartbeatTick = leaseElectionTick, leaseHeartbeatTick
	}
	m.held.Store(3 * tableShards * chunkSize * int64(unsafe.Sizeof(m)))
	m.perms = [][]uint64{nil}
	if bounds.Renamed {
		m.perms = append([][]uint64{sequence(n)}, renamings(n)...)
	}
	return m, nil
}

// Held implements search.Holder.
func (m *Model) Held() int64 { return m.held.Load() }

// sequence returns 0 to n.
func sequence(n int) (s []uint64) {
	for i := range uint64(n + 1) {
		s = append(s, i)
	}
	return s
}

// renamings returns all permutations of 1 to n but the identity, with 0 in front of each.
func renamings(n int) [][]uint64 {
	var all [][]uint64
	var grow func(p []uint64)
	grow = func(p []uint64) {
		if len(p) == n+1 {
			if !slices.IsSorted(p) {
				all = append(all, slices.Clone(p))
			}
			return
		}
		for id := uint64(1); id <= uint64(n); id++ {
			if !slices.Contains(p, id) {
				grow(append(p, id))
			}
		}
	}
	grow([]uint64{0})
	return all
}

// Identity implements search.Model. The number is that of the form of states, and of what is taken for the same.
func (m *Model) Identity() string {
	type all Bounds // without String, which does not tell all
	return fmt.Sprintf("raft 2 %+v", all(m.Bounds))
}

// NewWorker implements search.Model.
func (m *Model) NewWorker() search.Worker { return m.worker() }

func (m *Model) worker() *worker {
	return &worker{m: m, bench: newBench(&m.settings), views: make([]*view, m.Members)}
}

// worker expands states.
type worker struct {
	m     *Model
	bench *bench
	buf   []byte
	// The state at hand, its parts, and the sums of their fingerprints under each renaming.
	state state
	parts []*memberPart
	net   []*messagePart
	ghost *ghostPart
	sums  []search.Fingerprint
	// The one that is made of it.
	next     state
	nextNet  []*messagePart
	views    []*view
	changing []search.Fingerprint
}

// fingerprint returns that by which states are told apart: a state that differs in the names of members alone has the
// same.
func (w *worker) fingerprint(s *state) search.Fingerprint {
	w.load(s)
	return w.m.tell(w.sums[:w.m.renamings()], s)
}

// renamings is under how many renamings states are the same.
func (m *Model) renamings() int {
	if m.plain {
		return 1
	}
	return len(m.perms)
}

// load finds the parts of a state.
func (w *worker) load(s *state) {
	m := w.m
	w.parts, w.net = w.parts[:0], w.net[:0]
	w.ghost = m.ghosts.get(s.ghost)
	w.sums = append(w.sums[:0], w.ghost.fps...)
	for _, number := range s.members {
		p := m.members.get(number)
		w.parts = append(w.parts, p)
		plus(w.sums, p.fps)
	}
	for _, number := range s.net {
		p := m.messages.get(number)
		w.net = append(w.net, p)
		plus(w.sums, p.fps)
	}
}

// plus and minus change the sums of fingerprints of parts, in whatever order they come.
func plus(sums, fps []search.Fingerprint) {
	for i := range sums {
		sums[i].Hi += fps[i].Hi
		sums[i].Lo += fps[i].Lo
	}
}

func minus(sums, fps []search.Fingerprint) {
	for i := range sums {
		sums[i].Hi -= fps[i].Hi
		sums[i].Lo -= fps[i].Lo
	}
}

// tell makes a state's fingerprint of the least of its sums, and of what names no members.
func (m *Model) tell(sums []search.Fingerprint, s *state) search.Fingerprint {
	least := sums[0]
	for _, sum := range sums[1:] {
		if sum.Hi < least.Hi || sum.Hi == least.Hi && sum.Lo < least.Lo {
			least = sum
		}
	}
	var b [16 + numBudgets + 2]byte
	binary.LittleEndian.PutUint64(b[:], least.Hi)
	binary.LittleEndian.PutUint64(b[8:], least.Lo)
	copy(b[16:], s.left[:])
	b[16+numBudgets], b[17+numBudgets] = s.changes, s.ticked
	return search.Hash(b[:])
}

// parts tell apart what the bytes that are hashed are of.
const (
	partMember byte = iota
	partMessage
	partGhost
)

// hash returns the fingerprint of a part under a renaming.
func (w *worker) hash(kind byte, c *mirror.Codec, p unsafe.Pointer, names []uint64) search.Fingerprint {
	w.buf = append(w.buf[:0], kind)
	if names == nil {
		w.buf = c.Append(w.buf, p)
	} else {
		w.buf = c.AppendRenamed(w.buf, p, names)
	}
	return search.Hash(w.buf)
}

// fingerprints returns what all parts have, of which first is the first fingerprint.
func (w *worker) fingerprints(kind byte, c *mirror.Codec, p unsafe.Pointer, first search.Fingerprint) part {
	fps := make([]search.Fingerprint, 1, len(w.m.perms))
	fps[0] = first
	for _, names := range w.m.perms[1:] {
		fps = append(fps, w.hash(kind, c, p, names))
	}
	return part{fps: fps}
}

func (w *worker) internMember(mb *member) *memberPart {
	fp := w.hash(partMember, memberCodec, unsafe.Pointer(mb), w.m.perms[0])
	if p, ok := w.m.members.find(fp); ok {
		return p
	}
	p := &memberPart{
		bytes: memberCodec.Append(nil, unsafe.Pointer(mb)),
		part:  w.fingerprints(partMember, memberCodec, unsafe.Pointer(mb), fp),
		view:  w.bench.view(mb),
	}
	w.m.held.Add(p.size())
	return w.m.members.add(p)
}

func (w *worker) internMessage(msg *pb.Message) *messagePart {
	fp := w.hash(partMessage, messageCodec, unsafe.Pointer(msg), w.m.perms[0])
	if p, ok := w.m.messages.find(fp); ok {
		return p
	}
	p := &messagePart{part: w.fingerprints(partMessage, messageCodec, unsafe.Pointer(msg), fp), at: int(msg.To) - 1}
	// A copy that shares nothing: what a node is given is its own.
	w.buf = messageCodec.Append(w.buf[:0], unsafe.Pointer(msg))
	if err := messageCodec.Read(w.buf, unsafe.Pointer(&p.msg)); err != nil {
		panic(fmt.Sprintf("explore: a message does not read back: %v", err))
	}
	w.m.held.Add(p.part.size() + int64(unsafe.Sizeof(*p)) + int64(2*len(w.buf)))
	return w.m.messages.add(p)
}

func (w *worker) internGhost(g *ghost) *ghostPart {
	fp := w.hash(partGhost, ghostCodec, unsafe.Pointer(g), w.m.perms[0])
	if p, ok := w.m.ghosts.find(fp); ok {
		return p
	}
	p := &ghostPart{part: w.fingerprints(partGhost, ghostCodec, unsafe.Pointer(g), fp), ghost: *g}
	w.m.held.Add(p.part.size() + int64(unsafe.Sizeof(*p)) + int64(2*len(w.buf)))
	return w.m.ghosts.add(p)
}
