package rafttest

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What ExerciseHost lets a host live through.

type hostPhase struct {
	name string
	run  func(x *exercise)
}

var hostPhases = []hostPhase{
	{"the host leads", func(x *exercise) {
		// Until then it may not campaign.
		x.until("the first configuration is applied", func() bool {
			_, working := x.check.progress()
			return x.check.applied() >= uint64(len(x.peers)) && !working
		})
		if x.stuck {
			return
		}
		x.host.Campaign()
		x.until("somebody is elected", x.isLed)
		if !x.hostLeads() { // it was slow
			x.hostTakesOver()
		}
		x.commit("its proposals are applied", x.host.Propose, 3)
	}},
	{"many proposals at once", func(x *exercise) {
		x.commit("its proposals are applied", x.host.Propose, 30)
		x.read()
	}},
	{"another leader replaces the end of the host's log", (*exercise).truncate},
	{"the host follows", func(x *exercise) {
		x.commit("the leader's proposals are applied", x.leaderPropose, 10)
		x.commit("proposals that the host forwards are applied", x.host.Propose, 3)
		x.read()
	}},
	{"the host receives a snapshot", func(x *exercise) {
		x.fallBehind()
		x.catchUp()
		x.commit("the leader's proposals are applied", x.leaderPropose, 3)
	}},
	{"the host takes a snapshot", (*exercise).takeSnapshot},
	{"changes of configuration", (*exercise).changeConf},
	{"the host leads again", func(x *exercise) {
		x.hostTakesOver()
		x.host.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: 6})
		x.commit("its proposals are applied", x.host.Propose, 3)
		x.read()
	}},
	{"the host sends a snapshot", (*exercise).sendSnapshot},
	{"crashes", (*exercise).crashes},
	{"a write fails", (*exercise).failingWrite},
	{"the end", func(x *exercise) {
		x.commit("the leader's proposals are applied", x.leaderPropose, 3)
		x.takeSnapshot()
	}},
}

func (x *exercise) hostLeads() bool { return x.check.role() == raft.StateLeader }

func (x *exercise) isLed() bool { return x.hostLeads() || x.cluster.Leader() != nil }

// leader returns the one of the other members that leads, and sees to it that
// there is one.
func (x *exercise) leader() *Member {
	if x.hostLeads() && !x.cut {
		x.depose()
	}
	var leader *Member
	x.until("another member is elected", func() bool {
		leader = x.cluster.Leader()
		return leader != nil && (x.cut || !x.hostLeads())
	})
	return leader
}

// leaderPropose proposes at another member.
func (x *exercise) leaderPropose(data []byte) {
	if leader := x.leader(); leader != nil {
		_ = leader.Propose(data) // what is dropped is missed
	}
}

// propose proposes at whoever leads.
func (x *exercise) propose(data []byte) {
	x.until("somebody leads", x.isLed)
	if x.hostLeads() {
		x.host.Propose(data)
	} else if leader := x.cluster.Leader(); leader != nil {
		_ = leader.Propose(data)
	}
}

func (x *exercise) payload(what string) []byte {
	x.asked++
	return fmt.Appendf(nil, "%s %d", what, x.asked)
}

// commit proposes n entries and waits until the host has applied them. Those that
// a change of leader loses are proposed again.
func (x *exercise) commit(what string, propose func(data []byte), n int) {
	missing := map[string]bool{}
	var all [][]byte
	for range n {
		data := x.payload("proposal")
		all, missing[string(data)] = append(all, data), true
	}
	end := uint64(0)
	applied := func() bool {
		for _, m := range x.cluster.Nodes() {
			for _, e := range m.Applied {
				if missing[string(e.Data)] {
					delete(missing, string(e.Data))
					end = max(end, e.Index)
				}
			}
		}
		return len(missing) == 0 && x.check.applied() >= end
	}
	for range 3 {
		for _, data := range all {
			if missing[string(data)] && !x.stuck {
				propose(data)
			}
		}
		if x.within(maxWaitTicks/3, applied) {
			return
		}
	}
	if !x.stuck {
		x.fail("%s: it does not happen", what)
	}
}

// read asks the host for a read. A host that follows learns that it is confirmed
// before it has the entries up to there.
func (x *exercise) read() {
	rctx := x.payload("read")
	if x.stuck {
		return
	}
	if leader := x.cluster.Leader(); leader != nil && !x.hostLeads() {
		x.cut = true
		end := leader.BasicStatus().LastIndex
		_ = leader.Propose(x.payload("unknown to the host"))
		x.until("the others commit", func() bool { return leader.BasicStatus().Commit > end })
		x.cut = false
	}
	x.host.ReadIndex(rctx)
	x.until("a read is served", func() bool { return x.check.hasServed(rctx) })
}

// catchUp joins the host to the others again and waits until it has applied
// what they have.
func (x *exercise) catchUp() {
	x.cut = false
	x.until("one leader is left", func() bool { return !x.hostLeads() || x.cluster.Leader() == nil })
	x.commit("the host catches up", x.propose, 1)
}

// truncate lets the host, which leads, write what never gets to the others.
func (x *exercise) truncate() {
	x.cut = true
	end := x.check.written() + 5
	for range 5 {
		x.host.Propose(x.payload("lost"))
	}
	x.until("the host writes what it cannot commit", func() bool { return x.check.written() >= end })
	x.takeSnapshot()
	for range 3 {
		x.leaderPropose(x.payload("instead"))
	}
	x.catchUp()
}

