package explore

import (
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// isChange reports whether the entry is a change of membership.
func (e entry) isChange() bool { return pb.EntryType(e.tag&3) != pb.EntryNormal }

// oneChange is S11 for a log: of the changes in it, at most one is not committed. chainEnd is the last committed entry.
func oneChange(v *view, chainEnd uint64) error {
	first := uint64(0)
	for i := max(chainEnd, v.log.base) + 1; i <= v.log.last(); i++ {
		if e, _ := v.log.at(i); !e.isChange() {
			continue
		}
		if first != 0 {
			return violation(v, confRule(v.conf.Effect), "holds changes %d and %d of membership, and the commit is at %d", first, i, chainEnd)
		}
		first = i
	}
	return nil
}

// confRule is the rule about configurations.
func confRule(e raft.ConfChangeEffect) string {
	if e == raft.OnAppend {
		return "S11b"
	}
	return "S11a"
}

// confLog is a log as far as it makes configurations.
type confLog struct {
	base pb.SnapshotMetadata
	ents []pb.Entry
}

// confLog returns the log of m, or what of it is durable.
func (m *member) confLog(durable bool) confLog {
	l := confLog{m.Disk.Snap, m.Disk.Ents}
	if durable {
		return l
	}
	for i := range m.Writes {
		w := &m.Writes[i]
		if w.Snapshot.Index != 0 {
			l = confLog{base: w.Snapshot}
		}
		if len(w.Entries) > 0 {
			l.ents = append(slices.Clip(l.ents[:w.Entries[0].Index-l.base.Index-1]), w.Entries...)
		}
	}
	return l
}

// last returns the index and the term of the last entry.
func (l *confLog) last() (index, term uint64) {
	if n := len(l.ents); n > 0 {
		return l.ents[n-1].Index, l.ents[n-1].Term
	}
	return l.base.Index, l.base.Term
}

// at returns the configuration as of an index, and the index of its change: what the log begins with, and the changes in
// it. One that is impossible changes nothing.
func (l *confLog) at(index uint64) (confchange.Config, uint64) {
	cs := &l.base.ConfState
	c, of := configOf(cs), cs.Index
	for i := range l.ents {
		e := &l.ents[i]
		if e.Index > index {
			break
		}
		if e.Type == pb.EntryNormal {
			continue
		}
		of = e.Index
		cc, err := pb.UnmarshalConfChange(*e)
		if err != nil {
			continue
		}
		if next, err := confchange.ApplyAt(c, cc.AsV2(), e.Index); err == nil {
			c = next
		}
	}
	return c, of
}

// configOf returns what a ConfState says, as it says it: package confchange may be at fault.
func configOf(cs *pb.ConfState) confchange.Config {
	return confchange.Config{
		Voters:   quorum.JointConfig{slices.Clone(cs.Voters), slices.Clone(cs.VotersOutgoing)},
		Learners: slices.Clone(cs.Learners), LearnersNext: slices.Clone(cs.LearnersNext), AutoLeave: cs.AutoLeave,
	}
}

// sameMembers reports whether configurations have the same members in the same parts.
func sameMembers(a, b confchange.Config) bool {
	return slices.Equal(a.Voters[0], b.Voters[0]) && slices.Equal(a.Voters[1], b.Voters[1]) &&
		slices.Equal(a.Learners, b.Learners) && slices.Equal(a.LearnersNext, b.LearnersNext) && a.AutoLeave == b.AutoLeave
}

// configured is S11 and S13 for what an input has changed: a member goes by the configuration that its log leads to, up
// to what it applied or with OnAppend to the end, and none that it saved is another; it stands only as a voter, and over
// no change that it has not applied.
func (m *member) configured(was *raft.BasicStatus) error {
	st := m.Node.Status()
	effect := st.Config.Effect
	log, disk := m.confLog(false), m.confLog(true)
	saved := &m.Disk.Conf
	upTo := max(st.Applied, log.base.Index, saved.Index)
	if effect == raft.OnAppend {
		upTo = st.LastIndex
	}
	if c, of := log.at(upTo); of != st.ConfigIndex || !sameMembers(c, st.Config) {
		return m.violates(confRule(effect), "goes by %v of entry %d, the log up to %d leads to %v of entry %d", st.Config, st.ConfigIndex, upTo, c, of)
	}
	if saved.Index > m.Disk.last() {
		return m.violates(confRule(effect), "saved the configuration of entry %d, the disk ends at %d", saved.Index, m.Disk.last())
	}
	if c, of := disk.at(max(saved.Index, disk.base.Index)); of != saved.Index || !sameMembers(c, configOf(saved)) {
		return m.violates(confRule(effect), "saved %v of entry %d, the disk leads to %v of entry %d", configOf(saved), saved.Index, c, of)
	}
	if st.RaftState == raft.StateFollower || was.RaftState != raft.StateFollower {
		return nil
	}
	known := st.Config
	if effect == raft.OnAppend && st.ConfigIndex > st.Commit {
		known, _ = log.at(max(st.Commit, saved.Index))
	}
	if !st.Config.IsVoter(m.ID) && !known.IsVoter(m.ID) {
		return m.violates("S13", "becomes %v and is no voter of %v", st.RaftState, st.Config)
	}
	if effect == raft.OnAppend {
		return nil
	}
	for i := range log.ents {
		if e := &log.ents[i]; e.Type != pb.EntryNormal && e.Index > upTo && e.Index <= st.Commit {
			return m.violates("S11a", "becomes %v, and has not applied the committed change %d", st.RaftState, e.Index)
		}
	}
	return nil
}

// saves is S11 for what a host is given to save when it applies the change in entry i.
func (m *member) saves(cs *pb.ConfState, i uint64) error {
	if cs.Index > max(i, m.Disk.Conf.Index) {
		return m.violates(confRule(cs.ConfChangeEffect), "is to save the configuration of entry %d when it applies %d", cs.Index, i)
	}
	return nil
}

// summarizes is S17 for the configuration of a snapshot at index i.
func (m *member) summarizes(cs *pb.ConfState, i uint64) error {
	log := m.confLog(false)
	if c, of := log.at(i); of != cs.Index || !sameMembers(c, configOf(cs)) {
		return m.violates("S17", "gives %v of entry %d for a snapshot at %d, the log leads to %v of entry %d", configOf(cs), cs.Index, i, c, of)
	}
	return nil
}
