package main

import (
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// targets starts three voters who have said that they know of targets, and a server 4 that has nothing. Drawn are
// entries on their way, elections, and what 4 acknowledges for the first time.
func targets(fresh bool, configure func(*raft.Config)) *stage {
	s := newStage(3, 0, configure)
	if fresh {
		s.Add(4)
	}
	s.Tick(2)
	s.hideCommits = true
	snapshotBy, acked := raft.None, uint64(0)
	s.hide = func(m pb.Message) bool {
		switch {
		case m.Type == pb.MsgSnap:
			snapshotBy = m.From
		case m.Type == pb.MsgApp:
			return len(m.Entries) == 0 || m.To == 4 && snapshotBy != m.From // a probe
		case m.Type == pb.MsgAppResp:
			if m.Reject || m.From != 4 || m.Index <= acked {
				return true
			}
			acked = m.Index
		}
		return m.Type == pb.MsgHeartbeat || m.Type == pb.MsgHeartbeatResp
	}
	return s
}

// aim sets a target of these voters.
func (s *stage) aim(id uint64, text string, voters ...uint64) {
	s.do(id, text, func(m *rafttest.Member) error {
		var membership pb.Membership
		for _, id := range voters {
			membership.Voters = append(membership.Voters, pb.Member{ID: id})
		}
		return m.ProposeMembership(membership)
	})
}

// beats lets time pass for a leader, in which all are heard.
func (s *stage) beats(id uint64, n int) {
	for range n {
		s.ticks(id, 1, "")
		s.run()
	}
}

func (s *stage) reached(id uint64, voters ...uint64) {
	conf := s.Node(id).Conf
	s.expect(slices.Equal(conf.Voters, voters) && len(conf.Learners) == 0 && conf.Target == nil &&
		conf.LastOutcome.Result == pb.MembershipReached, "the target is reached")
}

// catchUp returns how server 4 does, which catches up.
func (s *stage) catchUp(leader uint64) *progress.CatchUp {
	c := s.Node(leader).Status().Progress[4].CatchUp
	s.expect(c != nil, "4 catches up")
	return c
}

// aTarget: from the proposal to the outcome, with a first round of catch-up that is too long.
func aTarget() *stage {
	s := targets(true, plain)
	s.begin("1 leads 1, 2 and 3. 4 has nothing yet.")
	s.hold = func(m pb.Message) bool { return m.Type == pb.MsgSnap }
	s.aim(1, "The target: 1, 2 and 4 are to vote. It is entry 3.", 1, 2, 4)
	s.round()
	s.round()
	s.note(1, "It is committed, and stands. 1 adds 4 as a learner.")
	s.run()
	s.note(1, "Round 1: 4 is to have what the log holds now, up to entry 4. The snapshot takes its time.")
	s.beats(1, 9)
	s.propose(1, "Meanwhile the group goes on.", "x")
	s.run()
	s.release()
	s.run()
	s.propose(1, "Round 1 is over. It lasted an election timeout: too long. Round 2: up to entry 6.", "y")
	s.and(1, "", ticking(1))
	s.expect(s.catchUp(1).Round == 2, "round 2")
	s.run()
	s.ticks(1, 1, "Round 2 was short: 4 can vote. 4 comes and 3 goes, by a joint configuration.")
	s.round()
	s.round()
	s.note(1, "1 leaves it, as soon as it may.")
	s.round()
	s.round()
	s.note(1, "The configuration is the target. The outcome is an entry, too, and stays to be read.")
	s.run()
	s.reached(1, 1, 2, 4)
	return s
}

// leaderGoesLast: a leader that is none of the target hands over before it is removed.
func leaderGoesLast() *stage {
	s := targets(false, plain)
	s.begin("1 leads 1, 2 and 3.")
	s.beats(1, 1)
	s.aim(1, "The target: 2 and 3. The leader is not among them.", 2, 3)
	s.round()
	s.round()
	s.note(1, "The next step would end the vote of 1. It tells one of the target to take over first.")
	s.round()
	s.round()
	s.round()
	s.expect(s.Leader().ID == 2, "2 leads")
	s.beats(2, 1)
	s.note(2, "2 commits an entry of its own term. 3 answers it, so it goes on: entry 5 removes 1.")
	s.run()
	s.note(2, "1 is told nothing any more. It learned of its removal, and not of the outcome.")
	s.reached(2, 2, 3)
	return s
}

// leaderIsLost: the next leader goes on with a target.
func leaderIsLost() *stage {
	s := targets(true, plain)
	s.begin("1 leads 1, 2 and 3. 4 has nothing yet.")
	s.hold = func(m pb.Message) bool { return m.Type == pb.MsgSnap }
	s.aim(1, "The target: 4 in the place of 1.", 2, 3, 4)
	s.run()
	s.crash(1, "1 dies before 4 has anything.")
	s.held, s.hold = nil, nil
	s.campaign(2, "")
	s.round()
	s.round()
	s.note(2, "2 has the target in its configuration. It measures 4 anew, from round 1.")
	s.run()
	s.ticks(2, 1, "4 has caught up. It comes and 1 goes, by a joint configuration.")
	s.run()
	s.reached(2, 2, 3, 4)
	return s
}

// deadServer: a server that does not answer is given up.
func deadServer() *stage {
	s := targets(true, plain)
	s.begin("1 leads 1, 2 and 3.")
	s.crash(4, "4 is dead.")
	s.aim(1, "The target: 1, 2, 3 and 4.", 1, 2, 3, 4)
	s.round()
	s.round()
	s.run()
	s.note(1, "4 is a learner, and does not answer.")
	s.beats(1, 10)
	s.ticks(1, 1, "The others answered for an election timeout, 4 did not: the target is given up.")
	s.run()
	s.expect(s.Node(1).Conf.LastOutcome.Reason == pb.MembershipNoAnswer, "given up")
	s.note(1, "The learner goes with it, by the same entry.")
	return s
}
