package differential

import (
	"errors"
	"fmt"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/interop/etcdraft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// A restart is a crash: it loses what is not written.

// crash loses what is not written: of the writes under way a part survives, of
// the commit index perhaps what was last synced.
func (m *twin) crash(n uint32) error {
	for i := range m.ow {
		if len(m.former) < 4 {
			m.former = append(m.former, m.ow[i].rd.AppendToken())
		}
	}
	steps := m.pendingSteps()
	if left := int(n) % (len(steps) + 1); left > 0 {
		if err := m.survive(steps[left-1]); err != nil {
			return err
		}
	}
	m.dropPending()
	hs, _, err := m.od.InitialState()
	if err != nil {
		return err
	}
	if n>>8%2 == 0 && m.synced < hs.Commit {
		hs.Commit = m.synced
		if err := m.od.SetHardState(hs); err != nil {
			return err
		}
		ths, _, err := m.td.InitialState()
		if err != nil {
			return err
		}
		ths.Commit = m.synced
		if err := m.td.SetHardState(ths); err != nil {
			return err
		}
	}
	snap, err := m.od.Snapshot()
	if err != nil {
		return err
	}
	m.applied = min(max(m.applied, snap.Metadata.Index), hs.Commit)
	m.confOfApplied()
	return nil
}

// survive writes what was handed out up to a step, without a word to either half.
func (m *twin) survive(end uint64) error {
	for i := range m.ow {
		if m.ow[i].step <= end {
			if err := m.writeOurs(&m.ow[i].rd); err != nil {
				return err
			}
		}
	}
	for i := range m.tw {
		if m.tw[i].step <= end {
			if err := m.writeTheirs(&m.tw[i].m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *twin) dropPending() {
	m.ow, m.tw, m.oa, m.ta = m.ow[:0], m.tw[:0], m.oa[:0], m.ta[:0]
	m.held = nil
	m.findTail()
}

// confOfApplied puts on both disks the configuration as of what is applied.
func (m *twin) confOfApplied() {
	at := m.theirConfFrom(m.applied)
	m.td.conf = at.conf
	cs := etcdraft.ToConf(&at.conf)
	m.od.SetConfState(cs) // without an index it takes the place of a later one
	cs.Index = at.index
	m.od.SetConfState(cs)
}

// foreign offers ours the acknowledgement of a write of an earlier life.
func (m *twin) foreign(n uint32) error {
	if len(m.former) == 0 {
		return nil
	}
	token := m.former[int(n)%len(m.former)]
	if err := m.o.AckAppend(token); !errors.Is(err, ours.ErrForeignAck) {
		return fmt.Errorf("takes the acknowledgement of an earlier life's write: %v", err)
	}
	return nil
}

// checkPromises holds ours to what leaves after a write: it is on disk.
func (m *twin) checkPromises(msgs []opb.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	hs, _, err := m.od.InitialState()
	if err != nil {
		return err
	}
	last, err := m.od.LastIndex()
	if err != nil {
		return err
	}
	for i := range msgs {
		msg := &msgs[i]
		kept := true
		switch {
		case msg.Type == opb.MsgVote:
			kept = hs.Term > msg.Term || hs.Term == msg.Term && hs.Vote == m.id
		case msg.Type == opb.MsgVoteResp && !msg.Reject:
			kept = hs.Term > msg.Term || hs.Term == msg.Term && hs.Vote == msg.To
		case msg.Type == opb.MsgAppResp && !msg.Reject:
			kept = hs.Term > msg.Term || hs.Term == msg.Term && last >= msg.Index
		}
		if !kept {
			return fmt.Errorf("%s leaves, on disk are %v and entries to %d", describe(msg), hs, last)
		}
	}
	return nil
}
