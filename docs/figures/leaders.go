package main

import (
	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

func onAppend(c *raft.Config) { c.ConfChangeEffect = raft.OnAppend }

// plain leaves out what a figure is not about: pre-votes and quorum checks.
func plain(c *raft.Config) { c.DisablePreVote, c.DisableCheckQuorum = true, true }

func plainOnAppend(c *raft.Config) {
	plain(c)
	onAppend(c)
}

// twoMajorities: the configuration of a group is edited on its servers, one after the other.
func twoMajorities() *stage {
	s := bareStage(plain)
	was, is := pb.ConfState{Voters: []uint64{1, 2, 3}}, pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}
	for id := range uint64(5) {
		s.addWith(id+1, map[bool]pb.ConfState{true: was, false: is}[id < 2])
	}
	cut := rafttest.Cut(1, 2)
	s.hide = func(m pb.Message) bool { return cut(m) || m.Type == pb.MsgApp && len(m.Entries) == 0 }
	s.begin("Three servers become five at once. 3, 4 and 5 have the new configuration; 1 and 2 do not have it yet.")
	s.cut("The two sides lose sight of each other.", 1, 2)
	s.campaign(1, "1 asks 2 and 3, of whom 2 hears it: two of three are a majority.")
	s.and(3, "3 asks all: with 4 and 5 that is three of five, a majority, too.", (*rafttest.Member).Campaign)
	s.run()
	s.propose(1, "Both sides commit what their clients ask for.", "x")
	s.and(3, "", func(m *rafttest.Member) error { return m.Propose([]byte("y")) })
	s.run()
	s.expect(s.broken["Two leaders in term 2."], "two leaders")
	return s
}

// tooEarly: a leader changes the configuration before it has committed an entry of its term.
func tooEarly() *stage {
	s := newStage(4, 1, plainOnAppend)
	s.hide = func(m pb.Message) bool {
		return m.Type == pb.MsgHeartbeat || m.Type == pb.MsgHeartbeatResp || m.Type == pb.MsgApp && len(m.Entries) == 0
	}
	s.begin("1 leads 1, 2, 3 and 4 in term 2. The learner 5 is to become a voter.")
	s.lose = func(m pb.Message) bool { return m.From == 1 && m.To != 5 || m.To == 1 && m.From == 5 }
	s.change(1, "1 appends entry 3, “5 is a voter”. It reaches 5 alone.", "v5")
	s.run()
	s.lose = func(m pb.Message) bool { return m.Type == pb.MsgApp && m.To != 3 || m.From == 1 }
	s.campaign(2, "2 asks those it knows. 3 and 4 agree.")
	s.round()
	s.round()
	s.expect(s.Node(2).BasicStatus().RaftState == raft.StateLeader, "2 leads")
	s.and(2, "2 leads in term 3, with an empty entry 3. Before that is committed it appends entry 4, “4 is no voter”. Of 1, 2 and 3, two are enough.", changing("r4"))
	s.run()
	s.expect(s.Node(2).BasicStatus().Commit == 4, "2 commits")
	s.lose = func(m pb.Message) bool { return m.To == 2 || m.To == 3 }
	s.campaign(1, "1 asks all five. 4 and 5 agree: three of five.")
	s.run()
	s.note(1, "It commits its own entry 3. The two majorities, 2 and 3, and 1, 4 and 5, do not meet: their configurations are two voters apart.")
	s.expect(s.broken["Two different entries are committed at index 3."], "two entries")
	return s
}

// removedLeader: the leader removes itself.
func removedLeader() *stage {
	s := newStage(3, 0, nil)
	s.hide = func(m pb.Message) bool { return m.Type == pb.MsgApp && len(m.Entries) == 0 }
	s.begin("1 leads. It is to be removed.")
	s.change(1, "Entry 3, “1 is no voter”, is replicated as any other.", "r1")
	s.round()
	s.round()
	s.note(1, "It is committed and applied. 1 leads on, takes no proposals, and tells the others of the commit.")
	s.round()
	s.round()
	s.expect(s.Node(1).BasicStatus().LastStepDown == raft.StepDownRemoved, "1 hands over")
	s.note(1, "A majority of the others has answered that it knows. 1 tells one to take over, and goes.")
	s.run()
	s.expect(s.Node(2).BasicStatus().RaftState == raft.StateLeader || s.Node(3).BasicStatus().RaftState == raft.StateLeader, "another leads")
	s.note(s.Leader().ID, "No election timeout has passed.")
	return s
}

// disruptive: a removed server deposes the leader, unless votes are refused while there is one.
func disruptive(configure func(*raft.Config)) *stage {
	s := newStage(4, 0, configure)
	must(s.Node(1).TransferLeader(4))
	s.Settle()
	s.expect(s.Leader().ID == 4, "4 leads")
	s.hide = func(m pb.Message) bool {
		return m.Type == pb.MsgHeartbeatResp || m.Type == pb.MsgApp && len(m.Entries) == 0
	}
	s.begin("4 leads. 1 is to be removed.")
	s.lose = func(m pb.Message) bool { return m.Type == pb.MsgApp && m.From == 4 }
	s.change(4, "4 appends entry 4, “1 is no voter”, and sends 1 nothing any more. The appends to the others are late.", "r1")
	s.run()
	s.ticks(4, 1, "")
	s.run()
	return s
}

func preVoteAlone() *stage {
	s := disruptive(func(c *raft.Config) {
		onAppend(c)
		c.DisableCheckQuorum = true
	})
	s.campaign(1, "1 hears of no leader. Its log is as good as those of 2 and 3, so they grant the pre-vote.")
	s.run()
	s.expect(s.Leader().ID == 1, "1 leads")
	s.note(1, "The server that was to go has deposed the leader of the group. It can do so again and again.")
	return s
}

func voteRefused() *stage {
	s := disruptive(onAppend)
	s.campaign(1, "1 asks. 2, 3 and 4 have heard of a leader within an election timeout, and do not answer.")
	s.run()
	s.expect(s.Leader().ID == 4, "4 leads")
	s.lose = nil
	s.do(4, "The appends are sent again and arrive: the removal is committed.", func(m *rafttest.Member) error {
		for range 3 {
			m.RawNode.Tick()
		}
		return nil
	})
	s.run()
	s.expect(s.Node(4).BasicStatus().Commit == 4, "the removal is committed")
	s.do(1, "When 1 asks again, the members tell it that it was removed.", (*rafttest.Member).Campaign)
	s.run()
	s.expect(s.Leader().ID == 4, "4 leads")
	return s
}
