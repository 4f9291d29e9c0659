package explore

import (
	"hash/crc32"
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// view is what the invariants look at of a member.
type view struct {
	id, term uint64
	role     raft.StateType
	lead     uint64
	commit   uint64
	applied  uint64
	log      history // also what is not durable yet
	disk     history
	hard     pb.HardState // durable
	synced   uint64       // the commit index that a crash leaves at least
	conf     confchange.Config
	confAt   uint64 // the index of the entry that made conf
	peers    []peer // what a leader believes
	leased   bool   // it would answer a read by its lease
	// The rest say which inputs make sense.
	ticks    bool
	pending  int   // writes that are not durable
	newest   write // of them
	applies  bool
	forgets  bool
	compacts bool
}

type peer struct{ id, match uint64 }

// history is a log: entries[i] has index base+1+i.
type history struct {
	base, baseTerm uint64
	entries        []entry
}

// entry is what tells entries apart: two of one term at one place are the same.
type entry struct {
	term uint64
	tag  uint32 // of type and data
}

func (h *history) last() uint64 { return h.base + uint64(len(h.entries)) }

func (h *history) at(i uint64) (entry, bool) {
	if i <= h.base || i > h.last() {
		return entry{}, false
	}
	return h.entries[i-h.base-1], true
}

// term returns the term of entry i, 0 if it is not known.
func (h *history) term(i uint64) uint64 {
	if i == h.base {
		return h.baseTerm
	}
	e, _ := h.at(i)
	return e.term
}

func (h *history) append(ents []pb.Entry) {
	if len(ents) == 0 {
		return
	}
	h.entries = h.entries[:ents[0].Index-h.base-1]
	for i := range ents {
		h.entries = append(h.entries, entryOf(&ents[i]))
	}
}

func entryOf(e *pb.Entry) entry {
	return entry{e.Term, crc32.ChecksumIEEE(e.Data)<<2 | uint32(e.Type)}
}

func (d *disk) history() history {
	h := history{base: d.Snap.Index, baseTerm: d.Snap.Term}
	h.append(d.Ents)
	return h
}

// view looks at m, which is open on b.
func (b *bench) view(m *member) *view {
	st := m.Node.Status()
	v := &view{
		id: m.ID, term: st.Term, role: st.RaftState, commit: st.Commit, applied: st.Applied,
		disk: m.Disk.history(), log: m.Disk.history(), hard: m.Disk.Hard, synced: m.Disk.Synced, conf: st.Config, confAt: st.ConfigIndex,
		lead: st.Lead, pending: len(m.Writes), applies: len(m.Apply) > 0 || m.Restore != 0, forgets: m.Disk.Hard.Commit != m.Disk.Synced,
		compacts: st.Applied > m.Disk.Snap.Index && len(m.Writes) == 0, ticks: b.nextTick(m) > 0,
	}
	if n := len(m.Writes); n > 0 {
		v.newest = m.Writes[n-1]
	}
	for i := range m.Writes {
		if meta := &m.Writes[i].Snapshot; meta.Index != 0 {
			v.log = history{base: meta.Index, baseTerm: meta.Term}
		}
		v.log.append(m.Writes[i].Entries)
	}
	if b.settings.clock {
		_, err := m.Node.LeaseRead()
		v.leased = err == nil
	}
	if v.role == raft.StateLeader {
		for _, id := range st.Config.IDs() {
			v.peers = append(v.peers, peer{id, st.Progress[id].Match})
		}
	}
	return v
}

// looksAs reports whether the invariants of the whole group see no difference between v and what it was.
func (v *view) looksAs(was *view) bool {
	return v.term == was.term && v.leased == was.leased && v.role == was.role && v.commit == was.commit && v.hard == was.hard && v.confAt == was.confAt &&
		v.log.equals(&was.log) && v.disk.equals(&was.disk) && slices.Equal(v.peers, was.peers) && sameMembers(v.conf, was.conf)
}

func (h *history) equals(o *history) bool {
	return h.base == o.base && h.baseTerm == o.baseTerm && slices.Equal(h.entries, o.entries)
}
