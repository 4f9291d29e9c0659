package sim

import (
	"fmt"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// After the last step everything is mended and nobody plans faults any more.
// Then the group has to recover, and to do what it was asked for:
//
//	L1  a leader commits within 50 election timeouts, also while members that
//	    are not needed stay down
//	L2  logs and state machines of all members become equal, and a member that
//	    holds a snapshot does not wait for the leader to find out
//	L3  every change of membership ends, joint configurations are left
//	L4  every operation of a client is answered, and proposals are accepted
//	L5  a transfer of leadership ends within two election timeouts
//	L6  a node that was cut off and returns does not move the term, with
//	    PreVote and CheckQuorum
//	L7  a leader that hears nobody steps down within two election timeouts,
//	    with CheckQuorum; one that sleeps serves nothing and need not
//	L8  reads are answered, at the leader and at a follower
//	L9  a target that stands ends: within 100 election timeouts, and twice the time
//	    that a server gets at most to catch up

type healPhase uint8

const (
	notHealing healPhase = iota
	waitForLeader
	waitForWrite
	waitForRest
	waitForTransfer
	cutFollower
	returnFollower
	cutLeader
	waitForRestAgain
	waitForLeaderRead
	waitForFollowerRead
	healed
)

type healing struct {
	phase    healPhase
	random   random
	nextLook int64
	began    int64
	since    int64 // when the phase began, or something last moved
	calm     int64 // when the last message from before has arrived
	moved    uint64
	term     uint64
	write    uint64 // index of a proposal, and the term of the leader that took it
	writeIn  uint64
	who      *node
	read     uint64 // key of the read that has to be answered, 0 before
	askedAt  int64
	answered bool
	// restarted says that a follower was, before the reads.
	restarted bool
	held      [maxNodes]held // by the nodes' places
	// target is the version of the one that stands, 0 if none does, and since when.
	target      uint64
	targetSince int64
	askedToGo   bool // the leader was, by a last target
}

// Bounds in election timeouts.
const (
	recoverWithin = 50
	moveWithin    = 50
	restWithin    = 2000 // everything; much of it only in runs with slow replication
)

func (s *simulation) timeouts(n int64) int64 { return n * int64(s.set.electionTick) * tickLength }

// heal takes the recovery forward and reports whether the run goes on.
func (s *simulation) heal() bool {
	h := &s.healing
	if h.phase == notHealing {
		s.mend()
		s.enter(waitForLeader)
		h.began = s.now
	}
	if s.now < h.nextLook {
		return true
	}
	h.nextLook = s.now + tickLength/2
	if !s.judgeable(false) {
		s.stats.Unjudged++
		return false
	}
	if s.now > h.began+s.timeouts(restWithin) {
		s.fail("L1", 0, fmt.Sprintf("the group has not come to rest within %d election timeouts: %s", restWithin, s.describe()))
		return false
	}
	if s.watchSnapshots(); s.stopped() {
		return false
	}
	if s.watchTarget(); s.stopped() {
		return false
	}
	switch h.phase {
	case waitForLeader:
		s.watchLeader()
	case waitForWrite:
		s.watchWrite()
	case waitForRest, waitForRestAgain:
		s.watchRest()
	case waitForTransfer:
		s.watchTransfer()
	case cutFollower, returnFollower:
		s.watchReturn()
	case cutLeader:
		s.watchStepDown()
	case waitForLeaderRead, waitForFollowerRead:
		s.watchRead()
	}
	return h.phase != healed
}

func (s *simulation) enter(p healPhase) {
	s.healing.phase, s.healing.since = p, s.now
}

// mend ends all faults.
func (s *simulation) mend() {
	s.healing.phase = waitForLeader
	s.healing.random.seed(s.o.Seed, streamHeal)
	s.mendAll()
	set := &s.set
	set.loss, set.twice, set.straggle, set.slowWrites = 0, 0, 0, 0
	if set.faults.has(Network) && 4*set.heartbeatTick <= set.electionTick && s.healing.random.oneIn(2) {
		set.loss = 30 // until the logs are equal
	}
	set.delayMin, set.delayMax = 50, millisecond
	set.writeMin, set.writeMax = 10, 200
	set.applyMax, set.ackDelay, set.linkLimit = min(set.applyMax, 200), min(set.ackDelay, 200), 256
	set.snapshotEvery = max(set.snapshotEvery, 20)
	s.healing.calm = s.now + 2*longestDelay
	for from := range s.net.links {
		for to := range s.net.links[from] {
			s.net.links[from][to].lastTime = 0
		}
	}
	for _, n := range s.nodes {
		if n == nil || !n.exists {
			continue
		}
		n.crashAt, n.period = nowhere, tickLength
		d := n.disk
		d.stalledUntil, d.full, d.noSnapshot = 0, false, false
		d.readFails, d.writeFails, d.syncFails, d.misread = false, false, false, false
	}
	if s.healing.random.oneIn(2) {
		s.freeze()
	}
	for _, n := range s.nodes {
		if n != nil && n.exists && !n.up && !n.frozen {
			s.queue.push(event{at: s.now, kind: evRestart, node: n.slot, life: n.life})
		}
	}
}

// judgeable reports whether a majority has its disks, in every configuration
// that counts: the newest committed one, and those that one of its members may
// have to elect or commit under first, which is nobody's task once enough know the
// newest. Those behind and those removed may know only configurations whose
// members are long since destroyed. The voters of a target that is forced count too,
// and with learners also those who do not vote yet.
func (s *simulation) judgeable(learners bool) bool {
	newest, index := s.check.Newest()
	if !s.livesUnder(newest) || !s.targetGoesOn(newest, learners) {
		return false
	}
	known := s.isKnown(newest, index)
	for _, n := range s.nodes {
		if n == nil || !n.up || !newest.Contains(n.id) {
			continue
		}
		cfg, _ := n.active()
		if known && n.conf.index < index {
			continue
		}
		if !s.livesUnder(cfg) || !s.targetGoesOn(cfg, learners) {
			return false
		}
		ents := n.disk.written.after(n.sm.applied)
		for i := range ents {
			e := &ents[i]
			if e.Type == pb.EntryNormal {
				continue
			}
			cc, err := pb.UnmarshalConfChange(*e)
			if err != nil {
				continue
			}
			if next, err := confchange.ApplyAt(cfg, cc.AsV2(), e.Index); err == nil {
				cfg = next
			}
			if !s.livesUnder(cfg) || !s.targetGoesOn(cfg, learners) {
				return false
			}
		}
	}
	return true
}

// isKnown reports whether a majority of each half of a configuration know, also
// after a crash, that its entry is committed.
func (s *simulation) isKnown(cfg confchange.Config, index uint64) bool {
	for _, half := range cfg.Voters {
		know := 0
		for _, id := range half {
			n := s.byID(id)
			if n == nil || n.gone() || n.disk.openable() != nil {
				continue
			}
			if im := &n.disk.written; max(im.hs.Commit, im.snap.Metadata.Index) >= index {
				know++
			}
		}
		if len(half) > 0 && know <= len(half)/2 {
			return false
		}
	}
	return true
}

func (s *simulation) livesUnder(cfg confchange.Config) bool {
	return s.lives(cfg.Voters[0]) && s.lives(cfg.Voters[1])
}

// freeze keeps some nodes down from now on, as many as the rest can do without.
func (s *simulation) freeze() {
	for _, n := range s.nodes {
		if n == nil || !n.exists || n.dead || s.healing.random.oneIn(2) {
			continue
		}
		n.frozen = true
		if !s.judgeable(true) {
			n.frozen = false
		} else if n.up {
			s.crash(n, false, "stays down")
		}
	}
}

// members returns the leader, its configuration, and whether all of its members
// that have a disk run and know it.
func (s *simulation) members() (leader *node, cfg confchange.Config, agree bool) {
	if leader = s.leader(); leader == nil {
		return nil, cfg, false
	}
	cfg, ids := leader.active()
	agree = true
	for _, id := range ids {
		n := s.byID(id)
		if n == nil || n.gone() {
			continue
		}
		if !n.up || n.term != leader.term || n.lead != leader.id {
			agree = false
		}
	}
	return leader, cfg, agree
}

func (s *simulation) watchLeader() {
	if leader := s.leader(); leader != nil && s.committedInTerm(leader) {
		s.stats.Recovery = uint64((s.now - s.healing.since) * 1000 / s.timeouts(1))
		s.mark(markRecovered)
		s.enter(waitForWrite)
		return
	}
	if s.now > s.healing.since+s.timeouts(recoverWithin) {
		s.fail("L1", 0, fmt.Sprintf("no leader has committed for %d election timeouts after the faults ended: %s", recoverWithin, s.describe()))
	}
}

// watchWrite waits until a proposal is accepted and committed. One that a leader
// took which was then deposed may be lost, and is made again.
func (s *simulation) watchWrite() {
	h := &s.healing
	if leader := s.leader(); leader != nil && leader.term != h.writeIn {
		err := s.propose(leader, filler)
		if err == nil && !s.stopped() {
			h.write, h.writeIn = leader.BasicStatus().LastIndex, leader.term
		}
	} else if h.writeIn > 0 && s.check.Committed() >= h.write {
		s.clientsPaused = true
		s.enter(waitForRest)
		return
	}
	if s.now > h.since+s.timeouts(moveWithin) {
		s.fail("L4", 0, fmt.Sprintf("no proposal was committed for %d election timeouts: %s", moveWithin, s.describe()))
	}
}

// committedInTerm reports whether a leader has committed an entry of its term.
func (s *simulation) committedInTerm(n *node) bool {
	term, ok := s.check.CommittedTerm(n.commit)
	return ok && term == n.term
}

// watchRest waits for everything that is under way to end. As long as something
// moves it may take its time.
func (s *simulation) watchRest() {
	leader, cfg, agree := s.members()
	moved := s.check.Committed()
	for _, n := range s.nodes {
		if n != nil && n.up {
			moved += n.sm.applied
		}
	}
	if moved != s.healing.moved {
		s.healing.moved, s.healing.since = moved, s.now
	}
	late := s.now > s.healing.since+s.timeouts(moveWithin)
	fail := func(rule, why string) {
		if late {
			s.fail(rule, 0, fmt.Sprintf("%s, and nothing moved for %d election timeouts: %s", why, moveWithin, s.describe()))
		}
	}
	for i := range s.clients {
		if s.clients[i].busy {
			fail("L4", fmt.Sprintf("client %d waits", i))
			return
		}
	}
	if !agree {
		fail("L1", "not all members have one leader")
		return
	}
	last := leader.BasicStatus().LastIndex
	for _, id := range leader.conf.ids {
		if n := s.byID(id); n != nil && !n.gone() && (n.sm.applied != last || n.BasicStatus().LastIndex != last) {
			fail("L2", fmt.Sprintf("%d has applied %d, the leader's log ends at %d", id, n.sm.applied, last))
			return
		}
	}
	if cfg.Target != nil {
		fail("L9", fmt.Sprintf("configuration %v", cfg))
		return
	}
	if pending := leader.pendingConf(); cfg.Joint() || pending != 0 {
		if !cfg.AutoLeave && pending == 0 {
			s.proposeChange(leader, leaveJoint, nil)
		}
		fail("L3", fmt.Sprintf("configuration %v, pending change %d", cfg, pending))
		return
	}
	if !s.healing.askedToGo && s.askLeaderToGo(leader, cfg) {
		return
	}
	if s.retireNodes(&s.healing.random) != "" || s.now < s.healing.calm {
		return
	}
	s.set.loss = 0
	if s.healing.phase == waitForRestAgain {
		s.enter(waitForLeaderRead)
		return
	}
	s.beginTransfer(leader, cfg)
}

// beginTransfer asks for a transfer to a voter that can lead.
func (s *simulation) beginTransfer(leader *node, cfg confchange.Config) {
	h := &s.healing
	h.who = s.anyNode(&h.random, func(n *node) bool { return n.up && n != leader && cfg.Voters[0].Contains(n.id) })
	if h.who == nil {
		s.enter(waitForLeaderRead)
		return
	}
	s.before(leader, nil)
	s.after(leader, nil, leader.TransferLeader(h.who.id))
	s.enter(waitForTransfer)
}

func (s *simulation) watchTransfer() {
	h := &s.healing
	leader, cfg, agree := s.members()
	if agree && leader == h.who && s.committedInTerm(leader) {
		s.mark(markTransferred)
		s.beginCut(leader, cfg)
		return
	}
	if s.now > h.since+s.timeouts(2) {
		s.fail("L5", h.who.id, fmt.Sprintf("it does not lead two election timeouts after a transfer to it: %s", s.describe()))
	}
}

// beginCut cuts off a follower whose return must not disturb anybody.
func (s *simulation) beginCut(leader *node, cfg confchange.Config) {
	h := &s.healing
	voters := len(cfg.Voters[0])
	alive := 0
	for _, id := range cfg.Voters[0] {
		if n := s.byID(id); n != nil && n.up {
			alive++
		}
	}
	h.who = s.anyNode(&h.random, func(n *node) bool { return n.up && n != leader && cfg.Voters[0].Contains(n.id) })
	if h.who == nil || alive-1 <= voters/2 {
		s.enter(waitForLeaderRead)
		return
	}
	h.term = leader.term
	s.cutOff(h.who, 1)
	s.enter(cutFollower)
}

func (s *simulation) cutOff(n *node, by int) {
	slot := int(n.slot)
	s.cut(by, func(from, to int) bool { return from == slot || to == slot })
}

func (s *simulation) watchReturn() {
	h := &s.healing
	switch {
	case h.phase == cutFollower && s.now > h.since+s.timeouts(4):
		s.cutOff(h.who, -1)
		s.enter(returnFollower)
	case h.phase == returnFollower && s.now > h.since+s.timeouts(2):
		leader, _, agree := s.members()
		if !agree {
			return // as long as all of it may take
		}
		if leader.term != h.term && s.protected() {
			s.fail("L6", h.who.id, fmt.Sprintf("it was cut off and returned, and the term went from %d to %d: %s", h.term, leader.term, s.describe()))
			return
		}
		if leader.term == h.term {
			s.mark(markReturned)
		}
		h.who = leader
		s.cutOff(leader, 1)
		s.enter(cutLeader)
	}
}

// protected reports whether all nodes have PreVote and CheckQuorum.
func (s *simulation) protected() bool {
	return !s.set.disablePreVote && !s.set.disableCheckQuorum && !s.set.mixed && s.o.Configure == nil
}

func (s *simulation) watchStepDown() {
	h := &s.healing
	if s.now <= h.since+s.timeouts(2)+2*tickLength {
		return
	}
	if h.who.role == raft.StateLeader && s.protected() && !h.who.asleep {
		s.fail("L7", h.who.id, "it leads although it heard nobody for two election timeouts")
		return
	}
	if h.who.role != raft.StateLeader {
		s.mark(markSteppedDownAlone)
	}
	s.cutOff(h.who, -1)
	s.enter(waitForRestAgain)
}

// describe shows what every node knows of the group.
func (s *simulation) describe() string {
	text := ""
	for _, n := range s.nodes {
		switch {
		case n == nil || !n.exists:
		case !n.up:
			text += fmt.Sprintf("[%d down] ", n.id)
		default:
			st := n.Status()
			text += fmt.Sprintf("[%d %v term %d lead %d commit %d applied %d last %d conf %v@%d pending %d; %v] ", n.id, st.RaftState, st.Term,
				st.Lead, st.Commit, st.Applied, st.LastIndex, st.Config, st.ConfigIndex, st.PendingConfIndex, n.explain())
		}
	}
	return text
}
