package sim

import (
	"fmt"

	"github.com/quorate-raft/raft/progress"
)

// held is since when a leader waits for a snapshot to arrive that the peer holds.
type held struct {
	leader, term, index uint64
	since               int64
}

// heldWithin is for how many election timeouts a leader may wait so. It asks once in
// each; but where it may send a snapshot again every second one, half of what it asks is
// that, and its acknowledgement may get lost each time. Of the rest one message in 33
// is lost, so that four in a row, there or back, are one case in 80,000.
const heldWithin = 8

// watchSnapshots is part of L2: the acknowledgement of a snapshot may be lost, and
// a host need not report on it; the leader has to ask (dissertation §3.5: it
// retries). It cannot where it has compacted the entry since.
func (s *simulation) watchSnapshots() {
	h := &s.healing
	leader := s.leader()
	if leader == nil || h.phase > waitForTransfer {
		return
	}
	leader.WithProgress(func(id uint64, p progress.Progress) {
		n := s.byID(id)
		if n == nil {
			return
		}
		at := &h.held[n.slot]
		now := held{leader.id, leader.term, p.PendingSnapshot, s.now}
		waits := p.State == progress.Snapshot && n.up && n.lead == leader.id && n.term == leader.term &&
			leader.disk.written.base <= now.index && n.holds(leader, now.index)
		if now.since = at.since; !waits || *at != now {
			now.since = s.now
			*at = now
			return
		}
		if s.now > at.since+s.timeouts(heldWithin) {
			s.fail("L2", id, fmt.Sprintf("it holds the snapshot at %d, and leader %d has waited for that for %d election timeouts: %s",
				now.index, leader.id, heldWithin, s.describe()))
		}
	})
}

// holds reports whether the node has the leader's very entry at index, or a snapshot
// past it, on its disk. Another entry at that index has yet to be replaced.
func (n *node) holds(leader *node, index uint64) bool {
	im := &n.disk.durable
	if im.base > index {
		return true
	}
	own, ok := im.term(index)
	theirs, known := leader.disk.written.term(index)
	return ok && known && own == theirs
}
