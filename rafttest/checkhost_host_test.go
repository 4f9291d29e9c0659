package rafttest_test

import (
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// syncHost is a correct host that does one thing after the other, made of parts
// that a test exchanges to break it.
type syncHost struct {
	env     *rafttest.HostEnv
	check   *rafttest.HostCheck
	rn      *raft.RawNode
	disk    rafttest.Storage // survives crashes
	storage rafttest.Storage // the same, wrapped by check
	machine *machine
	before  *syncHost // its former life, nil at first
	down    bool      // a write failed
	waiting []raft.ReadState
	last    raft.AppendToken

	// steps is what is done with a Ready, in this order, as far as the host is
	// not down.
	steps []func(rd raft.Ready)
	// Parts of the steps.
	save       func(rd raft.Ready) error
	send       func(m pb.Message)
	apply      func(e pb.Entry)
	applyAll   func(ents []pb.Entry)
	changeConf func(e pb.Entry, cc pb.ConfChangeI)
	restore    func(s pb.Snapshot)
	serve      func()
	// Others.
	configure func(cfg *raft.Config)
	started   func()
	tick      func()
	drain     func() // does what there is to do
	readIndex func(rctx []byte)
	snapshot  func()
}

// machine is a state machine.
type machine struct {
	applied uint64
	conf    pb.ConfState
}

// syncHosts returns what starts syncHosts that spoil has changed, if it is set.
// durable says that the state machine survives crashes.
func syncHosts(durable bool, spoil func(h *syncHost)) func(env *rafttest.HostEnv) (rafttest.Host, error) {
	var last *syncHost
	disk := rafttest.Memory(raft.NewMemoryStorage())
	return func(env *rafttest.HostEnv) (rafttest.Host, error) {
		env.Synchronous = true
		h := &syncHost{
			env: env, check: env.Check, disk: disk, storage: env.Check.Storage(disk),
			machine: &machine{}, before: last,
		}
		if last != nil && durable {
			h.machine = last.machine
		}
		h.parts()
		if spoil != nil {
			spoil(h)
		}
		if err := h.start(durable); err != nil {
			return nil, err
		}
		last = h
		return h, nil
	}
}

// parts puts the host together as it should be.
func (h *syncHost) parts() {
	h.steps = []func(raft.Ready){h.sendMessages, h.persist, h.sendPromises, h.keepReads, h.restoreAndApply, h.serveKept, h.advance}
	h.save = func(rd raft.Ready) error { return h.storage.Save(rd) }
	h.send = h.env.Send
	h.apply = h.check.Apply(func(e pb.Entry) { h.machine.applied = e.Index })
	h.applyAll = func(ents []pb.Entry) {
		for _, e := range ents {
			h.applyOne(e)
		}
	}
	h.changeConf = func(_ pb.Entry, cc pb.ConfChangeI) { h.keepConf(h.rn.ApplyConfChange(cc)) }
	h.restore = h.check.Restore(h.hold)
	h.serve = func() {
		h.waiting = slices.DeleteFunc(h.waiting, func(rs raft.ReadState) bool {
			if rs.Index > h.machine.applied {
				return false
			}
			h.check.Served(rs)
			return true
		})
	}
	h.configure = func(*raft.Config) {}
	h.started = func() {}
	h.tick = func() { h.rn.Tick() }
	h.drain = h.handleAll
	h.readIndex = func(rctx []byte) { _ = h.rn.ReadIndex(rctx) }
	h.snapshot = func() { h.compactTo(h.machine.applied) }
}

func (h *syncHost) start(durable bool) error {
	// A snapshot that was written and not restored before the crash, or all that
	// there is.
	if snap, err := h.storage.Snapshot(); err != nil {
		return err
	} else if snap.Metadata.Index > h.machine.applied {
		h.hold(snap)
	}
	if durable {
		h.check.Recovered(h.machine.applied)
	}
	cfg := h.env.Config
	cfg.Storage, cfg.Applied = h.storage, h.machine.applied
	h.configure(&cfg)
	rn, err := raft.NewRawNode(&cfg)
	if err != nil {
		return err
	}
	h.rn = rn
	if h.env.Peers != nil {
		if err := rn.Bootstrap(h.env.Peers); err != nil {
			return err
		}
	}
	h.started()
	h.drain()
	return nil
}

// hold makes the state machine that of a snapshot.
func (h *syncHost) hold(s pb.Snapshot) {
	h.machine.applied, h.machine.conf = s.Metadata.Index, s.Metadata.ConfState
}

// handleAll does all that there is to do.
func (h *syncHost) handleAll() {
	for !h.down && h.rn.HasReady() {
		rd := h.rn.Ready()
		h.last = rd.AppendToken()
		for _, step := range h.steps {
			if !h.down {
				step(rd)
			}
		}
	}
}

func (h *syncHost) sendMessages(rd raft.Ready) {
	for _, m := range rd.Messages {
		h.send(m)
	}
}

func (h *syncHost) sendPromises(rd raft.Ready) {
	for _, m := range rd.MessagesAfterAppend {
		h.send(m)
	}
}

func (h *syncHost) persist(rd raft.Ready) { h.down = h.save(rd) != nil }

func (h *syncHost) restoreAndApply(rd raft.Ready) {
	if !raft.IsEmptySnap(rd.Snapshot) {
		h.restore(rd.Snapshot)
	}
	h.applyAll(rd.CommittedEntries)
}

func (h *syncHost) applyOne(e pb.Entry) {
	if e.Type != pb.EntryNormal {
		cc, err := pb.UnmarshalConfChange(e)
		if err != nil {
			panic(err)
		}
		h.changeConf(e, cc)
	}
	h.apply(e)
}

func (h *syncHost) keepConf(cs *pb.ConfState) {
	h.machine.conf = *cs
	h.down = h.storage.SetConfState(*cs) != nil
}

// keepReads copies the reads: their array is the node's.
func (h *syncHost) keepReads(rd raft.Ready) { h.waiting = append(h.waiting, rd.ReadStates...) }

func (h *syncHost) serveKept(raft.Ready) { h.serve() }

// advance acknowledges all of rd. That the node refuses it is for the check to
// notice.
func (h *syncHost) advance(rd raft.Ready) { _ = h.rn.Advance(rd) }

func (h *syncHost) ackAppend(rd raft.Ready) { _ = h.rn.AckAppend(rd.AppendToken()) }

func (h *syncHost) ackApply(rd raft.Ready) { _ = h.rn.AckApply(rd.AppliedIndex()) }

// compactTo takes a snapshot at index and drops the log up to there.
func (h *syncHost) compactTo(index uint64) {
	cs, err := h.rn.ConfStateAt(index)
	if err != nil {
		cs = &h.machine.conf
	}
	if h.storage.CreateSnapshot(index, *cs, []byte("state")) == nil {
		_ = h.storage.Compact(index)
	}
}

// The methods of rafttest.Host.

func (h *syncHost) Tick()                 { h.do(h.tick) }
func (h *syncHost) Step(m pb.Message)     { h.do(func() { _ = h.rn.Step(m) }) }
func (h *syncHost) Campaign()             { h.do(func() { _ = h.rn.Campaign() }) }
func (h *syncHost) Propose(data []byte)   { h.do(func() { _ = h.rn.Propose(data) }) }
func (h *syncHost) ReadIndex(rctx []byte) { h.do(func() { h.readIndex(rctx) }) }
func (h *syncHost) TakeSnapshot()         { h.do(h.snapshot) }
func (h *syncHost) Stop()                 {}
func (h *syncHost) do(f func()) {
	if !h.down {
		f()
		h.drain()
	}
}
func (h *syncHost) ProposeConfChange(cc pb.ConfChangeI) {
	h.do(func() { _ = h.rn.ProposeConfChange(cc) })
}
