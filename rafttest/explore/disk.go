package explore

import (
	"slices"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// disk is what a member holds durably.
type disk struct {
	Hard pb.HardState
	// Synced is the commit index as of the last write that was synced: a crash may take the
	// commit index back to it, since a write without MustSync may be lost.
	Synced uint64
	// Conf is what the host saved when it applied a change, or of a snapshot.
	Conf pb.ConfState
	// Snap is where the log begins.
	Snap pb.SnapshotMetadata
	Ents []pb.Entry
}

// storage is a disk as the node sees it: whichever the worker has at hand.
type storage struct{ *disk }

func (s *storage) InitialState() (pb.HardState, pb.ConfState, error) { return s.Hard, s.Conf, nil }
func (s *storage) FirstIndex() (uint64, error)                       { return s.Snap.Index + 1, nil }
func (s *storage) LastIndex() (uint64, error)                        { return s.last(), nil }

func (d *disk) last() uint64 { return d.Snap.Index + uint64(len(d.Ents)) }

// term returns the term of entry i, 0 if the disk does not know it.
func (d *disk) term(i uint64) uint64 {
	switch {
	case i == d.Snap.Index:
		return d.Snap.Term
	case i < d.Snap.Index || i > d.last():
		return 0
	}
	return d.Ents[i-d.Snap.Index-1].Term
}

func (s *storage) Term(i uint64) (uint64, error) {
	switch {
	case i < s.Snap.Index:
		return 0, raft.ErrCompacted
	case i > s.last():
		return 0, raft.ErrUnavailable
	}
	return s.term(i), nil
}

// Entries gives all that is asked for: what is explored does not fill messages.
func (s *storage) Entries(lo, hi, _ uint64) ([]pb.Entry, error) {
	switch {
	case lo <= s.Snap.Index:
		return nil, raft.ErrCompacted
	case hi > s.last()+1:
		return nil, raft.ErrUnavailable
	}
	return slices.Clip(s.Ents[lo-s.Snap.Index-1 : hi-s.Snap.Index-1]), nil
}

func (s *storage) Snapshot() (pb.Snapshot, error) { return pb.Snapshot{Metadata: s.Snap}, nil }

// write makes w durable.
func (d *disk) write(w *write) {
	if meta := &w.Snapshot; meta.Index != 0 {
		if meta.Index < d.last() && d.term(meta.Index) == meta.Term {
			d.Ents = d.Ents[meta.Index-d.Snap.Index:]
		} else {
			d.Ents = nil
		}
		d.Snap = *meta
		if meta.ConfState.Index >= d.Conf.Index {
			d.Conf = meta.ConfState
		}
	}
	if len(w.Entries) > 0 {
		keep := w.Entries[0].Index - d.Snap.Index - 1
		d.Ents = append(slices.Clip(d.Ents[:keep]), w.Entries...)
	}
	if w.Hard != (pb.HardState{}) {
		d.Hard = w.Hard
	}
	if w.Sync {
		d.Synced = d.Hard.Commit
	}
}

// compact drops the entries up to index, with conf as the configuration there.
func (d *disk) compact(index uint64, conf pb.ConfState) {
	meta := pb.SnapshotMetadata{Index: index, Term: d.term(index), ConfState: conf}
	d.Ents = d.Ents[index-d.Snap.Index:]
	d.Snap = meta
}
