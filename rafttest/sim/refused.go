package sim

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What a node is told of its proposals that were passed on (S19): they are its own,
// and what was refused is not applied, unless there may have been more of it than was
// refused.

// proposals is an account of all that was proposed.
type proposals struct {
	by   map[[2]uint64]struct{} // who proposed, and what
	fate map[uint64]fate
}

// fate is what became of one content of an entry.
type fate struct {
	proposed bool
	several  bool // proposed more than once, or the network doubled it
	refused  uint64
	applied  uint64
}

// content stands for an entry's type and data.
func content(typ pb.EntryType, data []byte) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := offset ^ uint64(typ)
	for _, b := range data {
		h = (h ^ uint64(b)) * prime
	}
	return mix(h)
}

// proposed is called when a node is asked to propose.
func (ps *proposals) proposed(id uint64, typ pb.EntryType, data []byte) {
	if ps.by == nil {
		ps.by, ps.fate = map[[2]uint64]struct{}{}, map[uint64]fate{}
	}
	c := content(typ, data)
	ps.by[[2]uint64{id, c}] = struct{}{}
	f := ps.fate[c]
	f.proposed, f.several = true, f.several || f.proposed
	ps.fate[c] = f
}

// doubled is called when the network delivers a message once more.
func (ps *proposals) doubled(m *pb.Message) {
	if m.Type != pb.MsgProp {
		return
	}
	for i := range m.Entries {
		c := content(m.Entries[i].Type, m.Entries[i].Data)
		if f := ps.fate[c]; f.proposed {
			f.several = true
			ps.fate[c] = f
		}
	}
}

// refuses is called when a node says that it did not take entries, or applies when it
// applies one. They report what cannot be.
func (ps *proposals) refuses(id uint64, ents []pb.Entry) string {
	for i := range ents {
		c := content(ents[i].Type, ents[i].Data)
		f := ps.fate[c]
		if f.refused = id; f.applied != 0 && !f.several {
			return fmt.Sprintf("refuses a proposal that was applied at %d", f.applied)
		}
		ps.fate[c] = f
	}
	return ""
}

func (ps *proposals) applies(e *pb.Entry) string {
	c := content(e.Type, e.Data)
	f, known := ps.fate[c]
	if !known {
		return ""
	}
	if f.applied = e.Index; f.refused != 0 && !f.several {
		return fmt.Sprintf("entry %d was proposed once, and %d refused it", e.Index, f.refused)
	}
	ps.fate[c] = f
	return ""
}

// refused takes what a Ready tells of refusals. It reports whether the node goes on.
func (s *simulation) refused(n *node, told []raft.Refusal) bool {
	for i := range told {
		r := &told[i]
		s.mark(markHeard)
		for j := range r.Entries {
			e := &r.Entries[j]
			if _, own := s.proposals.by[[2]uint64{n.id, content(e.Type, e.Data)}]; !own {
				s.fail("S19", n.id, fmt.Sprintf("it hears from %d that what it did not propose was refused: %v", r.By, r.Err))
				return false
			}
		}
		if r.By == n.id && !s.saysRefused(n, r.Entries) {
			return false
		}
	}
	return true
}

func (s *simulation) saysRefused(n *node, ents []pb.Entry) bool {
	if wrong := s.proposals.refuses(n.id, ents); wrong != "" {
		s.fail("S19", n.id, wrong)
		return false
	}
	return true
}
