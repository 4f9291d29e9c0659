package explore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore/internal/mirror"
)

// member is one server: its node, its disk, and what its host has to do yet. The host takes
// each Ready at once and sends what may leave; it writes and applies whenever it is told to.
type member struct {
	ID   uint64
	Node raft.RawNode
	Disk disk
	// Writes are not durable yet, the oldest first.
	Writes []write
	// Apply was handed out to be applied, or Restore, the index of a snapshot.
	Apply   []pb.Entry
	Restore uint64
}

// write is what one Ready asks to be made durable, and what leaves then.
type write struct {
	Hard     pb.HardState
	Entries  []pb.Entry
	Snapshot pb.SnapshotMetadata
	Sync     bool
	Promises []pb.Message
}

// Types and fields of the core that have no name out there.
var (
	raftType   = reflect.TypeOf(raft.RawNode{}).Field(0).Type.Elem()
	logType    = fieldOf(raftType, "log").Type.Elem()
	queueType  = fieldOf(logType, "writes").Type
	cfgAt      = fieldOf(raftType, "cfg").Offset
	sessionAt  = fieldOf(raftType, "session").Offset
	loggerAt   = fieldOf(raftType, "logger").Offset
	logAt      = fieldOf(raftType, "log").Offset
	storageAt  = fieldOf(logType, "storage").Offset
	seqAt      = fieldOf(reflect.TypeOf(raft.RawNode{}), "seq").Offset
	queueAll   = fieldOf(queueType, "all").Offset
	queueDone  = fieldOf(queueType, "done").Offset
	windowType = reflect.TypeOf(progress.Window{})
	ringAt     = fieldOf(windowType, "ring").Offset
	startAt    = fieldOf(windowType, "start").Offset
	countAt    = fieldOf(windowType, "count").Offset
	leaderType = fieldOf(raftType, "leader").Type.Elem()
	leaderAt   = fieldOf(raftType, "leader").Offset
	selfAt     = fieldOf(leaderType, "self").Offset
	instanceAt = fieldOf(reflect.TypeOf(raft.RawNode{}), "instance").Offset
	ackedSeqAt = fieldOf(reflect.TypeOf(raft.RawNode{}), "ackedSeq").Offset

	tokenInstanceAt = fieldOf(reflect.TypeOf(raft.AppendToken{}), "instance").Offset
	tokenSeqAt      = fieldOf(reflect.TypeOf(raft.AppendToken{}), "seq").Offset

	askedAt = fieldOf(raftType, "asked").Offset
	nonceAt = fieldOf(fieldOf(raftType, "asked").Type, "nonce").Offset

	confAt = fieldOf(raftType, "conf").Offset
	idsAt  = fieldOf(fieldOf(raftType, "conf").Type, "ids").Offset
)

func fieldOf(t reflect.Type, name string) reflect.StructField {
	f, ok := t.FieldByName(name)
	if !ok {
		panic(fmt.Sprintf("explore: %v has no field %s", t, name))
	}
	return f
}

// fieldAt returns a pointer to a field.
func fieldAt[T any](p unsafe.Pointer, offset uintptr) *T { return (*T)(unsafe.Add(p, offset)) }

// notState are the fields of a member that say nothing about what it will do.
var notState = map[string]string{
	"raft.RawNode.instance":          "only tells lives apart, and no acknowledgement outlives one",
	"raft.RawNode.seq":               "Readys are numbered from the oldest that is not durable",
	"raft.RawNode.ackedSeq":          "as seq",
	"raft.RawNode.confUses":          "each Ready is taken at once, so it is that of the node",
	"raft.raft.cfg":                  "the same for all members but for the storage",
	"raft.raft.logger":               "no part of the protocol",
	"raft.raft.stepDown":             "only reported",
	"raft.raft.session":              "only tells lives apart; a word of a removal is echoed with it",
	"raft.raft.warned":               "only logged",
	"raft.raft.out":                  "each Ready is taken at once, so it is empty",
	"raft.raft.spare":                "memory for reuse",
	"raft.raft.one":                  "memory for reuse",
	"raft.raft.err":                  "a node whose storage failed is a violation",
	"raft.raftLog.storage":           "the disk",
	"raft.unstable.chunk":            "memory for reuse",
	"raft.unstable.durableBytes":     "bounds memory, far above what is explored",
	"raft.unstable.movedBytes":       "bounds memory, far above what is explored",
	"raft.unstable.keptBytes":        "bounds memory, far above what is explored",
	"raft.unstable.fresh":            "bounds memory, far above what is explored",
	"raft.unstable.seen":             "bounds memory, far above what is explored",
	"raft.membership.uses":           "counts, for confUses",
	"raft.leaderState.scratch":       "memory for reuse",
	"raft.leaderState.self":          "where the ID is among the members",
	"raft.leaderState.ahead":         "found out when it is needed",
	"raft.leaderState.aheadKnown":    "as ahead",
	"raft.leaderState.busy":          "for sleep, which is off",
	"raft.leaderState.sinceProgress": "for the check of slow disks, which is off",
	"raft.leaderState.uncommitted":   "bounds proposals, which are not bounded here",
	"raft.candidateState.few":        "memory for votes",
	"raft.batch.msgs":                "the host has them",
	"raft.batch.promises":            "the host has them",
	"raft.batch.reads":               "the host has them",
	"raft.batch.refusals":            "the host has them",
	"raft.batch.refused":             "counts refusals",
	"raft.batchQueue.done":           "what is done is dropped before",
	"confchange.Step.Err":            "nil, else the target would have ended",
}

