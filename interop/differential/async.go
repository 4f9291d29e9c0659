package differential

import (
	theirs "go.etcd.io/raft/v3"
	theirconf "go.etcd.io/raft/v3/confchange"
	tpb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// In an asynchronous run the host writes and applies later: each step only hands
// out, and opWritten and opApplied finish, on both halves, what the same earlier
// steps handed out. A crash loses what is left.

// ourWrite and theirWrite are handed out and not durable.
type ourWrite struct {
	step uint64
	rd   ours.Ready
}

type theirWrite struct {
	step  uint64
	m     tpb.Message   // MsgStorageAppend, or none
	after []tpb.Message // come back once it is durable
}

// ourApply and theirApply are handed out and not applied.
type ourApply struct {
	step uint64
	ents []opb.Entry
}

type theirApply struct {
	step uint64
	m    tpb.Message // MsgStorageApply
}

// takeOurs takes a Ready of ours and leaves its writes for later.
func (m *twin) takeOurs(rd ours.Ready) error {
	m.out.held = append(m.out.held, rd.MessagesAfterAppend...)
	m.ow = append(m.ow, ourWrite{m.w.step, rd})
	if len(rd.CommittedEntries) == 0 {
		return nil
	}
	m.oa = append(m.oa, ourApply{m.w.step, rd.CommittedEntries})
	if m.w.settings.holdApply {
		return nil
	}
	return m.oursApplied(m.w.step)
}

// takeTheirs takes a Ready of theirs and leaves its writes for later.
func (m *twin) takeTheirs(rd *theirs.Ready) error {
	wr := theirWrite{step: m.w.step}
	var back []tpb.Message
	for _, msg := range rd.Messages {
		switch {
		case msg.Type == tpb.MsgStorageAppend:
			wr.m = msg
			for _, after := range msg.Responses {
				switch pre := after.Type == tpb.MsgPreVoteResp; {
				case pre && after.To == m.id:
					m.w.apply(preVoteAtOnce)
					back = append(back, after)
				case pre:
					m.w.apply(preVoteAtOnce)
					m.tout.messages = append(m.tout.messages, after)
				case after.To == m.id:
					wr.after = append(wr.after, after)
				default:
					m.tout.held = append(m.tout.held, after)
				}
			}
		case msg.Type == tpb.MsgStorageApply:
			m.ta = append(m.ta, theirApply{m.w.step, msg})
		case msg.Type == tpb.MsgVote:
			m.w.apply(voteAfterWrite)
			m.tout.held = append(m.tout.held, msg)
		case msg.Type == tpb.MsgHeartbeatResp && m.mayForgetChange():
			m.w.apply(changeHeardAfterWrite)
			m.tout.held = append(m.tout.held, msg)
		default:
			m.tout.messages = append(m.tout.messages, msg)
		}
	}
	if wr.m.Type == tpb.MsgStorageAppend {
		m.tw = append(m.tw, wr)
	}
	for _, msg := range back {
		_ = m.t.Step(msg)
	}
	if m.w.settings.holdApply {
		return nil
	}
	return m.theirsApplied(m.w.step)
}

// pendingSteps are those whose writes are under way, oldest first.
func (m *twin) pendingSteps() (steps []uint64) {
	i, j := 0, 0
	for i < len(m.ow) || j < len(m.tw) {
		var s uint64
		if j == len(m.tw) || i < len(m.ow) && m.ow[i].step <= m.tw[j].step {
			s = m.ow[i].step
			i++
		} else {
			s = m.tw[j].step
			j++
		}
		if n := len(steps); n == 0 || steps[n-1] != s {
			steps = append(steps, s)
		}
	}
	return steps
}

// written finishes the writes of the oldest steps on both halves.
func (m *twin) written(n uint32) error {
	steps := m.pendingSteps()
	if len(steps) == 0 {
		return nil
	}
	end := steps[int(n)%len(steps)]
	if m.o.BasicStatus().RaftState == ours.StateLeader {
		end = steps[0] // theirs acts on each commit that comes of it, ours on the last
	}
	if m.snapshotWritten(end) {
		// What came before the snapshot is applied before it is restored.
		if err := m.applyAll(); err != nil {
			return err
		}
	}
	if err := m.oursWritten(end, n>>8%2 == 0); err != nil {
		return err
	}
	left := 0
	for left < len(m.held) && m.held[left].step <= end {
		left++
	}
	m.leaving = append(m.leaving, m.held[:left]...)
	m.held = m.held[left:]
	return caught(func() error { return m.theirsWritten(end) })
}

func (m *twin) snapshotWritten(end uint64) bool {
	for i := range m.ow {
		if m.ow[i].step <= end && !ours.IsEmptySnap(m.ow[i].rd.Snapshot) {
			return true
		}
	}
	return false
}

func (m *twin) oursWritten(end uint64, each bool) error {
	n := 0
	for ; n < len(m.ow) && m.ow[n].step <= end; n++ {
		rd := &m.ow[n].rd
		if err := m.writeOurs(rd); err != nil {
			return err
		}
		if err := m.checkPromises(rd.MessagesAfterAppend); err != nil {
			return err
		}
		if !each && n+1 < len(m.ow) && m.ow[n+1].step <= end && ours.IsEmptySnap(rd.Snapshot) {
			continue // the next one's acknowledgement covers it
		}
		if err := m.o.AckAppend(rd.AppendToken()); err != nil {
			return err
		}
		if !ours.IsEmptySnap(rd.Snapshot) {
			if err := m.o.AckApply(rd.Snapshot.Metadata.Index); err != nil {
				return err
			}
		}
	}
	m.ow = append(m.ow[:0], m.ow[n:]...)
	m.findTail()
	return nil
}

func (m *twin) theirsWritten(end uint64) error {
	n := 0
	for ; n < len(m.tw) && m.tw[n].step <= end; n++ {
		wr := &m.tw[n]
		if err := m.writeTheirs(&wr.m); err != nil {
			return err
		}
		for _, after := range wr.after {
			m.oldTermWritten = m.oldTermWritten || after.Type == tpb.MsgStorageAppendResp && after.Index != 0 && after.Term < m.t.BasicStatus().Term
			_ = m.t.Step(after)
		}
	}
	m.tw = append(m.tw[:0], m.tw[n:]...)
	return m.countOldTerm()
}

// countOldTerm tells theirs of entries that are durable though their write was
// acknowledged after the term had moved on.
func (m *twin) countOldTerm() error {
	if !m.oldTermWritten || m.tailSnap != nil {
		return nil
	}
	end := m.durable()
	offset := *m.tp.unstableFrom()
	if end < offset {
		return nil
	}
	term, err := m.od.Term(end)
	if err != nil {
		return err
	}
	m.w.apply(oldTermDurable)
	_ = m.t.Step(tpb.Message{
		Type: tpb.MsgStorageAppendResp, From: theirs.LocalAppendThread, To: m.id,
		Term: m.t.BasicStatus().Term, Index: end, LogTerm: term,
	})
	m.oldTermWritten = len(m.tail) > 0
	return nil
}

// applied finishes the oldest applications on both halves.
func (m *twin) appliedSome(n uint32) error {
	if len(m.oa) == 0 && len(m.ta) == 0 {
		return nil
	}
	end := m.w.step
	if len(m.oa) > 0 {
		end = m.oa[int(n)%len(m.oa)].step
	}
	if err := m.oursApplied(end); err != nil {
		return err
	}
	return caught(func() error { return m.theirsApplied(end) })
}

// tellToTakeOver tells theirs once more to campaign.
func (m *twin) tellToTakeOver(leader uint64) error {
	err := caught(func() error {
		return m.t.Step(tpb.Message{Type: tpb.MsgTimeoutNow, From: leader, To: m.id, Term: m.t.BasicStatus().Term})
	})
	if err != nil {
		return err
	}
	return m.drainTheirs()
}

func (m *twin) applyAll() error {
	if err := m.oursApplied(m.w.step); err != nil {
		return err
	}
	return caught(func() error { return m.theirsApplied(m.w.step) })
}

func (m *twin) oursApplied(end uint64) error {
	n := 0
	for ; n < len(m.oa) && m.oa[n].step <= end; n++ {
		ents := m.oa[n].ents
		for i := range ents {
			if err := m.applyOurs(&ents[i]); err != nil {
				return err
			}
		}
		if err := m.o.AckApply(ents[len(ents)-1].Index); err != nil {
			return err
		}
	}
	m.oa = append(m.oa[:0], m.oa[n:]...)
	return nil
}

func (m *twin) theirsApplied(end uint64) error {
	n := 0
	for ; n < len(m.ta) && m.ta[n].step <= end; n++ {
		msg := &m.ta[n].m
		for i := range msg.Entries {
			if err := m.applyTheirs(&msg.Entries[i]); err != nil {
				return err
			}
		}
		for _, back := range msg.Responses {
			_ = m.t.Step(back)
		}
	}
	m.ta = append(m.ta[:0], m.ta[n:]...)
	return nil
}

// applyUnderSnapshot returns what a change makes of the configuration on disk,
// while that of a snapshot which is being written is active.
func (m *twin) applyUnderSnapshot(cc tpb.ConfChangeV2) (tpb.ConfState, error) {
	changer := theirconf.Changer{Tracker: tracker.MakeProgressTracker(1, 0), LastIndex: 1}
	cfg, trk, err := theirconf.Restore(changer, m.td.conf)
	if err != nil {
		return tpb.ConfState{}, err
	}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, trk
	switch autoLeave, joint := cc.EnterJoint(); {
	case cc.LeaveJoint():
		cfg, _, err = changer.LeaveJoint()
	case joint:
		cfg, _, err = changer.EnterJoint(autoLeave, cc.Changes...)
	default:
		cfg, _, err = changer.Simple(cc.Changes...)
	}
	changer.Tracker.Config = cfg
	return changer.Tracker.ConfState(), err
}

// bytesToApply returns the payload of what is handed out and not applied.
func (m *twin) bytesToApply() (n uint64) {
	for i := range m.oa {
		for j := range m.oa[i].ents {
			n += uint64(len(m.oa[i].ents[j].Data))
		}
	}
	return n
}
