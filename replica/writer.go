package replica

import (
	"fmt"

	"github.com/quorate-raft/raft"
)

// write persists Readys, one after the other, and then sends what rests on them.
func (r *Replica) write() {
	for rd := range r.writes {
		if r.stopped() {
			continue // nothing of it may be sent or acknowledged
		}
		if err := r.save(rd); err != nil {
			r.stop(fmt.Errorf("replica: writing to the log: %w", err))
			continue
		}
		if len(rd.MessagesAfterAppend) > 0 {
			r.transport.Send(rd.MessagesAfterAppend)
		}
		r.in.put(func(w *work) { w.acked, w.hasAck = rd.AppendToken(), true })
		if !raft.IsEmptySnap(rd.Snapshot) {
			// Its file is durable since before the node heard of it. It is applied only
			// after it is acknowledged.
			r.apply.put(applyWork{restore: rd.Snapshot.Metadata})
		}
	}
}

func (r *Replica) save(rd raft.Ready) error {
	if !writes(&rd) {
		return nil
	}
	r.storageMu.Lock()
	defer r.storageMu.Unlock()
	return r.cfg.Storage.Save(rd)
}