// names are the fields that name members.
var names = map[string]mirror.Naming{
	"explore.member.ID":         mirror.ID,
	"explore.write.Promises":    mirror.Bag,
	"raft.raft.id":              mirror.ID,
	"raft.raft.vote":            mirror.ID,
	"raft.raft.lead":            mirror.ID,
	"raft.SoftState.Lead":       mirror.ID,
	"raft.batch.vote":           mirror.ID,
	"raft.transfer.target":      mirror.ID,
	"raft.pendingRead.from":     mirror.ID,
	"raft.drive.handedTo":       mirror.IDs,
	"raft.Removal.By":           mirror.ID,
	"raft.membership.ids":       mirror.Members,
	"raft.membership.roles":     mirror.Beside,
	"raft.membership.features":  mirror.Beside,
	"raft.leaderState.peers":    mirror.Beside,
	"raft.candidateState.votes": mirror.Beside,
	"raft.leaving.toldIn":       mirror.Beside,
	"raftpb.HardState.Vote":     mirror.ID,
	"raftpb.Message.To":         mirror.ID,
	"raftpb.Message.From":       mirror.ID,
	// Sessions are given to members in the order of their IDs, which are 1 to n where members are renamed.
	"raftpb.Message.Session":          mirror.ID,
	"progress.Progress.Session":       mirror.ID,
	"raftpb.ConfState.Voters":         mirror.IDs,
	"raftpb.ConfState.Learners":       mirror.IDs,
	"raftpb.ConfState.VotersOutgoing": mirror.IDs,
	"raftpb.ConfState.LearnersNext":   mirror.IDs,
	"confchange.Config.Learners":      mirror.IDs,
	"confchange.Config.LearnersNext":  mirror.IDs,
}

var rules = mirror.Rules{
	Skip:      notState,
	Names:     names,
	TypeNames: map[reflect.Type]mirror.Naming{reflect.TypeOf(quorum.MajorityConfig{}): mirror.IDs},
	Before: map[reflect.Type]func(unsafe.Pointer){
		queueType:  dropDone,
		windowType: straighten,
	},
}

var (
	memberCodec  = mirror.New(member{}, rules)
	messageCodec = mirror.New(pb.Message{}, messageRules())
)

// messageRules are the rules that are about messages.
func messageRules() mirror.Rules {
	own := mirror.Rules{Names: map[string]mirror.Naming{}}
	for name, naming := range names {
		if strings.HasPrefix(name, "raftpb.Message.") || strings.HasPrefix(name, "raftpb.ConfState.") {
			own.Names[name] = naming
		}
	}
	return own
}

// dropDone drops the Readys that are acknowledged from a queue of them.
func dropDone(p unsafe.Pointer) {
	all, done := fieldAt[[]unsafe.Pointer](p, queueAll), fieldAt[int](p, queueDone)
	*all, *done = (*all)[*done:], 0
}

// straighten makes a window's ring begin with the oldest message in flight and end with the newest.
func straighten(p unsafe.Pointer) {
	type inflight [2]uint64 // its index and bytes
	ring, start, count := fieldAt[[]inflight](p, ringAt), fieldAt[int](p, startAt), fieldAt[int](p, countAt)
	if *start == 0 && *count == len(*ring) {
		return
	}
	straight := make([]inflight, 0, *count)
	for i := range *count {
		straight = append(straight, (*ring)[(*start+i)%len(*ring)])
	}
	*ring, *start = straight, 0
}

