package grouplog

import (
	"slices"
	"sort"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// EntryID names an entry.
type EntryID struct{ Index, Term uint64 }

// TermRun says that a term begins at an index.
type TermRun struct{ Start, Term uint64 }

// State is what is known of a group in memory. Its slices are only appended to,
// never overwritten, so a copy of the struct is a copy of the state.
type State struct {
	// Base is the entry before the first.
	Base EntryID
	Last uint64
	// Runs are where terms begin in (Base, Last]: the first of them is at
	// Base.Index+1 unless the log is empty.
	Runs []TermRun
	// Changes are the indexes of configuration entries.
	Changes []uint64
	Hard    pb.HardState
	Conf    pb.ConfState
	// ConfAt is the index that Conf counts as being of.
	ConfAt uint64
	// Snap is the snapshot's index, or 0.
	Snap uint64
}

// Known returns the state itself, of whatever embeds it.
func (st *State) Known() *State { return st }

// Run returns which of Runs index, which is in the log, belongs to.
func (st *State) Run(index uint64) int {
	return sort.Search(len(st.Runs), func(i int) bool { return st.Runs[i].Start > index }) - 1
}

// Term returns the term of an index in [Base, Last].
func (st *State) Term(index uint64) uint64 {
	if index == st.Base.Index {
		return st.Base.Term
	}
	return st.Runs[st.Run(index)].Term
}

// CheckTerm says why the term of index is not known.
func (st *State) CheckTerm(index uint64) error {
	switch {
	case index < st.Base.Index:
		return raft.ErrCompacted
	case index > st.Last:
		return raft.ErrUnavailable
	}
	return nil
}

// CheckRange says why [lo, hi) is not in the log.
func (st *State) CheckRange(lo, hi uint64) error {
	switch {
	case lo <= st.Base.Index:
		return raft.ErrCompacted
	case hi > st.Last+1 || lo >= hi:
		return raft.ErrUnavailable
	}
	return nil
}

// CheckCompact says why the entries up to index cannot be dropped.
func (st *State) CheckCompact(index uint64) error {
	switch {
	case index <= st.Base.Index:
		return raft.ErrCompacted
	case index > st.Last:
		return raft.ErrUnavailable
	}
	return nil
}

// Truncate forgets the entries from index on, and returns what else goes.
func (st *State) Truncate(index uint64) (runs []TermRun, changes []uint64) {
	if index > st.Last {
		return nil, nil
	}
	r := sort.Search(len(st.Runs), func(i int) bool { return st.Runs[i].Start >= index })
	c, _ := slices.BinarySearch(st.Changes, index)
	runs, changes = st.Runs[r:], st.Changes[c:]
	// The capacity goes too: what comes next must not overwrite what readers hold.
	st.Runs, st.Changes = st.Runs[:r:r], st.Changes[:c:c]
	st.Last = index - 1
	return runs, changes
}

// Push adds an entry to the end, a change of the configuration or another, and
// reports whether it begins a run.
func (st *State) Push(index, term uint64, change bool) (begins bool) {
	begins = st.Last == st.Base.Index || st.Runs[len(st.Runs)-1].Term != term
	if begins {
		st.Runs = append(st.Runs, TermRun{index, term})
	}
	if change {
		st.Changes = append(st.Changes, index)
	}
	st.Last = index
	return begins
}

// Compact forgets the entries up to and including index, which is in the log.
// It returns what else goes, and the run that begins with the new first entry
// if it was not there before.
func (st *State) Compact(index uint64) (runs []TermRun, changes []uint64, begins *TermRun) {
	r := sort.Search(len(st.Runs), func(i int) bool { return st.Runs[i].Start > index })
	c, _ := slices.BinarySearch(st.Changes, index+1)
	runs, changes = st.Runs[:r], st.Changes[:c]
	rest := st.Runs[r:]
	term := st.Term(index)
	if index < st.Last && (len(rest) == 0 || rest[0].Start != index+1) {
		begins = &TermRun{index + 1, term}
		rest = append([]TermRun{*begins}, rest...)
	} else {
		rest = slices.Clone(rest)
	}
	st.Runs, st.Changes = rest, slices.Clone(st.Changes[c:])
	st.Base = EntryID{index, term}
	return runs, changes, begins
}

// Install replaces all but the hard state by a received snapshot.
func (st *State) Install(meta *pb.SnapshotMetadata) {
	*st = State{
		Base: EntryID{meta.Index, meta.Term}, Last: meta.Index, Snap: meta.Index, Hard: st.Hard,
		Conf: meta.ConfState, ConfAt: ConfIndex(&meta.ConfState, meta.Index),
	}
}

// NewSnapshot returns what a snapshot of the state machine at an index is, or why
// there cannot be one.
func (st *State) NewSnapshot(index uint64, cs pb.ConfState, data []byte) (pb.Snapshot, error) {
	if index <= st.Snap {
		return pb.Snapshot{}, raft.ErrSnapOutOfDate
	}
	if err := st.CheckTerm(index); err != nil {
		return pb.Snapshot{}, err
	}
	meta := pb.SnapshotMetadata{Index: index, Term: st.Term(index), ConfState: cs}
	return pb.Snapshot{Data: data, Metadata: meta}, nil
}

// SetConf takes a configuration that counts as being of an index, unless there is a
// newer one.
func (st *State) SetConf(cs pb.ConfState, at uint64) bool {
	if at < st.ConfAt {
		return false
	}
	st.Conf, st.ConfAt = cs, at
	return true
}

// ConfIndex is the index that a configuration counts as being of that came in a
// snapshot at index.
func ConfIndex(cs *pb.ConfState, index uint64) uint64 {
	if cs.Index == 0 {
		return index
	}
	return cs.Index
}

// cloneConf makes the slices of cs the caller's own.
func cloneConf(cs pb.ConfState) pb.ConfState {
	cs.Voters = slices.Clone(cs.Voters)
	cs.Learners = slices.Clone(cs.Learners)
	cs.VotersOutgoing = slices.Clone(cs.VotersOutgoing)
	cs.LearnersNext = slices.Clone(cs.LearnersNext)
	return cs
}
