package sim

import (
	"fmt"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// fault is something that a run can plan: a fault, or an intervention of an
// operator. do carries it out with random numbers of its own and says what it
// did, or nothing if it could not. What it breaks it mends with undoAfter.
type fault struct {
	of     Faults
	weight int
	name   string
	do     func(s *simulation, r *random) string
}

const numFaults = 47

// cleanUp has its weight at least in every run: with nobody to do it the places
// of removed nodes are never free again.
const cleanUp = "retire nodes"

var faults = [numFaults]fault{
	{Network, 6, "isolate", (*simulation).isolate},
	{Network, 3, "split", (*simulation).split},
	{Network, 4, "cut link", (*simulation).cutLink},
	{Network, 7, "diverge", (*simulation).diverge},
	{Network, 1, "ring", (*simulation).ring},
	{Network, 2, "flap", (*simulation).flap},
	{Network, 2, "slow links", (*simulation).slowLinks},
	{Network, 2, "lossy", (*simulation).lossy},
	{Network, 1, "clog", (*simulation).clog},
	{Network, 3, "replay old", (*simulation).replayOld},
	{Network, 1, "false unreachable", (*simulation).falseUnreachable},
	{Network | Snapshot, 4, "overtake", (*simulation).overtake},
	{Network | Transfer, 4, "hand over unheard", (*simulation).handOverUnheard},
	{Network | Snapshot, 3, "lose snapshot", (*simulation).loseSnapshot},
	{Network | Crash, 3, "lose successor", (*simulation).loseSuccessor},
	{Network | Crash, 3, "late answer", (*simulation).lateAnswer},
	{Crash | Host, 3, "campaign twice", (*simulation).campaignTwice},
	{Network | Snapshot | Membership | Host, 6, "snapshot over apply", (*simulation).snapshotOverApply},
	{Membership | Crash, 4, "crash joint", (*simulation).crashJoint},
	{Membership, 3, "remove leader", (*simulation).removeLeader},
	{Snapshot, 1, "false snapshot report", (*simulation).falseSnapshotReport},
	{Snapshot, 3, "snapshot now", (*simulation).snapshotNow},
	{Snapshot, 1, "snapshot unavailable", (*simulation).snapshotUnavailable},
	{Crash, 4, "crash now", (*simulation).crashNow},
	{Crash, 8, "crash at point", (*simulation).crashAtPoint},
	{Crash, 3, "crash candidate", (*simulation).crashCandidate},
	{Crash, 1, "crash all", (*simulation).crashAll},
	{Crash, 1, "rolling restart", (*simulation).rollingRestart},
	{Crash, 2, "stay down", (*simulation).stayDown},
	{Crash, 3, "pause", (*simulation).pause},
	{Disk, 3, "stall disk", (*simulation).stallDisk},
	{Disk, 1, "fill disk", (*simulation).fillDisk},
	{Disk, 2, "fail disk", (*simulation).failDisk},
	{Disk, 1, "rot", (*simulation).rot},
	{Clock, 2, "hold clock", (*simulation).holdClock},
	{Clock, 1, "burst", (*simulation).burst},
	{Host, 2, "slow applying", (*simulation).slowApplying},
	{Transfer, 4, "transfer", (*simulation).transfer},
	{Transfer, 2, "campaign", (*simulation).campaign},
	{Transfer, 1, "forget leader", (*simulation).forgetLeader},
	{Membership, 16, "change members", (*simulation).changeMembers},
	{Membership, 3, cleanUp, (*simulation).retireNodes},
	{Disk, 1, "read elsewhere", (*simulation).readElsewhere},
	{Targets, 14, "set target", (*simulation).setTarget},
	{Targets, 2, "cancel target", (*simulation).cancelTarget},
	{Targets, 8, "disturb target", (*simulation).interruptTarget},
	{Targets, 3, "retire nodes after a target", (*simulation).retireNodes},
}

// planNext schedules the next fault. Each has a number and random numbers of its
// own, so that leaving one out does not change the others.
func (s *simulation) planNext() {
	s.planned++
	var r random
	r.seed(s.o.Seed, streamPlan+s.planned<<8)
	after := r.between(s.set.planMin, s.set.planMax)
	if r.chance(s.set.calm) {
		after += r.spread(s.timeouts(1), s.timeouts(20))
	}
	s.queue.push(event{at: s.now + after, kind: evPlan})
}

func (s *simulation) carryOut() {
	number := s.planned
	s.planNext()
	if s.healing.phase != notHealing || s.o.Skip.Contains(number) {
		return
	}
	r := newRandom(s.o.Seed, streamPlan+number<<8+1)
	i := s.drawFault(r)
	wait := r.chance(850)
	if i < 0 || (wait && len(s.steered) > 0) {
		return // what is steered to is to come about
	}
	what := faults[i].do(s, r)
	if what == "" {
		return
	}
	s.stats.Faults++
	s.mark(markFaults + Mark(i))
	s.mix(number)
	if s.observe != nil {
		s.emit(trace.Event{Kind: trace.Fault, Index: number, Text: what})
	}
}

// drawFault draws a fault of the run's families. Those of others are drawn too
// and passed over, so that a run with one family less has the same faults of the
// others, where those were drawn first.
func (s *simulation) drawFault(r *random) int {
	total := 0
	for _, w := range s.set.weights {
		total += w
	}
	for range 16 {
		at := r.below(total)
		for i := range faults {
			f := &faults[i]
			if at -= s.set.weights[i]; at >= 0 {
				continue
			}
			if s.set.faults.hasAll(f.of) {
				return i
			}
			break
		}
	}
	return -1
}

// undoAfter mends something after a time, or when everything is healed.
func (s *simulation) undoAfter(delay int64, mend func()) {
	var place uint64
	if k := len(s.undoFree); k > 0 {
		place = s.undoFree[k-1]
		s.undoFree = s.undoFree[:k-1]
		s.undos[place] = mend
	} else {
		place = uint64(len(s.undos))
		s.undos = append(s.undos, mend)
	}
	s.queue.push(event{at: s.now + delay, kind: evUndo, arg: place})
}

// undo mends one. Its place is free only when its event has come, so that no
// event finds another's.
func (s *simulation) undo(place uint64) {
	mend := s.undos[place]
	s.undos[place] = nil
	s.undoFree = append(s.undoFree, place)
	if mend != nil {
		mend()
	}
}

// mendAll mends everything now.
func (s *simulation) mendAll() {
	s.steered = nil
	for i := range s.undos {
		if mend := s.undos[i]; mend != nil {
			s.undos[i] = nil
			mend()
		}
	}
}

// a while is a time in which elections can happen, or not even a heartbeat.
func (s *simulation) aWhile(r *random) int64 {
	return r.spread(tickLength/2, int64(s.set.electionTick)*4*tickLength)
}

// anyUp returns a node whose process runs, or nil.
func (s *simulation) anyUp(r *random) *node {
	return s.anyNode(r, func(n *node) bool { return n.up })
}

func (s *simulation) anyNode(r *random, fits func(*node) bool) *node {
	var found [maxNodes]*node
	k := 0
	for _, n := range s.nodes {
		if n != nil && n.exists && fits(n) {
			found[k] = n
			k++
		}
	}
	if k == 0 {
		return nil
	}
	return found[r.below(k)]
}

// leader returns the node that leads the highest term, or nil.
func (s *simulation) leader() *node {
	var leader *node
	for _, n := range s.nodes {
		if n != nil && n.up && n.role == raft.StateLeader && (leader == nil || n.term > leader.term) {
			leader = n
		}
	}
	return leader
}

// victim returns the leader in half the cases, else anybody who runs.
func (s *simulation) victim(r *random) *node {
	if n := s.leader(); n != nil && r.oneIn(2) {
		return n
	}
	return s.anyUp(r)
}

// Clocks.

func (s *simulation) holdClock(r *random) string {
	n := s.victim(r)
	if n == nil || s.set.lease {
		return "" // outside what a lease may rely on
	}
	n.noTicks++
	s.undoAfter(s.aWhile(r), func() { n.noTicks-- })
	return fmt.Sprintf("the clock of %d stands still", n.id)
}

func (s *simulation) burst(r *random) string {
	n := s.victim(r)
	if n == nil || s.set.lease || n.paused > 0 {
		return ""
	}
	count := 1 + r.below(2*s.set.electionTick)
	for i := 0; i < count && n.up && !s.stopped(); i++ {
		s.tickOnce(n)
	}
	return fmt.Sprintf("%d ticks at once for %d", count, n.id)
}

// Hosts and snapshots.

func (s *simulation) slowApplying(r *random) string {
	n := s.anyUp(r)
	if n == nil {
		return ""
	}
	n.slowApply = r.spread(tickLength, int64(s.set.electionTick)*4*tickLength)
	s.undoAfter(s.aWhile(r), func() { n.slowApply = 0 })
	return fmt.Sprintf("%d applies slowly", n.id)
}

func (s *simulation) falseUnreachable(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	peer := uint64(1 + r.below(len(s.ids)))
	n.report(peer, reportUnreachable)
	s.wake(n)
	return fmt.Sprintf("%d is told that %d is unreachable", n.id, peer)
}

func (s *simulation) falseSnapshotReport(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	peer, kind := uint64(1+r.below(len(s.ids))), pick(r, reportSnapshotFailed, reportSnapshotDone)
	n.report(peer, kind)
	s.wake(n)
	return fmt.Sprintf("%d gets a wrong report on a snapshot to %d", n.id, peer)
}

func (s *simulation) snapshotNow(r *random) string {
	n := s.anyUp(r)
	if n == nil || n.sm.applied <= n.disk.written.snap.Metadata.Index {
		return ""
	}
	s.takeSnapshot(n)
	return fmt.Sprintf("%d takes a snapshot", n.id)
}

func (s *simulation) snapshotUnavailable(r *random) string {
	n := s.victim(r)
	if n == nil {
		return ""
	}
	n.disk.noSnapshot = true
	s.undoAfter(s.aWhile(r), func() { n.disk.noSnapshot = false })
	return fmt.Sprintf("%d has no snapshot to give", n.id)
}

// Leadership.

func (s *simulation) transfer(r *random) string {
	n, to := s.victim(r), s.anyUp(r)
	if n == nil || n.paused > 0 {
		return ""
	}
	s.before(n, nil)
	s.after(n, nil, n.TransferLeader(to.id))
	s.stats.Transfers++
	if r.oneIn(5) {
		s.undoAfter(r.spread(millisecond, 10*tickLength), func() {
			if n.up && n.paused == 0 && !s.stopped() {
				s.before(n, nil)
				s.after(n, nil, n.AbortTransfer())
			}
		})
	}
	return fmt.Sprintf("%d is to hand over to %d", n.id, to.id)
}

func (s *simulation) campaign(r *random) string {
	n := s.anyUp(r)
	if n == nil || n.paused > 0 {
		return ""
	}
	s.before(n, nil)
	s.after(n, nil, n.Campaign())
	return fmt.Sprintf("%d is told to campaign", n.id)
}

func (s *simulation) forgetLeader(r *random) string {
	n := s.anyUp(r)
	if n == nil || n.paused > 0 {
		return ""
	}
	s.before(n, nil)
	s.after(n, nil, n.ForgetLeader())
	return fmt.Sprintf("%d is told to forget its leader", n.id)
}
