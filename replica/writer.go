package replica

import (
	"fmt"
	"runtime"

	"github.com/quorate-raft/raft"
)

// write persists the Readys that wait, and then sends what rests on them: several share a
// sync.
func (r *Replica) write() {
	// What was sent a moment ago leaves before this goroutine's processor waits for the disk: the
	// runtime gives it to others only after a while.
	runtime.Gosched()
	rds := r.in.takeWrites(r.written)
	defer func() {
		clear(rds)
		r.written = rds[:0]
	}()
	if r.stopped() {
		return // nothing of it may be sent or acknowledged
	}
	if err := r.save(rds); err != nil {
		r.stop(fmt.Errorf("replica: writing to the log: %w", err))
		return
	}
	for i := range rds {
		rd := &rds[i]
		if len(rd.MessagesAfterAppend) > 0 {
			r.transport.Send(rd.MessagesAfterAppend)
		}
	}
	last := rds[len(rds)-1].AppendToken()
	r.in.note(func(w *work) { w.acked, w.hasAck = last, true })
	for i := range rds {
		if !raft.IsEmptySnap(rds[i].Snapshot) {
			// Its file is durable since before the node heard of it. It is applied only
			// after it is acknowledged.
			r.in.toApply(applyWork{restore: rds[i].Snapshot.Metadata})
		}
	}
}

// save persists Readys, in order. A write that is synced makes all before it durable, so only
// the last one is.
func (r *Replica) save(rds []raft.Ready) error {
	sync := false
	for i := range rds {
		sync = sync || rds[i].MustSync
	}
	r.storageMu.Lock()
	defer r.storageMu.Unlock()
	for i := range rds {
		rds[i].MustSync = sync && i == len(rds)-1
		if err := r.cfg.Storage.Save(rds[i]); err != nil {
			return err
		}
	}
	return nil
}
