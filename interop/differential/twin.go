package differential

import (
	"errors"
	"fmt"

	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/interop/etcdraft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// settings are those of a whole run.
type settings struct {
	electionTick, heartbeatTick int
	preVote, checkQuorum        bool
	oneEntryPerMsg              bool // MaxSizePerMsg that fits one entry
	oneEntryPerReady            bool // the same of MaxCommittedSizePerReady
	inflight                    int
	inflightBytes               uint64
	maxUncommitted              uint64
	noForward                   bool
	snapshotTicks               int
	lease                       bool
	loseCommit                  bool   // a restart may lose a commit index that was not synced
	async                       bool   // writes are finished by opWritten
	holdApply                   bool   // and applications by opApplied
	laggard                     uint64 // a member that applies late, and loses appends meanwhile
}

// ourDisk and theirDisk are the storages of the two halves of a twin.
type ourDisk struct{ *ours.MemoryStorage }

type theirDisk struct {
	*theirs.MemoryStorage
	// conf is the configuration as of what is applied; etcd's MemoryStorage
	// knows that of its snapshot only.
	conf tpb.ConfState
}

func (d *theirDisk) InitialState() (tpb.HardState, tpb.ConfState, error) {
	hs, _, err := d.MemoryStorage.InitialState()
	return hs, d.conf, err
}

// output is what left one half in one step.
type output[M, E, R any] struct {
	messages  []M
	held      []M // waits for a write
	persisted []E
	committed []E
	reads     []R
	removed   []ours.Removal // of ours alone
	refusals  []ours.Refusal // of ours alone
	mustSync  bool
	snapshot  uint64
}

func (o *output[M, E, R]) reset() {
	clear(o.messages)
	clear(o.held)
	clear(o.persisted)
	clear(o.committed)
	clear(o.reads)
	*o = output[M, E, R]{
		messages: o.messages[:0], held: o.held[:0], persisted: o.persisted[:0], committed: o.committed[:0], reads: o.reads[:0],
	}
}

type read struct {
	index uint64
	ctx   string
}

// twin is one member: a node of ours and one of theirs with the same past.
type twin struct {
	w  *world
	id uint64

	o     *ours.RawNode
	op    ourPeek
	od    ourDisk
	oConf *opb.ConfState
	out   output[opb.Message, opb.Entry, read]

	t     *theirs.RawNode
	tp    theirPeek
	td    *theirDisk
	tConf tpb.ConfState
	// tConfs are their configurations by the index from which they hold.
	tConfs []confFrom
	tout   output[tpb.Message, tpb.Entry, read]

	// speaksTheirs: what the others hear of this member is what etcd's half
	// sends; else it is what ours sends.
	speaksTheirs bool
	applied      uint64
	confChanged  bool // in this step
	lives        uint64

	// What was handed out and is not done (async.go); tail is the end of our log
	// that is not on disk, after a snapshot of which that is true too.
	ow       []ourWrite
	tw       []theirWrite
	oa       []ourApply
	ta       []theirApply
	tail     []opb.Entry
	tailSnap *opb.SnapshotMetadata
	// tLast is where their log ends.
	tLast uint64
	// ohs and ths are the hard states as last handed out, synced is the commit
	// index that no crash loses.
	ohs    opb.HardState
	ths    tpb.HardState
	synced uint64
	// former are tokens of writes that a crash interrupted.
	former []ours.AppendToken
	// oldTermWritten: theirs was told of a write after its term.
	oldTermWritten bool
	// held waits for writes, and leaving for no more in this step.
	held, leaving []heldMessage

	// transferTicks counts the ticks of the transfer under way.
	transferTicks int
	// granted are the members that granted their vote in grantTerm.
	granted   map[uint64]bool
	grantTerm uint64
	// answered is, by member, the latest heartbeat in answeredTerm that it answered,
	// promisers are those that promised to refuse votes then.
	answered     map[uint64]beat
	promisers    map[uint64]bool
	answeredTerm uint64
	// ticks are those since the start, promised those for which this member has
	// to refuse votes, handedOver is the term in which it told another to lead.
	ticks, promised int
	handedOver      uint64
	// sessions are, by member, those that ours gave it as leader in sessionsTerm,
	// lastSession is the last of them.
	sessions                  map[uint64][]uint64
	lastSession, sessionsTerm uint64
	// asked is, for reads by context, the step in which they were asked here.
	asked map[string]uint64
	// forwards are the reads that ours has forwarded and has to take an answer
	// for, with the ticks since.
	forwards map[string]*int
	// copies counts how often a forwarded read came.
	copies map[string]int
	// early are reads that ours answered and theirs not yet.
	early []early
	// takeOver is the term in which the leader said to take over, while a change
	// was not applied.
	takeOver uint64
	// tooSoon are reads that theirs answered before a commit in the term.
	tooSoon map[string]bool
}

type confFrom struct {
	index uint64
	conf  tpb.ConfState
}

// theirConfAt returns their configuration at an index.
func (m *twin) theirConfAt(index uint64) tpb.ConfState { return m.theirConfFrom(index).conf }

func (m *twin) theirConfFrom(index uint64) confFrom {
	for i := len(m.tConfs) - 1; i >= 0; i-- {
		if m.tConfs[i].index <= index {
			return m.tConfs[i]
		}
	}
	return confFrom{}
}

type early struct {
	to    uint64 // 0: a read of this member
	ctx   string // as theirs knows it
	index uint64
}

// fixedRand makes ours draw what the run's seed says.
type fixedRand struct{ state uint64 }

func (r *fixedRand) Uint64() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

const tiny = 1 // a bound that lets one entry pass

// start makes both nodes from what is on their disks.
func (m *twin) start() error {
	s := &m.w.settings
	m.lives++
	oc := &ours.Config{
		ID: m.id, ElectionTick: s.electionTick, HeartbeatTick: s.heartbeatTick, Storage: m.od, Applied: m.applied,
		MaxInflightMsgs: s.inflight, MaxInflightBytes: s.inflightBytes, MaxUncommittedSize: s.maxUncommitted, SnapshotTicks: s.snapshotTicks,
		DisablePreVote: !s.preVote, DisableCheckQuorum: !s.checkQuorum, DisableProposalForwarding: s.noForward,
		MaxSizePerMsg: 1 << 30, MaxCommittedSizePerReady: 1 << 30,
		DisableStallCheck: true, // theirs has none
		Rand:              &fixedRand{m.w.seed<<20 ^ m.id<<12 ^ m.lives},
	}
	tc := &theirs.Config{
		ID: m.id, ElectionTick: s.electionTick, HeartbeatTick: s.heartbeatTick, Storage: m.td, Applied: m.applied,
		MaxInflightMsgs: s.inflight, MaxInflightBytes: s.inflightBytes, MaxUncommittedEntriesSize: s.maxUncommitted,
		PreVote: s.preVote, CheckQuorum: s.checkQuorum, DisableProposalForwarding: s.noForward,
		MaxSizePerMsg: 1 << 30, MaxCommittedSizePerReady: 1 << 30,
		StepDownOnRemoval: true, ReadOnlyOption: theirs.ReadOnlySafe, Logger: etcdraft.Quiet{},
		AsyncStorageWrites: s.async,
	}
	if s.lease {
		oc.ReadOnlyOption, tc.ReadOnlyOption = ours.ReadOnlyLeaseBased, theirs.ReadOnlyLeaseBased
	}
	if s.oneEntryPerMsg {
		oc.MaxSizePerMsg, tc.MaxSizePerMsg = tiny, tiny
	}
	if s.oneEntryPerReady {
		oc.MaxCommittedSizePerReady, tc.MaxCommittedSizePerReady = tiny, tiny
		if s.async {
			oc.MaxApplyingSize = tiny // theirs has one setting for both
		}
	}
	var err error
	if m.o, err = ours.NewRawNode(oc); err != nil {
		return fmt.Errorf("ours does not start: %w", err)
	}
	err = caught(func() error {
		m.t, err = theirs.NewRawNode(tc)
		return err
	})
	if err != nil {
		return fmt.Errorf("theirs does not start: %w", err)
	}
	m.op, m.tp = peekOurs(m.o), peekTheirs(m.t)
	cs := m.o.Status().Config.ConfState()
	m.oConf, m.tConf = &cs, m.td.conf
	if len(m.tConfs) == 0 {
		m.tConfs = append(m.tConfs, confFrom{m.applied, m.tConf})
	}
	m.granted, m.answered, m.asked, m.early = map[uint64]bool{}, map[uint64]beat{}, map[string]uint64{}, nil
	m.tooSoon, m.takeOver = map[string]bool{}, 0
	m.copies, m.forwards = map[string]int{}, map[string]*int{}
	m.confChanged = true
	m.ohs, _, _ = m.od.InitialState()
	m.ths, _, _ = m.td.InitialState()
	m.tLast, err = m.td.LastIndex()
	m.oldTermWritten = false
	m.ticks, m.promised, m.handedOver, m.answeredTerm, m.promisers = 0, 0, 0, 0, map[uint64]bool{}
	if m.ohs.Term > 0 {
		m.promised = s.electionTick // it may have promised that
	}
	return err
}

// panicked is a panic of etcd's half.
type panicked struct{ value any }

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func caught(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v}
		}
	}()
	return f()
}

var errNeverReady = errors.New("the node always has another Ready")

// drain does what a synchronous host does until both nodes are at rest.
func (m *twin) drain() error {
	if err := m.drainOurs(); err != nil {
		return err
	}
	return m.drainTheirs()
}
