package differential

import (
	"errors"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// hostile gives ours a message that no correct peer sends. It has to refuse it
// and stay as it was. Theirs would panic, or believe it: it is not asked.
func (w *world) hostile(o op) error {
	c := &w.cur
	m := w.twins[int(o.a)%len(w.twins)]
	before := m.o.BasicStatus()
	msg, r, ok := w.impossible(m, &before, o.b)
	if !ok {
		return nil
	}
	c.m, c.input = m, "hostile: "+describe(&msg)
	m.out.reset()
	m.tout.reset()
	c.oErr = m.o.Step(msg)
	after := m.o.BasicStatus()
	busy := m.o.HasReady()
	w.log.add(w)
	switch {
	case c.oErr == nil:
		return w.fail("ours takes %s", describe(&msg))
	case before != after || busy:
		return w.fail("ours refuses %s, and moves from %+v to %+v", describe(&msg), before, after)
	case r == otherEffect && !errors.Is(c.oErr, ours.ErrConfChangeEffect):
		return w.fail("ours returns %v to %s", c.oErr, describe(&msg))
	case errors.Is(c.oErr, ours.ErrStorage):
		return w.fail("ours stops by %s: %v", describe(&msg), c.oErr)
	}
	w.apply(r)
	return nil
}

// impossible makes such a message, if there is one for the state that m is in.
func (w *world) impossible(m *twin, s *ours.BasicStatus, n uint32) (opb.Message, rule, bool) {
	other := uint64(n>>8)%maxMembers + 1
	if other == m.id {
		other = other%maxMembers + 1
	}
	msg := opb.Message{From: other, To: m.id, Term: s.Term}
	if s.Term == 0 {
		msg.Term = 1
	}
	rival := s.Lead != 0 && s.Lead != other
	switch n % 18 {
	case 0:
		msg.Type, msg.To = opb.MsgHeartbeat, other
	case 1:
		msg.Type, msg.From = opb.MsgVote, m.id
	case 2:
		msg.Type, msg.Term = opb.MsgApp, 0
	case 3:
		msg.Type, msg.Term, msg.Commit = opb.MsgHeartbeat, s.Term+1, s.LastIndex+1
	case 4:
		msg.Type, msg.Term, msg.Index = opb.MsgApp, s.Term+1, s.LastIndex
		msg.LogTerm = w.termOf(m, s.LastIndex)
		msg.Entries = []opb.Entry{{Term: msg.Term, Index: s.LastIndex + 2}}
	case 5:
		msg.Type, msg.Term, msg.Index = opb.MsgApp, s.Term+1, s.Commit
		msg.LogTerm = w.termOf(m, s.Commit) + 1
		return msg, impossibleRefused, s.Commit > 0
	case 6:
		msg.Type = opb.MsgHeartbeat
		return msg, impossibleRefused, rival
	case 7:
		msg.Type = opb.MsgTimeoutNow
		return msg, wordOfAnother, rival
	case 8:
		msg.Type, msg.Entries = opb.MsgReadIndexResp, []opb.Entry{{Data: make([]byte, 16)}}
		return msg, wordOfAnother, rival
	case 9:
		msg.Type = opb.MsgHup
	case 10:
		msg.Type = 99
	case 11:
		msg.Type, msg.Index = opb.MsgAppResp, s.LastIndex+1
		return msg, impossibleRefused, s.RaftState == ours.StateLeader
	case 12:
		msg.Type, msg.Session = opb.MsgHeartbeatResp, 1<<40
		return msg, impossibleRefused, s.RaftState == ours.StateLeader
	case 13:
		msg.Type, msg.Index, msg.Session = opb.MsgRemoved, s.LastIndex+1, 1
	case 14:
		msg.Type, msg.Term, msg.Index = opb.MsgRemoved, 0, s.LastIndex+1
	case 15:
		msg.Type, msg.RejectHint = opb.MsgPropRefused, uint64(opb.RefusalTransferring)
	case 16:
		msg.Type, msg.Term, msg.RejectHint = opb.MsgPropRefused, 0, 1<<63
	case 17:
		types := []opb.MessageType{opb.MsgVote, opb.MsgPreVote, opb.MsgHeartbeat, opb.MsgApp, opb.MsgHeartbeatResp}
		msg.Type, msg.Term = types[n>>16%uint32(len(types))], msg.Term+1
		msg.Index, msg.LogTerm, msg.Features = s.LastIndex, w.termOf(m, s.LastIndex), opb.FeatureOnAppend
		return msg, otherEffect, true
	}
	return msg, impossibleRefused, true
}
