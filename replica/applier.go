package replica

import (
	"errors"
	"fmt"
	"os"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// applyWork is one thing for the applier to do; one group of fields is set.
type applyWork struct {
	entries []pb.Entry

	restore pb.SnapshotMetadata

	readIndex uint64
	context   []byte
	reads     []*read

	call func()
}

// maxBatch bounds the commands of one Apply.
const maxBatch = 1024

// applier is the state of who applies.
type applier struct {
	r        *Replica
	applied  uint64
	commands []Command
	done     []applied
	waiting  []applyWork // reads that have to see more
	work     []applyWork // an empty one, to be used again
}

// run applies what waits.
func (a *applier) run() {
	w := a.r.in.takeApply(a.work)
	for i := range w {
		if err := a.do(&w[i]); err != nil {
			a.r.stop(err)
			break
		}
	}
	clear(w)
	a.work = w[:0]
	if a.r.stopped() {
		return
	}
	a.serve()
	a.r.snapshots.maybeTake(a.applied)
}

func (a *applier) do(w *applyWork) error {
	switch {
	case len(w.entries) > 0:
		return a.entries(w.entries)
	case w.restore.Index > 0:
		return a.restore(w.restore)
	case w.call != nil:
		w.call()
	case w.readIndex > a.applied:
		a.waiting = append(a.waiting, *w)
	default:
		a.served(w)
	}
	return nil
}

func (a *applier) served(w *applyWork) {
	if f := a.r.cfg.hooks.served; f != nil && w.context != nil {
		f(raft.ReadState{Index: w.readIndex, RequestCtx: w.context})
	}
	gone := 0
	for _, rd := range w.reads {
		if rd.end(readServed) {
			close(rd.done)
		} else {
			gone++
		}
	}
	a.r.countOut(len(w.reads), gone)
}

// serve serves the reads that have waited for what is applied now.
func (a *applier) serve() {
	kept := a.waiting[:0]
	for i := range a.waiting {
		w := &a.waiting[i]
		if w.readIndex <= a.applied {
			a.served(w)
			continue
		}
		if w.reads = a.r.withoutGone(w.reads); len(w.reads) == 0 && a.r.cfg.hooks.served == nil {
			continue
		}
		kept = append(kept, *w)
	}
	clear(a.waiting[len(kept):])
	a.waiting = kept
}

// entries applies committed entries: commands in batches, changes of configuration
// one by one.
func (a *applier) entries(ents []pb.Entry) error {
	for len(ents) > 0 {
		n := 0
		for n < len(ents) && n < maxBatch && ents[n].Type == pb.EntryNormal {
			n++
		}
		if n > 0 {
			if err := a.batch(ents[:n]); err != nil {
				return err
			}
		} else {
			n = 1
			if err := a.confChange(&ents[0]); err != nil {
				return err
			}
		}
		a.appliedTo(ents[n-1].Index)
		ents = ents[n:]
	}
	return nil
}

// batch applies normal entries. Empty ones open a leader's term and are no
// commands.
func (a *applier) batch(ents []pb.Entry) error {
	a.commands, a.done = a.commands[:0], a.done[:0]
	for i := range ents {
		e := &ents[i]
		a.r.appliedBytes.Add(uint64(len(e.Data)))
		if len(e.Data) == 0 {
			a.done = append(a.done, applied{index: e.Index})
			continue
		}
		id, data := idOf(e)
		a.done = append(a.done, applied{id: id, index: e.Index})
		a.commands = append(a.commands, Command{Index: e.Index, Term: e.Term, Data: data})
	}
	if len(a.commands) > 0 {
		if err := a.r.cfg.StateMachine.Apply(a.commands); err != nil {
			return fmt.Errorf("replica: the state machine failed at entries [%d, %d]: %w",
				a.commands[0].Index, a.commands[len(a.commands)-1].Index, err)
		}
		a.r.snapshots.lastCommand = a.commands[len(a.commands)-1].Index
	}
	c := 0
	for i := range a.done {
		if c < len(a.commands) && a.commands[c].Index == a.done[i].index {
			a.done[i].result = a.commands[c].Result
			c++
		}
	}
	a.settle(ents)
	clear(a.commands)
	return nil
}

// settle ends the proposals that the entries in done decide.
func (a *applier) settle(ents []pb.Entry) {
	if f := a.r.cfg.hooks.applied; f != nil {
		for i := range ents {
			f(ents[i])
		}
	}
	a.r.pending.settle(a.done)
	clear(a.done)
}

// confChange lets a committed change of configuration take effect on this node, and
// keeps the configuration.
func (a *applier) confChange(e *pb.Entry) error {
	cc, err := pb.UnmarshalConfChange(*e)
	if err != nil {
		return fmt.Errorf("replica: committed change of configuration: %w", err)
	}
	var cs pb.ConfState
	if !a.r.onLoop(func() {
		cs = *a.r.node.ApplyConfChange(cc)
		a.r.confChanged()
		a.r.appliedConf(&cs)
	}) {
		return a.r.stopError() // cs may still be written
	}
	a.r.storageMu.Lock()
	err = a.r.cfg.Storage.SetConfState(cs)
	a.r.storageMu.Unlock()
	if err != nil {
		return fmt.Errorf("replica: keeping the configuration of entry %d: %w", e.Index, err)
	}
	a.noteTargets(&cs, e.Index)
	id, _ := idOf(e)
	a.done = append(a.done[:0], applied{id: id, index: e.Index, result: confDone{e.Index, cs}})
	a.settle([]pb.Entry{*e})
	return nil
}

// restore replaces the state machine's state by a received snapshot.
func (a *applier) restore(meta pb.SnapshotMetadata) error {
	if err := a.r.snapshots.restore(meta); err != nil {
		return err
	}
	if f := a.r.cfg.hooks.restored; f != nil {
		f(meta)
	}
	a.r.pending.skipped(meta.Index)
	a.noteTargets(&meta.ConfState, meta.Index)
	a.appliedTo(meta.Index)
	if !a.r.onLoop(func() {
		a.r.confChanged()
		a.r.appliedConf(&meta.ConfState)
	}) {
		return a.r.stopError()
	}
	return nil
}

// noteTargets tells of targets that were set or have ended by a configuration that was
// applied at index.
func (a *applier) noteTargets(cs *pb.ConfState, index uint64) {
	for _, e := range a.r.targets.note(cs, index) {
		a.r.publish(e)
	}
}

func (a *applier) appliedTo(index uint64) {
	a.applied = index
	a.r.applied.Store(index)
	a.r.targets.appliedTo(index)
	a.r.in.note(func(w *work) { w.applied = index })
}

// restoreFrom gives a snapshot's file to the state machine.
func restoreFrom(sm StateMachine, path string, index uint64) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrSnapshotMissing, path)
	}
	if err != nil {
		return fmt.Errorf("replica: snapshot: %w", err)
	}
	defer f.Close()
	if err := readSnapshot(f, func(body *bodyReader) error { return sm.Restore(index, body) }); err != nil {
		return fmt.Errorf("replica: restoring the snapshot in %s: %w", path, err)
	}
	if d, ok := sm.(Durable); ok {
		if err := d.Sync(); err != nil {
			return fmt.Errorf("replica: making the restored state durable: %w", err)
		}
	}
	return nil
}
