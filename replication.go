package raft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What a leader sends is decided here, once, when Ready is asked for: however
// many proposals, acknowledgements and ticks came before, each peer gets one
// heartbeat, and one append for all that is new (as far as it fits into
// MaxSizePerMsg and the window).

// noticed reports whether a handler noted that something is due.
func (r *raft) noticed() bool {
	if r.role == StateLeader {
		return r.leader.sendDue || r.leader.beatDue
	}
	return r.asked.due(r.lead)
}

// flush turns what is due into messages.
func (r *raft) flush() error {
	if r.role != StateLeader {
		r.flushForwardedReads()
		return nil
	}
	l := r.leader
	if l.beatDue && r.beatMatters() {
		r.sendHeartbeats()
	}
	if !l.sendDue {
		return nil
	}
	l.sendDue = false
	for i := range l.peers {
		if i == l.self {
			continue
		}
		if err := r.sendAppends(i); err != nil {
			return err
		}
	}
	return nil
}

// flushDue reports whether flush would make a message. It changes nothing but
// the notice that sends are due, when none are.
func (r *raft) flushDue() bool {
	if r.role != StateLeader {
		return r.asked.due(r.lead)
	}
	l := r.leader
	if l.beatDue && r.beatMatters() {
		return true
	}
	if !l.sendDue {
		return false
	}
	for i := range l.peers {
		if i != l.self && r.plan(&l.peers[i]) != progress.SendNothing {
			return true
		}
	}
	l.sendDue = false
	return false
}

// beatMatters reports whether the heartbeats that are due go to somebody or let a read
// start. If not they are not due any more.
func (r *raft) beatMatters() bool {
	l := r.leader
	l.beatDue = len(l.peers) > 1 || l.self < 0 || (len(l.reads.pending) > 0 && l.committedInTerm(r.log))
	return l.beatDue
}

func (r *raft) plan(p *progress.Progress) progress.Send {
	return p.Plan(r.log.last.index, r.log.committed)
}

// sendAppends sends a peer all that it can be sent now.
func (r *raft) sendAppends(i int) error {
	p := &r.leader.peers[i]
	for {
		switch r.plan(p) {
		case progress.SendNothing:
			return nil
		case progress.SendCommit:
			return r.sendCommit(i, p)
		case progress.SendProbe:
			if err := r.sendAppend(i, p, false); err != nil {
				return err
			}
		case progress.SendEntries:
			if err := r.sendAppend(i, p, true); err != nil {
				return err
			}
		}
	}
}

// sendAppend sends an append from Next on that has to be answered, or a
// snapshot where the log no longer reaches back.
func (r *raft) sendAppend(i int, p *progress.Progress, withEntries bool) error {
	prev := p.ProbeIndex()
	term, err := r.log.term(prev)
	if err != nil && p.State == progress.Snapshot && errors.Is(err, ErrCompacted) {
		p.ProbeDue = false // too old to be asked about
		return nil
	}
	var ents []pb.Entry
	if err == nil && withEntries {
		ents, err = r.log.slice(p.Next, r.log.last.index+1, r.cfg.MaxSizePerMsg)
	}
	if err != nil {
		if errors.Is(err, ErrCompacted) {
			return r.sendSnapshot(i, p)
		}
		return err
	}
	m := r.message(pb.MsgApp, r.conf.ids[i])
	m.Session, m.Features = p.Session, r.effectFeature()
	m.Index, m.LogTerm = prev, term
	m.Entries = ents
	m.Commit = r.log.committed
	size := uint64(0)
	if len(ents) > 0 && r.cfg.MaxInflightBytes != 0 {
		size = entriesSize(ents)
	}
	p.SentEntries(prev+uint64(len(ents)), size, m.Commit)
	return nil
}

// sendCommit tells a peer of the commit index without asking for an answer, at
// an entry that it surely holds. If the message is lost, heartbeats repeat it.
func (r *raft) sendCommit(i int, p *progress.Progress) error {
	term, err := r.log.term(p.Match)
	if err != nil {
		if errors.Is(err, ErrCompacted) {
			// Too old to be named; heartbeats carry the commit.
			p.SentCommit = min(p.Match, r.log.committed)
			return nil
		}
		return err
	}
	m := r.message(pb.MsgApp, r.conf.ids[i])
	m.Session, m.Features = p.Session, r.effectFeature()
	m.Index, m.LogTerm = p.Match, term
	m.Commit = r.log.committed
	m.NoAnswer = true
	p.SentCommit = min(p.Match, m.Commit)
	return nil
}

