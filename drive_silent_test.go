package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// Where no voter of a group stays, the first change adds one of those to come, without
// whom the rest then decides nothing (dissertation §4.1). It is not one that is silent,
// although the others of the target, who answer, are enough. The host is slow: five ticks
// pass between two Readys, so that the leader is long in finding out.
func TestSilentServerIsNotMadeTheFirstVoter(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 1, conf)
		for id := uint64(2); id <= 4; id++ {
			d.Add(id)
		}
		late, dead := true, false
		d.Drop = func(m pb.Message) bool {
			return late && m.To == 4 && len(m.Entries) > 0 || dead && (m.To == 2 || m.From == 2)
		}
		d.propose(membersOf([]uint64{2, 3, 4}))
		d.tick(3)
		l := d.Node(1)
		require.NotNil(t, l.Status().Progress[4].CatchUp)
		silent := 0
		for tick := range 400 {
			l.Tick()
			if tick%5 == 4 {
				d.Settle()
			}
			st := l.Status()
			if p := st.Progress[2]; dead {
				silent++
			} else if p.CatchUp != nil && p.CatchUp.CaughtUp {
				dead = true
			}
			late = silent < 25
			require.False(t, st.Config.IsVoter(2), "silent for %d ticks", silent)
			if st.Config.Target == nil {
				require.True(t, dead)
				require.Equal(t, pb.MembershipAborted, st.Config.Outcome.Result)
				return
			}
		}
		require.Fail(t, "the target has not ended")
	})
}

// slowToApply is a host of node 1 that writes at once, and is slow to apply what held is
// true of.
type slowToApply struct {
	d     *driven
	queue []pb.Entry
	held  func(cc pb.ConfChangeV2) bool
}

func (h *slowToApply) settle() {
	for range 20 {
		h.handle()
		for _, m := range h.d.Nodes() {
			if m.ID != 1 {
				for h.d.Handle(m.ID) {
				}
			}
		}
		require.NoError(h.d.t, h.d.Deliver())
	}
}

func (h *slowToApply) handle() {
	m := h.d.Node(1)
	for m.HasReady() {
		rd := m.Ready()
		h.d.Send(rd.Messages...)
		m.Persist(rd)
		h.d.Send(rd.MessagesAfterAppend...)
		h.queue = append(h.queue, rd.CommittedEntries...)
		require.NoError(h.d.t, m.AckAppend(rd.AppendToken()))
	}
	for len(h.queue) > 0 {
		e := h.queue[0]
		if e.Type != pb.EntryNormal {
			cc, err := pb.UnmarshalConfChange(e)
			require.NoError(h.d.t, err)
			if h.held(cc.AsV2()) {
				return
			}
			m.Conf = *m.ApplyConfChange(cc)
		}
		h.queue = h.queue[1:]
		require.NoError(h.d.t, m.AckApply(e.Index))
	}
}

// A server that has caught up falls silent while the step before the change of voters is
// being applied. It is not made a voter in the moment in which that is done, before the
// next tick finds out.
func TestSilentServerIsNotPromotedBetweenTicks(t *testing.T) {
	d := newDriven(t, 3, nil)
	d.Add(5)
	d.Add(6)
	silent, applies := rafttest.Cut(5), false
	d.Drop = func(m pb.Message) bool { return applies && silent(m) }
	h := &slowToApply{d: d, held: func(cc pb.ConfChangeV2) bool { return !applies && cc.Changes[0].NodeID == 6 }}
	l := d.Node(1)
	d.propose(membersOf([]uint64{1, 2, 3, 5}, 6))
	for range 200 {
		h.settle()
		if p := l.Status().Progress[5]; len(h.queue) > 0 && p.CatchUp != nil && p.CatchUp.CaughtUp {
			break
		}
		l.Tick()
	}
	require.NotEmpty(t, h.queue)
	held := h.held
	h.held = func(pb.ConfChangeV2) bool { return true }
	applies = true // nothing of 5 arrives from here on
	for range 30 {
		l.Tick()
		h.settle()
	}
	h.held = held
	h.settle()
	require.False(t, isVoter(d, 5))
}

// Once the change is made nothing waits for it any more, also where the group stands
// still because its voters fell silent just then.
func TestExplainAfterTheChangeOfVoters(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 5, with(conf, func(c *raft.Config) { c.DisableCheckQuorum = true }))
		d.tick(1)
		d.propose(membersOf([]uint64{1, 4, 5}))
		silent, l := rafttest.Cut(4, 5), d.Node(1)
		for range 50 {
			for id := uint64(1); id <= 5 && d.Drop == nil; id++ {
				d.Handle(id)
				if st := l.Status(); st.Config.Joint() {
					d.Drop = silent
				}
			}
			require.NoError(t, d.Deliver())
		}
		require.NotNil(t, d.Drop)
		d.tick(15)
		st := l.Status()
		require.Equal(t, raft.StateLeader, st.RaftState)
		require.True(t, st.Config.Joint())
		require.False(t, waitsForVoters(l))
	})
}

