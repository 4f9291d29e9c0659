package rafttest_test

import (
	"context"
	"slices"
	"sync"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// pipelinedHost is a correct host whose writing and applying overlap with the
// node's next Readys: one goroutine drives the RawNode, one writes and sends what
// waits for the disk, one applies.
type pipelinedHost struct {
	env     *rafttest.HostEnv
	rn      *raft.RawNode
	machine *machine
	waiting []raft.ReadState // of the applier

	inputs chan func()
	writes chan raft.Ready
	applys chan raft.Ready
	stop   chan struct{}
	wg     sync.WaitGroup
}

// pipelinedHosts returns what starts them. The state machine survives crashes.
func pipelinedHosts() func(env *rafttest.HostEnv) (rafttest.Host, error) {
	kept := &machine{}
	return func(env *rafttest.HostEnv) (rafttest.Host, error) {
		h := &pipelinedHost{
			env: env, machine: kept, stop: make(chan struct{}),
			inputs: make(chan func(), 1024), writes: make(chan raft.Ready, 1024), applys: make(chan raft.Ready, 1024),
		}
		applied, err := kept.recover(env)
		if err != nil {
			return nil, err
		}
		cfg := env.Config
		cfg.Storage, cfg.Applied = env.Storage, applied
		if h.rn, err = raft.NewRawNode(&cfg); err != nil {
			return nil, err
		}
		if env.Peers != nil {
			if err := h.rn.Bootstrap(env.Peers); err != nil {
				return nil, err
			}
		}
		h.wg.Add(3)
		go h.drive()
		go h.write()
		go h.apply()
		return h, nil
	}
}

// recover brings the state machine to where a crash left it, or a snapshot that
// was written and not restored.
func (m *machine) recover(env *rafttest.HostEnv) (applied uint64, err error) {
	snap, err := env.Storage.Snapshot()
	if err != nil {
		return 0, err
	}
	if snap.Metadata.Index > m.applied {
		m.applied, m.conf = snap.Metadata.Index, snap.Metadata.ConfState
	}
	env.Check.Recovered(m.applied)
	return m.applied, nil
}

// do hands f to the goroutine that drives the node. It reports whether the host
// still runs.
func (h *pipelinedHost) do(f func()) bool {
	select {
	case h.inputs <- f:
		return true
	case <-h.stop:
		return false
	}
}

func (h *pipelinedHost) drive() {
	defer h.wg.Done()
	for {
		select {
		case f := <-h.inputs:
			f()
		case <-h.stop:
			return
		}
		for h.rn.HasReady() {
			rd := h.rn.Ready()
			for _, m := range rd.Messages {
				h.env.Send(m)
			}
			rd.ReadStates = slices.Clone(rd.ReadStates) // they outlive AckAppend
			h.writes <- rd
		}
	}
}

// write writes all that waits, and acknowledges it together.
func (h *pipelinedHost) write() {
	defer h.wg.Done()
	for {
		select {
		case rd := <-h.writes:
			batch := []raft.Ready{rd}
			for len(h.writes) > 0 {
				batch = append(batch, <-h.writes)
			}
			for _, rd := range batch {
				if h.env.Storage.Save(rd) != nil {
					return // nothing is written or acknowledged any more
				}
			}
			for _, rd := range batch {
				for _, m := range rd.MessagesAfterAppend {
					h.env.Send(m)
				}
			}
			last := batch[len(batch)-1]
			h.do(func() { _ = h.rn.AckAppend(last.AppendToken()) })
			for _, rd := range batch {
				h.applys <- rd
			}
		case <-h.stop:
			return
		}
	}
}

func (h *pipelinedHost) apply() {
	defer h.wg.Done()
	apply := h.env.Check.Apply(func(e pb.Entry) { h.machine.applied = e.Index })
	restore := h.env.Check.Restore(func(s pb.Snapshot) {
		h.machine.applied, h.machine.conf = s.Metadata.Index, s.Metadata.ConfState
	})
	for {
		select {
		case rd := <-h.applys:
			if !raft.IsEmptySnap(rd.Snapshot) {
				restore(rd.Snapshot)
			}
			for _, e := range rd.CommittedEntries {
				if e.Type != pb.EntryNormal && !h.changeConf(e) {
					return
				}
				apply(e)
			}
			if index := rd.AppliedIndex(); index != 0 {
				h.do(func() { _ = h.rn.AckApply(index) })
			}
			h.waiting = append(h.waiting, rd.ReadStates...)
			h.waiting = slices.DeleteFunc(h.waiting, func(rs raft.ReadState) bool {
				if rs.Index > h.machine.applied {
					return false
				}
				h.env.Check.Served(rs)
				return true
			})
		case <-h.stop:
			return
		}
	}
}

// changeConf makes a change of configuration effective in the driving goroutine.
func (h *pipelinedHost) changeConf(e pb.Entry) bool {
	cc, err := pb.UnmarshalConfChange(e)
	if err != nil {
		panic(err)
	}
	done := make(chan error, 1)
	if !h.do(func() {
		h.machine.conf = *h.rn.ApplyConfChange(cc)
		done <- h.env.Storage.SetConfState(h.machine.conf)
	}) {
		return false
	}
	select {
	case err := <-done:
		return err == nil
	case <-h.stop:
		return false
	}
}

func (h *pipelinedHost) Tick()               { h.do(h.rn.Tick) }
func (h *pipelinedHost) Step(m pb.Message)   { h.do(func() { _ = h.rn.Step(m) }) }
func (h *pipelinedHost) Campaign()           { h.do(func() { _ = h.rn.Campaign() }) }
func (h *pipelinedHost) Propose(data []byte) { h.do(func() { _ = h.rn.Propose(data) }) }
func (h *pipelinedHost) ReadIndex(rctx []byte) {
	h.do(func() { _ = h.rn.ReadIndex(rctx) })
}

func (h *pipelinedHost) ProposeConfChange(cc pb.ConfChangeI) {
	h.do(func() { _ = h.rn.ProposeConfChange(cc) })
}

func (h *pipelinedHost) TakeSnapshot() {
	h.do(func() {
		index := h.rn.BasicStatus().Applied
		if cs, err := h.rn.ConfStateAt(index); err == nil && h.env.Storage.CreateSnapshot(index, *cs, nil) == nil {
			_ = h.env.Storage.Compact(index)
		}
	})
}

func (h *pipelinedHost) Stop() {
	close(h.stop)
	h.wg.Wait()
}

// nodeHost is a correct host of a Node, in one goroutine.
type nodeHost struct {
	env     *rafttest.HostEnv
	node    *raft.Node
	machine *machine
	waiting []raft.ReadState
	apply   func(e pb.Entry)
	restore func(s pb.Snapshot)
	take    chan struct{}
	ended   chan struct{}
}

// nodeHosts returns what starts them. The state machine is lost in a crash.
func nodeHosts() func(env *rafttest.HostEnv) (rafttest.Host, error) {
	return func(env *rafttest.HostEnv) (rafttest.Host, error) {
		h := &nodeHost{env: env, machine: &machine{}, take: make(chan struct{}, 1), ended: make(chan struct{})}
		h.apply = env.Check.Apply(func(e pb.Entry) { h.machine.applied = e.Index })
		h.restore = env.Check.Restore(func(s pb.Snapshot) { h.machine.applied = s.Metadata.Index })
		applied, err := h.machine.recover(env)
		if err != nil {
			return nil, err
		}
		cfg := env.Config
		cfg.Storage, cfg.Applied = env.Storage, applied
		if h.node, err = raft.StartNode(&cfg, env.Peers); err != nil {
			return nil, err
		}
		go h.run()
		return h, nil
	}
}

func (h *nodeHost) run() {
	defer close(h.ended)
	for {
		select {
		case rd := <-h.node.Ready():
			if !h.handle(rd) {
				return
			}
		case <-h.take:
			if cs, err := h.node.ConfStateAt(h.machine.applied); err == nil &&
				h.env.Storage.CreateSnapshot(h.machine.applied, *cs, nil) == nil {
				_ = h.env.Storage.Compact(h.machine.applied)
			}
		case <-h.node.Done():
			return
		}
	}
}

// handle does what rd asks for, and reports whether the host goes on.
func (h *nodeHost) handle(rd raft.Ready) bool {
	for _, m := range rd.Messages {
		h.env.Send(m)
	}
	if h.env.Storage.Save(rd) != nil {
		return false
	}
	for _, m := range rd.MessagesAfterAppend {
		h.env.Send(m)
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		h.restore(rd.Snapshot)
	}
	for _, e := range rd.CommittedEntries {
		if cc, err := pb.UnmarshalConfChange(e); err == nil {
			if h.env.Storage.SetConfState(*h.node.ApplyConfChange(cc)) != nil {
				return false
			}
		}
		h.apply(e)
	}
	h.waiting = append(h.waiting, rd.ReadStates...)
	h.waiting = slices.DeleteFunc(h.waiting, func(rs raft.ReadState) bool {
		if rs.Index > h.machine.applied {
			return false
		}
		h.env.Check.Served(rs)
		return true
	})
	return h.node.Advance(rd) == nil
}

func (h *nodeHost) Tick()             { h.node.Tick() }
func (h *nodeHost) Step(m pb.Message) { _ = h.node.Step(context.Background(), m) }
func (h *nodeHost) Campaign()         { _ = h.node.Campaign(context.Background()) }

func (h *nodeHost) Propose(data []byte) {
	// Waiting for a leader would stop the others, who elect it.
	go func() { _ = h.node.Propose(context.Background(), data) }()
}

func (h *nodeHost) ProposeConfChange(cc pb.ConfChangeI) {
	go func() { _ = h.node.ProposeConfChange(context.Background(), cc) }()
}

func (h *nodeHost) ReadIndex(rctx []byte) { _ = h.node.ReadIndex(context.Background(), rctx) }

func (h *nodeHost) TakeSnapshot() {
	select {
	case h.take <- struct{}{}:
	default:
	}
}

func (h *nodeHost) Stop() {
	h.node.Stop()
	<-h.ended
}