// settings are what all members have in common.
type settings struct {
	config      raft.Config
	writeAtOnce bool
	applyAtOnce bool
	hasty       bool // hosts send what waits for a write at once, in a test
	changes     bool // members may change
	reads       bool // hosts read
	clock       bool // clocks tick, and there are leases
}

// bench is where a worker takes members apart: a node with its storage.
type bench struct {
	settings *settings
	cfgs     map[uint64]unsafe.Pointer // what newly made nodes have as Config, by ID
	storage  storage
	logger   *zap.Logger
}

func newBench(s *settings) *bench {
	return &bench{settings: s, cfgs: map[uint64]unsafe.Pointer{}, logger: zap.NewNop()}
}

// constant is where timeouts come from. They are all as long as they can be, since when a node ticks is
// for the search to choose; or where clocks tick, each member has its own.
type constant uint64

func (c constant) Uint64() uint64 { return uint64(c) }

// Timeouts are the least that there can be. With leases they are those with the fewest ticks and heartbeats in between
// in which a lease can end before an election.
const (
	electionTick  = 2
	heartbeatTick = 1
	longest       = 2*electionTick - 1

	leaseElectionTick  = 6
	leaseHeartbeatTick = 2
)

// start makes the node of m anew from its disk.
func (b *bench) start(m *member) error {
	b.storage.disk = &m.Disk
	c := b.settings.config
	c.ID, c.Storage, c.Rand, c.Logger = m.ID, &b.storage, constant(c.ElectionTick-1), b.logger
	if b.settings.clock {
		c.Rand = constant((m.ID + maxMembers - 2) % maxMembers)
	}
	c.DisableStallCheck = true
	life := uint64(0)
	if b.settings.reads && b.raft(m) != nil {
		life = *fieldAt[uint64](b.raft(m), askedAt+nonceAt) + 1
	}
	rn, err := raft.NewRawNode(&c)
	if err != nil {
		return err
	}
	m.Node = *rn
	*fieldAt[uint64](b.raft(m), sessionAt) = 0
	*fieldAt[uint64](b.raft(m), askedAt+nonceAt) = life
	m.Writes, m.Apply, m.Restore = nil, nil, 0
	b.cfgs[m.ID] = *fieldAt[unsafe.Pointer](b.raft(m), cfgAt)
	return nil
}

// raft returns the state machine behind the node.
func (b *bench) raft(m *member) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&m.Node)) }

// open builds a member from its bytes. It replaces the one that was open before.
func (b *bench) open(state []byte) (*member, error) {
	m := &member{}
	if err := memberCodec.Read(state, unsafe.Pointer(m)); err != nil {
		return nil, err
	}
	cfg := b.cfgs[m.ID]
	if cfg == nil {
		fresh := &member{ID: m.ID, Disk: disk{Conf: pb.ConfState{Voters: []uint64{m.ID}}}}
		if err := b.start(fresh); err != nil {
			return nil, err
		}
		cfg = b.cfgs[m.ID]
	}
	b.storage.disk = &m.Disk
	r := b.raft(m)
	*fieldAt[unsafe.Pointer](r, cfgAt) = cfg
	*fieldAt[*zap.Logger](r, loggerAt) = b.logger
	*fieldAt[raft.Storage](*fieldAt[unsafe.Pointer](r, logAt), storageAt) = &b.storage
	*fieldAt[uint64](unsafe.Pointer(&m.Node), seqAt) = uint64(len(m.Writes))
	if l := *fieldAt[unsafe.Pointer](r, leaderAt); l != nil {
		ids := *fieldAt[[]uint64](unsafe.Add(r, confAt), idsAt)
		*fieldAt[int](l, selfAt) = slices.Index(ids, m.ID)
	}
	return m, nil
}

// token returns what acknowledges the oldest Ready of m that is not durable.
func (m *member) token() (t raft.AppendToken) {
	node, p := unsafe.Pointer(&m.Node), unsafe.Pointer(&t)
	*fieldAt[uint64](p, tokenInstanceAt) = *fieldAt[uint64](node, instanceAt)
	*fieldAt[uint64](p, tokenSeqAt) = *fieldAt[uint64](node, ackedSeqAt) + 1
	return t
}
