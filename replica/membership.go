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
	r.forgetWords()
	cs := cfg.ConfState()
	cs.Index = st.ConfigIndex
	// With OnAppend this may not be committed yet, and go back; what targets come to is told
	// once it is.
	if at := r.targets.known(); r.cfg.Raft.ConfChangeEffect == raft.OnAppend {
		cs.Target, cs.LastOutcome = at.Target, at.LastOutcome
	}
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
	from   uint64 // who led at the start
	target uint64
	until  uint64     // the tick at which it has failed
	err    chan error // has room for one
	ended  bool
}

func (t *transfer) finish(err error) {
	if !t.ended {
		t.ended = true
		t.err <- err
	}
}

// errTransferFailed is returned when the leader leads on, or another one does.
var errTransferFailed = errors.New("replica: leadership was not transferred")

// transferTimeouts is for how many election timeouts a transfer is waited for. The
// leader gives up after one; the others are for an election.
const transferTimeouts = 3

// TransferLeadership moves leadership to a voter and returns when this replica knows
// it as the leader (dissertation §3.10). raft.None chooses, on the leader alone, the
// voter that holds most of the log. The error is a raft.TransferError, raft.ErrNoLeader,
// raft.ErrNotLeader for raft.None on another, that of ctx or ErrStopped; or says
// that it did not come to it within three election timeouts, which is all that
// one who does not lead gets to know of a refusal.
func (r *Replica) TransferLeadership(ctx context.Context, to uint64) error {
	t := &transfer{target: to, err: make(chan error, 1)}
	r.call(func() { r.startTransfer(t) })
	select {
	case err := <-t.err:
		return err
	case <-ctx.Done():
		r.call(func() { t.ended = true })
		return ctx.Err()
	case <-r.stopping:
		return r.stopError()
	}
}

func (r *Replica) startTransfer(t *transfer) {
	if t.target == raft.None {
		if !r.isLeader() {
			t.finish(raft.ErrNotLeader)
			return
		}
		if t.target = r.successor(); t.target == raft.None {
			t.finish(&raft.TransferError{Target: raft.None, Why: "no other voter was heard from lately"})
			return
		}
	}
	if r.soft.Lead == t.target {
		t.finish(nil)
		return
	}
	if err := r.node.TransferLeader(t.target); err != nil {
		t.finish(err)
		return
	}
	t.from, t.until = r.soft.Lead, r.ticks+transferTimeouts*uint64(r.electionTick)
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
	if len(r.transfers) == 0 {
		return
	}
	st := r.node.BasicStatus() // r.soft may be behind it
	kept := r.transfers[:0]
	for _, t := range r.transfers {
		switch {
		case t.ended:
		case r.soft.Lead == t.target:
			t.finish(nil)
		case st.RaftState == raft.StateLeader && st.LeadTransferee != t.target,
			r.soft.Lead != raft.None && r.soft.Lead != t.from,
			r.ticks >= t.until:
			t.finish(errTransferFailed)
		default:
			kept = append(kept, t)
		}
	}
	clear(r.transfers[len(kept):])
	r.transfers = kept
}
