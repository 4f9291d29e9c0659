package differential

import (
	"errors"
	"slices"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	opb "github.com/quorate-raft/raft/raftpb"
)

// Theirs knows no sessions: it takes an answer of a member's former life for one of
// now, and nobody tells a removed node of it.

// noteSessions keeps an account of the sessions that ours gives its peers. A peer
// has another only if it was removed, and never one that another had.
func (w *world) noteSessions() (err error) {
	m := w.cur.m
	if term := m.o.BasicStatus().Term; term != m.sessionsTerm {
		m.sessions, m.sessionsTerm, m.lastSession = map[uint64][]uint64{}, term, 0
	}
	last := m.lastSession
	m.o.WithProgress(func(id uint64, p progress.Progress) {
		known := m.sessions[id]
		switch {
		case err != nil || len(known) > 0 && known[len(known)-1] == p.Session:
		case len(known) > 0 && !m.confChanged:
			err = w.fail("ours begins session %d with %d, which stayed", p.Session, id)
		case p.Session <= m.lastSession:
			err = w.fail("ours gives session %d to %d, the last was %d", p.Session, id, m.lastSession)
		default:
			m.sessions[id] = append(known, p.Session)
			last = max(last, p.Session)
		}
	})
	m.lastSession = last
	return err
}

// feedSession gives ours what only a node that knows sessions can judge, and reports
// whether it was such a message.
func (w *world) feedSession(m *twin, it *item) bool {
	c := &w.cur
	switch it.o.Type {
	case opb.MsgRemoved, opb.MsgPropRefused:
		c.oErr = m.o.Step(it.o)
		return true
	case opb.MsgAppResp, opb.MsgHeartbeatResp:
		known := m.sessions[it.o.From]
		i := slices.Index(known, it.o.Session)
		if c.before.RaftState != ours.StateLeader || it.o.Term != c.before.Term || !contains(m.oConf, it.o.From) || i < 0 || i == len(known)-1 {
			return false
		}
		if err := m.o.Step(it.o); !errors.Is(err, ours.ErrStaleSession) {
			c.fault = w.fail("ours returns %v to an answer of a former life", err)
		}
		w.apply(formerLife)
		return true
	}
	return false
}

// checkRemovedTold holds ours to telling a node that it was removed just where it
// has to, and to handing on that word.
func (w *world) checkRemovedTold() error {
	c, m := &w.cur, w.cur.m
	in := &opb.Message{}
	if c.in != nil {
		in = &c.in.o
	}
	s := m.o.BasicStatus()
	through := s.Applied
	if m.tailSnap != nil {
		through = max(through, m.tailSnap.Index)
	}
	request := in.Type == opb.MsgVote || in.Type == opb.MsgPreVote
	owed := request && c.oErr == nil && in.Session != 0 && s.ConfigIndex != 0 && !contains(m.oConf, in.From) && contains(m.oConf, m.id)
	for i := range m.out.messages {
		o := &m.out.messages[i]
		if o.Type != opb.MsgRemoved {
			continue
		}
		if !owed || o.To != in.From || o.Term != 0 || o.Session != in.Session ||
			o.Index == 0 || o.Index > through || m.changeIn(o.Index, s.Applied) {
			return w.fail("ours sends %s, the configuration is %+v", describe(o), m.oConf)
		}
		w.apply(removedTold)
		owed = false
	}
	if owed {
		return w.fail("ours does not tell %d that it was removed at %d", in.From, s.ConfigIndex)
	}
	for _, r := range m.out.removed {
		if in.Type != opb.MsgRemoved || r.By != in.From || r.Index != in.Index || m.changeIn(r.Index-1, s.Applied) {
			return w.fail("ours hands out %+v, the configuration is %+v", r, m.oConf)
		}
	}
	return nil
}
