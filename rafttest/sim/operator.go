package sim

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// The operator changes the membership, as somebody would who looks at the
// leader's status and asks it for a change; and takes down what was removed.

const maxVoters = 7

// leaveJoint asks to leave a joint configuration.
var leaveJoint = pb.ConfChangeV2{}

// changeMembers proposes a change at the leader.
func (s *simulation) changeMembers(r *random) string {
	n := s.leader()
	if n == nil || n.paused > 0 {
		return ""
	}
	cfg := n.Status().Config
	if cfg.Joint() && !cfg.AutoLeave && r.chance(700) {
		return s.proposeChange(n, leaveJoint, nil)
	}
	plan := memberPlan{s: s, r: r, cfg: cfg}
	if r.chance(600) {
		plan.single()
	} else {
		for range 1 + r.below(3) {
			plan.single()
		}
		plan.cc.Transition = pick(r, pb.ConfChangeTransitionAuto, pb.ConfChangeTransitionJointImplicit, pb.ConfChangeTransitionJointExplicit)
	}
	if len(plan.cc.Changes) == 0 || !s.bearable(plan.cc, cfg) {
		return ""
	}
	what := s.proposeChange(n, plan.cc, plan.added)
	if r.oneIn(3) {
		s.fill(n, 1+r.below(2))
	}
	if r.oneIn(4) && n.up && !s.stopped() {
		// Another at once, which has to wait.
		more := memberPlan{s: s, r: r, cfg: cfg}
		more.single()
		if len(more.cc.Changes) > 0 && s.bearable(more.cc, cfg) {
			what += "; " + s.proposeChange(n, more.cc, more.added)
		}
	}
	return what
}

// memberPlan collects changes of one configuration.
type memberPlan struct {
	s     *simulation
	r     *random
	cfg   confchange.Config
	cc    pb.ConfChangeV2
	added []uint64
}

func (p *memberPlan) add(t pb.ConfChangeType, id uint64) {
	for _, c := range p.cc.Changes {
		if c.NodeID == id {
			return
		}
	}
	single := pb.ConfChangeSingle{Type: t, NodeID: id}
	if p.s.o.NewForeign == nil && (t == pb.ConfChangeUpdateNode || (t != pb.ConfChangeRemoveNode && p.r.oneIn(2))) {
		single.Context = binary.LittleEndian.AppendUint16(nil, uint16(p.r.Uint64())) // an address, say
	}
	p.cc.Changes = append(p.cc.Changes, single)
}

// single adds one change that makes sense.
func (p *memberPlan) single() {
	voters, learners := p.cfg.Voters[0], p.cfg.Learners
	next := uint64(len(p.s.ids) + len(p.added))
	switch p.r.below(9) {
	case 0, 1: // a new member
		if len(p.added) > 1 || !p.s.room(len(p.added)) {
			return
		}
		t := pb.ConfChangeAddLearnerNode
		if p.r.oneIn(3) {
			t = pb.ConfChangeAddNode
		}
		p.add(t, next)
		p.added = append(p.added, next)
	case 2, 3: // promote
		if len(learners) > 0 {
			// A target may have added one that is not there.
			if id := learners[p.r.below(len(learners))]; p.s.byID(id) != nil {
				p.add(pb.ConfChangeAddNode, id)
			}
		}
	case 4: // demote
		if len(voters) > 1 {
			p.add(pb.ConfChangeAddLearnerNode, voters[p.r.below(len(voters))])
		}
	case 5, 6: // remove a voter, the leader among them
		if len(voters) > 1 {
			p.add(pb.ConfChangeRemoveNode, voters[p.r.below(len(voters))])
		}
	case 7:
		if len(learners) > 0 {
			p.add(pb.ConfChangeRemoveNode, learners[p.r.below(len(learners))])
		}
	case 8: // a member moves
		ids := p.cfg.IDs()
		p.add(pb.ConfChangeUpdateNode, ids[p.r.below(len(ids))])
	}
}

func (s *simulation) room(taken int) bool {
	for _, n := range s.nodes {
		if n == nil || !n.exists {
			taken--
		}
	}
	return taken < 0
}

// bearable reports whether the configuration that a change leads to has voters,
// not too many, and a majority whose disks are not lost. Nobody would ask for
// another.
func (s *simulation) bearable(cc pb.ConfChangeV2, cfg confchange.Config) bool {
	next, err := confchange.ApplyAt(cfg, cc, math.MaxUint64)
	if err != nil {
		return true // it is refused, and that is what is looked at
	}
	for _, half := range next.Voters {
		if len(half) > maxVoters || !s.lives(half) {
			return false
		}
	}
	return len(next.Voters[0]) > 0
}

// lives reports whether a majority of ids have, or will have, their disks.
func (s *simulation) lives(ids []uint64) bool {
	dead := 0
	for _, id := range ids {
		n := s.byID(id)
		if n == nil && slices.Contains(s.goneWell, id) {
			continue // it said that they can do without it
		}
		if id >= neverStarted || id < uint64(len(s.ids)) && (n == nil || n.gone() || n.disk.wiped || n.disk.rotten != 0) {
			dead++
		}
	}
	return len(ids) == 0 || len(ids)-dead > len(ids)/2
}

