package raft

import (
	"math"

	"github.com/quorate-raft/raft/progress"
)

// Ticks that only count need not be made one by one: a host with many groups asks when
// the next one matters, and brings a node's clock up to date before it says anything
// else to it.

// NextDeadline returns in how many ticks, at least 1, Tick will do something that the
// host can see if nothing else happens before; false if it never will, as of a group
// that sleeps. A leader's may be early, by less than HeartbeatTick, and is every tick while
// a membership target stands. Who just wrote large entries may also have one or two by which
// it only lets go of memory. Ask again after every input and every Ready.
func (rn *RawNode) NextDeadline() (ticks int, ok bool) {
	if rn.raft.err != nil {
		return 0, false
	}
	return rn.raft.deadline()
}

// TickBy is n calls of Tick, for n > 0. It costs no more than one as long as n is below
// NextDeadline. A host that ticks no node at each interval calls it with the ticks that are due
// before every other input to the node: promises and leases count in them. Those that are due
// asleep do nothing and must not be given later: see docs/host-contract.md. A node that does not
// lead counts no more than 16 election timeouts in one call: its clock may be late, and a node
// that was stopped for longer would only campaign over and over.
func (rn *RawNode) TickBy(n int) {
	if rn.raft.err == nil {
		_ = rn.raft.fail(rn.raft.tickBy(n)) // Err tells
	}
}

// mostTimeouts is how many election timeouts a node that does not lead counts at once.
const mostTimeouts = 16

// tickBy advances the node's clock by n.
func (r *raft) tickBy(n int) error {
	for n > 0 && !r.asleep {
		if r.role != StateLeader && n/mostTimeouts >= r.cfg.ElectionTick {
			n = mostTimeouts * r.cfg.ElectionTick
		}
		k, ok := r.deadline()
		if !ok || n < k {
			r.count(n)
			return nil
		}
		r.count(k - 1)
		if err := r.tick(); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// deadline returns which of the next ticks, from 1 on, does more than count; false if
// none does.
func (r *raft) deadline() (int, bool) {
	switch {
	case r.asleep:
		return 0, false
	case r.role == StateLeader:
		return r.leaderDeadline()
	case r.lead == None && r.campaignObstacle() != reasonNone && !r.callsLeader() && !r.log.overfull():
		return 0, false
	}
	return r.timeout - r.elapsed, true
}

func (r *raft) leaderDeadline() (int, bool) {
	l, c := r.leader, r.cfg
	if r.conf.cfg.Target != nil || l.drive.version != 0 {
		return 1, true
	}
	if r.alone() {
		// Nobody hears its heartbeats, nor decides without it.
		k := math.MaxInt
		if c.SleepAfter > 0 && r.atRest() {
			k = max(1, c.SleepAfter-int(min(l.ticks-l.busy, uint64(c.SleepAfter))))
		}
		if r.log.overfull() {
			k = min(k, max(1, c.HeartbeatTick-l.sinceBeat))
		}
		return k, k < math.MaxInt
	}
	k := min(c.HeartbeatTick-l.sinceBeat, c.ElectionTick-l.sinceQuorum)
	for i := range l.peers {
		if p := &l.peers[i]; p.State == progress.Snapshot {
			k = min(k, c.SnapshotTicks-p.SnapshotTicks, c.ElectionTick-p.SnapshotTicks%c.ElectionTick)
		}
	}
	if l.transfer.target != None {
		k = min(k, c.ElectionTick-l.transfer.ticks)
	}
	if l.leaving != nil {
		k = min(k, c.ElectionTick-l.leaving.ticks)
	}
	if r.log.durable != r.log.last.index {
		k = min(k, c.ElectionTick-l.sinceProgress)
	}
	return max(1, k), true
}

// alone reports whether the leader is the only member.
func (r *raft) alone() bool { return len(r.leader.peers) == 1 && r.leader.self == 0 }

// count is n ticks that only count: fewer than up to the deadline, or any number where
// there is none.
func (r *raft) count(n int) {
	r.promised -= min(r.promised, n)
	if r.role == StateLeader {
		r.leaderCount(n)
		return
	}
	r.roused -= min(r.roused, n)
	if n < r.timeout-r.elapsed {
		r.elapsed += n
	} else {
		// Without a deadline the timer runs, over and over, for nothing.
		r.elapsed = (r.elapsed + n%r.timeout) % r.timeout
	}
	if len(r.asked.waiting) > 0 {
		r.asked.tick(n, r.cfg.ElectionTick)
	}
}

func (r *raft) leaderCount(n int) {
	l, c := r.leader, r.cfg
	l.ticks += uint64(n)
	// Only who is alone comes past a heartbeat or a quorum check here.
	l.beatDue = l.beatDue || n >= c.HeartbeatTick-l.sinceBeat
	l.sinceBeat = (l.sinceBeat + n%c.HeartbeatTick) % c.HeartbeatTick
	l.sinceQuorum = (l.sinceQuorum + n%c.ElectionTick) % c.ElectionTick
	for i := range l.peers {
		if p := &l.peers[i]; p.State == progress.Snapshot {
			p.SnapshotTicks += n
		}
	}
	if l.transfer.target != None {
		l.transfer.ticks += n
	}
	if l.leaving != nil {
		l.leaving.ticks += n
	}
	if l.sinceProgress += n; n > 0 && r.log.durable == r.log.last.index {
		l.sinceProgress = 0
	}
}