// sendSnapshot sends the latest snapshot to a peer that needs entries which are
// compacted (Raft §7). A peer that is not heard from gets none: it would be
// lost.
func (r *raft) sendSnapshot(i int, p *progress.Progress) error {
	p.Waiting = true // until the next heartbeat's answer
	if p.State == progress.Replicate {
		p.ToProbe()
		p.Waiting = true
	}
	if !p.Active {
		return nil
	}
	first, err := r.log.firstIndex() // before the snapshot, which may be replaced meanwhile
	if err != nil {
		return err
	}
	snap, err := r.log.storage.Snapshot()
	if errors.Is(err, ErrSnapshotTemporarilyUnavailable) {
		p.NeedsSnapshot = true
		r.logger.Debug("snapshot is not available yet", zap.Uint64("id", r.id), zap.Uint64("peer", r.conf.ids[i]))
		return nil
	}
	if err == nil && (snap.Metadata.Index < p.Next || snap.Metadata.Index+1 < first) {
		err = errors.New("the log before the peer's next entry is compacted but the snapshot is older")
	}
	if err == nil && snap.Metadata.Index > r.log.last.index {
		err = fmt.Errorf("snapshot at %d is past the last index %d", snap.Metadata.Index, r.log.last.index)
	}
	if err != nil {
		return &StorageError{"snapshot", err}
	}
	m := r.message(pb.MsgSnap, r.conf.ids[i])
	m.Session, m.Features = p.Session, r.effectFeature()
	m.Snapshot = &snap
	p.SentSnapshot(snap.Metadata.Index)
	r.logger.Info("sending snapshot", zap.Uint64("id", r.id), zap.Uint64("peer", r.conf.ids[i]), zap.Uint64("index", snap.Metadata.Index))
	return nil
}

// sendHeartbeats sends a round of heartbeats. Its number comes back in the
// answers and confirms leadership for reads and leases; peers that do not know
// the number get it in the context, which everybody echoes.
func (r *raft) sendHeartbeats() {
	l := r.leader
	if !l.nextRound() {
		return // this tick's numbers are used up
	}
	l.beatDue = false
	r.startReads()
	sleep := r.asksToSleep()
	var context []byte
	for i, id := range r.conf.ids {
		if i == l.self {
			l.peers[i].AckedRound = l.round
			continue
		}
		p := &l.peers[i]
		m := r.message(pb.MsgHeartbeat, id)
		// No further than the peer is known to hold.
		m.Commit = min(p.Match, r.log.committed)
		m.Round, m.Session, m.Features = l.round, p.Session, r.features()
		if sleep {
			m.Sleep, m.Index, m.LogTerm = true, r.log.last.index, r.log.last.term
		}
		if !p.EchoesRound {
			if context == nil {
				context = contextOfRound(r.term, l.round)
			}
			m.Context = context
		}
		if l.leaving != nil {
			l.leaving.told(i, m.Commit, l.round)
		}
	}
	r.releaseReads()
}

// roundBits is how many rounds a tick may have, as a power of two. What is left
// of 64 bits counts two years of ticks of a millisecond; past that there are no
// leases, and nothing else changes.
const roundBits = 28

// nextRound numbers the next round. The upper bits are the tick it belongs to,
// so that an answered round tells when its heartbeats were sent.
func (l *leaderState) nextRound() bool {
	next := l.followingRound()
	if next>>roundBits > l.ticks {
		return false
	}
	l.round = next
	return true
}

func (l *leaderState) followingRound() uint64 { return max(l.round+1, l.ticks<<roundBits) }

// contextOfRound and roundOfContext carry the round to peers that know only the
// context. The term keeps a round of another leader apart.
func contextOfRound(term, round uint64) []byte {
	b := make([]byte, 0, 16)
	b = binary.BigEndian.AppendUint64(b, term)
	return binary.BigEndian.AppendUint64(b, round)
}

func roundOfContext(b []byte, term uint64) uint64 {
	if len(b) != 16 || binary.BigEndian.Uint64(b) != term {
		return 0
	}
	return binary.BigEndian.Uint64(b[8:])
}