// A leader that gets an election timeout's ticks at once knows nothing of anybody: its
// word for who answers is from before. It makes no change of voters by that, also not
// after it has found nobody to hand over to (dissertation §4.2.2).
func TestHeldUpLeaderChangesNoVoters(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 5, with(conf, func(c *raft.Config) { c.DisableCheckQuorum = true }))
		d.tick(2)
		d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
		d.propose(membersOf([]uint64{4, 5}))
		d.Settle()
		l := d.Node(1)
		require.NotEqual(t, raft.None, l.BasicStatus().LeadTransferee)
		d.Drop = rafttest.Cut(4, 5)
		last := l.BasicStatus().LastIndex
		for range 30 {
			l.Tick()
		}
		require.Equal(t, last, l.BasicStatus().LastIndex)
		d.tick(10)
		require.True(t, isVoter(d, 1))
		require.True(t, waitsForVoters(l))
	})
}

// Each wait for the voters to be has its own time.
func TestWaitForVotersBeginsAnew(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 5, with(conf, func(c *raft.Config) { c.MaxCatchUpRounds = 3 }))
		d.tick(2)
		silent := rafttest.Cut(4, 5)
		handsOver := func() bool { return d.Leader().BasicStatus().LeadTransferee != raft.None }
		d.Drop = silent
		d.tick(9)
		version := d.propose(membersOf([]uint64{4, 5})) // they were heard just now
		d.Drop = func(m pb.Message) bool { return silent(m) || m.Type == pb.MsgTimeoutNow }
		ticksUntil(t, d.Cluster, 30, func() bool { return waitsForVoters(d.Leader()) && !handsOver() })
		d.tick(22)
		require.NotContains(t, d.ends, version)
		d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
		ticksUntil(t, d.Cluster, 10, handsOver)
		d.Drop = func(m pb.Message) bool { return silent(m) || m.Type == pb.MsgTimeoutNow }
		d.tick(35)
		require.NotContains(t, d.ends, version, "the wait goes on where another ended")
		require.Equal(t, pb.MembershipNoQuorum, d.untilEnded(version, 40, 1, 2, 3).Reason)
	})
}

// Time in which the leader is out of touch with the group does not count: it says
// nothing of the voters to be.
func TestLeaderOutOfTouchGivesNoVotersUp(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 5, with(conf, func(c *raft.Config) { c.DisableCheckQuorum, c.MaxCatchUpRounds = true, 3 }))
		d.tick(2)
		d.Drop = func(m pb.Message) bool { return m.Type == pb.MsgTimeoutNow }
		version := d.propose(membersOf([]uint64{4, 5})) // whom it asks to take over first
		d.Settle()
		d.Drop = rafttest.Cut(4, 5)
		l := d.Node(1)
		alone := func(ticks int) { // the others do not tick, and elect nobody
			for range ticks {
				l.Tick()
				d.Settle()
			}
		}
		alone(25)
		require.True(t, waitsForVoters(l))
		d.Drop = rafttest.Cut(1)
		last := l.BasicStatus().LastIndex
		alone(200)
		require.True(t, waitsForVoters(l))
		require.Equal(t, last, l.BasicStatus().LastIndex, "it has given the target up")
		d.Drop = nil
		require.Equal(t, pb.MembershipReached, d.untilEnded(version, 60, 4, 5).Result)
	})
}

// A new leader asks the voters to be at once, and does not wait for its next heartbeats.
func TestNewLeaderAsksTheVotersToBeAtOnce(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d := newDriven(t, 5, with(conf, func(c *raft.Config) { c.HeartbeatTick = 9 }))
		d.tick(12)
		d.propose(membersOf([]uint64{1, 4, 5}))
		for _, m := range d.Nodes() {
			d.Handle(m.ID)
		}
		require.NoError(t, d.Deliver())
		for id := uint64(2); id <= 5; id++ {
			d.Handle(id)
		}
		term := d.Node(1).BasicStatus().Term
		d.Drop = func(m pb.Message) bool { return m.To == 1 && m.Term == term }
		lead(t, d.Cluster, 3)
		d.Drop = nil
		d.tick(2)
		require.Len(t, ids(d.Leader()), 3)
	})
}

// Force ends the wait; without it the same target is refused by now.
func TestForceEndsTheWait(t *testing.T) {
	bothEffects(t, func(t *testing.T, conf configure) {
		d, version := whileCatchingUp(t, conf, false)
		require.True(t, waitsForVoters(d.Leader()))
		m := membersOf([]uint64{1, 4, 5, 6})
		require.ErrorIs(t, d.Leader().ProposeMembership(m), confchange.ErrWouldLoseQuorum)
		m.Force = true
		require.NotEqual(t, version, d.propose(m))
		ticksUntil(t, d.Cluster, 6, func() bool { return isVoter(d, 6) })
	})
}
