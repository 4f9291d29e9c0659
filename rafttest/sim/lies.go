package sim

import (
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What a disk, or a host, says at a restart and cannot be true: something is lost
// that the node promised to keep. A node must not start from it. Each is tried
// right before a node starts from what is true, so that the group loses nobody.
//
// What contradicts nothing on the disk cannot be found out by anybody: an old
// backup that is restored, a term and a vote that are lost together with the log.

// streamLies is beside the streams that count up from 0.
const streamLies = 0xfe

// liar is a disk as it would be read.
type liar struct {
	*disk
	hs         pb.HardState
	conf       pb.ConfState
	base, last uint64
	shift      uint64 // entries are read so many places off
	old        bool   // the newest entry is read as it was in an earlier term
	applied    uint64 // what the host says it has applied
}

func (l *liar) InitialState() (pb.HardState, pb.ConfState, error) { return l.hs, l.conf, nil }
func (l *liar) FirstIndex() (uint64, error)                       { return l.base + 1, nil }
func (l *liar) LastIndex() (uint64, error)                        { return l.last, nil }

func (l *liar) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	ents, err := l.disk.Entries(lo, hi, maxSize)
	if err != nil || l.shift == 0 && !l.old {
		return ents, err
	}
	return misread(ents, l.shift), nil
}

// misread returns the entries as a disk would that reads another place, so many
// entries off, or, with 0, one that was there in an earlier term.
func misread(ents []pb.Entry, shift uint64) []pb.Entry {
	ents = append([]pb.Entry(nil), ents...)
	e := &ents[len(ents)-1]
	if shift == 0 {
		e.Term--
		return ents
	}
	e.Index += shift
	return ents
}

const numLies = 9

var lies = [numLies]struct {
	name string
	// tell changes what is read, and reports whether there is something to lose.
	tell func(l *liar, r *random) bool
}{
	{"term and vote are lost, the log is not", func(l *liar, r *random) bool {
		l.hs = pb.HardState{}
		return l.last > l.base && l.written.ents[len(l.written.ents)-1].Term > 0
	}},
	{"the term is older than the log", func(l *liar, r *random) bool {
		term, _ := l.written.term(l.last)
		l.hs.Term = term - 1
		return term > 1
	}},
	{"the end of the log is lost, and was committed", func(l *liar, r *random) bool {
		l.last = l.hs.Commit - 1
		return l.hs.Commit > l.base+1
	}},
	{"more was applied than the log has", func(l *liar, r *random) bool {
		l.applied = l.last + uint64(r.spread(1, 1000))
		return true
	}},
	{"compaction went past what was applied", func(l *liar, r *random) bool {
		l.applied = l.base - 1
		return l.base > 1 // 0 stands for the snapshot
	}},
	{"the configuration is of an entry past the log", func(l *liar, r *random) bool {
		l.conf.Index = l.last + uint64(r.spread(1, 1000))
		return true
	}},
	{"the log has a hole after the snapshot", func(l *liar, r *random) bool {
		l.base = l.last + uint64(r.spread(1, 100))
		l.applied = l.base
		return true
	}},
	{"another entry is read", func(l *liar, r *random) bool {
		l.shift = uint64(r.spread(1, 10))
		return l.last > l.applied
	}},
	{"an entry of before is read", func(l *liar, r *random) bool {
		l.old = true
		return l.last > l.applied
	}},
}

// lie tries to start the node from what cannot be true.
func (s *simulation) lie(n *node, cfg raft.Config) bool {
	r := &s.lies
	if !s.set.faults.has(Disk) || n.own != nil || r.oneIn(2) {
		return true
	}
	k := r.below(numLies)
	d := n.disk
	l := &liar{disk: d, base: d.written.base, last: d.written.last(), applied: max(cfg.Applied, d.written.base)}
	l.hs, l.conf, _ = d.InitialState()
	if !lies[k].tell(l, r) {
		return true
	}
	cfg.Storage, cfg.Applied, cfg.Rand = l, l.applied, newRandom(r.Uint64(), streamNode)
	s.mark(markLies + Mark(k))
	if _, err := raft.NewRawNode(&cfg); err == nil {
		s.fail("start", n.id, fmt.Sprintf("it starts although %s", lies[k].name))
		return false
	}
	return true
}

// readElsewhere makes the next read of entries that a node does return another
// entry for the last of them, or an entry that was there before.
func (s *simulation) readElsewhere(r *random) string {
	n := s.victim(r)
	if n == nil || n.own != nil {
		return ""
	}
	n.disk.misread = true
	if n.disk.shift = 0; r.oneIn(2) {
		n.disk.shift = uint64(r.spread(1, 10))
	}
	return fmt.Sprintf("the next read of %d is of another place", n.id)
}

// notMisled checks that a node whose storage read another place has stopped.
func (s *simulation) notMisled(n *node) {
	if n.disk.misled {
		s.fail("S20", n.id, "its storage returned another entry than was asked for, and it goes on")
	}
}
