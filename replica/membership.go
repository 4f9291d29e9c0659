package replica

import (
	"context"
	"errors"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
)

// confChanged tells the transport and those who watch of the configuration in
// effect. The loop calls it.
func (r *Replica) confChanged() {
	st := r.node.Status()
	cfg := st.Config
	ids := cfg.IDs()
	if len(ids) == 0 {
		return // it is told later who they are
	}
	member := make(map[uint64]bool, len(ids))
	for _, id := range ids {
		member[id] = true
		address := string(cfg.Context(id))
		if address == "" {
			address = r.cfg.Peers[id] // perhaps nothing: it is met when it connects
		}
		if id != r.cfg.ID {
			r.setPeer(id, address)
		}
	}
	for id := range r.peers {
		if !member[id] {
			delete(r.peers, id)
			r.transport.RemovePeer(id)
		}
	}
	cs := cfg.ConfState()
	cs.Index = st.ConfigIndex
	r.publish(Event{Kind: ConfigChanged, Config: cs, Index: cs.Index})
}

func (r *Replica) setPeer(id uint64, address string) {
	if old, known := r.peers[id]; !known || old != address {
		r.peers[id] = address
		r.transport.SetPeer(id, address)
	}
}

// transfer waits for leadership to move.
type transfer struct {
	target uint64
	err    chan error // has room for one
	ended  bool
}

func (t *transfer) finish(err error) {
	if !t.ended {
		t.ended = true
		t.err <- err
	}
}

// errTransferFailed is returned when the leader leads on.
var errTransferFailed = errors.New("replica: leadership was not transferred")

// TransferLeadership moves leadership to a voter and returns when this replica knows
// it as the leader (dissertation §3.10). raft.None chooses, on the leader, the voter
// that holds most of the log. The error is a raft.TransferError, raft.ErrNoLeader,
// that of ctx or ErrStopped; or says that the leader leads on.
func (r *Replica) TransferLeadership(ctx context.Context, to uint64) error {
	t := &transfer{target: to, err: make(chan error, 1)}
	r.call(func() { r.startTransfer(t) })
	select {
	case err := <-t.err:
		return err
	case <-ctx.Done():
		r.call(func() { t.ended = true })
		return ctx.Err()
	case <-r.done:
		return r.stopError()
	}
}

func (r *Replica) startTransfer(t *transfer) {
	if t.target == raft.None {
		t.target = r.successor()
	}
	if t.target != raft.None && r.soft.Lead == t.target {
		t.finish(nil)
		return
	}
	if err := r.node.TransferLeader(t.target); err != nil {
		t.finish(err)
		return
	}
	r.transfers = append(r.transfers, t)
}

// successor returns the voter that was lately heard from and holds most of the log.
func (r *Replica) successor() uint64 {
	cfg := r.node.Status().Config
	best, match := raft.None, uint64(0)
	r.node.WithProgress(func(id uint64, p progress.Progress) {
		if id != r.cfg.ID && p.Active && cfg.IsVoter(id) && (best == raft.None || p.Match > match) {
			best, match = id, p.Match
		}
	})
	return best
}

// checkTransfers ends the transfers whose outcome is known.
func (r *Replica) checkTransfers() {
	kept := r.transfers[:0]
	for _, t := range r.transfers {
		switch {
		case t.ended:
		case r.soft.Lead == t.target:
			t.finish(nil)
		case r.soft.RaftState == raft.StateLeader && r.node.BasicStatus().LeadTransferee != t.target:
			t.finish(errTransferFailed)
		default:
			kept = append(kept, t)
		}
	}
	clear(r.transfers[len(kept):])
	r.transfers = kept
}