// proposeChange proposes a change and, if it is taken, starts who is new.
func (s *simulation) proposeChange(n *node, cc pb.ConfChangeV2, added []uint64) string {
	var change pb.ConfChangeI = cc
	if len(cc.Changes) == 1 && cc.Transition == pb.ConfChangeTransitionAuto && s.operators.oneIn(2) {
		single := &cc.Changes[0]
		change = pb.ConfChange{Type: single.Type, NodeID: single.NodeID, Context: single.Context}
	}
	typ, data, err := pb.MarshalConfChange(change)
	if err != nil {
		panic(fmt.Sprintf("sim: %v", err))
	}
	err = s.proposeEntry(n, typ, data, func() error { return n.ProposeConfChange(change) })
	if err == nil {
		for range added {
			if s.create(nil) == nil {
				panic("sim: no room for a member that was counted in")
			}
		}
	}
	text := fmt.Sprintf("%d is asked for %s", n.id, describeChange(cc))
	if err != nil {
		text += ": " + err.Error()
	}
	return text
}

func describeChange(cc pb.ConfChangeV2) string {
	if len(cc.Changes) == 0 {
		return "leaving the joint configuration"
	}
	text := pb.ConfChangesToString(cc.Changes)
	if cc.Transition != pb.ConfChangeTransitionAuto {
		text += " " + cc.Transition.String()
	}
	return text
}

// settledConf returns the newest committed configuration, and whether all of its
// members that are not gone for good run and have applied it, with no other
// change in any log that may still be committed. Who is no member has no say:
// it may never hear of what became of the changes in its log.
func (s *simulation) settledConf() (confchange.Config, bool) {
	cfg, index := s.check.Newest()
	for _, n := range s.nodes {
		if n == nil || !n.exists || n.gone() {
			continue
		}
		if !cfg.Contains(n.id) {
			if s.holdsChange(n) {
				return cfg, false
			}
			continue
		}
		if !n.up || n.pendingConf() != 0 || n.restoring() {
			return cfg, false
		}
		if len(n.conf.ids) > 0 && n.conf.index < index { // nobody has told anything to one that has none
			return cfg, false
		}
	}
	return cfg, true
}

// restoring reports whether a received snapshot is not in effect yet.
func (n *node) restoring() bool {
	return slices.ContainsFunc(n.applying, func(a toApply) bool { return a.snap != nil })
}

// holdsChange reports whether the log of a node has a change of configuration
// past the end of what is committed.
func (s *simulation) holdsChange(n *node) bool {
	committed := s.check.Committed()
	if n.up && n.pendingConf() > committed {
		return true
	}
	ents := n.disk.written.after(committed)
	return slices.ContainsFunc(ents, func(e pb.Entry) bool { return e.Type != pb.EntryNormal })
}

// canLose reports whether the group can do without a node's disk. A target that the
// rest could not bear is no reason, unless it is forced, but seldom: if the change of
// voters is made just now, the group is lost.
func (s *simulation) canLose(n *node, r *random) bool {
	cfg, ok := s.settledConf()
	if !ok || cfg.Joint() {
		return false
	}
	lost := 1
	for _, o := range s.nodes {
		if o != nil && o != n && o.exists && (o.dead || o.disk.wiped || o.disk.rotten != 0) && cfg.Contains(o.id) {
			lost++
		}
	}
	voters := len(cfg.Voters[0])
	return voters-lost > voters/2 && (s.targetLives(cfg, true, n) || !cfg.Target.Force && r.oneIn(3))
}

// leftWell reports whether a node led until it was removed, and said that a
// majority of those who remain know.
func (s *simulation) leftWell(n *node) bool {
	if s.o.NewForeign != nil {
		return false // others may forget it in a crash
	}
	return n.up && n.handedOver && !n.Status().Config.Contains(n.id)
}

// retireNodes destroys nodes that are members no more: those that nobody's
// configuration has and no log will bring back, and leaders that went in good
// order. A dead member is asked to be removed.
func (s *simulation) retireNodes(r *random) string {
	cfg, settled := s.settledConf()
	what := ""
	for _, n := range s.nodes {
		if n == nil || !n.exists {
			continue
		}
		switch {
		case settled && cfg.Target != nil && slices.Contains(append(cfg.Target.Voters, cfg.Target.Learners...), n.id):
			// It is to be one.
		case settled && !cfg.Contains(n.id):
			// One at least; others may go on to disturb for a while.
			if what == "" || r.oneIn(2) {
				s.destroy(n)
				what += fmt.Sprintf("destroy %d, which is no member; ", n.id)
			}
		case what != "":
		case s.leftWell(n) && r.oneIn(2):
			s.destroy(n)
			return fmt.Sprintf("destroy %d, which led until it was removed", n.id)
		case settled && n.dead && !cfg.Joint() && cfg.Target == nil:
			if l := s.leader(); l != nil && l.paused == 0 {
				return s.proposeChange(l, pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeRemoveNode, NodeID: n.id}}}, nil)
			}
		}
	}
	return strings.TrimSuffix(what, "; ")
}
