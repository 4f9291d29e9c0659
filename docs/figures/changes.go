package main

import (
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// hideProbes hides what finds out where a follower's log ends.
func (s *stage) hideProbes(id uint64) {
	s.hide = func(m pb.Message) bool {
		return m.Type == pb.MsgHeartbeat || m.Type == pb.MsgHeartbeatResp || m.Type == pb.MsgApp && len(m.Entries) == 0 ||
			m.From == id && m.Reject
	}
}

// fresh: a server without a log joins, and a voter fails before it has one.
func fresh(how string) *stage {
	s := newStage(3, 0, func(c *raft.Config) { c.DisableCheckQuorum = true })
	s.Add(4)
	s.hideProbes(4)
	s.begin("1 leads 1, 2 and 3. 4 has nothing yet.")
	s.hold = func(m pb.Message) bool { return m.Type == pb.MsgSnap }
	s.change(1, map[string]string{"v4": "4 is added as a voter.", "l4": "4 is added as a learner."}[how], how)
	s.run()
	s.expect(len(s.held) == 1, "a snapshot is on its way")
	s.note(1, "4 needs the whole log, which takes long.")
	return s
}

func freshVoter() *stage {
	s := fresh("v4")
	s.crash(3, "One of four voters fails.")
	s.propose(1, "1 and 2 hold entry 4: two of four are no majority. Nothing is committed until 4 has the log.", "x")
	s.run()
	s.expect(s.Node(1).BasicStatus().Commit == 3, "nothing is committed")
	s.release()
	s.run()
	s.expect(s.Node(1).BasicStatus().Commit == 4, "it is committed")
	s.note(1, "4 has caught up. The group was without service for as long.")
	return s
}

func freshLearner() *stage {
	s := fresh("l4")
	s.crash(3, "One of three voters fails.")
	s.propose(1, "1 and 2 are a majority of three: entry 4 is committed at once.", "x")
	s.run()
	s.expect(s.Node(1).BasicStatus().Commit == 4, "it is committed")
	s.release()
	s.run()
	s.change(1, "4 has caught up, and becomes a voter.", "v4")
	s.run()
	s.expect(slices.Equal(s.Node(1).Conf.Voters, []uint64{1, 2, 3, 4}), "4 votes")
	return s
}

// joint: two of three voters are replaced at once.
func joint() *stage {
	s := newStage(3, 2, plain)
	s.hideProbes(0)
	s.begin("1 leads 1, 2 and 3. 2 and 3 are to be replaced by 4 and 5, who have the log.")
	s.change(1, "Entry 3 enters the joint configuration. It is committed by the one before.", "r2 r3 v4 v5")
	s.round()
	s.hold = func(m pb.Message) bool {
		return m.Type == pb.MsgAppResp && (m.From == 2 || m.From == 3) && m.Index == 4
	}
	s.round()
	s.note(1, "Applied. From here on everything needs a majority of 1, 4 and 5 and one of 1, 2 and 3. 1 appends entry 4, which leaves.")
	s.run()
	s.note(1, "1, 4 and 5 hold entry 4, of the others 1 alone, as far as it knows: not committed.")
	s.expect(s.Node(1).BasicStatus().Commit == 3, "not left yet")
	s.release()
	s.run()
	s.note(1, "A majority of both: committed, and left.")
	s.expect(slices.Equal(s.Node(1).Conf.Voters, []uint64{1, 4, 5}), "left")
	return s
}

// jointCrash: the leader dies in the middle of a joint change.
func jointCrash() *stage {
	s := newStage(3, 1, plain)
	s.hideProbes(0)
	s.begin("1 leads 1, 2 and 3. 3 is to be replaced by 4.")
	s.lose = func(m pb.Message) bool { return m.Type == pb.MsgApp && len(m.Entries) > 0 && m.Index == 3 }
	s.do(1, "Entry 3 enters the joint configuration.", func(m *rafttest.Member) error {
		changes, err := pb.ConfChangesFromString("r3 v4")
		must(err)
		return m.ProposeConfChange(pb.ConfChangeV2{Changes: changes, Transition: pb.ConfChangeTransitionJointImplicit})
	})
	s.run()
	s.crash(1, "1 dies before its entry 4, which would leave, reaches anybody.")
	s.lose = nil
	s.campaign(2, "2 needs both majorities: one of 1, 2 and 4, and one of 1, 2 and 3.")
	s.run()
	s.note(2, "2 found the joint configuration in its log. When an entry of its own term is committed it leaves, once.")
	s.expect(slices.Equal(s.Node(2).Conf.Voters, []uint64{1, 2, 4}), "left")
	return s
}

// deadMember: a group of two removes the one that died.
func deadMember(configure func(*raft.Config)) *stage {
	s := newStage(2, 0, configure)
	s.begin("1 leads 1 and 2.")
	s.crash(2, "2 dies for good.")
	return s
}

func deadOnApply() *stage {
	s := deadMember(nil)
	s.change(1, "Entry 3, “2 is no voter”, needs two of two. 2 cannot agree to its own removal.", "r2")
	s.run()
	s.ticks(1, 20, "After an election timeout without 2, 1 steps down. The group is stuck.")
	s.run()
	s.expect(s.Node(1).BasicStatus().RaftState != raft.StateLeader, "stuck")
	return s
}

func deadOnAppend() *stage {
	s := deadMember(onAppend)
	s.change(1, "Entry 3, “2 is no voter”, is committed by the configuration that it makes: 1 alone.", "r2")
	s.run()
	s.propose(1, "The group goes on.", "x")
	s.expect(s.Node(1).BasicStatus().Commit == 4, "the group goes on")
	return s
}

// soleHolder: the only one that holds the removal of itself has to lead.
func soleHolder() *stage {
	s := newStage(2, 0, plainOnAppend)
	s.hideProbes(0)
	s.begin("1 leads 1 and 2. It is to be removed.")
	s.lose = func(pb.Message) bool { return true }
	s.change(1, "1 appends its own removal, and uses it at once.", "r1")
	s.round()
	s.crash(1, "It crashes before anybody else has the entry, and comes back.")
	s.lose = nil
	s.restart(1, "")
	s.campaign(2, "2 does not know of the entry. It needs the vote of 1, whose log is longer: no.")
	s.run()
	s.campaign(1, "1 is no voter of its configuration, and campaigns all the same, as the removal is not committed. It does not count its own vote.")
	s.run()
	s.expect(s.Node(2).BasicStatus().RaftState == raft.StateLeader, "2 leads")
	s.note(2, "1 led, had its removal committed, and handed over.")
	return s
}

// rollback: an uncommitted configuration is undone.
func rollback() *stage {
	s := newStage(3, 1, plainOnAppend)
	s.hideProbes(0)
	s.begin("1 leads 1, 2 and 3. The learner 4 is to become a voter.")
	s.lose = func(m pb.Message) bool { return m.From == 1 && m.To != 4 || m.From == 4 }
	s.change(1, "Entry 3, “4 is a voter”, is in effect where it is in the log: at 1, and soon at 4.", "v4")
	s.run()
	s.crash(1, "1 dies. Nothing was committed: that takes three of four.")
	s.lose = nil
	s.campaign(2, "2 asks those it knows, 1 and 3, and leads.")
	s.run()
	s.expect(!s.Node(4).Status().Config.IsVoter(4), "rolled back at 4")
	s.note(4, "The entry of the new leader replaces entry 3. What was before is in effect again.")
	s.restart(1, "1 comes back with what is in its log, and is set right as well.")
	s.ticks(2, 3, "")
	s.run()
	s.expect(!s.Node(1).Status().Config.IsVoter(4), "rolled back at 1")
	return s
}

// formerLife: an answer of a server that was removed and added again.
func formerLife() *stage {
	s := newStage(1, 1, plain)
	s.hide = func(m pb.Message) bool {
		return m.Reject || m.Type == pb.MsgApp && len(m.Entries) == 0 || m.Type == pb.MsgAppResp && m.Index == 4
	}
	s.begin("1 is the only voter, 2 a learner.")
	s.hold = func(m pb.Message) bool { return m.From == 2 }
	s.propose(1, "2 gets an entry. Its answer is late.", "x")
	s.run()
	late := s.held[:1]
	s.held, s.hold = nil, nil
	s.lose = func(m pb.Message) bool { return m.From == 2 }
	s.change(1, "2 is removed,", "r2")
	s.run()
	s.lose = nil
	s.crash(2, "loses its disk,")
	s.Node(2).Storage, s.Node(2).AppliedIndex = raft.NewMemoryStorage(), 0
	s.restart(2, "and is added again under its old ID, against the contract.")
	s.hold = func(m pb.Message) bool { return m.Type == pb.MsgSnap }
	s.change(1, "", "l2")
	s.run()
	s.way = append(s.way, late...)
	s.round()
	s.expect(s.Node(1).Status().Progress[2].Match == 0, "nothing is believed")
	s.note(1, "The late answer echoes the session of the former life: it is refused. Else 1 would take 2 for one that holds entry 3.")
	s.release()
	s.run()
	s.expect(s.Node(1).Status().Progress[2].Match == 5, "2 has the log")
	return s
}

var figures = []figure{
	{name: "two-majorities", title: "Two leaders in one term after an edited configuration", play: twoMajorities},
	{name: "change-too-early", title: "Two committed entries at one index, by a change before a commit in the term", bug: 2, play: tooEarly},
	{name: "fresh-voter", title: "A new voter without a log keeps the group from committing", play: freshVoter},
	{name: "fresh-learner", title: "A new learner does not", play: freshLearner},
	{name: "removed-leader", title: "A leader that is removed hands over", play: removedLeader},
	{name: "prevote-alone", title: "A removed server deposes the leader in spite of pre-votes", play: preVoteAlone},
	{name: "votes-refused", title: "A removed server deposes nobody where votes are refused", play: voteRefused},
	{name: "joint", title: "A joint configuration is entered and left", play: joint},
	{name: "joint-crash", title: "Another leader leaves the joint configuration", play: jointCrash},
	{name: "two-on-apply", title: "OnApply: a group of two cannot remove its dead member", play: deadOnApply},
	{name: "two-on-append", title: "OnAppend: a group of two removes its dead member", play: deadOnAppend},
	{name: "sole-holder", title: "OnAppend: the only holder of its own removal has to lead", play: soleHolder},
	{name: "rollback", title: "OnAppend: an uncommitted configuration is undone", play: rollback},
	{name: "former-life", title: "An answer of a former life is refused", play: formerLife},
	{name: "target", title: "A target, from the proposal to the outcome", play: aTarget},
	{name: "target-leader", title: "A leader that is none of the target hands over before it goes", play: leaderGoesLast},
	{name: "target-crash", title: "The next leader goes on with the target", play: leaderIsLost},
	{name: "target-dead", title: "A server that does not answer is given up", play: deadServer},
}
