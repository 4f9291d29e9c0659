package invariant

import "github.com/quorate-raft/raft/progress"

// leading is what is kept of a node's last time as a leader.
type leading struct {
	term, start uint64 // its term and the index of its first entry
	// matched[i] is the last seen match of member i of the configuration;
	// before is that of the configuration before.
	matched, before []peer
	acked           []peer // heartbeat rounds that were answered
	round           uint64 // the last that was made
	// sleepFrom is the first round of the attempt to sleep under way, woke the last round of
	// before it woke up; 0 if there is none.
	sleepFrom, woke uint64
	catchUp         catchUp
	silence         silence
}

// peer is a value of one peer.
type peer struct{ id, value uint64 }

func valueOf(peers []peer, id uint64) uint64 {
	for i := range peers {
		if peers[i].id == id {
			return peers[i].value
		}
	}
	return 0
}

// realign begins matched anew for another configuration. Members that stay go
// on from before; one that comes back starts at nothing.
func (l *leading) realign() {
	l.matched, l.before = l.before[:0], l.matched
}

// seeProgress is S10 on a leader.
func (c *Checker) seeProgress(n *node) *Violation {
	c.cur, c.peerAt, c.bad = n, 0, nil
	n.rn.WithProgress(c.seePeer)
	if c.bad == nil && c.peerAt != len(n.conf.ids) {
		return n.violates("S11a", "leads term %d with progress of %d members, %v has %d",
			n.st.Term, c.peerAt, n.conf.cfg, len(n.conf.ids))
	}
	return c.bad
}

func (c *Checker) peer(id uint64, p progress.Progress) {
	n, i := c.cur, c.peerAt
	c.peerAt++
	if c.bad != nil {
		return
	}
	if i >= len(n.conf.ids) || n.conf.ids[i] != id {
		c.bad = n.violates("S11a", "leads term %d with progress of %d, the configuration is %v", n.st.Term, id, n.conf.cfg)
		return
	}
	l := &n.lead
	if i == len(l.matched) {
		l.matched = append(l.matched, peer{id, valueOf(l.before, id)})
	}
	seen := &l.matched[i]
	if p.Match >= p.Next {
		c.bad = n.violates("S10", "leads term %d with match %d and next %d of %d", n.st.Term, p.Match, p.Next, id)
		return
	}
	if p.Match == seen.value {
		return
	}
	if p.Match < seen.value {
		c.bad = n.violates("S10", "leads term %d, and the match of %d went back from %d to %d", n.st.Term, id, seen.value, p.Match)
		return
	}
	seen.value = p.Match
	if n.foreign && id == n.id {
		return
	}
	c.bad = c.checkMatch(n, id, p.Match)
}

// checkMatch compares a match that advanced with the disk it speaks of: up to
// there it holds what the leader holds (S3 makes the last entry enough). It is
// judged at that moment alone, and not once the peer has gone to a later term:
// an acknowledgement that was true when it was made may arrive after that term's
// leader replaced the entries. No majority can be lost that way, since a voter
// of the later term that had acknowledged before would have elected nobody
// without them; leaderCommits looks at the disks themselves.
func (c *Checker) checkMatch(n *node, id, match uint64) *Violation {
	_, disk := c.member(id)
	if disk == nil {
		return n.violates("S10", "leads term %d with match %d of %d, which was never started", n.st.Term, match, id)
	}
	hs, base, last := disk.Durable()
	if hs.Term > n.st.Term || match < base {
		return nil
	}
	if match > last {
		return n.violates("S10", "leads term %d with match %d of %d, whose disk ends at %d", n.st.Term, match, id, last)
	}
	own, known := n.log.term(match)
	if !known {
		if match > n.log.last {
			return n.violates("S10", "leads term %d with match %d of %d, and handed out entries up to %d itself",
				n.st.Term, match, id, n.log.last)
		}
		return nil
	}
	if theirs, _ := disk.DurableTerm(match); theirs != own {
		return n.violates("S10", "leads term %d with match %d of %d, where it holds term %d and %d's disk term %d",
			n.st.Term, match, id, own, id, theirs)
	}
	return nil
}