// fallBehind cuts the host off until the others have compacted what it lacks.
func (x *exercise) fallBehind() {
	x.cut = true
	for range 20 {
		x.leaderPropose(x.payload("missed"))
	}
	x.until("the others go on", func() bool {
		leader := x.cluster.Leader()
		if leader == nil {
			return false
		}
		for _, m := range x.cluster.Nodes() {
			if m.AppliedIndex < leader.BasicStatus().LastIndex {
				return false
			}
		}
		return true
	})
	for _, m := range x.cluster.Nodes() {
		if _, err := m.Storage.CreateSnapshot(m.AppliedIndex, &m.Conf, []byte("state")); err == nil {
			must(m.Storage.Compact(m.AppliedIndex))
		}
	}
}

func (x *exercise) takeSnapshot() {
	if x.stuck {
		return
	}
	first := x.check.firstIndex()
	x.host.TakeSnapshot()
	x.until("the host compacts its log", func() bool { return x.check.firstIndex() > first })
}

// sendSnapshot lets the host, which leads, compact what another member lacks.
func (x *exercise) sendSnapshot() {
	behind := x.cluster.Node(3)
	x.cluster.Drop = Cut(behind.ID)
	x.commit("its proposals are applied", x.propose, 3)
	x.takeSnapshot()
	x.cluster.Drop = nil
	x.until("the other member catches up", func() bool { return behind.AppliedIndex >= x.cluster.Node(2).AppliedIndex })
	x.commit("proposals are applied", x.propose, 1)
}

// changeConf adds and removes learners that nobody runs, also through joint
// configurations, and takes snapshots of them.
func (x *exercise) changeConf() {
	for _, cc := range []pb.ConfChangeI{
		pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 4},
		pb.ConfChangeV2{Transition: pb.ConfChangeTransitionJointExplicit, Changes: []pb.ConfChangeSingle{
			{Type: pb.ConfChangeRemoveNode, NodeID: 4}, {Type: pb.ConfChangeAddLearnerNode, NodeID: 5},
		}},
		nil,
		pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{
			{Type: pb.ConfChangeRemoveNode, NodeID: 5}, {Type: pb.ConfChangeAddLearnerNode, NodeID: 6},
		}},
	} {
		leader := x.leader()
		if leader == nil {
			return
		}
		x.until("a change of configuration is accepted", func() bool {
			leader = x.cluster.Leader()
			return leader != nil && leader.ProposeConfChange(cc) == nil
		})
		x.commit("the change and what follows are applied", x.leaderPropose, 2)
		x.takeSnapshot()
	}
}

// hostTakesOver makes the host the leader. A slow one may need several tries.
func (x *exercise) hostTakesOver() {
	for range 5 {
		if leader := x.cluster.Leader(); leader != nil {
			_ = leader.TransferLeader(exercised) // seen by whether it leads
		}
		if x.within(maxWaitTicks/5, x.hostLeads) {
			return
		}
	}
	x.until("the host takes over", x.hostLeads)
}

// crashes ends the host at each point of its work, as a follower and, where that
// differs, as the leader.
func (x *exercise) crashes() {
	for _, at := range []struct {
		point  hostPoint
		passes int
		leads  bool
	}{
		{beforeSave, 0, false}, {beforeSave, 1, true},
		{afterSave, 0, false}, {afterSave, 0, true},
		{beforeSend, 0, false}, {beforeSend, 1, true},
		{beforeApply, 1, false}, {afterApply, 0, false}, {afterApply, 1, true},
		{beforeRestore, 0, false}, {afterRestore, 0, false},
		{beforeSnapshot, 0, false}, {beforeCompact, 0, false},
	} {
		if x.stuck {
			return
		}
		x.phase = "crash " + string(at.point)
		if x.leader(); at.leads {
			x.hostTakesOver()
		}
		x.crash(at.point, at.passes, at.leads)
	}
}

// depose has another member lead.
func (x *exercise) depose() {
	x.cut = true
	x.until("another member is elected", func() bool { return x.cluster.Leader() != nil })
	x.catchUp()
}

// trapTicks is for how long a host may take to meet a trap. One that only reports
// has no such point.
const trapTicks = 20

func (x *exercise) crash(point hostPoint, passes int, leads bool) {
	propose := x.leaderPropose
	if leads {
		propose = func(data []byte) { x.host.Propose(data) }
	}
	if point == beforeRestore || point == afterRestore {
		x.fallBehind()
	}
	if x.stuck {
		return
	}
	x.set(point, passes, false)
	x.cut = false
	for range 4 {
		propose(x.payload("crash"))
	}
	if point == beforeSnapshot || point == beforeCompact {
		x.host.TakeSnapshot()
	}
	x.within(trapTicks, x.hasSprung)
	x.stop(true)
	x.start()
	if x.stuck {
		return
	}
	x.catchUp()
}

// failingWrite lets a write of the host fail. It has to stop there; after a
// restart all is well.
func (x *exercise) failingWrite() {
	if x.leader(); x.stuck {
		return
	}
	x.set(beforeSave, 0, true)
	for range 3 {
		x.leaderPropose(x.payload("failing"))
	}
	x.within(trapTicks, x.hasSprung)
	for range 15 {
		x.pump()
		x.tick()
	}
	x.stop(false)
	x.start()
	if x.stuck {
		return
	}
	x.catchUp()
}
