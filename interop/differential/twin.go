package differential

import (
	"errors"
	"fmt"

	theirs "go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// settings are those of a whole run.
type settings struct {
	electionTick, heartbeatTick int
	preVote, checkQuorum        bool
	oneEntryPerMsg              bool // MaxSizePerMsg that fits one entry
	oneEntryPerReady            bool // the same of MaxCommittedSizePerReady
	inflight                    int
	maxUncommitted              uint64
	noForward                   bool
	snapshotTicks               int
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
	persisted []E
	committed []E
	reads     []R
	mustSync  bool
	snapshot  uint64
}

func (o *output[M, E, R]) reset() {
	clear(o.messages)
	clear(o.persisted)
	clear(o.committed)
	clear(o.reads)
	*o = output[M, E, R]{
		messages: o.messages[:0], persisted: o.persisted[:0], committed: o.committed[:0], reads: o.reads[:0],
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

	// transferTicks counts the ticks of the transfer under way.
	transferTicks int
	// granted are the members that granted their vote in grantTerm.
	granted   map[uint64]bool
	grantTerm uint64
	// answered is, by member, the latest step in which a heartbeat left that it answered.
	answered map[uint64]uint64
	// asked is, for reads by context, the step in which they were asked here.
	asked map[string]uint64
	// forwards are the reads that ours has forwarded and has to take an answer
	// for, with the ticks since.
	forwards map[string]*int
	// copies counts how often a forwarded read came.
	copies map[string]int
	// early are reads that ours answered and theirs not yet.
	early []early
}

type confFrom struct {
	index uint64
	conf  tpb.ConfState
}

// theirConfAt returns their configuration at an index.
func (m *twin) theirConfAt(index uint64) tpb.ConfState {
	for i := len(m.tConfs) - 1; i >= 0; i-- {
		if m.tConfs[i].index <= index {
			return m.tConfs[i].conf
		}
	}
	return tpb.ConfState{}
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
		MaxInflightMsgs: s.inflight, MaxUncommittedSize: s.maxUncommitted, SnapshotTicks: s.snapshotTicks,
		DisablePreVote: !s.preVote, DisableCheckQuorum: !s.checkQuorum, DisableProposalForwarding: s.noForward,
		MaxSizePerMsg: 1 << 30, MaxCommittedSizePerReady: 1 << 30,
		Rand: &fixedRand{m.w.seed<<20 ^ m.id<<12 ^ m.lives},
	}
	tc := &theirs.Config{
		ID: m.id, ElectionTick: s.electionTick, HeartbeatTick: s.heartbeatTick, Storage: m.td, Applied: m.applied,
		MaxInflightMsgs: s.inflight, MaxUncommittedEntriesSize: s.maxUncommitted,
		PreVote: s.preVote, CheckQuorum: s.checkQuorum, DisableProposalForwarding: s.noForward,
		MaxSizePerMsg: 1 << 30, MaxCommittedSizePerReady: 1 << 30,
		StepDownOnRemoval: true, ReadOnlyOption: theirs.ReadOnlySafe, Logger: quiet{},
	}
	if s.oneEntryPerMsg {
		oc.MaxSizePerMsg, tc.MaxSizePerMsg = tiny, tiny
	}
	if s.oneEntryPerReady {
		oc.MaxCommittedSizePerReady, tc.MaxCommittedSizePerReady = tiny, tiny
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
	m.granted, m.answered, m.asked, m.early = map[uint64]bool{}, map[uint64]uint64{}, map[string]uint64{}, nil
	m.copies, m.forwards = map[string]int{}, map[string]*int{}
	m.confChanged = true
	return nil
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

func (m *twin) drainOurs() error {
	for range 1000 {
		if !m.o.HasReady() {
			return m.o.Err()
		}
		rd := m.o.Ready()
		if err := m.saveOurs(&rd); err != nil {
			return err
		}
		m.out.messages = append(m.out.messages, rd.Messages...)
		m.out.messages = append(m.out.messages, rd.MessagesAfterAppend...)
		for _, rs := range rd.ReadStates {
			m.out.reads = append(m.out.reads, read{rs.Index, string(rs.RequestCtx)})
		}
		m.out.committed = append(m.out.committed, rd.CommittedEntries...)
		for i := range rd.CommittedEntries {
			if err := m.applyOurs(&rd.CommittedEntries[i]); err != nil {
				return err
			}
		}
		if err := m.o.Advance(rd); err != nil {
			return err
		}
	}
	return errNeverReady
}

func (m *twin) saveOurs(rd *ours.Ready) error {
	m.out.mustSync = m.out.mustSync || rd.MustSync
	if !ours.IsEmptySnap(rd.Snapshot) {
		if err := m.od.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
		cs := rd.Snapshot.Metadata.ConfState
		m.oConf, m.confChanged = &cs, true
		m.od.SetConfState(cs)
		m.out.snapshot = rd.Snapshot.Metadata.Index
	}
	if len(rd.Entries) > 0 {
		m.out.persisted = overwrite(m.out.persisted, rd.Entries, rd.Entries[0].Index, m.first(m.out.persisted))
		if err := m.od.Append(rd.Entries); err != nil {
			return err
		}
	}
	if !ours.IsEmptyHardState(rd.HardState) {
		return m.od.SetHardState(rd.HardState)
	}
	return nil
}

func (m *twin) first(ents []opb.Entry) uint64 {
	if len(ents) == 0 {
		return 0
	}
	return ents[0].Index
}

// overwrite returns what is written once more follows old, which begins at first.
func overwrite[E any](old, more []E, index, first uint64) []E {
	if len(old) > 0 {
		if index < first {
			old = old[:0]
		} else if keep := index - first; keep < uint64(len(old)) {
			old = old[:keep]
		}
	}
	return append(old, more...)
}

func (m *twin) applyOurs(e *opb.Entry) error {
	if e.Type == opb.EntryNormal {
		return nil
	}
	cc, err := opb.UnmarshalConfChange(*e)
	if err != nil {
		return err
	}
	m.oConf = m.o.ApplyConfChange(cc)
	m.od.SetConfState(*m.oConf)
	m.confChanged = true
	return nil
}

func (m *twin) drainTheirs() error {
	return caught(func() error {
		for range 1000 {
			if !m.t.HasReady() {
				return nil
			}
			rd := m.t.Ready()
			if err := m.saveTheirs(&rd); err != nil {
				return err
			}
			m.tout.messages = append(m.tout.messages, rd.Messages...)
			for _, rs := range rd.ReadStates {
				m.tout.reads = append(m.tout.reads, read{rs.Index, string(rs.RequestCtx)})
			}
			m.tout.committed = append(m.tout.committed, rd.CommittedEntries...)
			for i := range rd.CommittedEntries {
				if err := m.applyTheirs(&rd.CommittedEntries[i]); err != nil {
					return err
				}
			}
			m.t.Advance(rd)
		}
		return errNeverReady
	})
}

func (m *twin) saveTheirs(rd *theirs.Ready) error {
	m.tout.mustSync = m.tout.mustSync || rd.MustSync
	if !theirs.IsEmptySnap(rd.Snapshot) {
		if err := m.td.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
		m.tConf, m.confChanged = rd.Snapshot.Metadata.ConfState, true
		m.td.conf = m.tConf
		m.tConfs = append(m.tConfs[:0], confFrom{rd.Snapshot.Metadata.Index, m.tConf})
		m.tout.snapshot = rd.Snapshot.Metadata.Index
	}
	if len(rd.Entries) > 0 {
		first := uint64(0)
		if len(m.tout.persisted) > 0 {
			first = m.tout.persisted[0].Index
		}
		m.tout.persisted = overwrite(m.tout.persisted, rd.Entries, rd.Entries[0].Index, first)
		if err := m.td.Append(rd.Entries); err != nil {
			return err
		}
	}
	if !theirs.IsEmptyHardState(rd.HardState) {
		return m.td.SetHardState(rd.HardState)
	}
	return nil
}

func (m *twin) applyTheirs(e *tpb.Entry) error {
	var cc tpb.ConfChangeI
	switch e.Type {
	case tpb.EntryConfChange:
		var v1 tpb.ConfChange
		if err := v1.Unmarshal(e.Data); err != nil {
			return err
		}
		cc = v1
	case tpb.EntryConfChangeV2:
		var v2 tpb.ConfChangeV2
		if err := v2.Unmarshal(e.Data); err != nil {
			return err
		}
		cc = v2
	default:
		return nil
	}
	m.tConf = *m.t.ApplyConfChange(cc)
	m.td.conf = m.tConf
	m.tConfs = append(m.tConfs, confFrom{e.Index, m.tConf})
	m.confChanged = true
	return nil
}

// quiet is etcd's Logger for runs in which only panics count.
type quiet struct{}

func (quiet) Debug(...any)                   {}
func (quiet) Debugf(string, ...any)          {}
func (quiet) Error(...any)                   {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Info(...any)                    {}
func (quiet) Infof(string, ...any)           {}
func (quiet) Warning(...any)                 {}
func (quiet) Warningf(string, ...any)        {}
func (quiet) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (quiet) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (quiet) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (quiet) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
